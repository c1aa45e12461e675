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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, override_constants, run_main
from raccoon.model_files import is_hub_id
from raccoon.published.benchmarks import BENCHMARKS
from raccoon.reporting.logs import LoggedTask, Run, read_groups, read_run, read_tasks
from raccoon.reporting.sentences import heldout_sentence, integrity_sentence, percent, progress_sentence, with_interval
from raccoon.reporting.tables import ComparisonRow, Evaluation, find_evaluation
from raccoon.store import write_page

RUN_DIR = ""  # the folder of a finished training run; it can be given without its flag
EVAL_RESULTS = ""  # folder of an evaluation's results.json; "": look beside RUN_DIR and in it

CARD_FILE = "README.md"
LONGEST_NAME = 100  # characters
RECIPE = tuple(
    """
MASTER_WEIGHTS OPTIMIZER LEARNING_RATE LR_SCHEDULER WARMUP_STEPS ADAM_BETA2 WEIGHT_DECAY MAX_GRAD_NORM LOSS_TYPE
SCALE_REWARDS EPSILON EPSILON_HIGH BETA NUM_ITERATIONS NUM_GENERATIONS BATCH_SIZE GRADIENT_ACCUMULATION TEMPERATURE
TOP_P TOP_K MAX_PROMPT_LENGTH MAX_COMPLETION_LENGTH MASK_TRUNCATED MAX_REFILLS GENERATION REWARD PARTIAL_CREDIT
BONUS_ONLY_WITH_PASS SEED
""".split()
)
OPTIONS = ("GRPO_OPTIONS", "LORA_OPTIONS")  # each option is a row of its own
TURNS_RECIPE = ("MAX_TURNS", "MAX_FEEDBACK", "TURN_DISCOUNT")  # of a run with several turns
DERIVED = {"humaneval": "HumanEval+", "mbpp": "MBPP+"}  # benchmarks with the same problems
UNKNOWN = """\
- Whether the result holds with another seed: this is one run.
- How good it is in other languages than Python, on tasks larger than one function, and in conversation.
- How much the training has reduced other abilities: only the tasks named above were measured.
- Whether its code is safe to run: it was trained on code that passes tests. Run its code in a sandbox."""


def main() -> None:
    if not RUN_DIR:
        raise InputError("no RUN_DIR; give the OUTPUT_DIR of a training run: python scripts/model_card.py RUN_DIR")
    run = read_run(Path(RUN_DIR))
    if not run.saved:
        raise InputError(f"{RUN_DIR} holds no saved model yet: finish the training run first")
    text, path = card(run, used_tasks(run), find_evaluation(run.folder, EVAL_RESULTS)), run.folder / CARD_FILE
    write_page(path, text.encode())
    print(f"written  {path}, the hub's model card")


def card(run: Run, tasks: list[LoggedTask], evaluation: Evaluation | None) -> str:
    """The whole card."""
    rank, name, (base, hub_id) = run.constants.get("LORA_RANK"), last_part(run.folder.resolve()), base_model(run)
    merged = ", merged in" if run.constants.get("LORA_MERGE", True) else ", without their base"
    weights = f"LoRA adapters of rank {rank}{merged}" if run.constants.get("USE_LORA") else "all weights"
    parts = [
        f"---\n{metadata(name, hub_id, tasks)}\n---",
        f"# {name}",
        f"{base}, trained further with reinforcement learning (GRPO, arXiv 2402.03300) on the verdicts "
        f"of executed Python code: {weights}.\n{progress_sentence(run)}",
        f"## How the reward works\n\n{reward_sentences(run)}",
        f"## Data\n\n{seen(tasks)}\n\n{unseen(run)}",
        f"## Held-out tasks, before and after\n\n{heldout(run)}",
        f"## Evaluation\n\n{evaluated(evaluation)}",
        f"## Recipe\n\n{recipe(run)}",
        f"## What is not known\n\n{UNKNOWN}",
    ]
    return "\n\n".join(parts) + "\n"


def used_tasks(run: Run) -> list[LoggedTask]:
    """The tasks that the model was trained on: a run may end before it has reached all of its tasks."""
    tasks, used = read_tasks(run), {group[0].task_id for group in read_groups(run) if group[0].used}
    return [task for task in tasks if task.task_id in used] or tasks  # all, if completions.jsonl is not there


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
    return (last_part(path), "") if local else (path, path)


def last_part(path: Any) -> str:
    """The last part of a path, because the rest may tell whose machine this is."""
    return plain(Path(str(path)).expanduser().name)


def plain(text: Any) -> str:
    """A name or value from outside as one line of text without markup."""
    return re.sub(r"[^\w .,:+/()=-]", "_", str(text))[:LONGEST_NAME] or "unnamed"


