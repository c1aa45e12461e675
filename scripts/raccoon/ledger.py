"""Saved answers and checks, in files of JSON lines, so that a stopped run does not repeat them.

Each line has a key: the digest of everything that its value depends on. This file does not know what the values mean.
Several processes may share an AnswerCache. Only one may hold a Ledger, whose lines are records of one dataclass.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Generic, TypeVar

from raccoon.constants import InputError
from raccoon.store import LineFile

Record = TypeVar("Record")


def digest(*values: object) -> str:
    """The key of JSON values. Equal values have the same key in any process."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


class AnswerCache:
    """The answers in a file."""

    def __init__(self, path: str | Path) -> None:
        self.file = LineFile(path, shared=True)
        self.values: dict[str, object] = {}
        for _, line in self.file.lines():
            with suppress(ValueError, KeyError, TypeError):  # files from earlier versions have half lines in the middle
                row = json.loads(line)
                self.values[row["key"]] = row["value"]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __getitem__(self, key: str) -> object:
        return self.values[key]

    def put(self, key: str, value: object) -> None:
        """Keeps a JSON value in memory and in the file; raises InputError if the file cannot be written."""
        self.values[key] = value
        save(self.file, {"key": key, "value": value})


class Ledger(Generic[Record]):
    """Records of one dataclass by key, in memory and on disk; a context manager that one process may hold.

    Raises InputError if the file cannot be written, is in use by another run, or has other records.
    """

    def __init__(self, path: Path, kind: type[Record]):
        self.file, self.kind = LineFile(path), kind
        self.records: dict[str, Record] = {}

    def __enter__(self) -> "Ledger[Record]":
        path = self.file.path
        try:
            self.held = self.file.hold()
        except BlockingIOError:
            raise InputError(f"{path} is in use by another run; wait for it, or give another OUTPUT") from None
        except OSError as error:
            raise InputError(f"cannot write {path} ({error.strerror}); give another OUTPUT") from None
        self.records.update(self.parse(row, where) for where, row in self.file.rows())
        return self

    def __exit__(self, *_: object) -> None:
        self.held.close()

    def parse(self, row: dict, where: str) -> tuple[str, Record]:
        key = row.pop("key", None)
        wanted = {field.name: field.type for field in fields(self.kind)}
        if (
            not isinstance(key, str)
            or row.keys() != wanted.keys()
            or any(type(value) is not wanted[name] for name, value in row.items())
        ):
            raise InputError(f"{where} is not a record of {self.kind.__name__}; move the file, or give another OUTPUT")
        return key, self.kind(**row)

    def put(self, key: str, record: Record) -> None:
        """Keeps a record, in memory and in the file."""
        self.records[key] = record
        save(self.file, {"key": key, **asdict(record)})


def save(file: LineFile, row: dict) -> None:
    """Appends a row. Raises InputError if the file cannot be written."""
    try:
        file.append([row])
    except OSError as error:
        raise InputError(
            f"{file.path} could not be written ({error.strerror}): free some space, and give the same "
            "command again; it keeps what is in the file"
        ) from error
