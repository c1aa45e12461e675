"""The arithmetic of a plan: gigabytes a GPU, seconds a step, disk, and what would fit.

It counts from the shape of a model, and measures nothing: metrics.jsonl has the measured peak of a run. GB are 1e9
bytes.
"""

import math
import re
from dataclasses import dataclass, replace

from raccoon.constants import InputError
from raccoon.gpus import query_gpus
from raccoon.planning.model_shape import Shape, model_shape

# The speed that floors are counted with: what one H200 sustains
BANDWIDTH = 4.3e12  # bytes a second of its memory
OPERATIONS = 7.9e14  # bfloat16 operations a second

# What does not depend on the run
RESERVED_GB = 3.0  # of each GPU, for the CUDA context and NCCL
FRAGMENTED = 0.05  # share of each GPU that the allocator cannot hand out
PLAN_ERROR = 0.05  # the plan's own; what fits only without it is tight
VLLM_WORKSPACE_GB = 3.0  # of vLLM, beside its weights and cache
VLLM_ASLEEP_GB = 2.0  # what vLLM keeps of it all while the weights are updated
HEAD_TILE = 4096 * 32768  # logits that TRL's fused head holds at a time: tokens x vocabulary
LARGEST_CLUSTER = 1024  # GPUs; more are not proposed
TYPICAL_WEIGHT = 0.02  # standard deviation of a weight: initializer_range of the Qwen2.5 models
BF16, FP32 = 2, 4  # bytes of a number
WEIGHT_BYTES = {"float32": FP32, "bfloat16": BF16}

# Bytes of Adam's two moments for one weight, by its own; in 8 bits each block of 256 has a scale.
MOMENT_BYTES = {"adamw_torch_fused": lambda weight: 2 * weight, "adamw_torch_8bit": lambda weight: 2 * (1 + FP32 / 256)}
GB = 1e9


@dataclass(frozen=True)
class Setting:
    """What of a run's constants decides memory, time and disk; lora_rank 0 trains all weights."""

    batch_size: int = 4
    gradient_accumulation: int = 4
    prompt: int = 512
    completion: int = 1024
    weights: str = "float32"
    optimizer: str = "adamw_torch_fused"
    lora_rank: int = 0
    vllm: str = ""  # "colocate": asleep while the weights are updated; "server": on cards beside these
    reference: bool = False  # a second, frozen model for the KL term
    max_steps: int = 500
    save_steps: int = 50
    save_total_limit: int = 2

    @property
    def sequences(self) -> int:
        """Completions that a GPU generates together."""
        return self.batch_size * self.gradient_accumulation


@dataclass(frozen=True)
class Machine:
    """The GPUs of a run; memory_gb is that of one, 0 where it is not known."""

    gpus: int
    memory_gb: float

    @property
    def usable_gb(self) -> float:
        return self.memory_gb * (1 - FRAGMENTED) - RESERVED_GB

    def __str__(self) -> str:
        return f"{self.gpus} x {self.memory_gb:.1f} GB"


@dataclass(frozen=True)
class Memory:
    """GB on each GPU. The first three last; of the rest, some is held while training, some while generating."""

    weights: float
    gradients: float  # given back before the next generation
    optimizer: float
    gathered: float  # bfloat16 weights of the layers at work, and of embedding and head
    activations: float  # layer inputs of a pass, and one layer computed anew
    logits: float  # a tile of them, and the head's gradient before it is reduced
    engine: float  # what generation needs beside the lasting parts: all weights in bfloat16, or vLLM
    cache: float  # keys and values of all sequences at full length
    asleep: float  # what vLLM keeps while training

    @property
    def training(self) -> float:
        return (self.weights + self.gradients + self.optimizer + self.gathered + self.activations + self.logits
                + self.asleep)

    @property
    def generating(self) -> float:
        return self.weights + self.optimizer + self.engine + self.cache

    @property
    def peak(self) -> float:
        return max(self.training, self.generating)


@dataclass(frozen=True)
class Plan:
    """A setting of a model on a machine, worked out. GB are a GPU's, but those of checkpoints and of the disk."""

    shape: Shape
    setting: Setting
    machine: Machine
    memory: Memory
    step_seconds: float  # the floor: nothing but memory traffic and arithmetic at full speed
    checkpoint_gb: float
    disk_gb: float  # checkpoints that lie there at once, and the trained model

    @property
    def hours(self) -> float:
        return self.step_seconds * self.setting.max_steps / 3600

    @property
    def verdict(self) -> str:
        """fits, tight, does not fit; unknown where the GPUs' memory is."""
        if not self.machine.memory_gb:
            return "unknown"
        if self.memory.peak > self.machine.usable_gb:
            return "does not fit"
        return "fits" if self.memory.peak * (1 + PLAN_ERROR) <= self.machine.usable_gb else "tight"


