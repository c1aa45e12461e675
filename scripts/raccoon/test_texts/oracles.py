"""Which arguments a test reads again to compute what it expects: `assert f(xs) == sorted(xs)`.

In one process, code could empty `xs` and return it, and the test would compare two empty lists. So what is expected is
computed from the argument as it was before the call. Elsewhere a test sees its arguments as the code has left them.
"""

import ast
import builtins

from raccoon.test_texts.effects import dotted
from raccoon.test_texts.needs import MUTATORS, Results

OBSERVERS = frozenset(dir(builtins))


class Keeper:
    """`handed_over`: names in arguments of the code whose contents are kept; `read_before`: where they are read."""

    def __init__(self, tree: ast.Module, results: Results):
        self.results = results
        handed = self._handed_over(tree)
        changed = {node.func.value.id for node in ast.walk(tree) if _changes_a_name(node)}
        changed |= {node.value.id for node in ast.walk(tree) if _stores_an_item(node)}
        self.read_before: set[ast.Name] = set()
        inside = {node for call in self._calls(tree) for node in ast.walk(call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                self._keep_other_sides(node, handed.keys() - changed, inside)
            elif isinstance(node, ast.Call) and not self._is_code(node):
                self._keep_arguments(node, handed.keys() - changed, inside)
        names = {node.id for node in self.read_before}
        self.handed_over = {node for name in names for node in handed[name]}

    def _is_code(self, node: ast.Call) -> bool:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        return name in self.results.sources or not name and self.results.has(node.func)

    def _calls(self, tree: ast.AST) -> list[ast.Call]:
        return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and self._is_code(node)]

    def _handed_over(self, tree: ast.Module) -> dict[str, list[ast.Name]]:
        """The names that are arguments of the code, where they are."""
        found: dict[str, list[ast.Name]] = {}
        for call in self._calls(tree):
            for given in (*call.args, *(keyword.value for keyword in call.keywords)):
                given = given.value if isinstance(given, ast.Starred) else given
                if isinstance(given, ast.Name):
                    found.setdefault(given.id, []).append(given)
        return found

    def _keep_other_sides(self, node: ast.Compare, names: set[str], inside: set[ast.AST]) -> None:
        """Marks what the sides without a result read, beside a call of the code or a variable with its result."""
        if any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops):
            return
        sides = [node.left, *node.comparators]
        with_call = [side for side in sides if any(map(self._is_call, ast.walk(side)))]
        with_result = [side for side in sides if any(map(self._is_result, ast.walk(side)))]
        for side in sides if with_call or with_result else []:
            if with_call and side not in with_call:
                self._mark(side, names, inside)
            elif side not in with_result and not with_call:
                for computed in filter(_computes, ast.walk(side)):
                    self._mark(computed, names, inside)

    def _keep_arguments(self, node: ast.Call, names: set[str], inside: set[ast.AST]) -> None:
        """Marks the arguments of a function that also gets a call's result: `np.array_equal(f(xs), np.sort(xs))`."""
        function, given_to_it = dotted(node.func), [inner for given in node.args for inner in ast.walk(given)]
        if not function or function in OBSERVERS or function.rpartition(".")[2] in MUTATORS:
            return
        if any(map(self._is_call, given_to_it)):
            for given in node.args:
                self._mark(given, names, inside)

    def _is_call(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and self._is_code(node)

    def _is_result(self, node: ast.AST) -> bool:
        return self._is_call(node) or isinstance(node, ast.Name) and node.id in self.results.names

    def _mark(self, side: ast.AST, names: set[str], inside: set[ast.AST]) -> None:
        for node in ast.walk(side):
            if isinstance(node, ast.Name) and node.id in names and node not in inside:
                self.read_before.add(node)


def _computes(node: ast.AST) -> bool:
    """Whether this computes more than a length, as `sorted(xs)` does."""
    return isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id == "len")


def _changes_a_name(node: ast.AST) -> bool:
    """Whether the test itself changes a collection by a method of it."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in MUTATORS and isinstance(node.func.value, ast.Name)


def _stores_an_item(node: ast.AST) -> bool:
    if not isinstance(node, ast.Subscript) or isinstance(node.ctx, ast.Load):
        return False
    return isinstance(node.value, ast.Name)
