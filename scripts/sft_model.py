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
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_writable, constants, override_constants, run_main
from raccoon.published.benchmarks import BENCHMARKS as KNOWN
from raccoon.published.benchmarks import load_benchmark
from raccoon.published.contamination import find_overlap
from raccoon.rewards.training_tasks import passing_tasks
from raccoon.runs.log import CONFIG_FILE, RunLog
from raccoon.sandbox.pool import Sandbox
from raccoon.savings import NO_BFLOAT16, computes_bfloat16
from raccoon.store import parse_json
from raccoon.tasks.markup import fenced_blocks
from raccoon.tasks.task import Task, numbered_lines, read_task_file, write_task_file

MODEL_PATH = "./real/base_model"  # a folder or a hub id
OUTPUT_DIR = "./real/sft_model"
SEED = 0  # decides the order of the tasks, and which are held out
CPU_THREADS = 1  # used without a GPU; on a busy machine two threads are slower than one
CPU_BFLOAT16 = False  # without a GPU, compute in bfloat16 over float32 weights, as on a GPU; not every CPU can

# What is taught
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub (env DATA_DIR)
BENCHMARKS = ["mbpp"]  # benchmarks or task files to teach; their tasks without a solution are left out
TRAJECTORIES = []  # files with a conversation on each line, which ends with the answer to teach
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
SANDBOX_TIMEOUT = 10.0  # seconds for each program

LOSSES_FILE = "losses.jsonl"
POSITIVE = frozenset(
    {"EPOCHS", "BATCH_SIZE", "GRADIENT_ACCUMULATION", "LEARNING_RATE", "MAX_LENGTH", "SANDBOX_TIMEOUT"}
)
# These do not change the model
FREE_TO_CHANGE = {"OUTPUT_DIR", "DATA_DIR", "CPU_THREADS", "SANDBOX_WORKERS", "SANDBOX_TIMEOUT"}


def main() -> None:
    check_constants()
    values = vars(constants(globals()))
    if already_made(values):
        print(f"{OUTPUT_DIR} exists already; nothing to do")
        return
    taught = load_taught()
    prepare_libraries()
    tokenizer = load_tokenizer()
    taught = short_enough(taught, tokenizer)
    trained, heldout = split(taught)
    print(f"tasks    {len(trained)} to teach, {len(heldout)} held out", flush=True)

    trainer = build_trainer(trained, heldout, tokenizer)
    before = trainer.evaluate()["eval_loss"]
    print(f"held-out loss before training {before:.4f}", flush=True)
    trainer.train()
    save(trainer, tokenizer, trained, before, values)
    print(
        "next:",
        shlex.join(
            [
                "python",
                "scripts/train_rl_poc.py",
                "--model-path",
                OUTPUT_DIR,
                "--profile-samples",
                "8",
                "--partial-credit",
                "beyond_constant",
                "--no-pay-constant-answers",
                "--output-dir",
                str(Path(OUTPUT_DIR).parent / "rl_model"),
            ]
        ),
    )


def check_constants() -> None:
    """Raises InputError for values that would otherwise fail only later."""
    for name in sorted(POSITIVE):
        if not globals()[name] > 0:
            raise InputError(f"{name} is {globals()[name]}; give a value above 0")
    if not 0 < HELDOUT_SHARE < 1:
        raise InputError(f"HELDOUT_SHARE is {HELDOUT_SHARE}; give a share between 0 and 1")
    if not (BENCHMARKS or TRAJECTORIES):
        raise InputError("nothing to teach: BENCHMARKS and TRAJECTORIES are empty; set one of them")
    if Path(OUTPUT_DIR).resolve() == Path(MODEL_PATH).resolve():
        raise InputError(f"OUTPUT_DIR {OUTPUT_DIR} is MODEL_PATH, which would be overwritten; give another")
    if CPU_BFLOAT16 and not computes_bfloat16():
        raise InputError(f"CPU_BFLOAT16 needs {NO_BFLOAT16}; leave --cpu-bfloat16 out")
    check_writable("OUTPUT_DIR", OUTPUT_DIR)


