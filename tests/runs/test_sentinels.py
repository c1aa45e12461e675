"""Sentinels: what they warn of, when, and what ends a run."""

import pytest

from helpers.cheating_run import cheating_run
from helpers.run_examples import step
from raccoon.runs.findings import Finding
from raccoon.runs.sentinels import Sentinels


def watched(steps: list[dict]) -> dict[int, list[Finding]]:
    """What was found, by the number of the step (counted from 1) that showed it."""
    sentinels = Sentinels()
    found = {number: sentinels.see(each) for number, each in enumerate(steps, 1)}
    return {number: findings for number, findings in found.items() if findings}


def said_at(steps: list[dict], words: str) -> list[int]:
    return [n for n, found in watched(steps).items() if any(words in each.message for each in found)]


def stops(steps: list[dict]) -> list[int]:
    return [n for n, found in watched(steps).items() if any(each.severity == "stop" for each in found)]


def test_a_healthy_run_raises_no_alarm():
    assert watched([step(n) for n in range(1, 200)]) == {}


@pytest.mark.parametrize(
    ("sick", "words"),
    [
        ({"statuses": {"INFRA": 8}, "pass_rate": None}, "the sandbox failed on every completion"),
        ({"grad_norm": None}, "the gradient is not finite"),
    ],
)
def test_what_cannot_go_on_warns_at_once_and_stops_at_the_third_step(sick, words):
    steps = [step(1)] + [step(n, **sick) for n in (2, 3, 4)]
    assert said_at(steps, words) == [2, 4] and stops(steps) == [4]
    assert said_at([*steps[:3], step(4)], words) == [2]
    assert stops([*steps, step(5, **sick)]) == [4, 5]  # also after a resume


@pytest.mark.parametrize(
    ("sick", "words", "after"),
    [
        ({"kinds": {"timeout": 5, "pass": 3}}, "timed out", 1),
        ({"update_ratio": 0.2}, "20.0% of their norm: lower LEARNING_RATE", 1),
        ({"weights_changed": 0.02}, "changes only 2.0% of the weights", 3),
        ({"entropy": 0.05}, "entropy fell below", 3),
        ({"constant_groups": 1.0}, "of the groups are constant", 7),
        ({"grad_norm": 30.0}, "over 10 times the usual norm", 2),
    ],
)
def test_what_should_be_known_is_said_once(sick, words, after):
    steps = [step(n) for n in range(1, 31)] + [step(n, **sick) for n in range(31, 45)]
    assert said_at(steps, words) == [30 + after]


@pytest.mark.parametrize(("share", "said"), [(0.43, False), (0.5, True)])
def test_groups_that_become_constant_are_said_where_half_of_them_do(share, said):
    """A run that learns its tasks well reaches 43 % of constant groups."""
    steps = [step(n, constant_groups=0.1) for n in range(1, 31)]
    steps += [step(n, constant_groups=share + 0.02 * (n % 2)) for n in range(31, 51)]
    assert bool(said_at(steps, "of the groups are constant")) is said


@pytest.mark.parametrize("seed", range(5))
def test_a_run_that_learns_to_return_literals_is_named_by_its_twentieth_step(seed):
    steps = cheating_run(seed)
    assert min(said_at(steps, "hold no PASS, only PARTIAL and FAIL")) <= 12
    assert min(said_at(steps, "ignore their arguments, like `return 2`")) <= 20
    assert stops(steps) and 20 < stops(steps)[0] <= 45


def test_answers_that_ignore_their_arguments_stop_a_run_once():
    steps = [step(n) for n in range(1, 6)] + [step(n, constant_answers=0.9, pass_rate=0.1) for n in range(6, 30)]
    assert stops(steps) == [8]  # 3 of 5 steps: the mean is over a half
    assert said_at(steps, "ignore their arguments") == [6, 8]  # a warning at over 15 %


def test_weak_tests_are_no_reason_to_stop():
    """Where such answers pass as often, the tests are to blame, and the run does what it is paid for."""
    steps = [step(n) for n in range(1, 6)] + [step(n, constant_answers=0.6, pass_rate=0.7) for n in range(6, 30)]
    assert stops(steps) == []


@pytest.mark.parametrize(("partial", "mixed", "said"), [(0.5, 0.1, [10]), (0.5, 0.2, []), (0.0, 0.0, [])])
def test_groups_that_teach_to_run_and_not_to_pass(partial, mixed, said):
    steps = [step(n, partial_groups=partial, mixed_groups=mixed) for n in range(1, 25)]
    assert said_at(steps, "hold no PASS, only PARTIAL") == said


def test_a_reward_that_rises_without_passes():
    def run(reward: float, rate: float) -> list[dict]:
        noise = [0.02 * (n % 3 - 1) for n in range(1, 41)]
        return [
            step(n, reward=(reward if n > 20 else 0.0) + wave, pass_rate=(rate if n > 20 else 0.1) + wave)
            for n, wave in enumerate(noise, 1)
        ]

    assert len(said_at(run(0.3, 0.1), "the reward rose to")) == 1
    assert said_at(run(0.3, 0.3), "the reward rose to") == []
    assert said_at(run(0.0, 0.1), "the reward rose to") == []


