"""Objects of the code as a test in the judge sees them: stand-ins with a number, and requests to the child.

A class is a `ClassProxy`, an instance a `Handle`, an iterator a `RemoteIterator`. Attributes, methods, items, len, str
and operators are requests. An instance of the code's own subclass of a plain class is a plain value here that can also
be asked (`Sub`). The answer is a value or another stand-in, whatever the code does:
- `==` never asks the code about a plain value: a handle equals none. Two handles are compared by the code's own `==`,
  but where the test made one of them itself, it runs in shared isolation (needs.py).
- Binary operators and comparisons need an instance that the test made, or two handles. An object that the code
  returned instead of a number must not see the expected value.
- For the same reason it must not be called by a method of a plain value, such as `startswith(expected)`.
- Reads between two calls must agree: an object that gives two answers to one question ends the test. Only numbers
  that pass with time may differ; then the first answer counts.
"""

import collections
import contextlib
import copy
import datetime
import inspect
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from raccoon.verdicts import heap, values
from raccoon.verdicts.control import OURS, Blank, NotCarried, NotPlanned
from raccoon.verdicts.needs import CARRIED_METHODS, MUTATORS
from raccoon.verdicts.test_programs import line_of
from raccoon.verdicts.values import Inline

READS = frozenset(
    "bool str repr format len int float index round isinstance getitem hash dir fields iterate contains".split()
)
PASSING = (float, datetime.datetime, datetime.timedelta)  # what a clock gives may differ between two reads
MAX_ITEMS = 10_000  # taken from an iterator at once
DESCRIBING = frozenset({"__name__", "__qualname__", "__doc__", "__module__", "__wrapped__"})  # what a function says of itself
MAX_BASES = 20  # levels of classes above an exception of the code
TEXTS = {"__str__", "__repr__", "__format__"}
ASSENTING = {name for kind in (str, bytes, set, float) for name in dir(kind) if name.startswith("is")} | {"all", "any"}
HARMLESS = MUTATORS | set("get keys values items copy popleft pop".split())
QUERIES = frozenset(CARRIED_METHODS - HARMLESS)  # methods of plain values that may get an expected value as an argument
TWO_ANSWERS = "exception: an object of the code gave two answers to one question"
RESERVED = "verdict_"  # attributes of an exception that only the judge sets


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

    @staticmethod
    def number_of(handle: "Handle", shared: heap.Heap) -> int:
        """The number of a handle's object in the child. Raises ValueLimit for an object of another program."""
        if handle.__child.heap is not shared:
            raise values.ValueLimit("an object of another program")
        return handle.__number

    @staticmethod
    def name_of(handle: "Handle") -> str:
        """The name of its class, as the child reported it."""
        return handle.__name

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
            refuse(self.__name, name)
        self.__methods[name] = Method(self.__child, self, name, guarded)
        return self.__methods[name]

    def __setattr__(self, name: str, value) -> None:
        ask(self, "setattr", name, value)

    def __delattr__(self, name: str) -> None:
        ask(self, "delattr", name)

    def __dir__(self):
        return ask(self, "dir")

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

    def __str__(self) -> str:
        return ask(self, "str")

    def __repr__(self) -> str:
        return ask(self, "repr")

    def __format__(self, spec: str) -> str:
        return ask(self, "format", spec)

    def __int__(self) -> int:
        return ask(self, "int")

    def __float__(self) -> float:
        return ask(self, "float")

    def __complex__(self) -> complex:
        return ask(self, "complex")

    def __bytes__(self) -> bytes:
        return ask(self, "bytes")

    def __index__(self) -> int:
        return ask(self, "index")

    def __round__(self, *digits):
        return ask(self, "round", *digits)

    def __len__(self) -> int:
        return ask(self, "len")

    def __iter__(self) -> Iterator:
        memory = self.__child.heap.memory
        if self.__made:
            memory.clear()  # to go through it may change it
            return iter(iterated(self, ask(self, "iterate")))
        known = memory.setdefault(("items", self.__number), [])
        return repeated(iterated(self, ask(self, "iterate")), known, self)

    def __reversed__(self) -> Iterator:
        return iter(iterated(self, ask(self, "reversed")))

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

    def __setitem__(self, key, value) -> None:
        ask(self, "setitem", key, value)

    def __delitem__(self, key) -> None:
        ask(self, "delitem", key)

    def __enter__(self):
        return ask(self, "enter")

    def __exit__(self, kind, error, trace) -> bool:
        if kind is None:
            ask(self, "leave")
        elif self.__child.heap.is_raised_by_test(error):
            return ask(self, "leave", error) is True
        return False  # the code must not swallow the failure of an assertion, or of what the test does with its answer

    @staticmethod
    def operated(handle: "Handle", name: str, other, reflected: bool):
        """The result of a binary operator; NotImplemented if the other operand must not reach the code."""
        if not handle.__made and not isinstance(other, Handle):
            return NotImplemented
        operands = [other, handle] if reflected else [handle, other]
        return handle.__child.request("operate", name, Inline(operands))[0]

    @staticmethod
    def called(handle: "Handle", arguments: tuple, keywords: dict):
        """The result of calling the object."""
        return ask(handle, "call", Inline(arguments), pairs(keywords))


