"""seccomp: which system calls a process may make. x86-64 or arm64 only; standard library and ctypes.

A filter is a list of rules (system call, argument tests, action); the first whose call and tests all match decides. An
argument test is (index, operation, value): "==" or "!=" compares the low 32 bits, "!&" tests that none of the bits is
set, "null" that all 64 bits are zero, "stream" that this is the type of a stream socket.

Sources: seccomp(2) and the kernel's uapi headers.
"""

import ctypes
import itertools
import os
import platform
import resource
import struct


def _calls(table: str) -> dict[str, tuple[int, ...]]:
    """name=x86-64/arm64, -1 if the architecture has no such call."""
    pairs = (pair.split("=") for pair in table.split())
    return {name: tuple(map(int, numbers.split("/"))) for name, numbers in pairs}


COMPUTING = _calls("""
read=0/63 write=1/64 readv=19/65 writev=20/66 pread64=17/67 pwrite64=18/68 preadv=295/69 pwritev=296/70 open=2/-1
openat=257/56 close=3/57 close_range=436/436 creat=85/-1 dup=32/23 dup2=33/-1 dup3=292/24 pipe=22/-1 pipe2=293/59
lseek=8/62 ftruncate=77/46 access=21/-1 faccessat=269/48 faccessat2=439/439 stat=4/-1 fstat=5/80 lstat=6/-1
newfstatat=262/79 statx=332/291 statfs=137/43 fstatfs=138/44 getdents=78/-1 getdents64=217/61 getcwd=79/17 chdir=80/49
fchdir=81/50 readlink=89/-1 readlinkat=267/78 umask=95/166 mkdir=83/-1 mkdirat=258/34 rmdir=84/-1 unlink=87/-1
unlinkat=263/35 rename=82/-1 renameat=264/38 renameat2=316/276 link=86/-1 linkat=265/37 symlink=88/-1 symlinkat=266/36
mknod=133/-1 mknodat=259/33 fallocate=285/47 fsync=74/82 fdatasync=75/83 flock=73/32 fadvise64=221/223
copy_file_range=326/285 sendfile=40/71 splice=275/76 tee=276/77 mmap=9/222 munmap=11/215 mremap=25/216 mprotect=10/226
madvise=28/233 mincore=27/232 msync=26/227 mlock=149/228 munlock=150/229 brk=12/214 membarrier=324/283 poll=7/-1
ppoll=271/73 select=23/-1 pselect6=270/72 epoll_create=213/-1 epoll_create1=291/20 epoll_ctl=233/21 epoll_wait=232/-1
epoll_pwait=281/22 eventfd=284/-1 eventfd2=290/19 timerfd_create=283/85 timerfd_settime=286/86 timerfd_gettime=287/87
signalfd=282/-1 signalfd4=289/74 recvfrom=45/207 recvmsg=47/212 sendmsg=46/211 shutdown=48/210 getsockname=51/204
getpeername=52/205 getsockopt=55/209 setsockopt=54/208 futex=202/98 set_robust_list=273/99 get_robust_list=274/100
rseq=334/293 set_tid_address=218/96 gettid=186/178 sched_yield=24/124 sched_getaffinity=204/123 sched_getparam=143/121
sched_getscheduler=145/120 sched_get_priority_max=146/125 sched_get_priority_min=147/126 getcpu=309/168
getpriority=140/141 rt_sigaction=13/134 rt_sigprocmask=14/135 rt_sigreturn=15/139 rt_sigpending=127/136
rt_sigsuspend=130/133 rt_sigtimedwait=128/137 sigaltstack=131/132 alarm=37/-1 setitimer=38/103 getitimer=36/102
pause=34/-1 restart_syscall=219/128 nanosleep=35/101 clock_nanosleep=230/115 clock_gettime=228/113 clock_getres=229/114
gettimeofday=96/169 time=201/-1 times=100/153 getrusage=98/165 getpid=39/172 getppid=110/173 getuid=102/174
geteuid=107/175 getgid=104/176 getegid=108/177 getresuid=118/148 getresgid=120/150 getgroups=115/158 getpgrp=111/-1
getpgid=121/155 getsid=124/156 uname=63/160 sysinfo=99/179 getrandom=318/278 getrlimit=97/163 setrlimit=160/164
arch_prctl=158/-1 capget=125/90 exit=60/93 exit_group=231/94 wait4=61/260 waitid=247/95
""")
PRETENDED = _calls("""
chmod=90/-1 fchmod=91/52 fchmodat=268/53 fchmodat2=452/452 chown=92/-1 fchown=93/55 lchown=94/-1 fchownat=260/54
utime=132/-1 utimes=235/-1 utimensat=280/88 futimesat=261/-1
""")
ATTRIBUTES = _calls("""
setxattr=188/5 lsetxattr=189/6 fsetxattr=190/7 getxattr=191/8 lgetxattr=192/9 fgetxattr=193/10 listxattr=194/11
llistxattr=195/12 flistxattr=196/13
""")
# Calls that computing does not need, each with its own rule below.
GUARDED = _calls("""
execve=59/221 execveat=322/281 vfork=58/-1 fork=57/-1 setsid=112/157 setpgid=109/154 socket=41/198 bind=49/200
listen=50/201 accept=43/202 accept4=288/242 connect=42/203 sendto=44/206 sendmmsg=307/269 recvmmsg=299/243 tkill=200/130
clone=56/220 clone3=435/435 kill=62/129 tgkill=234/131 prctl=157/167 ioctl=16/29 fcntl=72/25 prlimit64=302/261
socketpair=53/199 seccomp=317/277 setresuid=117/147 landlock_create_ruleset=444/444 pidfd_open=434/434
memfd_create=319/279 landlock_add_rule=445/445 landlock_restrict_self=446/446 unshare=272/97 pivot_root=155/41
capset=126/91 openat2=437/437
""")
SYSCALLS = COMPUTING | PRETENDED | ATTRIBUTES | GUARDED
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of SYSCALLS, AUDIT_ARCH constant
SAFE_IOCTLS = (0x5401, 0x5413, 0x5421, 0x541B, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONBIO FIONREAD FIONCLEX FIOCLEX
SAFE_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1031, 1032)  # F_DUPFD..F_SETLKW, F_DUPFD_CLOEXEC, F_[SG]ETPIPE_SZ
CLONE_ANY_NAMESPACE, CLONE_THREAD = 0x7E020080, 0x00010000
PR_SET_PDEATHSIG, PR_SET_NAME, PR_GET_NAME = 1, 15, 16
SIGKILL, EPERM, ENOSYS, ENOTSUP = 9, 1, 38, 95
AF_UNIX, AF_INET, AF_INET6, SOCK_STREAM = 1, 2, 10, 1
ALLOW, KILL = 0x7FFF0000, 0x80000000
PID_MARK = b"\xed\x5e\xed\x5e"  # placeholder in a filter for the pid of the process that installs it
_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

