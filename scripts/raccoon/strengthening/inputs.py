"""Makes inputs that are like given ones: the arguments of some calls in, arguments of other calls out. Nothing is run.

A function may rely on properties of its arguments that its task does not name. An input without them proves nothing
about a program. So the given inputs say what is allowed: types, lengths, order, letters, signs, and how two arguments
belong together (a length beside its list, an item of it). What holds in all of them holds in the new ones. The inputs
come from mutations of the given values (Liu et al. 2023: type-aware mutation) and from new values of the same shape.
"""

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Value = Any  # of a literal, which may have any plain type
Values = tuple[Value, ...]
Path = tuple[Any, ...]  # of a part: the number of its argument, then ITEM, KEY or the number of a field at each level

ITEM, KEY = "item", "key"
MOST_ITEMS = 12  # of a list that is made; given ones may be longer
MOST_TRIES = 30  # for each input that is asked for
FEW = 5  # distinct letters or fewer are an alphabet of their own, like 0 and 1
BOUNDED = ("positive", "natural number", "non-negative", "nonnegative", "greater than", ">= 0", "> 0", ">= 1", "prime")
DISTINCT = ("distinct", "unique", "no duplicate", "permutation", "different")
KINDS = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789")  # of letters
SEQUENCES = (list, tuple, str)
SIZED = (list, tuple, str, dict, set, frozenset)


@dataclass
class Part:
    """What the given inputs show at one place."""

    values: list[Value] = field(default_factory=list)

    @property
    def numbers(self) -> list:
        return [value for value in self.values if is_number(value)]

    @property
    def lengths(self) -> list[int]:
        return [len(value) for value in self.values if isinstance(value, SIZED)]

    @property
    def letters(self) -> str:
        return "".join(sorted(set("".join(value for value in self.values if isinstance(value, str)))))


def is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def parts_of(value: Value, path: Path, fields: bool = False) -> Iterator[tuple[Path, Value]]:
    """Every part of a value with its path, the value itself first."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from parts_of(key, (*path, KEY))
            yield from parts_of(item, (*path, ITEM))
    elif isinstance(value, (list, set, frozenset)):
        for item in sorted(value, key=repr) if not isinstance(value, list) else value:
            yield from parts_of(item, (*path, ITEM))
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from parts_of(item, (*path, place if is_record(value) else ITEM))


def is_record(value: tuple) -> bool:
    """Whether a tuple's places have meanings of their own: a pair like ("a", 3)."""
    return len({type(item) for item in value}) > 1 and len(value) <= 6


class Shape:
    """What all given inputs have in common. `prompt` may allow more: see `relaxed`."""

    def __init__(self, given: Sequence[Values], prompt: str = ""):
        self.given, self.parts = list(given), defaultdict[Path, Part](Part)
        words = prompt.lower()
        self.bounded, self.distinct = (any(word in words for word in said) for said in (BOUNDED, DISTINCT))
        for arguments in self.given:
            for number, value in enumerate(arguments):
                for path, part in parts_of(value, (number,)):
                    self.parts[path].values.append(part)
        self.kept = set.intersection(*(properties(arguments) for arguments in self.given))
        self.of_parts = {path: set.intersection(*map(traits, part.values)) for path, part in self.parts.items()}
        for path, part in self.parts.items():
            if not shows_order(part):
                self.of_parts[path] -= {"ascending", "descending"}
            if len(part.values) < 2:
                self.of_parts[path] -= {each for each in self.of_parts[path] if each[:5] == "mask "}
            if not self.distinct:
                self.of_parts[path] -= {"distinct"}

    def allows(self, arguments: Values) -> bool:
        """Whether an input has every property that all given ones have."""
        if len(arguments) not in {len(each) for each in self.given} or not self.kept <= properties(arguments):
            return False
        for number, value in enumerate(arguments):
            for path, part in parts_of(value, (number,)):
                known = self.parts.get(path)
                if known is None or not self.fits(part, known) or not self.of_parts[path] <= traits(part):
                    return False
        return True

    def fits(self, value: Value, known: Part) -> bool:
        """Whether a part has a known type and, if the given ones do, a sign and a length above 0."""
        if type(value) not in {type(each) for each in known.values}:
            return False
        if is_number(value) and known.numbers:
            low, high = min(known.numbers), max(known.numbers)
            reach = 2 * max(abs(low), abs(high)) + 10
            return abs(value) <= reach and (value >= 0 or low < 0) and (value != 0 or low <= 0)
        if isinstance(value, str) and not set(value) <= set(known.letters + more_letters(known.letters)):
            return False
        return not isinstance(value, SIZED) or len(value) > 0 or 0 in known.lengths


