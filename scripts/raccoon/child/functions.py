"""The child: runs one untrusted program and answers the judge's requests with values, until it is killed.

Code of the program runs in this process. So nothing secret may be in it, and everything that it sends is treated as
data only (exchange/values.py, exchange/heap.py).
"""

import _thread
import builtins
import collections
import contextlib
import functools
import linecache
import operator
import sys
import time
import types
from collections.abc import Callable
from typing import Any

from raccoon.child.programs import FILENAME, MAX_CAUSES, MAX_PROGRAM, adapt, failure
from raccoon.exchange import frames, heap, values
from raccoon.exchange.values import Inline, pairs

MODULE = "solution"  # its name for itself: a main guard belongs to a script, and this code is called by a test
TEST_PROGRAMS = "raccoon.test_texts.test_programs"
TAKING = 0.02  # seconds after which no further item is taken ahead
Kept = collections.namedtuple("Kept", "value")  # a value that the child keeps as an object, whatever its class
METHODS = (types.FunctionType, types.MethodType, types.BuiltinMethodType, types.MethodWrapperType, functools.partial)


def answer_requests(job: int) -> None:
    """Loads the program from `job`, then answers requests one by one.

    It ends when the judge closes the channel, or after the requests that the judge has planned. Planned calls with
    plain values come with the program. `later` frames with more of them come when these have been answered.
    """
    incoming = frames.FrameReader(job)
    program = values.plain(incoming.read(MAX_PROGRAM))
    planned = [incoming.read() for _ in range(program["planned"])]  # else the judge may wait to send them
    conversation = Conversation(job, incoming, program)
    conversation.reply(attempt(conversation.load))
    if program["plain"]:
        conversation.answer_calls(program["calls"])
        if program["later"]:
            conversation.answer_calls(values.plain(incoming.read()))
        return
    for frame in planned:
        conversation.answer(frame)
    if planned or program["later"]:
        planned = [incoming.read() for _ in range(program["later"])]
    for frame in planned or iter(incoming.read, None):
        conversation.answer(frame)


def attempt(action, *arguments) -> list:
    """The result of `action`, or the failure that it raised; SystemExit is a failure too."""
    try:
        return action(*arguments)
    except BaseException as error:
        return failure(error)


class Conversation:
    """The program and its channel to the judge."""

    turn = _thread.RLock()  # of the thread that waits for the test

    def __init__(self, job: int, incoming: frames.FrameReader, program: dict):
        self.job, self.incoming, self.program = job, incoming, program
        module = types.ModuleType(MODULE)
        module.__file__ = FILENAME
        sys.modules[MODULE] = sys.modules["__main__"] = module
        self.namespace = module.__dict__
        self._heap: CodeHeap | None = None

    @property
    def heap(self) -> "CodeHeap":
        """The objects that are shared with the judge. Most programs share none: what is not made touches no memory."""
        if self._heap is None:
            self._heap = CodeHeap(self)
        return self._heap

    def load(self) -> list:
        """Runs the program's top level. The context's classes are known before code of the program runs."""
        context, code = self.program["context"], self.program["code"]
        if context:
            exec(compile(context, "context.py", "exec", dont_inherit=True), self.namespace)
            if self.program["tracks"]:
                self.heap.structures = heap.structures(self.namespace)
        try:
            compiled = compile(code, FILENAME, "exec", dont_inherit=True)
        except BaseException as error:
            return Inline(["syntax", *failure(error)[1:]])
        linecache.cache[FILENAME] = (lambda: code,)  # split into lines only when needed
        adapt(code)
        exec(compiled, self.namespace)
        return ok(None)

    def answer_calls(self, calls: list[list]) -> None:
        """Answers planned calls. In one function, because each function that runs touches memory, which costs time."""
        for _, name, arguments, keywords in calls:
            if keywords or not values.all_plain(arguments):
                arguments, keywords = values.decode([arguments, keywords], 0, self.heap)
            try:
                result = defined(self.namespace, name)(*arguments, **dict(keywords))
            except BaseException as error:
                self.reply(failure(error))
                continue
            if not values.write_plain(self.job, result):
                self.reply(ok(result))

    def answer(self, frame: bytes) -> None:
        """Does what one request asks for, and replies."""
        kind, *details = values.loads(frame, self.heap)
        self.reply(attempt(REQUESTS[kind], self, *details))

    def reply(self, reply: list) -> None:
        """Sends the reply to a request, or a call of one of the test's own functions."""
        try:
            data = values.dumps(reply, self.heap)
        except (frames.ValueLimit, MemoryError):
            data = b""  # no answer: an error would look like one that the code raised
        except BaseException as error:
            data = values.dumps(failure(error, 0), self.heap)
        frames.write_frame(self.job, data)

    def ask_test(self, number: int, *details):
        """The result of a call of a function or an iterator of the test. The test may call the code meanwhile."""
        with self.turn:
            self.reply(Inline(["callback", number, *details]))
            while True:
                kind, *details = values.loads(self.incoming.read(), self.heap)
                if kind == "return":
                    return details[0]
                if kind == "raise":
                    raise details[0]
                self.reply(attempt(REQUESTS[kind], self, *details))


