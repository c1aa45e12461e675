"""An append-only file of JSON lines: the logs, records and answers from which a stopped run goes on.

It does not know what the lines mean, and it replaces no file (whole_files.py does).

A killed process or a full disk can leave the last line half written. Readers skip it, and the next append cuts it off.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from raccoon.constants import InputError


class LineFile:
    """The lines of a file. If it is `shared`, several processes may append, and each append waits for the others."""

    def __init__(self, path: str | Path, shared: bool = False) -> None:
        self.path, self.shared = Path(path), shared

    def append(self, rows: Iterable[dict]) -> None:
        """Appends all rows in one write and passes them to the kernel, so that a kill leaves whole lines.

        Creates the folder. Raises OSError if the file cannot be written.
        """
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        with self.open() as file:
            if self.shared:
                fcntl.flock(file, fcntl.LOCK_EX)
            cut_half_line(file)
            while data:
                data = data[file.write(data) :]

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


def cut_half_line(file: BinaryIO) -> None:
    """Cuts off what follows the last line end."""
    if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def parse_json(text: str | bytes, where: str, kind: type = dict) -> Any:
    """The JSON value in a text. Raises InputError, which begins with `where`, if there is none of type `kind`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); correct or delete it") from error
    if not isinstance(value, kind):
        raise InputError(
            f"{where}: found a JSON {type(value).__name__}, expected a {kind.__name__}; correct or delete it"
        )
    return value
