"""A judge holds the tests, compares values and decides the verdict. It never runs a model's code.

Only pool.py starts it, one process for each worker:
    python -s -S -P judge.py '{"channel": 3, "scratch": "...", ...}'        (the fields of Setup)
It starts one zygote (zygote.py), then puts walls around itself, because tests may also come from files and servers.
Programs arrive as frames of JSON over `channel`, and verdicts go back the same way. If anything in the judge fails, it
ends and the caller starts a new one.

The test runs here, with untouched builtins, against a `Proxy` of the code's function. Arguments go out and results
come back as plain values (values.py). So a PASS says that the code gave the right values for the tested inputs.
"""

import contextlib
import dataclasses
import functools
import gc
import importlib.util
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))  # started as a file: the package is two folders up
from raccoon.exchange import frames  # noqa: E402
from raccoon.records import Program, Verdict  # noqa: E402
from raccoon.sandbox import seccomp, walls  # noqa: E402
from raccoon.sandbox.setup import Setup, library_path  # noqa: E402
from raccoon.test_texts import test_programs as tests  # noqa: E402
from raccoon.test_texts.visible import UNPARSED, Statement, leading_asserts, statements  # noqa: E402
from raccoon.verdicts.children import KILLED_OUTSIDE, Child, Zygote, file_tail, shown  # noqa: E402
from raccoon.verdicts.judge_heap import CallerGone, ChildGone  # noqa: E402
from raccoon.verdicts.stdin_cases import CaseRun  # noqa: E402
from raccoon.verdicts.test_run import TEST_ENDED, Plan, Run, TestFault, on_alarm, planned  # noqa: E402

ZYGOTE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")
MAX_PROGRAM = 256 << 20  # bytes of one program with its tests, from the caller
PLANNED_SECONDS = 0.05  # to wait for a child that has got all its requests; then its answers are read as they come
CACHED_TESTS = 1024  # compiled test programs; the completions of a group share one
JUDGE_MEMORY_MB = 4096


def main() -> None:
    setup = Setup(**json.loads(sys.argv[1]))
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, on_end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller handles Ctrl-C
    walls.die_with_parent(signal.SIGTERM)
    zygotes: list[Zygote] = []
    try:
        with contextlib.suppress(EOFError, ConnectionError):
            serve(setup, zygotes)
        end(setup, zygotes)
    except CallerGone:  # raised by a signal, also while the closed channel is handled; never twice
        end(setup, zygotes)


def on_end(*_) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise CallerGone


def end(setup: Setup, zygotes: list[Zygote]) -> None:
    """Ends the zygotes of this judge and removes the empty folders that an ended caller has left."""
    for zygote in zygotes:
        zygote.close()
    root = os.path.dirname(setup.scratch)
    with contextlib.suppress(OSError):  # another judge's folder is not empty yet, or another judge was faster
        for name in os.listdir(root):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(root, name))
        os.rmdir(root)


def serve(setup: Setup, zygotes: list[Zygote]) -> None:
    """Starts the zygote, adds it to `zygotes`, and turns programs into verdicts until the caller closes the channel."""
    caller = setup.channel
    try:
        zygote, standing = start_zygote(setup)
        zygotes.append(zygote)
        judge = Judge(setup, zygote, confine(setup))
    except (OSError, EOFError) as error:
        frames.write_frame(caller, json.dumps({"error": str(error)}).encode())
        raise SystemExit(1) from None  # the caller still runs, so its other judges' folders stay
    frames.write_frame(caller, json.dumps({"walls": standing}).encode())
    incoming = frames.FrameReader(caller)
    gc.collect()
    gc.freeze()
    while True:
        fields = json.loads(incoming.read(MAX_PROGRAM))
        number = fields.pop("number")
        answer = judge.answer(Program(**fields)) | {"number": number}
        frames.write_frame(caller, json.dumps(answer).encode())


