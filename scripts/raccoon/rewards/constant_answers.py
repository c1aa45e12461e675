"""Finds answers that do not depend on their arguments, and how many of a test's asserts the best of them passes.

Both read only syntax trees and run nothing. If the code is too complex to tell, it does not count as constant.
"""

import ast
import functools
import re
from collections import Counter

from raccoon.rewards.function_paths import TooComplex, constant_result
from raccoon.tasks.syntax import bound_names, own_nodes, parse_code

SAME_AS_CALL = re.compile(r"^f\(\) (?:is|==) True$|^True (?:is|==) f\(\)$")
SAME_AS_NOT = re.compile(r"^f\(\) (?:is|==) False$|^False (?:is|==) f\(\)$")


def is_constant_answer(code: str, entry_point: str) -> bool:
    """Whether the entry point has parameters, and does nothing with them but return the same constant.

    Code with an effect, or with an exception that it may raise on purpose, is not constant: `xs.sort()`, a `raise`,
    `int(text)`. Nor are methods, generators and decorated functions. If no entry point is named, the last function of
    the program is taken.
    """
    tree = parse_code(code)
    function = tree and entry_function(tree, entry_point)
    if not function:
        return False
    try:
        return constant_result(function, tree) is not None
    except (TooComplex, RecursionError):
        return False


def entry_function(tree: ast.Module, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None:
    """The plain function, or assigned lambda, that a module binds to the name last; None if it is something else."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    if not name:
        name = next((node.name for node in reversed(tree.body) if isinstance(node, functions)), "")
    binding = [node for node in own_nodes(tree) if isinstance(node, ast.stmt) and name in own_names(node)]
    last = max(binding, key=lambda node: (node.lineno, node.col_offset), default=None)
    if last not in tree.body:
        return None
    if isinstance(last, (ast.Assign, ast.AnnAssign)) and isinstance(last.value, ast.Lambda):
        return last.value
    return last if isinstance(last, functions) and not last.decorator_list else None


def own_names(node: ast.stmt) -> set[str]:
    """The names that a statement binds, without those of the statements inside it."""
    inner = {
        name
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.stmt)
        for name in bound_names(ast.Module([child], []))
    }
    return bound_names(ast.Module([node], [])) - inner


@functools.lru_cache(maxsize=4096)
def constant_passes(test: str, entry_point: str) -> int:
    """How many asserts of a test the best constant answer passes; 0 if the test's text does not show it.

    Asserts that differ only in the arguments of the entry point have the same constant answer. An assert in a loop
    stands for many, so for such a test the result is 0.
    """
    tree = parse_code(test)
    if not tree:
        return 0
    loops = (ast.For, ast.While, ast.AsyncFor, ast.comprehension, ast.Try, ast.With)
    if any(
        isinstance(inner, ast.Assert) for node in ast.walk(tree) if isinstance(node, loops) for inner in ast.walk(node)
    ):
        return 0
    names = {entry_point, "candidate"} - {""}
    asserted = [plain_assert(node.test, names) for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    counts = Counter(text for text in asserted if text)
    return max(counts.values(), default=0)


def plain_assert(test: ast.expr, names: set[str]) -> str:
    """An assert's condition as text, with `f()` for each call of the entry point; "" if it has no such call."""
    found = _Emptied(names)
    text = ast.unparse(found.visit(ast.parse(ast.unparse(test), mode="eval").body))
    text = SAME_AS_NOT.sub("not f()", SAME_AS_CALL.sub("f()", text))
    return text if found.calls else ""


class _Emptied(ast.NodeTransformer):
    """Removes the arguments from the calls of the named functions."""

    def __init__(self, names: set[str]) -> None:
        self.names, self.calls = names, 0

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in self.names:
            self.calls += 1
            return ast.Call(ast.Name("f", ast.Load()), [], [])
        return self.generic_visit(node)
