"""The arithmetic of a plan: gigabytes a process, seconds a step, disk, and what would fit.

It computes from the shape of a model and measures nothing: metrics.jsonl has the measured peak of a run.
benchmarks/plan_check.py compares its gigabytes and operations with what torch counts. GB are 1e9 bytes.
"""

import math
import re
from dataclasses import dataclass, replace

from raccoon.constants import InputError
from raccoon.gpus import machine_memory_gb, query_gpus
from raccoon.planning.model_shape import Shape

# The speed with which floors are computed: what one H200 sustains
BANDWIDTH = 4.3e12  # bytes a second of its memory
OPERATIONS = 7.9e14  # bfloat16 operations a second

# Five guesses that decide what "fits", and one of the time; none was measured on a GPU
RESERVED_GB = 3.0  # of each GPU, for the CUDA context and NCCL
FRAGMENTED = 0.05  # share of each GPU that the allocator cannot use
VLLM_WORKSPACE_GB = 3.0  # of vLLM, beside its weights and cache
VLLM_ASLEEP_GB = 2.0  # what vLLM keeps on the GPU while the weights are updated
PLAN_ERROR = 0.05  # relative error of the plan; a setting that fits only without it is "tight"
# Seconds of a layer and token in transformers' decoding, where the CPU starts each kernel, whatever the batch. Others
# measured 35.7 ms a token with 40 layers, in 2023 (foundation-model-stack, pull request 69).
EAGER_LAYER_SECONDS = 0.9e-3

# What does not depend on the run
CPU_FRAGMENTED = 0.15  # share of a machine's memory that malloc keeps between tensors, or that other programs use
PROCESS_GB = 0.5  # what Python and the libraries take without a model; counted on a CPU only
TILE_TOKENS, TILE_WORDS = 4096, 32768  # size of the tile of logits that TRL's fused head holds at a time
TILES_WITHOUT_TRITON = 8.25  # tiles at once: without Triton each step of the arithmetic has its own tile
WHOLE_LOGITS = 5  # tensors as large as all logits of a pass, where they are not cut into tiles; measured: 5.0
SAMPLE_ROWS = 128  # completions sampled together outside of steps, where no group or batch decides their number
TYPICAL_WEIGHT = 0.02  # standard deviation of a weight: initializer_range of the Qwen2.5 models
BF16, FP32 = 2, 4  # bytes of a number
WEIGHT_BYTES = {"float32": FP32, "bfloat16": BF16}

# Bytes of Adam's two moments for one weight, given the bytes of the weight; 8-bit moments have a scale for each 256.
MOMENT_BYTES = {"adamw_torch_fused": lambda weight: 2 * weight, "adamw_torch_8bit": lambda weight: 2 * (1 + FP32 / 256)}
GB = 1e9


@dataclass(frozen=True)
class Setting:
    """The constants of a run that decide memory, time and disk; lora_rank 0 trains all weights."""

    batch_size: int = 4
    gradient_accumulation: int = 4
    prompt: int = 512
    completion: int = 1024  # all that follows the prompt
    feedback: int = 0  # the part of it that is read, not sampled: messages between several answers
    weights: str = "float32"
    optimizer: str = "adamw_torch_fused"
    lora_rank: int = 0
    vllm: str = ""  # "colocate": vLLM sleeps while the weights are updated; "server": vLLM runs on another GPU
    vllm_share: float = 0.27  # of the GPU's whole memory, which a colocated vLLM fills while it generates
    reference: bool = False  # a second, frozen model for the KL term
    whole_logits: bool = False  # on a CPU: those of all the completions of a pass are held, not a tile of them
    max_steps: int = 500
    save_steps: int = 50
    save_total_limit: int = 2

    @property
    def sequences(self) -> int:
        """Completions that a GPU generates together."""
        return self.batch_size * self.gradient_accumulation

    @property
    def sampled(self) -> int:
        """The tokens of a completion that are decoded one by one."""
        return self.completion - self.feedback

    @property
    def tokens(self) -> int:
        """The tokens of a pass."""
        return self.batch_size * (self.prompt + self.completion)


