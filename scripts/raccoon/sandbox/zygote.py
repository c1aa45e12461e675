"""The zygote sets up the kernel's walls once, then forks one child for each program. The child runs untrusted code.

Only judge.py starts it, with an empty environment:
    python -s -S -P zygote.py '{"channel": 3, ...}'        (the fields of Setup)
It never sees a test, an expected value or a secret: it passes a job to a new child (the room `child`) as a descriptor,
unread. Over `channel` it first sends one hello (JSON: the walls in force, or why there are none). For each job (its
descriptors and CPU seconds) it forks a child. When that ends, or at the next message, it reports how it ended.
"""

import atexit
import contextlib
import dataclasses
import functools
import gc
import importlib
import io
import json
import linecache
import marshal
import math
import os
import resource
import select
import signal
import site
import socket
import struct
import sys
import time
import warnings

_register, os.register_at_fork = os.register_at_fork, lambda **hooks: None
import random  # noqa: E402  # without its hook, which would reseed it in each child: verdicts must be repeatable

os.register_at_fork = _register

SCRIPTS = os.path.abspath(f"{__file__}/../../..")  # started as a file: the package is two folders up
sys.path.insert(0, SCRIPTS)
from raccoon.child.functions import TEST_PROGRAMS, answer_requests  # noqa: E402
from raccoon.child.programs import FILENAME, RECURSION_LIMIT, run_program  # noqa: E402
from raccoon.exchange import frames  # noqa: E402
from raccoon.sandbox import seccomp, walls  # noqa: E402
from raccoon.sandbox.setup import Setup, empty_folder  # noqa: E402

sys.path.remove(SCRIPTS)

# Modules that solutions import most. They are imported before the fork, so that a child need not.
STANDARD = """abc bisect cmath collections collections.abc copy dataclasses datetime decimal enum fractions functools
heapq io itertools json linecache math operator random re statistics string textwrap time types typing""".split()
SYSTEM_PATHS = """/usr/lib /usr/lib64 /lib /lib64 /usr/local/lib /usr/share/zoneinfo /etc/localtime /etc/ld.so.cache
/dev/null /dev/zero /dev/urandom /dev/random""".split()
PROGRAM_PATHS = """/usr/bin /bin /etc/passwd /etc/group /etc/hosts /etc/nsswitch.conf /etc/services /etc/mime.types
/etc/alternatives /etc/fonts /usr/share""".split()
CONTROL, RULESET, SOCKETS = 30, 31, 32  # the only descriptors that stay open, so that those of a job become 0 to 3
STREAMS, JOB_CHANNEL = (0, 1, 2), 3  # descriptors of a child
JOB_SPACE = socket.CMSG_SPACE(4 * 4)  # for these four
FILE_BYTES, OPEN_FILES, SCRATCH_INODES = 64 << 20, 256, 8192
SCRATCH_MB, PRIVATE_SCRATCH = 64, "/scratch"  # of the private root; its /tmp is a link to this folder
THREADS = 128  # of one uid, if the child has its own uid
UID_BASE, UID_SPAN = 60000, 4000  # below 65534, so that they exist in rootless containers too
ROW, FILLING = 16, 1 << 19  # objects side by side; at most so many bytes of one size
EMPTY_BYTES = sys.getsizeof(b"")
REHEARSALS = 30  # more than the calls after which the interpreter adapts a function
REHEARSED = "def rehearsed(number, text, numbers, pair):\n    return numbers, pair  # nothing left open\n"
GRACE = 1.0  # seconds for a child that has closed the channel to end by itself
EMPTY_TMPFS = 40  # st_size of an empty folder in a tmpfs
BLIND_TICK = 0.001  # seconds between two looks at a child where the kernel (gVisor) cannot announce its end


@dataclasses.dataclass(frozen=True)
class Standing:
    """The walls in force around this zygote."""

    namespaces: bool
    uid: int  # of the children; 0: the zygote's uid
    landlock: int  # ABI; 0: none
    child_filter: seccomp.Filter | None
    counted: bool  # the number of its threads is limited
    roomy: bool
    scratch: str
    signal_ruleset: int
    sockets: int  # descriptor of the counts of sockets in a roomy zygote's network namespace; -1: none

    @property
    def writable(self) -> list[tuple[str, int]]:
        """The folders that a child can write to, with their rights."""
        return [(self.scratch, 0o700), *([("/dev/shm", 0o1777)] if self.roomy else [])]

    def describe(self) -> str:
        """The walls as one line of text."""
        parts = ["namespaces (pid, net, mount, ipc, uts) with a private root"] if self.namespaces else []
        parts += ["own uid"] if self.uid else ["uid kept"]
        parts += [f"Landlock ABI {self.landlock}"] if self.landlock else []
        parts += ["seccomp"] if self.child_filter else []
        parts += ["no_new_privs", "resource limits"]
        missing = [] if self.namespaces else ["namespaces (not permitted here)"]
        missing += [] if self.counted else ["a limit of threads (not counted for this user alone)"]
        missing += [] if self.landlock else ["Landlock: WEAK"]
        missing += [] if self.child_filter else ["seccomp: WEAK"]
        return ", ".join(parts) + (f"; without {', '.join(missing)}" if missing else "")


