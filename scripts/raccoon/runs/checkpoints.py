"""Where a training run continues: checks of its folder, and the newest whole checkpoint in it.

It loads no checkpoint (TRL does). It works on files alone, without torch. checkpoint-*/sizes.json marks a checkpoint as
whole. The logs are cut to the step where the run continues.
"""

import fcntl
import json
import math
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_writable
from raccoon.runs.log import CONFIG_FILE, METRICS_LOG, STOPPED_FILE, RunLog
from raccoon.savings import in_todays_names
from raccoon.store import write_json

SIZES_FILE = "sizes.json"  # the last file of a checkpoint: without it the checkpoint is not whole
# A resumed run may change these; a change of any other constant would make it another run. PROCESSES may change from 0
# to the number that 0 stood for; a checkpoint of another number of processes is refused.
FREE_TO_CHANGE = frozenset(
    "OUTPUT_DIR MAX_STEPS DATA_DIR SAVE_STEPS SAVE_TOTAL_LIMIT REPORT_TO CALLBACKS RESUME CPU_THREADS SANDBOX_URLS "
    "SANDBOX_WORKERS HELDOUT_PATIENCE JUDGE_BASE_URL JUDGE_KEY_ENV JUDGE_TIMEOUT JUDGE_BATCH_TIMEOUT "
    "JUDGE_CONCURRENCY EXTRACTION_BASE_URL EXTRACTION_KEY_ENV VLLM_SERVER_URL PLAN PLAN_GPUS DRY_RUN PROBE_LONGEST "
    "ALLOW_UNFIT PROCESSES LORA_MERGE PUSH_TO_HUB".split()
)
PASSES = frozenset(("BATCH_SIZE", "GRADIENT_ACCUMULATION"))  # free too where their product stays, as memory may demand
NO_OPTIONS: dict[str, Any] = {"GRPO_OPTIONS": {}, "LORA_OPTIONS": {}}  # what a run before there were options had


@dataclass(frozen=True)
class Sizes:
    """The content of sizes.json: the step, the number of processes; of every other file, path -> bytes and CRC-32.

    A CRC-32 finds damage, not intent. It is three times as fast as SHA-256. Earlier versions wrote none.
    """

    step: int
    processes: int
    files: dict[str, int]
    checksums: dict[str, int] = field(default_factory=dict)


def checksums(checkpoint: Path, names: Iterable[str]) -> list[int]:
    """The CRC-32 of each of a checkpoint's files, which are read in threads. Raises OSError."""

    def checksum(name: str) -> int:
        found = 0
        with open(checkpoint / name, "rb") as file:
            while piece := file.read(1 << 20):
                found = zlib.crc32(piece, found)
        return found

    with ThreadPoolExecutor() as pool:
        return list(pool.map(checksum, names))


def write_sizes(checkpoint: Path, processes: int) -> None:
    """Marks a checkpoint as whole. Call it after every process has written its files."""
    files = {
        str(file.relative_to(checkpoint)): file.stat().st_size
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and SIZES_FILE not in file.name
    }
    written = dict(zip(files, checksums(checkpoint, files), strict=True))
    write_json(checkpoint / SIZES_FILE, asdict(Sizes(checkpoint_step(checkpoint), processes, files, written)))


def read_sizes(checkpoint: Path) -> Sizes | None:
    """The content of sizes.json; None if it is missing or damaged."""
    try:
        sizes = Sizes(**json.loads((checkpoint / SIZES_FILE).read_text(encoding="utf-8")))
        return Sizes(int(sizes.step), int(sizes.processes), dict(sizes.files), dict(sizes.checksums))
    except (OSError, ValueError, TypeError):
        return None


def check_folder(folder: str, values: Mapping[str, Any], resume: bool, processes: int) -> None:
    """Raises InputError if OUTPUT_DIR holds anything but an earlier part of this run, or a part that would be lost.

    `values` are the run's constants. A run that is killed while it saves its model leaves a config.json without
    constants, beside its own logs.
    """
    directory, here = Path(folder).resolve(), Path.cwd().resolve()
    if directory == here or directory in here.parents:
        raise InputError(f"OUTPUT_DIR {folder} is or contains the current folder; give a folder for this run alone")
    check_writable("OUTPUT_DIR", folder)
    if (directory / CONFIG_FILE).exists():
        before = {name: value for name, value in RunLog(folder).read_config().items() if name.isupper()}
        if not before and not (directory / METRICS_LOG).exists():
            raise InputError(f"OUTPUT_DIR {folder} holds a model that this script did not train; give another")
        if not resume:
            raise InputError(f"OUTPUT_DIR {folder} already holds a run; give another, or leave out --no-resume")
        changed = changed_constants(before, values) if before else []
        if changed:
            raise InputError(
                f"OUTPUT_DIR {folder} holds a run with other constants ({', '.join(changed)}); "
                "give another folder, or the same constants"
            )
    newest_whole_checkpoint(folder, processes)


