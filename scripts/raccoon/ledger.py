"""Saved answers and checks, in files of JSON lines, so that a stopped run does not repeat them.

Each line has a key: the digest of everything that its value depends on. This file does not know what the values mean. A
line that a killed process left half written is skipped. Several processes may share an AnswerCache. Only one may hold a
Ledger, whose lines are records of one dataclass.
"""

import fcntl
import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Generic, TypeVar

from raccoon.constants import InputError

Record = TypeVar("Record")


def digest(*values: object) -> str:
    """The key of JSON values. Equal values have the same key in any process."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


class AnswerCache:
    """The answers in a file. A line that a killed process left half written is skipped."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.values = read_values(self.path)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __getitem__(self, key: str) -> object:
        return self.values[key]

    def put(self, key: str, value: object) -> None:
        """Keeps a JSON value in memory and in the file; raises InputError if the file cannot be written."""
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
            raise InputError(f"{self.path} could not be written ({error.strerror}): free some space, and give the same "
                             "command again; it keeps the answers in the file") from error


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


class Ledger(Generic[Record]):
    """Records of one dataclass by key, in memory and on disk; a context manager that one process may hold.

    Raises InputError if the file cannot be written, is in use by another run, or has other records.
    """

    def __init__(self, path: Path, kind: type[Record]):
        self.path, self.kind = path, kind
        self.records: dict[str, Record] = {}

    def __enter__(self) -> "Ledger[Record]":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.path, "ab")
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{self.path} is in use by another run; wait for it, or give another OUTPUT") from None
        except OSError as error:
            raise InputError(f"cannot write {self.path} ({error.strerror}); give another OUTPUT") from None
        self.read()
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self) -> None:
        """Loads the complete lines, and cuts off a last line that is not complete."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].decode("utf-8", "replace").splitlines(), 1):
            key, record = self.parse(line, f"{self.path}, line {number}")
            self.records[key] = record
        if whole < len(data):
            self.file.truncate(whole)

    def parse(self, line: str, where: str) -> tuple[str, Record]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{where} is not a record of {self.kind.__name__}; move the file, or give another OUTPUT")
        key = row.pop("key", None)
        wanted = {field.name: field.type for field in fields(self.kind)}
        if not isinstance(key, str) or row.keys() != wanted.keys() or any(
                type(value) is not wanted[name] for name, value in row.items()):
            raise InputError(f"{where} is not a record of {self.kind.__name__}; move the file, or give another OUTPUT")
        return key, self.kind(**row)

    def put(self, key: str, record: Record) -> None:
        """Keeps a record, in memory and in the file."""
        self.records[key] = record
        try:
            self.file.write(json.dumps({"key": key, **asdict(record)}).encode() + b"\n")
            self.file.flush()
        except OSError as error:
            raise InputError(f"cannot write {self.path} ({error.strerror}); what it holds is kept: free some space, "
                             "and give the same command again") from None
