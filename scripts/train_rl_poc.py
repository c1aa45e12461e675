"""Improves an SFT'd code model with GRPO on a reward that comes from executing its code.

It does not make the SFT model (sft_model.py does, and demo_model.py in miniature). It does not say whether the result
is better (evaluate_models.py does). To continue a stopped run, give the same command again.

    python scripts/train_rl_poc.py --demo                           # a tiny model, on any CPU
    python scripts/train_rl_poc.py --model-path ./my-sft-model --output-dir ./my-rl-model
    python scripts/train_rl_poc.py --plan --plan-gpus 2x141         # print memory, time and disk; load nothing
    python scripts/train_rl_poc.py --help                           # every constant is a flag

On one GPU, --use-lora --learning-rate 5e-5 trains adapters over a bfloat16 base model. The saved model has them merged
in, in float32; they also lie in OUTPUT_DIR/lora_adapter. By arithmetic, not by measurement, 80 GB are enough for a 14B
model and 24 GB for a 1.5B model.

Inputs:  MODEL_PATH; MBPP and HumanEval from the hub or DATA_DIR; task files (TRAIN_FILES, HELDOUT).
Outputs: OUTPUT_DIR with the model and tokenizer, config.json (every constant, beside the model's own keys),
         tasks.jsonl, metrics.jsonl (one line for each step), completions.jsonl (one for each completion),
         heldout.jsonl (one for each check), checkpoint-*, STOPPED.json (only while a run is unfinished),
         report.html (make_report.py can also write it during the run), README.md (from model_card.py).
Exit:    0 trained; 1 stopped by a fault; 2 bad input; 128 + n stopped by signal n, with a checkpoint.
"""

import os
import shlex
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from raccoon.constants import RunError, Settings, constants, override_constants, run_main
from raccoon.gpus import use_gpus, visible_gpus
from raccoon.launch import check_grace, is_launched, relaunch_under_accelerate, world_size
from raccoon.planning.advice import report
from raccoon.planning.memory import find_machine
from raccoon.recipe.building import build_trainer, worth_training_on
from raccoon.recipe.description import describe, plan_lines
from raccoon.recipe.preparation import Machines, prepare
from raccoon.recipe.reward_source import Servers, open_servers
from raccoon.recipe.settings import mixed_precision, planned_setting
from raccoon.recipe.task_selection import load_tasks, schedule, short_enough
from raccoon.runs.checkpoints import checkpoint_step, hold_folder, resume_point
from raccoon.runs.stop import StopSignal
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import write_task_file

# The model and the run
MODEL_PATH = "billxbf/Nano-Raccoon-Preview-1104"  # the SFT model to improve: a folder or a hub id
OUTPUT_DIR = "./nano-raccoon-rl"  # folder for this run alone
SEED = 42  # decides the order of tasks and the sampling
RESUME = True  # continue from the newest whole checkpoint in OUTPUT_DIR; False refuses a folder that holds a run
ENABLE_THINKING = False  # passed to the chat template; False makes models like Qwen3 answer without reasoning first
CPU_THREADS = 1  # used without a GPU; on a busy machine two threads are slower than one
CPU_BFLOAT16 = False  # without a GPU, compute in bfloat16 over float32 weights, as on a GPU; not every CPU can

# The machine
PROCESSES = 0  # 0: one for each visible GPU, or one on the CPU; a smaller number leaves the other GPUs unused
REPLICAS = 1  # copies of the model (HSDP); one for each machine keeps the exchange of weights inside a machine
PLAN = False  # print how much memory, time and disk a run needs, and stop
PLAN_GPUS = ""  # plan for these GPUs, number x GiB, like 2x141; "": the GPUs of this machine
DRY_RUN = False  # check and load everything, make one pass at full length, and stop
PROBE_LONGEST = True  # on GPUs, make that pass before the first step too, so that a lack of memory shows at once
ALLOW_UNFIT = False  # start even if the plan says that memory or disk is too small

# The batch: BATCH_SIZE x GRADIENT_ACCUMULATION x processes completions a step, in groups of NUM_GENERATIONS
BATCH_SIZE = 4  # completions in one forward and backward pass of a process
GRADIENT_ACCUMULATION = 4  # passes a step
NUM_GENERATIONS = 4  # completions of one prompt; an advantage is the reward minus the mean of this group
MAX_STEPS = 500  # optimizer steps

