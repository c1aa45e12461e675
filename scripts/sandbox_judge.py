"""A judge: holds the tests, compares values, and decides the verdict; it never runs a model's code.

Started by sandbox.py and by nobody else, one process per worker:
    python -s -S -P sandbox_judge.py '{"caller": 3, "scratch": "...", ...}'        (the fields of Setup)
It starts one zygote (sandbox_zygote.py), then puts walls around itself: tests may come from files and servers too.
Programs arrive as frames of JSON over `caller`, verdicts go back the same way. When anything of its own breaks, it
ends, and the caller starts a new one: there is no half-broken judge.

The test runs here, with untouched builtins, against a `Proxy` of the code's function: arguments go out and results
come back as plain values (sandbox_values.py). So a PASS says that the code gave the right values for the inputs asked.
"""

import collections
import contextlib
import dataclasses
import gc
import importlib.util
import json
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import NoReturn

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import sandbox_tests as tests  # noqa: E402
import sandbox_values as values  # noqa: E402
import sandbox_walls as walls  # noqa: E402

MAX_PROGRAM = 256 << 20  # bytes of one program with its tests, from the caller
MAX_OUTPUT = 2000  # characters of the program's output that a verdict keeps
CACHED_TESTS = 512  # compiled test programs: the completions of a group share theirs
AFTER_FAILURE = 2.0  # seconds that the remaining assertions get once one has failed
JUDGE_MEMORY_MB = 4096
BUSY_SHARE = 0.2  # of its CPU limit: a child that used more when the wall clock ran out was computing, not sleeping
TIMEOUT_SHARE = 0.5  # of its CPU limit: a child that the kernel killed beyond it was killed for its CPU time, which the
# kernel samples for limits and measures for reports; below it somebody else has killed it
STATUS = "=id?"  # how the zygote reports the end of a child: wait status, CPU seconds, whether it had to be killed
ZYGOTE_GONE = 3  # exit code
CODE_FAULTS = ("wrong", "exception", "memory")  # kinds of failure that a test beside the code may report


@dataclasses.dataclass(frozen=True)
class Setup:
    """How one judge stands, from the caller."""

    caller: int  # descriptor of the socket to the caller
    scratch: str  # an empty folder of its own
    memory_mb: int
    packages: tuple[str, ...]  # site-packages folders of the caller's Python
    preload: tuple[str, ...]
    shared: bool  # run tests beside the code
    weak: bool  # go on where Landlock or seccomp is missing


class Deadline(BaseException):
    """Wall time is over; no `except Exception` of a test may swallow it."""


class CallerGone(BaseException):
    """The caller has ended: there is nobody left to judge for."""


class ChildGone(BaseException):
    """The child has ended or speaks no values, so that the test cannot go on."""


class TestFault(Exception):
    """The test or its context is broken: our own fault, never the code's."""


def main() -> None:
    setup = Setup(**json.loads(sys.argv[1]))
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.signal(signal.SIGTERM, _on_end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to handle
    walls.die_with_parent(signal.SIGTERM)
    zygotes: list[Zygote] = []
    try:
        with contextlib.suppress(EOFError, ConnectionError):
            stand_and_serve(setup, zygotes)
        end(setup, zygotes)
    except CallerGone:  # by a signal, which may also come while the closed channel is being handled; never twice
        end(setup, zygotes)


def stand_and_serve(setup: Setup, zygotes: list["Zygote"]) -> None:
    """Starts the zygote, which joins `zygotes`, and judges until the caller has gone."""
    output = os.memfd_create("output")
    try:
        zygotes.append(Zygote(setup, output))
        confine(setup)
    except (OSError, EOFError) as error:
        values.write_frame(setup.caller, json.dumps({"error": str(error)}).encode())
        raise SystemExit(1) from None  # the caller stays, and with it the folders of its other judges
    values.write_frame(setup.caller, json.dumps({"walls": zygotes[0].walls}).encode())
    serve(setup.caller, Judge(setup, zygotes[0], output))


def end(setup: Setup, zygotes: list["Zygote"]) -> None:
    """Ends what this judge has started, and removes what the caller can no longer remove."""
    for zygote in zygotes:
        zygote.close()
    remove_empty_folders(os.path.dirname(setup.scratch))


def remove_empty_folders(root: str) -> None:
    """Removes the sandbox's folder with the scratch folders in it, once its caller can no longer do so."""
    with contextlib.suppress(OSError):  # a sibling's folder is not empty yet, or a sibling was first
        for name in os.listdir(root):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(root, name))
        os.rmdir(root)


