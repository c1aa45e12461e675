"""The policy and its tokenizer: loading them, the ends of a completion, the length of prompts."""

import logging
import warnings
from typing import Any

import datasets
import torch
import transformers
from transformers import AutoModelForCausalLM

from raccoon.constants import InputError
from raccoon.model_files import end_tokens, load_tokenizer
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task


def quiet_libraries() -> None:
    """Leaves the log to the run's own lines."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    logging.getLogger("trl").setLevel(logging.ERROR)  # it would print every completion that has no reward
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def load_chat_tokenizer(path: str) -> Any:
    """The model's tokenizer; raises InputError where it cannot be read or has no chat template."""
    tokenizer = load_tokenizer(path)
    if not tokenizer.chat_template:
        raise InputError(f"{path} has no chat template; start from a model that was taught to chat")
    return tokenizer


def prompt_lengths(tasks: list[Task], tokenizer: Any, enable_thinking: bool) -> list[int]:
    """Tokens of each task's prompt in the chat template."""
    conversations = [messages(task) for task in tasks]
    rendered = tokenizer.apply_chat_template(conversations, add_generation_prompt=True,
                                             enable_thinking=enable_thinking)
    return [len(ids) for ids in rendered["input_ids"]]


def prompt_end(tokenizer: Any, enable_thinking: bool) -> str:
    """What the chat template puts between a user's words and the completion."""
    return tokenizer.apply_chat_template([{"role": "user", "content": ""}], tokenize=False,
                                         add_generation_prompt=True, enable_thinking=enable_thinking)


def load_policy(path: str, tokenizer: Any, dtype: str) -> Any:
    """The model, told every token that ends a completion."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    model.generation_config.eos_token_id = end_tokens(tokenizer, model.generation_config.eos_token_id)
    return model
