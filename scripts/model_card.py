"""Writes the hub's model card of a trained model, README.md with its YAML head, from the run's logs alone.

It does not evaluate or upload. The card holds no path of this machine: it names only the last part of files and
folders. Run it where the training ran. Run it again after an evaluation to add the results.

    python scripts/model_card.py ./nano-raccoon-rl        # ./nano-raccoon-rl/README.md
    python scripts/model_card.py ./nano-raccoon-rl --eval-results ./eval_results

Inputs:  RUN_DIR, the OUTPUT_DIR of train_rl_poc.py: the model, config.json, metrics.jsonl, tasks.jsonl, and
         heldout.jsonl if it exists; the results.json of an evaluation, found as make_report.py finds it.
Outputs: RUN_DIR/README.md; an earlier one is replaced.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, override_constants, run_main
from raccoon.model_files import is_hub_id
from raccoon.published.benchmarks import BENCHMARKS
from raccoon.reporting.logs import TASKS_FILE, Run, read_records, read_run
from raccoon.reporting.summary import heldout_sentence, integrity_sentence, percent, progress, with_interval
from raccoon.reporting.tables import ComparisonRow, Evaluation, find_evaluation
from raccoon.whole_files import write_page

RUN_DIR = ""  # the folder of a finished training run; it can be given without its flag
EVAL_RESULTS = ""  # folder of an evaluation's results.json; "": look beside RUN_DIR and in it

CARD_FILE = "README.md"
LONGEST_NAME = 100  # characters
RECIPE = (
    "MASTER_WEIGHTS",
    "OPTIMIZER",
    "LEARNING_RATE",
    "LR_SCHEDULER",
    "WARMUP_STEPS",
    "ADAM_BETA2",
    "WEIGHT_DECAY",
    "MAX_GRAD_NORM",
    "LOSS_TYPE",
    "SCALE_REWARDS",
    "EPSILON",
    "EPSILON_HIGH",
    "BETA",
    "NUM_ITERATIONS",
    "NUM_GENERATIONS",
    "BATCH_SIZE",
    "GRADIENT_ACCUMULATION",
    "TEMPERATURE",
    "TOP_P",
    "TOP_K",
    "MAX_PROMPT_LENGTH",
    "MAX_COMPLETION_LENGTH",
    "MASK_TRUNCATED",
    "MAX_REFILLS",
    "GENERATION",
    "REWARD",
    "PARTIAL_CREDIT",
    "BONUS_ONLY_WITH_PASS",
    "SEED",
)
DERIVED = {"humaneval": "HumanEval+", "mbpp": "MBPP+"}  # benchmarks with the same problems
UNKNOWN = """\
- Whether the result holds with another seed: this is one run.
- How good it is in other languages than Python, on tasks larger than one function, and in conversation.
- How much the training has reduced other abilities: only the tasks named above were measured.
- Whether its code is safe to run: it was trained on code that passes tests. Run its code in a sandbox."""


@dataclass(frozen=True)
class TrainedTask:
    """The origin of a task, from a line of tasks.jsonl."""

    task_id: str
    source: str = ""
    split: str = ""


def base_model(run: Run) -> tuple[str, str]:
    """The name of the model that was trained, and its hub id, which is "" for a folder."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    path = str(run.constants.get("MODEL_PATH", ""))
    try:
        validate_repo_id(path)
    except HFValidationError:
        return last_part(path), ""
    local = not is_hub_id(path) or Path(path).exists()
    return last_part(path) if local else path, "" if local else path


def last_part(path: Any) -> str:
    """The last part of a path, because the rest may tell whose machine this is."""
    return plain(Path(str(path)).expanduser().name)


def plain(text: str) -> str:
    """A name from outside as one line of text without markup."""
    return re.sub(r"[^\w .,:+/()=-]", "_", text)[:LONGEST_NAME] or "unnamed"


def metadata(run: Run, tasks: list[TrainedTask]) -> str:
    """The YAML head, without its dashes."""
    from huggingface_hub import ModelCardData

    sources = sorted({task.source for task in tasks if task.source in BENCHMARKS})
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=base_model(run)[1] or None,
        base_model_relation="finetune" if base_model(run)[1] else None,
        datasets=sorted({BENCHMARKS[source].hub for source in sources}) or None,
        model_name=last_part(run.folder.resolve()),
        tags=["code", "grpo", "reinforcement-learning", "trl"],
    ).to_yaml()


def card(run: Run, tasks: list[TrainedTask], evaluation: Evaluation | None) -> str:
    """The whole card."""
    rank = run.constants.get("LORA_RANK")
    weights = f"LoRA adapters of rank {rank}, merged in" if run.constants.get("USE_LORA") else "all weights"
    parts = [
        f"---\n{metadata(run, tasks)}\n---",
        f"# {last_part(run.folder.resolve())}",
        f"{base_model(run)[0]}, trained further with reinforcement learning (GRPO, arXiv 2402.03300) on the verdicts "
        f"of executed Python code: {weights}.\n{progress(run)}",
        f"## How the reward works\n\n{reward_sentences(run)}",
        f"## Data\n\n{seen(tasks)}\n\n{unseen(run)}",
        f"## Held-out tasks, before and after\n\n{heldout(run)}",
        f"## Evaluation\n\n{evaluated(evaluation)}",
        f"## Recipe\n\n{recipe(run)}",
        f"## What is not known\n\n{UNKNOWN}",
    ]
    return "\n\n".join(parts) + "\n"


