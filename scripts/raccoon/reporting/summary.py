"""Describes a training run in sentences: what was trained, how far it got, and how its numbers changed.

It draws nothing; logs.py reads the run. Every change comes with its 95 % interval and its p value. A sentence claims a
change only if p is below 5 %.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import variance
from typing import Any

from raccoon.reporting.logs import Check, Run, Step
from raccoon.runs.heldout import best_heldout, gap_warning, loss_alarm, train_rate
from raccoon.runs.sentinels import alarms
from raccoon.statistics import ALPHA, Difference, compare, found_difference, mean

# How many of the first and of the last steps are compared: a tenth of the run, but enough to have a spread
SHARE_COMPARED = 10
FEWEST_COMPARED = 5

MOST_WARNINGS = 20  # shown on the page


@dataclass(frozen=True)
class Trend:
    """The mean over a run's first `steps` steps and over its last."""

    steps: int
    first: float
    last: float
    interval: tuple[float, float]
    p: float

    @property
    def difference(self) -> float:
        return self.last - self.first


def percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"


# The arguments of trend_sentence for the pass rate of the completions that were trained on
PASS_RATE = ("training pass rate", lambda step: step.pass_rate, percent, points)


def summary(run: Run) -> list[str]:
    """The sentences of the page's summary, in order."""
    found = [
        trained(run),
        progress(run),
        trend_sentence(run, *PASS_RATE),
        drawn_sentence(run),
        trend_sentence(run, "mean reward", lambda step: step.reward, "{:.3f}".format, "{:+.3f}".format),
        heldout_sentence(run),
        gap_sentence(run),
        integrity_sentence(run),
    ]
    return [sentence for sentence in found if sentence]


def trained(run: Run) -> str:
    """What was trained, from the constants; a config.json of another version may lack some."""
    value: Callable[[str], Any] = run.constants.get
    weights = f"LoRA adapters of rank {value('LORA_RANK')}" if value("USE_LORA") else "all weights"
    return (
        f"GRPO on {value('MODEL_PATH')}, {weights}, learning rate {value('LEARNING_RATE')}, groups of "
        f"{value('NUM_GENERATIONS')} completions at temperature {value('TEMPERATURE')}; loss {value('LOSS_TYPE')}, "
        f"rewards scaled by {value('SCALE_REWARDS')}, seed {value('SEED')}."
    )


def progress(run: Run) -> str:
    """How far the run got."""
    made, seconds = sum(step.completions for step in run.steps), sum(sum(step.seconds.values()) for step in run.steps)
    time = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
    steps = f"{run.last_step} of {run.max_steps} steps"
    if run.stopped:
        state = f"It stopped after {steps}: {run.stopped.reason}."
    elif run.saved and run.last_step >= run.max_steps:
        state = f"It is finished: {steps}."
    elif run.saved:
        state = f"It ended early, after {steps}, and saved its model{': ' * bool(run.ended)}{run.ended}."
    else:
        state = f"It is still running or was killed: {steps} are logged."
    return f"{state} It made and executed {made:,} completions in {time} of training steps."


Number = Callable[[Step], float | None]
Words = Callable[[float], str]


def trend_sentence(run: Run, name: str, value: Number, shown: Words, change: Words) -> str:
    """Whether a value rose from the first steps to the last; `shown` and `change` format it."""
    found = trend([number for step in run.steps if (number := value(step)) is not None])
    if not found:
        return f"Fewer than {2 * FEWEST_COMPARED} steps have a {name}; that is too few to say whether it rises."
    test = f"{with_interval(found.difference, found.interval, change)}, Welch's t test over steps p = {found.p:.2g}"
    return (
        f"The {name} {movement(found.difference, found.p)} from {shown(found.first)} in the first to "
        f"{shown(found.last)} in the last {found.steps} steps ({test})."
    )


def training_sentence(run: Run) -> str:
    """All that can be said if no tasks were measured twice but the training's own."""
    found = drawn_sentence(run) or trend_sentence(run, *PASS_RATE)
    return f"No tasks outside the training were measured before and after it. {found}"


def drawn_sentence(run: Run) -> str:
    """Whether the pass rate of all completions rose; "" if refills left none of them out."""
    if not any(step.unused_groups for step in run.steps):
        return ""
    name = "pass rate of all completions, including those that refills left out,"
    return trend_sentence(run, name, lambda step: step.pass_rate_drawn, percent, points)


