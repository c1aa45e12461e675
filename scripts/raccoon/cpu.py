"""A run without a GPU: whether the CPU computes fast in bfloat16, and its freed memory. It imports no torch."""

import contextlib
import ctypes
from pathlib import Path

from raccoon.constants import InputError

CPU_INFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # on x86-64, newer x86-64, arm64


def check_bfloat16() -> None:
    """Raises InputError if the CPU has no instruction for bfloat16; it would then be slower than float32."""
    words = CPU_INFO.read_text().split() if CPU_INFO.is_file() else []
    if not BFLOAT16_FLAGS & set(words):
        raise InputError(
            f"CPU_BFLOAT16 is set, but this CPU has no instruction for bfloat16 ({CPU_INFO} names none of "
            f"{', '.join(sorted(BFLOAT16_FLAGS))}) and would be slower with it; leave --cpu-bfloat16 out"
        )


def return_freed_memory() -> None:
    """Gives memory that was freed back to the system.

    glibc keeps it in pieces, and tensors of other sizes then take new memory: generation and update in turn hold twice
    what either needs. Does nothing with another C library.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
