"""Objects of the code's own classes, as a test in the judge sees them: numbers, and requests to the child.

A class is a `ClassProxy`, an instance a `Handle`. Attributes, methods, iteration, len, str and operators are requests.
The answer is a plain value or another handle, whatever the code does:
- `==` and `hash` never ask the code. A handle equals no plain value. If the test compares an instance that it made
  itself, it needs the code's own `__eq__` and runs in shared isolation.
- Binary operators and comparisons need such an instance or two handles. An object that the code returned instead of a
  number must not see the expected value.
- For the same reason it must not be called by a method of a plain value, such as `startswith(expected)`.
- Reads between two calls agree: an answer about an object is kept until something is called. The items, the length
  and the members of an object that the code returned come from one list.
"""

import types
from collections.abc import Iterator
from typing import NoReturn

from raccoon.verdicts import carriers, values
from raccoon.verdicts.needs import CARRIED_METHODS, MUTATORS

READS = frozenset("bool str repr format len int float index round isinstance getitem iter".split())
LARGEST_PART = 256  # items of an endless iterator that are fetched at once
ASSENTING = {name for kind in (str, bytes, set, float) for name in dir(kind) if name.startswith("is")} | {"all", "any"}
HARMLESS = MUTATORS | set("get keys values items copy popleft pop".split())
QUERIES = frozenset(CARRIED_METHODS - HARMLESS)  # methods of plain values that may get an expected value as an argument


class Handle:
    """Represents one object of the code in a test. `made`: the test made it by calling the code's class."""

    __slots__ = ("__child", "__number", "__name", "__made", "__methods")

    def __init__(self, child, number: int, name: str, made: bool):
        fields = {"child": child, "number": number, "name": name, "made": made, "methods": {}}
        for field, value in fields.items():
            object.__setattr__(self, f"_Handle__{field}", value)

    @staticmethod
    def number_of(handle: "Handle", carrier) -> int:
        """The number of a handle's object in the child. Raises ValueLimit for an object of another program."""
        if handle.__child.carrier is not carrier:
            raise values.ValueLimit("an object of another program")
        return handle.__number

    @staticmethod
    def name_of(handle: "Handle") -> str:
        """The name of its class, as the child reported it."""
        return handle.__name

    def __getattr__(self, name: str):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"{self.__name!r} object has no attribute {name!r} here")
        if name in self.__methods:
            return self.__methods[name]
        remember = self.__child.carrier.remember
        value, after = remember(("attribute", self.__number, name), "attribute", self, name)
        guarded = name in QUERIES and not self.__made
        if after != ["method"] and not (guarded and isinstance(value, (Handle, type))):
            return value
        if after != ["method"] or guarded and name in ASSENTING:
            refuse(self.__name, name)
        self.__methods[name] = Method(self.__child, self, name, guarded)
        return self.__methods[name]

    def __setattr__(self, name: str, value) -> None:
        ask(self, "setattr", name, value)

    def __delattr__(self, name: str) -> None:
        ask(self, "delattr", name)

    def __eq__(self, other) -> bool:
        if self is other or other is None:
            return self is other
        if self.__made or isinstance(other, Handle) and other.__made:
            self.__child.needs_shared(f"the test compares objects of {self.__name}")
        return isinstance(other, Handle) and self.__child is other.__child and self.__number == other.__number

    def __hash__(self) -> int:
        if self.__made:
            self.__child.needs_shared(f"the test takes the hash of an object of {self.__name}")
        return hash(("handle", self.__number))

    def __reduce_ex__(self, _protocol):
        if not self.__made:
            raise TypeError(f"{self.__name!r} object, returned by the code, cannot be copied")
        self.__child.needs_shared(f"the test copies an object of {self.__name}")

    def __call__(self, *arguments, **keywords):
        return ask(self, "call", list(arguments), keywords)

    def __bool__(self) -> bool:
        return ask(self, "bool") is True

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

    def __index__(self) -> int:
        return ask(self, "index")

    def __round__(self, *digits):
        return ask(self, "round", *digits)

    def __len__(self) -> int:
        items = self.__listed()
        return ask(self, "len") if items is None else len(items)

    def __iter__(self) -> Iterator:
        if self.__made:
            return in_parts(ask(self, "in_parts"))
        items = self.__listed()
        if items is None:
            raise TypeError(f"{self.__name!r} object is not iterable")
        return iter(items)

    def __next__(self):
        items = ask(self, "part", 1)
        if type(items) is not list or not items:
            raise StopIteration
        return items[0]

    def __contains__(self, item) -> bool:
        return ask(self, "contains", item) is True if self.__made else any(item == own for own in iter(self))

    def __getitem__(self, key):
        items = self.__listed() if isinstance(key, (int, slice)) else None
        return ask(self, "getitem", key) if items is None else items[key]

    def __setitem__(self, key, value) -> None:
        ask(self, "setitem", key, value)

    def __delitem__(self, key) -> None:
        ask(self, "delitem", key)

    def __enter__(self):
        return Handle.same(self, ask(self, "enter"))

    def __exit__(self, kind, error, trace) -> bool:
        if kind is None:
            ask(self, "leave")
        return False  # the code must not swallow the failure of an assertion

    def __listed(self) -> list | None:
        """The items of a returned object, read once; None for one that the test made, or that is not iterable."""
        if self.__made:
            return None
        memory = self.__child.carrier.memory
        key = ("items", self.__number)
        if key not in memory:
            try:
                items = list(self.__child.request("operate", "iter", [self])[0])
            except TypeError:
                items = None
            memory[key] = items
        return memory[key]

    @staticmethod
    def operated(handle: "Handle", name: str, other, reflected: bool):
        """The result of a binary operator; NotImplemented if the other operand must not reach the code."""
        if not handle.__made and not isinstance(other, Handle):
            return NotImplemented
        operands = [other, handle] if reflected else [handle, other]
        return handle.__child.request("operate", name, operands)[0]

    @staticmethod
    def changed(handle: "Handle", name: str, other):
        """The result of an augmented assignment."""
        return Handle.same(handle, Handle.operated(handle, name, other, False))

    @staticmethod
    def same(handle: "Handle", result):
        """The same handle if the result is its own object, else the result."""
        return handle if isinstance(result, Handle) and result.__number == handle.__number else result


