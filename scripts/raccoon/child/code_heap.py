"""The child's side of the objects that it shares with the judge, and the test's functions as the code sees them."""

import functools
import sys
import types

from raccoon.exchange import frames, heap, values

MAX_MESSAGE = 1000  # characters of an exception's message
MAX_CAUSES = 5  # exceptions behind an exception


def failure(error: BaseException, causes: int = MAX_CAUSES) -> list:
    """["error", class, its standard classes from the most special to the most general, message, exception]

    The exception is sent as a value; it is None where it cannot be sent.
    """
    standard = [f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__ if is_standard(kind)]
    try:
        message = str(error)[:MAX_MESSAGE]
    except BaseException:
        message = ""
    return values.Inline(["error", type(error).__name__, standard, message, error if causes else None])


def is_standard(kind: type) -> bool:
    """Whether a class is the one of the standard library that its module and name say, not another with that name."""
    return heap.standard_object(kind.__module__, kind.__name__) is kind


class TestFunction:
    """A function of the test, as the code sees it."""

    def __init__(self, conversation, number: int, name: str, text: str, parameters: list):
        self.__name__ = self.__qualname__ = name
        self.__doc__, self._parameters = text, parameters
        self._ask = functools.partial(conversation.ask_test, number)

    @property
    def __signature__(self):
        inspect = sys.modules["inspect"]  # which asks for it
        empty = inspect.Parameter.empty
        return inspect.Signature(
            [
                inspect.Parameter(name, getattr(inspect.Parameter, kind), default=None if optional else empty)
                for name, kind, optional in self._parameters
            ]
        )

    def __call__(self, *arguments, **keywords):
        return self._ask("call", values.Inline(arguments), values.pairs(keywords))

    def __get__(self, owner, kind=None):
        return self if owner is None else types.MethodType(self, owner)


class TestIterator:
    """An iterator of the test, as the code sees it."""

    def __init__(self, conversation, number: int, name: str):
        self._ask, self._ahead, self._many = functools.partial(conversation.ask_test, number), [], 1

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


class Kept:
    """Marks a value that the child keeps as an object, whatever its class."""

    def __init__(self, owner):
        self.owner = owner


class CodeHeap(heap.Heap):
    """The child's side of the shared objects."""

    first = 1

    def __init__(self, conversation):
        super().__init__(conversation.program["tracks"])
        self.conversation = conversation

    def encoded(self, value, kind: type, encode) -> dict:
        """The encoded form of a value that is not plain."""
        if kind is Kept:
            return self.object(value.owner)
        if (number := self._numbers.get(id(value))) is not None and number % 2 != self.first:
            return {"r": number}  # an object of the test
        if isinstance(value, type):
            return self.class_(value)
        if self.structures and kind.__name__ in self.structures:
            return self.reference(value, self.structure_kind(kind.__name__), [kind.__name__])
        if isinstance(value, BaseException):
            return self.error(value, encode)
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            items = [encode(item) for item in tuple.__iter__(value)]
            return {"namedtuple": [self.keep(value), kind.__name__, list(kind._fields), items]}
        if found := heap.base_of(value):
            return self.of_a_base(value, kind, *found, encode)
        return self.object(value)

    def object(self, value) -> dict:
        """An object that stays here, with what it is besides ("lazy": Python's iterator, or "call") and its traits."""
        kind = type(value)
        lazy = kind.__module__.partition(".")[0] in values.STANDARD_MODULES and hasattr(kind, "__next__")
        self.tracks |= lazy  # its items may be one list, which it changes
        flag = "lazy" if lazy and not hasattr(kind, "read") else "call" if callable(value) else ""
        traits = [hasattr(kind, name) for name in heap.TRAITS]
        return {"object": [self.keep(value), kind.__name__[:100], flag, traits]}

    def of_a_base(self, value, kind: type, base: type, changing, encode) -> dict:
        """An instance of the code's own subclass of list, int and the like: its plain value with the class's name."""
        own = [name for name in heap.OWN if getattr(kind, name, None) is not getattr(base, name, None)]
        names = [kind.__name__, *own]
        if changing is not None:
            return self.reference(value, changing, names)
        return {"sub": [self.keep(value), names, base.__name__, encode(FLATTEN[base](value))]}

    def class_(self, kind: type) -> dict:
        """A class: a known one by its name, an exception of the code's own with its bases, another one as an object."""
        if kind in heap.KNOWN or issubclass(kind, BaseException) and is_standard(kind):
            return {"standard": [kind.__module__, kind.__name__]}
        if not issubclass(kind, BaseException):
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
        kind = self.conversation.namespace.get(name)
        try:
            return object.__new__(kind)
        except TypeError:  # the name is not a class any more, or one of another layout
            return object.__new__(self.structures[name])

    def fill(self, instance, columns: list[list]) -> None:
        """Sets the fields of a structure without running code of its class."""
        for name, value in zip(*columns, strict=True):
            try:
                object.__setattr__(instance, name, value)
            except AttributeError:  # the program's own class has slots or a read-only property of that name
                continue

    def method(self, payload, decode):
        """A method of one of the program's objects."""
        number, name = payload
        return getattr(self.objects[number], name)

    def named(self, name, decode):
        """One of the program's functions or classes."""
        return self.conversation.namespace[name]

    def standard(self, payload, decode):
        """A class or function of the standard library."""
        return heap.standard_object(*payload)

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
        "method": method,
        "named": named,
        "standard": standard,
        "test": of_the_test,
        "exception": exception,
    }


FLATTEN = {  # the plain value of a subclass, past its own methods
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    complex: complex.__pos__,
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}
