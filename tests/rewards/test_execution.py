"""The reward table to the digit, what each bonus looks at, and the reward function that TRL calls."""

import pytest

from helpers.reward_doubles import TABLE, FixedSandbox, Tokenizer, ids
from raccoon.rewards.execution import ExecutionReward, RewardTable
from raccoon.sandbox.pool import Verdict
from raccoon.tasks.task import Task

BARE = "def f(x):\n    y = '" + "a" * 120 + "'\n    return x\n"  # a long line, no docstring, no hint
FULL = 'def f(x: int) -> int:\n    """Returns x."""\n    return x\n'
LONG = "a" * 3000


def verdict(status: str, passed: int = 0, total: int = 4) -> Verdict:
    return Verdict(status, "pass" if status == "PASS" else "wrong: no", passed, total, 0.1, "separate")


def reward(status: str, code: str, completion: str, truncated: bool = False, **changes) -> float | None:
    table = RewardTable(**{**TABLE, **changes})
    parts = table.parts(verdict(status, passed=1), code, completion, truncated)
    return None if parts is None else round(table.total(parts), 9)


@pytest.mark.parametrize(("status", "code", "completion", "expected"), [
    ("PASS", BARE, LONG, 1.0),
    ("PARTIAL", BARE, LONG, 0.2),
    ("FAIL", BARE, LONG, -0.5),
    ("PASS", FULL, FULL, 1.2),
    ("PARTIAL", FULL, FULL, 0.4),
    ("FAIL", FULL, FULL, -0.3),
    ("FAIL", "", "", -0.4),  # no line is too long, no response too short
    ("INFRA", FULL, FULL, None),
])
def test_plain_table(status, code, completion, expected):
    assert reward(status, code, completion) == expected


@pytest.mark.parametrize(("code", "completion", "expected"), [
    (BARE.replace("return x", '"""Doc."""\n    return x'), LONG, 1.0),  # a string that is no docstring
    ('"""Doc."""\n' + BARE, LONG, 1.05),
    (BARE.replace("(x)", "(x)").replace("def f(x):\n", 'def f(x):\n    """Doc."""\n'), LONG, 1.05),
    ("class C:\n    '''Doc.'''\n" + BARE, LONG, 1.05),
    ("# " + '"""' + "\n" + BARE, LONG, 1.0),
    (BARE.replace("(x)", "(x: int)"), LONG, 1.05),
    (BARE.replace("(x):", "(x) -> int:"), LONG, 1.05),
    ("y: int = 1\n" + BARE, LONG, 1.0),  # a variable's annotation is no function's
    ("# -> int\n" + BARE, LONG, 1.0),
    ("a" * 119, LONG, 1.05),
    ("a" * 120, LONG, 1.0),
    (BARE, "a" * 2999, 1.05),
    (BARE, "a" * 3000, 1.0),
])
def test_each_bonus_by_itself(code, completion, expected):
    assert reward("PASS", code, completion) == expected


def test_code_that_does_not_parse_earns_no_bonus_of_the_tree():
    assert reward("FAIL", 'def f(x: int) -> int:\n    """Doc."""\n    return (', LONG) == -0.45


def test_bonus_only_with_pass():
    for status, expected in (("PASS", 1.2), ("PARTIAL", 0.2), ("FAIL", -0.5)):
        assert reward(status, FULL, FULL, bonus_only_with_pass=True) == expected


def test_partial_credit():
    assert reward("PARTIAL", BARE, LONG, partial_credit="off") == -0.5
    assert reward("PARTIAL", BARE, LONG, partial_credit="fraction") == 0.05  # 1 of 4 tests


def test_clamp():
    assert reward("PASS", FULL, FULL, reward_pass=1.45) == 1.5
    assert reward("FAIL", BARE, LONG, reward_fail=-3.0) == -1.0


def test_a_truncated_pass_is_a_fail():
    assert reward("PASS", FULL, FULL, truncated=True, bonus_only_with_pass=True) == -0.5


def test_execution_reward_scores_in_order_and_leaves_infra_out():
    task = {"task_id": "t", "prompt": "p", "test": "assert f(1)", "entry_point": "f", "context": "import os",
            "solution": "", "source": "", "split": ""}
    box = FixedSandbox([verdict("PASS"), verdict("INFRA"), verdict("PASS")])
    scorer = ExecutionReward(RewardTable(**{**TABLE, "bonus_only_with_pass": True}), box, Tokenizer(), [0])
    completions = [ids(f"```python\n{FULL}```"), ids("no"), ids(BARE, ended=False)]

    assert scorer.score(completion_ids=completions, task=[task] * 3, prompts=[], trainer_state=None) \
        == pytest.approx([1.2, None, -0.5])

    first = box.programs[0]
    assert (first.code.strip(), first.test, first.entry_point, first.context, first.task_id) \
        == (FULL.strip(), "assert f(1)", "f", "import os", "t")
    passed, lost, cut = scorer.take_rollouts()
    assert (passed.status, passed.tokens, passed.reward_parts["docstring"]) == ("PASS", len(completions[0]), 0.05)
    assert (lost.status, lost.reward, lost.reward_parts) == ("INFRA", None, {})
    assert (cut.truncated, cut.status, cut.verdict.status) == (True, "FAIL", "PASS")
    assert scorer.take_rollouts() == []


def test_equal_code_of_a_task_runs_once_and_held_out_rollouts_are_not_kept():
    box = FixedSandbox([verdict("PARTIAL"), verdict("PASS")])
    scorer = ExecutionReward(RewardTable(**TABLE), box, Tokenizer(), [0])
    tasks = [Task("a", "p", "assert f(1)", "f"), Task("b", "p", "assert f(2)", "f")]
    rollouts = scorer.evaluate([tasks[0], tasks[0], tasks[1]], [ids(FULL)] * 3)
    assert [rollout.status for rollout in rollouts] == ["PARTIAL", "PARTIAL", "PASS"]
    assert len(box.programs) == 2
    assert scorer.take_rollouts() == []
