"""One test against one child, from the first request to the verdict's fields."""

import contextlib
import copy
import dataclasses
import importlib
import os
import random
import signal
import sys
from typing import Any

from raccoon.exchange import frames, heap, values
from raccoon.test_texts import test_programs as tests
from raccoon.test_texts.needs import KNOWN_AS
from raccoon.verdicts.classes import ClassProxy
from raccoon.verdicts.control import OURS, CallerGone, ChildGone, Deadline, Diverged, NotCarried
from raccoon.verdicts.handles import same
from raccoon.verdicts.judge_heap import JudgeHeap
from raccoon.verdicts.proxies import Child, Proxy

AFTER_FAILURE = 2.0  # seconds for the remaining assertions after one has failed
BUSY_SHARE = 0.2  # of the CPU limit: a child that used more before the wall limit was computing, not sleeping
TIMEOUT_SHARE = 0.5  # of the CPU limit: a child killed by the kernel above it was killed for its CPU time (the kernel
# samples that time for limits and measures it for reports). Below it, something else killed it
KILLED_OUTSIDE = "infra: the code's process was killed from outside, perhaps for want of memory"
TEST_ENDED = "infra: the process of the test has ended"
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


@dataclasses.dataclass
class Outcome:
    """What came of a test: its counts, its first failure and why it ended early. All of it is plain data."""

    passed: int = 0
    failed: int = 0
    first: list[str] = dataclasses.field(default_factory=list)  # [kind, text], the kind as in a verdict's reason
    reason: str = ""  # "kind: text" of an early end of the test, besides the first failure
    gone: bool = False  # the child closed its channel
    diverged: bool = False  # the test asked for something else than was planned


class Kept:
    """Arguments as they were before the code got them, for what a test computes from them afterwards (results.py)."""

    def __init__(self):
        self._copies: dict[str, tuple[Any, Any]] = {}

    def keep(self, name: str, value):
        """The value itself, of which a copy is kept if it can be copied."""
        self._copies.pop(name, None)
        with contextlib.suppress(Exception):
            self._copies[name] = value, copied(value)
        return value

    def kept(self, name: str, value):
        """The copy of a value that was kept under this name; the value itself if there is none."""
        original, copied = self._copies.get(name, (None, None))
        return copied if original is value else value


def copied(value):
    """A copy, in which sets iterate in the same order. Raises an Exception if there can be none."""
    try:
        return values.loads(values.dumps(value))
    except frames.ValueLimit:
        return copy.deepcopy(value)


