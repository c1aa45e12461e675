"""Where a training run goes on: the folder that may be its own, and the newest checkpoint in it that is whole.

It loads no checkpoint (TRL does) and works on files alone, without torch.

Inputs:  OUTPUT_DIR with config.json, metrics.jsonl and checkpoint-*.
Outputs: checkpoint-*/sizes.json, which makes a checkpoint whole; the logs, cut to the step that the run goes on from.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_writable
from raccoon.runs.log import CONFIG_FILE, METRICS_LOG, STOPPED_FILE, RunLog
from raccoon.whole_files import write_json

SIZES_FILE = "sizes.json"  # of a checkpoint, written last: without it a checkpoint is not whole


@dataclass(frozen=True)
class Sizes:
    """The content of sizes.json: the step, how many processes trained, and the bytes of every other file by path."""

    step: int
    processes: int
    files: dict[str, int]


def write_sizes(checkpoint: Path, processes: int) -> None:
    """Marks a checkpoint as whole, once every process has written its files."""
    files = {str(file.relative_to(checkpoint)): file.stat().st_size
             for file in sorted(checkpoint.rglob("*")) if file.is_file() and SIZES_FILE not in file.name}
    write_json(checkpoint / SIZES_FILE, asdict(Sizes(checkpoint_step(checkpoint), processes, files)))


def remove_sizes(checkpoint: Path) -> None:
    """Unmarks a checkpoint that is about to be written, perhaps over one that was found damaged."""
    (checkpoint / SIZES_FILE).unlink(missing_ok=True)


def read_sizes(checkpoint: Path) -> Sizes | None:
    """What sizes.json says; None where it is absent or no such record."""
    try:
        sizes = Sizes(**json.loads((checkpoint / SIZES_FILE).read_text(encoding="utf-8")))
        return Sizes(int(sizes.step), int(sizes.processes), dict(sizes.files))
    except (OSError, ValueError, TypeError):
        return None


def check_folder(folder: str, values: Mapping[str, Any], free: Iterable[str], resume: bool, processes: int) -> None:
    """Refuses an OUTPUT_DIR that holds something else than this run's own earlier part, or a part that it would lose.

    `values` are the run's constants; those named in `free` may differ from the earlier part's. Raises InputError.
    """
    directory, here = Path(folder).resolve(), Path.cwd().resolve()
    if directory == here or directory in here.parents:
        raise InputError(f"OUTPUT_DIR {folder} holds the current folder; give a folder of the run's own")
    check_writable("OUTPUT_DIR", folder)
    if (directory / CONFIG_FILE).exists():
        check_earlier_part(folder, values, free, resume)
    newest_whole_checkpoint(folder, processes)


def check_earlier_part(folder: str, values: Mapping[str, Any], free: Iterable[str], resume: bool) -> None:
    """Refuses a folder whose config.json is of another run, or of none.

    A run that is killed while it saves its model leaves a config.json without constants, beside its own logs.
    """
    before = {name: value for name, value in RunLog(folder).read_config().items() if name.isupper()}
    if not before and not (Path(folder) / METRICS_LOG).exists():
        raise InputError(f"OUTPUT_DIR {folder} holds a model that this script did not train; give another")
    if not resume:
        raise InputError(f"OUTPUT_DIR {folder} holds a run already; give another, or leave out --no-resume")
    changed = [f"{name} {before[name]!r} -> {value!r}" for name, value in values.items()
               if name not in free and name in before and before[name] != value]
    if changed:
        raise InputError(f"OUTPUT_DIR {folder} holds a run with other constants ({', '.join(changed)}); "
                         "give another folder, or the same constants")


def hold_folder(folder: str) -> None:
    """Keeps other runs out of a folder until this process ends, however it ends; raises InputError where one is in it.

    A file system without such locks holds nothing.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)  # never closed: the lock goes with the process
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"OUTPUT_DIR {folder} is in use by another run; wait for its end, or give another") from None
    except OSError:
        os.close(handle)


def resume_point(folder: str, processes: int) -> Path | None:
    """The checkpoint to go on from, None for a new run; what was logged after it is cut off.

    Raises InputError as newest_whole_checkpoint does, before anything is cut.
    """
    checkpoint, broken = newest_whole_checkpoint(folder, processes)
    for line in broken:
        print(line)
    logged = logged_steps(folder)
    if checkpoint:
        print(f"resume   {checkpoint}", flush=True)
    elif logged or broken:
        print(f"restart  {folder} from step 0: the run ended at step {logged}, before its first checkpoint was whole",
              flush=True)
    if os.environ.get("RANK", "0") == "0":
        RunLog(folder).keep_until(checkpoint_step(checkpoint) if checkpoint else 0)
        (Path(folder) / STOPPED_FILE).unlink(missing_ok=True)
    return checkpoint


def newest_whole_checkpoint(folder: str | Path, processes: int) -> tuple[Path | None, list[str]]:
    """The checkpoint to resume from, and a line for each newer one that is not whole.

    None where the run has not come to its first checkpoint. Raises InputError where it has and none is whole, or
    where other than `processes` processes made it: sampling and batches would be others than the run's.
    """
    found = [path for path in Path(folder).glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    faults = {}
    for path in sorted(found, key=checkpoint_step, reverse=True):
        sizes = read_sizes(path)
        if sizes and sizes.processes != processes:
            raise InputError(f"OUTPUT_DIR {folder} holds a run of {sizes.processes} process(es), and this start has "
                             f"{processes}; go on with --processes {sizes.processes}, or give another folder")
        faults[path] = checkpoint_fault(path)
        if not faults[path]:
            break
    whole = next((path for path, fault in faults.items() if not fault), None)
    if not whole and reached_a_checkpoint(folder, found):
        named = "; ".join(f"{path.name}: {fault}" for path, fault in faults.items())
        raise InputError(f"OUTPUT_DIR {folder} holds {logged_steps(folder)} logged steps and no whole checkpoint to go "
                         f"on from ({named or 'there is none'}); bring one back, give another folder, or remove this "
                         "one to start over")
    return whole, [f"{path} is not whole ({fault})" for path, fault in faults.items() if fault]


def reached_a_checkpoint(folder: str | Path, checkpoints: Iterable[Path]) -> bool:
    """Whether a run has ever had a whole checkpoint: then starting it over would lose what it has computed.

    At the step of its first checkpoint the log has that step already, and the checkpoint may be half written.
    """
    config = RunLog(folder).read_config()
    return (any((path / SIZES_FILE).exists() for path in checkpoints) or bool(config.get("ended"))
            or logged_steps(folder) > config.get("SAVE_STEPS", 0))


def logged_steps(folder: str | Path) -> int:
    """The last step in metrics.jsonl, 0 without any."""
    return max((record["step"] for record in RunLog(folder).read(METRICS_LOG)), default=0)


def checkpoint_step(path: Path) -> int:
    return int(path.name.split("-")[1])


def checkpoint_fault(path: Path) -> str:
    """What contradicts a checkpoint's sizes.json, or ""."""
    sizes = read_sizes(path)
    if not sizes:
        return f"{SIZES_FILE}, which is written last, is absent or damaged"
    if sizes.step != checkpoint_step(path):
        return f"it is of step {sizes.step}"
    for name, size in sizes.files.items():
        if not (path / name).is_file():
            return f"no {name}"
        if (path / name).stat().st_size != size:
            return f"{name} has {(path / name).stat().st_size} of {size} bytes"
    return ""