class Caller(Handle):
    # Represents a function, a class or another object of the code that can be called.

    __doc__ = Handle.__doc__
    __slots__ = ()

    def __call__(self, *arguments, **keywords):
        return Handle.called(self, arguments, keywords)


def pairs(keywords: dict) -> Inline:
    """Keyword arguments in the form of the protocol."""
    return Inline(Inline(pair) for pair in keywords.items())


def refuse(kind: str, name: str) -> NoReturn:
    """Raises AttributeError: an object takes the position of a plain value in the test."""
    raise AttributeError(f"{kind!r} object, returned by the code, must not answer {name!r}")


def ask(handle, name: str, *operands):
    """The code's answer to one request about its object."""
    child = child_of(handle)
    if name not in READS or name == "iterate" or not {int, str}.issuperset(map(type, operands)):
        return child.request("operate", name, Inline([handle, *operands]))[0]
    key = (name, Handle.number_of(handle, child.heap), *operands)
    return child.heap.agreed(key, "operate", name, Inline([handle, *operands]))[0]


def child_of(handle: Handle):
    """The child in which a handle's object lives."""
    return handle._Handle__child


def same(one, other) -> bool:
    """What `one is other` means for objects of the code, which may have several handles."""
    remote = [isinstance(value, (Handle, RemoteIterator)) for value in (one, other)]
    return number_of(one) == number_of(other) if all(remote) else one is other


def number_of(value: "Handle | RemoteIterator") -> int:
    """The number of an object of the code."""
    return value._number if type(value) is RemoteIterator else value._Handle__number


def _binary(name: str, reflected: bool = False):
    return lambda handle, other: Handle.operated(handle, name, other, reflected)


def _augmented(name: str):
    def operate(handle: Handle, other):
        """In place: the result may be the object itself, or what a test's own instance gives."""
        result = child_of(handle).request("operate", name, Inline([handle, other]))[0]
        if same(result, handle):
            return handle
        return result if handle._Handle__made or isinstance(other, Handle) else NotImplemented

    return operate


def _unary(name: str):
    return lambda handle: ask(handle, name)


def _add_operators() -> None:
    for name in "add sub mul truediv floordiv mod divmod pow matmul and_ or_ xor lshift rshift".split():
        bare = name.rstrip("_")
        setattr(Handle, f"__{bare}__", _binary(name))
        setattr(Handle, f"__r{bare}__", _binary(name, reflected=True))
    for name in "lt le gt ge".split():
        setattr(Handle, f"__{name}__", _binary(name))
    for name in "iadd isub imul itruediv iand ior ixor".split():
        setattr(Handle, f"__{name}__", _augmented(name))
    for name in "neg pos abs invert".split():
        setattr(Handle, f"__{name}__", _unary(name))


_add_operators()


class RemoteIterator:
    """Represents an iterator of the code. Items are computed one by one, when the test takes them."""

    def __init__(self, child, number: int, name: str):
        self._child, self._number, self._name = child, number, name
        self._ahead: list = []
        self._rest, self._many, self._value = "more", 1, None

    @property
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


def iterated(handle: Handle, iterator) -> RemoteIterator:
    """The iterator that the code gave for one of its objects. Raises TypeError if it is none."""
    if isinstance(iterator, Handle):
        child = child_of(iterator)
        return RemoteIterator(child, Handle.number_of(iterator, child.heap), Handle.name_of(iterator))
    if type(iterator) is not RemoteIterator:
        raise TypeError(f"{Handle.name_of(handle)!r} object is not iterable")
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
            refuse(Handle.name_of(self._owner), self.__name__)
        return self._child.request("method", self._owner, self.__name__, Inline(arguments), pairs(keywords))[0]

    @staticmethod
    def wire(method: "Method", shared: heap.Heap) -> dict:
        """The encoded form in which the code gets it."""
        return {"method": [Handle.number_of(method._owner, shared), method.__name__]}


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
    return value if isinstance(value, Handle) else object.__getattribute__(value, "__dict__")[values.HANDLE]


