"""What a test needs: plain values, objects of the code's own classes, or shared isolation.

Only the test's text decides: the values that the code returns must not choose how it is tested.
"""

import ast
import builtins
import collections
import dataclasses
import datetime
import decimal
import re

from raccoon.test_texts import effects

CARRIED = (int, float, complex, str, bytes, list, tuple, set, dict, range, memoryview)
CARRIED += (collections.deque, collections.Counter, datetime.datetime, datetime.timedelta, decimal.Decimal)
CARRIED_METHODS = frozenset(name for kind in CARRIED for name in dir(kind)) | frozenset(
    """all any astype dtype flatten item max mean min nonzero prod ravel reshape round size std sum tobytes tolist
    transpose T""".split()
)  # of values that reach the judge with their own type, including numpy's arrays
EVALUATORS = {"eval", "exec", "compile", "pickle.loads", "pickle.load", "marshal.loads", "dill.loads"}
WATCHED = {"redirect_stdout", "redirect_stderr", "stdout", "stderr", "capsys"}
INSPECTORS = {"type", "issubclass", "vars", "dir", "id", "callable", "super", "inspect"}
OF_ERRORS = {"__init__", "__cause__", "__context__", "__notes__", "__name__", "__doc__"}  # read from any side
COPIERS = {"copy.copy", "copy.deepcopy", "copy", "deepcopy", "pickle.dumps"}
CATCHERS = {"raises", "suppress", "assertRaises", "assertRaisesRegex"}
MUTATORS = frozenset(
    "append appendleft add clear discard extend insert pop popitem remove reverse setdefault sort update".split()
)
PASSING_ON = {"list", "tuple", "set", "sorted", "reversed", "iter", "next", "zip", "enumerate", "max", "min"}
CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]*$")


@dataclasses.dataclass(frozen=True)
class Needs:
    """`classes`: names that the test uses as classes and the code must define. `caught`: classes of exceptions that the
    test expects. `shared`: why it has to run in shared isolation, "" if it need not. `results`: what holds results."""

    classes: tuple[str, ...]
    caught: frozenset[str]
    shared: str
    results: "Results"


def needs(nodes: list[ast.AST], free: set[str], called: set[str], entry_point: str) -> Needs:
    """`nodes` of a test, the names in it that only the code can define (`free`), and the names that are called."""
    classes = classes_of_the_code(nodes, free, entry_point)
    sources = {entry_point, "candidate", *classes, *(free & called)} - set(dir(builtins))
    results = Results(nodes, sources, classes)
    objects = any(results.asks_an_object(node) for node in nodes)
    shared = why_shared(nodes)
    if not shared and any(_patches_the_code(node, {*sources}) for node in nodes):
        shared = "it sets an attribute of the code's own"
    if not shared and (classes or objects):
        shared = why_objects_will_not_do(nodes, classes, results)
    expected = frozenset(name for node in nodes for name in caught(node)) & free
    return Needs(tuple(sorted(classes - expected)), expected, shared, results)


def classes_of_the_code(nodes: list[ast.AST], free: set[str], entry_point: str) -> set[str]:
    """Names that look like classes. The entry point only if the test uses it as one, as in `Solution().solve`."""
    asked = [node.args[1] for node in nodes if calls_name(node, "isinstance", "issubclass") and len(node.args) == 2]
    kinds = {id_ for given in asked for inner in ast.walk(given) for id_ in _names(inner)}
    owners = [_owner(node) for node in nodes if isinstance(node, (ast.Call, ast.Attribute))]
    used = kinds | {name for owner in owners for name in _names(owner)}
    capitals = {name for name in free - {entry_point} if name[:1].isupper()}
    classes = {name for name in capitals if name in used or not name.isupper()}  # LIMIT is not a class, P(1) calls one
    if CLASS_NAME.match(entry_point) and any(_shows_a_class(node, entry_point) for node in nodes):
        classes.add(entry_point)
    elif CLASS_NAME.match(entry_point):
        results = Results(nodes, {entry_point}, set())
        if any(results.asks_an_object(node) or _acts_as_object(node, results) for node in nodes):
            classes.add(entry_point)
    return classes


def _acts_as_object(node: ast.AST, results: "Results") -> bool:
    """Whether a result is stepped through with next(), is compared with another one, or gets an item under a text."""
    if isinstance(node, ast.Call) and calls_name(node, "next", "iter"):
        return any(map(results.has, node.args))
    if isinstance(node, ast.Compare) and results.has(node.left):
        return any(isinstance(side, ast.Call) and results.has(side) for side in node.comparators)
    if not isinstance(node, ast.Subscript) or isinstance(node.ctx, ast.Load):
        return False
    return results.has(node.value) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)


def _shows_a_class(node: ast.AST, name: str) -> bool:
    """Whether a node uses the name as a class: `Name.x`, `Name()`, or a method of `Name(1)` passed as an argument."""
    if isinstance(node, ast.Attribute):
        return name in _names(node.value)
    if isinstance(node, ast.withitem):
        return calls_name(node.context_expr, name)
    if not isinstance(node, ast.Call):
        return False
    if calls_name(node, name) and not node.args and not node.keywords:
        return True
    return any(isinstance(argument, ast.Attribute) and calls_name(argument.value, name) for argument in node.args)


