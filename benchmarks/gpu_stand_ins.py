"""Stand-ins for what a check on a GPU would load from the hub: models of true shapes, a tokenizer, tasks.

They cost no download. No model can do anything: its weights are random, or zero where only its size matters.
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

from raccoon.planning.model_shape import Shape
from raccoon.tasks.task import Task, write_task_file


def qwen2_config(shape: Shape) -> Qwen2Config:
    """The configuration of a Qwen2 of a shape; no token ends a completion."""
    return Qwen2Config(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=shape.tied,
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=0,
    )


def new_model(shape: Shape, dtype: str, device: str) -> Any:
    """A Qwen2 of a shape with random weights, or none on the device "meta"."""
    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(qwen2_config(shape), dtype=getattr(torch, dtype))


def write_zeros(shape: Shape, folder: str) -> None:
    """Saves a bfloat16 model whose weights are all zero, in a sparse file that takes no time and no room on the disk.

    Its values change no tensor's size, but an operation on zeros can be faster than on other numbers.
    """
    model = new_model(shape, "bfloat16", "meta")
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, weight in model.named_parameters():  # a tied weight once
        header[name] = {"dtype": "BF16", "shape": list(weight.shape), "data_offsets": [end, end + weight.nbytes]}
        end += weight.nbytes
    text = json.dumps(header).encode()
    model.config.save_pretrained(folder)
    with open(Path(folder, "model.safetensors"), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def write_tokenizer(folder: str) -> None:
    """Saves a tokenizer that knows two special tokens: a prompt is one of them, and other tokens have no text."""
    end, user = "<|endoftext|>", "<|user|>"
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({end: 0, user: 1}, end)),
        eos_token=end,
        pad_token=end,
        additional_special_tokens=[user],
        chat_template=user,
    ).save_pretrained(folder)


def write_tasks(path: str) -> None:
    """A file of eight tasks with tests and solutions."""
    write_task_file(
        Path(path),
        [
            Task(
                f"t/{number}",
                f"add {number} to x",
                f"assert f(1) == {1 + number}",
                "f",
                solution=f"def f(x):\n    return x + {number}\n",
            )
            for number in range(1, 9)
        ],
    )
