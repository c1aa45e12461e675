"""The kernel's walls around untrusted code: Landlock, seccomp, resource limits, capabilities (and namespaces.py).

It is not a sandbox by itself: zygote.py decides which walls to use and in what order, and judge.py puts some of them
around itself. Each function uses a raw system call and raises OSError if the kernel refuses, so no wall is assumed to
hold without a check. Linux on x86-64 or arm64 only; standard library and ctypes.

Sources: the kernel's manual pages (seccomp(2), landlock(7)) and uapi headers.
"""

import contextlib
import ctypes
import itertools
import os
import platform
import resource
import struct

LANDLOCK_READ = 1 << 2 | 1 << 3  # READ_FILE, READ_DIR
LANDLOCK_WRITE = 1 << 1 | 0b111111111 << 4  # WRITE_FILE, REMOVE_*, MAKE_* (regular, dir, char, sock, fifo, block, sym)
LANDLOCK_REMOVE_DIR = 1 << 4
LANDLOCK_REFER = 1 << 13  # rename and link across directories, ABI 2
LANDLOCK_TRUNCATE = 1 << 14  # ABI 3
LANDLOCK_IOCTL = 1 << 15  # ioctl on devices, ABI 5
LANDLOCK_EXECUTE = 1 << 0
LANDLOCK_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | LANDLOCK_TRUNCATE | LANDLOCK_IOCTL  # those that apply to a plain file

CLONE_ANY_NAMESPACE = 0x7E020080
CLONE_THREAD = 0x00010000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_SET_NO_NEW_PRIVS = 1, 4, 15, 16, 38
SIGKILL, EPERM, ENOSYS, ENOTSUP = 9, 1, 38, 95
AF_UNIX, AF_INET, AF_INET6, SOCK_STREAM = 1, 2, 10, 1

