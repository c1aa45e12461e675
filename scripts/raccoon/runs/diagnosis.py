"""The diagnosis of a run from its logs alone: what went wrong, when it began, and what to change first.

It applies the sentinels' rules to every step again. It reads three kinds of logs: the folder of a run of
train_rl_poc.py (metrics.jsonl and heldout.jsonl), trainer_state.json of plain TRL, and JSON lines with TRL's names, as
trackers export them too. Their content is untrusted: what is no number counts as missing.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from raccoon.constants import InputError
from raccoon.runs.findings import SEVERITIES, Finding, at_least
from raccoon.runs.history import WINDOW, finite_number, first_number
from raccoon.runs.log import HELDOUT_LOG, METRICS_LOG
from raccoon.runs.sentinels import RULES, Sentinels
from raccoon.store import LineFile, parse_json

STATE_FILE = "trainer_state.json"  # of transformers' Trainer, in each of its checkpoints
PREFIX = "train/"  # that transformers puts before the names for wandb, TensorBoard and other trackers
STEP_NAMES = ("step", "global_step", "_step")  # wandb counts rows in the last one
CHECK_FIELDS = {
    "step": int, "n": int, "passed": int, "pass_rate": float, "gained": int, "lost": int, "statuses": dict,
}  # fmt: skip


def diagnose(run: str | Path) -> list[Finding]:
    """The findings of a run, in the order of their onset; [] for a healthy one.

    `run` is the OUTPUT_DIR of a run, a folder or checkpoint of plain TRL with a trainer_state.json, such a file, or a
    file of JSON lines with TRL's names. Raises InputError if it holds no steps.
    """
    return replay(*read_log(Path(run)))[1]


def replay(metrics: Iterable[Mapping[str, Any]], checks: Iterable[dict]) -> tuple[Sentinels, list[Finding]]:
    """The sentinels after all steps and checks, and what they found: each fault once, in the order of onset."""
    sentinels, found = Sentinels(), list[Finding]()
    waiting = sorted(checks, key=lambda check: check["step"])
    for row in metrics:
        while waiting and waiting[0]["step"] <= row.get("step", 0):  # a check is made before the line of its step
            found += sentinels.check(waiting.pop(0))
        found += sentinels.see(row)
    for check in waiting:
        found += sentinels.check(check)
    return sentinels, once(found)


def once(findings: Iterable[Finding]) -> list[Finding]:
    """Each fault as it was first seen, with the highest severity that it reached."""
    first: dict[str, Finding] = {}
    for each in findings:
        known = first.setdefault(each.name, each)
        if SEVERITIES.index(each.severity) > SEVERITIES.index(known.severity):
            first[each.name] = replace(known, severity=each.severity)
    return sorted(first.values(), key=lambda each: (each.onset, each.seen))


def closing_paragraph(findings: list[Finding]) -> str:
    """What happened, when it began and what to change first, for the end of a run; "" without findings."""
    faults = once(findings)
    if not faults:
        return ""
    gravest = first_cause(faults)
    others = [f"{each.name.replace('_', ' ')} from step {each.onset}" for each in faults if each is not gravest]
    beside = f" Beside it: {', '.join(others)}." if others else ""
    return (
        f"diagnosis: since step {gravest.onset}, {gravest.cause}.{beside} Change first: {gravest.remedy}. "
        f'See "{gravest.section}" in WHAT_GOES_WRONG.md.'
    )


def first_cause(faults: list[Finding]) -> Finding:
    """The fault to act on: of the gravest that began together, the first in the table of rules.

    It has what goes wrong with updates and answers before the lack of signal that follows from it.
    """
    highest = max(SEVERITIES.index(each.severity) for each in faults)
    gravest = at_least(faults, SEVERITIES[highest])
    soon = min(each.seen for each in gravest) + 2 * WINDOW
    order = {rule.name: place for place, rule in enumerate(RULES)}
    return min(gravest, key=lambda each: (each.onset > soon, order.get(each.name, len(order)), each.seen))


def read_log(run: Path) -> tuple[list[dict], list[dict]]:
    """The steps of a run, and its checks on held-out tasks. Raises InputError if there are no steps."""
    file = log_file(run)
    if file.name.endswith(".json"):
        state = parse_json(file.read_bytes(), str(file))
        history = state.get("log_history")
        rows = [row for row in history if isinstance(row, dict)] if isinstance(history, list) else []
    else:
        rows = list(line_rows(file))
    steps = by_step(rows)
    if not steps:
        raise InputError(f"{file} holds no steps; give a run that has logged one, with LOGGING_STEPS above 0")
    checks = list(LineFile(file.parent / HELDOUT_LOG).rows()) if file.name == METRICS_LOG else []
    return steps, [checked(row, where) for where, row in checks]


def log_file(run: Path) -> Path:
    """The file that holds the steps of a run."""
    if run.is_file():
        return run
    checkpoints = sorted(run.glob("checkpoint-*"), key=lambda path: (len(path.name), path.name))
    places = [run / METRICS_LOG, run / STATE_FILE, *(path / STATE_FILE for path in reversed(checkpoints))]
    for place in places:
        if place.is_file():
            return place
    if not run.exists():
        raise InputError(f"{run} is not there; give the folder of a run, or a file of its steps")
    raise InputError(
        f"{run} has no {METRICS_LOG} and no {STATE_FILE}; give the folder of a run, or a file of its steps"
    )


def line_rows(file: Path) -> Iterator[dict]:
    """The rows of JSON lines. Other tools may leave lines blank, and the last one without a line end.

    Without one it may be half written, and is then left out. Raises InputError for another line that is no JSON object.
    """
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        with suppress(InputError) if number == len(lines) else nullcontext():
            if line.strip():
                yield parse_json(line, f"{file}, line {number}")


def by_step(rows: Iterable[dict]) -> list[dict]:
    """One row a step: trainers log held-out scores in a row of their own. Rows without a step are numbered.

    A step that is measured again was made again by a resumed run: what had followed it is no part of the run.
    """
    steps: dict[int, dict] = {}
    newest = -math.inf
    for number, row in enumerate(map(plain_row, rows), 1):
        step = first_number(row, STEP_NAMES)
        step = int(step) if step.is_integer() else number
        if step < newest and is_update(row) and is_update(steps.get(step, {})):
            steps = {earlier: steps[earlier] for earlier in steps if earlier < step}
            newest = step
        newest = max(newest, step)
        known = steps.get(step, {})
        new = {name: value for name, value in row.items() if value is not None or name not in known}
        steps[step] = {**known, **new, "step": step}
    return [steps[step] for step in sorted(steps)]


def plain_row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row without prefixes. Tables have every name in every row: a row beside the updates loses what it lacks."""
    row = {name.removeprefix(PREFIX): value for name, value in row.items()}
    return row if is_update(row) else {name: value for name, value in row.items() if value is not None}


def is_update(row: Mapping[str, Any]) -> bool:
    """Whether the row is of an update, and not of a held-out check beside it."""
    return not math.isnan(first_number(row, ("reward", "loss", "grad_norm")))


def checked(row: dict, where: str) -> dict:
    """A line of heldout.jsonl. Raises InputError if a field is missing or of another type."""
    for name, kind in CHECK_FIELDS.items():
        value = row.get(name)
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
            raise InputError(f"{where}: {name} is {str(value)[:40]!r}, not of type {kind.__name__}; correct the line")
    p = finite_number(row.get("p"))
    return {**row, "p": None if math.isnan(p) else p}
