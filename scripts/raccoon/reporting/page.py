"""The page: collects what a run's logs show, chooses the completions that fit, and fills the template.

A model wrote the completions: the page treats them as data, never as markup. Steps are kept whole if the first and the
last fit; otherwise whole groups are left out and counted.
"""

import base64
import datetime
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.reporting.logs import LoggedCompletion, Run, read_groups, read_tasks
from raccoon.reporting.outcome import outcome
from raccoon.reporting.plots import COSTS, draw
from raccoon.reporting.sentences import run_summary
from raccoon.reporting.tables import Evaluation, Visit, by_length, gains, hardest, most_improved, run_constants, visit
from raccoon.reporting.timing import time_parts, time_sentences
from raccoon.runs.diagnosis import closing_paragraph, diagnose
from raccoon.runs.findings import Finding
from raccoon.runs.log import METRICS_LOG, Turn

# Characters of a text on the page; completions.jsonl has the whole text
MAX_TEXT = 20_000  # of a completion, its code and its prompt
MAX_OUTPUT = 2_000  # of what the code printed
MAX_LINE = 300  # of a reason, a name

NAMES_SHOWN = 100  # tasks of a list; the logs have all of them


@dataclass(frozen=True)
class Shown:
    """The groups of the page as JSON, and which part of the run they are."""

    json: str
    steps: int
    of_steps: int
    groups: int
    of_groups: int
    shortened: int  # texts cut at their limit


def make_page(run: Run, evaluation: Evaluation | None, most_bytes: int) -> tuple[bytes, Shown]:
    """The page, and the completions on it: of evenly spaced steps that fit. The rest of the page is always whole."""
    prompts = {task.task_id: task.prompt for task in read_tasks(run)}
    visits: list[Visit] = []
    sizes: Counter[int] = Counter()
    lengths: Counter[tuple[int, str]] = Counter()
    for group in read_groups(run):
        visits.append(visit(group))
        lengths.update((len(each.turns), each.ending or each.status) for each in group if each.turns)
        sizes[group[0].step] += len(group_json(group, prompts)) + 1
    parts = page_parts(run, visits, evaluation) | {"lengths": by_length(lengths)}
    nothing = Shown("[]", 0, len(sizes), 0, len(visits), 0)
    budget = max(0, most_bytes - len(render("run.html", {**parts, "shown": nothing}, "[]")))
    shown = show_groups(run, prompts, sizes, len(visits), budget)
    return render("run.html", {**parts, "shown": shown}, shown.json), shown