def refuse(kind: str, name: str) -> NoReturn:
    """Raises AttributeError: an object takes the position of a plain value in the test."""
    raise AttributeError(f"{kind!r} object, returned by the code, must not answer {name!r}")


def ask(handle: Handle, name: str, *operands):
    """The code's answer to one request about its object."""
    child = handle._Handle__child
    if name not in READS or not {int, str}.issuperset(map(type, operands)):
        return child.request("operate", name, [handle, *operands])[0]
    key = (name, handle._Handle__number, *operands)
    return child.carrier.remember(key, "operate", name, [handle, *operands])[0]


def _binary(name: str, reflected: bool = False):
    return lambda handle, other: Handle.operated(handle, name, other, reflected)


def _augmented(name: str):
    return lambda handle, other: Handle.changed(handle, name, other)


def _unary(name: str):
    return lambda handle: ask(handle, name)


def _add_operators() -> None:
    for name in "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift".split():
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


def in_parts(iterator) -> Iterator:
    """The items of an object that the test has made, fetched when needed. Raises ValueLimit after MAX_ITEMS."""
    number, given = 1, 0
    while True:
        items = ask(iterator, "part", number) if isinstance(iterator, Handle) else None
        if type(items) is not list or not items:
            return
        yield from items
        given += len(items)
        if given > values.MAX_ITEMS:
            raise values.ValueLimit(f"an iterator of more than {values.MAX_ITEMS:,} items")
        number = min(2 * number, LARGEST_PART)


