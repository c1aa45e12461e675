"""KodCode (Xu et al. 2025), each row as a Task: synthetic questions with solutions and tests for pytest.

KodCode's harness writes `from solution import *` before each test file. So a test may use every name of the solution,
also what the solution imports. A test file becomes a plain program that makes the fixtures, calls each test once for
each set of parameters and leaves skipped tests out. A row whose tests need what pytest alone can give (tmp_path,
capsys, fixtures with parameters) is left out. Nothing is run here.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, replace

from raccoon.tasks.prompts import description_prompt
from raccoon.tasks.syntax import FunctionNode, bound_names, missing_names, parse_code
from raccoon.tasks.task import LeftOut, Task, take

NOT_CALLED = {"skip", "xfail"}  # marks of tests that cannot fail
MAIN_GUARD = "__name__ == '__main__'"  # pytest does not enter it
INDENT = "    "
Marks = list[tuple[str, dict[str, ast.expr]]]  # name of a pytest.mark and its arguments, by name or place


def kodcode_task(row: dict) -> Task | LeftOut:
    """A row of KodCode."""
    task_id = f"KodCode/{take(row, 'question_id')}"
    solution, test = parse_code(take(row, "solution")), parse_code(take(row, "test"))
    if solution is None or test is None:
        return LeftOut(task_id, "its solution or its test is not Python")
    imports = SolutionImports()
    test, defined = imports.visit(test), bound_names(solution)
    used = missing_names(test)
    entry_point = next((name for name in candidates(row, solution) if name in used), "")
    if not entry_point:
        return LeftOut(task_id, "its test does not use its solution, or defines the functions itself")
    if not set(imports.names.values()) <= defined:
        return LeftOut(task_id, "its test imports what its solution does not define")
    try:
        program = imported(solution, used) + plain_program(test)
    except NeedsPytest as missing:
        return LeftOut(task_id, f"its test needs {missing}")
    return Task(
        task_id=task_id,
        prompt=description_prompt(take(row, "question"), entry_point, declaration_of(row, entry_point)),
        test=program,
        entry_point=entry_point,
        solution=take(row, "solution"),
        source="kodcode",
        split="train",
        difficulty=str(row.get("gpt_difficulty") or "").lower(),
    )


class SolutionImports(ast.NodeTransformer):
    """Removes the imports of the solution. The judge gives a test the names that only the code defines."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}  # name in the test -> name in the solution
        self.modules: set[str] = set()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        if node.module not in ("solution", "__future__"):  # __future__ would have to be the first import
            return node
        if node.module == "solution":
            self.names |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name != "*"}
        return ast.copy_location(ast.Pass(), node)

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        self.modules |= {alias.asname or alias.name for alias in node.names if alias.name == "solution"}
        node.names = [alias for alias in node.names if alias.name != "solution"]
        return node if node.names else ast.copy_location(ast.Pass(), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in self.modules:
            return ast.copy_location(ast.Name(node.attr, node.ctx), node)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names.get(node.id, node.id)
        return node


def candidates(row: dict, solution: ast.Module) -> list[str]:
    """What may be the entry point, the most likely first: functions of `test_info`, other functions, classes."""
    named = [info.get("function_name") for info in row.get("test_info") or []]
    functions = [node.name for node in solution.body if isinstance(node, FunctionNode)]
    classes = [node.name for node in solution.body if isinstance(node, ast.ClassDef)]
    return [*(name for name in named if name in functions), *functions, *classes]


def imported(solution: ast.Module, names: set[str]) -> str:
    """The imports of the solution that give a test some of these names."""
    imports = [node for node in solution.body if isinstance(node, ast.Import | ast.ImportFrom)]
    given = [{(alias.asname or alias.name).partition(".")[0] for alias in node.names} for node in imports]
    return "".join(f"{ast.unparse(node)}\n" for node, made in zip(imports, given, strict=True) if names & made)


def declaration_of(row: dict, entry_point: str) -> str:
    """The header of the function, or a call of it if the row does not give one."""
    for info in row.get("test_info") or []:
        declaration = info.get("function_declaration") or ""
        if info.get("function_name", entry_point) == entry_point and declaration.startswith("def "):
            return declaration.rstrip(": \n") + ": ..."
    return f"{entry_point}(...)"


class NeedsPytest(Exception):
    """The file needs something that a plain program does not have. The message says what."""


@dataclass(frozen=True)
class Fixture:
    """A function that makes an argument of tests. `owner` is what it is called on: "" or "_self."."""

    function: FunctionNode
    owner: str
    scope: str
    autouse: bool


@dataclass(frozen=True)
class Scope:
    """What the tests of a file, or of a class in it, can use."""

    owner: str  # the class; "" for the file
    functions: dict[str, FunctionNode]
    fixtures: dict[str, Fixture]
    ready: set[str]  # the fixtures made so far
    values: dict[str, ast.expr]  # of the variables that the file assigns


def plain_program(tree: ast.Module) -> str:
    """The program of a test file. Raises NeedsPytest. Changes the tree."""
    guards = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == MAIN_GUARD]
    tree.body = [node for node in tree.body if node not in guards]
    calls = file_calls(tree.body)
    if not calls and not any(map(is_test_case, tree.body)):
        raise NeedsPytest("a test that runs")
    if not any(isinstance(node, ast.Name) and node.id == "pytest" for node in ast.walk(tree)):
        tree.body = [node for node in tree.body if ast.unparse(node) != "import pytest"]
    return "\n".join([ast.unparse(tree), "", *calls]) + "\n"


