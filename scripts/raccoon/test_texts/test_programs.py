"""Test programs: what they need from the code, and how their assertions are counted.

A test program raises if the code is wrong. `analyse` reads it once. It puts every assertion under a `Tally`, so that
the assertions after a failed one are counted too, and finds the names that only the code can define. The judge uses it,
so that tests never enter the process that runs the code. In shared isolation the child uses it too, for tests that need
the code's own objects.
"""

import ast
import builtins
import dataclasses
import importlib
import sys
import traceback
import types
import unittest

from raccoon.test_texts.code_results import Observer, Results, calls_name, classes_of_the_code, dotted, kept_arguments
from raccoon.test_texts.needs import DEFINITIONS, KNOWN_AS, caught, effects, imported, is_test_case, why_shared

# Names that the rewritten test uses.
TALLY, VARIABLE, SAME, SEED, KEEP, KEPT = "__tally__", "__variable__", "__same__", "__seed__", "__keep__", "__kept__"
FRESH = "__fresh__"
TEST_FILE = "<test>"  # the test's name in tracebacks
MUTE = {ast.Constant, ast.Load, ast.Store, ast.List, ast.Tuple, ast.Dict, ast.UnaryOp, ast.USub, ast.Eq, ast.keyword}
# nodes that need no analysis: nine of ten in a long test
MAX_TEXT = 300  # characters of a message
EXITS = ("exit", "quit")  # Python gives these to scripts


@dataclasses.dataclass(frozen=True)
class TestProgram:
    """A compiled test and what it needs to run."""

    code: types.CodeType
    context: types.CodeType
    functions: tuple[str, ...]  # names that it calls and only the code can define, including the entry point
    values: tuple[str, ...]  # names that it reads and only the code can define
    modules: tuple[str, ...]  # standard modules, and libraries of KNOWN_AS, that it uses without importing them
    libraries: tuple[str, ...]  # packages beyond the standard library that it imports
    test_cases: bool  # it defines unittest classes, which must be run
    classes: tuple[str, ...]  # classes that it uses and only the code can define
    tracks: bool  # it can tell an object of the code from a copy
    harmless: bool  # it leaves nothing behind in the process that runs it
    expects_stop: bool  # it expects a StopIteration of the code
    asserts: int  # assert statements in its text, or test methods
    imports: frozenset[int]  # lines of its import statements
    swallows: bool  # it catches every exception, also those that end a run
    raises: frozenset[int]  # lines at which it raises by itself, whatever the code has answered
    shared: str  # why it needs shared isolation; "" if plain values and objects are enough
    goes_on: bool  # assertions after a failed one still run; False if the test itself catches exceptions


class Tally:
    """Counts assertions as a context manager around each of them. Keeps the first failure.

    `ours`: exceptions that say nothing about the code. `imports`: lines whose failure is the test's own fault, because
    only the test runs in this process. `silenced`: its attribute `silent` is set while a message is written.
    """

    def __init__(self, goes_on: bool, ours: tuple = (), imports: frozenset[int] = frozenset(), on_failure=lambda: None):
        self.passed = self.failed = 0
        self.first: list[str] = []  # [kind, text], the kind as in a verdict's reason
        self.silenced = types.SimpleNamespace()
        self._ours, self._imports = ours, imports
        self._goes_on, self._on_failure = goes_on, on_failure

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace) -> bool:
        if kind is None:
            self.passed += 1
            return False
        if isinstance(error, self._ours):
            return False
        self.failed += 1
        self.note(error)
        return self._goes_on

    def note(self, error: BaseException) -> None:
        """Keeps `error` if it is the first. An AssertionError means "wrong" unless the code itself raised it."""
        if self.first:
            return
        kind = "exception"
        if isinstance(error, AssertionError):
            kind = "wrong"
        elif isinstance(error, MemoryError):
            kind = "memory"
        elif isinstance(error, ImportError) and line_of(error) in self._imports:
            kind = "infra"
        self.silenced.silent = True
        try:
            self.first = [getattr(error, "verdict_kind", kind), describe(error)]
        finally:
            self.silenced.silent = False
        self._on_failure()


def _places(error: BaseException) -> list[tuple[str, int]]:
    """(file, line) of each call on the way to where an exception was raised."""
    return [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]


def line_of(error: BaseException) -> int:
    """The line of the test at which an exception was raised; 0 if it is not known."""
    return next((line for file, line in reversed(_places(error)) if file == TEST_FILE), 0)


def is_raised_by_test(error: BaseException) -> bool:
    """Whether the test's own text raised this, and not something that it has called."""
    return any(file == TEST_FILE for file, _ in _places(error)[-1:])