def ok(*parts) -> list:
    """The reply to a request that was done."""
    return Inline(["ok", *parts])


def defined(namespace: dict, name: str):
    """One of the program's functions or classes."""
    if name not in namespace:
        raise NameError(f"the code does not define {name!r}")
    if not callable(namespace[name]):
        raise TypeError(f"{name!r} is not a function but of type {type(namespace[name]).__name__}")
    return namespace[name]


def make(conversation: Conversation, name: str, arguments: list, keywords: list) -> list:
    """An instance of one of the program's classes. It always stays in this process."""
    kind = defined(conversation.namespace, name)
    result = kind(*arguments, **dict(keywords))
    return ok(Kept(result) if isinstance(kind, type) else result)


def value(conversation: Conversation, name: str) -> list:
    """One of the program's variables."""
    if name not in conversation.namespace:
        raise NameError(f"the code does not define {name!r}")
    return ok(conversation.namespace[name])


def attribute(conversation: Conversation, owner, name: str) -> list:
    """["ok", value, is it a method] of an attribute of one of the program's objects."""
    found = getattr(owner, name)
    return ok(None, True) if isinstance(found, METHODS) else ok(found, False)


def take(conversation: Conversation, iterator, most: int) -> list:
    """["ok", items, what follows them, value] of an iterator.

    "more", "end" with the value that a generator has returned, or the failure of the next item.
    """
    items = Inline()
    conversation.heap.tracks = True  # as the items may be one list, which the iterator changes
    until = time.monotonic() + TAKING
    try:
        while len(items) < most and (not items or time.monotonic() < until):
            items.append(next(iterator))
    except StopIteration as stop:
        return ok(items, "end", stop.value)
    except BaseException as error:
        return ok(items, failure(error), None)
    return ok(items, "more", None)


def seed(conversation: Conversation, module: str, arguments: list) -> list:
    """Seeds a generator of random numbers that the test has seeded, as both share it in one process."""
    if module in sys.modules:
        sys.modules[module].seed(*arguments)
    return ok(None)


def run_test(conversation: Conversation, test: str, entry_point: str) -> list:
    """Shared isolation: runs the test in the code's own namespace."""
    tests, namespace = sys.modules[TEST_PROGRAMS], conversation.namespace
    namespace["__name__"], original = "__main__", dict(vars(builtins))
    program = tests.analyse(test, "", entry_point, shared=True)
    tally = tests.Tally(program.goes_on)
    namespace[tests.TALLY] = tally
    try:
        exec(program.code, namespace)
        if program.test_cases:
            tests.run_test_classes(namespace, tally)
    except BaseException as error:
        if not (isinstance(error, SystemExit) and not error.code and tests.is_raised_by_test(error)):
            tally.note(error)
    finally:
        vars(builtins).update(original)  # the test may have replaced some
    return ok([tally.passed, tally.failed, tally.first])


