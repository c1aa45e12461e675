"""What all given inputs of a task have in common. Nothing is run.

A function may rely on properties of its arguments that its task does not name. An input without them proves nothing
about a program. So the given inputs say what is allowed: types, order, letters, words, signs, empty lists, and how two
arguments belong together (a length beside its list, an item of it). What holds in all of them holds in new ones.
"""

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Value = Any  # of a literal, which may have any plain type
Values = tuple[Value, ...]
Path = tuple[Any, ...]  # of a part: the number of its argument, then ITEM, KEY or the number of a field at each level

ITEM, KEY = "item", "key"
MANY = 4  # texts that show that some are used again and again
REUSED = 0.7  # share of the distinct ones
ORDERS = {"ascending", "descending"}
RARE = {"from 0", "from 1", "square"}  # properties that no input has by chance
FEW = 5  # distinct letters or fewer are an alphabet of their own, like 0 and 1

BOUNDED = ("positive", "natural number", "non-negative", "nonnegative", "greater than", "> 0", ">= 0", ">= 1")
FILLED = ("non-empty", "nonempty", "non empty", "not empty", "at least one")
FLOOR = r"\b[a-z] ?(>=?|≥) ?\d"
BLANKS_KEPT = r"(keep|preserve|consecutive|multiple)\b.{0,40}\bspaces?\b"
LIMITED = ("<=", "≤", "between", "range", "up to", "at most", "less than", "no more than", "guaranteed", "digits")
DISTINCT = ("distinct", "unique", "no duplicate", "contain duplicate", "permutation", "different")
SORTED = ("sorted list", "sorted array", "sorted tuple", "sorted in ascending", "sorted in descending")
FIXED = ("list of two", "list of three", "array of two", "array of three")
KINDS = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789")  # of letters
DECIMAL = set("23456789")  # digits that no binary number has
SEQUENCES = (list, tuple, str)
SIZED = (list, tuple, str, dict, set, frozenset)


@dataclass
class Part:
    """What the given inputs show at one place. It is asked only when all are known."""

    values: list[Value] = field(default_factory=list)

    @cached_property
    def kinds(self) -> set[type]:
        return set(map(type, self.values))

    @cached_property
    def numbers(self) -> list:
        return [value for value in self.values if is_number(value)]

    @cached_property
    def lengths(self) -> list[int]:
        return [len(value) for value in self.values if isinstance(value, SIZED)]

    @cached_property
    def texts(self) -> list[str]:
        return [value for value in self.values if isinstance(value, str)]

    @cached_property
    def letters(self) -> str:
        return "".join(sorted(set("".join(self.texts))))

    @cached_property
    def is_choice(self) -> bool:
        """Whether its texts are a few words that are used again and again: names of operators, or colours."""
        return len(self.texts) >= MANY and len(set(self.texts)) <= REUSED * len(self.texts)

    @cached_property
    def words(self) -> set[str]:
        """The words of its texts, if they are a few that are used again and again; else none."""
        found = [word for text in self.texts if " " in text for word in text.split()]
        return set(found) if len(found) >= MANY and len(set(found)) <= REUSED * len(found) else set()


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
    """What all given inputs have in common, and what the prompt says of them."""

    def __init__(self, given: Sequence[Values], prompt: str = ""):
        self.given, self.parts = list(given), defaultdict[Path, Part](Part)
        said = " ".join(prompt.lower().split())
        lists = (BOUNDED, LIMITED, FILLED, DISTINCT, SORTED, FIXED)
        self.bounded, self.limited, self.filled, self.distinct, in_order, fixed = (
            any(word in said for word in words) for words in lists
        )
        self.floor = bool(re.search(FLOOR, said))
        rare = RARE | ORDERS if in_order else RARE
        for arguments in self.given:
            for number, value in enumerate(arguments):
                for path, part in parts_of(value, (number,)):
                    self.parts[path].values.append(part)
        self.kept = set.intersection(*(properties(arguments) for arguments in self.given))
        self.of_parts = {path: set.intersection(*map(traits, part.values)) for path, part in self.parts.items()}
        for path, part in self.parts.items():
            most = Counter(trait for value in part.values for trait in traits(value) & rare)
            self.of_parts[path] |= {trait for trait, number in most.items() if 2 * number > len(part.values)}
            if not in_order and not shows_order(part):
                self.of_parts[path] -= ORDERS
            if len(part.values) < 2:  # one text shows no form
                self.of_parts[path] -= {each for each in self.of_parts[path] if each.startswith(("digits", "form"))}
            free = len(path) == 1 and not fixed and any(isinstance(each, list) for each in part.values)
            if free or len(part.values) < 3:
                self.of_parts[path] -= {each for each in self.of_parts[path] if each.startswith("length")}
            if len(set(part.numbers)) < FEW:
                self.of_parts[path] -= {"prime"}
            if not self.distinct:
                self.of_parts[path] -= {"distinct"}
            if re.search(BLANKS_KEPT, said):
                self.of_parts[path] -= {f"blanks {name}" for name, _ in BLANKS}

    def allows(self, arguments: Values) -> bool:
        """Whether an input has every property that all given ones have."""
        if len(arguments) not in {len(each) for each in self.given} or not self.kept <= properties(arguments):
            return False
        for number, value in enumerate(arguments):
            for path, part in parts_of(value, (number,)):
                known = self.parts.get(path)
                if known is None or not self.fits(part, known, path) or not self.of_parts[path] <= traits(part):
                    return False
        return True

    def fits(self, value: Value, known: Part, path: Path) -> bool:
        """Whether a part has a known type and, if the given ones do, a sign and a length above 0."""
        if type(value) not in known.kinds:
            return False
        if is_number(value) and known.numbers:
            low, high = min(known.numbers), max(known.numbers)
            reach = max(abs(low), abs(high)) if self.limited else 2 * max(abs(low), abs(high)) + 10
            if self.floor and len(path) == 1 and value < low:
                return False
            zero, negative = self.signs(path)
            return abs(value) <= reach and (value >= 0 or negative) and (value != 0 or zero)
        if isinstance(value, str):
            if not set(value) <= set(known.letters + more_letters(known.letters)):
                return False
            if known.is_choice and value not in known.texts or known.words and not set(value.split()) <= known.words:
                return False
        return not isinstance(value, SIZED) or len(value) > 0 or 0 in known.lengths and not self.filled

    def signs(self, path: Path) -> tuple[bool, bool]:
        """Whether a number at this place may be 0, and whether it may be negative.

        0 may stand among items if the prompt does not ask for positive numbers; as an argument, and a negative number
        anywhere, only where one is given.
        """
        low = min(self.parts[path].numbers)
        return low <= 0 or len(path) > 1 and not self.bounded, low < 0


