"""The conditions by which the numbers of a run show a fault, and their limits. sentinels.py has a rule for each.

A condition looks at the history of a run up to its newest step. Where scales differ between models, it compares with
the run's own start. What one step shows only by chance is measured over a window, and has to differ by several standard
errors. A number that is missing makes every comparison False.
"""

import math

from raccoon.runs.history import WINDOW, History, Sample, error, finite_number

PATIENCE = 3  # bad steps in a row before a run stops; one may be chance
CERTAIN = 4.0  # standard errors between two windows; by chance in about one window in ten thousand

FEW_WEIGHTS_CHANGED = 0.05  # share a step; below it most updates round to nothing, as with bfloat16 master weights
LARGE_UPDATE = 0.05  # norm of an update over the norm of the weights; 0.001 is usual
SPIKE = 10.0  # times the usual gradient norm
SELDOM = 4.0  # times the mean gradient norm; below it most steps have almost none, because their groups are constant
SPIKES = 2  # of those within SPIKE_STEPS; one may be a strange batch
SPIKE_STEPS = 100
ENTROPY_COLLAPSE = 0.3  # share of the entropy of the first steps; below it the members of a group hardly differ
ENTROPY_GROWTH = 2.5  # times that of the first window; above it the completions turn into noise
ENTROPY_LEAP = 5.0  # times that of the first steps, in each of the newest PATIENCE steps
LARGE_KL = 1.0  # nats a token; a policy so far away speaks another language than its reference
GROWING_KL = 0.25  # nats a token; above it growth by KL_GROWTH since half the steps runs away
KL_GROWTH = 4.0  # growth in proportion to the steps would double it
MANY_CLIPPED = 0.2  # share of tokens; above it much of each update is thrown away
MANY_TIMEOUTS = 0.5  # share of completions; above it the reward measures the machine's load
MANY_TRUNCATED = 0.5  # share of completions; above it the reward measures the limit of length
MORE_TRUNCATED = 0.15  # rise of that share since the start
LONGER = 1.5  # times the tokens of the start, if held-out scores show that it did not help
MUCH_LONGER = 1.8  # the same, without such scores
SHORTER = 0.4  # the same, downwards
EARNED = 0.25  # held-out gain for each part of more length, both relative to the start, that pays for it
MORE_REPETITION = 0.15  # rise of the share of a completion that repeats what stands before it
NO_SIGNAL = 0.7  # share of constant groups; above it most completions teach nothing
SURE_NO_SIGNAL = 0.6  # lower end of that mean's 95 % interval
LASTING = 40  # steps, or all so far, over which a share of groups has to be above its limit too
LESS_SIGNAL = 0.45  # the same, if it rose by LOST_SIGNAL since the start
LOST_SIGNAL = 0.3
NO_SPREAD = 0.2  # share of the start's spread of rewards or advantages; below it little is left to learn from
MANY_CONSTANT_ANSWERS = 0.15  # mean share over half a window; a model that solves tasks gives almost none
MOST_CONSTANT_ANSWERS = 0.5  # the same; above it, and if fewer completions pass, the run learns nothing else
PARTIAL_SIGNAL = 0.8  # share of a window's groups that differ; above it the model learns to run, and hardly to pass
UNEARNED_SPANS = (20, 50, 100, 200)  # steps over which a reward that rises must have come with passes
UNEARNED = 0.3  # largest share of the reward's rise that passes may have had
LARGE_GAIN = 0.5  # of the spread of rewards within a step; less may come from a format, before passes rise
DRIVEN = 0.5  # correlation with the share solved; below it the reward depends on other things
CORRELATED_STEPS = 40
PASS_RISE = 1.0  # standard errors; below it the pass rate has not risen
FALLEN = 0.5  # share of the reward's gain; a run that lost as much of it gets worse
PLATEAU_STEPS = 100  # fewer say nothing
PLATEAU = 0.06  # share of the gain so far; less in the last quarter of the steps is none
CEILING = 0.9  # pass rate; a run that ends there has no more to gain
FEW_REPAIRED = 0.01  # mean share of a window's conversations with a second turn; below it feedback does not help
ENOUGH_TURNS = 100  # further answers in a window; with fewer, that none passes may be chance
MANY_CUT = 0.5  # mean share over half a window; above it most conversations have no second turn, whatever was wrong
SLOWER = 1.5  # times the seconds of the first steps
SURE_WHILE_RISING = 2.5  # standard errors of a held-out score that falls while the reward certainly rises
EVALS = 6  # held-out scores; fewer do not show their noise
LONGEST_NAME = 100  # characters of a name that a log has


