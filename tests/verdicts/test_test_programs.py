"""Test programs: what they need of the code, and how assertions are counted."""

import pytest

from raccoon.test_texts import test_programs
from raccoon.test_texts.test_programs import Tally, analyse

CHECK = "def check(candidate):\n{}\n\ncheck(f)\n"


def analysed(test: str, context: str = "", entry_point: str = "f") -> test_programs.TestProgram:
    return analyse(test, context, entry_point)


@pytest.mark.parametrize("test, functions, variables, modules", [
    ("assert f(1) == 2", ("f",), (), ()),
    ("assert f(g(1)) == LIMIT", ("f", "g"), ("LIMIT",), ()),
    ("x = 1\nassert f(x) == len([x])", ("f",), (), ()),
    ("def check(candidate):\n    assert candidate(1) == 2\ncheck(f)", ("f",), (), ()),
    ("assert [f(i) for i in range(3)] == [0, 1, 2]", ("f",), (), ()),
    ("import math\nfrom os import path as p\nassert f(math.pi) == p.join('a')", ("f",), (), ()),
    ("assert math.isclose(f(1), 1.0)", ("f",), (), ("math",)),
    ("for i, (a, *b) in enumerate([(1, 2)]):\n    assert f(a, b)", ("f",), (), ()),
    ("try:\n    f(1)\nexcept ValueError as error:\n    assert error", ("f",), (), ()),
    ("match f(1):\n    case [a, *b]:\n        assert a\n    case {'k': c, **d}:\n        assert d", ("f",), (), ()),
    ("assert (y := f(1)) and y", ("f",), (), ()),
    ("g = lambda x, *a, k=1, **kw: x\nassert g(f(1))", ("f",), (), ()),
    ("assert __name__ == '__main__' and f(1)", ("f",), (), ()),
])  # fmt: skip
def test_names_that_only_the_code_can_supply(test, functions, variables, modules):
    found = analysed(test)
    assert (found.functions, found.values, found.modules) == (functions, variables, modules)


def test_names_of_the_context_are_not_the_codes():
    found = analysed("assert f(1) == oracle(1) + K", "K = 1\ndef oracle(x):\n    return x")
    assert (found.functions, found.values) == (("f",), ())


def test_entry_point_is_asked_for_even_where_the_context_defines_it():
    assert "f" in analysed("assert f(1)", "def f(x):\n    pass").functions


@pytest.mark.parametrize("entry_point", ["", "no name", "1f"])
def test_entry_point_that_is_no_name(entry_point):
    assert analysed("assert g(1)", "", entry_point).functions == ("g",)


@pytest.mark.parametrize("test, libraries", [
    ("import numpy as np\nimport os.path", ("numpy",)),
    ("from scipy.stats import norm\nimport a.b.c", ("a", "scipy")),
    ("import json, collections.abc\nfrom math import pi", ()),
    ("def check(c):\n    import pandas\n    assert c(1)\ncheck(f)", ("pandas",)),
    ("try:\n    import pandas\nexcept ImportError:\n    pass", ()),
])  # fmt: skip
def test_libraries(test, libraries):
    assert analysed(test + "\nassert f(1)").libraries == libraries


def test_asserts_are_counted_in_the_text():
    test = "assert f(1)\nfor i in range(9):\n    assert f(i)\n\ndef g():\n    assert f(2)\n"
    assert analysed(test).asserts == 3
    assert analysed("f(1)").asserts == 0


@pytest.mark.parametrize("test", ["try:\n    f(1)\nfinally:\n    pass", "with open('x'):\n    f(1)"])
def test_assertions_do_not_go_on_where_the_test_catches(test):
    assert not analysed(test).goes_on
    assert analysed("assert f(1)").goes_on


