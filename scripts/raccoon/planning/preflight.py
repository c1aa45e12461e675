"""Refuses a training run that cannot work: no model, no suitable GPU, too little memory or disk, too coarse weights.

It plans nothing itself (memory.py does) and loads nothing. Other constants are checked in the sections that take them.
"""

import shutil
from pathlib import Path

from raccoon.constants import InputError, existing_part
from raccoon.gpus import check_driver, query_gpus
from raccoon.launch import check_local_gpus
from raccoon.model_files import is_hub_id
from raccoon.planning.memory import Plan, needed_learning_rate, share_of_moving_weights
from raccoon.planning.model_shape import fetch_config
from raccoon.planning.report import remedy, share_fault

CPU_WEIGHTS_LIMIT_GB = 2.0  # without a GPU; a step of a larger model would take hours
ENOUGH_MOVING = 0.5  # share of the weights that an update must be able to change


def check_model(path: str, gpus: int) -> None:
    """Raises InputError for a model that does not exist, or that is too large to train without a GPU."""
    folder, remedy = Path(path).expanduser(), "run with --demo, or give --model-path a saved model"
    if not folder.is_dir() and not is_hub_id(path):
        raise InputError(f"no model folder {path}; {remedy} or a hub id")
    if not folder.is_dir() and not gpus:
        raise InputError(
            f"no GPU is visible for {path} of the hub; {remedy} under {CPU_WEIGHTS_LIMIT_GB:g} GB; in a "
            "container, start it with docker run --gpus all"
        )
    if not folder.is_dir():
        fetch_config(path)  # fails early if a licence or a token is missing
        return
    if not (folder / "config.json").exists():
        raise InputError(f"{path} holds no model (no config.json); {remedy}")
    gigabytes = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e9
    if not gpus and gigabytes > CPU_WEIGHTS_LIMIT_GB:
        raise InputError(
            f"no GPU is visible for the {gigabytes:.0f} GB of {path}; {remedy} under {CPU_WEIGHTS_LIMIT_GB:g} GB"
        )


def check_gpus(gpus: int) -> None:
    """Raises InputError if there are fewer GPUs than processes of a launcher, or if torch cannot use them."""
    if gpus:
        check_local_gpus(gpus)
        check_driver(query_gpus())


def check_precision(weights: str, learning_rate: float) -> None:
    """Raises InputError for bfloat16 weights with a learning rate at which most of Adam's updates round to nothing."""
    share = share_of_moving_weights(learning_rate)
    if weights == "bfloat16" and share < ENOUGH_MOVING:
        raise InputError(
            f"LEARNING_RATE {learning_rate:g} with MASTER_WEIGHTS bfloat16 would change only {share:.1%} of the "
            "weights, other updates round to nothing: set MASTER_WEIGHTS float32, or USE_LORA, or a LEARNING_RATE of "
            f"at least {needed_learning_rate(ENOUGH_MOVING):.1g}"
        )


def check_memory(plan: Plan, lora_rank: int) -> None:
    """Raises InputError for a plan that does not fit its GPUs or the machine's memory; it names a setting that fits."""
    fault = share_fault(plan)
    if fault:
        raise InputError(f"{fault}; --allow-unfit starts it anyway")
    if plan.verdict == "does not fit":
        raise InputError(
            f"the run needs {plan.memory.peak:.0f} GB a {'GPU' if plan.machine.gpus else 'process'} by its plan, and "
            f"{plan.machine.usable_gb:.0f} of {plan.machine} are usable; "
            f"what fits: {remedy(plan, lora_rank)}; --allow-unfit starts it anyway"
        )


def check_disk(plan: Plan, folder: str) -> None:
    """Raises InputError if the checkpoints that exist at once in `folder` would fill its disk."""
    held = sum(file.stat().st_size for file in Path(folder).glob("checkpoint-*/**/*") if file.is_file())
    room = (shutil.disk_usage(existing_part(folder)).free + held) / 1e9
    if plan.disk_gb > room:
        raise InputError(
            f"OUTPUT_DIR {folder} has room for {room:.3g} GB; checkpoints of {plan.checkpoint_gb:.3g} GB each and the "
            f"model take {plan.disk_gb:.3g} GB: give a folder on a larger disk, set SAVE_TOTAL_LIMIT 1, or raise "
            "SAVE_STEPS; --allow-unfit starts the run anyway"
        )
