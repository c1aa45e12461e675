"""A training run's log files: its steps, completions, held-out checks, constants and the mark of a stopped run.

It is not the trainer (training/trainer.py). It works on files and plain numbers, without torch, so that it can be
tested without a model.

Files, all in the run's OUTPUT_DIR:
    metrics.jsonl      a line for each step
    completions.jsonl  a line for each completion, with its verdict, reward parts and advantage
    profile.jsonl      a line for each task: its results before training (only with PROFILE_SAMPLES)
    heldout.jsonl      a line for each check on tasks that are not trained on
    STOPPED.json       why and at which step a run stopped early; deleted when the run continues
    config.json        every constant, and under "ended" what ended a finished run: the last step or an early stop
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from raccoon.constants import RunError
from raccoon.store import LineFile, parse_json
from raccoon.whole_files import whole_file, write_json

METRICS_LOG = "metrics.jsonl"
COMPLETIONS_LOG = "completions.jsonl"
HELDOUT_LOG = "heldout.jsonl"
PROFILE_LOG = "profile.jsonl"
STOPPED_FILE = "STOPPED.json"
CONFIG_FILE = "config.json"


class RunLog:
    """The run's JSON-lines files. Every line holds its step, so that a resumed run can delete later lines."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def append(self, name: str, records: Iterable[dict]) -> None:
        """Appends a line for each record. Raises RunError if the file cannot be written."""
        try:
            LineFile(self.folder / name).append(map(finite, records))
        except OSError as error:
            raise RunError(
                f"{self.folder / name} could not be written ({error.strerror}): free some space, and give "
                "the same command to continue from the newest whole checkpoint"
            ) from error

    def read(self, name: str, until: float = math.inf) -> list[dict]:
        """The records of a file up to and including step `until`; [] if the file does not exist."""
        return [row for _, row in LineFile(self.folder / name).rows() if row["step"] <= until]

    def keep_until(self, step: int) -> None:
        """Deletes the lines logged after `step`, because a resumed run repeats those steps and logs them again."""
        for path in (self.folder / name for name in (METRICS_LOG, COMPLETIONS_LOG, HELDOUT_LOG)):
            if path.exists():
                with whole_file(path) as file:
                    file.writelines(
                        line for where, line in LineFile(path).lines() if parse_json(line, where)["step"] <= step
                    )

    def write_constants(self, values: Mapping[str, Any], ended: str = "") -> None:
        """Writes the run's constants into config.json, beside the keys of a saved model.

        `ended` says why a finished run ended; it is "" while the run is unfinished.
        """
        write_json(self.folder / CONFIG_FILE, {**self.read_config(), **values, "ended": ended})

    def read_config(self) -> dict[str, Any]:
        """config.json; {} if there is none, or if a run was killed while it wrote its model."""
        path = self.folder / CONFIG_FILE
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError:
            return {}

    def write_stopped(self, reason: str, step: int) -> None:
        """Marks a run that ended before its last step."""
        write_json(self.folder / STOPPED_FILE, {"reason": reason, "step": step})


def finite(value: Any) -> Any:
    """The value with None for NaN and infinities, because JSON has neither."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