@pytest.mark.parametrize(
    "test",
    ["assert f(", "f(1)\0", f"f({'(' * 5000}1{')' * 5000})", "f(\ud800)"],
    ids=["syntax", "null", "deep", "surrogate"],
)
def test_test_that_cannot_be_compiled(test):
    with pytest.raises((SyntaxError, ValueError, RecursionError, MemoryError)):
        analysed(test)


@pytest.mark.parametrize("test", [
    "assert f(1) == 2",
    "assert f([1]).count(1) == 1",
    "x = f(1)\nassert x.strip().upper() == 'A'",
    "assert f(1).total_seconds() == 1 and f(2).most_common(1)",
    "assert (f(1) == [1]).all() and f(2).tolist() == [2]",
    "assert sorted(f(1), key=lambda x: -x) == [2, 1]",
    "assert f(MAX_SIZE) == 1",
    CHECK.format("    assert candidate('a').lower() == 'a'"),
    "class Case:\n    pass\nassert f(1)",
    "assert f(1)(2) == 3",
    "assert f(lambda x: x, key=sum)",
    "s = Stack()\nassert s.top() == f(1)",
    "s, t = Stack(1), Stack(2)\nassert s.top() in [t.top()]",
    "with pytest.raises(Full):\n    Stack(1).push(1)",
    "s = Stack()\ns.items.append(1)\ns.items[0] = 2\nassert s.top() == 1",
    "s = Stack()\nassert s is not Stack() and s.itself() is s",
    "from typing import List\ndef g(x: List[int]):\n    assert f(x)\ng([1])",
    "assert f(ValueError) and f(int)",
    "import unittest\nassert f(1)",
    "pd = f(1)\nassert pd.strip() == 'a'",
    "from scipy.stats import norm\nassert f(norm.cdf(1), ValueError('a'))",
    "import csv\nD = csv.Dialect()\nassert f(1) == D",
])  # fmt: skip
def test_plain_data_will_do(test):
    assert analysed(test).shared == ""


@pytest.mark.parametrize("test, reason", [
    ("class T(unittest.TestCase):\n    def test(self):\n        assert f(1)", "unittest class T"),
    ("from unittest import TestCase\nclass T(TestCase):\n    pass", "unittest class T"),
    ("from unittest.mock import patch\nassert f(1)", "patches"),
    ("from unittest import mock\nassert f(1)", "patches"),
    ("import unittest.mock\nassert f(1)", "patches"),
    ("assert eval(f(1)) == 5", "evaluates"),
    ("import pickle\nassert pickle.loads(f(1)) == 5", "evaluates"),
    ("import asyncio\nassert asyncio.run(f(1)) == 2", "awaits"),
    ("class Mine(Stack):\n    pass\nassert f(Mine) and Stack().top() == 1", "own class"),
    ("class Mine:\n    pass\nassert f(Mine()) == 1", "own class Mine"),
    ("assert Stack(1) == Stack(1)", "compares"),
    ("assert Stack(1) in [Stack(1)]", "compares"),
    ("assert len({Stack(1), Stack(1)}) == 1", "compares"),
    ("assert {Stack(1): 2}[Stack(1)] == 2", "compares"),
    ("f.limit = 3\nassert f(1) == 2", "sets an attribute"),
    ("Stack.limit = 3\nassert Stack().top() == 2", "sets an attribute"),
    ("from collections.abc import Iterator\nassert isinstance(Stack().items(), Iterator)", "what an object can do"),
    ("import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as out:\n    f(1)\nassert out", "prints"),
    ("s = Stack()\nassert s.__dict__ == {}", "__dict__"),
    ("s = Stack()\nassert type(s) is not int and s.top()", "type"),
    ("v = Vector(1)\nassert (v * 2 * 3).x == 6", "chains"),
    ("v = Vector(1)\nw = v + v\nassert (w * 3).x == 6", "chains"),
    ("s = Stack(1).add(2).add(3)\nassert s.find(2) == 1", "method find"),
    ("t = Tree(1)\nassert t.find(1) == 0\nassert t.left.find(2) == 1", "method find"),
    ("import pandas as pd\nassert f(1).equals(pd.Series([1]))", "pandas.Series"),
    ("assert f(pd.DataFrame()) == 1", "pandas.DataFrame"),
    ("import xml.etree.ElementTree as ET\nassert f(ET.Element('a')) == 1", "ElementTree.Element"),
    ("from numpy import random\nr, n = random.default_rng(0), 2\nassert f([r], n)", "random.default_rng"),
    ("from networkx import DiGraph\ng = DiGraph()\nassert f(1, graph=g)", "networkx.DiGraph"),
    ("s, x = Stack(), object()\ns.push(x)\nassert s.top()", "an object of object"),
    ("match f(1):\n    case Point(x=1):\n        assert Point(1).x", "matches"),
])  # fmt: skip
def test_the_code_s_own_objects_are_needed(test, reason):
    found = analysed(test)
    assert reason in found.shared