class JudgeHeap(heap.Heap):
    """The judge's side of the objects that it shares with one child."""

    first = 0

    def __init__(self, child, kinds: dict[str, type], tracks: bool, own: Callable[[type], bool] = lambda kind: False):
        """`kinds`: the context's structures. `own`: whether the test or its context has defined a class."""
        super().__init__(tracks)
        self.structures, self._child, self._own = kinds, child, own
        self._names = {kind: name for name, kind in kinds.items()}
        self.fresh_read = False  # the test compares this answer by `==`, so it may differ from the last
        self._handles: dict[tuple[int, bool | None], Any] = {}
        self._errors: dict[int, type] = {}  # the code's own classes of exceptions
        self._subclasses: dict[tuple, type] = {}
        self.read_as_objects: set[int] = set()  # results of which the test has read what no plain value has
        self.raises: frozenset[int] = frozenset()  # lines of the test's raise statements
        self.memory: dict[tuple, Any] = {}  # answers about the code's objects since the last call

    def asked(self, kind: str, name) -> None:
        """Notes a request. Any request except a read clears the memory, because it may change the objects."""
        if kind not in ("attribute", "take") and not (kind == "operate" and name in READS):
            self.memory.clear()

    def is_raised_by_test(self, error: BaseException) -> bool:
        """Whether a `raise` statement of the test raised this, and not a failed assertion."""
        return not isinstance(error, (AssertionError, *OURS)) and line_of(error) in self.raises

    def read_anew(self, read: Callable):
        """The result of `read`, in which an object may give another answer than the last time."""
        self.fresh_read = True
        try:
            return read()
        finally:
            self.fresh_read = False

    def agreed(self, key: tuple, *details) -> list:
        """The reply to a read, which must be the same as before unless something was called."""
        reply = self._child.request(*details)
        before = None if self.fresh_read else self.memory.get(key)
        if before is None or alike(before[0], reply[0]) and before[1:] == reply[1:]:
            kept = copy.copy(reply[0]) if type(reply[0]) in values.KINDS else reply[0]
            self.memory[key] = [kept, *reply[1:]]
            return reply
        if type(before[0]) is type(reply[0]) and isinstance(reply[0], PASSING):
            return before
        return self._child.end(TWO_ANSWERS)

    # --- out

    def encoded(self, value, kind: type, encode) -> dict:
        """The encoded form of a value that is not plain."""
        if kind is Blank:
            raise NotPlanned
        if kind in self._names:
            return self.reference(value, self.structure_kind(self._names[kind]), [self._names[kind]])
        if isinstance(value, Handle):
            return {"r": Handle.number_of(value, self)}
        if isinstance(value, Sub) or kind in self._subclasses.values():
            return {"r": Handle.number_of(handle_of(value), self)}
        if kind is RemoteIterator:
            return {"r": value._number}
        if kind is Method:
            return Method.wire(value, self)
        if hasattr(kind, "called_by_name") or kind is ClassProxy:
            return {"named": value.__name__}
        if (number := self._numbers.get(id(value))) is not None and number % 2 != self.first:
            return {"r": number}
        return self.of_the_test(value, kind, encode)

    def of_the_test(self, value, kind: type, encode) -> dict:
        """An object of the test's side. Raises NotCarried for an instance of its own class."""
        if name := heap.standard_name(value):
            return {"standard": name}
        if isinstance(value, BaseException):
            nearest = next(filter(None, map(heap.standard_name, kind.__mro__)))
            return {"exception": [self.keep(value), *nearest, encode(Inline(value.args))]}
        if isinstance(value, Iterator):
            return {"test": [self.keep(value), "iterator", kind.__name__]}
        if inspect.isroutine(value) or isinstance(value, type) or callable(value) and not self._own(kind):
            name = getattr(value, "__name__", kind.__name__)
            return {"test": [self.keep(value), "function", name, getattr(value, "__doc__", None), parameters(value)]}
        raise NotCarried(kind.__name__)

    # --- in

    def receive(self, new: list, changed: list, decode) -> None:
        """Enters the objects of a message. A function in a field is guarded as a method of the code's objects is."""
        super().receive(new, changed, decode)
        for number in [number for number, *_ in (*new, *changed) if self._kinds[number].put is values.put_fields]:
            value = self.objects[number]
            owner = Handle(self._child, number, type(value).__name__, made=False)
            for name, field in values.fields(value).items():
                if name in ASSENTING:
                    refuse_method(name, field)
                elif name in QUERIES and callable(field):
                    vars(value)[name] = Method(self._child, owner, name, guarded=True)
            self._agree(number, self._kinds[number].take(value))

    def object(self, payload, decode):
        """The stand-in of an object of the code. Nothing else that the child says of it is trusted."""
        number, name, flag, has = payload
        if type(name) is not str or type(flag) is not str:
            raise values.ValueLimit("not an object")
        traits = frozenset(trait for trait, present in zip(heap.TRAITS, has, strict=True) if present is True)
        return self.stand_in(number, name[:100], flag, traits)

    def stand_in(self, number: int, name: str, flag: str, traits: frozenset):
        """The one handle or iterator for a number, which the child has given."""
        if number in self._kinds or type(number) is not int or number % 2 == self.first:
            raise values.ValueLimit("not the number of an object")
        if not 0 <= number < 2 * heap.MAX_OBJECTS:
            raise values.ValueLimit("not the number of an object")
        if (number, False) not in self._handles:
            self.tracks |= flag == "lazy"
            kinds = {"lazy": RemoteIterator, "call": Caller}
            made = () if flag == "lazy" else (False, traits)
            self._handles[number, False] = kinds.get(flag, Handle)(self._child, number, name, *made)
        return self._handles[number, False]

    def made_by_test(self, value):
        """The result of a call of a class by the test."""
        return self._other_handle(value, True)

    def variable(self, name: str):
        """The present value of one of the code's variables."""
        return self._other_handle(self._child.request("value", name)[0], None)

    def _other_handle(self, value, made: bool | None):
        if not isinstance(value, Handle):
            return value
        number = Handle.number_of(value, self)
        if (number, made) not in self._handles:
            traits = value._Handle__traits
            self._handles[number, made] = type(value)(self._child, number, Handle.name_of(value), made, traits)
        return self._handles[number, made]

    def made(self, name: str):
        """A structure without its fields."""
        return object.__new__(self.structures[name])

    def fill(self, instance, columns: list[list]) -> None:
        """Sets the fields of a structure. A field must not replace a member that its class defines."""
        fields = dict(zip(*columns, strict=True))
        for name, value in fields.items():
            found = getattr(type(instance), name, None)
            if callable(found) or isinstance(found, (property, types.MemberDescriptorType)):
                raise values.ValueLimit(f"a field with the name of a method: {name[:100]!r}")
            refuse_method(name, value)
        vars(instance).clear()
        vars(instance).update(fields)

    def subclass(self, names: list[str], base: type) -> type:
        """The class that represents a subclass of a plain class, which replaces some of its methods."""
        if base is None or {*map(type, names)} != {str}:
            raise values.ValueLimit("not a plain class")
        key = (base, *names)
        if key not in self._subclasses:
            name, own = names[0][:100], [each for each in heap.OWN if each in names[1:]]
            members: dict[str, Any] = {"__module__": "solution"}
            for each in own:
                if each in TEXTS:
                    members[each] = asking(each)
                elif each == "__missing__" and hasattr(base, "__getitem__"):
                    members["__getitem__"] = agreeing("__getitem__", base.__getitem__, own)
                elif hasattr(base, each):
                    members[each] = agreeing(each, getattr(base, each), own)
            if "__eq__" in members:
                members["__hash__"] = base.__hash__
            self._subclasses[key] = type(name, (Sub, base), members)
        return self._subclasses[key]

    def enter(self, number: int, value) -> None:
        """Puts an object of either side into the table."""
        super().enter(number, value)
        if isinstance(value, Sub):
            vars(value)[values.HANDLE] = Handle(self._child, number, type(value).__name__, made=False)

    def sub(self, payload, decode):
        """A value of the code's own subclass of a plain class."""
        number, names, base, plain = payload
        if number in self.objects:
            return self.objects[number]
        self._refuse_number(number)
        base, plain = values.IMMUTABLE_BASES[base], decode(plain)
        if type(plain) is not base:
            raise values.ValueLimit("not a value of its base")
        value = base.__new__(self.subclass(names, base), plain)
        self.enter(number, value)
        return value

    def namedtuple(self, payload, decode):
        """A named tuple, which can be asked for the methods of its class."""
        number, name, fields, items = payload
        if number in self.objects:
            return self.objects[number]
        self._refuse_number(number)
        if len(fields) > values.MAX_FIELDS or {*map(type, fields), type(name)} - {str}:
            raise values.ValueLimit("not the fields of a named tuple")
        key = (name[:100], tuple(fields))
        if key not in self._subclasses:
            plain = collections.namedtuple("Fields", fields, rename=True)
            self._subclasses[key] = type(name[:100], (Sub, plain), {"__module__": "solution"})
        items = [decode(item) for item in items]
        for field, item in zip(fields, items, strict=True):
            refuse_method(field, item)
        value = self._subclasses[key](*items)
        self.enter(number, value)
        return value

    def standard(self, payload, decode):
        """A class that is known by its name, or an exception of the standard library."""
        module, name = payload
        found = heap.standard_object(module, name) if module.partition(".")[0] in values.STANDARD_MODULES else None
        if not isinstance(found, type) or not (found in heap.KNOWN or issubclass(found, BaseException)):
            raise values.ValueLimit(f"not a known class: {name[:100]!r}")
        return found

    def class_(self, payload, decode, level: int = 0) -> type:
        """The class that represents a class of exceptions of the code's own."""
        number, name, bases = payload
        if type(number) is not int or type(name) is not str or level > MAX_BASES:
            raise values.ValueLimit("not a class")
        if number not in self._errors:
            above = [self._base(base, decode, level) for base in bases]
            if not above or not all(isinstance(base, type) and issubclass(base, BaseException) for base in above):
                raise values.ValueLimit("not a class of exceptions")
            members = {"__module__": "solution", "__str__": said_by_code, "__len__": asking("__len__")}
            own = () if any(issubclass(base, Sub) for base in above) else (Sub,)
            self._errors[number] = type(name[:100], (*own, *above), members)
        return self._errors[number]

    def _base(self, base: dict, decode, level: int) -> type:
        [(tag, payload)] = base.items()
        return self.class_(payload, decode, level + 1) if tag == "class" else self.standard(payload, decode)

    def error(self, payload, decode, level: int = 0) -> BaseException:
        """An exception of the code: of its own class or a standard one, with its attributes and its cause."""
        number, kind, message, arguments, fields, cause, is_explicit = payload
        if number in self.objects:
            return self.objects[number]
        self._refuse_number(number)
        [(tag, details)] = kind.items()
        kind = self.class_(details, decode) if tag == "class" else self.standard(details, decode)
        error = made_error(kind, [decode(argument) for argument in arguments])
        for name, value in map(decode, fields):
            refuse_method(name, value)
            if not name.startswith((RESERVED, "__")) or name == "__notes__":
                with contextlib.suppress(AttributeError):
                    BaseException.__setattr__(error, name, value)
        error.verdict_message = str(message)
        self.enter(number, error)
        if cause is not None and level < MAX_BASES:
            behind = self.error(cause, decode, level + 1)
            error.__context__ = behind
            if is_explicit is True:
                error.__cause__ = behind
        return error

    DECODERS = heap.Heap.DECODERS | {
        "object": object,
        "sub": sub,
        "namedtuple": namedtuple,
        "standard": standard,
        "class": class_,
        "error": error,
    }


def parameters(function: Callable) -> list[list]:
    """[name, kind, is it optional] of each parameter of a function of the test; [] if they are not known."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [[each.name, each.kind.name, each.default is not each.empty] for each in found]


def made_error(kind: type[BaseException], arguments: list) -> BaseException:
    """An exception with these arguments."""
    try:
        return kind(*arguments)
    except Exception:  # some, such as JSONDecodeError, take other arguments than they keep
        error = kind.__new__(kind)
        error.args = tuple(arguments)
        return error


def said_by_code(error: BaseException) -> str:
    """The text of an exception of the code's own class, whose `__str__` ran in the child."""
    return vars(error).get("verdict_message", "")


def refuse_method(name: str, value) -> None:
    """Raises ValueLimit for a field that could be called like a method of a plain value and please any test."""
    if name in CARRIED_METHODS and callable(value):
        raise values.ValueLimit(f"a field that can be called: {name[:100]!r}")


def alike(one, other) -> bool:
    """Whether two answers of the code are the same, without asking it."""
    if isinstance(one, Handle) or isinstance(other, Handle):
        return same(one, other)
    if isinstance(one, (RemoteIterator, Sub)) or one is other:
        return type(one) is type(other)
    return type(one) is type(other) and (one == other or one != one)
