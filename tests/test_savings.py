"""Where each saving may be used, what earlier versions called it, and that freed memory goes back."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from raccoon import savings
from raccoon.constants import InputError

FITTING = {"gpus": 0, "generation": "transformers", "loss_type": "dapo", "beta": 0.0, "mask_truncated": False}


def check(*names: str, **changes) -> None:
    savings.check_savings(names, **{**FITTING, **changes})


@pytest.mark.parametrize("flags", ["flags : avx512_bf16 sse2\n", "flags : amx_bf16\n", "Features : asimd bf16\n"])
def test_a_cpu_with_an_instruction_for_bfloat16_is_taken(flags, tmp_path, monkeypatch):
    monkeypatch.setattr(savings, "CPU_INFO", tmp_path / "cpuinfo")
    savings.CPU_INFO.write_text(flags)
    check(*savings.EARLIER)


@pytest.mark.parametrize("flags", ["flags : fpu avx512f avx512_vnni\n", None])
def test_another_is_refused_with_the_remedy(flags, tmp_path, monkeypatch):
    monkeypatch.setattr(savings, "CPU_INFO", tmp_path / "cpuinfo")
    if flags:
        savings.CPU_INFO.write_text(flags)
    check("generation")
    with pytest.raises(InputError, match="would be slower with it; leave bfloat16 out of --savings"):
        check("bfloat16")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("generation", {"generation": "vllm"}),
        ("prompts", {"gpus": 1}),
        ("rows", {"loss_type": "grpo"}),
        ("rows", {"beta": 0.1}),
        ("fence", {"generation": "vllm"}),
        ("fence", {"mask_truncated": True}),
    ],
)
def test_a_saving_is_refused_where_it_cannot_work(name, changes):
    check(name)
    with pytest.raises(InputError, match=f"{name} of SAVINGS needs .*; leave {name} out of --savings"):
        check(name, **changes)
    check(**changes)


def test_other_names_are_refused():
    with pytest.raises(InputError, match="no SAVINGS 'time'; choose from generation, prompts, rows, fence, bfloat16"):
        check("time")
    with pytest.raises(InputError, match="give --savings generation instead"):
        check(generation="lean")


def test_the_constants_of_an_earlier_version_mean_the_same():
    before = {"GENERATION": "lean", "SHARE_PROMPTS": True, "STOP_AT_FENCE": False, "CPU_BFLOAT16": False, "SEED": 1}
    now = {"GENERATION": "transformers", "SAVINGS": ["prompts", "generation"], "SEED": 1}
    assert now | {"SAVINGS": ["generation", "prompts"]} == savings.in_todays_names(now)
    assert savings.in_todays_names(before) == savings.in_todays_names(now)
    assert savings.in_todays_names({"GENERATION": "vllm"}) == {"GENERATION": "vllm", "SAVINGS": []}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory in pieces")
def test_freed_memory_goes_back_to_the_system():
    """In a process of its own: 256 MB in blocks of 64 kB, of which the last stays in use."""
    program = (
        "import ctypes; from raccoon.savings import return_freed_memory\n"
        "libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p; libc.free.argtypes = [ctypes.c_void_p]\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6\n"
        "blocks = [libc.malloc(65536) for _ in range(4096)]\n"
        "for block in blocks: ctypes.memset(block, 1, 65536)\n"
        "for block in blocks[:-1]: libc.free(block)\n"
        "before = resident(); return_freed_memory(); print(before - resident())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(savings.__file__).parents[1],
    )
    assert float(done.stdout) > 200
