"""Which examples the text of a problem shows: calls and their results, cases and their outputs."""

import pytest

from raccoon.tasks.shown_examples import shown_arguments, shown_asserts, shown_blocks, shown_cases, shows_case


@pytest.mark.parametrize(
    "text, found",
    [
        ("    >>> f(1)\n    2\n", ["assert f(1) == 2"]),
        (">>> f(1)\n2\n>>> f('a)b', k=[3])\n{'x': 4}\n", ["assert f(1) == 2", "assert f('a)b', k=[3]) == {'x': 4}"]),
        ("* f([1, 2]) => [3, 4]", ["assert f([1, 2]) == [3, 4]"]),
        ("f(1) == 2", ["assert f(1) == 2"]),
        ("f(1) = 2", ["assert f(1) == 2"]),
        ("f(1)==>True", ["assert f(1) == True"]),
        ("f(1) -> 'x'  # since", ["assert f(1) == 'x'"]),
        ("f(1) \u279e None", ["assert f(1) == None"]),
        ("f(1) # returns 2", ["assert f(1) == 2"]),
        ("f(1) returns -2", ["assert f(1) == -2"]),
        ("f(1) # => 'Yes'", ["assert f(1) == 'Yes'"]),
        ("assert f(1) == 2", ["assert f(1) == 2"]),
        ("It is f(1) == 2.", ["assert f(1) == 2"]),
        ("f(1) == 2\nf(1) == 2", ["assert f(1) == 2"]),
    ],
)
def test_examples_become_asserts(text, found):
    assert shown_asserts(text, "f") == found


@pytest.mark.parametrize(
    "text",
    [
        "f(x) == 2",  # no literal
        "f(1) -> 3 - 1 = 2",
        "f(1) == 2 and so on",
        "f(1) == __import__('os')",
        "f(1)\n2",  # no doctest
        ">>> f(1)\n\n2",
        ">>> g(f(1))\n2",
        "self.f(1) == 2",
        "of(1) == 2",
        "f(1) is 2",
        "f(1 == 2",
        "f(" * 5000,
        "f(1" + ")" * 50_000,
    ],
)
def test_what_is_no_example_is_none(text):
    assert shown_asserts(text, "f") == []


def test_named_cases_are_compared_however_they_are_spaced():
    text = 'Example 1:\n\nInput: s = "ab", k = [1,null]\nOutput: true\nExplanation: no\n\nInput: s = "", k = []\n'
    assert shown_cases(text) == {('s="ab",k=[1,None]', "True")}


def test_arguments_of_calls_and_of_named_cases():
    text = "f([1, 2], 'a') => 3\n\nInput: nums = [4,5], word = \"b\"\nOutput: 6\n"
    assert shown_arguments(text, "f") == {('[1,2],"a"', "3"), ('[4,5],"b"', "6")}


CONTEST = """Add numbers.

-----Input-----
The first line has n.

-----Output-----
Print the sum.

-----Examples-----
Input
3
1
5

Output
9
Yes

Explanation: 9.

Sample Input 2:
```
4 4
```
SAMPLE OUTPUT #2
```
8
```
The end
"""


@pytest.mark.parametrize(
    "given, wanted, shown",
    [
        ("3\n1\n5\n", "9\nYes\n", True),
        ("3\n1\n5", " 9 \nYes", True),
        ("4 4", "8", True),
        ("3\n1\n5", "9", False),  # the first line of a longer output
        ("3", "9\nYes", False),  # the first line of a longer input
        ("1\n5", "9\nYes", False),
        ("3", "1", False),  # two lines of one input
        ("4 4", "9\nYes", False),
        ("", "8", False),
        ("4 4", "", False),
    ],
)
def test_only_whole_samples_are_shown_cases(given, wanted, shown):
    assert shows_case(shown_blocks(CONTEST), given, wanted) is shown
