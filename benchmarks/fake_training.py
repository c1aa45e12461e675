"""Counts the memory of training and generating at any size, with tensors that have shapes but no numbers.

torch's fake tensors go through the same code as real ones: accelerate's sharding, FSDP2, checkpointing, TRL's fused
head, Adam. A GPU would hold the sum of their storages. The count includes what torch allocates, without the CUDA
context and the allocator's gaps. It says nothing about time except the number of operations. With real tensors the same
code really trains a model that fits.

Fake tensors are the CPU's here, because torch without CUDA cannot differentiate those of a GPU. Two things are changed
to match a GPU: TRL's Triton kernels, which write in place, are replaced by functions that do nothing; and its float32
sums, for which cuBLAS copies nothing, are not counted. Attention is the CPU's fused kernel, which keeps the same
tensors as a GPU's.
"""

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
import transformers
from accelerate import Accelerator
from accelerate.parallelism_config import ParallelismConfig
from accelerate.utils import FullyShardedDataParallelPlugin
from gpu_stand_ins import qwen2_config
from torch._guards import active_fake_mode
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.common_utils import get_untyped_storages
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from trl.kernels import chunked_logprob
from trl.trainer import utils as trl_utils

from raccoon.planning.memory import Setting
from raccoon.planning.model_shape import Shape
from raccoon.training import sharding
from raccoon.training.policy import recompute_layers

# The code that makes a tensor says what it is: the innermost of these files on the stack
PLACES = {
    "chunked_logprob.py": "head",
    "_fsdp_collectives.py": "gathered",
    "_fsdp_param.py": "gathered",
    "_fsdp_param_group.py": "gathered",
}
REDUCING = "foreach_reduce"  # the function of torch's FSDP2 that reduces gradients


@dataclass
class Peak:
    """The largest number of bytes at one time, and its parts."""

    total: int = 0
    parts: Counter = field(default_factory=Counter)


class StorageCount(TorchDispatchMode):
    """Counts the storages made and freed while it is active, and those that `add` named before.

    `stage` is the caller's name for the current work; `peaks` has the peak of each stage.
    """

    def __init__(self, mode: Any) -> None:
        super().__init__()
        self.mode, self.total, self.parts = mode, 0, Counter()
        self.live: dict[int, list] = {}  # by the storage's id: a weak reference, bytes, what it is
        self.stage, self.peaks, self.paused = "", {}, False

    def __enter__(self) -> "StorageCount":
        resize = torch.UntypedStorage.resize_

        def counted(storage: torch.UntypedStorage, size: int) -> None:
            resize(storage, size)
            self.resized(storage)

        self.patch = mock.patch.object(torch.UntypedStorage, "resize_", counted)  # FSDP2 frees memory with it
        self.patch.start()
        return super().__enter__()

    def __exit__(self, *args: Any) -> None:
        self.patch.stop()
        super().__exit__(*args)

    def add(self, tensor: torch.Tensor, part: str) -> None:
        """Counts the storage of a tensor, once."""
        for storage in get_untyped_storages(tensor):
            if id(storage) in self.live:
                self.resized(storage)
                continue
            key, size = id(storage), storage.nbytes()
            self.live[key] = [weakref.ref(storage, lambda _, key=key: self.remove(key)), size, part]
            self.change(size, part)

    def remove(self, key: int) -> None:
        _, size, part = self.live.pop(key)
        self.change(-size, part)

    def resized(self, storage: torch.UntypedStorage) -> None:
        entry = self.live.get(id(storage))
        if entry and entry[1] != storage.nbytes():
            self.change(storage.nbytes() - entry[1], entry[2])
            entry[1] = storage.nbytes()

    def change(self, size: int, part: str) -> None:
        self.total += size
        self.parts[part] += size
        peak = self.peaks.setdefault(self.stage, Peak())
        if self.total > peak.total:
            peak.total, peak.parts = self.total, self.parts.copy()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if DTensor in types:
            return NotImplemented  # its local tensors come here next
        if func is torch.ops._c10d_functional.wait_tensor.default:
            return args[0]  # on fake tensors it would make a second tensor
        result = func(*args, **(kwargs or {}))
        if not self.paused and active_fake_mode() is self.mode:  # DTensor infers shapes in its own mode
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    self.add(tensor, place())
        return result


def place() -> str:
    """The kind of a new tensor, by the code that makes it."""
    frame, found = sys._getframe(2), ""
    while frame:
        name = frame.f_code.co_filename.rpartition("/")[2]
        found = found or PLACES.get(name, "")
        if frame.f_code.co_name == REDUCING:
            return "reduced"
        frame = frame.f_back
    return found or "activations"


