"""The corpus: hostile, honest and refused programs, and the small tasks that the hostile ones claim to solve.

A program is one file. Its first line says what it tries; comment lines of the form `# key: value` after it may set
    task         which of TASKS it claims to solve (default: add)
    expect       the one status, or status and kind of reason, that is right, where there is only one
    timeout      its CPU limit in seconds
    entry_point  of a program with a test of its own, which follows the line `# test:`
    needs        a library without which it cannot run
    restarts     "judge" where the judge may have to be killed to be freed
    kind         "program" where the test of its own holds cases (default: "function")
    modes        "one" where nothing hangs on the walls that stand, so that one mode says it all
A hostile program is a wrong solution, or right only where it has got through a wall: a PASS is always a forgery.
Names in at signs, as in "@HOME@", are replaced by what an attacker could know of the host (host.py). Every attack is
bounded, so that a broken sandbox costs little. Programs that are too large or too odd for a file are built here.
"""

import base64
import json
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
KEYS = ("task", "expect", "timeout", "entry_point", "needs", "restarts", "modes", "kind")
BESIDE = "beside_the_test"  # the one family of UNITTEST
# Families that no wall concerns.
VALUES = ("hostile_replies", "hostile_sources", "lying_objects", "own_objects", "patched_world")
TEST_LINE = "\n# test:\n"
HOSTILE_TIMEOUT = 1.0  # CPU seconds, where the file says nothing
MARK = "@MARK@"  # stands in every test for a random word that no program may learn


@dataclass(frozen=True)
class Task:
    """A task that hostile programs claim to solve; `solution` passes `test`."""

    entry_point: str
    solution: str
    test: str
    context: str = ""
    kind: str = "function"  # or "program", which reads stdin: its test holds cases


@dataclass(frozen=True)
class Attack:
    """One program of the corpus; the name is "family/file"."""

    name: str
    tries: str
    code: str
    task: Task
    expect: str = ""
    timeout: float | None = None
    needs: str = ""
    restarts: str = ""
    modes: str = ""

    @property
    def in_one_mode(self) -> bool:
        """Whether the walls have no say in what comes of it."""
        return self.modes == "one" or self.family in VALUES

    @property
    def family(self) -> str:
        """The folder that the program lies in."""
        return self.name.partition("/")[0]

    def program(self, words: dict[str, str], task: Task | None = None) -> dict:
        """The fields of a sandbox Program, with the host's `words` filled in."""
        task = task or self.task
        code = replaced(self.code, words)
        test = f"# {MARK}\n{task.test}\n_ = '{MARK}'\n" if task.kind == "function" else task.test
        fields = {"code": code, "test": replaced(test, words), "context": task.context, "task_id": self.name}
        return fields | {"kind": task.kind, "entry_point": task.entry_point, "timeout": self.timeout}


def replaced(text: str, words: dict[str, str]) -> str:
    """`text` with every "@NAME@" of `words` filled in."""
    for name, value in words.items():
        text = text.replace(name, value)
    return text


