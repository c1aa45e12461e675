"""Small runs of the training script: a random model whose tokens are whole programs, and what a run leaves."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import train_rl_poc
from helpers import warm_python
from raccoon.tasks.task import Task, write_task_file

SCRIPT = Path(train_rl_poc.__file__)
STEPS = 14
PROGRAMS = ["def f(x):\n    return x + 1\n", "def f(x):\n    return x\n", "def f(x:\n"]  # PASS, PARTIAL, FAIL
TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message.content }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> {% endif %}"
)


def furnish(folder: Path, layers: int = 1, **tasks: int) -> Path:
    """Puts a random model there, and files of so many tasks that its tokens can solve."""
    make_model(folder / "model", layers)
    for place, (name, count) in enumerate({"train": 6, **tasks}.items()):
        first, second = 10 * place + 1, 10 * place + 5  # no file holds another's asserts or words: that would be a leak
        test = f"assert f({first}) == {first + 1}\nassert f({second}) == {second + 1}\n"
        write_task_file(
            folder / f"{name}.jsonl",
            [Task(f"{name}/{i}", f"{name} {name}{i}", test, "f", solution=PROGRAMS[0]) for i in range(count)],
        )
    return folder


def make_model(folder: Path, layers: int = 1) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "[UNK]", *PROGRAMS]
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    core.decoder = tokenizers.decoders.Fuse()
    # As Qwen's base models do, the tokenizer declares another end than the one its chat template closes a turn with.
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="[UNK]",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=TEMPLATE,
    )
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=640,
        eos_token_id=0,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    transformers.Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def small_run(output: str, heldout: str = "", *more: str) -> list[str]:
    """The flags of a run on what furnish() puts there."""
    paths = ["--model-path", "model", "--output-dir", output, "--train-files", "train.jsonl", "--heldout", heldout]
    sampling = ["--training-sets", "", "--max-completion-length", "3", "--temperature", "1"]
    return [*paths, *sampling, "--learning-rate", "0.03", "--sandbox-workers", "1", *more]


def command(output: str, *flags: str) -> list[str]:
    steps = f"--heldout-every 4 --max-steps {STEPS} --save-steps 4 --max-refills 1".split()
    return [sys.executable, str(SCRIPT), *small_run(output, "heldout.jsonl", *steps, *flags)]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **changes}


def run(folder: Path, output: str, *flags: str, **changes: str) -> subprocess.CompletedProcess:
    return warm_python.run(command(output, *flags)[1:], folder, **changes)


def run_afresh(folder: Path, output: str, **options) -> subprocess.CompletedProcess:
    """A run in a Python of its own, as users start it."""
    return subprocess.run(
        command(output), cwd=folder, env=environment(), capture_output=True, text=True, check=False, **options
    )


def outcome(folder: Path) -> dict[str, str]:
    """Digests of what a resumed run must share with one that was never stopped."""
    names = ("model.safetensors", "completions.jsonl", "heldout.jsonl")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
