"""Namespaces for a process, and a root directory that contains only the files that computing needs.

Each function raises OSError if the kernel refuses. Sources: namespaces(7), user_namespaces(7), pivot_root(2).
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable

from raccoon.sandbox.walls import checked, libc, system_call

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 4096, 16384, 1 << 18, 2
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


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
    probe = os.fork()
    if probe == 0:
        with contextlib.suppress(OSError):
            _unshare(own_user)
            first = os.fork()
            if first == 0:
                settle()
                os._exit(0)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)
        os._exit(1)
    if os.waitpid(probe, 0)[1] != 0:
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
        _bind(device, root + device, 0)
    for path in sorted(read):  # a folder before its contents
        for name in {path, os.path.realpath(path)}:
            if not os.path.exists(root + name):  # not bound already together with a parent folder
                _bind(path, root + name, MS_RDONLY)
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
    """Lets closed connections of this network namespace free their port at once, not after a minute.

    Returns a descriptor of its counts of sockets for `network_is_clean`, -1 without the outer /proc.
    """
    with contextlib.suppress(OSError), open("/proc/sys/net/ipv4/tcp_max_tw_buckets", "w") as handle:
        handle.write("0")
    with contextlib.suppress(OSError):
        return os.open("/proc/self/net/sockstat", os.O_RDONLY)
    return -1


def network_is_clean(counts: int) -> bool:
    """Whether the namespace holds no socket and no closed connection. Unknown, without /proc, counts as clean."""
    found = os.pread(counts, 4096, 0) if counts >= 0 else b"sockets: used 0\n tw 0 "
    return b"sockets: used 0\n" in found and b" tw 0 " in found


def _bind(source: str, target: str, flags: int) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(source, target, None, MS_BIND | MS_REC)
    if flags:
        try:
            _mount(None, target, None, MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | flags)
        except PermissionError:  # the mount's owner has locked its flags; Landlock still forbids writing
            pass


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    checked(result, f"mount on {target}")
