"""Speed of decoding and training on one GPU, against the limits of the hardware; and its memory, planned and used.

The weights are random, in bfloat16, in the Qwen2.5 shapes: speed does not depend on what a model has learnt. It
measures `generate` and one forward and backward pass like the trainer's. It does not measure sharding or the update.

    python benchmarks/gpu_step.py                          # four models on one GPU
    python benchmarks/gpu_step.py --models Qwen2.5-14B
    python benchmarks/gpu_step.py --tiny                   # a toy on the CPU, to test that it runs

Inputs: rows of scripts/raccoon/planning/model_shape.py. Outputs: OUTPUT (JSON), one file with everything needed to
compare it with others (cards, driver, versions, date, figures), and the figures as a Markdown table on stdout.
"""

import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from raccoon.constants import InputError, override_constants, run_main
from raccoon.gpus import query_gpus
from raccoon.planning.memory import Machine, Setting, decoding_seconds, plan, training_seconds
from raccoon.planning.model_shape import SHAPES, Shape

MODELS = ["Qwen2.5-0.5B", "Qwen2.5-1.5B", "Qwen2.5-7B", "Qwen2.5-14B"]
SEQUENCES = [16, 64]  # decoded together
PROMPT = 512  # tokens
COMPLETION = 1024  # tokens of a training pass
BATCH_SIZE = 4  # sequences of a training pass
NEW_TOKENS = [8, 136]  # decoded in a short and a long run; their difference contains no prefill
ROUNDS = 3  # of each measurement, after a warm-up; their median counts
OUTPUT = "gpu_step.json"
TINY = False  # a toy model and short sequences, also on the CPU

TINY_SHAPE = Shape(2, 32, 64, 4, 2, 8, 128, True, True)
TINY_VALUES = {"MODELS": ["tiny"], "SEQUENCES": [1, 2], "PROMPT": 8, "COMPLETION": 8, "NEW_TOKENS": [2, 6], "ROUNDS": 1}


@dataclass(frozen=True)
class Result:
    """One model's figures. A fraction is the time at the physical limits of an H200 over the measured time."""

    model: str
    device: str
    decode_ms: dict[int, float]  # for one token of all sequences, by the number of sequences
    decode_fraction: dict[int, float]
    train_seconds: float  # a forward and backward pass
    train_fraction: float
    peak_gb: float  # while training; 0 without a GPU
    planned_gb: float


def main() -> None:
    if TINY:
        globals().update(TINY_VALUES)
    unknown = [name for name in MODELS if name not in SHAPES and not TINY]
    if unknown:
        raise InputError(f"unknown shape {unknown[0]!r}; choose from {', '.join(SHAPES)}")

    import torch

    if not torch.cuda.is_available() and not TINY:
        raise InputError("torch can use no GPU: check nvidia-smi, or run with --tiny")
    results = []
    for name in MODELS:
        results.append(measure(name, TINY_SHAPE if TINY else SHAPES[name]))
        print(f"{name}: measured", file=sys.stderr)
    whole = {"machine": about(), "results": [asdict(result) for result in results]}
    Path(OUTPUT).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    print(f"{markdown(results)}\n\nwritten: {OUTPUT}")


def about() -> dict[str, Any]:
    """Everything that the figures depend on, and nothing that identifies a person or a machine."""
    import torch

    cards = [asdict(card) for card in query_gpus()]
    versions = {name: version(name) for name in ("torch", "transformers", "trl", "accelerate")}
    return {"cards": cards, "cuda": torch.version.cuda, "versions": versions, "python": platform.python_version(),
            "allocator": os.environ.get("PYTORCH_ALLOC_CONF", ""), "date": time.strftime("%Y-%m-%d")}


