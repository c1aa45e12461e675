"""Rebuilds a set so that it iterates in the same order as the original, as if it had never crossed a process border.

A set iterates in the order of its hash table. That order depends on the table's size and on which items came first
where two want the same slot. Code may return `tuple(s)`, so a set that is only equal can change a verdict.

Source: Objects/setobject.c of CPython 3.11 to 3.14. If the layout cannot be read or reproduced, the set is equal
but its order may differ.
"""

import ctypes
import itertools
import sys
from collections.abc import Iterator

EMPTY = sys.getsizeof(set())  # bytes; the table of eight slots lies inside the object
WORD = ctypes.sizeof(ctypes.c_void_p)
LINEAR_PROBES, PERTURB_SHIFT = 9, 5  # of CPython's table
LONGEST = 1000  # slots that a hash tries at most; in real tables fewer than 200
FILLER = 1_000_003  # makes numbers that hardly occur among the items
PLAIN = {type(None), bool, int, float, str, bytes}
MOST = 1024  # items; a larger set is not rearranged


def layout(items: set | frozenset) -> list[int]:
    """[] if a set built from the items in their order is the same, else its size in bytes and each item's slot."""
    order = list(items)
    if len(order) > MOST or not all(map(is_plain, order)):
        return []
    again = (frozenset if isinstance(items, frozenset) else set)(order)
    return [] if is_same(again, sys.getsizeof(items), order) else [sys.getsizeof(items), *slots(items)]


def is_plain(item) -> bool:
    """Whether no code of a program runs when the item is put into a set."""
    return type(item) in PLAIN or type(item) is tuple and PLAIN.issuperset(map(type, item))


def slots(items: set | frozenset) -> list[int]:
    """The slots of the table that hold the items, in the order of iteration; [] if they cannot be read."""
    used, mask, table = (ctypes.c_ssize_t.from_address(id(items) + n * WORD).value for n in (3, 4, 5))
    if used != len(items) or mask + 1 != max(8, (sys.getsizeof(items) - EMPTY) // (2 * WORD)):
        return []  # another Python keeps its sets in another way
    entries = (ctypes.c_void_p * (2 * mask + 2)).from_address(table)
    unused = ctypes.c_size_t(-1).value  # the hash of an entry that was removed
    return [place for place in range(mask + 1) if entries[2 * place] and entries[2 * place + 1] != unused]


def rebuilt(items: list, size: int, places: list[int]) -> frozenset:
    """A frozenset of the items that has this layout if possible."""
    orders = [items, set(items), set(set(items))]
    if fits(items, size, places):
        at_home, moved, _ = in_order_of_conflicts(items, places, mask_of(size))
        orders += [at_home + moved, moved + at_home, set(at_home + moved)]
    for order in orders:
        if is_same(found := frozenset(order), size, items):
            return found
    return frozenset(items)


def fill(found: set, items: list, size: int, places: list[int]) -> None:
    """Puts the items into an empty set, with this layout if possible."""
    for way in range(4) if fits(items, size, places) else ():
        arrange(found, items, size, places, way)
        if is_same(found, size, items):
            return
        set.clear(found)
    set.update(found, set(items))
    if not is_same(found, size, items):
        set.clear(found)
        set.update(found, items)


def arrange(found: set, items: list, size: int, places: list[int], way: int) -> None:
    """Puts the items into an empty set so that they take these places, in one of four ways.

    Numbers stand for a while in the slots of items that were removed, and make the table as large as it was.
    """
    mask = mask_of(size)
    at_home, moved, holes = in_order_of_conflicts(items, places, mask)
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
    while found.__sizeof__() + EMPTY - set().__sizeof__() < size and more:
        fillers.append(more.pop())
        set.add(found, fillers[-1])
    for item in moved:
        set.add(found, item)
    set.difference_update(found, fillers)


def mask_of(size: int) -> int:
    """The number of slots less one in a table that makes a set as large as this."""
    return max(8, (size - EMPTY) // (2 * WORD)) - 1


def fits(items: list, size: int, places: list) -> bool:
    """Whether this can be the layout of so many items."""
    mask = mask_of(size)
    fine = all(type(place) is int and 0 <= place <= mask for place in places)
    return fine and len(places) == len(items) <= MOST and mask < 16 * MOST and not mask & (mask + 1)


def in_order_of_conflicts(items: list, places: list[int], mask: int) -> tuple[list, list, set[int]]:
    """The items in the first slot of their hash, the others in an order that works, and slots of removed items."""
    before = [earlier(hash(item), mask, place) for item, place in zip(items, places, strict=True)]
    holes = {slot for slots in before for slot in slots}.difference(places)
    at_home = [item for item, slots in zip(items, before, strict=True) if not slots]
    taken = holes | {place for place, slots in zip(places, before, strict=True) if not slots}
    waiting = [triple for triple in zip(items, places, before, strict=True) if triple[2]]
    moved = []
    while waiting:
        ready = [triple for triple in waiting if taken.issuperset(triple[2])]
        if not ready:
            break
        moved += [item for item, _, _ in ready]
        taken |= {place for _, place, _ in ready}
        waiting = [triple for triple in waiting if triple[1] not in taken]
    return at_home, moved + [item for item, _, _ in waiting], holes


def earlier(code: int, mask: int, place: int) -> list[int]:
    """The slots that a hash tries before `place`."""
    return list(itertools.takewhile(lambda slot: slot != place, itertools.islice(probes(code, mask), LONGEST)))


def probes(code: int, mask: int) -> Iterator[int]:
    """The slots that a hash tries, in order."""
    perturb, slot = code & (1 << 8 * WORD) - 1, code & mask
    while True:
        yield from range(slot, slot + 1 + (LINEAR_PROBES if slot + LINEAR_PROBES <= mask else 0))
        perturb >>= PERTURB_SHIFT
        slot = (slot * 5 + 1 + perturb) & mask


def is_same(candidate: set | frozenset, size: int, items: list) -> bool:
    """Whether a set has this size in memory and this order."""
    return sys.getsizeof(candidate) == size and all(map(lambda one, other: one is other, candidate, items))