class Method:
    """One method of an object or a class of the code. `guarded`: it accepts no plain value from the test."""

    def __init__(self, child, owner: Handle, name: str, guarded: bool):
        self._child, self._owner, self.__name__, self._guarded = child, owner, name, guarded

    def __call__(self, *arguments, **keywords):
        return self.called(arguments, keywords, False)[0]

    def called(self, arguments: tuple, keywords: dict, in_place: bool) -> tuple:
        """The value, and the arguments as the call left them if `in_place`."""
        if self._guarded and not all(isinstance(given, Handle) for given in (*arguments, *keywords.values())):
            refuse(Handle.name_of(self._owner), self.__name__)
        return self._child.request("method", self._owner, self.__name__, list(arguments), keywords, in_place)

    @staticmethod
    def wire(method: "Method", carrier) -> dict:
        """The encoded form in which the code gets it."""
        return {"method": [Handle.number_of(method._owner, carrier), method.__name__]}


class ClassProxy:
    """Represents one class of the code in a test, or a function with a name like a class."""

    def __init__(self, child, name: str):
        self._child, self.__name__ = child, name

    def __call__(self, *arguments, **keywords):
        made = self._child.request("make", self.__name__, list(arguments), keywords)[0]
        return self._child.carrier.made_by_test(made)

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(f"class {self.__name__} has no attribute {name!r} here")
        return getattr(self._child.request("value", self.__name__)[0], name)

    def __instancecheck__(self, instance) -> bool:
        return isinstance(instance, Handle) and ask(instance, "isinstance", self._kind()) is True

    def _kind(self):
        return self._child.request("value", self.__name__)[0]


class JudgeCarrier(carriers.Carrier):
    """The judge's side of the channel to one child; `objects`: its test uses objects of the code's own classes."""

    def __init__(self, child, kinds: dict[str, type], objects: bool):
        super().__init__()
        self.structures, self.objects, self._child = kinds, objects, child
        self._names = {kind: name for name, kind in kinds.items()}
        self._handles: dict[int, Handle] = {}  # one for each object that the code returned
        self.memory: dict[tuple, object] = {}  # answers about the code's objects since the last call

    def asked(self, kind: str, name: str) -> None:
        """Notes a request. Any request except a read clears the memory, because it may change the objects."""
        if kind != "attribute" and not (kind == "operate" and name in READS):
            self.memory.clear()

    def remember(self, key: tuple, *details) -> tuple:
        """The reply to a read. It stays the same until something is called."""
        if key not in self.memory:
            reply = self._child.request(*details)
            self.memory[key] = reply
        return self.memory[key]

    def encoded(self, value, kind: type) -> dict | None:
        """The encoded form of a structure or an object; None for other values."""
        if kind in self._names:
            return self.node(self._names[kind], value, dict(vars(value)))
        if kind is Handle:
            return {"object": [Handle.number_of(value, self), ""]}
        if kind is Method:
            return Method.wire(value, self)
        return {"named": value.__name__} if kind is ClassProxy else None

    def object(self, number: int, name: str):
        """The handle of an object of the code. Only the number is used; nothing else that the child says is trusted."""
        if type(number) is not int or not 0 <= number < carriers.MAX_OBJECTS or type(name) is not str:
            raise values.ValueLimit("not the number of an object")
        if not self.objects:
            return values.Foreign(name[:100], True)
        if number not in self._handles:
            self._handles[number] = Handle(self._child, number, name[:100], made=False)
        return self._handles[number]

    def made_by_test(self, value):
        """The result of a call of a class by the test."""
        if not isinstance(value, Handle):
            return value
        return Handle(self._child, Handle.number_of(value, self), Handle.name_of(value), made=True)

    def made(self, name: str):
        """A structure without its fields."""
        return object.__new__(self.structures[name])

    def fill(self, instance, fields: dict) -> None:
        """Sets the fields of a structure. A field must not replace a member that its class defines."""
        for name in fields:
            found = getattr(type(instance), name, None)
            if callable(found) or isinstance(found, (property, types.MemberDescriptorType)):
                raise values.ValueLimit(f"a field with the name of a method: {name[:100]!r}")
        vars(instance).update(fields)
