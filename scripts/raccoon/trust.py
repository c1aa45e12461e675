"""Which verdicts count: what one from shared isolation is worth, and the cause of an INFRA. It judges nothing."""

import re
from dataclasses import replace

from raccoon.records import Verdict

UNEXPECTED_SHARED = "forbidden: the code ran in the process of its test, where it can forge the verdict"


def accepted(verdict: Verdict, shared: bool) -> Verdict:
    """The verdict; a FAIL if it comes from shared isolation and the task is not one that may run so (`shared`).

    An INFRA from there becomes a FAIL too: it could be forged just as a PASS could.
    """
    if shared or verdict.isolation != "shared":
        return verdict
    return replace(verdict, status="FAIL", reason=UNEXPECTED_SHARED, tests_passed=0)


def infra_cause(reason: str, task_id: str) -> str:
    """The class of an INFRA reason: its text without the task's id, numbers and details."""
    text = reason.partition(": ")[2].replace(f" of {task_id} ", " ") if task_id else reason.partition(": ")[2]
    return re.sub(r"\d+", "N", re.split(r": | \(", text)[0])[:80]


def named_counts(counts: dict[str, int]) -> str:
    """Counts as text, the largest first: a sandbox process was lost (3), the test exits (1)."""
    return ", ".join(f"{name} ({number})" for name, number in sorted(counts.items(), key=lambda item: -item[1]))
