"""What the asserts of a task's test show: the calls with their arguments, and how results are compared. Nothing is run.

A form is an assert with CALL in the place of the call, and EXPECTED in that of the value it expects. New asserts are
written in the form that most of the given asserts have, so that they compare as the test does.
"""

import ast
import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raccoon.tasks.syntax import is_literal, parse_code
from raccoon.tasks.task import Task

CALL, EXPECTED = "__call__", "__expected__"  # names in a form
CANDIDATE = "candidate"  # the tested function's name in check() of HumanEval and LeetCodeDataset
PLAIN = f"{CALL} == {EXPECTED}"
TRUTH = (CALL, f"not {CALL}")  # forms that compare nothing
ROUNDED = frozenset({"round", "isclose", "abs"})  # functions of a form that allows for rounding
OPEN_ORDER = frozenset({"set", "sorted", "Counter", "frozenset"})  # functions of a form that ignores the order
MAX_GIVEN = 60  # asserts that are read
MAX_CHARS = 5_000  # of the arguments of one call; others are no example

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Given:
    """A call in an assert. `arguments` are its values, first those by position, then those of `names` by keyword."""

    arguments: Values
    names: tuple[str, ...] = ()
    form: str = ""  # "" if the assert has none


def given_calls(task: Task) -> list[Given]:
    """The calls with literal arguments in a test's asserts, in order and each once; at most MAX_GIVEN."""
    tree = parse_code(task.test)
    found: dict[str, Given] = {}
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Assert) and len(found) < MAX_GIVEN:
            call = only_call(node.test, {task.entry_point, CANDIDATE})
            given = read_call(call, node.test) if call else None
            if given:
                found.setdefault(repr((given.arguments, given.names)), given)
    return list(found.values())


def only_call(condition: ast.expr, names: set[str]) -> ast.Call | None:
    """The call of one of these names in an assert; None if there is none, or more than one."""
    calls = [node for node in ast.walk(condition) if isinstance(node, ast.Call) and is_named(node.func, names)]
    return calls[0] if len(calls) == 1 else None


def is_named(function: ast.expr, names: set[str]) -> bool:
    """Whether an expression is one of these functions, or a method of an object that one of these classes makes."""
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call) and not function.value.args:
        function = function.value.func
    return isinstance(function, ast.Name) and function.id in names


def read_call(call: ast.Call, condition: ast.expr) -> Given | None:
    """The values of a call's arguments and the form of its assert; None if they are not literals."""
    nodes = [*call.args, *(keyword.value for keyword in call.keywords)]
    names = [keyword.arg or "**" for keyword in call.keywords]
    if not nodes or "**" in names or not all(map(is_literal, nodes)):
        return None
    values = tuple(map(ast.literal_eval, nodes))
    return Given(values, tuple(names), form_of(condition, call)) if len(repr(values)) <= MAX_CHARS else None


def form_of(condition: ast.expr, call: ast.Call) -> str:
    """The form of an assert's condition; "" if it is not clear which value it expects.

    Known are a comparison with == or `is`, of calls like set(...) too, a difference that must be small, a function like
    math.isclose, and no comparison.
    """
    condition = copy.deepcopy(condition)
    places = [node for node in ast.walk(condition) if isinstance(node, ast.Call) and ast.dump(node) == ast.dump(call)]
    bare = condition.operand if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not) else condition
    if bare is places[0]:
        return TRUTH[bare is not condition]
    expected = expected_value(condition, places[0])
    if expected is None or expected is places[0]:
        return ""
    renamed = Renaming({places[0]: CALL, expected: EXPECTED}).visit(condition)
    form = ast.unparse(ast.fix_missing_locations(renamed))
    return form.replace(f"{EXPECTED} == {CALL}", PLAIN)


def expected_value(condition: ast.expr, call: ast.expr) -> ast.expr | None:
    """The literal that a condition compares a call with; None if there is none, or more than one."""
    for node in ast.walk(condition):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Eq, ast.Is)):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            sides = [node.left, node.right]
        elif isinstance(node, ast.Call) and node is not call and getattr(node.func, "attr", "") == "isclose":
            sides = node.args[:2]
        if any(call in ast.walk(side) for side in sides):
            others = [side for side in sides if call not in ast.walk(side)]
            found = [literal for side in others for literal in outer_literals(side)]
            if len(found) == 1:
                return found[0]
    return None


def outer_literals(side: ast.expr) -> list[ast.expr]:
    """The literals in an expression that are not parts of others, without the second arguments of calls."""
    if not any(isinstance(node, (ast.Name, ast.Call)) for node in ast.walk(side)):  # 2.0 / 3.0 counts as one
        return [side]
    if isinstance(side, ast.Call) and side.args and isinstance(side.func, (ast.Name, ast.Attribute)):
        return outer_literals(side.args[0])
    return []


class Renaming(ast.NodeTransformer):
    """Puts names in the places of expressions."""

    def __init__(self, names: dict[ast.expr, str]):
        self.names = names

    def visit(self, node: ast.AST) -> Any:
        return ast.Name(self.names[node], ast.Load()) if node in self.names else super().visit(node)  # type: ignore[index]


def common_form(given: Sequence[Given]) -> str:
    """The form that most of the given asserts have; "" if that is less than half of them, TRUTH counts as one."""
    forms = Counter(TRUTH[0] if each.form in TRUTH else each.form for each in given)
    form, number = forms.most_common(1)[0]
    return form if 2 * number >= len(given) else ""


def callee(task: Task) -> str:
    """The expression that a new assert calls: the entry point, or the method that the test hands to its check()."""
    tree = parse_code(task.test)
    for node in tree.body if tree else ():
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "check":
            return ast.unparse(node.value.args[0]) if len(node.value.args) == 1 else task.entry_point
    return task.entry_point


def call_text(function: str, values: Values, names: Sequence[str]) -> str:
    """The text of a call: the last of the values have these names."""
    first = len(values) - len(names)
    parts = [
        *map(repr, values[:first]),
        *(f"{name}={value!r}" for name, value in zip(names, values[first:], strict=True)),
    ]
    return f"{function}({', '.join(parts)})"
