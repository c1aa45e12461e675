"""Programs that read stdin: each case runs in a new child, and the judge compares its output here.

The cases are the JSON text of a task's test: {"inputs": [...], "outputs": [...], "compare": ..., "checker": ...}.
A child gets the program and one input. It never holds an expected output. Its exit code or messages cannot make a
PASS: only the bytes in the file behind its stdout count, and the judge reads them after the child is dead.

`compare` is one of the rules in comparisons.py. Or it is "checker", for tasks with more than one right answer: a
trusted program defines check(input, output, expected). It returns a truth value or raises AssertionError. It runs in a
fork of its own, so it leaves nothing behind. If it raises anything else or does not end, the output is wrong; but if it
also fails on the expected output, that is our own fault (INFRA).
"""

import contextlib
import dataclasses
import functools
import json
import marshal
import math
import os
import random
import select
import signal
import socket
import time
import types
from collections.abc import Callable
from typing import Any

from raccoon.exchange import frames, values
from raccoon.exchange.frames import STILL_CLEARING
from raccoon.test_texts import test_programs as tests
from raccoon.verdicts.comparisons import RULES
from raccoon.verdicts.proxies import failure_text, reason_kind, well_formed
from raccoon.verdicts.test_run import (
    AFTER_FAILURE,
    BUSY_SHARE,
    TIMEOUT_SHARE,
    Deadline,
    Ending,
    TestFault,
    alarm,
    fields,
)

MAX_COMPILED = 16 << 20  # bytes of a compiled program
ROOM = 1 << 20  # bytes that a program may print beyond twice the expected output
CHECKED_OUTPUT = 16 << 20  # bytes of output that a checker reads at most
MAX_CASE = 1 << 30  # bytes of a case with its output, for a checker
MAX_PRINTED = 64 << 20  # bytes that a program may print
TAKEN = 1 << 20  # bytes of a program's output that are read at once
PIPE = 1 << 16  # bytes that a pipe holds: a program that has filled it waits
WALL_FACTOR, WALL_EXTRA = 2.0, 2.0  # wall limit of a case over its CPU limit, for programs that sleep
TAIL = 2000  # characters of a program's output that a verdict keeps
ANSWERED, FAILED = b"-", b"!"  # the first byte of what a checker's process sends
CHECK = "check"  # the function that a checker defines


@dataclasses.dataclass(frozen=True)
class Cases:
    """The inputs, the expected outputs and the way to compare them."""

    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    compare: str
    checker: types.CodeType | None


@functools.lru_cache(maxsize=8)  # the completions of a group share their cases
def parse_cases(text: str) -> Cases:
    """The cases of a task. Raises ValueError that says what is wrong with them."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("are not JSON") from None
    if not isinstance(record, dict):
        raise ValueError("are not a JSON object")
    inputs, outputs = (record.get(name) for name in ("inputs", "outputs"))
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
        texts = [tuple(each.encode() for each in texts) for texts in (inputs, outputs)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"cannot be used: {tests.describe(error)}") from None
    return Cases(*texts, compare, checker)


# --- the run ----------------------------------------------------------------------------------------------------------


class Flood(Exception):
    """The program prints more than MAX_PRINTED."""


class Streams:
    """The stdin, stdout and stderr of one case: nothing that a program does to them outlives it.

    stdin is a file, as with `python program.py < input`. stdout is a pipe, as in every judge that captures it: what has
    been printed can be neither read nor changed.
    """

    def __init__(self, given: bytes):
        self.stdin, self.errors = frames.memory_file(), frames.memory_file()
        self.reader, self.stdout = os.pipe()
        os.set_blocking(self.reader, False)
        self.printed, self.said = bytearray(), b""
        view, place = memoryview(given), 0
        while place < len(view):
            place += os.pwrite(self.stdin, view[place:], place)

    def fileno(self) -> int:
        """The end of stdout's pipe that is read here."""
        return self.reader

    def take(self) -> bool:
        """Reads what is in the pipe. Whether the program may be waiting for that. Raises Flood beyond MAX_PRINTED."""
        before = len(self.printed)
        with contextlib.suppress(BlockingIOError):
            while len(self.printed) < before + TAKEN and (part := os.read(self.reader, TAKEN)):
                self.printed += part
        if len(self.printed) > MAX_PRINTED:
            raise Flood
        return len(self.printed) >= before + PIPE

    def close(self) -> None:
        """Reads what the dead child has left, and closes everything."""
        with contextlib.suppress(Flood):
            while self.take():
                pass
        if size := os.fstat(self.errors).st_size:
            self.said = os.pread(self.errors, 4 * TAIL, max(0, size - 4 * TAIL))
        for descriptor in (self.stdin, self.reader, self.errors):
            os.close(descriptor)

    def tail(self) -> bytes:
        """The last bytes of output and messages, to show to people."""
        return bytes(self.printed[-4 * TAIL :]) + self.said


