"""Makes inputs that are like given ones: the arguments of some calls in, arguments of other calls out. Nothing is run.

They come from mutations of the given values (Liu et al. 2023: type-aware mutation), from new values of the same shape,
and from values at its edges. shape.py says which are allowed.
"""

import itertools
import random
from collections.abc import Iterator, Sequence

from raccoon.strengthening.shape import (
    ITEM,
    KEY,
    KINDS,
    SIZED,
    Path,
    Shape,
    Value,
    Values,
    is_number,
    is_record,
    more_letters,
)

MOST_ITEMS = 12  # of a list that is made; given ones may be longer
MOST_TRIES = 30  # for each input that is asked for
STALE = 400  # tries in a row without a new input; then there are no more
SMALL = range(13)  # whole numbers that are always tried


class Maker:
    """Draws inputs of a shape."""

    def __init__(self, shape: Shape, rng: random.Random):
        self.shape, self.rng = shape, rng

    def inputs(self, number: int) -> list[tuple[str, Values]]:
        """At most `number` distinct inputs that the shape allows and that are not given, each with its kind."""
        known = {repr(each) for each in self.shape.given}
        found: dict[str, tuple[str, Values]] = {}
        edges = [*self.edges(), *self.exchanged()]
        self.rng.shuffle(edges)
        stale = 0
        for turn in range(MOST_TRIES * number):
            if len(found) >= number or stale > STALE:
                break
            stale += 1
            kind, values = edges.pop() if edges and turn % 3 < 2 else ("other", self.one())
            made = self.mended(values)
            if repr(made) not in known and self.shape.allows(made):
                stale = 0 if repr(made) not in found else stale
                found.setdefault(repr(made), (kind, made))
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

    def edges(self) -> Iterator[tuple[str, Values]]:
        """Given inputs with one argument that is as small, or as uniform, as the shape allows."""
        for base in self.shape.given[:6]:
            for place, value in enumerate(base):
                for number, edge in enumerate(self.edge_values(value, (place,))):
                    kind = f"edge {place} {'small' if is_number(value) and number in range(3, len(SMALL)) else number}"
                    yield kind, (*base[:place], edge, *base[place + 1 :])

    def exchanged(self) -> Iterator[tuple[str, Values]]:
        """Given inputs with two arguments of one type that have changed places, or that are equal."""
        for base in self.shape.given[:6]:
            for one, other in itertools.combinations(range(len(base)), 2):
                if type(base[one]) is type(base[other]):
                    for left, right in ((other, one), (one, one), (other, other)):
                        places = {one: left, other: right}
                        kind = f"exchange {one} {other} {left} {right}"
                        yield kind, tuple(base[places.get(place, place)] for place in range(len(base)))
            for one, other in itertools.permutations(range(len(base)), 2):
                if isinstance(base[one], (list, tuple)) and base[one]:
                    for item in (base[one][0], base[one][-1]):
                        if type(item) is type(base[other]):
                            yield f"exchange item {one} {other}", (*base[:other], item, *base[other + 1 :])

    def edge_values(self, value: Value, path: Path) -> Iterator[Value]:
        if isinstance(value, bool):
            yield not value
        elif is_number(value):
            near = self.shape.parts[path].numbers
            low, high = min(near), max(near)
            yield from (type(value)(each) for each in (*SMALL, -1, low, high, low - 1, high + 1))
        elif isinstance(value, (list, tuple)) and not (isinstance(value, tuple) and is_record(value)):
            items = [*value]
            singles = [[item] for item in items[:3]]
            yield from map(type(value), [[], *singles, items[:1] * 2, *rearranged(items)])
        elif isinstance(value, str):
            yield from ("", value[-1:], value.replace(" ", "  "), *rearranged(value))

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
            found[place] = self.permuted(self.sorted_again(value, (place,)), (place,))
        return tuple(found)

    def permuted(self, value: Value, path: Path) -> Value:
        """A list or a grid with each number once, if all given ones are so."""
        least = [int(name[-1]) for name in self.shape.of_parts.get(path, ()) if name in ("from 0", "from 1")]
        if not least or not isinstance(value, (list, tuple)):
            return value
        rows = [*value] if all(isinstance(row, (list, tuple)) for row in value) else [value]
        size = sum(map(len, rows))
        numbers = self.rng.sample(range(least[0], least[0] + size), size)
        made = [type(row)(numbers.pop() for _ in row) for row in rows]
        return made[0] if rows == [value] else type(value)(made)

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
        signs = self.shape.signs(path) if self.shape.parts[path].numbers else (False, False)
        signed = 0 if signs[0] and self.rng.random() < 0.3 else -value if signs[1] else steps
        return self.rng.choice((steps, steps, small, wide, int(self.rng.choice(numbers)), signed))

    def text(self, value: str, path: Path) -> str:
        part = self.shape.parts[path]
        if part.is_choice:
            return self.rng.choice(part.texts)
        if " " in value and (part.words or self.rng.random() < 0.5):
            return " ".join(self.changed(value.split(" "), [*part.words] or value.split(" ")))
        letters, kind = self.letters(path), self.rng.randrange(4)
        if kind == 0:
            return "".join(self.rng.choice(letters) if self.rng.random() < 0.3 else letter for letter in value)
        if kind == 1:
            return "".join(self.like(letter, letters) if self.rng.random() < 0.4 else letter for letter in value)
        if kind == 2 and value:
            place = self.rng.randrange(len(value))
            return value[:place] + value[place].swapcase() + value[place + 1 :]
        return "".join(self.changed([*value], [*letters] or [*value]))

    def changed(self, parts: list[str], others: list[str]) -> list[str]:
        """The letters of a text, or its words, with one change of their number or order."""
        place, kind = self.rng.randrange(len(parts) + 1), self.rng.randrange(5)
        if kind == 0 and others:
            return [*parts[:place], self.rng.choice(others), *parts[place:]]
        if kind == 1:
            return parts[:place] + parts[place + 1 :]
        if kind == 2:
            return parts[:place] + parts[max(0, place - 1) :]
        if kind == 3:
            return parts[:place]
        return self.rng.sample(parts, len(parts))

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
            letters, words = self.letters(path), sorted(part.words)
            if part.is_choice:
                return self.rng.choice(part.texts)
            if words:
                return " ".join(self.rng.choice(words) for _ in like.split())
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


def rearranged(value: Value) -> list[Value]:
    """A list or text with its own items in other numbers and orders, some of them the same from both ends."""
    turned, first = value[::-1], value[:1]
    return [first, value[:2], value[1:], turned, first * 3, value + value, value + turned, value + first]


def new_inputs(given: Sequence[Values], prompt: str, number: int, rng: random.Random) -> list[tuple[str, Values]]:
    """At most `number` inputs like the given ones, each once and none of them given, with its kind before it.

    Inputs of one kind are at the same edge, as empty or as equal; "other" are at none.
    """
    return Maker(Shape(given, prompt), rng).inputs(number)
