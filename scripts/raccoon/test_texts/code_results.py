"""Where a test holds results of the code, by its text alone: its classes, and what it does with results and arguments.

`Observer` says whether the test can tell an object of the code from a copy of it, "yes" where unsure. Where it
cannot, lists and the like cross by value, which is faster. It can if it uses `is`, changes a result or an argument in
place, or reads one after the code has run again: the code may have changed it, or may return one object twice. A test
of the usual form, `assert f([1, 2]) == 3`, can do none of it.

`kept_arguments` finds the arguments that a test reads again to compute what it expects: `assert f(xs) == sorted(xs)`.
In one process, code could empty `xs` and return it, and the test would compare two empty lists. So what is expected is
computed from the argument as it was before the call. Elsewhere a test sees its arguments as the code has left them.
"""

import ast
import builtins
import collections
import datetime
import decimal
import re
from collections.abc import Sequence
from typing import TypeGuard

CARRIED: tuple[type, ...] = (int, float, complex, str, bytes, list, tuple, set, dict, range, memoryview)
CARRIED += (collections.deque, collections.Counter, datetime.datetime, datetime.timedelta, decimal.Decimal)
CARRIED_METHODS = frozenset(name for kind in CARRIED for name in dir(kind)) | frozenset(
    """all any astype dtype flatten item max mean min nonzero prod ravel reshape round size std sum tobytes tolist
    transpose T""".split()
)  # of values that reach the judge with their own type, including numpy's arrays
MUTATORS = frozenset(
    "append appendleft add clear discard extend insert pop popitem remove reverse setdefault sort update".split()
)
PASSING_ON = {"list", "tuple", "set", "sorted", "reversed", "iter", "next", "zip", "enumerate", "max", "min"}
OBSERVERS = frozenset(dir(builtins))
CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]*$")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)
LOOPS = (ast.For, ast.While, ast.AsyncFor)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
TABLES = {"zip", "enumerate", "range"}  # functions that only walk over their arguments
CONSTANT = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context)


def dotted(node: ast.AST) -> str:
    """`a.b.c` as text; "" for other expressions."""
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return node.id if isinstance(node, ast.Name) else ""


def last_name(node: ast.AST) -> str:
    """`c` of `x.c`, whatever x is, and of `c`; "" for other expressions."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def names_of(node: ast.AST) -> set[str]:
    """The names anywhere in an expression."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def calls_name(node: ast.AST, *names: str) -> TypeGuard[ast.Call]:
    """Whether this is a call of one of these names."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


class Results:
    """Which expressions of a test hold results of the code: its calls, and values taken out of their results.

    `sources`: names whose call gives a result. `classes`: those of them that are classes.
    """

    def __init__(self, nodes: list[ast.AST], sources: set[str], classes: set[str]):
        self.sources, self.classes = sources, classes
        self.names: set[str] = set()
        self.made: set[str] = set()  # variables with an instance that the test made
        self.chained: set[str] = set()  # variables with the result of a chain of method calls on an instance
        self.operated: set[str] = set()  # variables with the result of an operator on such instances
        functions = [node for node in nodes if isinstance(node, (*FUNCTIONS, ast.Lambda))]
        self.parameters = {argument.arg for each in functions for argument in each.args.args} - {"self", "cls"}
        self.bindings = [pair for node in nodes for pair in _bindings(node)]  # (target, value)
        for target, value in self.bindings * 3:  # values that are taken out of values that were taken out
            if not self.has(value):
                continue
            names = names_of(target)
            self.names |= names
            if self.is_made(value):
                self.made |= names
            if self._is_chained(value):
                self.chained |= names
            if isinstance(value, ast.BinOp) and self.is_operated(value):
                self.operated |= names

    def has(self, node: ast.AST) -> bool:
        """Whether an expression holds a result of the code."""
        if isinstance(node, ast.Name):
            return node.id in self.names or node.id in self.classes
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name):
                return self.has(node.func)
            passed = node.func.id in PASSING_ON and any(map(self.has, node.args))
            return passed or node.func.id in self.sources or node.func.id in self.names
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred, ast.Await, ast.NamedExpr)):
            return self.has(node.value)
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return any(map(self.has, node.elts))
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return self.has(node.elt)
        if isinstance(node, ast.BinOp):
            return self.has(node.left) or self.has(node.right)
        return isinstance(node, ast.UnaryOp) and self.has(node.operand)

    def is_made(self, node: ast.AST) -> bool:
        """Whether an expression is an instance that the test makes by calling a class of the code."""
        return isinstance(node, ast.Name) and node.id in self.made or calls_name(node, *self.classes)

    def _is_chained(self, node: ast.AST) -> bool:
        """Whether this is `Name().add(1).add(2)`, whose methods return the instance."""
        methods = 0
        while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node, methods = node.func.value, methods + 1
        return methods > 1 and isinstance(node, ast.Call) and self.is_made(node)

    def is_operated(self, node: ast.AST) -> bool:
        """Whether an expression is an operator's result on an instance that the test made."""
        if isinstance(node, ast.Name):
            return node.id in self.operated
        sides = (node.left, node.right) if isinstance(node, ast.BinOp) else ()
        return any(self.is_made(side) or self.is_operated(side) for side in sides)

    def asks_an_object(self, node: ast.AST) -> bool:
        """Whether this reads an attribute that no plain value has from a result of the code, or compares its text."""
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            return any(self.has(given) for side in sides if calls_name(side, "str", "repr") for given in side.args)
        if not isinstance(node, ast.Attribute) or node.attr in CARRIED_METHODS or node.attr.startswith("__"):
            return False
        return self.has(node.value) or isinstance(node.value, ast.Name) and node.value.id in self.parameters

    def is_call(self, node: ast.AST) -> TypeGuard[ast.Call]:
        """Whether this is a call of the code."""
        if not isinstance(node, ast.Call):
            return False
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        return name in self.sources or not name and self.has(node.func)

    def holds_call(self, node: ast.AST) -> bool:
        """Whether an expression holds a call of the code."""
        return any(map(self.is_call, ast.walk(node)))


