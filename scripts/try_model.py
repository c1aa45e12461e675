"""Asks a trained model one question, prints its answer, and what the sandbox says of the answer's code.

It measures nothing: one answer says little (evaluate_models.py measures). A model that is served elsewhere is asked by
evaluate_models.py --models openai:NAME.

    python scripts/try_model.py ./my-rl-model --prompt "Write a function double(x) that returns twice x." \\
        --test "assert double(2) == 4"
    python scripts/try_model.py ./my-rl-model --task HumanEval/0                        # of a benchmark
    python scripts/try_model.py ./my-rl-model --benchmark tasks.jsonl --task double/1   # of a task file

Inputs:  MODEL_PATH, a folder of a model or of adapters, or a hub id.
Outputs: the prompt, the answers and their verdicts on stdout.
"""

from dataclasses import replace

from raccoon.constants import InputError, check_positive, override_constants, run_main
from raccoon.evaluation.engines import Decoding, Slot, load_engine
from raccoon.evaluation.subjects import find_model
from raccoon.published.benchmarks import load_set
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.extraction import extract_code
from raccoon.tasks.task import Task

MODEL_PATH = "./nano-raccoon-rl"  # it can be given without its flag
PROMPT: str = ""  # the question; "": that of TASK
TEST = ""  # a program that raises if the answer's code is wrong; "": the code is not run
TASK = ""  # the id of a task, in the place of PROMPT and TEST
BENCHMARK = "humaneval"  # where TASK is: a benchmark or a task file
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub (env DATA_DIR)
NUM_SAMPLES = 1  # answers
TEMPERATURE = 0.0  # 0: greedy
SEED = 0  # of sampling
MAX_COMPLETION_LENGTH = 512  # tokens
ENABLE_THINKING = False  # passed to the chat template
SANDBOX_TIMEOUT = 10.0  # CPU seconds


def main() -> None:
    check_positive(NUM_SAMPLES=NUM_SAMPLES, MAX_COMPLETION_LENGTH=MAX_COMPLETION_LENGTH)
    task = chosen_task()
    folder = find_model(MODEL_PATH)
    greedy = Decoding("greedy", MAX_COMPLETION_LENGTH, enable_thinking=ENABLE_THINKING)
    sampled = replace(greedy, mode="sampled", temperature=TEMPERATURE, seed=SEED)
    engine = load_engine(folder, sampled if TEMPERATURE > 0 else greedy)
    completions = engine.generate([Slot(task, sample) for sample in range(NUM_SAMPLES)])
    print(f"prompt\n{shown(task.prompt)}\n")
    programs = [Program.of(task, extract_code(completion.text, task)) for completion in completions]
    if not task.test:
        verdicts = ["none: give --test, a program that raises if the code is wrong"] * NUM_SAMPLES
    else:
        with Sandbox(1, SANDBOX_TIMEOUT) as sandbox:
            verdicts = [
                f"{verdict.status} ({verdict.reason}), {verdict.tests_passed} of {verdict.tests_total} tests passed"
                for verdict in sandbox.run(programs)
            ]
    for number, (completion, verdict) in enumerate(zip(completions, verdicts, strict=True), 1):
        cut = f", cut at {MAX_COMPLETION_LENGTH} tokens" if completion.truncated else ""
        print(f"answer {number}{cut}\n{shown(completion.text)}\n\nverdict {number}: {shown(verdict)}\n")


def chosen_task() -> Task:
    """The task to ask. Raises InputError for none."""
    if bool(PROMPT) == bool(TASK):
        raise InputError("give either --prompt, with --test if you have one, or --task with an id like HumanEval/0")
    if PROMPT:
        return Task("prompt", PROMPT, TEST)
    tasks = {task.task_id: task for task in load_set(BENCHMARK, DATA_DIR, "BENCHMARK")}
    if TASK not in tasks:
        raise InputError(f"no task {TASK!r} in {BENCHMARK}; its ids are like {', '.join(list(tasks)[:3])}")
    return tasks[TASK]


def shown(text: str) -> str:
    """A text without control characters, which a terminal would obey."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text)


if __name__ == "__main__":
    override_constants(globals(), positional="MODEL_PATH")
    run_main(main)
