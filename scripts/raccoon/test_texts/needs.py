"""What a test needs around it, by its text: the code's process, a process of its own, or neither.

It runs in the code's process ("shared isolation") if it sets something that the code would see in the same process
(files, the environment, the decimal context, an attribute of a module), or if plain values and stand-ins for the code's
objects are not enough. If it may leave something behind, it runs in a fork of the judge. All others, which use only
what is listed here as harmless, run in the judge itself. The values that the code returns must not choose how it is
tested.
"""

import ast
import functools
import importlib.util
import sys
import types

from raccoon.test_texts.code_results import CARRIED_METHODS, MUTATORS, Results, calls_name, dotted, last_name, names_of


def _listed(plain: str, special: dict[str, str]) -> dict[str, frozenset[str]]:
    """Modules, each with the names in it that are exceptions from what is said of it: those of `special` have some."""
    return {name: frozenset(special.get(name, "").split()) for name in (*plain.split(), *special)}


# Modules that only compute, each with the names in it that do more. All names of the others are harmless.
HARMLESS = _listed(
    """array base64 binascii bisect cmath collections collections.abc copy dataclasses datetime difflib fractions
    hashlib heapq html ipaddress itertools json keyword math numbers pprint pytest queue re sortedcontainers statistics
    struct textwrap time unicodedata uuid zlib""",
    {
        "abc": "update_abstractmethods",
        "calendar": "setfirstweekday",
        "contextlib": "chdir",
        "decimal": "getcontext setcontext localcontext DefaultContext BasicContext ExtendedContext",
        "enum": "global_enum global_enum_repr global_flag_repr global_str",
        "functools": "update_wrapper wraps total_ordering",
        "numpy": """random seterr seterrcall seterrobj set_printoptions set_string_function set_numeric_ops setbufsize
        lib core load ctypeslib f2py distutils runstring rundocs measure set_fill_value set_default_printstyle""",
        "operator": "attrgetter methodcaller",
        "random": "setstate",
        "string": "Formatter",
        "types": "get_original_bases resolve_bases prepare_class",
        "typing": "get_type_hints get_origin get_args ForwardRef no_type_check",
        "zoneinfo": "reset_tzpath",
    },
)
# Modules whose state the code would see in the same process, each with the names in it that only compute.
SEEN_BY_CODE = _listed(
    """__main__ builtins concurrent.futures doctest fileinput gc getpass glob importlib inspect locale logging
    multiprocessing multiprocessing.dummy multiprocessing.pool pathlib shelve shutil signal socket sqlite3 subprocess
    tempfile threading tracemalloc warnings weakref""",
    {
        "os": "path sep linesep pathsep altsep extsep curdir pardir",
        "os.path": "join basename dirname splitext split normpath isabs commonprefix commonpath sep splitdrive relpath",
        "sys": """exit maxsize float_info int_info hash_info maxunicode version version_info byteorder platform
        getsizeof""",
        "io": "StringIO BytesIO TextIOBase IOBase",
    },
)
SHARED_NAMES = {  # of harmless modules, what reaches the code too
    "decimal": {"getcontext", "setcontext", "localcontext"},
    "pytest": {"warns", "deprecated_call", "MonkeyPatch"},
    "numpy": {"seterr"},
    "dataclasses": {"is_dataclass", "fields", "replace", "asdict", "astuple"},  # they look at an object
}
OF_PYTEST = set("raises approx mark param fixture fail skip xfail".split())
POWERFUL = set("eval exec compile __import__ globals locals vars setattr delattr getattr breakpoint input".split())
FILES = {"open", "input"}
OPEN = set("__name__ __doc__ __init__ __class__ __len__ __eq__ __str__ __repr__ __iter__ __next__".split())
OPEN |= {"_asdict", "_replace", "_fields", "_make"}  # of named tuples
LEADING_OUT = {"tb", "traceback", "ctypes", "register"}
CHANGING = (list, dict, set, bytearray)  # contents that all tests would share
FIXED = (int, float, complex, str, bytes, tuple, frozenset, type(None), types.FunctionType, types.BuiltinFunctionType)
IMMUTABLE_TYPE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
KNOWN_AS = {"np": "numpy", "pd": "pandas"}  # libraries under the names that tests use without importing them
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
EVALUATORS = {"eval", "exec", "compile", "pickle.loads", "pickle.load", "marshal.loads", "dill.loads"}
WATCHED = {"redirect_stdout", "redirect_stderr", "stdout", "stderr", "capsys"}
INSPECTORS = {"type", "issubclass", "vars", "dir", "id", "callable", "super", "inspect"}
OF_ERRORS = {"__init__", "__cause__", "__context__", "__notes__", "__name__", "__doc__"}  # read from any side
COPIERS = {"copy.copy", "copy.deepcopy", "copy", "deepcopy", "pickle.dumps"}
CATCHERS = {"raises", "suppress", "assertRaises", "assertRaisesRegex"}


