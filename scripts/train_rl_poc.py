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
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, constants, override_constants, run_main
from raccoon.gpus import use_gpus, visible_gpus
from raccoon.judging.client import Endpoint, LlmClient
from raccoon.judging.extraction import EXTRACTIONS_FILE, METHODS, LlmExtractor, RegexExtractor
from raccoon.launch import is_launched, relaunch_under_accelerate, world_size
from raccoon.ledger import AnswerCache
from raccoon.planning.memory import (
    MOMENT_BYTES,
    WEIGHT_BYTES,
    Machine,
    Plan,
    Setting,
    find_machine,
    plan,
    report,
    summary,
)
from raccoon.planning.model_shape import model_shape
from raccoon.planning.preflight import check_disk, check_gpus, check_memory, check_model, check_precision
from raccoon.runs.checkpoints import check_folder, checkpoint_step, hold_folder, resume_point
from raccoon.runs.log import RunError, RunLog
from raccoon.runs.profile import constant_share, profile_table
from raccoon.runs.stop import StopSignal
from raccoon.sandbox.pool import Sandbox, SandboxError
from raccoon.tasks.benchmarks import BENCHMARKS, load_benchmark, load_training_tasks
from raccoon.tasks.task import Task, read_task_file, write_task_file
from raccoon.training.rewards import PARTIAL_CREDITS, ExecutionReward, RewardTable
from raccoon.training.task_selection import failing_tasks, passing_tasks, schedule, short_enough, unseen_tasks
from raccoon.training.vllm_rollouts import check_vllm, vllm_options

# The model and the run
MODEL_PATH = "billxbf/Nano-Raccoon-Preview-1104"  # the SFT model to improve: a folder or a hub id
OUTPUT_DIR = "./nano-raccoon-rl"  # a folder of the run's own
SEED = 42  # of the order of tasks and of sampling
RESUME = True  # go on from OUTPUT_DIR's newest whole checkpoint; False refuses a folder that holds a run
ENABLE_THINKING = False  # for the chat template: a base like Qwen3 answers without reasoning first
CPU_THREADS = 1  # without a GPU: on a busy machine two spinning threads take longer than one

# The machine
PROCESSES = 0  # 0 is one for each visible GPU, or one on the CPU; fewer than GPUs leave the others alone
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
GENERATION = "transformers"  # the engine of rollouts, or "vllm" (requirements-vllm.txt): faster, resumes inexactly
VLLM_MEMORY_SHARE = 0.27  # of each GPU, while vLLM is awake; a 14B model needs 29.5 GB for its weights alone
VLLM_RATIO_CAP = 2.0  # a token weighs at most this, where the policy finds it likelier than vLLM did
MAX_COMPLETION_LENGTH = 1024  # tokens; a completion cut at this length never counts as a PASS
MAX_PROMPT_LENGTH = 512  # tokens; longer prompts are left out whole: half a task teaches nothing

# The optimizer
MASTER_WEIGHTS = "float32"  # what updates are added to; "bfloat16" takes half of everything and learns far worse
OPTIMIZER = "adamw_torch_fused"  # or "adamw_torch_8bit" (pip install torchao): a quarter of the moments' memory
LEARNING_RATE = 5e-6  # for float32 master weights; in bfloat16 alone most updates of this size round away
LR_SCHEDULER = "constant_with_warmup"  # a longer run then begins like a shorter one
WARMUP_STEPS = 5  # while Adam's moments rest on few gradients
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
MAX_REFILLS = 0  # times a step that groups without a signal are replaced (arXiv 2503.14476)

# LoRA in the place of full fine-tuning
USE_LORA = False  # trains adapters and merges them at the end; fits one GPU
LORA_RANK = 32  # of the adapters
LORA_ALPHA = 64  # their scale: twice the rank
LORA_TARGETS = "all-linear"  # every linear layer but the output head

# The tasks
DATA_DIR = ""  # folder of the published benchmark files; "" is the hub
BENCHMARK_TASKS = True  # train on MBPP without its prompt split (420) and HumanEval (164)
TRAIN_FILES = []  # and on these task files
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
# up from REWARD_FAIL; "off" none of it, but REWARD_FAIL
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
    "BENCHMARK_TASKS": False,
    "TRAIN_FILES": ["./demo/train_tasks.jsonl"],
    "HELDOUT": "./demo/heldout_tasks.jsonl",  # only watched: no checkpoint is chosen by it
    "BONUS_ONLY_WITH_PASS": True,
    "HELDOUT_TASKS": 64,
    "HELDOUT_EVERY": 30,
    "SAVE_STEPS": 30,
}

