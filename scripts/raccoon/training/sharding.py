"""FSDP2: a sharded policy's precision, and its whole weights for generation and export.

accelerate does the sharding, as scripts/accelerate_fsdp2.yaml says. The weights are float32 on the processes' shards
and bfloat16 in every forward and backward pass; the log-probabilities are float32. All processes must call these
functions together, or they wait for each other forever.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as shards
import torch.distributed.fsdp as fsdp
from accelerate import Accelerator
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.tensor import DTensor

from raccoon.training.library_internals import parameter_groups, prepare_units, without_sharding_hooks

SHARDS_FOLDER = "pytorch_model_fsdp_0"  # in a checkpoint, as accelerate names it


def configure(accelerator: Accelerator) -> None:
    """Makes a policy that will be sharded compute in the run's mixed precision and reduce gradients in float32.

    accelerate's default also casts the result of a forward pass to bfloat16, so that rounding of the log-probabilities
    exceeds what an update changes.
    Gradients are reduced to the shards after each micro-batch. By default they stay whole on every GPU until the
    step's last micro-batch, which takes another 29.5 GB for a 14.8B model in bfloat16.
    """
    compute = torch.bfloat16 if accelerator.mixed_precision == "bf16" else None
    accelerator.state.fsdp_plugin.mixed_precision_policy = fsdp.MixedPrecisionPolicy(
        param_dtype=compute, reduce_dtype=torch.float32, output_dtype=None
    )
    accelerator.gradient_state.plugin_kwargs["sync_each_batch"] = True


def shard(accelerator: Accelerator, model: torch.nn.Module) -> torch.nn.Module:
    """Shards a model before training starts, so that it can generate. Training then uses the sharded model."""
    model = fsdp2_prepare_model(accelerator, model)
    fsdp.register_fsdp_forward_method(model, "generate")
    return model


@contextmanager
def unsharded(model: torch.nn.Module) -> Iterator[None]:
    """Holds the whole weights on every process: one all-gather for each unit, however many tokens are generated.

    Without it every token gathers every layer again. It takes the model's size in the compute precision. Within the
    block the model is as fast as one that is not sharded, and no process waits for another in a forward pass. It does
    nothing with a model that is not sharded.
    """
    units = [module for module in model.modules() if isinstance(module, fsdp.FSDPModule)]
    groups = parameter_groups(units)
    resharding = {group: group.post_forward_mesh_info for group in groups}
    prepare_units(units)
    try:
        for unit in units:
            unit.set_reshard_after_forward(False, recurse=False)
            unit.unshard()
        with without_sharding_hooks(units):
            yield
    finally:
        for unit in units:
            unit.reshard()
        for group, mesh_info in resharding.items():
            group.post_forward_mesh_info = mesh_info


def whole_weights(model: torch.nn.Module, dtype: torch.dtype | None) -> dict[str, Any]:
    """The weights, perhaps cast, gathered one by one into the first process's memory; {} on the others."""
    keeps = torch.distributed.get_rank() == 0
    state = {}
    for name, tensor in model.state_dict().items():
        tensor = tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keeps:
            state[name] = whole.cpu()
    return state


def read_shards(folder: Path) -> dict[str, torch.Tensor]:
    """The whole weights of a checkpoint's SHARDS_FOLDER, in this process's memory; any one process can call it."""
    reader = shards.FileSystemReader(folder)
    kept = {
        name: torch.empty(each.size, dtype=each.properties.dtype)
        for name, each in reader.read_metadata().state_dict_metadata.items()
        if isinstance(each, TensorStorageMetadata)
    }
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # torch says that it loads in one process
        shards.load(kept, storage_reader=reader, no_dist=True)
    return {name.removeprefix("model."): tensor for name, tensor in kept.items()}  # accelerate's own prefix
