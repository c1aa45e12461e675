"""The project's own sources as syntax trees: which files there are, what each imports, which are commands.

A file is named by its path below scripts/ without the ending: "sandbox", "raccoon/sandbox/pool".
"""

import ast
import functools

from helpers.paths import SCRIPTS

COMMANDS = sorted(path.stem for path in SCRIPTS.glob("*.py"))
ROOM_FILES = sorted(str(path.relative_to(SCRIPTS).with_suffix("")) for path in (SCRIPTS / "raccoon").rglob("*.py"))
FILES = COMMANDS + ROOM_FILES
STARTED_BY_THE_SANDBOX = {"raccoon/sandbox/judge", "raccoon/sandbox/zygote"}  # their argument is no flag


@functools.cache
def tree(name: str) -> ast.Module:
    """The parsed source of one file."""
    return ast.parse((SCRIPTS / f"{name}.py").read_text(encoding="utf-8"))


def named_modules(node: ast.AST) -> set[str]:
    """The modules that an import statement names, dotted; `from a import b` names both a and a.b."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()


def imports(name: str) -> set[str]:
    """All modules that a file imports, anywhere."""
    return set().union(*map(named_modules, ast.walk(tree(name))))


def imports_at_top(name: str) -> set[str]:
    """What importing a file imports: its statements outside of functions."""
    found, pending = set(), list(tree(name).body)
    while pending:
        node = pending.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            found |= named_modules(node)
            pending.extend(ast.iter_child_nodes(node))
    return found


def roots(modules: set[str]) -> set[str]:
    """The top-level packages of dotted names."""
    return {module.partition(".")[0] for module in modules}


def own_files(modules: set[str]) -> set[str]:
    """Those of the modules that are files of the project, by their names here."""
    return {module.replace(".", "/") for module in modules} & set(FILES)


def calls(name: str, function: str) -> bool:
    """Whether a file calls a function by this name."""
    called = [node.func for node in ast.walk(tree(name)) if isinstance(node, ast.Call)]
    return any(isinstance(one, ast.Name) and one.id == function for one in called)
