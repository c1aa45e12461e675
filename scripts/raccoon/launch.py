"""A script's processes: starts it again as several under accelerate's launcher, and a stop signal that waits.

It decides nothing about training: FSDP2's settings are in accelerate_fsdp2.yaml. It is for one machine. On several,
`accelerate launch --num_machines` starts the script, and nothing is started here.

    python scripts/train_rl_poc.py --processes 2    # this file runs accelerate launch ... train_rl_poc.py ...

The first process becomes the launcher: it passes signals on, and exits with its processes' own exit code.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from raccoon.constants import RELAUNCHED, InputError, RunError

FSDP_CONFIG = Path(__file__).resolve().parent.with_name("accelerate_fsdp2.yaml")
LAUNCHER_VARIABLES = ("WORLD_SIZE", "RANK", "LOCAL_RANK")  # what torchrun and accelerate launch set
# From SIGTERM to SIGKILL: enough for a step and a checkpoint of 177 GB. torch's default is 30
SHUTDOWN_SECONDS = "900"
GRACE = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"  # torch's launcher reads it when it starts; its processes cannot set it


def is_launched() -> bool:
    """Whether a launcher has started this process: torchrun, accelerate launch, or relaunch_under_accelerate."""
    return RELAUNCHED in os.environ or any(name in os.environ for name in LAUNCHER_VARIABLES)


def world_size() -> int:
    """The number of processes of this run. Raises InputError if relaunching asked for another number."""
    try:
        found = int(os.environ.get("WORLD_SIZE", "1"))
    except ValueError:
        raise InputError(f"WORLD_SIZE is {os.environ['WORLD_SIZE']!r}: unset it, or start with a launcher") from None
    expected = os.environ.get(RELAUNCHED)
    if expected not in (None, str(found)):
        raise InputError(
            f"{expected} processes were started, but WORLD_SIZE is {found}: unset WORLD_SIZE, RANK, "
            f"LOCAL_RANK and {RELAUNCHED}, and start again"
        )
    return found


def check_local_gpus(gpus: int) -> None:
    """Raises InputError if a launcher has started more processes on this machine than it has GPUs (if it has any)."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if 0 < gpus < local:
        raise InputError(
            f"{local} processes were started on this machine and {gpus} GPU(s) are visible: start one "
            "process for each GPU, or look for the missing GPU with nvidia-smi -L"
        )


def check_joined(joined: int, processes: int) -> None:
    """Raises RunError if accelerate has not joined all of the run's processes."""
    if joined != processes:
        raise RunError(
            f"{processes} processes were started, but accelerate joined {joined} of them; start the script directly, "
            "with accelerate launch, or with torchrun"
        )


def check_grace() -> None:
    """Raises InputError under a torchrun or accelerate launch that would kill the run during its last checkpoint.

    By default a launcher kills its processes 30 s after SIGTERM. Only the launcher's own environment can change that.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and GRACE not in os.environ:
        raise InputError(
            f"{GRACE} was not set where the launcher was started: the launcher would kill the run 30 s "
            "after SIGTERM, but a step and a checkpoint take minutes; export "
            f"{GRACE}={SHUTDOWN_SECONDS} before the launcher, or start the script directly"
        )


def relaunch_under_accelerate(processes: int, sharded: bool, mixed_precision: str = "no") -> None:
    """Runs this script, with its own arguments, as `processes` processes, and exits with their exit code.

    Returns at once if one process is enough or if a launcher has started this one. With `sharded` the processes use
    FSDP2 by its config file; without it each has the whole model (DDP), on a GPU or on the CPU.
    """
    if processes < 2 or is_launched():
        return
    os.environ[RELAUNCHED] = str(processes)
    os.environ.setdefault(GRACE, SHUTDOWN_SECONDS)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    how = "FSDP2" if sharded else "a whole model each"
    print(f"launch   {processes} processes under accelerate, {how}", flush=True)
    run_launcher(launcher_words(processes, sharded, mixed_precision))


def launcher_words(processes: int, sharded: bool, mixed_precision: str) -> list[str]:
    """The arguments of `accelerate launch`, up to and with the script's own. Port 0 is any free port."""
    machines = f"--num_processes {processes} --num_machines 1 --machine_rank 0 --main_process_port 0"
    how = ["--config_file", str(FSDP_CONFIG), *([] if sharded else ["--multi_gpu"])]
    return [*how, *machines.split(), "--mixed_precision", mixed_precision, os.path.abspath(sys.argv[0]), *sys.argv[1:]]


def run_launcher(words: list[str]) -> NoReturn:
    """Runs `accelerate launch` in this process and exits: 0, the first failed process's code, or 128 + n by signal n.

    accelerate's own exit code would be 1 for every failure, after a traceback.
    """
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        launch_command(launch_command_parser().parse_args(words))
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        sys.exit(code if code > 0 else 128 - code)
    except SignalException as error:
        sys.exit(128 + error.sigval)
    sys.exit(0)


class StopSignal:
    """Notes the first SIGTERM or SIGINT, for the trainer to read between two steps; a second one ends the process."""

    def __init__(self) -> None:
        self.number = 0  # of the signal

    @property
    def name(self) -> str:
        return signal.Signals(self.number).name if self.number else ""

    def install(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: Any) -> None:
        self.number = number
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        os.write(2, f"\n{self.name}: finishing the step and saving; a second signal ends the run at once\n".encode())