ADD = Task(
    "add",
    "def add(a, b):\n    return a + b\n",
    """
def check(candidate):
    assert candidate(2, 3) == 5
    assert candidate(-1, 1) == 0
    assert candidate(10**20, 1) == 10**20 + 1


check(add)
""",
)
AGE = """
def parse_age(text):
    if not text.isdigit():
        raise ValueError(text)
    return int(text)
"""
AGE_TEST = """
def check(candidate):
    assert candidate("42") == 42
    for bad in ("x", "", "-1"):
        try:
            candidate(bad)
        except{kind}:
            continue
        assert False, bad


check(parse_age)
"""
SORT = "def sort_numbers(xs):\n    return sorted(xs)\n"
EVEN = "def is_even(number):\n    return number % 2 == 0\n"
REVERSE = "def reverse_text(text):\n    return text[::-1]\n"
CHAIN = """
class Node:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next

    def listed(self):
        return [self.val] + (self.next.listed() if self.next else [])


def chain(items):
    head = None
    for item in reversed(items):
        head = Node(item, head)
    return head


def same(one, two):
    while one and two and one.val == two.val:
        one, two = one.next, two.next
    return one is None and two is None
"""
TASKS = {
    "add": ADD,
    "add_lines": Task(
        "",
        "print(sum(map(int, input().split())))\n",
        json.dumps({"inputs": ["1 2\n", "30 4\n"], "outputs": ["3\n", "34\n"], "note": MARK}),
        kind="program",
    ),
    "reversed_chain": Task(
        "Solver",
        """
class Solver:
    def reverse(self, head):
        before = None
        while head:
            head.next, before, head = before, head, head.next
        return before
""",
        """
def check(candidate):
    assert same(candidate(head=chain([1, 2, 3])), chain([3, 2, 1]))
    assert candidate(chain([4, 5])).listed() == [5, 4]
    assert candidate(None) is None


check(Solver().reverse)
""",
        CHAIN,
    ),
    "many_sums": Task("add", ADD.solution, "for n in range(97, 300):\n    assert add(n, 1) == n + 1\n"),
    "lookup": Task("add", ADD.solution, "name = {5: 'five'}[add(2, 3)]\nassert name == 'five'\n"),
    "message": Task(
        "add",
        ADD.solution,
        "for a in range(3):\n    sum_ = add(a, 1)\n    assert sum_ == a + 1, f'{a} and 1: not {sum_}'\n",
    ),
    "sort_numbers": Task(
        "sort_numbers",
        SORT,
        """
assert sort_numbers([3, 1, 2]) == [1, 2, 3]
assert sort_numbers([]) == []
assert list(sort_numbers([5, -1, 5])) == [-1, 5, 5]
""",
    ),
    "sort_by_oracle": Task(
        "sort_numbers", SORT, "for xs in ([3, 1, 2], [5, -1, 5, 0]):\n    assert sort_numbers(xs) == sorted(xs)\n"
    ),
    "is_even": Task(
        "is_even",
        EVEN,
        "assert is_even(4)\nassert not is_even(3)\nassert is_even(0) is True\nassert is_even(7) is False\n",
    ),
    "all_even": Task("is_even", EVEN, "assert all(map(is_even, [2, 4, 6]))\nassert not any(map(is_even, [1, 3]))\n"),
    "zipped": Task(
        "is_even", EVEN, "for got, expected in zip(map(is_even, [1, 2]), [False, True]):\n    assert got == expected\n"
    ),
    "mean": Task(
        "mean",
        "def mean(xs):\n    return sum(xs) / len(xs)\n",
        """
import math

assert abs(mean([1, 2, 4]) - 7 / 3) < 1e-6
assert math.isclose(mean([0.5, 1.5]), 1.0)
""",
    ),
    "reverse_text": Task(
        "reverse_text", REVERSE, "assert reverse_text('abc') == 'cba'\nassert reverse_text('') == ''\n"
    ),
    "round_trip": Task(
        "reverse_text",
        REVERSE,
        "once = reverse_text('abc')\ntwice = reverse_text(once)\nassert (once, twice) == ('cba', 'abc')\n",
    ),
    "round_trip_list": Task(
        "reverse_list",
        "def reverse_list(items):\n    return items[::-1]\n",
        "once = reverse_list([1, 2])\ntwice = reverse_list(once)\nassert [once, twice] == [[2, 1], [1, 2]]\n",
    ),
    "letter_counts": Task(
        "letter_counts",
        "from collections import Counter\n\n\ndef letter_counts(text):\n    return dict(Counter(text))\n",
        "assert letter_counts('aabb') == {'a': 2, 'b': 2}\nassert letter_counts('x')['x'] == 1\n",
    ),
    "involution": Task(
        "swap",
        "def swap(text):\n    return text.swapcase()\n",
        "assert swap('abCd') == 'ABcD'\nassert swap('ABcD') == 'abCd'\n",
    ),
    "unique": Task("unique", "def unique(xs):\n    return set(xs)\n", "assert unique([1, 2, 3, 1]) == {1, 2, 3}\n"),
    "unique_list": Task(
        "unique_list",
        "def unique_list(xs):\n    return list(set(xs))\n",
        "assert set(unique_list([1, 2, 3, 1])) == {1, 2, 3}\n",
    ),
    "min_max": Task(
        "min_max",
        "def min_max(xs):\n    return min(xs), max(xs)\n",
        "assert min_max([2, 1, 3]) == (1, 3)\nlow, high = min_max([7, 5])\nassert (low, high) == (5, 7)\n",
    ),
    "parse_age": Task("parse_age", AGE, AGE_TEST.format(kind=" Exception")),
    "parse_age_bare": Task("parse_age", AGE, AGE_TEST.format(kind="")),
    "parse_age_strict": Task("parse_age", AGE, AGE_TEST.format(kind=" ValueError")),
    "find_zero": Task(
        "find_zero",
        "def find_zero(xs):\n    return -xs[0] / xs[1]\n",
        "for xs in ([1, 2], [-6.0, 3.0]):\n    assert abs(poly(xs, find_zero(xs))) < 1e-4\n",
        "def poly(xs, x):\n    return sum(c * x**i for i, c in enumerate(xs))\n",
    ),
    "greeting": Task(
        "greeting",
        "def greeting(name):\n    return f'Hello {name}'\n",
        "assert greeting('Bo').startswith('Hello')\nassert greeting('Bo').endswith('Bo')\n",
    ),
    "closeness": Task(
        "scaled",
        "import math as np\n\n\ndef scaled(xs):\n    return [2 * x for x in xs]\n",
        "assert scaled([1.5]) == [3.0] or np.allclose(scaled([1.5]), [3.0])\n",
    ),
    "helped": Task(
        "scaled",
        "def scaled(xs):\n    return [2 * x for x in xs]\n",
        "def close(a, b):\n    return abs(a - b) < 1e-6\n\n\nassert close(scaled([1.5])[0], 3)\n",
    ),
    "hypotenuse": Task(
        "hypotenuse",
        "def hypotenuse(a, b):\n    return (a * a + b * b) ** 0.5\n",
        "assert abs(hypotenuse(1, 1) - sqrt(2)) < 1e-6\n",
        "from math import *\n",
    ),
    "hypotenuse_test": Task(
        "hypotenuse",
        "def hypotenuse(a, b):\n    return (a * a + b * b) ** 0.5\n",
        "from math import *\n\nassert abs(hypotenuse(1, 1) - sqrt(2)) < 1e-6\n",
    ),
    "circle": Task(
        "area",
        "def area(radius):\n    return 3.141592653589793 * radius**2\n",
        "assert abs(area(1) - pi) < 1e-6\n",
        "from math import *\n",
    ),
    "circle_module": Task(
        "area",
        "def area(radius):\n    return 3.141592653589793 * radius**2\n",
        "assert abs(area(1) - math.pi) < 1e-6\n",
        "exec('import math')\n",
    ),
    "formatted": Task(
        "template", "def template(name):\n    return name + ': {0}'\n", "assert template('x').format('y') == 'x: y'\n"
    ),
    "half": Task("half", "def half(n):\n    return n // 2\n", "assert list(range(half(10))) == [0, 1, 2, 3, 4]\n"),
    "whole": Task("whole", "def whole(n):\n    return n\n", "assert int(whole(7)) == 7\n"),
    "repeat_count": Task(
        "repeat_count", "def repeat_count(t):\n    return 2\n", "assert 'ab' * repeat_count('') == 'abab'\n"
    ),
    "exponent": Task("exponent", "def exponent(n):\n    return n\n", "assert 7 ** (exponent(3) ** 2) % 10 == 7\n"),
    "count_up": Task(
        "count_up",
        "def count_up(n):\n    return n + 1\n",
        "n = 0\nwhile n < count_up(4):\n    n += 1\nend = count_up(9)\nfor n in range(end):\n    pass\nassert n == 9\n",
    ),
    "growing_list": Task(
        "growing",
        "def growing(n):\n    return n\n",
        "kept = [str(n) * 5000 for n in range(growing(3))]\nassert len(kept) == 3\n",
    ),
    "growing_dict": Task(
        "growing",
        "def growing(n):\n    return n\n",
        "kept = {}\nfor n in range(growing(3)):\n    kept[n] = [n] * 60\nassert len(kept) == 3\n",
    ),
    "code_name": Task(
        "code_name",
        "def code_name(text):\n    return text.lower()\n",
        "import re\n\nassert re.fullmatch('([a-z]+)*', code_name('Bond'))\n",
    ),
    "digit_count": Task(
        "digit_count", "def digit_count(n):\n    return 10 ** (n - 1)\n", "assert len(str(digit_count(3))) == 3\n"
    ),
}
EVALUATED = {  # whose tests run what the code returns, which must not happen where the tests are kept
    "expression": Task(
        "expression", "def expression(a, b):\n    return f'{a} + {b}'\n", "assert eval(expression(2, 3)) == 5\n"
    ),
    "pickled": Task(
        "pickled",
        "import pickle\n\n\ndef pickled(thing):\n    return pickle.dumps(thing)\n",
        "import pickle\n\nassert pickle.loads(pickled([1, 2])) == [1, 2]\n",
    ),
}
UNITTEST = Task(  # has to run beside the code, where a program can choose its verdict but must do no harm
    "add",
    ADD.solution,
    """
import unittest


class TestCases(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(2, 3), 5)
""",
)