class KnownCounts(TorchDispatchMode):
    """Answers what fake tensors cannot: how many tokens are scored when TRL selects those of the completion."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is torch.ops.aten.index.Tensor and args[1][0] is not None and args[1][0].dtype == torch.bool:
            return args[0].new_empty((self.tokens, *args[0].shape[args[1][0].dim() :]))
        if func is torch.ops.aten.masked_scatter_backward.default:
            return args[0].new_empty(args[2])
        return func(*args, **(kwargs or {}))


def nothing(*_: Any, **__: Any) -> None:
    """Replaces a kernel that writes into its arguments."""


class Launch:
    """Replaces a Triton kernel, which writes into its arguments, so there is nothing to count."""

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return nothing


@contextmanager
def head_of_a_gpu(count: StorageCount, tokens: int) -> Iterator[None]:
    """TRL's fused head as on a GPU, where it scores only the completion's `tokens`."""

    def accumulate(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
        count.paused = True
        torch.addmm(total, left.float(), right.float(), out=total)
        count.paused = False

    with ExitStack() as stack:
        for module, name, value in (
            (chunked_logprob, "_use_triton", lambda _: True),
            (trl_utils, "_use_triton", lambda _: True),
            (chunked_logprob, "_forward_kernel", Launch()),
            (chunked_logprob, "_backward_kernel", Launch()),
            (chunked_logprob, "_addmm_fp32", accumulate),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        if not hasattr(chunked_logprob, "triton"):
            cdiv = SimpleNamespace(cdiv=lambda a, b: -(-a // b))
            stack.enter_context(mock.patch.object(chunked_logprob, "triton", cdiv, create=True))
        stack.enter_context(KnownCounts(tokens))
        yield


def start_processes(count: int, replicas: int = 1, gpu: bool = True) -> Accelerator:
    """Rank 0 of `count` processes without the other ranks, with accelerate as in each process.

    Several processes shard the model (FSDP2) within each of `replicas` groups. One process has the whole model.
    """
    accelerator = Accelerator(mixed_precision="bf16" if gpu else "no", cpu=True)
    if count > 1:
        dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=count)
        accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2, cpu_ram_efficient_loading=False, auto_wrap_policy="transformer_based_wrap"
        )
        parallelism = ParallelismConfig(dp_replicate_size=replicas, dp_shard_size=count // replicas)
        accelerator.state.parallelism_config = parallelism
        accelerator.state.device_mesh = parallelism.get_device_mesh("cpu")
        sharding.configure(accelerator)
    return accelerator


class Training:
    """A model of a shape with a setting, as the trainer makes it, in one of several processes.

    `gpu` False is as on the CPU: float32, no checkpointing, TRL's head without Triton. `fake` False uses real tensors.
    """

    def __init__(
        self, shape: Shape, setting: Setting, accelerator: Accelerator, gpu: bool = True, fake: bool = True
    ) -> None:
        self.setting, self.accelerator, self.gpu = setting, accelerator, gpu
        self.mode = FakeTensorMode(allow_non_fake_inputs=True) if fake else None
        self.count = StorageCount(self.mode)
        self.model = self.wrapped(shape)
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.compile = mock.patch.object(torch, "compile", lambda *_, **__: nothing)  # torchao compiles its update
        if setting.optimizer == "adamw_torch_8bit":
            with self.compile:
                real = adam(setting.optimizer, [torch.nn.Parameter(torch.ones(4096))])  # fills torchao's tables
                real.param_groups[0]["params"][0].grad = torch.ones(4096)
                real.step()
        with self.faking():
            self.optimizer = adam(setting.optimizer, trained)
        for weight in self.model.parameters():
            self.count.add(local(weight), "weights")

    def faking(self) -> Any:
        return self.mode or nullcontext()

    def wrapped(self, shape: Shape) -> Any:
        """The policy as load_policy, TRL and accelerate make it before the first step."""
        lora = self.setting.lora_rank
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(qwen2_config(shape), dtype=self.dtype())
            trl_utils.add_fused_lm_head(model, outputs=("log_probs", "entropy"))
            if lora:
                from peft import LoraConfig, get_peft_model

                model = get_peft_model(
                    model, LoraConfig(r=lora, lora_alpha=2 * lora, target_modules="all-linear", task_type="CAUSAL_LM")
                )
        if self.gpu:
            recompute_layers(model)
            if lora:
                model.enable_input_require_grads()
        with self.faking():
            materialise(model)
            if dist.is_initialized() and not lora:
                model = sharding.shard(self.accelerator, model)
            elif self.dtype() == torch.float32 or lora:
                model = self.accelerator.prepare_model(model, device_placement=False)
        return model.train()

    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.setting.lora_rank and self.gpu else getattr(torch, self.setting.weights)

    def prepare(self) -> int:
        """One uncounted pass and update. They fill torch's caches of shapes; moments and gradients stay.

        Returns the floating-point operations of the pass as torch counts them, with causal attention.
        """
        operations = operation_count()
        with self.faking(), self.head():
            with operations:
                self.loss().backward()
            self.update()
        for weight in self.model.parameters():
            if weight.grad is not None:
                self.count.add(local(weight.grad), "gradients")
        for state in self.optimizer.state.values():
            for tensor in state.values():
                if isinstance(tensor, torch.Tensor):
                    self.count.add(local(tensor), "optimizer")
        return operations.get_total_flops()

    def step(self) -> None:
        """A step's last pass, with the gradients of earlier passes in memory, and the update. Both are counted."""
        with self.faking(), self.count, self.head():
            self.count.stage = "training"
            self.loss().backward()
            self.count.stage = "updating"
            self.update()
            self.optimizer.zero_grad()

    def update(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        with self.compile:
            self.optimizer.step()

    def head(self) -> Any:
        """TRL's head as on the device."""
        tokens = self.setting.batch_size * self.setting.completion
        return head_of_a_gpu(self.count, tokens) if self.gpu else nullcontext()

    def loss(self) -> torch.Tensor:
        """A clipped objective on TRL's log-probabilities of the completion, as in TRL."""
        batch, completion = self.setting.batch_size, self.setting.completion
        ids = torch.ones((batch, self.setting.prompt + completion), dtype=torch.long)
        labels = ids.clone()
        labels[:, :-completion] = -100
        with self.accelerator.autocast():
            output = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels, fused_lm_head=True)
        log_probs = output.log_probs[:, -completion:]
        ratio = torch.exp(log_probs - log_probs.detach())
        return -torch.min(ratio * 0.5, ratio.clamp(0.8, 1.28) * 0.5).sum()

    def generate(self) -> None:
        """Reads all prompts at once, then decodes the last token of every sequence."""
        setting, dtypes = self.setting, ()
        self.model.eval()
        with self.faking(), self.count, torch.no_grad():
            self.count.stage = "generating"
            with sharding.unsharded(self.model):
                for known, new in ((0, setting.prompt), (setting.prompt + setting.completion - 1, 1)):
                    cache = full_cache(self.model.config, setting.sequences, known, dtypes)
                    ids = torch.ones((setting.sequences, new), dtype=torch.long)
                    mask = torch.ones((setting.sequences, known + new), dtype=torch.long)
                    with self.accelerator.autocast():
                        self.model(
                            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, logits_to_keep=1
                        )
                    dtypes = cache.layers[0].keys.dtype, cache.layers[0].values.dtype
                    del cache
        self.model.train()


