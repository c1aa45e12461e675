"""How the policy does on each task before training, and what that says of the groups to come.

It samples nothing (code_trainer.py does): it counts what several completions of each task got.
"""

from collections import Counter

from raccoon.runs.rollouts import Rollout, mean

MAX_PARTIAL_SHARE = 0.5  # of the variance; above it the gradient is mostly about running


def profile_records(rollouts: list[Rollout]) -> list[dict]:
    """What several completions of each task got before training, a line a task (profile.jsonl)."""
    scores: dict[str, list[float]] = {}
    passes: Counter = Counter()
    for rollout in rollouts:
        if rollout.reward is not None:
            scores.setdefault(rollout.task_id, []).append(rollout.reward_parts["correctness"])
            passes[rollout.task_id] += rollout.status == "PASS"
    return [{"step": 0, "task_id": task_id, "samples": len(values),
             "pass_rate": passes[task_id] / len(values), "correctness": values}
            for task_id, values in scores.items()]


def constant_share(profile: list[dict], group_size: int) -> float:
    """The share of constant groups to expect: a task's chance that its group gets one score throughout."""
    return mean([sum((count / record["samples"]) ** group_size
                     for count in Counter(record["correctness"]).values()) for record in profile])


def partial_share(profile: list[dict]) -> float:
    """The share of the reward's variance within tasks that PARTIAL against FAIL makes, PASS left aside; 0 without any.

    The gradient goes by that variance. By its decomposition (law of total variance) the rest is PASS against others.
    """
    total = beside = 0.0
    for record in profile:
        scores = sorted(record["correctness"])
        others = scores[: len(scores) - round(record["pass_rate"] * len(scores))]
        total += spread(scores)
        beside += spread(others) * len(others) / len(scores)
    return beside / total if total else 0.0


def spread(values: list[float]) -> float:
    """The variance of all of them; 0 for none."""
    return mean([(value - mean(values)) ** 2 for value in values]) if values else 0.0


def partial_warning(profile: list[dict]) -> str:
    """A line where what is to be learnt is to run rather than to pass; "" elsewhere."""
    share = partial_share(profile)
    if share <= MAX_PARTIAL_SHARE:
        return ""
    rate = mean([record["pass_rate"] for record in profile])
    return (f"warning: {share:.0%} of what the reward tells apart is PARTIAL against FAIL, and {rate:.1%} of the "
            "completions pass: the run would learn to run, not to pass, and code like `return 2` runs; set "
            "PARTIAL_CREDIT to \"beyond_constant\" or \"off\", or start from a model that was taught such tasks "
            "(sft_model.py)")


def profile_table(profile: list[dict]) -> str:
    """How many tasks have which pass rate, as a bar for each tenth; never and always stand by themselves."""
    classes = Counter("never" if record["pass_rate"] == 0 else "always" if record["pass_rate"] == 1 else
                      f"{int(record['pass_rate'] * 10) * 10:3} %" for record in profile)
    names = ["never", *(f"{tenth:3} %" for tenth in range(0, 100, 10)), "always"]
    widest = max(classes.values(), default=1)
    return "\n".join(f"{name:>8} {classes[name]:6} {'#' * (50 * classes[name] // widest)}" for name in names)
