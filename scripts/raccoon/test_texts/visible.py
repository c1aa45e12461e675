"""Visible tests beside the whole test: which of its asserts they are, and what feedback may quote of them.

A visible test is compared by its syntax tree. In `def check(candidate)`, `candidate` stands for what the one call of
check() at the end of the test gives it. The message of an assert does not count.
"""

import ast
from typing import NamedTuple

UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)  # of a text that is no Python
CONSTANT = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.unaryop, ast.expr_context)


class Statement(NamedTuple):
    """A visible statement: the lines of the program that runs it, its text, and the text of what it expects."""

    first: int
    last: int
    text: str
    expected: str  # "" if it is no assert, or does not compare one side with the code's call


def statements(visible: str, entry_point: str) -> tuple[Statement, ...]:
    """The simple statements of a visible test, also those in its loops. Raises one of UNPARSED."""
    simple = [node for node in ast.walk(ast.parse(visible)) if isinstance(node, ast.stmt) and not hasattr(node, "body")]
    return tuple(_statement(visible, node, node, entry_point) for node in simple)


def leading_asserts(test: str, visible: str, entry_point: str) -> tuple[Statement, ...] | None:
    """The visible asserts with their lines in the test, if they are the first asserts that it runs, in order.

    None if they are not, if the visible test asks the code elsewhere too, which can fail as well, if the test hands
    anything to the code before the last of them that is not visible too, or if one of the texts is no Python.
    """
    try:
        shown, whole = ast.parse(visible).body, ast.parse(test)
    except UNPARSED:
        return None
    steps = _steps(whole)
    functions = [node for node in ast.walk(whole) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    inlined = {id(step) for step, _ in steps}
    nested = [each for node in functions for each in ast.walk(node) if isinstance(each, ast.Assert)]
    used = set().union(*map(_names, shown))
    wanted = [node for node in shown if not _is_quiet(node, used)]
    if not wanted or any(id(each) not in inlined for each in nested):
        return None  # an assert in a helper function would be counted among the visible ones
    if not all(isinstance(node, ast.Assert) or _is_quiet(node, set()) for node in wanted):
        return None
    found = []
    remaining = iter(steps)
    for node in wanted:
        step, form = next(((step, form) for step, form in remaining if not _is_quiet(step, used)), (None, ""))
        if step is None or form != _form(node):
            return None
        if isinstance(node, ast.Assert):
            found.append(_statement(visible, node, step, entry_point))
    return tuple(found) or None


def part_of_test(test: str, visible: str, entry_point: str) -> list[str]:
    """The statements of a visible test, apart from imports, that are nowhere in the test. Raises one of UNPARSED."""
    whole = ast.parse(test)
    known = {_form(node) for node in ast.walk(whole) if isinstance(node, ast.stmt)}
    known |= {form for _, form in _steps(whole)}
    shown = [node for node in ast.parse(visible).body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    return [_text(visible, node) for node in shown if _form(node) not in known]


def _steps(whole: ast.Module) -> list[tuple[ast.stmt, str]]:
    """(statement, form) in the order in which the test runs them, with those of check() in the place of its call."""
    functions = {node.name: node for node in whole.body if isinstance(node, ast.FunctionDef)}
    steps: list[tuple[ast.stmt, str]] = []
    for node in whole.body:
        call = node.value if isinstance(node, ast.Expr) else None
        name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
        function = functions.pop(name, None)  # a second call has no steps
        if function and isinstance(call, ast.Call) and len(call.args) == len(function.args.args) == 1:
            candidate = function.args.args[0].arg
            steps += [(inner, _form(inner, candidate, call.args[0])) for inner in function.body]
        else:
            steps.append((node, _form(node)))
    return steps


def _form(node: ast.stmt, name: str = "", value: ast.expr | None = None) -> str:
    """A statement as text that does not depend on its layout, with a value in the place of a name."""
    dumped = ast.dump(node.test if isinstance(node, ast.Assert) else node)
    if value is not None:
        dumped = dumped.replace(ast.dump(ast.Name(name, ast.Load())), ast.dump(value))
    return dumped


def _names(node: ast.AST) -> set[str]:
    """The variables and functions that are named anywhere in a part of a test."""
    nodes = list(ast.walk(node))
    return {each.id for each in nodes if isinstance(each, ast.Name)} | {
        each.name for each in nodes if isinstance(each, ast.FunctionDef)
    }


def _is_quiet(node: ast.stmt, used: set[str]) -> bool:
    """Whether a statement asks nothing of the code: an import, a definition, a docstring or a constant.

    What gives another value to one of `used`, the names in the visible test, is not quiet: it decides what is asked.
    """
    if isinstance(node, ast.FunctionDef) and node.name in used:
        return False
    if isinstance(node, ast.Assign) and any(_names(target) & used for target in node.targets):
        return False
    if isinstance(node, ast.FunctionDef):
        return not (node.decorator_list or node.args.defaults or node.args.kw_defaults)
    if isinstance(node, (ast.Assign, ast.Expr)):
        return all(isinstance(inner, CONSTANT) for inner in ast.walk(node.value))
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass))


def _statement(visible: str, node: ast.stmt, place: ast.stmt, entry_point: str) -> Statement:
    """The visible statement `node`, which runs as `place`."""
    return Statement(place.lineno, place.end_lineno or place.lineno, _text(visible, node), _expected(node, entry_point))


def _text(visible: str, node: ast.AST) -> str:
    """A part of the visible test as it is written, or on one line if it has several."""
    text = ast.get_source_segment(visible, node) or ""
    return ast.unparse(node) if "\n" in text or not text else text


def _expected(node: ast.stmt, entry_point: str) -> str:
    """The side of an assert's `==` that does not call the code; "" if there is no such side."""
    compared = node.test if isinstance(node, ast.Assert) else None
    if not isinstance(compared, ast.Compare) or not isinstance(compared.ops[0], (ast.Eq, ast.Is)):
        return ""
    sides = [compared.left, *compared.comparators]
    calls = [any(isinstance(each, ast.Name) and each.id == entry_point for each in ast.walk(side)) for side in sides]
    return ast.unparse(sides[calls.index(False)]) if sorted(calls) == [False, True] else ""
