"""The training script's constants: checks of their values, and their conversion into arguments for other parts.

The other parts are TRL (GRPOConfig), the planner (Setting) and the reward (RewardTable).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, Settings
from raccoon.cpu import check_bfloat16
from raccoon.launch import world_size
from raccoon.llm.llm_extraction import METHODS
from raccoon.planning.advice import check_precision
from raccoon.planning.memory import MOMENT_BYTES, WEIGHT_BYTES, Setting
from raccoon.published.benchmarks import BENCHMARKS, is_benchmark
from raccoon.rewards.execution import PARTIAL_CREDITS, RewardTable
from raccoon.training.vllm_rollouts import VLLM_MODES, vllm_options

CHOICES = {
    "GENERATION": ("transformers", "lean", "vllm"),
    "VLLM_MODE": VLLM_MODES,
    "MASTER_WEIGHTS": tuple(WEIGHT_BYTES),
    "OPTIMIZER": tuple(MOMENT_BYTES),
    "LOSS_TYPE": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "SCALE_REWARDS": ("none", "batch", "group"),
    "PARTIAL_CREDIT": PARTIAL_CREDITS,
    "REWARD": ("execution", "judge", "both"),
    "CODE_EXTRACTION_METHOD": METHODS,
    "REPORT_TO": ("none", "tensorboard", "trackio", "wandb"),
}
POSITIVE = frozenset(
    {
        "VLLM_RATIO_CAP",
        "BATCH_SIZE",
        "GRADIENT_ACCUMULATION",
        "MAX_STEPS",
        "TEMPERATURE",
        "MAX_COMPLETION_LENGTH",
        "MAX_PROMPT_LENGTH",
        "LEARNING_RATE",
        "MAX_GRAD_NORM",
        "NUM_ITERATIONS",
        "HELDOUT_TASKS",
        "HELDOUT_EVERY",
        "SANDBOX_TIMEOUT",
        "SANDBOX_MEMORY_MB",
        "SAVE_STEPS",
        "JUDGE_TIMEOUT",
        "JUDGE_BATCH_TIMEOUT",
        "JUDGE_CONCURRENCY",
    }
)
WHOLE_BATCH_LOSSES = ("dapo", "cispo", "vespo")  # divided by the tokens of the whole batch, not of one pass
COLLECTIVE_SECONDS = 1800  # how long a process waits for the others (torch's default); then it ends the run
# A resumed run may change these; a change of any other constant would make it another run. PROCESSES may change from 0
# to the number that 0 stood for; a checkpoint of another number of processes is refused.
FREE_TO_CHANGE = frozenset(
    {
        "OUTPUT_DIR",
        "MAX_STEPS",
        "DATA_DIR",
        "SAVE_STEPS",
        "SAVE_TOTAL_LIMIT",
        "REPORT_TO",
        "RESUME",
        "CPU_THREADS",
        "SANDBOX_WORKERS",
        "HELDOUT_PATIENCE",
        "JUDGE_BASE_URL",
        "JUDGE_KEY_ENV",
        "JUDGE_TIMEOUT",
        "JUDGE_BATCH_TIMEOUT",
        "JUDGE_CONCURRENCY",
        "EXTRACTION_BASE_URL",
        "EXTRACTION_KEY_ENV",
        "VLLM_SERVER_URL",
        "PLAN",
        "PLAN_GPUS",
        "DRY_RUN",
        "PROBE_LONGEST",
        "ALLOW_UNFIT",
        "PROCESSES",
    }
)


def check_constants(settings: Settings, processes: int) -> None:
    """Raises InputError for constants that cannot work."""
    for name, choices in CHOICES.items():
        if getattr(settings, name) not in choices:
            raise InputError(f"no {name} {getattr(settings, name)!r}; choose from {', '.join(choices)}")
    for name in sorted(POSITIVE):
        if not getattr(settings, name) > 0:
            raise InputError(f"{name} is {getattr(settings, name)}; give a value above 0")
    for name in ("SAVE_STEPS", "MAX_STEPS", "HELDOUT_EVERY"):
        if getattr(settings, name) % settings.NUM_ITERATIONS:
            raise InputError(
                f"{name} {getattr(settings, name)} is not a multiple of NUM_ITERATIONS "
                f"{settings.NUM_ITERATIONS}; give a multiple: a run cannot resume exactly from a "
                "checkpoint between two generations"
            )
    if not training_sets(settings) and not settings.TRAIN_FILES:
        raise InputError(
            "no task to train on: TRAINING_SETS (with BENCHMARK_TASKS) and TRAIN_FILES are empty; set one of them"
        )
    for name in [*training_sets(settings), *filter(None, settings.REPORTED_BENCHMARKS)]:
        if not is_benchmark(name):
            raise InputError(f"no benchmark {name!r}; choose from {', '.join(BENCHMARKS)}")
    if Path(settings.OUTPUT_DIR).resolve() == Path(settings.MODEL_PATH).resolve():
        raise InputError(f"OUTPUT_DIR {settings.OUTPUT_DIR} is MODEL_PATH, which would be overwritten; give another")
    if settings.REPORT_TO != "none" and not find_spec(settings.REPORT_TO):
        raise InputError(
            f'REPORT_TO {settings.REPORT_TO} is not installed; pip install {settings.REPORT_TO}, or set "none"'
        )
    if not 0 < settings.VLLM_MEMORY_SHARE < 1:
        raise InputError(f"VLLM_MEMORY_SHARE is {settings.VLLM_MEMORY_SHARE}; give a share of the GPU between 0 and 1")
    if settings.STOP_AT_FENCE and (settings.GENERATION == "vllm" or settings.MASK_TRUNCATED):
        raise InputError(
            "STOP_AT_FENCE does not work with GENERATION vllm, nor with MASK_TRUNCATED, which would treat "
            "a stopped completion as a cut one; leave STOP_AT_FENCE out"
        )
    if settings.SKIP_ROWS_WITHOUT_SIGNAL and (settings.LOSS_TYPE not in WHOLE_BATCH_LOSSES or settings.BETA):
        raise InputError(
            f"SKIP_ROWS_WITHOUT_SIGNAL changes the gradient of LOSS_TYPE {settings.LOSS_TYPE} with BETA "
            f"{settings.BETA}; choose a LOSS_TYPE from {', '.join(WHOLE_BATCH_LOSSES)} and BETA 0"
        )
    if settings.LOSS_TYPE == "cispo" and not settings.EPSILON_HIGH >= 1:
        raise InputError(
            f"EPSILON_HIGH is {settings.EPSILON_HIGH}, and LOSS_TYPE cispo takes it as the largest ratio "
            "itself, not as a distance above 1: all updates would shrink; give at least 1, like 5"
        )
    if settings.CPU_BFLOAT16:
        check_bfloat16()
    check_servers(settings)
    if settings.OPTIMIZER == "adamw_torch_8bit" and not find_spec("torchao"):
        raise InputError("OPTIMIZER adamw_torch_8bit needs torchao; pip install torchao, or set adamw_torch_fused")
    check_replicas(settings, processes)
    check_precision("float32" if settings.USE_LORA else settings.MASTER_WEIGHTS, settings.LEARNING_RATE)
    check_batch(settings, processes)


def training_sets(settings: Settings) -> list[str]:
    """The names of the published sets that the run trains on."""
    return [name for name in settings.TRAINING_SETS if name] if settings.BENCHMARK_TASKS else []


def check_servers(settings: Settings) -> None:
    """Raises InputError for a judge or an extractor without a name, and for reward weights that cannot work."""
    needed = {
        "JUDGE_MODEL": settings.REWARD != "execution",
        "EXTRACTION_MODEL": settings.CODE_EXTRACTION_METHOD == "llm",
    }
    for name, wanted in needed.items():
        if wanted and not getattr(settings, name):
            raise InputError(f"{name} is empty; give the model's name on its server")
    if len(settings.REWARD_WEIGHTS) != 2 or min(settings.REWARD_WEIGHTS) < 0 or not max(settings.REWARD_WEIGHTS) > 0:
        raise InputError(
            f"REWARD_WEIGHTS is {settings.REWARD_WEIGHTS}; give two numbers of at least 0, one of them "
            "above 0, like 1.0 0.5"
        )


def check_replicas(settings: Settings, processes: int) -> None:
    """Raises InputError if the processes cannot be divided among the replicas, or if nothing would be sharded."""
    replicas = settings.REPLICAS
    if replicas == 1:
        return
    if settings.USE_LORA:
        raise InputError(f"REPLICAS is {replicas}, and with USE_LORA each process has the whole model: set REPLICAS 1")
    if replicas < 1 or processes % replicas or processes // replicas < 2:
        raise InputError(
            f"REPLICAS is {replicas}, and there are {processes} process(es): give 1, or a number that "
            "divides them and leaves at least two for each replica, like the number of machines"
        )


def check_batch(settings: Settings, processes: int) -> None:
    """Raises InputError for a batch that does not split into groups."""
    completions = settings.BATCH_SIZE * settings.GRADIENT_ACCUMULATION * processes
    divided = completions // processes if settings.MAX_REFILLS else completions  # refills swap within one process
    if settings.NUM_GENERATIONS > 1 and divided % settings.NUM_GENERATIONS == 0:
        return
    sizes = [size for size in range(2, divided + 1) if divided % size == 0]
    nearest = min(sizes, key=lambda size: abs(size - settings.NUM_GENERATIONS), default=None)
    remedy = f"the nearest NUM_GENERATIONS that fits is {nearest}" if sizes else "raise BATCH_SIZE"
    spread = f" x {processes} process(es)" if divided == completions else ""
    within = "" if divided == completions else " within each process, as MAX_REFILLS needs"
    raise InputError(
        f"BATCH_SIZE {settings.BATCH_SIZE} x GRADIENT_ACCUMULATION {settings.GRADIENT_ACCUMULATION}{spread} = "
        f"{divided} completions a step, which do not split into groups of NUM_GENERATIONS "
        f"{settings.NUM_GENERATIONS}{within}; {remedy}"
    )


def planned_setting(settings: Settings) -> Setting:
    """The constants that decide memory, time and disk."""
    return Setting(
        batch_size=settings.BATCH_SIZE,
        gradient_accumulation=settings.GRADIENT_ACCUMULATION,
        prompt=settings.MAX_PROMPT_LENGTH,
        completion=settings.MAX_COMPLETION_LENGTH,
        weights="float32" if settings.USE_LORA else settings.MASTER_WEIGHTS,
        optimizer=settings.OPTIMIZER,
        lora_rank=settings.LORA_RANK if settings.USE_LORA else 0,
        vllm=settings.VLLM_MODE if settings.GENERATION == "vllm" else "",
        vllm_share=settings.VLLM_MEMORY_SHARE,
        reference=settings.BETA > 0 and not settings.USE_LORA,
        max_steps=settings.MAX_STEPS,
        save_steps=settings.SAVE_STEPS,
        save_total_limit=settings.SAVE_TOTAL_LIMIT,
    )


def reward_table(settings: Settings) -> RewardTable:
    return RewardTable(
        reward_pass=settings.REWARD_PASS,
        reward_partial=settings.REWARD_PARTIAL,
        reward_fail=settings.REWARD_FAIL,
        partial_credit=settings.PARTIAL_CREDIT,
        pay_constant_answers=settings.PAY_CONSTANT_ANSWERS,
        allow_shared_tests=settings.ALLOW_SHARED_TESTS,
        quality_bonus=settings.QUALITY_BONUS,
        bonus_only_with_pass=settings.BONUS_ONLY_WITH_PASS,
        reward_min=settings.REWARD_MIN,
        reward_max=settings.REWARD_MAX,
        max_line=settings.MAX_LINE,
        max_response=settings.MAX_RESPONSE,
    )


def mixed_precision(settings: Settings, gpus: int) -> str:
    """accelerate's mixed precision: "bf16" to compute in bfloat16 over float32 weights; bfloat16 weights need none."""
    mixed = settings.USE_LORA or settings.MASTER_WEIGHTS == "float32"
    return "bf16" if mixed and (gpus or settings.CPU_BFLOAT16) else "no"


