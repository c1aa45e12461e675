"""Says whether a count of gained and lost tasks is a real difference, in the sentence that comparison.md uses.

    python scripts/eval_statistics.py 164 1 0 humaneval    # 164 tasks, 1 gained, 0 lost

Inputs: the number of tasks, how many were gained and lost, the benchmark's name. Output: one sentence on stdout.
"""

import sys

from raccoon.constants import InputError, print_help, require_python, run_main
from raccoon.statistics import compare, verdict_sentence

USAGE = "the number of tasks, those gained, those lost, and the benchmark, like 164 1 0 humaneval"


def main() -> None:
    require_python()
    words = sys.argv[1:]
    if not words or {"-h", "--help"} & set(words):
        print_help(__doc__)
    if len(words) != 4:
        raise InputError(f"found {len(words)} words, {' '.join(words)}; give 4: {USAGE}")
    for name, word in zip(("tasks", "gained", "lost"), words[:3], strict=True):
        if not (word.isascii() and word.isdigit()):
            raise InputError(f"the number of {name} is {word!r}; give a whole number from 0 on: {USAGE}")
    n, gained, lost = map(int, words[:3])
    if gained + lost > n:
        raise InputError(f"{gained} gained and {lost} lost tasks are more than the {n} tasks; check the three numbers")
    states = [(False, True)] * gained + [(True, False)] * lost + [(True, True)] * (n - gained - lost)
    baseline, candidate = ({str(i): [state[side]] for i, state in enumerate(states)} for side in (0, 1))
    found = compare(baseline, candidate)
    if found is None:
        raise InputError("0 tasks have no difference; give the number of tasks, which is at least 1")
    print(verdict_sentence("the baseline", "the candidate", words[3], found, found.p))


if __name__ == "__main__":
    run_main(main)
