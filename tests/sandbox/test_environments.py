"""The sandbox on narrower machines: containers in containers, no /proc, no place to write, calls the kernel has not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import SCRIPTS
from raccoon.records import Program
from raccoon.sandbox import pool, seccomp, walls
from raccoon.sandbox.pool import Sandbox, SandboxError
from raccoon.sandbox.setup import remove_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

COMMAND = [sys.executable, str(SCRIPTS / "sandbox.py"), "--workers", "1"]
RIGHT = {"code": "def f(x):\n    return x + 1\n", "test": "assert f(1) == 2\n", "entry_point": "f"}
BESIDE = "from unittest import mock\n"  # a test with this line runs beside the code
SHARED = RIGHT | {"test": BESIDE + RIGHT["test"]}
HUNGRY = {"code": "def f(n):\n    return len(bytes(n) + b'x')\n", "test": "assert f(400 << 20)\n", "entry_point": "f"}
FORK = {
    "code": "import os\ndef f(x):\n    return 2 if os.fork() else os._exit(0)\n",
    "test": SHARED["test"],
    "entry_point": "f",
}
IN_MOUNTS = ["unshare", "-m", "sh", "-ec"]
WITHOUT_CAPABILITIES = """
import ctypes, os, sys
for capability in range(64):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; fails for those the kernel has not
os.execvp(sys.argv[1], sys.argv[1:])
"""
READ_ONLY = "for at in {}; do mount --bind $at $at; mount -o remount,ro,bind $at; done; "


def command(*programs: dict, under: list[str] = [], **options) -> tuple[list[str], str, int]:  # noqa: B006
    """A run of the command below others: its statuses, what it said on stderr, its exit code."""
    if under and subprocess.run([*under, "true"], capture_output=True, cwd="/").returncode:
        pytest.skip(f"{' '.join(under)[:60]} is not permitted here")
    text = "".join(json.dumps(program) + "\n" for program in programs or (RIGHT, SHARED))
    done = subprocess.run(
        [*under, *COMMAND], input=text.encode(), capture_output=True, timeout=120, **{"cwd": "/", **options}
    )
    statuses = [json.loads(line)["status"] for line in done.stdout.splitlines()]
    return statuses, done.stderr.decode(), done.returncode


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with changes, and without what would choose a folder or a weaker sandbox."""
    kept = {name: value for name, value in os.environ.items() if name not in ("TMPDIR", "SANDBOX_ALLOW_WEAK")}
    return kept | changes


def mounted(script: str) -> list[str]:
    """A prefix that runs a command in mounts of its own, which `script` has changed."""
    return [*IN_MOUNTS, script + 'exec "$@"', "sh"]


# name: the prefix, what the line of walls says
STANDS = {
    "one_uid": (["unshare", "-Ur"], "uid kept, Landlock"),
    "one_uid_in_one_uid": (["unshare", "-Ur", "unshare", "-Ur"], "uid kept, Landlock"),
    "no_capabilities": ([sys.executable, "-c", WITHOUT_CAPABILITIES], "uid kept"),  # docker run --cap-drop ALL
    "no_proc": (mounted("umount -l /proc; "), "Landlock"),
    "one_uid_without_proc": (["unshare", "-Ur", *mounted("mount -t tmpfs none /proc; ")], "Landlock"),
    "read_only_tmp": (mounted(READ_ONLY.format("/tmp")), "Landlock"),
    "read_only_root": (mounted(READ_ONLY.format("/ /tmp /var/tmp")), "Landlock"),
    "full_tmp": (mounted("mount -t tmpfs -o nr_inodes=1 none /var/tmp; export TMPDIR=/var/tmp; "), "Landlock"),
    "no_dev_shm": (mounted("mount -t tmpfs none /dev/shm; umount /dev/shm; "), "Landlock"),
    "few_descriptors": (["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"], "Landlock"),
    "one_core": (["taskset", "-c", str(min(os.sched_getaffinity(0)))], "Landlock"),
}


@pytest.mark.parametrize("name", list(STANDS))
def test_sandbox_stands(name):
    under, said = STANDS[name]
    statuses, errors, code = command(RIGHT, SHARED, FORK, under=under, env=environment())
    assert (statuses[:2], code) == (["PASS", "PASS"], 0), errors
    assert said in errors and "Traceback" not in errors, errors
    bounded = "own uid" in errors or os.geteuid() != 0  # the kernel counts no processes of a real root
    forks = bounded and "namespaces (pid" in errors
    assert statuses[2] == ("PASS" if forks else "FAIL"), "only what is bounded may start processes: " + errors