# name=x86-64/arm64, -1 if the architecture has no such call.
SYSCALLS = {
    name: tuple(int(number) for number in numbers.split("/"))
    for name, numbers in (
        pair.split("=")
        for pair in """
read=0/63 write=1/64 readv=19/65 writev=20/66 pread64=17/67 pwrite64=18/68 preadv=295/69 pwritev=296/70 open=2/-1
openat=257/56 close=3/57 close_range=436/436 creat=85/-1 dup=32/23 dup2=33/-1 dup3=292/24 pipe=22/-1 pipe2=293/59
lseek=8/62 ftruncate=77/46 access=21/-1 faccessat=269/48 faccessat2=439/439 stat=4/-1 fstat=5/80 lstat=6/-1
newfstatat=262/79 statx=332/291 statfs=137/43 fstatfs=138/44 getdents=78/-1 getdents64=217/61 getcwd=79/17
chdir=80/49 fchdir=81/50 readlink=89/-1 readlinkat=267/78 umask=95/166 mkdir=83/-1 mkdirat=258/34 rmdir=84/-1
unlink=87/-1 unlinkat=263/35 rename=82/-1 renameat=264/38 renameat2=316/276 link=86/-1 linkat=265/37 symlink=88/-1
symlinkat=266/36 mknod=133/-1 mknodat=259/33 fallocate=285/47 fsync=74/82 fdatasync=75/83 flock=73/32
fadvise64=221/223 copy_file_range=326/285 sendfile=40/71 splice=275/76 tee=276/77 mmap=9/222 munmap=11/215
mremap=25/216 mprotect=10/226 madvise=28/233 mincore=27/232 msync=26/227 mlock=149/228 munlock=150/229 brk=12/214
membarrier=324/283 poll=7/-1 ppoll=271/73 select=23/-1 pselect6=270/72 epoll_create=213/-1 epoll_create1=291/20
epoll_ctl=233/21 epoll_wait=232/-1 epoll_pwait=281/22 eventfd=284/-1 eventfd2=290/19 timerfd_create=283/85
timerfd_settime=286/86 timerfd_gettime=287/87 signalfd=282/-1 signalfd4=289/74 recvfrom=45/207 recvmsg=47/212
sendmsg=46/211 shutdown=48/210 getsockname=51/204 getpeername=52/205 getsockopt=55/209 setsockopt=54/208 futex=202/98
set_robust_list=273/99 get_robust_list=274/100 rseq=334/293 set_tid_address=218/96 gettid=186/178 sched_yield=24/124
sched_getaffinity=204/123 sched_getparam=143/121 sched_getscheduler=145/120 sched_get_priority_max=146/125
sched_get_priority_min=147/126 getcpu=309/168 getpriority=140/141 rt_sigaction=13/134 rt_sigprocmask=14/135
rt_sigreturn=15/139 rt_sigpending=127/136 rt_sigsuspend=130/133 rt_sigtimedwait=128/137 sigaltstack=131/132 alarm=37/-1
setitimer=38/103 getitimer=36/102 pause=34/-1 restart_syscall=219/128 nanosleep=35/101 clock_nanosleep=230/115
clock_gettime=228/113 clock_getres=229/114 gettimeofday=96/169 time=201/-1 times=100/153 getrusage=98/165 getpid=39/172
getppid=110/173 getuid=102/174 geteuid=107/175 getgid=104/176 getegid=108/177 getresuid=118/148 getresgid=120/150
getgroups=115/158 getpgrp=111/-1 getpgid=121/155 getsid=124/156 uname=63/160 sysinfo=99/179 getrandom=318/278
getrlimit=97/163 setrlimit=160/164 arch_prctl=158/-1 capget=125/90 exit=60/93 exit_group=231/94 wait4=61/260
waitid=247/95 execve=59/221 execveat=322/281 vfork=58/-1 fork=57/-1 setsid=112/157 setpgid=109/154 socket=41/198
bind=49/200 listen=50/201 accept=43/202 accept4=288/242 connect=42/203 sendto=44/206 sendmmsg=307/269 recvmmsg=299/243
tkill=200/130 clone=56/220 clone3=435/435 kill=62/129 tgkill=234/131 prctl=157/167 ioctl=16/29 fcntl=72/25
prlimit64=302/261 socketpair=53/199 seccomp=317/277 setresuid=117/147 landlock_create_ruleset=444/444
pidfd_open=434/434 memfd_create=319/279
landlock_add_rule=445/445 landlock_restrict_self=446/446 unshare=272/97 pivot_root=155/41 capset=126/91 chmod=90/-1
fchmod=91/52 fchmodat=268/53 fchmodat2=452/452 chown=92/-1 fchown=93/55 lchown=94/-1 fchownat=260/54 utime=132/-1
utimes=235/-1 utimensat=280/88 futimesat=261/-1 openat2=437/437 setxattr=188/5 lsetxattr=189/6 fsetxattr=190/7
getxattr=191/8 lgetxattr=192/9 fgetxattr=193/10 listxattr=194/11 llistxattr=195/12 flistxattr=196/13
""".split()
    )
}
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of SYSCALLS, AUDIT_ARCH constant

# Calls that computing does not need, each with its own rule below. Everything else in SYSCALLS is allowed.
GUARDED = frozenset(
    """execve execveat vfork fork setsid setpgid socket bind listen accept accept4 connect sendto sendmmsg recvmmsg
    tkill clone clone3 kill tgkill prctl ioctl fcntl prlimit64 socketpair seccomp setresuid landlock_create_ruleset
    landlock_add_rule landlock_restrict_self unshare pivot_root capset openat2 chmod fchmod fchmodat fchmodat2 chown
    fchown lchown fchownat utime utimes utimensat futimesat pidfd_open memfd_create""".split()
)
ATTRIBUTES = [name for name in SYSCALLS if name.endswith("xattr")]
PRETENDED = "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat".split()
SAFE_IOCTLS = (0x5401, 0x5413, 0x5421, 0x541B, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONBIO FIONREAD FIONCLEX FIOCLEX
SAFE_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1031, 1032)  # F_DUPFD..F_SETLKW, F_DUPFD_CLOEXEC, F_[SG]ETPIPE_SZ

MAP_PRIVATE, MAP_ANONYMOUS, MAP_FAILED = 2, 32, ctypes.c_void_p(-1).value

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
_direct_call = ctypes.PyDLL(None).syscall  # without errno and the release of the GIL, which touch many pages of a fork
_put_pid = struct.Struct("=I").pack_into
_MACHINE = platform.machine()  # read once: in a forked child it would cost page faults