REQUESTS = {
    "call": lambda conversation, name, arguments, keywords: ok(
        defined(conversation.namespace, name)(*arguments, **dict(keywords))
    ),
    "method": lambda _, owner, name, arguments, keywords: ok(getattr(owner, name)(*arguments, **dict(keywords))),
    "operate": lambda _, name, operands: ok(OPERATIONS[name](*operands)),
    "make": make,
    "value": value,
    "attribute": attribute,
    "take": take,
    "seed": seed,
    "test": run_test,
}
OPERATIONS: dict[str, Callable] = {  # Python's operators and protocols on the program's objects
    name: getattr(operator, name, None) or getattr(builtins, name)
    for name in """add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift neg pos abs invert iadd isub
    imul itruediv iand ior ixor eq ne lt le gt ge contains getitem setitem delitem index divmod bool str repr format len
    int float complex bytes round hash setattr delattr isinstance dir""".split()
} | {
    "radd": lambda owner, other: other + owner,
    "rsub": lambda owner, other: other - owner,
    "rmul": lambda owner, other: other * owner,
    "call": lambda owner, arguments, keywords: owner(*arguments, **dict(keywords)),
    "iterate": lambda owner: Kept(iter(owner)),
    "reversed": lambda owner: Kept(reversed(owner)),
    "enter": lambda owner: type(owner).__enter__(owner),
    # Whether the code's object swallows the exception at the end of a with statement.
    "leave": lambda owner, error=None: bool(type(owner).__exit__(owner, error and type(error), error, None)),
}


class TestFunction:
    """A function of the test, as the code sees it."""

    def __init__(self, conversation: Conversation, number: int, name: str, text: str, parameters: list):
        self.__name__ = self.__qualname__ = name
        self.__doc__, self._parameters = text, parameters
        self._ask = functools.partial(conversation.ask_test, number)

    @property
    def __signature__(self):
        inspect = sys.modules["inspect"]  # which asks for it
        make, parameters = inspect.Parameter, []
        for name, kind, optional in self._parameters:
            parameters.append(make(name, getattr(make, kind), default=None if optional else make.empty))
        return inspect.Signature(parameters)

    def __call__(self, *arguments, **keywords):
        return self._ask("call", Inline(arguments), pairs(keywords))

    def __get__(self, owner, kind=None):
        return self if owner is None else types.MethodType(self, owner)


class TestIterator:
    """An iterator of the test, as the code sees it."""

    def __init__(self, conversation: Conversation, number: int, name: str):
        self._ask, self._many = functools.partial(conversation.ask_test, number), 1
        self._ahead: list = []

    def __iter__(self):
        return self

    def __next__(self):
        if not self._ahead:
            self._ahead = self._ask("take", self._many)[::-1]
        if not self._ahead:
            raise StopIteration
        return self._ahead.pop()

    def __length_hint__(self) -> int:
        self._many = values.MAX_ITEMS  # list() and sorted() ask for it before they take everything
        return 0


OF_THE_TEST = {"function": TestFunction, "iterator": TestIterator}


