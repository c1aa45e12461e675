"""Functions, classes and objects of the code as a test in the judge sees them: stand-ins that ask the child.

A function is a `Proxy`, a class a `ClassProxy`, an instance a `Handle`, an iterator a `RemoteIterator`. Attributes,
methods, items, len, str and operators are requests. An instance of the code's own subclass of a plain class is a plain
value here that can also be asked (`Sub`). The answer is a value or another stand-in, whatever the code does:
- `==` never asks the code about a plain value: a handle equals none. Two handles are compared by the code's own `==`,
  but where the test made one of them itself, it runs in shared isolation (needs.py).
- Binary operators and comparisons need an instance that the test made, or two handles. An object that the code
  returned instead of a number must not see the expected value.
- For the same reason it must not be called by a method of a plain value, such as `startswith(expected)`.
- Reads between two calls must agree: an object that gives two answers to one question ends the test. Only numbers
  that pass with time may differ; then the first answer counts.
"""

import datetime
import itertools
import types
from collections.abc import Callable, Iterator

from raccoon.exchange import heap, kinds
from raccoon.exchange.values import MAX_ITEMS, Inline, pairs
from raccoon.test_texts.code_results import CARRIED, CARRIED_METHODS, MUTATORS

READS = frozenset("bool str repr format len int float index round isinstance getitem hash dir iterate contains".split())
PASSING = (float, datetime.datetime, datetime.timedelta)  # what a clock gives may differ between two reads
DESCRIBING = frozenset("__name__ __qualname__ __doc__ __module__ __wrapped__".split())  # what a function says of itself
TEXTS = {"__str__", "__repr__", "__format__"}
ASSENTING = {name for kind in (str, bytes, set, float) for name in dir(kind) if name.startswith("is")} | {"all", "any"}
HARMLESS = MUTATORS | set("get keys values items copy popleft pop".split())
DATA = {name for kind in CARRIED for name in dir(kind)}  # of plain values, never called: the start of a range, a day
DATA -= {name for kind in CARRIED for name in dir(kind) if callable(getattr(kind, name))}
QUERIES = frozenset(CARRIED_METHODS - HARMLESS - DATA)  # methods of plain values that may get an expected value
RESERVED = "verdict_"  # attributes of an exception that only the judge sets
PLAIN_BASE = "plain_base"  # attribute of the class that represents a subclass of a plain one
TWO_ANSWERS = "exception: an object of the code gave two answers to one question"


class Proxy:
    """Represents one function of the code in a test."""

    def __init__(self, child, name: str):
        self._child, self.__name__ = child, name

    def __call__(self, *arguments, **keywords):
        return self._child.request("call", self.__name__, Inline(arguments), pairs(keywords))[0]

    def __getattr__(self, name: str):
        if name.startswith("__") and name not in DESCRIBING:
            raise AttributeError(f"function {self.__name__!r} has no attribute {name!r} here")
        value, is_method = self._child.request("attribute", self, name)
        if is_method is not True:
            return value
        ask = self._child.request
        return lambda *arguments, **keywords: ask("method", self, name, Inline(arguments), pairs(keywords))[0]


class ClassProxy(Proxy):
    """Represents one class of the code in a test, or a function with a name like a class."""

    def __call__(self, *arguments, **keywords):
        made = self._child.request("make", self.__name__, Inline(arguments), pairs(keywords))[0]
        return self._child.heap.as_made(made, True)

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


