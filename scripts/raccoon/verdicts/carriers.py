"""Data that judge and child exchange besides plain values: structures of the context, and numbers for objects.

A *structure* is an instance of a class that the trusted context defines on both sides (ListNode, TreeNode). Its fields
are sent one by one, with its cycles, and the judge rebuilds it from its own class. An *object* of the code's own class
stays in the child; only its number in the child's table is sent. objects.py is the judge's side of objects.
"""

from raccoon.verdicts import values

MAX_OBJECTS = 100_000  # that one child keeps
MAX_NODES = 200_000  # structures in one message


def structures(namespace: dict) -> dict[str, type]:
    """The plain classes that a context defines in its namespace, by name."""
    own = {name: kind for name, kind in namespace.items() if type(kind) is type and kind.__module__ == "__main__"}
    allowed = {*own.values(), object}
    return {
        name: kind
        for name, kind in own.items()
        if kind.__name__ == name and kind.__dictoffset__ and allowed.issuperset(kind.__mro__)
    }


class Kept:
    """Marks a value that the child keeps as an object, whatever its class."""

    def __init__(self, owner):
        self.owner = owner


class Carrier:
    """The part that both sides share: the structures of the message being written (`found`) or read (`received`)."""

    objects = False  # whether objects of the code's own classes are kept in the child

    def __init__(self):
        self.structures: dict[str, type] = {}
        self.received: list = []
        self.begin()

    def begin(self) -> None:
        """Starts to write a new message."""
        self.found: list[tuple[str, dict]] = []  # (class, fields) of each structure
        self._places: dict[int, int] = {}  # id -> place in `found`
        self._alive: list = []  # keeps values alive, so that no id is used twice

    def ready(self, nodes: list) -> None:
        """Makes the structures of a received message, still without their fields."""
        if len(nodes) > MAX_NODES:
            raise values.ValueLimit(f"more than {MAX_NODES:,} structures")
        self.received = [self.made(name) for name, _ in nodes]

    def node(self, name: str, value, fields: dict) -> dict:
        """The reference to one structure. Adds it to `found` if it is new."""
        place = self._places.setdefault(id(value), len(self.found))
        if place == len(self.found):
            if place >= MAX_NODES:
                raise values.ValueLimit(f"more than {MAX_NODES:,} structures")
            self.found.append((name, fields))
            self._alive.append(value)
        return {"node": place}


class CodeCarrier(Carrier):
    """The child's side."""

    def __init__(self, namespace: dict, objects: bool):
        super().__init__()
        self.objects, self._namespace = objects, namespace
        self._table: list = []
        self._numbers: dict[int, int] = {}

    def encoded(self, value, kind: type) -> dict | None:
        """The encoded form of a structure or a kept object; None for other values.

        A class with a structure's name counts as that structure, since programs often define ListNode themselves.
        """
        if kind is Kept:
            return self.kept(value.owner)
        if self.structures and kind.__name__ in self.structures and not isinstance(value, type):
            fields = plain_fields(value)
            if fields is not None:
                return self.node(kind.__name__, value, fields)
        return None

    def kept(self, value) -> dict:
        """The encoded number of an object. The object stays alive from now on."""
        number = self._numbers.setdefault(id(value), len(self._table))
        if number == len(self._table):
            if number >= MAX_OBJECTS:
                raise values.ValueLimit(f"more than {MAX_OBJECTS:,} objects")
            self._table.append(value)
        return {"object": [number, type(value).__name__[:100]]}

    def object(self, number: int, _name: str):
        """The object with a number."""
        return self._table[number]

    def method(self, number: int, name: str):
        """A method of the object with a number."""
        return getattr(self._table[number], name)

    def named(self, name: str):
        """One of the program's classes."""
        return self._namespace[name]

    def made(self, name: str):
        """A structure without its fields, of the class that has the name now."""
        kind = self._namespace.get(name)
        try:
            return object.__new__(kind)
        except TypeError:  # the name is not a class any more, or one of another layout
            return object.__new__(self.structures[name])

    def fill(self, instance, fields: dict) -> None:
        """Sets the fields of a structure without running code of its class."""
        for name, value in fields.items():
            try:
                object.__setattr__(instance, name, value)
            except AttributeError:  # the program's own class has slots or a read-only property of that name
                continue


def plain_fields(value) -> dict | None:
    """The fields of an instance, read without running code of its class; None if they are not a plain dict."""
    try:
        fields = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    if type(fields) is not dict or len(fields) > values.MAX_FIELDS or set(map(type, fields)) - {str}:
        return None
    return dict(fields)
