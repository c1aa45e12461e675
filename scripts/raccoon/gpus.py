"""Which GPUs this process may use: how many, how large, and whether their driver suits the installed torch.

It does not import torch, which takes seconds: device files, nvidia-smi and torch's version file are enough.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from raccoon.constants import InputError

# The oldest driver branch for each major version of CUDA (CUDA's compatibility guide, minor versions included)
OLDEST_DRIVER = {"11": 450, "12": 525, "13": 580}
MIB_GB = 2**20 / 1e9  # nvidia-smi counts in MiB, a plan in GB of 1e9 bytes
QUERY = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total,driver_version", "--format=csv,noheader,nounits")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # bytes that a container may use, or "max"
QUERY_SECONDS = 60  # a driver without persistence mode needs about ten to wake the cards


@dataclass(frozen=True)
class Gpu:
    """A GPU as nvidia-smi describes it; memory in GB of 1e9 bytes."""

    name: str
    memory_gb: float
    driver: str


def visible_gpus() -> int:
    """How many GPUs this process may use. Raises InputError if CUDA_VISIBLE_DEVICES names more than there are."""
    present, chosen = device_files(), chosen_gpus()
    if chosen is None:
        return present
    if len(chosen) > present > 0:
        raise InputError(
            f"CUDA_VISIBLE_DEVICES={','.join(chosen)} names {len(chosen)} GPUs, but this machine has "
            f"{present}: name some that nvidia-smi -L lists, or unset it"
        )
    return min(len(chosen), present)


def device_files() -> int:
    """How many GPUs this machine or container has. NVIDIA has a file for each GPU, AMD and WSL have one for all."""
    return len([*Path("/dev").glob("nvidia[0-9]*")]) or any(Path("/dev", name).exists() for name in ("kfd", "dxg"))


def chosen_gpus() -> list[str] | None:
    """The GPUs that CUDA_VISIBLE_DEVICES names, up to the first -1, where CUDA stops reading; None if it is not set."""
    words = os.environ.get("CUDA_VISIBLE_DEVICES")
    if words is None:
        return None
    names = [word.strip() for word in words.split(",")]
    end = next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:end]


def use_gpus(wanted: int, visible: int) -> int:
    """How many processes to start: `wanted`, or with 0 one for each visible GPU. Hides the GPUs that are left over.

    Without a visible GPU the processes run on the CPU. Raises InputError if fewer GPUs are visible than wanted.
    """
    if wanted < 0 or 0 < visible < wanted:
        raise InputError(
            f"PROCESSES is {wanted} and {visible} GPU(s) are visible: set PROCESSES to at most that "
            "number (0 uses all), or look for the missing GPU with nvidia-smi -L"
        )
    if 0 < wanted < visible:
        names = chosen_gpus() or [str(number) for number in range(visible)]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[:wanted])
    return wanted or max(visible, 1)


def query_gpus() -> list[Gpu]:
    """The visible GPUs; [] without nvidia-smi, and for parts of GPUs (MIG). Raises InputError if nvidia-smi fails."""
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, check=False, timeout=QUERY_SECONDS)
    except FileNotFoundError:
        return []
    except subprocess.TimeoutExpired:
        raise InputError(f"nvidia-smi did not answer in {QUERY_SECONDS} s, the driver hangs: reboot") from None
    if done.returncode:
        fault = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
        raise InputError(f"nvidia-smi fails ({fault[0]}): repair the driver, or set CUDA_VISIBLE_DEVICES= for the CPU")
    cards = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    chosen = chosen_gpus()
    if chosen is not None:
        cards = [card for name in chosen for card in cards if name == card[0] or card[1].startswith(name)]
    return [Gpu(name, int(memory) * MIB_GB, driver) for _, _, name, memory, driver in cards if memory.isdigit()]


def torch_cuda() -> str | None:
    """The CUDA version that the installed torch was built for: "" for none, None for an AMD build or without torch."""
    spec = find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return None
    source = Path(spec.submodule_search_locations[0], "version.py").read_text(encoding="utf-8")
    found = {name: value for name, value in re.findall(r"^(cuda|hip)\b[^=\n]*= *'?([\w.]+)", source, re.MULTILINE)}
    return None if found.get("hip", "None") != "None" else found.get("cuda", "None").replace("None", "")


def check_driver(gpus: list[Gpu]) -> None:
    """Raises InputError if the installed torch cannot use these GPUs."""
    cuda = torch_cuda()
    if not gpus or cuda is None:
        return
    if not cuda:
        raise InputError(
            f"{len(gpus)} GPU(s) are visible, and the installed torch was built without CUDA: install "
            "requirements.txt from the default index, or set CUDA_VISIBLE_DEVICES= for the CPU"
        )
    driver, oldest = gpus[0].driver, OLDEST_DRIVER.get(cuda.split(".")[0], 0)
    if int(driver.split(".")[0]) < oldest:
        raise InputError(
            f"driver {driver} is too old for torch's CUDA {cuda}, which needs {oldest} or newer: update "
            "the driver, or install a torch built for an older CUDA"
        )


def machine_memory_gb() -> float:
    """The memory of this machine, or of this container if that is less; GB of 1e9 bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = CGROUP_LIMIT.read_text(encoding="utf-8").strip()
    except OSError:  # this machine has no control groups of version 2
        limit = "max"
    return min(total, int(limit) if limit.isdigit() else total) / 1e9