# Sampling
TEMPERATURE = 0.8  # of sampling; a higher value explores more
TOP_P = 1.0  # share of the probability mass to sample from; a value below 1 biases the importance ratios
TOP_K = 0  # number of likeliest tokens to sample from; 0: all tokens, because fewer bias the ratios too
# The engine that samples completions: "transformers"; "lean", which reads the prompt of a group only once and drops
# completions from the batch when they end; "vllm" (requirements-vllm.txt), faster, mostly on GPUs
GENERATION = "transformers"
VLLM_MODE = "colocate"  # vLLM runs in this process; or "server": it runs elsewhere and leaves this GPU to training
VLLM_SERVER_URL = "http://127.0.0.1:8000"  # of that server; SETUP_GUIDE.md says how to start it
VLLM_MEMORY_SHARE = 0.27  # share of each GPU while vLLM generates; the weights of a 14B model alone need 29.5 GB
VLLM_RATIO_CAP = 2.0  # largest weight of a token in the loss: its probability by the policy / by vLLM
MAX_COMPLETION_LENGTH = 1024  # tokens; a completion cut at this length never counts as a PASS
STOP_AT_FENCE = False  # end a completion when its code fence closes; saves the time for the text after the code
MAX_PROMPT_LENGTH = 512  # tokens; tasks with longer prompts are left out, not cut

# The optimizer
MASTER_WEIGHTS = "float32"  # type of the trained weights; "bfloat16" halves the memory and learns far worse
OPTIMIZER = "adamw_torch_fused"  # or "adamw_torch_8bit" (pip install torchao): its moments take a quarter of the memory
LEARNING_RATE = 5e-6  # for float32 weights; with bfloat16 weights most updates of this size round to nothing
LR_SCHEDULER = "constant_with_warmup"  # a short run then equals the start of a longer one
WARMUP_STEPS = 5  # Adam's moments need some gradients first; step 1 of a warm-up has a rate of 0, so 1 means none
ADAM_BETA2 = 0.999  # decay of Adam's second moment; use 0.98 for a run of about 100 steps
WEIGHT_DECAY = 0.0  # decay would pull the weights towards zero, away from the SFT model
MAX_GRAD_NORM = 1.0  # gradients are clipped to this norm

# The objective
LOSS_TYPE = "dapo"  # gives every token of the batch the same weight (arXiv 2503.14476); "grpo" favours short answers
SCALE_REWARDS = "none"  # divide advantages by nothing (arXiv 2503.20783), or by the deviation of "batch" or "group"
EPSILON = 0.2  # clip range of the ratio below 1
# Clip range above 1 (arXiv 2503.14476); both matter only if NUM_ITERATIONS > 1. LOSS_TYPE "cispo" takes EPSILON_HIGH as
# the largest ratio itself: give it a value like 5 (arXiv 2510.13786)
EPSILON_HIGH = 0.28
BETA = 0.0  # weight of the KL term; 0 needs no reference model in memory
NUM_ITERATIONS = 1  # steps on one set of completions
MASK_TRUNCATED = False  # completions that were cut: False scores them as FAIL, True leaves them out of the loss
SKIP_ROWS_WITHOUT_SIGNAL = False  # leave completions with advantage 0 out of the update: same gradient, less time
SHARE_PROMPTS = False  # without a GPU: a pass computes each prompt once (arXiv 2506.05433): same gradient, less time
MAX_REFILLS = 0  # how often a step may replace groups whose members all score the same (arXiv 2503.14476)

# LoRA instead of full fine-tuning
USE_LORA = False  # train adapters and merge them at the end; fits one GPU
LORA_RANK = 32  # of the adapters
LORA_ALPHA = 64  # scale of the adapters: twice the rank
LORA_TARGETS = "all-linear"  # every linear layer except the output head

# The tasks
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub
TRAINING_SETS = ["mbpp", "humaneval"]  # MBPP without its prompt split (420 tasks), HumanEval (164); "": none
BENCHMARK_TASKS = True  # False: do not train on TRAINING_SETS
TRAIN_FILES = []  # more task files to train on
REPORTED_BENCHMARKS = []  # benchmarks to report later: tasks that are like one of theirs are not trained on
ALLOW_SHARED_TESTS = False  # accept tests that must run in the same process as the code, which could forge a PASS
SKIP_FAILING_TASKS = False  # leave out tasks that fail their own solution; False refuses to start
PROFILE_SAMPLES = 0  # completions of each task before training; tasks on which they all score the same are left out
MAX_CONSTANT_SHARE = 0.9  # the run is refused if that profile predicts a larger share of groups without a signal

# Held-out control: tasks that are never trained on; each check is paired with the model before training
HELDOUT = "mbpp_full"  # a benchmark or task file, without the tasks trained on; "": no control
HELDOUT_TASKS = 100  # number of these tasks, always the same ones
HELDOUT_EVERY = 50  # steps between two checks
HELDOUT_TEMPERATURE = 0.0  # 0: greedy
HELDOUT_PATIENCE = 0  # stop after so many checks in a row without a better one; 0: never

