"""A caller of the sandbox in a process of its own, as a training script is one: it holds a secret and can be attacked.

    python tests/attacks/caller.py MODE        (started by Caller; programs in, verdicts out, one JSON line each)
Modes: "full" takes the machine as it is; "docker" first gives up what Docker's default profile withholds
(capabilities, namespaces, mounts); "rooted" is that with a Python that only root can read, so that the children stay
root; "user" becomes an ordinary user; "one uid" enters a user namespace that has a single uid, as Apptainer and a
rootless container without subordinate uids do; "no proc" takes /proc away. All but the first two and "one uid" exist
only where the tests run as root.
"""

import ctypes
import dataclasses
import json
import os
import platform
import selectors
import struct
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PLAIN_UID = 54321  # of nobody: no limit per user is shared with a real one
ANSWER_SECONDS = 90.0  # after which a program counts as having hung the sandbox
SYSTEM_PYTHON = "/usr/bin/python3"
LIBRARIES = ("numpy", "tzdata")  # that some honest programs need
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
# audit_write, setfcap: https://docs.docker.com/engine/security/#linux-kernel-capabilities
DOCKER_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
CAP_SYS_ADMIN = 21
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC, MS_PRIVATE, MNT_DETACH = 1 << 14, 1 << 18, 2
NEW_NAMESPACES = 0x7E020080  # CLONE_NEW* flags
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER = 4, 24, 38, 22, 36
# System calls that Docker's default profile forbids without CAP_SYS_ADMIN, x86-64 and arm64; the first is clone.
CALLS = {
    "x86_64": (56, 435, (272, 165, 166, 308, 155, 428, 429, 430, 442)),
    "aarch64": (220, 435, (97, 40, 39, 268, 41)),
}


class Caller:
    """The test's end of a caller. `mode` as above, `environment` what it starts with; a context manager."""

    def __init__(self, mode: str, environment: dict[str, str]):
        self.mode, self.environment = mode, environment
        self.start()

    def start(self) -> None:
        """Starts the process and waits until its sandbox stands."""
        self.process = subprocess.Popen(
            [sys.executable, __file__, self.mode],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        hello = self.receive()
        self.walls, self.libraries = hello["walls"], hello["libraries"]

    @property
    def pid(self) -> int:
        """Of the process that holds the Sandbox."""
        return self.process.pid

    def judge(self, program: dict) -> dict:
        """The verdict of one program; ConnectionError or TimeoutError when the caller has died or hangs."""
        self.process.stdin.write(json.dumps(program).encode() + b"\n")
        self.process.stdin.flush()
        return self.receive()

    def receive(self) -> dict:
        """One JSON line of the process; while it is stopped, none comes."""
        data, until = b"", time.monotonic() + ANSWER_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not data.endswith(b"\n"):
                if not selector.select(until - time.monotonic()):
                    raise TimeoutError(f"no verdict in {ANSWER_SECONDS:g} s")
                part = os.read(self.process.stdout.fileno(), 1 << 20)
                if not part:
                    raise ConnectionError("the caller has died")
                data += part
        return json.loads(data)

    def restart(self) -> None:
        """Ends the process, however it is, and starts another."""
        self.process.kill()
        self.process.communicate()
        self.start()

    def close(self) -> None:
        """Ends the process and its sandbox in order."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_) -> None:
        self.close()


# --- the process ------------------------------------------------------------------------------------------------------


def main() -> None:
    mode = sys.argv[1]
    if mode in MODES:
        MODES[mode]()
    else:
        serve()


def enter_full() -> None:
    """The machine as it is."""
    start_over(sys.executable)


def enter_docker() -> None:
    """What a container has under Docker's default profile: fewer capabilities, no namespaces, no mounts."""
    give_up_privileges()
    start_over(public_python() or sys.executable)


def enter_rooted() -> None:
    """The same where nobody but root can read Python."""
    give_up_privileges()
    start_over(sys.executable)


def enter_user() -> None:
    """An ordinary user without any privilege."""
    start_over(become_plain_user())


def become_plain_user() -> str:
    """Leaves root for PLAIN_UID; a Python that this user can start."""
    python = public_python()
    os.setgroups([])
    os.setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID)
    os.setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID)
    prctl(PR_SET_DUMPABLE, 1)  # else /proc/self belongs to root
    return python


