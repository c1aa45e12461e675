"""Writes one HTML page about a training run, or about two, from their logs alone. It also works while a run goes on.

The page needs no network and no other file. The script does not train or evaluate: the page shows what the logs hold.

    python scripts/make_report.py ./nano-raccoon-rl        # ./nano-raccoon-rl/report.html
    python scripts/make_report.py ./run-a ./run-b          # ./run-a/run-a_run-b.html: what differs, curves on one axis
    python scripts/make_report.py ./nano-raccoon-rl --eval-results ./eval_results
    python scripts/make_report.py ./nano-raccoon-rl --no-page    # prints whether the run learnt

Inputs:  RUN_DIR, the OUTPUT_DIR of train_rl_poc.py: config.json and metrics.jsonl; completions.jsonl, heldout.jsonl,
         profile.jsonl, integrity.jsonl, tasks.jsonl and STOPPED.json if they exist; the results.json of an
         evaluation of the run's model, from EVAL_RESULTS, RUN_DIR/../eval_results or RUN_DIR/eval_results.
Outputs: RUN_DIR/report.html; of two runs, a page in the first one's folder, named after both.
"""

import re
import textwrap
from pathlib import Path

from raccoon.constants import InputError, override_constants, run_main
from raccoon.reporting.logs import read_run
from raccoon.reporting.outcome import outcome
from raccoon.reporting.page import make_page
from raccoon.reporting.tables import find_evaluation
from raccoon.reporting.two_runs import cautions, make_two_runs_page, measurements, ranking, two_sides
from raccoon.store import write_page

RUN_DIR: list[str] = []  # the folder of a training run, or of two to compare; given without the flag too
EVAL_RESULTS = ""  # folder of an evaluation's results.json; "": look beside RUN_DIR and in it
MAX_PAGE_MB = 8.0  # largest size of the page; completions of evenly spaced steps fill the space that is left
PAGE = True  # False: write no page, print whether the run learnt, or which of two is better

REPORT_FILE = "report.html"
LONGEST_NAME = 80  # characters of a run's name in the name of a page about two
NOTE_BYTES = 1000  # room for the page's note about the completions that are left out
LINE_WIDTH = 100  # characters of a printed line


def main() -> None:
    if not RUN_DIR:
        raise InputError("no RUN_DIR; give the OUTPUT_DIR of a training run: python scripts/make_report.py RUN_DIR")
    if len(RUN_DIR) > 2:
        raise InputError(f"RUN_DIR names {len(RUN_DIR)} folders; give one, or two to compare")
    runs = [read_run(Path(folder)) for folder in RUN_DIR]
    for run in runs:
        for gap in run.gaps:
            print(f"warning: {run.folder}: {gap}; a line was cut or deleted")
    evaluations = [find_evaluation(run.folder, EVAL_RESULTS) for run in runs]
    most_bytes = int(MAX_PAGE_MB * 1e6) - NOTE_BYTES
    if len(runs) == 2:
        sides = two_sides((runs[0], runs[1]), (evaluations[0], evaluations[1]))
        if not PAGE:
            named = [f"{side.letter} is {side.run.folder}." for side in sides]
            print_result(ranking(sides), [*named, *(each.sentence for each in measurements(sides)), *cautions(sides)])
            return
        page, pairs = make_two_runs_page(sides, most_bytes)
        named_after = "_".join(re.sub(r"[^\w.-]+", "-", side.name)[-LONGEST_NAME:].strip("-.") for side in sides)
        path, what = (
            runs[0].folder / f"{named_after}.html",
            f"completions of {pairs.shown} of {pairs.of} tasks of both runs",
        )
    else:
        if not PAGE:
            found = outcome(runs[0], evaluations[0])
            print_result(found.title, found.sentences)
            return
        page, shown = make_page(runs[0], evaluations[0], most_bytes)
        path, what = runs[0].folder / REPORT_FILE, f"{shown.groups} of {shown.of_groups} groups of completions"
    write_page(path, page)
    print(f"written  {path}, {len(page) / 1e6:.1f} MB, {what}; open it in any browser")


def print_result(title: str, sentences: list[str]) -> None:
    print(title)
    for sentence in sentences:
        print(textwrap.fill(sentence, LINE_WIDTH, initial_indent="- ", subsequent_indent="  "))


if __name__ == "__main__":
    override_constants(globals(), positional="RUN_DIR")
    run_main(main)
