"""A plan as text and tables, what would fit if it does not, and the refusals of a run that cannot work.

A run is refused without a model, a suitable GPU, enough memory or disk, or fine enough weights. The training script's
other constants are checked in the sections that take them. It computes nothing itself (memory.py does).
"""

import math
import shutil
from dataclasses import replace
from pathlib import Path

from raccoon.constants import InputError, existing_part
from raccoon.gpus import check_driver, query_gpus
from raccoon.launch import check_local_gpus
from raccoon.model_files import check_model_folder, is_adapter, is_hub_id
from raccoon.planning import memory
from raccoon.planning.memory import Machine, Plan, Setting, plan
from raccoon.planning.model_shape import Shape, fetch_config, model_shape

CPU_WEIGHTS_LIMIT_GB = 2.0  # without a GPU; a step of a larger model would take hours
ENOUGH_MOVING = 0.5  # share of the weights that an update must be able to change
LARGEST_CLUSTER = 1024  # GPUs; more are not proposed
GUESSES = (
    f'"fits" rests on five guesses, not measured on a GPU: {memory.RESERVED_GB:g} GB and {memory.FRAGMENTED:.0%} of '
    f"each GPU are kept free, vLLM takes {memory.VLLM_WORKSPACE_GB:g} GB beside weights and cache and "
    f"{memory.VLLM_ASLEEP_GB:g} GB asleep, and the plan may be {memory.PLAN_ERROR:.0%} wrong"
)
COLUMNS = (
    "setting | weights | gradients | optimizer | gathered | reduced | activations | logits | generation | KV cache | "
    "training peak | generating peak | s a step | hours | checkpoint | disk | verdict"
)


def with_neighbours(setting: Setting, rank: int) -> dict[str, Setting]:
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
    near = {name: other for name, other in with_neighbours(setting, rank).items() if other.vllm == setting.vllm}
    percents = sorted(range(1, 100), key=lambda percent: abs(percent - 100 * setting.vllm_share))
    shares = [percent / 100 for percent in percents if setting.vllm == "colocate"]
    fits = [
        f"VLLM_MEMORY_SHARE {share}"
        for share in shares
        if plan(shape, replace(setting, vllm_share=share), machine).verdict == "fits"
    ]
    verdicts = {name: plan(shape, other, machine).verdict for name, other in near.items()}
    for wanted in ("fits", "tight"):
        fits += [name for name, verdict in verdicts.items() if verdict == wanted]
    counts = [2**power for power in range(int(math.log2(LARGEST_CLUSTER)) + 1)]
    larger = [Machine(count, machine.memory_gb) for count in counts if count > machine.gpus > 0]
    enough = [f"{each.gpus} such GPUs" for each in larger if plan(shape, setting, each).verdict != "does not fit"]
    other_way = "larger GPUs" if machine.gpus else "shorter completions"
    return " or ".join([*fits[:1], *enough[:1]]) or f"no setting here; use a smaller model, or {other_way}"


def share_fault(planned: Plan) -> str:
    """Why a colocated vLLM cannot work with its share of the GPU; "" if it can."""
    share, least = planned.setting.vllm_share, planned.least_share
    if share >= least:
        return ""
    enough = f"it needs at least {least}" if least < 1 else "no share is enough"
    return (
        f"VLLM_MEMORY_SHARE {share} of {planned.machine.memory_gb:.1f} GB is too small for vLLM's weights and "
        f"workspace ({memory.server_gb(planned.shape):.1f} GB) and the cache of one sequence: {enough}"
    )


def plan_of(model: str, setting: Setting, machine: Machine) -> Plan | None:
    """The plan; None for an architecture that the planner does not know."""
    try:
        return plan(model_shape(model), setting, machine)
    except InputError:
        return None


def plan_lines(model: str, planned: Plan | None) -> str:
    """The short form of the plan, for a run's output."""
    text = summary(planned) if planned else f"none: plan_memory.py does not know the architecture of {model}"
    return "plan     " + text.replace("\n", "\n         ")


def summary(found: Plan) -> str:
    """The short form of a plan, in one or three lines; without a GPU it has no seconds, as those are a GPU's."""
    held, machine = found.memory, found.machine
    disk = f"{found.checkpoint_gb:.3g} GB a checkpoint, {found.disk_gb:.3g} GB of disk"
    usable = f" of {machine.usable_gb:.1f} usable" if machine.memory_gb else ""
    peak = (
        f"{held.peak:.3g} GB a {holder(machine)}{usable}: {found.verdict} (training {held.training:.3g}, generating "
        f"{held.generating:.3g})"
    )
    if not machine.gpus:
        return f"{peak}; {disk}"
    return (
        f"{peak}\nat least {found.step_seconds:.2g} s a step and {found.hours:.2g} h in all, at an H200's speed"
        f"{likely(found)}; {disk}\ncomputed and never measured on a GPU; --plan names the guesses in it"
    )


def holder(machine: Machine) -> str:
    """What a plan's gigabytes are counted for."""
    return "GPU" if machine.gpus else "process"


def likely(found: Plan) -> str:
    """What a run is likely to take beside the floor; "" if there is no guess."""
    seconds = found.likely_seconds
    hours = seconds * found.setting.max_steps / 3600
    guess = f"; by a guess of transformers' decoding more likely {seconds:.2g} s a step and {hours:.2g} h in all"
    return guess if seconds != found.step_seconds else ""