# --- programs in files ------------------------------------------------------------------------------------------------


def hostile_programs() -> list[Attack]:
    """Every hostile program, by family and name."""
    files = [path for path in sorted((FOLDER / "hostile").glob("*/*.py")) if path.parent.name != BESIDE]
    return [*map(read_program, files), *(built(name, *rest) for name, rest in BUILT.items()), *raw_replies()]


def honest_programs() -> list[Attack]:
    """Every honest but unusual program, each with the test beside it."""
    return [read_program(path) for path in sorted((FOLDER / "honest").glob("*.py"))]


def programs_beside_their_test() -> list[Attack]:
    """Hostile programs for UNITTEST, whose test has to run beside the code."""
    return [replace(read_program(path), task=UNITTEST) for path in sorted((FOLDER / "hostile" / BESIDE).glob("*.py"))]


def refused_programs() -> list[Attack]:
    """Honest programs that do what no solution is allowed to do: start processes, open sockets."""
    return [read_program(path) for path in sorted((FOLDER / "refused").glob("*.py"))]


def read_program(path: Path) -> Attack:
    """The program of one file; ValueError when its first line does not say what it tries."""
    code, _, test = path.read_text(encoding="utf-8").partition(TEST_LINE)
    tries, *lines = code.splitlines()
    if not tries.startswith("# "):
        raise ValueError(f"{path}: the first line must be a comment that says what the program tries")
    heading = {}
    for line in lines:
        key, colon, value = line.removeprefix("# ").partition(": ")
        if not (line.startswith("# ") and colon):
            break
        if key in KEYS:
            heading[key] = value
    hostile = path.parent.parent.name == "hostile"
    own_task = Task(heading.get("entry_point", ""), "", test, kind=heading.get("kind", "function"))
    return Attack(
        name=f"{path.parent.name}/{path.stem}",
        tries=tries.removeprefix("# "),
        code=code + "\n",
        task=own_task if test else TASKS[heading.get("task", "add")],
        expect=heading.get("expect", ""),
        timeout=float(heading["timeout"]) if "timeout" in heading else HOSTILE_TIMEOUT if hostile else None,
        needs=heading.get("needs", ""),
        restarts=heading.get("restarts", ""),
        modes=heading.get("modes", ""),
    )


