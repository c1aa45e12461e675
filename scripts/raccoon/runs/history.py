"""The numbers of a run's steps as columns, and the tests on windows of steps that sentinels decide by.

It decides nothing. A step is a line of metrics.jsonl, or of any log with TRL's names. Every window costs the same
however long the run is, because a column keeps running sums. A number that is missing or not finite is left out.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

from raccoon.runs.log import STEP_PARTS

WINDOW = 10  # steps over which to measure what the few groups of one step do not show
LARGEST = 1e300  # numbers above it are not taken for measurements
SMALLEST_CHANGE = 3.0  # standard errors; a block of steps closer to the start has not changed
BLOCK = 5  # steps whose mean tells when a change began
FEWEST = 3  # the same, for a jump within the newest block
UNKNOWN = 3.0  # how much more alike, in parts of what so few steps show, steps are taken to be than they seem
COMPILING = 2  # steps whose seconds are no measure of the later ones
MOST_SCORES = 500  # held-out scores that are kept, beside the first three: a log may have one in every row

# A column, and the names that logs have for it: this project's first, then TRL's and those of other trainers
COLUMNS = {
    "reward": ("reward",),
    "reward_std": ("reward_std",),
    "pass_rate": ("pass_rate",),
    "constant_groups": ("constant_groups", "frac_reward_zero_std"),
    "partial_groups": ("partial_groups",),
    "mixed_groups": ("mixed_groups",),
    "constant_answers": ("constant_answers",),
    "truncated": ("truncated", "completions/clipped_ratio"),
    "tokens_mean": ("tokens_mean", "completions/mean_length"),
    "repetition": ("repetition", "repetition_rate"),
    "advantage_std": ("advantage_std",),
    "entropy": ("entropy",),
    "kl": ("kl",),
    "clipped": ("clip_ratio/region_mean", "clip_ratio"),
    "grad_norm": ("grad_norm",),
    "learning_rate": ("learning_rate",),
    "weights_changed": ("weights_changed",),
    "update_ratio": ("update_ratio",),
    "completions": ("completions",),
    "shared_refused": ("shared_refused",),
    "turns_mean": ("turns_mean",),
    "repaired": ("repaired",),
    "cut_at_first": ("cut_at_first",),
    "seconds": ("step_time",),
}
PART = re.compile(r"(?P<held>(eval|val|test|validation)[_/])?rewards?/(?P<part>[^/]+)/mean")
SOLVED = re.compile(r"correct|accura|pass|solve|test|exec|unit", re.I)  # a reward function that looks at the answer
HELD_OUT = re.compile(r"(eval|val|test|validation|val-core)[_/](?P<name>.+)", re.I)
SCORES = re.compile(r"acc|pass|solve|correct|score|reward", re.I)
NO_SCORES = re.compile(r"std|min|max|zero|worst|margin|length", re.I)


# How steps resemble their neighbours is measured by how much more they differ within a window than from one to the next
CORRELATIONS = [place / 100 for place in range(96)]


@dataclass(frozen=True)
class Sample:
    """Some steps' numbers: how many, their mean, their variance, and the standard error of the mean as sample() has it.

    Without numbers all are NaN, and comparisons are False.
    """

    n: int
    mean: float
    variance: float
    error: float


NONE = Sample(0, math.nan, math.nan, math.nan)


@lru_cache(2**14)
def spread_of_mean(correlation: float, n: int) -> float:
    """The variance of a mean of n steps, times n over that of one step, if a step depends on the one before (AR(1))."""
    rest = 1 - correlation
    return (1 + correlation) / rest - 2 * correlation * (1 - correlation**n) / (n * rest * rest)


def spread_within(correlation: float, n: int) -> float:
    """The expected variance within a window of n such steps over that of one step."""
    return 1 - (spread_of_mean(correlation, n) - 1) / (n - 1)


WITHIN_TO_NEXT = [spread_within(correlation, WINDOW) / (1 - correlation) for correlation in CORRELATIONS]


class Column:
    """One number of every step, NaN where it is missing, with its running sums."""

    def __init__(self, missing: int) -> None:
        self.values = [math.nan] * missing
        self.sums = [(0, 0.0, 0.0)] * (missing + 1)  # how many numbers, their sum, the sum of their squares
        # Of windows without gaps and of steps beside each other: how many, and the sum of their variances
        self.noise = [(0, 0.0, 0, 0.0)] * (missing + 1)
        self.first = 0  # the steps up to here hold the first WINDOW numbers; 0 while there are fewer
        self.shift = 0.0  # the first number: sums of differences from it lose no digits
        self.usual = 0.0, 0.0  # variance within a window, and correlation of a step with the next

    def add(self, value: float) -> None:
        before = self.values[-1] if self.values else math.nan
        self.values.append(value)
        count, total, squares = self.sums[-1]
        if not math.isnan(value):
            self.shift = self.shift if count else value
            count, total = count + 1, total + value - self.shift
            squares += (value - self.shift) ** 2
        self.sums.append((count, total, squares))
        if not self.first and count == WINDOW:
            self.first = len(self.values)
        windows, within, pairs, between = self.noise[-1]
        n, _, variance = self.moments(len(self.values) - WINDOW, len(self.values))
        if n == WINDOW:
            windows, within = windows + 1, within + variance
        if not math.isnan(value - before):
            pairs, between = pairs + 1, between + (value - before) ** 2 / 2
        self.noise.append((windows, within, pairs, between))
        self.usual = self.measure_noise()

    def measure_noise(self) -> tuple[float, float]:
        """The usual variance within a window, and the correlation of a step with the next.

        Both are of the steps before the newest two windows, so that what happens in them does not pass for noise. With
        few steps the correlation is taken to be larger, because it is not known.
        """
        windows, within, pairs, between = self.noise[max(len(self.values) - 2 * WINDOW, self.first)]
        if not windows or not between:
            return 0.0, 0.0
        ratio = (within / windows) / (between / pairs) * (1 + UNKNOWN / math.sqrt(pairs))
        return within / windows, CORRELATIONS[max(bisect_right(WITHIN_TO_NEXT, ratio) - 1, 0)]

    def moments(self, begin: int, end: int) -> tuple[int, float, float]:
        """Count, mean and variance of the numbers of the steps begin to end - 1, counted from 0."""
        before, now = self.sums[max(begin, 0)], self.sums[end]
        n, total, squares = now[0] - before[0], now[1] - before[1], now[2] - before[2]
        if not n:
            return 0, math.nan, math.nan
        mean = self.shift + total / n
        rounded = mean if abs(mean) > 1e-12 * abs(self.shift) else 0.0  # what sums leave of zeros
        return n, rounded, max(squares - total * total / n, 0.0) / max(n - 1, 1)

    def sample(self, begin: int, end: int) -> Sample:
        """The numbers of the steps begin to end - 1.

        A step is one observation, because its completions share prompts. Its variance is that of the sample, or the
        usual one if that is larger, because the numbers of a few steps may be alike by chance.
        """
        n, mean, variance = self.moments(begin, end)
        if n < 2:
            return Sample(n, mean, math.nan, math.nan)
        usual, correlation = self.usual
        largest = usual / spread_within(correlation, WINDOW)
        if n >= WINDOW or not usual:
            largest = max(largest, variance / spread_within(correlation, n))
        return Sample(n, mean, variance, math.sqrt(largest * spread_of_mean(correlation, n) / n))


class History:
    """The steps of a run so far. Windows end at the newest step, `back` steps earlier if that is given."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.columns: dict[str, Column] = {}
        self.evals: list[tuple[int, float]] = []  # held-out scores by TRL's names: (place of the step, score)
        self.checks: list[dict] = []  # lines of heldout.jsonl

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds the next step. What is no number in it is taken for missing."""
        numbers = {column: first_number(row, names) for column, names in COLUMNS.items()}
        numbers.update(numbers_of_others(row, numbers))
        if len(self.rows) < COMPILING:
            numbers["seconds"] = math.nan
        for name, value in numbers.items():
            if name not in self.columns and not math.isnan(value):
                self.columns[name] = Column(len(self.rows))
        for name, column in self.columns.items():
            column.add(numbers.get(name, math.nan))
        score = held_out_score(row)
        if not math.isnan(score):
            self.evals.append((len(self.rows), score))
            del self.evals[3:-MOST_SCORES]
        self.rows.append(row)

    def __len__(self) -> int:
        return len(self.rows)

    def step(self, place: int) -> int:
        """The number of the step at a place; the log may not have all of them."""
        number = self.rows[place].get("step")
        return number if isinstance(number, int) else place + 1

    def number(self, name: str) -> float:
        """Of the newest step; NaN if it has none."""
        return self.columns[name].values[-1] if name in self.columns else math.nan

    def numbers(self, name: str, steps: int) -> list[float]:
        """Those of the newest steps that have one, of at most so many steps."""
        values = self.columns[name].values[-steps:] if name in self.columns else []
        return [value for value in values if not math.isnan(value)]

    def sample(self, name: str, begin: int, end: int) -> Sample:
        return self.columns[name].sample(begin, end) if name in self.columns else NONE

    def start(self, name: str) -> Sample:
        """The first WINDOW numbers; none while there are fewer."""
        column = self.columns.get(name)
        return column.sample(0, column.first) if column and column.first else NONE

    def first_mean(self, name: str) -> float:
        """The mean of the numbers of the first steps, half a window; of fewer while there are fewer."""
        return self.sample(name, 0, min(WINDOW // 2, len(self))).mean

    def recent(self, name: str, steps: int = WINDOW, back: int = 0) -> Sample:
        """The newest steps; none if the run has made fewer."""
        end = len(self) - back
        return self.sample(name, end - steps, end) if end >= steps else NONE

    def mean(self, name: str, steps: int = WINDOW) -> float:
        return self.recent(name, steps).mean

    def change(self, name: str, steps: int = WINDOW) -> float:
        """Newest mean minus that of the start; NaN while the two share steps."""
        apart = name in self.columns and 0 < self.columns[name].first <= len(self) - steps
        return self.recent(name, steps).mean - self.start(name).mean if apart else math.nan

    def rise(self, name: str) -> float:
        """The change in standard errors; NaN while the newest window and the start share steps."""
        change = self.change(name)
        return change / error(self.start(name), self.recent(name)) if change else 0.0

    def ratio(self, name: str) -> float:
        """The newest window over the start; NaN while they share steps, or if the start is not above 0."""
        start = self.start(name).mean
        return (start + self.change(name)) / start if start > 0 else math.nan

    def typical(self, name: str, steps: int) -> float:
        """The median of the newest steps that have a number other than 0; NaN without one."""
        values = [value for value in self.numbers(name, steps) if value]
        return median(values) if values else math.nan

    def began(self, name: str, earlier: Sample | None = None) -> int:
        """The place since which a number is nearer to its present level than to an earlier one; 0 if it is the same.

        The earlier level is the start's if none is given. A number may have drifted before, as entropy does, without a
        fault.
        """
        column, start, end = self.columns.get(name), earlier or self.start(name), len(self)
        if not column or not start.n:
            return end - 1
        blocks = [column.sample(end - size, end) for size in (BLOCK, FEWEST)]
        now = next((now for now in blocks if abs(now.mean - start.mean) > SMALLEST_CHANGE * error(start, now)), None)
        if not now:
            return 0
        side, middle = math.copysign(1.0, now.mean - start.mean), (start.mean + now.mean) / 2

        def changed(block: Sample) -> bool:
            return side * (block.mean - middle) > 0 or not block.n

        while end - BLOCK >= column.first and changed(column.sample(end - BLOCK, end)):
            end -= 1
        later = range(max(end - BLOCK, 0), len(self))
        return next((place for place in later if side * (column.values[place] - middle) > 0), len(self) - 1)


def error(before: Sample, now: Sample) -> float:
    """The standard error of the difference of two means (Welch 1947). Never 0, so that it can divide a difference."""
    return math.hypot(before.error, now.error) or 1e-12


def finite_number(value: Any) -> float:
    """A logged number as a float; NaN for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST:
        return float(value)
    return math.nan


