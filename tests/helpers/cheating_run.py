"""The metrics of a run that learnt to return literals, rebuilt from its published figures.

SmolLM2-135M on MBPP, 60 steps of 2 prompts x 8 completions: from the first to the last ten steps the pass rate went
from 1.2 % to 0, the reward from -0.31 to +0.08, the entropy from 0.52 to 0.08, the answers that return a literal from 1
to 140 of 160; 6 of its 120 groups held a PASS beside others. What lies between is a straight line with the noise of so
few groups: the run's own lines are not kept.
"""

import random

STEPS, GROUPS, SIZE = 60, 2, 8
PASS, PARTIAL, FAIL = 1.0, 0.2, -0.5


def cheating_run(seed: int) -> list[dict]:
    """Lines of metrics.jsonl."""
    draw = random.Random(seed)
    return [step(number, draw) for number in range(1, STEPS + 1)]


def step(number: int, draw: random.Random) -> dict:
    def between(first: float, last: float) -> float:
        """The value at this step of a line through the middles of the first and the last ten."""
        return min(max(first + (last - first) * (number - 5.5) / (STEPS - 10), 0.0), 1.0)

    runs = between(0.244, 0.83)  # the share of PARTIAL that these rewards come from
    groups = [group(runs, between(0.012, 0.0), draw) for _ in range(GROUPS)]
    scores = [score for members in groups for score in members]
    literal = between(1 / 160, 140 / 160) / max(runs, 0.01)  # of the answers that run
    return {
        "step": number,
        "pass_rate": scores.count(PASS) / len(scores),
        "reward": sum(scores) / len(scores),
        "completions": len(scores),
        "entropy": between(0.52, 0.08),
        "grad_norm": 0.3,
        "learning_rate": 5e-5,
        "weights_changed": 0.9,
        "update_ratio": 0.001,
        "thinking_open": 0.0,
        "judge_none": None,
        "statuses": {"PASS": scores.count(PASS), "PARTIAL": scores.count(PARTIAL), "FAIL": scores.count(FAIL)},
        "kinds": {"wrong": scores.count(PARTIAL), "exception": scores.count(FAIL)},
        "constant_groups": sum(len(set(members)) == 1 for members in groups) / GROUPS,
        "partial_groups": sum(set(members) == {PARTIAL, FAIL} for members in groups) / GROUPS,
        "mixed_groups": sum(PASS in members and len(set(members)) > 1 for members in groups) / GROUPS,
        "constant_answers": sum(score == PARTIAL and draw.random() < literal for score in scores) / len(scores),
    }


def group(runs: float, passes: float, draw: random.Random) -> list[float]:
    """A group's scores; its task is easier or harder to run than others, and seldom one that is passed at all."""
    own = draw.betavariate(max(3 * runs, 0.1), max(3 * (1 - runs), 0.1))
    passed = 0.2 * (draw.random() < 5 * passes)
    return [PASS if draw.random() < passed else PARTIAL if draw.random() < own else FAIL for _ in range(SIZE)]
