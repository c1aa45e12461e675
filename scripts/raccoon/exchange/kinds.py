"""The classes whose instances change, and how their contents cross: as columns, which are lists of values."""

import array
import base64
import collections
import dataclasses
import types
from collections.abc import Callable
from typing import Any

from raccoon.exchange import sets

HANDLE = "__handle__"  # attribute in the judge: whom to ask about an instance of the code's own subclass


@dataclasses.dataclass(frozen=True)
class Kind:
    """A class whose instances change: `take` reads their contents as columns (lists of values), `put` replaces them.

    `make` gives an empty instance of a class; the columns are there for what cannot be changed later.
    """

    tag: str
    take: Callable[[Any], list[list]]
    put: Callable[[Any, list[list]], None]
    make: Callable[[type, list[list]], Any] = lambda kind, columns: kind.__new__(kind)


def _put_dict(found: dict, columns: list[list]) -> None:
    dict.clear(found)
    for key, value in zip(*columns[:2], strict=True):
        dict.__setitem__(found, key, value)


def _put_ordered(found: collections.OrderedDict, columns: list[list]) -> None:
    collections.OrderedDict.clear(found)
    for key, value in zip(*columns, strict=True):
        collections.OrderedDict.__setitem__(found, key, value)


def _put_default(found: collections.defaultdict, columns: list[list]) -> None:
    found.default_factory = columns[2][0]
    _put_dict(found, columns)


def _put_set(found: set, columns: list[list]) -> None:
    """Changes item by item, as on the other side, so that the set iterates in the same order."""
    items, layout = columns
    if layout and not set.__len__(found):
        sets.fill(found, items, layout[0], layout[1:])
        return
    set.difference_update(found, set(set.__iter__(found)) - set(items))
    for item in items:
        set.add(found, item)


def _put_deque(found: collections.deque, columns: list[list]) -> None:
    collections.deque.clear(found)
    collections.deque.extend(found, columns[0])


def _make_deque(kind: type, columns: list[list]) -> collections.deque:
    found = kind.__new__(kind)
    collections.deque.__init__(found, (), columns[1][0])
    return found


def fields(found: Any) -> dict[str, Any]:
    """The attributes of an instance, without the one in which the judge keeps whom to ask about it."""
    return {name: value for name, value in vars(found).items() if name != HANDLE}


def put_fields(found: Any, columns: list[list]) -> None:
    """Replaces the attributes of an instance."""
    new = dict(zip(*columns, strict=True))
    new.pop(HANDLE, None)
    for name in fields(found):
        del vars(found)[name]
    vars(found).update(new)


def _put_array(found: array.array, columns: list[list]) -> None:
    del found[:]
    found.frombytes(bytes.fromhex(columns[0][1]))


def _make_numpy(kind: type, columns: list[list]):
    import numpy

    return numpy.zeros(columns[1], dtype=columns[0][0])


def _put_numpy(found, columns: list[list]) -> None:
    import numpy

    (dtype, raw), shape = columns
    numpy.copyto(found, numpy.frombuffer(base64.b64decode(raw), dtype=dtype).reshape(shape))


KINDS: dict[type, Kind] = {
    list: Kind("list", lambda v: [list.copy(v)], lambda v, c: list.__setitem__(v, slice(None), c[0])),
    dict: Kind("dict", lambda v: [[*dict.keys(v)], [*dict.values(v)]], _put_dict),
    set: Kind("set", lambda v: [[*set.__iter__(v)], sets.layout(v) if type(v) is set else []], _put_set),
    collections.deque: Kind("deque", lambda v: [[*collections.deque.__iter__(v)], [v.maxlen]], _put_deque, _make_deque),
    collections.Counter: Kind("Counter", lambda v: [[*dict.keys(v)], [*dict.values(v)]], _put_dict),
    collections.OrderedDict: Kind(
        "OrderedDict",
        lambda v: [names := [*collections.OrderedDict.__iter__(v)], [dict.__getitem__(v, name) for name in names]],
        _put_ordered,
    ),
    collections.defaultdict: Kind(
        "defaultdict", lambda v: [[*dict.keys(v)], [*dict.values(v)], [v.default_factory]], _put_default
    ),
    bytearray: Kind(
        "bytearray", lambda v: [[bytearray.hex(v)]], lambda v, c: v.__setitem__(slice(None), bytes.fromhex(c[0][0]))
    ),
    array.array: Kind(
        "array",
        lambda v: [[v.typecode, array.array.tobytes(v).hex()]],
        _put_array,
        lambda kind, columns: array.array.__new__(kind, columns[0][0]),
    ),
    types.SimpleNamespace: Kind("SimpleNamespace", lambda v: [[*fields(v)], [*fields(v).values()]], put_fields),
    collections.UserDict: Kind("UserDict", lambda v: [["data"], [v.data]], put_fields),
    collections.UserList: Kind("UserList", lambda v: [["data"], [v.data]], put_fields),
    collections.UserString: Kind("UserString", lambda v: [["data"], [v.data]], put_fields),
    collections.ChainMap: Kind("ChainMap", lambda v: [["maps"], [v.maps]], put_fields),
}
ARRAY = Kind(  # numpy's, which may not be installed
    "ndarray", lambda v: [[v.dtype.str, base64.b64encode(v.tobytes()).decode()], [*v.shape]], _put_numpy, _make_numpy
)
TAGS = {kind.tag: (base, kind) for base, kind in KINDS.items()} | {"ndarray": (None, ARRAY)}
