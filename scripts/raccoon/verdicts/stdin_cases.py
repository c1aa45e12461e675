"""Programs that read stdin: each case runs in a new child, and the judge compares its output here.

The cases are the JSON text of a task's test: {"inputs": [...], "outputs": [...], "compare": ..., "checker": ...}.
A child gets the program and one input. It never holds an expected output. Its exit code or messages cannot make a
PASS: only the bytes in the pipe behind its stdout count, and the judge compares them after the child is dead.

`compare` is one of RULES. Each compares bytes with bytes:
- "lines": equal, except for white space at the ends of lines and blank lines at the end.
- "numbers", as in LiveCodeBench: lines without white space around them; numbers may be written differently.
- "text", as in TACO: equal, except for white space at both ends.
- "tokens": equal words; numbers with a fraction may differ by TOLERANCE.
- "values", as in CodeContests: equal words, whatever the case of letters; numbers may differ by NEAR.

Or it is "checker", for tasks with more than one right answer: a trusted program defines check(input, output, expected).
It returns a truth value or raises AssertionError. It runs in a fork of its own, so it leaves nothing behind. If it
raises anything else or does not end, the output is wrong; but if it also fails on the expected output, that is our own
fault (INFRA).
"""

import contextlib
import dataclasses
import decimal
import functools
import json
import marshal
import math
import operator
import os
import random
import re
import select
import signal
import time
import types
from collections.abc import Callable
from typing import Any

from raccoon.exchange import frames, values
from raccoon.records import Program, Verdict
from raccoon.test_texts import test_programs as tests
from raccoon.verdicts import children
from raccoon.verdicts.children import NO_ANSWER, Ending, Flood, Streams, Zygote, failure_reason, well_formed
from raccoon.verdicts.feedback import feedback
from raccoon.verdicts.judge_heap import Deadline
from raccoon.verdicts.noted import CaseNotes
from raccoon.verdicts.test_run import AFTER_FAILURE, Fork, alarm

MAX_COMPILED = 16 << 20  # bytes of a compiled program
ROOM = 1 << 20  # bytes that a program may print beyond twice the expected output
CHECKED_OUTPUT = 16 << 20  # bytes of output that a checker reads at most
MAX_CASE = 1 << 30  # bytes of a case with its output, for a checker
ANSWERED, FAILED = b"-", b"!"  # the first byte of what a checker's process sends
CHECK = "check"  # the function that a checker defines

TOLERANCE = 1e-6  # absolute, or relative if the expected number is larger than 1
NEAR = 1e-5  # absolute
MAX_NUMBER = 400  # characters of a word; longer words are not numbers
NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?")
REAL = re.compile(rb"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan(?:\([a-z0-9_]*\))?)")
INTEGER = re.compile(rb"[+-]?\d+")


@dataclasses.dataclass(frozen=True)
class Cases:
    """The inputs, the expected outputs and the way to compare them."""

    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    compare: str
    checker: types.CodeType | None


