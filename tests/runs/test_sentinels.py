"""Sentinels: what they warn of, when, and what ends a run."""

import pytest

from helpers.run_examples import step
from raccoon.runs import sentinels


def test_a_healthy_run_raises_no_alarm():
    assert sentinels.alarms([step(n) for n in range(1, 9)]) == []


@pytest.mark.parametrize(("sick", "words"), [
    ({"statuses": {"INFRA": 8}, "pass_rate": None}, "the sandbox failed on every completion"),
    ({"grad_norm": None}, "the gradient is not finite"),
])
def test_what_cannot_go_on_warns_at_once_and_stops_at_the_third_step(sick, words):
    steps = [step(1)] + [step(n, **sick) for n in (2, 3, 4)]
    seen = [sentinels.alarms(steps[:n]) for n in (2, 3, 4)]
    assert all(words in alarms[0].message for alarms in seen)
    assert [alarms[0].stop for alarms in seen] == [False, False, True]
    assert sentinels.alarms([*steps[:3], step(4)]) == []


@pytest.mark.parametrize(("sick", "words", "after"), [
    ({"kinds": {"timeout": 5, "pass": 3}}, "timed out", 1),
    ({"update_ratio": 0.2}, "20.0% of the weights: lower LEARNING_RATE", 1),
    ({"weights_changed": 0.02}, "changes only 2.0% of the weights", 3),
    ({"entropy": 0.05}, "entropy fell below", 3),
    ({"constant_groups": 0.95}, "more than 90% of the groups are constant", 3),
])
def test_what_should_be_known_is_said_once(sick, words, after):
    steps = [step(n) for n in (1, 2, 3)] + [step(n, **sick) for n in range(4, 10)]
    said = [n for n in range(1, 10) if any(words in alarm.message for alarm in sentinels.alarms(steps[:n]))]
    assert said == [3 + after]


def test_a_step_without_gradient_or_learning_rate_may_leave_the_weights():
    for still in ({"grad_norm": 0.0}, {"learning_rate": 0.0}):
        assert sentinels.alarms([step(n, weights_changed=0.0, **still) for n in range(1, 9)]) == []


@pytest.mark.parametrize("name", sorted(set(step(1)) - {"step"}))
@pytest.mark.parametrize("absent", [True, False])
def test_a_number_that_is_not_there_raises_no_alarm(name, absent):
    """What is not finite is logged as None; only a gradient that is not finite says something by itself."""
    steps = [step(n) for n in (1, 2, 3)] + [step(n, **{name: None}) for n in range(4, 9)]
    if absent:
        steps = [{key: value for key, value in each.items() if key != name} for each in steps]
    gradient = name == "grad_norm" and not absent
    assert [alarm.message.partition(",")[0] for alarm in sentinels.alarms(steps)] \
        == ["the gradient is not finite"] * gradient
