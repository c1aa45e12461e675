"""GRPO_OPTIONS and LORA_OPTIONS: arguments of TRL's GRPOConfig and of peft's LoraConfig that have no constant.

A name passes only if the training honours it everywhere: tests compare each one with plain TRL or peft. Every other
name is refused with the reason. This file imports no library; check_types takes the library's class.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from raccoon.constant_types import fits_type
from raccoon.constants import InputError

PLAIN_VALUES = (bool, int, float, str, type(None))
CLIPPED_LOSSES = ("grpo", "dr_grpo", "dapo", "bnpo", "luspo")  # those with a clipped ratio
ENTROPY_OPTIONS = ("top_entropy_quantile", "entropy_coef", "use_adaptive_entropy")
RATIO_OPTIONS = ("delta", "sapo_")  # they act on the ratio of new to old weights
OLD_OPTIONS = ("vespo_", "off_policy_mask_threshold")  # those on that of new weights to what sampled
BY_TOKENS = ("dr_grpo", "dapo", "bnpo", "cispo")  # losses that sum over tokens, so that a long completion weighs more

SAMPLES_BY_CONSTANTS = "a run samples by TEMPERATURE, TOP_P and TOP_K alone; anything else biases the importance ratios"
ONE_GENERATION = (
    "checkpoints, savings and refills rest on one generation a step; set GRADIENT_ACCUMULATION or NUM_ITERATIONS"
)
NOT_IN_CHECKPOINT = "a checkpoint does not hold the reference model, so a resumed run would be another one"
OWN_LOGS = "completions.jsonl already has every completion"
NOT_MERGED = "a vLLM engine and the saved model get the merged weights of linear layers alone"


@dataclass(frozen=True)
class Library:
    """One constant of options: what passes, and why the rest does not."""

    constant: str
    limits: Mapping[str, tuple[Callable[[Any], bool], str]]  # of each name that passes: its values, and in words
    constants: Mapping[str, str]  # names for which the script has a constant
    reasons: Mapping[str, str]  # why others are refused

    def check(self, options: Any) -> None:
        """Raises InputError for a name that does not pass, and for a value outside of its limits."""
        if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
            raise InputError(f'{self.constant} is {options!r}; give names and values, like {{"name": 1.0}}')
        for name, value in options.items():
            if name in self.constants:
                raise InputError(f"{self.constant} has {name}: set {self.constants[name]} instead")
            if name in self.reasons:
                raise InputError(f"{self.constant} has {name}: {self.reasons[name]}; leave it out")
            if name not in self.limits:
                raise InputError(f"{self.constant} cannot have {name!r}; {self.nearest(name)}")
            fits, words = self.limits[name]
            if not is_plain(value) or not fits(value):
                raise InputError(f"{self.constant} has {name} {value!r}; give {words}")

    def nearest(self, name: str) -> str:
        known = {**dict.fromkeys(self.limits), **self.constants}
        close = difflib.get_close_matches(name, known, 1)
        if close and close[0] in self.constants:
            return f"did you mean {close[0]}? Its constant is {self.constants[close[0]]}"
        return f"did you mean {close[0]}?" if close else f"choose from {', '.join(self.limits)}"

    def check_types(self, options: Mapping[str, Any], config: type) -> None:
        """Raises InputError for a name that the installed library's class lacks, or a value that is not of its type."""
        hints = get_type_hints(config)
        for name, value in options.items():
            if name not in hints:
                raise InputError(
                    f"{self.constant} has {name}, which the installed {config.__name__} does not know: leave it out, "
                    "or install the versions in requirements.txt"
                )
            if not fits_type(value, hints[name]):
                wanted = getattr(hints[name], "__name__", hints[name])
                raise InputError(f"{self.constant} has {name} {value!r}; {config.__name__} takes {wanted}")


def is_plain(value: Any) -> bool:
    """Whether JSON has such a value: config.json keeps it, and a resumed run compares it."""
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(is_plain, value.values()))
    if isinstance(value, list):
        return all(map(is_plain, value))
    return isinstance(value, PLAIN_VALUES) and not (isinstance(value, float) and not math.isfinite(value))


def number(fits: Callable[[float], bool]) -> Callable[[Any], bool]:
    """Whether a value is a number that fits."""
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and fits(value)


