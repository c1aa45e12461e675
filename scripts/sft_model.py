"""Fine-tunes a chat model on tasks with their solutions, or on trajectories, before reinforcement learning.

It uses TRL's SFTTrainer, with the loss on the answers alone. GRPO learns next to nothing from a model that passes 1 %
of its tasks; SFT first teaches the form of an answer. This script does not make a model from nothing (real_model.py
and demo_model.py do). It does not say which of two models is better (evaluate_models.py does).

    python scripts/sft_model.py --benchmarks real/train_tasks.jsonl --keep-unseen real/heldout_tasks.jsonl humaneval
    python scripts/sft_model.py --model-path ./my-model --benchmarks my_tasks.jsonl --output-dir ./my-sft-model
    python scripts/sft_model.py --model-path ./real/sft_model --epochs 1 --output-dir ./real/control   # more SFT

Inputs:  MODEL_PATH, a folder or hub id with a chat template; BENCHMARKS, published ones or task files whose tasks have
         a solution; TRAJECTORIES, as create_synthetic_data.py --mode trajectories writes them.
Outputs: OUTPUT_DIR with the model of the lowest held-out loss, its tokenizer, config.json (every constant beside the
         model's own keys), tasks.jsonl (the taught tasks, which an evaluation then marks as seen), losses.jsonl.
Exit:    0 trained, or the model exists already; 1 stopped by a fault; 2 bad input.
"""

import random
import shlex
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_positive, check_writable, constants, override_constants, run_main
from raccoon.conversation import TurnTemplate
from raccoon.model_files import check_made_alike, check_model_folder, end_tokens, is_hub_id, save_model
from raccoon.published.benchmarks import load_set
from raccoon.published.contamination import find_overlap
from raccoon.rewards.training_tasks import passing_tasks
from raccoon.runs.log import CONFIG_FILE, RunLog
from raccoon.sandbox.pool import Sandbox
from raccoon.savings import NO_BFLOAT16, computes_bfloat16
from raccoon.tasks.markup import fenced_blocks
from raccoon.tasks.prompts import fenced, messages
from raccoon.tasks.task import TASK_FIELDS, Task, numbered_rows, write_task_file

MODEL_PATH = "./real/base_model"  # a folder or a hub id
OUTPUT_DIR = "./real/sft_model"
SEED = 0  # decides the order of the tasks, and which are held out
CPU_THREADS = 1  # used without a GPU; on a busy machine two threads are slower than one
CPU_BFLOAT16 = False  # without a GPU, compute in bfloat16 over float32 weights, as on a GPU; not every CPU can

# What is taught
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub (env DATA_DIR)
BENCHMARKS = ["mbpp"]  # benchmarks or task files to teach; their tasks without a solution are left out; "": none
TRAJECTORIES: list[str] = []  # files with a conversation on each line; all its answers are taught
LAST_ANSWER_ONLY = False  # True: of a conversation only the last answer is taught, as where the earlier ones are wrong
KEEP_UNSEEN = ["humaneval"]  # benchmarks or task files to evaluate on later: tasks that are like theirs are left out
SKIP_FAILING_TASKS = True  # leave out tasks that fail their own solution; False refuses to start
HELDOUT_SHARE = 0.1  # share of the tasks that are not taught; their loss is watched

# The training
EPOCHS = 3  # passes over the tasks; the model after the pass with the lowest held-out loss is kept
BATCH_SIZE = 4  # conversations in one forward and backward pass
GRADIENT_ACCUMULATION = 2  # passes a step
LEARNING_RATE = 2e-5  # peak; it falls to 0 along a cosine
WARMUP_SHARE = 0.05  # share of the steps in which the rate rises to its peak
MAX_LENGTH = 512  # tokens of a conversation; longer ones are left out, not cut

# The sandbox that runs the solutions
SANDBOX_WORKERS = 0  # programs at once; 0: one for each CPU of this process
SANDBOX_TIMEOUT = 10.0  # CPU seconds for each program; it may wait about as long again

LOSSES_FILE = "losses.jsonl"
# These do not change the model
FREE_TO_CHANGE = {"OUTPUT_DIR", "DATA_DIR", "CPU_THREADS", "SANDBOX_WORKERS", "SANDBOX_TIMEOUT"}


@dataclass(frozen=True)
class Lesson(Task):
    """A task as the conversation to teach: `earlier` turns, each an answer and the message on it, then the solution.

    With `last_alone` the earlier answers are not taught.
    """

    earlier: tuple[tuple[str, str], ...] = ()
    last_alone: bool = False


