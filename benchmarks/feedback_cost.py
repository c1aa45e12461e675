"""Cost of feedback: CPU time of a verdict with it over one without, for MBPP's tasks, in one run.

Each task of sanitized MBPP is verified with its gold solution and with a wrong one: the gold solution after the first
change of CHANGES that its text allows. Programs that reach the time limit are left out. Modes take turns, round by
round, so that noise of the machine affects all. CPU is that of caller, judge, zygote and children, as in
sandbox_throughput.py.

    python benchmarks/feedback_cost.py [--rounds 5] [--workers 1]

Input: DATA_DIR/mbpp/sanitized-mbpp.json (DATA_DIR is an environment variable, default ../shared/data beside this
checkout). Output: Markdown on stdout. The modes:
- `none`: no feedback.
- `execution`: feedback, but no visible tests.
- `first assert`: the first assert of the test is visible, so one run of the test gives both.
- `own child`: the last assert is visible, so it runs a second time, in a child of its own.
"""

import argparse
import collections
import contextlib
import dataclasses
import os
import statistics
import time

from sandbox_throughput import DATA_DIR, cpu_seconds, machine, print_table

from raccoon.published.benchmarks import load_benchmark
from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox

MAX_FEEDBACK = 1000  # characters
TIMEOUT = 1.0  # CPU seconds of a program
CHANGES = (("==", "!="), (" + ", " - "), ("range(", "range(1, "), ("[", "[0, "), ("return ", "return None and "))
MODES = ("none", "execution", "first assert", "own child")


def programs() -> list[tuple[Program, list[str]]]:
    """Gold and wrong programs, each with the asserts of its test."""
    found = []
    for task in load_benchmark("mbpp", DATA_DIR):
        asserts = [line for line in task.test.splitlines() if line.startswith("assert ")]
        wrong = next((task.solution.replace(*change, 1) for change in CHANGES if change[0] in task.solution), "pass")
        found += [(Program.of(task, code), asserts) for code in (task.solution, wrong)]
    return found


def in_mode(program: Program, asserts: list[str], mode: str) -> Program:
    visible = {"first assert": asserts[0], "own child": asserts[-1]}.get(mode, "")
    return dataclasses.replace(program, visible_tests=visible, max_feedback=MAX_FEEDBACK if mode != "none" else 0)


def without_feedback(verdict: Verdict) -> Verdict:
    return dataclasses.replace(verdict, feedback="", seconds=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of a verdict with feedback over one without.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    everything = programs()
    spent: dict[str, list[float]] = collections.defaultdict(list)
    told, walls = collections.Counter[str](), collections.Counter[str]()
    with contextlib.ExitStack() as stack:
        boxes = {mode: stack.enter_context(Sandbox(options.workers, timeout=TIMEOUT)) for mode in MODES}
        found = boxes["none"].run([program for program, _ in everything])
        slow = [verdict.kind == "timeout" for verdict in found]
        everything = [each for each, late in zip(everything, slow, strict=True) if not late]
        plain = [without_feedback(verdict) for verdict in found if verdict.kind != "timeout"]
        jobs = {mode: [in_mode(*each, mode) for each in everything] for mode in MODES}
        for mode in MODES[1:]:
            boxes[mode].run(jobs[mode])  # every test is known then, as those of a group's other completions are
        for _ in range(options.rounds):
            for mode in MODES:
                before, began = cpu_seconds(os.getpid()), time.monotonic()
                verdicts = boxes[mode].run(jobs[mode])
                spent[mode].append(cpu_seconds(os.getpid()) - before)
                walls[mode] += time.monotonic() - began
                told[mode] = sum(verdict.feedback != "" for verdict in verdicts)
                for verdict, other, (program, _) in zip(verdicts, plain, everything, strict=True):
                    assert without_feedback(verdict) == other, f"{program.task_id} in mode {mode}: {verdict} {other}"
    passed = sum(verdict.status == "PASS" for verdict in plain)
    print(f"{len(plain)} programs, {passed} pass; {options.workers} workers, {options.rounds} rounds; {machine()}.\n")
    rows = []
    for mode in MODES:
        milliseconds = [1000 * seconds / len(plain) for seconds in spent[mode]]
        ratios = [mine / none for mine, none in zip(spent[mode], spent["none"], strict=True)]
        wall = 1000 * walls[mode] / len(plain) / options.rounds
        cells = f"{statistics.median(milliseconds):.2f}", f"{statistics.median(ratios):.2f}", f"{wall:.2f}"
        rows.append([mode, *cells, str(told[mode])])
    print_table(["mode", "CPU ms a verdict, median", "x none, median", "wall ms, mean", "with feedback"], rows)


if __name__ == "__main__":
    main()
