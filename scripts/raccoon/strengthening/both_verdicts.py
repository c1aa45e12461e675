"""The verdicts of a program by a task's given test and by all tests, if the task has new ones.

All tests decide. A program that fails them and passes the given test is what a weak test would have paid for.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.strengthening.strengthen import MARK, given_test

LINE = re.compile(r"\(test line (\d+)\)$")


def given_statuses(programs: Sequence[Program], verdicts: Sequence[Verdict], sandbox: Sandbox) -> list[str]:
    """The status of each program by the given test; "" without new tests.

    A PASS passes the given test too, and a first failure in it needs no second run. So few programs run again.
    """
    pairs = [*zip(programs, verdicts, strict=True)]
    found = [status_of(verdict) if MARK in program.test else "" for program, verdict in pairs]
    again = [place for place, pair in enumerate(pairs) if found[place] and may_pass_given(*pair)]
    alone = [replace(programs[place], test=given_test(programs[place].test), max_feedback=0) for place in again]
    distinct = list(dict.fromkeys(alone))
    known = dict(zip(distinct, sandbox.run(distinct) if distinct else [], strict=True))
    for place, program in zip(again, alone, strict=True):
        found[place] = status_of(known[program])
    return found


def status_of(verdict: Verdict) -> str:
    """The status; FAIL from shared isolation, in which no task with new tests runs by itself."""
    return verdict.status if verdict.isolation == "separate" else "FAIL"


def may_pass_given(program: Program, verdict: Verdict) -> bool:
    """Whether a program that fails all tests may pass the given ones: its first failure is not known to be there."""
    line = LINE.search(verdict.reason)
    first_new = program.test.partition(MARK)[0].count("\n") + 1
    return status_of(verdict) in ("PARTIAL", "FAIL") and not (line and int(line[1]) < first_new)
