"""Cost of a stdin task with 20 cases: this sandbox against bare forks of the compiled program.

Both run the same programs on the same inputs in turn, in one run. The floor is a warm interpreter with the sandbox's
own preloaded modules. It compiles each program once, forks for each case, runs it with files as stdin and stdout, and
compares the output. It has no wall and no limit. CPU time is that of the whole process tree below the caller.

    python benchmarks/stdin_tasks.py [--rounds 7] [--repeats 20] [--beside ../older]    # another checkout's sandbox too

Output: a Markdown table on stdout.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from sandbox_throughput import CHECKOUT, ROOT, cpu_seconds, machine, print_table

from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.sandbox.zygote import STANDARD

CASES = 20
PROGRAMS = {
    "sum": ("print(sum(map(int, input().split())))\n", [" ".join(map(str, range(n + 1))) + "\n" for n in range(CASES)]),
    "primes": (
        """
import sys


def primes(limit):
    sieve = bytearray([1]) * (limit + 1)
    sieve[:2] = b"\\0\\0"
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit + 1, number)))
    return [number for number, prime in enumerate(sieve) if prime]


def main():
    for line in sys.stdin.read().split():
        print(*primes(int(line)))


main()
""",
        [f"{100 * n + 10}\n{n + 5}\n" for n in range(CASES)],
    ),
    "paths": (
        """
import heapq
from collections import defaultdict

n, m = map(int, input().split())
edges = defaultdict(list)
for _ in range(m):
    a, b, w = map(int, input().split())
    edges[a].append((b, w))
    edges[b].append((a, w))
distance = {1: 0}
queue = [(0, 1)]
while queue:
    d, node = heapq.heappop(queue)
    if d > distance[node]:
        continue
    for other, w in edges[node]:
        if d + w < distance.get(other, 10**18):
            distance[other] = d + w
            heapq.heappush(queue, (d + w, other))
print(*[distance.get(node, -1) for node in range(1, n + 1)])
""",
        [
            f"{n + 5} {3 * n + 4}\n"
            + "".join(f"{k % (n + 5) + 1} {k * k % (n + 5) + 1} {k * 7 % 50 + 1}\n" for k in range(3 * n + 4))
            for n in range(CASES)
        ],
    ),
}

FLOOR = """
import gc, importlib, json, os, sys, tempfile
for name in json.loads(sys.stdin.readline()):
    importlib.import_module(name)
tasks = json.loads(sys.stdin.readline())
given, printed = tempfile.TemporaryFile(), tempfile.TemporaryFile()
gc.collect()
gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    passed = 0
    for _ in range(int(line)):
        for source, inputs, outputs in tasks:
            program, right = compile(source, "program.py", "exec"), 0
            for text, expected in zip(inputs, outputs):
                for file in (given, printed):
                    os.ftruncate(file.fileno(), 0)
                    os.lseek(file.fileno(), 0, 0)
                os.pwrite(given.fileno(), text.encode(), 0)
                pid = os.fork()
                if pid == 0:
                    os.dup2(given.fileno(), 0)
                    os.dup2(printed.fileno(), 1)
                    sys.stdin = open(0, closefd=False)
                    code = 1
                    try:
                        exec(program, {"__name__": "__main__"})
                        sys.stdout.flush()
                        code = 0
                    finally:
                        os._exit(code)
                ended = os.waitpid(pid, 0)[1] == 0
                right += ended and os.pread(printed.fileno(), 1 << 20, 0).split() == expected.encode().split()
            passed += right == len(inputs)
    print(passed, flush=True)
"""


def with_outputs() -> list[tuple[str, list[str], list[str]]]:
    """(source, inputs, outputs) of each program. The outputs are those that it prints."""
    tasks = []
    for source, inputs in PROGRAMS.values():
        command = [sys.executable, "-c", source]
        done = [subprocess.run(command, input=text, capture_output=True, text=True, check=True) for text in inputs]
        tasks.append((source, inputs, [each.stdout for each in done]))
    return tasks


def serve() -> None:
    """The process of a sandbox: reads the tasks, then judges them as often as each further line says."""
    programs = [
        Program(source, json.dumps({"inputs": inputs, "outputs": outputs}), kind="program")
        for source, inputs, outputs in json.loads(sys.stdin.readline())
    ]
    with Sandbox(workers=1) as box:
        box.run(programs)
        worker = box._pools[False].workers[0]
        print(getattr(worker, "link", worker).process.pid, flush=True)  # workers of older checkouts have no link
        for line in sys.stdin:
            print(sum(verdict.status == "PASS" for verdict in box.run(programs * int(line))), flush=True)


class Engine:
    """A process that judges the tasks: the floor's interpreter, or a sandbox with `pid` of its judge."""

    def __init__(self, name: str, command: list[str], lines: list[str], checkout: Path = ROOT):
        self.name = name
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": os.environ | {CHECKOUT: str(checkout)}}
        self.process = subprocess.Popen(command, **pipes, text=True)
        print(*lines, sep="\n", file=self.process.stdin, flush=True)
        hello = self.process.stdout.readline().strip()
        if not hello:
            raise ChildProcessError(f"{name} did not start; its error is above")
        self.pid = self.process.pid if hello == "ready" else int(hello)

    def run(self, repeats: int, right: int) -> float:
        """CPU seconds of judging every task so often."""
        before = cpu_seconds(self.pid)
        print(repeats, file=self.process.stdin, flush=True)
        if int(self.process.stdout.readline()) != right:
            raise ChildProcessError(f"{self.name} judged a right program as wrong")
        return cpu_seconds(self.pid) - before

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=20, help="times that each program is judged in a round")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="also measure the sandbox of another checkout")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve()
    tasks = with_outputs()
    floor = [sys.executable, "-I", "-S", "-X", "utf8", "-c", FLOOR]
    engines = [Engine("bare forks", floor, [json.dumps(STANDARD), json.dumps(tasks)])]
    for checkout in (ROOT, options.beside.resolve()) if options.beside else (ROOT,):
        name = "sandbox" if checkout == ROOT else f"sandbox of {checkout}"
        engines.append(Engine(name, [sys.executable, __file__, "--serve"], [json.dumps(tasks)], checkout))
    count = options.repeats * len(tasks)
    rounds = [[engine.run(options.repeats, count) for engine in engines] for _ in range(options.rounds)]
    for engine in engines:
        engine.close()
    print(f"{len(tasks)} programs of {CASES} cases, {options.rounds} rounds of {count} tasks; {machine()}.\n")
    header = ["engine", "CPU ms a task, by round", "median", "x floor, median of the rounds"]
    rows = []
    for engine, spent in zip(engines, zip(*rounds, strict=True), strict=True):
        cpu = [1000 * seconds / count for seconds in spent]
        ratios = [own / bare[0] for own, bare in zip(spent, rounds, strict=True)]
        cells = [" ".join(f"{value:.1f}" for value in cpu), f"{statistics.median(cpu):.1f}"]
        rows.append([engine.name, *cells, f"{statistics.median(ratios):.2f}"])
    print_table(header, rows)


if __name__ == "__main__":
    main()
