"""Says in sentences what a training run has reached: what was trained, how far, and whether it rose.

It draws nothing; report_logs.py reads the run. Every rise comes with its 95 % interval and its p value, and a
sentence claims one only where p is below 5 %.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raccoon.reporting.logs import Check, Run, Step
from raccoon.runs.heldout import best_heldout, gap_warning, loss_alarm, train_rate
from raccoon.runs.rollouts import mean
from raccoon.runs.sentinels import alarms
from raccoon.statistics import ALPHA, Difference, compare

# The first and the last steps that are compared: a tenth of the run, but enough to have a spread
SHARE_COMPARED = 10
FEWEST_COMPARED = 5

MOST_WARNINGS = 20  # shown; a run that warns at every step says no more with each


@dataclass(frozen=True)
class Trend:
    """The mean over a run's last `steps` steps against that over its first."""

    steps: int
    first: float
    last: float
    interval: tuple[float, float]
    p: float

    @property
    def difference(self) -> float:
        return self.last - self.first


def summary(run: Run) -> list[str]:
    """The sentences of the page's head, in order."""
    found = [trained(run), progress(run),
             trend_sentence(run, "training pass rate", lambda step: step.pass_rate, percent, points),
             drawn_sentence(run),
             trend_sentence(run, "mean reward", lambda step: step.reward, "{:.3f}".format, "{:+.3f}".format),
             heldout_sentence(run), gap_sentence(run), integrity_sentence(run)]
    return [sentence for sentence in found if sentence]


def trained(run: Run) -> str:
    """What the constants say was trained; config.json may be of a version that lacks some."""
    value: Callable[[str], Any] = run.constants.get
    weights = f"LoRA adapters of rank {value('LORA_RANK')}" if value("USE_LORA") else "all weights"
    return (f"GRPO on {value('MODEL_PATH')}, {weights}, learning rate {value('LEARNING_RATE')}, groups of "
            f"{value('NUM_GENERATIONS')} completions at temperature {value('TEMPERATURE')}; loss {value('LOSS_TYPE')}, "
            f"rewards scaled by {value('SCALE_REWARDS')}, seed {value('SEED')}.")


def progress(run: Run) -> str:
    """How far the run has come."""
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
        state = f"It is still going, or was killed: {steps} are logged."
    return f"{state} {made:,} completions were made and executed in {time} of training steps."


def trend_sentence(run: Run, name: str, value: Callable[[Step], float | None], shown: Callable[[float], str],
                   change: Callable[[float], str]) -> str:
    """Whether a value of the steps rose from the first to the last of them; `shown` and `change` format it."""
    found = trend([number for step in run.steps if (number := value(step)) is not None])
    if not found:
        return f"Fewer than {2 * FEWEST_COMPARED} steps have a {name}: too few to say whether it rises."
    low, high = found.interval
    test = (f"{change(found.difference)}, 95 % interval {change(low)} to {change(high)}, p = {found.p:.2g} by Welch's "
            "t test over steps")
    return (f"The {name} {movement(found.difference, found.p)} from {shown(found.first)} in the first to "
            f"{shown(found.last)} in the last {found.steps} steps ({test}).")


def drawn_sentence(run: Run) -> str:
    """Whether the pass rate rose on the tasks as they came, where refills have left groups out."""
    if not any(step.unused_groups for step in run.steps):
        return ""
    return trend_sentence(run, "pass rate of all completions, those that refills left out among them,",
                          lambda step: step.pass_rate_drawn, percent, points)