def changed_constants(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What would make it another run, as text."""
    before, now = in_todays_names(NO_OPTIONS | dict(before)), in_todays_names(now)
    before_step, now_step = (math.prod(values.get(name, 0) for name in PASSES) for values in (before, now))
    free = FREE_TO_CHANGE | (PASSES if before_step == now_step else set())
    kept = [name for name in now if name in before and name not in free]
    return [f"{name} {before[name]!r} -> {now[name]!r}" for name in kept if before[name] != now[name]]


def hold_folder(folder: str) -> None:
    """Locks a folder until this process ends, where there are such locks. Raises InputError if another run has it."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)  # never closed: the lock ends with the process
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"OUTPUT_DIR {folder} is in use by another run; wait for it, or give another") from None
    except OSError:
        os.close(handle)


def resume_point(folder: str, processes: int) -> Path | None:
    """The checkpoint to continue from, None for a new run. Lines that were logged after it are deleted."""
    checkpoint, broken = newest_whole_checkpoint(folder, processes, contents=True)
    for line in broken:
        print(line)
    logged = logged_steps(folder)
    if checkpoint:
        print(f"resume   {checkpoint}", flush=True)
    elif logged or broken:
        print(
            f"restart  {folder} from step 0: the run ended at step {logged}, before its first checkpoint was whole",
            flush=True,
        )
    if os.environ.get("RANK", "0") == "0":
        log, step = RunLog(folder), checkpoint_step(checkpoint) if checkpoint else 0
        log.keep_until(step)
        for line in log.gaps(step, step):
            print(f"warning: {line}: a line was cut or deleted, and the run goes on without it", flush=True)
        (Path(folder) / STOPPED_FILE).unlink(missing_ok=True)
    return checkpoint


def newest_whole_checkpoint(
    folder: str | Path, processes: int, contents: bool = False
) -> tuple[Path | None, list[str]]:
    """The checkpoint to resume from (None before the run's first), and a line for each newer one that is not whole.

    With `contents` it reads every byte. Raises InputError if the run has reached one and none is whole, or if another
    number of processes made it: sampling and batches would differ from the run's.
    """
    found, faults = checkpoints(folder), dict[Path, str]()
    for path in reversed(found):
        sizes = read_sizes(path)
        if sizes and sizes.processes != processes:
            raise InputError(
                f"OUTPUT_DIR {folder} holds a run of {sizes.processes} process(es), and this command "
                f"starts {processes}; give --processes {sizes.processes}, or another folder"
            )
        faults[path] = checkpoint_fault(path, contents)
        if not faults[path]:
            break
    whole = next((path for path, fault in faults.items() if not fault), None)
    if not whole and reached_a_checkpoint(folder, found):
        named = "; ".join(f"{path.name}: {fault}" for path, fault in faults.items())
        raise InputError(
            f"OUTPUT_DIR {folder} holds {logged_steps(folder)} logged steps but no whole checkpoint to "
            f"continue from ({named or 'there is none'}); restore one, give another folder, or delete "
            "this one to start over"
        )
    return whole, [f"{path} is not whole ({fault})" for path, fault in faults.items() if fault]


def checkpoints(folder: str | Path) -> list[Path]:
    """The folder's checkpoints, whole or not, by step."""
    found = [path for path in Path(folder).glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=checkpoint_step)


def remove_old(folder: str | Path, limit: int, newest: int, best: int | None) -> None:
    """Deletes all checkpoints but `limit`: that of the step `newest`, then that of the step `best`, then those before.

    Those of steps after the newest are damaged, because the run did not continue from them: they go first. A limit of
    0 deletes none.
    """

    def worth(path: Path) -> tuple[bool, bool, bool, int]:
        step = checkpoint_step(path)
        return step == newest, step == best, step < newest, step

    for path in sorted(checkpoints(folder), key=worth)[:-limit] if limit > 0 else []:
        shutil.rmtree(path, ignore_errors=True)


def reached_a_checkpoint(folder: str | Path, checkpoints: Iterable[Path]) -> bool:
    """Whether a run has ever had a whole checkpoint. If so, a restart would lose its work.

    At the step of the first checkpoint the log already has that step, but the checkpoint may be half written.
    """
    config = RunLog(folder).read_config()
    return (
        any((path / SIZES_FILE).exists() for path in checkpoints)
        or bool(config.get("ended"))
        or logged_steps(folder) > config.get("SAVE_STEPS", 0)
    )


def logged_steps(folder: str | Path) -> int:
    """The last step in metrics.jsonl; 0 without any."""
    return max((record["step"] for record in RunLog(folder).read(METRICS_LOG)), default=0)


def checkpoint_step(path: Path) -> int:
    return int(path.name.split("-")[1])


def checkpoint_fault(path: Path, contents: bool = False) -> str:
    """Why a checkpoint is not whole by its sizes.json, with `contents` also by its checksums; "" if it is whole."""
    sizes = read_sizes(path)
    if not sizes:
        return f"{SIZES_FILE}, the last file written, is missing or damaged"
    if sizes.step != checkpoint_step(path):
        return f"it is of step {sizes.step}"
    for name, size in sizes.files.items():
        if not (path / name).is_file():
            return f"{name} is missing"
        if (path / name).stat().st_size != size:
            return f"{name} has {(path / name).stat().st_size} of {size} bytes"
    wanted = sizes.checksums if contents else {}
    try:
        found = checksums(path, wanted)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}"
    changed = [name for name, checksum in zip(wanted, found, strict=True) if checksum != wanted[name]]
    return f"{', '.join(changed)}: other bytes than were written" if changed else ""
