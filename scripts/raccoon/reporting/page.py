"""The page itself: one pass over a run's logs collects what it shows, and the template is filled with it."""

import base64
import datetime
import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.reporting.browser import Shown, group_json
from raccoon.reporting.logs import Run, read_groups
from raccoon.reporting.plots import draw
from raccoon.reporting.summary import summary, warnings
from raccoon.reporting.tables import Evaluation, Visit, gains, hardest, most_improved, settings, visit
from raccoon.reporting.verdict import verdict
from raccoon.runs.log import METRICS_LOG

NAMES_SHOWN = 100  # tasks of a list; the logs have all of them


@dataclass(frozen=True)
class Survey:
    """The outcome of each group of completions, and the bytes that each step would take on the page."""

    visits: list[Visit]
    sizes: Counter


def survey(run: Run, prompts: dict[str, str]) -> Survey:
    visits, sizes = [], Counter()
    for group in read_groups(run):
        visits.append(visit(group))
        sizes[group.step] += len(group_json(group, prompts)) + 1
    return Survey(visits, sizes)


def page_parts(run: Run, found: Survey, evaluation: Evaluation | None) -> dict[str, Any]:
    """Everything that the template shows except the completions, by the names that it uses."""
    changes, newest = gains(found.visits, run.profile), (run.folder / METRICS_LOG).stat().st_mtime
    statuses = [check.statuses for check in (*run.checks[:1], *run.checks[-1:])] if len(run.checks) > 1 else [{}, {}]
    passing = [{task for task, status in each.items() if status == "PASS"} for each in statuses]
    return {
        "run": run,
        "name": run.folder.resolve().name,
        "newest": datetime.datetime.fromtimestamp(newest, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "verdict": verdict(run, evaluation),
        "summary": summary(run),
        "warnings": warnings(run),
        "plots": draw(run),
        "hardest": hardest(found.visits),
        "improved": most_improved(changes),
        "measured_twice": len(changes),
        "tasks_seen": len({each.task_id for each in found.visits}),
        "heldout_gained": sorted(passing[1] - passing[0]),
        "heldout_lost": sorted(passing[0] - passing[1]),
        "never": sorted(task.task_id for task in run.profile if task.pass_rate == 0),
        "always": sorted(task.task_id for task in run.profile if task.pass_rate == 1),
        "reasons": sum((Counter(step.reasons) for step in run.integrity), Counter()).most_common(),
        "names_shown": NAMES_SHOWN,
        "settings": settings(run),
        "evaluation": evaluation,
    }


def render(parts: dict[str, Any], shown: Shown) -> bytes:
    """The page. Every text is escaped except the plots, the completions' JSON, and this folder's script and style."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    environment.filters["percent"] = lambda rate: "-" if rate is None else f"{100 * rate:.1f}"
    environment.filters["points"] = lambda difference: f"{100 * difference:+.1f}"
    page = environment.get_template("template.html").render(
        parts,
        shown=shown,
        json=Markup(shown.json),
        style=Markup(style),
        script=Markup(script),
        script_hash=digest,
        markup=Markup,
    )
    return page.encode("utf-8", "replace")  # a lone surrogate has no bytes


def unbroken(text: str) -> str:
    """A sentence whose numbers keep their unit, and whose p values keep their sign, on one line."""
    return re.sub(r" (?=%)|(?<=\bp) | (?=points\b)|(?<==) ", "\u00a0", text)
