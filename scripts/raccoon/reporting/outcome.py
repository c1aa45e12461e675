"""Says whether a run learnt: the first sentence of the report, and the end of the demo.

The evaluation of the run's model counts first, with p values corrected for the number of comparisons, then the held-out
checks. Training tasks alone cannot tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raccoon.reporting.logs import Check, Run
from raccoon.reporting.sentences import drawn_sentence, heldout_change, percent, points, trend_sentence
from raccoon.reporting.tables import ComparisonRow, Evaluation, ScoreRow
from raccoon.statistics import ALPHA, found_difference

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


def training_sentence(run: Run) -> str:
    """All that can be said if no tasks were measured twice but the training's own."""
    found = drawn_sentence(run) or trend_sentence(run, "training pass rate", "pass_rate")
    return f"No tasks outside the training were measured before and after it. {found}"


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