class Results:
    """Which expressions of a test hold results of the code: its calls, and values taken out of their results."""

    def __init__(self, nodes: list[ast.AST], sources: set[str], classes: set[str]):
        self.sources, self.classes = sources, classes
        self.names: set[str] = set()
        self.made: set[str] = set()  # variables with an instance that the test made
        self.chained: set[str] = set()  # variables with the result of a chain of method calls on an instance
        self.operated: set[str] = set()  # variables with the result of an operator on such instances
        self.parameters: set[str] = set()
        bindings = [pair for node in nodes for pair in _bindings(node)]
        for _ in range(3):  # values that are taken out of values that were taken out
            for target, value in bindings:
                self._bind(target, value)
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                self.parameters |= {argument.arg for argument in node.args.args} - {"self", "cls"}

    def _bind(self, target: ast.AST, value: ast.AST) -> None:
        if not self.has(value):
            return
        names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
        self.names |= names
        if self.is_made(value):
            self.made |= names
        if self._is_chained(value):
            self.chained |= names
        if isinstance(value, ast.BinOp) and self.is_operated(value):
            self.operated |= names

    def has(self, node: ast.AST | None) -> bool:
        """Whether an expression holds a result of the code."""
        if isinstance(node, ast.Name):
            return node.id in self.names or node.id in self.classes
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name):
                passed = function.id in PASSING_ON and any(map(self.has, node.args))
                return passed or function.id in self.sources or function.id in self.names
            return self.has(function)
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
        if isinstance(node, ast.Name):
            return node.id in self.made
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.classes

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
        if not isinstance(node, ast.BinOp):
            return False
        sides = (node.left, node.right)
        return any(self.is_made(side) or self.is_operated(side) for side in sides)

    def asks_an_object(self, node: ast.AST) -> bool:
        """Whether this reads an attribute that no plain value has from a result of the code, or compares its text."""
        if isinstance(node, ast.Compare):
            texts = [side for side in (node.left, *node.comparators) if calls_name(side, "str", "repr")]
            return any(self.has(given) for text in texts for given in text.args)
        if not isinstance(node, ast.Attribute) or node.attr in CARRIED_METHODS or node.attr.startswith("__"):
            return False
        return self.has(node.value) or isinstance(node.value, ast.Name) and node.value.id in self.parameters


def _bindings(node: ast.AST) -> list[tuple[ast.AST, ast.AST]]:
    """(target, value) of a node that binds names."""
    if isinstance(node, ast.Assign):
        plain = [target for target in node.targets if not isinstance(target, (ast.Attribute, ast.Subscript))]
        return [(target, node.value) for target in plain]
    if isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
        return [(node.target, node.value)] if node.value and isinstance(node.target, ast.Name) else []
    if isinstance(node, (ast.For, ast.comprehension)):
        return [(node.target, node.iter)]
    if isinstance(node, ast.withitem) and node.optional_vars:
        return [(node.optional_vars, node.context_expr)]
    return []


def why_shared(nodes: list[ast.AST]) -> str:
    """Why this test must run in the code's process; "" if plain values and objects are enough."""
    own_classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    for node in nodes:
        if isinstance(node, ast.ClassDef) and is_test_case(node):
            return f"unittest class {node.name}"
        if isinstance(node, (ast.Import, ast.ImportFrom)) and "mock" in ast.unparse(node):
            return "it patches what the code uses"
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)) or _names(node) & {"asyncio"}:
            return "it awaits the code"
        if _last_name(node) in WATCHED:
            return "it reads what the code prints"
        if isinstance(node, ast.Call):
            if _dotted(node.func) in EVALUATORS and not all(isinstance(a, ast.Constant) for a in node.args[:1]):
                return "it evaluates text that is not a constant"  # results of the code must not run in the judge
            if own_classes & _names(node.func):
                return f"it makes objects of its own class {_last_name(node.func)}"
            handed = own_classes & {name for given in node.args for name in _names(given)}
            if handed and _last_name(node.func) not in {"isinstance", "issubclass", *CATCHERS}:
                return f"it hands its own class {min(handed)} on"
    return effects.effects(nodes).shared


def _patches_the_code(node: ast.AST, names: set[str]) -> bool:
    """Whether the test sets an attribute of a function or a class of the code."""
    return isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) and bool(_names(node.value) & names)


def _names_an_abstract_class(node: ast.Call, modules: dict[str, str]) -> bool:
    """Whether isinstance() gets a class of collections.abc or typing."""
    names = {effects.dotted(inner) for given in node.args[1:] for inner in ast.walk(given)}
    known = {f"{modules.get(root, root)}.{rest}" for root, _, rest in (name.partition(".") for name in names if name)}
    return any(name.startswith(("collections.abc.", "typing.")) for name in known)


