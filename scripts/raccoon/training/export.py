"""Writes the trained policy at the end of a run: one whole model, with its adapters merged in, that any tool can load.

LoRA's adapters lie beside it, too, in OUTPUT_DIR/lora_adapter.

The trainer writes the checkpoints, which may be in shards.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException

from raccoon.constants import RunError
from raccoon.training.sharding import whole_weights

ADAPTER_FOLDER = "lora_adapter"


def save_policy(trainer: Any, folder: str) -> None:
    """Writes the model, with LoRA adapters merged into it, and the tokenizer.

    A policy with float32 weights that computed in bfloat16 is written in bfloat16, the precision in which it sampled.
    With adapters it is written in float32: a bfloat16 base model would round away half of what they learnt. It is made
    in the machine's memory, because a GPU that just fits the training has no room for it.
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
        if lora:
            model.save_pretrained(Path(folder) / ADAPTER_FOLDER, save_embedding_layers=False)
            model = model.float().merge_and_unload(safe_merge=True)
        model.save_pretrained(folder)
        trainer.processing_class.save_pretrained(folder)


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
        free, reason = shutil.disk_usage(folder).free / 1e9, str(error).splitlines()[0]
        raise RunError(
            f"{what} could not be written to {folder}, which has {free:.3f} GB free ({reason}): free some "
            "space, and give the same command to continue from the newest whole checkpoint"
        ) from error