# The reward: correctness by verdict, then bonuses, then the clamp
REWARD_PASS = 1.0  # the code passes every test
REWARD_PARTIAL = 0.2  # the code runs, and a test fails
REWARD_FAIL = -0.5  # the code does not run: no code, syntax error, exception, timeout, memory, forbidden call
# What a PARTIAL earns. "flat": REWARD_PARTIAL. "fraction": REWARD_PARTIAL times the share of tests passed.
# "beyond_constant": from REWARD_FAIL up to REWARD_PARTIAL, by the number of tests passed beyond those that the best
# constant answer (like `return 2`) passes. "off": REWARD_FAIL.
PARTIAL_CREDIT = "flat"
PAY_CONSTANT_ANSWERS = True  # False: an answer that ignores its arguments earns REWARD_FAIL, whatever it passes
QUALITY_BONUS = 0.05  # for each of: a docstring, short lines, a short response, type hints
BONUS_ONLY_WITH_PASS = False  # True: bonuses only with a PASS, so that a wrong answer earns nothing for its style
MAX_LINE = 120  # characters; every line of the code must be shorter
MAX_RESPONSE = 3000  # characters; the whole completion, with its text around the code, must be shorter
REWARD_MIN = -1.0  # lowest reward: the sum is clamped to it
REWARD_MAX = 1.5  # highest reward

# The LLM judge, on any OpenAI-compatible server (reward_llm_judge.py measures how good a judge is)
REWARD = "execution"  # or "judge", or "both"; the code is always executed and its verdict logged
REWARD_WEIGHTS = [1.0, 1.0]  # of execution and judge, for "both"; score 0 is worth REWARD_FAIL, score 1 REWARD_PASS
JUDGE_BASE_URL = "http://127.0.0.1:8000/v1"  # of the judge's server
JUDGE_MODEL = ""  # name of the judge on that server
JUDGE_KEY_ENV = ""  # environment variable that holds the key; "": no key
JUDGE_TIMEOUT = 120.0  # seconds a request
JUDGE_BATCH_TIMEOUT = 900.0  # seconds for all requests of a step; completions not judged by then have no reward
JUDGE_CONCURRENCY = 16  # requests at once, for each process

# Finding the code in a completion
CODE_EXTRACTION_METHOD = "regex"  # or "llm": ask a model if the regular expressions find no program that parses
EXTRACTION_BASE_URL = "http://127.0.0.1:8000/v1"  # of that model's server
EXTRACTION_MODEL = ""  # name of the model on that server
EXTRACTION_KEY_ENV = ""  # environment variable that holds the key; "": no key

# The sandbox that runs the code
SANDBOX_WORKERS = 0  # programs at once; 0: one for each CPU of this process
SANDBOX_TIMEOUT = 10.0  # seconds for each program
SANDBOX_MEMORY_MB = 1024  # for each program
ALLOW_WEAK_SANDBOX = False  # train even if the kernel lacks some of the sandbox's walls

# What is kept
SAVE_STEPS = 50  # steps between checkpoints
SAVE_TOTAL_LIMIT = 2  # checkpoints to keep: the newest, the best, then older ones; a 14B model's takes about 177 GB
REPORT_TO = "none"  # or "tensorboard", "trackio", "wandb": send the metrics there too

DEMO = {
    "MODEL_PATH": "./demo/sft_model",
    "OUTPUT_DIR": "./demo/rl_model",
    "SEED": 0,
    "PROCESSES": 1,  # the batch is set for one process
    "BATCH_SIZE": 64,
    "GRADIENT_ACCUMULATION": 1,
    "NUM_GENERATIONS": 8,
    "MAX_STEPS": 90,
    "TEMPERATURE": 1.0,
    "MAX_COMPLETION_LENGTH": 110,
    "LEARNING_RATE": 2e-4,
    "ADAM_BETA2": 0.98,
    "TRAINING_SETS": [],
    "TRAIN_FILES": ["./demo/train_tasks.jsonl"],
    "HELDOUT": "./demo/heldout_tasks.jsonl",  # only watched; the saved model is that of the last step
    "BONUS_ONLY_WITH_PASS": True,
    "HELDOUT_TASKS": 64,
    "HELDOUT_EVERY": 30,
    "SAVE_STEPS": 30,
}


