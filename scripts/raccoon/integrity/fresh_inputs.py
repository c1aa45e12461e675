"""A test's examples, inputs that the test does not contain, and the program that tries code on them.

The gold solution defines the right results. It is as trusted as the test and runs in the test's process, never together
with a model's code. Nothing is run here. The inputs come from the first of these sources that exists:

    EvalPlus    for HumanEval and MBPP (Liu et al. 2023), with its reference and tolerance; the caller must drop
                inputs on which that reference and the task's own solution differ
    generator   for tasks of tasks/templates.py
    perturbed   inputs like those in the test (strengthening/inputs.py); only if the test compares the result itself,
                because another test may accept several results
"""

import ast
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raccoon.published.benchmarks import BENCHMARKS, hub_rows, read_rows
from raccoon.published.function_sets import plus_test, typed_inputs
from raccoon.records import Program
from raccoon.strengthening.inputs import new_inputs
from raccoon.tasks import templates
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import LeftOut, Task

Value = Any  # of a literal, which may have any plain type
UNKNOWN = object()  # a value that is not a literal in the text
HUMANEVAL_NAME = "candidate"  # the entry point's name in HumanEval's check()
EVALPLUS = {"humaneval": "humanevalplus", "mbpp": "mbppplus", "mbpp_full": "mbppplus"}  # by a task's source
MAX_INPUT_CHARS = 2_000  # of an input as text; larger ones cost time and tell little


@dataclass(frozen=True)
class Example:
    """A call in the test and its result, UNKNOWN if no literal. `plain`: any other answer is wrong."""

    arguments: tuple
    expected: Value
    plain: bool


def examples(task: Task) -> list[Example]:
    """The examples of a task in the order of its test, without keyword arguments; [] if it has none."""
    tree, names = parse_code(task.test), (task.entry_point, HUMANEVAL_NAME)
    found: dict[ast.expr, Example] = {}
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Assert):
            call, expected = asserted(node.test)
        elif isinstance(node, ast.Call):
            call, expected = node, UNKNOWN
        else:
            continue
        arguments = call_arguments(call, names)
        if arguments is not None:
            found.setdefault(call, Example(arguments, expected, plain=isinstance(node, ast.Assert)))
    return list(found.values())


def asserted(condition: ast.expr) -> tuple[ast.expr, Value]:
    """The expression that an assertion tests, and the value that it expects."""
    if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
        return condition.operand, False
    if isinstance(condition, ast.Compare) and isinstance(condition.ops[0], (ast.Eq, ast.Is)):
        sides = condition.left, condition.comparators[0]
        left, right = sides if isinstance(sides[0], ast.Call) else sides[::-1]
        return left, literal(right)
    return condition, True


def call_arguments(node: ast.expr, names: tuple[str, ...]) -> tuple | None:
    """The values of a call's arguments; None if it calls something else or an argument is not a literal."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in names:
        return None
    values = [literal(argument) for argument in node.args]
    return None if node.keywords or not values or any(value is UNKNOWN for value in values) else tuple(values)


def literal(node: ast.AST | None) -> Value:
    """The value of an expression that is a literal, UNKNOWN for any other."""
    try:
        return ast.literal_eval(node) if isinstance(node, ast.expr) else UNKNOWN
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return UNKNOWN


@dataclass(frozen=True)
class FreshInputs:
    """Arguments for calls of a task's entry point, one list for each call, and the program with the right results."""

    origin: str
    inputs: list[list]
    reference: str
    atol: float = 0

    def program(self, task: Task, code: str, inputs: list[list]) -> Program:
        """The program that tries code on some of the inputs, with one assertion for each."""
        test = plus_test(task.task_id, task.entry_point, self.reference, [inputs], self.atol)
        return Program.of(task, code, test=test)


def published_inputs(tasks: list[Task], data_dir: str) -> dict[str, FreshInputs]:
    """task_id -> all of EvalPlus's inputs for each task that has some. Raises InputError like load_benchmark."""
    wanted = {task.task_id for task in tasks}
    found = {}
    for name in sorted({EVALPLUS[task.source] for task in tasks if task.source in EVALPLUS}):
        benchmark = BENCHMARKS[name]
        rows = read_rows(Path(data_dir) / benchmark.file, name) if data_dir else hub_rows(benchmark)
        for row in rows:
            task_id = f"Mbpp/{row['task_id']}" if isinstance(row["task_id"], int) else row["task_id"]
            if task_id in wanted:
                found[task_id] = published_row(row, benchmark.convert)
    return found


def published_row(row: dict, convert: Callable[[dict], Task | LeftOut]) -> FreshInputs:
    """One row: the published file has lists of inputs, the hub a complete test that assigns them to `inputs`."""
    if "base_input" in row:
        reference = row["canonical_solution"] if "assertion" in row else row["prompt"] + row["canonical_solution"]
        return FreshInputs("EvalPlus", typed_inputs(row["task_id"], list(row["plus_input"])), reference, row["atol"])
    tree, task = parse_code(row["test"]), convert(row)
    lists = [
        literal(node.value)
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "inputs"
    ]
    inputs = lists[0] if lists and isinstance(lists[0], list) else []
    return FreshInputs("EvalPlus", inputs if isinstance(task, Task) else [], getattr(task, "solution", ""))


def choose_inputs(task: Task, published: dict[str, FreshInputs], num: int, seed: int) -> FreshInputs:
    """Up to `num` inputs that the test does not contain; none without a gold solution or a source."""
    rng, row = random.Random(f"{seed} {task.task_id}"), published.get(task.task_id)
    found = FreshInputs("perturbed", [], f"{task.context}\n{task.solution}")
    if not task.solution:
        return found
    if row and row.inputs:
        found = replace(row, inputs=rng.sample(row.inputs, len(row.inputs)))
    elif generated := templates.fresh_inputs(task.task_id, 2 * num, rng.randrange(2**32)):
        found = replace(found, origin="generator", inputs=[[value] for value in generated])
    elif plain := [example.arguments for example in examples(task) if example.plain]:
        alike = [arguments for arguments in plain if len(arguments) == len(plain[0])]
        found = replace(found, inputs=[list(each) for _, each in new_inputs(alike, task.prompt, 2 * num, rng)])
    known = {repr(list(example.arguments)) for example in examples(task)}
    distinct = {repr(arguments): arguments for arguments in found.inputs}
    inputs = [arguments for text, arguments in distinct.items() if text not in known and len(text) < MAX_INPUT_CHARS]
    return replace(found, inputs=inputs[:num])