libc = ctypes.CDLL(None, use_errno=True)
_direct_call = ctypes.PyDLL(None).syscall  # without errno and the release of the GIL, which touch many pages of a fork
_put_pid = struct.Struct("=I").pack_into
MACHINE = platform.machine()  # read once: in a forked child it would cost page faults


def available() -> bool:
    """Whether filters may be installed here (SECCOMP_GET_ACTION_AVAIL of ALLOW)."""
    if MACHINE not in ARCHITECTURES:
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
    number = SYSCALLS[name][ARCHITECTURES[MACHINE][0]]
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return checked(libc.syscall(ctypes.c_long(number), *words), name)


# --- rules ------------------------------------------------------------------------------------------------------------


def refuse(code: int) -> int:
    """The action that makes a call fail with `code`; refuse(0) pretends success."""
    return 0x00050000 | code


def _rules(calls: str, action: int, *tests: tuple) -> list[tuple]:
    return [(name, tests, action) for name in calls.split()]


def family_rules(roomy: bool) -> list[tuple]:
    """Rules for the zygote, its children and the judge: what computing needs, and nothing that reaches other processes.

    `roomy` also allows processes, exec and sockets, only for a process that has its own pid and network namespaces.
    """
    rules = _rules(" ".join(COMPUTING), ALLOW)
    rules += _rules("clone", ALLOW, (0, "!&", CLONE_ANY_NAMESPACE)) + _rules("clone3", refuse(ENOSYS))
    rules += _rules(" ".join(ATTRIBUTES), refuse(ENOTSUP))  # as on a file system without them
    rules += _rules("openat2", refuse(ENOSYS)) + _rules("socketpair", ALLOW, (0, "==", AF_UNIX), (1, "stream", 0))
    for call, index, values in (
        ("ioctl", 1, SAFE_IOCTLS),
        ("fcntl", 1, SAFE_FCNTLS),
        ("prctl", 0, (PR_SET_NAME, PR_GET_NAME, PR_SET_PDEATHSIG)),
        ("prlimit64", 0, (0,)),
    ):
        for value in values:
            rules += _rules(call, ALLOW, (index, "==", value))
    rules += _rules("sendto", ALLOW, (4, "null", 0))
    rules += _rules("kill tgkill seccomp setresuid landlock_restrict_self pidfd_open", ALLOW)
    rules += _rules(" ".join(PRETENDED), ALLOW)  # for the zygote's clean-up; a child's only pretend
    if roomy:
        for family in (AF_UNIX, AF_INET, AF_INET6):
            rules += _rules("socket", ALLOW, (0, "==", family))
        rules += _rules("execve execveat vfork fork setsid setpgid bind listen accept accept4 connect sendto", ALLOW)
        rules += _rules("sendmmsg recvmmsg tkill ioctl prctl fcntl", ALLOW)
    return rules


