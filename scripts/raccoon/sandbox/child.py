"""The child: runs one untrusted program and answers the judge's requests with values, until it is killed.

Code of the program runs in this process. So nothing secret may be in it, and everything that it sends is treated as
data only (values.py).
"""

import functools
import itertools
import json
import linecache
import operator
import sys
import types

from raccoon.verdicts import carriers, values

FILENAME = "solution.py"  # the program's name in tracebacks
TEST_PROGRAMS = "raccoon.verdicts.test_programs"
MAX_PROGRAM = 64 << 20  # bytes of a program with its context
MAX_MESSAGE = 1000  # characters of an exception's message
METHODS = (types.FunctionType, types.MethodType, types.BuiltinMethodType, types.MethodWrapperType, functools.partial)


def answer_requests(job: int) -> None:
    """Loads the program from `job`, then answers requests one by one until the judge closes the channel."""
    incoming = values.FrameReader(job)
    program = json.loads(incoming.read(MAX_PROGRAM))
    module = types.ModuleType("__main__")
    module.__file__ = FILENAME
    sys.modules["__main__"] = module
    namespace = module.__dict__
    carrier, objects = None, program.get("objects", False)
    if objects or "class " in program["context"]:
        carrier = carriers.CodeCarrier(namespace, objects)
    reply = attempt(load, program["context"], program["code"], namespace, carrier)
    while True:
        try:
            data = values.dumps(reply, trusted=False, carrier=carrier)
        except (values.ValueLimit, MemoryError):
            data = b""  # no answer: an error would look like one that the code raised
        except BaseException as error:
            data = values.dumps(failure(error), trusted=False)
        values.write_frame(job, data)
        kind, *details = values.loads(incoming.read(), carrier)
        reply = attempt(REQUESTS[kind], namespace, *details)


def attempt(action, *arguments) -> list:
    """The result of `action`, or the failure that it raised; SystemExit is a failure too."""
    try:
        return action(*arguments)
    except BaseException as error:
        return failure(error)


def failure(error: BaseException) -> list:
    """["error", class, its standard classes from the most special to the most general, message, arguments]"""
    standard = [f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__ if is_standard(kind)]
    try:
        message = str(error)[:MAX_MESSAGE]
        arguments = list(error.args)
        if isinstance(error, OSError) and error.filename is not None:
            arguments.append(error.filename)
        values.dumps(arguments, trusted=False)
    except BaseException:
        message, arguments = "", []
    return ["error", type(error).__name__, standard, message, arguments]


def is_standard(kind: type) -> bool:
    """Whether a class is the one of the standard library that its module and name say, not another with that name."""
    module = sys.modules.get(kind.__module__)
    return kind.__module__.partition(".")[0] in values.STANDARD_MODULES and getattr(module, kind.__name__, None) is kind


def load(context: str, code: str, namespace: dict, carrier: carriers.CodeCarrier | None) -> list:
    """Runs the program's top level. The carrier learns the context's classes before code of the program runs."""
    if context:
        exec(compile(context, "context.py", "exec", dont_inherit=True), namespace)
        if carrier is not None:
            carrier.structures = carriers.structures(namespace)
    try:
        compiled = compile(code, FILENAME, "exec", dont_inherit=True)
    except BaseException as error:
        return ["syntax", *failure(error)[1:]]
    linecache.cache[FILENAME] = (len(code), None, code.splitlines(keepends=True), FILENAME)
    exec(compiled, namespace)
    return ["ok", None, None]


def call(namespace: dict, name: str, arguments: list, keywords: dict, in_place: bool) -> list:
    """Calls one of the program's functions. With `in_place`, also returns the arguments as the call left them."""
    result = defined(namespace, name)(*arguments, **keywords)
    return ["ok", result, [arguments, keywords] if in_place else None]


def defined(namespace: dict, name: str):
    """One of the program's functions or classes."""
    if name not in namespace:
        raise NameError(f"the code does not define {name!r}")
    if not callable(namespace[name]):
        raise TypeError(f"{name!r} is not a function but of type {type(namespace[name]).__name__}")
    return namespace[name]


def make(namespace: dict, name: str, arguments: list, keywords: dict) -> list:
    """An instance of one of the program's classes. It always stays in this process."""
    kind = defined(namespace, name)
    result = kind(*arguments, **keywords)
    return ["ok", carriers.Kept(result) if isinstance(kind, type) else result, None]


def method(namespace: dict, owner, name: str, arguments: list, keywords: dict, in_place: bool) -> list:
    """Calls a method of one of the program's objects."""
    result = getattr(owner, name)(*arguments, **keywords)
    return ["ok", result, [arguments, keywords] if in_place else None]


def attribute(namespace: dict, owner, name: str) -> list:
    """An attribute of one of the program's objects: its value, or the mark of a method."""
    found = getattr(owner, name)
    return ["ok", None, ["method"]] if isinstance(found, METHODS) else ["ok", found, None]


def operate(namespace: dict, name: str, operands: list) -> list:
    """The result of one of Python's operators or protocols on the program's objects."""
    return ["ok", OPERATIONS[name](*operands), None]


def in_parts(owner) -> carriers.Kept:
    """An iterator over one of the program's objects; the judge asks it for items in parts."""
    return carriers.Kept(iter(owner))


def leave(owner) -> None:
    """The end of a with statement without an exception."""
    type(owner).__exit__(owner, None, None, None)


OPERATIONS = {
    name: getattr(operator, name)
    for name in """add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift neg pos abs invert
    iadd isub imul itruediv iand ior ixor lt le gt ge contains getitem setitem delitem""".split()
} | {
    "bool": bool,
    "str": str,
    "repr": repr,
    "format": format,
    "len": len,
    "int": int,
    "float": float,
    "index": operator.index,
    "round": round,
    "call": lambda owner, arguments, keywords: owner(*arguments, **keywords),
    "setattr": setattr,
    "delattr": delattr,
    "isinstance": isinstance,
    "iter": iter,  # sent by value
    "in_parts": in_parts,
    "part": lambda iterator, number: list(itertools.islice(iterator, number)),
    "enter": lambda owner: type(owner).__enter__(owner),
    "leave": leave,
}


def value(namespace: dict, name: str) -> list:
    """One of the program's variables."""
    if name not in namespace:
        raise NameError(f"the code does not define {name!r}")
    return ["ok", namespace[name], None]


def run_test(namespace: dict, test: str, entry_point: str) -> list:
    """Shared isolation: runs the test in the code's own namespace."""
    tests = sys.modules[TEST_PROGRAMS]
    program = tests.analyse(test, "", entry_point)
    tally = tests.Tally(program.goes_on, trusted=False)
    namespace.update({tests.TALLY: tally, tests.IN_PLACE: lambda function, *a, **k: function(*a, **k)})
    try:
        exec(program.code, namespace)
        tests.run_test_classes(namespace, tally)
    except Exception as error:
        tally.note(error)
    return ["ok", [tally.passed, tally.failed, tally.first], None]


REQUESTS = {
    "call": call,
    "value": value,
    "test": run_test,
    "make": make,
    "method": method,
    "attribute": attribute,
    "operate": operate,
}