def _bindings(node: ast.AST) -> list[tuple[ast.AST, ast.AST]]:
    """(target, value) of a node that binds names."""
    if isinstance(node, ast.Assign):
        return [(each, node.value) for each in node.targets if not isinstance(each, (ast.Attribute, ast.Subscript))]
    if isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
        return [(node.target, node.value)] if node.value and isinstance(node.target, ast.Name) else []
    if isinstance(node, (ast.For, ast.comprehension)):
        return [(node.target, node.iter)]
    if isinstance(node, ast.withitem) and node.optional_vars:
        return [(node.optional_vars, node.context_expr)]
    return []


def classes_of_the_code(nodes: list[ast.AST], free: set[str], entry_point: str) -> set[str]:
    """Names that look like classes. The entry point only if the test uses it as one, as in `Solution().solve`."""
    asked = [node.args[1] for node in nodes if calls_name(node, "isinstance", "issubclass") and len(node.args) == 2]
    owners = [node.func for node in nodes if isinstance(node, ast.Call)]
    owners += [node.value for node in nodes if isinstance(node, ast.Attribute)]
    used = {name for given in asked for name in names_of(given)}
    used |= {owner.id for owner in owners if isinstance(owner, ast.Name)}
    capitals = {name for name in free - {entry_point} if name[:1].isupper()}
    classes = {name for name in capitals if name in used or not name.isupper()}  # LIMIT is not a class, P(1) calls one
    if CLASS_NAME.match(entry_point):
        results = Results(nodes, {entry_point}, set())
        if any(
            _shows_a_class(node, entry_point) or results.asks_an_object(node) or _acts_as_object(node, results)
            for node in nodes
        ):
            classes.add(entry_point)
    return classes


def _shows_a_class(node: ast.AST, name: str) -> bool:
    """Whether a node uses the name as a class: `Name.x`, `Name()`, or a method of `Name(1)` passed as an argument."""
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == name
    if isinstance(node, ast.withitem):
        return calls_name(node.context_expr, name)
    if not isinstance(node, ast.Call):
        return False
    if calls_name(node, name) and not node.args and not node.keywords:
        return True
    return any(isinstance(argument, ast.Attribute) and calls_name(argument.value, name) for argument in node.args)


