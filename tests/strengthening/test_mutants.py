"""Mutants: what each operator does, that all differ, and the stubs that no test may pass."""

import ast

import pytest

from raccoon.strengthening.mutants import MAX_DEPTH, expected_answers, make_mutants, make_stubs, parse_shallow
from raccoon.tasks.task import Task

ONE_EDIT = [
    ("def f(x):\n    return x < 3", {"x <= 3", "x < 4"}),
    ("def f(x):\n    return x - y", {"x + y"}),
    ("def f(x):\n    return x if x in y else z", {"x if x not in y else z"}),
    ("def f(x):\n    return [i for i in x if g(i)]", {"[i for i in x if not g(i)]"}),
    ("def f(x):\n    return not True", {"not False"}),
]


@pytest.mark.parametrize("code, wanted", ONE_EDIT, ids=[code.split("return ")[1] for code, _ in ONE_EDIT])
def test_each_mutant_is_one_edit_away(code, wanted):
    assert {mutant.split("return ")[1] for mutant in make_mutants(code, 9)} == wanted


def test_statements_go_and_loops_end_early():
    code = 'def f(xs):\n    """Adds 1."""\n    for x in xs:\n        g(x)\n    return xs\n'
    assert set(make_mutants(code, 9)) == {
        "def f(xs):\n    pass\n    return xs",
        "def f(xs):\n    for x in xs:\n        pass\n    return xs",
        "def f(xs):\n    for x in xs:\n        g(x)\n        break\n    return xs",
    }


def test_a_negation_and_a_swap_that_are_the_same_count_once():
    mutants = make_mutants("def f(x):\n    if x == y:\n        return x\n    return y", 9)
    assert sum("x != y" in mutant for mutant in mutants) == 1


def test_mutants_are_python_differ_and_are_the_same_every_time():
    steps = "".join(f"    if a > {i} and b < {i}:\n        a += {i}\n" for i in range(9))
    code = f"def f(a, b):\n{steps}    return a\n"
    mutants = make_mutants(code, 12)
    assert len({ast.dump(ast.parse(mutant)) for mutant in mutants} - {ast.dump(ast.parse(code))}) == 12
    assert mutants == make_mutants(code, 12) and len(make_mutants(code, 3)) == 3


def test_what_is_no_python_or_too_deep_has_no_mutants():
    deep = "def f(x):\n    return " + "-" * (2 * MAX_DEPTH) + "x\n"
    assert make_mutants("def f(:", 5) == make_mutants(deep, 5) == []
    assert parse_shallow(deep) is None and parse_shallow("x = 1 + 2")


def test_stubs_answer_what_the_test_asks_most():
    task = Task("t", "p", "assert f(1) == 7\nassert f(2) == 7\nassert f(3) == 4\n", "f")
    assert expected_answers(task) == ["7"]
    stubs = make_stubs(task)
    assert any("return 7" in stub for stub in stubs) and any("return None" in stub for stub in stubs)
    assert any("raise" in stub for stub in stubs) and all(ast.parse(stub) for stub in stubs)
    assert make_stubs(Task("t", "p", "assert True")) == ["pass\n"]
