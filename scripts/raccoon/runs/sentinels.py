"""Sentinels: what is wrong with a training run, seen in the lines of its metrics.jsonl.

They change nothing: an alarm is a message, and a word on whether going on is pointless. A number that a line lacks,
or that was not finite, raises none, but for the gradient's.
"""

from collections.abc import Callable
from dataclasses import dataclass

from raccoon.runs.log import COMPLETIONS_LOG
from raccoon.runs.rollouts import mean, number

PATIENCE = 3  # bad steps in a row before a run is stopped: one may be chance
FEW_WEIGHTS_CHANGED = 0.05  # share a step; below it most updates round away, as with bfloat16 master weights
LARGE_UPDATE = 0.05  # norm of an update over that of the weights; 0.001 is usual
ENTROPY_COLLAPSE = 0.1  # of the entropy of the first steps; below it the members of a group hardly differ
MANY_TIMEOUTS = 0.5  # share of completions; above it the reward measures the machine's load
MANY_OPEN_THOUGHTS = 0.5  # share of completions; they have no answer to learn from
NO_SIGNAL = 0.9  # share of constant groups; above it nearly every completion is made for nothing


@dataclass(frozen=True)
class Alarm:
    """Something that a sentinel saw; `stop` where going on is pointless."""

    message: str
    stop: bool = False


def alarms(metrics: list[dict]) -> list[Alarm]:
    """What is wrong with the newest step, in the light of those before it (lines of metrics.jsonl)."""
    return [alarm for sentinel in SENTINELS if (alarm := sentinel(metrics))]


def infra_alarm(metrics: list[dict]) -> Alarm | None:
    steps = lasting(metrics, lambda step: set(step.get("statuses") or ()) == {"INFRA"})
    if not steps:
        return None
    return Alarm("the sandbox failed on every completion, so nothing was learnt: try scripts/sandbox.py by "
                 "itself", stop=steps >= PATIENCE)


def judge_alarm(metrics: list[dict]) -> Alarm | None:
    steps = lasting(metrics, lambda step: step.get("judge_none") == 1)
    if not steps:
        return None
    return Alarm(f"the judge scored no completion, so nothing was learnt: see its errors in {COMPLETIONS_LOG}, and "
                 "whether its server runs", stop=steps >= PATIENCE)


def gradient_alarm(metrics: list[dict]) -> Alarm | None:
    steps = lasting(metrics, lambda step: step.get("grad_norm", 0.0) is None)
    if not steps:
        return None
    return Alarm("the gradient is not finite, so the weights were left as they are: lower LEARNING_RATE",
                 stop=steps >= PATIENCE)


def entropy_alarm(metrics: list[dict]) -> Alarm | None:
    start = mean([step["entropy"] for step in metrics[:PATIENCE] if step.get("entropy") is not None])
    if lasting(metrics, lambda step: number(step, "entropy") < ENTROPY_COLLAPSE * start) != PATIENCE:
        return None
    return Alarm(f"the entropy fell below {ENTROPY_COLLAPSE:.0%} of its start, {start:.3f}: the completions "
                 "of a prompt hardly differ; raise TEMPERATURE or lower LEARNING_RATE")


def timeout_alarm(metrics: list[dict]) -> Alarm | None:
    def many(step: dict) -> bool:
        return (step.get("kinds") or {}).get("timeout", 0) > MANY_TIMEOUTS * number(step, "completions")

    if lasting(metrics, many) != 1:
        return None
    return Alarm(f"more than {MANY_TIMEOUTS:.0%} of the completions timed out: lower SANDBOX_WORKERS or "
                 "raise SANDBOX_TIMEOUT")


def thinking_alarm(metrics: list[dict]) -> Alarm | None:
    if lasting(metrics, lambda step: number(step, "thinking_open") > MANY_OPEN_THOUGHTS) != 1:
        return None
    return Alarm(f"more than {MANY_OPEN_THOUGHTS:.0%} of the completions never end their thoughts: raise "
                 "MAX_COMPLETION_LENGTH, or set ENABLE_THINKING to False")


def constant_alarm(metrics: list[dict]) -> Alarm | None:
    if lasting(metrics, lambda step: number(step, "constant_groups") > NO_SIGNAL) != PATIENCE:
        return None
    return Alarm(f"more than {NO_SIGNAL:.0%} of the groups are constant, so hardly anything is learnt: pick "
                 "the tasks that are solved sometimes with PROFILE_SAMPLES, or raise MAX_REFILLS")


def small_update_alarm(metrics: list[dict]) -> Alarm | None:
    def still(step: dict) -> bool:
        moves = number(step, "grad_norm") > 0 and number(step, "learning_rate") > 0
        return moves and number(step, "weights_changed") < FEW_WEIGHTS_CHANGED

    if lasting(metrics, still) != PATIENCE:
        return None
    return Alarm(f"a step changes only {metrics[-1]['weights_changed']:.1%} of the weights, as updates round "
                 "away: keep the weights in float32 or raise LEARNING_RATE")


def large_update_alarm(metrics: list[dict]) -> Alarm | None:
    if lasting(metrics, lambda step: number(step, "update_ratio") > LARGE_UPDATE) != 1:
        return None
    return Alarm(f"an update is {metrics[-1]['update_ratio']:.1%} of the weights: lower LEARNING_RATE")


SENTINELS = (infra_alarm, judge_alarm, gradient_alarm, entropy_alarm, timeout_alarm, thinking_alarm, constant_alarm,
             small_update_alarm, large_update_alarm)


def lasting(metrics: list[dict], condition: Callable[[dict], bool]) -> int:
    """For how many steps, up to the newest, a condition has held."""
    return next((count for count, step in enumerate(reversed(metrics)) if not condition(step)), len(metrics))