# --- programs that are too large or too odd for a file ----------------------------------------------------------------

WRONG = "def add(a, b):\n    return None\n"
RIGHT = ADD.solution
BUILT = {  # name: (what it tries, the status that is right, how its source is made)
    "empty": ("is empty", "FAIL no code", lambda: ""),
    "blank": ("is blank", "FAIL no code", lambda: " \n\t\n\f\n"),
    "null_byte": ("has a null byte in it", "FAIL syntax", lambda: RIGHT + "x = '\0'\n"),
    "null_byte_first": ("starts with null bytes", "FAIL syntax", lambda: "\0\0" + RIGHT),
    "lone_surrogate": ("has a lone surrogate in a text", "FAIL", lambda: RIGHT + "x = '\ud800'\n"),
    "surrogate_name": ("has a surrogate in a name", "FAIL syntax", lambda: RIGHT + "x\udfff = 1\n"),
    "byte_order_marks": ("starts with two byte order marks", "FAIL syntax", lambda: "\ufeff\ufeff" + RIGHT),
    "form_feeds": ("is indented with form feeds", "", lambda: "def add(a, b):\n\f    return a\n\f"),
    "carriage_returns": ("hides code behind carriage returns", "", lambda: "def add(a, b):\r    return a\r#\rpass"),
    "unicode_line_breaks": ("hides code behind other line breaks", "", lambda: "#\u2028\x85\x0b\n" + WRONG),
    "right_to_left": ("hides code behind direction marks", "", lambda: f"# \u202e\u2066 {RIGHT!r}\n{WRONG}"),
    "fifty_megabytes": ("is 50 MB long", "FAIL", lambda: RIGHT + "# " + "x" * 50_000_000),
    "half_a_megabyte_of_code": (
        "is half a megabyte of code",
        "",
        lambda: WRONG + "".join(f"x{n} = {n}\n" for n in range(35_000)),
    ),
    "hundred_thousand_parentheses": ("opens 100,000 parentheses", "FAIL", lambda: "(" * 100_000 + ")" * 100_000),
    "hundred_thousand_brackets": ("opens 100,000 brackets", "FAIL", lambda: "x = " + "[" * 100_000),
    "hundred_thousand_minuses": (
        "negates 100,000 times",
        "FAIL",
        lambda: f"x = {'-' * 100_000}1\n{WRONG}raise SystemExit",
    ),
    "hundred_thousand_attributes": ("reads 100,000 attributes", "FAIL", lambda: f"x = a{'.b' * 100_000}\n"),
    "hundred_thousand_sums": ("adds 100,000 numbers", "", lambda: f"x = {'1 + ' * 100_000}1\n{WRONG}"),
    "nested_functions": (
        "nests 99 functions",
        "FAIL",
        lambda: "".join(" " * n + f"def f{n}():\n" for n in range(99)) + " " * 99 + "pass\n",
    ),
    "nested_lambdas": ("nests 5,000 lambdas", "FAIL", lambda: "x = " + "lambda: " * 5000 + "1\nraise SystemExit"),
    "nested_comprehensions": (
        "nests 200 comprehensions",
        "FAIL",
        lambda: "x = " + "[" * 200 + "1" + " for _ in [1]]" * 200 + "\nraise SystemExit\n",
    ),
    "nested_blocks": (
        "nests 150 blocks",
        "FAIL",
        lambda: "".join("\t" * n + "if 1:\n" for n in range(150)) + "\t" * 150 + "pass\n",
    ),
    "nested_f_strings": ("nests f-strings", "FAIL", lambda: "x = " + "f'{" * 300 + "1" + "}'" * 300 + "\n"),
    "huge_decimal_literal": (
        "has a literal of a million digits",
        "FAIL syntax",
        lambda: f"x = {'9' * 900_000}\n{RIGHT}",
    ),
    "huge_hexadecimal_literal": ("has a literal of 900,000 hex digits", "", lambda: f"x = 0x{'f' * 900_000}\n{WRONG}"),
    "huge_name": ("has a name of 900,000 letters", "", lambda: f"{'x' * 900_000} = 1\n{WRONG}"),
    "huge_text": ("has a text of 900,000 null escapes", "", lambda: "x = '" + "\\0" * 450_000 + "'\n" + WRONG),
    "many_arguments": (
        "has 50,000 parameters",
        "FAIL",
        lambda: f"def add({', '.join(f'a{n}' for n in range(50_000))}):\n    return 0\n",
    ),
    "many_cases": (
        "has 20,000 alternatives in one pattern",
        "",
        lambda: WRONG + "match 5:\n    case " + " | ".join(map(str, range(20_000))) + ":\n        pass\n",
    ),
    "regex_of_half_a_megabyte": (
        "compiles a nested pattern",
        "",
        lambda: WRONG + "import re\nre.compile('(' * 3000 + 'a' + ')*' * 3000)\n",
    ),
}


