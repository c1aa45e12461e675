"""The judge's side of the objects that it shares with a child: numbers, stand-ins, and the code's own classes.

Nothing that the child says is trusted. Whatever it sends becomes a value of a known class, a stand-in, or ValueLimit.
First comes what both sides of a run need to know: the exceptions that end it, and the answer when there is no child.
"""

import collections
import contextlib
import copy
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from raccoon.exchange import frames, heap, kinds, values
from raccoon.exchange.values import Inline
from raccoon.test_texts.needs import CARRIED_METHODS
from raccoon.test_texts.test_programs import line_of
from raccoon.verdicts import handles
from raccoon.verdicts.handles import RESERVED, Caller, ClassProxy, Handle, Method, Proxy, RemoteIterator, Sub, number_of

MAX_BASES = 20  # levels of classes above an exception of the code


# What ends a run of a test, whoever catches it. None is an Exception, so that few tests catch it.


class Deadline(BaseException):
    """The wall time is over."""


class CallerGone(BaseException):
    """The caller has ended, so there is nothing left to judge."""


class ChildGone(BaseException):
    """The child has ended, sends invalid data, or has no answer to what the test asks, so the test cannot continue."""


class NotCarried(BaseException):
    """A value of the test that cannot be sent to the code (an object of its own class)."""


OURS = (Deadline, CallerGone, ChildGone, NotCarried)


class Blank:
    """The answer to every request of a rehearsal: whatever is done with it goes on, and equals nothing.

    `compared` gets what the test compares it with, or gives to one of its operators.
    """

    __slots__ = ("compared",)

    def __init__(self, compared: list):
        self.compared = compared

    def __getattr__(self, name: str):
        return self

    def __call__(self, *arguments, **keywords):
        self.compared.extend(arguments)
        return self

    def __iter__(self):
        return iter(())

    def __next__(self):
        raise StopIteration

    def __eq__(self, other) -> bool:
        self.compared.append(other)
        return False

    def __str__(self) -> str:
        return ""

    def __float__(self) -> float:
        return 0.0

    def __int__(self) -> int:
        return 0

    __len__ = __hash__ = __index__ = __int__
    __getitem__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __call__
    __mod__ = __pow__ = __floordiv__ = __and__ = __or__ = __xor__ = __abs__ = __neg__ = __round__ = __call__
    __lt__ = __le__ = __gt__ = __ge__ = __eq__


