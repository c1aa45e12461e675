"""The sections of a training run: batch, sampling, objective, optimizer. Each checks itself, by the script's constants.

Fields have TRL's names where GRPOConfig takes them. torch and trl are imported inside functions.
"""

import os
import sys
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_choice, check_positive
from raccoon.conversation import check_feedback
from raccoon.launch import world_size
from raccoon.options import GRPO, LORA, check_grpo_options, unlikely_options
from raccoon.planning.advice import check_precision
from raccoon.planning.memory import MOMENT_BYTES, WEIGHT_BYTES
from raccoon.savings import check_savings
from raccoon.training.vllm_rollouts import Vllm

FRAME = 32  # tokens of a chat template around a message, at a guess
# Least learning rate of adapters: they need ten times that of all weights (thinkingmachines.ai/blog/lora)
ADAPTERS_RATE = 1e-5
COLLECTIVE_SECONDS = 1800  # how long a process waits for the others (torch's default); then it ends the run


@dataclass(frozen=True)
class Batch:
    """The completions of a step, of each process in a row of passes, in groups of `num_generations`."""

    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    num_generations: int
    num_iterations: int
    max_steps: int

    def __post_init__(self) -> None:
        check_positive(
            BATCH_SIZE=self.per_device_train_batch_size,
            GRADIENT_ACCUMULATION=self.gradient_accumulation_steps,
            NUM_ITERATIONS=self.num_iterations,
            MAX_STEPS=self.max_steps,
        )

    @property
    def completions(self) -> int:
        """Of each process, in a step."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    def check_steps(self, **steps: int) -> None:
        """Raises InputError for a constant in steps that falls between two generations."""
        for name, value in steps.items():
            if value % self.num_iterations:
                raise InputError(
                    f"{name} {value} is not a multiple of NUM_ITERATIONS {self.num_iterations}; give a multiple: a run "
                    "cannot resume exactly from a checkpoint between two generations"
                )

    def check_groups(self, processes: int, refills: int) -> None:
        """Raises InputError for a step that does not split into groups."""
        divided = self.completions if refills else self.completions * processes  # refills swap within one process
        if self.num_generations > 1 and divided % self.num_generations == 0:
            return
        sizes = [size for size in range(2, divided + 1) if divided % size == 0]
        nearest = min(sizes, key=lambda size: abs(size - self.num_generations), default=None)
        remedy = f"the nearest NUM_GENERATIONS that fits is {nearest}" if sizes else "raise BATCH_SIZE"
        spread = "" if refills else f" x {processes} process(es)"
        within = " within each process, as MAX_REFILLS needs" if refills else ""
        raise InputError(
            f"BATCH_SIZE {self.per_device_train_batch_size} x GRADIENT_ACCUMULATION {self.gradient_accumulation_steps}"
            f"{spread} = {divided} completions a step, which do not split into groups of NUM_GENERATIONS "
            f"{self.num_generations}{within}; {remedy}"
        )


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn, and the most tokens of a prompt and of a completion."""

    temperature: float
    top_p: float
    top_k: int
    max_completion_length: int
    max_prompt_length: int  # not TRL's: longer ones are left out
    enable_thinking: bool

    def __post_init__(self) -> None:
        check_positive(
            TEMPERATURE=self.temperature,
            MAX_COMPLETION_LENGTH=self.max_completion_length,
            MAX_PROMPT_LENGTH=self.max_prompt_length,
        )


@dataclass(frozen=True)
class Turns:
    """How many answers a conversation has at most, and how many characters of feedback follow each but the last."""

    most: int
    max_feedback: int

    def __post_init__(self) -> None:
        check_positive(MAX_TURNS=self.most)
        check_feedback(self.most, self.max_feedback)

    def tokens(self, answer: int, message: int = 0) -> int:
        """The most tokens of a conversation after its prompt, with so many for an answer and for a message.

        Before the tokenizer is loaded (0), a message is as long as its characters and FRAME.
        """
        return self.most * answer + (self.most - 1) * (message or self.max_feedback + FRAME)


@dataclass(frozen=True)
class Objective:
    """The loss of a batch of completions and their rewards."""

    loss_type: str
    scale_rewards: str
    epsilon: float
    epsilon_high: float
    beta: float
    mask_truncated_completions: bool | str

    def __post_init__(self) -> None:
        losses = ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo")
        check_choice("LOSS_TYPE", self.loss_type, losses)
        check_choice("SCALE_REWARDS", self.scale_rewards, ("none", "batch", "group", "mean"))
        if self.mask_truncated_completions not in (False, True, "passed"):
            raise InputError(f"MASK_TRUNCATED is {self.mask_truncated_completions!r}; give false, true or passed")
        if self.loss_type == "cispo" and not self.epsilon_high >= 1:
            raise InputError(
                f"EPSILON_HIGH is {self.epsilon_high}, and LOSS_TYPE cispo takes it as the largest ratio itself, not "
                "as a distance above 1: all updates would shrink; give at least 1, like 5"
            )


