"""The untrusted process as the judge sees it: its start and its end by the zygote, and its answers to requests.

Everything that the child sends is treated as data.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from typing import Any, NoReturn

from raccoon.exchange import frames, heap, values
from raccoon.exchange.values import MAX_ITEMS, Inline
from raccoon.verdicts.feedback import builtin_class
from raccoon.verdicts.judge_heap import OURS, ChildGone, JudgeHeap, NotCarried

TIMEOUT_SHARE = 0.5  # of the CPU limit: a child killed by the kernel above it was killed for its CPU time (the kernel
# samples that time for limits and measures it for reports). Below it, something else killed it
BUSY_SHARE = 0.2  # of the CPU limit: a child that used more before the wall limit was computing, not sleeping
KILLED_OUTSIDE = "infra: the code's process was killed from outside, perhaps for want of memory"
NO_ANSWER = "exception: the code's process sent something that is not an answer"
NO_WALL = "infra: a wall could not be raised around the code"
ZYGOTE_GONE = 3  # exit code
LONGEST_CLEARING = 60  # seconds that a scratch folder may take to be emptied
OUTPUT_TICK = 0.01  # seconds between two looks at a child's output, so that not every line of it wakes the judge
CALLS = ("call", "method")  # requests whose answer is what a function of the code returns
PLAIN_CALL = b'["call",'  # how a request starts that calls a function with values only
MAX_TEXT = 300  # characters of a message
MAX_PRINTED = 64 << 20  # bytes that a program may print
TAKEN = 1 << 20  # bytes of a program's output that are read at once
PIPE = 1 << 16  # bytes that a pipe holds: a program that has filled it waits
TAIL = 2000  # characters of a program's output that a verdict keeps


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a child ended: its wait status, its CPU seconds, and whether it had to be killed."""

    status: int
    cpu_seconds: float
    killed: bool

    def reason(self, limit: int, may_kill_itself: bool) -> str:
        """Why a child closed its channel. `limit`: its CPU seconds."""
        if self.cpu_seconds >= TIMEOUT_SHARE * limit:
            return f"timeout: {limit} s of CPU"
        if self.killed:
            return "exception: the code closed its channel to the tests"
        code = os.waitstatus_to_exitcode(self.status)
        if code == -signal.SIGKILL and not may_kill_itself:
            return KILLED_OUTSIDE
        if code < 0:
            names = {known.value: known.name for known in signal.Signals}  # real-time signals have none
            return f"exception: the code's process died of {names.get(-code, f'signal {-code}')}"
        return f"exception: the code ended its process with exit code {code} before its tests were over"

    def starved(self, limit: int) -> bool:
        """Whether a child that was not in time was computing, but got too little of the CPU."""
        return BUSY_SHARE * limit < self.cpu_seconds < limit


class Flood(Exception):
    """The program prints more than MAX_PRINTED."""


class Streams:
    """The stdin, stdout and stderr of a whole program: nothing that it does to them outlives it.

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
        self.said = file_tail(self.errors)
        for descriptor in (self.stdin, self.reader):
            os.close(descriptor)

    def tail(self, most: int = 0) -> str:
        """The end of output and messages, to show to people; with `most`, what Program.max_output says."""
        if most:
            return json.dumps([self.printed[: 4 * most].decode("utf-8", "replace")[:most], shown(self.said)])
        return shown(bytes(self.printed[-4 * TAIL :]) + self.said)


def file_tail(descriptor: int) -> bytes:
    """The end of a file in memory, which is closed."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 4 * TAIL, max(0, size - 4 * TAIL)) if size else b""
    os.close(descriptor)
    return tail


def shown(output: bytes) -> str:
    """The end of a program's output as a verdict keeps it."""
    return output.decode("utf-8", "replace")[-TAIL:]


