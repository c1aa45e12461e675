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
import importlib.metadata
import importlib.util
import json
import os
import platform
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from raccoon.constants import OLDEST_PYTHON, RunError
from raccoon.exchange.frames import STILL_CLEARING
from raccoon.records import ISOLATIONS, STATUSES, TIMEOUT, Program, Verdict
from raccoon.sandbox.setup import Setup, library_path, remove_folder
from raccoon.verdicts.feedback import feedback

MEMORY_MB = 1024  # address space of one program beyond the interpreter's own
MAX_SOURCE = 1 << 20  # characters of code; longer is refused unread
PATIENCE = 4.0  # seconds without an answer after the wall limit; then the judge counts as hung
CONTROL_SECONDS = 1.0  # at least, in which no good program may be lost before the code is blamed for its own loss
NEEDS_TWO_ORDERS = (
    "servers give sets one order, and new tests need two: make them with strengthen_tests.py on a machine with a "
    "sandbox, and train on its file"
)  # why a sandbox of servers has no like()
WINDOW = 64  # programs submitted before the oldest verdict is taken
MAX_TIMEOUT = 3600  # seconds
JUDGE = Path(__file__).resolve().with_name("judge.py")
START_SECONDS = 60.0  # for a judge to start
ALLOW_WEAK = "SANDBOX_ALLOW_WEAK"  # environment variable
MAX_ANSWER = 16 << 20  # bytes of a judge's answer
BLAMED = "exception: a process of the sandbox was lost twice with this code, and not with code known to be good"
GOOD = Program("def one():\n    return 1\n", "assert one() == 1\n", "one")  # where a program brings no solution

# Modules that a Python build may lack, and what each needs.
NEEDED_MODULES = {"_ctypes": "libffi's headers", "fcntl": "a Linux build", "resource": "a Linux build"}
SPARE_FOLDER = "/dev/shm"  # in memory; writable even if a container's root directory is read-only
# Rooms that a verdict and its feedback depend on
VERDICT_ROOMS = ("sandbox", "verdicts", "child", "exchange", "test_texts", "tasks", "llm")
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
LIMIT_FILES = (("", "memory.max"), ("memory", "memory.limit_in_bytes"))  # of cgroups version 2 and 1


class SandboxError(RunError):
    """The sandbox cannot run on this machine; the message says why and what to do."""