@functools.lru_cache(maxsize=16)  # the completions of a group share their cases
def parse_cases(text: str) -> Cases:
    """The cases of a task. Raises ValueError that says what is wrong with them."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("are not JSON") from None
    if not isinstance(record, dict):
        raise ValueError("are not a JSON object")
    inputs, outputs = (record.get(name, ()) for name in ("inputs", "outputs"))
    for name, texts in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
            raise ValueError(f"have no list of texts {name!r}")
    if len(inputs) != len(outputs):
        raise ValueError(f"are {len(inputs)} inputs but {len(outputs)} outputs")
    compare, source = record.get("compare", "lines"), record.get("checker", "")
    if compare not in RULES and compare != "checker":
        raise ValueError(f"name the unknown comparison {compare!r}: choose from {', '.join(RULES)}, checker")
    if compare == "checker" and (not isinstance(source, str) or not source.strip()):
        raise ValueError("are compared by a checker, but there is none")
    try:
        checker = compile(source, "<checker>", "exec", dont_inherit=True) if compare == "checker" else None
        encoded = [tuple(each.encode() for each in texts) for texts in (inputs, outputs)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"cannot be used: {tests.describe(error)}") from None
    return Cases(encoded[0], encoded[1], compare, checker)


def cases_to_tell(program: Program) -> set[tuple[bytes, bytes]]:
    """(input, output) of each case that feedback may name."""
    if program.max_feedback and program.visible_tests:
        with contextlib.suppress(ValueError):
            cases = parse_cases(program.visible_tests)
            return {*zip(cases.inputs, cases.outputs, strict=True)}
    return set()


class CaseRun:
    """One program with its cases. `confine` puts walls around a fork of the judge that runs a checker."""

    def __init__(self, program: Program, zygote: Zygote, confine: Callable[[], None]):
        self.program, self.zygote, self.confine = program, zygote, confine
        self.whose = program.task_id or "this task"
        self.job = marshal.dumps(((program.context, program.code), None))  # compiled after the first child
        self.compiled = False
        self.wall = program.wall_seconds(shared=False)  # of each case
        self.until = math.inf  # the time for counting the cases that pass after a failure
        self.spoke = time.monotonic()
        self.checker: Fork | None = None
        self.starved = self.stands = False
        self.failure: list = []  # the child's reply about the exception that ended the last run
        self.noted = CaseNotes(program, cases_to_tell(program))

    def judge(self) -> tuple[Verdict, bool]:
        """(verdict, was the child starved). The first failed case decides; the others run only to be counted."""
        try:
            cases = parse_cases(self.program.test)
        except ValueError as error:
            return Verdict.of(f"infra: the cases of {self.whose} {error}"), False
        first, passed = "", 0
        try:
            for number, (given, expected) in enumerate(zip(cases.inputs, cases.outputs, strict=True), 1):
                if time.monotonic() > self.until:
                    break
                streams = Streams(given)
                reason = self.judge_case(cases, streams, given, expected)
                kind = reason.partition(": ")[0]
                if not first:
                    shown = streams  # in the end those of the first failed case, or of the last one
                if kind == "pass":
                    passed += 1
                    continue
                if not first:
                    first = reason if kind in ("syntax", "infra") else f"{reason} (case {number})"
                    self.until = time.monotonic() + AFTER_FAILURE
                if kind not in ("wrong", "exception") or self.program.ends_early:
                    break
            starved = self.starved
            if kind not in ("syntax", "infra"):
                self.judge_visible_left(cases)
        finally:
            self.end_checker()
        verdict = Verdict.of(first or "pass", passed, len(cases.inputs), output=shown.tail(self.program.max_output))
        if self.noted.fault and verdict.status != "INFRA":
            kind, parts = self.noted.fault
            verdict = dataclasses.replace(verdict, feedback=feedback(kind, parts, self.program.max_feedback))
        return verdict, starved or self.starved

    def judge_case(self, cases: Cases, streams: Streams, given: bytes, expected: bytes) -> str:
        """The reason of a verdict on one case."""
        reason = self.run_program(streams)
        if reason == "pass":
            reason = self.compared(cases, given, bytes(streams.printed), expected)
        if reason.startswith("timeout") and self.until < math.inf:
            return reason  # the time after a failure is short: a visible case still has to run
        if self.program.max_feedback and reason != "pass":
            self.noted.failed(reason, self.failure, given, expected, bytes(streams.printed))
        self.noted.left.discard((given, expected))
        return reason

    def judge_visible_left(self, cases: Cases) -> None:
        """Runs the visible cases that stand behind the case at which the verdict was clear, up to one that fails."""
        for given, expected in zip(cases.inputs, cases.outputs, strict=True):
            if self.noted.fault or not self.noted.left:
                return
            if (given, expected) in self.noted.left:
                self.until = math.inf
                self.judge_case(cases, Streams(given), given, expected)

    def run_program(self, streams: Streams) -> str:
        """The reason of a run on one input, from the fork of its child; "pass" if it ended by itself with code 0."""
        wall, limit, reason = self.time_left(), self.program.cpu_seconds, ""
        self.failure = []
        self.stands, until = False, time.monotonic() + wall
        passed = streams.stdin, streams.stdout, streams.errors
        with self.zygote.fork(limit, passed, reads_stdin=True) as job:
            os.close(streams.stdout)  # so that the child's end ends it
            try:
                incoming = frames.FrameReader(job.fileno())
                reply = self.start(job.fileno(), incoming, wall)
                if not reply:
                    if not self.zygote.finished(until - time.monotonic(), streams):
                        raise Deadline
                    job.setblocking(False)  # should a copy of the dead child's end still be open
                    if not self.stands:
                        self.stands = bool(incoming.read())
                    reply = values.loads(incoming.read())
                reason = NO_ANSWER
                if well_formed(reply) and reply[0] in ("error", "syntax"):
                    reason, self.failure = failure_reason(reply), reply
            except Deadline:
                reason = f"timeout: no end in {self.wall:g} s"
            except (EOFError, OSError):  # it ended without a report, as a successful program does
                pass
            except (frames.ValueLimit, MemoryError):
                reason = NO_ANSWER
            except Flood:
                reason = f"exception: it printed more than {children.MAX_PRINTED:,} bytes"
            ending = self.zygote.end(gone=not reason)
        streams.close()
        self.starved = reason.startswith("timeout") and ending.starved(limit)
        return reason or self.reason_of_end(ending)

    def time_left(self) -> float:
        """Wall seconds for what comes next: a program, or a checker. The caller learns that the judge is not hung."""
        if time.monotonic() > self.spoke + 1:
            frames.write_frame(self.zygote.caller, frames.STILL_CLEARING)
            self.spoke = time.monotonic()
        return max(0.1, min(self.wall, self.until - time.monotonic()))

    def start(self, job: int, incoming: frames.FrameReader, wall: float) -> list | None:
        """Sends the program to the child. The first child compiles it for all; the reply says why if that fails."""
        frames.write_frame(job, self.job)
        if self.compiled:
            return None
        try:
            alarm(wall)
            self.stands = bool(incoming.read())  # no code has run yet that could send anything else
            frame = incoming.read(MAX_COMPILED + len(frames.COMPILED))
        finally:
            alarm(0)
        if not frame.startswith(frames.COMPILED):
            return ["syntax", *values.loads(frame)[1:]]
        self.job, self.compiled = frame.removeprefix(frames.COMPILED), True
        return None

    def reason_of_end(self, ending: Ending) -> str:
        """The same for a child that ended, or was killed, without a report."""
        code = os.waitstatus_to_exitcode(ending.status)
        if not self.stands:
            return children.NO_WALL
        if code >= 0 and not ending.killed:
            return f"exception: the code ended its process with exit code {code}" if code else "pass"
        return ending.reason(self.program.cpu_seconds, may_kill_itself=False)

    def compared(self, cases: Cases, given: bytes, printed: bytes, expected: bytes) -> str:
        """The reason of a verdict on an output."""
        most = CHECKED_OUTPUT if cases.checker else 2 * len(expected) + ROOM
        if len(printed) > most:
            return f"wrong: it printed {len(printed):,} bytes; at most {most:,} are read"
        if not cases.checker:
            text = RULES[cases.compare](printed, expected)
            return f"wrong: {text}" if text else "pass"
        fault, text = self.check(cases.checker, given, printed, expected)
        if fault and self.check(cases.checker, given, expected, expected)[0]:
            return f"infra: the checker of {self.whose} {text}, also with the expected output"
        text = f"the checker {text} with this output" if fault else text
        return f"wrong: {text}" if text else "pass"

    def check(self, code: types.CodeType, *texts: bytes) -> tuple[bool, str]:
        """(whether the checker failed to answer, the difference or failure in words)"""
        self.checker = self.checker or Fork(self.confine, functools.partial(serve_checker, code))
        answer, late = b"", False
        try:
            answer = self.checker.ask(self.time_left(), marshal.dumps(texts))
        except Deadline:
            late = True
        text = answer[1:].decode("utf-8", "replace")
        if answer.startswith(ANSWERED):
            return False, text
        self.end_checker()  # the next case gets a new one
        return True, text or ("does not end" if late else "ends its process")

    def end_checker(self) -> None:
        if self.checker:
            self.checker.end()
        self.checker = None


def serve_checker(code: types.CodeType, channel: int) -> None:
    """Runs a checker on the cases that `channel` brings, in a new fork of the judge."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    incoming = frames.FrameReader(channel)
    while True:
        texts = [text.decode("utf-8", "replace") for text in marshal.loads(incoming.read(MAX_CASE))]
        kind, text = ANSWERED, ""
        try:
            namespace: dict[str, Any] = {"__name__": "checker", "__builtins__": __builtins__}
            random.seed(0)
            exec(code, namespace)
            text = "" if namespace[CHECK](*texts) else "the checker rejects the output"
        except AssertionError as error:
            text = tests.describe(error)
        except BaseException as error:
            kind, text = FAILED, f"raises {tests.describe(error)}"
        frames.write_frame(channel, (kind + text.encode("utf-8", "replace"))[: select.PIPE_BUF])


