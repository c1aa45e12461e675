"""The host that hostile programs try to harm: canaries around a caller, and what has become of them.

A Host is a folder with a home full of secrets, listeners on the loopback network and a waiting sibling process.
`damage` says in words what has changed since the last look, and `words` is what an attacker may know of all this.
Everything is readable and writable for everybody, so that no file mode does the sandbox's work.
"""

import os
import secrets
import select
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED_FOLDERS = ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock", "/dev/mqueue", "/home", "/mnt", "/etc")
SETTLE = 10.0  # seconds that ended processes get to disappear
STOPPED = "TtZX"  # process states of /proc/PID/stat that a living sibling does not have


class Host:
    """Canaries, listeners and a sibling, in a temporary folder of their own; a context manager."""

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="attacked-"))
        self.home, self.scratch = self.root / "home", self.root / "tmp"
        self.secret = f"canary-{secrets.token_hex(16)}"
        self.mark = f"hidden-test-{secrets.token_hex(8)}"
        self.tag = f"attacker-{secrets.token_hex(8)}"
        self.sibling = start_sibling()
        self.listeners = listeners(self.tag)
        self.agent: socket.socket | None = None
        self.build()

    def build(self) -> None:
        """Makes the folders anew; what was left in shared folders goes."""
        for path in self.left_behind():
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        self.root.chmod(0o755)
        shutil.rmtree(self.home, ignore_errors=True)
        for folder in (self.scratch, self.home, self.home / ".ssh", self.home / ".cache" / "huggingface"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)
        (self.home / ".cache").chmod(0o777)
        for name in (".ssh/id_ed25519", ".netrc", ".cache/huggingface/token", ".bashrc", "notes.txt", "store.db"):
            (self.home / name).write_text(f"{self.secret}\n")
            (self.home / name).chmod(0o666)
        if self.agent:
            self.agent.close()
        self.agent = listener(socket.AF_UNIX, socket.SOCK_STREAM, str(self.home / "agent.sock"))
        (self.home / "agent.sock").chmod(0o777)
        self.files = snapshot(self.home)

    def words(self, caller: int) -> dict[str, str]:
        """What replaces the names in at signs in a program."""
        tcp, udp, _, _ = self.listeners
        return {
            "@HOME@": str(self.home),
            "@TAG@": self.tag,
            "@MARK@": self.mark,
            "@REPO@": str(REPOSITORY),
            "@CALLER@": str(caller),
            "@SIBLING@": str(self.sibling.pid),
            "@TCP@": str(tcp.getsockname()[1]),
            "@UDP@": str(udp.getsockname()[1]),
            "@ABSTRACT@": self.tag,
        }

    def damage(self) -> list[str]:
        """What has happened to the host, in words; repaired, so that it is told once."""
        found = [f"{path}: {what}" for path, what in changes(self.files, snapshot(self.home))]
        found += [f"left behind: {path}" for path in self.left_behind()]
        found += [f"reached: {name}" for name in self.reached()]
        state = process_state(self.sibling.pid)
        if state != self.sibling_state:
            found.append(f"sibling process: {state}, was {self.sibling_state}")
        if found:
            self.repair()
        return found

    def repair(self) -> None:
        """Builds what was damaged anew."""
        self.build()
        if process_state(self.sibling.pid) != self.sibling_state:
            stop_sibling(self.sibling)
            self.sibling = start_sibling()

    @property
    def sibling_state(self) -> str:
        """The state of a sibling that nobody has touched."""
        return f"alive, nice {os.getpriority(os.PRIO_PROCESS, 0)}, on {len(os.sched_getaffinity(0))} processors"

    def left_behind(self) -> list[str]:
        """Files that bear the attacker's tag, wherever programs could leave one."""
        paths = sysconfig.get_paths()
        folders = {*SHARED_FOLDERS, str(self.root), str(self.scratch), paths["stdlib"], paths["purelib"], os.getcwd()}
        folders |= {str(REPOSITORY), str(REPOSITORY / "scripts"), str(REPOSITORY / "scripts" / "__pycache__")}
        names = [(folder, name) for folder in sorted(folders) if os.path.isdir(folder) for name in os.listdir(folder)]
        return [os.path.join(folder, name) for folder, name in names if self.tag in name]

    def reached(self) -> list[str]:
        """The listeners to which anybody has connected or sent something."""
        everyone = [*self.listeners, self.agent]
        ready, _, _ = select.select(everyone, [], [], 0)
        for one in ready:
            if one.type == socket.SOCK_STREAM:
                one.accept()[0].close()
            else:
                one.recv(65536)
        return [f"{one.family.name} {one.type.name} {one.getsockname()}" for one in ready]

    def close(self) -> None:
        """Removes all of it."""
        stop_sibling(self.sibling)
        for one in [*self.listeners, self.agent]:
            one.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def start_sibling() -> subprocess.Popen:
    """A waiting process in a session of its own, which ends with this one."""
    return subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


