"""The pass at full length before the first step: it is made, it leaves no trace, and a dry run ends after it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import warm_python
from helpers.training_runs import SCRIPT, environment, furnish, small_run

# The script, with the probe that it makes on GPUs only.
PROBED = """
import sys
sys.path.insert(0, {scripts!r})
import train_rl_poc
from raccoon.training.callbacks import MemoryProbe
from raccoon.constants import override_constants, run_main
train_rl_poc.memory_probe = lambda *_: [MemoryProbe(20, 3, 0.0, {{}}, False)]
override_constants(vars(train_rl_poc))
run_main(train_rl_poc.main)
"""

# The same, but the probe takes the CPU for a GPU and says how much memory it holds in place of Adam's moments.
ON_A_CARD = """
import sys
from types import SimpleNamespace
sys.path.insert(0, {scripts!r})
import torch
import train_rl_poc
from raccoon.training import callbacks
from raccoon.constants import override_constants, run_main
class Card:
    cuda = SimpleNamespace(is_available=lambda: True, OutOfMemoryError=torch.cuda.OutOfMemoryError,
                           **dict.fromkeys(("synchronize", "empty_cache", "reset_peak_memory_stats"), lambda: None),
                           max_memory_allocated=lambda: 0)
    def __getattr__(self, name):
        return getattr(torch, name)
    def empty(self, size, **options):
        print("held", size, flush=True)
        return torch.empty(size, **options)
callbacks.torch = Card()
train_rl_poc.memory_probe = lambda *_: [callbacks.MemoryProbe(20, 3, {moments_gb}, {{}}, False)]
override_constants(vars(train_rl_poc))
run_main(train_rl_poc.main)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = furnish(tmp_path_factory.mktemp("probe"), heldout=2)
    (folder / "probed.py").write_text(PROBED.format(scripts=str(SCRIPT.parent)))
    return folder


def start(folder: Path, script: str, output: str, *flags: str) -> subprocess.CompletedProcess:
    return warm_python.run([script, *small_run(output, "", "--max-steps", "3", *flags)], folder)


def test_a_dry_run_goes_through_everything_and_trains_nothing(place):
    done = start(place, str(SCRIPT), "dry", "--dry-run", "--beta", "0.1", "--max-prompt-length", "20")
    assert done.returncode == 0, done.stderr
    for words in ("plan     ", "probe    a pass of 4 x 23 tokens: peak", "dry run  every check passed"):
        assert words in done.stdout
    assert "step 1/" not in done.stdout
    listed = {
        cells[1].strip(): cells[2:4]
        for line in done.stdout.splitlines()
        if line.startswith("check    |")
        for cells in [line.split("|")]
    }
    for what in ("GB a process, training", "GB a process, generating"):
        measured, planned = map(float, listed[what])
        assert measured > 0.2 and planned >= 0.5  # of libraries alone
    assert float(listed["s a pass, at the least"][0]) > 0
    assert listed["ms a token of all sequences, at the least"][1].strip() == "not planned"  # on a CPU
    assert not [path for path in (place / "dry").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("accumulation", "expected"), [(1, [False]), (4, [False, True])])
def test_a_later_pass_has_the_gradients_of_the_first_beside_it(accumulation, expected):
    """As a step has them: 5.8 GB of a 14B model's peak, which one pass alone would not show."""
    torch = pytest.importorskip("torch")
    from raccoon.training.callbacks import MemoryProbe, PeakMemory

    probe, model, seen = MemoryProbe(2, 1, 0.0, {}, False), torch.nn.Linear(2, 2), []

    def run_pass():
        seen.append(model.weight.grad is not None)
        model(torch.ones(1, 2)).sum().backward()

    probe.trainer, probe.run_pass = SimpleNamespace(model_wrapped=model, memory=PeakMemory()), run_pass
    probe.on_train_begin(
        SimpleNamespace(gradient_accumulation_steps=accumulation, per_device_train_batch_size=1, device="cpu"),
        None,
        None,
    )
    assert seen == expected
    assert model.weight.grad is None


def test_a_conversation_is_generated_from_all_before_its_last_answer():
    pytest.importorskip("torch")
    from contextlib import nullcontext

    from transformers import GenerationConfig

    from raccoon.training import callbacks

    seen = []
    trainer = SimpleNamespace(
        max_completion_length=5,
        use_vllm=False,
        generation_config=GenerationConfig(),
        args=SimpleNamespace(per_device_train_batch_size=1, steps_per_generation=2),
        model=SimpleNamespace(config=SimpleNamespace(vocab_size=9)),
    )

    def complete(prompts, *_):
        seen.append((list(map(len, prompts)), trainer.generation_config.max_new_tokens))

    trainer.sampler = SimpleNamespace(gathered=nullcontext, complete=complete)
    probe = callbacks.MemoryProbe(20, 30, 0.0, {}, True)
    probe.trainer = trainer
    probe.generate()
    assert seen == [([44, 45], 5)]  # 20 of the prompt and 30 after it, without the last answer