def serve(caller: int, judge: "Judge") -> None:
    """Programs in, verdicts out, until the caller hangs up."""
    incoming = values.FrameReader(caller)
    gc.collect()
    gc.freeze()
    while True:
        verdict = judge.verify(json.loads(incoming.read(MAX_PROGRAM)))
        values.write_frame(caller, json.dumps(verdict).encode())


def alarm(seconds: float) -> bool:
    """Deadline is raised after so many seconds of wall time; 0 calls it off and tells whether it has been raised."""
    global _armed, _rang
    rang, _armed, _rang = _rang, seconds > 0, _rang and seconds > 0
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return rang


_armed = _rang = False


def _on_alarm(*_) -> None:
    global _rang
    if _armed:  # else it was called off while it arrived
        _rang = True
        raise Deadline


def _on_end(*_) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise CallerGone


def confine(setup: Setup) -> None:
    """Walls around the judge itself: it reads Python and writes nothing, starts nothing and reaches nobody."""
    sys.path += setup.packages  # tests may import numpy
    read = [path for path in sys.path if os.path.isdir(path)]
    read += ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"]
    walls.no_new_privileges()
    if walls.landlock_abi():
        root = os.path.dirname(setup.scratch)
        walls.restrict_files(read, [root, "/dev/null"], vacate=[os.path.dirname(root)])
    walls.limit(resource.RLIMIT_AS, JUDGE_MEMORY_MB << 20)
    walls.limit(resource.RLIMIT_CORE, 0)
    if walls.seccomp_available():
        walls.Filter(walls.compile_filter(walls.family_rules(roomy=False), walls.refuse(walls.EPERM))).install()
        walls.Filter(walls.compile_filter(walls.child_rules(roomy=False), walls.ALLOW)).install()


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a child ended: its wait status, its CPU seconds, and whether it had to be killed."""

    status: int
    cpu_seconds: float
    killed: bool

    def reason(self, may_kill_itself: bool) -> str:
        """Why a child that hung up was gone, other than for its CPU time."""
        if self.killed:
            return "exception: the code closed its channel to the tests"
        code = os.waitstatus_to_exitcode(self.status)
        if code == -signal.SIGKILL and not may_kill_itself:
            return "infra: the code's process was killed from outside, perhaps for want of memory"
        if code < 0:
            return f"exception: the code's process died of {signal.Signals(-code).name}"
        return f"exception: the code ended its process with exit code {code} before its tests were over"


class Zygote:
    """The judge's end of its zygote. `walls` is its one-line report; OSError when it cannot stand."""

    def __init__(self, setup: Setup, output: int):
        self.control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fields = {"control": other.fileno(), "output": output, "scratch": setup.scratch, "shared": setup.shared}
        fields |= {name: getattr(setup, name) for name in ("memory_mb", "packages", "preload", "weak")}
        command = [sys.executable, "-s", "-S", "-P", "-Wignore"]
        command += ["-X", "no_debug_ranges"]  # columns of tracebacks: a quarter of every compiled program
        command += [os.path.join(HERE, "sandbox_zygote.py"), json.dumps(fields)]
        environment = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        self.process = subprocess.Popen(
            command, env=environment, pass_fds=(other.fileno(), output), stdin=subprocess.DEVNULL
        )
        other.close()
        hello = self.control.recv(1 << 16)
        if not hello:
            raise OSError(f"the zygote ended at its start with code {self.process.wait()}")
        report = json.loads(hello)
        if "error" in report:
            raise OSError(report["error"])
        self.walls = report["walls"]

    def close(self) -> None:
        """Hangs up: the zygote kills its child, empties its scratch folder and ends."""
        self.control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)

    def fork(self, job: socket.socket, cpu_seconds: int) -> None:
        """Has one child forked that serves `job`."""
        with ending_with_zygote():
            socket.send_fds(self.control, [struct.pack("=q", cpu_seconds)], [job.fileno()])

    def end(self, gone: bool) -> Ending:
        """Has the child killed; one that is `gone` gets a moment to end by itself, so that its status tells why."""
        with ending_with_zygote():
            self.control.send(b"g" if gone else b"k")
            report = self.control.recv(64)
            if not report:
                raise ConnectionError
        return Ending(*struct.unpack(STATUS, report))


