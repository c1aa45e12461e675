"""The profile of tasks before training."""

import pytest

from helpers.run_examples import rollout
from raccoon.runs.profile import constant_share, profile_records, profile_table
from raccoon.runs.rollouts import Rollout


def test_the_profile_counts_tasks_and_expects_constant_groups():
    def samples(task_id: str, *scores: float | None) -> list[Rollout]:
        return [rollout("PASS" if score == 1.0 else "INFRA" if score is None else "FAIL", score, task_id=task_id)
                for score in scores]

    profile = profile_records(
        samples("never", -0.5, -0.5) + samples("half", 1.0, -0.5) + samples("always", 1.0, None) + samples("x", None))
    assert [(record["task_id"], record["samples"], record["pass_rate"]) for record in profile] \
        == [("never", 2, 0.0), ("half", 2, 0.5), ("always", 1, 1.0)]
    assert constant_share(profile, 4) == pytest.approx((1 + 2 * 0.5**4 + 1) / 3)
    table = [line.split()[:2] for line in profile_table(profile).splitlines()]
    assert (table[0], table[-1], len(table)) == (["never", "1"], ["always", "1"], 12)
    assert table[6] == ["50", "%"]
