"""Says what the time of a run went into: its parts, the tokens of a second, and what to change first.

The parts are those of runs/log.py (TIMED). They cover the steps, the held-out checks and the checkpoints before the
last step; loading, the profile of tasks and the saved model are not in the logs.
"""

from dataclasses import dataclass
from statistics import median

from raccoon.reporting.logs import Run
from raccoon.reporting.plots import SMALLEST
from raccoon.reporting.sentences import percent, trend_sentence
from raccoon.runs.log import TIMED, duration

COMPUTING = ("generate", "update")  # parts in which a GPU computes all the time
NAMES = {
    "generate": "generation",
    "reward": "reward (running the tests)",
    "wait": "waiting for the slowest process",
    "update": "update",
    "heldout": "held-out checks",
    "checkpoint": "writing checkpoints",
}
# Part -> the share above which it is named as what to change first, and the change
LARGE = {
    "wait": (0.1, "the processes wait for each other: give each the same number of CPUs, or lower SANDBOX_TIMEOUT"),
    "checkpoint": (0.1, "raise SAVE_STEPS, or write OUTPUT_DIR to a faster disk"),
    "reward": (0.25, "grade on more machines (SANDBOX_URLS) or workers (SANDBOX_WORKERS), or lower SANDBOX_TIMEOUT"),
    "heldout": (0.2, "raise HELDOUT_EVERY, or lower HELDOUT_TASKS"),
    "generate": (0.6, 'set GENERATION to "vllm", or without a GPU SAVINGS; lower MAX_COMPLETION_LENGTH'),
}


HELD_UP = 10  # times the median; a longer step is named
FEWEST = 5  # steps that give a median


@dataclass(frozen=True)
class Part:
    """A part of the run's time, in seconds; `median` and `longest` are over the steps that have it."""

    name: str
    seconds: float
    share: float
    median: float
    longest: float

    @property
    def title(self) -> str:
        return NAMES.get(self.name, self.name)

    @property
    def computes(self) -> bool:
        """Whether a GPU computes in it all the time."""
        return self.name in COMPUTING


def time_parts(run: Run) -> list[Part]:
    """The parts of the run's time, in the order of a step; [] if no time was logged."""
    total = sum(step.time for step in run.steps)
    others = sorted({name for step in run.steps for name in step.seconds} - {*TIMED})
    found = []
    for name in [*TIMED, *others]:
        values = [seconds for step in run.steps if (seconds := step.seconds.get(name, 0.0)) > 0]
        if sum(values) > SMALLEST:
            found.append(Part(name, sum(values), sum(values) / total, median(values), max(values)))
    return found


def time_sentences(run: Run) -> list[str]:
    """What the time went into, and how many tokens a second were written; [] if no time was logged."""
    parts = {part.name: part for part in time_parts(run)}
    if not parts:
        return []
    total, tokens = sum(part.seconds for part in parts.values()), sum(step.tokens for step in run.steps)
    idle = [part for part in parts.values() if not part.computes]
    named = " + ".join(f"{percent(part.share)} {part.title}" for part in sorted(idle, key=lambda each: -each.share))
    found = [
        f"Of {duration(total)}, generation took {percent(share(parts, 'generate'))} and the update "
        f"{percent(share(parts, 'update'))}. A GPU computes all the time only in these two. The rest is "
        f"{f'{percent(sum(part.share for part in idle))} = ' * (len(idle) > 1)}{named or 'nothing'}."
    ]
    if "generate" in parts:
        found.append(
            f"The policy wrote {tokens / parts['generate'].seconds:,.0f} tokens a second while it generated, and "
            f"{tokens / total:,.0f} in a second of the whole time. "
            + trend_sentence(
                run,
                "number of tokens in a second of generation",
                "generation_speed",
                "{:,.0f}".format,
                "{:+,.0f}".format,
            )
        )
    usual, longest = median(step.time for step in run.steps), max(run.steps, key=lambda step: step.time)
    if longest.time > HELD_UP * usual and len(run.steps) > FEWEST:
        found.append(
            f"Step {longest.step} took {duration(longest.time)}, where a step usually takes {duration(usual)}: "
            "something outside of the training may have held it up."
        )
    large = next((name for name, (most, _) in LARGE.items() if share(parts, name) > most), "")
    if large:
        found.append(f"Change first: {NAMES[large]} takes {percent(parts[large].share)}; {LARGE[large][1]}.")
    return found


def share(parts: dict[str, Part], name: str) -> float:
    return parts[name].share if name in parts else 0.0
