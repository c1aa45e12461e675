"""The reward table to the digit, what each bonus looks at, and the reward function that TRL calls."""

import dataclasses

import pytest

from helpers.reward_doubles import TABLE, FixedSandbox, Tokenizer, ids
from raccoon.constants import InputError
from raccoon.records import Verdict
from raccoon.rewards.execution import Chat, ExecutionReward, RewardTable
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


@pytest.mark.parametrize(
    ("status", "code", "completion", "expected"),
    [
        ("PASS", BARE, LONG, 1.0),
        ("PARTIAL", BARE, LONG, 0.2),
        ("FAIL", BARE, LONG, -0.5),
        ("PASS", FULL, FULL, 1.2),
        ("PARTIAL", FULL, FULL, 0.4),
        ("FAIL", FULL, FULL, -0.3),
        ("FAIL", "", "", -0.4),  # no line is too long, no response too short
        ("INFRA", FULL, FULL, None),
    ],
)
def test_plain_table(status, code, completion, expected):
    assert reward(status, code, completion) == expected


@pytest.mark.parametrize(
    ("code", "completion", "expected"),
    [
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
    ],
)
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


@pytest.mark.parametrize(
    ("passed", "constant", "expected"),
    [
        (0, 1, -0.5),
        (1, 1, -0.5),
        (2, 1, pytest.approx(-0.5 + 0.7 / 3)),
        (3, 1, pytest.approx(-0.5 + 1.4 / 3)),
        (3, 0, pytest.approx(-0.5 + 0.7 * 3 / 4)),
        (3, 4, -0.5),
    ],
)
def test_credit_beyond_what_a_constant_passes(passed, constant, expected):
    table = RewardTable(**{**TABLE, "partial_credit": "beyond_constant"})
    assert table.parts(verdict("PARTIAL", passed), BARE, LONG, constant_passes=constant).correctness == expected


@pytest.mark.parametrize("status", ["PASS", "PARTIAL"])
def test_constant_answers_are_paid_as_the_table_says_unless_told_otherwise(status):
    paid, unpaid = (RewardTable(**{**TABLE, "pay_constant_answers": pay}) for pay in (True, False))
    assert paid.parts(verdict(status), BARE, LONG, constant=True) == paid.parts(verdict(status), BARE, LONG)
    assert unpaid.parts(verdict(status), BARE, LONG, constant=True).correctness == -0.5
    assert unpaid.parts(verdict(status), BARE, LONG) == paid.parts(verdict(status), BARE, LONG)


def test_the_reward_function_sees_constant_answers_and_what_they_pass():
    table = RewardTable(**{**TABLE, "pay_constant_answers": False, "partial_credit": "beyond_constant"})
    scorer = ExecutionReward(
        table, FixedSandbox([verdict("PARTIAL", 2), verdict("PARTIAL", 2)]), Chat(Tokenizer(), [0])
    )
    task = Task("t", "p", "assert f(1) == 2\nassert f(3) == 4\nassert f(0) == 2\nassert f(5) == 6", "f")
    rollouts = scorer.evaluate([task, task], [ids("def f(x):\n    return 2"), ids("def f(x):\n    return x + 1")])
    assert [rollout.constant for rollout in rollouts] == [True, False]
    assert [rollout.reward_parts["correctness"] for rollout in rollouts] == [-0.5, -0.5]  # two of four: no better


def test_clamp():
    assert reward("PASS", FULL, FULL, reward_pass=1.45) == 1.5
    assert reward("FAIL", BARE, LONG, reward_fail=-3.0) == -1.0


def test_a_truncated_pass_is_a_fail():
    assert reward("PASS", FULL, FULL, truncated=True, bonus_only_with_pass=True) == -0.5


