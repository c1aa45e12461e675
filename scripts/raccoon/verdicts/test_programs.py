"""Test programs: what they need from the code, and how their assertions are counted.

A test program raises if the code is wrong. `analyse` reads it once. It puts every assertion under a `Tally`, so that
the assertions after a failed one are counted too, and finds the names that only the code can define. The judge uses it,
so that tests never enter the process that runs the code. In shared isolation the child uses it too, for tests that need
the code's own objects.
"""

import ast
import builtins
import dataclasses
import sys
import types
import unittest

from raccoon.verdicts.needs import calls, is_test_case, needs

TALLY, IN_PLACE = "__tally__", "__in_place__"  # names that the rewritten test uses
TEST_FILE = "<test>"  # the test's name in tracebacks
MUTE = {ast.Constant, ast.Load, ast.Store, ast.List, ast.Tuple, ast.Dict, ast.UnaryOp, ast.USub, ast.Eq, ast.keyword}
# nodes that need no analysis: nine of ten in a long test
MAX_TEXT = 300  # characters of a message


@dataclasses.dataclass(frozen=True)
class TestProgram:
    """A compiled test and what it needs to run."""

    code: types.CodeType
    context: types.CodeType
    functions: tuple[str, ...]  # names that it calls and only the code can define, including the entry point
    values: tuple[str, ...]  # names that it reads and only the code can define
    modules: tuple[str, ...]  # standard modules that it uses without importing them
    libraries: tuple[str, ...]  # packages beyond the standard library that it imports
    test_cases: bool  # it defines unittest classes, which must be run
    classes: tuple[str, ...]  # classes that it uses and only the code can define
    returned_objects: bool  # it reads attributes of results of the code that no plain value has
    asserts: int  # assert statements in its text
    shared: str  # why it needs shared isolation; "" if plain values and objects are enough
    goes_on: bool  # assertions after a failed one still run; False if the test itself catches exceptions

    @property
    def objects(self) -> bool:
        """Whether the child must keep objects of the code's own classes for this test."""
        return bool(self.classes) or self.returned_objects


class Tally:
    """Counts assertions as a context manager around each of them. Keeps the first failure."""

    def __init__(self, goes_on: bool, trusted: bool = True, on_failure=lambda: None):
        """`trusted`: only the test runs in this process, so a failed import is not the code's fault."""
        self.passed = self.failed = 0
        self._trusted = trusted
        self.first: list[str] = []  # [kind, text], the kind as in a verdict's reason
        self._goes_on, self._on_failure = goes_on, on_failure

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace) -> bool:
        if kind is None:
            self.passed += 1
            return False
        if not isinstance(error, Exception):  # a deadline or the end of the child is not a result
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
        elif isinstance(error, ImportError) and self._trusted:
            kind = "infra"  # the test's own; errors of the code have a verdict_kind
        self.first = [getattr(error, "verdict_kind", kind), describe(error)]
        self._on_failure()


def describe(error: BaseException) -> str:
    """One line about an exception: its class, its message, and the test's line if it is known."""
    text = getattr(error, "verdict_text", "")
    if not text:
        try:
            message = " ".join(str(error).split())
        except Exception:  # it contains an int too long for decimal, or an object of the code
            message = "(its message cannot be written)"
        text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    trace, line = error.__traceback__, 0
    while trace:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == TEST_FILE else line
        trace = trace.tb_next
    return text[:MAX_TEXT] + (f" (test line {line})" if line else "")