def describe(error: BaseException) -> str:
    """One line about an exception: its class, its message, and the test's line if it is known."""
    text = getattr(error, "verdict_text", "")
    if not text:
        try:
            message = " ".join(str(error).split())
        except Exception:  # it contains an int too long for decimal, or an object of the code
            message = "(its message cannot be written)"
        text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    line = line_of(error)
    return text[:MAX_TEXT] + (f" (test line {line})" if line else "")


def analyse(test: str, context: str, entry_point: str, shared: bool = False) -> TestProgram:
    """Compiles a test program; `shared` for the code's own process, where nothing stands between it and the code.

    Raises SyntaxError, ValueError, RecursionError or MemoryError if that fails.
    """
    tree = ast.parse(test, TEST_FILE)
    nodes = [node for node in ast.walk(tree) if type(node) not in MUTE]
    everything = nodes + (list(ast.walk(ast.parse(context))) if context else [])
    free = _free_names(everything)
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    modules = [name for name in sorted(free - called - {entry_point}) if _is_module(name, nodes)]
    free -= set(modules)
    if entry_point.isidentifier():
        free.add(entry_point)
    kinds = classes_of_the_code(nodes, free, entry_point)
    results = Results(nodes, {entry_point, "candidate", *kinds, *(free & called)} - set(dir(builtins)), kinds)
    expected = {name for node in nodes for name in caught(node)} & free  # exceptions
    classes = kinds - expected
    values = free - called - classes - {entry_point}
    why = why_shared(nodes, results)
    tracks = bool(classes) or "class " in context or Observer(tree, results).tells_copies()
    if shared:
        rewriter = _Tallying()
    else:
        kept = kept_arguments(tree, results) if tracks else {}
        rewriter = _Asking(values | expected, results.sources, imported(nodes), kept)
    rewritten = ast.fix_missing_locations(rewriter.visit(tree))
    return TestProgram(
        code=compile(rewritten, TEST_FILE, "exec", dont_inherit=True),
        context=compile(context, "<context>", "exec", dont_inherit=True),
        functions=tuple(sorted(free - values - classes)),
        values=tuple(sorted(values)),
        modules=tuple(modules),
        libraries=_libraries(everything),
        test_cases=any(isinstance(node, ast.ClassDef) and is_test_case(node) for node in nodes),
        classes=tuple(sorted(classes)),
        tracks=tracks,
        harmless=effects(everything) is None,
        expects_stop="StopIteration" in test or "next" in called,
        asserts=sum(
            isinstance(node, ast.Assert) or isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for node in nodes
        ),
        imports=frozenset(node.lineno for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))),
        swallows=any(map(_swallows, nodes)),
        raises=_own_lines(nodes, results),
        shared=why,
        goes_on=not any(isinstance(node, (ast.Try, ast.With, ast.AsyncWith)) for node in nodes),
    )


def _swallows(node: ast.AST) -> bool:
    """Whether this is a handler of all exceptions."""
    return isinstance(node, ast.ExceptHandler) and (node.type is None or "BaseException" in ast.unparse(node.type))


def _own_lines(nodes: list[ast.AST], results: Results) -> frozenset[int]:
    """Lines of raise statements, and of those in a `with` that hold no result of the code, such as `1 / 0`."""
    inside = [statement for node in nodes if isinstance(node, ast.With) for statement in node.body]
    simple = [statement for statement in inside if isinstance(statement, (ast.Expr, ast.Assign))]
    own = [each for each in simple if not any(map(results.has, ast.walk(each)))]
    return frozenset(each.lineno for each in own + [node for node in nodes if isinstance(node, ast.Raise)])


def _is_module(name: str, nodes: list[ast.AST]) -> bool:
    """Whether a test reads a name that it does not define as a module: one that has all attributes that it reads."""
    if name not in sys.stdlib_module_names and name not in KNOWN_AS:
        return False
    reads = {node.attr for node in nodes if isinstance(node, ast.Attribute) and dotted(node.value) == name}
    try:
        module = importlib.import_module(KNOWN_AS.get(name, name)) if reads else None
    except ImportError:
        return False
    return bool(reads) and all(hasattr(module, attribute) for attribute in reads)


def _libraries(nodes: list[ast.AST]) -> tuple[str, ...]:
    """Packages beyond the standard library that are imported, except inside a try statement."""
    optional = {inner for node in nodes if isinstance(node, ast.Try) for inner in ast.walk(node)}
    needed = [node for node in nodes if node not in optional]
    names = [alias.name for node in needed if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in needed if isinstance(node, ast.ImportFrom) and not node.level]
    roots = {name.partition(".")[0] for name in names}
    return tuple(sorted(roots - sys.stdlib_module_names - {"__main__"}))