class Sandbox:
    """A pool of judges. Create it early, close it (or use `with`); threads may share it.

    `workers`: programs judged at once (default: the cores this process may use). `timeout`: CPU seconds of a program.
    `memory_mb`: address space of a program. `preload`: modules to import before the forks, for tasks that use them.
    `hash_seed`: PYTHONHASHSEED of all processes.
    Raises SandboxError if the machine lacks a required wall and SANDBOX_ALLOW_WEAK is not set.
    """

    window = WINDOW
    walls: str  # those around untrusted code, in one line

    def __init__(
        self,
        workers: int | None = None,
        timeout: float = TIMEOUT,
        memory_mb: int = MEMORY_MB,
        preload: Sequence[str] = (),
        allow_weak: bool = False,
        hash_seed: int = 0,
    ):
        refuse_foreign_platform()
        size = len(os.sched_getaffinity(0)) if workers is None else workers
        limits = (("workers", size, 4096), ("timeout", timeout, MAX_TIMEOUT), ("memory_mb", memory_mb, 1 << 24))
        for name, value, most in limits:
            if not 0 < value <= most:
                raise SandboxError(f"{name} is {value}: give a number above 0, up to {most}")
        self.memory_mb = memory_mb
        self._settings = workers, timeout, memory_mb, preload, allow_weak
        self.timeout, self.good = timeout, dataclasses.replace(GOOD, timeout=timeout)
        # Judges and zygotes start without `site`, so they are told where this Python's libraries are.
        packages = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
        weak = allow_weak or os.environ.get(ALLOW_WEAK) == "1"
        self._root = scratch_root()
        self._threads = concurrent.futures.ThreadPoolExecutor(size, "sandbox")
        self._pools: dict[bool, WorkerPool] = {}
        for shared in (False, True):
            setup = Setup(-1, self._root, memory_mb, packages, list(preload), shared, weak, hash_seed)
            self._pools[shared] = WorkerPool(size, setup)
        try:
            separate = self._pools[False].workers  # the others start on first use
            for started in [self._threads.submit(worker.start) for worker in separate]:
                started.result()
            self.walls = self._pools[False].standing["walls"] + memory_note(memory_mb)
        except BaseException:
            self.close()
            raise

    def like(self, hash_seed: int) -> "Sandbox":
        """Another sandbox with the same settings, in which sets have another order."""
        return Sandbox(*self._settings, hash_seed)

    def run(self, programs: Iterable[Program]) -> list[Verdict]:
        """The verdicts of all programs, in their order."""
        return list(self.stream(programs))

    def stream(self, programs: Iterable[Program | Verdict]) -> Iterator[Verdict]:
        """The verdicts one by one, in order. Programs are read only when needed; a verdict among them is passed on."""
        window: collections.deque[concurrent.futures.Future[Verdict]] = collections.deque()
        for program in programs:
            window.append(self.submit(program))
            if len(window) > self.window:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()

    def submit(self, program: Program | Verdict) -> concurrent.futures.Future[Verdict]:
        """Starts to judge one program in the background."""
        return self._threads.submit(self._verify, program)

    def close(self) -> None:
        """Ends all processes of the sandbox and removes its scratch folders. Programs not yet begun are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools.values():
            for worker in pool.workers:
                worker.stop(for_good=True)
        self._threads.shutdown(wait=True)
        remove_folder(self._root)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _verify(self, program: Program | Verdict) -> Verdict:
        if isinstance(program, Verdict):
            return program
        if not program.code.strip():
            return refused(program, "no code: there is no Python code to run", "no code")
        if len(program.code) > MAX_SOURCE:
            reason = f"forbidden: {len(program.code):,} characters of code, limit {MAX_SOURCE:,}"
            return refused(program, reason, "too long")
        sent = dataclasses.replace(program, timeout=program.timeout or self.timeout, solution="")
        known = program.solution.strip()
        good = dataclasses.replace(sent, code=program.solution) if known else self.good
        answer = self._pools[False].ask(sent, good)
        if answer.get("needs") == "shared":
            answer = self._pools[True].ask(sent, good)
        return Verdict(**{field.name: answer.get(field.name, "") for field in dataclasses.fields(Verdict)})


def refused(program: Program, reason: str, kind: str) -> Verdict:
    """The verdict on code that is not run. `kind` is one of feedback.SENTENCES."""
    told = feedback(kind, (), program.max_feedback) if program.max_feedback else ""
    return dataclasses.replace(Verdict.of(reason), feedback=told)


class WorkerPool:
    """Workers of one isolation. Each judges one program at a time."""

    def __init__(self, size: int, setup: Setup):
        cores = sorted(os.sched_getaffinity(0))
        # A core for each worker, if there are as many workers as cores: judge, zygote and child take turns, so on one
        # core their caches are warm and a switch is cheaper. With fewer workers the kernel chooses, because other
        # sandboxes would choose the same cores; and also for code that runs with its test and may start processes.
        homes = [{core} for core in cores] if size == len(cores) and not setup.shared else [set()] * size
        self.shared = setup.shared
        self.standing: dict[str, str] = {}  # "walls" of the first judge; those of all others must be the same
        self.workers = [Worker(setup, home, self.standing) for home in homes]
        self.idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self.workers:
            self.idle.put(worker)
        self.alone = threading.Lock()

    def ask(self, program: Program, good: Program) -> dict:
        """The answer of a free worker. A lost or starved program is judged once more, with nothing else running.

        If it is lost again and a good program is not, then the code has chosen that: it fails.
        """
        worker = self.idle.get()
        try:
            answer = worker.ask(program)
        finally:
            self.idle.put(worker)
        if answer.get("again") or answer.get("starved"):
            began = time.monotonic()
            answer = self.ask_alone(program)
            if answer.get("again") and self.survives(good, time.monotonic() - began):
                return Verdict.of(BLAMED, isolation=ISOLATIONS[self.shared]).as_dict()
        return answer

    def survives(self, good: Program, seconds: float) -> bool:
        """Whether a good program, run again and again for longer than a lost one took, is never lost."""
        until = time.monotonic() + max(CONTROL_SECONDS, 2 * seconds)
        while not (lost := self.ask_alone(good).get("again")) and time.monotonic() < until:
            pass
        return not lost

    def ask_alone(self, program: Program) -> dict:
        """Takes every worker of this pool, so that nothing competes, and asks one of them."""
        with self.alone:
            taken = [self.idle.get() for _ in self.workers]
            try:
                return taken[-1].ask(program)
            finally:
                for worker in taken:
                    self.idle.put(worker)


class Link(NamedTuple):
    """A running judge and the socket to it."""

    process: subprocess.Popen
    channel: socket.socket
    incoming: BinaryIO  # what the channel brings


class Worker:
    """One judge process and its zygote and child. It is started again after it has died."""

    def __init__(self, setup: Setup, home: set[int], standing: dict[str, str]):
        self.setup, self.home = setup, home  # its core; empty: the kernel chooses
        self.standing = standing
        self.link: Link | None = None
        self.stopped = False
        self.starts = 0

    def start(self) -> Link:
        """Starts the judge and waits for its report of the walls. Raises SandboxError if it does not start."""
        self.starts += 1
        scratch = tempfile.mkdtemp(dir=self.setup.scratch)  # that of the previous judge may still be in use
        ours, theirs = socket.socketpair()
        setup = dataclasses.replace(self.setup, channel=theirs.fileno(), scratch=scratch)
        command = [sys.executable, "-s", "-S", "-P", "-Wignore", str(JUDGE), json.dumps(vars(setup))]
        with theirs:
            process = subprocess.Popen(
                command,
                env={"PYTHONHASHSEED": str(setup.hash_seed), "PYTHONUTF8": "1"} | library_path(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        if self.home:
            with contextlib.suppress(OSError):  # the caller's cores have changed, or the judge has ended
                os.sched_setaffinity(process.pid, self.home)
        self.link = Link(process, ours, ours.makefile("rb"))
        ours.settimeout(START_SECONDS)
        try:
            hello = json.loads(receive(self.link.incoming))
            if "error" in hello:
                raise SandboxError(hello["error"])
            walls, found = self.standing.setdefault("walls", hello["walls"]), hello["walls"]
            if found != walls:
                had = f"a worker has [{found}], the sandbox had [{walls}]"
                raise SandboxError(f"the machine's walls have changed: {had}; start it again")
        except SandboxError:
            self.stop()
            raise
        except OSError as error:
            self.stop()
            hint = f"check that this starts a Python: {' '.join(command[:5])}"
            raise SandboxError(f"the sandbox did not start: {error}; {hint}") from None
        return self.link

    def ask(self, program: Program) -> dict:
        """The judge's answer. "again" marks one that was lost with a process and may be asked once more."""
        began, wall, link = 0.0, program.wall_seconds(self.setup.shared), self.link
        number = os.urandom(8).hex()  # no test can have written an answer to it in advance
        try:
            if self.stopped:
                raise SandboxError("the sandbox has been closed")
            link = link or self.start()
            began = cpu_seconds(link.process.pid)
            link.channel.settimeout(wall + PATIENCE)
            request = json.dumps(vars(program) | {"number": number}).encode()
            link.channel.sendall(len(request).to_bytes(4, sys.byteorder) + request)
            while (data := receive(link.incoming)) == STILL_CLEARING:
                pass
            answer = checked_answer(data, number)
        except TimeoutError:
            busy = link is not None and cpu_seconds(link.process.pid) - began > wall / 2
            self.stop()
            verdict = Verdict.of("timeout: the test did not end on what the code returned")
            return verdict.as_dict() | {"starved": not busy}
        except (OSError, SandboxError) as error:
            self.stop()
            return Verdict.of(f"infra: a sandbox process was lost ({error})").as_dict() | {"again": True}
        if answer.get("spent"):
            self.stop()
        return answer

    def stop(self, for_good: bool = False) -> None:
        """Kills the judge. Its zygote and child end with it."""
        self.stopped |= for_good
        link, self.link = self.link, None
        if link is not None:
            link.process.kill()
            link.process.wait()
            link.channel.close()  # for good when a thread that still reads from it has met its end


