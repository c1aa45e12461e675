"""The policy's results on tasks, apart from training: the held-out control, and the profile of tasks before training.

It samples nothing (training/sampling.py does). A check is the status of each held-out task, paired task by task with
the first check; a history is the lines of heldout.jsonl, a profile those of profile.jsonl.
"""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raccoon.constants import check_positive
from raccoon.runs.findings import Finding
from raccoon.runs.history import first_number
from raccoon.runs.log import COMPLETIONS_LOG, Rollout
from raccoon.statistics import mcnemar_exact, mean, wilson_interval

SIGNIFICANT = 0.05  # p value below which a fall on the held-out tasks is not taken for chance
CERTAIN = 0.01  # the same for a check that follows such a fall; then the run stops
LARGE_RISE = 0.2  # of the training pass rate; a smaller one may be the choice of prompts
TRANSFERRED = 0.25  # share of it that held-out tasks follow at the least
FIRST_STEPS = 10  # whose pass rate a rise is measured from
SECTION = "The held-out tasks get worse"  # of WHAT_GOES_WRONG.md, for what the checks show
MAX_PARTIAL_SHARE = 0.5  # of a profile's variance; above it the gradient mostly teaches code to run, not to pass


@dataclass(frozen=True)
class Heldout:
    """The constants of the held-out control, under their own names."""

    source: str  # a benchmark or task file; "": no control
    tasks: int
    every: int  # steps between two checks
    temperature: float  # 0: greedy
    patience: int  # checks in a row without a better one, after which the run ends; 0: never

    def __post_init__(self) -> None:
        check_positive(HELDOUT_TASKS=self.tasks, HELDOUT_EVERY=self.every)


def heldout_record(
    step: int, statuses: Mapping[str, str], first: Mapping[str, str], passed_at_first: int | None = None
) -> dict[str, Any]:
    """One check, paired with the first; both map a task's id to its status. INFRA is left out of rate and pairs.

    `passed_at_first` is how many pass with their first answer, in a run with several turns.
    """
    measured = [status for status in statuses.values() if status != "INFRA"]
    passed, gained, lost = measured.count("PASS"), *changes(first, statuses)
    return {
        "step": step,
        "n": len(measured),
        "passed": passed,
        **({} if passed_at_first is None else {"passed_at_first": passed_at_first}),
        "pass_rate": passed / max(len(measured), 1),
        "interval": wilson_interval(passed, len(measured)) if measured else (0.0, 1.0),
        "gained": gained,
        "lost": lost,
        "p": mcnemar_exact(gained, lost),
        "statuses": dict(statuses),
    }


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[int, int]:
    """How many tasks pass now and did not before, and how many passed before and do not now."""
    both = [
        (before[task] == "PASS", now[task] == "PASS")
        for task in now
        if "INFRA" not in (now[task], before.get(task, "INFRA"))
    ]
    return both.count((False, True)), both.count((True, False))


def best_heldout(history: list[dict]) -> dict:
    """The check with the highest pass rate; of equal ones the earliest."""
    return max(history, key=lambda record: record["pass_rate"])


def heldout_line(history: list[dict]) -> str:
    """The newest held-out check as a line of text."""
    now = history[-1]
    low, high = now["interval"]
    line = (
        f"held-out after step {now['step']}: {now['passed']}/{now['n']} pass ({now['pass_rate']:.1%}, "
        f"95 % interval {low:.1%} to {high:.1%})"
    )
    if "passed_at_first" in now:
        line += f", {now['passed_at_first']} with the first answer"
    lost = len(now["statuses"]) - now["n"]
    if lost:
        line += f", {lost} INFRA: {now['passed'] / len(now['statuses']):.1%} if they count as failed"
    if len(history) > 1:
        line += f"; against step {history[0]['step']}: +{now['gained']} -{now['lost']}, p {now['p']:.2g}"
        line += f"; best after step {best_heldout(history)['step']}"
    return line


