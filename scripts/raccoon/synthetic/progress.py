"""What a run of create_synthetic_data.py has paid for already: answers and checks, kept through any stop.

A ledger is an append-only file of JSON lines, each with a key and one record. A line that a killed run left half
written is dropped when the ledger is opened; nothing else is ever removed.

Inputs and outputs: OUTPUT.answers.jsonl, OUTPUT.checks.jsonl.
"""

import fcntl
import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Generic, TypeVar

from raccoon.constants import InputError
from raccoon.tasks.task import parse_object

Record = TypeVar("Record")


@dataclass(frozen=True)
class StoredAnswer:
    """What a server said to one request, and when; `text` is "" where it said nothing."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    date: str   # YYYY-MM-DD


class Ledger(Generic[Record]):
    """Records of one dataclass by key, in memory and on disk; a context manager that one process may hold.

    Raises InputError where the file cannot be written, is held by another run or is of another schema.
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
            raise InputError(f"{self.path} is held by another run; wait for it, or give another OUTPUT") from None
        except OSError as error:
            raise InputError(f"cannot write {self.path} ({error.strerror}); give another OUTPUT") from None
        self.read()
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self) -> None:
        """Loads the whole lines, and cuts off the rest of one that is not whole."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].decode("utf-8", "replace").splitlines(), 1):
            key, record = self.parse(line, f"{self.path}, line {number}")
            self.records[key] = record
        if whole < len(data):
            self.file.truncate(whole)

    def parse(self, line: str, where: str) -> tuple[str, Record]:
        row = parse_object(line, where)
        key = row.pop("key", None)
        wanted = {field.name: field.type for field in fields(self.kind)}
        if not isinstance(key, str) or row.keys() != wanted.keys() or any(
                type(value) is not wanted[name] for name, value in row.items()):
            raise InputError(f"{where}: no record of {self.kind.__name__}; move the file away, or give another OUTPUT")
        return key, self.kind(**row)

    def put(self, key: str, record: Record) -> None:
        """Keeps a record; it survives the end of this process from here on."""
        self.records[key] = record
        try:
            self.file.write(json.dumps({"key": key, **asdict(record)}).encode() + b"\n")
            self.file.flush()
        except OSError as error:
            raise InputError(f"cannot write {self.path} ({error.strerror}); what it holds is kept: make room, and "
                             "give the same command again") from None


def digest(*values: object) -> str:
    """A key for plain values: equal ones have the same, in any process."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]
