"""A judge holds the tests, compares values and decides the verdict. It never runs a model's code.

Only pool.py starts it, one process for each worker:
    python -s -S -P judge.py '{"caller": 3, "scratch": "...", ...}'        (the fields of Setup)
It starts one zygote (zygote.py), then puts walls around itself, because tests may also come from files and servers.
Programs arrive as frames of JSON over `caller`, and verdicts go back the same way. If anything in the judge fails, it
ends and the caller starts a new one.

The test runs here, with untouched builtins, against a `Proxy` of the code's function. Arguments go out and results
come back as plain values (values.py). So a PASS says that the code gave the right values for the tested inputs.
"""

import collections
import contextlib
import dataclasses
import gc
import importlib.util
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable

sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))  # started as a file: the package is two folders up
from raccoon.exchange import frames, values  # noqa: E402
from raccoon.sandbox import walls  # noqa: E402
from raccoon.sandbox.zygote_link import Setup, Zygote  # noqa: E402
from raccoon.test_texts import test_programs as tests  # noqa: E402
from raccoon.verdicts.plan import planned  # noqa: E402
from raccoon.verdicts.proxies import Child, ChildGone  # noqa: E402
from raccoon.verdicts.stdin_cases import CaseRun  # noqa: E402
from raccoon.verdicts.test_run import (  # noqa: E402
    KILLED_OUTSIDE,
    TEST_ENDED,
    CallerGone,
    Deadline,
    Outcome,
    Run,
    TestFault,
    alarm,
    fields,
    on_alarm,
    outcome_fields,
)

MAX_PROGRAM = 256 << 20  # bytes of one program with its tests, from the caller
MAX_OUTPUT = 2000  # characters of the program's output that a verdict keeps
PLANNED_SECONDS = 0.05  # to wait for a child that has got all its requests; then its answers are read as they come
PATIENCE = 2.0  # seconds beyond the wall limit for a test in a fork of the judge
CACHED_TESTS = 512  # compiled test programs; the completions of a group share one
JUDGE_MEMORY_MB = 4096


def main() -> None:
    setup = Setup(**json.loads(sys.argv[1]))
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, _on_end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller handles Ctrl-C
    walls.die_with_parent(signal.SIGTERM)
    zygotes: list[Zygote] = []
    try:
        with contextlib.suppress(EOFError, ConnectionError):
            stand_and_serve(setup, zygotes)
        end(setup, zygotes)
    except CallerGone:  # raised by a signal, also while the closed channel is handled; never twice
        end(setup, zygotes)


def stand_and_serve(setup: Setup, zygotes: list["Zygote"]) -> None:
    """Starts the zygote, adds it to `zygotes`, and judges until the caller ends."""
    try:
        zygotes.append(Zygote(setup))
        confine_test = confine(setup)
    except (OSError, EOFError) as error:
        frames.write_frame(setup.caller, json.dumps({"error": str(error)}).encode())
        raise SystemExit(1) from None  # the caller still runs, so its other judges' folders stay
    frames.write_frame(setup.caller, json.dumps({"walls": zygotes[0].walls}).encode())
    serve(setup.caller, Judge(setup, zygotes[0], confine_test))


def end(setup: Setup, zygotes: list["Zygote"]) -> None:
    """Ends the zygotes of this judge and removes empty folders that an ended caller has left."""
    for zygote in zygotes:
        zygote.close()
    remove_empty_folders(os.path.dirname(setup.scratch))


def remove_empty_folders(root: str) -> None:
    """Removes the sandbox's folder and its empty scratch folders."""
    with contextlib.suppress(OSError):  # another judge's folder is not empty yet, or another judge was faster
        for name in os.listdir(root):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(root, name))
        os.rmdir(root)


def serve(caller: int, judge: "Judge") -> None:
    """Reads programs and writes verdicts until the caller closes the channel."""
    incoming = frames.FrameReader(caller)
    gc.collect()
    gc.freeze()
    while True:
        program = json.loads(incoming.read(MAX_PROGRAM))
        verdict = judge.verify(program) | {"number": program["number"]}
        frames.write_frame(caller, json.dumps(verdict).encode())


def _on_end(*_) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise CallerGone


def confine(setup: Setup) -> Callable[[], None]:
    """Puts walls around the judge: it can read Python, and cannot write, start programs or reach the network.

    Returns a function that puts the last walls around a fork of the judge, before it runs a test: it dies with the
    judge, and can neither fork nor signal others.
    """
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
        walls.Filter(walls.compile_filter(walls.judge_rules(), walls.refuse(walls.EPERM))).install()
        for_tests = walls.Filter(walls.compile_filter(walls.test_rules(), walls.ALLOW, nested=True))

    def confine_test() -> None:
        walls.die_with_parent()
        if walls.seccomp_available():
            for_tests.install()

    return confine_test