def test_the_probes_batch_is_padded_as_those_of_training():
    """Without padding attention takes another path, which needs less memory."""
    pytest.importorskip("torch")
    from raccoon.training.callbacks import MemoryProbe

    probe = MemoryProbe(4, 3, 0.0, {}, False)
    args = SimpleNamespace(device="cpu", per_device_train_batch_size=2, steps_per_generation=1)
    probe.trainer = SimpleNamespace(
        args=args,
        use_vllm=False,
        model=SimpleNamespace(config=SimpleNamespace(vocab_size=9)),
        accelerator=SimpleNamespace(num_processes=1),
    )
    assert probe.batch()["prompt_mask"].tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]


def test_the_probe_comes_before_the_held_out_check(place):
    """A lack of memory shows in the first minute, not after the check."""
    done = start(place, "probed.py", "checked", "--heldout", "heldout.jsonl", "--max-steps", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("probe    a pass") < done.stdout.index("held-out after step 0")


def test_the_probe_leaves_no_trace(place):
    plain, probed = start(place, str(SCRIPT), "plain"), start(place, "probed.py", "probed")
    assert (plain.returncode, probed.returncode) == (0, 0), plain.stderr + probed.stderr
    assert "probe    a pass of 4 x 23 tokens" in probed.stdout
    for name in ("model.safetensors", "completions.jsonl"):
        assert (place / "plain" / name).read_bytes() == (place / "probed" / name).read_bytes(), name
    entropy = [
        [line.split("entropy")[1].split()[0] for line in done.stdout.splitlines() if "entropy" in line]
        for done in (plain, probed)
    ]
    assert len(entropy[0]) == 3
    assert entropy[0] == entropy[1]


def test_only_moments_that_do_not_exist_yet_are_held_a_place_for(place):
    """A resumed run has them from its checkpoint; a second copy, 59 GB of a 14B model, would not fit beside them."""
    from safetensors.torch import load_file

    moments = 8 * sum(tensor.numel() for tensor in load_file(place / "model" / "model.safetensors").values())
    script = place / "on_a_card.py"
    script.write_text(ON_A_CARD.format(scripts=str(SCRIPT.parent), moments_gb=moments / 1e9))
    held = []
    for steps in ("2", "3"):
        done = start(place, script.name, "resumed", "--save-steps", "2", "--max-steps", steps)
        assert done.returncode == 0, done.stderr
        held += [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("held ")]
    assert "resume   resumed/checkpoint-2" in done.stdout
    assert held == [pytest.approx(moments, abs=1), 0]


def test_a_gpu_too_small_for_the_moments_is_one_line(monkeypatch):
    torch = pytest.importorskip("torch")
    from raccoon.constants import RunError
    from raccoon.training import callbacks

    def full(*_, **__):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 59 GiB.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", full)
    probe = callbacks.MemoryProbe(2, 1, 1e-6, {}, False)
    probe.trainer = SimpleNamespace(optimizer=SimpleNamespace(state={}))
    args = SimpleNamespace(gradient_accumulation_steps=1, per_device_train_batch_size=1, device="cpu")
    with pytest.raises(RunError, match="a pass of 1 x 3 tokens does not fit the GPU .*; --plan shows the nearest"):
        probe.on_train_begin(args, None, None)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--master-weights", "bfloat16", "--learning-rate", "5e-6"], "would change only 7.8% of the weights"),
        (["--master-weights", "float16"], "no MASTER_WEIGHTS 'float16'; choose from float32, bfloat16"),
        (["--optimizer", "sgd"], "no OPTIMIZER 'sgd'; choose from adamw_torch_fused, adamw_torch_8bit"),
        (["--plan", "--plan-gpus", "many"], "GPUS 'many' is not number x gigabytes; give a value like 2x141"),
    ],
)
def test_bad_input_is_one_line(place, flags, words):
    done = start(place, str(SCRIPT), "refused", *flags)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert words in done.stderr


def test_the_plan_alone_needs_no_model_and_no_gpu(place):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--plan", "--plan-gpus", "2x141"],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "14,770,033,664 parameters; 2 x 151.4 GB" in done.stdout
    assert "| 177.2 | 561.3 | fits |" in done.stdout
