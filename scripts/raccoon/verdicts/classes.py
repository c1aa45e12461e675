"""Classes of the code as a test in the judge sees them, and instances of its subclasses of plain classes."""

from collections.abc import Callable, Iterator

from raccoon.exchange import kinds
from raccoon.exchange.values import Inline, pairs
from raccoon.verdicts.handles import RESERVED, TWO_ANSWERS, Handle, ask, child_of, iterated


class ClassProxy:
    """Represents one class of the code in a test, or a function with a name like a class."""

    def __init__(self, child, name: str):
        self._child, self.__name__ = child, name

    def __call__(self, *arguments, **keywords):
        made = self._child.request("make", self.__name__, Inline(arguments), pairs(keywords))[0]
        return self._child.heap.made_by_test(made)

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(f"class {self.__name__} has no attribute {name!r} here")
        return getattr(self._kind(), name)

    def __iter__(self) -> Iterator:
        return iter(self._kind())  # an Enum

    def __getitem__(self, key):
        return ask(self._kind(), "getitem", key)

    def __len__(self) -> int:
        return ask(self._kind(), "len")

    def __contains__(self, item) -> bool:
        return ask(self._kind(), "contains", item) is True

    def __instancecheck__(self, instance) -> bool:
        kind = self._kind()
        if isinstance(kind, type):  # an exception of the code
            return isinstance(instance, kind)
        return isinstance(instance, (Handle, Sub)) and ask(handle_of(instance), "isinstance", kind) is True

    def _kind(self):
        return self._child.request("value", self.__name__)[0]


class Sub:
    """The part of a code's own subclass of a plain class that asks the code: attributes that the plain class lacks."""

    def __getattr__(self, name: str):
        if name.startswith(("__", RESERVED)):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r} here")
        return getattr(handle_of(self), name)


def asking(name: str) -> Callable:
    """A method that only the code can answer, such as the text of an object."""
    return lambda value, *arguments: ask(handle_of(value), name.strip("_"), *arguments)


def agreeing(name: str, plain_method: Callable, own: list[str]) -> Callable:
    """A method that the code's class replaces: the plain class and the code must give one answer.

    Only for a key that the plain class does not know, the code's answer counts: a default for missing keys.
    """

    def method(value, *arguments):
        handle = handle_of(value)
        try:
            plain = plain_method(value, *arguments)
        except LookupError:
            if {"__missing__", "__getitem__"}.isdisjoint(own):
                raise
            return ask(handle, "getitem", *arguments)
        if plain is NotImplemented:
            return plain
        if name == "__iter__":
            plain = list(plain)
            said = list(iterated(handle, ask(handle, "iterate")))
        else:
            said = ask(handle, name.strip("_"), *arguments)
        if type(plain).__eq__(plain, said) is not True:
            child_of(handle).end(TWO_ANSWERS)
        return iter(plain) if name == "__iter__" else said

    return method


def handle_of(value: Handle | Sub) -> Handle:
    """The handle of a value that can be asked."""
    return value if isinstance(value, Handle) else object.__getattribute__(value, "__dict__")[kinds.HANDLE]
