"""Runs untrusted Python against tests and returns a Verdict that the code cannot forge.

It is not a virtual machine and does not protect against kernel bugs: put a VM or gVisor around the whole job if the
host matters. A verdict is only as good as its tests.

Three processes: the caller (this file; it may hold torch and secrets, and never forks), one judge for each worker
(judge.py; it holds the tests), and the judge's zygote (zygote.py; it forks one child for each program).
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from raccoon.exchange.frames import STILL_CLEARING
from raccoon.records import ISOLATIONS, STATUSES, Program, Verdict, failed
from raccoon.sandbox.machine import SandboxError, memory_note, refuse_foreign_platform, scratch_root
from raccoon.sandbox.scratch import remove_folder

TIMEOUT = 10.0  # CPU seconds of one program; MBPP's slowest gold solution needs 3
MEMORY_MB = 1024  # address space of one program beyond the interpreter's own
MAX_SOURCE = 1 << 20  # characters of code; longer is refused unread
WALL_FACTOR = {False: 2.0, True: 6.0}  # wall limit over CPU limit, for programs that sleep. With shared isolation
# (True) the tests may wait too, for a server to start or a process to time out
WALL_EXTRA = 2.0  # seconds added to it
PATIENCE = 4.0  # seconds without an answer after the wall limit; then the judge counts as hung
CONTROL_SECONDS = 1.0  # at least, in which no good program may be lost before the code is blamed for its own loss
WINDOW = 64  # programs submitted before the oldest verdict is taken
MAX_TIMEOUT = 3600  # seconds
JUDGE = Path(__file__).resolve().with_name("judge.py")
START_SECONDS = 60.0  # for a judge to start
ALLOW_WEAK = "SANDBOX_ALLOW_WEAK"  # environment variable
PROGRAM_FIELDS = ("code", "test", "entry_point", "context", "task_id", "kind")  # sent to the judge
MAX_ANSWER = 1 << 20  # bytes of a judge's answer
BLAMED = "exception: a process of the sandbox was lost twice with this code, and not with code known to be good"
GOOD = Program("def one():\n    return 1\n", "assert one() == 1\n", "one")  # where a program brings no solution


class Sandbox:
    """A pool of judges. Create it early, close it (or use `with`); threads may share it.

    `workers`: programs judged at once (default: the cores this process may use). `timeout`: CPU seconds of a program.
    `memory_mb`: address space of a program. `preload`: modules to import before the forks, for tasks that use them.
    Raises SandboxError if the machine lacks a required wall and SANDBOX_ALLOW_WEAK is not set.
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
        """The verdicts one by one, in the order of the programs. Programs are read only when they are needed."""
        window: collections.deque[concurrent.futures.Future[Verdict]] = collections.deque()
        for program in programs:
            window.append(self.submit(program))
            if len(window) > WINDOW:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()

    def submit(self, program: Program) -> concurrent.futures.Future[Verdict]:
        """Starts to judge one program in the background."""
        return self._threads.submit(self._verify, program)

    def close(self) -> None:
        """Ends all processes of the sandbox and removes its scratch folders. Programs not yet begun are dropped."""
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
        request, control = self._request(program), functools.partial(self._control, program)
        answer = self._pools[False].ask(request, control)
        if answer.get("needs") == "shared":
            answer = self._pools[True].ask(request, control)
        return Verdict(**{field.name: answer[field.name] for field in dataclasses.fields(Verdict)})

    def _control(self, program: Program) -> dict:
        """The request for code known to be good: the program's own solution if it brings one."""
        good = dataclasses.replace(program, code=program.solution) if program.solution.strip() else GOOD
        return self._request(good)

    def _request(self, program: Program) -> dict:
        cpu_seconds = math.ceil(program.timeout or self.timeout)
        fields = {name: getattr(program, name) for name in PROGRAM_FIELDS}
        if program.kind == "program":
            fields["ends_early"] = program.ends_early
        return fields | {"cpu_seconds": cpu_seconds}


class WorkerPool:
    """Workers of one isolation. Each judges one program at a time. Those of shared isolation start on first use."""

    def __init__(self, size: int, settings: dict, root: Path, shared: bool):
        self.size, self.shared = size, shared
        name = "shared" if shared else "separate"
        homes = home_cores(size) if not shared else [set()] * size  # code that runs with its test may start processes
        self.workers = [Worker(settings, root / f"{name}-{i}", shared, home) for i, home in enumerate(homes)]
        self.idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self.workers:
            self.idle.put(worker)
        self.alone = threading.Lock()

    def start(self, threads: concurrent.futures.ThreadPoolExecutor) -> str:
        """Starts all workers and returns their report of the walls. Raises SandboxError if they cannot start."""
        reports = [started.result() for started in [threads.submit(worker.start) for worker in self.workers]]
        for report in reports:
            refuse_other_walls(reports[0], report)
        return reports[0]

    def ask(self, request: dict, control: Callable[[], dict]) -> dict:
        """The answer of a free worker. A lost or starved program is judged once more, with nothing else running.

        If it is lost again and what `control` makes is not, then the code has chosen that: it fails.
        """
        worker = self.idle.get()
        try:
            answer = worker.ask(request)
        finally:
            self.idle.put(worker)
        if answer.get("again") or answer.get("starved"):
            began = time.monotonic()
            answer = self.ask_alone(request)
            if answer.get("again") and self.survives(control(), time.monotonic() - began):
                return failed(BLAMED).as_dict() | {"isolation": ISOLATIONS[self.shared]}
        return answer

    def survives(self, control: dict, seconds: float) -> bool:
        """Whether a good program, run again and again for longer than a lost one took, is never lost."""
        until = time.monotonic() + max(CONTROL_SECONDS, 2 * seconds)
        while not (lost := self.ask_alone(control).get("again")) and time.monotonic() < until:
            pass
        return not lost

    def ask_alone(self, request: dict) -> dict:
        """Takes every worker of this pool, so that nothing competes, and asks one of them."""
        with self.alone:
            taken = [self.idle.get() for _ in self.workers]
            try:
                return taken[-1].ask(request)
            finally:
                for worker in taken:
                    self.idle.put(worker)

    def close(self) -> None:
        """Ends the workers, including busy ones."""
        for worker in self.workers:
            worker.stop(for_good=True)