def analyse(test: str, context: str, entry_point: str) -> TestProgram:
    """Compiles a test program. Raises SyntaxError, ValueError, RecursionError or MemoryError if that fails."""
    tree = ast.parse(test, TEST_FILE)
    nodes = [node for node in ast.walk(tree) if type(node) not in MUTE]
    catches = any(isinstance(node, (ast.Try, ast.With, ast.AsyncWith)) for node in nodes)
    asserts = sum(isinstance(node, ast.Assert) for node in nodes)
    context_nodes = list(ast.walk(ast.parse(context))) if context else []
    free = _free_names(nodes + context_nodes)
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    bases = {
        node.value.id for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    modules = sorted(name for name in (free & bases) - called - {entry_point} if name in sys.stdlib_module_names)
    free -= set(modules)
    if entry_point.isidentifier():
        free.add(entry_point)
    needed = needs(nodes, free, called, entry_point)
    values = sorted(free - called - {entry_point, *needed.classes})
    rewriter = _Rewriter(entry_point)
    rewritten = ast.fix_missing_locations(rewriter.visit(tree))
    return TestProgram(
        code=compile(rewritten, TEST_FILE, "exec", dont_inherit=True),
        context=compile(context, "<context>", "exec", dont_inherit=True),
        libraries=_libraries(nodes + context_nodes),
        functions=tuple(sorted(free - {*values, *needed.classes})),
        values=tuple(values),
        modules=tuple(modules),
        test_cases=any(isinstance(node, ast.ClassDef) and is_test_case(node) for node in nodes),
        asserts=asserts,
        classes=needed.classes,
        returned_objects=needed.returned_objects,
        shared=needed.shared,
        goes_on=not catches,
    )


def _libraries(nodes: list[ast.AST]) -> tuple[str, ...]:
    """Packages beyond the standard library that are imported, except inside a try statement."""
    optional = {inner for node in nodes if isinstance(node, ast.Try) for inner in ast.walk(node)}
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import) and node not in optional:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node not in optional and not node.level:
            names.add(node.module)
    roots = {name.partition(".")[0] for name in names}
    return tuple(sorted(root for root in roots if root not in sys.stdlib_module_names))


def _free_names(nodes: list[ast.AST]) -> set[str]:
    """Names that are read, but that these nodes and Python do not define."""
    read, bound = set(), set(dir(builtins))
    for node in nodes:
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            bound.add(node.name)
    return read - bound - {"__name__", "__file__"}


class _Rewriter(ast.NodeTransformer):
    """Puts each assert under the tally, and marks the calls whose purpose is to change their arguments."""

    def __init__(self, entry_point: str):
        self.entry_point = entry_point

    def made_for_its_effect(self, node: ast.AST) -> ast.Call | None:
        """The call in `f(x)` as a statement, `assert f(x) is None` or `assert f(x) == None`; None for other nodes."""
        if isinstance(node, ast.Expr) and calls(node.value, self.entry_point):
            return node.value
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare) and len(node.test.comparators) == 1:
            right = node.test.comparators[0]
            if (
                calls(node.test.left, self.entry_point)
                and isinstance(right, ast.Constant)
                and right.value is None
            ):
                return node.test.left
        return None

    def visit_Assert(self, node: ast.Assert) -> ast.With:
        if call := self.made_for_its_effect(node):
            node.test.left = self._marked(call)
        tally = ast.withitem(context_expr=ast.Name(id=TALLY, ctx=ast.Load()))
        return ast.copy_location(ast.With(items=[tally], body=[node]), node)

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if call := self.made_for_its_effect(node):
            node.value = self._marked(call)
        return node

    def _marked(self, call: ast.Call) -> ast.Call:
        in_place = ast.Call(ast.Name(id=IN_PLACE, ctx=ast.Load()), [call.func, *call.args], call.keywords)
        return ast.copy_location(in_place, call)


def run_test_classes(namespace: dict, tally: Tally) -> None:
    """Runs the unittest.TestCase classes that a test program defines. One test method counts as one assertion."""
    loader, suite = unittest.TestLoader(), unittest.TestSuite()
    for value in list(namespace.values()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == "__main__":
            suite.addTests(loader.loadTestsFromTestCase(value))
    suite.run(_Counting(tally))


def _is_to_run(test) -> bool:
    """Whether the test program did not mark this test to be skipped."""
    method = getattr(test, test._testMethodName, None)
    return not (getattr(type(test), "__unittest_skip__", False) or getattr(method, "__unittest_skip__", False))


class _Counting(unittest.TestResult):
    """Passes the results of a unittest run to a tally. Skipped tests and expected failures count as passed."""

    def __init__(self, tally: Tally):
        super().__init__()
        self.tally, self.broken, self.started = tally, False, False

    def startTest(self, test) -> None:
        self.broken, self.started = False, _is_to_run(test)

    def _note(self, error: tuple) -> None:
        self.tally.failed += not self.broken
        self.broken = True
        self.tally.note(error[1])

    def addError(self, test, error: tuple) -> None:
        self._note(error)

    def addFailure(self, test, error: tuple) -> None:
        self._note(error)

    def addSkip(self, test, reason: str) -> None:
        if self.started:  # skipped by the code, which must not choose what is tested; skip decorators prevent the start
            self._note((None, RuntimeError(f"skipped: {reason}"), None))

    def addSubTest(self, test, subtest, error: tuple | None) -> None:
        if error is not None:
            self._note(error)

    def stopTest(self, test) -> None:
        self.tally.passed += not self.broken