def already_made(values: dict[str, Any]) -> bool:
    """Whether an earlier run with the same constants has finished here; raises InputError if it had other constants."""
    earlier = RunLog(OUTPUT_DIR).read_config()
    if not earlier.get("ended"):
        return False
    changed = [name for name, value in values.items() if name not in FREE_TO_CHANGE and earlier.get(name) != value]
    if changed:
        raise InputError(
            f"{OUTPUT_DIR} holds a model made with other values of {', '.join(changed)}; give another --output-dir"
        )
    return True


def load_taught() -> list[Task]:
    """The tasks to teach; their solution is the answer. They are checked, and unlike all tasks of KEEP_UNSEEN."""
    tasks = [task for name in BENCHMARKS for task in load(name)]
    solved = [task for task in tasks if task.solution]
    with Sandbox(SANDBOX_WORKERS or None, SANDBOX_TIMEOUT) as sandbox:
        taught = passing_tasks(solved, sandbox, True, SKIP_FAILING_TASKS) if solved else []
    taught += [task for path in TRAJECTORIES for task in read_trajectories(path)]
    unseen = [task for name in KEEP_UNSEEN for task in load(name)]
    like = find_overlap(taught, unseen) if taught and unseen else {}
    if len(taught) - len(like) < 2:
        raise InputError(
            f"only {len(taught)} tasks to teach, and {len(like)} of them are like one of KEEP_UNSEEN: "
            "give more with --benchmarks"
        )
    if like:
        print(f"left out {len(like)} of {len(taught)} tasks that are like one of {', '.join(KEEP_UNSEEN)}")
    return [task for task in taught if task.task_id not in like]


def load(name: str) -> list[Task]:
    """The tasks of a benchmark or of a task file."""
    return load_benchmark(name, DATA_DIR) if name in KNOWN else read_task_file(name)