def spans_to_show(history: History) -> tuple[int, int]:
    """The newest steps, and many or all of them: shares of few groups come in waves, as with tasks in an order."""
    return WINDOW, max(WINDOW, min(LASTING, len(history)))


def grown(history: History, name: str, least: float) -> bool:
    """Whether a mean rose since the start by at least so much, and not by chance."""
    return history.change(name) >= least and history.rise(name) > CERTAIN


def other_share(history: History, share: float) -> bool:
    """Whether the mean length is so many times that of the start (less, below 1), and not by chance."""
    ratio, rise = history.ratio("tokens_mean"), history.rise("tokens_mean")
    return (ratio > share and rise > CERTAIN) if share > 1 else (ratio < share and rise < -CERTAIN)


def turns_into_noise(history: History) -> bool:
    """An entropy that has certainly grown, or that leapt: within the first steps no window shows it."""
    newest = history.numbers("entropy", PATIENCE)
    leapt = len(newest) == PATIENCE and min(newest) > ENTROPY_LEAP * history.first_mean("entropy")
    return leapt or (history.ratio("entropy") > ENTROPY_GROWTH and history.rise("entropy") > CERTAIN)


def held_out_change(history: History) -> tuple[float, float]:
    """The newest held-out score minus the first, and its standard error, both over the first; NaN without any."""
    if history.checks:
        last, least = history.checks[-1], max(history.checks[0]["pass_rate"], 0.01)
        scale = max(last["n"], 1) * least
        return (last["gained"] - last["lost"]) / scale, math.sqrt(last["gained"] + last["lost"] + 1) / scale
    if len(history.evals) < EVALS:
        return math.nan, math.nan
    before, now = mean_score(history.evals[:3]), mean_score(history.evals[-3:])
    return (now - before) / max(before, 0.01), score_noise(history) * math.sqrt(2 / 3) / max(before, 0.01)


