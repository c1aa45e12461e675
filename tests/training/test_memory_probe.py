"""The pass at full length before the first step: it is made, it leaves no trace, and a dry run ends after it."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.training_runs import SCRIPT, environment, furnish

# The script, with the probe that it makes on GPUs only.
PROBED = """
import sys
sys.path.insert(0, {scripts!r})
import train_rl_poc
from raccoon.training.memory_probe import MemoryProbe
from raccoon.constants import override_constants, run_main
train_rl_poc.memory_probe = lambda *_: [MemoryProbe(20, 3, 0.0, 0.0, False)]
override_constants(vars(train_rl_poc))
run_main(train_rl_poc.main)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = furnish(tmp_path_factory.mktemp("probe"))
    (folder / "probed.py").write_text(PROBED.format(scripts=str(SCRIPT.parent)))
    return folder


def start(folder: Path, script: str, output: str, *flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, script, "--model-path", "model", "--output-dir", output, "--training-sets", "",
               "--train-files", "train.jsonl", "--heldout", "", "--max-completion-length", "3", "--temperature", "1",
               "--learning-rate", "0.03", "--sandbox-workers", "1", "--max-steps", "3", *flags]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False,
                          timeout=200)


def test_a_dry_run_goes_through_everything_and_trains_nothing(place):
    done = start(place, str(SCRIPT), "dry", "--dry-run", "--beta", "0.1", "--max-prompt-length", "20")
    assert done.returncode == 0, done.stderr
    for words in ("plan     ", "probe    a pass of 4 x 23 tokens: peak", "dry run  every check passed"):
        assert words in done.stdout
    assert "step 1/" not in done.stdout
    assert not [path for path in (place / "dry").rglob("*") if path.is_file()]


def test_the_probe_leaves_no_trace(place):
    plain, probed = start(place, str(SCRIPT), "plain"), start(place, "probed.py", "probed")
    assert (plain.returncode, probed.returncode) == (0, 0), plain.stderr + probed.stderr
    assert "probe    a pass of 4 x 23 tokens" in probed.stdout
    for name in ("model.safetensors", "completions.jsonl"):
        assert (place / "plain" / name).read_bytes() == (place / "probed" / name).read_bytes(), name
    entropy = [[line.split("entropy")[1].split()[0] for line in done.stdout.splitlines() if "entropy" in line]
               for done in (plain, probed)]
    assert len(entropy[0]) == 3
    assert entropy[0] == entropy[1]


@pytest.mark.parametrize(("flags", "words"), [
    (["--master-weights", "bfloat16", "--learning-rate", "5e-6"], "would move 7.8% of the weights"),
    (["--master-weights", "float16"], "no MASTER_WEIGHTS 'float16'; choose from float32, bfloat16"),
    (["--optimizer", "sgd"], "no OPTIMIZER 'sgd'; choose from adamw_torch_fused, adamw_torch_8bit"),
    (["--plan", "--plan-gpus", "many"], "GPUS 'many' is not number x gigabytes; give something like 2x141"),
])
def test_bad_input_is_one_line(place, flags, words):
    done = start(place, str(SCRIPT), "refused", *flags)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert words in done.stderr


def test_the_plan_alone_needs_no_model_and_no_gpu(place):
    done = subprocess.run([sys.executable, str(SCRIPT), "--plan", "--plan-gpus", "2x141"], cwd=place,
                          env=environment(), capture_output=True, text=True, check=True)
    assert "14,770,033,664 parameters; 2 x 151.4 GB" in done.stdout
    assert "| 177.2 | 561.3 | fits |" in done.stdout