CHOICES = {
    "GENERATION": ("transformers", "vllm"),
    "MASTER_WEIGHTS": tuple(WEIGHT_BYTES),
    "OPTIMIZER": tuple(MOMENT_BYTES),
    "LOSS_TYPE": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "SCALE_REWARDS": ("none", "batch", "group"),
    "PARTIAL_CREDIT": PARTIAL_CREDITS,
    "REWARD": ("execution", "judge", "both"),
    "CODE_EXTRACTION_METHOD": METHODS,
    "REPORT_TO": ("none", "tensorboard", "trackio", "wandb"),
}
POSITIVE = frozenset({
    "VLLM_RATIO_CAP", "BATCH_SIZE", "GRADIENT_ACCUMULATION", "MAX_STEPS", "TEMPERATURE", "MAX_COMPLETION_LENGTH",
    "MAX_PROMPT_LENGTH", "LEARNING_RATE", "MAX_GRAD_NORM", "NUM_ITERATIONS", "HELDOUT_TASKS", "HELDOUT_EVERY",
    "SANDBOX_TIMEOUT", "SANDBOX_MEMORY_MB", "SAVE_STEPS", "JUDGE_TIMEOUT", "JUDGE_BATCH_TIMEOUT", "JUDGE_CONCURRENCY",
})
# A run may go on with other values of these; any other constant would make it another run. PROCESSES may name the
# number that 0 has stood for; a checkpoint of another number is refused.
FREE_TO_CHANGE = frozenset({
    "OUTPUT_DIR", "MAX_STEPS", "DATA_DIR", "SAVE_STEPS", "SAVE_TOTAL_LIMIT", "REPORT_TO", "RESUME",
    "CPU_THREADS", "SANDBOX_WORKERS", "HELDOUT_PATIENCE", "JUDGE_BASE_URL", "JUDGE_KEY_ENV", "JUDGE_TIMEOUT",
    "JUDGE_BATCH_TIMEOUT", "JUDGE_CONCURRENCY", "EXTRACTION_BASE_URL", "EXTRACTION_KEY_ENV",
    "PLAN", "PLAN_GPUS", "DRY_RUN", "PROBE_LONGEST", "ALLOW_UNFIT", "PROCESSES",
})


def check_constants(processes: int) -> None:
    """Refuses constants that no run can have."""
    for name, choices in CHOICES.items():
        if globals()[name] not in choices:
            raise InputError(f"no {name} {globals()[name]!r}; choose from {', '.join(choices)}")
    for name in sorted(POSITIVE):
        if not globals()[name] > 0:
            raise InputError(f"{name} is {globals()[name]}; give a value above 0")
    for name in ("SAVE_STEPS", "MAX_STEPS", "HELDOUT_EVERY"):
        if globals()[name] % NUM_ITERATIONS:
            raise InputError(f"{name} {globals()[name]} is no multiple of NUM_ITERATIONS {NUM_ITERATIONS}; "
                             "make it one: a checkpoint between two generations cannot be resumed exactly")
    if not BENCHMARK_TASKS and not TRAIN_FILES:
        raise InputError("no task to train on: BENCHMARK_TASKS is False, TRAIN_FILES empty; set one of them")
    if Path(OUTPUT_DIR).resolve() == Path(MODEL_PATH).resolve():
        raise InputError(f"OUTPUT_DIR {OUTPUT_DIR} is MODEL_PATH, which would be overwritten; give another")
    if REPORT_TO != "none" and not find_spec(REPORT_TO):
        raise InputError(f"REPORT_TO {REPORT_TO} is not installed; pip install {REPORT_TO}, or set \"none\"")
    if not 0 < VLLM_MEMORY_SHARE < 1:
        raise InputError(f"VLLM_MEMORY_SHARE is {VLLM_MEMORY_SHARE}; give a share of the GPU between 0 and 1")
    check_servers()
    if OPTIMIZER == "adamw_torch_8bit" and not find_spec("torchao"):
        raise InputError("OPTIMIZER adamw_torch_8bit needs torchao; pip install torchao, or set adamw_torch_fused")
    check_precision("float32" if USE_LORA else MASTER_WEIGHTS, LEARNING_RATE)
    check_batch(processes)