def receive(incoming: BinaryIO) -> bytes:
    """One frame of a judge. Raises ConnectionError if it has ended, TimeoutError if it does not answer."""
    header = incoming.read(4)
    size = int.from_bytes(header, sys.byteorder)
    if size > MAX_ANSWER:
        raise ConnectionError("a judge sent something that is not an answer")
    data = incoming.read(size)
    if len(header) < 4 or len(data) < size:
        raise ConnectionError("a judge has ended")
    return data


def checked_answer(data: bytes, number: str) -> dict:
    """A judge's answer. Raises ConnectionError if it is none, or not the one to this question."""
    try:
        answer = json.loads(data)
        if answer["number"] == number and answer.get("needs") == "shared":
            return answer
        texts = [answer[name] for name in ("reason", "output")] + [answer.get("feedback", "")]
        counts = [answer[name] for name in ("tests_passed", "tests_total")]
        right = answer["status"] in STATUSES and answer["isolation"] in ISOLATIONS and answer["number"] == number
        right &= {*map(type, texts)} == {str} and {*map(type, counts)} == {int} and 0 <= counts[0] <= counts[1]
        right &= type(answer["seconds"]) in (int, float)
    except (ValueError, RecursionError, LookupError, TypeError):
        right = False
    if not right:
        raise ConnectionError("a judge sent something that is not an answer")
    return answer


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, 0 after its death. Its pid gives Linux's clock for it (clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def surroundings() -> list[str | bytes]:
    """What a verdict and its feedback depend on besides the program: Python, the machine, libraries, these rooms."""
    rooms = Path(__file__).parents[1]
    sources = [path for room in VERDICT_ROOMS for path in sorted((rooms / room).glob("*.py"))]
    found = [f"{name}=={version}" for name, version in sorted(libraries().items())]
    return [sys.version, platform.platform(), *found, *(path.read_bytes() for path in sources)]