def test_execution_reward_scores_in_order_and_leaves_infra_out():
    task = {
        "task_id": "t",
        "prompt": "p",
        "test": "assert f(1)",
        "entry_point": "f",
        "context": "import os",
        "solution": "",
        "source": "",
        "split": "",
    }
    box = FixedSandbox([verdict("PASS"), verdict("INFRA"), verdict("PASS")])
    scorer = ExecutionReward(RewardTable(**{**TABLE, "bonus_only_with_pass": True}), box, Chat(Tokenizer(), [0]))
    completions = [ids(f"```python\n{FULL}```"), ids("no"), ids(BARE, ended=False)]

    assert scorer.score(completion_ids=completions, task=[task] * 3, prompts=[], trainer_state=None) == pytest.approx(
        [1.2, None, -0.5]
    )

    first = box.programs[0]
    assert (first.code.strip(), first.test, first.entry_point, first.context, first.task_id) == (
        FULL.strip(),
        "assert f(1)",
        "f",
        "import os",
        "t",
    )
    passed, lost, cut = scorer.take_rollouts()
    assert (passed.status, passed.tokens, passed.reward_parts["docstring"]) == ("PASS", len(completions[0]), 0.05)
    assert (lost.status, lost.reward, lost.reward_parts) == ("INFRA", None, {})
    assert (cut.truncated, cut.status, cut.verdict.status) == (True, "FAIL", "PASS")
    assert scorer.take_rollouts() == []


@pytest.mark.parametrize(("stop", "truncated"), [(True, [False, True, False]), (False, [True, True, False])])
def test_what_was_stopped_at_its_fence_is_not_cut(stop, truncated):
    scorer = ExecutionReward(
        RewardTable(**TABLE), FixedSandbox([verdict("PASS")] * 3), Chat(Tokenizer(), [0], stop_at_fence=stop)
    )
    completions = [ids(f"```python\n{FULL}```\n", ended=False), ids(f"```python\n{FULL}``", ended=False), ids("no")]
    tasks = [Task(name, "p", "assert f(1)", "f") for name in "abc"]
    assert [rollout.truncated for rollout in scorer.evaluate(tasks, completions)] == truncated


def test_equal_code_of_a_task_runs_once_and_held_out_rollouts_are_not_kept():
    box = FixedSandbox([verdict("PARTIAL"), verdict("PASS")])
    scorer = ExecutionReward(RewardTable(**TABLE), box, Chat(Tokenizer(), [0]))
    tasks = [Task("a", "p", "assert f(1)", "f"), Task("b", "p", "assert f(2)", "f")]
    rollouts = scorer.evaluate([tasks[0], tasks[0], tasks[1]], [ids(FULL)] * 3)
    assert [rollout.status for rollout in rollouts] == ["PARTIAL", "PARTIAL", "PASS"]
    assert len(box.programs) == 2
    assert scorer.take_rollouts() == []


SHARED = [
    Verdict(status, reason, 4, 4, 0.1, "shared")
    for status, reason in (("PASS", "pass"), ("PARTIAL", "wrong: no"), ("INFRA", "infra: odd counts"))
]


def test_a_verdict_from_shared_isolation_is_a_fail_unless_such_tests_are_allowed():
    """Training, profile and held-out control all call evaluate()."""
    tasks = [Task(name, "p", "assert f(1)", "f") for name in "abc"]
    unpaid, paid = (
        ExecutionReward(
            RewardTable(**{**TABLE, "allow_shared_tests": allowed}), FixedSandbox(SHARED), Chat(Tokenizer(), [0])
        ).evaluate(tasks, [ids(BARE)] * 3)
        for allowed in (False, True)
    )
    assert {(each.status, each.kind) for each in unpaid} == {("FAIL", "forbidden")}
    assert {each.reward_parts["correctness"] for each in unpaid} == {-0.5}
    assert {(each.verdict.isolation, each.verdict.tests_passed) for each in unpaid} == {("shared", 0)}
    assert [(each.status, each.reward_parts.get("correctness")) for each in paid] == [
        ("PASS", 1.0),
        ("PARTIAL", 0.2),
        ("INFRA", None),
    ]


