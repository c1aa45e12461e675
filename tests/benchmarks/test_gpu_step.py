"""The GPU benchmark, on a toy model and the CPU: that it runs, and that its table says what was measured."""

import json
import os
import subprocess
import sys

import pytest

from helpers.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu_step.py"


def run(folder, *flags: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, str(SCRIPT), *flags], cwd=folder, env=environment, capture_output=True,
                          text=True, check=False, timeout=200)


def test_a_toy_is_measured_and_written(tmp_path):
    pytest.importorskip("trl")
    done = run(tmp_path, "--tiny")
    assert done.returncode == 0, done.stderr
    whole = json.loads((tmp_path / "gpu_step.json").read_text())
    result, = whole["results"]
    assert set(whole["machine"]["versions"]) == {"torch", "transformers", "trl", "accelerate"}
    assert whole["machine"]["cards"] == []
    assert set(result["decode_ms"]) == {"1", "2"}
    assert all(value > 0 for value in (*result["decode_ms"].values(), result["train_seconds"]))
    # By hand, for this shape of 9,344 weights a layer: 45,632 bytes of weights and 3,072 of cache a token; 16 tokens of
    # 598,016 operations in products, 131,072 of them the layers' last, 32,768 in attention, 65,536 in the head.
    for measured, fraction, floor in ((result["decode_ms"]["2"] / 1000, result["decode_fraction"]["2"], 1.13e-8),
                                      (result["train_seconds"], result["train_fraction"], 1.352e-8)):
        assert measured * fraction == pytest.approx(floor, rel=0.01)
    assert f"| tiny | {result['device']} |" in done.stdout
    assert f"{result['train_seconds']:.3f}" in done.stdout


@pytest.mark.parametrize(("flags", "words"), [
    (["--models", "Qwen3-9B"], "unknown shape 'Qwen3-9B'; choose from Qwen2.5-0.5B"),
    ([], "torch can use no GPU"),
])
def test_bad_input_is_one_line(tmp_path, flags, words):
    pytest.importorskip("torch")
    done = run(tmp_path, *flags)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert words in done.stderr
