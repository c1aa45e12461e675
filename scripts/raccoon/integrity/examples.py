"""The examples in a task's test: calls of its entry point with literal arguments, and their expected results.

It reads the test and runs nothing. Input: a Task. Output: Examples, or a literal's value.
"""

import ast
from dataclasses import dataclass

from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import Task

UNKNOWN = object()  # a value that is not a literal in the text
HUMANEVAL_NAME = "candidate"  # the entry point's name in HumanEval's check()


@dataclass(frozen=True)
class Example:
    """Arguments of a call of the entry point in the test; `expected` is UNKNOWN if it is not a literal.

    `plain`: the test compares the result itself, so any answer except the expected one is wrong.
    """

    arguments: tuple
    expected: object
    plain: bool


def examples(task: Task) -> list[Example]:
    """The examples of a task in the order of its test, without keyword arguments; [] if it has none."""
    tree, names = parse_code(task.test), (task.entry_point, HUMANEVAL_NAME)
    found: dict[ast.Call, Example] = {}
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Assert):
            call, expected = asserted(node.test)
            arguments = call_arguments(call, names)
            if arguments is not None:
                found[call] = Example(arguments, expected, plain=True)
        elif isinstance(node, ast.Call) and node not in found:
            arguments = call_arguments(node, names)
            if arguments is not None:
                found[node] = Example(arguments, UNKNOWN, plain=False)
    return list(found.values())


def asserted(condition: ast.expr) -> tuple[ast.expr, object]:
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


def literal(node: ast.AST | None) -> object:
    """The value of an expression that is a literal, UNKNOWN for any other."""
    try:
        return ast.literal_eval(node) if isinstance(node, ast.expr) else UNKNOWN
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return UNKNOWN