def shows_order(part: Part) -> bool:
    """Whether enough lists are given to say that they are sorted on purpose."""
    return sum(max(0, len(value) - 1) for value in part.values if isinstance(value, SEQUENCES)) >= 6


def traits(value: Value) -> set[str]:
    """The properties of one part."""
    found = {"prime"} if isinstance(value, int) and is_prime(value) else set()
    if isinstance(value, str):
        found |= {f"letters {name}" for name, belongs in LETTERS if all(map(belongs, value))}
        found |= {"balanced"} if set(value) & set("()[]{}") and is_balanced(value) else set()
        found |= {f"blanks {name}" for name, pattern in BLANKS if not re.search(pattern, value)}
        if re.search(r"\d", value) and re.search(r"\D", value):
            found |= {f"digits {mask(value)}", f"form {re.sub('0+', '0', mask(value))}"}
    if isinstance(value, (list, tuple)) and not (isinstance(value, tuple) and is_record(value)):
        if len({repr(item) for item in value}) == len(value):
            found.add("distinct")
        if len({len(item) if isinstance(item, SIZED) else -1 for item in value}) <= 1:
            found.add("rows")
        if value and all(isinstance(item, (list, tuple)) and len(item) == len(value) for item in value):
            found.add("square")
        found.add(f"length {len(value)}")
        found |= {"from 0", "from 1"} & {f"from {least}" for least in (0, 1) if is_permutation(value, least)}
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


def is_prime(number: int) -> bool:
    return 1 < number < 1_000_000 and all(number % each for each in range(2, math.isqrt(number) + 1))


def more_letters(given: str) -> str:
    """All letters of a kind of which more than FEW are given, and all digits if one is that no binary number has."""
    return "".join(kind for kind in KINDS if len(set(kind) & set(given)) > FEW or set(kind) & set(given) & DECIMAL)


def is_balanced(text: str) -> bool:
    """Whether each bracket of a text is closed."""
    opened = []
    for letter in text:
        if letter in BRACKETS:
            opened.append(BRACKETS[letter])
        elif letter in BRACKETS.values() and (not opened or opened.pop() != letter):
            return False
    return not opened


def is_permutation(value: Sequence, least: int) -> bool:
    """Whether a list, or the rows of one, hold each whole number from `least` on once."""
    items = (
        [item for row in value for item in row] if all(isinstance(row, (list, tuple)) for row in value) else [*value]
    )
    return len(items) > 1 and set(map(type, items)) == {int} and sorted(items) == [*range(least, least + len(items))]


def mask(text: str) -> str:
    """A text with each digit as 0 and each letter as a: what a date or an address looks like."""
    return re.sub(r"[A-Za-z]+", "a", re.sub(r"\d", "0", text))


BRACKETS = {"(": ")", "[": "]", "{": "}"}
BLANKS = (("not first", r"^\s"), ("not last", r"\s$"), ("single", r"\s\s"))
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
        if isinstance(left, SIZED) and isinstance(right, SIZED) and len(left) == len(right) + 1:
            found.add((one, other, "one longer"))
        if isinstance(left, SIZED) and not isinstance(right, SIZED) and not isinstance(left, str) and right in left:
            found.add((one, other, "item"))
        if isinstance(left, str) and isinstance(right, str):
            found |= {(one, other, "substring")} if right and right in left else set()
        if isinstance(left, (list, tuple)) and isinstance(right, str) and right in left:
            found.add((one, other, "item"))
        if is_number(left) and is_number(right) and sum(map(is_number, arguments)) == 2:  # a first and a last
            found |= {(one, other, "up to")} if left <= right else set()
            found |= {(one, other, "below")} if left < right else set()
    return found