def one_of(*choices: Any) -> tuple[Callable[[Any], bool], str]:
    return lambda value: any(
        value is each or value == each and isinstance(value, str) for each in choices
    ), " or ".join(map(repr, choices))


NUMBER = (number(lambda value: True), "a number")
POSITIVE = (number(lambda value: value > 0), "a number above 0")
AT_LEAST_0 = (number(lambda value: value >= 0), "a number of at least 0")
ANY: tuple[Callable[[Any], bool], str] = (lambda value: True, "")  # its type says enough

GRPO = Library(
    constant="GRPO_OPTIONS",
    limits={
        "importance_sampling_level": one_of("token", "sequence"),
        "delta": (number(lambda value: value > 1), "a number above 1: at 1 and below it stops every update"),
        "sapo_temperature_neg": POSITIVE,
        "sapo_temperature_pos": POSITIVE,
        "vespo_k_pos": AT_LEAST_0,
        "vespo_lambda_pos": AT_LEAST_0,
        "vespo_k_neg": AT_LEAST_0,
        "vespo_lambda_neg": AT_LEAST_0,
        "top_entropy_quantile": (number(lambda value: 0 <= value <= 1), "a share from 0 to 1, like 0.2"),
        "entropy_coef": NUMBER,
        "use_adaptive_entropy": one_of(True, False),
        "entropy_coef_min": NUMBER,
        "entropy_coef_max": NUMBER,
        "entropy_coef_delta": POSITIVE,
        "entropy_target": POSITIVE,
        "off_policy_mask_threshold": POSITIVE,
        "use_bias_correction_kl": one_of(True, False),
        "vllm_importance_sampling_mode": one_of("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
        "vllm_importance_sampling_clip_min": AT_LEAST_0,
    },
    constants={
        **{
            name: name.upper()
            for name in (
                "num_generations num_iterations max_steps temperature top_p top_k max_completion_length loss_type "
                "scale_rewards epsilon epsilon_high beta learning_rate warmup_steps adam_beta2 weight_decay "
                "max_grad_norm vllm_mode seed output_dir save_steps save_total_limit report_to reward_weights"
            ).split()
        },
        "per_device_train_batch_size": "BATCH_SIZE",
        "gradient_accumulation_steps": "GRADIENT_ACCUMULATION",
        "mask_truncated_completions": "MASK_TRUNCATED",
        "optim": "OPTIMIZER",
        "lr_scheduler_type": "LR_SCHEDULER",
        "use_vllm": "GENERATION",
        "vllm_server_base_url": "VLLM_SERVER_URL",
        "vllm_gpu_memory_utilization": "VLLM_MEMORY_SHARE",
        "vllm_importance_sampling_clip_max": "VLLM_RATIO_CAP",
        "vllm_importance_sampling_cap": "VLLM_RATIO_CAP",
        "chat_template_kwargs": "ENABLE_THINKING",
        "bf16": "MASTER_WEIGHTS or SAVINGS",
    },
    reasons={
        **dict.fromkeys(("min_p", "repetition_penalty", "generation_kwargs"), SAMPLES_BY_CONSTANTS),
        **dict.fromkeys(("cache_implementation", "vllm_structured_outputs_regex"), SAMPLES_BY_CONSTANTS),
        **dict.fromkeys(("steps_per_generation", "generation_batch_size"), ONE_GENERATION),
        **dict.fromkeys(("sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"), NOT_IN_CHECKPOINT),
        **dict.fromkeys(("log_completions", "num_completions_to_print", "log_unique_prompts"), OWN_LOGS),
        "shuffle_dataset": "SEED shuffles the tasks, in an order that a resumed run repeats",
        "multi_objective_aggregation": "REWARD both adds the rewards by REWARD_WEIGHTS, and refills count on it",
        "vllm_importance_sampling_correction": "the run logs its ratios; a high VLLM_RATIO_CAP leaves them as they are",
    },
)

LORA = Library(
    constant="LORA_OPTIONS",
    limits={
        "use_dora": one_of(True, False),
        "use_rslora": one_of(True, False),
        "rank_pattern": ANY,
        "alpha_pattern": ANY,
        "exclude_modules": ANY,
        # The others change the base model, so that the adapters that are saved beside the model would not fit it
        "init_lora_weights": one_of(True, "gaussian"),
    },
    constants={"r": "LORA_RANK", "lora_alpha": "LORA_ALPHA", "target_modules": "LORA_TARGETS", "peft_type": "USE_LORA"},
    reasons={
        "lora_dropout": "completions are sampled without dropout, and an update with it would learn from another model",
        **dict.fromkeys(("modules_to_save", "trainable_token_indices", "target_parameters"), NOT_MERGED),
        **dict.fromkeys(("bias", "lora_bias", "layer_replication"), NOT_MERGED),
        **dict.fromkeys(
            ("layers_to_transform", "layers_pattern"), "LORA_TARGETS may be a regular expression of layers"
        ),
        "task_type": "it is CAUSAL_LM",
    },
)


def check_grpo_options(
    options: Any, *, loss_type: str, beta: float, generation: str, savings: tuple[str, ...], ratio_cap: float
) -> None:
    """Raises InputError for options that TRL would ignore, or that the run's other constants contradict."""
    GRPO.check(options)
    adaptive = options.get("use_adaptive_entropy", False)
    sequences = options.get("importance_sampling_level") == "sequence"
    by_sequence = options.get("vllm_importance_sampling_mode", "").startswith("sequence")
    low, high = options.get("entropy_coef_min", 0.0), options.get("entropy_coef_max", 1.0)
    whole = "rows" not in savings
    # The beginning of a name, what it needs, and whether that is met
    needs = (
        ("delta", f"a LOSS_TYPE from {', '.join(CLIPPED_LOSSES)}", loss_type in CLIPPED_LOSSES),
        ("sapo_", "LOSS_TYPE sapo", loss_type == "sapo"),
        ("vespo_", "LOSS_TYPE vespo", loss_type == "vespo"),
        ("importance_sampling_level", "another LOSS_TYPE than vespo", not sequences or loss_type != "vespo"),
        ("entropy_coef_", "use_adaptive_entropy true", adaptive),
        ("entropy_target", "use_adaptive_entropy true", adaptive),
        ("entropy_coef_", f"entropy_coef_min below entropy_coef_max, and they are {low} and {high}", low < high),
        *((name, "SAVINGS without rows: it counts the tokens of all rows", whole) for name in ENTROPY_OPTIONS),
        ("use_bias_correction_kl", "BETA above 0", beta > 0),
        ("vllm_", "GENERATION vllm", generation == "vllm"),
        ("vllm_importance_sampling_mode", "token_truncate or token_mask with LOSS_TYPE vespo", loss_type != "vespo"),
        (
            "vllm_importance_sampling_clip_min",
            f"a value below VLLM_RATIO_CAP {ratio_cap}",
            options.get("vllm_importance_sampling_clip_min", 0) < ratio_cap,
        ),
    )
    for start, need, met in needs:
        if start == "vllm_importance_sampling_mode" and not by_sequence:
            continue
        name = next((name for name in options if name.startswith(start)), "")
        if name and not met:
            raise InputError(f"GRPO_OPTIONS has {name}, which needs {need}; leave it out, or change that")


def unlikely_options(options: Mapping[str, Any], loss_type: str, num_iterations: int, generation: str) -> list[str]:
    """What of a run's options is allowed and hardly meant, a sentence each. TRL only logs some of it."""
    sequences, found = options.get("importance_sampling_level") == "sequence", []
    if sequences and loss_type in BY_TOKENS:
        found.append(
            f"importance_sampling_level sequence with LOSS_TYPE {loss_type} weighs a completion by its length; GSPO "
            "(arXiv 2507.18071) is --loss-type grpo"
        )
    if loss_type == "luspo" and not sequences:
        found.append("LOSS_TYPE luspo is meant with importance_sampling_level sequence (arXiv 2602.05261)")
    idle = [
        name
        for name in options
        if name.startswith(RATIO_OPTIONS) or generation != "vllm" and name.startswith(OLD_OPTIONS)
    ]
    if idle and num_iterations == 1:
        found.append(f"{', '.join(idle)}: does nothing with NUM_ITERATIONS 1, because every ratio is 1")
    return found