def read_trajectories(path: str) -> list[Task]:
    """Conversations as tasks: the question is the prompt, and the whole answer is the solution."""
    if not Path(path).is_file():
        raise InputError(f"no file of trajectories {path}; give one of create_synthetic_data.py --mode trajectories")
    tasks = []
    for number, line in numbered_lines(Path(path)):
        where = f"{path}, line {number}"
        row = parse_json(line, where)
        try:
            question, answer = row["messages"]
            asked, told = question["content"], answer["content"]
            roles = question["role"], answer["role"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: no message of a user and one of an assistant; delete the line") from error
        if roles != ("user", "assistant") or not all(isinstance(text, str) and text.strip() for text in (asked, told)):
            raise InputError(f"{where}: the roles are {roles}; give a text of a user and then one of an assistant")
        tasks.append(
            Task(
                str(row.get("task_id") or f"{Path(path).stem}/{number}"),
                asked,
                "pass",
                solution=told,
                source="trajectory",
            )
        )
    return tasks


def conversation(task: Task) -> dict[str, list[dict[str, str]]]:
    """A task as TRL takes it: the loss is that of the completion alone."""
    fenced = task.source == "trajectory" and fenced_blocks(task.solution)
    answer = task.solution if fenced else f"```python\n{task.solution.strip()}\n```"
    return {
        "prompt": [{"role": "user", "content": task.prompt}],
        "completion": [{"role": "assistant", "content": answer}],
    }


def prepare_libraries() -> None:
    """Silences the libraries' own log lines, and sets the number of CPU threads."""
    import torch

    from raccoon.training.policy import quiet_libraries

    torch.set_num_threads(CPU_THREADS)
    quiet_libraries()


def load_tokenizer() -> Any:
    from raccoon.training import policy

    return policy.load_chat_tokenizer(MODEL_PATH)


def short_enough(tasks: list[Task], tokenizer: Any) -> list[Task]:
    """The tasks whose conversation has at most MAX_LENGTH tokens."""
    talks = [each["prompt"] + each["completion"] for each in map(conversation, tasks)]
    lengths = [len(ids) for ids in tokenizer.apply_chat_template(talks)["input_ids"]]
    kept = [task for task, length in zip(tasks, lengths, strict=True) if length <= MAX_LENGTH]
    if len(kept) < 2:
        raise InputError(f"only {len(kept)} conversations have at most MAX_LENGTH {MAX_LENGTH} tokens; raise it")
    if len(kept) < len(tasks):
        print(f"left out {len(tasks) - len(kept)} tasks of over {MAX_LENGTH} tokens (MAX_LENGTH)")
    return kept


def split(tasks: list[Task]) -> tuple[list[Task], list[Task]]:
    """(to teach, held out), shuffled; at least one of each."""
    shuffled = random.Random(SEED).sample(tasks, len(tasks))
    number = min(max(1, round(len(tasks) * HELDOUT_SHARE)), len(tasks) - 1)
    return shuffled[number:], shuffled[:number]


def build_trainer(trained: list[Task], heldout: list[Task], tokenizer: Any) -> Any:
    import datasets
    import torch
    from transformers import PrinterCallback
    from trl import SFTTrainer

    from raccoon.training.policy import load_policy

    steps = EPOCHS * -(-len(trained) // (BATCH_SIZE * GRADIENT_ACCUMULATION))
    trained_rows, heldout_rows = (
        datasets.Dataset.from_list(list(map(conversation, part))) for part in (trained, heldout)
    )
    gpu = torch.cuda.is_available()
    trainer = SFTTrainer(
        model=load_policy(MODEL_PATH, tokenizer, "float32"),
        args=sft_config(steps, gpu),
        train_dataset=trained_rows,
        eval_dataset=heldout_rows,
        processing_class=tokenizer,
        callbacks=[progress_lines(steps)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def sft_config(steps: int, gpu: bool) -> Any:
    """The constants as TRL's arguments. Each epoch saves its weights, so that the best can be loaded at the end."""
    from trl import SFTConfig

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
        completion_only_loss=True,
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


def progress_lines(steps: int) -> Any:
    """A callback that prints a line ten times in each epoch, with the time left, and one after each epoch."""
    from transformers import TrainerCallback

    class ProgressLines(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict, **_: Any) -> None:
            if "eval_loss" in logs and state.global_step:
                print(f"step {state.global_step}/{steps}  held-out loss {logs['eval_loss']:.4f}", flush=True)
            elif "loss" in logs and (state.global_step % max(1, steps // EPOCHS // 10) == 0):
                left = (time.monotonic() - self.started) / state.global_step * (steps - state.global_step)
                print(
                    f"step {state.global_step}/{steps}  loss {logs['loss']:.4f}  {left / 60:.1f} minutes left",
                    flush=True,
                )

    return ProgressLines()


def save(trainer: Any, tokenizer: Any, trained: list[Task], before: float, values: dict[str, Any]) -> None:
    """Writes the model, its losses and the taught tasks; last config.json, which shows that everything is written."""
    history = [{"step": 0, "heldout_loss": before}]
    history += [
        {"step": record["step"], "heldout_loss": record["eval_loss"]}
        for record in trainer.state.log_history
        if "eval_loss" in record and record["step"]
    ]
    best = min(history[1:], key=lambda record: record["heldout_loss"])
    trainer.model.save_pretrained(OUTPUT_DIR)
    tokenizer.save_pretrained(OUTPUT_DIR)
    for path in Path(OUTPUT_DIR).glob("checkpoint-*"):
        shutil.rmtree(path)
    log = RunLog(OUTPUT_DIR)
    (Path(OUTPUT_DIR) / LOSSES_FILE).unlink(missing_ok=True)
    log.append(LOSSES_FILE, history)
    write_task_file(Path(OUTPUT_DIR) / "tasks.jsonl", trained)
    # If config.json names TRAIN_FILES, an evaluation reads in tasks.jsonl which tasks the model has seen
    log.write_constants({**values, "TRAIN_FILES": []}, f"the lowest held-out loss came after step {best['step']}")
    print(
        f"saved    {OUTPUT_DIR}: held-out loss {before:.4f} before training, {best['heldout_loss']:.4f} after step "
        f"{best['step']}, which is kept ({CONFIG_FILE} has every constant)"
    )
    if best["heldout_loss"] >= before:
        print("warning: the held-out loss did not fall; lower LEARNING_RATE, or teach tasks that are more alike")


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
