"""Every private name of TRL, accelerate, transformers, torch and vLLM that this project uses, and nothing else.

A new version of a library may remove or rename one of them. A test looks for all PRIVATE_NAMES in the installed
versions. The rest of the project uses the public names of this file.
"""

import copy
import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch.distributed.fsdp._fully_shard._fsdp_state import FSDPState
from trl import GRPOTrainer

# (module, class or "" for the module itself, name, what it is for)
PRIVATE_NAMES = (
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_generate_single_turn", "timing, and whole weights while it samples"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_generate_and_score_completions", "refills, and the log of rollouts"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_get_per_token_logps_and_entropies", "the output head on a CPU"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_buffered_inputs", "the order of rows in the passes of a step"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_tokenize_prompts", "completions outside of a training step"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_tokenizer", "the padding of batches that are put together"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_metrics", "a memory probe that leaves no trace"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "entropy_coef", "the same, with an adaptive term"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_last_world_entropy", "the same"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_entropy_window_stats", "the same"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_entropy_bonus_enabled", "whether entropies need a gradient"),
    ("trl.trainer.grpo_trainer", "GRPOTrainer", "_last_loaded_step", "which weights vLLM has"),
    ("trl.generation.vllm_generation", "VLLMGeneration", "_llm_weights_sleeping", "whether vLLM has no weights"),
    ("trl.generation.vllm_generation", "VLLMGeneration", "_iter_named_params", "adapters that are merged into copies"),
    ("transformers", "Trainer", "_clip_grad_norm", "skipping an update whose gradient is not finite"),
    ("transformers", "Trainer", "_save_checkpoint", "checkpoints that count only once they are whole"),
    ("torch.distributed.fsdp", "FSDPModule", "_get_fsdp_state", "whole weights for as long as a batch is generated"),
    ("torch.distributed.fsdp._fully_shard._fsdp_state", "FSDPState", "_fsdp_param_groups", "the same"),
    ("torch.distributed.fsdp._fully_shard._fsdp_param_group", "FSDPParamGroup", "post_forward_mesh_info", "the same"),
    ("torch.distributed.fsdp._fully_shard._fsdp_state", "FSDPState", "_lazy_init", "the same, before the first pass"),
    ("torch.nn", "Module", "_forward_pre_hooks", "forward passes without FSDP2's hooks while a batch is generated"),
    ("torch.nn", "Module", "_forward_hooks", "the same"),
)

# Needed only with vLLM
VLLM_NAMES = (
    ("trl.generation.vllm_generation", "", "LLM", "settings of the engine that GRPOConfig has no argument for"),
    ("vllm.model_executor.layers.utils", "", "dispatch_cpu_unquantized_gemm", "weights that can be pushed on a CPU"),
    ("vllm.device_allocator.cumem", "CuMemAllocator", "instance", "how much of vLLM's memory sleeps"),
    ("vllm.device_allocator.cumem", "CuMemAllocator", "pointer_to_data", "the same"),
    ("vllm.device_allocator", "AllocationData", "handle", "the same"),
    ("vllm.device_allocator", "AllocationData", "is_asleep", "the same"),
)
PASS_STATE = ("_metrics", "entropy_coef", "_last_world_entropy", "_entropy_window_stats")  # that a pass changes
LIBRARIES = ("trl", "transformers", "torch", "accelerate")


def is_there(module: str, owner: str, name: str) -> bool:
    """Whether an installed class has an attribute, or its own source or that of its bases sets it on instances."""
    found = getattr(importlib.import_module(module), owner)
    if hasattr(found, name) or name in getattr(found, "__annotations__", {}):
        return True
    written = [inspect.getsource(base) for base in found.__mro__ if base.__module__.partition(".")[0] in LIBRARIES]
    return any(f"self.{name} =" in source or f"self.{name}:" in source for source in written)


