"""What this CPU can compute fast. It imports no torch."""

from pathlib import Path

from raccoon.constants import InputError

CPU_INFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # of x86-64, of newer x86-64, of arm64


def check_bfloat16() -> None:
    """Raises InputError where the CPU has no instruction for bfloat16: it would be slower than float32 there."""
    words = CPU_INFO.read_text().split() if CPU_INFO.is_file() else []
    if not BFLOAT16_FLAGS & set(words):
        raise InputError(f"CPU_BFLOAT16 is set, and {CPU_INFO} names none of {', '.join(sorted(BFLOAT16_FLAGS))}: this "
                         "CPU would be slower with it; leave --cpu-bfloat16 out")
