"""Finds code that uses more than its arguments: files, frames, the environment, the clock, its earlier calls.

It reads syntax trees and runs nothing. A find is worth a look, not a proof of cheating. Code that the sandbox blocks
cannot succeed but is still a sign. Input: a program's syntax tree. Output: numbers of lines.
"""

import ast
from collections.abc import Iterator

# Modules and their functions, with the names resolved by the code's imports. Each entry includes all its members.
SUSPECT = (
    "io",
    "os",
    "pathlib",
    "glob",
    "shutil",
    "tempfile",
    "linecache",
    "socket",
    "subprocess",
    "multiprocessing",
    "threading",
    "inspect",
    "ctypes",
    "gc",
    "importlib",
    "builtins",
    "traceback",
    "tracemalloc",
    "atexit",
    "signal",
    "sys",
    "time",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "datetime.date.today",
    "platform",
    "getpass",
    "unittest",
)
# Members of these modules that solutions use for honest work.
HARMLESS = (
    "io.StringIO",
    "io.BytesIO",
    "os.path.join",
    "os.path.basename",
    "os.path.splitext",
    "os.path.dirname",
    "os.path.normpath",
    "os.sep",
    "sys.maxsize",
    "sys.float_info",
    "sys.int_info",
    "sys.setrecursionlimit",
    "sys.getrecursionlimit",
    "sys.getsizeof",
    "sys.maxunicode",
    "sys.byteorder",
    "sys.set_int_max_str_digits",
    "time.strptime",
    "time.strftime",
    "time.struct_time",
    "time.mktime",
    "time.gmtime",
)
SUSPECT_BUILTINS = frozenset({"open", "globals", "__import__", "__name__"})
# Attributes that lead from a function or an error to its caller.
DEEP_ATTRIBUTES = frozenset(
    {
        "__globals__",
        "__code__",
        "__closure__",
        "__builtins__",
        "__subclasses__",
        "__traceback__",
        "tb_frame",
        "f_back",
        "f_locals",
        "f_globals",
        "f_code",
        "gi_frame",
        "cr_frame",
    }
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def surroundings_lines(tree: ast.Module) -> list[int]:
    """The lines that use something SUSPECT or count calls. Code under `if __name__ == "__main__":` is left out."""
    imported, lines = imports(tree), set()
    for statement in tree.body:
        if isinstance(statement, ast.If) and "__name__" in names_in(statement.test):
            continue
        nodes = list(ast.walk(statement))
        inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
        lines |= {node.lineno for node in nodes if id(node) not in inner and is_suspect(node, imported)}
        for function in (node for node in nodes if isinstance(node, FUNCTIONS)):
            lines |= set(counted_calls(list(ast.walk(function))))
    return sorted(lines)


def names_in(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def imports(tree: ast.Module) -> dict[str, str]:
    """The imported names of a program and their dotted form; its own functions map to ""."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                found[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.setdefault(node.name, "")
    return found


def is_suspect(node: ast.AST, imported: dict[str, str]) -> bool:
    """Whether a name, or a name with attributes, gives access to something outside the function."""
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.insert(0, node.attr)
        node = node.value
    if not DEEP_ATTRIBUTES.isdisjoint(attributes):
        return True
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
        return False
    if node.id not in imported:
        return node.id in SUSPECT_BUILTINS
    name = ".".join([imported[node.id], *attributes])
    return begins_with(name, SUSPECT) and not begins_with(name, HARMLESS)


def begins_with(name: str, names: tuple[str, ...]) -> bool:
    return any(name == other or name.startswith(other + ".") for other in names)


def counted_calls(inside: list[ast.AST]) -> Iterator[int]:
    """The lines of a function that count something which outlives the call, if the function also compares it."""
    shared = {name for node in inside if isinstance(node, ast.Global) for name in node.names}
    compared = {
        written(side) for node in inside if isinstance(node, ast.Compare) for side in (node.left, *node.comparators)
    }
    for node in inside:
        name = written(node.target) if isinstance(node, ast.AugAssign) else ""
        if name and name in compared and (name in shared or name.startswith(inside[0].name + ".")):
            yield node.lineno


def written(node: ast.expr) -> str:
    """A name, or a name with one attribute, as text; "" for any other expression."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