# --- comparisons ------------------------------------------------------------------------------------------------------


def first_difference(
    printed: bytes, expected: bytes, split: Callable, equal: Callable = operator.eq, unit: str = "line"
) -> str:
    """The first difference between the units of two texts, in words; "" if there is none."""
    ours, theirs = split(printed), split(expected)
    if ours == theirs:
        return ""
    for number, pair in enumerate(zip(ours, theirs, strict=False), 1):
        if not equal(*pair):
            return f"{unit} {number} differs"
    return "" if len(ours) == len(theirs) else f"{len(ours)} {unit}s instead of {len(theirs)}"


def compare_text(printed: bytes, expected: bytes) -> str:
    unix = printed.replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # whatever ends the printed lines
    return first_difference(unix, expected, lambda text: text.strip().split(b"\n"))


def trimmed(text: bytes) -> list[bytes]:
    """The lines without trailing white space, up to the last that is not blank."""
    lines = [line.rstrip() for line in text.rstrip().split(b"\n")]
    return [] if lines == [b""] else lines


def stripped(text: bytes) -> list[bytes]:
    return [line.strip() for line in text.strip().split(b"\n")]


def small_words(text: bytes) -> list[bytes]:
    return text.lower().replace(b"\f", b"\0").split()


def equal_line(ours: bytes, theirs: bytes) -> bool:
    """Whether two lines are equal, or hold equal numbers."""
    if ours == theirs:
        return True
    words = ours.split(), theirs.split()
    return len(words[0]) == len(words[1]) and all(map(equal_decimal, *words))