class Zygote:
    """The judge's link to its zygote, by a `control` socket. `caller`: the descriptor to the judge's own caller.

    `spent`: after the last child something is left in the zygote's namespaces, so it must not run another one.
    """

    def __init__(self, process: subprocess.Popen, control: socket.socket, caller: int):
        self.process, self.control, self.caller = process, control, caller
        self.number, self.clearing, self.spent = 0, False, False
        self.ending: Ending | None = None
        control.settimeout(1.0)

    def fork(self, cpu_seconds: int, streams: tuple[int, ...], reads_stdin: bool = False) -> socket.socket:
        """The channel to a new child with these three streams. One that `reads_stdin` is a whole program."""
        self.settle()
        self.number, self.ending = self.number + 1, None
        ours, theirs = socket.socketpair()
        message = struct.pack(frames.JOB, self.number, cpu_seconds, reads_stdin)
        passed = struct.pack("=4i", *streams, theirs.fileno())  # become the descriptors 0 to 3
        with theirs, ending_with_zygote():
            self.control.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        return ours

    def finished(self, seconds: float, output: Streams | None = None) -> Ending | None:
        """How the child ended, if it ends by itself within so many seconds; else None."""
        until, both = time.monotonic() + seconds, False
        with ending_with_zygote():
            while self.ending is None and (left := until - time.monotonic()) > 0:
                watched = [self.control.fileno()] + ([output.reader] if output and both else [])
                ready, _, _ = select.select(watched, [], [], min(left, OUTPUT_TICK) if output and not both else left)
                if watched[0] in ready:
                    self.receive()
                elif output:
                    both = output.take()
        return self.ending

    def end(self, gone: bool) -> Ending:
        """Kills the child, unless it has ended. One that is `gone` gets a moment to end by itself, which tells why."""
        with ending_with_zygote():
            if self.ending is None:
                self.control.send(b"g" if gone else b"k")
            while self.ending is None:
                self.receive()
        return self.ending

    def close(self) -> None:
        """Closes the link. The zygote then kills its child, empties its scratch folder and ends."""
        self.control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)

    def settle(self) -> None:
        """Waits until the last child's scratch folder is empty, so that no other program waits for it."""
        with ending_with_zygote():
            while self.clearing:
                self.receive()

    def receive(self) -> None:
        """Takes one report of the zygote. That of an older child is one more than was needed."""
        report = None
        for _ in range(LONGEST_CLEARING):
            try:
                report = self.control.recv(64)
                break
            except TimeoutError:  # of a second
                frames.write_frame(self.caller, frames.STILL_CLEARING)  # else it would take the judge for hung
        if not report:
            raise ConnectionError("the zygote does not answer")
        number, *ending, clearing, spent = struct.unpack(frames.STATUS, report)
        if number == self.number:
            self.ending, self.clearing, self.spent = Ending(*ending), clearing, spent


@contextlib.contextmanager
def ending_with_zygote():
    """Ends the judge if its zygote has ended. The caller then starts both again."""
    try:
        yield
    except ConnectionError:
        raise SystemExit(ZYGOTE_GONE) from None


