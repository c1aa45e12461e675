"""Improves an SFT'd code model with GRPO on a reward that comes from executing its code.

It does not make the SFT model (sft_model.py does, and demo_model.py in miniature), nor say whether the result is better
(evaluate_models.py does). To continue a stopped run, give the same command again.

    python scripts/train_rl_poc.py --demo                           # a tiny model, on any CPU
    python scripts/train_rl_poc.py --model-path ./my-sft-model --output-dir ./my-rl-model
    python scripts/train_rl_poc.py --plan --plan-gpus 2x141         # print memory, time and disk; load nothing
    python scripts/train_rl_poc.py --help                           # every constant is a flag

On one GPU, --use-lora --learning-rate 5e-5 trains adapters over a bfloat16 base model. The saved model has them merged
in, in float32; they also lie in OUTPUT_DIR/lora_adapter. By arithmetic, not by measurement, 80 GB are enough for a 14B
model and 24 GB for a 1.5B model.

Inputs:  MODEL_PATH; MBPP and HumanEval from the hub or DATA_DIR; task files (TRAIN_FILES, HELDOUT).
Outputs: OUTPUT_DIR with the model and tokenizer, tasks.jsonl, checkpoint-*, report.html and README.md (the model card),
         and the logs that raccoon/runs/log.py describes.
Exit:    0 trained; 1 stopped by a fault; 2 bad input; 128 + n stopped by signal n, with a checkpoint.
"""

import os
import shlex
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_positive, constants, override_constants, run_main
from raccoon.gpus import machine_memory_gb, use_gpus, visible_gpus
from raccoon.launch import StopSignal, check_grace, check_joined, is_launched, relaunch_under_accelerate, world_size
from raccoon.llm.client import Endpoint
from raccoon.model_files import hub_token
from raccoon.planning.advice import check_disk, check_gpus, check_memory, check_model, plan_lines, plan_of, report
from raccoon.planning.memory import Machine, Plan, Setting, find_machine, rows_outside_steps
from raccoon.rewards.execution import Chat, RewardTable
from raccoon.rewards.lazy_answers import lazy_line
from raccoon.rewards.llm_reward import MakeReward, RewardSource
from raccoon.rewards.training_tasks import TaskChoice, load_tasks, schedule, short_enough, worth_training_on
from raccoon.runs.checkpoints import check_folder, checkpoint_step, hold_folder, resume_point
from raccoon.runs.heldout import Heldout
from raccoon.runs.log import RunLog
from raccoon.sandbox.pool import Sandbox
from raccoon.savings import REPLACED_FLAGS
from raccoon.serving.remote import open_sandbox
from raccoon.tasks.prompts import prompt_lengths
from raccoon.tasks.task import Task, write_task_file
from raccoon.training.sections import Batch, Objective, Optimizer, Sampling, Training, Turns, grpo_config
from raccoon.training.vllm_rollouts import Vllm
from raccoon.vllm_engine import prepare_vllm

# The model and the run
MODEL_PATH = "billxbf/Nano-Raccoon-Preview-1104"  # the SFT model to improve: a folder or a hub id
OUTPUT_DIR = "./nano-raccoon-rl"  # folder for this run alone
SEED = 42  # decides the order of tasks and the sampling
RESUME = True  # continue from the newest whole checkpoint in OUTPUT_DIR; False refuses a folder that holds a run
ENABLE_THINKING = False  # passed to the chat template; False makes models like Qwen3 answer without reasoning first
CPU_THREADS = 1  # used without a GPU; on a busy machine two threads are slower than one
# What makes a run cheaper, mostly without a GPU: "generation", "prompts", "rows", "fence", "bfloat16" (POC_README.md)
SAVINGS: list[str] = []

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
GENERATION = "transformers"  # the engine that samples; or "vllm" (requirements-vllm.txt), faster, mostly on GPUs
VLLM_MODE = "colocate"  # vLLM runs in this process; or "server": it runs elsewhere and leaves this GPU to training
VLLM_SERVER_URL = "http://127.0.0.1:8000"  # of that server; SETUP_GUIDE.md says how to start it
VLLM_MEMORY_SHARE = 0.27  # share of each GPU while vLLM generates; the weights of a 14B model alone need 29.5 GB
VLLM_RATIO_CAP = 2.0  # largest weight of a token in the loss: its probability by the policy / by vLLM
MAX_COMPLETION_LENGTH = 1024  # tokens of one answer; a completion cut at this length never counts as a PASS
MAX_PROMPT_LENGTH = 512  # tokens; tasks with longer prompts are left out, not cut

