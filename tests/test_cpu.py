"""bfloat16 is refused where the CPU would be slower with it; freed memory goes back."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from raccoon import cpu
from raccoon.constants import InputError


@pytest.mark.parametrize("flags", ["flags : avx512_bf16 sse2\n", "flags : amx_bf16\n", "Features : asimd bf16\n"])
def test_a_cpu_with_an_instruction_for_bfloat16_is_taken(flags, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "CPU_INFO", tmp_path / "cpuinfo")
    cpu.CPU_INFO.write_text(flags)
    cpu.check_bfloat16()


@pytest.mark.parametrize("flags", ["flags : fpu avx512f avx512_vnni\n", None])
def test_another_is_refused_with_the_remedy(flags, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "CPU_INFO", tmp_path / "cpuinfo")
    if flags:
        cpu.CPU_INFO.write_text(flags)
    with pytest.raises(InputError, match="leave --cpu-bfloat16 out"):
        cpu.check_bfloat16()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory in pieces")
def test_freed_memory_goes_back_to_the_system():
    """In a process of its own: 256 MB in blocks of 64 kB, of which the last stays in use."""
    program = (
        "import ctypes; from raccoon.cpu import return_freed_memory\n"
        "libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p; libc.free.argtypes = [ctypes.c_void_p]\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6\n"
        "blocks = [libc.malloc(65536) for _ in range(4096)]\n"
        "for block in blocks: ctypes.memset(block, 1, 65536)\n"
        "for block in blocks[:-1]: libc.free(block)\n"
        "before = resident(); return_freed_memory(); print(before - resident())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(cpu.__file__).parents[1]
    )
    assert float(done.stdout) > 200
