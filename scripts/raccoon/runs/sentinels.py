"""Sentinels: they find faults of a training run in the lines of its metrics.jsonl.

They change nothing. An alarm is a message, and says whether the run should stop. A number that is missing or not finite
raises no alarm, except for the gradient. What one step shows only by chance is measured over a window of steps. Such an
alarm stops a run only once, so that the same command can continue it anyway.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from raccoon.records import named_counts
from raccoon.runs.log import COMPLETIONS_LOG, number
from raccoon.statistics import mean

PATIENCE = 3  # bad steps in a row before a run stops; one may be chance
FEW_WEIGHTS_CHANGED = 0.05  # share a step; below it most updates round to nothing, as with bfloat16 master weights
LARGE_UPDATE = 0.05  # norm of an update over the norm of the weights; 0.001 is usual
ENTROPY_COLLAPSE = 0.3  # share of the entropy of the first steps; below it the members of a group hardly differ
MANY_TIMEOUTS = 0.5  # share of completions; above it the reward measures the machine's load
MANY_OPEN_THOUGHTS = 0.5  # share of completions whose thoughts never end; they have no answer to learn from
NO_SIGNAL = 0.9  # share of constant groups; above it nearly all completions teach nothing
WINDOW = 10  # steps over which to measure what the few groups of one step do not show
MANY_CONSTANT_ANSWERS = 0.15  # mean share over half a window; a model that solves tasks gives almost none
MOST_CONSTANT_ANSWERS = 0.5  # the same; above it, and if fewer completions pass, the run learns nothing else
PARTIAL_SIGNAL = 0.8  # share of a window's groups that differ; above it the model learns to run, and hardly to pass
REWARD_RISE = 4.0  # standard errors between two windows; by chance in about one window in a thousand
PASS_RISE = 1.0  # standard errors; below it the pass rate has not risen
FEW_REPAIRED = 0.01  # mean share of a window's conversations with a second turn; below it feedback does not help
ENOUGH_TURNS = 100  # further answers in a window; with fewer, that none passes may be chance
MANY_CUT = 0.5  # mean share over half a window; above it most conversations have no second turn, whatever was wrong


@dataclass(frozen=True)
class Alarm:
    """A fault that a sentinel found; `stop` if the run should end."""

    message: str
    stop: bool = False


def alarms(metrics: list[dict]) -> list[Alarm]:
    """The alarms of the newest step, given the steps before it (lines of metrics.jsonl)."""
    return [*lost_scores(metrics), *sick_steps(metrics), *wrong_lessons(metrics), *idle_turns(metrics)]


def lost_scores(metrics: list[dict]) -> Iterator[Alarm]:
    """Completions that the sandbox or the judge did not score, or that attack the sandbox."""
    newest = metrics[-1]
    steps = lasting(metrics, lambda step: set(step.get("statuses") or ()) == {"INFRA"})
    if steps:
        yield Alarm(
            "the sandbox failed on every completion, so nothing was learnt: test it alone with scripts/sandbox.py",
            stop=steps >= PATIENCE,
        )

    def some_infra(steps: list[dict]) -> bool:
        """INFRA where other completions have verdicts. The solution of every task had one before training."""
        found = set(steps[-1].get("statuses") or ()) if steps else set()
        return "INFRA" in found and len(found) > 1

    if begins(metrics, some_infra):
        yield Alarm(
            f"{newest['statuses']['INFRA']} completions have no verdict, {newest.get('infra_beside') or 0} of them "
            f"beside judged ones of the same task [{named_counts(newest.get('infra') or {})}]: if the code decides it, "
            f"not scoring them raises the pass rate; run their code from {COMPLETIONS_LOG} with scripts/sandbox.py"
        )
    if begins(metrics, lambda steps: bool(steps) and number(steps[-1], "shared_refused") > 0):
        yield Alarm(
            f"{newest['shared_refused']} completions ran in the process of their test, unlike the solution "
            "of their task: they are FAIL; the code attacks the sandbox, or the sandbox has a fault: read their "
            f"code in {COMPLETIONS_LOG}"
        )
    steps = lasting(metrics, lambda step: step.get("judge_none") == 1)
    if steps:
        yield Alarm(
            f"the judge scored no completion, so nothing was learnt: read its errors in {COMPLETIONS_LOG}, and "
            "check that its server runs",
            stop=steps >= PATIENCE,
        )


def sick_steps(metrics: list[dict]) -> Iterator[Alarm]:
    """What one step shows, or a few in a row."""
    newest = metrics[-1]
    steps = lasting(metrics, lambda step: step.get("grad_norm", 0.0) is None)
    if steps:
        yield Alarm(
            "the gradient is not finite, so the weights were not updated: lower LEARNING_RATE", stop=steps >= PATIENCE
        )
    start = mean([step["entropy"] for step in metrics[: WINDOW // 2] if step.get("entropy") is not None])
    if lasting(metrics, lambda step: number(step, "entropy") < ENTROPY_COLLAPSE * start) == PATIENCE:
        yield Alarm(
            f"the entropy fell below {ENTROPY_COLLAPSE:.0%} of its start, {start:.3f}: the completions "
            "of a prompt hardly differ; raise TEMPERATURE or lower LEARNING_RATE"
        )

    def many_timeouts(step: dict) -> bool:
        return (step.get("kinds") or {}).get("timeout", 0) > MANY_TIMEOUTS * number(step, "completions")

    if lasting(metrics, many_timeouts) == 1:
        yield Alarm(
            f"more than {MANY_TIMEOUTS:.0%} of the completions timed out: lower SANDBOX_WORKERS or raise "
            "SANDBOX_TIMEOUT"
        )
    if lasting(metrics, lambda step: number(step, "thinking_open") > MANY_OPEN_THOUGHTS) == 1:
        yield Alarm(
            f"more than {MANY_OPEN_THOUGHTS:.0%} of the completions never end their thoughts: raise "
            "MAX_COMPLETION_LENGTH, or set ENABLE_THINKING to False"
        )
    if lasting(metrics, lambda step: number(step, "constant_groups") > NO_SIGNAL) == PATIENCE:
        yield Alarm(
            f"more than {NO_SIGNAL:.0%} of the groups are constant, so hardly anything is learnt: set "
            "PROFILE_SAMPLES to choose tasks that are solved sometimes, or raise MAX_REFILLS"
        )
    if lasting(metrics, hardly_moves) == PATIENCE:
        yield Alarm(
            f"a step changes only {newest['weights_changed']:.1%} of the weights, because updates round to "
            "nothing: set MASTER_WEIGHTS to float32, or raise LEARNING_RATE"
        )
    if lasting(metrics, lambda step: number(step, "update_ratio") > LARGE_UPDATE) == 1:
        yield Alarm(f"an update changes the weights by {newest['update_ratio']:.1%} of their norm: lower LEARNING_RATE")


def hardly_moves(step: dict) -> bool:
    moves = number(step, "grad_norm") > 0 and number(step, "learning_rate") > 0
    return moves and number(step, "weights_changed") < FEW_WEIGHTS_CHANGED


def wrong_lessons(metrics: list[dict]) -> Iterator[Alarm]:
    """What a window of steps shows: rewards that are easier to earn than a PASS."""
    stop = begins(metrics, lambda steps: constant_share(steps) > max(MOST_CONSTANT_ANSWERS, passing_share(steps)))
    if stop or begins(metrics, lambda steps: constant_share(steps) > MANY_CONSTANT_ANSWERS):
        yield Alarm(
            f"{constant_share(metrics):.0%} of the answers ignore their arguments, like `return 2`, and "
            f"{passing_share(metrics):.1%} pass: the run learns to earn REWARD_PARTIAL; "
            'set PAY_CONSTANT_ANSWERS to False and PARTIAL_CREDIT to "beyond_constant" or "off"',
            stop=stop,
        )

    def partial_share(steps: list[dict]) -> float:
        """Groups that differ without a PASS: they teach code to run, not to pass."""
        partial, mixed = (window_mean(steps, name, WINDOW) for name in ("partial_groups", "mixed_groups"))
        return partial / (partial + mixed) if partial + mixed > 0 else 0.0

    if begins(metrics, lambda steps: partial_share(steps) > PARTIAL_SIGNAL):
        yield Alarm(
            f"over {PARTIAL_SIGNAL:.0%} of the groups that differ hold no PASS, only PARTIAL and FAIL: the model "
            'learns to write code that runs, not code that passes; set PARTIAL_CREDIT to "beyond_constant" or '
            '"off", or set PROFILE_SAMPLES to choose tasks that are solved sometimes, or start from a model '
            "that was taught the tasks (sft_model.py)"
        )

    def unearned(steps: list[dict]) -> bool:
        """A reward that rises without passes, from the first steps to the newest."""
        windows, enough = (steps[:WINDOW], steps[-WINDOW:]), len(steps) >= 2 * WINDOW
        return enough and rise(*windows, "reward") > REWARD_RISE and rise(*windows, "pass_rate") < PASS_RISE

    if begins(metrics, unearned):
        first, last = metrics[:WINDOW], metrics[-WINDOW:]
        yield Alarm(
            f"the reward rose from {mean_of(first, 'reward'):+.2f} to {mean_of(last, 'reward'):+.2f} and the pass rate "
            f"did not, {mean_of(first, 'pass_rate'):.1%} to {mean_of(last, 'pass_rate'):.1%}: other parts of the "
            'reward are easier to earn than a PASS; set PARTIAL_CREDIT to "beyond_constant" or "off", and '
            "BONUS_ONLY_WITH_PASS to True"
        )


def idle_turns(metrics: list[dict]) -> Iterator[Alarm]:
    """What a window of steps shows in a run with several turns; others have none of these numbers."""

    def waits(steps: list[dict]) -> bool:
        """A first answer that gets worse while the last one gets better, from the first steps to the newest."""
        first, last = by_turn(steps, 0), by_turn(steps, -1)
        falls = rise(first[-WINDOW:], first[:WINDOW], "pass") > REWARD_RISE
        return len(steps) >= 2 * WINDOW and falls and rise(last[:WINDOW], last[-WINDOW:], "pass") > PASS_RISE

    if begins(metrics, waits):
        first, last = (mean_of(by_turn(part, 0), "pass") for part in (metrics[:WINDOW], metrics[-WINDOW:]))
        yield Alarm(
            f"the first answers got worse, {first:.1%} to {last:.1%} pass, and the last ones better: the model waits "
            "for its feedback instead of solving the task at once; lower TURN_DISCOUNT, so that a late PASS earns less"
        )

    def no_help(steps: list[dict]) -> bool:
        further = sum((number(step, "turns_mean") - 1) * number(step, "completions") for step in steps[-WINDOW:])
        return further >= ENOUGH_TURNS and window_mean(steps, "repaired", WINDOW) < FEW_REPAIRED

    if begins(metrics, no_help):
        yield Alarm(
            f"under {FEW_REPAIRED:.0%} of the conversations with a second turn end in a PASS: the model makes nothing "
            "of its feedback; teach it repairs first (create_synthetic_data.py --mode trajectories --turns 2, then "
            "sft_model.py), or save the time with MAX_TURNS 1"
        )
    if begins(metrics, lambda steps: window_mean(steps, "cut_at_first", WINDOW // 2) > MANY_CUT):
        yield Alarm(
            f"more than {MANY_CUT:.0%} of the conversations end at their first answer, because it was cut: raise "
            "MAX_COMPLETION_LENGTH, which is the limit of one answer"
        )


def by_turn(metrics: list[dict], turn: int) -> list[dict]:
    """The pass rate after a turn as a step's "pass"; None in a run with one turn."""
    return [{"pass": (step.get("pass_by_turn") or [None])[turn]} for step in metrics]


