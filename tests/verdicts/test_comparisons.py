"""The rules that compare what a program printed with the expected output."""

import pytest

from raccoon.verdicts.comparisons import RULES


@pytest.mark.parametrize("rule, printed, expected, right", [
    ("lines", b"1 2 \r\n3\n\n", b"1 2\n3", True),
    ("lines", b" 1", b"1", False),
    ("lines", b"1\n\n2", b"1\n2", False),
    ("lines", b"1.0", b"1", False),
    ("lines", b"", b"\n \n", True),
    ("numbers", b" 1.0 2\n", b"1 2.00\n", True),
    ("numbers", b"1  x", b"1 x", False),
    ("numbers", b"50000000000000001", b"50000000000000000", False),
    ("numbers", b"nan", b"nan", True),
    ("numbers", b"NaN", b"nan", False),
    ("numbers", b"1_0", b"10", False),
    ("numbers", b"1e3", b"1000", True),
    ("tokens", b"1\n2\n", b"1 2", True),
    ("tokens", b"0.3333333", b"0.33333333333", True),
    ("tokens", b"0.334", b"0.333", False),
    ("tokens", b"1000000006.9", b"1000000007", False),
    ("tokens", b"3.0", b"3", True),
    ("tokens", b"inf", b"0.5", False),
    ("tokens", b"1e9999", b"0.5", False),
    ("tokens", b"YES", b"Yes", False),
    ("tokens", b"1 2 3", b"1 2", False),
])
def test_rule(rule, printed, expected, right):
    assert (RULES[rule](printed, expected) == "") is right
