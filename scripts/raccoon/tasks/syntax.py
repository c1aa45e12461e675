"""Answers questions about the syntax tree of Python text, trusted or not. Nothing is run."""

import ast
import warnings
from collections.abc import Iterator

from raccoon.constants import InputError

# A bound on the search for code in one completion; an honest completion has a few thousand characters.
MAX_PARSED_CHARS = 100_000  # a longer text is not parsed
SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)
TRIES = (ast.Try, ast.TryStar)
HANDLER = ast.parse("try:\n    pass\nexcept:\n    pass").body[0].handlers[0]


def parse_code(text: str) -> ast.Module | None:
    """The syntax tree of untrusted text; None if it is not Python, or too long or too deep to parse."""
    tree, _ = parse_or_line(text)
    return tree


def parse_or_line(text: str) -> tuple[ast.Module | None, int]:
    """(tree, 0), or (None, number of the line where parsing stopped; 1 if that is unknown)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text), 0
    except SyntaxError as error:
        return None, error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return None, 1


def compiles(text: str) -> bool:
    """Whether Python compiles untrusted text. It refuses, for example, a `return` outside a function.

    Such errors are found after parsing, while bytecode is generated. Python compiles a `finally` once for every exit
    of its `try`, which takes exponential time if they are nested. So each `finally` is moved after its try's `else`.
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
    """Whether an expression is a literal and not the dots of a stub."""
    try:
        return ast.literal_eval(node) is not ...
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False


def own_nodes(scope: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """The nodes of a module or function, without those inside its functions and classes."""
    pending = list(scope.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def bound_names(tree: ast.Module) -> set[str]:
    """The names that a module binds when it runs, also those inside its if, try and loops."""
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
    """The names that a module reads and does not bind anywhere, including builtins."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    inner = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return (
        {node.id for node in names if isinstance(node.ctx, ast.Load)}
        - {node.id for node in names if isinstance(node.ctx, ast.Store)}
        - inner
        - bound_names(tree)
    )


def find_function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """The last definition of a function of this name at a module's top level; None if there is none."""
    found = [
        node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name
    ]
    return found[-1] if found else None


def parse_stub(stub: str, entry_point: str) -> ast.FunctionDef | None:
    """The function of the entry point in a program that may end with that function's header; None if there is none."""
    tree = parse_code(stub) or parse_code(stub.rstrip() + "\n    pass\n")
    return find_function(tree, entry_point) if tree else None


def first_line(function: ast.FunctionDef) -> int:
    """The number of the line where a function or its first decorator begins."""
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def text_above(stub: str, entry_point: str) -> str:
    """The text above the entry point in a stub: its imports, constants and helper functions."""
    function = parse_stub(stub, entry_point)
    if not function:
        raise InputError(f"its prompt does not define the entry point {entry_point!r}")
    above = "\n".join(stub.split("\n")[: first_line(function) - 1]).strip("\n")
    return above + "\n" if above else ""
