"""One test against one child, from the first request to the verdict's fields."""

import contextlib
import dataclasses
import importlib
import os
import random
import signal

from raccoon.verdicts import carriers, values
from raccoon.verdicts import test_programs as tests
from raccoon.verdicts.objects import ClassProxy, JudgeCarrier
from raccoon.verdicts.proxies import Child, ChildGone, Proxy, call_in_place

AFTER_FAILURE = 2.0  # seconds for the remaining assertions after one has failed
BUSY_SHARE = 0.2  # of the CPU limit: a child that used more before the wall limit was computing, not sleeping
TIMEOUT_SHARE = 0.5  # of the CPU limit: a child killed by the kernel above it was killed for its CPU time (the kernel
# samples that time for limits and measures it for reports). Below it, something else killed it
KILLED_OUTSIDE = "infra: the code's process was killed from outside, perhaps for want of memory"
CODE_FAULTS = ("wrong", "exception", "memory")  # kinds of failure that a test in shared isolation may report


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a child ended: its wait status, its CPU seconds, and whether it had to be killed."""

    status: int
    cpu_seconds: float
    killed: bool

    def reason(self, may_kill_itself: bool) -> str:
        """Why a child closed its channel, for reasons other than its CPU time."""
        if self.killed:
            return "exception: the code closed its channel to the tests"
        code = os.waitstatus_to_exitcode(self.status)
        if code == -signal.SIGKILL and not may_kill_itself:
            return KILLED_OUTSIDE
        if code < 0:
            names = {known.value: known.name for known in signal.Signals}  # real-time signals have none
            return f"exception: the code's process died of {names.get(-code, f'signal {-code}')}"
        return f"exception: the code ended its process with exit code {code} before its tests were over"


class Deadline(BaseException):
    """The wall time is over. Not an Exception, so that a test's `except Exception` does not catch it."""


class TestFault(Exception):
    """The test or its context is broken: our own fault, not the code's."""


def alarm(seconds: float) -> bool:
    """Raises Deadline after so many seconds of wall time. 0 cancels that and returns whether it was raised."""
    global _armed, _rang
    rang, _armed, _rang = _rang, seconds > 0, _rang and seconds > 0
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return rang


_armed = _rang = False


def on_alarm(*_) -> None:
    global _rang
    if _armed:  # else it was cancelled while it arrived
        _rang = True
        raise Deadline


