"""Finds answers that do not depend on their arguments, and how many of a test's asserts the best of them passes.

Both read only syntax trees and run nothing. If the code is too complex to tell, it does not count as constant.
"""

import ast
import functools
import re
from collections import Counter

from raccoon.tasks.syntax import find_function, is_literal, own_nodes, parse_code

SAME_AS_CALL = re.compile(r"^f\(\) (?:is|==) True$|^True (?:is|==) f\(\)$")
SAME_AS_NOT = re.compile(r"^f\(\) (?:is|==) False$|^False (?:is|==) f\(\)$")


def is_constant_answer(code: str, entry_point: str) -> bool:
    """Whether the entry point has parameters and its answer does not depend on them.

    Either it reads none of them, or all its returns give the same literal. If no entry point is named, the last
    function of the program is taken.
    """
    tree = parse_code(code)
    function = tree and entry_function(tree, entry_point)
    if not function:
        return False
    names = parameters(function.args)
    if not names:
        return False
    body = function.body if isinstance(function.body, list) else [function.body]
    nodes = [node for statement in body for node in ast.walk(statement)]
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Load, ast.Del))}
    own_frame = {"locals", "vars", "eval", "exec"} & read
    return not own_frame and (not names & read or returns_one_literal(function))


def entry_function(tree: ast.Module, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None:
    """The function of that name at a module's top level; a lambda that is assigned to the name counts too."""
    if not name:
        found = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        return found[-1] if found else None
    lambdas = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)
               and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)]
    return find_function(tree, name) or next(iter(lambdas), None)


def parameters(arguments: ast.arguments) -> set[str]:
    rest = [each for each in (arguments.vararg, arguments.kwarg) if each]
    return {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest)}


def returns_one_literal(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    """Whether a function ends with a return of a literal and all its other returns give the same literal."""
    if isinstance(function, ast.Lambda):
        return is_literal(function.body)
    if not isinstance(function.body[-1], ast.Return):
        return False
    nodes = list(own_nodes(function))
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in nodes):
        return False
    values = [node.value for node in nodes if isinstance(node, ast.Return)]
    return all(value is not None and is_literal(value) for value in values) and len(set(map(ast.dump, values))) == 1


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
    if any(isinstance(inner, ast.Assert) for node in ast.walk(tree) if isinstance(node, loops)
           for inner in ast.walk(node)):
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