def main() -> None:
    setup = Setup(**json.loads(sys.argv[1]))
    os.dup2(setup.channel, CONTROL)
    control = socket.socket(fileno=CONTROL)
    try:
        with warnings.catch_warnings(action="ignore"):  # of the preloaded modules; a program shows its own
            preload(setup)
            rehearse()
        standing = raise_walls(setup)
    except (OSError, ImportError) as error:
        with contextlib.suppress(ConnectionError):  # the judge ended while the zygote was starting
            control.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        raise SystemExit(1) from error
    random.seed(0)
    if standing.roomy:
        os.register_at_fork(after_in_child=random.seed)  # processes that a program forks draw different numbers
    atexit._clear()  # a child must not run the exit functions of preloaded modules
    gc.collect()
    kept = fill_holes()  # noqa: F841  # until the end
    gc.freeze()
    with contextlib.suppress(ConnectionError):
        control.send(json.dumps({"walls": standing.describe()}).encode())
        serve(control, standing)


def preload(setup: Setup) -> None:
    """Imports modules that children may need, from the standard library and the caller's libraries."""
    sys.path += setup.packages
    for name in (*STANDARD, *setup.preload):
        importlib.import_module(name)
    if setup.shared:
        importlib.import_module(TEST_PROGRAMS)
    packages = [name for name, module in sys.modules.items() if hasattr(module, "__path__")]
    for package in filter(lambda name: name.partition(".")[0] == "raccoon", packages):
        sys.modules[package].__path__ = []  # the program cannot import more of the project


def rehearse() -> None:
    """Does a child's work on a harmless program many times, before the first fork.

    The interpreter rewrites the bytecode of functions that run often (PEP 659). Done here, it is done once. In each
    fresh fork it would cost the copy of a page for every function.
    """
    fields = {"context": "", "code": REHEARSED}
    rare = {"tuple": [1, {"dict": [[2], [None]]}]}
    calls = [["call", "same", [given], []] for given in (1, "a", [1, 2.5], rare)]
    request = json.dumps(["call", "pair", [1, rare], []]).encode()
    plain = fields | {"tracks": False, "planned": 0, "later": 1, "plain": True, "calls": calls}
    planned = json.dumps(plain).encode(), json.dumps(calls).encode()
    others = fields | {"tracks": True, "planned": 1, "later": 0, "plain": False, "calls": []}
    asked = json.dumps(others).encode(), request
    program = marshal.dumps((("", REHEARSED), [compile(REHEARSED, FILENAME, "exec")]))
    itself = sys.modules["__main__"]
    gc.collect()
    gc.freeze()  # the end of a program collects garbage: here that must not take long
    jobs = [(planned, answer_requests), (asked, answer_requests), ((program,), run_program)]
    for parts, work in jobs * REHEARSALS:
        judge, child = socket.socketpair()
        with judge, child:
            for frame in parts:
                frames.write_frame(judge.fileno(), frame)
            judge.shutdown(socket.SHUT_WR)
            with contextlib.suppress(EOFError):
                work(child.fileno())
    sys.modules["__main__"] = itself
    sys.setrecursionlimit(RECURSION_LIMIT)
    del linecache.cache[FILENAME]


