"""The policy and its tokenizer: loads them, finds the ends of a completion and the length of prompts."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import datasets
import torch
import transformers
from transformers import AutoModelForCausalLM, GenerationConfig, StoppingCriteria, StoppingCriteriaList

from raccoon.constants import InputError
from raccoon.model_files import end_tokens, load_tokenizer
from raccoon.tasks.markup import ends_in_closed_fence
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task

# Beginnings of names in a generation_config that do not decide what is sampled, or that training always sets
BESIDE_SAMPLING = ("_", "max_", "output_", "return_", "transformers_version", "use_cache")


def quiet_libraries() -> None:
    """Silences the libraries' own log lines."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    logging.getLogger("trl").setLevel(logging.ERROR)  # otherwise it prints every completion that has no reward
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def load_chat_tokenizer(path: str) -> Any:
    """The model's tokenizer; raises InputError if it cannot be read or has no chat template."""
    tokenizer = load_tokenizer(path)
    if not tokenizer.chat_template:
        raise InputError(f"{path} has no chat template; start from a model that was taught to chat")
    return tokenizer


def prompt_lengths(tasks: list[Task], tokenizer: Any, enable_thinking: bool) -> list[int]:
    """The number of tokens of each task's prompt in the chat template."""
    conversations = [messages(task) for task in tasks]
    rendered = tokenizer.apply_chat_template(conversations, add_generation_prompt=True, enable_thinking=enable_thinking)
    return [len(ids) for ids in rendered["input_ids"]]


def prompt_end(tokenizer: Any, enable_thinking: bool) -> str:
    """The text that the chat template puts between a user's message and the completion."""
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": ""}], tokenize=False, add_generation_prompt=True, enable_thinking=enable_thinking
    )


def load_policy(path: str, tokenizer: Any, dtype: str) -> Any:
    """The model; its generation_config gets every token that ends a completion."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    model.generation_config.eos_token_id = end_tokens(tokenizer, model.generation_config.eos_token_id)
    return model


def ignored_settings(config: GenerationConfig, used: dict[str, Any]) -> str:
    """What a checkpoint's generation_config asks for beside the settings that are used, as text."""
    own = (*used.items(), ("do_sample", True))
    return ", ".join(
        f"{name} {value!r}"
        for name, value in config.to_diff_dict().items()
        if "token_id" not in name and not name.startswith(BESIDE_SAMPLING) and (name, value) not in own
    )


@contextmanager
def generating(model: Any, fence_stop: "FenceStop | None") -> Iterator[None]:
    """Makes the model's generate() sample by its arguments alone, for this process alone, within a with block.

    By itself it takes what its arguments leave open, like min_p, from the checkpoint's generation_config.json, and
    processes with a sharded model wait for each other's longest completion. With `fence_stop` it ends completions
    there too.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    checkpoints, registered = base.generation_config, vars(model).get("generate")
    base.generation_config = GenerationConfig()
    criteria = [FenceCriterion(fence_stop.closes)] if fence_stop else []
    model.generate = partial(
        type(model).generate, model, synced_gpus=False, stopping_criteria=StoppingCriteriaList(criteria)
    )
    try:
        yield
    finally:
        base.generation_config = checkpoints
        del model.generate
        if registered:
            model.generate = registered


def recomputation(config: type, wanted: bool) -> dict[str, bool]:
    """The argument with which a config class turns on computing activations a second time instead of keeping them.

    transformers 5.23 calls it activation_checkpointing. Older versions, like the one that vLLM 0.31 requires, call it
    gradient_checkpointing.
    """
    names = ("activation_checkpointing", "gradient_checkpointing")
    return {next(name for name in names if name in config.__dataclass_fields__): wanted}


def recompute_layers(model: Any) -> None:
    """Makes a model compute its activations a second time, by the name that its version of transformers has."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()


class FenceStop:
    """Ends completions after the line that closes their code fence, because only text follows, which takes time.

    It adds no end token: the model is trained on exactly what it sampled.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
        self.line_ends = {token for token, text in enumerate(texts) if "\n" in text}

    def closes(self, ids: list[int]) -> bool:
        """Whether a completion's newest token ends the line that closes its code fence."""
        if not ids or ids[-1] not in self.line_ends or not {"`", "~"} & set(self.tokenizer.decode(ids[-8:])):
            return False
        return ends_in_closed_fence(self.tokenizer.decode(ids, skip_special_tokens=True))

    def cut(self, completion_ids: list[list[int]]) -> list[list[int]]:
        """The completions, each cut where it was stopped; generate() goes on until the batch's longest one ends."""
        ends = [
            next((end for end in range(1, len(ids) + 1) if self.closes(ids[:end])), len(ids)) for ids in completion_ids
        ]
        return [ids[:end] for ids, end in zip(completion_ids, ends, strict=True)]


class FenceCriterion(StoppingCriteria):
    """The criterion for one call of generate(); transformers asks it after each token."""

    def __init__(self, closes: Any) -> None:
        self.closes, self.prompt_length = closes, 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self.prompt_length = self.prompt_length or input_ids.size(1) - 1
        completions = input_ids[:, self.prompt_length :].tolist()
        return torch.tensor([self.closes(ids) for ids in completions], device=input_ids.device)
