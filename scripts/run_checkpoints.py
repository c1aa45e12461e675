"""Where a training run goes on: the folder that may be its own, and the newest checkpoint in it that is whole.

It loads no checkpoint (TRL does) and works on files alone, without torch.

Inputs:  OUTPUT_DIR with config.json and checkpoint-*.
Outputs: the logs in it, cut to the checkpoint that the run goes on from.
"""

import json
import os
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from code_tasks import InputError, check_writable
from run_control import CONFIG_FILE, STOPPED_FILE, RunLog

ZIP_END_BYTES = 22  # the record that ends an archive without a comment


def check_folder(folder: str, values: Mapping[str, Any], free: Iterable[str], resume: bool) -> None:
    """Refuses an OUTPUT_DIR that holds something else than this run's own earlier part.

    `values` are the run's constants; those named in `free` may differ from the earlier part's.
    """
    directory, here = Path(folder).resolve(), Path.cwd().resolve()
    if directory == here or directory in here.parents:
        raise InputError(f"OUTPUT_DIR {folder} holds the current folder; give a folder of the run's own")
    check_writable("OUTPUT_DIR", folder)
    config = directory / CONFIG_FILE
    if not config.exists():
        return
    before = {name: value for name, value in json.loads(config.read_text()).items() if name.isupper()}
    if not before:
        raise InputError(f"OUTPUT_DIR {folder} holds a model that this script did not train; give another")
    if not resume:
        raise InputError(f"OUTPUT_DIR {folder} holds a run already; give another, or leave out --no-resume")
    changed = [f"{name} {before[name]!r} -> {value!r}" for name, value in values.items()
               if name not in free and name in before and before[name] != value]
    if changed:
        raise InputError(f"OUTPUT_DIR {folder} holds a run with other constants ({', '.join(changed)}); "
                         "give another folder, or the same constants")


def resume_point(folder: str, processes: int) -> Path | None:
    """The checkpoint to go on from, None for a new run; what was logged after it is cut off."""
    checkpoint, broken = newest_complete_checkpoint(folder, processes)
    for line in broken:
        print(line)
    if checkpoint:
        print(f"resume   {checkpoint}", flush=True)
    if os.environ.get("RANK", "0") == "0":
        RunLog(folder).keep_until(checkpoint_step(checkpoint) if checkpoint else 0)
        (Path(folder) / STOPPED_FILE).unlink(missing_ok=True)
    return checkpoint


def newest_complete_checkpoint(folder: str | Path, processes: int) -> tuple[Path | None, list[str]]:
    """The checkpoint to resume from, and a line for each newer one that is not whole.

    A checkpoint is whole when its files, or the shards that its index names, are there and as long as their own
    headers tell, the random generators of every process are there, and so is trainer_state.json, the last to be
    written.
    """
    found = [path for path in Path(folder).glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    broken = []
    for path in sorted(found, key=checkpoint_step, reverse=True):
        fault = checkpoint_fault(path, processes)
        if not fault:
            return path, broken
        broken.append(f"{path} is not whole ({fault}): taking the one before")
    return None, broken


def checkpoint_step(path: Path) -> int:
    return int(path.name.split("-")[1])


def checkpoint_fault(path: Path, processes: int) -> str:
    """What is missing or cut short in a checkpoint, or ""."""
    try:
        state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "trainer_state.json is absent or cut short"
    if state.get("global_step") != checkpoint_step(path):
        return f"trainer_state.json is of step {state.get('global_step')}"
    ranks = [f"_{rank}" for rank in range(processes)] if processes > 1 else [""]
    generators = [f"rng_state{rank}.pth" for rank in ranks]
    wanted = [*generators, "scheduler.pt", "optimizer*", "*model*"]
    absent = [pattern for pattern in wanted if not any(path.glob(pattern))]
    if absent:
        return f"no {absent[0]} for a run of {processes} process(es)"
    for folder in sorted(file for file in path.iterdir() if file.is_dir()):
        if fault := shards_fault(folder):
            return fault
    cut = [str(file.relative_to(path)) for file in sorted(path.rglob("*")) if file.is_file() and not is_whole(file)]
    return f"{cut[0]} is cut short" if cut else ""


def shards_fault(folder: Path) -> str:
    """What is missing in a folder of shards, or "": its .metadata is written last and names every file."""
    index = folder / ".metadata"
    if not index.exists():
        return f"no {folder.name}/.metadata"
    data = index.read_bytes()
    names = sorted({name.decode() for name in re.findall(rb"__\d+_\d+\.distcp", data)})
    if not names or not data.endswith(pickle.STOP):
        return f"{folder.name}/.metadata is cut short"
    return next((f"no {folder.name}/{name}" for name in names if not (folder / name).exists()), "")


def is_whole(file: Path) -> bool:
    """False where the length of a .safetensors, .pt, .pth or .distcp file contradicts its header or trailer."""
    if file.suffix in (".pt", ".pth"):
        return zipfile.is_zipfile(file)
    if file.suffix == ".distcp":  # a row of archives: the end of the last one is the end of the file
        with open(file, "rb") as stream:
            stream.seek(-min(ZIP_END_BYTES, file.stat().st_size), os.SEEK_END)
            return stream.read().startswith(b"PK\x05\x06")
    if file.suffix != ".safetensors":
        return True
    with open(file, "rb") as stream:
        header_bytes = int.from_bytes(stream.read(8), "little")
        if not 0 < header_bytes <= file.stat().st_size - 8:
            return False
        header = json.loads(stream.read(header_bytes))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return file.stat().st_size == 8 + header_bytes + max(ends, default=0)
