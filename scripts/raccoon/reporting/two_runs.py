"""The page about two runs, called A and B: what differs, their curves on one axis, their completions of the same tasks.

It ranks them only on tasks that both were measured on: by an evaluation of both models, or else by their held-out
checks. All else is shown side by side, with what makes it hard to compare.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raccoon.constants import InputError
from raccoon.reporting.logs import Check, LoggedCompletion, Run, read_groups, read_tasks
from raccoon.reporting.outcome import counted, outcome, p_words
from raccoon.reporting.page import MAX_LINE, MAX_TEXT, NAMES_SHOWN, data_json, group_record, render, shorten
from raccoon.reporting.plots import (
    DASHES,
    LINES,
    STEP,
    STYLE,
    TRAINED,
    Curve,
    Plot,
    add_checks,
    add_curve,
    axes_with_labels,
    ends,
    start_at_zero,
    svg,
)
from raccoon.reporting.sentences import heldout_change, percent, run_summary, with_interval
from raccoon.reporting.tables import Evaluation, run_constants, visit
from raccoon.reporting.timing import time_sentences
from raccoon.runs.diagnosis import diagnose
from raccoon.statistics import ALPHA, found_difference

COLOURS = ("c1", "c2")
# Constants whose difference makes two numbers of another kind, and what that does to the curves
OTHER_KIND = {
    "MODEL_PATH": "They start from different models, which alone may explain a difference",
    "HELDOUT_TEMPERATURE": "Their held-out checks sample at different temperatures",
    "TEMPERATURE": "They sample at different temperatures, so training pass rates and entropies differ from the start",
    "MAX_COMPLETION_LENGTH": "They cut completions at different lengths",
    "MAX_TURNS": "A completion has a different number of answers, of which the last one counts",
}
REWARD_CONSTANTS = ("REWARD", "PARTIAL_CREDIT", "PAY_CONSTANT", "QUALITY_BONUS", "BONUS_ONLY", "TURN_DISCOUNT")
# Where a run was written, and how: they change no number
NO_DIFFERENCE = ("OUTPUT_DIR", "RESUME", "REPORT_TO", "SAVE_TOTAL_LIMIT")


@dataclass(frozen=True)
class Side:
    """One of the two runs. `letter` is A or B, `name` its folder as far as it tells the two apart."""

    letter: str
    name: str
    run: Run
    evaluation: Evaluation | None


@dataclass(frozen=True)
class Measured:
    """B against A on the same tasks, from which the title follows."""

    sentence: str
    difference: float
    p: float


@dataclass(frozen=True)
class Setting:
    """A constant that the two runs give different values; "" where a run has none."""

    name: str
    values: tuple[str, str]
    comment: str


@dataclass(frozen=True)
class Pairs:
    """The newest groups of each task that both runs trained on, as JSON, and how many of them there are."""

    json: str
    shown: int
    of: int


def two_sides(runs: tuple[Run, Run], evaluations: tuple[Evaluation | None, Evaluation | None]) -> tuple[Side, Side]:
    """The sides A and B. Raises InputError for one folder given twice."""
    paths = [run.folder.resolve() for run in runs]
    if paths[0] == paths[1]:
        raise InputError(f"RUN_DIR names {runs[0].folder} twice; give the folders of two runs, or of one")
    common = 0
    while [*paths[0].parts[common : common + 1]] == [*paths[1].parts[common : common + 1]]:
        common += 1
    names = [str(Path(*path.parts[common:])) if path.parts[common:] else path.name for path in paths]
    a, b = (Side(*each) for each in zip("AB", names, runs, evaluations, strict=True))
    return a, b


def make_two_runs_page(sides: tuple[Side, Side], most_bytes: int) -> tuple[bytes, Pairs]:
    """The page, and the pairs of groups on it. The rest of the page is always whole."""
    found = pairs_of(sides)
    parts = page_parts(sides)
    budget = max(0, most_bytes - len(render("two_runs.html", {**parts, "pairs": Pairs("[]", 0, len(found))}, "[]")))
    kept = []
    for text in found:
        if len(text) + 1 <= budget:
            budget -= len(text) + 1
            kept.append(text)
    pairs = Pairs(f"[{','.join(kept)}]", len(kept), len(found))
    return render("two_runs.html", {**parts, "pairs": pairs}, pairs.json), pairs


def page_parts(sides: tuple[Side, Side]) -> dict[str, Any]:
    """Everything that the template shows except the completions, by the names that it uses."""
    gained, lost = heldout_names(sides)
    return {
        "sides": sides,
        "title": ranking(sides),
        "measured": [each.sentence for each in measurements(sides)],
        "cautions": cautions(sides),
        "settings": different_settings(sides),
        "about": [
            {
                "side": side,
                "outcome": outcome(side.run, side.evaluation),
                "findings": diagnose(side.run.folder),
                "summary": run_summary(side.run)[:2] + time_sentences(side.run),
            }
            for side in sides
        ],
        "plots": curves(sides),
        "only_b": gained,
        "only_a": lost,
        "names_shown": NAMES_SHOWN,
        "turns": max(side.run.turns for side in sides),
    }


def ranking(sides: tuple[Side, Side]) -> str:
    """Which run is better, if the measurements say so."""
    measured = measurements(sides)
    better = {"AB"[each.difference > 0] for each in measured if each.p < ALPHA}
    if not measured:
        return "No tasks were measured with both runs, so they cannot be ranked."
    if len(better) > 1:
        return "Each run is better on some tasks."
    return f"{better.pop()} is better." if better else "No difference between A and B is shown."


def measurements(sides: tuple[Side, Side]) -> list[Measured]:
    """The comparisons of both models in an evaluation; without one, their held-out checks."""
    evaluations = [side.evaluation for side in sides if side.evaluation]
    found = []
    for row in evaluations[0].comparisons if len(evaluations) == 2 else ():
        owners = [
            "".join(side.letter for side in sides if side.evaluation and model in side.evaluation.own)
            for model in (row.baseline, row.candidate)
        ]
        if sorted(owners) == ["A", "B"]:
            found.append(Measured(row.sentence, row.difference * (1 if owners[1] == "B" else -1), row.p_holm))
    heldout = heldout_measurement(sides)
    return found or ([heldout] if heldout else [])


def same_checks(sides: tuple[Side, Side]) -> tuple[Check, Check] | None:
    """Their newest checks after the same step, else the newest of each; None where a run has none after its start."""
    checks = [{check.step: check for check in side.run.checks if check.step} for side in sides]
    if not all(checks):
        return None
    both = checks[0].keys() & checks[1].keys()
    steps = [max(both)] * 2 if both else [max(each) for each in checks]
    return checks[0][steps[0]], checks[1][steps[1]]


def heldout_measurement(sides: tuple[Side, Side]) -> Measured | None:
    """The runs' models on the held-out tasks that both were checked on, paired."""
    checks = same_checks(sides)
    found = heldout_change(*checks) if checks else None
    if not checks or not found:
        return None
    a, b = (check.statuses for check in checks)
    shared = [task for task in a if "INFRA" not in (a[task], b.get(task, "INFRA"))]
    rates = [percent(sum(statuses[task] == "PASS" for task in shared) / found.n) for statuses in (a, b)]
    smallest = "" if found.p < ALPHA else f"; with {found.n} tasks the test {found_difference(found.detectable)}"
    return Measured(
        f"On {counted(found.n, 'held-out task')} A solved {rates[0]} after step {checks[0].step} and B {rates[1]} "
        f"after step {checks[1].step} ({with_interval(found.difference, found.interval)}); B solved "
        f"{counted(len(found.gained), 'task')} that A did not, and A {len(found.lost)} that B did not, "
        f"{p_words('exact McNemar', found.p)}{smallest}.",
        found.difference,
        found.p,
    )