def enter_one_uid() -> None:
    """Root of a user namespace that maps no other uid, as `unshare -Ur` makes it for an ordinary user."""
    python = become_plain_user() if os.geteuid() == 0 else sys.executable
    uid, gid = os.geteuid(), os.getegid()
    checked(libc().unshare(CLONE_NEWUSER), "unshare")
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path("/proc/self", file).write_text(text)
    start_over(python)


def enter_no_proc() -> None:
    """The machine as it is, but for /proc."""
    checked(libc().unshare(CLONE_NEWNS), "unshare")
    checked(libc().mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None), "mount")
    checked(libc().umount2(b"/proc", MNT_DETACH), "umount of /proc")
    start_over(sys.executable)


MODES = {
    "full": enter_full,
    "docker": enter_docker,
    "rooted": enter_rooted,
    "user": enter_user,
    "one uid": enter_one_uid,
    "no proc": enter_no_proc,
}


def unavailable(mode: str) -> str:
    """Why a mode cannot be had here, or an empty text."""
    if mode in ("rooted", "user", "no proc") and os.geteuid() != 0:
        return "the tests do not run as root"
    if mode == "no proc" and not may_administrate():
        return "this root may not unmount /proc"
    if mode == "one uid" and subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode:
        return "this machine allows no user namespaces"
    if mode == "rooted" and public_python() == sys.executable:
        return "everybody can read this Python"
    if mode in ("user", "one uid") and os.geteuid() == 0 and not public_python():
        return f"only root can read {sys.executable}, and there is no {SYSTEM_PYTHON}"
    return ""


def public_python() -> str:
    """This Python or the system's, whichever every user can start; empty where there is neither."""
    if all(os.stat(path).st_mode & 0o001 for path in (sys.base_prefix, *Path(sys.base_prefix).parents)):
        return sys.executable
    return SYSTEM_PYTHON if os.path.exists(SYSTEM_PYTHON) else ""


def give_up_privileges() -> None:
    """Capabilities, namespaces and mounts, for this process and all below it."""
    if not may_administrate():  # without this a filter is refused; root in a container needs it too
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    install_docker_filter()
    if os.geteuid() == 0:
        for capability in set(range(64)) - DOCKER_CAPABILITIES:
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those the kernel has not


def may_administrate() -> bool:
    """Whether this process has CAP_SYS_ADMIN."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> CAP_SYS_ADMIN & 1)


def start_over(python: str) -> None:
    """A fresh interpreter: lost capabilities take effect, and the process may be looked into as any other."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    os.execv(python, [python, __file__, "serve"])


def prctl(option: int, value: int) -> None:
    """prctl(2); OSError when it fails."""
    checked(libc().prctl(option, value, 0, 0, 0), f"prctl {option}")


def libc() -> ctypes.CDLL:
    """The C library, with errno kept for `checked`."""
    return ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    """OSError when a call of the C library has failed."""
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def install_docker_filter() -> None:
    """EPERM for namespaces and mounts, ENOSYS for clone3, whose flags a filter cannot read."""
    clone, clone3, forbidden = CALLS[platform.machine()]
    load, equal, any_bit, give = 0x20, 0x15, 0x45, 0x06
    allow, eperm, enosys = 0x7FFF0000, 0x00050001, 0x00050026
    program = [(load, 0, 0, 0)]
    for number in forbidden:
        program += [(equal, 0, 1, number), (give, 0, 0, eperm)]
    program += [(equal, 0, 1, clone3), (give, 0, 0, enosys)]
    program += [(equal, 0, 3, clone), (load, 0, 0, 16), (any_bit, 0, 1, NEW_NAMESPACES), (give, 0, 0, eperm)]
    program += [(give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    checked(libc().prctl(PR_SET_SECCOMP, 2, header, 0, 0), "the filter that stands for Docker's profile")


def serve() -> None:
    """Judges programs one by one, until the test hangs up."""
    import importlib.util

    sys.path.insert(0, str(SCRIPTS))
    from raccoon.records import Program
    from raccoon.sandbox.pool import Sandbox

    libraries = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    with Sandbox(workers=1) as sandbox:
        print(json.dumps({"walls": sandbox.walls, "libraries": libraries}), flush=True)
        for line in sys.stdin:
            verdict = sandbox.submit(Program(**json.loads(line))).result()
            print(json.dumps(dataclasses.asdict(verdict)), flush=True)


if __name__ == "__main__":
    main()
