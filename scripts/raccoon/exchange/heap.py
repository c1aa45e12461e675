"""The objects that judge and child share in one run: numbers for objects, and the contents of those that change.

Both sides keep a table of numbered objects. A list, a set or another collection of kinds.py exists on both sides;
each message says what its sender has changed in it since the last message. So a change in place, two names for one
list, or an argument that is returned mean on the other side what they mean in one process. An object of another class
stays on its side, and the other has a stand-in for it that asks (verdicts/handles.py, child/code_heap.py).

Instances of the plain classes of the context (ListNode, TreeNode) count as collections of their fields: the context
runs on both sides.

`tracks` False: nothing of the test can tell a copy from the object, so lists and the like are sent by value.
"""

import collections
import operator
import sys
from collections.abc import Callable
from typing import Any

from raccoon.exchange.frames import ValueLimit
from raccoon.exchange.kinds import KINDS, TAGS, Kind
from raccoon.exchange.values import IMMUTABLE_BASES, LEAVES, STANDARD_MODULES, TEXT_TAGS

MAX_OBJECTS = 1_000_000  # numbered by one side
MANY = 32  # objects that are looked through in each message, without asking which of them can have changed
SMALL = 4  # items of a column that are also compared by value
KNOWN = frozenset(KINDS) | frozenset(TEXT_TAGS)  # classes that are sent by their name, besides the builtin ones
# Methods that a subclass may replace.
OWN = """__contains__ __iter__ __len__ __getitem__ __missing__ __bool__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__
__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __str__ __repr__ __format__""".split()
TRAITS = "__bool__ __len__ __iter__ keys".split()  # what the judge knows of an object's class
STRUCTURE = "structure"  # the tag of an instance of a class of the context


class Heap:
    """One side's table. `first` is 0 for the judge and 1 for the child: numbers of the two sides differ in parity."""

    first = 0

    def __init__(self, tracks: bool):
        self.tracks = tracks
        self.structures: dict[str, type] = {}
        self.objects: dict[int, Any] = {}
        self.fresh: list[tuple[int, list, list[list]]] = []  # (number, header, columns) of the message being written
        self.changed: dict[int, list[list]] = {}  # columns of older objects that changed since the last message
        self._numbers: dict[int, int] = {}  # id -> number
        self._kinds: dict[int, Kind] = {}  # of the objects that exist on both sides
        self._agreed: dict[int, list[list]] = {}  # their columns, when both sides last had the same
        self._awake: set[int] = set()  # those that this side can change, because it holds them besides in this table
        self._parts: dict[int, list[int]] = {}  # the numbered objects that each holds
        self._held: collections.Counter[int] = collections.Counter()  # how often each is held so
        self._unread: list[int] = []  # those whose parts may have changed
        self._next = self.first

    # --- out

    def begin(self) -> None:
        """Starts a message: finds what has changed since the last one."""
        self.fresh.clear()
        self.changed.clear()
        for number in self._awake:
            columns = self._kinds[number].take(self.objects[number])
            if not same_columns(columns, self._agreed[number]):
                self.changed[number] = columns
                self._agree(number, columns)
        if len(self._awake) > MANY:
            self._find_parts()
            self._awake = self._within({number for number in self._awake if self._is_held_elsewhere(number)})

    def _agree(self, number: int, columns: list[list]) -> None:
        """Notes the contents that both sides have from now on."""
        self._agreed[number] = columns
        self._unread.append(number)
        self._awake.add(number)

    def _find_parts(self) -> None:
        """Brings the parts of objects up to date."""
        for number in self._unread:
            self._held.subtract(self._parts.get(number, ()))
            columns = [column for column in self._agreed[number] if not LEAVES.issuperset(map(type, column))]
            known = (self._numbers.get(id(value)) for column in columns for value in column)
            self._parts[number] = [part for part in known if part in self._kinds]
            self._held.update(self._parts[number])
        self._unread.clear()

    def _is_held_elsewhere(self, number: int) -> bool:
        """Whether this side refers to an object besides in this table and in other objects of it.

        Each object of the table refers twice to a part: itself, and by its columns.
        """
        return sys.getrefcount(self.objects[number]) - 2 > 2 * self._held[number]

    def _within(self, numbers: set[int]) -> set[int]:
        """The objects with these numbers and all their parts."""
        found, waiting = set(numbers), list(numbers)
        while waiting:
            new = [part for part in self._parts.get(waiting.pop(), ()) if part not in found]
            found.update(new)
            waiting += new
        return found

    def reference(self, value, kind: Kind, names: list[str] | None = None) -> dict:
        """The number of a collection, which crosses with its contents if it is new.

        `names`: of its own class and of the methods that this replaces.
        """
        number = self._numbers.get(id(value))
        if number is None:
            number = self.keep(value)
            columns = kind.take(value)
            self._kinds[number] = kind
            self._agree(number, columns)
            self.fresh.append((number, [kind.tag, names], columns))
        return {"r": number}

    def numbered(self, value: tuple, parts: dict) -> dict:
        """A tuple with its number, or its number alone if it has crossed before."""
        number = self._numbers.get(id(value))
        return {"numbered": [self.keep(value), parts]} if number is None else {"r": number}

    def keep(self, value) -> int:
        """The number of an object, which stays alive from now on."""
        number = self._numbers.get(id(value))
        if number is None:
            number, self._next = self._next, self._next + 2
            if number >= 2 * MAX_OBJECTS:
                raise ValueLimit(f"more than {MAX_OBJECTS:,} objects")
            self.enter(number, value)
        return number

    def enter(self, number: int, value) -> None:
        """Puts an object of either side into the table."""
        self.objects[number], self._numbers[id(value)] = value, number

    def structure_kind(self, name: str) -> Kind:
        """How an instance of the context's class `name` crosses."""
        return Kind(STRUCTURE, lambda value: _fields(value), lambda value, columns: self.fill(value, columns))

    # --- in

    def receive(self, new: list, changed: list, decode) -> None:
        """Enters the objects of a message, then their contents, which may refer to each other."""
        waiting = []
        for number, tag, names, columns in new:
            self._refuse_number(number)
            value, kind = self._made(tag, names, columns)
            self.enter(number, value)
            self._kinds[number] = kind
            waiting.append((number, columns))
        waiting.sort(key=lambda pair: self._kinds[pair[0]].tag != STRUCTURE)  # their hash may be needed by others
        for number, columns in (*waiting, *changed):
            value, kind = self.objects[number], self._kinds[number]
            kind.put(value, [decode(column, 1, self) for column in columns])
            self._agree(number, kind.take(value))

    def _is_theirs(self, number) -> bool:
        """Whether this is a number that the other side gives."""
        return type(number) is int and number & 1 != self.first and 0 <= number < 2 * MAX_OBJECTS

    def _refuse_number(self, number) -> None:
        """Raises ValueLimit if the other side cannot have given this number to a new object."""
        if not self._is_theirs(number):
            raise ValueLimit("not the number of an object")
        if number in self.objects:
            raise ValueLimit("the number of another object")

    def _made(self, tag: str, names: list[str] | None, columns: list) -> tuple[object, Kind]:
        if tag == STRUCTURE:
            return self.made(names[0]), self.structure_kind(names[0])
        base, kind = TAGS[tag]
        return kind.make(self.subclass(names, base) if names else base, columns), kind

    def decoded(self, tag: str, payload, decode):
        """The object of a tag that is not in values.py. Raises KeyError for an unknown one."""
        return self.DECODERS[tag](self, payload, decode)

    def referred(self, number, decode):
        """The object with a number, which this side can change from now on."""
        if number in self._kinds and number not in self._awake:
            self._find_parts()
            self._awake |= self._within({number})
        return self.objects[number]

    def with_number(self, payload, decode):
        """A tuple that keeps its identity."""
        number, parts = payload
        self._refuse_number(number)
        value = decode(parts)
        if type(value) is not tuple:
            raise ValueLimit("not a tuple")
        self.enter(number, value)
        return value

    DECODERS: dict[str, Callable[[Any, Any, Any], Any]] = {"r": referred, "numbered": with_number}


