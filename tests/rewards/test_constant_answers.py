"""Answers that ignore their arguments, and what the best of them passes."""

import pytest

from raccoon.rewards.constant_answers import constant_passes, is_constant_answer
from raccoon.tasks.templates import generate_tasks


@pytest.mark.parametrize("code", [
    "def f(x):\n    return 2",
    "def f(x):\n    pass",
    "def f(x, *rest):\n    return [1, 2]",
    "def f(x):\n    y = len(x)\n    return 2",
    "def f(x):\n    if not x:\n        return -1\n    return -1",
    "def f(x):\n    print('hello')",
    "f = lambda x: 2",
    "import math\ndef f(x):\n    total = math.pi\n    return total",
    "def g(x):\n    return x\ndef f(x):\n    return 0",
])
def test_answers_that_do_not_depend_on_their_arguments(code):
    assert is_constant_answer(code, "f")


@pytest.mark.parametrize("code", [
    "def f(x):\n    return x",
    "def f():\n    return 2",  # there is nothing to ignore
    "def f(x):\n    if x > 1:\n        return True\n    return False",
    "def f(x):\n    for each in x:\n        if each:\n            return True",  # else None
    "def f(x):\n    x.sort()",
    "def f(x):\n    return [y for y in x]",
    "def f(x):\n    def g():\n        return x\n    return g()",
    "def f(x):\n    return locals()['x']",
    "def f(x):\n    yield x\n    return 2",
    "def f(x: int",
    "def g(x):\n    return 2",  # another function
    "f = lambda x: x",
    "",
])
def test_answers_that_may_depend_on_them(code):
    assert not is_constant_answer(code, "f")


def test_without_an_entry_point_the_last_function_counts():
    assert is_constant_answer("def g(x):\n    return x\ndef h(x):\n    return 2", "")
    assert not is_constant_answer("def h(x):\n    return 2\ndef g(x):\n    return x", "")


@pytest.mark.parametrize(("test", "passes"), [
    ("assert f(1) == 2\nassert f(3) == 4\nassert f(0) == 2", 2),
    ("assert f(1)\nassert f(2) == True\nassert not f(3)\nassert f(4) is True", 3),
    ("assert f([1]) == [1]\nassert f([2]) == [2]", 1),
    ("assert set(f([1])) == {1}\nassert set(f([1, 1])) == {1}", 2),
    ("def check(candidate):\n    assert candidate(1) == 0\n    assert candidate(2) == 0", 2),
    ("for x in (1, 2):\n    assert f(x) == x", 0),
    ("assert 1 == 1", 0),
    ("f(1", 0),
])
def test_what_the_best_constant_passes(test, passes):
    assert constant_passes(test, "f") == passes


def test_no_solution_of_the_templates_is_constant():
    tasks = generate_tasks(100, 0, "train")
    assert not [task.task_id for task in tasks if is_constant_answer(task.solution, task.entry_point)]