class CaseRun:
    """One program with its cases. `confine` puts walls around a fork of the judge that runs a checker."""

    def __init__(self, program: dict, zygote: Any, confine: Callable[[], None]):
        self.program, self.zygote, self.confine = program, zygote, confine
        self.streams: Streams | None = None  # of the present case
        self.whose = program["task_id"] or "this task"
        self.job = marshal.dumps(((program["context"], program["code"]), None))  # compiled after the first child
        self.compiled = False
        self.limit = program["cpu_seconds"]  # of each case
        self.wall = WALL_FACTOR * self.limit + WALL_EXTRA
        self.until = math.inf  # the time for counting the cases that pass after a failure
        self.spoke = time.monotonic()
        self.first: tuple[str, str] | None = None  # kind and text of the first failure
        self.passed = 0
        self.checker: Checker | None = None
        self.starved = self.stands = False
        self.tail = b""  # of the output in the first failed case, or in the last case

    def judge(self) -> dict:
        """The verdict's fields."""
        try:
            cases = parse_cases(self.program["test"])
        except ValueError as error:
            return fields("infra", f"the cases of {self.whose} {error}")
        try:
            return self.judge_cases(cases)
        finally:
            self.end_checker()

    def judge_cases(self, cases: Cases) -> dict:
        """The verdict's fields. The first failed case decides; the others run only to be counted."""
        for number, case in enumerate(zip(cases.inputs, cases.outputs, strict=True), 1):
            if time.monotonic() > self.until:
                break
            kind, text = self.run_case(cases, *case)
            if kind == "pass":
                self.passed += 1
                continue
            if not self.first:
                self.tail = self.streams.tail() if self.streams else b""
                self.first = kind, text if kind in ("syntax", "infra") else f"{text} (case {number})"
                self.until = time.monotonic() + AFTER_FAILURE
            if kind not in ("wrong", "exception") or self.program.get("ends_early"):
                break
        if not self.first:
            self.tail = self.streams.tail() if self.streams else b""
        kind, text = self.first or ("pass", "")
        verdict = fields(kind, text, self.passed, len(cases.inputs))
        return verdict | {"starved": self.starved, "output": self.tail.decode("utf-8", "replace")[-TAIL:]}

    def run_case(self, cases: Cases, given: bytes, expected: bytes) -> tuple[str, str]:
        """(kind, text) of one case, from the fork of its child to the comparison."""
        limit, wall = self.limit, self.time_left()
        reply, fault, late, gone, ending = None, "", False, False, None
        self.streams = streams = Streams(given)
        self.stands, until = False, time.monotonic() + wall
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self.zygote.fork(theirs, limit, streams.stdout, streams.stdin, streams.errors)
            os.close(streams.stdout)  # so that the child's end ends it
            try:
                incoming = frames.FrameReader(ours.fileno())
                reply = self.start(ours.fileno(), incoming, wall)
                if not reply:
                    ending = self.zygote.finished(until - time.monotonic(), streams)
                    late = ending is None
                if ending:
                    ours.setblocking(False)  # should a copy of the dead child's end still be open
                    reply = self.report(incoming)
            except Deadline:
                late = True
            except (EOFError, OSError):
                gone = True
            except (frames.ValueLimit, MemoryError):
                fault = "the code's process sent something that is not an answer"
            except Flood:
                fault = f"it printed more than {MAX_PRINTED:,} bytes"
            ending = self.zygote.end(gone)
        streams.close()
        kind, text = self.outcome(reply, fault, late, gone, ending, limit)
        if kind == "pass":
            kind, text = self.compared(cases, given, expected)
        return kind, text

    def time_left(self) -> float:
        """Wall seconds for what comes next: a program, or a checker. The caller learns that the judge is not hung."""
        if time.monotonic() > self.spoke + 1:
            frames.write_frame(self.zygote.caller, STILL_CLEARING)
            self.spoke = time.monotonic()
        return max(0.1, min(self.wall, self.until - time.monotonic()))

    def start(self, job: int, incoming: frames.FrameReader, wall: float) -> list | None:
        """Sends the program to the child. The first child compiles it for all; "syntax" if that fails."""
        frames.write_frame(job, self.job)
        if self.compiled:
            return None
        try:
            alarm(wall)
            self.check_walls(incoming)
            frame = incoming.read(MAX_COMPILED + len(frames.COMPILED))
        finally:
            alarm(0)
        if not frame.startswith(frames.COMPILED):
            return ["syntax", *values.loads(frame)[1:]]
        self.job, self.compiled = frame.removeprefix(frames.COMPILED), True
        return None

    def check_walls(self, incoming: frames.FrameReader) -> None:
        """Reads the child's first frame: no code has run yet that could send anything else."""
        incoming.read()
        self.stands = True

    def report(self, incoming: frames.FrameReader) -> list:
        """What the dead child has reported. Raises EOFError if it ended without, as a successful program does."""
        if not self.stands:
            self.check_walls(incoming)
        return values.loads(incoming.read())

    def outcome(self, reply, fault: str, late: bool, gone: bool, ending: Ending, limit: int) -> tuple[str, str]:
        """(kind, text) of the program's end; "pass" if it ended by itself with code 0, whatever it printed."""
        if gone:
            return self.gone(ending, limit)
        if late:
            self.starved = BUSY_SHARE * limit < ending.cpu_seconds < limit
            return "timeout", f"no end in {self.wall:g} s"
        if fault or not well_formed(reply) or reply[0] == "ok":
            return "exception", fault or "the code's process sent something that is not an answer"
        return "syntax" if reply[0] == "syntax" else reason_kind(reply[1]), failure_text(reply)

    def gone(self, ending: Ending, limit: int) -> tuple[str, str]:
        """The same for a child that ended, or was killed, without a report."""
        code = os.waitstatus_to_exitcode(ending.status)
        if not self.stands:
            return "infra", "a wall could not be raised around the code"
        if code == 0 and not ending.killed:
            return "pass", ""
        if code > 0 and not ending.killed:
            return "exception", f"the code ended its process with exit code {code}"
        if ending.cpu_seconds >= TIMEOUT_SHARE * limit:
            return "timeout", f"{limit} s of CPU"
        kind, _, text = ending.reason(False).partition(": ")
        return kind, text

    def compared(self, cases: Cases, given: bytes, expected: bytes) -> tuple[str, str]:
        """(kind, text) for the output that the dead child left in its stdout."""
        most = CHECKED_OUTPUT if cases.checker else 2 * len(expected) + ROOM
        printed = bytes(self.streams.printed)
        if len(printed) > most:
            return "wrong", f"it printed {len(printed):,} bytes; at most {most:,} are read"
        try:
            text = (
                self.checked(cases, given, printed, expected)
                if cases.checker
                else RULES[cases.compare](printed, expected)
            )
        except TestFault as fault:
            return "infra", str(fault)
        return ("wrong", text) if text else ("pass", "")

    def checked(self, cases: Cases, *texts: bytes) -> str:
        """The verdict of the task's checker in words, "" if it accepts. Raises TestFault if the checker is broken."""
        given, _, expected = texts
        fault, text = self.check(cases.checker, texts)
        if fault and self.check(cases.checker, (given, expected, expected))[0]:
            raise TestFault(f"the checker of {self.whose} {text}, also with the expected output")
        return f"the checker {text} with this output" if fault else text

    def check(self, code: types.CodeType, texts: tuple[bytes, ...]) -> tuple[bool, str]:
        """(whether the checker failed to answer, the difference or failure in words)"""
        self.checker = self.checker or Checker(code, self.confine)
        answer, late = self.checker.ask(texts, self.time_left())
        if answer.startswith(ANSWERED):
            return False, answer[1:].decode("utf-8", "replace")
        self.end_checker()  # the next case gets a new one
        return True, answer[1:].decode("utf-8", "replace") or ("does not end" if late else "ends its process")

    def end_checker(self) -> None:
        if self.checker:
            self.checker.end()
        self.checker = None


