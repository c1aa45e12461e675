"""Cost of a stdin task with 20 cases: this sandbox against bare forks of the compiled program.

Both run the same programs on the same inputs in turn, in one run. The floor is a warm interpreter with the sandbox's
own preloaded modules. It compiles each program once, forks for each case, runs it with files as stdin and stdout, and
compares the output. It has no wall and no limit. CPU time is that of the whole process tree.

    python benchmarks/stdin_tasks.py [--rounds 7] [--repeats 20]

Output: a Markdown table on stdout.
"""

import argparse
import json
import statistics
import subprocess
import sys

from sandbox_throughput import cpu_seconds, machine, print_table

from raccoon.sandbox.pool import Program, Sandbox
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=20, help="times that each program is judged in a round")
    options = parser.parse_args()
    tasks = with_outputs()
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", FLOOR]
    floor = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(json.dumps(STANDARD), json.dumps(tasks), sep="\n", file=floor.stdin, flush=True)
    if floor.stdout.readline() != "ready\n":
        raise ChildProcessError("the floor's interpreter did not start; its error is above")
    programs = [
        Program(source, json.dumps({"inputs": inputs, "outputs": outputs}), kind="program")
        for source, inputs, outputs in tasks
    ]
    with Sandbox(workers=1) as box:
        judge = box._pools[False].workers[0].process.pid
        box.run(programs)
        rounds = []
        for _ in range(options.rounds):
            before = cpu_seconds(floor.pid)
            print(options.repeats, file=floor.stdin, flush=True)
            if int(floor.stdout.readline()) != options.repeats * len(tasks):
                raise ChildProcessError("the floor judged a right program as wrong")
            bare, before = cpu_seconds(floor.pid) - before, cpu_seconds(judge)
            if not all(verdict.status == "PASS" for verdict in box.run(programs * options.repeats)):
                raise ChildProcessError("the sandbox judged a right program as wrong")
            rounds.append((bare, cpu_seconds(judge) - before))
    floor.stdin.close()
    floor.wait()
    count = options.repeats * len(tasks)
    print(f"{len(tasks)} programs of {CASES} cases, {options.rounds} rounds of {count} tasks; {machine()}.\n")
    table = [[f"{1000 * bare / count:.1f}", f"{1000 * own / count:.1f}", f"{own / bare:.2f}"] for bare, own in rounds]
    medians = [statistics.median(float(cells[place]) for cells in table) for place in range(3)]
    print_table(["bare forks, CPU ms a task", "sandbox", "ratio"], table)
    print(f"\nMedian ratio {medians[2]:.2f}.")


if __name__ == "__main__":
    main()