def main() -> None:
    check_constants()
    values = vars(constants(globals()))
    earlier = RunLog(OUTPUT_DIR).read_config()
    if earlier.get("ended"):
        check_made_alike(OUTPUT_DIR, {"LAST_ANSWER_ONLY": False} | earlier, values, FREE_TO_CHANGE)
        print(f"{OUTPUT_DIR} exists already; nothing to do")
        return
    if Path(MODEL_PATH).exists() or not is_hub_id(MODEL_PATH):
        check_model_folder(Path(MODEL_PATH))  # before the tasks are checked, which takes minutes
    sets = [load_set(name, DATA_DIR, "BENCHMARKS") for name in filter(None, BENCHMARKS)]
    solved = [task for tasks in sets for task in tasks if task.solution]
    shown = [task for path in TRAJECTORIES for task in read_trajectories(path, LAST_ANSWER_ONLY)]
    unseen = [task for name in KEEP_UNSEEN for task in load_set(name, DATA_DIR, "KEEP_UNSEEN")]
    with Sandbox(SANDBOX_WORKERS or None, SANDBOX_TIMEOUT) as sandbox:
        taught = passing_tasks(solved, sandbox, True, SKIP_FAILING_TASKS) if solved else []
    taught = unlike([*taught, *shown], unseen, KEEP_UNSEEN)
    tokenizer = load_tokenizer(MODEL_PATH, CPU_THREADS)
    taught = short_enough(taught, tokenizer, MAX_LENGTH)
    trained, heldout = split(taught, HELDOUT_SHARE, SEED)
    print(f"tasks    {len(trained)} to teach, {len(heldout)} held out", flush=True)

    steps = EPOCHS * -(-len(trained) // (BATCH_SIZE * GRADIENT_ACCUMULATION))
    model = load_model(MODEL_PATH, tokenizer)
    trainer = build_trainer(model, sft_config(steps), trained, heldout, tokenizer)
    trainer.add_callback(progress_lines(steps, EPOCHS))
    before = trainer.evaluate()["eval_loss"]
    print(f"held-out loss before training {before:.4f}", flush=True)
    trainer.train()
    save(trainer, trained, before, OUTPUT_DIR, values)
    taught_model, next_model = (shlex.quote(str(path)) for path in (OUTPUT_DIR, Path(OUTPUT_DIR).parent / "rl_model"))
    print(
        f"next: python scripts/train_rl_poc.py --model-path {taught_model} --profile-samples 8 "
        f"--partial-credit beyond_constant --no-pay-constant-answers --output-dir {next_model}"
    )


def check_constants() -> None:
    """Raises InputError for values that would otherwise fail only later."""
    check_positive(BATCH_SIZE=BATCH_SIZE, EPOCHS=EPOCHS, GRADIENT_ACCUMULATION=GRADIENT_ACCUMULATION)
    check_positive(LEARNING_RATE=LEARNING_RATE, MAX_LENGTH=MAX_LENGTH, SANDBOX_TIMEOUT=SANDBOX_TIMEOUT)
    if not 0 < HELDOUT_SHARE < 1:
        raise InputError(f"HELDOUT_SHARE is {HELDOUT_SHARE}; give a share between 0 and 1")
    if not (any(BENCHMARKS) or TRAJECTORIES):
        raise InputError("nothing to teach: BENCHMARKS and TRAJECTORIES are empty; set one of them")
    if Path(OUTPUT_DIR).resolve() == Path(MODEL_PATH).resolve():
        raise InputError(f"OUTPUT_DIR {OUTPUT_DIR} is MODEL_PATH, which would be overwritten; give another")
    if CPU_BFLOAT16 and not computes_bfloat16():
        raise InputError(f"CPU_BFLOAT16 needs {NO_BFLOAT16}; leave --cpu-bfloat16 out")
    check_writable("OUTPUT_DIR", OUTPUT_DIR)


def unlike(tasks: list[Task], unseen: list[Task], names: Iterable[str]) -> list[Task]:
    """The tasks to teach that are unlike all tasks to evaluate on, which `names` names. Raises InputError for few."""
    like = find_overlap(tasks, unseen) if tasks and unseen else {}
    if len(tasks) - len(like) < 2:
        raise InputError(
            f"only {len(tasks)} tasks to teach, and {len(like)} of them are like one of KEEP_UNSEEN: "
            "give more with --benchmarks"
        )
    if like:
        print(f"left out {len(like)} of {len(tasks)} tasks that are like one of {', '.join(names)}")
    return [task for task in tasks if task.task_id not in like]


def read_trajectories(path: str, last_alone: bool = False) -> list[Task]:
    """Conversations as lessons: the first question is the prompt, and the whole last answer is the solution."""
    if not Path(path).is_file():
        raise InputError(f"no file of trajectories {path}; give one of create_synthetic_data.py --mode trajectories")
    tasks: list[Task] = []
    for number, where, row in numbered_rows(Path(path)):
        try:
            said = [(message["role"], message["content"]) for message in row["messages"]]
        except (KeyError, TypeError) as error:
            raise InputError(f"{where}: no messages with role and content; delete the line") from error
        roles = [role for role, _ in said]
        texts = all(isinstance(text, str) and text.strip() for _, text in said)
        if roles != ["user", "assistant"] * max(1, len(said) // 2) or not texts:
            raise InputError(f"{where}: the roles are {roles}; give texts of a user and an assistant in turn")
        asked, *more = [text for _, text in said]
        earlier = tuple(zip(more[:-1:2], more[1::2], strict=True))
        name = str(row.get("task_id") or f"{Path(path).stem}/{number}")
        tasks.append(
            Lesson(name, asked, "pass", solution=more[-1], source="trajectory", earlier=earlier, last_alone=last_alone)
        )
    return tasks


def conversation(task: Task) -> list[dict[str, str]]:
    """The messages of a task. Its solution gets a fence if it has none; earlier answers stay as they were said."""
    said = messages(task)
    for answer, told in getattr(task, "earlier", ()):
        said += [{"role": "assistant", "content": answer}, {"role": "user", "content": told}]
    code_alone = task.source != "trajectory" or not fenced_blocks(task.solution)
    return [*said, {"role": "assistant", "content": fenced(task.solution) if code_alone else task.solution}]


def tokenized(tasks: list[Task], tokenizer: Any) -> list[dict[str, list[int]]]:
    """Conversations as TRL takes them: the token ids, and the labels, which are -100 outside the answers.

    One turn is what TRL makes of prompt and completion. Later ones follow as in reinforcement learning, whatever the
    template does with earlier answers: each ends with its end token, and TurnTemplate puts the message behind it.
    """
    template = turn_template(tokenizer) if any(getattr(task, "earlier", ()) for task in tasks) else None
    rows = []
    for task in tasks:
        said = conversation(task)
        rows.append(joined(said, tokenizer, template, len(said) - 2 if getattr(task, "last_alone", False) else 0))
    return rows


def turn_template(tokenizer: Any) -> TurnTemplate:
    try:
        return TurnTemplate(tokenizer, end_tokens(tokenizer, None), True)
    except InputError as error:
        raise InputError(f"TRAJECTORIES has conversations of several turns, and {error}") from None


def joined(
    said: list[dict[str, str]], tokenizer: Any, template: TurnTemplate | None, taught: int
) -> dict[str, list[int]]:
    """One conversation for tokenized(), taught from this place of the rest on; only several turns need the template."""
    asked, *rest = said
    opened = tokenizer.apply_chat_template([asked], add_generation_prompt=True)["input_ids"]
    ids: list[int] = []
    labels: list[int] = []
    for place in range(0, len(rest), 2):
        whole = tokenizer.apply_chat_template([asked, rest[place]])["input_ids"]
        # Where the answer begins; some templates end an open prompt otherwise than one with its answer
        begin = next((at for at, pair in enumerate(zip(opened, whole, strict=False)) if len({*pair}) > 1), len(opened))
        before, answer = whole[:begin], whole[begin:]
        if template and place:
            before = template.after(ids, rest[place - 1]["content"])
            before = before[: len(before) - (len(opened) - begin)]
        if template and place + 1 < len(rest):
            ends = [at for at, token in enumerate(answer, 1) if token in template.end_ids]
            answer = answer[: ends[-1]] if ends else answer
        ids += before + answer
        labels += [-100] * len(before) + (answer if place >= taught else [-100] * len(answer))
    return {"input_ids": ids, "labels": labels}


def load_tokenizer(model_path: str, threads: int) -> Any:
    """The model's tokenizer. Silences the libraries' own log lines first, and sets the number of CPU threads."""
    import torch

    from raccoon.training.policy import load_chat_tokenizer, quiet_libraries

    torch.set_num_threads(threads)
    quiet_libraries()
    return load_chat_tokenizer(model_path)


def short_enough(tasks: list[Task], tokenizer: Any, most: int) -> list[Task]:
    """The tasks whose conversation has at most `most` tokens."""
    lengths = [len(row["input_ids"]) for row in tokenized(tasks, tokenizer)]
    kept = [task for task, length in zip(tasks, lengths, strict=True) if length <= most]
    if len(kept) < 2:
        raise InputError(f"only {len(kept)} conversations have at most MAX_LENGTH {most} tokens; raise it")
    if len(kept) < len(tasks):
        print(f"left out {len(tasks) - len(kept)} tasks of over {most} tokens (MAX_LENGTH)")
    return kept


def split(tasks: list[Task], heldout_share: float, seed: int) -> tuple[list[Task], list[Task]]:
    """(to teach, held out), shuffled; at least one of each."""
    shuffled = random.Random(seed).sample(tasks, len(tasks))
    number = min(max(1, round(len(tasks) * heldout_share)), len(tasks) - 1)
    return shuffled[number:], shuffled[:number]


def load_model(model_path: str, tokenizer: Any) -> Any:
    from raccoon.training.policy import load_policy

    return load_policy(model_path, tokenizer, "float32")


def sft_config(steps: int) -> Any:
    """The constants as TRL's arguments. Each epoch saves its weights, so that the best can be loaded at the end."""
    import torch
    from trl import SFTConfig

    gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=OUTPUT_DIR,
        seed=SEED,
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH_SIZE,
        per_device_eval_batch_size=BATCH_SIZE,
        gradient_accumulation_steps=GRADIENT_ACCUMULATION,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="cosine",
        warmup_steps=round(steps * WARMUP_SHARE),
        max_length=None,
        use_cpu=not gpu,
        bf16=gpu or CPU_BFLOAT16,
        activation_checkpointing=gpu,
        train_sampling_strategy="group_by_length",  # or half of a pass is padding
        eval_strategy="epoch",
        save_strategy="epoch",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=1,
        disable_tqdm=True,
        report_to="none",
    )


def build_trainer(model: Any, config: Any, trained: list[Task], heldout: list[Task], tokenizer: Any) -> Any:
    import datasets
    from transformers import PrinterCallback
    from trl import SFTTrainer

    rows = [datasets.Dataset.from_list(tokenized(part, tokenizer)) for part in (trained, heldout)]
    trainer = SFTTrainer(model, config, None, *rows, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    return trainer


def progress_lines(steps: int, epochs: int) -> Any:
    """A callback that prints a line ten times in each epoch, with the time left, and one after each epoch."""
    from transformers import TrainerCallback

    class ProgressLines(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict, **_: Any) -> None:
            if "eval_loss" in logs and state.global_step:
                print(f"step {state.global_step}/{steps}  held-out loss {logs['eval_loss']:.4f}", flush=True)
            elif "loss" in logs and state.global_step % max(1, steps // epochs // 10) == 0:
                left = (time.monotonic() - self.started) / state.global_step * (steps - state.global_step) / 60
                print(f"step {state.global_step}/{steps}  loss {logs['loss']:.4f}  {left:.1f} minutes left", flush=True)

    return ProgressLines()


def save(trainer: Any, trained: list[Task], before: float, folder: str, values: dict[str, Any]) -> None:
    """Writes the model, its losses and the taught tasks; last config.json, which shows that everything is written."""
    history = [{"step": 0, "heldout_loss": before}]
    for record in trainer.state.log_history:
        if "eval_loss" in record and record["step"]:
            history.append({"step": record["step"], "heldout_loss": record["eval_loss"]})
    best = min(history[1:], key=lambda record: record["heldout_loss"])
    save_model(trainer.model, trainer.processing_class, folder)
    for path in Path(folder).glob("checkpoint-*"):
        shutil.rmtree(path)
    log = RunLog(folder)
    (Path(folder) / LOSSES_FILE).unlink(missing_ok=True)
    log.append(LOSSES_FILE, history)
    plain = [Task(**{name: getattr(task, name) for name in TASK_FIELDS}) for task in trained]  # without earlier turns
    write_task_file(Path(folder) / "tasks.jsonl", plain)
    # If config.json names TRAIN_FILES, an evaluation reads in tasks.jsonl which tasks the model has seen
    log.write_constants({**values, "TRAIN_FILES": []}, f"the lowest held-out loss came after step {best['step']}")
    print(
        f"saved    {folder}: held-out loss {before:.4f} before training, {best['heldout_loss']:.4f} after step "
        f"{best['step']}, which is kept ({CONFIG_FILE} has every constant)"
    )
    if best["heldout_loss"] >= before:
        print("warning: the held-out loss did not fall; lower LEARNING_RATE, or teach tasks that are more alike")


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