def shows_order(part: Part) -> bool:
    """Whether enough lists are given to say that they are sorted on purpose."""
    return sum(max(0, len(value) - 1) for value in part.values if isinstance(value, SEQUENCES)) >= 6


def traits(value: Value) -> set[str]:
    """The properties of one part."""
    found = set()
    if isinstance(value, str):
        found |= {f"letters {name}" for name, belongs in LETTERS if all(map(belongs, value))}
        found |= {f"mask {mask(value)}"} if re.search(r"\d", value) and re.search(r"[^\w\s]", value) else set()
    if isinstance(value, (list, tuple)) and not (isinstance(value, tuple) and is_record(value)):
        if len({repr(item) for item in value}) == len(value):
            found.add("distinct")
        if len({len(item) if isinstance(item, SIZED) else -1 for item in value}) <= 1:
            found.add("rows")
        if value and all(isinstance(item, (list, tuple)) and len(item) == len(value) for item in value):
            found.add("square")
        if len({type(item) for item in value}) <= 1:
            found.add("one type")
        try:
            ordered = sorted(value)
            found |= {
                name for name, like in (("ascending", ordered), ("descending", ordered[::-1])) if like == list(value)
            }
        except TypeError:
            pass
    return found


def more_letters(given: str) -> str:
    """All letters of a kind of which more than FEW are given."""
    return "".join(kind for kind in KINDS if len(set(kind) & set(given)) > FEW)


def mask(text: str) -> str:
    """A text with each digit as 0 and each letter as a: what a date or an address looks like."""
    return re.sub(r"[A-Za-z]+", "a", re.sub(r"\d", "0", text))


LETTERS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("ascii", lambda letter: letter < "\x80"),
    ("small", lambda letter: not letter.isupper()),
    ("capital", lambda letter: not letter.islower()),
    ("no digit", lambda letter: not letter.isdigit()),
    ("digit", lambda letter: not letter.isalpha()),
    ("no blank", lambda letter: not letter.isspace()),
    ("word", lambda letter: letter.isalnum() or letter.isspace()),
)


def properties(arguments: Values) -> set[tuple]:
    """How arguments belong together, as facts about pairs of them."""
    found: set[tuple] = set()
    for one, other in itertools.permutations(range(len(arguments)), 2):
        left, right = arguments[one], arguments[other]
        if isinstance(left, SIZED) and isinstance(right, int):
            size = len(left)
            facts = {"is length": right == size, "up to length": right <= size, "below length": right < size}
            found |= {(one, other, name) for name, holds in facts.items() if holds}
        if isinstance(left, SIZED) and isinstance(right, SIZED) and len(left) == len(right):
            found.add((one, other, "same length"))
        if isinstance(left, SIZED) and not isinstance(right, SIZED) and not isinstance(left, str) and right in left:
            found.add((one, other, "item"))
        if isinstance(left, str) and isinstance(right, str):
            found |= {(one, other, "substring")} if right and right in left else set()
        if isinstance(left, (list, tuple)) and isinstance(right, str) and right in left:
            found.add((one, other, "item"))
        if is_number(left) and is_number(right):
            found |= {(one, other, "up to")} if left <= right else set()
            found |= {(one, other, "below")} if left < right else set()
    return found


