r"""The feedback for the model that wrote the code: one fixed form, in which all that the code produced is data.

    Your code fails a test.

    ```
    test: assert add(1, 2) == 3
    expected: 3
    got: -1
    ```

    Correct it, and write the whole program again in one ```python block.

The first sentence is one of SENTENCES. The block is left out if there is nothing to show. Its lines, in this order:
- `test:` the visible test as the task shows it; of a whole program, the input of the visible case.
- `expected:` the side of the test's `==` that does not call the code; of a case, the expected output.
- `got:` the last value that the code returned to this test. An object of the code is named by its class alone.
- `output:` what a whole program printed for a visible case. Nothing else that was printed is shown.
- `raised:` an exception's class and message, in which a path is only its last part.
- `line N:` the line of the model's own code at which it was raised, or at which the code does not parse.

    Your code raises an exception in a test.

    ```
    test: assert first([]) is None
    raised: IndexError: list index out of range
    line 2:     return items[0]
    ```

    Correct it, and write the whole program again in one ```python block.

Without visible tests, feedback is about execution alone. For a call that raises, it then has the exception's nearest
builtin class and the line, without the message, which may hold a hidden input:

    Your code raises an exception in a test.

    ```
    raised: IndexError
    line 2:     return items[0]
    ```

    Correct it, and write the whole program again in one ```python block.

Each text is cut to MAX_SHOWN characters, less where the whole would be too long; `...` ends what was cut. It is one
line of printable ASCII: other characters are escaped as in a Python literal, and `<` and `[` as \x3c and \x5b where a
chat template could read a role or a tag.
"""

import builtins
import collections
import datetime
import decimal
import fractions
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from raccoon.verdicts.handles import Handle, RemoteIterator, name_of

SENTENCES = {
    "no code": "Your answer has no Python code.",
    "too long": "Your code is too long to be run.",
    "syntax": "Your code does not parse.",
    "load": "Your code raises an exception before any test calls it.",
    "missing": "Your code does not define what the tests call.",
    "wrong": "Your code fails a test.",
    "raised": "Your code raises an exception in a test.",
    "timeout": "Your code does not end within the time limit.",
    "memory": "Your code exceeds the memory limit.",
    "forbidden": "Your code does something that is forbidden here.",
    "ended": "Your code ends its process before the tests are over.",
    "unanswered": "Your code gives an answer that the tests cannot read.",
}
REQUEST = "Correct it, and write the whole program again in one ```python block."
FENCE = "```"
MAX_SHOWN = 300  # characters of one line's text
MAX_LINE = 10_000  # the last line of a code that is shown
CUT = "..."
ADDRESS = re.compile(r"(?<=\bat )0x[0-9a-f]{8,}")  # of an object: another one in each run
PATH = re.compile(r"(?<![\w.:/])/(?:[\w.@+-]+/)+([\w.@+-]+)")  # to a file: it says nothing of the task
MAX_DEPTH = 20  # levels of a shown value
# Where a chat template, or a reader of one, could see a tag: <|im_start|>, <start_of_turn>, </s>, [INST], [/TOOL_CALLS]
TAG = re.compile(r"<(?=[|/\w!])|\[(?=/?(?:INST|[A-Z_]{3,}\]))")
CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), 127)} | {9: "\\t", 10: "\\n", 13: "\\r"}
ATOMS = (int, float, complex, bool, type(None))
PAIRS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    collections.OrderedDict: ("OrderedDict({", "})"),
    collections.Counter: ("Counter({", "})"),
}
PAIRS |= {collections.defaultdict: ("defaultdict({", "})")}
BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), **PAIRS}
BRACKETS |= {frozenset: ("frozenset({", "})"), collections.deque: ("deque([", "])")}
STANDARD: set[type] = {decimal.Decimal, fractions.Fraction, range, datetime.time, datetime.timedelta}
STANDARD |= {datetime.date, datetime.datetime}

Part = tuple[str, str]  # label with its colon, and text of a line of the block


