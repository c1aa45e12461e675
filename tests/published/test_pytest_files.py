"""Test files for pytest, as plain programs: the same verdicts as pytest itself, on right and on wrong code."""

import json
import os
import subprocess
import sys

import pytest

from raccoon.published.kodcode import kodcode_task
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import LeftOut, Task

RIGHT = """
import math
from collections import Counter


def half(n):
    if n < 0:
        raise ValueError("negative")
    return n / 2


def add(a, b):
    return a + b


class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        return self.items.pop()

    def size(self):
        return len(self.items)
"""
# name -> what is replaced in the right code to make it wrong, and the test file
FILES = {
    "no import": (
        "a + b",
        "a - b",
        """
def test_add():
    assert add(1, 2) == 3
""",
    ),
    "star import": (
        "a + b",
        "a - b",
        """
from solution import *

def test_add():
    assert add(1, 2) == 3
""",
    ),
    "other name": (
        "a + b",
        "3 * b",
        """
from solution import add as plus

def test_add():
    assert plus(1, 2) == 3
""",
    ),
    "module": (
        "a + b",
        "a - b",
        """
import solution

def test_add():
    assert solution.add(1, 2) == 3
""",
    ),
    "inner import": (
        "a + b",
        "a - b",
        """
def test_add():
    from solution import add
    assert add(1, 2) == 3
""",
    ),
    "the solution's imports": (
        "n / 2",
        "n / 3",
        """
def test_half():
    assert math.isclose(half(3), 1.5)
    assert Counter([half(2)])[1]
""",
    ),
    "future": (
        "a + b",
        "a - b",
        """
from __future__ import annotations

def test_add() -> None:
    assert add(1, 2) == 3
""",
    ),
    "raises": (
        "n < 0",
        "n < -1",
        """
import pytest

def test_half():
    with pytest.raises(ValueError):
        half(-1)
""",
    ),
    "parametrize": (
        "a + b",
        "a + min(b, 4)",
        """
import pytest

@pytest.mark.parametrize('a, b, c', [(1, 2, 3), [4, 5, 9]])
def test_add(a, b, c):
    assert add(a, b) == c
""",
    ),
    "one name": (
        "n / 2",
        "n / 2 if n < 5 else 0",
        """
import pytest

@pytest.mark.parametrize('n', [2, 4, pytest.param(6, id='six')], ids=str)
def test_half(n):
    assert half(n) * 2 == n
""",
    ),
    "list of one name": (
        "n / 2",
        "n / 2 if n < 3 else 0",
        """
import pytest

@pytest.mark.parametrize(['n'], [(2,), (4,)])
def test_half(n):
    assert half(n) * 2 == n
""",
    ),
    "two marks": (
        "a + b",
        "a + b if a * b < 8 else 0",
        """
from pytest import mark

CASES = [1, 2]

@mark.parametrize('a', CASES)
@mark.parametrize('b', (3, 4))
def test_add(a, b):
    assert add(a, b) == b + a
""",
    ),
    "skipped": (
        "a + b",
        "a - b",
        """
import pytest

@pytest.mark.skip
def test_no():
    assert add(1, 2) == 4

@pytest.mark.skipif(True, reason='x')
def test_if():
    assert add(1, 2) == 4

@pytest.mark.xfail
def test_x():
    assert add(1, 2) == 4

@pytest.mark.parametrize('a', [1, pytest.param(9, marks=pytest.mark.skip)])
def test_yes(a):
    assert add(a, 2) == 3
""",
    ),
    "class": (
        "a + b",
        "a + b if b == 1 else 0",
        """
class TestAdd:
    def setup_method(self):
        self.one = 1

    def helper(self, n):
        return n

    def test_add(self):
        assert add(self.one, self.helper(2)) == 3
        self.one = 5

    def test_fresh(self):
        assert add(self.one, 1) == 2


class Helper:
    def test_no(self):
        assert False
""",
    ),
    "class with marks": (
        "a + b",
        "a + b if a < 2 else 0",
        """
import pytest

@pytest.mark.parametrize('a', [1, 2])
class TestAdd:
    total = 0

    @classmethod
    def setup_class(cls):
        cls.total = 7

    def test_add(self, a):
        assert add(a, self.total) == 7 + a
""",
    ),
    "fixture": (
        "a + b",
        "a + b if b else []",
        """
import pytest

@pytest.fixture
def one():
    return [1]

@pytest.fixture(name='two')
def make_two(one):
    one.append(2)
    yield one
    one.clear()

def test_both(one, two):
    assert add(one, two) == [1, 2, 1, 2]

def test_fresh(one):
    assert add(one, []) == [1]
""",
    ),
    "fixtures of a module": (
        "a + b",
        "a + b if b else a * 2",
        """
import pytest

made = []

@pytest.fixture(scope='module')
def numbers():
    made.append(1)
    return made

@pytest.fixture(autouse=True)
def again():
    made.append(2)

def test_first(numbers):
    assert add(numbers, []) == [1, 2]

def test_second(numbers):
    assert add(numbers, [3]) == [1, 2, 2, 3]
""",
    ),
    "fixture of a class": (
        "append(item)",
        "append(2)",
        """
import pytest

class TestStack:
    @pytest.fixture
    def stack(self):
        made = Stack()
        made.push(1)
        return made

    def test_pop(self, stack):
        assert stack.pop() == 1
        assert stack.size() == 0
""",
    ),
    "around each test": (
        "a + b",
        "a + b if b < 3 else 0",
        """
calls = []

def setup_module(module):
    calls.append(1)

def setup_function(function):
    calls.append(2)

def teardown_function():
    calls.pop()

class TestAround:
    def setup_method(self, method):
        self.number = 3

    def teardown_method(self):
        calls.append(self.number)

    def test_class(self):
        assert add(self.number, calls[0]) == 4

def test_first():
    assert add(len(calls), 0) == 3

def test_second():
    assert add(len(calls), 3) == 6
""",
    ),
    "main guard": (
        "a + b",
        "a - b",
        """
import pytest

def test_add():
    assert add(1, 2) == 3

if __name__ == '__main__':
    pytest.main()
""",
    ),
    "unittest": (
        "a + b",
        "a - b",
        """
import unittest

class AddTest(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(1, 2), 3)
""",
    ),
}
REAL = """
import json, os, pathlib, sys
import pytest
codes = []
for name in sys.argv[1:]:
    os.chdir(name)
    sys.path.insert(0, name)
    codes.append(int(pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", name, "test_solution.py"])))
    sys.path.remove(name)
    for module in ("solution", "test_solution"):
        sys.modules.pop(module, None)
pathlib.Path("../codes.json").write_text(json.dumps(codes))
"""


