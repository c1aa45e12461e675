"""One test of one function program against one child, from the first request to the verdict.

Before the child is asked, `planned` finds what a test will ask of any code. Most tests call a function with fixed
arguments. Each question costs two switches between processes, so the judge runs such a test once against a stand-in
that answers nothing, and writes down the requests. A child then gets them with its program and ends by itself. When the
test runs on the answers, each of its requests is compared with the plan. If one differs, the answers are worthless: the
test runs again in a new child and asks step by step.
"""

import ast
import contextlib
import copy
import dataclasses
import importlib
import itertools
import os
import random
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from raccoon.exchange import frames, heap, values
from raccoon.records import ISOLATIONS, Program, Verdict
from raccoon.test_texts import test_programs as tests
from raccoon.test_texts.needs import KNOWN_AS
from raccoon.test_texts.test_programs import TestProgram
from raccoon.test_texts.visible import Statement
from raccoon.verdicts.children import NO_ANSWER, Child, Ending
from raccoon.verdicts.feedback import feedback
from raccoon.verdicts.handles import ClassProxy, Proxy, same
from raccoon.verdicts.judge_heap import OURS, Blank, CallerGone, ChildGone, Deadline, JudgeHeap, NotCarried
from raccoon.verdicts.noted import Noted, Watch

PATIENCE = 2.0  # seconds beyond the wall limit for a test in a fork of the judge
TEST_ENDED = "infra: the process of the test has ended"
AFTER_FAILURE = 2.0  # seconds for the remaining assertions after one has failed
CODE_FAULTS = ("wrong", "exception", "memory")  # kinds of failure that a test in shared isolation may report
MOST_REQUESTS, MOST_BYTES = 2000, 1 << 20  # of a plan
SMALL = 10  # numbers up to this say little about an answer
REHEARSAL_SECONDS = 0.1
PLANNED = ("call", "seed")  # requests whose answers a test can do without


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


class Fork:
    """A fork of the judge, for code of a task that may leave something behind or not end. It ends with the judge.

    `confine` puts further walls around it. `serve` does its work and gets its end of a channel. Of the judge's other
    descriptors it has `kept` alone: it must not speak for the judge.
    """

    def __init__(self, confine: Callable[[], None], serve: Callable[[int], None], kept: int = 2):
        self.channel, theirs = socket.socketpair()
        self.incoming = frames.FrameReader(self.channel.fileno())
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for low, high in itertools.pairwise(sorted({2, kept, theirs.fileno(), 1 << 12})):
                    os.closerange(low + 1, high)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                confine()
                serve(theirs.fileno())
            finally:
                os._exit(0)
        theirs.close()

    def ask(self, seconds: float, *question: bytes) -> bytes:
        """Its next answer, b"" if it has ended. Raises Deadline after so many seconds."""
        try:
            alarm(seconds)
            if question:
                frames.write_frame(self.channel.fileno(), *question)
            return self.incoming.read()
        except (EOFError, OSError, frames.ValueLimit):
            return b""
        finally:
            alarm(0)

    def end(self) -> None:
        self.channel.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@dataclasses.dataclass
class Outcome:
    """What came of a test: its counts, its first failure and why it ended early. All of it is plain data."""

    passed: int = 0
    failed: int = 0
    first: list[str] = dataclasses.field(default_factory=list)  # [kind, text], the kind as in a verdict's reason
    reason: str = ""  # "kind: text" of an early end of the test, besides the first failure
    gone: bool = False  # the child closed its channel
    diverged: bool = False  # the test asked for something else than was planned
    fault: list = dataclasses.field(default_factory=list)  # noted for the feedback
    loading: bool = False  # it ended while the code's top level ran