def _free_names(nodes: list[ast.AST]) -> set[str]:
    """Names that are read, but that these nodes and Python do not define."""
    read: set[str] = set()
    bound = {*dir(builtins), *EXITS}
    for node in nodes:
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, (*DEFINITIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            bound.add(node.rest)
    return read - bound - {"__name__", "__file__"}


class _Tallying(ast.NodeTransformer):
    """Puts each assert under the tally."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        self.generic_visit(node)
        tally = ast.withitem(context_expr=ast.Name(id=TALLY, ctx=ast.Load()))
        return ast.copy_location(ast.With(items=[tally], body=[node]), node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Call) and dotted(node.value.func) == "unittest.main":
            return ast.copy_location(ast.Pass(), node)  # the classes are run afterwards
        return self.generic_visit(node)


class _Asking(_Tallying):
    """Also turns what needs the code's process into calls, for the judge:

    a variable of the code is read each time that it is used, and `is` compares objects of the code and not their
    handles. A seed that the test sets is set in the code's process too.
    """

    def __init__(self, variables: set[str], sources: set[str], modules: dict[str, str], kept: dict[ast.Name, bool]):
        self.variables, self.sources, self.modules, self.kept = variables, sources, modules, kept

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if node.msg is not None and any(calls_name(inner, *self.sources) for inner in ast.walk(node.msg)):
            node.msg = None  # a failed assertion must not ask the code once more
        return super().visit_Assert(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load):
            if node.id in self.variables:
                return _calling(VARIABLE, node, ast.Constant(node.id))
            if node in self.kept:
                return _calling(KEPT if self.kept[node] else KEEP, node, ast.Constant(node.id), node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        [operator, *more] = node.ops
        if more:
            return node
        if isinstance(operator, ast.Eq):
            node.left, node.comparators[0] = map(_read_anew, (node.left, node.comparators[0]))
        if not isinstance(operator, (ast.Is, ast.IsNot)) or isinstance(node.comparators[0], ast.Constant):
            return node
        same = _calling(SAME, node, node.left, node.comparators[0])
        return ast.copy_location(ast.UnaryOp(ast.Not(), same), node) if isinstance(operator, ast.IsNot) else same

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        owner, _, name = dotted(node.func).rpartition(".")
        root, _, rest = owner.partition(".")
        module = f"{self.modules.get(root, '')}.{rest}".rstrip(".")
        if not owner and self.modules.get(name) == "random.seed":
            module, name = "random", "seed"
        if name != "seed" or module not in ("random", "numpy.random"):
            return node
        seed = ast.Call(ast.Name(SEED, ast.Load()), [ast.Constant(module), *node.args], node.keywords)
        return ast.copy_location(seed, node)


def _read_anew(side: ast.expr) -> ast.expr:
    """A side of an `==` that reads an attribute, a length or a text, which then may be another than the last time."""
    if not isinstance(side, ast.Attribute) and not calls_name(side, "len", "str", "repr"):
        return side
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return _calling(FRESH, side, ast.copy_location(ast.Lambda(nothing, side), side))


def _calling(name: str, where: ast.AST, *arguments: ast.expr) -> ast.Call:
    return ast.copy_location(ast.Call(ast.Name(id=name, ctx=ast.Load()), list(arguments), []), where)


def run_test_classes(namespace: dict, tally: Tally) -> None:
    """Runs the unittest.TestCase classes that a test program defines. One test method counts as one assertion."""
    loader, suite = unittest.TestLoader(), unittest.TestSuite()
    for value in list(namespace.values()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == "__main__":
            suite.addTests(loader.loadTestsFromTestCase(value))
    suite.run(_Counting(tally))


class _Counting(unittest.TestResult):
    """Passes the results of a unittest run to a tally. Skipped tests and expected failures count as passed."""

    def __init__(self, tally: Tally):
        super().__init__()
        self.tally, self.broken, self.started = tally, False, False

    def startTest(self, test) -> None:
        method = getattr(test, test._testMethodName, None)
        marked = (getattr(each, "__unittest_skip__", False) for each in (type(test), method))
        self.broken, self.started = False, not any(marked)

    def _note(self, error: BaseException) -> None:
        self.tally.failed += not self.broken
        self.broken = True
        self.tally.note(error)

    def addFailure(self, test, err: tuple) -> None:
        self._note(err[1])

    addError = addFailure

    def addUnexpectedSuccess(self, test) -> None:
        self._note(AssertionError("unexpected success"))

    def addSkip(self, test, reason: str) -> None:
        if self.started:  # skipped by the code, which must not choose what is tested; skip decorators prevent the start
            self._note(RuntimeError(f"skipped: {reason}"))

    def addSubTest(self, test, subtest, error: tuple | None) -> None:
        if error is not None:
            self._note(error[1])

    def stopTest(self, test) -> None:
        self.tally.passed += not self.broken