# Several turns: the policy reads what its code did with the tests that it may see, and answers again
MAX_TURNS = 1  # answers of a conversation at most; its last one is rewarded
MAX_FEEDBACK = 1000  # characters of feedback after an answer
TURN_DISCOUNT = 0.9  # a positive reward is multiplied by it for each turn after the first

# The optimizer
MASTER_WEIGHTS = "float32"  # type of the trained weights; "bfloat16" halves the memory and learns far worse
OPTIMIZER = "adamw_torch_fused"  # or "adamw_torch_8bit" (pip install torchao): its moments take a quarter of the memory
LEARNING_RATE = 5e-6  # for float32 weights; bfloat16 ones would round most such updates away, adapters need about 5e-5
LR_SCHEDULER = "constant_with_warmup"  # a short run then equals the start of a longer one
WARMUP_STEPS = 5  # Adam's moments need some gradients first; step 1 of a warm-up has a rate of 0, so 1 means none
ADAM_BETA2 = 0.999  # decay of Adam's second moment; use 0.98 for a run of about 100 steps
WEIGHT_DECAY = 0.0  # decay would pull the weights towards zero, away from the SFT model
MAX_GRAD_NORM = 1.0  # gradients are clipped to this norm

# The objective
LOSS_TYPE = "dapo"  # gives every token of the batch the same weight (arXiv 2503.14476); "grpo" favours short answers
# Divide advantages by nothing (arXiv 2503.20783), by the deviation of "batch" or "group", or by the "mean" of the group
# (MaxRL, arXiv 2602.02710: hard tasks count more), which needs 0 for every answer that does not pass
SCALE_REWARDS = "none"
EPSILON = 0.2  # clip range of the ratio below 1
# Clip range above 1 (arXiv 2503.14476); both matter only if NUM_ITERATIONS > 1. LOSS_TYPE "cispo" takes EPSILON_HIGH as
# the largest ratio itself: give it a value like 5 (arXiv 2510.13786)
EPSILON_HIGH = 0.28
BETA = 0.0  # weight of the KL term; 0 needs no reference model in memory
NUM_ITERATIONS = 1  # steps on one set of completions
# Completions that were cut: False scores them as FAIL, True leaves them out of the loss, "passed" leaves out only those
# whose code passes all the same (arXiv 2603.07777)
MASK_TRUNCATED: bool | str = False
# More of TRL's GRPOConfig, like {"importance_sampling_level": "sequence"}; its flag takes JSON
GRPO_OPTIONS: dict[str, Any] = {}
MAX_REFILLS = 0  # how often a step may replace groups whose members all score the same (arXiv 2503.14476)

# LoRA instead of full fine-tuning
USE_LORA = False  # train adapters and merge them at the end; fits one GPU
LORA_RANK = 32  # of the adapters
LORA_ALPHA = 64  # scale of the adapters: twice the rank
LORA_TARGETS = "all-linear"  # every linear layer except the output head
LORA_MERGE = True  # False: OUTPUT_DIR gets only the adapters, which the evaluation, vLLM and peft load over their base
LORA_OPTIONS: dict[str, Any] = {}  # more of peft's LoraConfig, like {"use_dora": true} (arXiv 2512.23165); flag: JSON