def check_servers() -> None:
    """Refuses a judge or an extractor that nothing names, and weights that teach nothing."""
    for wanted, name in ((REWARD != "execution", "JUDGE_MODEL"), (CODE_EXTRACTION_METHOD == "llm", "EXTRACTION_MODEL")):
        if wanted and not globals()[name]:
            raise InputError(f"{name} is empty; give the name that the model has on its server")
    if len(REWARD_WEIGHTS) != 2 or min(REWARD_WEIGHTS) < 0 or not max(REWARD_WEIGHTS) > 0:
        raise InputError(f"REWARD_WEIGHTS is {REWARD_WEIGHTS}; give two of at least 0, like 1.0 0.5")


def check_batch(processes: int) -> None:
    """Refuses a batch that does not split into groups."""
    completions = BATCH_SIZE * GRADIENT_ACCUMULATION * processes
    divided = completions // processes if MAX_REFILLS else completions  # a refill swaps within one process
    if NUM_GENERATIONS > 1 and divided % NUM_GENERATIONS == 0:
        return
    sizes = [size for size in range(2, divided + 1) if divided % size == 0]
    nearest = min(sizes, key=lambda size: abs(size - NUM_GENERATIONS), default=None)
    remedy = f"the nearest NUM_GENERATIONS that fits is {nearest}" if sizes else "raise BATCH_SIZE"
    raise InputError(
        f"BATCH_SIZE {BATCH_SIZE} x GRADIENT_ACCUMULATION {GRADIENT_ACCUMULATION} x {processes} process(es) "
        f"= {completions} completions a step, which do not split into groups of NUM_GENERATIONS "
        f"{NUM_GENERATIONS}; {remedy}")


def make_demo_model() -> None:
    """Runs demo_model.py, which makes the demo's SFT model and tasks."""
    print(f"no {MODEL_PATH} yet: scripts/demo_model.py makes it first", flush=True)
    script, folder = Path(__file__).with_name("demo_model.py"), Path(MODEL_PATH).parent
    command = [sys.executable, str(script), "--seed", str(SEED), "--output-dir", str(folder)]
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"{script.name} made no {MODEL_PATH}; see its own message above")


@dataclass(frozen=True)
class Machines:
    """What the run is spread over, and what it takes there; no plan for an architecture that cannot be planned."""

    processes: int
    gpus: int  # that are visible to this process; 0 is the CPU
    planned: Plan | None


def prepare(processes: int, gpus: int, values: dict[str, Any]) -> Machines:
    """Refuses what cannot run, makes the demo's model where it is missing, and settles the environment."""
    check_constants(processes)
    check_folder(OUTPUT_DIR, values, FREE_TO_CHANGE, RESUME, processes)
    if MODEL_PATH == DEMO["MODEL_PATH"] and not Path(MODEL_PATH).exists():
        make_demo_model()
    check_model(MODEL_PATH, gpus)
    check_gpus(gpus)
    if GENERATION == "vllm":
        check_vllm(gpus, USE_LORA)
    planned = run_plan(processes, gpus)
    if planned and not ALLOW_UNFIT:
        check_memory(planned, LORA_RANK)
        check_disk(planned, OUTPUT_DIR)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # TRL would report its use
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(Path(OUTPUT_DIR) / "tensorboard"))
    if not gpus:
        os.environ.setdefault("OMP_NUM_THREADS", str(CPU_THREADS))
    if os.environ.get("RANK", "0") != "0":
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # one process speaks for all
    return Machines(processes, gpus, planned)


@dataclass(frozen=True)
class Servers:
    """The clients of the judge's and the extractor's servers; None where the run needs none."""

    judge: LlmClient | None
    extractor: LlmClient | None