def operation_count() -> FlopCounterMode:
    """torch's count of floating-point operations, extended by the CPU's attention."""

    def forward_half(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value) // 2

    def backward_half(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return sdpa_backward_flop_count(gradient, query, key, value) // 2

    return FlopCounterMode(
        display=False,
        custom_mapping={
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: forward_half,
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward_half,
        },
    )


def adam(name: str, weights: list[torch.Tensor]) -> torch.optim.Optimizer:
    """The optimizer that transformers makes for OPTIMIZER."""
    if name == "adamw_torch_8bit":
        from torchao.optim import AdamW8bit

        return AdamW8bit(weights)
    return torch.optim.AdamW(weights, fused=True)


def full_cache(settings: Any, sequences: int, tokens: int, dtypes: tuple) -> Any:
    """A cache with `tokens` tokens of each sequence."""
    cache = transformers.DynamicCache(config=settings)
    size = (sequences, settings.num_key_value_heads, tokens, settings.hidden_size // settings.num_attention_heads)
    for layer in range(settings.num_hidden_layers if tokens else 0):
        cache.update(*(torch.zeros(size, dtype=dtype) for dtype in dtypes), layer)
    return cache


def materialise(model: torch.nn.Module) -> None:
    """Replaces a model's tensors on the meta device by tensors with storages. Tied weights stay tied."""
    made: dict[int, torch.Tensor] = {}
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    like = torch.empty(tensor.shape, dtype=tensor.dtype).normal_(std=0.02)
                    weight = isinstance(tensor, torch.nn.Parameter)
                    made[id(tensor)] = torch.nn.Parameter(like, tensor.requires_grad) if weight else like
                held[name] = made[id(tensor)]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of a sharded tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
