"""Programs that read stdin: each case runs in a new child, and the judge compares its output here.

The cases are the JSON text of a task's test: {"inputs": [...], "outputs": [...], "compare": ..., "checker": ...}.
A child gets the program and one input. It never holds an expected output. Its exit code or messages cannot make a
PASS: only the bytes in the file behind its stdout count, and the judge reads them after the child is dead.

`compare` is one of the rules in comparisons.py. Or it is "checker", for tasks with more than one right answer: a
trusted program defines check(input, output, expected). It returns a truth value or raises AssertionError. Any other
exception is our own fault (INFRA).
"""

import dataclasses
import functools
import json
import marshal
import math
import os
import random
import socket
import time
import types
from typing import Any

from raccoon.verdicts import test_programs as tests
from raccoon.verdicts import values
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
WALL_FACTOR, WALL_EXTRA = 2.0, 2.0  # wall limit of a case over its CPU limit, for programs that sleep
TAIL = 2000  # characters of a program's output that a verdict keeps
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


class CaseRun:
    """One program with its cases. `streams` are two memory files: a case's input, and the program's output."""

    def __init__(self, program: dict, zygote: Any, streams: tuple[int, int]):
        self.program, self.zygote, self.streams = program, zygote, streams
        self.whose = program["task_id"] or "this task"
        self.job = marshal.dumps(((program["context"], program["code"]), None))  # compiled after the first child
        self.compiled = False
        self.cpu_left = float(program["cpu_seconds"])
        self.until = time.monotonic() + program["wall_seconds"]
        self.first: tuple[str, str] | None = None  # kind and text of the first failure
        self.passed = 0
        self.starved = self.stands = False
        self.tail = b""  # of the output in the first failed case, or in the last case

    def judge(self) -> dict:
        """The verdict's fields. The first failed case decides; the others run only to be counted."""
        try:
            cases = parse_cases(self.program["test"])
        except ValueError as error:
            return fields("infra", f"the cases of {self.whose} {error}")
        for number, case in enumerate(zip(cases.inputs, cases.outputs, strict=True), 1):
            if self.first and time.monotonic() > self.until:
                break
            kind, text = self.run_case(cases, *case)
            if kind == "pass":
                self.passed += 1
                continue
            if not self.first:
                self.tail = self.last_printed()
                self.first = kind, text if kind in ("syntax", "infra") else f"{text} (case {number})"
                self.until = min(self.until, time.monotonic() + AFTER_FAILURE)
            if kind not in ("wrong", "exception") or self.program.get("ends_early"):
                break
        if not self.first:
            self.tail = self.last_printed()
        kind, text = self.first or ("pass", "")
        verdict = fields(kind, text, self.passed, len(cases.inputs))
        return verdict | {"starved": self.starved, "output": self.tail.decode("utf-8", "replace")[-TAIL:]}

    def run_case(self, cases: Cases, given: bytes, expected: bytes) -> tuple[str, str]:
        """(kind, text) of one case, from the fork of its child to the comparison."""
        limit = min(self.program["case_seconds"], math.ceil(self.cpu_left))
        wall = min(WALL_FACTOR * limit + WALL_EXTRA, self.until - time.monotonic())
        if limit <= 0 or wall <= 0:
            return "timeout", "the time for all cases is used up"
        self.stage(given)
        reply, fault, late, gone = None, "", False, False
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self.zygote.fork(theirs, limit, *self.streams)
            try:
                alarm(wall)
                reply = self.exchange(ours.fileno())
            except Deadline:
                late = True
            except (EOFError, OSError):
                gone = True
            except (values.ValueLimit, MemoryError):
                fault = "the code's process sent something that is not an answer"
            finally:
                late |= alarm(0) and reply is None
            ending = self.zygote.end(gone)
        self.cpu_left -= ending.cpu_seconds
        kind, text = self.outcome(reply, fault, late, gone, ending, limit)
        if kind == "pass":
            kind, text = self.compared(cases, given, expected)
        return kind, text

    def stage(self, given: bytes) -> None:
        """Puts the input into one stream and empties the other, for the next child."""
        for stream in self.streams:
            os.ftruncate(stream, 0)
            os.lseek(stream, 0, os.SEEK_SET)
        view, place = memoryview(given), 0
        while place < len(view):
            place += os.pwrite(self.streams[0], view[place:], place)

    def exchange(self, descriptor: int) -> list:
        """Sends the program to the child and returns its report; "syntax" if it could not be compiled.

        Raises EOFError if it ends without a report, as a successful program does.
        """
        incoming, self.stands = values.FrameReader(descriptor), False
        values.write_frame(descriptor, self.job)
        incoming.read()  # values.WALLS_STAND: no code has run yet that could send anything else
        self.stands = True
        if not self.compiled:
            frame = incoming.read(MAX_COMPILED + len(values.COMPILED))
            if not frame.startswith(values.COMPILED):
                return ["syntax", *values.loads(frame)[1:]]
            self.job, self.compiled = frame.removeprefix(values.COMPILED), True
        return values.loads(incoming.read())

    def outcome(self, reply, fault: str, late: bool, gone: bool, ending: Ending, limit: int) -> tuple[str, str]:
        """(kind, text) of the program's end; "pass" if it ended by itself with code 0, whatever it printed."""
        if gone:
            return self.gone(ending, limit)
        if late:
            self.starved = BUSY_SHARE * limit < ending.cpu_seconds < limit
            return "timeout", f"no end in {WALL_FACTOR * limit + WALL_EXTRA:g} s"
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
        size = os.fstat(self.streams[1]).st_size
        if size > most:
            return "wrong", f"it printed {size:,} bytes; at most {most:,} are read"
        printed = self.printed(size)
        try:
            text = self.checked(cases, given, printed, expected) if cases.checker else RULES[cases.compare](
                printed, expected)
        except TestFault as fault:
            return "infra", str(fault)
        return ("wrong", text) if text else ("pass", "")

    def checked(self, cases: Cases, given: bytes, printed: bytes, expected: bytes) -> str:
        """The verdict of the task's checker in words, "" if it accepts. Raises TestFault if the checker fails."""
        texts = [text.decode("utf-8", "replace") for text in (given, printed, expected)]
        namespace = {"__name__": "checker", "__builtins__": __builtins__}
        random.seed(0)
        try:
            alarm(max(0.1, self.until - time.monotonic()))
            exec(cases.checker, namespace)
            return "" if namespace[CHECK](*texts) else "the checker rejects the output"
        except Deadline:
            return "the checker did not end with this output"
        except AssertionError as error:
            return tests.describe(error)
        except (Exception, SystemExit) as error:
            raise TestFault(f"the checker of {self.whose} raises {tests.describe(error)}") from None
        finally:
            alarm(0)

    def printed(self, size: int) -> bytes:
        """The first `size` bytes in the file behind stdout."""
        parts, place = [], 0
        while place < size and (part := os.pread(self.streams[1], size - place, place)):
            parts.append(part)
            place += len(part)
        return b"".join(parts)

    def last_printed(self) -> bytes:
        """The last bytes in that file, to show to people."""
        return os.pread(self.streams[1], 4 * TAIL, max(0, os.fstat(self.streams[1]).st_size - 4 * TAIL))
