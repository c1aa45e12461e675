"""Finds answers that do not depend on their arguments, and how many of a test's asserts the best of them passes.

Both read only syntax trees and run nothing. If the code is too complex to tell, it does not count as constant.
"""

import ast
import builtins
import functools
import re
from collections import Counter
from collections.abc import Iterable

from raccoon.tasks.syntax import bound_names, is_literal, own_nodes, parse_code

SAME_AS_CALL = re.compile(r"^f\(\) (?:is|==) True$|^True (?:is|==) f\(\)$")
SAME_AS_NOT = re.compile(r"^f\(\) (?:is|==) False$|^False (?:is|==) f\(\)$")

# What a local name holds, beside a constant (its text): an object that the function made itself, which it may change;
# or one that may be an argument or a part of one, or a global, which it must not change.
OWN, LENT, IMPORTED = object(), object(), "import"
NONE = ast.dump(ast.Constant(None))
# Builtins without an effect. Those of RAISING are often called to see whether they raise.
PURE = frozenset(
    "len str repr bool type isinstance issubclass callable list tuple set frozenset dict sorted reversed range "
    "enumerate zip sum abs any all".split()
)
RAISING = frozenset("int float complex bytes max min round ord chr divmod pow".split())
# Methods without an effect, which a condition may call.
PURE_METHODS = frozenset(
    "startswith endswith isdigit isalpha isalnum isupper islower isspace isnumeric isdecimal isidentifier istitle "
    "lower upper strip lstrip rstrip split count find index get keys values items replace join issubset issuperset "
    "isdisjoint".split()
)
DIVISIONS = (ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
UNKNOWN = (ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr)

Value = str | object
Names = dict[str, Value]
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def is_constant_answer(code: str, entry_point: str) -> bool:
    """Whether the entry point has parameters, and does nothing with them but return the same constant.

    Code with an effect, or with an exception that it may raise on purpose, is not constant: `xs.sort()`, a `raise`,
    `int(text)`. Nor are methods, generators and decorated functions. Without an entry point it is the last function.
    """
    tree = parse_code(code)
    function = entry_function(tree, entry_point) if tree else None
    if not tree or not function or not parameters(function.args):
        return False
    try:
        found = Paths(tree).results(function)
    except (TooComplex, RecursionError):  # an expression may be nested too deep
        return False
    return len(found) == 1 and all(isinstance(value, str) for value in found)


def entry_function(tree: ast.Module, name: str) -> Function | None:
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
    inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return bound_names(ast.Module([node], [])) - bound_names(ast.Module(inner, []))


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
    repeated = [inner for node in ast.walk(tree) if isinstance(node, loops) for inner in ast.walk(node)]
    if any(isinstance(node, ast.Assert) for node in repeated):
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


class TooComplex(Exception):
    """The code has an effect, may raise on purpose, or cannot be followed."""


def parameters(arguments: ast.arguments) -> set[str]:
    rest = [each for each in (arguments.vararg, arguments.kwarg) if each]
    return {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest)}