# The tasks
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub
TRAINING_SETS: list[str] = ["mbpp", "humaneval"]  # MBPP without its prompt split (420 tasks), HumanEval (164); "": none
BENCHMARK_TASKS = True  # False: do not train on TRAINING_SETS
TRAIN_FILES: list[str] = []  # more task files to train on
REPORTED_BENCHMARKS: list[str] = []  # benchmarks or task files to report later: tasks like theirs are left out
ALLOW_SHARED_TESTS = False  # accept tests that must run in the same process as the code, which could forge a PASS
# Add tests to the training tasks, made from their solutions (strengthen_tests.py); the log then has both verdicts
STRENGTHEN = False
SKIP_FAILING_TASKS = False  # leave out tasks that fail their own solution; False refuses to start
PROFILE_SAMPLES = 0  # completions of each task before training; tasks on which they all score the same are left out
MAX_CONSTANT_SHARE = 0.9  # the run is refused if that profile predicts a larger share of groups without a signal

# Held-out control: tasks that are never trained on; each check is paired with the model before training
HELDOUT = "mbpp_full"  # a benchmark or task file, without the tasks trained on; "": no control
HELDOUT_TASKS = 100  # number of these tasks, always the same ones
HELDOUT_EVERY = 50  # steps between two checks; the last step is always checked
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
SANDBOX_URLS: list[str] = []  # servers that run it (sandbox.py --serve), on other machines; empty: this machine
SANDBOX_WORKERS = 0  # programs at once; 0: one for each CPU of this process
SANDBOX_TIMEOUT = 10.0  # CPU seconds for each program; it may wait about as long again
SANDBOX_MEMORY_MB = 1024  # for each program
ALLOW_WEAK_SANDBOX = False  # train even if the kernel lacks some of the sandbox's walls

# What is kept
SAVE_STEPS = 50  # steps between checkpoints
SAVE_TOTAL_LIMIT = 2  # checkpoints to keep: the newest, the best, then older ones; a 14B model's takes about 177 GB
REPORT_TO: list[str] = ["none"]  # or trackers of transformers for the metrics, like "tensorboard", "wandb", "mlflow"
PUSH_TO_HUB = ""  # owner/name: upload model and card at the end, in private; the token comes from the variable HF_TOKEN
CALLBACKS: list[str] = []  # more transformers callbacks, as "module:name" or "file.py:name" (POC_README.md)