def page_parts(run: Run, visits: list[Visit], evaluation: Evaluation | None) -> dict[str, Any]:
    """Everything that the template shows except the completions, by the names that it uses."""
    plots = draw(run)
    changes, newest = gains(visits, run.profile), (run.folder / METRICS_LOG).stat().st_mtime
    statuses = [check.statuses for check in (*run.checks[:1], *run.checks[-1:])] if len(run.checks) > 1 else [{}, {}]
    passing = [{task for task, status in each.items() if status == "PASS"} for each in statuses]
    return {
        "run": run,
        "name": run.folder.resolve().name,
        "newest": datetime.datetime.fromtimestamp(newest, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "outcome": outcome(run, evaluation),
        "summary": run_summary(run),
        "findings": diagnose(run.folder),
        "time": time_sentences(run),
        "time_parts": time_parts(run),
        "costs": plots.pop(COSTS, []),
        "plots": plots,
        "hardest": hardest(visits),
        "improved": most_improved(changes),
        "measured_twice": len(changes),
        "tasks_seen": len({each.task_id for each in visits}),
        "heldout_gained": sorted(passing[1] - passing[0]),
        "heldout_lost": sorted(passing[0] - passing[1]),
        "never": sorted(task.task_id for task in run.profile if task.pass_rate == 0),
        "always": sorted(task.task_id for task in run.profile if task.pass_rate == 1),
        "reasons": sum((Counter(step.reasons) for step in run.integrity), Counter()).most_common(),
        "names_shown": NAMES_SHOWN,
        "settings": run_constants(run),
        "evaluation": evaluation,
    }


def render(template: str, parts: dict[str, Any], data: str) -> bytes:
    """The page. Every text is escaped except the plots, this folder's script and style, and `data` (see data_json)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    loader = FileSystemLoader(folder)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["unbroken"] = unbroken
    environment.filters["diagnosis"] = diagnosis
    environment.filters["percent"] = lambda rate: "-" if rate is None else f"{100 * rate:.1f}"
    environment.filters["points"] = lambda difference: f"{100 * difference:+.1f}"
    page = environment.get_template(template).render(
        parts,
        json=Markup(data),
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        markup=Markup,
    )
    return page.encode("utf-8", "replace")  # a lone surrogate has no bytes


def diagnosis(findings: list[Finding]) -> str:
    """The closing paragraph of a run's log, without the word that begins its line there."""
    text = closing_paragraph(findings).removeprefix("diagnosis: ")
    return text[:1].upper() + text[1:]


def unbroken(text: str) -> str:
    """A sentence whose numbers keep their unit, and whose p values keep their sign, on one line."""
    return re.sub(r" (?=%)|(?<=\bp) | (?=points\b)|(?<==) ", "\u00a0", text)


def show_groups(run: Run, prompts: Mapping[str, str], sizes: Mapping[int, int], of_groups: int, budget: int) -> Shown:
    """The groups of the chosen steps; `sizes` and `of_groups` are of all groups, `budget` is in bytes.

    If the first and the last step alone are too large, each gets half of the budget for its first groups.
    """
    chosen = choose_steps(sizes, budget)
    room = dict.fromkeys(chosen, budget // max(len(chosen), 1)) if sum(sizes[s] for s in chosen) > budget else sizes
    used: dict[int, int] = dict.fromkeys(chosen, 0)
    texts, shortened = [], 0
    for group in read_groups(run):
        step = group[0].step
        if step not in used:
            continue
        text = group_json(group, prompts)
        size = len(text) + 1  # each is followed by a comma or a bracket
        if used[step] + size <= room[step]:
            used[step] += size
            texts.append(text)
            for each in group:
                answers: tuple[LoggedCompletion | Turn, ...] = (each, *each.turns)
                shortened += any(
                    len(one.completion) > MAX_TEXT or len(one.verdict.output) > MAX_OUTPUT for one in answers
                )
    steps = sum(size > 0 for size in used.values())
    return Shown(f"[{','.join(texts)}]", steps, len(sizes), len(texts), of_groups, shortened)


def choose_steps(sizes: Mapping[int, int], budget: int) -> list[int]:
    """Evenly spaced steps, about as many as fit into a budget of bytes. The first and the last are always among them.

    `sizes` maps each step to its bytes. The first and the last step come back even if they are too large.
    """
    steps = sorted(sizes)
    count = len(steps)
    while count > 2:
        chosen = [steps[round(place * (len(steps) - 1) / (count - 1))] for place in range(count)]
        total = sum(sizes[step] for step in chosen)
        if total <= budget:
            return chosen
        count = min(count - 1, count * budget // total)
    return sorted({*steps[:1], *steps[-1:]})


def group_json(group: list[LoggedCompletion], prompts: Mapping[str, str]) -> str:
    return data_json(group_record(group, prompts))


def data_json(record: dict) -> str:
    """A record as a JSON object in which no HTML parser finds a tag, a comment or an entity (OWASP, JSON in HTML).

    json.dumps escapes everything outside of ASCII, including line separators and lone surrogates.
    """
    text = json.dumps(record, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def group_record(group: list[LoggedCompletion], prompts: Mapping[str, str]) -> dict:
    """What the page shows of a group."""
    first = group[0]
    return {
        "step": first.step,
        "group": first.group,
        "task": shorten(first.task_id, MAX_LINE),
        "prompt": shorten(prompts.get(first.task_id, ""), MAX_TEXT),
        "used": first.used,
        "completions": [completion_record(each) for each in group],
    }


def completion_record(completion: LoggedCompletion) -> dict:
    """What the page shows of a completion, which is the last answer of its conversation, and of the answers before."""
    record = answer_record(completion) | {
        "reward": completion.reward,
        "parts": {shorten(name, MAX_LINE): value for name, value in completion.reward_parts.items()},
        "advantage": completion.advantage,
    }
    if len(completion.turns) < 2:
        return record
    earlier = [answer_record(turn) | {"feedback": shorten(turn.feedback, MAX_TEXT)} for turn in completion.turns[:-1]]
    return record | {"ending": completion.ending, "earlier": earlier}


def answer_record(answer: LoggedCompletion | Turn) -> dict:
    """What the page shows of any answer; its code only if it is not part of the answer's text."""
    verdict, code = answer.verdict, answer.code
    return {
        "text": shorten(answer.completion, MAX_TEXT),
        "code": "" if code in answer.completion else shorten(code, MAX_TEXT),
        "output": shorten(verdict.output, MAX_OUTPUT),
        "status": "FAIL" if answer.truncated else shorten(verdict.status, MAX_LINE),
        "reason": shorten(verdict.reason, MAX_LINE),
        "tests": [verdict.tests_passed, verdict.tests_total],
        "tokens": answer.tokens,
        "truncated": answer.truncated,
    }


def shorten(text: str, limit: int) -> str:
    """A text of at most about `limit` characters: its beginning, a note on what is missing, and its end."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"
