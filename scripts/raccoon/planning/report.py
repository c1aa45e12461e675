"""A plan as text and tables, its neighbours, and what would fit if it does not. Computes no memory or time itself."""

import math
from dataclasses import replace

from raccoon.planning.memory import (
    FRAGMENTED,
    PLAN_ERROR,
    RESERVED_GB,
    VLLM_ASLEEP_GB,
    VLLM_WORKSPACE_GB,
    Machine,
    Plan,
    Setting,
    plan,
    server_gb,
)
from raccoon.planning.model_shape import Shape, model_shape

LARGEST_CLUSTER = 1024  # GPUs; more are not proposed
GUESSES = (
    f'"fits" rests on five guesses, not measured on a GPU: {RESERVED_GB:g} GB and {FRAGMENTED:.0%} of each GPU '
    f"are kept free, vLLM takes {VLLM_WORKSPACE_GB:g} GB beside weights and cache and {VLLM_ASLEEP_GB:g} GB "
    f"asleep, and the plan may be {PLAN_ERROR:.0%} wrong"
)


def settings(setting: Setting, rank: int) -> dict[str, Setting]:
    """A setting and its neighbours, the nearest first, by the constants that differ."""
    half = replace(
        setting,
        batch_size=max(1, setting.batch_size // 2),
        gradient_accumulation=setting.gradient_accumulation * min(2, setting.batch_size),
    )
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
            lora, batch_size=1, gradient_accumulation=setting.sequences
        ),
    }
    names = {other: name for name, other in reversed(rows.items())}  # of equal settings the first name
    return {name: other for name, other in rows.items() if names[other] == name}


def remedy(planned: Plan, rank: int) -> str:
    """The nearest setting that fits (or else is tight), and the number of such GPUs on which this setting would fit."""
    shape, setting, machine = planned.shape, planned.setting, planned.machine
    found = {
        name: plan(shape, other, machine).verdict
        for name, other in settings(setting, rank).items()
        if other.vllm == setting.vllm
    }
    names = [name for wanted in ("fits", "tight") for name, verdict in found.items() if verdict == wanted]
    shares = sorted(range(1, 100), key=lambda percent: abs(percent - 100 * setting.vllm_share))
    names = [
        f"VLLM_MEMORY_SHARE {percent / 100}"
        for percent in shares
        if setting.vllm == "colocate"
        and plan(shape, replace(setting, vllm_share=percent / 100), machine).verdict == "fits"
    ] + names
    counts = (2**power for power in range(int(math.log2(LARGEST_CLUSTER)) + 1))
    enough = next(
        (
            count
            for count in counts
            if count > machine.gpus > 0
            and plan(shape, setting, Machine(count, machine.memory_gb)).verdict != "does not fit"
        ),
        None,
    )
    ways = [*names[:1], *([f"{enough} such GPUs"] if enough else [])]
    larger = "larger GPUs" if machine.gpus else "shorter completions"
    return " or ".join(ways) or f"no setting here; use a smaller model, or {larger}"


def share_fault(planned: Plan) -> str:
    """Why a colocated vLLM cannot work with its share of the GPU; "" if it can."""
    share, least = planned.setting.vllm_share, planned.least_share
    if share >= least:
        return ""
    enough = f"it needs at least {least}" if least < 1 else "no share is enough"
    return (
        f"VLLM_MEMORY_SHARE {share} of {planned.machine.memory_gb:.1f} GB is too small for vLLM's weights and "
        f"workspace ({server_gb(planned.shape):.1f} GB) and the cache of one sequence: {enough}"
    )


def summary(found: Plan) -> str:
    """The short form of a plan, in one or three lines; without a GPU it has no seconds, as those are a GPU's."""
    memory, machine = found.memory, found.machine
    disk = f"{found.checkpoint_gb:.3g} GB a checkpoint, {found.disk_gb:.3g} GB of disk"
    usable = f" of {machine.usable_gb:.1f} usable" if machine.memory_gb else ""
    peak = (
        f"{memory.peak:.3g} GB a {'GPU' if machine.gpus else 'process'}{usable}: {found.verdict} (training "
        f"{memory.training:.3g}, generating {memory.generating:.3g})"
    )
    if not machine.gpus:
        return f"{peak}; {disk}"
    return (
        f"{peak}\nat least {found.step_seconds:.2g} s a step and {found.hours:.2g} h in all, at an H200's speed"
        f"{likely(found)}; {disk}\ncomputed and never measured on a GPU; --plan names the guesses in it"
    )


def likely(found: Plan) -> str:
    """What a run is likely to take beside the floor; "" if there is no guess."""
    seconds = found.likely_seconds
    hours = seconds * found.setting.max_steps / 3600
    return (
        ""
        if seconds == found.step_seconds
        else (f"; by a guess of transformers' decoding more likely {seconds:.2g} s a step and {hours:.2g} h in all")
    )


COLUMNS = (
    "setting",
    "weights",
    "gradients",
    "optimizer",
    "gathered",
    "reduced",
    "activations",
    "logits",
    "generation",
    "KV cache",
    "training peak",
    "generating peak",
    "s a step",
    "hours",
    "checkpoint",
    "disk",
    "verdict",
)


def table(shape: Shape, setting: Setting, machine: Machine, rank: int) -> str:
    """A Markdown table of a setting and its neighbours. Numbers are GB, except seconds and hours, which are floors."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS)]
    for name, other in settings(setting, rank).items():
        found = plan(shape, other, machine)
        memory = found.memory
        numbers = (
            memory.weights,
            memory.gradients,
            memory.optimizer,
            memory.gathered,
            memory.reduced,
            memory.activations,
            memory.logits,
            memory.engine,
            memory.cache,
            memory.training,
            memory.generating,
            found.step_seconds,
            found.hours,
            found.checkpoint_gb,
            found.disk_gb,
        )
        rows.append((name, *(f"{number:.1f}" for number in numbers), found.verdict))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def report(name: str, setting: Setting, machine: Machine, rank: int) -> str:
    """The whole plan of a model: what was counted, the table, and what fits if this setting does not."""
    shape = model_shape(name)
    usable = f", of which {machine.usable_gb:.1f} GB usable" if machine.memory_gb else ""
    planned, holder = plan(shape, setting, machine), "GPU" if machine.gpus else "process"
    lines = [
        f"{name}: {shape.parameters:,} parameters; {machine}{usable}",
        f"{setting.sequences} completions a {holder} and step, {setting.batch_size} a pass, each of "
        f"{setting.prompt} + {setting.completion} tokens; GB are 1e9 bytes, for each {holder}; seconds and hours "
        f"are the least at an H200's speed{likely(planned) if machine.gpus else '; a CPU is much slower'}",
        *([GUESSES] if machine.gpus else []),
        "",
        table(shape, setting, machine, rank),
    ]
    fault = share_fault(plan(shape, replace(setting, vllm="colocate"), machine))
    if fault:
        lines += ["", f"colocated vLLM: {fault}"]
    if planned.verdict == "does not fit":
        lines += ["", f"the setting does not fit; what fits: {remedy(planned, rank)}"]
    return "\n".join(lines)
