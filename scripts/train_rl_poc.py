"""Improves an SFT'd code model with GRPO on a reward that comes from executing its code.

It neither makes the SFT model (demo_model.py does, in miniature) nor says whether the result is better
(evaluate_models.py does). The same command again goes on where a stopped run ended.

    python scripts/train_rl_poc.py --demo                           # a tiny model, on any CPU
    python scripts/train_rl_poc.py --model-path ./my-sft-model --output-dir ./my-rl-model
    python scripts/train_rl_poc.py --plan --plan-gpus 2x141         # memory, time and disk; nothing is loaded
    python scripts/train_rl_poc.py --help                           # every constant is a flag

On one GPU --use-lora --learning-rate 5e-5 trains adapters over a bfloat16 base and saves the model with them merged
in. By arithmetic, not by measurement, 80 GB suffice for a 14B model and 24 GB for one of 1.5B.

Inputs:  MODEL_PATH; MBPP and HumanEval from the hub or DATA_DIR; task files (TRAIN_FILES, HELDOUT).
Outputs: OUTPUT_DIR with the model and tokenizer, config.json (every constant, beside the model's own keys),
         tasks.jsonl, metrics.jsonl (a line a step), completions.jsonl (a line a completion),
         heldout.jsonl (a line a check), checkpoint-*, STOPPED.json (only while a run is unfinished),
         report.html (make_report.py writes it at the end, and at any time before), README.md (model_card.py).
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

from raccoon.constants import Settings, constants, override_constants, run_main
from raccoon.gpus import use_gpus, visible_gpus
from raccoon.launch import check_grace, is_launched, relaunch_under_accelerate, world_size
from raccoon.planning.memory import find_machine
from raccoon.planning.report import report
from raccoon.recipe.building import build_trainer, memory_probe, worth_training_on
from raccoon.recipe.description import describe, plan_lines
from raccoon.recipe.preparation import Machines, prepare
from raccoon.recipe.reward_source import Servers, open_servers
from raccoon.recipe.settings import mixed_precision, planned_setting
from raccoon.recipe.task_selection import load_tasks, schedule, short_enough
from raccoon.runs.checkpoints import checkpoint_step, hold_folder, resume_point
from raccoon.runs.log import RunError
from raccoon.runs.stop import StopSignal
from raccoon.sandbox.pool import Sandbox, SandboxError
from raccoon.tasks.task import write_task_file

# The model and the run
MODEL_PATH = "billxbf/Nano-Raccoon-Preview-1104"  # the SFT model to improve: a folder or a hub id
OUTPUT_DIR = "./nano-raccoon-rl"  # a folder of the run's own
SEED = 42  # of the order of tasks and of sampling
RESUME = True  # go on from OUTPUT_DIR's newest whole checkpoint; False refuses a folder that holds a run
ENABLE_THINKING = False  # for the chat template: a base like Qwen3 answers without reasoning first
CPU_THREADS = 1  # without a GPU: on a busy machine two spinning threads take longer than one
CPU_BFLOAT16 = False  # without a GPU: compute in bfloat16 over float32 weights, as on a GPU; not every CPU can

# The machine
PROCESSES = 0  # 0 is one for each visible GPU, or one on the CPU; fewer than GPUs leave the others alone
REPLICAS = 1  # whole models: with several machines one for each keeps the exchange of weights within a machine (HSDP)
PLAN = False  # print what memory, time and disk a run would take, and stop
PLAN_GPUS = ""  # plan for these and not for those that are here: number x GiB, like 2x141
DRY_RUN = False  # check and load everything, make one pass at full length, and stop
PROBE_LONGEST = True  # on GPUs, that pass comes before the first step: what does not fit fails at once
ALLOW_UNFIT = False  # start although the plan says that memory or disk do not suffice

# The batch: BATCH_SIZE x GRADIENT_ACCUMULATION x processes completions a step, in groups of NUM_GENERATIONS
BATCH_SIZE = 4  # completions that a process holds in one forward and backward pass
GRADIENT_ACCUMULATION = 4  # passes a step
NUM_GENERATIONS = 4  # completions of one prompt: the group that its advantages are centred on
MAX_STEPS = 500  # optimizer steps

# Sampling
TEMPERATURE = 0.8  # of the softmax; higher explores more
TOP_P = 1.0  # share of the probability mass sampled from; less than all biases the importance ratios
TOP_K = 0  # tokens sampled from; 0 is all, for the same reason
# The engine of rollouts; "lean", in one process: a group's prompt is read once and completions that ended leave the
# batch; "vllm" (requirements-vllm.txt): faster, on GPUs above all
GENERATION = "transformers"
VLLM_MODE = "colocate"  # vLLM in this process, or a "server" that leaves this GPU's memory to training
VLLM_SERVER_URL = "http://127.0.0.1:8000"  # of that server; SETUP_GUIDE.md says how it is started
VLLM_MEMORY_SHARE = 0.27  # of each GPU, while vLLM is awake; a 14B model needs 29.5 GB for its weights alone
VLLM_RATIO_CAP = 2.0  # a token weighs at most this, where the policy finds it likelier than vLLM did
MAX_COMPLETION_LENGTH = 1024  # tokens; a completion cut at this length never counts as a PASS
STOP_AT_FENCE = False  # a completion ends with the line that closes its code fence: a chat model's prose costs time
MAX_PROMPT_LENGTH = 512  # tokens; longer prompts are left out whole: half a task teaches nothing

# The optimizer
MASTER_WEIGHTS = "float32"  # what updates are added to; "bfloat16" takes half of everything and learns far worse
OPTIMIZER = "adamw_torch_fused"  # or "adamw_torch_8bit" (pip install torchao): a quarter of the moments' memory
LEARNING_RATE = 5e-6  # for float32 master weights; in bfloat16 alone most updates of this size round away
LR_SCHEDULER = "constant_with_warmup"  # a longer run then begins like a shorter one
WARMUP_STEPS = 5  # while Adam's moments rest on few gradients; the first is at a rate of 0, so 1 means none
ADAM_BETA2 = 0.999  # decay of the second moment; a run of 100 steps wants 0.98
WEIGHT_DECAY = 0.0  # would pull towards zero, while the SFT model is the prior
MAX_GRAD_NORM = 1.0  # gradients are clipped to this norm

# The objective
LOSS_TYPE = "dapo"  # every token of the batch weighs the same (arXiv 2503.14476); "grpo" favours brevity
SCALE_REWARDS = "none"  # what divides advantages: nothing (arXiv 2503.20783), "batch" or "group" deviation
EPSILON = 0.2  # clip range of the ratio below 1
EPSILON_HIGH = 0.28  # and above (arXiv 2503.14476); both act only where NUM_ITERATIONS > 1
BETA = 0.0  # weight of the KL term; 0 needs no reference model in memory
NUM_ITERATIONS = 1  # steps on one set of completions
MASK_TRUNCATED = False  # cut completions: False scores them as FAIL, True keeps them out of the loss
SKIP_ROWS_WITHOUT_SIGNAL = False  # leave completions of advantage 0 out of the update: the same gradient in less time
MAX_REFILLS = 0  # times a step that groups without a signal are replaced (arXiv 2503.14476)

# LoRA in the place of full fine-tuning
USE_LORA = False  # trains adapters and merges them at the end; fits one GPU
LORA_RANK = 32  # of the adapters
LORA_ALPHA = 64  # their scale: twice the rank
LORA_TARGETS = "all-linear"  # every linear layer but the output head

# The tasks
DATA_DIR = ""  # folder of the published benchmark files; "" is the hub
TRAINING_SETS = ["mbpp", "humaneval"]  # MBPP without its prompt split (420), HumanEval (164); "" is none
BENCHMARK_TASKS = True  # False trains on none of TRAINING_SETS
TRAIN_FILES = []  # task files to train on as well
REPORTED_BENCHMARKS = []  # tasks that are like one of these are not trained on
ALLOW_SHARED_TESTS = False  # tests that must run in the process of the code, where code could forge a PASS
SKIP_FAILING_TASKS = False  # leave out tasks that fail their own solution, instead of refusing to start
PROFILE_SAMPLES = 0  # completions of each task before training, which leaves out those on which they agree
MAX_CONSTANT_SHARE = 0.9  # of groups, by that profile; with more to expect, the run is refused

# Held-out control: tasks that are never trained on, compared one by one with the model before training
HELDOUT = "mbpp_full"  # a benchmark or task file, less the tasks trained on; "" is no control
HELDOUT_TASKS = 100  # of them, always the same
HELDOUT_EVERY = 50  # steps
HELDOUT_TEMPERATURE = 0.0  # 0 is greedy
HELDOUT_PATIENCE = 0  # checks without a better one that end the run; 0 never does

# The reward: correctness by verdict, then bonuses, then the clamp
REWARD_PASS = 1.0  # the code passes every test
REWARD_PARTIAL = 0.2  # it runs and a test fails
REWARD_FAIL = -0.5  # it does not run: no code, syntax error, exception, timeout, memory, forbidden call
# Of REWARD_PARTIAL: "flat" all; "fraction" by tests passed; "beyond_constant" by those that `return 2` does not pass,
# up from REWARD_FAIL; "off" REWARD_FAIL
PARTIAL_CREDIT = "flat"
PAY_CONSTANT_ANSWERS = True  # False: an answer that ignores its arguments is worth REWARD_FAIL, whatever it passes
QUALITY_BONUS = 0.05  # each for a docstring, short lines, a short response, type hints
BONUS_ONLY_WITH_PASS = False  # True: style counts beside a PASS only, so that no wrong answer is paid for it
MAX_LINE = 120  # characters; every line of the code must be shorter
MAX_RESPONSE = 3000  # characters; the whole completion, prose included, must be shorter
REWARD_MIN = -1.0  # the sum is clamped to at least this
REWARD_MAX = 1.5  # and at most this

# The LLM judge, on any OpenAI-compatible server (reward_llm_judge.py has its own measurements of it)
REWARD = "execution"  # or "judge", or "both"; the code is executed and its verdict logged in any case
REWARD_WEIGHTS = [1.0, 1.0]  # of execution and of the judge in "both"; a judge's 0 counts as REWARD_FAIL, 1 as PASS
JUDGE_BASE_URL = "http://127.0.0.1:8000/v1"  # of the judge's server
JUDGE_MODEL = ""  # its name there
JUDGE_KEY_ENV = ""  # the environment variable that holds its key; "" needs none
JUDGE_TIMEOUT = 120.0  # seconds a request
JUDGE_BATCH_TIMEOUT = 900.0  # seconds for a step's requests; what is not judged by then has no reward
JUDGE_CONCURRENCY = 16  # requests at once, of each process

# Finding the code in a completion
CODE_EXTRACTION_METHOD = "regex"  # or "llm": a model is asked where no program that parses is found
EXTRACTION_BASE_URL = "http://127.0.0.1:8000/v1"  # of its server
EXTRACTION_MODEL = ""  # its name there
EXTRACTION_KEY_ENV = ""  # the environment variable that holds its key; "" needs none

# The sandbox that runs the code
SANDBOX_WORKERS = 0  # programs at once; 0 is one for each CPU of this process
SANDBOX_TIMEOUT = 10.0  # seconds a program
SANDBOX_MEMORY_MB = 1024  # a program
ALLOW_WEAK_SANDBOX = False  # train although the kernel offers fewer walls than the sandbox asks for

# What is kept
SAVE_STEPS = 50  # steps between checkpoints
SAVE_TOTAL_LIMIT = 2  # newest checkpoints kept beside the best; one of a 14B model takes about 177 GB
REPORT_TO = "none"  # "tensorboard", "trackio" or "wandb" get the metrics too

DEMO = {
    "MODEL_PATH": "./demo/sft_model",
    "OUTPUT_DIR": "./demo/rl_model",
    "SEED": 0,
    "PROCESSES": 1,  # the batch is for one
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
    "HELDOUT": "./demo/heldout_tasks.jsonl",  # only watched: no checkpoint is chosen by it
    "BONUS_ONLY_WITH_PASS": True,
    "HELDOUT_TASKS": 64,
    "HELDOUT_EVERY": 30,
    "SAVE_STEPS": 30,
}


def train(trainer: Any, checkpoint: Path | None, stop: StopSignal) -> None:
    """Trains to the last step, or ends the process where a signal or a sentinel stops it before."""
    step = checkpoint_step(checkpoint) if checkpoint else 0
    if not stop.number:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        step = trainer.state.global_step
    reason = trainer.stop_reason or stop.name
    if reason:
        if trainer.accelerator.is_main_process:
            trainer.run_log.write_stopped(reason, step)
        print(f"stopped after step {step}: {reason}; the same command goes on from there", flush=True)
        sys.exit(128 + stop.number if stop.number else 1)


def write_report(folder: str) -> None:
    """Runs make_report.py and model_card.py on the run's logs; the run is worth no less where one fails."""
    for name in ("make_report.py", "model_card.py"):
        command = [sys.executable, str(Path(__file__).with_name(name)), folder]
        if subprocess.run(command, check=False).returncode:
            print(f"warning: {name} failed; try again:\npython scripts/{name} {shlex.quote(folder)}", flush=True)