class Handle:
    # Represents one object of the code in a test. `made`: the test made it by calling the code's class; None: it is a
    # variable of the code, which may stand for a library that the test has not imported, so it must see no value of
    # the test. What a test reads as __doc__ is that of the object, so this class has none.

    __doc__ = property(lambda self: self.__getattr__("__doc__"))
    __slots__ = ("__child", "__number", "__name", "__made", "__traits", "__methods")

    def __init__(self, child, number: int, name: str, made: bool | None, traits: frozenset = frozenset(heap.TRAITS)):
        fields = {"child": child, "number": number, "name": name, "made": made, "traits": traits, "methods": {}}
        for field, value in fields.items():
            object.__setattr__(self, f"_Handle__{field}", value)

    def __getattr__(self, name: str):
        if name.startswith("__") and name.endswith("__") and name not in DESCRIBING:
            raise AttributeError(f"{self.__name!r} object has no attribute {name!r} here")
        if name in self.__methods:
            return self.__methods[name]
        value, is_method = self.__child.heap.agreed(("attribute", self.__number, name), "attribute", self, name)
        if name not in CARRIED_METHODS:
            self.__child.heap.read_as_objects.add(self.__number)
        guarded = (name in QUERIES or self.__made is None) and not self.__made
        if is_method is not True and not (guarded and (callable(value) or isinstance(value, Handle))):
            return value
        if is_method is not True or name in QUERIES and guarded and name in ASSENTING:
            raise AttributeError(f"{self.__name!r} object, returned by the code, must not answer {name!r}")
        self.__methods[name] = Method(self.__child, self, name, guarded)
        return self.__methods[name]

    def __eq__(self, other) -> bool:
        if self is other or not isinstance(other, Handle):
            return self is other
        if self.__child is not other.__child or self.__number == other.__number:
            return self.__child is other.__child
        return self.__child.request("operate", "eq", Inline([self, other]))[0] is True

    def __ne__(self, other) -> bool:
        if self is other or not isinstance(other, Handle) or self.__child is not other.__child:
            return self is not other
        return self.__child.request("operate", "ne", Inline([self, other]))[0] is True

    def __hash__(self) -> int:
        return hash(ask(self, "hash"))

    def __reduce_ex__(self, _protocol):
        raise TypeError(f"{self.__name!r} object of the code cannot be copied here")

    def __bool__(self) -> bool:
        return not self.__traits & {"__bool__", "__len__"} or ask(self, "bool") is True

    def __iter__(self) -> Iterator:
        memory = self.__child.heap.memory
        if self.__made:
            memory.clear()  # to go through it may change it
            return iter(iterated(self, "iterate"))
        known = memory.setdefault(("items", self.__number), [])
        return repeated(iterated(self, "iterate"), known, self)

    def __reversed__(self) -> Iterator:
        return iter(iterated(self, "reversed"))

    def __next__(self):
        return following(*self.__child.request("take", self, 1), self.__child)

    def __contains__(self, item) -> bool:
        alone = self.__made or isinstance(item, Handle) or self.__number in self.__child.heap.read_as_objects
        held = None if alone else any(item is own or item == own for own in iter(self))  # before the code sees the item
        said = ask(self, "contains", item) is True
        if not alone and held != said:
            self.__child.end(TWO_ANSWERS)
        return said

    def __getitem__(self, key):
        found = ask(self, "getitem", key)
        is_sequence = "__iter__" in self.__traits and "keys" not in self.__traits and not self.__made
        if is_sequence and type(key) is int and key >= 0:
            items = list(itertools.islice(iter(self), key, key + 1))
            if not items or not alike(items[0], found):
                self.__child.end(TWO_ANSWERS)
        return found

    def __exit__(self, kind, error, trace) -> bool:
        if kind is None:
            ask(self, "leave")
        elif self.__child.heap.is_raised_by_test(error):
            return ask(self, "leave", error) is True
        return False  # the code must not swallow the failure of an assertion, or of what the test does with its answer


class Caller(Handle):
    # Represents a function, a class or another object of the code that can be called.

    __doc__ = Handle.__doc__
    __slots__ = ()

    def __call__(self, *arguments, **keywords):
        return ask(self, "call", Inline(arguments), pairs(keywords))


class Sub:
    """The part of a code's own subclass of a plain class that asks the code: attributes that the plain class lacks."""

    def __getattr__(self, name: str):
        if name.startswith(("__", RESERVED)):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r} here")
        return getattr(handle_of(self), name)


def child_of(handle: Handle):
    """The child in which a handle's object lives."""
    return handle._Handle__child


def name_of(value: "Handle | RemoteIterator") -> str:
    """The name of the object's class, as the child reported it."""
    return value._name if type(value) is RemoteIterator else value._Handle__name


def number_of(value: "Handle | RemoteIterator") -> int:
    """The number of an object of the code."""
    return value._number if type(value) is RemoteIterator else value._Handle__number


def handle_of(value: Handle | Sub) -> Handle:
    """The handle of a value that can be asked."""
    return value if isinstance(value, Handle) else object.__getattribute__(value, "__dict__")[kinds.HANDLE]


def ask(handle, name: str, *operands):
    """The code's answer to one request about its object."""
    child = child_of(handle)
    if name not in READS or name == "iterate" or not {int, str}.issuperset(map(type, operands)):
        return child.request("operate", name, Inline([handle, *operands]))[0]
    return child.heap.agreed((name, number_of(handle), *operands), "operate", name, Inline([handle, *operands]))[0]


def same(one, other) -> bool:
    """What `one is other` means for objects of the code, which may have several handles."""
    remote = [isinstance(value, (Handle, RemoteIterator)) for value in (one, other)]
    return number_of(one) == number_of(other) if all(remote) else one is other


def alike(one, other) -> bool:
    """Whether two answers of the code are the same, without asking it."""
    if isinstance(one, Handle) or isinstance(other, Handle):
        return same(one, other)
    if type(one) is RemoteIterator or one is other or type(one) is not type(other):
        return type(one) is type(other)
    if base := getattr(type(one), PLAIN_BASE, None):  # past a method that the code's class replaces
        return base.__eq__(one, other) is True
    return one == other or one != one


# --- methods of the classes above -------------------------------------------------------------------------------------


def asking(name: str) -> Callable:
    """A method that only the code can answer, such as the text of an object."""
    return lambda value, *arguments: ask(handle_of(value), name, *arguments)


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
            plain, said = list(plain), list(iterated(handle, "iterate"))
        else:
            said = ask(handle, name.strip("_"), *arguments)
        if type(plain).__eq__(plain, said) is not True:
            child_of(handle).end(TWO_ANSWERS)
        return iter(plain) if name == "__iter__" else said

    return method


