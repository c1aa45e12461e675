"""What the sandbox takes and gives: programs and verdicts, and which verdicts count. It runs nothing."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

STATUSES, ISOLATIONS = ("PASS", "PARTIAL", "FAIL", "INFRA"), ("separate", "shared")
KINDS = ("pass", "wrong", "exception", "syntax", "no code", "timeout", "memory", "forbidden", "infra")
STATUS_OF_KIND = {"pass": "PASS", "wrong": "PARTIAL", "infra": "INFRA"}  # of all others: FAIL
TIMEOUT = 10.0  # CPU seconds of one program; MBPP's slowest gold solution needs 3
WALL_FACTOR, WALL_EXTRA = 2.0, 2.0  # wall limit over CPU limit, and seconds added, for programs that sleep
WALL_FACTOR_SHARED = 6.0  # with shared isolation the tests may wait too, for a server to start or a process to time out
MIN_FEEDBACK = 300  # characters in which each kind of feedback can say something
UNEXPECTED_SHARED = "forbidden: the code ran in the process of its test, where it can forge the verdict"


@dataclass(frozen=True)
class Program:
    """Untrusted `code` and its trusted `test`. `context` runs before both; `timeout` is in CPU seconds.

    `solution`, if known, is code that passes: it runs where `code` has ended our processes, to find whose fault it is.

    With `max_feedback`, which is MIN_FEEDBACK or more, the verdict has at most so many characters of feedback for the
    model that wrote the code (verdicts/feedback.py). Of all tests it names only `visible_tests`, those that the model
    may see, in the form of `test`.

    `kind` "function": the test is a program that calls the code. `kind` "program": the code reads stdin and prints, the
    test holds its cases (stdin_cases.py), `timeout` is for each case, and `ends_early` stops after a failed case. With
    `max_output` the verdict's output is [stdout, end of stderr] as JSON, with so many characters of stdout.
    """

    code: str
    test: str
    entry_point: str = ""
    context: str = ""
    task_id: str = ""
    timeout: float | None = None
    kind: str = "function"
    ends_early: bool = False
    solution: str = ""
    visible_tests: str = ""
    max_feedback: int = 0
    max_output: int = 0

    @classmethod
    def of(cls, task: Any, code: str, **changes: Any) -> "Program":
        """The program that runs a task's test on code. `task` may be any object with these fields."""
        names = ("test", "entry_point", "context", "task_id", "kind", "solution", "visible_tests")
        return cls(**{"code": code, **{name: getattr(task, name) for name in names}, **changes})

    @property
    def cpu_seconds(self) -> int:
        """The CPU limit in whole seconds, as the kernel counts them."""
        return math.ceil(self.timeout or TIMEOUT)

    def wall_seconds(self, shared: bool) -> float:
        return (WALL_FACTOR_SHARED if shared else WALL_FACTOR) * self.cpu_seconds + WALL_EXTRA


@dataclass(frozen=True)
class Verdict:
    """The result of a program: PASS, PARTIAL (ran; an assertion failed), FAIL (does not run) or INFRA (our own fault).

    `reason` is one line, "kind" or "kind: text" with a kind of KINDS. `seconds` is wall time. `isolation` is "separate"
    (the tests run in another process than the code) or "shared". `output` is the tail of the program's output.
    `feedback` is what the model may be told; "" if none was asked for, or if nothing that it may know is wrong.
    """

    status: str
    reason: str
    tests_passed: int
    tests_total: int
    seconds: float = 0.0
    isolation: str = "separate"
    output: str = ""
    feedback: str = ""

    @classmethod
    def of(
        cls, reason: str, passed: int = 0, total: int = 0, isolation: str = "separate", output: str = ""
    ) -> "Verdict":
        """The verdict for a reason, whose kind decides the status."""
        status = STATUS_OF_KIND.get(reason.partition(": ")[0], "FAIL")
        return cls(status, reason, passed, total, 0.0, isolation, output)

    @property
    def kind(self) -> str:
        """The first part of the reason, one of KINDS."""
        return self.reason.partition(": ")[0]

    def as_dict(self) -> dict:
        """The fields of a verdict line, without the task_id, and without feedback if there is none."""
        return {name: value for name, value in asdict(self).items() if name != "feedback" or value}


def breaks(verdicts: Sequence[Verdict]) -> bool:
    """Whether the last answer of a conversation passes fewer of the task's tests than the first."""
    return bool(verdicts) and verdicts[-1].tests_passed < verdicts[0].tests_passed


def accepted(verdict: Verdict, shared: bool) -> Verdict:
    """The verdict; a FAIL if it comes from shared isolation and the task is not one that may run so (`shared`).

    An INFRA from there becomes a FAIL too: it could be forged just as a PASS could. So could feedback, with the tests.
    """
    if shared or verdict.isolation != "shared":
        return verdict
    return replace(verdict, status="FAIL", reason=UNEXPECTED_SHARED, tests_passed=0, feedback="")


def infra_cause(reason: str, task_id: str) -> str:
    """The class of an INFRA reason: its text without the task's id, numbers and details."""
    text = reason.partition(": ")[2].replace(f" of {task_id} ", " ") if task_id else reason.partition(": ")[2]
    return re.sub(r"\d+", "N", re.split(r": | \(", text)[0])[:80]


def named_counts(counts: dict[str, int]) -> str:
    """Counts as text, the largest first: a sandbox process was lost (3), the test exits (1)."""
    return ", ".join(f"{name} ({number})" for name, number in sorted(counts.items(), key=lambda item: -item[1]))
