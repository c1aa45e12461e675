"""Draws a run's logs as SVG in the page's colours, so that the plots follow its light or dark mode.

It reads no file; logs.py does. Every plot has a title, axis labels with units, a legend, an explanation, and a sentence
for readers who cannot see it. The page writes title, legend and explanation beside the plot, in its own font. The
limits that explanations name are those of runs/conditions.py, by which sentinels warn when a run crosses them.
"""

import io
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from raccoon.reporting.logs import Check, IntegrityStep, Run, Step
from raccoon.runs.conditions import ENTROPY_COLLAPSE, FEW_WEIGHTS_CHANGED, LARGE_UPDATE, MANY_CUT, NO_SIGNAL
from raccoon.runs.log import TIMED
from raccoon.statistics import mean

COSTS = "What does it cost?"
PARTS = {  # part of the page -> title of a plot -> what it shows, how it looks in a healthy run
    "Did it learn?": {
        "Pass rate": (
            "The share of completions that pass every test. Training: sampled on the tasks of each step. Held-out: "
            "the same tasks at each check, never trained on; the bars are 95 % intervals.",
            "both lines rise. If training rises and held-out falls, the model learns its own tasks only.",
        ),
        "Pass rate by turn": (
            "The share of conversations that are solved in the first turn, in the first two, and so on.",
            "all lines rise. If the first one falls while the last one rises, the model waits for its feedback.",
        ),
        "Repairs": (
            "Repaired: of the conversations with a second turn, those whose last answer passes. Cut at first: "
            "conversations that end at their first answer, because it was cut.",
            f"repaired rises. Cut at first stays well below {100 * MANY_CUT:.0f} %, above which the run warns.",
        ),
        "Reward": (
            "What a completion earns on average. The correctness part pays for the tests alone.",
            "it rises together with the pass rate. If it rises alone, it pays for something else than passing.",
        ),
        "Bonuses": (
            "What a completion earns beside correctness, such as for a docstring.",
            "small values; they may rise, but not in place of the pass rate.",
        ),
        "Verdicts": (
            "What the tests said. PASS: every test passes. PARTIAL: the code runs and a test fails. FAIL: the code "
            "does not run. INFRA: the sandbox failed, the completion is not scored.",
            "PASS grows, FAIL shrinks, and there is no INFRA.",
        ),
        "Kinds of verdict": (
            "The same verdicts by cause. Wrong: a test fails. Exception, timeout, memory: the code stopped. Syntax, "
            "no code: nothing could be run. Forbidden: the sandbox refused it. Truncated: cut at the length limit.",
            "pass grows and every other cause shrinks. Read the completions of a cause that grows.",
        ),
        "Tasks before training": (
            "How many tasks the model passed how often before training. Never: in no sample. Always: in every sample.",
            "many tasks between never and always. Tasks at either end teach the model nothing.",
        ),
        "Reward integrity": (
            "Completions with a high reward that a second look found suspicious, as a share of those looked at.",
            "near zero. If it rises, the model has found a way to be paid for wrong code.",
        ),
    },
    "Is the training healthy?": {
        "Constant groups": (
            "Groups whose completions all got the same correctness reward. Such a group does not teach correctness.",
            f"well below {100 * NO_SIGNAL:.0f} %, above which the run warns. It rises if the tasks are too easy or "
            "too hard.",
        ),
        "Groups left out by refills": (
            "Sampled groups that were not trained on. All right: every completion passes. All wrong: none passes. "
            "Not needed: enough other groups were found.",
            "few groups in each step. Many all-right groups late in a run mean that the tasks became easy.",
        ),
        "Entropy": (
            "How undecided the model is at each token, in nats. Zero: it always writes the same.",
            f"it falls slowly. Below {100 * ENTROPY_COLLAPSE:.0f} % of its start the completions of a group hardly "
            "differ, and the run warns.",
        ),
        "Completion length": (
            "Tokens in a completion.",
            "a steady mean. The longest should stay below the limit, MAX_COMPLETION_LENGTH.",
        ),
        "Truncated completions": (
            "Completions that were cut at MAX_COMPLETION_LENGTH. They count as FAIL.",
            "near zero, or falling. If it stays high, raise the limit.",
        ),
        "Gradient norm": (
            "The size of the gradient before it is clipped at MAX_GRAD_NORM.",
            "the same order of magnitude throughout. Single spikes are clipped; a steady rise means instability.",
        ),
        "Update ratio": (
            "The size of a step's update, divided by the size of the weights.",
            f"steady and small; 0.001 is usual. The run warns above {LARGE_UPDATE:g}.",
        ),
        "Weights changed": (
            "The share of sampled weights whose stored value changed in the step.",
            f"high. Below {100 * FEW_WEIGHTS_CHANGED:.0f} % most updates are rounded away, and the run warns.",
        ),
        "KL to the reference model": (
            "How far the model has moved from the reference model, in nats per token.",
            "it grows slowly. A jump means that one step changed the model too much.",
        ),
    },
    COSTS: {
        "Time of a step": (
            "Generate: writing the completions. Reward: running their tests. Wait: for the slowest process. Update: "
            "changing the weights. Heldout, checkpoint: a check, and writing a checkpoint.",
            "flat. It grows with the length of the completions. A single spike does no harm.",
        ),
        "Share of a step": (
            "The same parts in per cent. A GPU computes only in generate and update.",
            "generate and update fill nearly all of it.",
        ),
        "Tokens a second": (
            "Tokens of all completions, without their prompts, in a second of generation and of the whole step.",
            "flat. Both lines fall if completions grow longer or if the machine has other work.",
        ),
        "Peak memory": (
            "The most memory that a process has held so far: of its GPU, or of the machine if there is no GPU.",
            "it rises in the first steps and then stays flat, below the size of the memory.",
        ),
    },
}