def start_zygote(setup: Setup) -> tuple[Zygote, str]:
    """The link to a new zygote, and its one-line report of the walls. Raises OSError if it cannot start."""
    control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-s", "-S", "-P"]
    command += ["-X", "no_debug_ranges"]  # without columns in tracebacks: a quarter of every compiled program
    command += [ZYGOTE, json.dumps(vars(setup) | {"channel": other.fileno()})]
    environment = {"PYTHONHASHSEED": str(setup.hash_seed), "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
    environment["LD_BIND_NOW"] = "1"  # else each fork would look up and store the same addresses
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | library_path()
    reader, writer = os.pipe()  # from its first moment the interpreter knows that its stdout cannot be sought
    process = subprocess.Popen(
        command, env=environment, pass_fds=(other.fileno(),), stdin=subprocess.DEVNULL, stdout=writer
    )
    os.close(reader)
    os.close(writer)
    other.close()
    hello = control.recv(1 << 16)
    if not hello:
        raise OSError(f"the zygote ended during its start with code {process.wait()}")
    report = json.loads(hello)
    if "error" in report:
        raise OSError(report["error"])
    return Zygote(process, control, setup.channel), report["walls"]


def confine(setup: Setup) -> Callable[[], None]:
    """Puts walls around the judge: it can read Python, and cannot write, start programs or reach the network.

    The function returned puts more around a fork of it: that dies with the judge, and can neither fork nor signal.
    """
    sys.path += setup.packages  # tests may import numpy
    read = [path for path in sys.path if os.path.isdir(path)]
    read += ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"]
    walls.prctl(walls.PR_SET_NO_NEW_PRIVS, 1)
    if walls.landlock_abi():
        root = os.path.dirname(setup.scratch)
        walls.restrict_files(read, [root, "/dev/null"], vacate=[os.path.dirname(root)])
    walls.limit(resource.RLIMIT_AS, JUDGE_MEMORY_MB << 20)
    walls.limit(resource.RLIMIT_CORE, 0)
    for_tests: seccomp.Filter | None = None
    if seccomp.available():
        own_rules, test_rules = seccomp.judge_rules()
        seccomp.Filter(own_rules).install()
        for_tests = seccomp.Filter(test_rules, nested=True)

    def confine_test() -> None:
        walls.die_with_parent()
        if for_tests:
            for_tests.install()

    return confine_test


@dataclasses.dataclass
class KnownTest:
    """What is known of a test before any code runs."""

    test: tests.TestProgram
    plan: Plan | None  # its requests if they are known; None if it cannot ask the code from here


@functools.lru_cache(maxsize=CACHED_TESTS)
def known_test(test: str, context: str, entry_point: str, shared: bool) -> KnownTest:
    """The compiled test. Raises TestFault if it cannot run here."""
    try:
        analysed = tests.analyse(test, context, entry_point)
    except UNPARSED as error:
        raise TestFault(f"does not compile: {tests.describe(error)}") from None
    missing = [name for name in analysed.libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise TestFault(f"needs {', '.join(missing)}, not installed here")
    return KnownTest(analysed, Plan() if shared else planned(Program("", test, entry_point, context), analysed))


@functools.lru_cache(maxsize=CACHED_TESTS)
def told_statements(test: str, visible: str, entry_point: str) -> tuple[Statement, ...] | None:
    """The statements of a test that feedback may name; None if the visible tests do not run as a part of this test."""
    if test != visible:
        return leading_asserts(test, visible, entry_point)
    with contextlib.suppress(*UNPARSED):
        return statements(visible, entry_point)
    return None


class Judged(NamedTuple):
    """What came of a child: its verdict, whether it was starved, and whether it ended while its top level ran."""

    verdict: Verdict
    starved: bool
    loading: bool


class Judge:
    """Turns programs into verdicts, one at a time."""

    def __init__(self, setup: Setup, zygote: Zygote, confine_test: Callable[[], None]):
        self.shared, self.zygote, self.confine_test = setup.shared, zygote, confine_test

    def answer(self, program: Program) -> dict:
        """The fields of a verdict, or {"needs": "shared"} if the test needs more; and news for pool.py."""
        started = time.monotonic()
        if program.kind == "program":
            judged: tuple[Verdict, bool] | None = CaseRun(program, self.zygote, self.confine_test).judge()
        else:
            judged = self.judge_function(program)
        self.zygote.settle()
        answer: dict = {"needs": "shared"}
        if judged:
            verdict, starved = judged
            answer = vars(verdict) | {"starved": starved, "again": verdict.reason in (KILLED_OUTSIDE, TEST_ENDED)}
        return answer | {"spent": self.zygote.spent, "seconds": round(time.monotonic() - started, 4)}

    def judge_function(self, program: Program) -> tuple[Verdict, bool] | None:
        """(verdict, was the child starved) of a function and its test; None if that needs shared isolation."""
        try:
            known = known_test(program.test, program.context, program.entry_point, self.shared)
        except TestFault as fault:
            return Verdict.of(f"infra: the test of {program.task_id or 'this task'} {fault}"), False
        if needs_shared(known) and not self.shared:
            return None
        told = self.told(program)
        verdict, starved, loading = self.judge_known(program, known, told)
        asked = program.max_feedback and program.visible_tests and not self.shared
        if asked and told is None and not loading and verdict.status != "INFRA":
            seen = self.judge_visible(program)
            if seen and seen.verdict.status != "INFRA":
                verdict = dataclasses.replace(verdict, feedback=seen.verdict.feedback)
                starved |= seen.starved
        return verdict, starved

    def told(self, program: Program) -> tuple[Statement, ...] | None:
        """The statements of the program's test that feedback may name; None if there are none."""
        if self.shared or not (program.max_feedback and program.visible_tests):
            return None
        return told_statements(program.test, program.visible_tests, program.entry_point)

    def judge_visible(self, program: Program) -> Judged | None:
        """The verdict of visible tests that are not the first asserts of the test, in a child of their own.

        None if they cannot run. Their child holds nothing of the test.
        """
        alone = dataclasses.replace(program, test=program.visible_tests)
        try:
            known = known_test(alone.test, alone.context, alone.entry_point, False)
        except TestFault:
            return None
        if needs_shared(known):
            return None
        frames.write_frame(self.zygote.caller, frames.STILL_CLEARING)  # the time for the answer begins anew
        return self.judge_known(alone, known, self.told(alone))

    def judge_known(self, program: Program, known: KnownTest, told: tuple[Statement, ...] | None) -> Judged:
        """What comes of a test in a child; in a second one if the test did not keep to the plan."""
        judged = self.judge_in_child(program, known, told)
        if not judged:
            known.plan = Plan()
            judged = self.judge_in_child(program, known, told)
        assert judged  # nothing was planned
        return judged

    def judge_in_child(self, program: Program, known: KnownTest, told: tuple[Statement, ...] | None) -> Judged | None:
        """The same with one child, from its fork to its end; None if the test did not keep to the plan."""
        test, plan = known.test, known.plan or Plan()
        # What hidden tests ask must not be in the child before what may be told has happened.
        first = None
        if program.max_feedback and program.test != program.visible_tests:
            first = plan.ends[len(told) - 1] if told and plan.ends else 0
        output, stdin = frames.memory_file(), os.open(os.devnull, os.O_RDONLY)
        with self.zygote.fork(program.cpu_seconds, (stdin, output, output)) as job:
            os.close(stdin)
            child = Child(job.fileno(), plan.requests, test.expects_stop, first)
            run = Run(program, test, child, self.shared, told)
            with contextlib.suppress(ChildGone):  # the run meets it again
                child.send(program.context, program.code, test.tracks)
                if child.later:
                    child.wait = lambda: self.zygote.finished(PLANNED_SECONDS)
                elif plan.requests:
                    self.zygote.finished(PLANNED_SECONDS)
            in_fork = not (test.harmless or self.shared)
            outcome = run.judge_in_fork(self.confine_test) if in_fork else run.judge()
            ending = self.zygote.end(outcome.gone)
        printed = shown(file_tail(output))
        return None if outcome.diverged else Judged(*run.verdict(outcome, ending, printed), outcome.loading)


def needs_shared(known: KnownTest) -> bool:
    """Whether a test cannot run apart from the code."""
    return bool(known.test.shared) or known.plan is None


if __name__ == "__main__":
    main()
