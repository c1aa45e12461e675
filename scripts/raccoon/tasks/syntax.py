"""Questions about the syntax tree of Python text, trusted or not. Nothing is run."""

import ast
import warnings
from collections.abc import Iterator

from raccoon.constants import InputError

# Bounds on the search for code in one completion; an honest one has a few thousand characters.
MAX_PARSED_CHARS = 100_000  # a longer text is not parsed
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda,
          ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
TRIES = (ast.Try, ast.TryStar)
HANDLER = ast.parse("try:\n    pass\nexcept:\n    pass").body[0].handlers[0]


def parse_code(text: str) -> ast.Module | None:
    """The syntax tree of untrusted text; None where it is no Python, too long or too deep to parse."""
    tree, _ = parse_or_line(text)
    return tree


def parse_or_line(text: str) -> tuple[ast.Module | None, int]:
    """(tree, 0), or (None, number of the line where parsing stopped; 1 where that is unknown)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text), 0
    except SyntaxError as error:
        return None, error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return None, 1


def compiles(text: str) -> bool:
    """Whether Python takes untrusted text as a program: it refuses, for one, a `return` outside a function.

    Such faults are found after parsing, while code is generated. A `finally` is generated once for every way out of
    its `try`, which takes exponential time where they are nested, so here each stands after its try's `else` instead.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
            for node in ast.walk(tree) if "finally" in text else ():
                if isinstance(node, TRIES) and node.finalbody:
                    node.orelse, node.finalbody = node.orelse + node.finalbody, []
                    node.handlers = node.handlers or [HANDLER]
            compile(tree, "<completion>", "exec", dont_inherit=True)
            return True
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def is_literal(node: ast.expr) -> bool:
    """Whether an expression is a literal other than the dots of a stub."""
    try:
        return ast.literal_eval(node) is not ...
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False


def own_nodes(scope: ast.Module | ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a module or function without the insides of the functions and classes in it."""
    pending = list(scope.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def bound_names(tree: ast.Module) -> set[str]:
    """The names that running a module binds, also inside its if, try and loops."""
    names = set()
    for node in own_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def missing_names(tree: ast.Module) -> set[str]:
    """The names that a module reads and binds nowhere, builtins among them."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    inner = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return ({node.id for node in names if isinstance(node.ctx, ast.Load)}
            - {node.id for node in names if isinstance(node.ctx, ast.Store)} - inner - bound_names(tree))


def find_function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """The last definition of a function at a module's top level."""
    found = [node for node in tree.body
             if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name]
    return found[-1] if found else None


def parse_stub(stub: str, entry_point: str) -> ast.FunctionDef | None:
    """The entry point of a program that may end with its header alone."""
    tree = parse_code(stub) or parse_code(stub.rstrip() + "\n    pass\n")
    return find_function(tree, entry_point) if tree else None


def first_line(function: ast.FunctionDef) -> int:
    """The number of the line where a function begins, its decorators included."""
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def text_above(stub: str, entry_point: str) -> str:
    """What stands above the entry point in a stub: its imports, constants and helper functions."""
    function = parse_stub(stub, entry_point)
    if not function:
        raise InputError(f"its prompt does not define {entry_point!r}")
    above = "\n".join(stub.split("\n")[: first_line(function) - 1]).strip("\n")
    return above + "\n" if above else ""
