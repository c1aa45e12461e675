"""The profile of tasks before training."""

import pytest

from helpers.run_examples import rollout
from raccoon.runs.heldout import constant_share, partial_share, partial_warning, profile_records, profile_table
from raccoon.runs.log import Rollout


def test_the_profile_counts_tasks_and_expects_constant_groups():
    def samples(task_id: str, *scores: float | None) -> list[Rollout]:
        return [
            rollout("PASS" if score == 1.0 else "INFRA" if score is None else "FAIL", score, task_id=task_id)
            for score in scores
        ]

    profile = profile_records(
        samples("never", -0.5, -0.5) + samples("half", 1.0, -0.5) + samples("always", 1.0, None) + samples("x", None)
    )
    assert [(record["task_id"], record["samples"], record["pass_rate"]) for record in profile] == [
        ("never", 2, 0.0),
        ("half", 2, 0.5),
        ("always", 1, 1.0),
    ]
    assert constant_share(profile, 4) == pytest.approx((1 + 2 * 0.5**4 + 1) / 3)
    table = [line.split()[:2] for line in profile_table(profile).splitlines()]
    assert (table[0], table[-1], len(table)) == (["never", "1"], ["always", "1"], 12)
    assert table[6] == ["50", "%"]


def profiled(*scores: float) -> dict:
    return {
        "task_id": "t",
        "samples": len(scores),
        "pass_rate": scores.count(1.0) / len(scores),
        "correctness": list(scores),
    }


def test_the_share_of_partial_is_its_part_of_the_variance():
    assert partial_share([profiled(1.0, -0.5, 1.0, -0.5)]) == 0.0
    assert partial_share([profiled(0.2, -0.5, 0.2, -0.5)]) == 1.0
    assert partial_share([profiled(1.0, 1.0), profiled(-0.5, -0.5)]) == 0.0  # nothing differs within a task
    assert partial_share([profiled(0.2, 0.2, 0.2)]) == 0.0  # their mean in floating point is not 0.2
    # 1, 0.2, -0.5, -0.5: the variance is 0.3825; the three that do not pass have 0.1089, three quarters of it count
    assert partial_share([profiled(1.0, 0.2, -0.5, -0.5)]) == pytest.approx(0.75 * 0.10889 / 0.3825, rel=1e-3)


def test_a_profile_in_which_partial_dominates_is_named_before_training():
    # As SmolLM2-135M on MBPP was: every eighth completion or fewer passes, a quarter of the others run
    rare = [profiled(*[0.2] * 4, *[-0.5] * 12) for _ in range(9)] + [profiled(1.0, *[0.2] * 4, *[-0.5] * 11)]
    warning = partial_warning(rare)
    assert "between PARTIAL and FAIL, and 0.6% of the completions pass" in warning and "\n" not in warning
    assert partial_warning([profiled(1.0, 0.2, -0.5, 1.0)]) == ""
    assert partial_warning([]) == ""