def waiting_seconds(settings: Settings) -> int:
    """How long processes may wait for the one whose completions the judge scores last, with all refills of a step."""
    return 0 if settings.REWARD == "execution" else int(settings.JUDGE_BATCH_TIMEOUT * (1 + settings.MAX_REFILLS))


def parallelism(settings: Settings) -> Any:
    """accelerate's groups of processes for REPLICAS; None for one group of all, its default."""
    if settings.REPLICAS == 1:
        return None
    from accelerate.parallelism_config import ParallelismConfig

    return ParallelismConfig(dp_replicate_size=settings.REPLICAS, dp_shard_size=world_size() // settings.REPLICAS)


def grpo_config(settings: Settings, gpus: int) -> Any:
    """The constants as TRL's arguments."""
    from trl import GRPOConfig

    from raccoon.training.policy import recomputation

    longest = settings.MAX_PROMPT_LENGTH + settings.MAX_COMPLETION_LENGTH
    engine = {}
    if settings.GENERATION == "vllm":
        engine = vllm_options(
            gpus,
            settings.VLLM_MODE,
            settings.VLLM_SERVER_URL,
            settings.VLLM_MEMORY_SHARE,
            longest,
            settings.VLLM_RATIO_CAP,
        )
    return GRPOConfig(
        output_dir=settings.OUTPUT_DIR,
        seed=settings.SEED,
        max_steps=settings.MAX_STEPS,
        per_device_train_batch_size=settings.BATCH_SIZE,
        gradient_accumulation_steps=settings.GRADIENT_ACCUMULATION,
        num_generations=settings.NUM_GENERATIONS,
        num_iterations=settings.NUM_ITERATIONS,
        temperature=settings.TEMPERATURE,
        top_p=settings.TOP_P,
        top_k=settings.TOP_K,
        max_completion_length=settings.MAX_COMPLETION_LENGTH,
        chat_template_kwargs={"enable_thinking": settings.ENABLE_THINKING},
        learning_rate=settings.LEARNING_RATE,
        lr_scheduler_type=settings.LR_SCHEDULER,
        warmup_steps=settings.WARMUP_STEPS if settings.WARMUP_STEPS > 1 else 0,  # one is only a step at a rate of 0
        optim=settings.OPTIMIZER,
        adam_beta2=settings.ADAM_BETA2,
        weight_decay=settings.WEIGHT_DECAY,
        max_grad_norm=settings.MAX_GRAD_NORM,
        loss_type=settings.LOSS_TYPE,
        scale_rewards=settings.SCALE_REWARDS,
        epsilon=settings.EPSILON,
        epsilon_high=settings.EPSILON_HIGH,
        beta=settings.BETA,
        mask_truncated_completions=settings.MASK_TRUNCATED,
        shuffle_dataset=False,  # schedule() shuffles; after a resume TRL's sampler would repeat its first pass
        use_cpu=not gpus,
        bf16=mixed_precision(settings, gpus) == "bf16",
        **recomputation(GRPOConfig, bool(gpus)),
        ddp_timeout=COLLECTIVE_SECONDS + waiting_seconds(settings),
        ddp_find_unused_parameters=False,  # every pass uses every weight
        save_steps=settings.SAVE_STEPS,
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is not finite is shown, not averaged away
        disable_tqdm=True,  # lines read better in a container's log
        report_to=settings.REPORT_TO,
        **engine,
        parallelism_config=parallelism(settings),
        reward_weights=settings.REWARD_WEIGHTS if settings.REWARD == "both" else None,
    )