def parse_gpus(text: str) -> Machine:
    """A machine from words like 2x141: number x GiB, the unit of the figure that vendors print. Raises InputError."""
    found = re.fullmatch(r"(\d+)x(\d+(?:\.\d+)?)", text.replace(" ", "").lower())
    if not found or not int(found[1]) or not float(found[2]):
        raise InputError(f"GPUS {text!r} is not number x gigabytes; give something like 2x141 or 1x80")
    return Machine(int(found[1]), float(found[2]) * 2**30 / GB)


def find_machine(named: str = "") -> Machine:
    """The named GPUs, or those that are here; of unequal ones the smallest counts. None give Machine(0, 0)."""
    if named:
        return parse_gpus(named)
    cards = query_gpus()
    return Machine(len(cards), min((card.memory_gb for card in cards), default=0.0))


def plan(shape: Shape, setting: Setting, machine: Machine) -> Plan:
    """Works a setting out. Full fine-tuning is sharded over the GPUs (FSDP2); LoRA has the model on each."""
    memory = lora_memory(shape, setting) if setting.lora_rank else full_memory(shape, setting, max(machine.gpus, 1))
    if setting.vllm == "colocate":
        memory = replace(memory, engine=server_gb(shape) + largest_tensor_gb(shape), asleep=VLLM_ASLEEP_GB)
    elif setting.vllm:
        memory = replace(memory, engine=largest_tensor_gb(shape), cache=0.0)
    trained, weight_bytes = trained_weights(shape, setting)
    checkpoint = trained * (weight_bytes + MOMENT_BYTES[setting.optimizer](weight_bytes)) / GB
    saved = min(setting.save_total_limit + 1, -(-setting.max_steps // setting.save_steps))  # the oldest goes last
    disk = saved * checkpoint + shape.parameters * BF16 / GB
    return Plan(shape, setting, machine, memory, step_seconds(shape, setting, machine), checkpoint, disk)


def trained_weights(shape: Shape, setting: Setting) -> tuple[int, int]:
    """How many weights are trained, and the bytes of each; adapters are kept in float32."""
    if setting.lora_rank:
        return shape.adapters(setting.lora_rank), FP32
    return shape.parameters, WEIGHT_BYTES[setting.weights]


def full_memory(shape: Shape, setting: Setting, gpus: int) -> Memory:
    """Memory of training all weights, each GPU holding 1/gpus of weights, gradients and moments."""
    weight_bytes, share = WEIGHT_BYTES[setting.weights], shape.parameters / gpus / GB
    whole = shape.parameters * BF16 / GB
    if gpus > 1:  # two layers, of which one is fetched ahead, and the ends of the model, which stay
        gathered = BF16 * (2 * shape.layer + shape.table * (1 if shape.tied else 2)) / GB
    else:  # autocast's copies
        gathered = whole if setting.weights == "float32" else 0.0
    return Memory(
        weights=weight_bytes * share * (2 if setting.reference else 1),
        gradients=weight_bytes * share,
        optimizer=MOMENT_BYTES[setting.optimizer](weight_bytes) * share,
        gathered=gathered,
        activations=activations_gb(shape, setting),
        logits=(BF16 * HEAD_TILE + (FP32 + BF16) * shape.table) / GB,
        engine=(whole if gpus > 1 else gathered) + prefill_gb(shape, setting),
        cache=cache_gb(shape, setting),
        asleep=0.0)


def lora_memory(shape: Shape, setting: Setting) -> Memory:
    """Memory of training adapters in float32 beside a frozen bfloat16 model; every GPU holds all of it."""
    adapters = shape.adapters(setting.lora_rank) / GB
    return Memory(
        weights=shape.parameters * BF16 / GB + adapters * FP32,
        gradients=adapters * FP32,
        optimizer=MOMENT_BYTES[setting.optimizer](FP32) * adapters,
        gathered=0.0,
        activations=activations_gb(shape, setting),
        logits=BF16 * HEAD_TILE / GB,
        engine=prefill_gb(shape, setting),
        cache=cache_gb(shape, setting),
        asleep=0.0)


def activations_gb(shape: Shape, setting: Setting) -> float:
    """Every layer's input, kept, and what one layer computes anew with as much again for its gradients."""
    tokens = setting.batch_size * (setting.prompt + setting.completion)
    one_layer = 10 * shape.hidden + 2 * shape.key_value + 4 * shape.intermediate  # numbers a token
    return tokens * BF16 * (shape.layers * shape.hidden + 2 * one_layer) / GB


def prefill_gb(shape: Shape, setting: Setting) -> float:
    """What one layer holds while all prompts are read at once."""
    return setting.sequences * setting.prompt * BF16 * (4 * shape.hidden + 3 * shape.intermediate) / GB


def cache_gb(shape: Shape, setting: Setting) -> float:
    return setting.sequences * (setting.prompt + setting.completion) * shape.cache_bytes / GB


def server_gb(shape: Shape) -> float:
    """What vLLM holds on its card beside the cache: all weights in bfloat16, and its workspace."""
    return shape.parameters * BF16 / GB + VLLM_WORKSPACE_GB


def largest_tensor_gb(shape: Shape) -> float:
    """The largest tensor, whole in float32 and cast, on its way to vLLM."""
    return (FP32 + BF16) * shape.table / GB


def decoding_seconds(shape: Shape, sequences: int, cached_tokens: float) -> float:
    """The least seconds for a token of all sequences: all weights but the embedding are read, and the cache."""
    read = BF16 * (shape.parameters - (0 if shape.tied else shape.table))
    return (read + sequences * cached_tokens * shape.cache_bytes) / BANDWIDTH


def training_seconds(shape: Shape, sequences: int, prompt: int, completion: int, frozen: bool = False) -> float:
    """The least seconds of a forward and a backward pass, which computes the layers a second time.

    A frozen weight has no gradient of its own, which saves a third of the backward pass.
    """
    layers, head = shape.pass_operations(prompt, completion)
    return sequences * ((3 if frozen else 4) * layers + (2 if frozen else 3) * head) / OPERATIONS


def step_seconds(shape: Shape, setting: Setting, machine: Machine) -> float:
    """The least a step can take: decoding with half the completion cached on average, prefill, passes, update."""
    prompt, completion, frozen = setting.prompt, setting.completion, setting.lora_rank > 0
    sampled = setting.sequences * (max(machine.gpus, 1) if setting.vllm == "server" else 1)  # one card for all
    decoding = completion * decoding_seconds(shape, sampled, prompt + completion / 2)
    prefill = sampled * shape.pass_operations(prompt, 0)[0] / OPERATIONS
    training = training_seconds(shape, setting.sequences, prompt, completion, frozen)
    trained, weight_bytes = trained_weights(shape, setting)
    shards = 1 if frozen else max(machine.gpus, 1)
    moved = 3 * weight_bytes + 2 * MOMENT_BYTES[setting.optimizer](weight_bytes)  # all read, all but gradients written
    return decoding + prefill + training + moved * trained / shards / BANDWIDTH


def settings(setting: Setting, rank: int) -> dict[str, Setting]:
    """A setting and its neighbours, from the nearest on, each by the constants that make it."""
    half = replace(setting, batch_size=max(1, setting.batch_size // 2),
                   gradient_accumulation=setting.gradient_accumulation * min(2, setting.batch_size))
    eight = replace(setting, optimizer="adamw_torch_8bit")
    lora = replace(setting, lora_rank=setting.lora_rank or rank, weights="float32", reference=False)
    rows = {
        "as set": setting,
        f"BATCH_SIZE {half.batch_size}, GRADIENT_ACCUMULATION {half.gradient_accumulation}": half,
        "OPTIMIZER adamw_torch_8bit": eight,
        "colocated vLLM, asleep while training": replace(setting, vllm="colocate"),
        "colocated vLLM, OPTIMIZER adamw_torch_8bit": replace(eight, vllm="colocate"),
        "vLLM on a card beside these": replace(setting, vllm="server"),
        f"USE_LORA, LORA_RANK {lora.lora_rank}": lora,
        f"USE_LORA, LORA_RANK {lora.lora_rank}, BATCH_SIZE 1": replace(
            lora, batch_size=1, gradient_accumulation=setting.sequences),
    }
    names = {other: name for name, other in reversed(rows.items())}  # of equal ones the first
    return {name: other for name, other in rows.items() if names[other] == name}


def remedy(planned: Plan, rank: int) -> str:
    """The nearest setting that fits, else tight, and the number of such GPUs on which the present one would."""
    shape, setting, machine = planned.shape, planned.setting, planned.machine
    found = {name: plan(shape, other, machine).verdict for name, other in settings(setting, rank).items()
             if other.vllm == setting.vllm}
    names = [name for wanted in ("fits", "tight") for name, verdict in found.items() if verdict == wanted]
    counts = (2**power for power in range(int(math.log2(LARGEST_CLUSTER)) + 1))
    enough = next((count for count in counts if count > machine.gpus
                   and plan(shape, setting, replace(machine, gpus=count)).verdict != "does not fit"), None)
    ways = [*names[:1], *([f"{enough} such GPUs"] if enough else [])]
    return " or ".join(ways) or "no setting here does; take a smaller model, or larger GPUs"


def share_of_moving_weights(learning_rate: float, deviation: float = TYPICAL_WEIGHT) -> float:
    """The share of normally distributed bfloat16 weights that an Adam update of the learning rate's size changes.

    bfloat16 keeps 8 bits: neighbours of a weight in [2^e, 2^(e+1)) are 2^(e-7) apart, and rounding to the nearest
    swallows any update under half of that. Only weights under 2^(floor(log2 rate) + 9) are then moved.
    """
    largest = 2.0 ** (math.floor(math.log2(learning_rate)) + 9)
    return math.erf(largest / deviation / math.sqrt(2))


def needed_learning_rate(share: float, deviation: float = TYPICAL_WEIGHT) -> float:
    """The least power of two as a learning rate at which at least this share of the weights moves."""
    return next(2.0**power for power in range(-40, 1) if share_of_moving_weights(2.0**power, deviation) >= share)


def summary(found: Plan) -> str:
    """The short version, in one line or two; without a GPU nothing but lasting memory and disk is said."""
    memory, machine = found.memory, found.machine
    disk = f"{found.checkpoint_gb:.3g} GB a checkpoint, {found.disk_gb:.3g} GB of disk"
    if not machine.gpus:
        lasting = memory.weights + memory.gradients + memory.optimizer
        return f"{lasting:.3g} GB a process for weights, gradients and moments; {disk}"
    usable = f" of {machine.usable_gb:.1f} usable" if machine.memory_gb else ""
    return (f"{memory.peak:.3g} GB a GPU{usable}: {found.verdict} (training {memory.training:.3g}, generating "
            f"{memory.generating:.3g})\n{found.step_seconds:.2g} s a step and {found.hours:.2g} h at the least, at an "
            f"H200's speed; {disk}")


COLUMNS = ("setting", "weights", "gradients", "optimizer", "gathered", "activations", "logits", "generation",
           "KV cache", "training peak", "generating peak", "s a step", "hours", "checkpoint", "disk", "verdict")


def table(shape: Shape, setting: Setting, machine: Machine, rank: int) -> str:
    """A Markdown table of a setting and its neighbours: GB, but for seconds and hours, which are floors."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS)]
    for name, other in settings(setting, rank).items():
        found = plan(shape, other, machine)
        memory = found.memory
        numbers = (memory.weights, memory.gradients, memory.optimizer, memory.gathered, memory.activations,
                   memory.logits, memory.engine, memory.cache, memory.training, memory.generating,
                   found.step_seconds, found.hours, found.checkpoint_gb, found.disk_gb)
        rows.append((name, *(f"{number:.1f}" for number in numbers), found.verdict))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def report(name: str, setting: Setting, machine: Machine, rank: int) -> str:
    """The whole plan of a model: what was counted, the table, and what fits where the present setting does not."""
    shape = model_shape(name)
    usable = f", of which {machine.usable_gb:.1f} GB usable" if machine.memory_gb else ""
    where = f"{machine}{usable}" if machine.gpus else "no GPU, so nothing to fit into"
    lines = [f"{name}: {shape.parameters:,} parameters; {where}",
             f"{setting.sequences} completions a GPU and step, {setting.prompt} + {setting.completion} tokens, "
             f"{setting.batch_size} a pass; GB of 1e9 bytes a GPU; seconds and hours are floors at an H200's speed", "",
             table(shape, setting, machine, rank)]
    planned = plan(shape, setting, machine)
    if planned.verdict == "does not fit":
        lines += ["", f"as set it does not fit; what does: {remedy(planned, rank)}"]
    return "\n".join(lines)