def test_folder_from_which_nothing_may_be_executed_will_do(tmp_path):
    under = mounted(f"mount -t tmpfs -o noexec none {tmp_path}; ")
    statuses, errors, code = command(under=under, env=environment(TMPDIR=str(tmp_path)))
    assert (statuses, code) == (["PASS", "PASS"], 0), errors


def test_no_place_to_write_is_a_line_with_the_remedy():
    under = mounted(READ_ONLY.format("/ /tmp /var/tmp /dev/shm"))
    statuses, errors, code = command(under=under, env=environment())
    assert (statuses, code) == ([], 2) and len(errors.splitlines()) == 1, errors
    assert "TMPDIR" in errors


def test_folder_of_any_depth_is_removed(tmp_path, monkeypatch):
    """Also by the caller, where the processes that should have done it were lost."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for _ in range(2 * sys.getrecursionlimit()):
        os.mkdir("d" * 9)
        os.chdir("d" * 9)
    monkeypatch.undo()
    remove_folder(folder)
    assert not folder.exists()


def test_worker_needs_nothing_of_what_its_predecessor_left():
    with Sandbox(workers=1) as box:
        [worker] = box._pools[False].workers
        worker.stop()
        for folder in Path(box._root).iterdir():
            (folder / "left").mkdir()
        assert box.submit(Program(**RIGHT)).result().status == "PASS"
    assert not os.path.exists(box._root)


def lacking(*calls: str):
    """A preexec_fn after which the kernel seems not to know some system calls, as gVisor and old kernels do."""
    lost = seccomp.Filter([(call, (), seccomp.refuse(seccomp.ENOSYS)) for call in calls], nested=True)

    def install() -> None:
        walls.prctl(walls.PR_SET_NO_NEW_PRIVS, 1)
        lost.install()

    return install


@pytest.fixture
def more_calls(monkeypatch):
    """Calls that no wall has to name, for the filters of this process."""
    for name, numbers in {"mount": (165, 40), "setgroups": (116, 159)}.items():
        monkeypatch.setitem(seccomp.SYSCALLS, name, numbers)


@pytest.mark.parametrize("call", ["unshare", "mount", "pivot_root", "pidfd_open", "close_range", "setgroups"])
def test_call_that_the_kernel_has_not_costs_at_most_its_wall(more_calls, call):
    statuses, errors, code = command(preexec_fn=lacking(call), env=environment())
    assert (statuses, code) == (["PASS", "PASS"], 0), errors
    if call in ("unshare", "mount", "pivot_root"):
        assert "without namespaces (not permitted here)" in errors
    if call == "setgroups":
        assert "uid kept" in errors


@pytest.mark.parametrize("call, name", [("landlock_create_ruleset", "Landlock"), ("seccomp", "seccomp")])
def test_machine_without_a_wall_is_refused_unless_allowed(tmp_path, call, name):
    variables = environment(TMPDIR=str(tmp_path))
    statuses, errors, code = command(env=variables, preexec_fn=lacking(call))
    assert (statuses, code) == ([], 2) and len(errors.splitlines()) == 1
    assert name in errors and "SANDBOX_ALLOW_WEAK=1" in errors
    assert not os.listdir(tmp_path)
    variables["SANDBOX_ALLOW_WEAK"] = "1"
    statuses, errors, code = command(env=variables, preexec_fn=lacking(call))
    assert (statuses, code) == (["PASS", "PASS"], 0), errors
    assert f"without {name}: WEAK" in errors


def test_kernel_with_hardly_any_wall_runs_where_that_is_allowed(more_calls):
    absent = lacking("landlock_create_ruleset", "seccomp", "unshare", "pidfd_open", "close_range", "setgroups")
    statuses, errors, code = command(env=environment(SANDBOX_ALLOW_WEAK="1"), preexec_fn=absent)
    assert (statuses, code) == (["PASS", "PASS"], 0), errors
    assert "Landlock: WEAK, seccomp: WEAK" in errors


def test_worker_that_comes_back_behind_other_walls_judges_nothing():
    """A kernel may lose Landlock, or a machine its namespaces, while a pool stands."""
    program = Program(**RIGHT)
    with Sandbox(workers=1) as box:
        [worker], standing = box._pools[False].workers, box._pools[False].standing
        standing["walls"] = "walls of another kind"
        worker.stop()
        verdict = box.submit(program).result()
        assert verdict.status == "INFRA" and "walls have changed" in verdict.reason, verdict
        standing["walls"] = box.walls
        assert box.submit(program).result().status == "PASS"


@pytest.mark.parametrize("name", list(pool.NEEDED_MODULES))
def test_module_that_python_was_built_without_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SandboxError, match=name):
        Sandbox(workers=1)


def test_address_space_is_found_without_proc():
    script = (
        "import sys; from raccoon.sandbox import walls; a = walls.address_space()\n"
        "def absent(*_): raise FileNotFoundError\n"
        "walls.open = absent; print(walls.address_space() - a)"
    )
    variables = environment(PYTHONPATH=str(SCRIPTS))
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    assert abs(int(done.stdout)) < 4 << 20


# name: the cgroup of this process, the files below /sys/fs/cgroup, the limit in MB
CGROUPS = {
    "version_2": ("0::/\n", {"memory.max": f"{256 << 20}\n"}, 256),
    "version_2_no_limit": ("0::/\n", {"memory.max": "max\n"}, None),
    "version_2_above": ("0::/a/b\n", {"a/memory.max": f"{64 << 20}\n", "a/b/memory.max": "max\n"}, 64),
    "version_1": ("4:memory:/\n0::/\n", {"memory/memory.limit_in_bytes": f"{128 << 20}\n"}, 128),
    "version_1_no_limit": ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
    "version_1_below": ("4:memory:/x\n", {"memory/x/memory.limit_in_bytes": f"{32 << 20}\n"}, 32),
    "none": ("", {}, None),
}


@pytest.mark.parametrize("name", list(CGROUPS))
def test_memory_limit_of_the_container(monkeypatch, tmp_path, name):
    groups, files, megabytes = CGROUPS[name]
    for file, text in files.items():
        (tmp_path / "fs" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / file).write_text(text)
    (tmp_path / "groups").write_text(groups)
    monkeypatch.setattr(pool, "CGROUPS", tmp_path / "fs")
    monkeypatch.setattr(pool, "OWN_CGROUPS", tmp_path / "groups")
    note = pool.memory_note(1024)
    assert (f"memory limit of {megabytes} MB is below a program's 1024 MB" in note) if megabytes else not note, note


@pytest.fixture
def small_cgroup():
    """A cgroup of 300 MB, by the file that takes its processes."""
    controller = Path("/sys/fs/cgroup/memory")
    group = controller / f"sandbox-test-{os.getpid()}"
    try:
        if not (controller / "cgroup.procs").exists():
            raise FileNotFoundError(controller)
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(300 << 20))
    except OSError as error:
        pytest.skip(f"no memory cgroup of version 1 can be made here: {error}")
    yield group / "cgroup.procs"
    group.rmdir()


def test_program_beyond_the_containers_memory_costs_only_itself(small_cgroup):
    """The kernel ends the program, not its caller or its judge. It is our fault only if the solution needs as much."""
    join = ["sh", "-c", f'echo $$ > {small_cgroup}; exec "$@"', "sh"]
    solved = HUNGRY | {"solution": HUNGRY["code"]}
    statuses, errors, code = command(HUNGRY, solved, RIGHT, under=join, env=environment())
    assert (statuses, code) == (["FAIL", "INFRA", "PASS"], 0), errors
    assert "this container's memory limit of 300 MB is below a program's 1024 MB" in errors


@pytest.mark.parametrize("extra, pinned", [(0, True), (1, False)])
def test_worker_keeps_to_a_core_only_where_each_core_has_one(extra, pinned):
    cores = os.sched_getaffinity(0)
    code = "import os\ndef f(x):\n    return sorted(os.sched_getaffinity(0))\n"
    with Sandbox(workers=len(cores) + extra) as box:
        test = "home = f(1)\nassert len(home) == 1" if pinned else f"assert f(1) == {sorted(cores)}"
        assert box.submit(Program(code, test, "f")).result().status == "PASS"
        beside = f"{BESIDE}assert f(1) == {sorted(cores)}"
        assert box.submit(Program(code, beside, "f")).result().status == "PASS"