def missing() -> str:
    """Which of the two required walls this machine lacks, in words; "" if it has both."""
    if _MACHINE not in ARCHITECTURES:
        return f"no seccomp filter is written for {_MACHINE} (only for {' and '.join(ARCHITECTURES)})"
    if not landlock_abi():
        return (
            "this kernel has no Landlock (it needs Linux 5.13 or newer with landlock in its lsm= list; gVisor has no "
            "Landlock, but isolates programs itself)"
        )
    return "" if seccomp_available() else "this kernel refuses seccomp filters"


def seccomp_available() -> bool:
    """Whether seccomp filters may be installed here (SECCOMP_GET_ACTION_AVAIL of ALLOW)."""
    if _MACHINE not in ARCHITECTURES:
        return False
    try:
        system_call("seccomp", 2, 0, ctypes.c_char_p(struct.pack("=I", ALLOW)))
    except OSError:
        return False
    return True


def checked(result: int, what: str) -> int:
    """The result of a call of the C library. Raises OSError if it is negative."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def system_call(name: str, *args) -> int:
    """Makes one raw system call by its name in SYSCALLS. Raises OSError if it fails."""
    number = SYSCALLS[name][ARCHITECTURES[_MACHINE][0]]
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return checked(libc.syscall(ctypes.c_long(number), *words), name)


def _prctl(option: int, value: int = 0) -> None:
    checked(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def no_new_privileges() -> None:
    """No exec below this process can gain a privilege. The kernel requires this before seccomp and Landlock."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(signal_number: int = SIGKILL) -> None:
    """Sends this process a signal when its parent ends. Call it after every change of uid, which clears it."""
    _prctl(PR_SET_PDEATHSIG, signal_number)


def open_to_inspection(allowed: bool) -> None:
    """Whether processes of the same user may read and write this one's files in /proc (PR_SET_DUMPABLE)."""
    _prctl(PR_SET_DUMPABLE, int(allowed))


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