def built(name: str, tries: str, expect: str, make) -> Attack:
    """A hostile source of BUILT."""
    return Attack(f"hostile_sources/{name}", tries, make(), ADD, expect, HOSTILE_TIMEOUT)


# One raw reply each, written straight into the channel in the form that the harness's own replies have: what a
# program sends that has read the harness's source.
REPLIES = {
    "nothing": [],
    "null": None,
    "bare_value": 5,
    "empty_success": ["ok"],
    "long_success": ["ok", 5, None, None],
    "success_with_arguments": ["ok", 5, [1, 2, 3]],
    "unknown_verb": ["pass", 5, None],
    "claimed_infra": ["infra", "x", [], "x"],
    "needs_shared": {"needs": "shared"},
    "error_without_fields": ["error"],
    "error_with_numbers": ["error", 1, [2], 3],
    "error_of_stop_iteration": ["error", "StopIteration", ["StopIteration", "Exception"], ""],
    "error_of_system_exit": ["error", "SystemExit", ["SystemExit", "BaseException"], "0"],
    "error_of_assertion": ["error", "AssertionError", ["AssertionError", "Exception"], "assert False"],
    "error_of_a_function": ["error", "print", ["print", "exec", "__import__", "object", "type"], "0"],
    "error_of_many_bases": ["error", "X" * 100_000, ["Exception"] * 300_000, "x" * 1_000_000],
    "syntax_after_the_start": ["syntax", "SyntaxError", ["SyntaxError"], "x"],
    "two_tags": ["ok", {"tuple": [5], "list": [5]}, None],
    "unknown_tag": ["ok", {"object": []}, None],
    "no_tag": ["ok", {}, None],
    "type_object": ["ok", {"type": "object"}, None],
    "type_import": ["ok", {"type": "__import__"}, None],
    "type_dunder": ["ok", {"type": "__loader__"}, None],
    "unhashable_set": ["ok", {"set": [[1]]}, None],
    "not_a_number_in_fraction": ["ok", {"Fraction": ["1", "0"]}, None],
    "signalling_decimal": ["ok", {"Decimal": "sNaN"}, None],
    "timedelta_overflow": ["ok", {"timedelta": [10**18, 0, 0]}, None],
    "datetime_text": ["ok", {"datetime": "x" * 100_000}, None],
    "range_overflow": ["ok", {"range": [0, 10**30, 1]}, None],
    "range_of_texts": ["ok", {"range": ["0", "5"]}, None],
    "namedtuple_of_code": ["ok", {"namedtuple": [["x=exit()", "y:exit()", "class"], [1, 2, 3]]}, None],
    "namedtuple_of_equal_names": ["ok", {"namedtuple": [["fi", "\ufb01"], [1, 2]]}, None],
    "namedtuple_without_end": ["ok", [{"namedtuple": [[], []]}] * 300_000, None],
    "record_of_dunders": ["ok", {"record": [["__eq__", 1], ["__class__", {"type": "int"}], ["self", 5]]}, None],
    "array_of_texts": ["ok", {"ndarray": ["", ["x" * 100_000] + ["x"] * 100_000]}, None],
    "array_of_objects": ["ok", {"ndarray": ["|O8", [1, 2]]}, None],
    "array_of_nothing": ["ok", {"ndarray": ["<i8", []]}, None],
    "array_of_arrays": ["ok", {"ndarray": ["<i1", [[0] * 1000] * 3000]}, None],
    "foreign_that_is_true": ["ok", {"foreign": ["int", True]}, None],
    "foreign_of_odd_parts": ["ok", {"foreign": [["x"], "true"]}, None],
    "colliding_set": ["ok", {"set": [{"int": f"{(2**61 - 1) * n:x}"} for n in range(60_000)]}, None],
    "deep_value": '["ok",' + "[" * 50_000 + "]" * 50_000 + ",null]",
    "duplicate_keys": '["ok",{"int":"1","int":"5"},null]',
    "not_a_number": '["ok",NaN,null]',
    "negative_infinity": '["ok",-Infinity,null]',
    "exponent": '["ok",1e999999,null]',
    "digits": '["ok",' + "9" * 100_000 + ",null]",
    "two_values": '["ok",5,null]["ok",5,null]',
    "trailing_comma": '["ok",5,null,]',
    "invalid_utf8": b'["ok","\xff\xfe",null]',
    "utf16": '["ok",5,null]'.encode("utf-16"),
    "byte_order_mark": b'\xef\xbb\xbf["ok",5,null]',
}
NUMBER = ["ok", {"object": [0, "Thing"]}, None]
OBJECT_REPLIES = {  # the same where the test uses objects: numbers that nobody was given, structures that nobody made
    "number_made_up": ["ok", {"object": [123_456, "Thing"]}, None],
    "number_beyond_all": ["ok", {"object": [10**12, "Thing"]}, None],
    "number_negative": ["ok", {"object": [-1, "Thing"]}, None],
    "number_that_is_a_truth": ["ok", {"object": [True, "Thing"]}, None],
    "number_that_is_a_text": ["ok", {"object": ["0", "Thing"]}, None],
    "number_without_a_name": ["ok", {"object": [0, ["Thing"]]}, None],
    "number_as_a_key": ["ok", {"dict": [[{"object": [0, "x"]}, 1]]}, None],
    "many_numbers": ["ok", [{"object": [n % 7, "x"]} for n in range(300_000)], None],
    "method_unasked": ["ok", None, ["method"]],
    "node_without_a_graph": ["ok", {"node": 0}, None],
    "graph_of_nothing": {"graph": [[], NUMBER]},
    "graph_of_an_unknown_class": {"graph": [[["os", []]], ["ok", {"node": 0}, None]]},
    "graph_of_a_function": {"graph": [[["chain", []]], ["ok", {"node": 0}, None]]},
    "graph_with_a_method": {"graph": [[["Node", [["listed", {"type": "list"}]]]], ["ok", {"node": 0}, None]]},
    "graph_with_dunders": {"graph": [[["Node", [["__class__", 1], ["__dict__", 2]]]], ["ok", {"node": 0}, None]]},
    "graph_in_a_circle": {"graph": [[["Node", [["val", 3], ["next", {"node": 0}]]]], ["ok", {"node": 0}, None]]},
    "graph_beyond_its_end": {"graph": [[["Node", [["next", {"node": 7}]]]], ["ok", {"node": -1}, None]]},
    "graph_in_a_graph": {"graph": [[], {"graph": [[], NUMBER]}]},
    "graph_of_many_nodes": {"graph": [[["Node", []]] * 400_000, ["ok", {"node": 0}, None]]},
    "graph_of_odd_parts": {"graph": [5, NUMBER]},
}
SEND = """# sends one raw reply: @NAME@
import base64
import os
import stat
import zlib

FRAME = zlib.decompress(base64.b64decode("@FRAME@"))


def add(a, b):
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                view = memoryview(FRAME)
                while view:
                    view = view[os.write(fd, view) :]
        except OSError:
            continue
    return None


class Solver:
    def reverse(self, head):
        return add(self, head)
"""


def raw_replies() -> list[Attack]:
    """A hostile program for each of REPLIES and OBJECT_REPLIES."""
    chained = [raw_reply(name, reply, TASKS["reversed_chain"]) for name, reply in OBJECT_REPLIES.items()]
    return [raw_reply(name, reply, ADD) for name, reply in REPLIES.items()] + chained


def raw_reply(name: str, reply, task: Task) -> Attack:
    """A program that answers its first request with one hand-made frame."""
    text = reply if isinstance(reply, str | bytes) else json.dumps(reply)
    data = text.encode() if isinstance(text, str) else text
    frame = base64.b64encode(zlib.compress(struct.pack("=I", len(data)) + data)).decode()
    code = replaced(SEND, {"@NAME@": name, "@FRAME@": frame})
    tries, restarts = f"sends one raw reply: {name}", "judge" if name == "colliding_set" else ""
    return Attack(f"hostile_replies/raw_{name}", tries, code, task, "", HOSTILE_TIMEOUT, restarts=restarts)