DEMO: dict[str, Any] = {
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


@dataclass(frozen=True)
class Recipe:
    """The sections of a run. Each is defined and checked in the room that takes it."""

    training: Training
    tasks: TaskChoice
    heldout: Heldout
    table: RewardTable
    source: RewardSource
    values: dict[str, Any]  # all constants, for config.json
    dry_run: bool
    probe_longest: bool


def planned_setting() -> Setting:
    """The constants that decide memory, time and disk."""
    turns = Turns(MAX_TURNS, MAX_FEEDBACK)
    return Setting(
        batch_size=BATCH_SIZE,
        gradient_accumulation=GRADIENT_ACCUMULATION,
        prompt=MAX_PROMPT_LENGTH,
        completion=turns.tokens(MAX_COMPLETION_LENGTH),
        feedback=turns.tokens(0),
        weights="float32" if USE_LORA else MASTER_WEIGHTS,
        optimizer=OPTIMIZER,
        lora_rank=LORA_RANK if USE_LORA else 0,
        vllm=VLLM_MODE if GENERATION == "vllm" else "",
        vllm_share=VLLM_MEMORY_SHARE,
        reference=BETA > 0 and not USE_LORA,
        whole_logits=not {"prompts", "bfloat16"}.isdisjoint(SAVINGS),
        max_steps=MAX_STEPS,
        save_steps=SAVE_STEPS,
        save_total_limit=SAVE_TOTAL_LIMIT,
    )


def training_sections(processes: int, gpus: int) -> Training:
    """The constants that make TRL's arguments."""
    return Training(
        processes=processes,
        gpus=gpus,
        model_path=MODEL_PATH,
        weights=MASTER_WEIGHTS,
        adapters={"r": LORA_RANK, "lora_alpha": LORA_ALPHA, "target_modules": LORA_TARGETS} if USE_LORA else {},
        adapter_options=LORA_OPTIONS,
        options=GRPO_OPTIONS,
        batch=Batch(BATCH_SIZE, GRADIENT_ACCUMULATION, NUM_GENERATIONS, NUM_ITERATIONS, MAX_STEPS),
        sampling=Sampling(TEMPERATURE, TOP_P, TOP_K, MAX_COMPLETION_LENGTH, MAX_PROMPT_LENGTH, ENABLE_THINKING),
        turns=Turns(MAX_TURNS, MAX_FEEDBACK),
        objective=Objective(LOSS_TYPE, SCALE_REWARDS, EPSILON, EPSILON_HIGH, BETA, MASK_TRUNCATED),
        optimizer=Optimizer(
            optim=OPTIMIZER,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type=LR_SCHEDULER,
            warmup_steps=WARMUP_STEPS,
            adam_beta2=ADAM_BETA2,
            weight_decay=WEIGHT_DECAY,
            max_grad_norm=MAX_GRAD_NORM,
        ),
        generation=GENERATION,
        vllm=Vllm(VLLM_MODE, VLLM_SERVER_URL, VLLM_MEMORY_SHARE, VLLM_RATIO_CAP),
        savings=tuple(filter(None, SAVINGS)),
        refills=MAX_REFILLS,
        replicas=REPLICAS,
        output_dir=OUTPUT_DIR,
        save_steps=SAVE_STEPS,
        kept_checkpoints=SAVE_TOTAL_LIMIT,
        trackers=tuple(name for name in REPORT_TO if name not in ("", "none")),
        callbacks=tuple(filter(None, CALLBACKS)),
        seed=SEED,
    )


def build_recipe(processes: int, gpus: int) -> Recipe:
    """All sections, from the constants. Raises InputError for values that cannot work."""
    recipe = Recipe(
        training=training_sections(processes, gpus),
        tasks=TaskChoice(
            sets=[name for name in TRAINING_SETS if name] if BENCHMARK_TASKS else [],
            files=TRAIN_FILES,
            data_dir=DATA_DIR,
            reported=[name for name in REPORTED_BENCHMARKS if name],
            allow_shared=ALLOW_SHARED_TESTS,
            skip_failing=SKIP_FAILING_TASKS,
            new_tests=f"{Path(OUTPUT_DIR)}.new_tests.jsonl" if STRENGTHEN else "",
            servers=any(SANDBOX_URLS),
            visible_tests=MAX_TURNS > 1,
            profile_samples=PROFILE_SAMPLES,
            max_constant_share=MAX_CONSTANT_SHARE,
        ),
        heldout=Heldout(HELDOUT, HELDOUT_TASKS, HELDOUT_EVERY, HELDOUT_TEMPERATURE, HELDOUT_PATIENCE),
        table=RewardTable(
            reward_pass=REWARD_PASS,
            reward_partial=REWARD_PARTIAL,
            reward_fail=REWARD_FAIL,
            partial_credit=PARTIAL_CREDIT,
            pay_constant_answers=PAY_CONSTANT_ANSWERS,
            allow_shared_tests=ALLOW_SHARED_TESTS,
            turn_discount=TURN_DISCOUNT,
            quality_bonus=QUALITY_BONUS,
            bonus_only_with_pass=BONUS_ONLY_WITH_PASS,
            reward_min=REWARD_MIN,
            reward_max=REWARD_MAX,
            max_line=MAX_LINE,
            max_response=MAX_RESPONSE,
        ),
        source=RewardSource(
            reward=REWARD,
            weights=REWARD_WEIGHTS,
            judge=Endpoint(JUDGE_BASE_URL, JUDGE_MODEL, JUDGE_KEY_ENV, JUDGE_TIMEOUT, JUDGE_CONCURRENCY),
            batch_seconds=JUDGE_BATCH_TIMEOUT,
            extraction=CODE_EXTRACTION_METHOD,
            extractor=Endpoint(EXTRACTION_BASE_URL, EXTRACTION_MODEL, EXTRACTION_KEY_ENV),
        ),
        values=vars(constants(globals())),
        dry_run=DRY_RUN,
        probe_longest=PROBE_LONGEST,
    )
    if SCALE_REWARDS == "mean":
        recipe.table.check_binary(REWARD)
    return recipe


def main() -> None:
    """Checks everything that can be checked at once, starts the processes and the sandbox, and runs."""
    if PLAN:
        print(report(MODEL_PATH, planned_setting(), replace(find_machine(PLAN_GPUS), replicas=REPLICAS), LORA_RANK))
        return
    gpus, stop = visible_gpus(), StopSignal()
    processes = world_size() if is_launched() else use_gpus(PROCESSES, gpus)
    if is_launched() or processes == 1:
        stop.install()  # a process that will become a launcher passes signals on instead
    if gpus:
        check_grace()

    recipe = build_recipe(processes, gpus)
    recipe.training.batch.check_steps(MAX_STEPS=MAX_STEPS, SAVE_STEPS=SAVE_STEPS, HELDOUT_EVERY=HELDOUT_EVERY)
    check_positive(SANDBOX_TIMEOUT=SANDBOX_TIMEOUT, SANDBOX_MEMORY_MB=SANDBOX_MEMORY_MB)
    if PUSH_TO_HUB:
        hub_token(PUSH_TO_HUB)
    check_folder(OUTPUT_DIR, recipe.values, RESUME, processes)
    if MODEL_PATH == DEMO["MODEL_PATH"] and not Path(MODEL_PATH).exists():
        make_demo_model(MODEL_PATH, SEED)
    check_model(MODEL_PATH, gpus)
    check_gpus(gpus)
    if GENERATION == "vllm":
        recipe.training.vllm.check(gpus, USE_LORA)
        prepare_vllm()
    memory_gb = find_machine(PLAN_GPUS).memory_gb if gpus else machine_memory_gb() / processes
    planned = plan_of(MODEL_PATH, planned_setting(), Machine(processes if gpus else 0, memory_gb, REPLICAS))
    if planned and not ALLOW_UNFIT:
        check_memory(planned, LORA_RANK)
        check_disk(planned, OUTPUT_DIR)
    recipe.training.set_environment(CPU_THREADS)
    recipe.training.check_additions()
    relaunch_under_accelerate(processes, bool(gpus) and not USE_LORA, recipe.training.mixed_precision)

    settings = {"timeout": SANDBOX_TIMEOUT, "memory_mb": SANDBOX_MEMORY_MB, "allow_weak": ALLOW_WEAK_SANDBOX}
    with open_sandbox(SANDBOX_URLS, SANDBOX_WORKERS or None, **settings) as sandbox, ExitStack() as stack:
        make_reward = recipe.source.open(recipe.table, sandbox, OUTPUT_DIR, stack)
        run(recipe, planned, sandbox, make_reward, stop)


def make_demo_model(path: str, seed: int) -> None:
    """Runs demo_model.py, which makes the demo's SFT model and tasks."""
    print(f"{path} does not exist yet: scripts/demo_model.py makes it first", flush=True)
    script = Path(__file__).with_name("demo_model.py")
    command = [sys.executable, str(script), "--seed", str(seed), "--output-dir", str(Path(path).parent)]
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"{script.name} could not make {path}; see its message above")


