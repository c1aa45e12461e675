"""Runs untrusted Python against tests and says what came of it: a Verdict that the code cannot forge.

Not a virtual machine: kernel bugs are out of reach (put a VM or gVisor around the whole job where the host matters),
and a verdict is as good as its tests.

Three processes: the caller (this file; it may hold torch and secrets, and never forks), one judge for each worker
(judge.py; it holds the tests), and the judge's zygote (zygote.py; it forks one child for each program).
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import json
import math
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from raccoon.sandbox.machine import SandboxError, memory_note, refuse_foreign_platform, scratch_root
from raccoon.sandbox.scratch import STILL_CLEARING, remove_folder

TIMEOUT = 10.0  # CPU seconds of one program; MBPP's slowest gold solution needs 3
MEMORY_MB = 1024  # address space of one program beyond the interpreter's own
MAX_SOURCE = 1 << 20  # characters of code; longer is refused unread
WALL_FACTOR = {False: 2.0, True: 6.0}  # wall limit over CPU limit, the backstop for programs that sleep; in shared
# isolation (True) it is the tests that wait: servers to come up, processes to time out
WALL_EXTRA = 2.0  # seconds on top
PATIENCE = 4.0  # seconds of silence beyond the wall limit after which a judge counts as hung
WINDOW = 64  # programs handed in ahead of the verdict that is awaited
MAX_TIMEOUT = 3600  # seconds
JUDGE = Path(__file__).resolve().with_name("judge.py")
START_SECONDS = 60.0  # for a judge to stand
ALLOW_WEAK = "SANDBOX_ALLOW_WEAK"  # environment variable
CASES_BUDGET = 4  # times the CPU limit of one case: what all cases of a program that reads stdin may take together
PROGRAM_FIELDS = ("code", "test", "entry_point", "context", "task_id", "kind")  # that the judge gets
KINDS = ("pass", "wrong", "exception", "syntax", "no code", "timeout", "memory", "forbidden", "infra")


@dataclasses.dataclass(frozen=True)
class Program:
    """Untrusted `code` and the trusted `test` for it; `context` runs before both, `timeout` is in CPU seconds.

    `kind` "function": the test is a program that calls the code. "program": the code reads stdin and prints, the test
    holds its cases (stdin_cases.py), `timeout` is that of one case, and `ends_early` stops at the first that fails.
    """

    code: str
    test: str
    entry_point: str = ""
    context: str = ""
    task_id: str = ""
    timeout: float | None = None
    kind: str = "function"
    ends_early: bool = False

    @classmethod
    def of(cls, task: Any, code: str, **changes: Any) -> "Program":
        """The program that runs a task's test on code. `task` is read by its fields: this room imports no other."""
        fields = {name: getattr(task, name) for name in ("test", "entry_point", "context", "task_id", "kind")}
        return cls(**{"code": code, **fields, **changes})


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of a program: PASS, PARTIAL (ran; an assertion failed), FAIL (does not run) or INFRA (our own fault).

    `reason` is one line, "kind" or "kind: text" with a kind of KINDS; `seconds` is wall time; `isolation` is
    "separate" (tests in another process than the code) or "shared"; `output` the tail of what the program printed.
    """

    status: str
    reason: str
    tests_passed: int
    tests_total: int
    seconds: float
    isolation: str
    output: str = ""

    @property
    def kind(self) -> str:
        """The class of the reason, one of KINDS."""
        return self.reason.partition(": ")[0]

    def as_dict(self) -> dict:
        """The fields of a verdict line, without the task_id."""
        return dataclasses.asdict(self)


def failed(reason: str, status: str = "FAIL") -> Verdict:
    """A verdict reached without running anything."""
    return Verdict(status, reason, 0, 0, 0.0, "separate")


class Sandbox:
    """A pool of judges. Create it early, close it (or use `with`), share it between threads.

    `workers`: programs judged at once (default: the cores this process may use). `timeout`: CPU seconds of a program.
    `memory_mb`: address space of a program. `preload`: modules imported before the forks, for tasks that use them.
    Raises SandboxError where the machine has not the walls for it and SANDBOX_ALLOW_WEAK is not set.
    """

    def __init__(
        self,
        workers: int | None = None,
        timeout: float = TIMEOUT,
        memory_mb: int = MEMORY_MB,
        preload: tuple[str, ...] = (),
        allow_weak: bool = False,
    ):
        refuse_foreign_platform()
        size = len(os.sched_getaffinity(0)) if workers is None else workers
        for name, value, most in (
            ("workers", size, 4096),
            ("timeout", timeout, MAX_TIMEOUT),
            ("memory_mb", memory_mb, 1 << 24),
        ):
            if not 0 < value <= most:
                raise SandboxError(f"{name} is {value}: give a number above 0, up to {most}")
        self.timeout = timeout
        self._settings = {"memory_mb": memory_mb, "preload": list(preload), "packages": site_packages()}
        self._settings["weak"] = allow_weak or os.environ.get(ALLOW_WEAK) == "1"
        self._root = scratch_root()
        self._threads = concurrent.futures.ThreadPoolExecutor(size, "sandbox")
        self._pools = {shared: WorkerPool(size, self._settings, self._root, shared) for shared in (False, True)}
        try:
            self.walls = self._pools[False].start(self._threads) + memory_note(memory_mb)
        except BaseException:
            self.close()
            raise

    def run(self, programs: Iterable[Program]) -> list[Verdict]:
        """The verdicts of all programs, in their order."""
        return list(self.stream(programs))

    def stream(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        """The verdicts one by one, in the order of the programs, which are taken only as they are needed."""
        window: collections.deque[concurrent.futures.Future[Verdict]] = collections.deque()
        for program in programs:
            window.append(self.submit(program))
            if len(window) > WINDOW:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()

    def submit(self, program: Program) -> concurrent.futures.Future[Verdict]:
        """Starts on one program in the background."""
        return self._threads.submit(self._verify, program)

    def close(self) -> None:
        """Ends all processes of the sandbox and removes its scratch folders; programs not yet begun are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools.values():
            pool.close()
        self._threads.shutdown(wait=True)
        remove_folder(self._root)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _verify(self, program: Program) -> Verdict:
        if not program.code.strip():
            return failed("no code: there is no Python code to run")
        if len(program.code) > MAX_SOURCE:
            return failed(f"forbidden: {len(program.code):,} characters of code, limit {MAX_SOURCE:,}")
        request = self._request(program)
        answer = self._pools[False].ask(request)
        if answer.get("needs") == "shared":
            answer = self._pools[True].ask(request)
        return Verdict(**{field.name: answer[field.name] for field in dataclasses.fields(Verdict)})

    def _request(self, program: Program) -> dict:
        cpu_seconds = math.ceil(program.timeout or self.timeout)
        fields = {name: getattr(program, name) for name in PROGRAM_FIELDS}
        if program.kind == "program":
            fields |= {"case_seconds": cpu_seconds, "ends_early": program.ends_early}
            cpu_seconds *= CASES_BUDGET
        return fields | {"cpu_seconds": cpu_seconds}


