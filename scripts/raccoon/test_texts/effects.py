"""What a test does to the process that it runs in, by its text.

A test that sets something which the code would see in the same process (files, the environment, the decimal context, an
attribute of a module) must run in the code's process. One that may leave something behind in the judge runs in a fork
of it. All others, which use only what is listed here as harmless, run in the judge itself.
"""

import ast
import dataclasses
import functools
import importlib.util
import sys
import types

# Modules that only compute, each with the names in it that do more. All names of the others are harmless.
HARMLESS = {
    name: frozenset()
    for name in """abc array base64 binascii bisect cmath collections collections.abc contextlib copy dataclasses
    datetime difflib enum fractions functools hashlib heapq html itertools json keyword math numbers operator
    pprint queue re sortedcontainers statistics string struct textwrap time typing types unicodedata uuid zlib
    zoneinfo""".split()
} | {
    "calendar": frozenset({"setfirstweekday"}),
    "pytest": frozenset(),
    "random": frozenset({"setstate"}),
    "numpy": frozenset(
        """random seterr seterrcall seterrobj set_printoptions set_string_function set_numeric_ops setbufsize lib core
        load ctypeslib f2py distutils runstring rundocs measure set_fill_value set_default_printstyle""".split()
    ),
    "operator": frozenset({"attrgetter", "methodcaller"}),
    "functools": frozenset({"update_wrapper", "wraps", "total_ordering"}),
    "string": frozenset({"Formatter"}),
    "typing": frozenset({"get_type_hints", "get_origin", "get_args", "ForwardRef", "no_type_check"}),
    "types": frozenset({"get_original_bases", "resolve_bases", "prepare_class"}),
    "enum": frozenset({"global_enum", "global_enum_repr", "global_flag_repr", "global_str"}),
    "contextlib": frozenset({"chdir"}),
    "zoneinfo": frozenset({"reset_tzpath"}),
    "abc": frozenset({"update_abstractmethods"}),
    "decimal": frozenset(
        {"getcontext", "setcontext", "localcontext", "DefaultContext", "BasicContext", "ExtendedContext"}
    ),
}
# Modules whose state the code would see in the same process, each with the names in it that only compute.
SEEN_BY_CODE = {
    name: frozenset()
    for name in """__main__ builtins fileinput gc getpass glob importlib inspect locale logging pathlib shelve shutil
    signal socket sqlite3 subprocess tempfile threading tracemalloc warnings weakref""".split()
} | {
    "os": frozenset({"path", "sep", "linesep", "pathsep", "altsep", "extsep", "curdir", "pardir"}),
    "sys": frozenset(
        """exit maxsize float_info int_info hash_info maxunicode version version_info byteorder platform
        getsizeof""".split()
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
OF_PYTEST = frozenset("raises approx mark param fixture fail skip xfail".split())
POWERFUL = frozenset(
    "eval exec compile __import__ globals locals vars setattr delattr getattr breakpoint input".split()
)
FILES = frozenset({"open", "input"})
HARMLESS_DUNDERS = frozenset(
    "__name__ __doc__ __init__ __class__ __len__ __eq__ __str__ __repr__ __iter__ __next__".split()
)
OF_NAMED_TUPLES = frozenset({"_asdict", "_replace", "_fields", "_make"})
LEADING_OUT = frozenset({"tb", "traceback", "ctypes", "register"})
CHANGING = (list, dict, set, bytearray)  # contents that all tests would share
FIXED = (int, float, complex, str, bytes, tuple, frozenset, type(None), types.FunctionType, types.BuiltinFunctionType)
IMMUTABLE_TYPE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
KNOWN_AS = {"np": "numpy", "pd": "pandas"}  # libraries under the names that tests use without importing them
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclasses.dataclass(frozen=True)
class Effects:
    """`shared`: why the test must run in the code's process, "" if it need not. `harmless`: nothing is left behind."""

    shared: str
    harmless: bool


def effects(nodes: list[ast.AST]) -> Effects:
    """The effects of a test, or of a test and its context, with these nodes."""
    modules = imported(nodes)
    shared, harmless = _draws_after_a_seed(nodes, modules), not _reaches_others(nodes, modules)
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
            names = [alias.asname or alias.name for alias in node.names]
            found |= {name: f"{node.module}.{alias.name}" for name, alias in zip(names, node.names, strict=True)}
            found |= {name: f"{node.module}.{name}" for name in _public(node.module) if "*" in names}
    return found


@functools.cache
def _public(module: str | None) -> tuple[str, ...]:
    """The names that `from module import *` gives, for modules that only compute."""
    if module not in HARMLESS or importlib.util.find_spec(module) is None:
        return ()
    loaded = importlib.import_module(module)
    return tuple(getattr(loaded, "__all__", [name for name in vars(loaded) if not name.startswith("_")]))


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
    return "", True


def _name(node: ast.Name, modules: dict[str, str]) -> tuple[str, bool]:
    if node.id in FILES and node.id not in modules:
        return f"it calls {node.id}()", False
    if "." in modules.get(node.id, ""):
        return _used(*modules[node.id].rsplit(".", 1))
    return "", node.id not in POWERFUL and (not node.id.startswith("__") or node.id in ("__name__", "__slots__"))


def _used(module: str, name: str) -> tuple[str, bool]:
    """The effect of one name of a module. A dotted module may be one, or a class in one."""
    if f"{module}.{name}" in SEEN_BY_CODE or f"{module}.{name}" in HARMLESS:
        return "", True
    if module in SEEN_BY_CODE:
        return ("", True) if name in SEEN_BY_CODE[module] else (f"it uses {module}.{name}", False)
    if name in SHARED_NAMES.get(module, ()):
        return f"it uses {module}.{name}", False
    root, _, inner = module.partition(".")
    path = [*filter(None, inner.split(".")), name]
    if root not in HARMLESS or not HARMLESS.get(module, HARMLESS[root]).isdisjoint(path):
        return "", False
    if root == "pytest" and path[0] not in OF_PYTEST:
        return "", False
    return "", name == "*" or not isinstance(_found(f"{module}.{name}"), CHANGING)


def _found(path: str):
    """What a dotted path stands for; the table of all modules if it leads out of a module that only computes."""
    root, *parts = path.split(".")
    found = importlib.import_module(root) if importlib.util.find_spec(root) else None
    for part in parts:
        found = getattr(found, part, None)
        name = found.__name__ if isinstance(found, types.ModuleType) else path
        if part.startswith("_") or name.partition(".")[0] != root and name not in HARMLESS:
            return sys.modules
    return found


def dotted(node: ast.AST) -> str:
    """`a.b.c` as text; "" for other expressions."""
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return node.id if isinstance(node, ast.Name) else ""


# --- what a test could do to later ones by things that it does not name -----------------------------------------------


def _reaches_others(nodes: list[ast.AST], modules: dict[str, str]) -> bool:
    """Whether a test could change what later ones meet here: a module, a class in one, or by what ends later."""
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.name for node in nodes if isinstance(node, DEFINITIONS)}
    known = {name: name for name in sys.stdlib_module_names - bound} | KNOWN_AS | modules
    stored = [node for node in nodes if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)]
    fields = {node.attr for node in stored if not node.attr.startswith("__")}
    plain = {part for node in nodes for part in _plain_uses(node)}
    decorators = {each for node in nodes if isinstance(node, DEFINITIONS) for each in node.decorator_list}
    decorators |= {node.func for node in decorators if isinstance(node, ast.Call)}
    paths = {node: _path(node, known) for node in nodes if isinstance(node, (ast.Name, ast.Attribute))}
    changes = bool(stored) or any(p == "dataclasses.dataclass" and n not in decorators for n, p in paths.items())
    return (
        any(_root(node) in known for node in stored)
        or any(_can_be_changed(path, changes) for node, path in paths.items() if path and node not in plain)
        or any(not _is_open(name, fields) for node in nodes for name in _attributes(node))
        or changes
        and any(_last(node) in ("type", "mro", "__class__") for node in paths)
        or bool(bound & {"isinstance", "issubclass"})
        or any(map(_runs_later, nodes))
    )