def is_test_case(node: ast.stmt) -> bool:
    """Whether this is a unittest.TestCase, which the judge runs without calls."""
    return isinstance(node, ast.ClassDef) and any("TestCase" in ast.unparse(base) for base in node.bases)


def file_calls(body: list[ast.stmt]) -> list[str]:
    """The lines that call the tests of a file, in their order. Marks and fixtures lose their decorators."""
    values = {
        node.targets[0].id: node.value
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    functions = {node.name: node for node in body if isinstance(node, FunctionNode)}
    file = Scope("", functions, taken_fixtures(body, ""), set(), values)
    wide = [name for name, fixture in file.fixtures.items() if fixture.scope not in ("function", "class")]
    before, after = made(wide, file.fixtures, file.ready)
    if "pytest_generate_tests" in functions:
        raise NeedsPytest("the function pytest_generate_tests")
    lines = hook(functions, "setup_module", "") + before
    for node in body:
        if isinstance(node, FunctionNode) and node.name.startswith("test") and node.name not in file.fixtures:
            lines += test_call(node, file, taken_marks(node))
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test") and not is_test_case(node):
            lines += class_calls(node, file)
    return [*lines, *after, *hook(functions, "teardown_module", "")]


def class_calls(node: ast.ClassDef, file: Scope) -> list[str]:
    """The lines that call a class's tests, each on a new instance."""
    methods = {inner.name: inner for inner in node.body if isinstance(inner, FunctionNode)}
    if "__init__" in methods:  # pytest does not collect such a class
        return []
    if any(isinstance(inner, ast.ClassDef) and inner.name.startswith("Test") for inner in node.body):
        raise NeedsPytest(f"the class inside {node.name}")
    if any(isinstance(base, ast.Name) and base.id.startswith("Test") for base in node.bases):
        raise NeedsPytest(f"the tests that {node.name} inherits")
    fixtures = file.fixtures | taken_fixtures(node.body, "_self.")
    scope = replace(file, owner=node.name, functions=methods, fixtures=fixtures, ready=set(file.ready))
    marks = taken_marks(node)
    before, after = made([name for name in fixtures if fixtures[name].scope == "class"], fixtures, scope.ready)
    lines = [f"_self = {node.name}()", *before, *hook(methods, "setup_class", f"{node.name}.")]
    for name, method in methods.items():
        if name.startswith("test") and name not in fixtures:
            lines += test_call(method, scope, [*marks, *taken_marks(method)])
    return [*lines, *hook(methods, "teardown_class", f"{node.name}."), *after]


def test_call(node: FunctionNode, scope: Scope, marks: Marks) -> list[str]:
    """The lines that call one test, in a loop for each `parametrize`."""
    if isinstance(node, ast.AsyncFunctionDef):
        raise NeedsPytest(f"the asynchronous test {node.name}")
    if NOT_CALLED & {name for name, _ in marks}:
        return []
    given: dict[str, str] = {}
    header: list[str] = []
    wanted = [name for name, fixture in scope.fixtures.items() if fixture.autouse]
    for name, options in marks:
        depth = len(header)
        if name == "skipif":
            header.append(f"{INDENT * depth}if not ({ast.unparse(options['0'])}):")
        elif name == "usefixtures":
            wanted += [str(value.value) for value in options.values() if isinstance(value, ast.Constant)]
        elif name == "parametrize":
            names, cases = parameters(options, scope.values)
            header.append(f"{INDENT * depth}for _case{depth} in {cases}:")
            given |= {each: f"_case{depth}{place}" for each, place in names.items()}
    arguments = taken_arguments(node, bool(scope.owner))
    wanted += [name for name in arguments if name not in given]
    before, after = made(wanted, scope.fixtures, set(scope.ready))
    call = ", ".join(f"{name}={given.get(name, f'_made_{name}')}" for name in arguments)
    kind, place = ("method", "_self.") if scope.owner else ("function", "")
    body = [f"_self = {scope.owner}()"] if scope.owner else []
    body += [*hook(scope.functions, f"setup_{kind}", place, node.name), *before, f"{place}{node.name}({call})", *after]
    body += hook(scope.functions, f"teardown_{kind}", place, node.name)
    return [*header, *(INDENT * len(header) + line for line in body)]


def made(names: Iterable[str], fixtures: dict[str, Fixture], ready: set[str]) -> tuple[list[str], list[str]]:
    """The lines that make fixtures and those that end them. Adds to `ready`, which holds the fixtures made so far."""
    before: list[str] = []
    after: list[str] = []
    for name in names:
        if name in ready:
            continue
        if name not in fixtures:
            raise NeedsPytest(f"the fixture {name}")
        ready.add(name)
        fixture = fixtures[name]
        arguments = taken_arguments(fixture.function, bool(fixture.owner))
        first, last = made(arguments, fixtures, ready)
        call = ", ".join(f"{argument}=_made_{argument}" for argument in arguments)
        call = f"{fixture.owner}{fixture.function.name}({call})"
        if any(isinstance(node, ast.Yield) for node in ast.walk(fixture.function)):
            before += [*first, f"_steps_{name} = {call}", f"_made_{name} = next(_steps_{name})"]
            after = [f"next(_steps_{name}, None)", *last, *after]
        else:
            before, after = [*before, *first, f"_made_{name} = {call}"], [*last, *after]
    return before, after


def parameters(options: dict[str, ast.expr], values: dict[str, ast.expr]) -> tuple[dict[str, str], str]:
    """(names with their place in a case, cases as text) of a `parametrize`."""
    named, cases = options.get("0", options.get("argnames")), options.get("1", options.get("argvalues"))
    if "indirect" in options or named is None or cases is None:
        raise NeedsPytest("indirect parameters")
    names = ast.literal_eval(named)
    alone = isinstance(names, str) and "," not in names
    names = [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else list(names)
    cases = values.get(cases.id, cases) if isinstance(cases, ast.Name) else cases
    if isinstance(cases, ast.List | ast.Tuple):
        cases = ast.List([case for each in cases.elts for case in plain_case(each, alone)], ast.Load())
    return {name: "" if alone else f"[{place}]" for place, name in enumerate(names)}, ast.unparse(cases)


def plain_case(case: ast.expr, alone: bool) -> list[ast.expr]:
    """A case without its `pytest.param`; [] if that marks it as skipped."""
    name, options = call_of(case)
    if name.rpartition(".")[2] != "param" or not isinstance(case, ast.Call):
        return [case]
    if "marks" in options and any(mark in ast.unparse(options["marks"]) for mark in NOT_CALLED):
        return []
    return [case.args[0] if alone else ast.Tuple(case.args, ast.Load())]


def taken_fixtures(body: Iterable[ast.stmt], owner: str) -> dict[str, Fixture]:
    """The fixtures that these functions define. Their decorators are removed."""
    found = {}
    for node in (node for node in body if isinstance(node, FunctionNode)):
        for decorator in list(node.decorator_list):
            name, options = call_of(decorator)
            if name.rpartition(".")[2] != "fixture":
                continue
            if "params" in options:
                raise NeedsPytest(f"the fixture {node.name} with parameters")
            node.decorator_list.remove(decorator)
            text = {option: ast.unparse(value).strip("'") for option, value in options.items()}
            scope, autouse = text.get("scope", "function"), text.get("autouse") == "True"
            found[text.get("name", node.name)] = Fixture(node, owner, scope, autouse)
    return found


def taken_marks(node: FunctionNode | ast.ClassDef) -> Marks:
    """The pytest.mark decorators, which are removed."""
    marks = [decorator for decorator in node.decorator_list if "mark." in call_of(decorator)[0]]
    node.decorator_list = [decorator for decorator in node.decorator_list if decorator not in marks]
    return [(name.rpartition(".")[2], options) for name, options in map(call_of, marks)]


def call_of(node: ast.expr) -> tuple[str, dict[str, ast.expr]]:
    """(dotted name, arguments by name or place) of `a.b(1, c=2)` or `a.b`."""
    if not isinstance(node, ast.Call):
        return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else "", {}
    arguments = {str(place): value for place, value in enumerate(node.args)}
    return ast.unparse(node.func), arguments | {keyword.arg or "**": keyword.value for keyword in node.keywords}


def taken_arguments(node: FunctionNode, method: bool) -> list[str]:
    """The arguments that a function must be given; without self for a method."""
    positional = [*node.args.posonlyargs, *node.args.args]
    positional = positional[: len(positional) - len(node.args.defaults)]
    keywords = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    static = any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)
    needed = [*positional[method and not static :], *(argument for argument, default in keywords if default is None)]
    return [argument.arg for argument in needed]


def hook(functions: dict[str, FunctionNode], name: str, owner: str, test: str = "") -> list[str]:
    """The call of a function that pytest calls around tests; [] if there is none."""
    if name not in functions:
        return []
    around = f"{owner}{test}" if test else "None"  # what it may ask for: the test, or the module
    return [f"{owner}{name}({around if taken_arguments(functions[name], bool(owner)) else ''})"]
