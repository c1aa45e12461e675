"""Test files for pytest, rewritten as plain test programs that call each test themselves.

Such a program makes the fixtures, calls each test once for each set of parameters and leaves skipped tests out. What
pytest alone can give (tmp_path, capsys, fixtures with parameters) raises NeedsPytest. Nothing is run here. Input: the
syntax tree of a test file. Output: Python text.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NOT_CALLED = {"skip", "xfail"}  # marks of tests that cannot fail
INDENT = "    "


class NeedsPytest(Exception):
    """The file needs something that a plain program does not have. The message says what."""


@dataclass(frozen=True)
class Fixture:
    """A function that makes an argument of tests. `owner` is what it is called on: "" or "_self."."""

    function: ast.FunctionDef
    owner: str
    scope: str
    autouse: bool


def plain_program(tree: ast.Module) -> str:
    """The program of a test file. Raises NeedsPytest. Changes the tree."""
    tree.body = [node for node in tree.body if not is_main_guard(node)]
    calls = file_calls(tree.body)
    if not calls and not any(isinstance(node, ast.ClassDef) and is_test_case(node) for node in tree.body):
        raise NeedsPytest("a test that runs")
    if not any(isinstance(node, ast.Name) and node.id == "pytest" for node in ast.walk(tree)):
        tree.body = [node for node in tree.body if ast.unparse(node) != "import pytest"]
    return "\n".join([ast.unparse(tree), "", *calls]) + "\n"


def is_main_guard(node: ast.stmt) -> bool:
    """Whether this is `if __name__ == "__main__"`, which pytest does not enter."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def is_test_case(node: ast.ClassDef) -> bool:
    """Whether a class is a unittest.TestCase, which the judge runs without calls."""
    return any("TestCase" in ast.unparse(base) for base in node.bases)


def file_calls(body: list[ast.stmt]) -> list[str]:
    """The lines that call the tests of a file, in their order. Marks and fixtures lose their decorators."""
    fixtures, values = taken_fixtures(body, ""), assigned(body)
    wide = [name for name, fixture in fixtures.items() if fixture.scope not in ("function", "class")]
    ready: set[str] = set()
    lines, ends = made(wide, fixtures, ready)
    functions = {node.name: node for node in body if isinstance(node, FUNCTIONS)}
    if "pytest_generate_tests" in functions:
        raise NeedsPytest("the function pytest_generate_tests")
    lines = hook(functions, "setup_module", "") + lines
    for node in body:
        if isinstance(node, FUNCTIONS) and node.name.startswith("test") and node.name not in fixtures:
            lines += test_call(node, "", functions, fixtures, ready, taken_marks(node), values)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test") and not is_test_case(node):
            lines += class_calls(node, fixtures, ready, values)
    return [*lines, *ends, *hook(functions, "teardown_module", "")]


def class_calls(node: ast.ClassDef, fixtures: dict[str, Fixture], ready: set[str], values: dict) -> list[str]:
    """The lines that call a class's tests, each on a new instance."""
    methods = {inner.name: inner for inner in node.body if isinstance(inner, FUNCTIONS)}
    if "__init__" in methods:  # pytest does not collect such a class
        return []
    if any(isinstance(inner, ast.ClassDef) and inner.name.startswith("Test") for inner in node.body):
        raise NeedsPytest(f"the class inside {node.name}")
    if any(isinstance(base, ast.Name) and base.id.startswith("Test") for base in node.bases):
        raise NeedsPytest(f"the tests that {node.name} inherits")
    fixtures = fixtures | taken_fixtures(node.body, "_self.")
    shared = [name for name, fixture in fixtures.items() if fixture.scope == "class"]
    marks, ready = taken_marks(node), set(ready)
    before, after = made(shared, fixtures, ready)
    lines = [f"_self = {node.name}()", *before, *hook(methods, "setup_class", f"{node.name}.")]
    for name, method in methods.items():
        if name.startswith("test") and name not in fixtures:
            lines += test_call(method, node.name, methods, fixtures, ready, [*marks, *taken_marks(method)], values)
    return [*lines, *hook(methods, "teardown_class", f"{node.name}."), *after]


