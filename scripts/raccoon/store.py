"""Files that a killed process or a full disk cannot spoil, and two stores from which a stopped run goes on.

A whole file is written whole or not at all: the earlier one stays as it was. A LineFile grows by JSON lines, and does
not know what they mean. Its last line may be half written: readers skip it, and the next append cuts it off. The lines
of AnswerCache and Ledger have a key, the digest of everything that their value depends on. Several processes may share
an AnswerCache. Only one may hold a Ledger, whose lines are records of one dataclass.
"""

import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

from raccoon.constants import DISK_FULL, InputError, RunError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to. It replaces `path` when the block ends without an error; its folder is created."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text in UTF-8."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """Writes one JSON object, indented for people."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_records(path: str | Path, records: Iterable[dict]) -> None:
    """Writes JSON lines."""
    with whole_file(path) as file:
        for record in records:
            file.write(json.dumps(record).encode() + b"\n")


def write_page(path: str | Path, content: bytes) -> None:
    """Writes the output of a command; raises unwritten() if that fails."""
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise unwritten(path, error, "or give a writable folder") from error


def unwritten(path: str | Path, error: OSError, remedy: str) -> InputError | RunError:
    """The error of a file that cannot be written: a RunError on a full disk, where nothing was wrong with the input."""
    kind = RunError if error.errno in DISK_FULL else InputError
    return kind(f"{path} could not be written ({error.strerror}): free some space, {remedy}")


class LineFile:
    """The lines of a file. If it is `shared`, several processes may append, and each append waits for the others."""

    def __init__(self, path: str | Path, shared: bool = False) -> None:
        self.path, self.shared = Path(path), shared

    def append(self, rows: Iterable[dict]) -> None:
        """Creates the folder and appends all rows in one write, so that a kill leaves whole lines. Raises OSError."""
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        with self.open() as file:
            if self.shared:
                fcntl.flock(file, fcntl.LOCK_EX)
            # Cut off what follows the last line end.
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
            while data:
                data = data[file.write(data) :]

    def save(self, row: dict) -> None:
        """Appends a row. Raises unwritten() if that fails."""
        try:
            self.append([row])
        except OSError as error:
            again = "and give the same command again; it keeps what is in the file"
            raise unwritten(self.path, error, again) from error

    def hold(self) -> BinaryIO:
        """Locks the file for this process until the result is closed. Raises BlockingIOError if another has done so."""
        file = self.open()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file

    def open(self) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return open(self.path, "ab+", buffering=0)

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """("FILE, line N", line) of each whole line; none if there is no file."""
        if not self.path.is_file():
            return
        with open(self.path, "rb") as file:
            if self.shared:
                fcntl.flock(file, fcntl.LOCK_SH)
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield f"{self.path}, line {number}", line

    def rows(self) -> Iterator[tuple[str, dict]]:
        """("FILE, line N", row) of each whole line. Raises InputError for one that is not a JSON object."""
        return ((where, parse_json(line, where)) for where, line in self.lines())


def parse_json(text: str | bytes, where: str, kind: type = dict) -> Any:
    """The JSON value in a text. Raises InputError, which begins with `where`, if there is none of type `kind`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); correct or delete it") from error
    if not isinstance(value, kind):
        raise InputError(f"{where}: found a JSON {type(value).__name__}, not a {kind.__name__}; correct or delete it")
    return value


def versions() -> dict[str, str]:
    """Python and the libraries that a result depends on: the same code and the same weights may end otherwise."""
    found = {"python": platform.python_version()}
    for name in ("torch", "transformers", "trl", "vllm", "numpy"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def digest(*values: object) -> str:
    """The key of JSON values. Equal values have the same key in any process."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


class AnswerCache:
    """JSON values by key, in memory and in a file."""

    def __init__(self, path: str | Path) -> None:
        self.file = LineFile(path, shared=True)
        self.values: dict[str, Any] = {}
        for _, line in self.file.lines():
            with suppress(ValueError, KeyError, TypeError):  # files from earlier versions have half lines in the middle
                row = json.loads(line)
                self.values[row["key"]] = row["value"]

    def put(self, key: str, value: object) -> None:
        """Keeps a value. Raises InputError if the file cannot be written."""
        self.values[key] = value
        self.file.save({"key": key, "value": value})


class Ledger(Generic[Record]):
    """Records of one dataclass by key, in memory and on disk. One process holds it; raises InputError if it cannot."""

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
        key, wanted = row.pop("key", None), {field.name: field.type for field in fields(self.kind)}
        if not isinstance(key, str) or {name: type(value) for name, value in row.items()} != wanted:
            raise InputError(f"{where} is not a record of {self.kind.__name__}; move the file, or give another OUTPUT")
        return key, self.kind(**row)

    def put(self, key: str, record: Record) -> None:
        """Keeps a record. Raises InputError if the file cannot be written."""
        self.records[key] = record
        self.file.save({"key": key, **asdict(record)})
