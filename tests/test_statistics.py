"""eval_statistics against numbers worked by hand, by brute force and by scipy.stats."""

import itertools
import math
import subprocess
import sys

import pytest

from helpers.paths import SCRIPTS
from raccoon.statistics import (
    bootstrap_interval,
    compare,
    difference_interval,
    holm,
    mcnemar_exact,
    mean,
    mean_rate_interval,
    paired_p,
    pass_at_k,
    sign_flip_exact,
    smallest_detectable,
    verdict_sentence,
    wilson_interval,
)

Z, Z_POWER = 1.959964, 0.841621  # the 97.5 % and 80 % points of the normal distribution


def outcomes(both=0, gained=0, lost=0, neither=0):
    """(baseline, candidate), one sample a task, with the given counts of tasks."""
    pairs = [(True, True)] * both + [(False, True)] * gained + [(True, False)] * lost + [(False, False)] * neither
    return tuple({f"t{i}": [pair[side]] for i, pair in enumerate(pairs)} for side in (0, 1))


@pytest.mark.parametrize(
    "passed, n, low, high",
    [
        (163, 164, 0.96627, 0.99892),  # the original's HumanEval, before
        (164, 164, 0.97711, 1.0),  # and after
        (45, 250, 0.13733, 0.23235),  # its BigCodeBench, before
        (56, 250, 0.17672, 0.27964),  # and after
        (0, 10, 0.0, 0.27753),
    ],
)
def test_wilson_interval_equals_the_worked_numbers_and_scipy(passed, n, low, high):
    from scipy.stats import binomtest

    found = wilson_interval(passed, n)
    reference = binomtest(passed, n).proportion_ci(method="wilson")
    assert found == pytest.approx((low, high), abs=1e-5)
    assert found == pytest.approx((reference.low, reference.high), abs=1e-9)


def test_wilson_interval_refuses_impossible_counts():
    for passed, n in ((3, 2), (-1, 5), (0, 0)):
        with pytest.raises(ValueError):
            wilson_interval(passed, n)


@pytest.mark.parametrize(
    "gained, lost, p",
    [
        (1, 0, 1.0),  # 163 -> 164 of 164: one task, one coin
        (11, 0, 2 / 2**11),  # 45 -> 56 of 250 at best: nothing lost
        (15, 4, 0.01921),
        (18, 7, 0.04329),  # 25 discordant: the last significant count
        (19, 8, 0.05224),  # 27: no longer
        (0, 0, 1.0),
    ],
)
def test_mcnemar_equals_the_worked_numbers_and_scipy(gained, lost, p):
    from scipy.stats import binomtest

    assert mcnemar_exact(gained, lost) == pytest.approx(p, abs=1e-5)
    assert mcnemar_exact(lost, gained) == mcnemar_exact(gained, lost)
    if gained + lost:
        assert mcnemar_exact(gained, lost) == pytest.approx(binomtest(gained, gained + lost).pvalue, rel=1e-9)


def test_mcnemar_keeps_its_precision_far_out():
    assert mcnemar_exact(1000, 0) == pytest.approx(2.0**-999, rel=1e-9)