def test_call(
    node: ast.FunctionDef,
    owner: str,
    functions: dict,
    fixtures: dict[str, Fixture],
    ready: set[str],
    marks: list[tuple[str, dict[str, ast.expr]]],
    values: dict,
) -> list[str]:
    """The lines that call one test, in a loop for each `parametrize`.

    `owner` is its class, or "". `functions` are those beside it, by name.
    """
    if isinstance(node, ast.AsyncFunctionDef):
        raise NeedsPytest(f"the asynchronous test {node.name}")
    if NOT_CALLED & {name for name, _ in marks}:
        return []
    given, lines, wanted = {}, [], [name for name, fixture in fixtures.items() if fixture.autouse]
    for name, options in marks:
        if name == "skipif":
            lines.append(f"if not ({ast.unparse(options['0'])}):")
        elif name == "usefixtures":
            wanted += [value.value for value in options.values() if isinstance(value, ast.Constant)]
        elif name == "parametrize":
            names, cases = parameters(options, values)
            lines.append(f"for _case{len(lines)} in {cases}:")
            given |= {each: f"_case{len(lines) - 1}{place}" for each, place in names.items()}
    header = [INDENT * depth + line for depth, line in enumerate(lines)]
    arguments = taken_arguments(node, bool(owner))
    before, after = made([*wanted, *(name for name in arguments if name not in given)], fixtures, set(ready))
    call = ", ".join(f"{name}={given.get(name, f'_made_{name}')}" for name in arguments)
    kind, place = ("method", "_self.") if owner else ("function", "")
    body = [f"_self = {owner}()"] if owner else []
    body += [*hook(functions, f"setup_{kind}", place, node.name), *before, f"{place}{node.name}({call})", *after]
    body += hook(functions, f"teardown_{kind}", place, node.name)
    return [*header, *(INDENT * len(header) + line for line in body)]


def made(names: Iterable[str], fixtures: dict[str, Fixture], ready: set[str]) -> tuple[list[str], list[str]]:
    """The lines that make fixtures and those that end them. Adds to `ready`, which holds the fixtures made so far."""
    before, after = [], []
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


def parameters(options: dict[str, ast.expr], values: dict) -> tuple[dict[str, str], str]:
    """(names with their place in a case, cases as text) of a `parametrize`."""
    names, cases = options.get("0", options.get("argnames")), options.get("1", options.get("argvalues"))
    if "indirect" in options or names is None or cases is None:
        raise NeedsPytest("indirect parameters")
    names = ast.literal_eval(names)
    alone = isinstance(names, str) and "," not in names
    names = [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else list(names)
    cases = values.get(cases.id, cases) if isinstance(cases, ast.Name) else cases
    if isinstance(cases, (ast.List, ast.Tuple)):
        cases = ast.List([case for each in cases.elts for case in plain_case(each, alone)], ast.Load())
    return {name: "" if alone else f"[{place}]" for place, name in enumerate(names)}, ast.unparse(cases)


def plain_case(case: ast.expr, alone: bool) -> list[ast.expr]:
    """A case without its `pytest.param`; [] if that marks it as skipped."""
    name, options = call_of(case)
    if name.rpartition(".")[2] != "param":
        return [case]
    if "marks" in options and any(mark in ast.unparse(options["marks"]) for mark in NOT_CALLED):
        return []
    return [case.args[0] if alone else ast.Tuple(case.args, ast.Load())]


def taken_fixtures(body: Iterable[ast.stmt], owner: str) -> dict[str, Fixture]:
    """The fixtures that these functions define. Their decorators are removed."""
    found = {}
    for node in body:
        for decorator in list(node.decorator_list) if isinstance(node, FUNCTIONS) else ():
            name, options = call_of(decorator)
            if name.rpartition(".")[2] != "fixture":
                continue
            if "params" in options:
                raise NeedsPytest(f"the fixture {node.name} with parameters")
            node.decorator_list.remove(decorator)
            text = {option: ast.unparse(value).strip("'") for option, value in options.items()}
            found[text.get("name", node.name)] = Fixture(
                node, owner, text.get("scope", "function"), text.get("autouse") == "True"
            )
    return found


def taken_marks(node: ast.FunctionDef | ast.ClassDef) -> list[tuple[str, dict[str, ast.expr]]]:
    """(name, arguments) of the pytest.mark decorators, which are removed."""
    marks = [decorator for decorator in node.decorator_list if "mark." in call_of(decorator)[0]]
    node.decorator_list = [decorator for decorator in node.decorator_list if decorator not in marks]
    return [(name.rpartition(".")[2], options) for name, options in map(call_of, marks)]


def call_of(node: ast.expr) -> tuple[str, dict[str, ast.expr]]:
    """(dotted name, arguments by name or place) of `a.b(1, c=2)` or `a.b`."""
    if not isinstance(node, ast.Call):
        return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else "", {}
    arguments = {str(place): value for place, value in enumerate(node.args)}
    return ast.unparse(node.func), arguments | {keyword.arg or "**": keyword.value for keyword in node.keywords}


def taken_arguments(node: ast.FunctionDef, method: bool) -> list[str]:
    """The arguments that a function must be given; without self for a method."""
    positional = [*node.args.posonlyargs, *node.args.args]
    positional = positional[: len(positional) - len(node.args.defaults)]
    needed = [
        argument
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        if default is None
    ]
    static = any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)
    return [argument.arg for argument in [*positional[method and not static :], *needed]]


def hook(functions: dict[str, ast.FunctionDef], name: str, owner: str, test: str = "") -> list[str]:
    """The call of a function that pytest calls around tests; [] if there is none."""
    if name not in functions:
        return []
    around = f"{owner}{test}" if test else "None"  # what it may ask for: the test, or the module
    return [f"{owner}{name}({around if taken_arguments(functions[name], bool(owner)) else ''})"]


def assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """The values of the variables that a file assigns once."""
    return {
        node.targets[0].id: node.value
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
