"""Checks that two forms of one task get the same verdict: a function that is called, and a program that reads stdin.

A HumanEval or MBPP task becomes a stdin task too if its test asserts plain values of literal arguments. The stdin task
has a case for each assert: the arguments are one line, the result is printed as Python writes it, and a checker
compares values. The gold solution must pass in both forms. Wrong solutions, each made from it by one edit, must get the
same status. HumanEval/148 may differ: if its function returns None, the message of its own assert raises TypeError.

    python benchmarks/stdin_form.py [--wrong 3] [--every 1] [--benchmarks humaneval mbpp]

Input: DATA_DIR/humaneval and DATA_DIR/mbpp; DATA_DIR is an environment variable, default ../shared/data beside this
checkout. Output: a Markdown table, and a line for each difference. Exit 1 if the forms differ or gold fails.
"""

import argparse
import ast
import os
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from raccoon.integrity.fresh_inputs import UNKNOWN, examples  # noqa: E402
from raccoon.published.benchmarks import load_benchmark  # noqa: E402
from raccoon.records import Program, Verdict  # noqa: E402
from raccoon.sandbox.pool import Sandbox  # noqa: E402
from raccoon.strengthening.mutants import make_mutants  # noqa: E402
from raccoon.tasks.task import Task, program_test  # noqa: E402

DATA_DIR = Path(os.environ.get("DATA_DIR") or ROOT.parent / "shared" / "data")
TIMEOUT = 5.0  # CPU seconds: some edits cause an endless loop
MAIN = "\n\nimport ast as _ast\nprint(repr({entry_point}(*_ast.literal_eval(input()))))\n"
# Tasks whose results are not literals as text: a Counter, match objects.
UNPRINTABLE = ("Mbpp/88", "Mbpp/737", "Mbpp/787", "Mbpp/794")
CHECKER = """
import ast


def check(input, output, expected):
    try:
        value = ast.literal_eval(output)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False
    return value == ast.literal_eval(expected)
"""


def stdin_test(task: Task) -> str:
    """The cases of a task's asserts; "" if one does not compare plain values, or a result cannot be printed."""
    if task.task_id in UNPRINTABLE:
        return ""
    asserts = sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(task.test)))
    found = [each for each in examples(task) if each.plain and each.expected is not UNKNOWN]
    if not found or len(found) != asserts:
        return ""
    return program_test(
        [repr(each.arguments) for each in found], [repr(each.expected) for each in found], "checker", CHECKER
    )


def both(task: Task, test: str, code: str) -> tuple[Program, Program]:
    """A solution, as a function and as a program."""
    program = code + MAIN.format(entry_point=task.entry_point)
    return Program.of(task, code), Program.of(task, program, test=test, kind="program", entry_point="")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wrong", type=int, default=3, help="wrong solutions of each task")
    parser.add_argument("--every", type=int, default=1, help="take every n-th task only")
    parser.add_argument("--benchmarks", nargs="+", default=["humaneval", "mbpp"])
    options = parser.parse_args()
    print("| benchmark | tasks | in stdin form | gold passes | wrong ones | same status | status of the function |")
    print("|" + "---|" * 7)
    differences = []
    with Sandbox(timeout=TIMEOUT) as box:
        for name in options.benchmarks:
            tasks = load_benchmark(name, DATA_DIR)[:: options.every]
            pairs = [(task, test) for task in tasks if (test := stdin_test(task))]
            solutions = [
                (task, test, code, code == task.solution)
                for task, test in pairs
                for code in (task.solution, *make_mutants(task.solution, options.wrong))
            ]
            programs = [form for task, test, code, _ in solutions for form in both(task, test, code)]
            verdicts = iter(box.run(programs))
            graded = [(*solution, next(verdicts), next(verdicts)) for solution in solutions]
            differences += [row for row in graded if row[4].status != row[5].status]
            gold = [row for row in graded if row[3]]
            wrong = [row for row in graded if not row[3]]
            passed = sum(row[4].status == row[5].status == "PASS" for row in gold)
            differences += [row for row in gold if row[4].status != "PASS" and row not in differences]
            same = sum(row[4].status == row[5].status for row in wrong)
            counts = ", ".join(f"{status} {n}" for status, n in sorted(Counter(row[4].status for row in wrong).items()))
            print(
                f"| {name} | {len(tasks)} | {len(pairs)} | {passed}/{len(gold)} | {len(wrong)} | {same} | {counts} |",
                flush=True,
            )
    for task, _, _, is_gold, function, program in differences:
        print(f"{task.task_id}{' gold' * is_gold}: {told(function)} as a function, {told(program)} as a program")
    return 1 if differences else 0


def told(verdict: Verdict) -> str:
    """A verdict as one line of text."""
    return f"{verdict.status} ({verdict.reason[:120]}; {verdict.tests_passed} of {verdict.tests_total})"


if __name__ == "__main__":
    sys.exit(main())