class Judge:
    """Turns programs into verdicts, one at a time."""

    def __init__(self, setup: Setup, zygote: Zygote, confine_test: Callable[[], None]):
        self.shared, self.zygote, self.confine_test = setup.shared, zygote, confine_test
        self.analysed: collections.OrderedDict[tuple, tests.TestProgram] = collections.OrderedDict()
        self.plans: collections.OrderedDict[tuple, tuple[bytes, ...] | None] = collections.OrderedDict()

    def verify(self, program: dict) -> dict:
        """The verdict's fields for one program; {"needs": "shared"} if its test needs more than plain values."""
        started = time.monotonic()
        if program["kind"] == "program":
            verdict = CaseRun(program, self.zygote, self.confine_test).judge()
        else:
            verdict = self.verify_function(program)
        self.zygote.settle()
        verdict |= {"again": verdict.get("reason") in (KILLED_OUTSIDE, TEST_ENDED), "spent": self.zygote.spent}
        verdict["seconds"] = round(time.monotonic() - started, 4)
        return verdict

    def verify_function(self, program: dict) -> dict:
        """The verdict's fields for a program that is a function, with a test that calls it."""
        try:
            test = self.analyse(program)
        except TestFault as fault:
            return fields("infra", str(fault))
        plan = self.plan(program, test)
        if (test.shared or plan is None) and not self.shared:
            return {"needs": "shared"}
        return self.run(program, test, plan)

    def plan(self, program: dict, test: tests.TestProgram) -> tuple[bytes, ...] | None:
        """The requests of the test if they are known beforehand, else (); None if it cannot ask the code from here."""
        key = self.key(program)
        if key not in self.plans:
            self.plans[key] = () if self.shared else planned(program, test)
            if len(self.plans) > CACHED_TESTS:
                self.plans.popitem(last=False)
        return self.plans[key]

    def run(self, program: dict, test: tests.TestProgram, plan: tuple[bytes, ...]) -> dict:
        """Runs one program in one child, from the fork to the end of the child."""
        ours, theirs = socket.socketpair()
        output = frames.memory_file()
        with ours:
            with theirs:
                self.zygote.fork(theirs, program["cpu_seconds"], output)
            child = Child(ours.fileno(), plan, test.expects_stop)
            run = Run(program, test, child, self.shared)
            with contextlib.suppress(ChildGone):  # the run meets it again
                child.send(program["context"], program["code"], test.tracks)
                if plan:
                    self.zygote.finished(PLANNED_SECONDS)
            outcome = run.judge() if test.harmless or self.shared else self.judge_in_fork(run)
            ending = self.zygote.end(outcome.gone)
        if outcome.diverged:
            os.close(output)
            self.plans[self.key(program)] = ()
            return self.run(program, test, ())
        return outcome_fields(program, test, outcome, ending, self.shared) | {"output": take_output(output)}

    def judge_in_fork(self, run: Run) -> Outcome:
        """Runs a test that may leave something behind, in a copy of this process that ends with it."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                for descriptor in (self.zygote.caller, self.zygote.control.fileno()):
                    os.close(descriptor)  # the test must not speak for the judge
                self.confine_test()
                frames.write_frame(writing, values.dumps(list(dataclasses.astuple(run.judge()))))
            finally:
                os._exit(0)
        os.close(writing)
        try:
            alarm(run.program["wall_seconds"] + PATIENCE)
            return Outcome(*values.loads(frames.FrameReader(reading).read()))
        except (EOFError, frames.ValueLimit, TypeError):
            return Outcome(reason=TEST_ENDED)
        except Deadline:
            return Outcome(reason=run.late())
        finally:
            alarm(0)
            os.close(reading)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    @staticmethod
    def key(program: dict) -> tuple[str, str, str]:
        """The fields that the analysis of a test depends on."""
        return program["test"], program["context"], program["entry_point"]

    def analyse(self, program: dict) -> tests.TestProgram:
        """The compiled test, from the cache if possible. Raises TestFault if it cannot run here."""
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


def take_output(output: int) -> str:
    """The tail of the program's output. Closes its file."""
    size = os.fstat(output).st_size
    tail = os.pread(output, 4 * MAX_OUTPUT, max(0, size - 4 * MAX_OUTPUT)) if size else b""
    os.close(output)
    return tail.decode("utf-8", "replace")[-MAX_OUTPUT:]


if __name__ == "__main__":
    main()