def measure(name: str, shape: Shape) -> Result:
    """Decodes and trains with one model, alone on the device."""
    import torch

    model = random_model(shape)
    decode = {count: decode_seconds(model, count) for count in SEQUENCES}
    cached = PROMPT + sum(NEW_TOKENS) / 2
    reset_peak()
    train = median_seconds(lambda: training_pass(model))
    cuda = torch.cuda.is_available()
    return Result(
        model=name,
        device=torch.cuda.get_device_name() if cuda else "CPU",
        decode_ms={count: seconds * 1000 for count, seconds in decode.items()},
        decode_fraction={count: decoding_seconds(shape, count, cached) / seconds for count, seconds in decode.items()},
        train_seconds=train,
        train_fraction=training_seconds(shape, BATCH_SIZE, PROMPT, COMPLETION) / train,
        peak_gb=torch.cuda.max_memory_allocated() / 1e9 if cuda else 0.0,
        planned_gb=planned_gb(shape))


def random_model(shape: Shape) -> Any:
    """A Qwen2 of a shape with TRL's fused head, on the GPU if there is one."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config
    from trl.trainer.utils import add_fused_lm_head

    config = Qwen2Config(
        vocab_size=shape.vocab, hidden_size=shape.hidden, intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        max_position_embeddings=4096, tie_word_embeddings=shape.tied, eos_token_id=None, bos_token_id=None,
        pad_token_id=0)
    gc.collect()  # frees the previous model
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.activation_checkpointing_enable()
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return model


def decode_seconds(model: Any, sequences: int) -> float:
    """Seconds for one token of all sequences: the time of a long run minus that of a short one, for each token."""
    model.eval()
    short, long = (median_seconds(lambda count=count: generate(model, sequences, count)) for count in NEW_TOKENS)
    return max(long - short, 1e-9) / (NEW_TOKENS[1] - NEW_TOKENS[0])


def generate(model: Any, sequences: int, tokens: int) -> None:
    """Samples exactly `tokens` tokens for each of `sequences` prompts."""
    import torch

    prompts = torch.randint(model.config.vocab_size, (sequences, PROMPT), device=model.device)
    model.generate(prompts, attention_mask=torch.ones_like(prompts), min_new_tokens=tokens, max_new_tokens=tokens,
                   do_sample=True, top_k=0, disable_compile=True)


def training_pass(model: Any) -> None:
    """A forward and backward pass over a full batch, with the gradients of earlier passes in memory, as in a step."""
    import torch

    model.train()
    ids = torch.randint(model.config.vocab_size, (BATCH_SIZE, PROMPT + COMPLETION), device=model.device)
    labels = ids.clone()
    labels[:, :PROMPT] = -100
    model(input_ids=ids, labels=labels, fused_lm_head=True).loss.backward()


def median_seconds(work: Callable[[], None]) -> float:
    """The median wall time of ROUNDS runs, after one run that is not counted."""
    seconds = []
    for _ in range(ROUNDS + 1):
        synchronize()
        started = time.perf_counter()
        work()
        synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def synchronize() -> None:
    """Waits for the GPU, if there is one."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def reset_peak() -> None:
    """Starts a new measurement of the GPU's peak memory."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def planned_gb(shape: Shape) -> float:
    """The planned memory of such a pass on one GPU: weights and gradients in bfloat16, without moments."""
    setting = Setting(batch_size=BATCH_SIZE, prompt=PROMPT, completion=COMPLETION, weights="bfloat16")
    memory = plan(shape, setting, Machine(1, 0.0)).memory
    return memory.training - memory.optimizer


def markdown(results: list[Result]) -> str:
    """A table with one line for each model."""
    decode = [f"ms a token, {count} sequences (of the limit)" for count in SEQUENCES]
    header = ["model", "device", *decode, f"s a pass of {BATCH_SIZE} (of the limit)", "peak GB", "planned GB"]
    rows = [[one.model, one.device,
             *(f"{one.decode_ms[count]:.2f} ({one.decode_fraction[count]:.1%})" for count in SEQUENCES),
             f"{one.train_seconds:.3f} ({one.train_fraction:.1%})", f"{one.peak_gb:.1f}", f"{one.planned_gb:.1f}"]
            for one in results]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ["---"] * len(header), *rows])


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