def first_number(row: Mapping[str, Any], names: Iterable[str]) -> float:
    for name in names:
        if name in row:
            value = finite_number(row[name])
            if value == value:
                return value
    return math.nan


def numbers_of_others(row: Mapping[str, Any], own: Mapping[str, float]) -> dict[str, float]:
    """Columns that no single name has: seconds of a step, what turns solve, and in others' logs the share solved."""
    found = {}
    parts = row.get("seconds")
    if isinstance(parts, Mapping):  # without held-out checks and checkpoints, which make no step slower
        found["seconds"] = math.fsum(finite_number(parts[name]) for name in STEP_PARTS if name in parts)
    if math.isnan(own["pass_rate"]):
        for name in row:
            matched = PART.fullmatch(name)
            if matched and not matched["held"] and SOLVED.search(matched["part"]):
                found["pass_rate"] = finite_number(row[name])
                break
    by_turn = row.get("pass_by_turn")
    if isinstance(by_turn, list) and by_turn:
        found["first_turn"], found["last_turn"] = finite_number(by_turn[0]), finite_number(by_turn[-1])
    return found


def held_out_score(row: Mapping[str, Any]) -> float:
    """The step's score on held-out tasks by a name like eval_reward or val/accuracy; NaN without one."""
    scores = {}
    for name, value in row.items():
        matched = HELD_OUT.fullmatch(name)
        if matched and SCORES.search(matched["name"]) and not NO_SCORES.search(matched["name"]):
            scores[bool(SOLVED.search(matched["name"]))] = finite_number(value)
    return scores.get(True, scores.get(False, math.nan))