SCHEDULERS = (  # of transformers, those that need no more arguments
    "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt",
)  # fmt: skip


@dataclass(frozen=True)
class Optimizer:
    optim: str
    learning_rate: float
    lr_scheduler_type: str
    warmup_steps: int
    adam_beta2: float
    weight_decay: float
    max_grad_norm: float

    def __post_init__(self) -> None:
        check_choice("OPTIMIZER", self.optim, MOMENT_BYTES)
        check_choice("LR_SCHEDULER", self.lr_scheduler_type, SCHEDULERS)
        check_positive(LEARNING_RATE=self.learning_rate, MAX_GRAD_NORM=self.max_grad_norm)
        if self.optim == "adamw_torch_8bit" and not find_spec("torchao"):
            raise InputError("OPTIMIZER adamw_torch_8bit needs torchao; pip install torchao, or set adamw_torch_fused")


@dataclass(frozen=True)
class Training:
    """All sections of a training run, and what belongs to none of them."""

    processes: int
    gpus: int  # visible to this process; 0: it runs on the CPU
    model_path: str
    weights: str  # the type of trained weights; adapters are float32 over a frozen base model
    adapters: dict[str, Any]  # of peft's LoraConfig; {}: all weights are trained
    adapter_options: dict[str, Any]  # more of peft's, LORA_OPTIONS
    options: dict[str, Any]  # of TRL's GRPOConfig, GRPO_OPTIONS
    batch: Batch
    sampling: Sampling
    turns: Turns
    objective: Objective
    optimizer: Optimizer
    generation: str  # the engine that samples: "transformers" or "vllm"
    vllm: Vllm
    savings: tuple[str, ...]
    refills: int
    replicas: int
    output_dir: str
    save_steps: int
    kept_checkpoints: int
    trackers: tuple[str, ...]  # by transformers' names
    callbacks: tuple[str, ...]  # "module:name" or "file.py:name" of what makes one of transformers
    seed: int

    def __post_init__(self) -> None:
        loss = self.objective
        masked = loss.mask_truncated_completions is True
        check_savings(self.savings, self.gpus, self.generation, loss.loss_type, loss.beta, masked)
        check_grpo_options(
            self.options,
            loss_type=loss.loss_type,
            beta=loss.beta,
            generation=self.generation,
            savings=self.savings,
            ratio_cap=self.vllm.ratio_cap,
        )
        LORA.check(self.adapter_options)
        if self.adapter_options and not self.adapters:
            raise InputError(
                "LORA_OPTIONS are of adapters, and this run trains all weights: add USE_LORA, or leave them out"
            )
        if self.adapters and self.optimizer.learning_rate < ADAPTERS_RATE:
            raise InputError(
                f"LEARNING_RATE {self.optimizer.learning_rate:g} is one of full fine-tuning, and adapters hardly learn "
                f"with it: with USE_LORA give at least {ADAPTERS_RATE:g}, like 5e-05"
            )
        check_choice("GENERATION", self.generation, ("transformers", "vllm"))
        check_choice("MASTER_WEIGHTS", self.weights, WEIGHT_BYTES)
        check_positive(SAVE_STEPS=self.save_steps)
        if Path(self.output_dir).resolve() == Path(self.model_path).resolve():
            raise InputError(f"OUTPUT_DIR {self.output_dir} is MODEL_PATH, which would be overwritten; give another")
        shards, rest = divmod(self.processes, max(self.replicas, 1))
        if self.replicas != 1 and (self.adapters or self.replicas < 1 or rest or shards < 2):
            raise InputError(
                f"REPLICAS is {self.replicas}, and there are {self.processes} process(es): give a number that divides "
                "them and leaves at least two for each, like the number of machines; or 1, as with USE_LORA each "
                "process has the whole model"
            )
        check_precision("float32" if self.adapters else self.weights, self.optimizer.learning_rate)
        self.batch.check_groups(self.processes, self.refills)

    def check_options(self) -> None:
        """Raises InputError for options that the installed TRL or peft does not take; it imports them."""
        if self.options:
            from trl import GRPOConfig

            GRPO.check_types(self.options, GRPOConfig)
        if self.adapter_options:
            from peft import LoraConfig

            LORA.check_types(self.adapter_options, LoraConfig)
            try:
                self.peft_config  # noqa: B018 - it checks itself
            except ValueError as error:
                raise InputError(f"LORA_OPTIONS {self.adapter_options}: {error}") from error

    def lines(self, tasks: int, heldout: int, prompt_tokens: float) -> list[str]:
        """What the run will do, in numbers, with so many tasks and tokens in the mean prompt."""
        batch, answer = self.batch, self.sampling.max_completion_length
        completions = self.prompts_per_step * batch.num_generations
        tokens = completions * (prompt_tokens + self.turns.tokens(answer))
        passes = self.prompts_per_step * batch.max_steps / batch.num_iterations / tasks
        options = [f"{name} {value!r}" for name, value in (self.options | self.adapter_options).items()]
        unlikely = unlikely_options(self.options, self.objective.loss_type, batch.num_iterations, self.generation)
        return [
            f"model    {self.model_path}, {'LoRA' if self.adapters else 'all weights'}, "
            f"{self.processes} process(es), {'GPU, bfloat16' if self.gpus else 'CPU, float32'}",
            f"tasks    {tasks} to train on, {heldout} held out",
            f"step     {self.prompts_per_step} prompts x {batch.num_generations} = {completions} completions; at most "
            f"{tokens:,.0f} tokens, {prompt_tokens:.0f} a prompt and {answer} a completion",
            f"run      {batch.max_steps} steps, {passes:.1f} passes over the tasks",
            *[f"options  {', '.join(options)}"][: len(options)],
            *[f"warning: {each}" for each in unlikely],
        ]

    @property
    def prompts_per_step(self) -> int:
        return self.batch.completions * self.processes // self.batch.num_generations

    @property
    def prompts(self) -> int:
        """Of the whole run; steps on the same completions share them."""
        return self.prompts_per_step * self.batch.max_steps // self.batch.num_iterations

    @cached_property
    def conversations(self) -> Any:
        """What holds the conversations of a run with several turns; None with one. It loads the tokenizer."""
        if self.turns.most == 1:
            return None
        from raccoon.training.sampling import Conversations

        return Conversations(self)

    @property
    def peft_config(self) -> Any:
        """peft's LoraConfig; None without adapters."""
        if not self.adapters:
            return None
        from peft import LoraConfig

        return LoraConfig(**self.adapters, **self.adapter_options, task_type="CAUSAL_LM")

    @property
    def loaded_weights(self) -> str:
        """The type in which the model is loaded; with adapters it is frozen."""
        return self.weights if not self.adapters else "bfloat16" if self.gpus else "float32"

    @property
    def mixed_precision(self) -> str:
        """accelerate's mixed precision: "bf16" to compute in bfloat16 over float32 weights; else "no"."""
        mixed = self.adapters or self.weights == "float32"
        return "bf16" if mixed and (self.gpus or "bfloat16" in self.savings) else "no"

    def set_environment(self, threads: int) -> None:
        """Sets the environment variables that the libraries read when they are imported."""
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # TRL would report its use
        os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # it warns of rollout_func, on which several turns rest
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(Path(self.output_dir) / "tensorboard"))
        if self.gpus and self.generation != "vllm":  # vLLM's sleep needs its own allocator
            os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # less fragmented memory
        if not self.gpus:
            os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        if os.environ.get("RANK", "0") != "0":
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # only the first process prints

    def check_additions(self) -> None:
        """Raises InputError for a tracker or callback that cannot be used. Only if one is named, it imports torch."""
        if self.trackers or self.callbacks:
            from raccoon.training.callbacks import callback_makers, check_trackers

            check_trackers(self.trackers)
            callback_makers(self.callbacks)