# matplotlib takes no CSS variables, so it draws in replacement colours: #000001 for the first name, and so on
COLOURS = ("ink", "grid", "pass", "partial", "fail", "infra", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")
STAND_IN = {name: f"#0000{place:02x}" for place, name in enumerate(COLOURS, 1)}
SERIES = COLOURS[6:]

SIZE = (4.4, 2.6)  # inches; a phone shows them at about one pixel a point
MAX_POINTS = 300  # of a curve; a longer run is drawn as means of several steps
SMOOTHED = 20  # the thick line is a mean over one of this many parts of the run
SMALLEST = 0.01  # in all, of a count or of seconds; less, like the waiting of one process alone, is left out
MARKED = 12  # a curve with fewer points than this marks each of them
DASHES = ("solid", (0, (5, 2)), (0, (3, 3)), (0, (1, 2)))  # so that a covered curve still shows
STEP = "training step"  # label of the x axis
COUNTS = ("groups", "number of tasks")  # labels of y axes without fractions
STYLE = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "text.parse_math": False,  # names from a file are not formulas
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
    **dict.fromkeys(("axes.labelcolor", "text.color", "xtick.color", "ytick.color"), STAND_IN["ink"]),
    **dict.fromkeys(("axes.edgecolor", "grid.color"), STAND_IN["grid"]),
    "axes.grid": True,
    "grid.linewidth": 0.6,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "axes.axisbelow": True,
}

STATUS_COLOURS = {"PASS": "pass", "PARTIAL": "partial", "FAIL": "fail", "INFRA": "infra"}
# Kinds of verdict from best to worst, each with a colour of its own
KIND_COLOURS = {"pass": "pass", "wrong": "partial", "exception": "c1", "syntax": "c2", "no code": "c3"}
KIND_COLOURS |= {"timeout": "c4", "memory": "c5", "truncated": "c6", "forbidden": "fail", "infra": "infra"}
UNUSED_COLOURS = {"all right": "pass", "all wrong": "fail", "other constant": "c4", "not needed": "c1"}
SECONDS_COLOURS = dict(zip(TIMED, SERIES, strict=False))


@dataclass(frozen=True)
class Plot:
    """A drawing for the page: `svg` is markup that this file made, everything else is text."""

    title: str
    description: str
    legend: tuple[tuple[str, str], ...]  # (label, name of its colour)
    svg: str

    @property
    def shows(self) -> str:
        return explanation(self.title)[0]

    @property
    def healthy(self) -> str:
        """How it looks in a healthy run."""
        return explanation(self.title)[1]


def explanation(title: str) -> tuple[str, str]:
    return next(plots[title] for plots in PARTS.values() if title in plots)