class Paths:
    """Follows every path through the functions of one module; raises TooComplex where one cannot be followed."""

    def __init__(self, tree: ast.Module) -> None:
        self.bound = bound_names(tree)
        nodes = list(own_nodes(tree))
        imports: list[ast.stmt] = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
        self.imported = bound_names(ast.Module(imports, []))
        assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        self.functions = {
            node.name: node
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name not in assigned | self.imported
        }
        self.found: dict[ast.AST, set] = {}  # of functions that were walked
        self.active: list[ast.AST] = []  # functions being walked; one that is met again is a recursion
        self.depth = 0  # of branches and loops
        self.returned: set = set()

    def results(self, function: Function) -> set:
        """The values that a function may return."""
        names: Names = dict.fromkeys(parameters(function.args), LENT)
        if isinstance(function, ast.Lambda):
            return {self.value(function.body, names)}
        if function in self.found:
            return self.found[function]
        if any(isinstance(node, UNKNOWN) for node in own_nodes(function)) or function in self.active:
            raise TooComplex
        outer, self.returned = self.returned, set()
        self.active.append(function)
        if self.block(function.body, names) is not None:
            self.returned.add(NONE)
        self.active.pop()
        self.found[function], self.returned = self.returned, outer
        return self.found[function]

    def block(self, body: list[ast.stmt], names: Names | None) -> Names | None:
        """The names after a block, None if its end is not reached. Code behind a return is not walked."""
        for node in body:
            if names is not None:
                names = self.statement(node, names)
        return names

    def branch(self, body: list[ast.stmt], names: Names) -> Names | None:
        self.depth += 1
        after = self.block(body, dict(names))
        self.depth -= 1
        return after

    def statement(self, node: ast.stmt, names: Names) -> Names | None:
        match node:
            case ast.Return():
                self.returned.add(self.value(node.value, names) if node.value else NONE)
                return None
            case ast.Pass() | ast.Break() | ast.Continue():
                return names
            case ast.Import() | ast.ImportFrom():
                names.update(dict.fromkeys(bound_names(ast.Module([node], [])), IMPORTED))
                return names
            case ast.FunctionDef() if not node.decorator_list:
                names[node.name] = LENT
                return names
            case ast.Expr():
                return self.expression(node.value, names)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                return self.assigned(node, names)
            case ast.If():
                return self.chosen(node, names)
            case ast.For() | ast.While():
                return self.loop(node, names)
            case ast.Try():
                return self.tried(node, names)
            case ast.Match():
                return self.matched(node, names)
        raise TooComplex

    def expression(self, node: ast.expr, names: Names) -> Names:
        """A statement that is an expression: a docstring, a print of constants, or a change of an own object."""
        if isinstance(node, (ast.Constant, ast.Name)):
            return names
        if not isinstance(node, ast.Call):
            raise TooComplex
        given = [self.value(each, names) for each in (*node.args, *(keyword.value for keyword in node.keywords))]
        plain = not node.keywords and all(isinstance(each, str) for each in given)
        match node.func:
            case ast.Name("print") if plain and not self.depth and "print" not in self.bound:
                return names
            case ast.Attribute(ast.Name(own)) if names.get(own, LENT) is not LENT:
                names[own] = OWN
                return names
        raise TooComplex

    def assigned(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign, names: Names) -> Names:
        if node.value is None:
            return names
        value = self.value(node.value, names)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if isinstance(node, ast.AugAssign):
            read = ast.parse(ast.unparse(node.target), mode="eval").body  # the target as an expression
            value = self.value(ast.BinOp(read, node.op, node.value), names)
            if isinstance(node.target, ast.Name) and names.get(node.target.id, LENT) is LENT:
                raise TooComplex  # a list that is an argument would change
        for target in targets:
            names = self.bind(target, node.value, value, names)
        if len(targets) > 1 and not is_immutable(node.value) or isinstance(node.value, ast.Name):
            shared = [each.id for each in (*targets, node.value) if isinstance(each, ast.Name) and each.id in names]
            texts = ("Constant", "UnaryOp")  # of values that cannot change
            names.update({name: LENT for name in shared if not str(names[name]).startswith(texts)})
        return names

    def bind(self, target: ast.expr, node: ast.expr, value: Value, names: Names) -> Names:
        match target:
            case ast.Name(name):
                names[name] = value
                return names
            case ast.Subscript(ast.Name(name), place) if names.get(name, LENT) is not LENT:
                self.value(place, names)
                names[name] = OWN
                return names
            case ast.Tuple(parts) if isinstance(node, ast.Tuple) and len(parts) == len(node.elts):
                values = [self.value(each, names) for each in node.elts]
                for part, each, its in zip(parts, node.elts, values, strict=True):
                    names = self.bind(part, each, its if is_immutable(each) or its is OWN else LENT, names)
                return names
        raise TooComplex

    def chosen(self, node: ast.If, names: Names) -> Names | None:
        if is_literal(node.test):
            return self.block(node.body if ast.literal_eval(node.test) else node.orelse, names)
        self.value(node.test, names, condition=True)
        return merged([self.branch(node.body, names), self.branch(node.orelse, names)])

    def loop(self, node: ast.For | ast.While, names: Names) -> Names | None:
        endless = False
        if isinstance(node, ast.While) and is_literal(node.test):
            if not ast.literal_eval(node.test):
                return self.block(node.orelse, names)
            endless = not any(isinstance(each, ast.Break) for part in node.body for each in ast.walk(part))
        condition = node.test if isinstance(node, ast.While) else node.iter
        names = changed_in([node], names)
        self.value(condition, names, condition=True)
        after = self.branch(node.body, names)
        return None if endless else self.block(node.orelse, merged([names, after]))

    def tried(self, node: ast.Try, names: Names) -> Names | None:
        before = changed_in(node.body, names)
        after = self.branch(node.body, names)
        ends = [after if after is None else self.branch(node.orelse, after)]
        first = node.body[0]
        if not (isinstance(first, ast.Return) and (first.value is None or is_literal(first.value))):
            for handler in node.handlers:
                ends.append(self.branch(handler.body, before | ({handler.name: LENT} if handler.name else {})))
        end = merged(ends)
        last = self.branch(node.finalbody, before if end is None else end)
        return None if end is None else last

    def matched(self, node: ast.Match, names: Names) -> Names | None:
        self.value(node.subject, names, condition=True)
        ends: list[Names | None] = []
        for case in node.cases:
            parts = list(ast.walk(case.pattern))
            caught = {
                getattr(each, kind): LENT for each in parts for kind in ("name", "rest") if getattr(each, kind, "")
            }
            if case.guard:
                self.value(case.guard, names | caught, condition=True)
            ends.append(self.branch(case.body, names | caught))
        last = node.cases[-1]
        total = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and not last.guard
        return merged(ends if total else [*ends, names])

    def value(self, node: ast.expr, names: Names, condition: bool = False) -> Value:
        """What an expression gives. A `condition` may do more that raises: nothing but a branch follows from it."""
        if is_literal(node) or isinstance(node, ast.Constant):
            return ast.dump(node)
        match node:
            case ast.Name(name):
                return names[name] if name in names else ast.dump(node) if self.is_fixed(name) else LENT
            case ast.IfExp():
                self.value(node.test, names, condition=True)
                first, second = self.value(node.body, names), self.value(node.orelse, names)
                return first if first == second else LENT
            case ast.Call(ast.Name(name)) if name in self.functions and name not in names:
                return self.called(name, node, names)
        inner = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        inner |= {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
        names = names | dict.fromkeys(inner, LENT) if inner else names
        for each in ast.walk(node):
            self.check(each, names, condition)
        read = sorted({each.id for each in ast.walk(node) if isinstance(each, ast.Name)} - inner)
        known = {name: names.get(name, name if self.is_fixed(name) else LENT) for name in read}
        if all(isinstance(each, str) for each in known.values()):
            return f"{ast.dump(node)} {known}"
        return LENT if isinstance(node, (ast.BoolOp, ast.Subscript, ast.Attribute, ast.Lambda)) else OWN

    def called(self, name: str, node: ast.Call, names: Names) -> Value:
        """The result of another function of the module, if it is a constant; arguments do not change it."""
        for each in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.value(each, names)
        function = self.functions[name]
        found = list(self.results(function)) if not function.decorator_list else []
        if len(found) != 1 or not isinstance(found[0], str):
            raise TooComplex
        return found[0]

    def check(self, node: ast.AST, names: Names, condition: bool) -> None:
        """Raises TooComplex for a part of an expression that has an effect, or may raise where that has a purpose."""
        match node:
            case ast.Call(ast.Name(name)) if (
                name not in names
                and name not in self.bound
                and (name in PURE or name in RAISING and (condition or self.all_constant(node.args, names)))
            ):
                return
            case ast.Call(ast.Attribute(owner, method)) if method in PURE_METHODS and (
                condition or isinstance(owner, ast.Constant) and self.all_constant(node.args, names)
            ):
                return
            case ast.Attribute(ast.Name(name)) if names.get(name, IMPORTED) is IMPORTED and (
                name in names or name in self.imported
            ):
                return
            case ast.Attribute(ast.Constant()):
                return
            case ast.Subscript(ast.Name(name)) if names.get(name, LENT) is not LENT:
                return
            case ast.BinOp(op=op, right=right) if isinstance(op, DIVISIONS) and not condition:
                if not (is_literal(right) and ast.literal_eval(right)):
                    raise TooComplex
            case ast.Attribute() | ast.Subscript() if not condition:
                raise TooComplex
            case ast.Call():
                raise TooComplex
        if isinstance(node, UNKNOWN):
            raise TooComplex

    def all_constant(self, nodes: Iterable[ast.expr], names: Names) -> bool:
        return all(isinstance(self.value(each, names), str) for each in nodes)

    def is_fixed(self, name: str) -> bool:
        """Whether a global name always means the same: a builtin or an import."""
        return name in self.imported or name not in self.bound and hasattr(builtins, name)


def is_immutable(node: ast.expr) -> bool:
    return isinstance(node, (ast.Constant, ast.UnaryOp))


def merged(ends: list[Names | None]) -> Names | None:
    """The names after a branch: what is the same in all, else an own object, or a lent one if it is so in one."""
    reached = [end for end in ends if end is not None]
    if not reached:
        return None
    found: Names = {}
    for name in set().union(*reached):
        values = [end.get(name, LENT) for end in reached]
        found[name] = values[0] if len(set(values)) == 1 else LENT if LENT in values else OWN
    return found


def changed_in(body: list[ast.stmt], names: Names) -> Names:
    """The names before a body that may run many times, or in part: those that it binds or changes are not constant."""
    nodes = [node for part in body for node in ast.walk(part)]
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    owners = [node.value for node in nodes if isinstance(node, (ast.Attribute, ast.Subscript))]
    used = {owner.id for owner in owners if isinstance(owner, ast.Name)}
    weak = {name: LENT if names.get(name, LENT) is LENT else OWN for name in bound | (used & set(names))}
    return names | weak