@pytest.mark.parametrize("changes", [{"truncated": True}, {"constant": True}])
def test_what_is_a_fail_with_any_verdict_is_scored_without_one(changes):
    table = RewardTable(**{**TABLE, "pay_constant_answers": False})
    assert table.parts(verdict("INFRA"), BARE, LONG, **changes).correctness == -0.5


def test_a_truncated_completion_cannot_choose_to_be_unscored():
    scorer = ExecutionReward(RewardTable(**TABLE), FixedSandbox([verdict("INFRA")]), Chat(Tokenizer(), [0]))
    (cut,) = scorer.evaluate([Task("t", "p", "assert f(1)", "f")], [ids(BARE, ended=False)])
    assert (cut.status, cut.kind, cut.reward_parts["correctness"]) == ("FAIL", "truncated", -0.5)


def test_a_positive_reward_is_discounted_for_each_turn_after_the_first():
    box = FixedSandbox([verdict("PARTIAL"), verdict("PASS")])
    scorer = ExecutionReward(RewardTable(**{**TABLE, "turn_discount": 0.5}), box, Chat(Tokenizer(), [0]))
    tasks = [Task(name, "p", "assert f(1)", "f", visible_tests="assert f(1)") for name in "ab"]
    wrong, right = scorer.evaluate(tasks, [ids(BARE), ids(FULL)], 300)
    assert {(each.max_feedback, each.visible_tests) for each in box.programs} == {(300, "assert f(1)")}
    late = scorer.of_conversation([wrong, wrong, right], ["first", "second"])
    assert late.reward == pytest.approx(1.2 / 4) == pytest.approx(sum(late.reward_parts.values()))
    assert (late.completion, late.status, late.tokens) == (right.completion, "PASS", 2 * wrong.tokens + right.tokens)
    assert [turn.feedback for turn in late.turns] == ["first", "second", ""]
    assert scorer.of_conversation([right], []).reward == right.reward
    failed = dataclasses.replace(wrong, reward=-0.5, reward_parts={"correctness": -0.5})
    assert scorer.of_conversation([right, failed], ["first"]).reward == -0.5
    unscored = dataclasses.replace(wrong, reward=None, reward_parts={})
    assert scorer.of_conversation([right, unscored], ["first"]).reward is None


def test_what_is_graded_is_not_graded_again():
    box = FixedSandbox([verdict("PASS")])
    scorer = ExecutionReward(RewardTable(**TABLE), box, Chat(Tokenizer(), [0]))
    graded = scorer.evaluate([Task("a", "p", "assert f(1)", "f")], [ids(FULL)])
    again = scorer.score(completion_ids=[ids(BARE)], task=[vars(Task("a", "p", ""))], rollout=graded)
    assert again == [graded[0].reward] and scorer.take_rollouts() == graded and len(box.programs) == 1


@pytest.mark.parametrize("discount", [0, -1, 1.5, float("nan")])
def test_a_discount_is_above_0_and_up_to_1(discount):
    with pytest.raises(InputError, match="TURN_DISCOUNT"):
        RewardTable(**{**TABLE, "turn_discount": discount})


def test_feedback_from_shared_isolation_is_not_told():
    """The code runs beside the tests there, and could put them into it."""
    told = Verdict("PARTIAL", "wrong: no", 1, 4, 0.1, "shared", feedback="assert f(7) == 9")
    scorer = ExecutionReward(RewardTable(**TABLE), FixedSandbox([told]), Chat(Tokenizer(), [0]))
    assert scorer.evaluate([Task("a", "p", "assert f(1)", "f")], [ids(FULL)], 300)[0].verdict.feedback == ""


def test_the_printed_line_has_what_a_partial_earns():
    for credit, shown in (("off", "PARTIAL -0.5 (off)"), ("flat", "PARTIAL +0.2 (flat)")):
        assert shown in RewardTable(**{**TABLE, "partial_credit": credit}).lines(1, 0, "none")[-1]