@contextlib.contextmanager
def ending_with_zygote():
    """A judge does not outlive its zygote: the caller starts both anew."""
    try:
        yield
    except ConnectionError:
        raise SystemExit(ZYGOTE_GONE) from None


class Child:
    """The untrusted process as the judge sees it: a descriptor that gives values."""

    def __init__(self, descriptor: int):
        self.descriptor, self.incoming = descriptor, values.FrameReader(descriptor)
        self.fault = None  # of the ChildGone that was raised, also where the test has swallowed it
        self.loaded = self.gone = False
        self.requests = 0

    def send(self, context: str, code: str) -> None:
        """Hands over the program; it runs while the judge goes on."""
        self._write(json.dumps({"context": context, "code": code}).encode())

    def load(self) -> None:
        """Waits until the program's top level has run; ChildGone with the reason when it did not."""
        self.loaded = True
        try:
            self.incoming.read()  # values.WALLS_STAND: no code has run so far that could send anything else
        except (EOFError, OSError):
            self._end("infra: a wall could not be raised around the code")
        reply = self._receive()
        if reply[0] != "ok":
            kind = "syntax" if reply[0] == "syntax" else reason_kind(reply[1])
            self._end(f"{kind}: {failure_text(reply)}")

    def request(self, *details) -> tuple:
        """One request: (value, arguments after the call); raises what the code raised, as a builtin exception."""
        if not self.loaded:
            self.load()
        self.requests += 1
        self._write(values.dumps(list(details), trusted=True))
        reply = self._receive()
        if reply[0] == "ok":
            return reply[1], reply[2]
        raise rebuilt_exception(reply)

    def _write(self, data: bytes) -> None:
        try:
            values.write_frame(self.descriptor, data)
        except OSError:
            self.gone = True
            self._end("")

    def _receive(self) -> list:
        reply = None
        try:
            reply = values.loads(self.incoming.read())
        except (EOFError, OSError):
            self.gone = True
            self._end("")
        except values.ValueLimit as error:
            self._end(f"exception: the code's answer is {error}")
        except MemoryError:
            self._end("memory: the code's answer does not fit the judge's memory")
        if not well_formed(reply):
            self._end("exception: the code's process sent something that is no answer")
        return reply

    def _end(self, reason: str) -> NoReturn:
        self.fault = reason
        raise ChildGone(reason) from None


def well_formed(reply) -> bool:
    """Whether a reply has the form that the zygote's children give it."""
    if type(reply) is not list or not reply:
        return False
    if reply[0] == "ok":
        return len(reply) == 3 and (reply[2] is None or type(reply[2]) is list)
    if reply[0] not in ("error", "syntax") or [type(part) for part in reply[1:]] != [str, list, str, list]:
        return False
    return all(type(name) is str for name in reply[2])


def failure_text(reply: list) -> str:
    """`ValueError: message` of a failure reply, on one line."""
    message = " ".join(reply[3].split())
    return (f"{reply[1]}: {message}" if message else reply[1])[: tests.MAX_TEXT]


def reason_kind(name: str) -> str:
    """What an exception of this name means for the verdict."""
    return {"MemoryError": "memory", "PermissionError": "forbidden"}.get(name, "exception")


def rebuilt_exception(reply: list) -> Exception:
    """The code's exception as the nearest standard one with its arguments; never one that ends a process or a loop."""
    kind = next(filter(None, map(standard_exception, reply[2])), RuntimeError)
    if issubclass(kind, (StopIteration, StopAsyncIteration)):  # would silently end a map() or a loop of the test
        kind = RuntimeError
    try:
        error = kind(*reply[4])
    except Exception:  # JSONDecodeError and its like take other arguments than they keep
        error = kind.__new__(kind)
        error.args = tuple(reply[4])
    error.verdict_kind, error.verdict_text = reason_kind(reply[1]), failure_text(reply)
    return error