def main() -> None:
    settings = constants(globals())
    if PLAN:
        machine = replace(find_machine(PLAN_GPUS), replicas=REPLICAS)
        print(report(MODEL_PATH, planned_setting(settings), machine, LORA_RANK))
        return
    gpus, stop = visible_gpus(), StopSignal()
    processes = world_size() if is_launched() else use_gpus(PROCESSES, gpus)
    if is_launched() or processes == 1:
        stop.install()  # a launcher has its own, and passes signals on
    if gpus:
        check_grace()
    machines = prepare(settings, processes, gpus, DEMO["MODEL_PATH"])
    relaunch_under_accelerate(processes, bool(gpus) and not USE_LORA, mixed_precision(settings, gpus))
    limits = {"timeout": SANDBOX_TIMEOUT, "memory_mb": SANDBOX_MEMORY_MB, "allow_weak": ALLOW_WEAK_SANDBOX}
    try:
        with Sandbox(SANDBOX_WORKERS or None, **limits) as sandbox, ExitStack() as stack:
            run(settings, sandbox, open_servers(settings, stack), stop, machines)
    except (RunError, SandboxError) as error:
        sys.exit(f"error: {error}")


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
        hold_folder(OUTPUT_DIR)  # from here on the run writes
    checkpoint = None if DRY_RUN else resume_point(OUTPUT_DIR, machines.processes)
    trainer = build_trainer(settings, tasks, [] if DRY_RUN else heldout, tokenizer, sandbox, servers, stop,
                            machines.gpus, memory_probe(settings, machines))
    joined = trainer.accelerator.num_processes
    if joined != machines.processes:
        raise RunError(f"{machines.processes} processes were started and accelerate joined {joined}; start with "
                       "accelerate launch, torchrun, or neither")
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
    print(f"saved    {OUTPUT_DIR}; see whether its reward was earned:\n"
          f"python scripts/reward_integrity.py {shlex.quote(OUTPUT_DIR)}\n"
          "and compare it with the model that it came from:\n"
          f"python scripts/evaluate_models.py --models {shlex.join([MODEL_PATH, OUTPUT_DIR])}")


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