class Run:
    """One test of one child: `judge` runs it, `verdict` returns the result."""

    def __init__(self, program: dict, test: tests.TestProgram, child: Child, shared: bool):
        self.program, self.test, self.child, self.shared = program, test, child, shared
        self.tally = tests.Tally(test.goes_on, not shared, on_failure=lambda: alarm(AFTER_FAILURE))
        self.whose = program["task_id"] or "this task"
        self.reason = ""  # "kind: text" of an early end of the test, besides the tally

    def judge(self) -> None:
        """Runs the test to its end or its deadline. Everything that happens is kept for `verdict`."""
        try:
            alarm(self.program["wall_seconds"])
            objects = self.test.objects and not self.shared
            self.child.send(self.program["context"], self.program["code"], objects)
            self.run_beside_code() if self.shared else self.run_here()
        except Deadline:
            self.reason = self.late()
        except ChildGone as gone:
            self.reason = str(gone)
        except values.NotCarried:
            self.reason = "shared"
        except TestFault as fault:
            self.reason = f"infra: {fault}"
        except SystemExit:
            self.reason = f"infra: the test of {self.whose} exits"
        except Exception as error:
            self.tally.note(error)
        finally:
            rang = alarm(0)
        if self.child.fault is not None:  # a bare `except:` of the test may have caught it
            self.reason = self.child.fault
        elif rang and not self.reason:
            self.reason = self.late()

    def late(self) -> str:
        return f"timeout: no result in {self.program['wall_seconds']:g} s"

    def run_here(self) -> None:
        """Separate isolation: runs the test in this process, with proxies for the code's functions."""
        namespace = {"__name__": "__main__", "__builtins__": __builtins__}
        try:
            exec(self.test.context, namespace)
        except Exception as error:
            raise TestFault(f"the context of {self.whose} raises {tests.describe(error)}") from None
        kinds = [name for name in self.test.classes if self.missing(namespace, name)]
        self.carry(namespace, bool(kinds) or self.test.returned_objects)
        namespace |= {name: importlib.import_module(name) for name in self.test.modules}
        named = [name for name in self.test.functions if self.missing(namespace, name)]
        namespace |= {name: Proxy(self.child, name) for name in named}
        namespace |= {name: ClassProxy(self.child, name) for name in kinds}
        for name, value in self.variables().items():
            namespace.setdefault(name, value)  # the code must not change what the context defines
        namespace |= {tests.TALLY: self.tally, tests.IN_PLACE: call_in_place}
        random.seed(0)
        exec(self.test.code, namespace)
        if not self.child.requests:
            raise TestFault(f"the test of {self.whose} never calls the code")

    def missing(self, namespace: dict, name: str) -> bool:
        """Whether the code has to define this name."""
        return name not in namespace or name == self.program["entry_point"]

    def carry(self, namespace: dict, objects: bool) -> None:
        """Prepares the channel for data of this test besides plain values."""
        if objects or "class " in self.program["context"]:
            self.child.carrier = JudgeCarrier(self.child, carriers.structures(namespace), objects)

    def variables(self) -> dict:
        """The variables that the test reads and the code defines. Reading any other raises NameError in the test."""
        found = {}
        for name in self.test.values:
            with contextlib.suppress(NameError):
                found[name] = self.child.request("value", name)[0]
        return found

    def run_beside_code(self) -> None:
        """Shared isolation: the child runs the test after the code's top level and reports the tally."""
        counts, _ = self.child.request("test", self.program["test"], self.program["entry_point"])
        try:
            passed, failed, first = counts
            self.tally.passed, self.tally.failed = int(passed), int(failed)
            if first:
                kind, text = map(str, first)
                self.tally.first = [kind if kind in CODE_FAULTS else "exception", text]
        except (TypeError, ValueError, OverflowError):
            raise ChildGone("exception: the code's process sent something that is not an answer") from None
        if not self.tally.first and self.tally.passed < 1:
            if self.test.asserts or self.test.test_cases:
                raise ChildGone("exception: the code kept the test from checking anything")
            raise TestFault(f"the test of {self.whose} checks nothing")

    def verdict(self, ending: Ending) -> dict:
        """The verdict's fields. The first failure decides, then an early end of the test, then it is PASS."""
        if self.reason == "shared":
            return {"needs": "shared"}
        limit = self.program["cpu_seconds"]
        out_of_time = ending.cpu_seconds >= TIMEOUT_SHARE * limit
        if self.child.gone and not self.reason:
            self.reason = f"timeout: {limit} s of CPU" if out_of_time else ending.reason(self.shared)
        kind, _, text = self.reason.partition(": ")
        if self.tally.first:
            kind, text = self.tally.first
            text = f"the test of {self.whose} raises {text}" if kind == "infra" else text
        verdict = fields(kind or "pass", text, self.tally.passed, self.counted(), self.shared)
        verdict["starved"] = (
            kind == "timeout" and BUSY_SHARE * limit < ending.cpu_seconds < limit and not self.child.gone
        )
        return verdict

    def counted(self) -> int:
        """The number of assertions: those that ran, or those in the text if the test ended early."""
        ran = self.tally.passed + self.tally.failed
        return max(1, ran, self.test.asserts) if self.reason or self.tally.first else max(1, ran)


def fields(kind: str, text: str, passed: int = 0, total: int = 0, shared: bool = False) -> dict:
    """A verdict's fields, in the form that is sent to the caller."""
    status = {"pass": "PASS", "wrong": "PARTIAL", "infra": "INFRA"}.get(kind, "FAIL")
    return {
        "status": status,
        "reason": f"{kind}: {text}" if text else kind,
        "tests_passed": total if status == "PASS" else passed,
        "tests_total": total,
        "isolation": "shared" if shared else "separate",
        "seconds": 0.0,
        "output": "",
    }
