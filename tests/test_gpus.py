"""What is found of GPUs, and what is said of missing ones and of drivers that do not suit, on a machine without any."""

import os
from pathlib import Path

import pytest

from raccoon import gpus
from raccoon.constants import InputError
from raccoon.gpus import Gpu, check_driver, query_gpus, torch_cuda, use_gpus, visible_gpus

TWO = "0, GPU-aaa, NVIDIA H200, 143771, 570.86.15\n1, GPU-bbb, NVIDIA H200, 143771, 570.86.15\n"


def fake_smi(folder: Path, monkeypatch, output: str, code: int = 0) -> None:
    """Puts a program called nvidia-smi first on the path."""
    (folder / "output").write_text(output)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat {folder}/output\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(("chosen", "found"), [(None, 2), ("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("0,-1,1", 1)])
def test_visible_gpus_are_those_that_cuda_would_see(monkeypatch, chosen, found):
    monkeypatch.setattr(gpus, "device_files", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible_gpus() == found


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(gpus, "device_files", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES=0,1 names 2 GPUs, but this machine has 1"):
        visible_gpus()
    with pytest.raises(InputError, match=r"PROCESSES is 2 and 1 GPU\(s\) are visible"):
        use_gpus(2, 1)


@pytest.mark.parametrize(
    ("wanted", "visible", "before", "processes", "after"),
    [
        (0, 0, None, 1, None),
        (0, 4, None, 4, None),
        (2, 0, None, 2, None),
        (4, 4, None, 4, None),
        (1, 4, None, 1, "0"),
        (2, 3, "5,6,7", 2, "5,6"),
    ],
)
def test_a_process_for_each_gpu_and_the_others_hidden(monkeypatch, wanted, visible, before, processes, after):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before or "")
    if before is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert use_gpus(wanted, visible) == processes
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == (after or before)


def test_cards_are_read_and_chosen(tmp_path, monkeypatch):
    fake_smi(tmp_path, monkeypatch, TWO)
    assert query_gpus() == [Gpu("NVIDIA H200", pytest.approx(150.75, abs=0.01), "570.86.15")] * 2
    for chosen, count in (("1", 1), ("GPU-bbb", 1), ("0,1", 2), ("", 0), ("MIG-ccc", 0)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        assert len(query_gpus()) == count, chosen


def test_a_broken_driver_is_said_and_a_missing_tool_is_not(tmp_path, monkeypatch):
    fake_smi(tmp_path, monkeypatch, "Failed to initialize NVML: Driver/library version mismatch\n", 18)
    with pytest.raises(InputError, match=r"nvidia-smi fails \(Failed to initialize NVML: Driver/library version mis"):
        query_gpus()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert query_gpus() == []


@pytest.mark.parametrize(
    ("cuda", "driver", "words"),
    [
        ("13.0", "570.86.15", "driver 570.86.15 is too old for torch's CUDA 13.0, which needs 580 or newer"),
        ("12.6", "520.61", "needs 525 or newer"),
        ("", "580.1", "torch was built without CUDA"),
    ],
)
def test_a_driver_that_does_not_suit_torch_is_refused(monkeypatch, cuda, driver, words):
    monkeypatch.setattr(gpus, "torch_cuda", lambda: cuda)
    with pytest.raises(InputError, match=words):
        check_driver([Gpu("any", 80.0, driver)])
    check_driver([])


@pytest.mark.parametrize(("cuda", "driver"), [("13.0", "580.65.06"), ("12.6", "525.60.13"), (None, "1.0")])
def test_a_driver_that_suits_is_not(monkeypatch, cuda, driver):
    monkeypatch.setattr(gpus, "torch_cuda", lambda: cuda)
    check_driver([Gpu("any", 80.0, driver)])


def test_torchs_cuda_is_what_torch_says():
    torch = pytest.importorskip("torch")
    assert torch_cuda() == (None if torch.version.hip else torch.version.cuda or "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", "13.0"),
        ("cuda = None\nhip = '6.2'\n", None),
        ("cuda = None\nhip = None\n", ""),
    ],
)
def test_torchs_version_file_is_read_without_torch(tmp_path, monkeypatch, text, found):
    (tmp_path / "version.py").write_text(text)
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(gpus, "find_spec", lambda name: spec)
    assert torch_cuda() == found


@pytest.mark.parametrize(("limit", "least"), [("2000000000\n", 2.0), ("max\n", None), (None, None)])
def test_a_containers_memory_is_its_limit(tmp_path, monkeypatch, limit, least):
    if limit:
        (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(gpus, "CGROUP_LIMIT", tmp_path / "memory.max")
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    assert gpus.machine_memory_gb() == pytest.approx(least or whole)
