"""The policy's results on each task before training, and what they predict about its groups.

It samples nothing (training/trainer.py does). It counts the verdicts of several completions of each task.
"""

import statistics
from collections import Counter

from raccoon.runs.rollouts import Rollout
from raccoon.statistics import mean

MAX_PARTIAL_SHARE = 0.5  # of the variance; above it the gradient mostly teaches code to run, not to pass


def profile_records(rollouts: list[Rollout]) -> list[dict]:
    """The lines of profile.jsonl, one for each task: the scores of several completions before training."""
    scores: dict[str, list[float]] = {}
    passes: Counter = Counter()
    for rollout in rollouts:
        if rollout.reward is not None:
            scores.setdefault(rollout.task_id, []).append(rollout.reward_parts["correctness"])
            passes[rollout.task_id] += rollout.status == "PASS"
    return [
        {
            "step": 0,
            "task_id": task_id,
            "samples": len(values),
            "pass_rate": passes[task_id] / len(values),
            "correctness": values,
        }
        for task_id, values in scores.items()
    ]


def constant_share(profile: list[dict], group_size: int) -> float:
    """The expected share of constant groups: the mean chance of a task that all members of its group score the same."""
    return mean(
        [
            sum((count / record["samples"]) ** group_size for count in Counter(record["correctness"]).values())
            for record in profile
        ]
    )


def partial_share(profile: list[dict]) -> float:
    """The share of the reward's variance within tasks that comes from PARTIAL against FAIL; 0 without variance.

    The gradient follows that variance. By the law of total variance the rest comes from PASS against all others.
    """
    total = beside = 0.0
    for record in profile:
        scores = sorted(record["correctness"])
        others = scores[: len(scores) - round(record["pass_rate"] * len(scores))]
        total += statistics.pvariance(scores)
        beside += statistics.pvariance(others) * len(others) / len(scores) if others else 0.0
    return beside / total if total else 0.0


def partial_warning(profile: list[dict]) -> str:
    """A warning if the reward mostly teaches code to run, not to pass; else ""."""
    share = partial_share(profile)
    if share <= MAX_PARTIAL_SHARE:
        return ""
    rate = mean([record["pass_rate"] for record in profile])
    return (
        f"warning: {share:.0%} of the reward's variance is between PARTIAL and FAIL, and {rate:.1%} of the "
        "completions pass: the model would learn to write code that runs (like `return 2`), not code that passes; "
        'set PARTIAL_CREDIT to "beyond_constant" or "off", or start from a model that was taught such tasks '
        "(sft_model.py)"
    )


def profile_table(profile: list[dict]) -> str:
    """The number of tasks by pass rate, with a bar for each tenth and for "never" and "always"."""
    classes = Counter(
        "never"
        if record["pass_rate"] == 0
        else "always"
        if record["pass_rate"] == 1
        else f"{int(record['pass_rate'] * 10) * 10:3} %"
        for record in profile
    )
    names = ["never", *(f"{tenth:3} %" for tenth in range(0, 100, 10)), "always"]
    widest = max(classes.values(), default=1)
    return "\n".join(f"{name:>8} {classes[name]:6} {'#' * (50 * classes[name] // widest)}" for name in names)