def child_rules(roomy: bool) -> list[tuple]:
    """Rules for one child, on top of family_rules: no new processes, no signals to others, no further walls."""
    sealed = _rules("setresuid landlock_restrict_self pidfd_open", refuse(EPERM))
    if roomy:
        return sealed
    no, other = refuse(EPERM), (0, "!=", struct.unpack("=I", PID_MARK)[0])
    return [
        *_rules(" ".join(PRETENDED), refuse(0)),
        *sealed,
        *_rules("seccomp", no),
        *_rules("clone", no, (0, "!&", CLONE_THREAD)),
        *_rules("kill", no, other),
        *_rules("kill", no, (1, "==", SIGKILL)),
        *_rules("tgkill", no, other),
        *_rules("tgkill", no, (2, "==", SIGKILL)),
        *_rules("prctl", no, (0, "==", PR_SET_PDEATHSIG)),
        *_rules("prlimit64", ALLOW, (2, "null", 0)),  # to read a limit
        *_rules("prlimit64", no, (1, "==", resource.RLIMIT_CPU)),  # a lower one would look like our own kill
        *_rules("setrlimit", no, (0, "==", resource.RLIMIT_CPU)),
    ]


def judge_rules() -> tuple[list[tuple], list[tuple]]:
    """Rules for a judge: like a child, but it makes memory files, and forks, confines and kills processes for tests.

    And those on top of them for such a fork: the rules of a child.
    """
    own, child = "clone kill tgkill seccomp pidfd_open prctl".split(), child_rules(roomy=False)
    limits = [rule for rule in child if rule[0] not in own]
    return (
        _rules("memfd_create", ALLOW) + limits + family_rules(roomy=False),
        _rules("memfd_create", refuse(EPERM)) + child,
    )


# --- filters ----------------------------------------------------------------------------------------------------------


def compile_filter(rules: list[tuple], nested: bool = False) -> bytes:
    """Classic BPF. Calls of a foreign architecture kill; those of the x32 ABI fail with ENOSYS, all others with EPERM.

    `nested`: an outer filter already does that, and what no rule names is allowed. The kernel compiles the filter again
    for each child, at about a microsecond for each instruction, so neighbouring rules without tests share their action.
    """
    column, audit_arch = ARCHITECTURES[MACHINE]
    program = [] if nested else [(_LOAD, 0, 0, 4), (_JEQ, 1, 0, audit_arch), (_RETURN, 0, 0, KILL)]
    program += [(_LOAD, 0, 0, 0)]
    program += [] if nested else [(_JGE, 0, 1, 0x40000000), (_RETURN, 0, 0, refuse(ENOSYS))]
    known = [(SYSCALLS[name][column], tests, action) for name, tests, action in rules if SYSCALLS[name][column] >= 0]
    for (tests, action), group in itertools.groupby(known, lambda rule: rule[1:]):
        numbers = [number for number, _, _ in group]
        tested = [step for number in numbers for step in _rule(number, tests, action)] if tests else []
        program += tested or _plain_rules(numbers, action)
    program.append((_RETURN, 0, 0, ALLOW if nested else refuse(EPERM)))
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
        steps: dict[str, list[tuple]] = {
            "==": [(_JEQ, 0, "out", value)],
            "!=": [(_JEQ, "out", 0, value & 0xFFFFFFFF)],
            "!&": [(_JSET, "out", 0, value)],
            "stream": [(_JSET, 0, "out", SOCK_STREAM), (_JSET, "out", 0, 0xE)],
            "null": [(_JEQ, 0, "out", 0), (_LOAD, 0, 0, low + 4), (_JEQ, 0, "out", 0)],
        }
        body += steps[operation]
    body.append((_RETURN, 0, 0, action))
    resolved = []
    for position, (code, yes, no, k) in enumerate(body):
        away = len(body) - 1 - position
        resolved.append((code, away if yes == "out" else yes, away if no == "out" else no, k))
    return [(_JEQ, 0, len(resolved) + 1, number), *resolved, (_LOAD, 0, 0, 0)]


class Filter:
    """A compiled filter that one system call installs: each page that a fresh fork touches costs time.

    `install` replaces PID_MARK in the program by the pid of the process that installs it.
    """

    def __init__(self, rules: list[tuple], nested: bool = False):
        program = compile_filter(rules, nested)
        self._code = ctypes.create_string_buffer(program, len(program))
        self._marks = [offset for offset in range(4, len(program), 8) if program[offset : offset + 4] == PID_MARK]
        header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(self._code))
        self._header = ctypes.create_string_buffer(header, len(header))
        number = SYSCALLS["seccomp"][ARCHITECTURES[MACHINE][0]]
        words = (number, 1, 4, ctypes.addressof(self._header))  # SET_MODE_FILTER, SPEC_ALLOW: the code stays fast
        self._words = [ctypes.c_long(word) for word in words]

    def install(self) -> None:
        """Puts this process and all its later children under the filter. It cannot be removed."""
        pid = os.getpid()
        for offset in self._marks:
            _put_pid(self._code, offset, pid)
        if _direct_call(*self._words):
            raise OSError("the kernel refuses a seccomp filter")