def trend(values: Sequence[float]) -> Trend | None:
    """The first and the last steps, compared by Welch's t test (Welch 1947); None if there are too few steps.

    A step is one observation, because its completions share prompts and are not independent.
    """
    from scipy.special import stdtr, stdtrit

    n = max(FEWEST_COMPARED, len(values) // SHARE_COMPARED)
    if len(values) < 2 * n:
        return None
    first, last = values[:n], values[-n:]
    spreads = [variance(side) / n for side in (first, last)]
    error, difference = math.sqrt(sum(spreads)), mean(last) - mean(first)
    if error == 0:
        return Trend(n, mean(first), mean(last), (difference, difference), float(difference == 0))
    freedom = sum(spreads) ** 2 / sum(spread**2 / (n - 1) for spread in spreads)
    half = error * float(stdtrit(freedom, 1 - ALPHA / 2))
    p = 2 * float(stdtr(freedom, -abs(difference) / error))
    return Trend(n, mean(first), mean(last), (difference - half, difference + half), p)


def movement(difference: float, p: float) -> str:
    if p >= ALPHA:
        return "shows no clear change:"
    return "rose" if difference > 0 else "fell"


def heldout_change(first: Check, last: Check) -> Difference | None:
    """The held-out tasks at two checks, paired; None if no task was measured in both."""
    sides = [
        {task: [status == "PASS"] for task, status in check.statuses.items() if status != "INFRA"}
        for check in (first, last)
    ]
    return compare(*sides)


def heldout_sentence(run: Run) -> str:
    """Whether the held-out pass rate rose."""
    if not run.checks:
        return "No held-out tasks were watched, so these logs do not show whether the model got better at other tasks."
    first, last = run.checks[0], run.checks[-1]
    start = f"{percent(first.pass_rate)} ({first.passed} of {first.n}) after step {first.step}"
    found = heldout_change(first, last) if len(run.checks) > 1 else None
    if not found:
        return f"The held-out pass rate was {start}. No later check is logged yet."
    sentence = (
        f"The held-out pass rate {movement(found.difference, found.p)} from {start} to "
        f"{percent(last.pass_rate)} ({last.passed} of {last.n}) after step {last.step} "
        f"({with_interval(found.difference, found.interval)}, "
        f"{len(found.gained)} tasks gained and {len(found.lost)} lost, exact McNemar p = {found.p:.2g})"
    )
    if found.p >= ALPHA:
        sentence += f". With {found.n} tasks the test {found_difference(found.detectable)}"
    best = best_heldout([asdict(check) for check in run.checks])
    return f"{sentence}. The best check is the one after step {best['step']}, {percent(best['pass_rate'])}."


def gap_sentence(run: Run) -> str:
    """The training pass rate between the last two checks, and how far the last held-out rate is from it."""
    if len(run.checks) < 2:
        return ""
    metrics, checks = ([asdict(each) for each in logged] for logged in (run.steps, run.checks))
    now = train_rate(metrics, *checks[-2:])
    if math.isnan(now):
        return ""
    sentence = (
        f"Between the last two checks {percent(now)} of the training completions passed. This is "
        f"{above(now - checks[-1]['pass_rate'])} the held-out rate"
    )
    before = train_rate(metrics, *checks[:2])
    if len(checks) > 2 and not math.isnan(before):
        sentence += f"; at the first check after the start it was {above(before - checks[1]['pass_rate'])} it"
    return (
        f"{sentence}. Training samples at temperature {run.constants.get('TEMPERATURE')} and the held-out check at "
        f"{run.constants.get('HELDOUT_TEMPERATURE')}, so the change of this gap says more than its size."
    )


def integrity_sentence(run: Run) -> str:
    """How many of the completions with a high reward were flagged on a second look."""
    checked, flagged = (sum(getattr(step, name) for step in run.integrity) for name in ("checked", "flagged"))
    if not checked:
        return ""
    return (
        f"A second look at {checked:,} completions with a high reward flagged {flagged:,} of them "
        f"({percent(flagged / checked)})."
    )


def warnings(run: Run) -> list[str]:
    """The warnings that the run gave, each once, with the steps at which it was given."""
    metrics, checks = ([asdict(each) for each in logged] for logged in (run.steps, run.checks))
    said: dict[str, list[int]] = {}
    for count, step in enumerate(run.steps, 1):
        for alarm in alarms(metrics[:count]):
            said.setdefault(alarm.message, []).append(step.step)
    for count, check in enumerate(run.checks, 1):
        # A check is made before the line of its step is written
        known = [step for step in metrics if step["step"] < check.step]
        gap, loss = gap_warning(checks[:count], known).removeprefix("warning: "), loss_alarm(checks[:count])
        for message in (gap, loss.message if loss else ""):
            if message:
                said.setdefault(message, []).append(check.step)
    shown = [f"{at_steps(steps)}: {message}." for message, steps in sorted(said.items(), key=lambda item: item[1])]
    more = len(shown) - MOST_WARNINGS
    return shown[:MOST_WARNINGS] + ([f"And {more} more warnings."] if more > 0 else [])


def at_steps(steps: Sequence[int]) -> str:
    return f"Step {steps[0]}" if len(steps) == 1 else f"{len(steps)} steps from {steps[0]} to {steps[-1]}"


def with_interval(difference: float, interval: tuple[float, float], shown: Callable[[float], str] = points) -> str:
    """A difference with its 95 % interval."""
    return f"{shown(difference)}, 95 % interval {' to '.join(map(shown, interval))}"


def above(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points {'above' if difference > 0 else 'below'}"
