"""The test programs of HumanEval+ and MBPP+, made from the inputs that EvalPlus publishes.

EvalPlus (Liu et al. 2023) publishes inputs and a reference solution but no expected outputs. So a test program contains
the reference, which computes them. The reference is trusted and never runs in one process with a model's code. Nothing
is run here. Input: the fields of a published row. Output: Python text with one assert for each input.
"""

import ast

SAME_SET = "isinstance(out, (list, tuple, set)) and set(out) == set(expected)"
IS_FOUND = "(out if isinstance(out, bool) else out is not None) == (expected is not None)"
# Tasks that need another rule than equality, as in EvalPlus's evaluator: any root is right, the order is free, a match
# object counts as true, or the text of the task has a second meaning (two tasks).
RULES = {
    "HumanEval/32": "isinstance(out, (int, float)) and abs(poly(*args, out)) <= 1e-4",
    **dict.fromkeys(("Mbpp/2", "Mbpp/7", "Mbpp/111", "Mbpp/140", "Mbpp/232", "Mbpp/579", "Mbpp/769"),
                    SAME_SET),
    **dict.fromkeys(("Mbpp/737", "Mbpp/787", "Mbpp/794"), IS_FOUND),
    "Mbpp/558": "out in (expected, sum(abs(int(a) - int(b)) for a, b in zip("
                "*(str(n).zfill(max(len(str(m)) for m in args)) for n in args))))",
    "Mbpp/581": "out in (expected, round(args[0] ** 2 + 2 * args[0] * math.hypot(args[0] / 2, args[1])))",
}
COLLECTIONS = (list, tuple, set)
SPELLED_NUMBERS = ("Mbpp/124", "Mbpp/252")  # complex numbers, which are text in JSON

# Numbers may differ by the row's atol (floats always by 1e-6) plus a relative 1e-7: numpy.allclose without numpy.
PROGRAM = """\
import copy
import math
from math import inf, nan

_oracle = {{}}
exec({reference}, _oracle)


def _floats(value):
    items = value if isinstance(value, (list, tuple)) else [value]
    return bool(items) and all(isinstance(item, float) for item in items)


def _close(out, expected, atol):
    if out == expected or (out != out and expected != expected):
        return True
    if atol == 0 or not isinstance(out, (int, float, complex, list, tuple)):
        return False
    if isinstance(expected, (list, tuple)):
        return type(out) is type(expected) and len(out) == len(expected) and all(
            _close(*pair, atol) for pair in zip(out, expected))
    if isinstance(out, (list, tuple)) or not isinstance(expected, (int, float, complex)):
        return False
    return abs(out - expected) <= atol + 1e-7 * abs(expected)


def _equal(out, expected):
    return _close(out, expected, {atol} or (1e-6 if _floats(expected) else 0))


def _agrees(out, expected, *args):
    return {rule}


# As one string: a syntax tree of a thousand inputs takes longer to build than the inputs to run.
for _arguments in eval({inputs}):
    _expected = _oracle[{entry_point!r}](*copy.deepcopy(_arguments))
    assert _agrees(_out := {entry_point}(*copy.deepcopy(_arguments)), _expected, *_arguments), {{
        "got": _out, "expected": _expected}}
"""


def plus_test(task_id: str, entry_point: str, reference: str, inputs: list[list], atol: float,
              assertions: str = "") -> str:
    """A program that raises if a solution and the reference disagree on one of the inputs.

    `reference` is a complete program, `atol` the row's absolute tolerance. `assertions` calls the entry point with
    literals; the inputs get back the types of these. Raises SyntaxError if `assertions` is not Python.
    """
    return oracle_test(task_id, entry_point, reference, typed_inputs(task_id, entry_point, inputs, assertions), atol)


def oracle_test(task_id: str, entry_point: str, reference: str, inputs: list[list], atol: float) -> str:
    """plus_test for inputs that already have the right types; `task_id` chooses among RULES."""
    return PROGRAM.format(reference=ascii(reference), entry_point=entry_point, atol=atol,
                          rule=RULES.get(task_id, "_equal(out, expected)"), inputs=ascii(ascii(inputs)))


def typed_inputs(task_id: str, entry_point: str, inputs: list[list], assertions: str = "") -> list[list]:
    """Published inputs with the types that JSON could not express, as in `assertions`."""
    examples = example_arguments(assertions, entry_point)
    typed = []
    for arguments in inputs:
        if task_id in SPELLED_NUMBERS:
            arguments = [ast.literal_eval(str(value)) for value in arguments]
        typed.append([restore(value, [example[place] for example in examples])
                      for place, value in enumerate(arguments)])
    return typed


def example_arguments(assertions: str, entry_point: str) -> list[list]:
    """The arguments of each call of the entry point with literal arguments only."""
    examples = []
    for node in ast.walk(ast.parse(assertions)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point:
            try:
                examples.append([ast.literal_eval(argument) for argument in node.args])
            except ValueError:
                continue
    return examples


def restore(value, examples: list):
    """The value, with tuples and sets that JSON had turned into lists.

    The types are those of the same argument in the examples, level by level. A list becomes the type of the first
    collection at its level, or at the last level that the examples have.
    """
    if isinstance(value, dict):
        inner = [item for example in examples if isinstance(example, dict) for item in example.values()]
        return {key: restore(item, inner) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    collections = [example for example in examples if isinstance(example, COLLECTIONS)]
    inner = [item for example in collections for item in example]
    deeper = inner if any(isinstance(item, COLLECTIONS) for item in inner) else inner + collections
    items = [restore(item, deeper) for item in value]
    return type(collections[0])(items) if collections else items