def _acts_as_object(node: ast.AST, results: Results) -> bool:
    """Whether a result is stepped through with next(), is compared with another one, or gets an item under a text."""
    if calls_name(node, "next", "iter"):
        return any(map(results.has, node.args))
    if isinstance(node, ast.Compare) and results.has(node.left):
        return any(isinstance(side, ast.Call) and results.has(side) for side in node.comparators)
    if not isinstance(node, ast.Subscript) or isinstance(node.ctx, ast.Load):
        return False
    return results.has(node.value) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)


class Observer:
    """What a test does with arguments and results of the code, by name and place."""

    def __init__(self, tree: ast.Module, results: Results):
        self.results = results
        self.nodes = list(ast.walk(tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.parameters = {node.arg for node in self.nodes if isinstance(node, ast.arg)}
        self.helpers = {node.name for node in tree.body if isinstance(node, FUNCTIONS)}
        self.loads: dict[str, list[ast.Name]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.loads.setdefault(node.id, []).append(node)
        known = results.sources | results.names | self.parameters
        self.calls = [
            node
            for node in self.nodes
            if isinstance(node, ast.Call)
            and (node.func.id in known if isinstance(node.func, ast.Name) else results.has(node.func))
        ]

    def tells_copies(self) -> bool:
        """Whether a test may tell an object of the code from its copy."""
        if any(map(_looks_at_identity, self.nodes)) or any(map(self._hands_over, self.results.sources)):
            return True
        if len({self._statement(call) for call in self.calls}) < len(self.calls):
            return True  # a result is held while the code runs again
        return any(map(self._is_held, self.calls)) or self._reads_results_later()

    def _hands_over(self, name: str) -> bool:
        """Whether a function of the code is used other than by calling it, or by `check(name)` of the test's own."""
        for node in self.loads.get(name, []):
            parent = self.parents[node]
            if not isinstance(parent, ast.Call) or node is not parent.func and not calls_name(parent, *self.helpers):
                return True
        return False

    def _statement(self, node: ast.AST) -> ast.stmt:
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def _is_held(self, call: ast.Call) -> bool:
        """Whether an argument or the result of a call may be seen again after the code has run once more."""
        above: list[ast.AST] = []
        node: ast.AST = call
        while node in self.parents:
            node = self.parents[node]
            above.append(node)
        if any(isinstance(node, (*COMPREHENSIONS, ast.ClassDef, ast.NamedExpr, ast.While)) for node in above):
            return True
        function = next((node for node in above if isinstance(node, FUNCTIONS)), None)
        uses = [self.parents[use] for use in self.loads.get(function.name, [])] if function else []
        if not all(isinstance(use, ast.Call) and isinstance(self.parents[use], ast.Expr) for use in uses):
            return True  # the function is not only called as a statement of its own, such as `check(f)`
        given = [node for each in (*call.args, *(word.value for word in call.keywords)) for node in ast.walk(each)]
        if any(isinstance(node, ast.Attribute) for node in given):
            return True
        return any(isinstance(node, ast.Name) and self._is_seen_again(node.id, above) for node in given)

    def _is_seen_again(self, name: str, above: Sequence[ast.AST]) -> bool:
        """Whether the value of a name in an argument may be read after the call, or be an argument twice."""
        bindings = [node for node in self.nodes if isinstance(node, (ast.Assign, ast.For)) and _binds(node, name)]
        if not bindings:
            return name in self.parameters  # else a builtin function or a name of the context
        if all(isinstance(node, ast.Assign) and _is_constant(node.value) for node in bindings):
            return name in self.parameters
        if len(self.loads[name]) > 1 or name in self.parameters or len(bindings) != 1:
            return True
        [binding] = bindings
        inner = next((node for node in above if isinstance(node, LOOPS)), None)
        if isinstance(binding, ast.For):
            return binding is not inner or not self._is_table(binding.iter)
        return inner is not None or not _is_fresh(binding.value)

    def _is_table(self, node: ast.AST) -> bool:
        """Whether a loop goes over a literal, or over a variable with a literal that nothing else reads."""
        if calls_name(node, *TABLES):
            return all(map(self._is_table, node.args))
        if isinstance(node, ast.Name) and len(self.loads[node.id]) == 1:
            values = [each.value for each in self.nodes if isinstance(each, ast.Assign) and _binds(each, node.id)]
            return len(values) == 1 and self._is_table(values[0])
        return _is_fresh(node)

    def _reads_results_later(self) -> bool:
        """Whether a variable with a result is read after the next call of the code, by the order of the text."""
        places = [(call.lineno, call.col_offset) for call in self.calls]
        bound: dict[str, list[tuple]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in self.results.names:
                statement = self._statement(node)
                bound.setdefault(node.id, []).append((statement.end_lineno, statement.end_col_offset))
                if isinstance(statement, (*LOOPS, ast.With)):
                    return True
        for name, ends in bound.items():
            for load in self.loads.get(name, []):
                here = (load.lineno, load.col_offset)
                before = [end for end in ends if end <= here]
                if not before or any(max(before) < place < here for place in places):
                    return True
        return False


def _looks_at_identity(node: ast.AST) -> bool:
    """Whether this asks which object something is, or changes what may be an argument or a result, or hold one."""
    if isinstance(node, ast.Compare) and any(isinstance(each, (ast.Is, ast.IsNot)) for each in node.ops):
        return not all(isinstance(side, ast.Constant) for side in node.comparators)
    if isinstance(node, ast.Call):
        changes = isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS
        return changes or calls_name(node, "id", "vars")
    if isinstance(node, (ast.Subscript, ast.Attribute)):
        return not isinstance(node.ctx, ast.Load)
    return isinstance(node, ast.AugAssign) and not isinstance(node.value, ast.Constant)


def _binds(node: ast.Assign | ast.For, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(name in names_of(target) for target in targets)


def _is_constant(node: ast.AST) -> bool:
    return all(isinstance(inner, CONSTANT) for inner in ast.walk(node))


def _is_fresh(node: ast.AST) -> bool:
    """Whether an expression gives an object that has no other name."""
    return not any(isinstance(inner, (ast.Name, ast.Attribute)) for inner in ast.walk(node))


def kept_arguments(tree: ast.Module, results: Results) -> dict[ast.Name, bool]:
    """Names whose contents are kept where they are handed to the code (False), and read as they were then (True)."""
    nodes = list(ast.walk(tree))
    calls = [node for node in nodes if results.is_call(node)]
    handed: dict[str, list[ast.Name]] = {}
    for call in calls:
        for given in (*call.args, *(keyword.value for keyword in call.keywords)):
            given = given.value if isinstance(given, ast.Starred) else given
            if isinstance(given, ast.Name):
                handed.setdefault(given.id, []).append(given)
    unchanged = handed.keys() - {name for node in nodes for name in _changed(node)}
    inside = {node for call in calls for node in ast.walk(call)}
    expected = [inner for node in nodes for part in _expected(node, results) for inner in ast.walk(part)]
    read = {node for node in expected if isinstance(node, ast.Name) and node.id in unchanged} - inside
    return {node: False for name in read for node in handed[name.id]} | dict.fromkeys(read, True)


def _changed(node: ast.AST) -> list[str]:
    """The name of a collection that the test itself changes here, by a method of it or by an item."""
    owner: ast.AST | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        owner = node.func.value
    elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        owner = node.value
    return [owner.id] if isinstance(owner, ast.Name) else []


def _expected(node: ast.AST, results: Results) -> list[ast.expr]:
    """What a node compares with a result of the code: the sides without one, beside a call or a variable with a result.

    Also all arguments of a function that gets a call's result: `np.array_equal(f(xs), np.sort(xs))`.
    """
    if isinstance(node, ast.Call) and not results.is_call(node):
        function = dotted(node.func)
        is_other = function and function not in OBSERVERS and function.rpartition(".")[2] not in MUTATORS
        return node.args if is_other and any(map(results.holds_call, node.args)) else []
    if not isinstance(node, ast.Compare) or any(isinstance(each, (ast.Is, ast.IsNot)) for each in node.ops):
        return []
    sides = [node.left, *node.comparators]
    if any(map(results.holds_call, sides)):
        return [side for side in sides if not results.holds_call(side)]
    without = [side for side in sides if names_of(side).isdisjoint(results.names)]
    if len(without) == len(sides):
        return []
    computed = [inner for side in without for inner in ast.walk(side) if isinstance(inner, ast.Call)]
    return [each for each in computed if not calls_name(each, "len")]  # more than a length, as `sorted(xs)` does
