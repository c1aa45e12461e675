"""What a run does before anything expensive: checks, the demo's model, the plan, the libraries' environment."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from raccoon.constants import InputError, Settings
from raccoon.gpus import machine_memory_gb
from raccoon.planning.advice import check_disk, check_gpus, check_memory, check_model
from raccoon.planning.memory import Machine, Plan, find_machine, plan
from raccoon.planning.model_shape import model_shape
from raccoon.recipe.settings import FREE_TO_CHANGE, check_constants, planned_setting
from raccoon.runs.checkpoints import check_folder
from raccoon.training.vllm_rollouts import check_engine
from raccoon.vllm_engine import prepare_vllm

DEMO_SCRIPT = Path(__file__).resolve().parents[2] / "demo_model.py"


def make_demo_model(settings: Settings) -> None:
    """Runs demo_model.py, which makes the demo's SFT model and tasks."""
    print(f"{settings.MODEL_PATH} does not exist yet: scripts/demo_model.py makes it first", flush=True)
    folder = Path(settings.MODEL_PATH).parent
    command = [sys.executable, str(DEMO_SCRIPT), "--seed", str(settings.SEED), "--output-dir", str(folder)]
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"{DEMO_SCRIPT.name} could not make {settings.MODEL_PATH}; see its message above")


@dataclass(frozen=True)
class Machines:
    """The processes and GPUs of the run, and its plan."""

    processes: int
    gpus: int  # visible to this process; 0: it runs on the CPU
    planned: Plan | None  # None for an architecture that the planner does not know


def prepare(settings: Settings, processes: int, gpus: int, demo_model: str) -> Machines:
    """Checks the input, makes the demo's model if it is needed and missing, and sets environment variables.

    `demo_model` is the path of the demo's model. Raises InputError for a run that cannot work.
    """
    check_constants(settings, processes)
    check_folder(settings.OUTPUT_DIR, vars(settings), FREE_TO_CHANGE, settings.RESUME, processes)
    if settings.MODEL_PATH == demo_model and not Path(settings.MODEL_PATH).exists():
        make_demo_model(settings)
    check_model(settings.MODEL_PATH, gpus)
    check_gpus(gpus)
    if settings.SHARE_PROMPTS and gpus:
        raise InputError(
            "SHARE_PROMPTS is for runs without a GPU: it needs memory for all logits of a pass, which the "
            "plan of a GPU's memory leaves out; leave SHARE_PROMPTS out"
        )
    if settings.GENERATION == "vllm":
        check_engine(gpus, settings.USE_LORA, settings.VLLM_MODE, settings.VLLM_SERVER_URL)
        prepare_vllm()
    planned = run_plan(settings, processes, gpus)
    if planned and not settings.ALLOW_UNFIT:
        check_memory(planned, settings.LORA_RANK)
        check_disk(planned, settings.OUTPUT_DIR)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # TRL would report its use
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(Path(settings.OUTPUT_DIR) / "tensorboard"))
    if gpus and settings.GENERATION != "vllm":  # vLLM's sleep needs its own allocator
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # less fragmented memory
    if not gpus:
        os.environ.setdefault("OMP_NUM_THREADS", str(settings.CPU_THREADS))
    if os.environ.get("RANK", "0") != "0":
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # only the first process prints
    return Machines(processes, gpus, planned)


def run_plan(settings: Settings, processes: int, gpus: int) -> Plan | None:
    """The plan for the run's GPUs, or for the machine's memory; None for an architecture that the planner lacks."""
    try:
        shape = model_shape(settings.MODEL_PATH)
    except InputError:
        return None
    if gpus:
        machine = Machine(processes, find_machine(settings.PLAN_GPUS).memory_gb, settings.REPLICAS)
    else:
        machine = Machine(0, machine_memory_gb() / processes)
    return plan(shape, planned_setting(settings), machine)
