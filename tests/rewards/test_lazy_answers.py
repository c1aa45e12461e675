"""What answers that solve nothing earn, by the table and the tests of the tasks."""

from dataclasses import replace

import pytest

import train_rl_poc
from raccoon.rewards.lazy_answers import lazy_line, lazy_rewards
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import Task

# A test of which False passes a half, and a method, whose constant answers are not found by reading the code
TASKS = [
    Task("odd", "p", "assert odd(1) is True\nassert odd(2) is False", "odd"),
    Task("method", "p", "assert Solution().first([7]) == 7\nassert Solution().first([8]) == 8", "Solution"),
]
TABLE = train_rl_poc.build_recipe(1, 0).table


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as one:
        yield one


@pytest.mark.parametrize(
    ("changes", "constant"),
    [
        ({}, 0.2),
        ({"partial_credit": "off"}, -0.5),
        ({"partial_credit": "beyond_constant"}, -0.5),
        ({"partial_credit": "fraction"}, 0.05),
        ({"pay_constant_answers": False}, -0.15),
    ],
)
def test_lazy_answers_earn_what_the_table_pays(sandbox, changes, constant):
    earned = lazy_rewards(TASKS, replace(TABLE, **changes), sandbox)
    assert earned["no code"] == -0.5 and earned["a constant"] == pytest.approx(constant)


@pytest.mark.parametrize(("scores", "warned"), [([1.0, -0.5, 1.0], False), ([-0.5, 0.2, -0.5], True)])
def test_a_lazy_answer_that_earns_more_than_the_model_is_named(sandbox, scores, warned):
    line = lazy_line(TASKS, [{"correctness": scores}], TABLE, sandbox)
    assert ("warning: a constant earns +0.20" in line or "warning: a stub earns +0.20" in line) == warned