def equal_decimal(ours: bytes, theirs: bytes) -> bool:
    """Whether both words are numbers for `decimal` with the same value."""
    try:
        return decimal.Decimal(ours.decode()) == decimal.Decimal(theirs.decode())
    except (decimal.InvalidOperation, UnicodeDecodeError):
        return False


def equal_token(ours: bytes, theirs: bytes) -> bool:
    """Whether two words are equal. An expected integer must match exactly, another number approximately."""
    if ours == theirs:
        return True
    if not all(len(word) <= MAX_NUMBER and NUMBER.fullmatch(word) for word in (ours, theirs)):
        return False
    got, wanted = float(ours), float(theirs)
    if INTEGER.fullmatch(theirs) or math.isinf(wanted):  # TOLERANCE cannot be applied to what is larger than a float
        return equal_decimal(ours, theirs)
    return math.isfinite(got) and abs(got - wanted) <= TOLERANCE * max(1.0, abs(wanted))


def equal_value(ours: bytes, theirs: bytes) -> bool:
    """Whether two words are equal and no numbers, or numbers of double precision that differ by less than NEAR.

    OutputsMatch in execution/tester_sandboxer.cc of google-deepmind/code_contests (8d1341a3). An infinity is equal only
    to itself, and only if all words are equal.
    """
    if REAL.fullmatch(ours) and REAL.fullmatch(theirs):
        return abs(float(ours) - float(theirs)) < NEAR
    return ours == theirs


RULES: dict[str, Callable[[bytes, bytes], str]] = {
    "lines": functools.partial(first_difference, split=trimmed),
    "numbers": functools.partial(first_difference, split=stripped, equal=equal_line),
    "text": compare_text,
    "tokens": functools.partial(first_difference, split=bytes.split, equal=equal_token, unit="word"),
    "values": functools.partial(first_difference, split=small_words, equal=equal_value, unit="word"),
}