NOISE = [0.02 * (n % 3 - 1) for n in range(60)]


def turns_run(steps: int, first: list[float], last: list[float], **changes) -> list[dict]:
    """A run whose pass rates after the first and the last turn move evenly between two numbers."""

    def between(ends: list[float], n: int) -> float:
        return ends[0] + (ends[1] - ends[0]) * n / (steps - 1) + NOISE[n]

    shares = {"turns_mean": 1.6, "repaired": 0.2, "cut_at_first": 0.1, "completions": 64, **changes}
    return [step(n + 1, pass_by_turn=[between(first, n), between(last, n)], **shares) for n in range(steps)]


@pytest.mark.parametrize(
    ("first", "last", "times"),
    [
        ([0.4, 0.2], [0.45, 0.6], 1),  # it waits
        ([0.4, 0.6], [0.45, 0.8], 0),  # it learns
        ([0.4, 0.2], [0.45, 0.25], 0),  # it gets worse altogether
        ([0.4, 0.4], [0.45, 0.6], 0),  # it learns to repair
        ([0.4, 0.39], [0.45, 0.6], 0),  # the first answers only fluctuate
    ],
)
def test_a_model_that_waits_for_its_feedback(first, last, times):
    assert len(said_at(turns_run(40, first, last), "waits for its feedback")) == times


def test_feedback_that_never_helps_is_said_where_enough_was_given():
    words = "makes nothing of its feedback"
    assert said_at(turns_run(30, [0.3, 0.3], [0.3, 0.3], repaired=0.0), words) == [10]
    assert said_at(turns_run(30, [0.3, 0.3], [0.3, 0.3], repaired=0.05), words) == []
    few = turns_run(30, [0.9, 0.9], [0.9, 0.9], repaired=0.0, turns_mean=1.1)
    assert said_at(few, words) == []  # 64 further answers in ten steps
    assert said_at([{**each, "repaired": None} for each in few], words) == []  # no conversation had a second turn


def test_conversations_that_end_at_a_cut_answer():
    words = "end at their first answer"
    assert said_at(turns_run(30, [0.3, 0.3], [0.3, 0.3], cut_at_first=0.6), words) == [5]
    assert said_at(turns_run(30, [0.3, 0.3], [0.3, 0.3], cut_at_first=0.4), words) == []


@pytest.mark.parametrize("gone", ["pass_by_turn", "turns_mean", "repaired", "cut_at_first"])
def test_turns_without_a_number_raise_no_alarm(gone):
    for none in (None, [None, None]):
        steps = turns_run(40, [0.4, 0.4], [0.5, 0.5])
        steps = [{**each, gone: none if gone == "pass_by_turn" else None} for each in steps]
        assert {each.section for found in watched(steps).values() for each in found} <= {"The reward falls"}


def test_a_step_without_gradient_or_learning_rate_may_leave_the_weights():
    for still in ({"grad_norm": 0.0}, {"learning_rate": 0.0}):
        assert watched([step(n, weights_changed=0.0, **still) for n in range(1, 9)]) == {}


@pytest.mark.parametrize("name", sorted(set(step(1)) - {"step"}))
@pytest.mark.parametrize("absent", [True, False])
def test_a_number_that_is_not_there_raises_no_alarm(name, absent):
    """What is not finite is logged as None; only a gradient that is not finite says something by itself."""
    steps = [step(n) for n in (1, 2, 3)] + [step(n, **{name: None}) for n in range(4, 9)]
    if absent:
        steps = [{key: value for key, value in each.items() if key != name} for each in steps]
    gradient = name == "grad_norm" and not absent
    names = {each.name for found in watched(steps).values() for each in found}
    assert names == ({"gradient_not_finite"} if gradient else set())


def test_infra_beside_verdicts_is_said_with_its_causes_and_stops_nothing():
    sick = {"statuses": {"INFRA": 3, "FAIL": 5}, "infra": {"the test raises KeyError": 3}, "infra_beside": 2}
    steps = [step(1), *(step(n, **sick) for n in range(2, 6))]
    assert said_at(
        steps,
        "3 completions have no verdict, 2 of them beside judged ones of the same task [the test raises KeyError (3)]",
    ) == [2]
    assert stops(steps) == []


def test_completions_that_moved_beside_their_test_are_said():
    steps = [step(1), *(step(n, shared_refused=4) for n in range(2, 6))]
    assert said_at(steps, "4 completions ran in the process of their test") == [2]


@pytest.mark.parametrize(
    ("part", "said"), [("update", True), ("wait", True), ("checkpoint", False), ("heldout", False)]
)
def test_a_checkpoint_or_a_check_beside_the_step_makes_no_step_slower(part, said):
    usual = {"generate": 1.0, "reward": 0.5, "wait": 0.0, "update": 2.0}
    steps = [step(n, seconds=usual) for n in range(1, 31)] + [
        step(n, seconds=usual | {part: 20.0}) for n in range(31, 61)
    ]
    assert bool(said_at(steps, "times as long as the first ones")) == said