class Maker:
    """Draws inputs of a shape."""

    def __init__(self, shape: Shape, rng: random.Random):
        self.shape, self.rng = shape, rng

    def inputs(self, number: int) -> list[Values]:
        """At most `number` distinct inputs that the shape allows and that are not given."""
        known = {repr(each) for each in self.shape.given}
        found: dict[str, Values] = {}
        edges = list(self.edges())
        self.rng.shuffle(edges)
        for turn in range(MOST_TRIES * number):
            if len(found) >= number:
                break
            made = self.mended(edges.pop() if edges and turn % 3 == 0 else self.one())
            if repr(made) not in known and self.shape.allows(made):
                found.setdefault(repr(made), made)
        return list(found.values())

    def one(self) -> Values:
        """A given input with some changes, or a new one."""
        base = list(self.rng.choice(self.shape.given))
        way = self.rng.random()
        if way < 0.3:
            return tuple(self.fresh((place,), value) for place, value in enumerate(base))
        if way < 0.4:
            return tuple(self.rng.choice(self.shape.parts[(place,)].values) for place in range(len(base)))
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            place = self.rng.randrange(len(base))
            base[place] = self.varied(base[place], (place,))
        return tuple(base)

    def edges(self) -> Iterator[Values]:
        """Given inputs with one argument that is as small, or as uniform, as the shape allows."""
        for base in self.shape.given[:6]:
            for place, value in enumerate(base):
                for edge in self.edge_values(value, (place,)):
                    yield (*base[:place], edge, *base[place + 1 :])

    def edge_values(self, value: Value, path: Path) -> Iterator[Value]:
        if isinstance(value, bool):
            yield not value
        elif is_number(value):
            near = self.shape.parts[path].numbers
            low, high = min(near), max(near)
            yield from (type(value)(each) for each in (0, 1, 2, 3, -1, low, high, low - 1, high + 1))
        elif isinstance(value, (list, tuple)) and not (isinstance(value, tuple) and is_record(value)):
            items = [*value]
            singles = [[item] for item in items[:3]]
            several = [items[:2], items[::-1], items[:1] * 2, items[:1] * 3, items + items, items[1:]]
            yield from map(type(value), [[], *singles, *several])
        elif isinstance(value, str):
            yield from ("", value[:1], value[-1:], value[:1] * 3, value[::-1], value + value, value[:2], value[1:])

    def mended(self, arguments: Values) -> Values:
        """The input with its lengths and items as the shape wants them, where that is easy."""
        found = list(arguments)
        for one, other, name in sorted(self.shape.kept, key=repr):
            if max(one, other) >= len(found) or not isinstance(found[one], SIZED):
                continue
            size = len(found[one])
            if name == "is length":
                found[other] = size
            elif name == "item" and size and found[other] not in found[one]:
                found[other] = self.rng.choice(sorted(found[one], key=repr))
            elif name in ("up to length", "below length") and isinstance(found[other], int) and found[other] >= size:
                found[other] = self.rng.randint(0, size) if size else 0
        for place, value in enumerate(found):
            found[place] = self.sorted_again(value, (place,))
        return tuple(found)

    def sorted_again(self, value: Value, path: Path) -> Value:
        """A list in the order that all given ones have, at each level."""
        if not isinstance(value, (list, tuple)) or isinstance(value, tuple) and is_record(value):
            return value
        items = [self.sorted_again(item, (*path, ITEM)) for item in value]
        order = self.shape.of_parts.get(path, set())
        if order & {"ascending", "descending"}:
            try:
                items.sort(reverse="ascending" not in order)
            except TypeError:
                return value
        return type(value)(items)

    def varied(self, value: Value, path: Path) -> Value:
        """A value with one change somewhere in it."""
        if isinstance(value, bool):
            return not value
        if is_number(value):
            return self.number(value, path)
        if isinstance(value, str):
            return self.text(value, path)
        if isinstance(value, tuple) and is_record(value):
            place = self.rng.randrange(len(value))
            return (*value[:place], self.varied(value[place], (*path, place)), *value[place + 1 :])
        if isinstance(value, (list, tuple)):
            return type(value)(self.items(list(value), path))
        if isinstance(value, (set, frozenset)):
            return type(value)(self.items(sorted(value, key=repr), path))
        if isinstance(value, dict) and value:
            return self.dictionary(dict(value), path)
        return value

    def number(self, value: int | float, path: Path) -> int | float:
        numbers = self.shape.parts[path].numbers or [value]
        low, high = min(numbers), max(numbers)
        if isinstance(value, float):
            near = [value + self.rng.choice((-1, 1, 0.5, 0.1)), self.rng.uniform(low, high), self.rng.choice(numbers)]
            return round(float(self.rng.choice(near)), self.rng.choice((1, 2)))
        small = self.rng.randint(int(min(low, 1)), int(max(low, min(high, 12))) + 1)
        steps = value + self.rng.choice((-3, -2, -1, 1, 2, 3))
        wide = self.rng.randint(int(low), int(high + max(abs(high - low), abs(high)) // 2) + 2)
        signed = -value if low < 0 else steps
        return self.rng.choice((steps, steps, small, wide, int(self.rng.choice(numbers)), signed))

    def text(self, value: str, path: Path) -> str:
        letters = self.letters(path)
        place = self.rng.randrange(len(value) + 1)
        kind = self.rng.randrange(8)
        if kind == 0 or not value:
            return value[:place] + self.rng.choice(letters) + value[place:] if letters else value
        if kind == 1:
            return value[:place] + value[place + 1 :]
        if kind == 2:
            return value[:place] + value[max(0, place - 1) : place] + value[place:]
        if kind == 3:
            return "".join(self.rng.choice(letters) if self.rng.random() < 0.3 else letter for letter in value)
        if kind == 4:
            return value[:place] + value[place : place + 1].swapcase() + value[place + 1 :]
        if kind == 5:
            mixed = list(value)
            self.rng.shuffle(mixed)
            return "".join(mixed)
        if kind == 6:
            return value[:place] + self.rng.choice(
                [each for each in self.shape.parts[path].values if isinstance(each, str)]
            )
        return "".join(self.like(letter, letters) if self.rng.random() < 0.4 else letter for letter in value)

    def like(self, letter: str, letters: str) -> str:
        """One of the letters that is of the same kind."""
        kind = next((kind for kind in KINDS if letter in kind), letter)
        return self.rng.choice([each for each in letters if each in kind] or [letter])

    def letters(self, path: Path) -> str:
        """The letters that a text may have, the given ones more often."""
        given = self.shape.parts[path].letters
        return given * 3 + more_letters(given)

    def items(self, items: list, path: Path) -> list:
        """Items with one change: of their number, their order or one of them."""
        place, kind = self.rng.randrange(len(items) + 1), self.rng.randrange(9)
        inner = self.shape.parts.get((*path, ITEM))
        if not items or kind == 0:
            new = [self.fresh((*path, ITEM), self.rng.choice(inner.values))] if inner else []
            return items[:place] + new + items[place:]
        if kind == 1:
            return items[:place] + items[place + 1 :]
        if kind == 2:
            return items[:place] + [self.rng.choice(items)] + items[place:]
        if kind == 3:
            self.rng.shuffle(items)
            return items
        if kind == 4:
            return items[place:] + items[:place]
        place = min(place, len(items) - 1)
        if kind == 5:
            items[place] = self.rng.choice(items)
            return items
        items[place] = self.varied(items[place], (*path, ITEM))
        if kind == 6:
            other = self.rng.randrange(len(items))
            items[other] = self.varied(items[other], (*path, ITEM))
        return items

    def dictionary(self, value: dict, path: Path) -> dict:
        """A dict without one of its keys, or with one that another given dict has, or with another value."""
        key, kind = self.rng.choice(list(value)), self.rng.randrange(4)
        if kind == 0:
            del value[key]
        elif kind == 1:
            others = self.shape.parts[(*path, KEY)].values
            value[self.rng.choice(others)] = value[key]
        else:
            value[key] = self.varied(value[key], (*path, ITEM))
        return value

    def fresh(self, path: Path, like: Value) -> Value:
        """A new value of the same type as another at that place, of parts like those given there."""
        part = self.shape.parts.get(path)
        if part is None or isinstance(like, bool) or like is None:
            return like
        if is_number(like):
            return self.number(like, path)
        if isinstance(like, tuple) and is_record(like):
            return tuple(self.fresh((*path, place), item) for place, item in enumerate(like))
        lengths = part.lengths or [0]
        size = self.rng.randint(min(lengths), max(min(lengths), min(max(lengths) + 1, MOST_ITEMS)))
        if isinstance(like, str):
            letters = self.letters(path)
            return "".join(self.rng.choice(letters) for _ in range(size)) if letters else like
        inner = self.shape.parts.get((*path, ITEM))
        if inner is None:
            return like
        if self.rng.random() < 0.3 and "rows" in self.shape.of_parts[path]:
            size = len(like)
        made = [self.fresh((*path, ITEM), self.rng.choice(inner.values)) for _ in range(size)]
        if isinstance(like, dict):
            keys = self.shape.parts[(*path, KEY)].values
            return {self.rng.choice(keys): item for item in made} if keys else like
        return type(like)(made)


def new_inputs(given: Sequence[Values], prompt: str, number: int, rng: random.Random) -> list[Values]:
    """At most `number` inputs like the given ones, each once and none of them given."""
    return Maker(Shape(given, prompt), rng).inputs(number)