def why_shared(nodes: list[ast.AST], results: Results) -> str:
    """Why this test must run in the code's process; "" if plain values and objects are enough."""
    own_classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    for node in nodes:
        if isinstance(node, ast.ClassDef) and is_test_case(node):
            return f"unittest class {node.name}"
        if isinstance(node, (ast.Import, ast.ImportFrom)) and "mock" in ast.unparse(node):
            return "it patches what the code uses"
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)) or _is_one_of(node, {"asyncio"}):
            return "it awaits the code"
        if last_name(node) in WATCHED:
            return "it reads what the code prints"
        if not isinstance(node, ast.Call):
            continue
        if dotted(node.func) in EVALUATORS and not all(isinstance(given, ast.Constant) for given in node.args[:1]):
            return "it evaluates text that is not a constant"  # results of the code must not run in the judge
        if _is_one_of(node.func, own_classes):
            return f"it makes objects of its own class {last_name(node.func)}"
        handed = {given.id for given in node.args if isinstance(given, ast.Name)} & own_classes
        if handed and last_name(node.func) not in {"isinstance", "issubclass", *CATCHERS}:
            return f"it hands its own class {min(handed)} on"
    if path := _object_handed_over(nodes, results):
        return f"it hands an object of {path} to the code"
    if _draws_after_a_seed(nodes):
        return "it draws random numbers beside the code"
    if reason := effects(nodes):
        return reason
    stored = [node for node in nodes if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)]
    if any(_is_one_of(node.value, results.sources) for node in stored):
        return "it sets an attribute of the code's own"
    if results.classes or any(map(results.asks_an_object, nodes)):
        return _why_objects_will_not_do(nodes, results)
    return ""


def _is_one_of(node: ast.AST, names: set[str]) -> bool:
    """Whether this is one of these names."""
    return isinstance(node, ast.Name) and node.id in names


def _object_handed_over(nodes: list[ast.AST], results: Results) -> str:
    """The class of a library whose object the code gets, or a name of pandas, whose values never are plain; else "".

    A rehearsal shows the others, of modules that only compute, unless a method of the code's own instance gets them.
    """
    own = {name for target, _ in results.bindings for name in names_of(target)} | results.parameters
    modules = {name: path for name, path in KNOWN_AS.items() if name not in own} | imported(nodes)
    paths = (_path(node, modules) for node in nodes if isinstance(node, ast.Attribute))
    if path := next((path for path in paths if path.startswith("pandas.")), ""):
        return path
    made: dict[ast.AST, str] = {node: _made_object(node, modules) for node in nodes if isinstance(node, ast.Call)}
    held: dict[str, str] = {}  # by variables
    for target, value in results.bindings:
        for path in filter(None, map(made.get, ast.walk(value))):
            held |= dict.fromkeys(names_of(target), path)
    for call in filter(results.is_call, nodes):
        for given in (*call.args, *(word.value for word in call.keywords)):
            for inner in ast.walk(given):
                if path := held.get(inner.id, "") if isinstance(inner, ast.Name) else made.get(inner, ""):
                    return path
    return ""


def _made_object(node: ast.Call, modules: dict[str, str]) -> str:
    """The class of which a call makes an object that is no value, as far as its name shows; "" for other calls."""
    if calls_name(node, "object", "memoryview"):
        return last_name(node.func)
    path = _path(node.func, modules)
    module, _, name = path.rpartition(".")
    is_class = name[:1].isupper() and not name.endswith(("Error", "Exception", "Warning")) or name == "default_rng"
    return path if is_class and _used(module, name) == "" else ""


def is_test_case(node: ast.ClassDef) -> bool:
    """Whether a class is a unittest.TestCase."""
    return any("TestCase" in ast.unparse(base) for base in node.bases)


def caught(node: ast.AST) -> set[str]:
    """The names in the classes that a handler or a context manager catches."""
    if isinstance(node, ast.ExceptHandler) and node.type:
        return names_of(node.type)
    if isinstance(node, ast.Call) and last_name(node.func) in CATCHERS:
        return {name for argument in node.args for name in names_of(argument)}
    return set()