def train(trainer: Any, checkpoint: Path | None, stop: StopSignal) -> None:
    """Trains to the last step; ends the process if a signal or a sentinel stops the run earlier."""
    step = checkpoint_step(checkpoint) if checkpoint else 0
    if not trainer.agreed(stop):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        step = trainer.state.global_step
    reason = trainer.stop_reason or stop.name
    if reason:
        if trainer.accelerator.is_main_process:
            trainer.run_log.write_stopped(reason, step)
        print(f"stopped after step {step}: {reason}; give the same command to continue", flush=True)
        sys.exit(128 + stop.number if stop.number else 1)


def write_report(folder: str) -> None:
    """Runs make_report.py and model_card.py on the run's logs. A failure of one is a warning, not an error."""
    for name in ("make_report.py", "model_card.py"):
        command = [sys.executable, str(Path(__file__).with_name(name)), folder]
        if subprocess.run(command, check=False).returncode:
            print(
                f"warning: {name} failed; see its message above, and run it again:\n"
                f"python scripts/{name} {shlex.quote(folder)}",
                flush=True,
            )


def main() -> None:
    settings = constants(globals())
    if PLAN:
        machine = replace(find_machine(PLAN_GPUS), replicas=REPLICAS)
        print(report(MODEL_PATH, planned_setting(settings), machine, LORA_RANK))
        return
    gpus, stop = visible_gpus(), StopSignal()
    processes = world_size() if is_launched() else use_gpus(PROCESSES, gpus)
    if is_launched() or processes == 1:
        stop.install()  # a process that will become a launcher passes signals on instead
    if gpus:
        check_grace()
    machines = prepare(settings, processes, gpus, DEMO["MODEL_PATH"])
    relaunch_under_accelerate(processes, bool(gpus) and not USE_LORA, mixed_precision(settings, gpus))
    limits = {"timeout": SANDBOX_TIMEOUT, "memory_mb": SANDBOX_MEMORY_MB, "allow_weak": ALLOW_WEAK_SANDBOX}
    with Sandbox(SANDBOX_WORKERS or None, **limits) as sandbox, ExitStack() as stack:
        run(settings, sandbox, open_servers(settings, stack), stop, machines)


def run(settings: Settings, sandbox: Sandbox, servers: Servers, stop: StopSignal, machines: Machines) -> None:
    """Loads, trains, saves, and prints the next command."""
    tasks, heldout = load_tasks(settings, sandbox)

    from raccoon.training.export import save_policy
    from raccoon.training.policy import load_chat_tokenizer, prompt_lengths, quiet_libraries

    quiet_libraries()
    tokenizer = load_chat_tokenizer(MODEL_PATH)
    lengths = prompt_lengths(tasks, tokenizer, ENABLE_THINKING)
    tasks = short_enough(tasks, lengths, MAX_PROMPT_LENGTH)
    describe(settings, tasks, lengths, heldout, sandbox, machines)

    if os.environ.get("RANK", "0") == "0" and not DRY_RUN:
        hold_folder(OUTPUT_DIR)  # before the run's first write
    checkpoint = None if DRY_RUN else resume_point(OUTPUT_DIR, machines.processes)
    trainer = build_trainer(settings, tasks, [] if DRY_RUN else heldout, tokenizer, sandbox, servers, stop, machines)
    joined = trainer.accelerator.num_processes
    if joined != machines.processes:
        raise RunError(
            f"{machines.processes} processes were started, but accelerate joined {joined} of them; start "
            "the script directly, with accelerate launch, or with torchrun"
        )
    if trainer.accelerator.is_main_process and not DRY_RUN:
        write_task_file(Path(OUTPUT_DIR) / "tasks.jsonl", tasks)
        trainer.run_log.write_constants(vars(settings))
    useful = tasks if DRY_RUN else worth_training_on(settings, trainer, tasks)
    prompts_per_step = BATCH_SIZE * GRADIENT_ACCUMULATION * machines.processes // NUM_GENERATIONS
    trainer.train_on(useful, schedule(useful, prompts_per_step * MAX_STEPS // NUM_ITERATIONS, SEED))
    train(trainer, checkpoint, stop)
    if machines.gpus:
        peak = max(record["peak_memory_gb"] for record in trainer.metrics)
        print(f"memory   peak {peak:.3g} GB a GPU, measured\n{plan_lines(settings, machines.planned)}")

    save_policy(trainer, OUTPUT_DIR)
    if trainer.accelerator.is_main_process:
        trainer.run_log.write_constants(vars(settings), trainer.ended)
        write_report(OUTPUT_DIR)
    print(
        f"saved    {OUTPUT_DIR}; check whether its rewards were earned:\n"
        f"python scripts/reward_integrity.py {shlex.quote(OUTPUT_DIR)}\n"
        "and compare it with the model before training:\n"
        f"python scripts/evaluate_models.py --models {shlex.join([MODEL_PATH, OUTPUT_DIR])}"
    )


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
