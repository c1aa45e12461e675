"""A saved model's tokenizer, the tokens that end a completion, and the constants with which a model was made.

It loads no weights. transformers is imported inside functions.
"""

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from raccoon.constants import InputError


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds LoRA adapters instead of a whole model."""
    return (Path(folder) / "adapter_config.json").is_file()


def is_hub_id(model: str) -> bool:
    """Whether this has the form of a hub id, owner/name, and not of a path."""
    return model.count("/") == 1 and not model.startswith((".", "/", "~"))


def base_model(folder: str | Path) -> str:
    """The folder itself, or for LoRA adapters the folder or hub id of the whole model that they change."""
    if not is_adapter(folder):
        return str(folder)
    return json.loads((Path(folder) / "adapter_config.json").read_text())["base_model_name_or_path"]


def load_tokenizer(model: str | Path) -> Any:
    """The tokenizer of a folder or hub id, with padding on the left; of adapters without one, their base model's.

    Raises InputError if it cannot be read.
    """
    from transformers import AutoTokenizer

    source = str(model) if (Path(model) / "tokenizer_config.json").is_file() else base_model(model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"cannot load the tokenizer of {source} ({reason}); give the folder of a saved model, or a "
            "hub id with access to the hub"
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def end_tokens(tokenizer: Any, declared: int | list[int] | None) -> list[int]:
    """Every token id that ends a completion, ascending.

    They are the tokenizer's, those that the model's generation_config declares, and the one with which the chat
    template closes a turn. Qwen's base models declare <|endoftext|>, but their template closes with <|im_end|>: with
    only one of the two a model may write on until its limit.
    """
    found = {tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])}
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        rendered = tokenizer.apply_chat_template(turn)["input_ids"]
        # Gemma's <end_of_turn> is not among all_special_ids, and its template begins with the bos token
        special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        special = {*special, *tokenizer.all_special_ids} - {tokenizer.bos_token_id}
        found |= set([token for token in rendered if token in special][-1:])
    return sorted(found - {None})


def declared_ends(folder: str | Path) -> int | list[int] | None:
    """The end tokens that a model's generation_config declares, or its configuration if it has none."""
    from transformers import AutoConfig, GenerationConfig

    try:
        return GenerationConfig.from_pretrained(folder).eos_token_id
    except OSError:  # it has none
        return GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder)).eos_token_id


def context_length(model: str | Path) -> int:
    """The most tokens of a sequence, as a model's configuration says; 0 if it does not say."""
    from transformers import AutoConfig

    return getattr(AutoConfig.from_pretrained(model).get_text_config(), "max_position_embeddings", None) or 0


def check_made_alike(folder: str | Path, earlier: Mapping[str, Any], values: Mapping[str, Any], free: Set[str]) -> None:
    """Raises InputError if the model in a folder was made with other constants; those in `free` may differ."""
    changed = [name for name, value in values.items() if name not in free and earlier.get(name) != value]
    if changed:
        raise InputError(
            f"{folder} holds a model made with other values of {', '.join(changed)}; give another --output-dir"
        )
