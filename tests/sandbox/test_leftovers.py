"""Nothing that one program does outlives it: each next program finds what the first one found."""

import json

import pytest

from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox

PROBE = """import fcntl, os, socket
def state(number):
    try:
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(number, fcntl.LOCK_UN)
    except OSError as error:
        return str(error)
    try:
        place = os.lseek(number, 0, os.SEEK_CUR)
    except OSError as error:
        place = str(error)
    return place, flags, os.fstat(number).st_size, os.isatty(number)
found = [state(number) for number in range(3)], os.getcwd(), os.listdir(), os.getpriority(0, 0), os.umask(0o22)
"""
# In their own words: what a program does to its descriptors, its folder and itself. Each line is one program.
SPOILERS = """os.lseek(1, 10**9, 0)
os.lseek(2, 10**7, 0); os.write(2, b'x')
os.lseek(0, 99, 0)
os.ftruncate(1, 60 << 20)
os.ftruncate(0, 1000)
os.write(0, b'junk')
os.write(2, b'junk')
fcntl.fcntl(1, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)
fcntl.fcntl(0, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)
fcntl.fcntl(2, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
fcntl.fcntl(1, 1033, 0xF)
fcntl.fcntl(0, 1033, 0xF)
fcntl.fcntl(1, 1031, 4096)
fcntl.flock(1, fcntl.LOCK_EX)
fcntl.flock(2, fcntl.LOCK_EX)
fcntl.lockf(1, fcntl.LOCK_EX)
fcntl.fcntl(1, 37, struct.pack('hhqqi', 1, 0, 0, 0, 0))
mmap.mmap(1, 4096)[:4] = b'junk'
os.fallocate(1, 0, 1 << 20) if hasattr(os, 'fallocate') else os.posix_fallocate(1, 0, 1 << 20)
os.set_blocking(0, False)
os.closerange(0, 200)
os.dup2(os.open('x', os.O_RDWR | os.O_CREAT), 1); print('into a file', flush=True)
os.makedirs('a/b/c'); os.chmod('a', 0)
os.chmod('.', 0); os.umask(0o777)
os.chdir('/'); os.nice(5)
signal.setitimer(signal.ITIMER_REAL, 0.01); signal.signal(signal.SIGALRM, signal.SIG_IGN)
os.symlink('/', 'link'); os.mkfifo('fifo')
a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [0, 1, 2, a.fileno(), b.fileno()])
""".splitlines()
IMPORTS = "import fcntl, mmap, os, signal, socket, struct\n"
CASES = json.dumps({"inputs": ["1\n", "2\n"], "outputs": ["2\n", "3\n"]})
BESIDE = "from unittest import mock\n"  # a test with this line runs beside the code
SHARED = BESIDE + "assert f(1) == 2\nassert f(2) == 3"


def spoiling(form: str, line: str) -> Program:
    """A program that does what the line says, and then perhaps computes the right answer."""
    if form == "program":
        return Program(f"{IMPORTS}print(int(input()) + 1, flush=True)\n{line}\n", CASES, kind="program")
    test = SHARED if form == "shared" else "assert f(1) == 2"
    return Program(f"{IMPORTS}def f(x):\n    {line}\n    return x + 1\n", test, "f")


def probing(form: str) -> Program:
    """A program that says in an exception what it finds."""
    if form == "program":
        return Program(f"{PROBE}raise ValueError(found)", CASES, kind="program")
    test = SHARED if form == "shared" else "assert f(1) == 2"
    return Program(f"{PROBE}def f(x):\n    raise ValueError(found)\n", test, "f")


def honest(form: str) -> Program:
    """A program that prints on both streams, reads stdin to its end and returns the right answer."""
    noise = "import sys\nprint('out ' * 1000)\nprint('err ' * 1000, file=sys.stderr)\n"
    if form == "program":
        return Program(f"{noise.replace('print(', '(', 1)}print(int(sys.stdin.read()) + 1)\n", CASES, kind="program")
    test = SHARED if form == "shared" else "assert f(1) == 2"
    return Program(f"{noise}assert not sys.stdin.read()\ndef f(x):\n    return x + 1\n", test, "f")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as one:
        yield one


def seen(sandbox: Sandbox, form: str) -> Verdict:
    """The verdict that names what a program of this form finds."""
    return sandbox.run([probing(form)])[0]


@pytest.mark.parametrize("form", ["function", "shared", "program"])
def test_nothing_outlives_a_program(sandbox, form):
    first = seen(sandbox, form)
    assert first.kind == "exception" and "ValueError: ([" in first.reason, first
    isolation = "shared" if form == "shared" else "separate"
    for line in SPOILERS:
        spoiled = sandbox.run([spoiling(form, line)])[0]
        assert spoiled.status != "INFRA" and spoiled.isolation == isolation, (line, spoiled)
        assert seen(sandbox, form).reason == first.reason, line
        verdict = sandbox.run([honest(form)])[0]
        assert (verdict.status, verdict.isolation) == ("PASS", isolation), (line, verdict)


