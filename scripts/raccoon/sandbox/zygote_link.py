"""The judge's connection to its zygote: starts it, asks it to fork a child, and learns how the child ended."""

import contextlib
import dataclasses
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from typing import Protocol

from raccoon.exchange import frames
from raccoon.exchange.frames import STILL_CLEARING
from raccoon.verdicts.test_run import Deadline, Ending

JOB = "=qq"  # a request for a child: its number, its CPU seconds
STATUS = "=qid???"  # the zygote's report of a child's end: its number, wait status, CPU seconds, whether it was killed,
# whether its scratch folder is still being emptied, whether this zygote should not run another child
ZYGOTE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")
ZYGOTE_GONE = 3  # exit code
LONGEST_CLEARING = 60  # seconds that a scratch folder may take to be emptied
OUTPUT_TICK = 0.01  # seconds between two looks at a child's output, so that not every line of it wakes the judge


@dataclasses.dataclass(frozen=True)
class Setup:
    """The settings of one judge and its zygote, from the caller."""

    caller: int  # descriptor of the socket to the caller
    scratch: str  # an empty folder that nothing else uses
    memory_mb: int
    packages: tuple[str, ...]  # site-packages folders of the caller's Python
    preload: tuple[str, ...]
    shared: bool  # run tests with the code
    weak: bool  # continue if Landlock or seccomp is missing


class Output(Protocol):
    """What a child prints into a pipe. `take` reads what is there and says whether more must be taken soon."""

    def fileno(self) -> int: ...

    def take(self) -> bool: ...


class Zygote:
    """The judge's connection to its zygote. `walls` is its one-line report. Raises OSError if it cannot start.

    `spent`: after the last child something is left in the zygote's namespaces, so it must not run another one.
    """

    def __init__(self, setup: Setup):
        self.number, self.ending, self.clearing, self.spent = 0, None, False, False
        self.control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fields = {"control": other.fileno(), "scratch": setup.scratch, "shared": setup.shared}
        fields |= {name: getattr(setup, name) for name in ("memory_mb", "packages", "preload", "weak")}
        command = [sys.executable, "-s", "-S", "-P"]
        command += ["-X", "no_debug_ranges"]  # without columns in tracebacks: a quarter of every compiled program
        command += [ZYGOTE, json.dumps(fields)]
        environment = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
        environment["LD_BIND_NOW"] = "1"  # else each fork would look up and store the same addresses
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        reader, writer = os.pipe()  # from its first moment the interpreter knows that its stdout cannot be sought
        self.process = subprocess.Popen(
            command, env=environment, pass_fds=(other.fileno(),), stdin=subprocess.DEVNULL, stdout=writer
        )
        os.close(reader)
        os.close(writer)
        other.close()
        hello = self.control.recv(1 << 16)
        if not hello:
            raise OSError(f"the zygote ended during its start with code {self.process.wait()}")
        report = json.loads(hello)
        if "error" in report:
            raise OSError(report["error"])
        self.walls, self.caller = report["walls"], setup.caller
        self.control.settimeout(1.0)

    def close(self) -> None:
        """Closes the connection. The zygote then kills its child, empties its scratch folder and ends."""
        self.control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)

    def fork(
        self, job: socket.socket, cpu_seconds: int, output: int, stdin: int | None = None, errors: int | None = None
    ) -> None:
        """Asks for one child that serves `job` and prints into `output`, also its stderr without `errors`.

        A child without `stdin` reads an empty one. With `stdin` it runs a program that reads it (child/programs.py).
        """
        self.settle()
        self.number, self.ending = self.number + 1, None
        message = struct.pack(JOB, self.number, cpu_seconds) + (b"" if stdin is None else b"s")
        given = os.open(os.devnull, os.O_RDONLY) if stdin is None else stdin
        with ending_with_zygote():
            streams = given, output, output if errors is None else errors
            passed = struct.pack("=4i", *streams, job.fileno())  # become the descriptors 0 to 3
            self.control.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        if stdin is None:
            os.close(given)

    def finished(self, seconds: float, output: Output | None = None) -> Ending | None:
        """How the child ended, if it ends by itself within so many seconds; None if not, or if a Deadline rings."""
        until, both = time.monotonic() + seconds, False
        with contextlib.suppress(Deadline), ending_with_zygote():
            while self.ending is None and (left := until - time.monotonic()) > 0:
                watched = [self.control, output] if both else [self.control]
                ready, _, _ = select.select(watched, [], [], min(left, OUTPUT_TICK) if output and not both else left)
                if self.control in ready:
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

    def receive(self) -> None:
        """Takes one report of the zygote. That of an older child is one more than was needed."""
        number, *ending, clearing, spent = struct.unpack(STATUS, self.report())
        if number == self.number:
            self.ending, self.clearing, self.spent = Ending(*ending), clearing, spent

    def settle(self) -> None:
        """Waits until the last child's scratch folder is empty, so that no other program waits for it."""
        with ending_with_zygote():
            while self.clearing:
                self.receive()

    def report(self) -> bytes:
        """The zygote's next report. Raises ConnectionError if there is none for too long.

        The caller gets a message every second of the wait, so that it does not take the judge for hung.
        """
        for _ in range(LONGEST_CLEARING):
            try:
                if report := self.control.recv(64):
                    return report
                break
            except TimeoutError:
                frames.write_frame(self.caller, STILL_CLEARING)
        raise ConnectionError("the zygote does not answer")


@contextlib.contextmanager
def ending_with_zygote():
    """Ends the judge if its zygote has ended. The caller then starts both again."""
    try:
        yield
    except ConnectionError:
        raise SystemExit(ZYGOTE_GONE) from None
