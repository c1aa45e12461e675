"""Rebuilds a set so that it iterates in the same order as the original, as if it had never crossed a process border.

A set iterates in the order of its hash table. That order depends on the table's size and on which items came first
where two want the same slot. Code may return `tuple(s)`, so a set that is only equal can change a verdict.

Source: Objects/setobject.c of CPython 3.11 to 3.14. Where the layout cannot be read or reproduced, the set is equal
but its order may differ.
"""

import ctypes
import itertools
import sys
from collections.abc import Iterator

EMPTY = sys.getsizeof(set())  # bytes; the table of eight slots lies inside the object
WORD = ctypes.sizeof(ctypes.c_void_p)
LINEAR_PROBES, PERTURB_SHIFT = 9, 5  # of CPython's table
MOST = 1024  # items; a larger set is not rearranged


def layout(items: set | frozenset) -> list[int]:
    """[] if a set built from the items in their order is the same, else its size in bytes and each item's slot."""
    order = list(items)
    if len(items) > MOST or is_same(set(order), sys.getsizeof(items), order):
        return []
    return [sys.getsizeof(items), *slots(items)]


def slots(items: set | frozenset) -> list[int]:
    """The slots of the table that hold the items, in the order of iteration; [] if they cannot be read."""
    used, mask, table = (ctypes.c_ssize_t.from_address(id(items) + n * WORD).value for n in (3, 4, 5))
    if used != len(items) or mask + 1 != max(8, (sys.getsizeof(items) - EMPTY) // (2 * WORD)):
        return []  # another Python keeps its sets in another way
    entries = (ctypes.c_void_p * (2 * mask + 2)).from_address(table)
    unused = ctypes.c_size_t(-1).value  # the hash of an entry that was removed
    return [place for place in range(mask + 1) if entries[2 * place] and entries[2 * place + 1] != unused]


def rebuilt(items: list, size: int, places: list[int]) -> set:
    """A set of the items that has this layout if possible."""
    found = set(items)
    for candidate in candidates(items, size, places):
        if is_same(candidate, size, items):
            return candidate
    return found


def candidates(items: list, size: int, places: list[int]) -> Iterator[set]:
    """Sets of the items that may have the layout: grown item by item, copied from another, or in order of conflicts."""
    yield set(items)
    yield set(set(items))
    mask = max(8, (size - EMPTY) // (2 * WORD)) - 1
    if mask > 16 * MOST or len(places) != len(items) or len(items) > MOST:
        return
    at_home, moved = in_order_of_conflicts(items, places, mask)
    for first in (0, mask // 2, (mask + 1) // 4):
        grown = set(set(at_home[:first]))  # a copy has a larger table than a set that grew
        for item in (*at_home[first:], *moved):
            grown.add(item)
        yield grown


def in_order_of_conflicts(items: list, places: list[int], mask: int) -> tuple[list, list]:
    """The items that lie in the first slot of their hash, and the others, each after those that took its slots."""
    pairs = list(zip(items, places, strict=True))
    at_home = [item for item, place in pairs if hash(item) & mask == place]
    taken = {place for item, place in pairs if hash(item) & mask == place}
    waiting = [pair for pair in pairs if hash(pair[0]) & mask != pair[1]]
    moved = []
    while waiting:
        ready = [(item, place) for item, place in waiting if taken.issuperset(earlier(hash(item), mask, place))]
        if not ready:
            break
        moved += [item for item, _ in ready]
        taken |= {place for _, place in ready}
        waiting = [pair for pair in waiting if pair[1] not in taken]
    return at_home, moved + [item for item, _ in waiting]


def earlier(code: int, mask: int, place: int) -> list[int]:
    """The slots that a hash tries before `place`."""
    return list(itertools.takewhile(lambda slot: slot != place, itertools.islice(probes(code, mask), 4 * mask)))


def probes(code: int, mask: int) -> Iterator[int]:
    """The slots that a hash tries, in order."""
    perturb, slot = code & (1 << 8 * WORD) - 1, code & mask
    while True:
        yield from range(slot, slot + 1 + (LINEAR_PROBES if slot + LINEAR_PROBES <= mask else 0))
        perturb >>= PERTURB_SHIFT
        slot = (slot * 5 + 1 + perturb) & mask


def is_same(candidate: set, size: int, items: list) -> bool:
    """Whether a set has this size in memory and this order."""
    return sys.getsizeof(candidate) == size and all(map(lambda one, other: one is other, candidate, items))