def stop_sibling(sibling: subprocess.Popen) -> None:
    """Ends a sibling, stopped or not."""
    sibling.kill()
    sibling.communicate()


def listener(family: int, kind: int, address) -> socket.socket:
    """A socket that waits for anybody at `address`."""
    one = socket.socket(family, kind)
    one.bind(address)
    if kind == socket.SOCK_STREAM:
        one.listen(16)
    return one


def listeners(name: str) -> list[socket.socket]:
    """TCP and UDP on the loopback network, and two abstract Unix sockets."""
    return [
        listener(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        listener(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}"),
        listener(socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{name}-datagram"),
    ]


def snapshot(folder: Path) -> dict[str, tuple]:
    """Path -> everything that a program could change about the file."""
    return {str(path): describe(path) for path in [folder, *sorted(folder.rglob("*"))]}


def describe(path: Path) -> tuple:
    """Kind, mode, owner, times, links, attributes and content of one file."""
    status = path.lstat()
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    about = (oct(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink)
    return (*about, tuple(os.listxattr(path, follow_symlinks=False)), content)


def changes(before: dict[str, tuple], after: dict[str, tuple]) -> list[tuple[str, str]]:
    """(path, what happened) for each file that is not as it was."""
    gone = [(path, "deleted") for path in before.keys() - after.keys()]
    new = [(path, "new") for path in after.keys() - before.keys()]
    return gone + new + [(path, "changed") for path in before.keys() & after.keys() if before[path] != after[path]]


def process_state(pid: int) -> str:
    """Whether a process lives and runs undisturbed."""
    try:
        fields = stat_fields(pid)
        processors = len(os.sched_getaffinity(pid))
    except (FileNotFoundError, ProcessLookupError):
        return "dead"
    if fields[0] in STOPPED:
        return f"stopped or dead ({fields[0]})"
    return f"alive, nice {fields[16]}, on {processors} processors"


def stat_fields(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the state on: state, parent, ..."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def descendants(ancestor: int) -> set[int]:
    """All living processes below `ancestor`, which is a subreaper, so that orphans stay below it too."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                state, parent, *_ = stat_fields(name)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state not in "ZX":
                parents[int(name)] = int(parent)
    found, wave = set(), {ancestor}
    while wave := {pid for pid, parent in parents.items() if parent in wave}:
        found |= wave
    return found


def settled_descendants(ancestor: int, expected: int) -> set[int]:
    """The descendants, after waiting for those that are just ending while there are more than `expected`."""
    until = time.monotonic() + SETTLE
    while len(found := descendants(ancestor)) > expected and time.monotonic() < until:
        time.sleep(0.02)
    return found


def lasting(processes: set[int]) -> list[int]:
    """Those of the processes that do not end soon."""
    until = time.monotonic() + SETTLE
    while (left := [pid for pid in processes if os.path.exists(f"/proc/{pid}")]) and time.monotonic() < until:
        time.sleep(0.02)
    return left


def resident_megabytes(ancestor: int) -> int:
    """Memory that the descendants of a process hold; statm, which a root without CAP_SYS_PTRACE may read as well."""
    pages = 0
    for pid in descendants(ancestor):
        try:
            with open(f"/proc/{pid}/statm") as file:
                pages += int(file.read().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
