"""Draws the result of a demo run: pass rates before and after GRPO with 95 % intervals, and during training.

It measures nothing. It reads every number from the run's logs and its evaluation. These commands make the README's
picture:

    bash scripts/demo.sh
    python benchmarks/demo_picture.py ./demo/rl_model --eval-results ./demo/eval_results --output docs/demo.svg

Inputs:  RUN_DIR, the OUTPUT_DIR of a training run; EVAL_RESULTS, the folder of an evaluation's results.json.
Output:  OUTPUT, an SVG. The same input gives the same bytes.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from raccoon.constants import InputError, override_constants, run_main
from raccoon.reporting.logs import Check, Step, read_run
from raccoon.reporting.tables import ScoreRow, find_evaluation

RUN_DIR = "./demo/rl_model"  # the folder of a training run; the one argument that needs no flag
EVAL_RESULTS = "./demo/eval_results"  # folder of the evaluation's results.json
OUTPUT = "docs/demo.svg"

SIZE = (6.6, 3.6)  # inches; small for its font size, so that the text is readable on a phone
BEFORE, AFTER, TRAINING = "#9aa3ad", "#1a7f5a", "#c9b37a"  # colours
LABELS = ("before GRPO", "after GRPO")  # of the evaluation's two models, in its order
BAR = 0.42  # of the distance between two groups of bars
SMOOTHED = 9  # steps in each mean of the training curve
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "demo",  # the same input gives the same bytes
    "font.family": "sans-serif",
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e4e7ea",
    "grid.linewidth": 0.7,
}


def errors(rows: Sequence[ScoreRow | Check], values: Sequence[float]) -> list[list[float]]:
    """How far each row's interval reaches below and above its value, in points."""
    return [
        [value - 100 * row.interval[0] for row, value in zip(rows, values, strict=True)],
        [100 * row.interval[1] - value for row, value in zip(rows, values, strict=True)],
    ]


def draw_bars(axes: Any, scores: list[ScoreRow]) -> None:
    """A pair of bars for each mode of the evaluation."""
    models, modes = list(dict.fromkeys(row.model for row in scores)), list(dict.fromkeys(row.mode for row in scores))
    if len(models) != 2:
        raise InputError(f"{EVAL_RESULTS} compares {len(models)} models: give an evaluation of exactly two")
    for place, (model, colour, label) in enumerate(zip(models, (BEFORE, AFTER), LABELS, strict=True)):
        rows = [next(row for row in scores if (row.model, row.mode) == (model, mode)) for mode in modes]
        values = [100 * row.pass_at_1 for row in rows]
        lefts = [number + (place - 0.5) * BAR for number in range(len(modes))]
        axes.bar(
            lefts,
            values,
            BAR * 0.94,
            color=colour,
            label=label,
            yerr=errors(rows, values),
            capsize=3,
            error_kw={"elinewidth": 1, "ecolor": "#333333"},
        )
        for left, value in zip(lefts, values, strict=True):
            axes.text(left, 2.5, f"{value:.1f}", ha="center", color="white" if place else "black")
    axes.set_xticks(range(len(modes)), modes)
    axes.set_title(f"{scores[0].n} held-out tasks", fontsize=12, loc="left")
    axes.tick_params(axis="x", length=0)


def draw_curve(axes: Any, steps: list[Step], checks: list[Check]) -> None:
    """The share of sampled completions that pass in training, and the greedy checks on held-out tasks."""
    known = [step for step in steps if step.pass_rate is not None]
    rates, half = [100 * step.pass_rate for step in known], SMOOTHED // 2
    windows = [rates[max(0, place - half) : place + half + 1] for place in range(len(rates))]
    axes.plot([step.step for step in known], rates, color=TRAINING, linewidth=0.6, alpha=0.7)
    axes.plot(
        [step.step for step in known],
        [sum(window) / len(window) for window in windows],
        color=TRAINING,
        linewidth=1.8,
        label=f"training (mean of {SMOOTHED} steps)",
    )
    values = [100 * check.pass_rate for check in checks]
    axes.errorbar(
        [check.step for check in checks],
        values,
        yerr=errors(checks, values),
        color=AFTER,
        marker="o",
        markersize=4,
        linewidth=1.4,
        capsize=3,
        label=f"held-out ({checks[0].n} tasks)",
    )
    axes.set_xlabel("GRPO step")
    axes.set_title("during training", fontsize=12, loc="left")


def main() -> None:
    run = read_run(Path(RUN_DIR))
    evaluation = find_evaluation(Path(RUN_DIR), EVAL_RESULTS)
    if not run.checks or not evaluation:
        raise InputError(f"{RUN_DIR} lacks held-out checks or an evaluation; give the folders that the demo made")
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE):
        figure, (left, right) = pyplot.subplots(
            1, 2, figsize=SIZE, width_ratios=(4, 5), sharey=True, layout="constrained"
        )
        draw_bars(left, evaluation.scores)
        draw_curve(right, run.steps, run.checks)
        left.set(ylim=(0, 100), ylabel="pass rate, %")
        figure.legend(loc="outside lower center", frameon=False, ncols=2)
        Path(OUTPUT).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(OUTPUT, metadata={"Date": None})
    print(f"drawn {OUTPUT}")


if __name__ == "__main__":
    override_constants(globals(), positional="RUN_DIR")
    run_main(main)