def run(recipe: Recipe, planned: Plan | None, sandbox: Sandbox, make_reward: MakeReward, stop: StopSignal) -> None:
    """Loads, trains, saves, and prints the next command."""
    training, folder = recipe.training, recipe.training.output_dir
    training.check_options()  # refused before the tasks are checked, which takes minutes
    conversations = training.conversations
    tasks, heldout = load_tasks(recipe.tasks, recipe.heldout, sandbox)
    print(f"loading  {training.model_path} and the libraries", flush=True)

    from raccoon.training.callbacks import HeldoutControl, StopBetweenSteps, added_callbacks
    from raccoon.training.policy import load_chat_tokenizer, quiet_libraries, save_policy

    quiet_libraries()
    tokenizer = load_chat_tokenizer(training.model_path)
    if conversations:
        tasks, heldout = map(conversations.with_room, (tasks, heldout))
    lengths = prompt_lengths(tasks, tokenizer, training.sampling.enable_thinking)
    tasks = short_enough(tasks, lengths, training.sampling.max_prompt_length)
    describe(recipe, planned, tasks, lengths, len(heldout), sandbox.walls)

    if os.environ.get("RANK", "0") == "0" and not recipe.dry_run:
        hold_folder(folder)  # before the run's first write
    checkpoint = None if recipe.dry_run else resume_point(folder, training.processes)
    # The memory probe comes before the held-out control, which takes minutes
    callbacks = [StopBetweenSteps(stop, training.batch.num_iterations), *memory_probe(recipe, planned)]
    if not recipe.dry_run:
        callbacks += [HeldoutControl(heldout, recipe.heldout)] if heldout else []
        callbacks += added_callbacks(training.callbacks)
    trainer = build_trainer(recipe, planned, tasks, tokenizer, callbacks, make_reward)
    check_joined(trainer.accelerator.num_processes, training.processes)
    if trainer.accelerator.is_main_process and not recipe.dry_run:
        write_task_file(Path(folder) / "tasks.jsonl", tasks)
        trainer.run_log.write_constants(recipe.values)
    if recipe.tasks.profile_samples and not recipe.dry_run:
        tasks = profiled(trainer, tasks, recipe, sandbox, stop)
    trainer.train_on(tasks, schedule(tasks, training.prompts, training.seed))
    train(trainer, checkpoint, stop, recipe.dry_run)
    if training.gpus:
        peak = max(record["peak_memory_gb"] for record in trainer.metrics)
        print(f"memory   peak {peak:.3g} GB a GPU, measured\n{plan_lines(training.model_path, planned)}")

    save_policy(trainer, folder, LORA_MERGE)
    if trainer.accelerator.is_main_process:
        trainer.run_log.write_constants(recipe.values, trainer.ended)
        write_report(folder, PUSH_TO_HUB)
    own = ["--benchmarks", recipe.values["HELDOUT"]] if Path(recipe.values["HELDOUT"]).is_file() else []
    print(
        f"saved    {folder}; check whether its rewards were earned:\n"
        f"python scripts/reward_integrity.py {shlex.quote(folder)}\n"
        "and compare it with the model before training:\n"
        f"python scripts/evaluate_models.py --models {shlex.join([training.model_path, folder, *own])}"
    )