# --- Landlock -------------------------------------------------------------------------------------------------------


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 if it has none or forbids it."""
    try:
        return system_call("landlock_create_ruleset", 0, 0, 1)
    except OSError:
        return 0


def restrict_files(read: list[str], write: list[str], vacate: list[str], roomy: bool = False) -> int:
    """From here on: read below `read`, read and write below `write`, remove empty folders below `vacate`.

    Everything else is forbidden: exec, TCP, and signals and abstract sockets to processes outside this domain. `roomy`
    allows exec, TCP and signals, for a process that has its own namespaces. Missing paths are skipped. Returns the
    Landlock ABI in force (network from 4, scopes from 6).
    """
    abi = landlock_abi()
    handled = LANDLOCK_READ | LANDLOCK_WRITE | (0 if roomy else LANDLOCK_EXECUTE)
    handled |= (abi >= 2) * LANDLOCK_REFER | (abi >= 3) * LANDLOCK_TRUNCATE | (abi >= 5) * LANDLOCK_IOCTL
    ruleset = _ruleset(handled, 0b11 if abi >= 4 and not roomy else 0, 0b11 if abi >= 6 and not roomy else 0, abi)
    granted = ((read, LANDLOCK_READ), (write, handled & ~LANDLOCK_EXECUTE), (vacate, LANDLOCK_REMOVE_DIR))
    for paths, rights in granted:
        for path in paths:
            _allow_path(ruleset, path, rights)
    system_call("landlock_restrict_self", ruleset, 0)
    os.close(ruleset)
    return abi


def signal_ruleset() -> int:
    """A descriptor for `enter_ruleset`. A process that enters it cannot signal processes outside. -1 below ABI 6."""
    abi = landlock_abi()
    return _ruleset(0, 0, 0b11, abi) if abi >= 6 else -1


def enter_ruleset(ruleset: int) -> None:
    """Puts this process under an existing Landlock ruleset."""
    system_call("landlock_restrict_self", ruleset, 0)


def _ruleset(files: int, network: int, scoped: int, abi: int) -> int:
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    attributes = struct.pack("QQQ", files, network, scoped)
    return system_call("landlock_create_ruleset", ctypes.c_char_p(attributes), size, 0)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):
        rights &= LANDLOCK_FILE_RIGHTS
    rule = struct.pack("=Qi", rights, descriptor)
    system_call("landlock_add_rule", ruleset, 1, ctypes.c_char_p(rule), 0)
    os.close(descriptor)


# --- seccomp --------------------------------------------------------------------------------------------------------
# A filter is a list of rules; the first rule whose call and argument tests all match decides. An argument test is
# (index, operation, value): "==" or "!=" compares the low 32 bits, "&" and "!&" test whether any of the bits is set,
# "null" tests whether all 64 bits are zero.

ALLOW, KILL = 0x7FFF0000, 0x80000000
PID_MARK = b"\xed\x5e\xed\x5e"  # placeholder in a filter for the pid of the process that installs it
_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def refuse(code: int) -> int:
    """The action that makes a call fail with `code`; refuse(0) pretends success."""
    return 0x00050000 | code


def family_rules(roomy: bool) -> list[tuple]:
    """Rules for the zygote, its children and the judge: what computing needs, and nothing that reaches other processes.

    `roomy` also allows processes, exec and sockets, only for a process that has its own pid and network namespaces.
    """
    plain = [name for name in SYSCALLS if name not in GUARDED and name not in ATTRIBUTES]
    rules = [(name, (), ALLOW) for name in plain]
    rules += [("clone", ((0, "!&", CLONE_ANY_NAMESPACE),), ALLOW), ("clone3", (), refuse(ENOSYS))]
    rules += [(name, (), refuse(ENOTSUP)) for name in ATTRIBUTES]  # as on a file system without them
    rules += [("openat2", (), refuse(ENOSYS)), ("socketpair", ((0, "==", AF_UNIX), (1, "stream", 0)), ALLOW)]
    rules += [("ioctl", ((1, "==", request),), ALLOW) for request in SAFE_IOCTLS]
    rules += [("fcntl", ((1, "==", command),), ALLOW) for command in SAFE_FCNTLS]
    rules += [("prctl", ((0, "==", option),), ALLOW) for option in (PR_SET_NAME, PR_GET_NAME, PR_SET_PDEATHSIG)]
    rules += [("prlimit64", ((0, "==", 0),), ALLOW), ("sendto", ((4, "null", 0),), ALLOW)]
    allowed = "kill tgkill seccomp setresuid landlock_restrict_self pidfd_open"
    rules += [(name, (), ALLOW) for name in allowed.split()]
    rules += [(name, (), ALLOW) for name in PRETENDED]  # for the zygote's clean-up; a child's only pretend
    if roomy:
        rules += [("socket", ((0, "==", family),), ALLOW) for family in (AF_UNIX, AF_INET, AF_INET6)]
        extra = "execve execveat vfork fork setsid setpgid bind listen accept accept4 connect sendto sendmmsg"
        rules += [(name, (), ALLOW) for name in extra.split() + ["recvmmsg", "tkill", "ioctl", "prctl", "fcntl"]]
    return rules


def child_rules(roomy: bool) -> list[tuple]:
    """Rules for one child, on top of family_rules: no new processes, no signals to others, no further walls."""
    sealed = [(name, (), refuse(EPERM)) for name in ("setresuid", "landlock_restrict_self", "pidfd_open")]
    if roomy:
        return sealed
    pretended = [(name, (), refuse(0)) for name in PRETENDED]
    own = (0, "!=", struct.unpack("=I", PID_MARK)[0])
    return (
        pretended
        + sealed
        + [
            ("seccomp", (), refuse(EPERM)),
            ("clone", ((0, "!&", CLONE_THREAD),), refuse(EPERM)),
            ("kill", (own,), refuse(EPERM)),
            ("kill", ((1, "==", SIGKILL),), refuse(EPERM)),
            ("tgkill", (own,), refuse(EPERM)),
            ("tgkill", ((2, "==", SIGKILL),), refuse(EPERM)),
            ("prctl", ((0, "==", PR_SET_PDEATHSIG),), refuse(EPERM)),
            ("prlimit64", ((2, "null", 0),), ALLOW),  # to read a limit
            ("prlimit64", ((1, "==", resource.RLIMIT_CPU),), refuse(EPERM)),  # a lower one would look like our own kill
            ("setrlimit", ((0, "==", resource.RLIMIT_CPU),), refuse(EPERM)),
        ]
    )


def judge_rules() -> list[tuple]:
    """Rules for a judge: like a child, but it makes memory files, and forks, confines and kills processes for tests."""
    own = ("clone", "kill", "tgkill", "seccomp", "pidfd_open", "prctl")
    limits = [rule for rule in child_rules(roomy=False) if rule[0] not in own]
    return [("memfd_create", (), ALLOW), *limits, *family_rules(roomy=False)]


def test_rules() -> list[tuple]:
    """Rules for a judge's fork that runs a test, on top of judge_rules: those of a child."""
    return [("memfd_create", (), refuse(EPERM)), *child_rules(roomy=False)]