class Checker:
    """A checker in a fork of the judge, for the cases of one program."""

    def __init__(self, code: types.CodeType, confine: Callable[[], None]):
        self.channel, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            answer_in_fork(theirs.fileno(), code, confine)
        theirs.close()

    def ask(self, texts: tuple[bytes, ...], seconds: float) -> tuple[bytes, bool]:
        """Its answer, b"" if there is none; and whether the time is over."""
        try:
            frames.write_frame(self.channel.fileno(), marshal.dumps(texts))
            if not select.select([self.channel], [], [], seconds)[0]:
                return b"", True
            return self.channel.recv(select.PIPE_BUF), False
        except OSError:
            return b"", False

    def end(self) -> None:
        self.channel.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def answer_in_fork(channel: int, code: types.CodeType, confine: Callable[[], None]) -> None:
    """Runs a checker on the cases that `channel` brings, in a new fork of the judge, and never returns."""
    try:
        os.closerange(3, channel)  # not the channels of the judge
        os.closerange(channel + 1, 1 << 16)
        for number in (signal.SIGALRM, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        confine()
        incoming = frames.FrameReader(channel)
        while True:
            texts = marshal.loads(incoming.read(MAX_CASE))
            kind, text = answer([text.decode("utf-8", "replace") for text in texts], code)
            os.write(channel, (kind + text.encode("utf-8", "replace"))[: select.PIPE_BUF])
    finally:
        os._exit(0)


def answer(texts: list[str], code: types.CodeType) -> tuple[bytes, str]:
    """What a checker says about one case: no text if it accepts the output."""
    try:
        namespace = {"__name__": "checker", "__builtins__": __builtins__}
        random.seed(0)
        exec(code, namespace)
        return ANSWERED, "" if namespace[CHECK](*texts) else "the checker rejects the output"
    except AssertionError as error:
        return ANSWERED, tests.describe(error)
    except BaseException as error:
        return FAILED, f"raises {tests.describe(error)}"