def _binary(name: str, reflected: bool = False) -> Callable:
    def operate(handle: Handle, other):
        if not handle._Handle__made and not isinstance(other, Handle):
            return NotImplemented  # the other operand must not reach the code
        operands = [other, handle] if reflected else [handle, other]
        return child_of(handle).request("operate", name, Inline(operands))[0]

    return operate


def _augmented(name: str) -> Callable:
    def operate(handle: Handle, other):
        """In place: the result may be the object itself, or what a test's own instance gives."""
        result = child_of(handle).request("operate", name, Inline([handle, other]))[0]
        if same(result, handle):
            return handle
        return result if handle._Handle__made or isinstance(other, Handle) else NotImplemented

    return operate


def _add_methods() -> None:
    for name in """dir str repr format int float complex bytes index round len enter setattr delattr setitem delitem
    neg pos abs invert""".split():
        setattr(Handle, f"__{name}__", asking(name))
    for name in "add sub mul truediv floordiv mod divmod pow matmul and_ or_ xor lshift rshift".split():
        bare = name.rstrip("_")
        setattr(Handle, f"__{bare}__", _binary(name))
        setattr(Handle, f"__r{bare}__", _binary(name, reflected=True))
    for name in "lt le gt ge".split():
        setattr(Handle, f"__{name}__", _binary(name))
    for name in "iadd isub imul itruediv iand ior ixor".split():
        setattr(Handle, f"__{name}__", _augmented(name))


_add_methods()


# --- iterators and methods of the code --------------------------------------------------------------------------------


class RemoteIterator:
    """Represents an iterator of the code. Items are computed one by one, when the test takes them."""

    def __init__(self, child, number: int, name: str):
        self._child, self._number, self._name = child, number, name
        self._ahead: list = []
        self._rest, self._many, self._value = "more", 1, None

    @property  # type: ignore[misc]  # it is read-only: isinstance() asks for it
    def __class__(self):
        return types.GeneratorType if self._name == "generator" else RemoteIterator

    def __iter__(self):
        return self

    def __next__(self):
        if not self._ahead and self._rest == "more":
            items, self._rest, self._value = self._child.request("take", self, self._many)
            self._ahead = items[::-1] if type(items) is list else []
        if self._ahead:
            return self._ahead.pop()
        value, self._value = self._value, None
        return following([], self._rest, value, self._child)

    def __length_hint__(self) -> int:
        self._many = MAX_ITEMS  # list() and sorted() ask for it before they take everything
        return 0

    def __getattr__(self, name: str):
        if name not in ("send", "throw", "close"):
            raise AttributeError(f"{self._name!r} object has no attribute {name!r} here")
        return lambda *arguments: self._child.request("method", self, name, Inline(arguments), Inline())[0]

    def __repr__(self) -> str:
        return f"<{self._name} object>"


def following(items, rest, value, child):
    """The one item, or what follows the last one: StopIteration with a value, or the code's own exception."""
    if type(items) is list and items:
        return items[0]
    if type(rest) is list:
        raise child.raised(rest)
    raise StopIteration if value is None else StopIteration(value)


def iterated(handle: Handle, how: str) -> RemoteIterator:
    """The iterator that the code gives for one of its objects. Raises TypeError if it gives none."""
    iterator = ask(handle, how)
    if isinstance(iterator, Handle):
        return RemoteIterator(child_of(iterator), number_of(iterator), name_of(iterator))
    if type(iterator) is not RemoteIterator:
        raise TypeError(f"{name_of(handle)!r} object is not iterable")
    return iterator


def repeated(iterator: RemoteIterator, known: list, owner: Handle) -> Iterator:
    """The items of an object that the code returned, which must be the same each time that it is gone through."""
    place = -1
    for place, item in enumerate(iterator):
        if place == len(known):
            known.append(item)
        elif not alike(known[place], item):
            child_of(owner).end(TWO_ANSWERS)
        yield item
    said = child_of(owner).heap.memory.get(("len", number_of(owner)), [place + 1])
    if place + 1 != len(known) or said[0] != len(known):
        child_of(owner).end(TWO_ANSWERS)


class Method:
    """One method of an object or a class of the code. `guarded`: it accepts no plain value from the test."""

    def __init__(self, child, owner: Handle, name: str, guarded: bool):
        self._child, self._owner, self.__name__, self._guarded = child, owner, name, guarded

    def __call__(self, *arguments, **keywords):
        if self._guarded and not all(isinstance(given, Handle) for given in (*arguments, *keywords.values())):
            kind = name_of(self._owner)  # an object takes the position of a plain value in the test
            raise AttributeError(f"{kind!r} object, returned by the code, must not answer {self.__name__!r}")
        return self._child.request("method", self._owner, self.__name__, Inline(arguments), pairs(keywords))[0]