def compile_filter(rules: list[tuple], otherwise: int, nested: bool = False) -> bytes:
    """Classic BPF for seccomp. Calls of a foreign architecture kill; those of the x32 ABI fail with ENOSYS.

    `nested`: an outer filter already checks that. The kernel compiles the filter again for each child, at about a
    microsecond for each instruction, so neighbouring rules without tests share their action.
    """
    column, audit_arch = ARCHITECTURES[_MACHINE]
    program = [] if nested else [(_LOAD, 0, 0, 4), (_JEQ, 1, 0, audit_arch), (_RETURN, 0, 0, KILL)]
    program += [(_LOAD, 0, 0, 0)]
    program += [] if nested else [(_JGE, 0, 1, 0x40000000), (_RETURN, 0, 0, refuse(ENOSYS))]
    known = [(SYSCALLS[name][column], tests, action) for name, tests, action in rules if SYSCALLS[name][column] >= 0]
    for (tests, action), group in itertools.groupby(known, lambda rule: (rule[1], rule[2])):
        numbers = [number for number, _, _ in group]
        tested = [step for number in numbers for step in _rule(number, tests, action)] if tests else []
        program += tested or _plain_rules(numbers, action)
    program.append((_RETURN, 0, 0, otherwise))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _plain_rules(numbers: list[int], action: int) -> list[tuple]:
    """If the accumulator holds one of the numbers, return `action`. A jump reaches at most 255 instructions."""
    program: list[tuple] = []
    for start in range(0, len(numbers), 200):
        part = numbers[start : start + 200]
        away = range(len(part) - 1, 0, -1)
        program += [(_JEQ, distance, 0, number) for distance, number in zip(away, part[:-1], strict=True)]
        program += [(_JEQ, 0, 1, part[-1]), (_RETURN, 0, 0, action)]
    return program


def _rule(number: int, tests: tuple, action: int) -> list[tuple]:
    """If the accumulator holds `number` and all tests match, return `action`; else continue with the number loaded."""
    body: list[tuple] = []
    for index, operation, value in tests:
        low = 16 + 8 * index
        body.append((_LOAD, 0, 0, low))
        body += {
            "==": [(_JEQ, 0, "out", value)],
            "!=": [(_JEQ, "out", 0, value & 0xFFFFFFFF)],
            "&": [(_JSET, 0, "out", value)],
            "!&": [(_JSET, "out", 0, value)],
            "stream": [(_JSET, 0, "out", SOCK_STREAM), (_JSET, "out", 0, 0xE)],
            "null": [(_JEQ, 0, "out", 0), (_LOAD, 0, 0, low + 4), (_JEQ, 0, "out", 0)],
        }[operation]
    body.append((_RETURN, 0, 0, action))
    resolved = []
    for position, (code, yes, no, k) in enumerate(body):
        away = len(body) - 1 - position
        resolved.append((code, away if yes == "out" else yes, away if no == "out" else no, k))
    reload = [(_LOAD, 0, 0, 0)] if tests else []
    return [(_JEQ, 0, len(resolved) + len(reload), number), *resolved, *reload]


class Filter:
    """A compiled filter that one system call installs: each page that a fresh fork touches costs time.

    `install` replaces PID_MARK in the program by the pid of the process that installs it.
    """

    def __init__(self, program: bytes):
        self._code = ctypes.create_string_buffer(program, len(program))
        self._marks = [offset for offset in range(4, len(program), 8) if program[offset : offset + 4] == PID_MARK]
        header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(self._code))
        self._header = ctypes.create_string_buffer(header, len(header))
        number = SYSCALLS["seccomp"][ARCHITECTURES[_MACHINE][0]]
        words = (number, 1, 4, ctypes.addressof(self._header))  # SET_MODE_FILTER, SPEC_ALLOW: the code stays fast
        self._words = [ctypes.c_long(word) for word in words]

    def install(self) -> None:
        """Puts this process and all its later children under the filter. It cannot be removed."""
        pid = os.getpid()
        for offset in self._marks:
            _put_pid(self._code, offset, pid)
        if _direct_call(*self._words):
            raise OSError("the kernel refuses a seccomp filter")