def table(shape: Shape, setting: Setting, machine: Machine, rank: int) -> str:
    """A Markdown table of a setting and its neighbours. Numbers are GB, except seconds and hours, which are floors."""
    rows = [COLUMNS, " | ".join("---" for _ in COLUMNS.split(" | "))]
    for name, other in with_neighbours(setting, rank).items():
        found = plan(shape, other, machine)
        held = found.memory
        numbers = [held.weights, held.gradients, held.optimizer, held.gathered, held.reduced, held.activations]
        numbers += [held.logits, held.engine, held.cache, held.training, held.generating]
        numbers += [found.step_seconds, found.hours, found.checkpoint_gb, found.disk_gb]
        rows.append(" | ".join([name, *(f"{number:.1f}" for number in numbers), found.verdict]))
    return "\n".join(f"| {row} |" for row in rows)


def report(name: str, setting: Setting, machine: Machine, rank: int) -> str:
    """The whole plan of a model: what was counted, the table, and what fits if this setting does not."""
    shape = model_shape(name)
    usable = f", of which {machine.usable_gb:.1f} GB usable" if machine.memory_gb else ""
    planned, each = plan(shape, setting, machine), holder(machine)
    lines = [
        f"{name}: {shape.parameters:,} parameters; {machine}{usable}",
        f"{setting.sequences} completions a {each} and step, {setting.batch_size} a pass, each of "
        f"{setting.prompt} + {setting.completion} tokens; GB are 1e9 bytes, for each {each}; seconds and hours "
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


def check_model(path: str, gpus: int) -> None:
    """Raises InputError for a model that does not exist, is not whole, or is too large to train without a GPU."""
    folder, way = Path(path).expanduser(), "run with --demo, or give --model-path a saved model"
    if not folder.is_dir() and not is_hub_id(path):
        raise InputError(f"no model folder {path}; {way} or a hub id")
    if not folder.is_dir() and not gpus:
        raise InputError(
            f"no GPU is visible for {path} of the hub; {way} under {CPU_WEIGHTS_LIMIT_GB:g} GB; in a "
            "container, start it with docker run --gpus all"
        )
    if not folder.is_dir():
        fetch_config(path)  # fails early if a licence or a token is missing
        return
    if is_adapter(folder) and not (folder / "config.json").is_file():
        raise InputError(f"{path} holds LoRA adapters; merge them into their base model with peft's merge_and_unload")
    check_model_folder(folder)
    gigabytes = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e9
    if not gpus and gigabytes > CPU_WEIGHTS_LIMIT_GB:
        raise InputError(
            f"no GPU is visible for the {gigabytes:.0f} GB of {path}; {way} under {CPU_WEIGHTS_LIMIT_GB:g} GB"
        )


def check_gpus(gpus: int) -> None:
    """Raises InputError if there are fewer GPUs than processes of a launcher, or if torch cannot use them."""
    if gpus:
        check_local_gpus(gpus)
        check_driver(query_gpus())


def check_precision(weights: str, learning_rate: float) -> None:
    """Raises InputError for bfloat16 weights with a learning rate at which most of Adam's updates round to nothing."""
    share = memory.share_of_moving_weights(learning_rate)
    if weights == "bfloat16" and share < ENOUGH_MOVING:
        raise InputError(
            f"LEARNING_RATE {learning_rate:g} with MASTER_WEIGHTS bfloat16 would change only {share:.1%} of the "
            "weights, other updates round to nothing: set MASTER_WEIGHTS float32, or USE_LORA, or a LEARNING_RATE of "
            f"at least {memory.needed_learning_rate(ENOUGH_MOVING):.1g}"
        )


def check_memory(planned: Plan, lora_rank: int) -> None:
    """Raises InputError for a plan that does not fit its GPUs or the machine's memory; it names a setting that fits."""
    fault = share_fault(planned)
    if fault:
        raise InputError(f"{fault}; --allow-unfit starts it anyway")
    if planned.verdict == "does not fit":
        raise InputError(
            f"the run needs {planned.memory.peak:.0f} GB a {holder(planned.machine)} by its plan, and "
            f"{planned.machine.usable_gb:.0f} of {planned.machine} are usable; "
            f"what fits: {remedy(planned, lora_rank)}; --allow-unfit starts it anyway"
        )


def check_disk(planned: Plan, folder: str) -> None:
    """Raises InputError if the checkpoints that exist at once in `folder` would fill its disk."""
    held = sum(file.stat().st_size for file in Path(folder).glob("checkpoint-*/**/*") if file.is_file())
    room = (shutil.disk_usage(existing_part(folder)).free + held) / 1e9
    if planned.disk_gb > room:
        raise InputError(
            f"OUTPUT_DIR {folder} has room for {room:.3g} GB; checkpoints of {planned.checkpoint_gb:.3g} GB each and "
            f"the model take {planned.disk_gb:.3g} GB: give a folder on a larger disk, set SAVE_TOTAL_LIMIT 1, or "
            "raise SAVE_STEPS; --allow-unfit starts the run anyway"
        )