class WorkerPool:
    """Workers of one isolation, lent out one program at a time; those of shared isolation start when first needed."""

    def __init__(self, size: int, settings: dict, root: Path, shared: bool):
        self.size, self.shared = size, shared
        name = "shared" if shared else "separate"
        homes = home_cores(size) if not shared else [set()] * size  # what runs beside its test may start processes
        self.workers = [Worker(settings, root / f"{name}-{i}", shared, home) for i, home in enumerate(homes)]
        self.idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self.workers:
            self.idle.put(worker)
        self.alone = threading.Lock()

    def start(self, threads: concurrent.futures.ThreadPoolExecutor) -> str:
        """Starts all workers at once and gives their report of the walls; SandboxError when they cannot stand."""
        reports = [started.result() for started in [threads.submit(worker.start) for worker in self.workers]]
        for report in reports:
            refuse_other_walls(reports[0], report)
        return reports[0]

    def ask(self, request: dict) -> dict:
        """The answer of some worker. What was lost or starved is asked once more, with nothing else running."""
        request |= {"wall_seconds": WALL_FACTOR[self.shared] * request["cpu_seconds"] + WALL_EXTRA}
        worker = self.idle.get()
        try:
            answer = worker.ask(request)
        finally:
            self.idle.put(worker)
        if answer.get("status") == "INFRA" and answer.get("again") or answer.get("starved"):
            answer = self.ask_alone(request)
        return answer

    def ask_alone(self, request: dict) -> dict:
        """Takes every worker of this pool out of service, so that nothing competes, and asks the last of them."""
        with self.alone:
            taken = [self.idle.get() for _ in self.workers]
            try:
                return taken[-1].ask(request)
            finally:
                for worker in taken:
                    self.idle.put(worker)

    def close(self) -> None:
        """Ends the workers, also those that are busy."""
        for worker in self.workers:
            worker.stop(for_good=True)


