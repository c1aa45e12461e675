"""Names what went wrong in a training run, from its logs alone: when it began, its cause, and what to change first.

It also reads runs that other trainers made. It trains nothing and needs neither torch nor a network.

    python scripts/diagnose_run.py ./nano-raccoon-rl
    python scripts/diagnose_run.py ./trl-run/checkpoint-500 --fail-on stop
    python scripts/diagnose_run.py metrics.jsonl

Inputs:  RUN_DIR: the OUTPUT_DIR of train_rl_poc.py (metrics.jsonl, heldout.jsonl); a folder or checkpoint of plain TRL
         (trainer_state.json), or that file; or a file of JSON lines with TRL's names, as trackers export it too.
Outputs: a line for each fault, its remedy, and one paragraph. Exit code 1 with a finding at or above FAIL_ON.
"""

import sys
import textwrap
from pathlib import Path

from raccoon.constants import InputError, check_choice, override_constants, run_main
from raccoon.runs.diagnosis import closing_paragraph, read_log, replay
from raccoon.runs.findings import SEVERITIES, at_least

RUN_DIR = ""  # the folder or the log of a run; it can be given without its flag
FAIL_ON = "warning"  # lowest severity that makes the exit code 1: info, warning or stop

LINE_WIDTH = 100  # characters of a printed line
LEAST_NUMBERS = ("reward", "reward_std", "constant_groups", "entropy", "grad_norm", "tokens_mean", "truncated", "kl")


def main() -> None:
    if not RUN_DIR:
        raise InputError("no RUN_DIR; give the folder of a run: python scripts/diagnose_run.py RUN_DIR")
    check_choice("FAIL_ON", FAIL_ON, SEVERITIES)
    metrics, checks = read_log(Path(RUN_DIR))
    sentinels, findings = replay(metrics, checks)
    found = sentinels.history.columns
    if not found:
        raise InputError(f"{RUN_DIR} has no number under a name of this project or of TRL, like reward or entropy")
    missing = [name for name in LEAST_NUMBERS if name not in found]
    print(f"read     {len(metrics)} steps with {len(found)} numbers each, {len(checks)} held-out checks")
    if missing:
        print(f"missing  {', '.join(missing)}: faults that only these show are not found")
    for each in findings:
        print(wrapped(f"{each.severity:8} since step {each.onset}, seen at {each.seen}: {each.name}: {each.cause}"))
        print(wrapped(f"         {each.remedy}"))
    print(wrapped(closing_paragraph(findings) or "no fault found"))
    sys.exit(1 if at_least(findings, FAIL_ON) else 0)


def wrapped(line: str) -> str:
    return textwrap.fill(line, LINE_WIDTH, subsequent_indent=" " * 9)


if __name__ == "__main__":
    override_constants(globals(), positional="RUN_DIR")
    run_main(main)