def fill_holes() -> list:
    """Objects that fill the holes between those that the zygote has, so that the new ones of a child lie together.

    Each page that a fresh fork writes to is copied for it. ROW objects side by side show that a size has no hole left.
    """
    filling: list = []
    for size in range(16, 513, 16):  # the sizes of Python's own allocator
        make = functools.partial(bytes, size - EMPTY_BYTES) if size > 32 else complex if size == 32 else object
        row, before = 0, 0
        for _ in range(FILLING // size):
            filling.append(make())
            row, before = row + 1 if id(filling[-1]) - before == size else 0, id(filling[-1])
            if row == ROW:
                break
    return filling


def raise_walls(setup: Setup) -> Standing:
    """Sets up every wall that the machine allows, strongest first. Raises OSError without Landlock or seccomp."""
    own_uid = UID_BASE + os.getpid() % UID_SPAN  # the kernel counts threads by uid: zygotes should not share one
    read = readable_paths(setup)
    if not setup.weak and (missing := walls.missing()):
        raise OSError(f"{missing}; for code that you trust, --allow-weak or SANDBOX_ALLOW_WEAK=1 runs without it")
    walls.be_killed_first()
    present = walls.address_space()
    own_user = os.geteuid() != 0 or not walls.owns_uid(own_uid)
    sockets = -1

    def settle() -> None:
        nonlocal sockets
        if setup.shared:
            sockets = walls.free_ports()
        walls.enter_private_root(setup.scratch, read, PRIVATE_SCRATCH, SCRATCH_MB, SCRATCH_INODES)
        if setup.shared:
            walls.furnish_private_root()

    namespaced = walls.enter_namespaces(settle, own_user)
    scratch = PRIVATE_SCRATCH if namespaced else setup.scratch
    uid = change_uid(own_uid, read, scratch)
    # Else the kernel counts threads of others too, or none: it does not for root outside its user namespace.
    counted = uid != 0 or namespaced and own_user and not walls.works_in_a_fork(fork_beyond_limit)
    roomy = setup.shared and namespaced and counted  # else nothing limits the processes of a program
    limits = {resource.RLIMIT_AS: present + (setup.memory_mb << 20), resource.RLIMIT_FSIZE: FILE_BYTES}
    limits |= {resource.RLIMIT_NOFILE: OPEN_FILES, resource.RLIMIT_CORE: 0, resource.RLIMIT_MEMLOCK: 0}
    limits |= {resource.RLIMIT_NPROC: THREADS} if counted else {}
    for what, most in limits.items():  # the children inherit them; CPU time is set in each
        walls.limit(what, most)
    walls.prctl(walls.PR_SET_NO_NEW_PRIVS, 1)
    ruleset, sockets = arrange_descriptors(-1 if namespaced else walls.signal_ruleset(), sockets)
    landlock = walls.landlock_abi()
    if landlock:
        writable = [scratch, "/dev/null", *(["/dev/shm", "/proc"] if roomy else [])]
        walls.restrict_files([*read, "/"] if roomy else read, writable, [], roomy)
    if not uid:
        walls.drop_capabilities()
    furnish_interpreter(scratch)
    if roomy:
        walls.prctl(walls.PR_SET_DUMPABLE, 0)  # a child with the same uid must not write to this process through /proc
    walls.die_with_parent()
    child_filter = seccomp.Filter(seccomp.child_rules(roomy), nested=True) if seccomp.available() else None
    if child_filter:
        seccomp.Filter(seccomp.family_rules(roomy)).install()
    return Standing(namespaced, uid, landlock, child_filter, counted, roomy, scratch, ruleset, sockets)


def fork_beyond_limit() -> None:
    """Raises OSError if the kernel counts the processes of this uid."""
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    os.fork()


def readable_paths(setup: Setup) -> list[str]:
    """The standard library, site-packages and the system's shared libraries. Home and project are left out."""
    paths = [*sys.path, os.path.join(sys.base_prefix, "lib"), *SYSTEM_PATHS]
    if setup.shared:
        python = os.path.dirname(os.path.dirname(sys.executable))  # root of a virtual environment or installation
        paths += [*PROGRAM_PATHS, *(path for path in (python, sys.base_prefix) if path not in ("/", "/usr"))]
    return [path for path in dict.fromkeys(paths) if os.path.exists(path)]


def change_uid(uid: int, read: list[str], scratch: str) -> int:
    """Prepares `uid` for the children, if root may change to it and the uid can reach Python and scratch; else 0.

    In a rootless container or Apptainer, root may lack the capability (EPERM), or its user namespace the uid (EINVAL).
    """

    def leave_groups() -> None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)

    def change() -> bool:
        os.chown(scratch, uid, uid)
        leave_groups()
        os.setresuid(uid, uid, uid)
        return os.access(scratch, os.W_OK) and all(os.access(path, os.R_OK) for path in read)

    if os.geteuid() != 0:
        return 0
    if not walls.works_in_a_fork(change):
        with contextlib.suppress(OSError):
            os.chown(scratch, 0, 0)
        return 0
    leave_groups()
    return uid


def arrange_descriptors(ruleset: int, sockets: int) -> tuple[int, int]:
    """Moves both, where there are any, to RULESET and SOCKETS. Keeps them and the control socket, closes all others."""
    for descriptor, place in ((ruleset, RULESET), (sockets, SOCKETS)):
        if descriptor >= 0:
            os.dup2(descriptor, place, inheritable=False)
        else:
            os.closerange(place, place + 1)  # whatever has this number
    os.closerange(0, CONTROL)
    os.closerange(SOCKETS + 1, 1 << 16)
    return (RULESET if ruleset >= 0 else -1), (SOCKETS if sockets >= 0 else -1)


