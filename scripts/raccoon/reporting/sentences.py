"""Says in sentences what was trained, how far it got, how its numbers changed, and whether the run learnt.

It draws nothing; logs.py reads the run. Every change comes with its 95 % interval and its p value. A sentence claims a
change only if p is below 5 %. Whether the run learnt is the first sentence of the report and the end of the demo: the
evaluation of the run's model counts first, with p values corrected for the number of comparisons, then the held-out
checks. Training tasks alone cannot tell.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import variance
from typing import Any

from raccoon.reporting.logs import Check, Run
from raccoon.reporting.tables import ComparisonRow, Evaluation, ScoreRow
from raccoon.runs.diagnosis import diagnose
from raccoon.runs.heldout import best_heldout, train_rate
from raccoon.statistics import ALPHA, Difference, compare, found_difference, how_many, mean

# How many of the first and of the last steps are compared: a tenth of the run, but enough to have a spread
SHARE_COMPARED = 10
FEWEST_COMPARED = 5

MOST_WARNINGS = 20  # shown on the page
NO_CHANGE = 0.02  # a change is called none if its whole 95 % interval is within this share of the tasks
SMALLEST_P = 1e-300  # floating point holds no much smaller p value

TITLES = {
    "learnt": "The run learnt.",
    "no change": "The run did not learn.",
    "worse": "The run made the model worse.",
    "mixed": "The run made the model better on some benchmarks and worse on others.",
    "unknown": "Cannot tell whether the run learnt.",
}
TRAINED_ON = {
    "unseen": " that the run was never trained on,",
    "seen": " that the run was trained on,",
    "partly seen": ", some of which the run was trained on,",
}


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


def training_sentence(run: Run) -> str:
    """All that can be said if no tasks were measured twice but the training's own."""
    found = drawn_sentence(run) or trend_sentence(run, "training pass rate", "pass_rate")
    return f"No tasks outside the training were measured before and after it. {found}"


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


def warnings(run: Run) -> list[str]:
    """What the sentinels found, each fault once, in the order in which the faults began."""
    shown = [f"Since step {each.onset}: {each.message}." for each in diagnose(run.folder)]
    more = len(shown) - MOST_WARNINGS
    return shown[:MOST_WARNINGS] + ([f"And {more} more warnings."] if more > 0 else [])


def with_interval(difference: float, interval: tuple[float, float], shown: Callable[[float], str] = points) -> str:
    """A difference with its 95 % interval."""
    return f"{shown(difference)}, 95 % interval {' to '.join(map(shown, interval))}"


