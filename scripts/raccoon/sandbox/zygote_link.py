"""The judge's connection to its zygote: starts it, asks it to fork a child, and learns how the child ended."""

import contextlib
import dataclasses
import json
import os
import socket
import struct
import subprocess
import sys

from raccoon.sandbox.scratch import STILL_CLEARING
from raccoon.verdicts import values
from raccoon.verdicts.test_run import Ending

STATUS = "=id?"  # the zygote's report of a child's end: wait status, CPU seconds, whether it was killed
ZYGOTE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")
ZYGOTE_GONE = 3  # exit code
LONGEST_CLEARING = 60  # seconds that a scratch folder may take to be emptied


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


class Zygote:
    """The judge's connection to its zygote. `walls` is its one-line report. Raises OSError if it cannot start."""

    def __init__(self, setup: Setup, output: int):
        self.control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fields = {"control": other.fileno(), "output": output, "scratch": setup.scratch, "shared": setup.shared}
        fields |= {name: getattr(setup, name) for name in ("memory_mb", "packages", "preload", "weak")}
        command = [sys.executable, "-s", "-S", "-P", "-Wignore"]
        command += ["-X", "no_debug_ranges"]  # without columns in tracebacks: a quarter of every compiled program
        command += [ZYGOTE, json.dumps(fields)]
        environment = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        self.process = subprocess.Popen(
            command, env=environment, pass_fds=(other.fileno(), output), stdin=subprocess.DEVNULL
        )
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

    def fork(self, job: socket.socket, cpu_seconds: int, *streams: int) -> None:
        """Asks for one child that serves `job`. `streams`, if given, become its stdin and stdout."""
        with ending_with_zygote():
            socket.send_fds(self.control, [struct.pack("=q", cpu_seconds)], [job.fileno(), *streams])

    def end(self, gone: bool) -> Ending:
        """Asks to kill the child. One that is `gone` gets a moment to end by itself, so that its status tells why."""
        with ending_with_zygote():
            self.control.send(b"g" if gone else b"k")
            report = self.cleared()
            if not report:
                raise ConnectionError
        return Ending(*struct.unpack(STATUS, report))

    def cleared(self) -> bytes:
        """The zygote's report, which it sends after it has emptied the scratch folder; b"" if that takes too long.

        The caller gets a message every second of the wait, so that it does not take the judge for hung.
        """
        for _ in range(LONGEST_CLEARING):
            try:
                return self.control.recv(64)
            except TimeoutError:
                values.write_frame(self.caller, STILL_CLEARING)
        return b""


@contextlib.contextmanager
def ending_with_zygote():
    """Ends the judge if its zygote has ended. The caller then starts both again."""
    try:
        yield
    except ConnectionError:
        raise SystemExit(ZYGOTE_GONE) from None