def constant_share(steps: list[dict]) -> float:
    return window_mean(steps, "constant_answers", WINDOW // 2)


def passing_share(steps: list[dict]) -> float:
    return window_mean(steps, "pass_rate", WINDOW // 2)


def begins(metrics: list[dict], condition: Callable[[list[dict]], bool]) -> bool:
    """Whether a condition on the steps holds at the newest step and held at none of the WINDOW steps before it."""
    return condition(metrics) and not any(condition(metrics[:-back]) for back in range(1, WINDOW + 1))


def window_mean(metrics: list[dict], name: str, steps: int) -> float:
    """The mean over the newest steps; NaN (every comparison with it is False) if there are fewer."""
    return mean_of(metrics[-steps:], name) if len(metrics) >= steps else math.nan


def mean_of(metrics: list[dict], name: str) -> float:
    """The mean of a number over the steps that have it; NaN if none has."""
    return mean(values_of(metrics, name))


def values_of(metrics: list[dict], name: str) -> list[float]:
    return [step[name] for step in metrics if step.get(name) is not None]


def rise(before: list[dict], now: list[dict], name: str) -> float:
    """How far a number's mean has risen, in standard errors over steps (Welch 1947); NaN with fewer than two steps.

    A step is one observation, because its completions share prompts.
    """
    sides = [values_of(part, name) for part in (before, now)]
    if min(map(len, sides)) < 2:
        return math.nan
    error = math.sqrt(sum(statistics.variance(side) / len(side) for side in sides))
    difference = mean(sides[1]) - mean(sides[0])
    return difference / error if error else math.copysign(math.inf, difference) if difference else 0.0


def lasting(metrics: list[dict], condition: Callable[[dict], bool]) -> int:
    """For how many steps in a row, up to the newest, a condition has held."""
    return next((count for count, step in enumerate(reversed(metrics)) if not condition(step)), len(metrics))