class Run:
    """One test of one child: `judge` runs it and returns the outcome. `visible`: see Noted."""

    def __init__(
        self,
        program: Program,
        test: TestProgram,
        child: Child,
        shared: bool,
        visible: tuple[Statement, ...] | None = None,
    ):
        self.program, self.test, self.child, self.shared = program, test, child, shared
        self.wall = program.wall_seconds(shared)
        self.noted = Noted(program, child, visible)
        counting = Watch if program.max_feedback else tests.Tally
        self.tally = counting(test.goes_on, OURS, test.imports, on_failure=lambda: alarm(AFTER_FAILURE))
        if isinstance(self.tally, Watch):
            self.tally.noted = self.noted
        self.tally.silenced = child  # type: ignore[assignment]  # it only sets an attribute
        self.whose = program.task_id or "this task"
        self.namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        self.ended = False  # by an exception
        self.copies: dict[str, tuple[Any, Any]] = {}  # arguments, and as they were before the code got them

    def judge(self) -> Outcome:
        """Runs the test to its end or its deadline."""
        reason, child, line = "", self.child, 0
        try:
            alarm(self.wall)
            self.run_beside_code() if self.shared else self.run_here()
        except Deadline as late:
            reason, line = self.late(), tests.line_of(late)
        except ChildGone as gone:
            reason, line = str(gone), tests.line_of(gone)
        except NotCarried as kind:
            reason = f"exception: the test hands an object of its class {kind} to the code"
        except TestFault as fault:
            reason = f"infra: {fault}"
        except CallerGone:
            raise
        except BaseException as error:
            self.ended = True
            self.end_of_test(error)
        finally:
            rang = alarm(0)
        if child.fault is not None:  # a bare `except:` of the test may have caught it
            reason = child.fault
        elif rang and not reason:
            reason = self.late()
        if not (reason or self.tally.first or child.requests) and child.fault is None:
            reason = f"infra: the test of {self.whose} never calls the code"
        if reason or child.gone:
            self.noted.stopped(line)
        self.namespace.clear()  # else it waits for the collector, as it holds functions that hold it
        if "heap" in vars(child):
            vars(child.heap).clear()
        tally, noted = self.tally, self.noted
        counts = tally.passed, tally.failed, tally.first
        return Outcome(*counts, reason, child.gone, child.diverged, noted.fault, noted.loading)

    def judge_in_fork(self, confine: Callable[[], None]) -> Outcome:
        """Runs a test that may leave something behind, in a copy of this process that ends with it."""

        def serve(channel: int) -> None:
            frames.write_frame(channel, values.dumps(list(dataclasses.astuple(self.judge()))))

        fork = Fork(confine, serve, kept=self.child.descriptor)
        try:
            return Outcome(*values.loads(fork.ask(self.wall + PATIENCE)))
        except (frames.ValueLimit, TypeError):
            return Outcome(reason=TEST_ENDED)
        except Deadline:
            return Outcome(reason=self.late())
        finally:
            fork.end()

    def end_of_test(self, error: BaseException) -> None:
        """What an exception of the test itself means: a failure, unless it ends the test as successful."""
        if not (hasattr(error, "verdict_kind") or hasattr(error, "verdict_message")):  # not raised or made by the code
            is_skip = type(error) is getattr(sys.modules.get("_pytest.outcomes"), "Skipped", None)  # of pytest.skip()
            if isinstance(error, SystemExit) and not error.code or is_skip and self.tally.passed:
                return
        self.tally.note(error)
        if self.program.max_feedback:
            self.noted.failed(error, tests.line_of(error))

    def late(self) -> str:
        return f"timeout: no result in {self.wall:g} s"

    def run_here(self) -> None:
        """Separate isolation: runs the test in this process, with proxies for the code's functions."""
        try:
            exec(self.test.context, self.namespace)
        except OURS:
            raise
        except BaseException as error:
            raise TestFault(f"the context of {self.whose} raises {tests.describe(error)}") from None
        self.furnish(self.namespace)
        random.seed(0)
        exec(self.test.code, self.namespace)

    def furnish(self, namespace: dict) -> None:
        """Puts into the test's namespace what stands for the code, and the helpers of the rewritten test."""
        child = self.child
        child.heap = JudgeHeap(child, heap.structures(namespace), self.test.tracks)
        child.heap.raises = self.test.raises
        missing = lambda name: name not in namespace or name == self.program.entry_point  # noqa: E731
        proxies = {name: Proxy(child, name) for name in self.test.functions if missing(name)}
        classes = {name: ClassProxy(child, name) for name in self.test.classes if missing(name)}
        modules = {name: importlib.import_module(KNOWN_AS.get(name, name)) for name in self.test.modules}
        namespace |= dict.fromkeys(tests.EXITS, sys.exit) | modules | proxies | classes
        namespace |= {
            tests.TALLY: self.tally,
            tests.VARIABLE: self.variable,
            tests.SAME: same,
            tests.FRESH: child.heap.read_anew,
            tests.SEED: self.seed,
            tests.KEEP: self.keep,
            tests.KEPT: self.kept,
        }

    def variable(self, name: str):
        """The present value of a variable of the test or of the code."""
        if name in self.namespace:
            return self.namespace[name]
        return self.child.heap.as_made(self.child.request("value", name)[0], None)

    def seed(self, module: str, *arguments) -> None:
        """Seeds a module's generator here and in the child, which the test thinks of as one process."""
        importlib.import_module(module).seed(*arguments)
        self.child.request("seed", module, values.Inline(arguments))

    def keep(self, name: str, value):
        """The value itself, of which a copy is kept if it can be copied, for what a test computes from it later."""
        self.copies.pop(name, None)
        with contextlib.suppress(Exception):
            try:
                copied = values.loads(values.dumps(value))  # its sets iterate in the same order
            except frames.ValueLimit:
                copied = copy.deepcopy(value)
            self.copies[name] = value, copied
        return value

    def kept(self, name: str, value):
        """The copy of a value that was kept under this name; the value itself if there is none."""
        original, copied = self.copies.get(name, (None, None))
        return copied if original is value else value

    def run_beside_code(self) -> None:
        """Shared isolation: the child runs the test after the code's top level and reports what came of it.

        The code could report anything. So the number of assertions is that of the test's text.
        """
        self.child.heap = JudgeHeap(self.child, {}, False)
        [counts] = self.child.request("test", self.program.test, self.program.entry_point)
        try:
            passed, failed, first = counts
            ran = max(1, self.test.asserts)
            self.tally.failed = min(max(0, failed), ran)
            self.tally.passed = min(max(0, passed), ran - self.tally.failed)
            if first:
                kind, text = map(str, first)
                self.tally.first = [kind if kind in CODE_FAULTS else "exception", text]
                self.noted.beside_code(*self.tally.first)
        except (TypeError, ValueError, OverflowError):
            raise ChildGone(NO_ANSWER) from None
        if self.test.asserts and not self.tally.first and self.tally.passed < 1:
            raise ChildGone("exception: the code kept the test from checking anything")

    def verdict(self, outcome: Outcome, ending: Ending, output: str) -> tuple[Verdict, bool]:
        """(verdict, was the child starved). The first failure decides, then an early end, then it is PASS."""
        reason, limit = outcome.reason, self.program.cpu_seconds
        if outcome.gone and not reason:
            reason = ending.reason(limit, may_kill_itself=self.shared)
        ended = reason
        if outcome.first:
            kind, text = outcome.first
            reason = f"{kind}: the test of {self.whose} raises {text}" if kind == "infra" else f"{kind}: {text}"
        ran = outcome.passed + outcome.failed
        total = max(1, ran, self.test.asserts) if reason else max(1, ran)
        verdict = Verdict.of(
            reason or "pass", outcome.passed if reason else total, total, ISOLATIONS[self.shared], output
        )
        if self.program.max_feedback and outcome.fault and verdict.status != "INFRA":
            verdict = dataclasses.replace(verdict, feedback=self.feedback(outcome, ended))
        return verdict, verdict.kind == "timeout" and ending.starved(limit) and not outcome.gone

    def feedback(self, outcome: Outcome, ended: str) -> str:
        """The feedback on what was noted. `ended` is the reason of an early end."""
        kind, parts = outcome.fault
        if not kind:
            kind = ended.partition(": ")[0]
            if kind == "infra" or kind == "timeout" and outcome.first:  # the time after a failure is short
                return ""
            kind = kind if kind in ("timeout", "memory", "forbidden") else "ended" if outcome.gone else "unanswered"
        return feedback(kind, parts, self.program.max_feedback)