class Worker:
    """One judge process and its zygote and child. It is started again after it has died."""

    def __init__(self, settings: dict, scratch: Path, shared: bool, home: set[int]):
        self.settings, self.scratch, self.shared = settings, scratch, shared
        self.home = home  # the core for judge, zygote and child, which take turns; empty: the kernel chooses
        self.process: subprocess.Popen | None = None
        self.channel: socket.socket | None = None
        self.walls = ""  # at its first start
        self.stopped = False
        self.starts = 0

    def start(self) -> str:
        """Starts the judge and waits for its report of the walls. Raises SandboxError if it does not start."""
        self.starts += 1
        scratch = self.scratch.with_name(f"{self.scratch.name}.{self.starts}")  # the previous one may still be in use
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
                f"the sandbox did not start: {error}; check that this starts a Python: {' '.join(command[:5])}"
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
        """The judge's answer. "again" marks one that was lost with a process and may be asked once more."""
        began, wall = 0.0, WALL_FACTOR[self.shared] * request["cpu_seconds"] + WALL_EXTRA
        number = os.urandom(8).hex()  # no test can have written an answer to it in advance
        try:
            if self.stopped:
                raise SandboxError("the sandbox has been closed")
            if self.process is None:
                self.start()
            began = cpu_seconds(self.process.pid)
            self.channel.settimeout(wall + PATIENCE)
            send(self.channel, json.dumps(request | {"wall_seconds": wall, "number": number}).encode())
            data = receive(self.channel)
            while data == STILL_CLEARING:
                data = receive(self.channel)
            answer = checked_answer(data, number)
        except TimeoutError:
            busy = cpu_seconds(self.process.pid) - began > wall / 2
            self.stop()
            verdict = failed("timeout: the test did not end on what the code returned")
            return verdict.as_dict() | {"starved": not busy}
        except (OSError, SandboxError) as error:
            self.stop()
            return failed(f"infra: a sandbox process was lost ({error})", "INFRA").as_dict() | {"again": True}
        if answer.get("spent"):
            self.stop()
        return answer

    def stop(self, for_good: bool = False) -> None:
        """Kills the judge. Its zygote and child end with it."""
        self.stopped |= for_good
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            self.channel.close()


def checked_answer(data: bytes, number: str) -> dict:
    """A judge's answer. Raises ConnectionError if it is none, or not the one to this question."""
    try:
        answer = json.loads(data)
        if answer["number"] == number and answer.get("needs") == "shared":
            return answer
        texts = [answer[name] for name in ("reason", "output")]
        counts = [answer[name] for name in ("tests_passed", "tests_total")]
        right = answer["status"] in STATUSES and answer["isolation"] in ISOLATIONS and answer["number"] == number
        right &= {*map(type, texts)} == {str} and {*map(type, counts)} == {int} and 0 <= counts[0] <= counts[1]
        right &= type(answer["seconds"]) in (int, float)
    except (ValueError, RecursionError, LookupError, TypeError):
        right = False
    if not right:
        raise ConnectionError("a judge sent something that is not an answer")
    return answer


def home_cores(size: int) -> list[set[int]]:
    """A core for each worker if there are as many workers as cores, else no fixed core for any.

    Only one of a worker's processes runs at a time. On one core its caches are warm and a switch is cheaper. If there
    are fewer workers than cores, the kernel chooses, because other sandboxes would choose the same cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    return [{core} for core in cores] if size == len(cores) else [set()] * size


def refuse_other_walls(walls: str, found: str) -> None:
    """Raises SandboxError if a worker's walls differ from those of its first start, or of its pool."""
    if found != walls:
        raise SandboxError(
            f"the machine's walls have changed: a worker has [{found}], the sandbox had [{walls}]; start it again"
        )


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, 0 after its death. Its pid gives Linux's clock for it (clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def send(channel: socket.socket, data: bytes) -> None:
    """Sends one frame to a judge."""
    channel.sendall(struct.pack("=I", len(data)) + data)


def receive(channel: socket.socket) -> bytes:
    """One frame from a judge. Raises ConnectionError if the judge has ended, TimeoutError if it does not answer."""
    parts, missing, header = [], 4, True
    while missing:
        part = channel.recv(min(missing, 1 << 20))
        if not part:
            raise ConnectionError("a judge has ended")
        parts.append(part)
        missing -= len(part)
        if header and not missing:
            (missing,) = struct.unpack("=I", b"".join(parts))
            if missing > MAX_ANSWER:
                raise ConnectionError("a judge sent something that is not an answer")
            parts, header = [], False
    return b"".join(parts)


def site_packages() -> list[str]:
    """This Python's library folders. Judges and zygotes start without `site`, so they are told."""
    return [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]


def library_path() -> dict[str, str]:
    """The one environment variable of the caller that a Python may need to start."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def safe_execute(code: str, test: str, entry_point: str = "", context: str = "", timeout: float = TIMEOUT) -> Verdict:
    """One verdict from a new sandbox. It takes 0.2 s to start: use Sandbox for more than a few programs."""
    with Sandbox(workers=1, timeout=timeout) as sandbox:
        return sandbox.run([Program(code, test, entry_point, context)])[0]