@dataclass(frozen=True)
class Curve:
    """One line of a plot: a field of each step, or one `part` of that; with factor 100 a share in per cent."""

    label: str
    colour: str
    field: str
    factor: int = 1
    part: str = ""

    def value(self, step: Step | IntegrityStep) -> float | None:
        """None where there is none."""
        found = getattr(step, self.field)
        found = found.get(self.part) if self.part else found
        return None if found is None else self.factor * found


FLAGGED = Curve("flagged", "fail", "rate", 100)
TRAINED = Curve("training", "c1", "pass_rate", 100)
DRAWN = Curve("training, with groups left out", "c4", "pass_rate_drawn", 100)
REWARDS = Curve("whole reward", "c1", "reward"), Curve("correctness part", "c2", "reward_parts", part="correctness")
REPAIRS = Curve("repaired", "pass", "repaired", 100), Curve("cut at first", "c3", "cut_at_first", 100)
SPEEDS = Curve("while generating", "c1", "generation_speed"), Curve("in the whole step", "c2", "speed")
LENGTHS = Curve("mean", "c1", "tokens_mean"), Curve("longest", "c2", "tokens_max")
# Title, label of the y axis, curves
LINES = (
    ("Reward", "mean reward (no unit)", REWARDS),
    ("Repairs", "conversations (%)", REPAIRS),
    ("Completion length", "tokens per completion", LENGTHS),
    ("Truncated completions", "completions (%)", [Curve("truncated completions", "c3", "truncated", 100)]),
    ("Entropy", "nats per token", [Curve("entropy, mean of a step", "c1", "entropy")]),
    ("Constant groups", "groups (%)", [Curve("constant groups", "c4", "constant_groups", 100)]),
    ("Tokens a second", "tokens per second", SPEEDS),
    ("Peak memory", "gigabytes", [Curve("most memory held so far", "c5", "peak_memory_gb")]),
    ("Gradient norm", "norm (no unit)", [Curve("gradient before clipping", "c1", "grad_norm")]),
    ("Weights changed", "sampled weights (%)", [Curve("weights changed by the step", "c2", "weights_changed", 100)]),
    ("Update ratio", "ratio (no unit)", [Curve("size of the update / size of the weights", "c3", "update_ratio")]),
    ("KL to the reference model", "nats per token", [Curve("KL, mean of a step", "c4", "kl")]),
)

# Title, label of the y axis, field of the steps, colours; shares of the field's sum, or its own numbers
STACKS = (
    ("Verdicts", "completions (%)", "statuses", STATUS_COLOURS, True),
    ("Kinds of verdict", "completions (%)", "kinds", KIND_COLOURS, True),
    ("Groups left out by refills", "groups", "unused_groups", UNUSED_COLOURS, False),
    ("Time of a step", "seconds", "seconds", SECONDS_COLOURS, False),
    ("Share of a step", "time of the step (%)", "seconds", SECONDS_COLOURS, True),
)


def draw(run: Run) -> dict[str, list[Plot]]:
    """Every plot that the run has numbers for: title of a part of the page -> its plots, in the order of the page."""
    from matplotlib import style

    with style.context(["default", STYLE]):  # overrides the user's own matplotlibrc
        plots = [
            pass_rate_plot(run),
            turn_plot(run),
            bonus_plot(run.steps),
            integrity_plot(run),
            profile_plot(run),
            *(line_plot(run.steps, *row) for row in LINES),
            *(stack_plot(run.steps, *row) for row in STACKS),
        ]
    by_title = {plot.title: plot for plot in plots if plot}
    found = {part: [by_title[title] for title in titles if title in by_title] for part, titles in PARTS.items()}
    return {title: drawn for title, drawn in found.items() if drawn}


def line_plot(steps: Sequence[Step], title: str, unit: str, curves: Sequence[Curve]) -> Plot | None:
    """Curves over the steps; None without a number."""
    curves = [curve for curve in curves if any(curve.value(step) is not None for step in steps)]
    if not curves:
        return None
    figure, axes, told, legend = drawn_curves(steps, unit, curves)
    start_at_zero(axes)
    return Plot(title, f"{title}, {unit}, by step: {told}.", tuple(legend), svg(figure, title))


