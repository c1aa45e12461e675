"""Writes files whole or not at all: if a process is killed or the disk is full, the earlier file stays as it was.

Not for files that grow line by line: store.py appends to those.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from raccoon.constants import InputError


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
    """Writes the output of a command; raises InputError if it cannot be written."""
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror}): free some space, or give a writable folder"
        ) from error
