"""The classes whose instances change, and how their contents cross: as columns, which are lists of values.

A set also keeps its order. It iterates in the order of its hash table, which depends on the table's size and on which
items came first where two want the same slot. Code may return `tuple(s)`, so a set that is only equal can change a
verdict. Source: Objects/setobject.c of CPython 3.11 to 3.14. If the layout of the table cannot be read or reproduced,
the set is equal but its order may differ.
"""

import array
import base64
import collections
import ctypes
import dataclasses
import operator
import sys
import types
from collections.abc import Callable
from typing import Any

HANDLE = "__handle__"  # attribute in the judge: whom to ask about an instance of the code's own subclass
EMPTY = sys.getsizeof(set())  # bytes; the table of eight slots lies inside the object
WORD = ctypes.sizeof(ctypes.c_void_p)
LINEAR_PROBES, PERTURB_SHIFT = 9, 5  # of CPython's table
LONGEST = 1000  # slots that a hash tries at most; in real tables fewer than 200
FILLER = 1_000_003  # makes numbers that hardly occur among the items
PLAIN = {type(None), bool, int, float, str, bytes}  # no code of a program runs when these are put into a set
MOST = 1024  # items; a larger set is not rearranged


@dataclasses.dataclass(frozen=True)
class Kind:
    """A class whose instances change: `take` reads their contents as columns, `put` replaces them.

    `make` gives an empty instance of a class; the columns are there for what cannot be changed later.
    """

    tag: str
    take: Callable[[Any], list[list]]
    put: Callable[[Any, list[list]], None]
    make: Callable[[Any, list[list]], Any] = lambda kind, columns: kind.__new__(kind)


def _items(found: dict) -> list[list]:
    return [[*dict.keys(found)], [*dict.values(found)]]


def _put_dict(found: dict, columns: list[list]) -> None:
    dict.clear(found)
    for key, value in zip(*columns[:2], strict=True):
        dict.__setitem__(found, key, value)


def _ordered_items(found: collections.OrderedDict) -> list[list]:
    names = [*collections.OrderedDict.__iter__(found)]
    return [names, [dict.__getitem__(found, name) for name in names]]


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
        _fill(found, items, layout[0], layout[1:])
        return
    set.difference_update(found, set(set.__iter__(found)) - set(items))
    for item in items:
        set.add(found, item)


def _put_deque(found: collections.deque, columns: list[list]) -> None:
    collections.deque.clear(found)
    collections.deque.extend(found, columns[0])


def _make_deque(kind: Any, columns: list[list]) -> collections.deque:
    found = kind.__new__(kind)
    collections.deque.__init__(found, (), columns[1][0])
    return found


def _put_array(found: array.array, columns: list[list]) -> None:
    del found[:]
    found.frombytes(bytes.fromhex(columns[0][1]))


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


def _make_numpy(kind: None, columns: list[list]):
    import numpy

    return numpy.zeros(columns[1], dtype=columns[0][0])


def _put_numpy(found: Any, columns: list[list]) -> None:
    import numpy

    (dtype, raw), shape = columns
    numpy.copyto(found, numpy.frombuffer(base64.b64decode(raw), dtype=dtype).reshape(shape))


KINDS: dict[type, Kind] = {
    list: Kind("list", lambda v: [list.copy(v)], lambda v, c: list.__setitem__(v, slice(None), c[0])),
    dict: Kind("dict", _items, _put_dict),
    set: Kind("set", lambda v: [[*set.__iter__(v)], set_layout(v) if type(v) is set else []], _put_set),
    collections.deque: Kind("deque", lambda v: [[*collections.deque.__iter__(v)], [v.maxlen]], _put_deque, _make_deque),
    collections.Counter: Kind("Counter", _items, _put_dict),
    collections.OrderedDict: Kind("OrderedDict", _ordered_items, _put_ordered),
    collections.defaultdict: Kind("defaultdict", lambda v: [*_items(v), [v.default_factory]], _put_default),
    bytearray: Kind(
        "bytearray", lambda v: [[bytearray.hex(v)]], lambda v, c: v.__setitem__(slice(None), bytes.fromhex(c[0][0]))
    ),
    array.array: Kind(
        "array",
        lambda v: [[v.typecode, array.array.tobytes(v).hex()]],
        _put_array,
        lambda kind, columns: array.array.__new__(kind, columns[0][0]),
    ),
    types.SimpleNamespace: Kind("SimpleNamespace", lambda v: _items(fields(v)), put_fields),
    collections.UserDict: Kind("UserDict", lambda v: [["data"], [v.data]], put_fields),
    collections.UserList: Kind("UserList", lambda v: [["data"], [v.data]], put_fields),
    collections.UserString: Kind("UserString", lambda v: [["data"], [v.data]], put_fields),
    collections.ChainMap: Kind("ChainMap", lambda v: [["maps"], [v.maps]], put_fields),
}
ARRAY = Kind(  # numpy's, which may not be installed
    "ndarray", lambda v: [[v.dtype.str, base64.b64encode(v.tobytes()).decode()], [*v.shape]], _put_numpy, _make_numpy
)
TAGS: dict[str, tuple[type | None, Kind]] = {kind.tag: (base, kind) for base, kind in KINDS.items()}
TAGS[ARRAY.tag] = (None, ARRAY)