def heldout_names(sides: tuple[Side, Side]) -> tuple[list[str], list[str]]:
    """The held-out tasks that only B and that only A solved."""
    checks = same_checks(sides)
    found = heldout_change(*checks) if checks else None
    return (sorted(found.gained), sorted(found.lost)) if found else ([], [])


def different_settings(sides: tuple[Side, Side]) -> list[Setting]:
    """The constants with different values, in the order of the script."""
    tables = [{row.name: row for row in run_constants(side.run)} for side in sides]
    order = list(dict.fromkeys(name for side in sides for name in side.run.constants))
    found = []
    for name in sorted({*tables[0], *tables[1]}, key=lambda name: order.index(name) if name in order else len(order)):
        rows = [table.get(name) for table in tables]
        values = tuple(row.value if row else "" for row in rows)
        if values[0] != values[1] and name not in NO_DIFFERENCE:
            found.append(Setting(name, (values[0], values[1]), next(row.comment for row in rows if row)))
    return found


def cautions(sides: tuple[Side, Side]) -> list[str]:
    """What makes the two runs hard to compare."""
    a, b = (side.run for side in sides)
    names = [setting.name for setting in different_settings(sides)]
    found = [
        "Each is a single run. The difference of two models can be shown; that a setting causes it needs several seeds "
        "of each."
    ]
    found += [f"{sentence}." for name, sentence in OTHER_KIND.items() if name in names]
    if any(name.startswith(REWARD_CONSTANTS) and name != "REWARD_WEIGHTS" for name in names):
        found.append("Their rewards are made in different ways, so the reward curves have different scales.")
    sizes = [run.steps[-1].completions for run in (a, b)]
    if sizes[0] != sizes[1]:
        found.append(
            f"A step of A has {sizes[0]:,} completions and one of B {sizes[1]:,}, so steps are not the same work."
        )
    tasks = [{task.task_id for task in read_tasks(run)} for run in (a, b)]
    if all(tasks) and tasks[0] != tasks[1]:
        found.append(
            f"A trained on {len(tasks[0]):,} tasks and B on {len(tasks[1]):,}; they have "
            f"{len(tasks[0] & tasks[1]):,} in common."
        )
    checks = same_checks(sides)
    if not checks:
        found.append("They have no held-out checks after their start in common.")
    elif not checks[0].statuses.keys() & checks[1].statuses.keys():
        found.append("Their held-out tasks are different ones.")
    elif checks[0].step != checks[1].step:
        found.append("They were never checked after the same step.")
    return found