def open_servers(stack: ExitStack) -> Servers:
    """Opens what the run needs until `stack` is closed; refuses a server that does not answer."""
    judge = Endpoint(JUDGE_BASE_URL, JUDGE_MODEL, JUDGE_KEY_ENV, JUDGE_TIMEOUT, JUDGE_CONCURRENCY)
    extractor = Endpoint(EXTRACTION_BASE_URL, EXTRACTION_MODEL, EXTRACTION_KEY_ENV)
    needed = REWARD != "execution", CODE_EXTRACTION_METHOD == "llm"
    clients = [stack.enter_context(LlmClient(endpoint)) if wanted else None
               for endpoint, wanted in zip((judge, extractor), needed, strict=True)]
    for client in filter(None, clients):
        client.check()
    return Servers(*clients)


def run_plan(processes: int, gpus: int) -> Plan | None:
    """What the run takes on the GPUs of all its processes; None for an architecture that cannot be planned."""
    try:
        shape = model_shape(MODEL_PATH)
    except InputError:
        return None
    machine = Machine(processes, find_machine(PLAN_GPUS).memory_gb) if gpus else Machine(0, 0.0)
    return plan(shape, setting(), machine)


def setting() -> Setting:
    """The constants that decide memory, time and disk."""
    return Setting(
        batch_size=BATCH_SIZE, gradient_accumulation=GRADIENT_ACCUMULATION, prompt=MAX_PROMPT_LENGTH,
        completion=MAX_COMPLETION_LENGTH, weights="float32" if USE_LORA else MASTER_WEIGHTS, optimizer=OPTIMIZER,
        lora_rank=LORA_RANK if USE_LORA else 0, vllm=GENERATION == "vllm", reference=BETA > 0 and not USE_LORA,
        max_steps=MAX_STEPS, save_steps=SAVE_STEPS, save_total_limit=SAVE_TOTAL_LIMIT)


def load_tasks(sandbox: Sandbox) -> tuple[list[Task], list[Task]]:
    """The tasks to train on and those of the held-out control, all checked."""
    tasks = load_training_tasks(DATA_DIR) if BENCHMARK_TASKS else []
    for path in TRAIN_FILES:
        tasks += read_task_file(path)
    tasks = passing_tasks(tasks, sandbox, ALLOW_SHARED_TESTS, SKIP_FAILING_TASKS)
    if not HELDOUT:
        return tasks, []
    watched = load_benchmark(HELDOUT, DATA_DIR) if HELDOUT in BENCHMARKS else read_task_file(HELDOUT)
    chosen = unseen_tasks(watched, tasks, HELDOUT_TASKS)
    if not chosen:
        raise InputError(f"every task of HELDOUT {HELDOUT} is trained on; give others, or \"\" for none")
    failing = failing_tasks(chosen, sandbox, ALLOW_SHARED_TESTS)
    return tasks, [task for task in chosen if task.task_id not in failing]


def describe(tasks: list[Task], lengths: list[int], heldout: list[Task], sandbox: Sandbox,
             machines: Machines) -> None:
    """Prints what the run will do, in numbers."""
    completions = BATCH_SIZE * GRADIENT_ACCUMULATION * machines.processes
    prompts, kept = completions // NUM_GENERATIONS, [n for n in lengths if n <= MAX_PROMPT_LENGTH]
    prompt_tokens = sum(kept) / len(kept)
    device = "GPU, bfloat16" if machines.gpus else "CPU, float32"
    trained = "LoRA" if USE_LORA else "all weights"
    print(f"model    {MODEL_PATH}, {trained}, {machines.processes} process(es), {device}")
    print(f"tasks    {len(tasks)} to train on, {len(heldout)} held out")
    tokens = completions * (prompt_tokens + MAX_COMPLETION_LENGTH)
    print(f"step     {prompts} prompts x {NUM_GENERATIONS} = {completions} completions; at most "
          f"{tokens:,.0f} tokens, {prompt_tokens:.0f} a prompt and {MAX_COMPLETION_LENGTH} a completion")
    passes = prompts * MAX_STEPS / NUM_ITERATIONS / len(tasks)
    print(f"run      {MAX_STEPS} steps, {passes:.1f} passes over the tasks")
    beside = "beside a PASS" if BONUS_ONLY_WITH_PASS else "beside any verdict"
    print(f"reward   PASS {REWARD_PASS:+g}, PARTIAL {REWARD_PARTIAL:+g} ({PARTIAL_CREDIT}), FAIL "
          f"{REWARD_FAIL:+g}, bonuses {QUALITY_BONUS:+g} {beside}; scaled by {SCALE_REWARDS}")
    if REWARD != "execution":
        print(f"judge    {REWARD}, {JUDGE_MODEL} at {JUDGE_BASE_URL}; weights of execution and judge "
              f"{' and '.join(f'{weight:g}' for weight in (REWARD_WEIGHTS if REWARD == 'both' else (0, 1)))}")
    print(plan_lines(machines.planned))
    print(f"sandbox  {sandbox.walls}")
    print(f"output   {OUTPUT_DIR}", flush=True)


