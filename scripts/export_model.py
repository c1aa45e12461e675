"""Writes a model that any tool can load from a checkpoint, without a trainer; uploads a model and its card to the hub.

A finished run has such a model already. A stopped run has checkpoints: whole, of adapters, or in the shards that
several GPUs write. Give only checkpoints of your own, because torch unpickles the index of shards.

    python scripts/export_model.py ./nano-raccoon-rl/checkpoint-200 --output-dir ./my-model
    HF_TOKEN=... python scripts/export_model.py ./nano-raccoon-rl --push-to-hub me/my-model    # private

Inputs:  SOURCE, a checkpoint-N of train_rl_poc.py, whose run's config.json lies beside it, or with PUSH_TO_HUB a
         model's folder; for adapters and shards also the model before training.
Outputs: OUTPUT_DIR with the model, its tokenizer, tasks.jsonl and config.json as a finished run has them. On the hub:
         the files of the model, README.md, and config.json without the run's constants, which name paths.
Exit:    0 written; 1 stopped by a fault; 2 bad input.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, RunError, check_choice, check_writable, override_constants, run_main
from raccoon.model_files import check_model_folder, error_line, hub_token, is_hub_id
from raccoon.runs.checkpoints import SIZES_FILE, checkpoint_fault, checkpoint_step
from raccoon.runs.log import CONFIG_FILE, RunLog

SOURCE = ""  # a checkpoint, or a model's folder to upload; it can be given without its flag
OUTPUT_DIR = ""  # a new folder for the model of a checkpoint
MODEL_PATH = ""  # the model before training; "": the one that the run's config.json names
DTYPE = "float32"  # type of the weights, which a checkpoint has in float32; "bfloat16" is what a run on GPUs saves
PUSH_TO_HUB = ""  # the model's name on the hub, owner/name; the token comes from the environment (HF_TOKEN)
PUBLIC = False  # True: everyone can read it there; an existing model stays as it is

UPLOADED = {*"*.safetensors* *_config.json token* *token*.json *.jinja *.model vocab.* merges.txt README.md".split()}

OURS = {"ended", "versions"}  # of config.json, beside the constants; not the model's


def main() -> None:
    source = Path(SOURCE)
    if not SOURCE or not source.is_dir():
        raise InputError(f"no folder {SOURCE or 'SOURCE'}; give a checkpoint, or a model's folder with --push-to-hub")
    checkpoint = (source / SIZES_FILE).is_file()
    if not checkpoint and (OUTPUT_DIR or not PUSH_TO_HUB):
        raise InputError(
            f"{SOURCE} has no {SIZES_FILE}, so it is no checkpoint of train_rl_poc.py; give one, like "
            "nano-raccoon-rl/checkpoint-200, or a model's folder with --push-to-hub and without --output-dir"
        )
    if checkpoint and not OUTPUT_DIR:
        raise InputError("no OUTPUT_DIR; give a new folder for the model with --output-dir")
    check_choice("DTYPE", DTYPE, ("float32", "bfloat16"))
    token = hub_token(PUSH_TO_HUB) if PUSH_TO_HUB else ""
    if checkpoint:
        check_writable("OUTPUT_DIR", OUTPUT_DIR)
        if (Path(OUTPUT_DIR) / CONFIG_FILE).exists():
            raise InputError(f"OUTPUT_DIR {OUTPUT_DIR} holds a model already; give a new folder")
        export(source, Path(OUTPUT_DIR))
    if PUSH_TO_HUB:
        upload(Path(OUTPUT_DIR) if checkpoint else source, PUSH_TO_HUB, token)


def export(checkpoint: Path, folder: Path) -> None:
    """Writes the model of a checkpoint. Raises InputError if a file is not as it was written."""
    print(f"checking {checkpoint}: every byte is read", flush=True)
    if fault := checkpoint_fault(checkpoint, contents=True):
        raise InputError(f"{checkpoint} is not whole ({fault}); give an earlier checkpoint")
    values = {name: value for name, value in RunLog(checkpoint.parent).read_config().items() if name.isupper()}
    base = MODEL_PATH or values.get("MODEL_PATH")
    if not base or not (Path(base).exists() or is_hub_id(base)):
        raise InputError(
            f"the model before training is {base or 'not named'} in {checkpoint.parent / CONFIG_FILE}, and not found "
            "from here; give its folder with --model-path"
        )

    import torch

    from raccoon.training.policy import checkpoint_model, load_chat_tokenizer, quiet_libraries, saving, write_model

    quiet_libraries()
    tokenizer = load_chat_tokenizer(base)
    model = checkpoint_model(checkpoint, base, tokenizer, adapters(values))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with saving("the model", str(folder)):
            write_model(model.to(getattr(torch, DTYPE)), tokenizer, folder)
    except RunError:
        (folder / CONFIG_FILE).unlink(missing_ok=True)  # without it the same command may write there again
        raise
    tasks = checkpoint.parent / "tasks.jsonl"
    if tasks.is_file():  # an evaluation then marks them as seen
        shutil.copy(tasks, folder)
    RunLog(folder).write_constants(values, f"exported after step {checkpoint_step(checkpoint)}")
    print(f"saved    {folder}: the model after step {checkpoint_step(checkpoint)}, in {DTYPE}")


def adapters(values: dict[str, Any]) -> Any:
    """peft's LoraConfig by the run's constants; None if it trained all weights."""
    if not values.get("USE_LORA"):
        return None
    from peft import LoraConfig

    rank, alpha, targets = (values[f"LORA_{name}"] for name in ("RANK", "ALPHA", "TARGETS"))
    options = values.get("LORA_OPTIONS", {})
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, **options, task_type="CAUSAL_LM")


def upload(folder: Path, name: str, token: str) -> None:
    """Uploads a model and its card, in one commit. Raises RunError if the hub refuses or cannot be reached."""
    check_model_folder(folder)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HTTPError  # of httpx or requests, whichever this version uses

    found = sorted({path for pattern in UPLOADED for path in folder.glob(pattern)})
    files = [CommitOperationAdd(path.name, path) for path in found]
    config = {key: value for key, value in RunLog(folder).read_config().items() if key.islower() and key not in OURS}
    if config:
        files.append(CommitOperationAdd(CONFIG_FILE, json.dumps(config, indent=2).encode()))
    if not (folder / "README.md").is_file():
        print(f"warning: {folder} has no card; python scripts/model_card.py writes that of a finished run", flush=True)
    size = sum(path.stat().st_size for path in found)
    print(f"upload   {len(files)} files, {size / 1e9:.3g} GB, to {name}{'' if PUBLIC else ', private'}", flush=True)
    hub = HfApi(token=token, endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        hub.create_repo(name, private=not PUBLIC, exist_ok=True)
        done = hub.create_commit(name, files, commit_message=f"Upload {folder.resolve().name}")
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = error_line(error).replace(token, "***")
        raise RunError(
            f"the hub did not take {name} ({type(error).__name__}: {reason}): check the name, the network, and that "
            "the token may write; the same command sends only what is missing"
        ) from None
    print(f"uploaded {done.commit_url}")


if __name__ == "__main__":
    override_constants(globals(), positional="SOURCE")
    run_main(main)