@dataclass(frozen=True)
class Machine:
    """The GPUs of a run; memory_gb is that of one GPU, 0 if it is unknown. 0 GPUs mean a process on a CPU.

    The weights are sharded over all GPUs. With `replicas` above 1, each of so many groups of GPUs holds a whole model.
    """

    gpus: int
    memory_gb: float
    replicas: int = 1

    @property
    def shards(self) -> int:
        """The number of parts into which the weights are cut."""
        return self.gpus // self.replicas

    @property
    def usable_gb(self) -> float:
        return self.memory_gb * (1 - FRAGMENTED) - RESERVED_GB if self.gpus else self.memory_gb * (1 - CPU_FRAGMENTED)

    def __str__(self) -> str:
        return f"{self.gpus} x {self.memory_gb:.1f} GB" if self.gpus else f"{self.memory_gb:.1f} GB on the CPU"


@dataclass(frozen=True)
class Moment:
    """A moment of a pass at which memory can peak, in GB beside the lasting parts."""

    gathered: float = 0.0  # whole weights in the precision of the computation
    reduced: float = 0.0  # gradients being reduced: the head's in float32 and cast, or whole ones that are being summed
    activations: float = 0.0  # layer inputs, and what the current layer or the head adds
    logits: float = 0.0  # tiles of logits

    @property
    def total(self) -> float:
        return self.gathered + self.reduced + self.activations + self.logits


@dataclass(frozen=True, kw_only=True)
class Memory(Moment):
    """GB of each process. Weights, optimizer and process are held all the time, the others in a part of each step."""

    weights: float
    gradients: float  # freed before the next generation
    optimizer: float
    engine: float  # what generation adds: all weights in bfloat16, or vLLM
    cache: float  # keys and values of all sequences at full length
    asleep: float = 0.0  # what vLLM keeps while training
    process: float = 0.0  # of the process itself, on a CPU

    @property
    def training(self) -> float:
        trained = self.weights + self.gradients + self.optimizer
        return trained + self.gathered + self.reduced + self.activations + self.logits + self.asleep + self.process

    @property
    def generating(self) -> float:
        return self.weights + self.optimizer + self.engine + self.cache + self.process

    @property
    def peak(self) -> float:
        return max(self.training, self.generating)


@dataclass(frozen=True)
class Plan:
    """The plan of a setting of a model on a machine. GB are for each GPU, except those of checkpoints and disk."""

    shape: Shape
    setting: Setting
    machine: Machine
    memory: Memory
    step_seconds: float  # a floor: only memory traffic and arithmetic at full speed
    checkpoint_gb: float
    disk_gb: float  # all checkpoints that exist at once, and the trained model

    @property
    def hours(self) -> float:
        return self.step_seconds * self.setting.max_steps / 3600

    @property
    def likely_seconds(self) -> float:
        """A guess of a step's seconds with transformers' decoding; with vLLM there is none, and it is the floor."""
        slower = 0.0 if self.setting.vllm else max(EAGER_LAYER_SECONDS * self.shape.layers - self.floors["token"], 0.0)
        return self.step_seconds + self.setting.sampled * slower

    @property
    def floors(self) -> dict[str, float]:
        """The least seconds of a pass, and of a token of all sequences."""
        setting, shape = self.setting, self.shape
        one_pass = training_seconds(shape, setting.batch_size, setting.prompt, setting.completion, setting.lora_rank)
        token = decoding_seconds(shape, setting.sequences, setting.prompt + setting.completion / 2)
        return {"pass": one_pass, "token": token}

    @property
    def least_share(self) -> float:
        """The smallest share, in hundredths, of which a colocated vLLM can have a cache for one sequence; else 0."""
        if self.setting.vllm != "colocate" or not self.machine.gpus or not self.machine.memory_gb:
            return 0.0
        sequence = cache_gb(self.shape, self.setting) / self.setting.sequences
        return math.ceil(100 * (server_gb(self.shape) + sequence) / self.machine.memory_gb) / 100

    @property
    def verdict(self) -> str:
        """fits, tight or does not fit; unknown if the GPUs' memory is unknown."""
        if not self.machine.memory_gb:
            return "unknown"
        if self.memory.peak > self.machine.usable_gb or self.setting.vllm_share < self.least_share:
            return "does not fit"
        return "fits" if self.memory.peak * (1 + PLAN_ERROR) <= self.machine.usable_gb else "tight"