def trend(values: Sequence[float]) -> Trend | None:
    """The first against the last steps by Welch's unequal variances t test (Welch 1947); None with too few steps.

    A step is one observation: its completions share prompts and are not independent.
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


def variance(values: Sequence[float]) -> float:
    """The unbiased estimate."""
    centre = mean(values)
    return sum((value - centre) ** 2 for value in values) / (len(values) - 1)


def movement(difference: float, p: float) -> str:
    if p >= ALPHA:
        return "did not change distinguishably:"
    return "rose" if difference > 0 else "fell"


def heldout_change(first: Check, last: Check) -> Difference | None:
    """The held-out tasks at two checks, paired; None where no task was measured in both."""
    sides = [{task: [status == "PASS"] for task, status in check.statuses.items() if status != "INFRA"}
             for check in (first, last)]
    return compare(*sides)


def heldout_sentence(run: Run) -> str:
    """Whether the tasks that are not trained on got better."""
    if not run.checks:
        return "No held-out tasks were watched: nothing here says whether the model got better at other tasks."
    first, last = run.checks[0], run.checks[-1]
    start = f"{percent(first.pass_rate)} ({first.passed} of {first.n}) after step {first.step}"
    found = heldout_change(first, last) if len(run.checks) > 1 else None
    if not found:
        return f"The held-out pass rate was {start}; no later check is logged yet."
    low, high = found.interval
    sentence = (f"The held-out pass rate {movement(found.difference, found.p)} from {start} to "
                f"{percent(last.pass_rate)} ({last.passed} of {last.n}) after step {last.step} "
                f"({points(found.difference)}, 95 % interval {points(low)} to {points(high)}, "
                f"{len(found.gained)} tasks gained and {len(found.lost)} lost, exact McNemar p = {found.p:.2g})")
    if found.p >= ALPHA:
        sentence += (f"; {found.n} tasks show a difference of {100 * found.detectable:.1f} points or more "
                     "four times in five")
    best = best_heldout([asdict(check) for check in run.checks])
    return f"{sentence}. The best check is that after step {best['step']}, {percent(best['pass_rate'])}."


def gap_sentence(run: Run) -> str:
    """The training pass rate between the last two checks against the held-out one of the last."""
    if len(run.checks) < 2:
        return ""
    metrics, checks = metric_records(run), [asdict(check) for check in run.checks]
    now = train_rate(metrics, *checks[-2:])
    if math.isnan(now):
        return ""
    sentence = (f"Between the last two checks {percent(now)} of the training completions passed, "
                f"{above(now - checks[-1]['pass_rate'])} the held-out rate")
    before = train_rate(metrics, *checks[:2])
    if len(checks) > 2 and not math.isnan(before):
        sentence += f" ({above(before - checks[1]['pass_rate'])} it at the first check after the start)"
    return (f"{sentence}. Training samples at temperature {run.constants.get('TEMPERATURE')}, the held-out check at "
            f"{run.constants.get('HELDOUT_TEMPERATURE')}: how the gap moves says more than its size.")


def integrity_sentence(run: Run) -> str:
    """How much of what was rewarded did not hold."""
    checked, flagged = (sum(getattr(step, name) for step in run.integrity) for name in ("checked", "flagged"))
    if not checked:
        return ""
    return (f"A second look at {checked:,} well rewarded completions flagged {flagged:,} of them "
            f"({percent(flagged / checked)}).")


def warnings(run: Run) -> list[str]:
    """What the sentinels had to say while the run went, each once, with the steps at which it was said."""
    metrics, checks = metric_records(run), [asdict(check) for check in run.checks]
    said: dict[str, list[int]] = {}
    for count in range(1, len(metrics) + 1):
        for alarm in alarms(metrics[:count]):
            said.setdefault(alarm.message, []).append(metrics[count - 1]["step"])
    for count in range(1, len(checks) + 1):
        # A check is made before the line of its own step is written
        known = [step for step in metrics if step["step"] < checks[count - 1]["step"]]
        gap = gap_warning(checks[:count], known).removeprefix("warning: ")
        if gap:
            said.setdefault(gap, []).append(checks[count - 1]["step"])
        loss = loss_alarm(checks[:count])
        if loss:
            said.setdefault(loss.message, []).append(checks[count - 1]["step"])
    shown = [f"{at_steps(steps)}: {message}." for message, steps in sorted(said.items(), key=lambda item: item[1])]
    more = len(shown) - MOST_WARNINGS
    return shown[:MOST_WARNINGS] + ([f"And {more} more warnings."] if more > 0 else [])


def metric_records(run: Run) -> list[dict]:
    """The steps as the sentinels take them."""
    return [asdict(step) for step in run.steps]


def at_steps(steps: Sequence[int]) -> str:
    return f"Step {steps[0]}" if len(steps) == 1 else f"{len(steps)} steps from {steps[0]} to {steps[-1]}"


def percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"


def above(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points {'above' if difference > 0 else 'below'}"