def reward_sentences(run: Run) -> str:
    """What was rewarded, and how the tests were kept away from the code."""
    value, kind = run.constants.get, run.constants.get("REWARD", "execution")
    style = "with a PASS only" if value("BONUS_ONLY_WITH_PASS") else "with any verdict"
    judge = {
        "judge": " The reward itself was an LLM judge's score; the verdicts were logged.",
        "both": " An LLM judge's score was added with its own weight.",
    }.get(kind, "")
    return (
        f"A completion earns {value('REWARD_PASS')} if its code passes every test, {value('REWARD_PARTIAL')} "
        f"if it runs and a test fails, {value('REWARD_FAIL')} if it does not run, and "
        f"{value('QUALITY_BONUS')} for each of a docstring, short lines, a short response and type hints "
        f"({style}). The tests never entered "
        f'the process that ran the code, unless a verdict is logged as "shared".{judge}'
    )


def seen(tasks: list[TrainedTask]) -> str:
    """The tasks of the training, by source, and the benchmarks whose scores they make useless as evidence."""
    if not tasks:
        return "Seen in training: not recorded."
    counts = Counter((task.source or "own tasks", task.split or "-") for task in tasks)
    rows = [f"| {plain(source)} | {plain(split)} | {count} |" for (source, split), count in sorted(counts.items())]
    text = "\n".join(["Seen in training:\n", "| source | split | tasks |", "|---|---|---|", *rows])
    spoilt = sorted({source for source, _ in counts} & set(BENCHMARKS))
    if not spoilt:
        return text
    names = ", ".join(spoilt + [DERIVED[source] for source in spoilt if source in DERIVED])
    return f"{text}\n\nA score on these tasks ({names}) does not show how the model does on unseen tasks."


def unseen(run: Run) -> str:
    """The tasks that were only measured."""
    if not run.checks:
        return "Unseen: no held-out tasks were watched."
    source = last_part(run.constants.get("HELDOUT", ""))
    return (
        f"Unseen: {len(run.checks[0].statuses)} other tasks of {source}; they were measured during training and "
        "never trained on."
    )


def heldout(run: Run) -> str:
    """The first and the last check, each with its interval, and whether their difference is significant."""
    if not run.checks:
        return heldout_sentence(run)
    chosen = [run.checks[0], *run.checks[1:][-1:]]
    rows = [
        f"| {check.step} | {percent(check.pass_rate)} ({check.passed} of {check.n}) | "
        f"{percent(check.interval[0])} to {percent(check.interval[1])} |"
        for check in chosen
    ]
    table = "\n".join(["| after step | pass rate | 95 % interval (Wilson) |", "|---|---|---|", *rows])
    temperature = run.constants.get("HELDOUT_TEMPERATURE")
    sentences = [
        f"One completion a task, {f'temperature {temperature}' if temperature else 'greedy'}.",
        heldout_sentence(run),
        integrity_sentence(run),
    ]
    return f"{table}\n\n{' '.join(filter(None, sentences))}"


def evaluated(evaluation: Evaluation | None) -> str:
    """The evaluation's rows of this model and of those that it was compared with."""
    if not evaluation:
        return "Not measured yet: scripts/evaluate_models.py compares the model with the model before training."
    rows = [
        f"| {plain(score.benchmark)} | {plain(score.mode)} | {plain(score.model)} | {score.n} | "
        f"{'-' if score.pass_at_1 is None else percent(score.pass_at_1)} | "
        f"{percent(score.interval[0])} to {percent(score.interval[1])} |"
        for score in sorted(evaluation.scores, key=lambda score: (score.benchmark, score.mode))
    ]
    table = ["| benchmark | mode | model | tasks | pass@1 | 95 % interval |", "|---|---|---|---|---|---|", *rows]
    return "\n".join(table + [""] * bool(evaluation.comparisons) + [*map(comparison, evaluation.comparisons)])


def comparison(row: ComparisonRow) -> str:
    """Two models on one benchmark, paired."""
    return (
        f"- {plain(row.candidate)} against {plain(row.baseline)} on {plain(row.benchmark)}, {plain(row.mode)}: "
        f"{with_interval(row.difference, row.interval)}, {row.gained} gained and {row.lost} lost, "
        f"p = {row.p_holm:.2g} after Holm's correction"
    )


def recipe(run: Run) -> str:
    """The constants that decide what the run learns."""
    rows = [f"| {name} | {plain(str(run.constants[name]))} |" for name in RECIPE if name in run.constants]
    first = run.steps[0].completions
    return "\n".join([f"{first} completions a step.\n", "| constant | value |", "|---|---|", *rows])


def main() -> None:
    if not RUN_DIR:
        raise InputError("no RUN_DIR; give the OUTPUT_DIR of a training run: python scripts/model_card.py RUN_DIR")
    run = read_run(Path(RUN_DIR))
    if not run.saved:
        raise InputError(f"{RUN_DIR} holds no saved model yet: finish the training run first")
    tasks = list(read_records(run.folder / TASKS_FILE, TrainedTask))
    text, path = card(run, tasks, find_evaluation(run.folder, EVAL_RESULTS)), run.folder / CARD_FILE
    write_page(path, text.encode())
    print(f"written  {path}, the hub's model card")


if __name__ == "__main__":
    override_constants(globals(), positional="RUN_DIR")
    run_main(main)
