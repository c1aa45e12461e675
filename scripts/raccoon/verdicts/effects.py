"""What a test does to the process that it runs in, by its text.

A test that sets something which the code would see in the same process (files, the environment, the decimal context, an
attribute of a module) must run in the code's process. One that may leave something behind in the judge runs in a fork
of it. All others, which use only what is listed here as harmless, run in the judge itself.
"""

import ast
import dataclasses

# Modules that only compute, each with the names in it that do more. All names of the others are harmless.
HARMLESS = {
    name: frozenset()
    for name in """abc array base64 binascii bisect cmath collections collections.abc contextlib copy dataclasses
    datetime difflib enum fractions functools hashlib heapq html itertools json keyword math numbers operator pprint queue
    re sortedcontainers statistics string struct textwrap time typing types unicodedata uuid zlib zoneinfo""".split()
} | {
    "calendar": frozenset({"setfirstweekday"}),
    "pytest": frozenset({"warns", "deprecated_call", "MonkeyPatch", "main"}),
    "random": frozenset({"setstate"}),
    "numpy": frozenset({"random", "seterr", "seterrcall", "set_printoptions", "setbufsize", "lib", "core"}),
    "decimal": frozenset(
        {"getcontext", "setcontext", "localcontext", "DefaultContext", "BasicContext", "ExtendedContext"}
    ),
}
# Modules whose state the code would see in the same process, each with the names in it that only compute.
SEEN_BY_CODE = {
    name: frozenset()
    for name in """builtins fileinput gc getpass glob importlib inspect locale logging pathlib shelve shutil signal
    socket sqlite3 subprocess tempfile threading tracemalloc warnings weakref""".split()
} | {
    "os": frozenset({"path", "sep", "linesep", "pathsep", "altsep", "extsep", "curdir", "pardir"}),
    "sys": frozenset(
        "exit maxsize float_info int_info hash_info maxunicode version version_info byteorder platform getsizeof".split()
    ),
    "io": frozenset({"StringIO", "BytesIO", "TextIOBase", "IOBase"}),
    "os.path": frozenset(
        "join basename dirname splitext split normpath isabs commonprefix commonpath sep splitdrive relpath".split()
    ),
}
SHARED_NAMES = {  # of harmless modules, what reaches the code too
    "decimal": frozenset({"getcontext", "setcontext", "localcontext"}),
    "pytest": frozenset({"warns", "deprecated_call", "MonkeyPatch"}),
    "numpy": frozenset({"seterr"}),
    "dataclasses": frozenset({"is_dataclass", "fields", "replace", "asdict", "astuple"}),  # they look at an object
}
POWERFUL = frozenset(
    "eval exec compile __import__ globals locals vars setattr delattr getattr breakpoint input".split()
)
FILES = frozenset({"open", "input"})
HARMLESS_DUNDERS = frozenset(
    "__name__ __doc__ __init__ __class__ __len__ __eq__ __str__ __repr__ __iter__ __next__".split()
)


@dataclasses.dataclass(frozen=True)
class Effects:
    """`shared`: why the test must run in the code's process, "" if it need not. `harmless`: nothing is left behind."""

    shared: str
    harmless: bool


def effects(nodes: list[ast.AST]) -> Effects:
    """The effects of a test, or of a context, with these nodes."""
    modules = imported(nodes)
    shared, harmless = _draws_after_a_seed(nodes, modules), True
    for node in nodes:
        reason, fine = _effect(node, modules)
        shared, harmless = shared or reason, harmless and fine and not reason
    return Effects(shared, harmless)


def _draws_after_a_seed(nodes: list[ast.AST], modules: dict[str, str]) -> str:
    """Why a test needs the code's process that both sets the random numbers' seed and draws some itself."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Attribute):
            root, _, rest = dotted(node.value).partition(".")
            names.add(".".join(filter(None, (modules.get(root, ""), rest, node.attr))))
    for module in ("random", "numpy.random"):
        drawn = {name for name in names if name.startswith(f"{module}.")} - {f"{module}.seed", "random.Random"}
        if drawn and f"{module}.seed" in names:
            return "it draws random numbers beside the code"
    return ""


def imported(nodes: list[ast.AST]) -> dict[str, str]:
    """The modules that names stand for, and "module.name" for names that were imported from one."""
    found = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _effect(node: ast.AST, modules: dict[str, str]) -> tuple[str, bool]:
    """(why the test must run in the code's process, whether the node leaves nothing behind)"""
    if isinstance(node, ast.ImportFrom):
        used = [_used(node.module or "", alias.name) for alias in node.names]
        return next((reason for reason, _ in used if reason), ""), all(fine for _, fine in used)
    if isinstance(node, ast.Import):
        return "", all(alias.name in HARMLESS or alias.name in SEEN_BY_CODE for alias in node.names)
    if isinstance(node, ast.Attribute):
        return _attribute(node, modules)
    if isinstance(node, ast.Name):
        return _name(node, modules)
    return "", not isinstance(node, (ast.Global, ast.Nonlocal)) or isinstance(node, ast.Nonlocal)


def _attribute(node: ast.Attribute, modules: dict[str, str]) -> tuple[str, bool]:
    if node.attr == "register":  # of an abstract class
        return "", False
    owner = dotted(node.value)
    root, _, rest = owner.partition(".")
    if owner and root in modules:
        module = f"{modules[root]}.{rest}".rstrip(".")
        if not isinstance(node.ctx, ast.Load):
            return f"it changes {module}", False
        return _used(module, node.attr)
    if node.attr.startswith("__") and node.attr not in HARMLESS_DUNDERS:
        return "", False
    return "", True


def _name(node: ast.Name, modules: dict[str, str]) -> tuple[str, bool]:
    if node.id in FILES and node.id not in modules:
        return f"it calls {node.id}()", False
    return "", node.id not in POWERFUL and node.id != "__builtins__"


def _used(module: str, name: str) -> tuple[str, bool]:
    """The effect of one name of a module. A dotted module may be one, or a class in one."""
    if f"{module}.{name}" in SEEN_BY_CODE or f"{module}.{name}" in HARMLESS:
        return "", True
    if module in SEEN_BY_CODE:
        return ("", True) if name in SEEN_BY_CODE[module] else (f"it uses {module}.{name}", False)
    if name in SHARED_NAMES.get(module, ()):
        return f"it uses {module}.{name}", False
    root, _, inner = module.partition(".")
    if module in HARMLESS:
        return "", name not in HARMLESS[module] or name == "*"
    return "", root in HARMLESS and inner.partition(".")[0] not in HARMLESS[root]


def dotted(node: ast.AST) -> str:
    """`a.b.c` as text; "" for other expressions."""
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return node.id if isinstance(node, ast.Name) else ""
