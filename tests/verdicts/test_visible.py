"""Which asserts of a test are the visible ones, and what feedback may quote of them."""

import pytest

from raccoon.test_texts.visible import leading_asserts, part_of_test, statements

PLAIN = "import math\nLIMIT = [1, -2]\nassert f(1) == 2\nassert f( (3) ) == 4, 'why'\nassert f(5) == 6\n"
CHECK = "META = {}\n\ndef check(candidate):\n    'Doc.'\n    assert candidate(1) == 2\n    assert candidate(3) == 4\n"
METHOD = CHECK + "\ncheck(Solution().f)\n"


def lines(test, visible, name="f"):
    found = leading_asserts(test, visible, name)
    return found if found is None else [(each.first, each.last) for each in found]


def test_first_asserts_are_found_whatever_their_layout():
    assert lines(PLAIN, "assert f(1)==2") == [(3, 3)]
    assert lines(PLAIN, "import math\nassert f(1) == 2\nassert f(3) == 4") == [(3, 3), (4, 4)]
    assert lines("y = 9\nx = 1\nassert f(x) == 2\nx = 3\nassert f(x)\n", "x = 1\nassert f(x) == 2") == [(3, 3)]
    assert lines("assert f(1) == [\n  2,\n]\n", "assert f(1) == [2]") == [(1, 3)]


def test_candidate_stands_for_what_check_is_called_with():
    assert lines(CHECK + "\ncheck(f)\n", "assert f(1) == 2") == [(5, 5)]
    assert lines(METHOD, "assert Solution().f(1) == 2\nassert Solution().f(3) == 4", "Solution") == [(5, 5), (6, 6)]
    assert lines(METHOD, "assert Other().f(1) == 2") is None


@pytest.mark.parametrize(
    ("test", "visible"),
    [
        (PLAIN, "assert f(3) == 4"),  # not the first
        (PLAIN, "assert f(1) == 2\nassert f(5) == 6"),  # not in a row
        (PLAIN, "assert f(7) == 8"),
        (PLAIN, "import math"),  # none
        (PLAIN, "assert f(1) =="),
        ("assert f(1) == 2 and", "assert f(1) == 2"),
        ("f(9)\nassert f(1) == 2\n", "assert f(1) == 2"),  # a hidden call before it
        ("x = g(9)\nassert f(1) == 2\n", "assert f(1) == 2"),
        ("@f\ndef g(): pass\nassert f(1) == 2\n", "assert f(1) == 2"),
        ("for x in [1]:\n    assert f(1) == 2\n", "assert f(1) == 2"),  # may run twice
        ("x = f(1)\nassert x == 2\nassert f(3)\n", "x = f(1)\nassert x == 2"),  # a call that may raise
        ("for x in [1]:\n    assert f(x)\nassert f(3)\n", "for x in [1]:\n    assert f(x)\nassert f(3)"),
        ("x = 9\nassert f(x)\nx = 1\nassert f(x)\n", "x = 1\nassert f(x)"),  # asks for a hidden value
        ("x = [9]\nx[0] = 8\nassert f(x)\n", "x = [9]\nassert f(x)"),
        ("def g(): return 9\nassert f(g())\n", "def g(): return 1\nassert f(g())"),
        ("def check(g):\n    x = 9\n    assert g(x)\n    x = 1\n    assert g(x)\ncheck(f)\n", "x = 1\nassert f(x)"),
        ("def g():\n    assert f(3)\n    return 1\nassert f(g()) == 2\n", "assert f(g()) == 2"),  # counts another
    ],
)
def test_other_asserts_are_no_leading_ones(test, visible):
    assert leading_asserts(test, visible, "f") is None


def test_statements_that_are_not_in_the_test_are_named():
    assert part_of_test(PLAIN, "import os\nassert f(5) == 6\nassert f(1) == 2", "f") == []
    assert part_of_test(PLAIN, "assert f(5) == 6\nassert f(6)==7\nx = 1", "f") == ["assert f(6)==7", "x = 1"]
    assert part_of_test(METHOD, "assert Solution().f(3) == 4\nassert Solution().g(3) == 4", "Solution") == [
        "assert Solution().g(3) == 4"
    ]


def test_expected_is_the_side_without_the_code():
    visible = "assert f(1) == g(2)\nassert {3: 4} == f(2)\nassert f(1) is None\nassert f(1) == f(2)\nassert f(1) != 2\n"
    visible += "assert 1 < f(2) < 3\nfor x in [1, 2]:\n    assert f(x) == x\nassert f('''\n''') == [\n1]\n"
    shown = {each.text: each.expected for each in statements(visible, "f")}
    assert shown == {
        "assert f(1) == g(2)": "g(2)",
        "assert {3: 4} == f(2)": "{3: 4}",
        "assert f(1) is None": "None",
        "assert f(1) == f(2)": "",
        "assert f(1) != 2": "",
        "assert 1 < f(2) < 3": "",
        "assert f(x) == x": "x",
        "assert f('\\n') == [1]": "[1]",
    }