def check_findings(history: list[dict], metrics: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What the newest check shows, given the steps before it."""
    return [found for found in (loss(history), gap(history, metrics), no_transfer(history, metrics)) if found]


def gap(history: list[dict], metrics: Sequence[Mapping[str, Any]]) -> Finding | None:
    """Held-out passes are worse than at their best, while training passes rose since then.

    The best of several checks is partly chance, so p is compared with a limit for as many checks.
    """
    best, now = best_heldout(history), history[-1]
    gained, lost = changes(best["statuses"], now["statuses"])
    if len(history) < 3 or lost <= gained or mcnemar_exact(gained, lost) >= SIGNIFICANT / (len(history) - 2):
        return None
    rise = train_rate(metrics, best, now) - train_rate(metrics, history[0], best)
    if not rise > 0:
        return None
    return Finding(
        "warning",
        "held_out_gap",
        best["step"],
        now["step"],
        f"the training pass rate rose by {rise:.1%} while the held-out one is worse than after step {best['step']} "
        f"(+{gained} -{lost})",
        "the run may memorize its own tasks, or exploit a fault in their tests; read the newest passes in "
        f"{COMPLETIONS_LOG}, and keep the checkpoint of step {best['step']}",
        SECTION,
    )


def loss(history: list[dict]) -> Finding | None:
    """The newest check is worse than the first, before training. A second such check stops the run once."""

    def fallen(check: dict, p: float) -> bool:
        return check["lost"] > check["gained"] and check["p"] is not None and check["p"] < p

    now, before = history[-1], history[:-1]
    if not fallen(now, SIGNIFICANT):
        return None
    twice = [
        fallen(check, CERTAIN) and fallen(earlier, SIGNIFICANT)
        for earlier, check in zip(history, history[1:], strict=False)
    ]
    best = best_heldout(before)["step"]
    return Finding(
        "stop" if twice[-1] and not any(twice[:-1]) else "warning",
        "held_out_loss",
        best,
        now["step"],
        f"the held-out tasks are worse than before training, {history[0]['passed']} of {history[0]['n']} to "
        f"{now['passed']} of {now['n']} (+{now['gained']} -{now['lost']}, p {now['p']:.2g})",
        f"keep the model of step {best}, and lower LEARNING_RATE, raise BETA, or check what earns the reward",
        SECTION,
    )


def no_transfer(history: list[dict], metrics: Sequence[Mapping[str, Any]]) -> Finding | None:
    """Training passes rose a lot, and held-out ones certainly by less than a quarter of it. Said at the third check."""
    first, now = history[0], history[-1]
    if len(history) < 4 or not now["n"]:
        return None
    early = [rate for step in metrics[:FIRST_STEPS] if (rate := drawn_rate(step)) is not None]
    rise = train_rate(metrics, history[-2], now) - mean(early)
    most = (now["gained"] - now["lost"] + 2 * math.sqrt(now["gained"] + now["lost"] + 1)) / now["n"]
    if not (rise > LARGE_RISE and most < TRANSFERRED * rise):
        return None
    return Finding(
        "warning",
        "no_transfer",
        first["step"],
        now["step"],
        f"the training pass rate rose by {rise:.1%} and the held-out one did not follow (+{now['gained']} "
        f"-{now['lost']} of {now['n']})",
        f"the run may memorize its own tasks or exploit their tests; read the newest passes in {COMPLETIONS_LOG}, and "
        "train on more tasks",
        SECTION,
    )


def train_rate(metrics: Sequence[Mapping[str, Any]], earlier: dict, later: dict) -> float:
    """The mean training pass rate, of all completions drawn, in the steps between two held-out checks.

    The rate of the completions trained on says less: refills keep groups that pass sometimes, however good the policy.
    """
    rates = [drawn_rate(step) for step in metrics if earlier["step"] < step["step"] <= later["step"]]
    return mean([rate for rate in rates if rate is not None])


def drawn_rate(step: Mapping[str, Any]) -> float | None:
    """The pass rate of all completions that a step drew."""
    rate = first_number(step, ("pass_rate_drawn", "pass_rate"))
    return None if math.isnan(rate) else rate


def checks_without_gain(history: list[dict]) -> int:
    """How many checks were made after the best one."""
    return sum(record["step"] > best_heldout(history)["step"] for record in history)


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
    scores = [(Counter(record["correctness"]), record["samples"]) for record in profile]
    return mean([sum((count / samples) ** group_size for count in counts.values()) for counts, samples in scores])


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
    ends = {0: "never", 1: "always"}
    rates = [record["pass_rate"] for record in profile]
    classes = Counter(ends.get(rate, f"{int(rate * 10) * 10:3} %") for rate in rates)
    names = ["never", *(f"{tenth:3} %" for tenth in range(0, 100, 10)), "always"]
    widest = max(classes.values(), default=1)
    return "\n".join(f"{name:>8} {classes[name]:6} {'#' * (50 * classes[name] // widest)}" for name in names)