class Run:
    """One test of one child: `judge` runs it and returns the outcome."""

    def __init__(self, program: dict, test: tests.TestProgram, child: Child, shared: bool):
        self.program, self.test, self.child, self.shared = program, test, child, shared
        self.tally = tests.Tally(test.goes_on, OURS, test.imports, on_failure=lambda: alarm(AFTER_FAILURE))
        self.tally.silenced = child
        self.whose = program["task_id"] or "this task"
        self.namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}

    def judge(self) -> Outcome:
        """Runs the test to its end or its deadline."""
        reason = ""
        try:
            alarm(self.program["wall_seconds"])
            self.run_beside_code() if self.shared else self.run_here()
        except Deadline:
            reason = self.late()
        except (ChildGone, Diverged) as gone:
            reason = str(gone)
        except NotCarried as kind:
            reason = f"exception: the test hands an object of its class {kind} to the code"
        except TestFault as fault:
            reason = f"infra: {fault}"
        except CallerGone:
            raise
        except BaseException as error:
            self.end_of_test(error)
        finally:
            rang = alarm(0)
        if self.child.fault is not None:  # a bare `except:` of the test may have caught it
            reason = self.child.fault
        elif rang and not reason:
            reason = self.late()
        if not (reason or self.tally.first or self.child.requests) and self.child.fault is None:
            reason = f"infra: the test of {self.whose} never calls the code"
        self.namespace.clear()  # else it waits for the collector, as it holds functions that hold it
        if self.child.heap:
            vars(self.child.heap).clear()
        tally = self.tally
        return Outcome(tally.passed, tally.failed, tally.first, reason, self.child.gone, self.child.diverged)

    def end_of_test(self, error: BaseException) -> None:
        """What an exception of the test itself means: a failure, unless it ends the test as successful."""
        if not (hasattr(error, "verdict_kind") or hasattr(error, "verdict_message")):  # not raised or made by the code
            if isinstance(error, SystemExit) and not error.code or is_skip(error) and self.tally.passed:
                return
        self.tally.note(error)

    def late(self) -> str:
        return f"timeout: no result in {self.program['wall_seconds']:g} s"

    def run_here(self) -> None:
        """Separate isolation: runs the test in this process, with proxies for the code's functions."""
        namespace = self.namespace
        try:
            exec(self.test.context, namespace)
        except OURS:
            raise
        except BaseException as error:
            raise TestFault(f"the context of {self.whose} raises {tests.describe(error)}") from None
        self.furnish(namespace)
        random.seed(0)
        exec(self.test.code, namespace)

    def furnish(self, namespace: dict) -> None:
        """Puts into the test's namespace what stands for the code, and the helpers of the rewritten test."""
        child, kept = self.child, Kept()
        structures = heap.structures(namespace)
        child.heap = JudgeHeap(child, structures, self.test.tracks, lambda kind: kind.__module__ == "__main__")
        child.heap.raises = self.test.raises
        missing = lambda name: name not in namespace or name == self.program["entry_point"]  # noqa: E731
        proxies = {name: Proxy(child, name) for name in self.test.functions if missing(name)}
        proxies |= {name: ClassProxy(child, name) for name in self.test.classes if missing(name)}
        modules = {name: importlib.import_module(KNOWN_AS.get(name, name)) for name in self.test.modules}
        namespace |= dict.fromkeys(tests.EXITS, sys.exit) | modules | proxies
        namespace |= {
            tests.TALLY: self.tally,
            tests.VARIABLE: lambda name: namespace[name] if name in namespace else child.heap.variable(name),
            tests.SAME: same,
            tests.FRESH: child.heap.read_anew,
            tests.SEED: self.seed,
            tests.KEEP: kept.keep,
            tests.KEPT: kept.kept,
        }

    def seed(self, module: str, *arguments) -> None:
        """Seeds a module's generator here and in the child, which the test thinks of as one process."""
        importlib.import_module(module).seed(*arguments)
        self.child.request("seed", module, values.Inline(arguments))

    def run_beside_code(self) -> None:
        """Shared isolation: the child runs the test after the code's top level and reports what came of it.

        The code could report anything. So the number of assertions is that of the test's text.
        """
        self.child.heap = JudgeHeap(self.child, {}, False)
        [counts] = self.child.request("test", self.program["test"], self.program["entry_point"])
        try:
            passed, failed, first = counts
            ran = max(1, self.test.asserts)
            self.tally.failed = min(max(0, failed), ran)
            self.tally.passed = min(max(0, passed), ran - self.tally.failed)
            if first:
                kind, text = map(str, first)
                self.tally.first = [kind if kind in CODE_FAULTS else "exception", text]
        except (TypeError, ValueError, OverflowError):
            raise ChildGone("exception: the code's process sent something that is not an answer") from None
        if self.test.asserts and not self.tally.first and self.tally.passed < 1:
            raise ChildGone("exception: the code kept the test from checking anything")


def is_skip(error: BaseException) -> bool:
    """Whether this is what pytest.skip() raises."""
    return type(error) is getattr(sys.modules.get("_pytest.outcomes"), "Skipped", None)


def outcome_fields(program: dict, test: tests.TestProgram, outcome: Outcome, ending: Ending, shared: bool) -> dict:
    """The verdict's fields. The first failure decides, then an early end of the test, then it is PASS."""
    limit, reason = program["cpu_seconds"], outcome.reason
    out_of_time = ending.cpu_seconds >= TIMEOUT_SHARE * limit
    if outcome.gone and not reason:
        reason = f"timeout: {limit} s of CPU" if out_of_time else ending.reason(shared)
    kind, _, text = reason.partition(": ")
    if outcome.first:
        kind, text = outcome.first
        text = f"the test of {program['task_id'] or 'this task'} raises {text}" if kind == "infra" else text
    ran = outcome.passed + outcome.failed
    total = max(1, ran, test.asserts) if reason or outcome.first else max(1, ran)
    found = fields(kind or "pass", text, outcome.passed, total, shared)
    found["starved"] = kind == "timeout" and BUSY_SHARE * limit < ending.cpu_seconds < limit and not outcome.gone
    return found


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
