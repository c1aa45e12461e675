"""Writes one HTML page about a training run, from its logs alone; also while the run is still going.

The page needs no network and no other file. It neither trains nor evaluates: what the logs do not hold it leaves out.

    python scripts/make_report.py ./nano-raccoon-rl        # ./nano-raccoon-rl/report.html
    python scripts/make_report.py ./nano-raccoon-rl --eval-results ./eval_results

Inputs:  RUN_DIR, the OUTPUT_DIR of train_rl_poc.py: config.json and metrics.jsonl; completions.jsonl, heldout.jsonl,
         profile.jsonl, integrity.jsonl, tasks.jsonl and STOPPED.json where they are there; the results.json of an
         evaluation of the run's model, from EVAL_RESULTS, RUN_DIR/../eval_results or RUN_DIR/eval_results.
Outputs: RUN_DIR/report.html.
"""

import base64
import datetime
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, override_constants, run_main
from raccoon.reporting.browser import Shown, group_json, show_groups
from raccoon.reporting.logs import Run, read_groups, read_prompts, read_run
from raccoon.reporting.plots import draw
from raccoon.reporting.summary import summary, warnings
from raccoon.reporting.tables import Evaluation, Visit, find_evaluation, gains, hardest, most_improved, settings, visit
from raccoon.runs.log import METRICS_LOG
from raccoon.whole_files import write_page

RUN_DIR = ""  # the folder of a training run; the one argument that needs no flag
EVAL_RESULTS = ""  # folder of an evaluation's results.json; "" looks beside and in RUN_DIR
MAX_PAGE_MB = 8.0  # of report.html; completions of evenly spaced steps fill what the rest leaves

REPORT_FILE = "report.html"
NAMES_SHOWN = 100  # tasks of a list; the logs have all
NOTE_BYTES = 1000  # room for what the page says about the completions that are left out


@dataclass(frozen=True)
class Survey:
    """What one pass over the completions finds: each group's outcome, and the bytes that each step would take."""

    visits: list[Visit]
    sizes: Counter


def survey(run: Run, prompts: dict[str, str]) -> Survey:
    visits, sizes = [], Counter()
    for group in read_groups(run):
        visits.append(visit(group))
        sizes[group.step] += len(group_json(group, prompts)) + 1
    return Survey(visits, sizes)


def page_parts(run: Run, found: Survey, evaluation: Evaluation | None) -> dict[str, Any]:
    """What the template shows, all but the completions, by the names that it uses."""
    changes, newest = gains(found.visits, run.profile), (run.folder / METRICS_LOG).stat().st_mtime
    statuses = [check.statuses for check in (*run.checks[:1], *run.checks[-1:])] if len(run.checks) > 1 else [{}, {}]
    passing = [{task for task, status in each.items() if status == "PASS"} for each in statuses]
    return {
        "run": run,
        "name": run.folder.resolve().name,
        "newest": datetime.datetime.fromtimestamp(newest, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
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
    """The page; every text is escaped but the plots, the completions' JSON, and this folder's own script and style."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("report_style.css", "report_script.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = lambda rate: "-" if rate is None else f"{100 * rate:.1f}"
    environment.filters["points"] = lambda difference: f"{100 * difference:+.1f}"
    page = environment.get_template("report_template.html").render(
        parts, shown=shown, json=Markup(shown.json), style=Markup(style), script=Markup(script),
        script_hash=digest, markup=Markup)
    return page.encode("utf-8", "replace")  # a lone surrogate has no bytes


def main() -> None:
    if not RUN_DIR:
        raise InputError("no RUN_DIR; give the OUTPUT_DIR of a training run: python scripts/make_report.py RUN_DIR")
    run = read_run(Path(RUN_DIR))
    evaluation = find_evaluation(run.folder, EVAL_RESULTS)
    prompts = read_prompts(run)
    found = survey(run, prompts)
    parts = page_parts(run, found, evaluation)

    of_groups = len(found.visits)
    bare = len(render(parts, Shown("[]", 0, len(found.sizes), 0, of_groups, 0))) + NOTE_BYTES
    budget = max(0, int(MAX_PAGE_MB * 1e6) - bare)
    shown = show_groups(read_groups(run), prompts, found.sizes, of_groups, budget)
    page, path = render(parts, shown), run.folder / REPORT_FILE
    write_page(path, page)
    print(f"written  {path}, {len(page) / 1e6:.1f} MB, {shown.groups} of {of_groups} groups of completions; open it "
          "in any browser")


if __name__ == "__main__":
    override_constants(globals(), positional="RUN_DIR")
    run_main(main)