def grpo_config(run: Training, judging_seconds: float, reward_weights: list[float] | None) -> Any:
    """The sections as TRL's arguments; `judging_seconds` is how long a judge may take for a step."""
    from accelerate.parallelism_config import ParallelismConfig
    from trl import GRPOConfig

    from raccoon.training.policy import recomputation

    sampling = asdict(run.sampling)
    longest, thinking = sampling.pop("max_prompt_length"), sampling.pop("enable_thinking")
    warmup = run.optimizer.warmup_steps if run.optimizer.warmup_steps > 1 else 0  # one is only a step at a rate of 0
    groups = None  # one group of all processes
    if run.replicas > 1:
        groups = ParallelismConfig(dp_replicate_size=run.replicas, dp_shard_size=world_size() // run.replicas)
    vllm = run.vllm.options(run.gpus, longest + run.sampling.max_completion_length) if run.generation == "vllm" else {}
    return GRPOConfig(
        **asdict(run.batch) | asdict(run.objective) | asdict(run.optimizer) | sampling | {"warmup_steps": warmup},
        **vllm | run.options,
        **recomputation(GRPOConfig, bool(run.gpus)),
        output_dir=run.output_dir,
        seed=run.seed,
        chat_template_kwargs={"enable_thinking": thinking},
        shuffle_dataset=False,  # schedule() shuffles; after a resume TRL's sampler would repeat its first pass
        use_cpu=not run.gpus,
        bf16=run.mixed_precision == "bf16",
        parallelism_config=groups,
        ddp_timeout=COLLECTIVE_SECONDS + int(judging_seconds),
        ddp_find_unused_parameters=False,  # every pass uses every weight
        reward_weights=reward_weights,
        save_steps=run.save_steps,
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is not finite is shown, not averaged away
        disable_tqdm=True,  # lines read better in a container's log
        report_to=list(run.trackers) or "none",
    )