def score_noise(history: History) -> float:
    """The standard deviation of a held-out score beside its trend, from second differences; 0 for fewer than three.

    Their median leaves out the turn of the trend; their mean sees noise that most of them do not have.
    """
    values = [score for _, score in history.evals]
    second = sorted(abs(a - 2 * b + c) for a, b, c in zip(values, values[1:], values[2:], strict=False))
    if not second:
        return 0.0
    by_median, by_mean = 1.4826 * second[len(second) // 2], 1.2533 * sum(second) / len(second)
    return max(by_median, by_mean / 2) / math.sqrt(6)


def longer_for_nothing(history: History) -> bool:
    if not other_share(history, LONGER):
        return False
    ratio, (gain, unsure) = history.ratio("tokens_mean"), held_out_change(history)
    return ratio > MUCH_LONGER if math.isnan(gain) else gain + unsure < EARNED * (ratio - 1)


def shorter_for_nothing(history: History) -> bool:
    if not other_share(history, SHORTER):
        return False
    solved, (gain, unsure) = "pass_rate" if "pass_rate" in history.columns else "reward", held_out_change(history)
    return not history.rise(solved) > CERTAIN and not gain > 2 * unsure


def running_away(history: History) -> bool:
    """A KL divergence that is large, or that grows faster and faster."""
    now, half = history.recent("kl"), history.recent("kl", back=len(history) // 2)
    if now.mean > LARGE_KL and history.typical("kl", WINDOW) > LARGE_KL:
        return True
    grows = now.mean > KL_GROWTH * half.mean and now.mean - half.mean > CERTAIN * error(half, now)
    return grows and history.typical("kl", WINDOW) > GROWING_KL


def took_off(history: History) -> int:
    """The place since which the KL divergence is twice what it was half the steps ago."""
    usual, values = 2 * history.recent("kl", back=len(history) // 2).mean, history.columns["kl"].values
    return next((place + 1 for place in range(len(values) - 2, -1, -1) if values[place] < usual), 0)


def spiking(history: History) -> bool:
    places = spikes(history)
    return len(places) >= SPIKES and places[-1] == len(history) - 1


def spikes(history: History) -> list[int]:
    """The places of gradients far above the usual one, among the newest steps."""
    usual, numbers = history.typical("grad_norm", SPIKE_STEPS), history.numbers("grad_norm", SPIKE_STEPS)
    silent = history.mean("constant_groups", 2 * WINDOW) > NO_SIGNAL  # then most gradients are next to nothing
    if not history.number("grad_norm") > SPIKE * usual or len(history) < 2 * WINDOW or silent:
        return []
    limit = max(SPIKE * usual, SELDOM * sum(numbers) / len(numbers))
    values = history.columns["grad_norm"].values
    return [place for place in range(max(len(values) - SPIKE_STEPS, 0), len(values)) if values[place] > limit]


def little_signal(history: History) -> bool:
    """Constant groups, beyond what so few groups show by chance."""
    now, lasting = (history.recent("constant_groups", steps) for steps in spans_to_show(history))
    least = now.mean - 2 * math.sqrt(now.variance / max(now.n, 1))
    if min(now.mean, lasting.mean) > NO_SIGNAL and least > SURE_NO_SIGNAL:
        return True
    return now.mean > LESS_SIGNAL and grown(history, "constant_groups", LOST_SIGNAL)


def without_spread(history: History) -> str:
    """The column of the rewards' or the advantages' deviation, if it has shrunk to almost nothing; else ""."""
    return next((name for name in ("reward_std", "advantage_std") if history.ratio(name) < NO_SPREAD), "")


def hardly_moves(history: History) -> bool:
    moves = history.number("grad_norm") > 0 and history.number("learning_rate") > 0
    return moves and history.number("weights_changed") < FEW_WEIGHTS_CHANGED


def unearned(history: History) -> bool:
    """A reward that rises while the share that is solved certainly rises by much less.

    Early in a healthy run a small part, such as a format, may rise first. So the rise must be large against the spread
    of rewards, or the reward must hardly depend on what is solved.
    """
    gains = [reward_now.mean - reward.mean for reward, solved, reward_now, solved_now in spans(history)
             if paid_for_other_things(reward, solved, reward_now, solved_now)]  # fmt: skip
    if not gains:
        return False
    spread = history.start("reward_std").mean
    return not max(gains) <= LARGE_GAIN * spread or correlation(history, "reward", "pass_rate") < DRIVEN


def spans(history: History) -> list[tuple[Sample, Sample, Sample, Sample]]:
    """(reward, share solved) before and (reward, share solved) now, for spans of steps that are long enough."""
    if len(history) < 2 * WINDOW or "pass_rate" not in history.columns:
        return []
    now = history.recent("reward"), history.recent("pass_rate")
    backs = [back for back in UNEARNED_SPANS if back + WINDOW < len(history)]
    before = [(history.recent("reward", back=back), history.recent("pass_rate", back=back)) for back in backs]
    return [(*each, *now) for each in [(history.start("reward"), history.start("pass_rate")), *before]]


def paid_for_other_things(reward: Sample, solved: Sample, reward_now: Sample, solved_now: Sample) -> bool:
    gain, most = reward_now.mean - reward.mean, solved_now.mean - solved.mean + 2 * error(solved, solved_now)
    return gain > CERTAIN * error(reward, reward_now) and most < UNEARNED * gain


def correlation(history: History, one: str, other: str) -> float:
    """Of the changes of two numbers from step to step (Pearson), over the newest steps; NaN with too few."""
    sides = [history.columns[name].values[-CORRELATED_STEPS:] for name in (one, other)]
    pairs = [(a2 - a1, b2 - b1) for a1, a2, b1, b2 in zip(sides[0], sides[0][1:], sides[1], sides[1][1:], strict=False)]
    pairs = [pair for pair in pairs if not math.isnan(sum(pair))]
    scale = math.sqrt(sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs))
    return sum(a * b for a, b in pairs) / scale if scale and len(pairs) >= WINDOW else math.nan


def lost_gain(history: History) -> bool:
    """A reward that is far below its start or has lost much of what it had gained, in two windows in a row."""
    start, best = history.start("reward"), best_window(history)
    windows = [history.recent("reward", back=back) for back in (0, WINDOW)]
    if len(history) < 3 * WINDOW:
        return False
    below = all(start.mean - now.mean > CERTAIN * error(start, now) for now in windows)
    rose = best.mean - start.mean > CERTAIN * error(start, best)
    lost = all(
        best.mean - now.mean > max((CERTAIN + 1) * error(best, now), FALLEN * (best.mean - start.mean))
        for now in windows
    )
    spread = history.start("reward_std").mean
    little = start.mean - windows[0].mean < 0.2 * spread
    return (below and not little) or (rose and lost)


def fell(history: History) -> int:
    """The place since which the reward is nearer to its present level than to its best."""
    return history.began("reward", max(history.start("reward"), best_window(history), key=lambda each: each.mean))


def best_window(history: History) -> Sample:
    """The best of a run's windows that share no steps, but for the newest two."""
    return max(apart_windows(history), key=lambda each: each.mean, default=history.start("reward"))


def apart_windows(history: History) -> list[Sample]:
    """At most 20 windows of the reward that share no steps, but for the first and the newest two."""
    ends = range(2 * WINDOW, len(history) - 2 * WINDOW + 1, max(WINDOW, len(history) // 20))
    windows = [history.sample("reward", end - WINDOW, end) for end in ends]
    return [each for each in windows if each.n]


def flat(history: History) -> bool:
    """A reward that rose and whose rise in the last quarter of the steps is certainly next to nothing."""
    name, steps = ("pass_rate" if "pass_rate" in history.columns else "reward"), len(history)
    if steps < PLATEAU_STEPS or (name == "pass_rate" and history.mean(name) > CEILING):
        return False
    quarter = steps // 4
    before, now = history.recent(name, quarter, quarter), history.recent(name, quarter)
    gain, start = now.mean - history.start(name).mean, history.start(name)
    still = abs(now.mean - before.mean) + 2 * error(before, now)
    return gain > CERTAIN * error(start, now) and still < PLATEAU * gain


def held_out_falls(history: History) -> bool:
    """Held-out scores that fell from their best while the reward did not fall."""
    scores, last = history.evals, history.evals[-3:]
    if len(scores) < EVALS:
        return False
    best = best_scores(history)
    fall = mean_score(best) - mean_score(last)
    ends = (part[-1][0] + 1 for part in (best, last))
    before, now = (history.sample("reward", end - WINDOW, end) for end in ends)
    rise = (now.mean - before.mean) / error(before, now)
    certain = SURE_WHILE_RISING if rise > CERTAIN else CERTAIN
    by_chance = math.sqrt(2 * math.log(len(scores) / 3) / 3)  # how high the best of so many means of three is by chance
    return fall > score_noise(history) * (certain * math.sqrt(2 / 3) + by_chance) and rise > -1


def best_scores(history: History) -> list[tuple[int, float]]:
    """The three neighbouring held-out scores with the highest mean, without the newest three."""
    scores = history.evals[:-3]
    return max((scores[i : i + 3] for i in range(len(scores) - 2)), key=mean_score)


def mean_score(scores: list[tuple[int, float]]) -> float:
    return sum(score for _, score in scores) / len(scores)


def partial_signal(history: History) -> bool:
    """Whether of the groups that differ most have no PASS: they teach code to run, not to pass."""
    for steps in spans_to_show(history):
        partial, mixed = history.mean("partial_groups", steps), history.mean("mixed_groups", steps)
        if not partial > PARTIAL_SIGNAL * (partial + mixed):
            return False
    return True


def constant_share(history: History) -> float:
    return history.mean("constant_answers", WINDOW // 2)


def waits(history: History) -> bool:
    """A first answer that gets worse while the last one gets better."""
    return history.rise("first_turn") < -CERTAIN and history.rise("last_turn") > PASS_RISE


def no_help(history: History) -> bool:
    rows = history.rows[-WINDOW:]
    further = sum((finite_number(row.get("turns_mean")) - 1) * finite_number(row.get("completions")) for row in rows)
    return further >= ENOUGH_TURNS and history.mean("repaired") < FEW_REPAIRED


def counts(history: History, name: str) -> dict[str, int]:
    """Counts by name of the newest step; {} if it has none. The names are printable, whatever wrote the log."""
    found = history.rows[-1].get(name)
    numbers = {key: finite_number(value) for key, value in found.items()} if isinstance(found, dict) else {}
    return {printable(key): int(value) for key, value in numbers.items() if not math.isnan(value)}


def printable(name: str) -> str:
    return "".join(each if each.isprintable() else " " for each in name)[:LONGEST_NAME]


def count(history: History, name: str) -> int:
    """A count of the newest step; 0 if it has none."""
    number = finite_number(history.rows[-1].get(name))
    return 0 if math.isnan(number) else int(number)


def some_infra(history: History) -> bool:
    """INFRA where other completions have verdicts. The solution of every task had one before training."""
    return "INFRA" in counts(history, "statuses") and len(counts(history, "statuses")) > 1


def not_finite(history: History) -> bool:
    return "grad_norm" in history.rows[-1] and math.isnan(history.number("grad_norm"))


def judged_nothing(history: History) -> bool:
    return history.rows[-1].get("judge_none") == 1


def many_timeouts(history: History) -> bool:
    return finite_number(counts(history, "kinds").get("timeout", 0)) > MANY_TIMEOUTS * history.number("completions")


def first_and_now(history: History, name: str, shown: str = "{:.1%}") -> str:
    """The means of the first and of the newest window, as "A to B"."""
    return f"{shown.format(history.start(name).mean)} to {shown.format(history.mean(name))}"
