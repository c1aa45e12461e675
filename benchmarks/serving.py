"""Throughput of the verdict server on loopback, beside the sandbox of this process, in one run.

The programs are HumanEval's gold solutions, again and again. Three ways take turns, round by round, so that noise of
the machine affects all: a local Sandbox; CLIENTS at once that each send their programs to /verdicts, LINES a request,
and read the verdict lines; and a RemoteSandbox. Server, clients and judges share the CPUs of this machine. The first
row is the measure; a ratio is that of the same round, and its median counts. CPU is that of all processes.

    python benchmarks/serving.py [--rounds 5] [--programs 1600] [--clients 16]

Input: DATA_DIR/humaneval (DATA_DIR is an environment variable, default ../shared/data beside this checkout), fastapi
and uvicorn. Output: Markdown on stdout. Exit code 1 if a verdict of the ways differs in more than its seconds.
"""

import argparse
import concurrent.futures
import dataclasses
import http.client
import itertools
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sandbox_throughput import DATA_DIR, as_program, cpu_seconds, machine, print_table

from raccoon.published.benchmarks import load_benchmark
from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.serving.lines import program_line, read_verdict
from raccoon.serving.remote import RemoteSandbox

SCRIPT = Path(__file__).parents[1] / "scripts/sandbox.py"
LINES = 64  # of one client's request
WARM_UP = 64  # programs


def ask(port: int, programs: list[Program]) -> list[Verdict]:
    """One client: its programs in requests of LINES, one after the other."""
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for start in range(0, len(programs), LINES):
        connection.request("POST", "/verdicts", b"".join(map(program_line, programs[start : start + LINES])))
        found += [read_verdict(line) for line in connection.getresponse()]
    connection.close()
    return found


def clients(port: int, programs: list[Program], number: int) -> list[Verdict]:
    parts = [programs[first::number] for first in range(number)]
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        answers = list(pool.map(ask, itertools.repeat(port), parts))
    found: list[Verdict] = [None] * len(programs)  # type: ignore[list-item]
    for first, verdicts in enumerate(answers):
        found[first::number] = verdicts
    return found


def timed(way: Callable[[list[Program]], list[Verdict]], programs: list[Program]) -> tuple[float, float, list[Verdict]]:
    """(programs a second, CPU ms a program, verdicts)"""
    began, cpu = time.monotonic(), cpu_seconds(os.getpid())
    verdicts = way(programs)
    seconds, cpu = time.monotonic() - began, cpu_seconds(os.getpid()) - cpu
    return len(programs) / seconds, 1000 * cpu / len(programs), verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", type=int, default=1600, help="in each round (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    gold = [as_program(task) for task in load_benchmark("humaneval", DATA_DIR)]
    programs = list(itertools.islice(itertools.cycle(gold), options.programs))
    command = [sys.executable, str(SCRIPT), "--serve", "127.0.0.1:0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        said = next(line for line in server.stderr or () if "serves at" in line)
        port = int(re.findall(r":(\d+)", said)[0])
        with Sandbox() as local, RemoteSandbox([f"http://127.0.0.1:{port}"]) as remote:
            ways: dict[str, Callable[[list[Program]], list[Verdict]]] = {
                f"{options.clients} clients": lambda programs: clients(port, programs, options.clients),
                "RemoteSandbox": remote.run,
                "local": local.run,
            }
            for way in ways.values():
                way(programs[:WARM_UP])
            rounds, different = [], 0
            for _ in range(options.rounds):
                found = {name: timed(way, programs) for name, way in ways.items()}
                rounds.append({name: measured[:2] for name, measured in found.items()})
                plain = [
                    [dataclasses.replace(each, seconds=0.0) for each in verdicts] for *_, verdicts in found.values()
                ]
                different += sum(len(set(each)) > 1 for each in zip(*plain, strict=True))
    finally:
        server.terminate()
        server.wait()
    rows = []
    for name in rounds[0]:
        speeds, costs = zip(*(each[name] for each in rounds), strict=True)
        ratios = [each[name][0] / each["local"][0] for each in rounds]
        cells = statistics.median(speeds), statistics.median(costs), statistics.median(ratios), min(ratios)
        rows.append([name, *(f"{cell:.{digits}f}" for cell, digits in zip(cells, (0, 2, 2, 2), strict=True))])
    print(f"{options.rounds} rounds of {options.programs} programs; {machine()}.\n")
    print_table(["way", "programs/s", "CPU ms a program", "of local", "lowest round"], rows)
    print(f"\n{different} verdicts differ in more than their seconds.")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
