"""Says whether a count of gained and lost tasks is a real difference, in the sentence that comparison.md uses.

    python scripts/eval_statistics.py 164 1 0 humaneval    # 164 tasks, 1 gained, 0 lost

Inputs: the number of tasks, how many were gained and lost, the benchmark's name. Output: one sentence on stdout.
"""

import sys

from raccoon.constants import InputError, require_python, run_main
from raccoon.statistics import compare, verdict_sentence


def main() -> None:
    require_python()
    if len(sys.argv) != 5 or not all(word.isdigit() for word in sys.argv[1:4]):
        print(__doc__)
        sys.exit(0 if sys.argv[1:] in ([], ["--help"]) else 2)
    n, gained, lost = map(int, sys.argv[1:4])
    if gained + lost > n:
        raise InputError(f"{gained} gained and {lost} lost tasks are more than the {n} tasks; check the three numbers")
    states = [(False, True)] * gained + [(True, False)] * lost + [(True, True)] * (n - gained - lost)
    baseline, candidate = ({str(i): [state[side]] for i, state in enumerate(states)} for side in (0, 1))
    found = compare(baseline, candidate)
    if found is None:
        raise InputError("0 tasks have no difference; give the number of tasks, which is at least 1")
    print(verdict_sentence("the baseline", "the candidate", sys.argv[4], found, found.p))


if __name__ == "__main__":
    run_main(main)