def _fields(value) -> list[list]:
    """The fields of a structure, read without running code of its class. Raises ValueLimit if they are not a dict."""
    try:
        fields = object.__getattribute__(value, "__dict__")
    except AttributeError:
        fields = None
    if type(fields) is not dict or set(map(type, fields)) - {str}:
        raise ValueLimit("a node without plain fields")
    return [[*fields], [*fields.values()]]


def same_columns(columns: list[list], agreed: list[list]) -> bool:
    """Whether columns hold the same objects as before. Never asks an `==` of the code."""
    return len(columns) == len(agreed) and all(map(_same_column, columns, agreed))


def _same_column(column: list, agreed: list) -> bool:
    if len(column) != len(agreed):
        return False
    if all(map(operator.is_, column, agreed)):
        return True
    plain = LEAVES.issuperset(map(type, (*column, *agreed))) if len(column) <= SMALL else False
    return plain and [*map(type, column)] == [*map(type, agreed)] and column == agreed


def structures(namespace: dict) -> dict[str, type]:
    """The plain classes that a context defines in its namespace, by name."""
    module = namespace.get("__name__")
    own = {name: kind for name, kind in namespace.items() if type(kind) is type and kind.__module__ == module}
    allowed = {*own.values(), object}
    return {
        name: kind
        for name, kind in own.items()
        if kind.__name__ == name and kind.__dictoffset__ and allowed.issuperset(kind.__mro__)
    }


def standard_name(value) -> list[str] | None:
    """[module, name] of a class or function of the standard library, loaded under that name; None for others."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str):
        owner = getattr(value, "__objclass__", None) or type(getattr(value, "__self__", None))
        module = getattr(owner, "__module__", "")  # str.lower
    return [module, name] if isinstance(name, str) and standard_object(module, name) is value else None


def standard_object(module: str, name: str):
    """What a loaded module of the standard library calls `name`, with dots; None if there is no such thing."""
    found = sys.modules.get(module) if module.partition(".")[0] in STANDARD_MODULES else None
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def base_of(value) -> tuple[type, Kind | None] | None:
    """The class of the tables that a value's class derives from, and its kind if it changes; None if it has none."""
    for base in type(value).__mro__:
        if base in KINDS:
            return base, KINDS[base]
        if base in IMMUTABLE_BASES.values():
            return base, None
    return None