def above(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points {'above' if difference > 0 else 'below'}"


@dataclass(frozen=True)
class Conclusion:
    """Whether a run learnt: `kind` is a key of TITLES, `sentences` are the evidence."""

    kind: str
    title: str
    sentences: list[str]


@dataclass(frozen=True)
class Change:
    """A difference between two models on the same tasks; `gained` tasks are solved more often by the second one."""

    n: int
    gained: int
    lost: int
    difference: float
    interval: tuple[float, float]
    p: float
    detectable: float | None = None  # the smallest difference that the test finds four times in five

    @property
    def kind(self) -> str:
        """The key of TITLES for this change alone."""
        if self.p < ALPHA:
            return "learnt" if self.difference > 0 else "worse"
        return "no change" if max(map(abs, self.interval)) <= NO_CHANGE else "unknown"


def outcome(run: Run, evaluation: Evaluation | None) -> Conclusion:
    """Whether a run learnt, from the best evidence that there is."""
    pairs = [Pair(run, evaluation, row) for row in unrepeated(evaluation)] if evaluation else []
    trained = [pair for pair in pairs if pair.is_before_and_after]
    kinds, sentences = ["unknown"], [training_sentence(run)]
    if trained:  # tasks that the run was trained on decide only if no others were measured
        kinds = [pair.change.kind for pair in [pair for pair in trained if pair.badge != "seen"] or trained]
        sentences = [pair.sentence for pair in trained]
    elif found := checks_change(run.checks):
        change, sentence = found
        kinds, sentences = [change.kind], [sentence]
    real = {kind for kind in kinds if kind in ("learnt", "worse")}  # counts wherever it was measured
    kind = "mixed" if len(real) == 2 else "no change" if set(kinds) == {"no change"} else "unknown"
    kind = real.pop() if len(real) == 1 else kind
    title = TITLES[kind]
    if not (trained or run.saved):
        title = f"So far: {title[0].lower()}{title[1:]}"
    return Conclusion(kind, title, sentences + [pair.other_sentence for pair in pairs if not pair.is_before_and_after])


def unrepeated(evaluation: Evaluation) -> list[ComparisonRow]:
    """The comparisons, each pair of models once on each benchmark: an evaluation can measure a model twice."""
    paths = {score.model: score.path for score in evaluation.scores}
    found: dict[tuple, ComparisonRow] = {}
    for row in evaluation.comparisons:
        models = paths.get(row.baseline, row.baseline), paths.get(row.candidate, row.candidate)
        if models[0] != models[1]:
            found.setdefault((row.benchmark, row.mode, *models), row)
    return list(found.values())


@dataclass(frozen=True)
class Pair:
    """A comparison of the run's model with another one, and the scores of both."""

    run: Run
    evaluation: Evaluation
    row: ComparisonRow

    @property
    def sentence(self) -> str:
        """The model before and after the training, on one benchmark."""
        after = "after GRPO" + f" ({self.row.candidate})" * (len(self.evaluation.own) > 1)
        solved = f"the pass rate changed by {points(self.row.difference)} from before to {after}"
        if self.rates:
            solved = f"the model solved {self.rates[0]} before and {self.rates[1]} {after}"
        return f"{self.where} {solved} ({self.answers}); {meaning(self.change, self.p_words, self.several)}."

    @property
    def other_sentence(self) -> str:
        """The model against another one that the run did not start from, such as a control."""
        row = self.row
        better = row.baseline if row.difference < 0 else row.candidate
        solved = f"{row.candidate} solved {points(row.difference)} against {row.baseline}"
        if self.rates:
            solved = f"{row.baseline} solved {self.rates[0]} and {row.candidate} {self.rates[1]}"
        return (
            f"{self.where} {solved} ({self.answers}); {row.baseline} was better on {counted(row.lost, 'task')} and "
            f"{row.candidate} on {row.gained}, {self.p_words}: "
            f"{f'{better} is better' if row.p_holm < ALPHA else 'this difference can be chance'}."
        )

    @property
    def change(self) -> Change:
        row = self.row
        return Change(row.n, row.gained, row.lost, row.difference, row.interval, row.p_holm, row.detectable)

    @property
    def scores(self) -> list[ScoreRow]:
        """Those of baseline and candidate."""
        place = self.row.benchmark, self.row.mode
        by_model = {score.model: score for score in self.evaluation.scores if (score.benchmark, score.mode) == place}
        return [by_model[model] for model in (self.row.baseline, self.row.candidate) if model in by_model]

    @property
    def rates(self) -> tuple[str, str] | None:
        """The pass rates of both; None if they were not scored on the same number of tasks."""
        known = [score.pass_at_1 for score in self.scores if score.pass_at_1 is not None and score.n == self.row.n]
        return (percent(known[0]), percent(known[1])) if len(known) == 2 else None

    @property
    def is_before_and_after(self) -> bool:
        """Whether the run started from the baseline and made the candidate; a model moved here keeps only its name."""
        start = str(self.run.constants.get("MODEL_PATH", ""))
        path = next((score.path for score in self.scores if score.model == self.row.baseline), "")
        same = path == start or Path(path).resolve() == Path(start).resolve()
        moved = Path(path).name == Path(start).name and not (Path(path).exists() and Path(start).exists())
        return self.row.candidate in self.evaluation.own and (same or moved)

    @property
    def badge(self) -> str:
        """Whether the run was trained on the tasks: seen, partly seen, unseen or unknown."""
        return next((score.badge for score in self.scores if score.model in self.evaluation.own), "unknown")

    @property
    def where(self) -> str:
        """The tasks, and whether the run was trained on them."""
        named = f" of {self.row.benchmark}" * (len({row.benchmark for row in self.evaluation.comparisons}) > 1)
        return f"On {counted(self.row.n, 'task')}{named}{TRAINED_ON.get(self.badge, ',')}"

    @property
    def several(self) -> bool:
        """Whether a task has several answers."""
        return any(score.samples > score.n for score in self.scores)

    @property
    def answers(self) -> str:
        """How many answers each task got."""
        turns = max((score.turns for score in self.scores), default=1)
        told = f", with up to {turns} turns" if turns > 1 else ""
        if self.several:
            score = self.scores[-1]
            return f"mean of {score.samples / score.n:.3g} {self.row.mode} answers a task{told}"
        return f"one {self.row.mode} answer a task{told}"

    @property
    def p_words(self) -> str:
        """The paired test of statistics.py and its p value, which is corrected if there are several comparisons."""
        test = "paired sign-flip test" if self.several else "exact McNemar"
        corrected = any(row.p_holm != row.p for row in self.evaluation.comparisons)
        return p_words(test, self.row.p_holm) + " after Holm's correction" * corrected


def checks_change(checks: Sequence[Check]) -> tuple[Change, str] | None:
    """What the first and the last held-out check say; None without two checks of the same tasks."""
    found = heldout_change(checks[0], checks[-1]) if len(checks) > 1 else None
    if not found:
        return None
    gained, lost = len(found.gained), len(found.lost)
    change = Change(found.n, gained, lost, found.difference, found.interval, found.p, found.detectable)
    first = "before training" if checks[0].step == 0 else f"after step {checks[0].step}"
    return change, (
        f"On {counted(found.n, 'held-out task')} that the run was never trained on, the model solved "
        f"{percent(checks[0].pass_rate)} {first} and {percent(checks[-1].pass_rate)} after step "
        f"{checks[-1].step}; {meaning(change, p_words('exact McNemar', found.p))}."
    )


def meaning(change: Change, p: str, several: bool = False) -> str:
    """The tasks gained and lost, the test with its p value, and what it means."""
    low, high = change.interval
    words = {
        "learnt": "the difference is real",
        "worse": "the loss is real",
        "no change": f"no change, the 95 % interval is {points(low)} to {points(high)}",
        "unknown": "this difference can be chance",
    }[change.kind]
    if change.kind == "unknown" and change.detectable is not None:
        words += f" (on {counted(change.n, 'task')} the test {found_difference(change.detectable)})"
    gained = f"{counted(change.gained, 'task')} {'was' if change.gained == 1 else 'were'}"
    if several:
        return f"{gained} solved more often and {change.lost} less often, {p}: {words}"
    return f"{gained} gained and {change.lost} lost, {p}: {words}"


def p_words(test: str, p: float) -> str:
    return f"{test} p {f'= {p:.2g}' if p > SMALLEST_P else f'< {SMALLEST_P:.0e}'}"


def counted(number: int, name: str) -> str:
    return f"{number:,} {name}" + "s" * (number != 1)
