"""Inputs that a task's own test does not contain, and the program that tries code on them.

The gold solution defines the right results. It is as trusted as the test and runs in the test's process, never together
with a model's code. Nothing is run here. The inputs come from the first of these sources that exists:

    EvalPlus    for HumanEval and MBPP (Liu et al. 2023), with its reference and tolerance; the caller must drop
                inputs on which that reference and the task's own solution differ
    generator   for tasks of tasks/templates.py
    perturbed   the arguments in the test, changed a little and of the same types; only if the test compares the
                result itself, because another test may accept several results

Inputs: tasks; the published EvalPlus files of DATA_DIR, or the hub. Output: FreshInputs.
"""

import ast
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raccoon.integrity.examples import examples, literal
from raccoon.published.benchmarks import BENCHMARKS, hub_rows, read_rows
from raccoon.published.function_sets import plus_test, typed_inputs
from raccoon.records import Program
from raccoon.tasks import templates
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import Task

EVALPLUS = {"humaneval": "humanevalplus", "mbpp": "mbppplus", "mbpp_full": "mbppplus"}  # by a task's source
MAX_INPUT_CHARS = 2_000  # of an input as text; larger ones cost time and tell little
ATTEMPTS = 20  # perturbations tried for each input: many are equal, or in the test
NUDGE = 3  # whole numbers move by up to this much, floats by a tenth of it


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


@dataclass(frozen=True)
class PublishedInputs:
    """A row of EvalPlus: its inputs, its reference solution and the tolerance for floats."""

    inputs: list[list]
    reference: str
    atol: float


def published_inputs(tasks: list[Task], data_dir: str) -> dict[str, PublishedInputs]:
    """task_id -> EvalPlus's row for each task that has one. Raises InputError like load_benchmark."""
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


def published_row(row: dict, convert: Callable[[dict], Task]) -> PublishedInputs:
    """One row: the published file has lists of inputs, the hub a complete test that assigns them to `inputs`."""
    if "base_input" not in row:
        tree = parse_code(row["test"])
        lists = [
            literal(node.value)
            for node in ast.walk(tree or ast.Module([], []))
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "inputs"
        ]
        inputs = lists[0] if lists and isinstance(lists[0], list) else []
        return PublishedInputs(inputs, convert(row).solution, 0)
    inputs = typed_inputs(row["task_id"], list(row["plus_input"]))
    reference = row["prompt"] + row["canonical_solution"] if "assertion" not in row else row["canonical_solution"]
    return PublishedInputs(inputs, reference, row["atol"])


def fresh_inputs(task: Task, published: dict[str, PublishedInputs], num: int, seed: int) -> FreshInputs:
    """Up to `num` inputs that the test does not contain; none without a gold solution or a source."""
    rng, row = random.Random(f"{seed} {task.task_id}"), published.get(task.task_id)
    origin, reference, atol = "perturbed", f"{task.context}\n{task.solution}", 0
    if not task.solution:
        candidates = []
    elif row and row.inputs:
        origin, reference, atol = "EvalPlus", row.reference, row.atol
        candidates = rng.sample(row.inputs, len(row.inputs))
    elif generated := templates.fresh_inputs(task.task_id, 2 * num, rng.randrange(2**32)):
        origin, candidates = "generator", [[value] for value in generated]
    else:
        candidates = perturbed_calls(task, num, rng)
    known = {repr(list(example.arguments)) for example in examples(task)}
    distinct = {repr(arguments): arguments for arguments in candidates}
    inputs = [arguments for text, arguments in distinct.items() if text not in known and len(text) < MAX_INPUT_CHARS]
    return FreshInputs(origin, inputs[:num], reference, atol)


def perturbed_calls(task: Task, num: int, rng: random.Random) -> list[list]:
    """Changed copies of the arguments that the test calls the entry point with."""
    plain = [example.arguments for example in examples(task) if example.plain]
    return [[perturbed(value, rng) for value in rng.choice(plain)] for _ in range(ATTEMPTS * num)] if plain else []


def perturbed(value: object, rng: random.Random) -> object:
    """A value like another: same types and lengths, numbers of the same sign, sorted if it was sorted.

    A function may rely on these properties without saying so. An input without them proves nothing about a solution.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return perturbed_number(value, rng)
    if isinstance(value, str):
        return perturbed_text(value, rng)
    if isinstance(value, dict):
        return {key: perturbed(item, rng) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(perturbed_items(list(value), rng))
    return {perturbed(item, rng) for item in value} if isinstance(value, set) else value


def perturbed_number(value: int | float, rng: random.Random) -> int | float:
    """A number near the value, with the same sign; 0 stays 0."""
    if value == 0 or value != value or abs(value) == float("inf"):
        return value
    size = abs(value) + rng.randint(-NUDGE, NUDGE) / (1 if isinstance(value, int) else 10)
    near = max(size, 1) if isinstance(value, int) else max(round(size, 2), 0.01)
    return type(value)(near if value > 0 else -near)


def perturbed_text(text: str, rng: random.Random) -> str:
    """The text with each digit replaced by another of its digits; without digits, the same for small and for capitals.

    So "0110" stays binary, "5 apples and 6 oranges" stays fruit, and brackets, signs and blanks do not change.
    """
    classes = (str.isdigit,) if any(map(str.isdigit, text)) else (str.islower, str.isupper)
    for belongs in classes:
        own = [letter for letter in text if belongs(letter)]
        text = "".join(rng.choice(own) if belongs(letter) else letter for letter in text)
    return text


def perturbed_items(items: list, rng: random.Random) -> list:
    """The changed items; equal items change in the same way, and sorted items are sorted again."""
    changed = {repr(item): perturbed(item, rng) for item in items}
    found = [changed[repr(item)] for item in items]
    try:
        for reverse in (False, True):
            if items == sorted(items, reverse=reverse):
                return sorted(found, reverse=reverse)
    except TypeError:  # items without an order
        return found
    return found