def feedback(kind: str, parts: Sequence[Sequence[str]], most: int) -> str:
    """The feedback of one of SENTENCES with these parts, at most so many characters.

    With fewer than MIN_FEEDBACK (records.py), its end may be missing.
    """
    texts = [escaped(cleaned(label, text), MAX_SHOWN) for label, text in parts]
    labels = [label for label, _ in parts]
    frame = len(form(SENTENCES[kind], [f"{label} " for label in labels]))
    room = most - frame
    for done, number in enumerate(sorted(range(len(texts)), key=lambda number: len(texts[number]))):
        texts[number] = cut(texts[number], max(0, room // (len(texts) - done)))  # its share of what shorter ones leave
        room -= len(texts[number])
    lines = [f"{label} {text}" for label, text in zip(labels, texts, strict=True)]
    return form(SENTENCES[kind], lines)[:most]


def form(sentence: str, lines: list[str]) -> str:
    block = ["\n".join([FENCE, *lines, FENCE])] if lines else []
    return "\n\n".join([sentence, *block, REQUEST])


def cleaned(label: str, text: str) -> str:
    """What the code produced, without what depends on the machine or on the run."""
    if label not in ("raised:", "got:", "output:"):
        return text
    text = ADDRESS.sub("0x...", text[: 4 * MAX_SHOWN])
    return PATH.sub(r"\1", text) if label == "raised:" else text


def escaped(text: str, most: int) -> str:
    """The text as one line of printable ASCII, at most so many characters."""
    plain = text[: most + 1].translate(CONTROL).encode("ascii", "backslashreplace").decode()
    plain = TAG.sub(lambda found: f"\\x{ord(found[0]):02x}", plain).replace(FENCE, r"\x60\x60\x60")
    return cut(plain, most)


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else (text[: max(0, most - len(CUT))] + CUT)[:most]


def own_line(code: str, number: object) -> list[Part]:
    """The line of the code at which something happened, if the child has named one that there is."""
    if type(number) is not int or not 0 < number <= MAX_LINE:
        return []
    if "\r" in code:
        code = code.replace("\r\n", "\n").replace("\r", "\n")
    found = "".join(code.split("\n", number)[number - 1 : number]).rstrip()
    return [(f"line {number}:", found)] if found else []


def builtin_class(names: Iterable[str]) -> str:
    """The first builtin exception among names that the child has given; "Exception" if there is none."""
    for name in names:
        kind = vars(builtins).get(name.removeprefix("builtins."))
        if isinstance(kind, type) and issubclass(kind, BaseException):
            return kind.__name__
    return "Exception"


def shown_text(data: bytes) -> str:
    """Input or output of a program."""
    return data[: 4 * MAX_SHOWN].decode("utf-8", "backslashreplace").rstrip()


def shown_value(value: object) -> str:
    """A value that the code returned, as Python writes it; its end is missing if it is long. It asks the code nothing.

    An object of the code is named by its class.
    """
    text = ""
    for piece in pieces(value, MAX_DEPTH):
        text += piece
        if len(text) > MAX_SHOWN:
            break
    return text


def pieces(value: Any, depth: int) -> Iterator[str]:
    """The text of a value, piece by piece. Each is short, however large the value is."""
    kind = type(value)
    if kind in BRACKETS and depth:
        start, end = BRACKETS[kind]
        yield start
        for number, item in enumerate(value.items() if kind in PAIRS else value):
            yield ", " * bool(number)
            if kind in PAIRS:
                yield from pieces(item[0], depth - 1)
                yield ": "
                item = item[1]
            yield from pieces(item, depth - 1)
        yield "," * (kind is tuple and len(value) == 1) + end
    elif kind in BRACKETS:
        yield CUT
    elif kind in (str, bytes):
        yield repr(value[: MAX_SHOWN + 1])
    elif kind in ATOMS and not (kind is int and value.bit_length() > 4 * MAX_SHOWN):
        yield repr(value)
    elif kind in STANDARD or kind.__module__ == "numpy" and not value.dtype.hasobject:
        yield written(value)
    else:
        yield f"an object of class {name_of(value) if issubclass(kind, (Handle, RemoteIterator)) else kind.__name__}"


def written(value: object) -> str:
    """The text of a value of a library."""
    try:
        return repr(value)
    except ValueError:  # it holds an int too long for decimal
        return f"an object of class {type(value).__name__}"
