"""Explains each plot of the report: what it shows, and how it looks in a healthy run.

It draws nothing and reads no log; plots.py draws. A plot's title is its key. The limits named here are those of
runs/sentinels.py, which warn when a run crosses them.
"""

from dataclasses import dataclass

from raccoon.runs.sentinels import ENTROPY_COLLAPSE, FEW_WEIGHTS_CHANGED, LARGE_UPDATE, NO_SIGNAL


@dataclass(frozen=True)
class Part:
    """A group of plots that answer one question."""

    title: str
    plots: dict[str, tuple[str, str]]  # title -> what the plot shows, what is healthy


PARTS = (
    Part(
        "Did it learn?",
        {
            "Pass rate": (
                "The share of completions that pass every test. Training: sampled on the tasks of each "
                "step. Held-out: the "
                "same tasks at each check, never trained on; the bars are 95 % intervals.",
                "both lines rise. If training rises and held-out falls, the model learns its own tasks only.",
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
                "The same verdicts by cause. Wrong: a test fails. Exception, timeout, memory: the code "
                "stopped. Syntax, no "
                "code: nothing could be run. Forbidden: the sandbox refused it. Truncated: cut at the length limit.",
                "pass grows and every other cause shrinks. Read the completions of a cause that grows.",
            ),
            "Tasks before training": (
                "How many tasks the model passed how often before training. Never: in no sample. Always: "
                "in every sample.",
                "many tasks between never and always. Tasks at either end teach the model nothing.",
            ),
            "Reward integrity": (
                "Completions with a high reward that a second look found suspicious, as a share of those looked at.",
                "near zero. If it rises, the model has found a way to be paid for wrong code.",
            ),
        },
    ),
    Part(
        "Is the training healthy?",
        {
            "Constant groups": (
                "Groups whose completions all got the same correctness reward. Such a group does not teach "
                "correctness.",
                f"well below {100 * NO_SIGNAL:.0f} %, above which the run warns. It rises if the tasks are too easy "
                "or too hard.",
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
    ),
    Part(
        "What does it cost?",
        {
            "Time of a step": (
                "Generate: writing the completions. Reward: running their tests. Update: changing the weights.",
                "flat. It grows with the length of the completions. A single spike does no harm.",
            ),
            "Peak memory": (
                "The most memory that a process has held so far: of its GPU, or of the machine if there is no GPU.",
                "it rises in the first steps and then stays flat, below the size of the memory.",
            ),
        },
    ),
)


def explain(title: str) -> tuple[str, str]:
    """What the plot of this title shows, and what is healthy."""
    return next(part.plots[title] for part in PARTS if title in part.plots)
