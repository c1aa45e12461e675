"""Refuses a training run that cannot end well: no model, no fitting GPU, memory or disk, weights too coarse to learn.

It computes nothing itself (plan_memory.py does) and loads nothing; constants that no run can have are the
training script's own to refuse.
"""

import shutil
from pathlib import Path

from raccoon.constants import InputError, existing_part
from raccoon.gpus import check_driver, query_gpus
from raccoon.launch import check_local_gpus
from raccoon.planning.memory import Plan, needed_learning_rate, share_of_moving_weights
from raccoon.planning.model_shape import fetch_config
from raccoon.planning.report import remedy

CPU_WEIGHTS_LIMIT_GB = 2.0  # without a GPU; a step of a larger model would take hours
ENOUGH_MOVING = 0.5  # share of the weights that an update must be able to move


def check_model(path: str, gpus: int) -> None:
    """Refuses a model that is not there, or that cannot be trained on what is visible."""
    folder, remedy = Path(path).expanduser(), "run with --demo, or give --model-path a saved model"
    if not folder.is_dir() and (path.startswith((".", "/", "~")) or path.count("/") != 1):
        raise InputError(f"no model folder {path}; {remedy} or a hub id")
    if not folder.is_dir() and not gpus:
        raise InputError(f"no GPU is visible for {path} of the hub; {remedy} under {CPU_WEIGHTS_LIMIT_GB:g} GB; in a "
                         "container, docker run --gpus all shows it the GPUs")
    if not folder.is_dir():
        fetch_config(path)  # a licence or a token that is missing shows before anything is started
        return
    if not (folder / "config.json").exists():
        raise InputError(f"{path} holds no model (no config.json); {remedy}")
    gigabytes = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e9
    if not gpus and gigabytes > CPU_WEIGHTS_LIMIT_GB:
        raise InputError(f"no GPU is visible for the {gigabytes:.0f} GB of {path}; {remedy} "
                         f"under {CPU_WEIGHTS_LIMIT_GB:g} GB")


def check_gpus(gpus: int) -> None:
    """Raises InputError for GPUs that are too few for the processes of a launcher, or that torch cannot use."""
    if gpus:
        check_local_gpus(gpus)
        check_driver(query_gpus())


def check_precision(weights: str, learning_rate: float) -> None:
    """Raises InputError for weights kept in bfloat16 where most of Adam's updates would round away."""
    share = share_of_moving_weights(learning_rate)
    if weights == "bfloat16" and share < ENOUGH_MOVING:
        raise InputError(
            f"LEARNING_RATE {learning_rate:g} with MASTER_WEIGHTS bfloat16 would move {share:.1%} of the weights, the "
            "rest rounds away: set MASTER_WEIGHTS float32, or USE_LORA, or a LEARNING_RATE of at least "
            f"{needed_learning_rate(ENOUGH_MOVING):.1g}")


def check_memory(plan: Plan, lora_rank: int) -> None:
    """Raises InputError for a plan that does not fit its GPUs, or the machine's memory, with the nearest that does."""
    if plan.verdict == "does not fit":
        raise InputError(
            f"{plan.memory.peak:.0f} GB a {'GPU' if plan.machine.gpus else 'process'} are planned, "
            f"{plan.machine.usable_gb:.0f} of {plan.machine} usable; "
            f"what fits: {remedy(plan, lora_rank)}; --allow-unfit starts all the same")


def check_disk(plan: Plan, folder: str) -> None:
    """Raises InputError where the checkpoints that lie in `folder` at once would fill its disk."""
    held = sum(file.stat().st_size for file in Path(folder).glob("checkpoint-*/**/*") if file.is_file())
    room = (shutil.disk_usage(existing_part(folder)).free + held) / 1e9
    if plan.disk_gb > room:
        raise InputError(
            f"OUTPUT_DIR {folder} has room for {room:.3g} GB; checkpoints of {plan.checkpoint_gb:.3g} GB each and the "
            f"model take {plan.disk_gb:.3g}: give a larger disk, SAVE_TOTAL_LIMIT 1, or fewer checkpoints by "
            "SAVE_STEPS; --allow-unfit starts all the same")