def _path(node: ast.AST, known: dict[str, str]) -> str:
    """The path of a name or an attribute of a module; "" for anything else."""
    root, _, rest = dotted(node).partition(".")
    return f"{known[root]}.{rest}".rstrip(".") if root in known else ""


def _attributes(node: ast.AST) -> list[str]:
    """The names of attributes that a node reads or sets."""
    return [node.attr] if isinstance(node, ast.Attribute) else getattr(node, "kwd_attrs", [])


def _is_open(name: str, fields: set[str]) -> bool:
    """Whether an attribute leads to nothing of Python's inside; `fields`: those that the test sets itself."""
    if name in HARMLESS_DUNDERS or name in OF_NAMED_TUPLES:
        return True
    if name.startswith("_"):
        return name in fields
    return not name.startswith(("gi_", "cr_", "ag_", "tb_", "f_")) and name not in LEADING_OUT


def _can_be_changed(path: str, changes: bool) -> bool:
    """Whether this is a module; or, for a test that sets attributes, a class or another thing that has some."""
    if path.partition(".")[0] not in {*HARMLESS, "os", "sys", "io"}:
        return True
    found = _found(path)
    if isinstance(found, (types.ModuleType, *CHANGING)):
        return True
    return changes and not isinstance(found, FIXED) and not getattr(found, "__flags__", 0) & IMMUTABLE_TYPE


def _plain_uses(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that are used but not handed on: called, asked for an attribute, named as a type."""
    if isinstance(node, ast.Attribute):
        return [node.value]
    types_named = [getattr(node, name, None) for name in ("returns", "annotation")] + getattr(node, "bases", [])
    types_named += [node.type] if isinstance(node, ast.ExceptHandler) else []
    if isinstance(node, ast.Call) and _last(node.func) in ("isinstance", "issubclass"):
        types_named += node.args[1:]
    walked = [list(ast.walk(each)) for each in types_named if each]
    named = [part for parts in walked if not any(isinstance(part, ast.Call) for part in parts) for part in parts]
    return named + getattr(node, "decorator_list", []) + ([node.func] if isinstance(node, ast.Call) else [])


def _runs_later(node: ast.AST) -> bool:
    """Whether the end of an object may run code of the test when another test runs."""
    if isinstance(node, ast.FunctionDef) and node.name == "__del__":
        return True
    waits = isinstance(node, (ast.Try, ast.With))
    return waits and any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in ast.walk(node))


def _root(node: ast.AST) -> str:
    """The name with which an expression such as `a.b(c)[d].e` begins; "" if it begins with no name."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