class JudgeHeap(heap.Heap):
    """The judge's side of the objects that it shares with one child. `structures`: classes of the context."""

    def __init__(self, child, structures: dict[str, type], tracks: bool):
        super().__init__(tracks)
        self.structures, self._child = structures, child
        self._names = {kind: name for name, kind in structures.items()}
        self.fresh_read = False  # the test compares this answer by `==`, so it may differ from the last
        self._handles: dict[tuple[int, bool | None], Any] = {}
        self._errors: dict[int, type] = {}  # the code's own classes of exceptions
        self._subclasses: dict[tuple, type] = {}
        self.read_as_objects: set[int] = set()  # results of which the test has read what no plain value has
        self.raises: frozenset[int] = frozenset()  # lines of the test's raise statements
        self.memory: dict[tuple, Any] = {}  # answers about the code's objects since the last call

    def asked(self, kind: str, name) -> None:
        """Notes a request. Any request except a read clears the memory, because it may change the objects."""
        if kind not in ("attribute", "take") and not (kind == "operate" and name in handles.READS):
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
        if before is None or handles.alike(before[0], reply[0]) and before[1:] == reply[1:]:
            kept = copy.copy(reply[0]) if type(reply[0]) in kinds.KINDS else reply[0]
            self.memory[key] = [kept, *reply[1:]]
            return reply
        if type(before[0]) is type(reply[0]) and isinstance(reply[0], handles.PASSING):
            return before
        return self._child.end(handles.TWO_ANSWERS)

    # --- out

    def encoded(self, value, kind: type, encode) -> dict:
        """The encoded form of a value that is not plain."""
        if kind is Blank:
            self._child.stopped = True  # the test needs an answer, so only what it hands over counts from here on
            return {"blank": 0}
        if kind in self._names:
            return self.reference(value, self.structure_kind, [self._names[kind]])
        if isinstance(value, (Handle, Sub, Method)) or kind in self._subclasses.values():
            owner = value._owner if kind is Method else handles.handle_of(value)
            if handles.child_of(owner).heap is not self:
                raise frames.ValueLimit("an object of another program")
            return {"method": [number_of(owner), value.__name__]} if kind is Method else {"r": number_of(owner)}
        if kind is RemoteIterator:
            return {"r": number_of(value)}
        if kind in (Proxy, ClassProxy):
            return {"named": value.__name__}
        if (number := self._numbers.get(id(value))) is not None and number % 2 != self.first:
            return {"r": number}
        return self.of_the_test(value, kind, encode)

    def of_the_test(self, value, kind: type, encode) -> dict:
        """An object of the test's side. Raises NotCarried for an instance of its own class."""
        if known := heap.standard_name(value):
            return {"standard": known}
        if isinstance(value, BaseException):
            nearest = next(filter(None, map(heap.standard_name, kind.__mro__)))
            return {"exception": [self.keep(value), *nearest, encode(Inline(value.args))]}
        if isinstance(value, Iterator) and not hasattr(value, "read"):  # a stream has more methods than an iterator
            return {"test": [self.keep(value), "iterator", kind.__name__]}
        if inspect.isroutine(value) or isinstance(value, type) or callable(value) and kind.__module__ != "__main__":
            name = getattr(value, "__name__", kind.__name__)
            return {"test": [self.keep(value), "function", name, getattr(value, "__doc__", None), parameters(value)]}
        raise NotCarried(kind.__name__)

    # --- in

    def receive(self, new: list, changed: list, decode) -> None:
        """Enters the objects of a message. A function in a field is guarded as a method of the code's objects is."""
        super().receive(new, changed, decode)
        for number in [number for number, *_ in (*new, *changed) if self._kinds[number].put is kinds.put_fields]:
            value = self.objects[number]
            owner = Handle(self._child, number, type(value).__name__, made=False)
            for name, field in kinds.fields(value).items():
                if name in handles.ASSENTING:
                    refuse_method(name, field)
                elif name in handles.QUERIES and callable(field):
                    vars(value)[name] = Method(self._child, owner, name, guarded=True)
            self._agree(number, self._kinds[number].take(value))

    def object(self, payload, decode):
        """The one handle or iterator for an object of the code. Nothing else that the child says of it is trusted."""
        number, name, flag, has = payload
        if type(name) is not str or type(flag) is not str:
            raise frames.ValueLimit("not an object")
        traits = frozenset(trait for trait, present in zip(heap.TRAITS, has, strict=True) if present is True)
        if number in self._kinds or not self._is_theirs(number):
            raise frames.ValueLimit("not the number of an object")
        if (number, False) not in self._handles:
            self.tracks |= flag == "lazy"
            classes = {"lazy": RemoteIterator, "call": Caller}
            made = () if flag == "lazy" else (False, traits)
            self._handles[number, False] = classes.get(flag, Handle)(self._child, number, name[:100], *made)
        return self._handles[number, False]

    def as_made(self, value, made: bool | None):
        """A value that the child has sent; an object with what Handle calls `made`."""
        if not isinstance(value, Handle):
            return value
        number = number_of(value)
        if (number, made) not in self._handles:
            traits = value._Handle__traits
            self._handles[number, made] = type(value)(self._child, number, handles.name_of(value), made, traits)
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
                raise frames.ValueLimit(f"a field with the name of a method: {name[:100]!r}")
            refuse_method(name, value)
        vars(instance).clear()
        vars(instance).update(fields)

    def subclass(self, names: list[str], base: type) -> type:
        """The class that represents a subclass of a plain class, which replaces some of its methods."""
        if base is None or {*map(type, names)} != {str}:
            raise frames.ValueLimit("not a plain class")
        key = (base, *names)
        if key not in self._subclasses:
            name, own = names[0][:100], [each for each in heap.OWN if each in names[1:]]
            members: dict[str, Any] = {"__module__": "solution", handles.PLAIN_BASE: base}
            for each in own:
                if each in handles.TEXTS:
                    members[each] = handles.asking(each.strip("_"))
                elif each == "__missing__" and hasattr(base, "__getitem__"):
                    members["__getitem__"] = handles.agreeing("__getitem__", base.__getitem__, own)
                elif hasattr(base, each):
                    members[each] = handles.agreeing(each, getattr(base, each), own)
            if "__eq__" in members:
                members["__hash__"] = base.__hash__
            self._subclasses[key] = type(name, (Sub, base), members)
        return self._subclasses[key]

    def enter(self, number: int, value) -> None:
        """Puts an object of either side into the table."""
        super().enter(number, value)
        if isinstance(value, Sub):
            vars(value)[kinds.HANDLE] = Handle(self._child, number, type(value).__name__, made=False)

    def sub(self, payload, decode):
        """A value of the code's own subclass of a plain class."""
        number, names, base, plain = payload
        if number in self.objects:
            return self.objects[number]
        self._refuse_number(number)
        base, plain = values.IMMUTABLE_BASES[base], decode(plain)
        if type(plain) is not base:
            raise frames.ValueLimit("not a value of its base")
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
            raise frames.ValueLimit("not the fields of a named tuple")
        key = (name[:100], tuple(fields))
        if key not in self._subclasses:
            plain = collections.namedtuple("Fields", fields, rename=True)
            self._subclasses[key] = type(
                name[:100], (Sub, plain), {"__module__": "solution", handles.PLAIN_BASE: tuple}
            )
        items = [decode(item) for item in items]
        for field, item in zip(fields, items, strict=True):
            refuse_method(field, item)
        value = self._subclasses[key](*items)
        self.enter(number, value)
        return value

    def standard(self, payload, decode):
        """A class that is known by its name, or an exception of the standard library."""
        module, name = payload
        found = heap.standard_object(module, name)
        if not isinstance(found, type) or not (found in heap.KNOWN or issubclass(found, BaseException)):
            raise frames.ValueLimit(f"not a known class: {name[:100]!r}")
        return found

    def class_(self, payload, decode, level: int = 0) -> type:
        """The class that represents a class of exceptions of the code's own."""
        number, name, bases = payload
        if type(number) is not int or type(name) is not str or level > MAX_BASES:
            raise frames.ValueLimit("not a class")
        if number not in self._errors:
            above = [self._described_class(base, decode, level + 1) for base in bases]
            if not above or not all(isinstance(base, type) and issubclass(base, BaseException) for base in above):
                raise frames.ValueLimit("not a class of exceptions")
            said = lambda error: vars(error).get("verdict_message", "")  # noqa: E731  # its __str__ ran in the child
            members = {"__module__": "solution", "__str__": said, "__len__": handles.asking("len")}
            own = () if any(issubclass(base, Sub) for base in above) else (Sub,)
            self._errors[number] = type(name[:100], (*own, *above), members)
        return self._errors[number]

    def _described_class(self, described: dict, decode, level: int = 0) -> type:
        [(tag, payload)] = described.items()
        return self.class_(payload, decode, level) if tag == "class" else self.standard(payload, decode)

    def error(self, payload, decode, level: int = 0) -> BaseException:
        """An exception of the code: of its own class or a standard one, with its attributes and its cause."""
        number, kind, message, arguments, fields, cause, is_explicit = payload
        if number in self.objects:
            return self.objects[number]
        self._refuse_number(number)
        made: type[BaseException] = self._described_class(kind, decode)
        given = [decode(argument) for argument in arguments]
        try:
            error = made(*given)
        except Exception:  # some, such as JSONDecodeError, take other arguments than they keep
            error = made.__new__(made)
            error.args = tuple(given)
        for name, value in map(decode, fields):
            refuse_method(name, value)
            if not name.startswith((RESERVED, "__")) or name == "__notes__":
                with contextlib.suppress(AttributeError):
                    BaseException.__setattr__(error, name, value)
        vars(error)["verdict_message"] = str(message)
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


def refuse_method(name: str, value) -> None:
    """Raises ValueLimit for a field that could be called like a method of a plain value and please any test."""
    if name in CARRIED_METHODS and callable(value):
        raise frames.ValueLimit(f"a field that can be called: {name[:100]!r}")