def profiled(trainer: Any, tasks: list[Task], recipe: Recipe, sandbox: Sandbox, stop: StopSignal) -> list[Task]:
    """The tasks that are worth training on by a profile of the policy; all of them if the run is told to stop."""
    training = recipe.training
    profile = trainer.sampler.profile(tasks, recipe.tasks.profile_samples, training.sampling.temperature, stop)
    if not profile:
        return tasks
    print(lazy_line(tasks, profile, recipe.table, sandbox), flush=True)
    return worth_training_on(tasks, profile, recipe.tasks, training.batch.num_generations)


def describe(
    recipe: Recipe, planned: Plan | None, tasks: list[Task], lengths: list[int], heldout: int, walls: str
) -> None:
    """Prints what the run will do, in numbers; `lengths` are the prompts' tokens, also of those left out."""
    training, kept = recipe.training, [n for n in lengths if n <= recipe.training.sampling.max_prompt_length]
    lines = [
        *training.lines(len(tasks), heldout, sum(kept) / len(kept)),
        *recipe.table.lines(training.turns.most, training.turns.max_feedback, training.objective.scale_rewards),
        *recipe.source.lines,
        plan_lines(training.model_path, planned),
        f"sandbox  {walls}",
        f"output   {training.output_dir}",
        "lines    pass: the share of completions that pass every test; constant groups: the share of groups that",
        "         teach nothing about correctness; truncated: completions cut at the limit; left: time to the end",
    ]
    print("\n".join(lines), flush=True)