@pytest.mark.parametrize("test, entry_point, classes", [
    ("s = Stack()\ns.push(1)\nassert s.top() == 1", "f", ("Stack",)),
    ("assert f([Pair(1, 2)]) == 3", "f", ("Pair",)),
    ("assert P(1).x == 1 and f(LIMIT)", "f", ("P",)),
    ("def check(c):\n    assert c(1) == 2\ncheck(Solution().solve)", "Solution", ("Solution",)),
    ("check(Solution().reverse)", "Solution", ("Solution",)),
    ("assert Bank.RATE == 3", "Bank", ("Bank",)),
    ("with Timer(1) as t:\n    assert t.pop() == 1", "Timer", ("Timer",)),
    ("assert list(Numbers()) == [1]", "Numbers", ("Numbers",)),
    ("b = Bank(5)\nassert b.balance == 5", "Bank", ("Bank",)),
    ("assert f(1).area() == 2", "f", ()),
    ("shape = f(1)\nassert shape.area() == 2", "f", ()),
    ("assert str(f(1)) == 'Point'", "f", ()),
    ("assert f(1) == 2, 'not ' + str(f(1))", "f", ()),
    ("assert [s.side for s in f(1)] == [2]", "f", ()),
    ("def helper(s):\n    return s.side\nassert helper(f(1)) == 2", "f", ()),
    (CHECK.format("    assert candidate(1).area() == 2"), "f", ()),
    ("assert Split('a b') == ['a', 'b']", "Split", ()),
    ("assert Split('a b').count('a') == 1", "Split", ()),
    ("words = Split('a b')\nassert words.pop() == 'b'", "Split", ()),
    ("assert f('a').lower() == 'a'\nassert f(1).real == 1", "f", ()),
    ("assert math.isclose(f(1), math.pi)", "f", ()),
])  # fmt: skip
def test_classes_of_the_code_that_a_test_uses(test, entry_point, classes):
    found = analysed(test, "", entry_point)
    assert (found.classes, found.shared) == (classes, "")


def tallied(test: str, **names) -> Tally:
    """The tally of a test program, run here."""
    program = analyse(test, "", "f", shared=True)
    tally = Tally(program.goes_on)
    namespace = names | {test_programs.TALLY: tally}
    try:
        exec(program.code, namespace)
    except Exception as error:
        tally.note(error)
    return tally


def counts(tally: Tally) -> tuple:
    return tally.passed, tally.failed, *tally.first


DIVISION = "ZeroDivisionError: integer division or modulo by zero (test line 1)"


