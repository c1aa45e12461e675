"""The test programs of HumanEval+ and MBPP+, made from the inputs that EvalPlus publishes.

EvalPlus (Liu et al. 2023) publishes inputs and a reference solution but no expected outputs. So a test program contains
the reference, which computes them. The reference is trusted and never runs in one process with a model's code. Nothing
is run here. Input: the fields of a published row. Output: Python text with one assert for each input.
"""

import itertools
from collections.abc import Callable

SAME_SET = "isinstance(out, Iterable) and set(out) == set(expected)"
IS_FOUND = "(out if isinstance(out, bool) else out is not None) == (expected is not None)"
# Tasks that need another rule than equality, as in EvalPlus's evaluator: any root is right, the order is free, a match
# object counts as true, or the text of the task has a second meaning (two tasks).
RULES = {
    **dict.fromkeys(
        ("Mbpp/2", "Mbpp/7", "Mbpp/111", "Mbpp/140", "Mbpp/232", "Mbpp/249", "Mbpp/579", "Mbpp/769"), SAME_SET
    ),
    **dict.fromkeys(("Mbpp/737", "Mbpp/787", "Mbpp/794"), IS_FOUND),
    "Mbpp/558": "out in (expected, sum(abs(int(a) - int(b)) for a, b in zip("
    "*(str(n).zfill(max(len(str(m)) for m in args)) for n in args))))",
    "Mbpp/581": "out in (expected, round(args[0] ** 2 + 2 * args[0] * math.hypot(args[0] / 2, args[1])))",
}
ROOT = "HumanEval/32"  # only the value of the polynomial at the answer counts

# As in evalplus/eval/__init__.py of version 0.3.1: what is not equal may be close, by numpy.allclose with the row's
# atol and a relative 1e-7. Without an atol, that begins with the first expected value of floats.
PROGRAM = """\
import copy
import math
from collections.abc import Iterable
from math import inf, nan

_oracle = {{}}
exec({reference}, _oracle)


def _floats(value):
    items = value if isinstance(value, (list, tuple)) else [value]
    return bool(items) and all(isinstance(item, float) for item in items)


def _shape(value):
    if not isinstance(value, (list, tuple)):
        return ()
    shapes = set(map(_shape, value))
    return (len(value), *shapes.pop()) if len(shapes) == 1 else (object(),) if value else (0,)


def _close(out, expected):
    if isinstance(expected, (list, tuple)):
        return all(map(_close, out, expected))
    if not (isinstance(out, (int, float, complex)) and isinstance(expected, (int, float, complex))):
        return False
    return out == expected or abs(expected) < inf and abs(out - expected) <= _atol + 1e-7 * abs(expected)


def _equal(same, out, expected):
    global _atol
    if _atol == 0 and _floats(expected):
        _atol = 1e-6
    if same or _atol == 0 or type(out) is not type(expected):
        return same
    return _shape(out) == _shape(expected) and _close(out, expected)


def _agrees(out, expected, *args):
    return {rule}


# As one string: a syntax tree of a thousand inputs takes longer to build than the inputs to run.
for _group in eval({inputs}):
    _atol = {atol}
    for _arguments in _group:
        _expected = _oracle[{entry_point!r}](*copy.deepcopy(_arguments))
        assert _agrees(_out := {entry_point}(*copy.deepcopy(_arguments)), _expected, *_arguments), {{
            "got": _out, "expected": _expected}}
"""


def plus_test(task_id: str, entry_point: str, reference: str, groups: list[list[list]], atol: float) -> str:
    """A program that raises if a solution and the reference disagree on one of the inputs.

    `reference` is a complete program, `atol` the row's absolute tolerance. `groups` are lists of inputs that EvalPlus
    judges one after the other; `task_id` chooses among RULES.
    """
    rule = f"_equal({RULES.get(task_id, 'out == expected')}, out, expected)"
    if task_id == ROOT:
        rule = "abs(_oracle['poly'](*args, out)) <= _atol"
    return PROGRAM.format(
        reference=ascii(reference), entry_point=entry_point, atol=atol, rule=rule, inputs=ascii(ascii(groups))
    )


def plain(value):
    return value


def items(value) -> list[tuple]:
    return [tuple(item) for item in value]


def tuples(value) -> tuple[tuple, ...]:
    return tuple(items(value))


def deep(value):
    return tuple(map(deep, value)) if isinstance(value, list) else value


def sets(value) -> list:
    return [set(item) if isinstance(item, list) and item else {} for item in value]


def mixed(value) -> tuple:
    return tuple(tuple(item) if isinstance(item, list) else item for item in value)


def values(value: dict) -> dict:
    return {key: tuple(item) for key, item in value.items()}


# The types that JSON cannot express, by the number of a task in MBPP+: one function for each argument, the last one
# also for all that follow. From mbpp_deserialize_inputs in evalplus/data/mbpp.py of version 0.3.1.
TYPES: dict[int, tuple[Callable, ...]] = {
    **dict.fromkeys(
        (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809),
        (tuple,),
    ),
    **dict.fromkeys((63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780), (items,)),
    **dict.fromkeys((75, 413, 444, 753), (items, plain)),
    **dict.fromkeys((106, 750), (plain, tuple)),
    **dict.fromkeys((250, 307, 405, 446, 617, 720, 763, 808), (tuple, plain)),
    **dict.fromkeys((259, 401, 445), (tuples,)),
    **dict.fromkeys((580, 615, 791), (deep,)),
    115: (sets,),
    124: (float, complex),
    252: (complex,),
    278: (mixed,),
    722: (values, plain),
}


def typed_inputs(task_id: str, inputs: list[list]) -> list[list]:
    """Published inputs with the types that EvalPlus gives them. Those of HumanEval+ are used as they are."""
    benchmark, _, number = task_id.partition("/")
    convert = TYPES.get(int(number), (plain,)) if benchmark == "Mbpp" else (plain,)
    return [
        [
            change(value)
            for change, value in zip(itertools.chain(convert, itertools.repeat(convert[-1])), arguments, strict=False)
        ]
        for arguments in inputs
    ]
