"""What crosses between judge and child beside plain values: structures of the context, and numbers for objects.

A *structure* is an instance of a class that the trusted context defines on both sides (ListNode, TreeNode). It crosses
field by field, with its cycles: the judge rebuilds it from its own class. An *object* of the code's own class stays in
the child; what crosses is its number in the child's table. The judge's side of objects is in objects.py.
"""

from raccoon.verdicts import values

MAX_OBJECTS = 100_000  # that one child keeps for its judge
MAX_NODES = 200_000  # structures in one message


def structures(namespace: dict) -> dict[str, type]:
    """The plain classes that a context has defined in its namespace, by name."""
    own = {name: kind for name, kind in namespace.items() if type(kind) is type and kind.__module__ == "__main__"}
    allowed = {*own.values(), object}
    return {
        name: kind
        for name, kind in own.items()
        if kind.__name__ == name and kind.__dictoffset__ and allowed.issuperset(kind.__mro__)
    }


class Kept:
    """Marks a value of the child that is to be kept there as an object, whatever its class."""

    def __init__(self, owner):
        self.owner = owner


class Carrier:
    """Both sides: the structures of the message that is being written (`found`) or read (`received`)."""

    objects = False  # whether objects of the code's own classes are kept in the child

    def __init__(self):
        self.structures: dict[str, type] = {}
        self.received: list = []
        self.begin()

    def begin(self) -> None:
        """A new message is written."""
        self.found: list[tuple[str, dict]] = []  # (class, fields) of each structure
        self._places: dict[int, int] = {}  # id -> place in `found`
        self._alive: list = []  # so that no id is used twice

    def ready(self, nodes: list) -> None:
        """Makes the structures of a message that is read, without their fields."""
        if len(nodes) > MAX_NODES:
            raise values.ValueLimit(f"more than {MAX_NODES:,} structures")
        self.received = [self.made(name) for name, _ in nodes]

    def node(self, name: str, value, fields: dict) -> dict:
        """The reference to one structure, which joins `found` where it is new."""
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
        """The wire's form of a structure or a kept object, None for other values.

        A class that bears a structure's name counts as one, since programs like to define ListNode themselves.
        """
        if kind is Kept:
            return self.kept(value.owner)
        if self.structures and kind.__name__ in self.structures and not isinstance(value, type):
            fields = plain_fields(value)
            if fields is not None:
                return self.node(kind.__name__, value, fields)
        return None

    def kept(self, value) -> dict:
        """The number of an object, which stays alive from now on."""
        number = self._numbers.setdefault(id(value), len(self._table))
        if number == len(self._table):
            if number >= MAX_OBJECTS:
                raise values.ValueLimit(f"more than {MAX_OBJECTS:,} objects")
            self._table.append(value)
        return {"object": [number, type(value).__name__[:100]]}

    def object(self, number: int, _name: str):
        """The object of a number."""
        return self._table[number]

    def method(self, number: int, name: str):
        """A method of the object of a number."""
        return getattr(self._table[number], name)

    def named(self, name: str):
        """One of the program's classes."""
        return self._namespace[name]

    def made(self, name: str):
        """A structure without its fields, of the class that bears the name by now."""
        kind = self._namespace.get(name)
        try:
            return object.__new__(kind)
        except TypeError:  # no class any more, or one of another layout
            return object.__new__(self.structures[name])

    def fill(self, instance, fields: dict) -> None:
        """Gives a structure its fields without running code of its class."""
        for name, value in fields.items():
            try:
                object.__setattr__(instance, name, value)
            except AttributeError:  # the program's own class has slots or a read-only property of that name
                continue


def plain_fields(value) -> dict | None:
    """The fields of an instance, read without running code of its class; None where it has none of that kind."""
    try:
        fields = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    if type(fields) is not dict or len(fields) > values.MAX_FIELDS or set(map(type, fields)) - {str}:
        return None
    return dict(fields)