def memory_probe(recipe: Recipe, planned: Plan | None) -> list[Any]:
    """The callback that makes a pass at full length before the first step; [] if none is wanted."""
    gpus, sampling, conversations = recipe.training.gpus, recipe.training.sampling, recipe.training.conversations
    if not recipe.dry_run and not (recipe.probe_longest and gpus):
        return []
    from raccoon.training.callbacks import MemoryProbe

    expected = {"training": planned.memory.training, "generating": planned.memory.generating} if planned else {}
    expected |= planned.floors if planned and gpus else {}
    moments = planned.memory.optimizer if planned else 0.0
    after = conversations.longest if conversations else sampling.max_completion_length
    return [MemoryProbe(sampling.max_prompt_length, after, moments, expected, recipe.dry_run)]


def build_trainer(
    recipe: Recipe,
    planned: Plan | None,
    tasks: list[Task],
    tokenizer: Any,
    callbacks: list[Any],
    make_reward: MakeReward,
) -> Any:
    """The trainer, with the policy, its reward and TRL's arguments."""
    from raccoon.training.batches import rows
    from raccoon.training.policy import ignored_settings, load_policy, prompt_end
    from raccoon.training.trainer import CodeTrainer

    training, source, conversations = recipe.training, recipe.source, recipe.training.conversations
    # It joins the processes: with FSDP2 only the first reads the weights
    args = grpo_config(training, source.judging_seconds(training.refills), source.both_weights)
    model = load_policy(training.model_path, tokenizer, training.loaded_weights)
    ignored = ignored_settings(model.generation_config, training.sampling)
    if ignored:
        where = f"in the generation_config.json of {training.model_path}"
        print(f"ignored  {ignored} {where}: only this script's constants decide how a run samples", flush=True)
    ends = model.generation_config.eos_token_id
    if training.generation == "vllm":  # by itself it knows only the end tokens of the checkpoint's generation_config
        args.generation_kwargs = {"stop_token_ids": ends}
        if conversations and args.vllm_max_model_length:
            whole = training.sampling.max_prompt_length + conversations.longest
            args.vllm_max_model_length = min(whole, conversations.context or whole)
    chat = Chat(tokenizer, ends, prompt_end(tokenizer, training.sampling.enable_thinking), "fence" in training.savings)
    return CodeTrainer(
        model=model,
        args=args,
        processing_class=tokenizer,
        peft_config=training.peft_config,
        train_dataset=rows(tasks),
        callbacks=callbacks,
        reward=make_reward(chat),
        run_log=RunLog(training.output_dir),
        savings=training.savings,
        refills=training.refills,
        kept_checkpoints=training.kept_checkpoints,
        sample_rows=rows_outside_steps(planned) if planned else 0,
        conversations=conversations,
    )


def train(trainer: Any, checkpoint: Path | None, stop: StopSignal, dry_run: bool) -> None:
    """Trains to the last step; ends the process if a signal or a sentinel stops the run earlier."""
    step = checkpoint_step(checkpoint) if checkpoint else 0
    if not trainer.agreed(stop):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        step = trainer.state.global_step
    if reason := trainer.stop_reason or stop.name:
        if trainer.accelerator.is_main_process and not dry_run:
            trainer.run_log.write_stopped(reason, step)
        again = "again" if dry_run else "to continue"
        print(f"stopped after step {step}: {reason}; give the same command {again}", flush=True)
        sys.exit(128 + stop.number if stop.number else 1)


def write_report(folder: str, hub: str = "") -> None:
    """Runs make_report.py and model_card.py on the run's logs, and export_model.py to upload the model under its name.

    A failure of one is a warning, not an error.
    """
    steps = {"make_report.py": [folder], "model_card.py": [folder]}
    if hub:
        steps["export_model.py"] = [folder, "--push-to-hub", hub]
    for name, words in steps.items():
        command = [sys.executable, str(Path(__file__).with_name(name)), *words]
        if subprocess.run(command, check=False).returncode:
            again = f"python scripts/{name} {shlex.join(words)}"
            print(f"warning: {name} failed; see its message above, and run it again:\n{again}", flush=True)


if __name__ == "__main__":
    override_constants(globals(), replaced=REPLACED_FLAGS)
    run_main(main)