def standard_exception(name: str) -> type[Exception] | None:
    """The exception class of this module and name, where the judge has it from the standard library."""
    module, _, attribute = name.rpartition(".")
    if module.partition(".")[0] not in values.STANDARD_MODULES:
        return None
    found = getattr(sys.modules.get(module), attribute, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


class Proxy:
    """Stands in a test for one function of the code."""

    def __init__(self, child: Child, name: str):
        self._child, self.__name__ = child, name

    def __call__(self, *arguments, **keywords):
        return self._child.request("call", self.__name__, list(arguments), keywords, False)[0]


def call_in_place(function, *arguments, **keywords):
    """A call made for what it does to its arguments: lists, dicts, sets and bytearrays take on their new contents."""
    if not isinstance(function, Proxy):
        return function(*arguments, **keywords)
    result, after = function._child.request("call", function.__name__, list(arguments), keywords, True)
    if after and len(after) == 2 and type(after[0]) is list and type(after[1]) is dict:
        for old, new in zip(arguments, after[0], strict=False):
            take_on(old, new)
        for name, new in after[1].items():
            take_on(keywords.get(name), new)
    return result


def take_on(old, new) -> None:
    """Gives a mutable collection of the test the contents that its copy has got; anything else stays as it is."""
    if type(old) is not type(new) or type(old) not in (list, bytearray, dict, set, collections.deque):
        return
    old.clear()
    old.update(new) if type(old) in (dict, set) else old.extend(new)


class Judge:
    """Turns programs into verdicts, one at a time."""

    def __init__(self, setup: Setup, zygote: Zygote, output: int):
        self.shared, self.zygote, self.output = setup.shared, zygote, output
        self.analysed: collections.OrderedDict[tuple, tests.TestProgram] = collections.OrderedDict()

    def verify(self, program: dict) -> dict:
        """The verdict's fields for one program; {"needs": "shared"} when its test cannot do with plain values."""
        started = time.monotonic()
        try:
            test = self.analyse(program)
        except TestFault as fault:
            return fields("infra", str(fault))
        if test.shared and not self.shared:
            return {"needs": "shared"}
        verdict = self.run(program, test)
        verdict["seconds"] = round(time.monotonic() - started, 4)
        return verdict

    def run(self, program: dict, test: tests.TestProgram) -> dict:
        """One child for one program, from fork to burial."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self.zygote.fork(theirs, program["cpu_seconds"])
            run = Run(program, test, Child(ours.fileno()), self.shared)
            run.judge()
            ending = self.zygote.end(run.child.gone)
        return run.verdict(ending) | {"output": self.take_output()}

    @staticmethod
    def key(program: dict) -> tuple[str, str, str]:
        """What the analysis of a test depends on."""
        return program["test"], program["context"], program["entry_point"]

    def analyse(self, program: dict) -> tests.TestProgram:
        """The compiled test, from the cache where it has been seen; TestFault when it cannot run here."""
        key = self.key(program)
        if key in self.analysed:
            self.analysed.move_to_end(key)
            return self.analysed[key]
        whose = program["task_id"] or "this task"
        try:
            test = tests.analyse(*key)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise TestFault(f"the test of {whose} does not compile: {tests.describe(error)}") from None
        missing = [name for name in test.libraries if importlib.util.find_spec(name) is None]
        if missing:
            raise TestFault(f"the test of {whose} needs {', '.join(missing)}, not installed here")
        self.analysed[key] = test
        if len(self.analysed) > CACHED_TESTS:
            self.analysed.popitem(last=False)
        return test

    def take_output(self) -> str:
        """The tail of what the program has written, and an empty file for the next."""
        size = os.fstat(self.output).st_size
        if not size:
            return ""
        tail = os.pread(self.output, 4 * MAX_OUTPUT, max(0, size - 4 * MAX_OUTPUT))
        os.ftruncate(self.output, 0)
        os.lseek(self.output, 0, os.SEEK_SET)
        return tail.decode("utf-8", "replace")[-MAX_OUTPUT:]


class Run:
    """One test against one child: `judge` runs it, `verdict` says what came of it."""

    def __init__(self, program: dict, test: tests.TestProgram, child: Child, shared: bool):
        self.program, self.test, self.child, self.shared = program, test, child, shared
        self.tally = tests.Tally(test.goes_on, not shared, on_failure=lambda: alarm(AFTER_FAILURE))
        self.whose = program["task_id"] or "this task"
        self.reason = ""  # "kind: text" of what ended the test early, beside the tally

    def judge(self) -> None:
        """Runs the test to its end or to its deadline; whatever happens is kept for `verdict`."""
        try:
            alarm(self.program["wall_seconds"])
            self.child.send(self.program["context"], self.program["code"])
            self.run_beside_code() if self.shared else self.run_here()
        except Deadline:
            self.reason = self.late()
        except ChildGone as gone:
            self.reason = str(gone)
        except values.NotCarried:
            self.reason = "shared"
        except TestFault as fault:
            self.reason = f"infra: {fault}"
        except SystemExit:
            self.reason = f"infra: the test of {self.whose} exits"
        except Exception as error:
            self.tally.note(error)
        finally:
            rang = alarm(0)
        if self.child.fault is not None:  # a bare `except:` of the test may have swallowed either
            self.reason = self.child.fault
        elif rang and not self.reason:
            self.reason = self.late()

    def late(self) -> str:
        return f"timeout: no result in {self.program['wall_seconds']:g} s"

    def run_here(self) -> None:
        """Separate isolation: the test in this process, proxies in the place of the code's functions."""
        namespace = {"__name__": "__main__", "__builtins__": __builtins__}
        try:
            exec(self.test.context, namespace)
        except Exception as error:
            raise TestFault(f"the context of {self.whose} raises {tests.describe(error)}") from None
        namespace |= {name: importlib.import_module(name) for name in self.test.modules}
        named = [
            name for name in self.test.functions if name not in namespace or name == self.program["entry_point"]
        ]
        namespace |= {name: Proxy(self.child, name) for name in named}
        for name, value in self.variables().items():
            namespace.setdefault(name, value)  # what the context defines is not the code's to change
        namespace |= {tests.TALLY: self.tally, tests.IN_PLACE: call_in_place}
        random.seed(0)
        exec(self.test.code, namespace)
        if not self.child.requests:
            raise TestFault(f"the test of {self.whose} never calls the code")

    def variables(self) -> dict:
        """Those variables that the test reads and the code defines; the others raise NameError where they are read."""
        found = {}
        for name in self.test.values:
            with contextlib.suppress(NameError):
                found[name] = self.child.request("value", name)[0]
        return found

    def run_beside_code(self) -> None:
        """Shared isolation: the child runs the test, after the code's top level, and reports the tally."""
        counts, _ = self.child.request("test", self.program["test"], self.program["entry_point"])
        try:
            passed, failed, first = counts
            self.tally.passed, self.tally.failed = int(passed), int(failed)
            if first:
                kind, text = map(str, first)
                self.tally.first = [kind if kind in CODE_FAULTS else "exception", text]
        except (TypeError, ValueError, OverflowError):
            raise ChildGone("exception: the code's process sent something that is no answer") from None
        if not self.tally.first and self.tally.passed < 1:
            if self.test.asserts or self.test.classes:
                raise ChildGone("exception: the code kept the test from checking anything")
            raise TestFault(f"the test of {self.whose} checks nothing")

    def verdict(self, ending: Ending) -> dict:
        """The verdict's fields: the first failure decides, then what ended the test, then PASS."""
        if self.reason == "shared":
            return {"needs": "shared"}
        limit = self.program["cpu_seconds"]
        out_of_time = ending.cpu_seconds >= TIMEOUT_SHARE * limit
        if self.child.gone and not self.reason:
            self.reason = f"timeout: {limit} s of CPU" if out_of_time else ending.reason(self.shared)
        kind, _, text = self.reason.partition(": ")
        if self.tally.first:
            kind, text = self.tally.first
            text = f"the test of {self.whose} raises {text}" if kind == "infra" else text
        verdict = fields(kind or "pass", text, self.tally.passed, self.counted(), self.shared)
        verdict["starved"] = (
            kind == "timeout" and BUSY_SHARE * limit < ending.cpu_seconds < limit and not self.child.gone
        )
        return verdict

    def counted(self) -> int:
        """How many assertions there are: those that ran, and those in the text where the test ended early."""
        ran = self.tally.passed + self.tally.failed
        return max(1, ran, self.test.asserts) if self.reason or self.tally.first else max(1, ran)


def fields(kind: str, text: str, passed: int = 0, total: int = 0, shared: bool = False) -> dict:
    """A verdict as it crosses to the caller."""
    status = {"pass": "PASS", "wrong": "PARTIAL", "infra": "INFRA"}.get(kind, "FAIL")
    return {
        "status": status,
        "reason": f"{kind}: {text}" if text else kind,
        "tests_passed": total if status == "PASS" else passed,
        "tests_total": total,
        "isolation": "shared" if shared else "separate",
        "seconds": 0.0,
        "output": "",
    }


if __name__ == "__main__":
    main()