@pytest.mark.parametrize(
    "call",
    [
        "os.lseek(1, 0, 0)",
        "os.ftruncate(1, 0)",
        "os.pread(1, 1, 0)",
        "os.pwrite(1, b'2', 0)",
        "mmap.mmap(1, 1)",
        "os.lseek(os.dup(1), 0, 0)",
        "open(1, 'w').seek(0)",
        "sys.stdout.seek(0)",
        "os.read(1, 9)",
        "os.posix_fallocate(1, 0, 9)",
    ],
)
def test_what_has_been_printed_cannot_be_changed(sandbox, call):
    """As where Python prints into a pipe, the call raises."""
    code = f"import mmap, os, sys\nprint('wrong', flush=True)\n{call}\nprint(int(input()) + 1)\n"
    verdict = sandbox.run([Program(code, CASES, kind="program")])[0]
    assert verdict.status == "FAIL" and verdict.kind in ("exception", "forbidden"), verdict


def test_long_outputs_and_slow_lines_arrive(sandbox):
    """More than a pipe holds, printed at once, in lines, and by the last write before the end."""
    count = 200_000
    outputs = ["\n".join(map(str, range(count))) + "\n", "x" * 1_000_000, "ab" * 10]
    code = (
        "import os, sys\nway = input()\n"
        f"if way == 'lines':\n    for number in range({count}): print(number)\n"
        "elif way == 'write': os.write(1, b'x' * 1_000_000)\n"
        "else:\n    for _ in range(10): print('ab', end='', flush=True)\n"
    )
    cases = json.dumps({"inputs": ["lines\n", "write\n", "slow\n"], "outputs": outputs})
    verdict = sandbox.run([Program(code, cases, kind="program")])[0]
    assert verdict.status == "PASS", verdict.reason


def test_endless_output_is_no_wrong_output(sandbox):
    verdict = sandbox.run([Program("while True: print('x' * 10_000)\n", CASES, kind="program")])[0]
    assert (verdict.status, verdict.kind) == ("FAIL", "exception"), verdict.reason


# Bodies of a function whose test runs beside it. They use what a network namespace keeps.
NETWORK = {
    "closed by the server first": "s.listen(); c.connect(A); d, _ = s.accept(); d.close(); c.close()",
    "closed by the client first": "s.listen(); c.connect(A); d, _ = s.accept(); c.close(); d.close()",
    "never closed": "s.listen(); c.connect(A); d, _ = s.accept(); d.send(b'x' * 999); hold.extend([s, d])",
    "not accepted": "s.listen(); c.connect(A); c.send(b'x')",
    "on its way": "s.listen(); a, b = socket.socketpair(); fds = [s.fileno(), u.fileno(), n.fileno(), a.fileno()]\n"
    "    socket.send_fds(a, [b'x'], [*fds, b.fileno()]); socket.send_fds(b, [b'x'], fds)",
    "of a process that stays": "s.listen()\n    if not os.fork(): os.setsid(); time.sleep(100)",
}
OPENED = """import os, socket, time
A, hold = ('127.0.0.1', 8765), []
def f(x):
    s, c, u = socket.socket(), socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    n = socket.socket(socket.AF_UNIX)
    s.bind(A); u.bind(A); n.bind('\\0name')
"""


@pytest.mark.parametrize("name", NETWORK)
def test_no_port_outlives_a_program(sandbox, name):
    if "without namespaces" in sandbox.walls:
        pytest.skip("no network namespace here, so no program may open a socket")
    test = BESIDE + "assert f(1) == 1"
    bodies = [f"{OPENED}    {NETWORK[name]}\n    return 1", f"{OPENED}    return 1"] * 2
    verdicts = sandbox.run([Program(body, test, "f") for body in bodies])
    assert [(one.status, one.isolation) for one in verdicts] == [("PASS", "shared")] * 4, verdicts


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/net/ipv4/ip_local_port_range",
        "/proc/sys/net/ipv4/tcp_max_tw_buckets",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/1/mem",
        "/proc/1/timerslack_ns",
        "/proc/1/oom_score_adj",
        "/proc/1/coredump_filter",
    ],
)
def test_settings_of_the_namespaces_are_not_the_programs(sandbox, path):
    """Neither their files nor the process that forks the programs can be written to."""
    write = f"    with open({path!r}, 'r+b', 0) as file:\n        file.write(file.read(9))\n"
    code = f"def f(x):\n{write}    return 'written'"
    verdict = sandbox.run([Program(code, BESIDE + "assert f(1) == 'written'", "f")])[0]
    assert verdict.status == "FAIL", verdict