# --- the plan ---------------------------------------------------------------------------------------------------------


class StandIn(Child):
    """Takes the place of the child in a rehearsal: notes what it is asked for and answers nothing."""

    def __init__(self, visible_asserts: int) -> None:
        super().__init__(-1, first=0)
        self.visible_asserts, self.noted = visible_asserts, list[bytes]()
        self.not_carried = self.stopped = False
        self.arguments: list = []  # of all calls
        self.compared: list = []  # what the test expects of the answers

    def request(self, *details) -> list:
        """Notes one request. Raises ChildGone if the test could not go on without its answer."""
        try:
            self.noted.append(values.dumps(values.Inline(details), self.heap))
            self.requests = len(self.noted)
            if self.requests > MOST_REQUESTS:
                raise ChildGone
        except (NotCarried, frames.ValueLimit):
            self.not_carried = True
            raise NotCarried from None
        except ChildGone:
            self.stopped = True
            raise
        self.stopped |= details[0] not in PLANNED or b'{"test":' in self.noted[-1]
        self.arguments += details[2] if details[0] in PLANNED else ()
        return [Blank(self.compared)] * 3


class Rehearsed(tests.Tally):
    """The tally of a rehearsal: every assertion fails, and none ends it. Tells the stand-in where visible ones end."""

    def __init__(self, child: StandIn):
        super().__init__(True, OURS)
        self.first, self.child = ["wrong", "as every assertion"], child  # so none is described

    def __exit__(self, kind, error, trace) -> bool:
        goes_on = super().__exit__(kind, error, trace)
        if self.passed + self.failed == self.child.visible_asserts:
            self.child.first = len(self.child.noted)
        return goes_on