class Worker:
    """One judge process and what lies below it; started again when it has died."""

    def __init__(self, settings: dict, scratch: Path, shared: bool, home: set[int]):
        self.settings, self.scratch, self.shared = settings, scratch, shared
        self.home = home  # the core for judge, zygote and child, which take turns; empty where the kernel chooses
        self.process: subprocess.Popen | None = None
        self.channel: socket.socket | None = None
        self.walls = ""  # as they stood when it was first started
        self.stopped = False
        self.starts = 0

    def start(self) -> str:
        """Starts the judge and waits for it; its report of the walls, or SandboxError."""
        self.starts += 1
        scratch = self.scratch.with_name(f"{self.scratch.name}.{self.starts}")  # the last may still be in use
        scratch.mkdir(mode=0o700)
        ours, theirs = socket.socketpair()
        setup = self.settings | {"caller": theirs.fileno(), "scratch": str(scratch), "shared": self.shared}
        command = [sys.executable, "-s", "-S", "-P", "-Wignore", str(JUDGE), json.dumps(setup)]
        environment = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"} | library_path()
        with theirs:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        if self.home:
            with contextlib.suppress(OSError):  # the caller's cores have changed, or the judge has ended
                os.sched_setaffinity(self.process.pid, self.home)
        self.channel = ours
        ours.settimeout(START_SECONDS)
        try:
            hello = json.loads(receive(ours))
        except OSError as error:
            self.stop()
            raise SandboxError(
                f"the sandbox did not start: {error}; run it alone with: {' '.join(command[:5])}"
            ) from None
        if "error" in hello:
            self.stop()
            raise SandboxError(hello["error"])
        self.walls = self.walls or hello["walls"]
        try:
            refuse_other_walls(self.walls, hello["walls"])
        except SandboxError:
            self.stop()
            raise
        return self.walls

    def ask(self, request: dict) -> dict:
        """The judge's answer; "again" marks one that was lost with a process and may be asked once more."""
        began = 0.0
        try:
            if self.stopped:
                raise SandboxError("the sandbox has been closed")
            if self.process is None:
                self.start()
            began = cpu_seconds(self.process.pid)
            self.channel.settimeout(request["wall_seconds"] + PATIENCE)
            send(self.channel, json.dumps(request).encode())
            answer = receive(self.channel)
            while answer == STILL_CLEARING:
                answer = receive(self.channel)
            return json.loads(answer)
        except TimeoutError:
            busy = cpu_seconds(self.process.pid) - began > request["wall_seconds"] / 2
            self.stop()
            verdict = failed("timeout: the test did not end on what the code returned")
            return verdict.as_dict() | {"starved": not busy}
        except (OSError, SandboxError) as error:
            self.stop()
            return failed(f"infra: a sandbox process was lost ({error})", "INFRA").as_dict() | {"again": True}

    def stop(self, for_good: bool = False) -> None:
        """Kills the judge; its zygote and child end with it."""
        self.stopped |= for_good
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            self.channel.close()


def home_cores(size: int) -> list[set[int]]:
    """A core for each worker where there is one worker for each core, else no core for any.

    Of a worker's processes one runs while the others wait: on one core they find its caches warm and wake each other
    for less. Fewer workers than cores must be free to move, since other sandboxes would choose the same cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    return [{core} for core in cores] if size == len(cores) else [set()] * size


def refuse_other_walls(walls: str, found: str) -> None:
    """SandboxError where a worker stands behind other walls than it, or its pool, did at first."""
    if found != walls:
        raise SandboxError(
            f"the machine's walls have changed: a worker has [{found}], the sandbox started with [{walls}]; start anew"
        )


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, 0 once it has died; Linux makes its clock of its pid (clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def send(channel: socket.socket, data: bytes) -> None:
    """One frame to a judge."""
    channel.sendall(struct.pack("=I", len(data)) + data)


def receive(channel: socket.socket) -> bytes:
    """One frame from a judge; ConnectionError when it has ended, TimeoutError when it is silent for too long."""
    parts, missing, header = [], 4, True
    while missing:
        part = channel.recv(min(missing, 1 << 20))
        if not part:
            raise ConnectionError("a judge has ended")
        parts.append(part)
        missing -= len(part)
        if header and not missing:
            (missing,) = struct.unpack("=I", b"".join(parts))
            parts, header = [], False
    return b"".join(parts)


def site_packages() -> list[str]:
    """Where this Python keeps its libraries; judges and zygotes start without `site` and are told."""
    return [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]


def library_path() -> dict[str, str]:
    """The one variable of the caller's environment that a Python may need to start at all."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def safe_execute(
    code: str, test: str, entry_point: str = "", context: str = "", timeout: float = TIMEOUT
) -> Verdict:
    """One verdict from a sandbox of its own (0.2 s to start it: use Sandbox for more than a few)."""
    with Sandbox(workers=1, timeout=timeout) as sandbox:
        return sandbox.run([Program(code, test, entry_point, context)])[0]
