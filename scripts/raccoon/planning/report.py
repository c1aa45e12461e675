"""A plan in words and tables, its neighbours, and what would fit where it does not. Computes nothing of its own."""

import math
from dataclasses import replace

from raccoon.planning.memory import Machine, Plan, Setting, plan
from raccoon.planning.model_shape import Shape, model_shape

LARGEST_CLUSTER = 1024  # GPUs; more are not proposed


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
    enough = next((count for count in counts if count > machine.gpus > 0
                   and plan(shape, setting, Machine(count, machine.memory_gb)).verdict != "does not fit"), None)
    ways = [*names[:1], *([f"{enough} such GPUs"] if enough else [])]
    larger = "larger GPUs" if machine.gpus else "shorter completions"
    return " or ".join(ways) or f"no setting here does; take a smaller model, or {larger}"


def summary(found: Plan) -> str:
    """The short version, in one line or two; no seconds without a GPU, whose speed they would be."""
    memory, machine = found.memory, found.machine
    disk = f"{found.checkpoint_gb:.3g} GB a checkpoint, {found.disk_gb:.3g} GB of disk"
    usable = f" of {machine.usable_gb:.1f} usable" if machine.memory_gb else ""
    peak = (f"{memory.peak:.3g} GB a {'GPU' if machine.gpus else 'process'}{usable}: {found.verdict} (training "
            f"{memory.training:.3g}, generating {memory.generating:.3g})")
    if not machine.gpus:
        return f"{peak}; {disk}"
    return (f"{peak}\n{found.step_seconds:.2g} s a step and {found.hours:.2g} h at the least, at an H200's speed; "
            f"{disk}")


COLUMNS = ("setting", "weights", "gradients", "optimizer", "gathered", "reduced", "activations", "logits",
           "generation", "KV cache", "training peak", "generating peak", "s a step", "hours", "checkpoint", "disk",
           "verdict")


def table(shape: Shape, setting: Setting, machine: Machine, rank: int) -> str:
    """A Markdown table of a setting and its neighbours: GB, but for seconds and hours, which are floors."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS)]
    for name, other in settings(setting, rank).items():
        found = plan(shape, other, machine)
        memory = found.memory
        numbers = (memory.weights, memory.gradients, memory.optimizer, memory.gathered, memory.reduced,
                   memory.activations, memory.logits, memory.engine, memory.cache, memory.training, memory.generating,
                   found.step_seconds, found.hours, found.checkpoint_gb, found.disk_gb)
        rows.append((name, *(f"{number:.1f}" for number in numbers), found.verdict))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def report(name: str, setting: Setting, machine: Machine, rank: int) -> str:
    """The whole plan of a model: what was counted, the table, and what fits where the present setting does not."""
    shape = model_shape(name)
    usable = f", of which {machine.usable_gb:.1f} GB usable" if machine.memory_gb else ""
    holder, seconds = ("GPU", "") if machine.gpus else ("process", ", which a CPU is far from")
    lines = [f"{name}: {shape.parameters:,} parameters; {machine}{usable}",
             f"{setting.sequences} completions a {holder} and step, {setting.prompt} + {setting.completion} tokens, "
             f"{setting.batch_size} a pass; GB of 1e9 bytes a {holder}; seconds and hours are floors at an H200's "
             f"speed{seconds}", "",
             table(shape, setting, machine, rank)]
    planned = plan(shape, setting, machine)
    if planned.verdict == "does not fit":
        lines += ["", f"as set it does not fit; what does: {remedy(planned, rank)}"]
    return "\n".join(lines)
