"""Writes one HTML page about a training run, from its logs alone. It also works while the run is still going.

The page needs no network and no other file. The script does not train or evaluate: the page shows what the logs hold.

    python scripts/make_report.py ./nano-raccoon-rl        # ./nano-raccoon-rl/report.html
    python scripts/make_report.py ./nano-raccoon-rl --eval-results ./eval_results
    python scripts/make_report.py ./nano-raccoon-rl --no-page    # prints whether the run learnt

Inputs:  RUN_DIR, the OUTPUT_DIR of train_rl_poc.py: config.json and metrics.jsonl; completions.jsonl, heldout.jsonl,
         profile.jsonl, integrity.jsonl, tasks.jsonl and STOPPED.json if they exist; the results.json of an
         evaluation of the run's model, from EVAL_RESULTS, RUN_DIR/../eval_results or RUN_DIR/eval_results.
Outputs: RUN_DIR/report.html.
"""

import textwrap
from pathlib import Path

from raccoon.constants import InputError, override_constants, run_main
from raccoon.reporting.logs import read_run
from raccoon.reporting.page import make_page
from raccoon.reporting.sentences import outcome
from raccoon.reporting.tables import find_evaluation
from raccoon.store import write_page

RUN_DIR = ""  # the folder of a training run; it can be given without its flag
EVAL_RESULTS = ""  # folder of an evaluation's results.json; "": look beside RUN_DIR and in it
MAX_PAGE_MB = 8.0  # largest size of report.html; completions of evenly spaced steps fill the space that is left
PAGE = True  # False: write no page, print whether the run learnt

REPORT_FILE = "report.html"
NOTE_BYTES = 1000  # room for the page's note about the completions that are left out
LINE_WIDTH = 100  # characters of a printed line


def main() -> None:
    if not RUN_DIR:
        raise InputError("no RUN_DIR; give the OUTPUT_DIR of a training run: python scripts/make_report.py RUN_DIR")
    run = read_run(Path(RUN_DIR))
    evaluation = find_evaluation(run.folder, EVAL_RESULTS)
    if not PAGE:
        found = outcome(run, evaluation)
        print(found.title)
        for sentence in found.sentences:
            print(textwrap.fill(sentence, LINE_WIDTH, initial_indent="- ", subsequent_indent="  "))
        return
    page, shown = make_page(run, evaluation, int(MAX_PAGE_MB * 1e6) - NOTE_BYTES)
    path = run.folder / REPORT_FILE
    write_page(path, page)
    print(
        f"written  {path}, {len(page) / 1e6:.1f} MB, {shown.groups} of {shown.of_groups} groups of completions; open "
        "it in any browser"
    )


if __name__ == "__main__":
    override_constants(globals(), positional="RUN_DIR")
    run_main(main)
