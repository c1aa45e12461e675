"""What the sandbox takes and gives: programs and verdicts. It runs nothing."""

from dataclasses import asdict, dataclass
from typing import Any

STATUSES, ISOLATIONS = ("PASS", "PARTIAL", "FAIL", "INFRA"), ("separate", "shared")
KINDS = ("pass", "wrong", "exception", "syntax", "no code", "timeout", "memory", "forbidden", "infra")


@dataclass(frozen=True)
class Program:
    """Untrusted `code` and its trusted `test`. `context` runs before both; `timeout` is in CPU seconds.

    `solution`, if known, is code that passes: it runs where `code` has ended our processes, to find whose fault it is.

    `kind` "function": the test is a program that calls the code. `kind` "program": the code reads stdin and prints, the
    test holds its cases (stdin_cases.py), `timeout` is for each case, and `ends_early` stops after a failed case.
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

    @classmethod
    def of(cls, task: Any, code: str, **changes: Any) -> "Program":
        """The program that runs a task's test on code. `task` may be any object with these fields."""
        names = ("test", "entry_point", "context", "task_id", "kind", "solution")
        fields = {name: getattr(task, name) for name in names}
        return cls(**{"code": code, **fields, **changes})


@dataclass(frozen=True)
class Verdict:
    """The result of a program: PASS, PARTIAL (ran; an assertion failed), FAIL (does not run) or INFRA (our own fault).

    `reason` is one line, "kind" or "kind: text" with a kind of KINDS. `seconds` is wall time. `isolation` is "separate"
    (the tests run in another process than the code) or "shared". `output` is the tail of the program's output.
    """

    status: str
    reason: str
    tests_passed: int
    tests_total: int
    seconds: float = 0.0
    isolation: str = "separate"
    output: str = ""

    @property
    def kind(self) -> str:
        """The first part of the reason, one of KINDS."""
        return self.reason.partition(": ")[0]

    def as_dict(self) -> dict:
        """The fields of a verdict line, without the task_id."""
        return asdict(self)


def failed(reason: str, status: str = "FAIL") -> Verdict:
    """A verdict without running anything."""
    return Verdict(status, reason, 0, 0)