def libraries() -> dict[str, str]:
    """The version of each library that this Python finds."""
    return {found.name: found.version for found in importlib.metadata.distributions()}


def refuse_foreign_platform() -> None:
    """Raises SandboxError if the system is not Linux, or if this Python lacks something that the judges need."""
    if sys.version_info < OLDEST_PYTHON:
        wanted, found = (".".join(map(str, version[:2])) for version in (OLDEST_PYTHON, sys.version_info))
        raise SandboxError(f"Python >= {wanted} needed, found {found}: run it in the project's Docker image")
    if sys.platform != "linux":
        raise SandboxError(f"the sandbox needs Linux, this is {sys.platform}: run it in the project's Docker image")
    for name, source in NEEDED_MODULES.items():
        if importlib.util.find_spec(name) is None:
            raise SandboxError(
                f"{sys.executable} was built without its module {name}: build it with {source}, "
                "or use another Python or the project's Docker image"
            )


def scratch_root() -> str:
    """A new folder for the scratch folders of one sandbox. Raises SandboxError if none can be made."""
    try:
        folder: str | None = tempfile.gettempdir()
    except FileNotFoundError:  # /tmp and similar folders are full or not writable
        folder = SPARE_FOLDER
    try:
        root = tempfile.mkdtemp(prefix="sandbox-", dir=folder)
        os.chmod(root, 0o711)  # a child with its own uid must reach its scratch folder
    except OSError as error:
        raise SandboxError(
            f"cannot make a folder for scratch files ({error}): set TMPDIR to a writable folder"
        ) from None
    return root


def memory_note(memory_mb: int) -> str:
    """A warning if the lowest limit of this process's cgroups is below that of one program; else ""."""
    found, lines = [memory_mb << 20], []
    with contextlib.suppress(OSError):
        lines = OWN_CGROUPS.read_text().splitlines()
    groups = {controllers: path.lstrip("/") for _, controllers, path in (line.split(":", 2) for line in lines)}
    for controller, file in LIMIT_FILES if lines else ():
        for folder in (CGROUPS / controller / groups.get(controller, "") / file).parents:
            with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
                found.append(int((folder / file).read_text()))
    allowed = min(found) >> 20
    if allowed >= memory_mb:
        return ""
    return (
        f"; this container's memory limit of {allowed} MB is below a program's {memory_mb} MB: a program that exceeds "
        "it is killed, and fails unless the solution is killed too; raise the container's limit or lower memory_mb"
    )


def safe_execute(code: str, test: str, entry_point: str = "", context: str = "", timeout: float = TIMEOUT) -> Verdict:
    """One verdict from a new sandbox. It takes 0.2 s to start: use Sandbox for more than a few programs."""
    with Sandbox(workers=1, timeout=timeout) as sandbox:
        return sandbox.run([Program(code, test, entry_point, context)])[0]