class Plan(NamedTuple):
    """All requests of a test, in order; () if they depend on the answers. The visible asserts make the `first`."""

    requests: tuple[bytes, ...] = ()
    first: int = 0


def planned(program: Program, test: TestProgram, visible_asserts: int = 0) -> Plan | None:
    """The plan of a test whose first asserts are visible.

    None if it hands over an object that cannot be sent. No answer has a part in that: it needs the code's process.
    """
    if test.shared or not test.harmless or test.swallows:
        return Plan()
    for name in (*test.libraries, *(KNOWN_AS.get(name, name) for name in test.modules)):
        importlib.import_module(name)  # not in the rehearsal, whose end would leave half of it
    child = StandIn(visible_asserts)
    rehearsal = Run(program, test, child, shared=False)
    rehearsal.wall, rehearsal.tally = REHEARSAL_SECONDS, Rehearsed(child)
    outcome = rehearsal.judge()
    if child.not_carried:
        return None
    # An argument of one call that the test expects of another call: the code must not see it too early.
    parts = [part for each in child.arguments if type(each) in (list, tuple) for part in each]
    given = {*filter(None, map(telling, [*child.arguments, *parts]))}
    expected = {*filter(None, map(telling, [*child.compared, *literals(program.test)]))}
    # An exception outside of an assertion is one that an answer may have prevented.
    ended = rehearsal.ended or outcome.reason or child.stopped
    complete = test.goes_on and not ended and given.isdisjoint(expected)
    return Plan(tuple(child.noted), child.first) if complete and sum(map(len, child.noted)) <= MOST_BYTES else Plan()


def telling(value) -> bytes | None:
    """A value as bytes, if it is not one that many calls have, such as 0, True or an empty list."""
    kind = type(value)
    if kind not in (int, float, complex, str, bytes, list, tuple, dict, set, frozenset):
        return None
    if abs(value) <= SMALL if kind in (int, float, complex) else len(value) <= 1:
        return None
    try:
        return values.dumps(value)
    except (frames.ValueLimit, RecursionError):
        return None


def literals(test: str) -> list:
    """What the text of a test compares with."""
    sides = [side for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Compare) for side in node.comparators]
    found = []
    for side in sides:
        with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            found.append(ast.literal_eval(side))
    return found