def why_objects_will_not_do(nodes: list[ast.AST], classes: set[str], results: Results) -> str:
    """Why a test that uses the code's own classes needs shared isolation; "" if it does not."""
    modules = effects.imported(nodes)
    of_instances, of_results = _methods_called(nodes, results)
    if both := sorted(of_instances & of_results):
        return f"it calls the method {both[0]} of a result of the code"
    for node in nodes:
        if isinstance(node, ast.Compare) and _compares_made(node, results) or _looks_made_up(node, results):
            return "it compares results of the code by the code's own =="
        if isinstance(node, ast.Attribute) and node.attr.startswith("__") and node.attr not in OF_ERRORS:
            return f"it reads {node.attr}"
        if calls_name(node, "isinstance", "issubclass") and _names_an_abstract_class(node, modules):
            return "it asks what an object can do"
        if isinstance(node, ast.Call) and effects.dotted(node.func) in COPIERS and any(map(results.is_made, node.args)):
            return "it copies objects of the code"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in INSPECTORS:
            if any(map(results.has, node.args)):
                return f"it inspects the code's objects with {node.func.id}"
        if isinstance(node, ast.ClassDef) and any(_names(inner) & classes for b in node.bases for inner in ast.walk(b)):
            return "it derives from a class of the code"
        if isinstance(node, ast.MatchClass):
            return "it matches a class in a match statement"
        if isinstance(node, ast.BinOp) and _chains_operators(node, results):
            return "it chains operators on the code's objects"
    return ""


def _methods_called(nodes: list[ast.AST], results: Results) -> tuple[set[str], set[str]]:
    """Called methods with names that plain values have too: of instances that the test made, and of other results.

    A result may not answer such a method, unless the test shows that the result is an object of the code.
    """
    of_instances, of_results = set(), set()
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CARRIED_METHODS:
            owner = node.func.value
            if results.is_made(owner):
                of_instances.add(node.func.attr)
            elif node.args and results.has(owner) and node.func.attr not in MUTATORS:
                of_results.add(node.func.attr)
                if isinstance(owner, ast.Name) and owner.id in results.chained:
                    of_instances.add(node.func.attr)
    return of_instances, of_results


def _compares_made(node: ast.Compare, results: Results) -> bool:
    """Whether an `==` or `in` involves an instance that the test made."""
    sides = [node.left, *node.comparators]
    return any(
        isinstance(operator, (ast.Eq, ast.NotEq, ast.In, ast.NotIn))
        and (_holds_made(right, results) or not isinstance(operator, (ast.In, ast.NotIn)) and results.is_made(left))
        and (isinstance(operator, (ast.Eq, ast.NotEq)) or not results.is_made(right))
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False)
    )


def _holds_made(node: ast.AST, results: Results) -> bool:
    """Whether an expression is an instance that the test made, or a collection with one."""
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return any(_holds_made(item, results) for item in node.elts)
    return results.is_made(node)


def _looks_made_up(node: ast.AST, results: Results) -> bool:
    """Whether this looks an instance that the test made up in a collection, by its hash or its `==`."""
    if isinstance(node, ast.Set):
        return any(results.is_made(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return any(key is not None and results.is_made(key) for key in node.keys)
    if isinstance(node, ast.Subscript):
        return results.is_made(node.slice)
    if not isinstance(node, ast.Call):
        return False
    looks = isinstance(node.func, ast.Attribute) and node.func.attr in ("index", "count", "remove", "add", "get")
    looks = looks and not results.has(node.func.value)
    return (looks or calls_name(node, "set", "frozenset", "hash")) and any(_holds_made(a, results) for a in node.args)


def caught(node: ast.AST) -> set[str]:
    """The names in the classes that a handler or a context manager catches."""
    if isinstance(node, ast.ExceptHandler) and node.type:
        return {name for inner in ast.walk(node.type) for name in _names(inner)}
    if isinstance(node, ast.Call):
        if _last_name(node.func) in CATCHERS:
            return {name for argument in node.args for inner in ast.walk(argument) for name in _names(inner)}
    return set()


def _chains_operators(node: ast.BinOp, results: Results) -> bool:
    for one, other in ((node.left, node.right), (node.right, node.left)):
        if results.is_operated(one) and not results.has(other):
            return True
    return False


def _last_name(node: ast.AST) -> str:
    """`c` of `a.b.c`; "" for other expressions."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _dotted(node: ast.AST) -> str:
    """`a.b` as text; "" for other expressions."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _owner(node: ast.Call | ast.Attribute) -> ast.AST:
    return node.func if isinstance(node, ast.Call) else node.value


def _names(node: ast.AST) -> set[str]:
    return {node.id} if isinstance(node, ast.Name) else set()


def is_test_case(node: ast.ClassDef) -> bool:
    """Whether a class is a unittest.TestCase."""
    return any("TestCase" in ast.unparse(base) for base in node.bases)


def calls(node: ast.AST, entry_point: str) -> bool:
    """Whether this is a call of the code's function, by its own name or by HumanEval's `candidate`."""
    return calls_name(node, entry_point, "candidate")


def calls_name(node: ast.AST, *names: str) -> bool:
    """Whether this is a call of one of these names."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
