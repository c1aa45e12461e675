"""The README's picture: what it is drawn from stands in it, and the same logs give the same bytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT
from helpers.run_folders import check, write_lines, write_run

SCRIPT = ROOT / "benchmarks" / "demo_picture.py"
RATES = {("sft", "greedy"): 0.25, ("rl", "greedy"): 0.75, ("sft", "sampled"): 0.125, ("rl", "sampled"): 0.5}


def start(folder: Path) -> tuple[subprocess.CompletedProcess, Path]:
    """Draws a run and its evaluation, both in a folder."""
    picture = folder / "picture.svg"
    command = [sys.executable, SCRIPT, folder / "rl", "--eval-results", folder, "--output", picture]
    return subprocess.run(command, capture_output=True, text=True, check=False), picture


@pytest.fixture
def folder(tmp_path) -> Path:
    write_lines(write_run(tmp_path / "rl") / "heldout.jsonl", [check(0, 4), check(12, 16)])
    rows = [
        {
            "model": model,
            "path": str(tmp_path / model),
            "benchmark": "b",
            "mode": mode,
            "n": 16,
            "samples": 16,
            "passed": int(16 * rate),
            "pass@1": rate,
            "interval": [rate - 0.1, rate + 0.1],
        }
        for (model, mode), rate in RATES.items()
    ]
    comparison = {
        "benchmark": "b",
        "mode": "greedy",
        "baseline": "sft",
        "candidate": "rl",
        "n": 16,
        "gained": 8,
        "lost": 0,
        "difference": 0.5,
        "interval": [0.2, 0.8],
        "p": 0.01,
        "p_holm": 0.01,
        "sentence": "",
    }
    (tmp_path / "results.json").write_text(json.dumps({"results": rows, "comparisons": [comparison]}))
    return tmp_path


def test_picture_has_the_numbers_and_is_always_the_same(folder):
    first, picture = start(folder)
    assert first.returncode == 0, first.stderr
    drawn = picture.read_text()
    for words in ("25.0", "75.0", "12.5", "50.0", "16 held-out tasks", "(20 tasks)", "greedy", "sampled"):
        assert f"{words}" in drawn
    start(folder)
    assert picture.read_text() == drawn


def test_run_without_held_out_checks_is_refused(folder):
    (folder / "rl" / "heldout.jsonl").unlink()
    done, picture = start(folder)
    assert done.returncode == 2 and "lacks held-out checks" in done.stderr and not picture.exists()