def furnish_interpreter(scratch: str) -> None:
    """What a program sees: its scratch folder as home and working directory, and no sign of how it was started."""
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)  # a killed child flushes nothing
    os.environ.clear()
    path = f"{os.path.dirname(sys.executable)}:/usr/bin:/bin"
    os.environ.update(HOME=scratch, TMPDIR=scratch, PATH=path, LANG="C.UTF-8", OMP_NUM_THREADS="1")
    os.environ.update(OPENBLAS_NUM_THREADS="1", MPLBACKEND="agg", MPLCONFIGDIR=scratch)
    os.chdir(scratch)
    sys.argv[:] = [FILENAME]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the judge ignores it
    site.setquit()  # the names that the module `site` gives to scripts
    site.setcopyright()
    site.sethelper()


def serve(control: socket.socket, standing: Standing) -> None:
    """Runs one child at a time, until the judge closes the control socket."""
    report = b""
    while True:
        message, job, _, _ = control.recvmsg(32, JOB_SPACE)
        if not message:
            return
        if not job:  # about a child whose end has crossed this message
            control.send(report)
            continue
        number, cpu_seconds, reads_stdin = struct.unpack(frames.JOB, message)
        pid = os.fork()
        if pid == 0:
            become_child(reads_stdin, cpu_seconds, standing)
        os.closerange(0, JOB_CHANNEL + 1)
        ending = end_child(pid, control, standing)
        if is_dirty(standing):
            with contextlib.suppress(ConnectionError):
                control.send(struct.pack(frames.STATUS, number, *ending, True, False))
            for folder, _ in standing.writable:
                empty_folder(folder)
        spent = standing.roomy and not walls.network_is_clean(standing.sockets)
        report = struct.pack(frames.STATUS, number, *ending, False, spent)
        control.send(report)


def end_child(pid: int, control: socket.socket, standing: Standing) -> tuple[int, float, bool]:
    """Waits for the child's end or the judge's word to kill it, then kills what it has left: the fields of Ending."""
    killed = not ended_by_itself(pid, control)
    if killed:
        os.kill(pid, signal.SIGKILL)
    if standing.roomy:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    while standing.roomy:
        try:
            os.wait()
        except ChildProcessError:
            break
    return status, usage.ru_utime + usage.ru_stime, killed


def ended_by_itself(pid: int, control: socket.socket) -> bool:
    """Waits until the child is dead, or until the judge wants its end. A child that is "gone" first gets GRACE.

    It does little, in few steps: each page that this process writes to while it has a child is copied.
    """
    try:
        life = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return ended_unseen(pid, control)
    poller = select.poll()
    poller.register(life, select.POLLIN)
    poller.register(CONTROL, select.POLLIN)
    dead = poller.poll()[0][0] == life  # in the order of registration
    if not dead and control.recv(1) == b"g":
        poller.unregister(CONTROL)
        dead = bool(poller.poll(GRACE * 1000))
    os.close(life)
    return dead


def ended_unseen(pid: int, control: socket.socket) -> bool:
    """The same where neither the kernel (gVisor) nor Python can announce the end of a process."""
    until = math.inf
    while time.monotonic() < until:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        if select.select([control], [], [], BLIND_TICK)[0]:
            until = min(until, time.monotonic() + (GRACE if control.recv(1) == b"g" else 0))
    return False


def is_dirty(standing: Standing) -> bool:
    """Whether a child has left anything in the folders that it can write to. Gives them their rights back."""
    if standing.namespaces and not standing.roomy:  # it could not change the rights, and a tmpfs counts its entries
        return os.stat(standing.scratch).st_size != EMPTY_TMPFS
    for folder, mode in standing.writable:
        os.chmod(folder, mode)
    return any(os.listdir(folder) for folder, _ in standing.writable)


def become_child(reads_stdin: bool, cpu_seconds: int, standing: Standing) -> None:
    """Puts the last walls around this new fork, runs the program, and never returns."""
    try:
        os.close(CONTROL)
        if standing.roomy:
            walls.prctl(walls.PR_SET_DUMPABLE, 1)
            os.closerange(SOCKETS, SOCKETS + 1)
            for stream in STREAMS:
                os.set_inheritable(stream, True)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        if standing.uid:
            os.setresuid(standing.uid, standing.uid, standing.uid)
        if not standing.namespaces:
            walls.die_with_parent()
        if standing.signal_ruleset >= 0:
            walls.enter_ruleset(standing.signal_ruleset)
            os.close(standing.signal_ruleset)
        if standing.child_filter:
            standing.child_filter.install()
        frames.write_frame(JOB_CHANNEL, frames.WALLS_STAND)
    except BaseException:
        os._exit(1)
    try:
        if standing.roomy:
            random.seed(0)
        (run_program if reads_stdin else answer_requests)(JOB_CHANNEL)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
