"""A saved model: whether its folder is whole, its weights and tokenizer, and the tokens that end a completion.

torch and transformers are imported inside functions.
"""

import json
import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, RunError


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds LoRA adapters instead of a whole model."""
    return (Path(folder) / "adapter_config.json").is_file()


def is_hub_id(model: str) -> bool:
    """Whether this has the form of a hub id, owner/name, and not of a path."""
    return model.count("/") == 1 and not model.startswith((".", "/", "~"))


def hub_token(name: str) -> str:
    """The token with which to upload a model. Raises InputError for none, or for a name that no model can have."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        raise InputError(f"PUSH_TO_HUB is {name!r}; give a name like me/my-model") from None
    token = get_token()
    if not token:
        raise InputError("no token for the hub: set the environment variable HF_TOKEN to one that may write")
    return token


def base_model(folder: str | Path) -> str:
    """The folder itself, or for LoRA adapters the folder or hub id of the whole model that they change."""
    if not is_adapter(folder):
        return str(folder)
    return json.loads((Path(folder) / "adapter_config.json").read_text())["base_model_name_or_path"]


def check_model_folder(folder: Path) -> None:
    """Raises InputError for a folder without a model, tokenizer or whole files of weights. Imports no torch."""
    if not (folder / "config.json").is_file() and not is_adapter(folder):
        raise InputError(
            f"no model in {folder} (no config.json or adapter_config.json): give the folder that save_pretrained wrote"
        )
    tokenizers = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
    if not any((folder / name).is_file() for name in tokenizers) and not is_adapter(folder):
        raise InputError(
            f"no tokenizer in {folder}: copy tokenizer.json and tokenizer_config.json of its base model there"
        )
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise InputError(f"no weights in {folder} (no *.safetensors or *.bin): save the model again")
    if fault := weights_fault(folder):
        raise InputError(f"the weights in {folder} are not whole ({fault}): copy or save the model again")


def weights_fault(folder: Path) -> str:
    """Which file of weights is missing or cut off, by the index and the headers alone; "" if none is."""
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    try:
        shards = {*json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()} if index.is_file() else set()
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{index.name} is damaged"
    for name in sorted(shards | {path.name for path in folder.glob("*.safetensors")}):
        try:
            safe_open(folder / name, framework="numpy")
        except (OSError, SafetensorError) as error:
            return f"{name}: {error_line(error)}" if (folder / name).is_file() else f"{name} is missing"
    return ""


def load_weights(model: str | Path, dtype: str) -> Any:
    """The causal language model of a folder or hub id. An adapter is merged into its base. Runs no code of the folder.

    Raises InputError if it cannot be read or lacks weights (transformers would draw them at random), RunError if there
    is no memory for it.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        if is_adapter(model):
            from peft import AutoPeftModelForCausalLM

            return AutoPeftModelForCausalLM.from_pretrained(model, dtype=dtype).merge_and_unload(safe_merge=True)
        loaded, found = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if "memory" in str(error):
            raise RunError(f"no memory for the model {model} ({error_line(error)}): give a smaller one") from error
        raise InputError(
            f"cannot load the model in {model} ({type(error).__name__}: {error_line(error)}): give a folder that "
            "save_pretrained wrote, or a hub id with access to the hub"
        ) from error
    missing = sorted(found["missing_keys"])
    if missing and os.environ.get("RANK", "0") == "0":  # with FSDP2 the other processes read no weights
        raise InputError(
            f"the model in {model} lacks {len(missing)} of its weights, like {missing[0]}: copy or save it again"
        )
    return loaded


def save_model(model: Any, tokenizer: Any, folder: str | Path) -> None:
    """Writes a model and its tokenizer; other users may read them if the umask says so."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    open_to_others(folder)


def open_to_others(folder: str | Path) -> None:
    """Gives saved weights the rights that the umask allows: safetensors writes them for their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    for path in Path(folder).glob("*.safetensors"):
        path.chmod(0o666 & ~mask)


def error_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [""])[0][:300]


def load_tokenizer(model: str | Path) -> Any:
    """The tokenizer of a folder or hub id, with padding on the left; of adapters without one, their base model's.

    Raises InputError if it cannot be read, or knows no text: without files transformers 5.23 makes one of a token.
    """
    from transformers import AutoTokenizer

    source = str(model) if (Path(model) / "tokenizer_config.json").is_file() else base_model(model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot load the tokenizer of {source} ({error_line(error) or type(error).__name__}); give the folder of "
            "a saved model, or a hub id with access to the hub"
        ) from error
    if len(tokenizer) < 2:
        raise InputError(f"the tokenizer of {source} knows no text: copy tokenizer.json of its base model there")
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