def curves(sides: tuple[Side, Side]) -> list[Plot]:
    """A plot with a curve of each run, for everything that either has numbers for."""
    from matplotlib import style

    rows = [(title, unit, some[0]) for title, unit, some in LINES]
    with style.context(["default", STYLE]):
        drawn = [
            pass_rates(sides),
            *(overlay(sides, *row) for row in rows),
            overlay(sides, "Time of a step", "seconds", Curve("whole step", "c1", "time")),
        ]
    return [plot for plot in drawn if plot]


def overlay(sides: tuple[Side, Side], title: str, unit: str, curve: Curve) -> Plot | None:
    """One curve of each run; None without a number."""
    if all(curve.value(step) is None for side in sides for step in side.run.steps):
        return None
    figure, axes = axes_with_labels(STEP, unit)
    add_both(axes, sides, curve)
    start_at_zero(axes)
    told = "; ".join(f"{side.letter} {ends([curve.value(step) for step in side.run.steps])}" for side in sides)
    legend = tuple((f"{side.letter}: {curve.label}", colour) for side, colour in zip(sides, COLOURS, strict=True))
    return Plot(title, f"{title}, {unit}, by step: {told}.", legend, svg(figure, title))


def add_both(axes: Any, sides: tuple[Side, Side], curve: Curve) -> None:
    for side, colour, dashes in zip(sides, COLOURS, DASHES, strict=False):
        if any(curve.value(step) is not None for step in side.run.steps):
            add_curve(axes, side.run.steps, replace(curve, colour=colour), dashes)


def pass_rates(sides: tuple[Side, Side]) -> Plot:
    """The pass rates of training, and those of the held-out checks with their intervals."""
    figure, axes = axes_with_labels(STEP, "pass rate (%)")
    add_both(axes, sides, TRAINED)
    told, legend = [], []
    for side, colour in zip(sides, COLOURS, strict=True):
        text = f"{side.letter}: training {ends([TRAINED.value(step) for step in side.run.steps])}"
        if side.run.checks:
            text += f", held-out {add_checks(axes, side.run.checks, colour)}"
        told.append(text)
        legend.append((f"{side.letter}: training{', held-out with bars' * bool(side.run.checks)}", colour))
    axes.set_ylim(0, 100)
    return Plot(
        "Pass rate", f"Pass rate in per cent by step: {'; '.join(told)}.", tuple(legend), svg(figure, "Pass rate")
    )


def pairs_of(sides: tuple[Side, Side]) -> list[str]:
    """The newest group of both runs on each task that both trained on, as JSON; the largest difference first."""
    groups = [newest_groups(side.run) for side in sides]
    prompts = {task.task_id: task.prompt for side in reversed(sides) for task in read_tasks(side.run)}
    found = []
    for task in groups[0].keys() & groups[1].keys():
        both = [group[task] for group in groups]
        visits = [visit(group) for group in both]
        rates = [each.passed / each.n if each.n else 0.0 for each in visits]
        found.append((-abs(rates[1] - rates[0]), task, pair_json(both, prompts)))
    return [text for _, _, text in sorted(found)]


def newest_groups(run: Run) -> dict[str, list[LoggedCompletion]]:
    """The last logged group of each task."""
    return {group[0].task_id: group for group in read_groups(run)}


def pair_json(groups: list[list[LoggedCompletion]], prompts: Mapping[str, str]) -> str:
    """The groups of A and B on the same task as JSON without markup."""
    task = groups[0][0].task_id
    sides = [{**group_record(group, {}), "run": letter} for letter, group in zip("AB", groups, strict=True)]
    return data_json(
        {"task": shorten(task, MAX_LINE), "prompt": shorten(prompts.get(task, ""), MAX_TEXT), "sides": sides}
    )
