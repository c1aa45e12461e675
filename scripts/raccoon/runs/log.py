"""What a training run notes as it goes: its completions, the metrics of a step, its log files and a stop signal.

It is not the trainer (code_trainer.py): everything here works on files and plain numbers, without torch,
so that it can be read and tested without a model.

Files, all in the run's OUTPUT_DIR:
    metrics.jsonl      a line a step
    completions.jsonl  a line a completion, with its verdict, reward parts and advantage
    profile.jsonl      a line a task: how the model does on it before training (where that is asked for)
    heldout.jsonl      a line a check on tasks that are not trained on
    STOPPED.json       why and where a run stopped before its last step; gone when it goes on
    config.json        every constant, and under "ended" what ended a finished run: the last step or an early stop
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raccoon.whole_files import whole_file, write_json

METRICS_LOG = "metrics.jsonl"
COMPLETIONS_LOG = "completions.jsonl"
HELDOUT_LOG = "heldout.jsonl"
PROFILE_LOG = "profile.jsonl"
STOPPED_FILE = "STOPPED.json"
CONFIG_FILE = "config.json"


class RunError(Exception):
    """A run that cannot go on through no fault of its input; the message says what to do."""


class RunLog:
    """The run's JSON-lines files; every line bears its step, so that a resume can cut what comes after."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def append(self, name: str, records: Iterable[dict]) -> None:
        """Adds a line a record and hands them to the kernel, so that a killed process loses none.

        Raises RunError where the disk takes no more.
        """
        text = "".join(json.dumps(finite(record)) + "\n" for record in records)
        try:
            with open(self.folder / name, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise RunError(f"{self.folder / name} could not be written ({error.strerror}): free some space, "
                           "and the same command goes on from the newest whole checkpoint") from error

    def read(self, name: str, until: float = math.inf) -> list[dict]:
        """The records of a file up to and with step `until`; [] where there is no such file."""
        path = self.folder / name
        return [json.loads(line) for line in whole_lines(path, until)] if path.exists() else []

    def keep_until(self, step: int) -> None:
        """Drops what was logged after `step`: a resumed run makes those steps, and their lines, again."""
        for path in (self.folder / name for name in (METRICS_LOG, COMPLETIONS_LOG, HELDOUT_LOG)):
            if path.exists():
                with whole_file(path) as file:
                    file.writelines(line.encode() for line in whole_lines(path, step))

    def write_constants(self, values: Mapping[str, Any], ended: str = "") -> None:
        """Writes the run's constants into config.json, beside what a saved model has put there.

        `ended` says why a finished run ended; it is "" for as long as the run is unfinished.
        """
        write_json(self.folder / CONFIG_FILE, {**self.read_config(), **values, "ended": ended})

    def read_config(self) -> dict[str, Any]:
        """config.json; {} where there is none, or where a run was killed while its model was written."""
        path = self.folder / CONFIG_FILE
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError:
            return {}

    def write_stopped(self, reason: str, step: int) -> None:
        """Leaves the mark of a run that ended before its last step."""
        write_json(self.folder / STOPPED_FILE, {"reason": reason, "step": step})


def whole_lines(path: Path, until: float) -> Iterator[str]:
    """The lines up to and with step `until`; a last line that a killed process left half written is none."""
    with open(path, encoding="utf-8") as file:
        yield from (line for line in file if line.endswith("\n") and json.loads(line)["step"] <= until)


def finite(value: Any) -> Any:
    """The value with NaN and infinities as None, because JSON has neither."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