def _why_objects_will_not_do(nodes: list[ast.AST], results: Results) -> str:
    """Why a test that uses the code's own objects needs shared isolation; "" if it does not."""
    modules = imported(nodes)
    if both := _methods_of_both(nodes, results):
        return f"it calls the method {min(both)} of a result of the code"
    for node in nodes:
        if isinstance(node, ast.Compare) and _compares_made(node, results) or _looks_made_up(node, results):
            return "it compares results of the code by the code's own =="
        if isinstance(node, ast.Attribute) and node.attr.startswith("__") and node.attr not in OF_ERRORS:
            return f"it reads {node.attr}"
        if calls_name(node, "isinstance", "issubclass") and _names_an_abstract_class(node, modules):
            return "it asks what an object can do"
        if isinstance(node, ast.Call) and dotted(node.func) in COPIERS and any(map(results.is_made, node.args)):
            return "it copies objects of the code"
        if calls_name(node, *INSPECTORS) and any(map(results.has, node.args)):
            return f"it inspects the code's objects with {last_name(node.func)}"
        if isinstance(node, ast.ClassDef) and any(names_of(base) & results.classes for base in node.bases):
            return "it derives from a class of the code"
        if isinstance(node, ast.MatchClass):
            return "it matches a class in a match statement"
        if isinstance(node, ast.BinOp):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if results.is_operated(one) and not results.has(other):
                    return "it chains operators on the code's objects"
    return ""


def _methods_of_both(nodes: list[ast.AST], results: Results) -> set[str]:
    """Called methods of instances that the test made and of other results, with names that plain values have too.

    A result may not answer such a method, unless the test shows that the result is an object of the code.
    """
    of_instances, of_results = set(), set()
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CARRIED_METHODS:
            owner = node.func.value
            if results.is_made(owner):
                of_instances.add(node.func.attr)
            elif node.args and results.has(owner) and node.func.attr not in MUTATORS:
                of_results.add(node.func.attr)
                if _is_one_of(owner, results.chained):
                    of_instances.add(node.func.attr)
    return of_instances & of_results


def _compares_made(node: ast.Compare, results: Results) -> bool:
    """Whether an `==` or `in` involves an instance that the test made."""
    sides = [node.left, *node.comparators]
    for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
        if isinstance(operator, (ast.Eq, ast.NotEq)) and (_holds_made(right, results) or results.is_made(left)):
            return True
        if isinstance(operator, (ast.In, ast.NotIn)) and _holds_made(right, results) and not results.is_made(right):
            return True
    return False


def _holds_made(node: ast.AST, results: Results) -> bool:
    """Whether an expression is an instance that the test made, or a collection with one."""
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return any(_holds_made(item, results) for item in node.elts)
    return results.is_made(node)


def _looks_made_up(node: ast.AST, results: Results) -> bool:
    """Whether this looks an instance that the test made up in a collection, by its hash or its `==`."""
    if isinstance(node, ast.Set):
        return any(map(results.is_made, node.elts))
    if isinstance(node, ast.Dict):
        return any(key is not None and results.is_made(key) for key in node.keys)
    if isinstance(node, ast.Subscript):
        return results.is_made(node.slice)
    if not isinstance(node, ast.Call):
        return False
    looks = calls_name(node, "set", "frozenset", "hash")
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("index", "count", "remove", "add", "get"):
        looks = not results.has(node.func.value)
    return looks and any(_holds_made(given, results) for given in node.args)


def _names_an_abstract_class(node: ast.Call, modules: dict[str, str]) -> bool:
    """Whether isinstance() gets a class of collections.abc or typing."""
    names = {dotted(inner) for given in node.args[1:] for inner in ast.walk(given)} - {""}
    known = {f"{modules.get(root, root)}.{rest}" for root, _, rest in (name.partition(".") for name in names)}
    return any(name.startswith(("collections.abc.", "typing.")) for name in known)


def effects(nodes: list[ast.AST]) -> str | None:
    """None if a test, or a test and its context, leaves nothing behind; else why it must run in the code's process.

    The reason is "" where a process of its own will do.
    """
    modules = imported(nodes)
    reaching = "" if _reaches_others(nodes, modules) else None
    return _worst([reaching, *(_effect(node, modules) for node in nodes)])


def _worst(found: list[str | None]) -> str | None:
    """The first reason, or what comes nearest to one."""
    some = [each for each in found if each is not None]
    return next(filter(None, some), "") if some else None


def _draws_after_a_seed(nodes: list[ast.AST]) -> bool:
    """Whether a test both sets the random numbers' seed and draws some itself."""
    modules, names = imported(nodes), set()
    for node in nodes:
        if isinstance(node, ast.Attribute):
            root, _, rest = dotted(node.value).partition(".")
            names.add(".".join(filter(None, (modules.get(root, ""), rest, node.attr))))
    for module in ("random", "numpy.random"):
        drawn = {name for name in names if name.startswith(f"{module}.")} - {f"{module}.seed", "random.Random"}
        if drawn and f"{module}.seed" in names:
            return True
    return False