class OpenTrainer(GRPOTrainer):
    """TRL's trainer with public names for the private methods that CodeTrainer extends, and for TRL's own behaviour."""

    trl_completions = GRPOTrainer._generate_single_turn  # completion ids, and log-probabilities or None
    trl_batch = GRPOTrainer._generate_and_score_completions  # prompts (B, P), completions (B, C), advantages (B)
    # Of completions (B, C): log-probabilities, entropies or None; loss of experts or None
    trl_logprobs = GRPOTrainer._get_per_token_logps_and_entropies
    trl_clipping = GRPOTrainer._clip_grad_norm  # clips in place; the norm before
    trl_checkpoint = GRPOTrainer._save_checkpoint

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        return self.sample_completions(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict[str, Any]:
        return self.make_batch(inputs)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        return self.token_logprobs(*args, **kwargs)

    def _clip_grad_norm(self, model: torch.nn.Module) -> torch.Tensor:
        return self.clip_gradients(model)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        self.write_checkpoint(model, trial)

    def prompt_token_ids(self, conversations: list[list[dict]]) -> list[list[int]]:
        """The token ids of prompts in the chat template."""
        return self._tokenize_prompts(conversations)[0]

    @property
    def pad_token_id(self) -> int:
        return self._tokenizer.pad_token_id

    @property
    def has_entropy_term(self) -> bool:
        return self._entropy_bonus_enabled

    @property
    def buffered_passes(self) -> list[dict] | None:
        """The passes into which TRL divides the newest generation, after it has shuffled the rows."""
        return self._buffered_inputs


@contextmanager
def left_alone(trainer: GRPOTrainer) -> Iterator[None]:
    """Undoes what a pass within the block adds to TRL's metrics, and to its control of the entropy."""
    kept = {name: copy.deepcopy(getattr(trainer, name)) for name in PASS_STATE}
    try:
        yield
    finally:
        vars(trainer).update(kept)


def engine_lacks_weights(trainer: GRPOTrainer) -> bool:
    """Whether vLLM lacks the policy's current weights: after an update, or after it slept."""
    return trainer._last_loaded_step != trainer.state.global_step or getattr(
        trainer.vllm_generation, "_llm_weights_sleeping", False
    )  # a server has no such attribute


def note_engine_weights(trainer: GRPOTrainer) -> None:
    """Tells TRL that vLLM has the policy's weights, so that it does not push them again."""
    trainer._last_loaded_step = trainer.state.global_step


@contextmanager
def engine_awake(generation: Any) -> Iterator[None]:
    """Keeps TRL's engine, which has the weights, awake within the block; then it sleeps, if it does.

    TRL puts it to sleep after each generation. Each further turn would push all weights, and read all texts anew.
    """
    sleeps = generation.mode == "colocate" and generation.enable_sleep_mode
    if not sleeps:
        yield
        return
    generation.enable_sleep_mode = False
    try:
        yield
    finally:
        generation.enable_sleep_mode = True
        generation.llm.sleep(level=2)
        generation._llm_weights_sleeping = True


def sleeping_bytes() -> int:
    """The bytes (whole segments of torch's pool) that sleep with vLLM off the GPU; torch counts them as allocated."""
    module = sys.modules.get("vllm.device_allocator.cumem")  # vLLM itself imports it when it makes its memory pool
    pool = module.CuMemAllocator.instance if module else None
    return sum(data.handle[1] for data in pool.pointer_to_data.values() if data.is_asleep) if pool else 0


def push_merged_copies(trainer: GRPOTrainer) -> None:
    """Makes TRL push merged_parameters: its own merging changes a bfloat16 base with each push (its issue 6688)."""
    generation = trainer.vllm_generation
    generation._iter_named_params = lambda: merged_parameters(generation.model)


@torch.no_grad()
def merged_parameters(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """A LoRA policy's weights under the base model's names, with the adapters merged into copies, one at a time."""
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    for name, weight in model.named_parameters():
        if model.prefix in name:
            continue
        its = [layer for layer in layers if layer.get_base_layer().weight is weight]
        merged = weight.float() if its else weight.data
        for layer, adapter in [(each, adapter) for each in its for adapter in each.active_adapters]:
            variant = layer.lora_variant.get(adapter)  # DoRA's is no sum of base and update
            merge = variant.merge_safe if variant else plain_merge
            merged = merge(layer, adapter, merged)
        merged = merged.to(weight.dtype)
        name = name.removeprefix("base_model.model.").replace(".base_layer", "")
        yield name.replace("_checkpoint_wrapped_module.", ""), merged


def plain_merge(layer: LoraLayer, adapter: str, weight: torch.Tensor) -> torch.Tensor:
    return weight + layer.get_delta_weight(adapter)


@contextmanager
def engine_settings(model: Any, args: Any) -> Iterator[None]:
    """Adds settings to the engine that TRL makes within this block; `args` is TRL's GRPOConfig.

    On a CPU: the policy's own dtype, where vLLM would take bfloat16; no compilation, which takes longer than a small
    model's run; and weights in the layout in which they are pushed.
    """
    if not args.use_vllm or args.vllm_mode != "colocate":
        yield
        return
    from trl.generation import vllm_generation

    made, settings = vllm_generation.LLM, dict[str, Any](use_tqdm_on_load=False)
    if args.use_cpu:
        keep_weights_unpacked()
        settings |= {"dtype": str(model.dtype).removeprefix("torch."), "enforce_eager": True}
    vllm_generation.LLM = partial(made, **settings)
    try:
        yield
    finally:
        vllm_generation.LLM = made


def keep_weights_unpacked() -> None:
    """Keeps vLLM's CPU backend from repacking linear weights after it has loaded them.

    Repacking deletes the original, and the next load_weights fails. vLLM's own reload_weights packs them again, but not
    an output head that is tied to the embedding (0.31.0): it kept its old values. Unpacked weights decode as fast.
    """
    from vllm.model_executor.layers import utils

    def plain(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = plain


def parameter_groups(units: list[torch.nn.Module]) -> set[Any]:
    """FSDP2's groups of these sharded modules; their post_forward_mesh_info is what set_reshard_after_forward sets."""
    return {group for unit in units for group in unit._get_fsdp_state()._fsdp_param_groups}


def prepare_units(units: list[torch.nn.Module]) -> None:
    """Does what FSDP2 leaves for a model's first forward pass."""
    for whole in units[:1]:
        whole._get_fsdp_state()._lazy_init()


@contextmanager
def without_sharding_hooks(units: list[torch.nn.Module]) -> Iterator[None]:
    """Takes FSDP2's hooks off the sharded modules' forward passes, and puts them back.

    Modules with whole weights do not need them, and they take a third of a decoding step's time on the CPU.
    """
    tables = [table for unit in units for table in (unit._forward_pre_hooks, unit._forward_hooks)]
    kept = [dict(table) for table in tables]
    try:
        for table in tables:
            for number in [number for number, hook in table.items() if is_sharding_hook(hook)]:
                del table[number]
        yield
    finally:
        for table, before in zip(tables, kept, strict=True):
            added = dict(table)
            table.clear()
            table.update(before | added)  # in their old order


def is_sharding_hook(hook: Any) -> bool:
    """Whether a forward hook is FSDP2's: a method of its state, or functions around one."""
    while hook and not isinstance(getattr(hook, "__self__", None), FSDPState):
        hook = getattr(hook, "__wrapped__", None)
    return bool(hook)