def drawn_curves(
    steps: Sequence[Step], unit: str, curves: Sequence[Curve]
) -> tuple[Any, Any, str, list[tuple[str, str]]]:
    """(figure, axes, the curves in words, legend) of curves over the steps."""
    figure, axes = axes_with_labels(STEP, unit)
    for number, curve in enumerate(curves):
        add_curve(axes, steps, curve, DASHES[number % len(DASHES)])
    told = "; ".join(f"{curve.label} {ends([curve.value(step) for step in steps])}" for curve in curves)
    return figure, axes, told, [(curve.label, curve.colour) for curve in curves]


def add_curve(axes: Any, steps: Sequence[Any], curve: Curve, dashes: Any = "solid") -> None:
    """A curve as it was logged; a long one thin, with its running mean thick."""
    places, values, colour = column(steps, lambda step: step.step), column(steps, curve.value), STAND_IN[curve.colour]
    marker = "o" if len(values) < MARKED else None
    width = len(values) // SMOOTHED
    if width < 2:
        axes.plot(places, values, color=colour, linewidth=1.8, linestyle=dashes, marker=marker, markersize=4)
        return
    axes.plot(places, values, color=colour, linewidth=0.8, alpha=0.45)
    windows = [values[max(0, place - width // 2) : place + width // 2 + 1] for place in range(len(values))]
    smooth = [mean([value for value in window if not math.isnan(value)]) for window in windows]
    axes.plot(places, smooth, color=colour, linewidth=2, linestyle=dashes)


def start_at_zero(axes: Any) -> None:
    """Starts the y axis at 0 if nothing is negative, so that a change shows in its true size."""
    low, high = axes.dataLim.intervaly
    if low >= 0:
        axes.set_ylim(0, 1.08 * high or 1)


def pass_rate_plot(run: Run) -> Plot:
    """The pass rates of training and of the held-out checks; with refills also that of all completions drawn."""
    curves = [TRAINED, DRAWN] if any(step.unused_groups for step in run.steps) else [TRAINED]
    figure, axes, told, legend = drawn_curves(run.steps, "pass rate (%)", curves)
    if run.checks:
        told += f"; held-out {add_checks(axes, run.checks, 'c2')}"
        legend.append(("held-out, 95 % interval", "c2"))
    axes.set_ylim(0, 100)
    return Plot("Pass rate", f"Pass rate in per cent by step: {told}.", tuple(legend), svg(figure, "Pass rate"))


def add_checks(axes: Any, checks: Sequence[Check], colour: str) -> str:
    """Draws the pass rates of held-out checks with their 95 % intervals; the rates in words."""
    rates = [100 * check.pass_rate for check in checks]
    below = [100 * max(0.0, check.pass_rate - check.interval[0]) for check in checks]
    over = [100 * max(0.0, check.interval[1] - check.pass_rate) for check in checks]
    look = {"linewidth": 1.8, "marker": "o", "markersize": 4, "capsize": 3}
    axes.errorbar([check.step for check in checks], rates, yerr=(below, over), color=STAND_IN[colour], **look)
    return f"{ends(rates)} at {len(rates)} checks"


def turn_plot(run: Run) -> Plot | None:
    """The pass rate after each turn."""
    curves = [
        Curve(f"after turn {turn}", colour, "by_turn", 100, str(turn))
        for turn, colour in zip(range(1, run.turns + 1), SERIES, strict=False)
    ]
    return line_plot(run.steps, "Pass rate by turn", "pass rate (%)", curves)


def bonus_plot(steps: Sequence[Step]) -> Plot | None:
    """The parts of the reward other than correctness, which is far larger."""
    names = sorted({name for step in steps for name in step.reward_parts} - {"correctness"})
    curves = [
        Curve(name.replace("_", " "), colour, "reward_parts", part=name)
        for name, colour in zip(names, SERIES, strict=False)
    ]
    return line_plot(steps, "Bonuses", "mean reward (no unit)", curves)


def stack_plot(
    steps: Sequence[Any], title: str, unit: str, name: str, colours: dict[str, str], shares: bool
) -> Plot | None:
    """The numbers of a field of the steps, by name and stacked; as shares of their sum if `shares` is true."""
    totals: Counter = Counter()
    numbers = [getattr(step, name) or {} for step in steps]
    for each in numbers:
        totals.update(each)
    if max(totals.values(), default=0) <= SMALLEST:
        return None
    others = [each for each, _ in totals.most_common() if each not in colours]
    drawn = {each: colours[each] for each in colours if totals[each] > SMALLEST} | dict(
        zip(others, SERIES, strict=False)
    )
    heights = {each: column(numbers, partial(level, name=each, share=shares)) for each in drawn}
    places = column(steps, lambda step: step.step)
    if len(places) == 1:  # an area needs two ends
        places = [places[0] - 0.5, places[0] + 0.5]
        heights = {each: values * 2 for each, values in heights.items()}
    figure, axes = axes_with_labels(STEP, unit)
    axes.stackplot(places, *heights.values(), colors=[STAND_IN[colour] for colour in drawn.values()], linewidth=0)
    axes.margins(x=0)
    if shares:
        axes.set_ylim(0, 100)
    told = "; ".join(f"{each} {ends(values)}" for each, values in heights.items())
    return Plot(title, f"{title}, {unit}, stacked by step: {told}.", tuple(drawn.items()), svg(figure, title))


def level(numbers: dict[str, float], name: str, share: bool) -> float:
    total = sum(numbers.values()) if share else 100
    return 100 * numbers.get(name, 0) / total if total else 0.0


def integrity_plot(run: Run) -> Plot | None:
    """The share of completions with a high reward that a second look flags."""
    known = [step for step in run.integrity if step.checked and step.rate is not None]
    if not known:
        return None
    title, curve = "Reward integrity", FLAGGED
    figure, axes = axes_with_labels(STEP, "completions looked at (%)")
    add_curve(axes, known, curve)
    start_at_zero(axes)
    told = ends([curve.value(step) for step in known])
    description = f"Well rewarded completions flagged on a second look, in per cent: {told}."
    return Plot(title, description, ((curve.label, curve.colour),), svg(figure, title))


def profile_plot(run: Run) -> Plot | None:
    """How many tasks had which pass rate before training."""
    if not run.profile:
        return None
    title = "Tasks before training"
    rates = [task.pass_rate for task in run.profile]
    classes = Counter(0 if rate == 0 else 11 if rate == 1 else 1 + int(10 * rate) for rate in rates)
    names = ["never", *(f"<{tenth}" for tenth in range(10, 110, 10)), "always"]
    figure, axes = axes_with_labels("pass rate before training (%)", "number of tasks")
    axes.bar(range(12), [classes[place] for place in range(12)], color=STAND_IN["c1"], width=0.8)
    axes.set_xticks(range(12), names, rotation=60, rotation_mode="anchor", horizontalalignment="right")
    axes.grid(visible=False, axis="x")
    told = (
        f"{classes[0]} of {len(rates)} tasks never pass, {classes[11]} always, "
        f"{len(rates) - classes[0] - classes[11]} sometimes"
    )
    description = f"Tasks by their pass rate before training: {told}."
    return Plot(title, description, (("tasks", "c1"),), svg(figure, title))


def axes_with_labels(across: str, up: str) -> tuple[Any, Any]:
    """A new figure and its axes, made without pyplot and its global state."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=up in COUNTS))
    return figure, axes


def column(steps: Sequence[Any], value: Callable[[Any], float | None]) -> list[float]:
    """A value of each step, or means over several steps so that at most MAX_POINTS remain; NaN if there is none."""
    size = -(-len(steps) // MAX_POINTS)
    chunks = [steps[start : start + size] for start in range(0, len(steps), size)]
    return [mean([number for step in chunk if (number := value(step)) is not None]) for chunk in chunks]


def ends(values: Sequence[float | None]) -> str:
    """The first and the last number in words."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    if not known:
        return "without a number"
    return f"{known[0]:.3g}" if len(known) == 1 else f"from {known[0]:.3g} to {known[-1]:.3g}"


def svg(figure: Any, name: str) -> str:
    """The figure as an svg element for an HTML page, in the page's colours, without size, style sheet or address."""
    from matplotlib import rc_context

    target = io.StringIO()
    with rc_context({"svg.hashsalt": name}):  # ids that no other plot of the page has
        figure.savefig(target, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]+\")[^>]*>", r"<svg \1>", text)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text)
    text = re.sub(r" font-family: [^;\"]+;?", "", text)
    for colour, stand_in in STAND_IN.items():
        text = text.replace(stand_in, f"var(--{colour})")
    return text