class CodeHeap(heap.Heap):
    """The child's side of the objects that it shares with the judge."""

    first = 1

    def __init__(self, conversation: Conversation):
        super().__init__(conversation.program["tracks"])
        self.conversation = conversation

    def encoded(self, value, kind: type, encode) -> dict:
        """The encoded form of a value that is not plain."""
        if kind is Kept:
            return self.object(value.value)
        if (number := self._numbers.get(id(value))) is not None and number % 2 != self.first:
            return {"r": number}  # an object of the test
        if isinstance(value, type):
            return self.class_(value)
        if self.structures and kind.__name__ in self.structures:
            return self.reference(value, self.structure_kind, [kind.__name__])
        if isinstance(value, BaseException):
            return self.error(value, encode)
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            items = [encode(item) for item in tuple.__iter__(value)]
            return {"namedtuple": [self.keep(value), kind.__name__, list(kind._fields), items]}
        base, changing = heap.base_of(value)
        if base is None:
            return self.object(value)
        # An instance of the code's own subclass of list, int and the like: its plain value with the class's name.
        own = [name for name in heap.OWN if getattr(kind, name, None) is not getattr(base, name, None)]
        if changing is not None:
            return self.reference(value, changing, [kind.__name__, *own])
        return {"sub": [self.keep(value), [kind.__name__, *own], base.__name__, encode(FLATTEN[base](value))]}

    def object(self, value) -> dict:
        """An object that stays here, with what it is besides ("lazy": Python's iterator, or "call") and its traits."""
        kind = type(value)
        lazy = kind.__module__.partition(".")[0] in values.STANDARD_MODULES and hasattr(kind, "__next__")
        self.tracks |= lazy  # its items may be one list, which it changes
        flag = "lazy" if lazy and not hasattr(kind, "read") else "call" if callable(value) else ""
        traits = [hasattr(kind, name) for name in heap.TRAITS]
        return {"object": [self.keep(value), kind.__name__[:100], flag, traits]}

    def class_(self, kind: type) -> dict:
        """A class: a known one by its name, an exception of the code's own with its bases, another one as an object."""
        is_error = issubclass(kind, BaseException)
        if (is_error or kind in heap.KNOWN) and (name := heap.standard_name(kind)):
            return {"standard": name}
        if not is_error:
            return self.object(kind)
        bases = [self.class_(base) for base in kind.__bases__ if issubclass(base, BaseException)]
        return {"class": [self.keep(kind), kind.__name__, bases]}

    def error(self, error: BaseException, encode, causes: int = MAX_CAUSES) -> dict:
        """An exception: number, class, message, arguments, attributes and cause."""
        arguments = error.args
        if isinstance(error, OSError) and error.filename is not None:
            arguments = (*arguments, error.filename)
        parts = [self.keep(error), self.class_(type(error)), failure(error, 0)[3]]
        for part in (arguments, tuple(vars(error).items())):
            try:
                parts.append([encode(item) for item in part])
            except (frames.ValueLimit, RecursionError):
                parts.append([])
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        behind = self.error(cause, encode, causes - 1)["error"] if cause is not None and causes else None
        return {"error": [*parts, behind, error.__cause__ is not None]}

    def made(self, name: str):
        """A structure without its fields, of the class that has the name now."""
        kind: Any = self.conversation.namespace.get(name)
        try:
            return object.__new__(kind)
        except TypeError:  # the name is not a class any more, or one of another layout
            return object.__new__(self.structures[name])

    def fill(self, instance, columns: list[list]) -> None:
        """Sets the fields of a structure without running code of its class."""
        for name, value in zip(*columns, strict=True):
            with contextlib.suppress(AttributeError):  # the program's own class has slots, or a property of that name
                object.__setattr__(instance, name, value)

    def exception(self, payload, decode):
        """An exception of the test, as the nearest one of the standard library."""
        number, module, name, arguments = payload
        if number not in self.objects:
            self.enter(number, heap.standard_object(module, name)(*decode(arguments)))
        return self.objects[number]

    def of_the_test(self, payload, decode):
        """A function or an iterator of the test."""
        number, kind, *described = payload
        if number not in self.objects:
            self.enter(number, OF_THE_TEST[kind](self.conversation, number, *described))
        return self.objects[number]

    DECODERS = heap.Heap.DECODERS | {
        "method": lambda self, named, decode: getattr(self.objects[named[0]], named[1]),  # of a program's object
        "named": lambda self, name, decode: self.conversation.namespace[name],  # the program's function or class
        "standard": lambda self, named, decode: heap.standard_object(*named),
        "test": of_the_test,
        "exception": exception,
    }


FLATTEN: dict[type, Callable] = {  # the plain value of a subclass, past its own methods
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    complex: complex.__pos__,
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}
