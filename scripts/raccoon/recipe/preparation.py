"""What comes before anything expensive: refusals, the demo's model, the plan, the environment of the libraries."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from raccoon.constants import InputError, Settings
from raccoon.gpus import machine_memory_gb
from raccoon.planning.memory import Machine, Plan, find_machine, plan
from raccoon.planning.model_shape import model_shape
from raccoon.planning.preflight import check_disk, check_gpus, check_memory, check_model
from raccoon.recipe.settings import FREE_TO_CHANGE, check_constants, planned_setting
from raccoon.runs.checkpoints import check_folder
from raccoon.training.vllm_rollouts import check_engine
from raccoon.vllm_engine import prepare_vllm

DEMO_SCRIPT = Path(__file__).resolve().parents[2] / "demo_model.py"


def make_demo_model(settings: Settings) -> None:
    """Runs demo_model.py, which makes the demo's SFT model and tasks."""
    print(f"no {settings.MODEL_PATH} yet: scripts/demo_model.py makes it first", flush=True)
    folder = Path(settings.MODEL_PATH).parent
    command = [sys.executable, str(DEMO_SCRIPT), "--seed", str(settings.SEED), "--output-dir", str(folder)]
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"{DEMO_SCRIPT.name} made no {settings.MODEL_PATH}; see its own message above")


@dataclass(frozen=True)
class Machines:
    """What the run is spread over, and what it takes there; no plan for an architecture that cannot be planned."""

    processes: int
    gpus: int  # that are visible to this process; 0 is the CPU
    planned: Plan | None


def prepare(settings: Settings, processes: int, gpus: int, demo_model: str) -> Machines:
    """Refuses what cannot run, makes the demo's model where it is wanted and missing, and settles the environment.

    `demo_model` is the path of the demo's model.
    """
    check_constants(settings, processes)
    check_folder(settings.OUTPUT_DIR, vars(settings), FREE_TO_CHANGE, settings.RESUME, processes)
    if settings.MODEL_PATH == demo_model and not Path(settings.MODEL_PATH).exists():
        make_demo_model(settings)
    check_model(settings.MODEL_PATH, gpus)
    check_gpus(gpus)
    if settings.GENERATION == "vllm":
        check_engine(gpus, settings.USE_LORA, settings.VLLM_MODE, settings.VLLM_SERVER_URL)
        prepare_vllm()
    planned = run_plan(settings, processes, gpus)
    if planned and not settings.ALLOW_UNFIT:
        check_memory(planned, settings.LORA_RANK)
        check_disk(planned, settings.OUTPUT_DIR)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # TRL would report its use
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(Path(settings.OUTPUT_DIR) / "tensorboard"))
    if gpus and settings.GENERATION != "vllm":  # whose sleep has an allocator of its own
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # passes and decoding leave fewer gaps
    if not gpus:
        os.environ.setdefault("OMP_NUM_THREADS", str(settings.CPU_THREADS))
    if os.environ.get("RANK", "0") != "0":
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # one process speaks for all
    return Machines(processes, gpus, planned)


def run_plan(settings: Settings, processes: int, gpus: int) -> Plan | None:
    """What the run takes on its GPUs, or in the machine's memory; None for an architecture that cannot be planned."""
    try:
        shape = model_shape(settings.MODEL_PATH)
    except InputError:
        return None
    if gpus:
        machine = Machine(processes, find_machine(settings.PLAN_GPUS).memory_gb, settings.REPLICAS)
    else:
        machine = Machine(0, machine_memory_gb() / processes)
    return plan(shape, planned_setting(settings), machine)