def metadata(name: str, hub_id: str, tasks: list[LoggedTask]) -> str:
    """The YAML head, without its dashes."""
    from huggingface_hub import ModelCardData

    return ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=hub_id or None,
        base_model_relation="finetune" if hub_id else None,
        datasets=sorted({BENCHMARKS[task.source].hub for task in tasks if task.source in BENCHMARKS}) or None,
        model_name=name,
        tags=["code", "grpo", "reinforcement-learning", "trl"],
    ).to_yaml()


def reward_sentences(run: Run) -> str:
    """What was rewarded, and how the tests were kept away from the code."""
    value, kind = run.constants.get, run.constants.get("REWARD", "execution")
    style = "with a PASS only" if value("BONUS_ONLY_WITH_PASS") else "with any verdict"
    judge = {
        "judge": " The reward itself was an LLM judge's score; the verdicts were logged.",
        "both": " An LLM judge's score was added with its own weight.",
    }.get(kind, "")
    turns = (
        f" A conversation had up to {run.turns} answers: the model read what was wrong with its code, of the tests "
        "only those that its task shows. The last answer is rewarded, and each turn after the first multiplies a "
        f"positive reward by {value('TURN_DISCOUNT')}."
    )
    return (
        f"A completion earns {value('REWARD_PASS')} if its code passes every test, {value('REWARD_PARTIAL')} "
        f"if it runs and a test fails, {value('REWARD_FAIL')} if it does not run, and "
        f"{value('QUALITY_BONUS')} for each of a docstring, short lines, a short response and type hints "
        f"({style}). The tests never entered "
        f'the process that ran the code, unless a verdict is logged as "shared".{judge}'
        f"{turns * (run.turns > 1)}"
    )


def table(columns: str, rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table; `columns` are joined by |."""
    names = columns.split("|")
    head = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([*head, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def seen(tasks: list[LoggedTask]) -> str:
    """The tasks of the training, by source, and the benchmarks whose scores they make useless as evidence."""
    if not tasks:
        return "Seen in training: not recorded."
    counts = Counter((task.source or "own tasks", task.split or "-") for task in tasks)
    rows = ((plain(source), plain(split), count) for (source, split), count in sorted(counts.items()))
    text = f"Seen in training:\n\n{table('source|split|tasks', rows)}"
    spoilt = sorted({source for source, _ in counts} & set(BENCHMARKS))
    names = ", ".join(spoilt + [DERIVED[source] for source in spoilt if source in DERIVED])
    warning = f"\n\nA score on these tasks ({names}) does not show how the model does on unseen tasks."
    return text + warning * bool(spoilt)


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
    rows = (
        (check.step, f"{percent(check.pass_rate)} ({check.passed} of {check.n})", span(check.interval))
        for check in [run.checks[0], *run.checks[1:][-1:]]
    )
    temperature = run.constants.get("HELDOUT_TEMPERATURE")
    sentences = [
        f"One completion a task, {f'temperature {temperature}' if temperature else 'greedy'}.",
        heldout_sentence(run),
        integrity_sentence(run),
    ]
    return f"{table('after step|pass rate|95 % interval (Wilson)', rows)}\n\n{' '.join(filter(None, sentences))}"


def span(interval: tuple[float, float]) -> str:
    return " to ".join(map(percent, interval))


def evaluated(evaluation: Evaluation | None) -> str:
    """The evaluation's rows of this model and of those that it was compared with."""
    if not evaluation:
        return "Not measured yet: scripts/evaluate_models.py compares the model with the model before training."
    rows = []
    for score in sorted(evaluation.scores, key=lambda score: (score.benchmark, score.mode)):
        rate = "-" if score.pass_at_1 is None else percent(score.pass_at_1)
        names = plain(score.benchmark), plain(score.way), plain(score.model)
        rows.append((*names, score.n, rate, span(score.interval)))
    text = table("benchmark|mode|model|tasks|pass@1|95 % interval", rows)
    return "\n".join([text] + [""] * bool(evaluation.comparisons) + [*map(comparison, evaluation.comparisons)])


def comparison(row: ComparisonRow) -> str:
    """Two models on one benchmark, paired."""
    return (
        f"- {plain(row.candidate)} against {plain(row.baseline)} on {plain(row.benchmark)}, {plain(row.mode)}: "
        f"{with_interval(row.difference, row.interval)}, {row.gained} gained and {row.lost} lost, "
        f"p = {row.p_holm:.2g} after Holm's correction"
    )


def recipe(run: Run) -> str:
    """The constants that decide what the run learns."""
    names = RECIPE + TURNS_RECIPE * (run.turns > 1)
    rows = [(name, plain(run.constants[name])) for name in names if name in run.constants]
    options = [(constant, run.constants.get(constant)) for constant in OPTIONS]
    given = [(constant, *pair) for constant, found in options if isinstance(found, dict) for pair in found.items()]
    rows += [(f"{constant} {plain(name)}", plain(value)) for constant, name, value in given]
    return f"{run.steps[0].completions} completions a step.\n\n{table('constant|value', rows)}"


if __name__ == "__main__":
    override_constants(globals(), positional="RUN_DIR")
    run_main(main)