class Child:
    """The untrusted process as a test in the judge sees it: a descriptor that delivers values.

    `planned`: the requests that the child gets at once, or in two steps if `first` is not None: so many at first, and
    the others when those are answered; then `wait` is called. `expects_stop`: the test expects a StopIteration of the
    code.
    """

    heap: JudgeHeap  # there before the first request

    def __init__(
        self, descriptor: int, planned: tuple[bytes, ...] = (), expects_stop: bool = False, first: int | None = None
    ):
        self.descriptor, self.incoming = descriptor, frames.FrameReader(descriptor)
        self.planned, self.expects_stop = planned, expects_stop
        self.first = len(planned) if first is None else first
        self.later: tuple[bytes, ...] = ()  # frames of the second step
        self.wait: Callable[[], Any] = int
        self.fault: str | None = None  # of the ChildGone that was raised, also if the test caught it
        self.loaded = self.ready = self.gone = self.diverged = False
        self.load_failure: list = []  # the reply of a top level that did not end well
        self.returned: list = []  # the last result of a call
        self.requests = 0
        self.silent = False  # while a message about a failure is written, which must not run code

    def send(self, context: str, code: str, tracks: bool) -> None:
        """Sends the program and the planned requests. The program starts to run."""
        plain = bool(self.planned) and not tracks and all(data.startswith(PLAIN_CALL) for data in self.planned)
        now, self.later = self.planned[: self.first], self.planned[self.first :]
        calls, requests = (now, ()) if plain else ((), now)
        if plain and self.later:
            self.later = (b"[" + b",".join(self.later) + b"]",)
        fields = {"context": context, "code": code, "tracks": tracks}
        fields |= {"planned": len(requests), "later": len(self.later), "plain": plain}
        program = json.dumps(fields).encode().removesuffix(b"}") + b',"calls":[' + b",".join(calls) + b"]}"
        self._write(program, *requests)

    def load(self) -> None:
        """Waits until the program's top level has run. Raises ChildGone with the reason if it did not."""
        self.loaded = True
        try:
            self.incoming.read()  # frames.WALLS_STAND: no code has run yet that could send anything else
        except (EOFError, OSError):
            self.end(NO_WALL)
        reply = self._receive()
        if reply[0] != "ok":
            self.load_failure = reply
            self.end(failure_reason(reply))
        self.ready = True

    def request(self, *details) -> list:
        """The parts of the reply to one request. Raises the code's exception."""
        if self.silent:
            raise AttributeError("not asked")
        if not self.loaded:
            self.load()
        number, self.requests = self.requests, self.requests + 1
        self.heap.asked(*details[:2])
        try:
            data = values.dumps(Inline(details), self.heap)
        except NotCarried as error:
            self.end(f"exception: the test hands an object of its class {error} to the code")
        except frames.ValueLimit as error:
            self.end(f"exception: the test hands a value to the code that cannot be sent: {error}")
        if not self.planned:
            self._write(data)
        elif number >= len(self.planned) or data != self.planned[number]:
            self.diverged = True
            raise ChildGone
        elif self.later and number == self.first:
            self._write(*self.later)
            self.later = ()
            self.wait()
        while True:
            reply = self._receive()
            if reply[0] == "ok":
                if details[0] in CALLS:
                    self.returned = reply[1:2]
                return reply[1:]
            if reply[0] != "callback":
                raise self.raised(reply)
            self._write(values.dumps(self.called_back(reply), self.heap))

    def called_back(self, reply: list) -> list:
        """The answer to the code's call of a function of the test, or to its request for items of an iterator."""
        try:
            _, number, kind, *details = reply
            found: Any = self.heap.objects[number]
            if kind == "take":
                [most] = details
                arguments, keywords = (found, min(most, MAX_ITEMS)), ()
                found = lambda iterator, most: Inline(itertools.islice(iterator, most))  # noqa: E731
            else:
                arguments, keywords = details
        except (LookupError, TypeError, ValueError):
            self.end("exception: the code's process calls what it was not given")
        try:
            return Inline(["return", found(*arguments, **dict(keywords))])
        except OURS:
            raise
        except BaseException as error:
            return Inline(["raise", error])

    def raised(self, reply: list) -> BaseException:
        """The exception of a failure reply, as the test gets it."""
        if not well_formed(reply):
            self.end(NO_ANSWER)
        error = reply[4]
        if not isinstance(error, BaseException):
            loaded = [heap.standard_object(*name.rpartition(".")[::2]) for name in reply[2]]
            kinds = [kind for kind in loaded if isinstance(kind, type) and issubclass(kind, BaseException)]
            error = (kinds[0] if kinds else RuntimeError)(reply[3])
        if isinstance(error, (StopIteration, StopAsyncIteration)) and not self.expects_stop:
            error = RuntimeError(f"the code raised {type(error).__name__}")  # it would silently end the test's own loop
        if not hasattr(error, "verdict_kind"):
            kind, _, text = failure_reason(["error", *reply[1:]]).partition(": ")
            vars(error).update(verdict_kind=kind, verdict_text=text)
        vars(error)["verdict_place"] = builtin_class(reply[2]), reply[5:]
        return error

    def _write(self, *datas: bytes) -> None:
        try:
            frames.write_frame(self.descriptor, *datas)
        except OSError:
            self.gone = True
            self.end("")

    def _receive(self) -> list:
        reply: Any = None
        try:
            reply = values.loads(self.incoming.read(), self.heap)
        except (EOFError, OSError):
            self.gone = True
            self.end("")
        except frames.ValueLimit as error:
            self.end(f"exception: the code's answer is {error}")
        except MemoryError:
            self.end("memory: the code's answer does not fit the judge's memory")
        if not well_formed(reply):
            self.end(NO_ANSWER)
        return reply

    def end(self, reason: str) -> NoReturn:
        """Stops the test for a reason that the verdict gives."""
        self.fault = reason if self.fault is None else self.fault
        raise ChildGone(reason) from None


def well_formed(reply) -> bool:
    """Whether a reply has the form that a child gives it."""
    if type(reply) is not list or not reply or reply[0] not in ("ok", "callback", "error", "syntax"):
        return False
    if reply[0] in ("ok", "callback"):
        return 2 <= len(reply) <= 5
    if [type(part) for part in reply[1:4]] != [str, list, str] or not 5 <= len(reply) <= 6:
        return False
    return all(type(name) is str for name in reply[2])


def failure_reason(reply: list) -> str:
    """The reason of a verdict for a failure reply, in one line: `exception: ValueError: message`."""
    kind = {"MemoryError": "memory", "PermissionError": "forbidden"}.get(reply[1], "exception")
    message = " ".join(reply[3].split())
    text = (f"{reply[1]}: {message}" if message else reply[1])[:MAX_TEXT]
    return f"{'syntax' if reply[0] == 'syntax' else kind}: {text}"