@pytest.mark.parametrize("steps", [[3, -1, 2, 5], [1, 1, 1, -1], [2, -2], [0, 0, 4], [7, 7, -3, 1, 1, 0, -2]])
def test_sign_flip_test_equals_all_sign_flips(steps):
    sums = [
        abs(sum(sign * step for sign, step in zip(signs, steps, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(steps))
    ]
    brute = sum(total >= abs(sum(steps)) for total in sums) / len(sums)
    assert sign_flip_exact(steps) == pytest.approx(brute)


@pytest.mark.parametrize("gained, lost", [(1, 0), (18, 7), (40, 2), (5, 5)])
def test_sign_flip_test_with_one_sample_a_task_is_mcnemar(gained, lost):
    steps = [1] * gained + [-1] * lost + [0] * 9
    assert sign_flip_exact(steps) == pytest.approx(mcnemar_exact(gained, lost), rel=1e-6)


def test_several_samples_of_a_task_count_as_one_observation():
    first, second = {"a": [False] * 100, "b": [True, False]}, {"a": [True] * 100, "b": [True, False]}
    assert paired_p(first, second) == 1.0  # one task changed, however many samples it has
    first, second = ({str(i): [hit, False] for i in range(8)} for hit in (False, True))
    assert paired_p(first, second) == pytest.approx(2 / 2**8)


@pytest.mark.parametrize(
    "n, discordance, difference",
    [(403, 0.10, 0.044), (606, 0.15, 0.044), (808, 0.20, 0.044), (1011, 0.25, 0.044), (1742, 0.20, 0.03)],
)
def test_smallest_detectable_inverts_the_sample_size_of_connor(n, discordance, difference):
    found = smallest_detectable(n, discordance)
    assert found == pytest.approx(difference, abs=2e-4)
    needed = (Z * math.sqrt(discordance) + Z_POWER * math.sqrt(discordance - found**2)) ** 2 / found**2
    assert needed == pytest.approx(n, rel=1e-4)


def test_smallest_detectable_is_found_four_times_in_five():
    """The power of the test itself, summed over all outcomes; the exact test is a little conservative."""
    from scipy.stats import binom

    n, discordance = 300, 0.2
    difference = smallest_detectable(n, discordance)
    gain = (discordance + difference) / 2 / discordance
    power = sum(
        binom.pmf(m, n, discordance) * binom.pmf(g, m, gain)
        for m in range(25, 100)
        for g in range(m + 1)
        if mcnemar_exact(g, m - g) < 0.05
    )
    assert 0.75 < power < 0.82


def test_several_samples_of_a_task_find_a_smaller_difference():
    """Each task's mean of 4 samples varies less than one sample; the power is that of the sign-flip test on them."""
    import numpy

    draw, n, rate = numpy.random.default_rng(0), 60, 0.3
    first, second = ({str(task): list(draw.random(4) < rate) for task in range(n)} for _ in range(2))
    found = compare(first, second)
    assert 0.5 < found.detectable / ((Z + Z_POWER) * math.sqrt(2 * rate * (1 - rate) / 4 / n)) < 1.5
    assert found.detectable < smallest_detectable(n, found.flip_rate)
    better = rate + found.detectable
    hits = [
        compare(
            {str(task): list(draw.random(4) < rate) for task in range(n)},
            {str(task): list(draw.random(4) < better) for task in range(n)},
        ).p
        < 0.05
        for _ in range(200)
    ]
    assert 0.65 < numpy.mean(hits) < 0.92


def test_one_task_of_164_cannot_be_detected():
    assert smallest_detectable(164, 1 / 164) == pytest.approx(0.047, abs=5e-4)


def test_bootstrap_interval_agrees_with_scipy_and_with_theory():
    import numpy
    from scipy.stats import bootstrap

    values = [1.0] * 18 + [-1.0] * 7 + [0.0] * 225
    found = bootstrap_interval(values)
    reference = bootstrap((values,), numpy.mean, method="percentile", rng=numpy.random.default_rng(1))
    error = math.sqrt((25 / 250 - 0.044**2) / 250)
    assert found == pytest.approx(tuple(reference.confidence_interval), abs=0.004)
    assert found == pytest.approx((0.044 - Z * error, 0.044 + Z * error), abs=0.004)
    assert found == bootstrap_interval(values[::-1]), "the same tasks give the same interval"


def test_pass_at_k_is_the_share_of_all_subsets_with_a_pass():
    for n, passed in ((5, 0), (5, 2), (7, 6), (4, 4)):
        samples = [True] * passed + [False] * (n - passed)
        for k in range(1, n + 1):
            subsets = list(itertools.combinations(samples, k))
            assert pass_at_k(n, passed, k) == pytest.approx(mean([any(subset) for subset in subsets]))
    with pytest.raises(ValueError, match="at least 6"):
        pass_at_k(5, 1, 6)


def test_holm_steps_down_and_never_falls():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    "table, gained, lost, difference, p",
    [
        (dict(both=163, gained=1), 1, 0, 1 / 164, 1.0),
        (dict(both=38, gained=18, lost=7, neither=187), 18, 7, 11 / 250, 0.04329),
        (dict(both=20, gained=36, lost=25, neither=169), 36, 25, 11 / 250, 0.20003),
    ],
)
def test_compare_on_three_small_tables(table, gained, lost, difference, p):
    found = compare(*outcomes(**table))
    assert (len(found.gained), len(found.lost)) == (gained, lost)
    assert found.difference == pytest.approx(difference)
    assert found.p == pytest.approx(p, abs=1e-5)
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_compare_uses_the_common_tasks_only():
    assert compare({"a": [True]}, {"b": [True]}) is None
    found = compare({"a": [True], "b": [False]}, {"b": [True], "c": [True]})
    assert (found.n, found.gained, found.flip_rate) == (1, ("b",), 1.0)


def test_the_sentence_says_whether_it_is_a_difference():
    same, better = compare(*outcomes(both=163, gained=1)), compare(*outcomes(both=50, gained=30, lost=2))
    assert "no difference between" in verdict_sentence("a", "b", "humaneval", same, same.p)
    assert "4.7 points" in verdict_sentence("a", "b", "humaneval", same, same.p)
    assert verdict_sentence("a", "b", "x", better, better.p).startswith("b is better than a: +34.1 points")
    assert "no difference between" in verdict_sentence("a", "b", "x", better, 0.06), "the corrected p decides"


def test_the_command_of_the_docstring_runs():
    command = [sys.executable, str(SCRIPTS / "eval_statistics.py"), "164", "1", "0", "humaneval"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "p = 1;" in done.stdout
    assert subprocess.run([*command[:2], "1", "2", "0", "x"], capture_output=True).returncode == 2


@pytest.mark.parametrize("n", [1, 5, 64])
def test_equal_values_have_an_interval_that_is_not_their_own(n):
    assert mean_rate_interval([0.0] * n) == wilson_interval(0, n) and mean_rate_interval([1.0] * n) == wilson_interval(
        n, n
    )
    low, high = mean_rate_interval([0.5] * n)
    assert low < 0.5 < high and math.isclose(low + high, 1.0)
    most = wilson_interval(0, n)[1]
    assert difference_interval([0.0] * n) == pytest.approx((-most, most))
    low, high = difference_interval([1.0] * n)
    assert -1 <= low < wilson_interval(n, n)[0] and high == 1.0
    assert difference_interval([-1.0] * n) == pytest.approx((-high, -low))


def test_values_with_a_spread_have_the_interval_of_the_bootstrap():
    values = [0.0] * 10 + [1.0] * 5
    assert mean_rate_interval(values) == difference_interval(values) == bootstrap_interval(values)
    same = {str(task): [task % 2 == 0] for task in range(64)}
    assert compare(same, same).interval[1] > 0.05