def parse_gpus(text: str) -> Machine:
    """A machine from text like 2x141: number x GiB, the unit in which vendors print memory. Raises InputError."""
    found = re.fullmatch(r"(\d+)x(\d+(?:\.\d+)?)", text.replace(" ", "").lower())
    if not found or not int(found[1]) or not float(found[2]):
        raise InputError(f"GPUS {text!r} is not number x gigabytes; give a value like 2x141 or 1x80")
    return Machine(int(found[1]), float(found[2]) * 2**30 / GB)


def find_machine(named: str = "") -> Machine:
    """The named GPUs, or those of this machine (all counted with the smallest memory); without GPUs the CPU."""
    if named:
        return parse_gpus(named)
    cards = query_gpus()
    return Machine(len(cards), min(card.memory_gb for card in cards)) if cards else Machine(0, machine_memory_gb())


def plan(shape: Shape, setting: Setting, machine: Machine) -> Plan:
    """Computes the plan of a setting. Full fine-tuning shards the model over the GPUs (FSDP2); LoRA has it on each."""
    if machine.gpus:
        memory = lora_memory(shape, setting) if setting.lora_rank else full_memory(shape, setting, machine)
    else:
        memory = cpu_memory(shape, setting)
    if setting.vllm == "colocate":
        if machine.gpus and machine.memory_gb:  # vLLM makes its cache as large as its share allows
            memory = replace(memory, cache=max(setting.vllm_share * machine.memory_gb - server_gb(shape), 0.0))
        pushed = max(largest_tensor_gb(shape) - memory.cache, 0.0)  # vLLM makes its cache after it gets the weights
        memory = replace(memory, engine=server_gb(shape) + pushed, asleep=VLLM_ASLEEP_GB)
    elif setting.vllm:
        memory = replace(memory, engine=largest_tensor_gb(shape), cache=0.0)
    trained, weight_bytes = trained_weights(shape, setting)
    checkpoint = trained * (weight_bytes + MOMENT_BYTES[setting.optimizer](weight_bytes)) / GB
    saved = min(setting.save_total_limit + 1, -(-setting.max_steps // setting.save_steps))  # + 1: the oldest goes last
    final = FP32 if setting.lora_rank else BF16  # a merged model is saved in float32, to keep the update whole
    disk = saved * checkpoint + shape.parameters * final / GB
    return Plan(shape, setting, machine, memory, sum(step_parts(shape, setting, machine).values()), checkpoint, disk)


def rows_outside_steps(found: Plan) -> int:
    """How many completions a GPU samples together in a held-out check or a profile; more cost little more per token.

    At most SAMPLE_ROWS, and no more than fit with the plan's error, but always as many as in a step.
    """
    most, least = max(found.memory.peak, found.machine.usable_gb / (1 + PLAN_ERROR)), found.setting.sequences
    for rows in range(SAMPLE_ROWS, least, -1):
        setting = replace(found.setting, batch_size=rows, gradient_accumulation=1)
        if plan(found.shape, setting, found.machine).memory.generating <= most:
            return rows
    return least


def trained_weights(shape: Shape, setting: Setting) -> tuple[int, int]:
    """How many weights are trained, and the bytes of each; adapters are kept in float32."""
    if setting.lora_rank:
        return shape.adapters(setting.lora_rank), FP32
    return shape.parameters, WEIGHT_BYTES[setting.weights]


def full_memory(shape: Shape, setting: Setting, machine: Machine) -> Memory:
    """Memory of training all weights on GPUs, each holding its shard of weights, gradients and moments."""
    gpus, weight_bytes = machine.shards, WEIGHT_BYTES[setting.weights]
    share = shape.parameters / gpus / GB
    autocast = gpus == 1 and setting.weights == "float32"  # autocast copies weights; activations stay float32
    alone = autocast_moments if autocast else whole_moments
    peak = largest(sharded_moments(shape, setting, machine) if gpus > 1 else alone(shape, setting))
    whole = BF16 * (shape.parameters if gpus > 1 else autocast * (shape.layers * shape.layer + shape.table))
    cache = cache_gb(shape, setting) * (1.5 if autocast else 1)  # with autocast keys are float32
    return Memory(
        weights=weight_bytes * share * (2 if setting.reference else 1),
        gradients=weight_bytes * share,
        optimizer=MOMENT_BYTES[setting.optimizer](weight_bytes) * share,
        **vars(peak),
        engine=whole / GB + decoding_gb(shape, setting, cache, 2 if autocast else 1),
        cache=cache,
    )


def lora_memory(shape: Shape, setting: Setting) -> Memory:
    """Memory of training float32 adapters beside a frozen bfloat16 model; every GPU holds the whole model."""
    adapters = shape.adapters(setting.lora_rank) / GB
    beside = setting.tokens * BF16 * (6 * shape.hidden + shape.intermediate) / GB  # copies of the adapters' inputs
    layer = Moment(activations=inputs_gb(shape, setting) + layer_gb(shape, setting) + beside)
    head = Moment(activations=inputs_gb(shape, setting, 4), logits=tile_gb(shape, setting))
    cache = cache_gb(shape, setting)
    return Memory(
        weights=shape.parameters * BF16 / GB + adapters * FP32,
        gradients=adapters * FP32,
        optimizer=MOMENT_BYTES[setting.optimizer](FP32) * adapters,
        **vars(largest([layer, head])),
        engine=adapters * BF16 + decoding_gb(shape, setting, cache),
        cache=cache,
    )


def cpu_memory(shape: Shape, setting: Setting) -> Memory:
    """Memory of a process on the CPU: float32 everywhere, all activations kept, no Triton."""
    adapters = shape.adapters(setting.lora_rank) if setting.lora_rank else 0
    trained, weight_bytes = trained_weights(shape, setting)
    heads = (4 + 2 * shape.normed_heads) * shape.query + (2 + 2 * shape.normed_heads) * shape.key_value
    numbers = (2 + 2 * shape.norms) * shape.hidden + heads + 4 * shape.intermediate  # a token and layer
    kept, computed = (FP32 * setting.tokens * each / GB for each in (shape.layers * numbers, 4 * shape.intermediate))
    scored = setting.batch_size * (setting.prompt + setting.completion - 1)  # tokens, those of the prompt too
    words = TILE_WORDS + (TILES_WITHOUT_TRITON - 1) * min(shape.vocab, TILE_WORDS)  # the first tile is never smaller
    whole = WHOLE_LOGITS * setting.batch_size * setting.completion * shape.vocab
    logits = FP32 * (whole if setting.whole_logits else min(scored, TILE_TOKENS) * words) / GB
    head_gradient = 0.0 if adapters else FP32 * shape.table / GB
    # A tied table's gradient is that of the head, of the embedding, and their sum; malloc keeps what the layers freed
    end = Moment(reduced=3 * head_gradient * shape.tied, activations=kept)
    head = Moment(reduced=head_gradient, activations=kept, logits=logits)
    layer = Moment(reduced=head_gradient * shape.tied, activations=kept + computed)
    cache = 2 * cache_gb(shape, setting)
    model = (FP32 if adapters else weight_bytes) * shape.parameters * (2 if setting.reference else 1) / GB
    return Memory(
        weights=model + FP32 * adapters / GB,
        gradients=weight_bytes * trained / GB,
        optimizer=MOMENT_BYTES[setting.optimizer](weight_bytes) * trained / GB,
        **vars(largest([head, layer, end])),
        engine=decoding_gb(shape, setting, cache, 2),
        cache=cache,
        process=PROCESS_GB,
    )


def largest(moments: list[Moment]) -> Moment:
    return max(moments, key=lambda moment: moment.total)


def sharded_moments(shape: Shape, setting: Setting, machine: Machine) -> list[Moment]:
    """The moments at which FSDP2's memory can peak in a pass.

    The backward pass starts with the head and then the last layer. While one layer computes, the next layer's weights
    are fetched. The head's gradient is summed in float32 and cast. The float32 buffer from which it is reduced still
    exists while the last layer computes. In a tied model the embedding keeps its weights and gradient until the end.
    With replicas FSDP2 holds what it has reduced until the end of each pass, beside the gradients of the passes before.
    """
    tied, table, layer = shape.tied, shape.table / GB, shape.layer / GB
    head = Moment(
        gathered=BF16 * (table + layer),
        reduced=(FP32 + BF16) * table,
        activations=inputs_gb(shape, setting, 4),
        logits=tile_gb(shape, setting),
    )
    last_layer = Moment(
        gathered=BF16 * (2 * layer + tied * table),
        reduced=BF16 * table + FP32 * layer if tied else FP32 * table,
        activations=inputs_gb(shape, setting) + layer_gb(shape, setting),
    )
    if machine.replicas == 1 or setting.gradient_accumulation == 1:
        return [head, last_layer]
    end = Moment(reduced=FP32 * shape.parameters / machine.shards / GB + (FP32 + BF16) * table)
    return [head, last_layer, end]


def whole_moments(shape: Shape, setting: Setting) -> list[Moment]:
    """The moments at which the memory of one GPU with bfloat16 weights can peak in a pass."""
    table, layer = shape.table / GB, inputs_gb(shape, setting) + layer_gb(shape, setting)
    return [
        Moment(reduced=(FP32 + BF16) * table, activations=inputs_gb(shape, setting, 4), logits=tile_gb(shape, setting)),
        Moment(reduced=BF16 * table * shape.tied, activations=layer),
    ]


def autocast_moments(shape: Shape, setting: Setting) -> list[Moment]:
    """The moments at which the memory of one GPU with float32 weights can peak in a pass.

    autocast keeps its copies of the weights until the end of the forward pass.
    """
    inputs, tile = 2 * inputs_gb(shape, setting, 2), tile_gb(shape, setting)
    words = BF16 * TILE_WORDS * shape.hidden / GB  # the head's weights of a tile, cast
    return [
        Moment(gathered=BF16 * shape.layers * shape.layer / GB, activations=inputs, logits=tile + words),
        Moment(reduced=FP32 * shape.table / GB, activations=inputs, logits=tile + words),
        Moment(
            gathered=BF16 * shape.layer / GB,
            reduced=FP32 * shape.table * shape.tied / GB,
            activations=inputs + layer_gb(shape, setting) + 4 * setting.tokens * BF16 * shape.hidden / GB,
        ),
    ]


def inputs_gb(shape: Shape, setting: Setting, more: int = 0) -> float:
    """Every layer's input in bfloat16, which checkpointing keeps, and `more` tensors of the same size."""
    return setting.tokens * BF16 * (shape.layers + more) * shape.hidden / GB


def layer_gb(shape: Shape, setting: Setting) -> float:
    """What one layer computes again, with the gradients in use, and the mask of its attention."""
    numbers = 13 * shape.hidden + 2 * shape.key_value + 6 * shape.intermediate  # a token
    mask = setting.batch_size * (setting.prompt + setting.completion) ** 2
    return (setting.tokens * BF16 * numbers + mask + BF16 * shape.hidden * shape.intermediate) / GB


def tile_gb(shape: Shape, setting: Setting) -> float:
    """A tile of logits of the completion's tokens; TRL makes it equally wide for any vocabulary."""
    return BF16 * min(setting.batch_size * setting.completion, TILE_TOKENS) * TILE_WORDS / GB


def decoding_gb(shape: Shape, setting: Setting, cache: float, width: int = 1) -> float:
    """What generation needs beside the weights and the full `cache`; `width` 2 is float32.

    It is the larger of two needs: reading the prompts, while the cache is still short, and the second copy of a
    layer's cache that each token makes.
    """
    prefill = width * setting.sequences * setting.prompt * BF16 * (4 * shape.hidden + 3 * shape.intermediate) / GB
    return max(prefill - cache * setting.completion / (setting.prompt + setting.completion), cache / shape.layers)


def cache_gb(shape: Shape, setting: Setting) -> float:
    """The keys and values of all sequences at full length, in bfloat16."""
    return setting.sequences * shape.cached(setting.prompt + setting.completion) / GB


def server_gb(shape: Shape) -> float:
    """What vLLM holds on its card beside the cache: all weights in bfloat16, and its workspace."""
    return shape.parameters * BF16 / GB + VLLM_WORKSPACE_GB


def largest_tensor_gb(shape: Shape) -> float:
    """The largest tensor on its way to vLLM, whole in float32 and as a cast copy."""
    return (FP32 + BF16) * shape.table / GB


def decoding_seconds(shape: Shape, sequences: int, cached_tokens: float) -> float:
    """The least seconds for one token of all sequences: it reads the cache and all weights except the embedding."""
    read = BF16 * (shape.parameters - (0 if shape.tied else shape.table))
    return (read + sequences * shape.cached(cached_tokens)) / BANDWIDTH


def training_seconds(shape: Shape, sequences: int, prompt: int, completion: int, rank: int = 0) -> float:
    """The least seconds of a forward and a backward pass; `rank` 0 trains all weights."""
    return sequences * shape.training_operations(prompt, completion, rank) / OPERATIONS


def step_parts(shape: Shape, setting: Setting, machine: Machine) -> dict[str, float]:
    """The least seconds of each part of a step. While decoding, half the completion is cached on average."""
    prompt, completion = setting.prompt, setting.completion
    sequences = setting.sequences * (max(machine.gpus, 1) if setting.vllm == "server" else 1)  # it samples for all
    trained, weight_bytes = trained_weights(shape, setting)
    shards = 1 if setting.lora_rank else max(machine.shards, 1)
    moved = 3 * weight_bytes + 2 * MOMENT_BYTES[setting.optimizer](weight_bytes)  # reads all, does not write gradients
    return {
        "decoding": setting.sampled * decoding_seconds(shape, sequences, prompt + completion / 2),
        "prefill": sequences * shape.pass_operations(prompt + setting.feedback, 0)[0] / OPERATIONS,
        "passes": training_seconds(shape, setting.sequences, prompt, completion, setting.lora_rank),
        "update": moved * trained / shards / BANDWIDTH,
    }


def share_of_moving_weights(learning_rate: float, deviation: float = TYPICAL_WEIGHT) -> float:
    """The share of normally distributed bfloat16 weights that an Adam update of the learning rate's size changes.

    bfloat16 keeps 8 bits: weights in [2^e, 2^(e+1)) are 2^(e-7) apart, and rounding to the nearest loses any update
    below half of that distance. So only weights below 2^(floor(log2 rate) + 9) change.
    """
    largest = 2.0 ** (math.floor(math.log2(learning_rate)) + 9)
    return math.erf(largest / deviation / math.sqrt(2))


def needed_learning_rate(share: float, deviation: float = TYPICAL_WEIGHT) -> float:
    """The smallest power of two that, as a learning rate, changes at least this share of the weights."""
    return next(2.0**power for power in range(-40, 1) if share_of_moving_weights(2.0**power, deviation) >= share)