def set_layout(items: set | frozenset) -> list[int]:
    """[] if a set built from the items in their order is the same, else its size in bytes and each item's slot."""
    order, size = list(items), sys.getsizeof(items)
    if len(order) > MOST:
        return []
    for item in order:
        if type(item) not in PLAIN and not (type(item) is tuple and PLAIN.issuperset(map(type, item))):
            return []
    again = (frozenset if isinstance(items, frozenset) else set)(order)
    return [] if _is_same(again, size, order) else [size, *_slots(items)]


def _slots(items: set | frozenset) -> list[int]:
    """The slots of the table that hold the items, in the order of iteration; [] if they cannot be read."""
    used, mask, table = (ctypes.c_ssize_t.from_address(id(items) + n * WORD).value for n in (3, 4, 5))
    if used != len(items) or mask != _mask_of(sys.getsizeof(items)):
        return []  # another Python keeps its sets in another way
    entries = (ctypes.c_void_p * (2 * mask + 2)).from_address(table)
    unused = ctypes.c_size_t(-1).value  # the hash of an entry that was removed
    return [place for place in range(mask + 1) if entries[2 * place] and entries[2 * place + 1] != unused]


def frozenset_of(items: list, layout: list[int]) -> frozenset:
    """A frozenset of the items that has this layout if possible. Raises TypeError for what is no layout."""
    if type(layout) is not list or not {int}.issuperset(map(type, layout)):
        raise TypeError("not a layout")  # an object of the code in it would be asked
    if layout:
        size, *places = layout
        orders = [items, set(items), set(set(items))]
        if _fits(items, size, places):
            at_home, moved, _ = _in_order_of_conflicts(items, places, _mask_of(size))
            orders += [at_home + moved, moved + at_home, set(at_home + moved)]
        for order in orders:
            if _is_same(found := frozenset(order), size, items):
                return found
    return frozenset(items)


def _fill(found: set, items: list, size: int, places: list[int]) -> None:
    """Puts the items into an empty set, with this layout if possible.

    Numbers stand for a while in the slots of items that were removed, and make the table as large as it was.
    """
    mask = _mask_of(size)
    for way in range(4) if _fits(items, size, places) else ():
        at_home, moved, holes = _in_order_of_conflicts(items, places, mask)
        fillers = [slot + FILLER * (mask + 1) for slot in holes]
        free = [slot + FILLER * (mask + 1) for slot in range(mask + 1) if slot not in holes.union(places)]
        more = [] if way == 3 else free
        first = [*fillers, *at_home]
        if way:  # a table that was filled from another set has another size
            count = 5 if way == 1 else (mask + 1) // 4
            while len(first) < count and more:
                first.append(more.pop())
                fillers.append(first[-1])
            set.update(found, set(first[:count]))
        set.update(found, iter(first))
        while sys.getsizeof(found) < size and more:
            fillers.append(more.pop())
            set.add(found, fillers[-1])
        set.update(found, iter(moved))
        set.difference_update(found, fillers)
        if _is_same(found, size, items):
            return
        set.clear(found)
    set.update(found, set(items))
    if not _is_same(found, size, items):
        set.clear(found)
        set.update(found, items)


def _mask_of(size: int) -> int:
    """The number of slots less one in a table that makes a set as large as this."""
    return max(8, (size - EMPTY) // (2 * WORD)) - 1


def _fits(items: list, size: int, places: list) -> bool:
    """Whether this can be the layout of so many items."""
    mask = _mask_of(size)
    fine = all(type(place) is int and 0 <= place <= mask for place in places)
    return fine and len(places) == len(items) <= MOST and mask < 16 * MOST and not mask & (mask + 1)


def _in_order_of_conflicts(items: list, places: list[int], mask: int) -> tuple[list, list, set[int]]:
    """The items in the first slot of their hash, the others in an order that works, and slots of removed items."""
    before = [_earlier(hash(item), mask, place) for item, place in zip(items, places, strict=True)]
    holes = {slot for slots in before for slot in slots}.difference(places)
    at_home = [item for item, slots in zip(items, before, strict=True) if not slots]
    taken = holes | {place for place, slots in zip(places, before, strict=True) if not slots}
    waiting = [triple for triple in zip(items, places, before, strict=True) if triple[2]]
    moved = []
    while ready := [triple for triple in waiting if taken.issuperset(triple[2])]:
        moved += [item for item, _, _ in ready]
        taken |= {place for _, place, _ in ready}
        waiting = [triple for triple in waiting if triple[1] not in taken]
    return at_home, moved + [item for item, _, _ in waiting], holes


def _earlier(code: int, mask: int, place: int) -> list[int]:
    """The slots that a hash tries before `place`."""
    tried: list[int] = []
    perturb, start = code & (1 << 8 * WORD) - 1, code & mask
    while len(tried) < LONGEST:
        for slot in range(start, start + 1 + (LINEAR_PROBES if start + LINEAR_PROBES <= mask else 0)):
            if slot == place:
                return tried
            tried.append(slot)
        perturb >>= PERTURB_SHIFT
        start = (start * 5 + 1 + perturb) & mask
    return tried[:LONGEST]


def _is_same(candidate: set | frozenset, size: int, items: list) -> bool:
    """Whether a set has this size in memory and this order."""
    return sys.getsizeof(candidate) == size and all(map(operator.is_, candidate, items))
