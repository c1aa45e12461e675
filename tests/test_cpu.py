"""bfloat16 is refused where the CPU would be slower with it."""

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