def plan_lines(planned: Plan | None) -> str:
    """The plan in short."""
    text = summary(planned) if planned else f"none: the architecture of {MODEL_PATH} is not known to plan_memory.py"
    return "plan     " + text.replace("\n", "\n         ")


def reward_table() -> RewardTable:
    return RewardTable(
        reward_pass=REWARD_PASS, reward_partial=REWARD_PARTIAL, reward_fail=REWARD_FAIL,
        partial_credit=PARTIAL_CREDIT, pay_constant_answers=PAY_CONSTANT_ANSWERS, quality_bonus=QUALITY_BONUS, bonus_only_with_pass=BONUS_ONLY_WITH_PASS,
        reward_min=REWARD_MIN, reward_max=REWARD_MAX, max_line=MAX_LINE, max_response=MAX_RESPONSE,
    )


def mixed_precision(gpus: int) -> str:
    """What accelerate is told: on GPUs, bfloat16 computes over float32 weights; weights in bfloat16 need no mix."""
    return "bf16" if gpus and (USE_LORA or MASTER_WEIGHTS == "float32") else "no"


def grpo_config(gpus: int) -> Any:
    """The constants in TRL's words."""
    from trl import GRPOConfig

    longest = MAX_PROMPT_LENGTH + MAX_COMPLETION_LENGTH
    engine = vllm_options(VLLM_MEMORY_SHARE, longest, VLLM_RATIO_CAP) if GENERATION == "vllm" else {}
    return GRPOConfig(
        output_dir=OUTPUT_DIR,
        seed=SEED,
        max_steps=MAX_STEPS,
        per_device_train_batch_size=BATCH_SIZE,
        gradient_accumulation_steps=GRADIENT_ACCUMULATION,
        num_generations=NUM_GENERATIONS,
        num_iterations=NUM_ITERATIONS,
        temperature=TEMPERATURE,
        top_p=TOP_P,
        top_k=TOP_K,
        max_completion_length=MAX_COMPLETION_LENGTH,
        chat_template_kwargs={"enable_thinking": ENABLE_THINKING},
        learning_rate=LEARNING_RATE,
        lr_scheduler_type=LR_SCHEDULER,
        warmup_steps=WARMUP_STEPS,
        optim=OPTIMIZER,
        adam_beta2=ADAM_BETA2,
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=MAX_GRAD_NORM,
        loss_type=LOSS_TYPE,
        scale_rewards=SCALE_REWARDS,
        epsilon=EPSILON,
        epsilon_high=EPSILON_HIGH,
        beta=BETA,
        mask_truncated_completions=MASK_TRUNCATED,
        shuffle_dataset=False,  # schedule() has shuffled; after a resume TRL's sampler repeats its first pass
        use_cpu=not gpus,
        bf16=mixed_precision(gpus) == "bf16",
        activation_checkpointing=bool(gpus),
        ddp_find_unused_parameters=False,  # every weight takes part in every pass
        save_steps=SAVE_STEPS,
        save_total_limit=SAVE_TOTAL_LIMIT,
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is not finite is shown, not averaged away
        disable_tqdm=True,  # a line a step reads better in a container's log
        report_to=REPORT_TO,
        **engine,
        reward_weights=REWARD_WEIGHTS if REWARD == "both" else None,
    )


