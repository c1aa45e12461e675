"""The policy and its tokenizer: loads them, and writes the trained model as one whole that any tool can load.

The trainer writes the checkpoints, which may be in shards. They can be made a whole model too, without a trainer.
"""

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from peft import PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException
from transformers import GenerationConfig

from raccoon.constants import InputError, RunError, lacks_memory
from raccoon.model_files import end_tokens, is_adapter, load_tokenizer, load_weights, open_to_others, save_model
from raccoon.training.sections import Sampling
from raccoon.training.sharding import SHARDS_FOLDER, read_shards, whole_weights

ADAPTER_FOLDER = "lora_adapter"  # in OUTPUT_DIR
# Beginnings of names in a generation_config that do not decide what is sampled, or that training always sets
BESIDE_SAMPLING = ("_", "max_", "output_", "return_", "transformers_version", "use_cache")


def quiet_libraries() -> None:
    """Silences the libraries' own log lines."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    logging.getLogger("trl").setLevel(logging.ERROR)  # otherwise it prints every completion that has no reward
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def load_chat_tokenizer(path: str) -> Any:
    """The model's tokenizer; raises InputError if it cannot be read or has no chat template."""
    tokenizer = load_tokenizer(path)
    if not tokenizer.chat_template:
        raise InputError(f"{path} has no chat template; start from a model that was taught to chat")
    return tokenizer


def prompt_end(tokenizer: Any, enable_thinking: bool) -> str:
    """The text that the chat template puts between a user's message and the completion."""
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": ""}], tokenize=False, add_generation_prompt=True, enable_thinking=enable_thinking
    )


def load_policy(path: str, tokenizer: Any, dtype: str) -> Any:
    """The model; its generation_config gets every token that ends a completion. Raises InputError as load_weights."""
    model = load_weights(path, dtype)
    model.generation_config.eos_token_id = end_tokens(tokenizer, model.generation_config.eos_token_id)
    return model


def ignored_settings(config: GenerationConfig, sampling: Sampling) -> str:
    """What a checkpoint's generation_config asks for beside the settings that are used, as text."""
    own = (*asdict(sampling).items(), ("do_sample", True))
    return ", ".join(
        f"{name} {value!r}"
        for name, value in config.to_diff_dict().items()
        if "token_id" not in name and not name.startswith(BESIDE_SAMPLING) and (name, value) not in own
    )


def recomputation(config: Any, wanted: bool) -> dict[str, bool]:
    """A config class's argument for computing activations a second time instead of keeping them.

    transformers 5.23 calls it activation_checkpointing. Older versions, like the one that vLLM 0.31 requires, call it
    gradient_checkpointing.
    """
    names = ("activation_checkpointing", "gradient_checkpointing")
    return {next(name for name in names if name in config.__dataclass_fields__): wanted}


def recompute_layers(model: Any) -> None:
    """Turns that on for a model, by the name that its version of transformers has."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()


def save_policy(trainer: Any, folder: str, merge: bool = True) -> None:
    """Writes the model, with LoRA adapters merged into it unless `merge` is False, and the tokenizer.

    Float32 weights that computed in bfloat16 are written in bfloat16, the precision in which they sampled; but in
    float32 with adapters: a bfloat16 base model would round away half of what they learnt. All this is made in the
    machine's memory, because a GPU that just fits the training has no room for it.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    lora = hasattr(model, "merge_and_unload")
    dtype = torch.bfloat16 if trainer.args.bf16 and not lora else None
    weights = whole_weights(model, dtype) if trainer.is_fsdp_enabled else None
    if not trainer.accelerator.is_main_process:
        return
    with saving("the model", folder):
        if weights is not None:
            model = rebuilt(model, weights)
        elif lora:
            model = model.cpu()
        elif dtype:
            model = model.to(dtype)
        if lora and not merge:
            save_model(model, trainer.processing_class, folder)
        else:
            write_model(model, trainer.processing_class, folder)


def write_model(model: Any, tokenizer: Any, folder: str | Path) -> None:
    """Writes a model and its tokenizer, both readable by others; adapters apart, and merged in float32."""
    if hasattr(model, "merge_and_unload"):
        model.save_pretrained(Path(folder) / ADAPTER_FOLDER, save_embedding_layers=False)
        open_to_others(Path(folder) / ADAPTER_FOLDER)
        model = model.float().merge_and_unload(safe_merge=True)
    save_model(model, tokenizer, folder)


def checkpoint_model(checkpoint: Path, base: str, tokenizer: Any, adapters: Any) -> Any:
    """The model of a checkpoint, whole, in float32, with its adapters.

    `base` is the model before training, which a checkpoint in shards or of adapters needs; `adapters` is peft's
    LoraConfig, None without. Only for a checkpoint of one's own: torch unpickles the index of shards.
    """
    shards = checkpoint / SHARDS_FOLDER
    if not shards.is_dir() and not is_adapter(checkpoint):
        return load_policy(str(checkpoint), tokenizer, "float32")
    model = load_policy(base, tokenizer, "float32")
    if not shards.is_dir():
        return PeftModel.from_pretrained(model, checkpoint)
    if not adapters:
        return rebuilt(model, read_shards(shards))
    model = get_peft_model(model, adapters)
    set_peft_model_state_dict(model, read_shards(shards))  # accelerate wrote the adapters alone
    return model


def rebuilt(model: Any, weights: dict[str, torch.Tensor]) -> Any:
    """An unsharded copy of a sharded model, with its whole weights in their dtype; adapters stay adapters."""
    lora = hasattr(model, "merge_and_unload")
    base = model.get_base_model() if lora else model
    with torch.device("meta"):
        whole = type(base)(base.config)
        whole.generation_config = base.generation_config
        whole = get_peft_model(whole, model.peft_config["default"]) if lora else whole
    whole.load_state_dict(weights, assign=True)
    whole.tie_weights()
    return whole


@contextmanager
def saving(what: str, folder: str) -> Iterator[None]:
    """Turns the errors of open, torch and safetensors on a full disk into a RunError with the remedy."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:
        if not isinstance(error, SafetensorError) and lacks_memory(error):
            raise
        free, reason = shutil.disk_usage(folder).free / 1e9, str(error).splitlines()[0]
        raise RunError(
            f"{what} could not be written to {folder}, which has {free:.3f} GB free ({reason}): free some "
            "space, and give the same command again; a run continues from its newest whole checkpoint"
        ) from error
