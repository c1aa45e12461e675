"""The check on a GPU, with toys on the CPU: every step runs, and one that fails or is cut off costs only itself."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from helpers import warm_python
from helpers.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu_check.py"
LIMIT = 1200  # seconds of a whole run; it ends a test that hangs


def start(folder: Path, *flags: str, **environment: str) -> subprocess.Popen:
    pytest.importorskip("trl")
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *flags],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **environment},
    )


def written(folder: Path) -> list[dict]:
    path = folder / "gpu_check.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(folder: Path, *flags: str) -> tuple[dict[str, dict], str]:
    """The lines of the steps by name, and the table. The steps are forks of a Python that has the libraries."""
    pytest.importorskip("trl")
    done = warm_python.run([str(SCRIPT), "--tiny", *flags], folder)
    assert done.returncode == 0, done.stderr
    return steps_and_table(folder, done.stdout)


def steps_and_table(folder: Path, stdout: str) -> tuple[dict[str, dict], str]:
    *steps, last = written(folder)
    assert last["table"] in stdout
    return {line["step"]: line for line in steps}, last["table"]


def working_below(folder: Path) -> list[str]:
    """The working folders of all processes that have one below a folder; a step has one there."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # the process has ended
            found.append(os.readlink(link))
    return [path for path in found if path.startswith(f"{folder}/")]


def module():
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_step_measures_something(tmp_path):
    steps, table = run(tmp_path)
    assert list(steps) == list(module().SECONDS) and sum(module().SECONDS.values()) <= 8 * 60  # as README says
    assert [(line["step"], line["fault"]) for line in steps.values() if line["fault"] or not line["rows"]] == []
    rows = {(name, row["what"]): row for name, line in steps.items() for row in line["rows"]}
    assert rows["versions", "private names that are missing"]["measured"] == "none"
    assert rows["unsharded", "tokens that differ from the plain model's"]["measured"] == 0
    assert rows["run", "steps made, with a resume after 2"]["measured"] == 4
    for name in ("log-probability", "entropy"):
        error = rows["head", f"largest error of a token's {name}"]
        assert 0 < error["measured"] <= error["planned"]
    peaks = [row for (name, what), row in rows.items() if name in ("half", "half_fsdp2", "lora")]
    assert len(peaks) == 6 and all(row["measured"] == "needs a GPU" and row["planned"] > 0 for row in peaks)
    assert len(table.splitlines()) == 2 + len(rows)
    assert [path.name for path in tmp_path.iterdir()] == ["gpu_check.jsonl"]


def test_a_step_over_its_limit_costs_only_itself(tmp_path):
    steps, table = run(tmp_path, "--steps", "head", "speed", "--limits", "speed=0.01")
    assert "its limit" in steps["speed"]["fault"] and steps["speed"]["fault"] in table
    assert steps["head"]["fault"] == "" and len(steps["head"]["rows"]) == 3


def test_a_step_that_dies_keeps_its_rows(tmp_path):
    """A library that cannot be imported, as with a version that lacks a name."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "trl.py").write_text("raise ImportError('no such name')\n")
    process = start(tmp_path, "--tiny", "--steps", "versions", "speed", PYTHONPATH=str(broken))
    stdout, stderr = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, stderr
    steps, table = steps_and_table(tmp_path, stdout)
    assert steps["versions"]["fault"] == "ended with 1: ImportError: no such name"
    assert "trl " in steps["versions"]["rows"][0]["measured"]
    assert steps["speed"]["fault"] == "" and len(steps["speed"]["rows"]) == 2


def test_a_stopped_check_keeps_its_lines_and_ends_its_step(tmp_path):
    process = start(tmp_path, "--tiny", "--steps", "speed", "unsharded")
    while process.poll() is None and not (written(tmp_path) and working_below(tmp_path)):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM
    assert working_below(tmp_path) == []
    assert [line["step"] for line in written(tmp_path)] == ["speed"]
    assert [path.name for path in tmp_path.iterdir()] == ["gpu_check.jsonl"]


@pytest.mark.parametrize(
    ("measured", "planned", "bound", "verdict"),
    [
        (104.9, 100.0, "near", "inside 5 %"),
        (105.1, 100.0, "near", "outside 5 %"),
        (94.9, 100.0, "near", "outside 5 %"),
        (0.84, 0.83, "least", "at least"),
        (0.82, 0.83, "least", "under the floor"),
        (0, 0, "most", "at most"),
        (3, 0, "most", "above"),
        (7.0, 9.0, "rival", ""),
        ("needs a GPU", 9.0, "near", ""),
        (7.0, None, "near", ""),
    ],
)
def test_verdict(measured, planned, bound, verdict):
    assert module().cells("what", measured, planned, bound)[-1] == verdict


def test_a_shape_of_half_the_layers_has_one_gpus_share():
    """Weights, gradients and moments of the 14B model on two GPUs, as the plan of the whole run has them."""
    found = module()
    shared = found.plan(found.MODELS["14B"], found.Setting(), found.Machine(2, 0.0)).memory
    alone = found.sharded_memory("half")
    for part in ("weights", "gradients", "optimizer"):
        assert getattr(alone, part) == pytest.approx(getattr(shared, part), rel=0.05)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--steps", "lorry"], "unknown step 'lorry'; choose from versions, speed"),
        (["--limits", "lora=soon"], "LIMITS has 'lora=soon'; give a step and seconds"),
        (["--steps", "speed"], "no GPU is visible"),
    ],
)
def test_bad_input_is_one_line(tmp_path, flags, words):
    process = start(tmp_path, *flags)
    _, stderr = process.communicate(timeout=LIMIT)
    assert (process.returncode, stderr.count("\n")) == (2, 1), stderr
    assert words in stderr
