"""Keeps what a server has answered in a JSON-lines file, so that no stopped run asks, or pays, twice.

It knows neither the questions nor what an answer is worth: keys are digests of all that an answer depends on.

A line: {"key", "value"}. Several processes may append to one file; each reads it once, at its start.
"""

import fcntl
import hashlib
import json
from pathlib import Path

from raccoon.constants import InputError


class AnswerCache:
    """The answers in a file; a line that a killed process left half written costs only itself."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.values = read_values(self.path)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __getitem__(self, key: str) -> object:
        return self.values[key]

    def put(self, key: str, value: object) -> None:
        """Keeps a JSON value in memory and on file; raises InputError where the disk takes no more."""
        self.values[key] = value
        line = json.dumps({"key": key, "value": value}) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if file.seek(0, 2):
                    file.seek(-1, 2)
                    line = line if file.read(1) == b"\n" else "\n" + line
                file.write(line.encode())
        except OSError as error:
            raise InputError(f"{self.path} could not be written ({error.strerror}): free some space, and the same "
                             "command asks for no answer again that is in it") from error


def read_values(path: Path) -> dict[str, object]:
    """The last value of each key."""
    values: dict[str, object] = {}
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
            values[record["key"]] = record["value"]
        except (ValueError, KeyError, TypeError):
            continue
    return values


def answer_key(*parts: object) -> str:
    """The digest of JSON values; different lists of values differ in it."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