@pytest.mark.parametrize("test, expected", [
    ("assert f(1) == 1\nassert f(2) == 2", (2, 0)),
    ("assert f(1) == 5\nassert f(2) == 2\nassert f(3) == 5", (1, 2, "wrong", "AssertionError (test line 1)")),
    ("\nassert f(1) == 5, 'five'", (0, 1, "wrong", "AssertionError: five (test line 2)")),
    ("assert f(1) == 1\nassert {}['a']", (1, 1, "exception", "KeyError: 'a' (test line 2)")),
    ("assert 1 // 0\nassert f(1) == 5", (0, 2, "exception", DIVISION)),
    ("for i in range(5):\n    assert f(i) != 3", (4, 1, "wrong", "AssertionError (test line 2)")),
    ("x = 1 // 0\nassert f(1)", (0, 0, "exception", DIVISION)),
    ("assert f(1) == 1\nraise ValueError('no')", (1, 0, "exception", "ValueError: no (test line 2)")),
    ("try:\n    assert f(1) == 2\nexcept AssertionError:\n    pass\nassert f(1) == 1",
     (1, 1, "wrong", "AssertionError (test line 2)")),
    ("raise MemoryError", (0, 0, "memory", "MemoryError (test line 1)")),
])  # fmt: skip
def test_tally(test, expected):
    assert counts(tallied(test, f=lambda x: x)) == expected


def test_tally_lets_an_expected_exception_be_expected():
    def f(x):
        raise ValueError("no")

    test = "try:\n    f(1)\n    assert False\nexcept ValueError as error:\n    assert str(error) == 'no'\n"
    assert counts(tallied(test, f=f)) == (1, 0)


def test_tally_does_not_hold_what_ends_the_run():
    class Deadline(BaseException):
        pass

    def f(x):
        raise Deadline

    tally = Tally(True, (Deadline,))
    with pytest.raises(Deadline):
        exec(analyse("assert f(1)", "", "f", shared=True).code, {test_programs.TALLY: tally, "f": f})
    assert (tally.passed, tally.failed, tally.first) == (0, 0, [])


def test_tally_tells_of_each_failure_once():
    told = []
    tally = Tally(True, on_failure=lambda: told.append(1))
    for _ in range(3):
        with tally:
            raise AssertionError
    assert (tally.failed, told) == (3, [1])


def test_long_message_is_cut_to_a_line():
    kind, text = tallied("assert False, 'a\\n' * 5000").first
    assert kind == "wrong" and "\n" not in text and len(text) < test_programs.MAX_TEXT + 50


UNITTEST = """import unittest

class Cases(unittest.TestCase):
    def setUp(self):
        self.one = f(1)

    def test_right(self):
        self.assertEqual(self.one, 1)

    def test_wrong(self):
        self.assertEqual(self.one, 2)

    def test_raises(self):
        f(None).missing

    @unittest.skip('why not')
    def test_skipped(self):
        raise ValueError

    def test_parts(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertLess(i, 1)

    @unittest.expectedFailure
    def test_expected(self):
        self.assertEqual(self.one, 3)
"""


def test_unittest_methods_count_one_each():
    tally = Tally(True)
    namespace = {"__name__": "__main__", "f": lambda x: x, test_programs.TALLY: tally}
    exec(analysed(UNITTEST).code, namespace)
    test_programs.run_test_classes(namespace, tally)
    assert (tally.passed, tally.failed) == (3, 3)
    assert tally.first[0] == "wrong", "the methods run in the order of their names: parts, raises, right, ..."


def test_unittest_method_that_should_have_failed():
    tally = Tally(True)
    namespace = {"__name__": "__main__", "f": lambda x: 3, test_programs.TALLY: tally}
    exec(analysed(UNITTEST).code, namespace)
    test_programs.run_test_classes(namespace, tally)
    assert (tally.passed, tally.failed) == (1, 5) and tally.first == ["wrong", "AssertionError: unexpected success"]


def test_unittest_set_up_that_fails():
    tally = Tally(True)
    namespace = {"__name__": "__main__", "f": lambda x: 1 // 0, test_programs.TALLY: tally}
    exec(analysed(UNITTEST).code, namespace)
    test_programs.run_test_classes(namespace, tally)
    assert (tally.passed, tally.failed) == (1, 5) and tally.first[0] == "exception"