def imported(nodes: list[ast.AST]) -> dict[str, str]:
    """The modules that names stand for, and "module.name" for names that were imported from one."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                found[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom):
            public = _public(node.module) if node.names[0].name == "*" else ()
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name: f"{node.module}.{name}" for name in public}
    return found


@functools.cache
def _public(module: str | None) -> tuple[str, ...]:
    """The names that `from module import *` gives, for modules that only compute."""
    if module not in HARMLESS or importlib.util.find_spec(module) is None:
        return ()
    loaded = importlib.import_module(module)
    return tuple(getattr(loaded, "__all__", [name for name in vars(loaded) if not name.startswith("_")]))


def _effect(node: ast.AST, modules: dict[str, str]) -> str | None:
    """The effect of one node, in the form of `effects`."""
    if isinstance(node, ast.ImportFrom):
        return _worst([_used(node.module or "", alias.name) for alias in node.names])
    if isinstance(node, ast.Import):
        return None if all(alias.name in HARMLESS or alias.name in SEEN_BY_CODE for alias in node.names) else ""
    if isinstance(node, ast.Attribute):
        if node.attr == "register":  # of an abstract class
            return ""
        module = _path(node.value, modules)
        if module and not isinstance(node.ctx, ast.Load):
            return f"it changes {module}"
        return _used(module, node.attr) if module else None
    if not isinstance(node, ast.Name):
        return "" if isinstance(node, ast.Global) else None
    if node.id in FILES and node.id not in modules:
        return f"it calls {node.id}()"
    if "." in (path := modules.get(node.id, "")):
        module, _, name = path.rpartition(".")
        return _used(module, name)
    is_inner = node.id.startswith("__") and node.id not in ("__name__", "__slots__")
    return "" if node.id in POWERFUL or is_inner else None


def _used(module: str, name: str) -> str | None:
    """The effect of one name of a module. A dotted module may be one, or a class in one."""
    if f"{module}.{name}" in SEEN_BY_CODE or f"{module}.{name}" in HARMLESS or name in SEEN_BY_CODE.get(module, ()):
        return None
    if module in SEEN_BY_CODE or name in SHARED_NAMES.get(module, ()):
        return f"it uses {module}.{name}"
    root, _, inner = module.partition(".")
    path = [*filter(None, inner.split(".")), name]
    if root not in HARMLESS or not HARMLESS.get(module, HARMLESS[root]).isdisjoint(path):
        return ""
    if root == "pytest" and path[0] not in OF_PYTEST:
        return ""
    return "" if name != "*" and isinstance(_found(f"{module}.{name}"), CHANGING) else None


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


def _path(node: ast.AST, known: dict[str, str]) -> str:
    """The path of a name or an attribute of a module; "" for anything else."""
    root, _, rest = dotted(node).partition(".")
    return f"{known[root]}.{rest}".rstrip(".") if root in known else ""


def _reaches_others(nodes: list[ast.AST], modules: dict[str, str]) -> bool:
    """Whether a test could change what later ones meet here: a module, a class in one, or by what ends later."""
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.name for node in nodes if isinstance(node, DEFINITIONS)}
    known = {name: name for name in sys.stdlib_module_names - bound} | KNOWN_AS | modules
    stored = [node for node in nodes if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)]
    fields = {node.attr for node in stored if not node.attr.startswith("__")}
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    read |= {name for node in nodes if isinstance(node, ast.MatchClass) for name in node.kwd_attrs}
    plain = {part for node in nodes for part in _plain_uses(node)}
    decorators = {each for node in nodes if isinstance(node, DEFINITIONS) for each in node.decorator_list}
    decorators |= {node.func for node in decorators if isinstance(node, ast.Call)}
    paths = {node: _path(node, known) for node in nodes if isinstance(node, (ast.Name, ast.Attribute))}
    changes = bool(stored) or any(p == "dataclasses.dataclass" and n not in decorators for n, p in paths.items())
    return (
        any(_root(node) in known for node in stored)
        or any(_can_be_changed(path, changes) for node, path in paths.items() if path and node not in plain)
        or not all(_is_open(name, fields) for name in read)
        or changes
        and any(last_name(node) in ("type", "mro", "__class__") for node in paths)
        or bool(bound & {"isinstance", "issubclass"})
        or any(map(_runs_later, nodes))
    )


def _is_open(name: str, fields: set[str]) -> bool:
    """Whether an attribute leads to nothing of Python's inside; `fields`: those that the test sets itself."""
    if name.startswith("_"):
        return name in OPEN or name in fields
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
    kinds = [getattr(node, name, None) for name in ("returns", "annotation")] + getattr(node, "bases", [])
    kinds += [node.type] if isinstance(node, ast.ExceptHandler) else []
    kinds += (
        node.args[1:] if isinstance(node, ast.Call) and last_name(node.func) in ("isinstance", "issubclass") else []
    )
    walked = [list(ast.walk(each)) for each in kinds if each]
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