def completion_reward(sandbox: Sandbox, servers: Servers, tokenizer: Any, end_ids: list[int],
                      prompt_end: str) -> Any:
    """The source of the reward functions: execution, the judge, or both."""
    extractor = RegexExtractor()
    if servers.extractor:
        extractor = LlmExtractor(servers.extractor, AnswerCache(Path(OUTPUT_DIR) / EXTRACTIONS_FILE))
    execution = ExecutionReward(reward_table(), sandbox, tokenizer, end_ids, prompt_end, extractor)
    if not servers.judge:
        return execution
    from raccoon.judging.judge import JUDGEMENTS_FILE, Judge
    from raccoon.training.judge_reward import JudgeReward, JudgeScale

    judge = Judge(servers.judge, AnswerCache(Path(OUTPUT_DIR) / JUDGEMENTS_FILE), JUDGE_BATCH_TIMEOUT)
    scale = JudgeScale(REWARD_FAIL, REWARD_PASS, tuple(REWARD_WEIGHTS) if REWARD == "both" else None)
    return JudgeReward(execution, judge, scale)


def build_trainer(tasks: list[Task], heldout: list[Task], tokenizer: Any, sandbox: Sandbox, servers: Servers,
                  stop: StopSignal, gpus: int, watchers: list) -> Any:
    """The trainer with its callbacks, and `watchers` after them."""
    from peft import LoraConfig

    from raccoon.training.callbacks import HeldoutControl, StepClock, StopBetweenSteps, WeightWatch
    from raccoon.training.policy import load_policy, prompt_end
    from raccoon.training.trainer import CodeTrainer

    args = grpo_config(gpus)  # it joins the processes: of those that shard, only the first then reads the weights
    model = load_policy(MODEL_PATH, tokenizer, ("bfloat16" if gpus else "float32") if USE_LORA else MASTER_WEIGHTS)
    if GENERATION == "vllm":  # which would know the ends of the checkpoint's generation_config alone
        args.generation_kwargs = {"stop_token_ids": model.generation_config.eos_token_id}
    control = HeldoutControl(heldout, HELDOUT_EVERY, HELDOUT_TEMPERATURE, HELDOUT_PATIENCE)
    lora = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules=LORA_TARGETS, task_type="CAUSAL_LM")
    return CodeTrainer(
        model=model,
        args=args,
        processing_class=tokenizer,
        peft_config=lora if USE_LORA else None,
        callbacks=[StepClock(), WeightWatch(), StopBetweenSteps(stop, NUM_ITERATIONS)] + [control] * bool(heldout)
        + watchers,
        reward=completion_reward(sandbox, servers, tokenizer, model.generation_config.eos_token_id,
                                 prompt_end(tokenizer, ENABLE_THINKING)),
        tasks=tasks,
        max_refills=MAX_REFILLS,
        run_log=RunLog(OUTPUT_DIR),
    )


def worth_training_on(trainer: Any, tasks: list[Task]) -> list[Task]:
    """The tasks on which PROFILE_SAMPLES completions disagree in correctness; all where that is 0."""
    if not PROFILE_SAMPLES:
        return tasks
    profile = trainer.profile(tasks, PROFILE_SAMPLES, TEMPERATURE)
    useful = [record for record in profile if len(set(record["correctness"])) > 1]
    share = constant_share(useful, NUM_GENERATIONS) if useful else 1.0
    print(f"profile  tasks by pass rate in {PROFILE_SAMPLES} samples:\n{profile_table(profile)}")
    print(f"         {len(useful)} of {len(profile)} tasks are trained on; constant groups to expect: {share:.0%}, "
          f"with all tasks {constant_share(profile, NUM_GENERATIONS):.0%}", flush=True)
    if share > MAX_CONSTANT_SHARE:
        raise InputError(f"{share:.0%} constant groups are over MAX_CONSTANT_SHARE {MAX_CONSTANT_SHARE:.0%}; "
                         "give other tasks, or a higher TEMPERATURE or NUM_GENERATIONS")
    ids = {record["task_id"] for record in useful}
    return [task for task in tasks if task.task_id in ids]


def memory_probe(machines: Machines) -> list:
    """The pass at full length before the first step, where it is wanted."""
    if not DRY_RUN and not (PROBE_LONGEST and machines.gpus):
        return []
    from raccoon.training.memory_probe import MemoryProbe

    memory = machines.planned.memory if machines.planned else None
    moments_gb, training_gb = (memory.optimizer, memory.training) if memory else (0.0, 0.0)
    return [MemoryProbe(MAX_PROMPT_LENGTH, MAX_COMPLETION_LENGTH, moments_gb, training_gb, DRY_RUN)]


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