def wrong_code(name: str) -> str:
    old, new, _ = FILES[name]
    assert RIGHT.count(old) == 1
    return RIGHT.replace(old, new)


def row(test: str, solution: str = RIGHT) -> dict:
    return {"question_id": "1", "question": "Add.", "solution": solution, "test": test}


@pytest.fixture(scope="module")
def verdicts_of_pytest(tmp_path_factory) -> dict[str, list[bool]]:
    """Whether pytest passes each file on the right code and on the wrong one."""
    folder = tmp_path_factory.mktemp("real")
    paths = []
    for number, name in enumerate(FILES):
        for kind, code in (("right", RIGHT), ("wrong", wrong_code(name))):
            path = folder / f"{kind}{number}"
            path.mkdir()
            (path / "solution.py").write_text(code)
            (path / "test_solution.py").write_text(
                "from solution import *\n\n" + FILES[name][2].replace("from __future__ import annotations\n", "")
            )  # KodCode's line would stand above it
            paths.append(str(path))
    subprocess.run(
        [sys.executable, "-B", "-c", REAL, *paths],
        capture_output=True,
        cwd=folder,
        timeout=120,
        check=True,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    codes = json.loads((folder / "codes.json").read_text())
    return {name: [code == 0 for code in codes[2 * number : 2 * number + 2]] for number, name in enumerate(FILES)}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as one:
        yield one


@pytest.mark.parametrize("name", FILES)
def test_same_verdicts_as_pytest(sandbox, verdicts_of_pytest, name):
    task = kodcode_task(row(FILES[name][2]))
    assert isinstance(task, Task), task
    verdicts = sandbox.run([Program.of(task, RIGHT), Program.of(task, wrong_code(name))])
    assert [verdict.status == "PASS" for verdict in verdicts] == verdicts_of_pytest[name] == [True, False], verdicts
    assert verdicts[1].status in ("FAIL", "PARTIAL")


@pytest.mark.parametrize(
    "test, words",
    [
        ("def test_x(tmp_path):\n    assert add(1, 2) == 3", "the fixture tmp_path"),
        (
            "import pytest\n\n@pytest.fixture(params=[1, 2])\ndef n(request):\n    return "
            "request.param\n\ndef test_x(n):\n"
            "    assert add(n, 2)",
            "the fixture n with parameters",
        ),
        (
            "import pytest\n\n@pytest.mark.parametrize('n', [1], indirect=True)\ndef test_x(n):\n    assert add(n, 2)",
            "indirect parameters",
        ),
        ("async def test_x():\n    assert add(1, 2) == 3", "the asynchronous test test_x"),
        ("def check_x():\n    assert add(1, 2) == 3", "a test that runs"),
        (
            "def pytest_generate_tests(metafunc):\n    pass\n\ndef test_x():\n    assert add(1, 2) == 3",
            "the function pytest_generate_tests",
        ),
        (
            "class TestA:\n    def test_x(self):\n        assert add(1, 2) == 3\n\nclass TestB(TestA):\n    pass",
            "the tests that TestB inherits",
        ),
        (
            "def add(a, b):\n    return a + b\n\ndef test_x():\n    assert add(1, 2) == 3",
            "defines the functions itself",
        ),
        ("from solution import add, minus\n\ndef test_x():\n    assert add(1, 2) == 3", "imports what its solution"),
        ("def test_x(:", "is not Python"),
        ("def test_x():\n    assert add(1, " + "9" * 5000 + ")", "is not Python"),
    ],
)
def test_what_only_pytest_has_is_named(test, words):
    left_out = kodcode_task(row(test))
    assert isinstance(left_out, LeftOut) and words in left_out.reason


def test_pytest_is_imported_only_where_the_test_still_uses_it():
    assert "import pytest" not in kodcode_task(row(FILES["main guard"][2])).test
    assert "import pytest" in kodcode_task(row(FILES["raises"][2])).test
