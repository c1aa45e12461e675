"""The kernel's walls around untrusted code besides seccomp: Landlock, namespaces, limits, capabilities.

It is not a sandbox by itself: zygote.py decides which walls to use and in what order, and judge.py puts some of them
around itself. Each function raises OSError if the kernel refuses, so no wall is assumed to hold without a check.

Sources: the kernel's manual pages (landlock(7), namespaces(7), user_namespaces(7), pivot_root(2)) and uapi headers.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import socket
import struct
from collections.abc import Callable

from raccoon.sandbox import seccomp
from raccoon.sandbox.seccomp import PR_SET_PDEATHSIG, SIGKILL, checked, libc, system_call

LANDLOCK_READ = 1 << 2 | 1 << 3  # READ_FILE, READ_DIR
LANDLOCK_WRITE = 1 << 1 | 0b111111111 << 4  # WRITE_FILE, REMOVE_*, MAKE_* (regular, dir, char, sock, fifo, block, sym)
LANDLOCK_REMOVE_DIR = 1 << 4
LANDLOCK_REFER = 1 << 13  # rename and link across directories, ABI 2
LANDLOCK_TRUNCATE = 1 << 14  # ABI 3
LANDLOCK_IOCTL = 1 << 15  # ioctl on devices, ABI 5
LANDLOCK_EXECUTE = 1 << 0
LANDLOCK_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | LANDLOCK_TRUNCATE | LANDLOCK_IOCTL  # those that apply to a plain file
LANDLOCK_NETWORK = LANDLOCK_SCOPES = 0b11  # TCP bind and connect; abstract sockets and signals

PR_SET_DUMPABLE = 4  # may processes of the same user read and write this one's files in /proc?
PR_SET_NO_NEW_PRIVS = 38  # no exec below this process can gain a privilege; required before seccomp and Landlock
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 4096, 16384, 1 << 18, 2
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
MAP_PRIVATE, MAP_ANONYMOUS, MAP_FAILED = 2, 32, ctypes.c_void_p(-1).value

libc.mmap.restype = ctypes.c_void_p


def missing() -> str:
    """Which of the two required walls this machine lacks, in words; "" if it has both."""
    if seccomp.MACHINE not in seccomp.ARCHITECTURES:
        return f"no seccomp filter is written for {seccomp.MACHINE} (only for {' and '.join(seccomp.ARCHITECTURES)})"
    if not landlock_abi():
        return (
            "this kernel has no Landlock (it needs Linux 5.13 or newer with landlock in its lsm= list; gVisor has no "
            "Landlock, but isolates programs itself)"
        )
    return "" if seccomp.available() else "this kernel refuses seccomp filters"


def prctl(option: int, value: int) -> None:
    """Sets one of the options PR_SET_... of this process."""
    checked(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def die_with_parent(signal_number: int = SIGKILL) -> None:
    """Sends this process a signal when its parent ends. Call it after every change of uid, which clears it."""
    prctl(PR_SET_PDEATHSIG, signal_number)


def drop_capabilities() -> None:
    """Empties all three capability sets of this process (capset(2), version 3)."""
    header = struct.pack("II", 0x20080522, 0)
    system_call("capset", ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))


def limit(what: int, soft: int) -> None:
    """Lowers a resource limit, soft and hard, to `soft` or to the present hard limit if that is lower."""
    hard = resource.getrlimit(what)[1]
    value = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(what, (value, value))


def be_killed_first() -> None:
    """If memory runs out, the kernel kills this process and its children before the caller and its judge."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as handle:
        handle.write("1000")


def address_space() -> int:
    """Bytes of address space that this process has: from /proc, or else the lowest limit that allows one more page."""
    page = resource.getpagesize()
    with contextlib.suppress(OSError), open("/proc/self/statm") as handle:
        return int(handle.read().split()[0]) * page
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    low, high = 0, 1 << 47 if hard == resource.RLIM_INFINITY else hard
    while high - low > page:
        middle = (low + high) // 2
        resource.setrlimit(resource.RLIMIT_AS, (middle, hard))
        at = libc.mmap(None, ctypes.c_size_t(page), 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, ctypes.c_long(0))
        low, high = (middle, high) if at == MAP_FAILED else (low, middle)
        if at != MAP_FAILED:
            libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(page))
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return high


def works_in_a_fork(action: Callable[[], bool | None]) -> bool:
    """Whether `action`, tried in a fork of this process that then ends, raises nothing and does not return False."""
    probe = os.fork()
    if probe == 0:
        code = 1
        try:
            code = int(action() is False)
        finally:
            os._exit(code)
    return os.waitpid(probe, 0)[1] == 0


