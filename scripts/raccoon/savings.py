"""SAVINGS: what makes a training run cheaper, most of it without a GPU, and where each may be used.

POC_README.md says what each one does. This file imports no torch.
"""

import contextlib
import ctypes
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_choice

WHOLE_BATCH_LOSSES = ("dapo", "cispo", "vespo")  # divided by the tokens of the whole batch, not of one pass
CPU_INFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # on x86-64, newer x86-64, arm64
NO_BFLOAT16 = (
    f"a CPU with an instruction for bfloat16; this one has none of {', '.join(sorted(BFLOAT16_FLAGS))} in {CPU_INFO} "
    "and would be slower with it"
)

# The constants that earlier versions had instead of a name in SAVINGS, and the values that meant it
EARLIER = {
    "generation": ("GENERATION", "lean"),
    "prompts": ("SHARE_PROMPTS", True),
    "rows": ("SKIP_ROWS_WITHOUT_SIGNAL", True),
    "fence": ("STOP_AT_FENCE", True),
    "bfloat16": ("CPU_BFLOAT16", True),
}
# Flags that are gone, and what to write instead
REPLACED_FLAGS = {
    "--" + name.lower().replace("_", "-"): f"--savings {saving}"
    for saving, (name, value) in EARLIER.items()
    if value is True
}


def check_savings(
    savings: Collection[str], gpus: int, generation: str, loss_type: str, beta: float, mask_truncated: bool
) -> None:
    """Raises InputError for a saving that cannot be used with these GPUs and constants."""
    if generation == "lean":
        raise InputError("GENERATION lean is a saving now; give --savings generation instead")
    needs = {
        "generation": (generation == "transformers", "GENERATION transformers, not vllm"),
        "prompts": (not gpus, "a run without a GPU: it holds all logits of a pass, which a GPU's plan leaves out"),
        "rows": (
            loss_type in WHOLE_BATCH_LOSSES and not beta,
            f"a LOSS_TYPE from {', '.join(WHOLE_BATCH_LOSSES)} and BETA 0, else it changes the gradient: they are "
            f"{loss_type} and {beta}",
        ),
        "fence": (
            generation == "transformers" and not mask_truncated,
            "GENERATION transformers, and no MASK_TRUNCATED true, which would treat a stopped completion as a cut one",
        ),
        "bfloat16": (computes_bfloat16(), NO_BFLOAT16),
    }
    for name in savings:
        check_choice("SAVINGS", name, needs)
        met, need = needs[name]
        if not met:
            raise InputError(f"{name} of SAVINGS needs {need}; leave {name} out of --savings")


def computes_bfloat16() -> bool:
    """Whether the CPU has an instruction for bfloat16; without one bfloat16 is slower than float32."""
    return CPU_INFO.is_file() and not BFLOAT16_FLAGS.isdisjoint(CPU_INFO.read_text().split())


def in_todays_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The constants of a run, perhaps of an earlier version: with SAVINGS, sorted, instead of those of EARLIER."""
    if "SAVINGS" in values:
        return {**values, "SAVINGS": sorted(filter(None, values["SAVINGS"]))}
    meant = [saving for saving, (name, value) in EARLIER.items() if values.get(name) == value]
    named = {"GENERATION": "transformers"} if "generation" in meant else {}
    gone = {name for name, value in EARLIER.values() if value is True}
    kept = {name: value for name, value in values.items() if name not in gone}
    return {**kept, **named, "SAVINGS": sorted(meant)}


def return_freed_memory() -> None:
    """Gives memory that was freed back to the system; does nothing with another C library than glibc.

    glibc keeps it in pieces, and tensors of other sizes then take new memory: generation and update in turn hold twice
    what either needs.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
