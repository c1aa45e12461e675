"""What a task whose solution is a whole program takes for the right output. Each rule compares bytes with bytes.

- "lines": equal, except for white space at the ends of lines and blank lines at the end.
- "numbers", as in LiveCodeBench: lines without white space around them; numbers may be written differently.
- "text", as in TACO: equal, except for white space at both ends.
- "tokens": equal words; numbers with a fraction may differ by TOLERANCE.
- "values", as in CodeContests: equal words, whatever the case of letters; numbers may differ by NEAR.
"""

import decimal
import math
import re

TOLERANCE = 1e-6  # absolute, or relative if the expected number is larger than 1
NEAR = 1e-5  # absolute
MAX_NUMBER = 400  # characters of a word; longer words are not numbers
NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?")
REAL = re.compile(rb"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan(?:\([a-z0-9_]*\))?)")
INTEGER = re.compile(rb"[+-]?\d+")


def same_lines(printed: bytes, expected: bytes) -> str:
    """Compares lines without trailing white space and without blank lines at the end. "", or the difference."""
    return difference(trimmed(printed), trimmed(expected), bytes.__eq__)


def same_numbers(printed: bytes, expected: bytes) -> str:
    """Compares lines without white space around them, and numbers by value ("1.0" is "1"). "", or the difference."""
    lines = [[line.strip() for line in text.strip().split(b"\n")] for text in (printed, expected)]
    return difference(*lines, equal_line)


def same_tokens(printed: bytes, expected: bytes) -> str:
    """Compares words, whatever the spaces; numbers with a fraction may differ by TOLERANCE. "", or the difference."""
    return difference(printed.split(), expected.split(), equal_token, "word")


def same_text(printed: bytes, expected: bytes) -> str:
    """Compares whole texts without white space at both ends, whatever ends the printed lines. "", or the difference."""
    printed = printed.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return difference(printed.strip().split(b"\n"), expected.strip().split(b"\n"), bytes.__eq__)


def same_values(printed: bytes, expected: bytes) -> str:
    """Compares words in small letters, or as numbers of double precision. "", or the difference.

    OutputsMatch in execution/tester_sandboxer.cc of google-deepmind/code_contests (8d1341a3). An infinity is equal only
    to itself, and only if all words are equal.
    """
    words = [text.lower().replace(b"\f", b"\0").split() for text in (printed, expected)]
    return "" if words[0] == words[1] else difference(*words, equal_value, "word")


def trimmed(text: bytes) -> list[bytes]:
    """The lines without trailing white space, up to the last that is not blank."""
    lines = [line.rstrip() for line in text.rstrip().split(b"\n")]
    return [] if lines == [b""] else lines


def difference(printed: list[bytes], expected: list[bytes], equal, unit: str = "line") -> str:
    """The first difference in words; "" if there is none."""
    for number, (ours, theirs) in enumerate(zip(printed, expected, strict=False), 1):
        if not equal(ours, theirs):
            return f"{unit} {number} differs"
    return "" if len(printed) == len(expected) else f"{len(printed)} {unit}s instead of {len(expected)}"


def equal_line(ours: bytes, theirs: bytes) -> bool:
    """Whether two lines are equal, or hold equal numbers."""
    if ours == theirs:
        return True
    pairs = ours.split(), theirs.split()
    return len(pairs[0]) == len(pairs[1]) and all(map(equal_decimal, *pairs))


def equal_decimal(ours: bytes, theirs: bytes) -> bool:
    """Whether both words are numbers for `decimal` with the same value."""
    try:
        return decimal.Decimal(ours.decode()) == decimal.Decimal(theirs.decode())
    except (decimal.InvalidOperation, UnicodeDecodeError):
        return False


def equal_number(ours: bytes, theirs: bytes) -> bool:
    """Whether both are decimal numbers with the same value."""
    return is_number(ours) and is_number(theirs) and equal_decimal(ours, theirs)


def equal_token(ours: bytes, theirs: bytes) -> bool:
    """Whether two words are equal. An expected integer must match exactly, another number approximately."""
    if ours == theirs:
        return True
    if not (is_number(ours) and is_number(theirs)):
        return False
    if INTEGER.fullmatch(theirs):
        return equal_number(ours, theirs)
    got, wanted = float(ours), float(theirs)
    if math.isinf(wanted):  # it is larger than a float, so TOLERANCE cannot be applied
        return equal_number(ours, theirs)
    return math.isfinite(got) and abs(got - wanted) <= TOLERANCE * max(1.0, abs(wanted))


def equal_value(ours: bytes, theirs: bytes) -> bool:
    """Whether two words are numbers that differ by less than NEAR, or equal and no numbers."""
    if REAL.fullmatch(ours) and REAL.fullmatch(theirs):
        return abs(float(ours) - float(theirs)) < NEAR
    return ours == theirs


def is_number(word: bytes) -> bool:
    return len(word) <= MAX_NUMBER and NUMBER.fullmatch(word) is not None


RULES = {"lines": same_lines, "numbers": same_numbers, "text": same_text, "tokens": same_tokens, "values": same_values}