# --- Landlock ---------------------------------------------------------------------------------------------------------


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 if it has none or forbids it."""
    try:
        return system_call("landlock_create_ruleset", 0, 0, 1)
    except OSError:
        return 0


def restrict_files(read: list[str], write: list[str], vacate: list[str], roomy: bool = False) -> None:
    """From here on: read below `read`, read and write below `write`, remove empty folders below `vacate`.

    Everything else is forbidden: exec, TCP (from ABI 4 on), and signals and abstract sockets to processes outside this
    domain (from 6 on). `roomy` allows these, for a process that has its own namespaces. Missing paths are skipped.
    """
    abi = landlock_abi()
    handled = LANDLOCK_READ | LANDLOCK_WRITE | (0 if roomy else LANDLOCK_EXECUTE)
    handled |= (abi >= 2) * LANDLOCK_REFER | (abi >= 3) * LANDLOCK_TRUNCATE | (abi >= 5) * LANDLOCK_IOCTL
    scoped = (LANDLOCK_NETWORK if abi >= 4 else 0, LANDLOCK_SCOPES if abi >= 6 else 0)
    ruleset = _ruleset(abi, handled, *((0, 0) if roomy else scoped))
    granted = ((read, LANDLOCK_READ), (write, handled & ~LANDLOCK_EXECUTE), (vacate, LANDLOCK_REMOVE_DIR))
    for path, rights in [(path, rights) for paths, rights in granted for path in paths]:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        rule = struct.pack("=Qi", rights if os.path.isdir(path) else rights & LANDLOCK_FILE_RIGHTS, descriptor)
        system_call("landlock_add_rule", ruleset, 1, ctypes.c_char_p(rule), 0)
        os.close(descriptor)
    enter_ruleset(ruleset)
    os.close(ruleset)


def signal_ruleset() -> int:
    """A descriptor for `enter_ruleset`. A process that enters it cannot signal processes outside. -1 below ABI 6."""
    abi = landlock_abi()
    return _ruleset(abi, 0, 0, LANDLOCK_SCOPES) if abi >= 6 else -1


def enter_ruleset(ruleset: int) -> None:
    """Puts this process under an existing Landlock ruleset."""
    system_call("landlock_restrict_self", ruleset, 0)


def _ruleset(abi: int, files: int, network: int, scoped: int) -> int:
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    attributes = struct.pack("QQQ", files, network, scoped)
    return system_call("landlock_create_ruleset", ctypes.c_char_p(attributes), size, 0)


# --- namespaces, and a root directory that contains only the files that computing needs -------------------------------


def owns_uid(uid: int) -> bool:
    """Whether the user namespace of this process has `uid`; that of a rootless container may have a single uid."""
    try:
        with open("/proc/self/uid_map") as handle:
            ranges = [tuple(map(int, line.split())) for line in handle]
    except OSError:  # no /proc: changing the uid shows it
        return True
    return any(first <= uid < first + count for first, _, count in ranges)


def enter_namespaces(settle: Callable[[], None], own_user: bool) -> bool:
    """Moves into new pid, network, mount, ipc and uts namespaces, then calls `settle`. The caller becomes pid 1.

    `own_user`: also make a new user namespace, for processes without the right to do it otherwise. Returns False, with
    nothing changed, if the machine forbids any of it, as Docker's default profile does. A forked probe tries all of it
    first, so that the process never gets a part of the namespaces.
    """

    def attempt() -> bool:
        _unshare(own_user)
        return works_in_a_fork(settle)

    if not works_in_a_fork(attempt):
        return False
    _unshare(own_user)
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        os._exit(0)
    os.setsid()  # signals to a process group cross the border of a pid namespace
    settle()
    return True


def _unshare(own_user: bool) -> None:
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    uid, gid = os.geteuid(), os.getegid()
    system_call("unshare", flags | CLONE_NEWUSER if own_user else flags)
    if own_user:
        for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{file}", "w") as handle:
                handle.write(text)
    _mount(None, "/", None, MS_REC | MS_PRIVATE)


def enter_private_root(root: str, read: list[str], scratch: str, megabytes: int, inodes: int) -> None:
    """Makes a tmpfs on `root` the root directory, with `read` bound read-only, four devices, a writable `scratch`."""
    _mount("none", root, "tmpfs", MS_NOSUID | MS_NODEV, f"size={megabytes}m,nr_inodes={inodes},mode=755")
    for device in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
        _bind(device, root + device)
    for path in sorted(read):  # a folder before its contents
        for name in {path, os.path.realpath(path)}:
            if not os.path.exists(root + name):  # not bound already together with a parent folder
                _bind(path, root + name)
                with contextlib.suppress(PermissionError):  # its flags are locked; Landlock still forbids writing
                    _mount(None, root + name, None, MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_RDONLY)
    for writable in (scratch, "/dev/shm"):
        os.makedirs(root + writable, exist_ok=True)
        os.chmod(root + writable, 0o1777)
    if not os.path.exists(root + "/tmp"):  # Python itself may be installed below /tmp
        os.symlink(scratch, root + "/tmp")
    os.makedirs(root + "/proc", exist_ok=True)
    os.chdir(root)
    system_call("pivot_root", ctypes.c_char_p(b"."), ctypes.c_char_p(b"."))
    checked(libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def furnish_private_root() -> None:
    """Mounts /proc of this pid namespace and starts the loopback network `lo`, for programs that start processes."""
    with contextlib.suppress(OSError):  # forbidden if the outer /proc is masked; most programs do not need it
        _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)
        _mount("/proc/sys", "/proc/sys", None, MS_BIND | MS_REC)
        _mount(None, "/proc/sys", None, MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_RDONLY)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def free_ports() -> int:
    """Lets closed connections free their port at once, not in a minute. A descriptor for `network_is_clean`, or -1."""
    with contextlib.suppress(OSError), open("/proc/sys/net/ipv4/tcp_max_tw_buckets", "w") as handle:
        handle.write("0")
    with contextlib.suppress(OSError):
        return os.open("/proc/self/net/sockstat", os.O_RDONLY)
    return -1


def network_is_clean(counts: int) -> bool:
    """Whether this network namespace holds no socket and no closed connection; if unknown, without /proc, yes."""
    found = os.pread(counts, 4096, 0) if counts >= 0 else b"sockets: used 0\n tw 0 "
    return b"sockets: used 0\n" in found and b" tw 0 " in found


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(source, target, None, MS_BIND | MS_REC)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    checked(result, f"mount on {target}")