def write_report() -> None:
    """Runs make_report.py and model_card.py on the run's logs; the run is worth no less where one fails."""
    for name in ("make_report.py", "model_card.py"):
        command = [sys.executable, str(Path(__file__).with_name(name)), OUTPUT_DIR]
        if subprocess.run(command, check=False).returncode:
            print(f"warning: {name} failed; try again:\npython scripts/{name} {shlex.quote(OUTPUT_DIR)}", flush=True)


def main() -> None:
    if PLAN:
        print(report(MODEL_PATH, setting(), find_machine(PLAN_GPUS), LORA_RANK))
        return
    gpus, values, stop = visible_gpus(), constants(globals()), StopSignal()
    processes = world_size() if is_launched() else use_gpus(PROCESSES, gpus)
    if is_launched() or processes == 1:
        stop.install()  # a launcher has its own, and passes signals on
    machines = prepare(processes, gpus, values)
    relaunch_under_accelerate(processes, sharded=bool(gpus) and not USE_LORA, mixed_precision=mixed_precision(gpus))
    limits = {"timeout": SANDBOX_TIMEOUT, "memory_mb": SANDBOX_MEMORY_MB, "allow_weak": ALLOW_WEAK_SANDBOX}
    try:
        with Sandbox(SANDBOX_WORKERS or None, **limits) as sandbox, ExitStack() as stack:
            run(sandbox, open_servers(stack), stop, machines, values)
    except (RunError, SandboxError) as error:
        sys.exit(f"error: {error}")


def run(sandbox: Sandbox, servers: Servers, stop: StopSignal, machines: Machines, values: dict[str, Any]) -> None:
    """Loads, trains, saves, and prints the next command."""
    tasks, heldout = load_tasks(sandbox)

    from raccoon.training.export import save_policy
    from raccoon.training.policy import load_tokenizer, prompt_lengths, quiet_libraries

    quiet_libraries()
    tokenizer = load_tokenizer(MODEL_PATH)
    lengths = prompt_lengths(tasks, tokenizer, ENABLE_THINKING)
    tasks = short_enough(tasks, lengths, MAX_PROMPT_LENGTH)
    describe(tasks, lengths, heldout, sandbox, machines)

    if os.environ.get("RANK", "0") == "0" and not DRY_RUN:
        hold_folder(OUTPUT_DIR)  # from here on the run writes
    checkpoint = None if DRY_RUN else resume_point(OUTPUT_DIR, machines.processes)
    trainer = build_trainer(tasks, [] if DRY_RUN else heldout, tokenizer, sandbox, servers, stop, machines.gpus,
                            memory_probe(machines))
    joined = trainer.accelerator.num_processes
    if joined != machines.processes:
        raise RunError(f"{machines.processes} processes were started and accelerate joined {joined}; start with "
                       "accelerate launch, torchrun, or neither")
    if trainer.accelerator.is_main_process and not DRY_RUN:
        write_task_file(Path(OUTPUT_DIR) / "tasks.jsonl", tasks)
        trainer.run_log.write_constants(values)
    useful = tasks if DRY_RUN else worth_training_on(trainer, tasks)
    prompts_per_step = BATCH_SIZE * GRADIENT_ACCUMULATION * machines.processes // NUM_GENERATIONS
    trainer.train_on(useful, schedule(useful, prompts_per_step * MAX_STEPS // NUM_ITERATIONS, SEED))
    train(trainer, checkpoint, stop)
    if machines.gpus:
        peak = max(record["peak_memory_gb"] for record in trainer.metrics)
        print(f"memory   peak {peak:.3g} GB a GPU, measured\n{plan_lines(machines.planned)}")

    save_policy(trainer, OUTPUT_DIR)
    if trainer.accelerator.is_main_process:
        trainer.run_log.write_constants(values, trainer.ended)
        write_report()
    print(f"saved    {OUTPUT_DIR}; see whether its reward was earned:\n"
          f"python scripts/reward_integrity.py {shlex.quote(OUTPUT_DIR)}\n"
          "and compare it with the model that it came from:\n"
          f"python scripts/evaluate_models.py --models {shlex.join([MODEL_PATH, OUTPUT_DIR])}")


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
