"""Says in sentences what was trained, how far it got, and how its numbers changed.

It draws nothing; logs.py reads the run. Every change comes with its 95 % interval and its p value. A sentence claims a
change only if p is below 5 %.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import variance
from typing import Any

from raccoon.reporting.logs import Check, Run
from raccoon.runs.heldout import best_heldout, train_rate
from raccoon.statistics import ALPHA, Difference, compare, found_difference, how_many, mean

# How many of the first and of the last steps are compared: a tenth of the run, but enough to have a spread
SHARE_COMPARED = 10
FEWEST_COMPARED = 5


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


def run_summary(run: Run) -> list[str]:
    """The sentences of the page's summary, in order."""
    found = [
        trained_sentence(run),
        progress_sentence(run),
        trend_sentence(run, "training pass rate", "pass_rate"),
        drawn_sentence(run),
        turns_sentence(run),
        weak_sentence(run),
        trend_sentence(run, "mean reward", "reward", "{:.3f}".format, "{:+.3f}".format),
        heldout_sentence(run),
        gap_sentence(run),
        integrity_sentence(run),
    ]
    return [sentence for sentence in found if sentence]


def trained_sentence(run: Run) -> str:
    """What was trained, from the constants; a config.json of another version may lack some."""
    value: Callable[[str], Any] = run.constants.get
    weights = f"LoRA adapters of rank {value('LORA_RANK')}" if value("USE_LORA") else "all weights"
    return (
        f"GRPO on {value('MODEL_PATH')}, {weights}, learning rate {value('LEARNING_RATE')}, groups of "
        f"{value('NUM_GENERATIONS')} completions at temperature {value('TEMPERATURE')}; loss {value('LOSS_TYPE')}, "
        f"rewards scaled by {value('SCALE_REWARDS')}, seed {value('SEED')}."
    )


def progress_sentence(run: Run) -> str:
    """How far the run got."""
    made, seconds = sum(step.completions for step in run.steps), sum(step.time for step in run.steps)
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
    gaps = f" Lines of its logs were cut or deleted: {'; '.join(run.gaps)}." if run.gaps else ""
    return f"{state} It made and executed {made:,} completions in {time} of training steps.{gaps}"


def trend_sentence(
    run: Run, name: str, field: str, shown: Callable[[float], str] = percent, change: Callable[[float], str] = points
) -> str:
    """Whether a field of the steps rose from the first steps to the last; `shown` and `change` format it."""
    found = trend([number for step in run.steps if (number := getattr(step, field)) is not None])
    if not found:
        return f"Fewer than {2 * FEWEST_COMPARED} steps have a {name}; that is too few to say whether it rises."
    test = f"{with_interval(found.difference, found.interval, change)}, Welch's t test over steps p = {found.p:.2g}"
    return (
        f"The {name} {movement(found.difference, found.p)} from {shown(found.first)} in the first to "
        f"{shown(found.last)} in the last {found.steps} steps ({test})."
    )


def drawn_sentence(run: Run) -> str:
    """Whether the pass rate of all completions rose; "" if refills left none of them out."""
    if not any(step.unused_groups for step in run.steps):
        return ""
    return trend_sentence(
        run, "pass rate of all completions, including those that refills left out,", "pass_rate_drawn"
    )


def turns_sentence(run: Run) -> str:
    """What the turns after the first one add in the newest steps; "" for a run with one turn."""
    newest = run.steps[-FEWEST_COMPARED:]
    rates = [
        [share for step in newest if (share := step.by_turn.get(str(turn))) is not None] for turn in (1, run.turns)
    ]
    if run.turns == 1 or not all(rates):
        return ""
    repaired = [step.repaired for step in newest if step.repaired is not None]
    ends = [check for check in (*run.checks[:1], *run.checks[1:][-1:]) if check.passed_at_first is not None]
    heldout = " and ".join(f"{check.passed_at_first} of {check.n} after step {check.step}" for check in ends)
    return (
        f"In the newest {how_many(len(newest), 'step')} the first answers solved {percent(mean(rates[0]))}, and up to "
        f"{run.turns} answers {percent(mean(rates[1]))}"
        + (f"; {percent(mean(repaired))} of the conversations with a second turn were repaired" if repaired else "")
        + (f". With their first answer, held-out tasks passed: {heldout}." if heldout else ".")
    )


def weak_sentence(run: Run) -> str:
    """How many passes only weak tests would have given; "" in a run without new tests."""
    known = [(step.pass_rate_given, step.weak_passes or 0.0) for step in run.steps if step.pass_rate_given is not None]
    if not known:
        return ""
    given, only = mean([rate for rate, _ in known]), mean([rate * weak for rate, weak in known])
    return (
        f"The given tests alone would have passed {percent(given)} of the training completions; the new tests fail "
        f"{percent(only / given if given else 0.0)} of these."
    )


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
    baseline, candidate = (
        {task: [status == "PASS"] for task, status in check.statuses.items() if status != "INFRA"}
        for check in (first, last)
    )
    return compare(baseline, candidate)


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
        f"{how_many(len(found.gained), 'task')} gained and {len(found.lost)} lost, exact McNemar p = {found.p:.2g})"
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


def with_interval(difference: float, interval: tuple[float, float], shown: Callable[[float], str] = points) -> str:
    """A difference with its 95 % interval."""
    return f"{shown(difference)}, 95 % interval {' to '.join(map(shown, interval))}"


def above(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points {'above' if difference > 0 else 'below'}"
