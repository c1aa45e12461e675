"""Held-out control: pairs, the best check, and the gap to the training pass rate."""

import pytest

from helpers.run_examples import step
from raccoon.runs.heldout import (
    best_heldout,
    check_findings,
    checks_without_gain,
    gap,
    heldout_line,
    heldout_record,
    loss,
)


def test_a_check_is_paired_with_the_first():
    first = {"a": "PASS", "b": "FAIL", "c": "PARTIAL", "d": "INFRA", "e": "PASS"}
    now = {"a": "PASS", "b": "PASS", "c": "PASS", "d": "PASS", "e": "INFRA"}
    record = heldout_record(20, now, first)
    assert (record["n"], record["passed"], record["gained"], record["lost"]) == (4, 4, 2, 0)
    assert record["p"] == pytest.approx(0.5)  # 2 of 2 one way: 2 x 0.5^2
    assert record["interval"][0] == pytest.approx(0.5101, abs=1e-4)  # Wilson, 4 of 4


def test_a_check_of_several_turns_says_what_the_first_answers_pass():
    record = heldout_record(0, {"a": "PASS", "b": "PASS", "c": "FAIL"}, {}, 1)
    assert record["passed_at_first"] == 1 and ", 1 with the first answer" in heldout_line([record])
    assert "passed_at_first" not in heldout_record(0, {"a": "PASS"}, {})
    assert "first answer" not in heldout_line(heldout(3))


def heldout(*passed: int) -> list[dict]:
    """A check of ten tasks every ten steps, of which the first so many pass."""
    statuses = [{str(task): "PASS" if task < count else "FAIL" for task in range(10)} for count in passed]
    return [heldout_record(10 * i, each, statuses[0]) for i, each in enumerate(statuses)]


def test_the_best_check_is_the_first_of_equals():
    assert best_heldout(heldout(3, 6, 6, 5))["step"] == 10
    assert checks_without_gain(heldout(3, 6, 6, 5)) == 2
    assert "best after step 10" in heldout_line(heldout(3, 6, 6, 5))


def test_a_gap_between_training_and_heldout_is_said_aloud():
    rising = [step(n, pass_rate=0.4 if n <= 10 else 0.6) for n in range(1, 21)]
    found = gap(heldout(3, 9, 2), rising)
    assert "rose by 20.0% while the held-out one is worse than after step 10 (+0 -7)" in found.message
    assert (found.onset, found.seen) == (10, 20)
    assert gap(heldout(3, 9, 8), rising) is None  # one task of ten is chance
    assert gap(heldout(3, 2, 9), rising) is None
    assert gap(heldout(3, 9, 2), [step(n) for n in range(1, 21)]) is None
    assert gap(heldout(9, 2), rising) is None
    assert gap(heldout(3, 9, 9, 9, 9, 3), [step(n, pass_rate=n / 50) for n in range(51)]) is None  # p 0.031, 4 checks


def test_a_fall_below_the_start_beyond_chance_is_said_and_ends_the_run_once():
    assert loss(heldout(9)) is None
    assert loss(heldout(9, 5)) is None  # four of four one way: p = 0.125
    assert loss(heldout(1, 9)) is None
    fallen = loss(heldout(9, 1))
    assert "worse than before training, 9 of 10 to 1 of 10 (+0 -8, p 0.0078)" in fallen.message
    assert "keep the model of step 0" in fallen.message and fallen.severity == "warning"
    severities = [loss(heldout(*passed)).severity for passed in ((9, 2, 1), (9, 1, 2), (9, 5, 1), (9, 2, 1, 1))]
    assert severities == ["stop", "warning", "warning", "warning"]


def test_training_passes_that_held_out_tasks_do_not_follow():
    rising = [step(n, pass_rate=n / 50) for n in range(51)]
    statuses = [{str(task): "PASS" if task < count else "FAIL" for task in range(200)} for count in (60, 61, 60, 61)]
    checks = [heldout_record(16 * i, each, statuses[0]) for i, each in enumerate(statuses)]
    assert [each.name for each in check_findings(checks, rising)] == ["no_transfer"]
    assert check_findings(checks, [step(n) for n in range(51)]) == []  # nothing was learnt
    assert check_findings(heldout(3, 4, 6, 8), rising) == []  # they follow


def test_the_gap_is_to_what_was_drawn_and_not_to_what_refills_left():
    rising = [step(n, pass_rate=0.5, pass_rate_drawn=0.4 if n <= 10 else 0.6) for n in range(1, 21)]
    assert "rose by 20.0%" in gap(heldout(3, 9, 2), rising).message


@pytest.mark.parametrize("name", sorted(set(step(1)) - {"step"}))
@pytest.mark.parametrize("absent", [True, False])
def test_the_gap_is_measured_on_the_steps_that_have_a_pass_rate(name, absent):
    rising = [step(n, pass_rate=0.4 if n <= 10 else 0.6) for n in range(1, 21)]
    sick = [{**each, name: None} if each["step"] % 2 else each for each in rising]
    if absent:
        sick = [{key: value for key, value in each.items() if value is not None} for each in sick]
    assert "rose by 20.0%" in gap(heldout(3, 9, 2), sick).message


def test_a_check_of_which_nothing_was_measured_has_its_line():
    nothing = dict.fromkeys("abc", "INFRA")
    history = [heldout_record(10 * i, statuses, nothing) for i, statuses in enumerate((nothing, {}))]
    assert "0/0 pass (0.0%, 95 % interval 0.0% to 100.0%); against step 0: +0 -0, p 1" in heldout_line(history)
    assert check_findings([*history, history[0]], [step(1)]) == []


def test_a_check_says_what_it_would_be_if_infra_had_failed():
    record = heldout_record(0, {"a": "PASS", "b": "INFRA", "c": "INFRA", "d": "FAIL"}, {})
    line = heldout_line([record])
    assert "1/2 pass (50.0%" in line and "2 INFRA: 25.0% if they count as failed" in line
