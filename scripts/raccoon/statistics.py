"""Statistics of pass rates: intervals, pass@k, and whether two models differ on the same tasks.

Pure functions of counts and per-task pass rates. They read no file and know no model. Fractions lie in 0..1, they are
never in per cent. All intervals and tests are two-sided at the 5 % level.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

ALPHA = 0.05  # level of every test; intervals cover 1 - ALPHA
POWER = 0.80  # how often a test finds the smallest detectable difference
Z_ALPHA, Z_POWER = map(NormalDist().inv_cdf, (1 - ALPHA / 2, POWER))
RESAMPLES = 10_000  # of the bootstrap; its end points vary by about 1 % of the interval's width
SEED = 0  # of the bootstrap
FINEST_GRID = 1000  # pass rates are compared in steps of at most 1/1000 of a task


def wilson_interval(passed: float, n: int) -> tuple[float, float]:
    """The Wilson score interval of passed / n independent trials (Wilson 1927). Raises ValueError for n < 1."""
    if not 0 <= passed <= n or n < 1:
        raise ValueError(f"{passed} of {n} is not a count of trials")
    z, rate = Z_ALPHA, passed / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if passed == 0 else centre - half
    high = 1.0 if passed == n else centre + half
    return low, high


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of one value a task (Efron 1979); tasks are resampled, not samples.

    A resample is drawn as counts of the distinct values (multinomial), which is equivalent to n single draws.
    """
    import numpy

    distinct, counts = numpy.unique(numpy.asarray(values, dtype=float), return_counts=True)
    n = int(counts.sum())
    draws = numpy.random.default_rng(SEED).multinomial(n, counts / n, size=RESAMPLES)
    low, high = numpy.quantile(draws @ distinct / n, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def mean_rate_interval(rates: Sequence[float]) -> tuple[float, float]:
    """The interval of a mean pass rate, from one rate a task: the bootstrap's, or Wilson's where all rates are equal.

    Resampling equal values gives an interval of width 0, as if no other task could differ. Wilson's counts each task as
    one trial, whose variance is the largest that a rate can have.
    """
    if len(set(rates)) == 1:
        return wilson_interval(math.fsum(rates), len(rates))
    return bootstrap_interval(rates)


def difference_interval(changes: Sequence[float]) -> tuple[float, float]:
    """The interval of a mean difference, from one value a task in -1..1: the bootstrap's, or a wider one.

    Where all are equal it is Newcombe's for paired proportions, the tasks gained and lost (1998, method 10, without
    correlation).
    """
    if len(set(changes)) > 1:
        return bootstrap_interval(changes)
    n, mean_change = len(changes), math.fsum(changes) / len(changes)
    gained, lost = max(mean_change, 0.0), max(-mean_change, 0.0)
    (low, high), (lost_low, lost_high) = wilson_interval(gained * n, n), wilson_interval(lost * n, n)
    return (
        max(-1.0, mean_change - math.hypot(gained - low, lost_high - lost)),
        min(1.0, mean_change + math.hypot(high - gained, lost - lost_low)),
    )


def pass_at_k(n: int, passed: int, k: int) -> float:
    """Unbiased pass@k: 1 - C(n - passed, k) / C(n, k) (Chen et al. 2021, equation 1). Raises ValueError if k > n."""
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {k} samples a task, not {n}")
    return 1.0 - math.comb(n - passed, k) / math.comb(n, k)


def mcnemar_exact(gained: int, lost: int) -> float:
    """The p value of the exact McNemar test (1947): each task that changed state is a fair coin flip."""
    from scipy.special import bdtr

    discordant = gained + lost
    if discordant == 0:
        return 1.0
    return min(1.0, 2.0 * float(bdtr(min(gained, lost), discordant, 0.5)))


def sign_flip_exact(steps: Sequence[int]) -> float:
    """The p value of the paired sign-flip permutation test on integer differences, one for each task.

    Under no difference each task's sign is a fair coin flip. The exact distribution of the sum over all 2^n flips is
    computed by convolution (Fisher 1935; Pagano and Tritchler 1983). With differences of -1, 0 and 1 it is the exact
    McNemar test.
    """
    import numpy

    sizes = [abs(step) for step in steps if step]
    total, observed = sum(sizes), abs(sum(steps))
    chance = numpy.zeros(2 * total + 1)  # chance[total + s] is the probability of the sum s
    chance[total] = 1.0
    for size in sizes:
        chance = (numpy.roll(chance, size) + numpy.roll(chance, -size)) / 2
    tail = chance[total + observed :].sum() + chance[: total - observed + 1].sum()
    return min(1.0, float(tail)) if observed else 1.0


def paired_p(baseline: Mapping[str, Sequence[bool]], candidate: Mapping[str, Sequence[bool]]) -> float:
    """The p value for equal pass rates on the same tasks, each with its samples' outcomes.

    With one sample for each task it is the exact McNemar test. Several samples of a task are not independent, so their
    mean is one observation, and the sign-flip test compares the means.
    """
    counts = {len(samples) for side in (baseline, candidate) for samples in side.values()}
    if counts == {1}:
        pairs = [(baseline[task][0], candidate[task][0]) for task in baseline]
        return mcnemar_exact(gained=pairs.count((False, True)), lost=pairs.count((True, False)))
    grid = min(math.lcm(*counts), FINEST_GRID)
    return sign_flip_exact([round(grid * (mean(candidate[task]) - mean(baseline[task]))) for task in baseline])


def smallest_detectable(n: int, discordance: float) -> float:
    """The smallest true difference that the paired test finds with 80 % power on n tasks.

    `discordance` is the mean square of the per-task differences. If each task has one sample, it is the share of tasks
    that change state. That share cannot be below the difference; a smaller value is replaced by the difference, as if
    all changes went one way. Solves Connor 1987's sample size n d^2 = (z_alpha sqrt(q) + z_beta sqrt(q - d^2))^2, a
    quadratic in d / sqrt(q), for d.
    """
    root = math.sqrt(max(0.0, Z_ALPHA**2 * n - (n + Z_POWER**2) * (Z_ALPHA**2 - Z_POWER**2)))
    ratio = (Z_ALPHA * math.sqrt(n) + root) / (n + Z_POWER**2)
    return min(1.0, ratio * max(math.sqrt(discordance), ratio))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for their number (Holm 1979), in the given order."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def mean(values: Sequence[float]) -> float:
    """The mean; NaN without values."""
    return sum(values) / len(values) if values else math.nan


@dataclass(frozen=True)
class Difference:
    """A candidate against a baseline on n tasks: ids solved more and less often, mean per-task difference."""

    n: int
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    difference: float
    interval: tuple[float, float]
    p: float
    detectable: float

    @property
    def flip_rate(self) -> float:
        """The share of tasks that changed state."""
        return (len(self.gained) + len(self.lost)) / self.n


def compare(baseline: Mapping[str, Sequence[bool]], candidate: Mapping[str, Sequence[bool]]) -> Difference | None:
    """The paired difference of two models' outcomes (task id -> its samples); None if they share no task."""
    common = [task for task in baseline if task in candidate]
    if not common:
        return None
    first, second = ({task: side[task] for task in common} for side in (baseline, candidate))
    changes = {task: mean(second[task]) - mean(first[task]) for task in common}
    gained = tuple(task for task in common if changes[task] > 0)
    lost = tuple(task for task in common if changes[task] < 0)
    return Difference(
        n=len(common),
        gained=gained,
        lost=lost,
        difference=math.fsum(changes.values()) / len(common),
        interval=difference_interval(list(changes.values())),
        p=paired_p(first, second),
        detectable=smallest_detectable(len(common), mean([change**2 for change in changes.values()])),
    )


def how_many(number: int, thing: str) -> str:
    """A number with its noun: 1 task, 2 tasks."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def found_difference(detectable: float) -> str:
    """What a test with a power of POWER finds, in words."""
    return f"finds a real difference of {100 * detectable:.1f} points four times in five"


def verdict_sentence(baseline: str, candidate: str, where: str, found: Difference, p: float) -> str:
    """One plain sentence on whether the two differ; `p` is corrected for the number of tests."""
    points = f"{100 * found.difference:+.1f} points on {where} ({len(found.gained)} gained, {len(found.lost)} lost)"
    if p < ALPHA:
        better = "better" if found.difference > 0 else "worse"
        return f"{candidate} is {better} than {baseline}: {points}, p = {p:.2g}."
    return (
        f"no difference between {candidate} and {baseline} is shown: {points}, p = {p:.2g}; a test on {found.n} "
        f"tasks like these {found_difference(found.detectable)}."
    )
