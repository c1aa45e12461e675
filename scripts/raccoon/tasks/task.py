"""The task record that every script shares, and files of tasks: JSON lines, one Task a line, every line checked.

It runs no code and loads no model; only the standard library is imported.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

# Every script takes these from here too.
from raccoon.constants import (
    InputError,
)  # noqa: F401
from raccoon.tasks.cases import check_cases
from raccoon.whole_files import write_records


@dataclass(frozen=True)
class Task:
    """A programming problem and the program that grades it.

    `context` holds the trusted imports and helper functions that the prompt gives; it does not define the
    entry point. `test` raises when the solution is wrong and calls everything itself. `solution` is a
    complete program beside `context`. `origin` says what made a synthetic task, as JSON text.

    `kind` is "function", or "program" for one that reads stdin and prints: its `test` holds cases (cases.py). `date`
    (YYYY-MM-DD) is when the problem was published and `difficulty` what its set says of it; "" where neither is known.
    """

    task_id: str
    prompt: str
    test: str
    entry_point: str = ""
    context: str = ""
    solution: str = ""
    source: str = ""
    split: str = ""
    origin: str = ""
    kind: str = "function"
    difficulty: str = ""
    date: str = ""


KINDS = ("function", "program")
TASK_FIELDS = tuple(field.name for field in fields(Task))


def read_task_file(path: str | Path) -> list[Task]:
    """The tasks of a JSON lines file; raises InputError with file, line and remedy for a bad line."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no task file {path}: give the path of a JSON lines file of tasks")
    tasks, line_of = [], {}
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        task = parse_task(line, where, default_id=f"{path.stem}/{number}")
        if task.task_id in line_of:
            first = line_of[task.task_id]
            raise InputError(f"{where}: task_id {task.task_id!r} stands on line {first} already; rename one")
        line_of[task.task_id] = number
        tasks.append(task)
    if not tasks:
        raise InputError(f"{path} holds no task: give a file with one JSON object a line")
    return tasks


def parse_task(line: str, where: str, default_id: str) -> Task:
    """One line of a task file as a Task."""
    row = parse_object(line, where)
    for name, value in row.items():
        if name not in TASK_FIELDS:
            raise InputError(f"{where}: unknown field {name!r}; the fields are {', '.join(TASK_FIELDS)}")
        if not isinstance(value, str):
            raise InputError(f"{where}: field {name!r} is {type(value).__name__}; make it a string")
    for name in ("prompt", "test"):
        if not row.get(name, "").strip():
            raise InputError(f"{where}: no {name}; every task needs a non-empty prompt and test")
    if row.get("kind", "function") not in KINDS:
        raise InputError(f"{where}: no kind {row['kind']!r}; choose from {', '.join(KINDS)}")
    if row.get("kind") == "program":
        try:
            check_cases(row["test"])
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    return Task(**{**row, "task_id": row.get("task_id") or default_id})


def write_task_file(path: str | Path, tasks: Iterable[Task]) -> None:
    """Writes tasks as JSON lines; the file appears whole or not at all."""
    write_records(path, map(asdict, tasks))


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of each line of a plain or gzipped text file that is not blank."""
    opener = gzip.open if path.suffix == ".gz" else open
    check_form(path)
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): fetch the file again") from error


def check_form(path: Path) -> None:
    """Raises InputError for a file that its first bytes show to be UTF-16, or gzip under another name."""
    try:
        with open(path, "rb") as file:
            start = file.read(2)
    except OSError:
        return   # whoever reads it says so
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path} is UTF-16: save it as UTF-8")
    if start == b"\x1f\x8b" and path.suffix != ".gz":
        raise InputError(f"{path} is compressed with gzip: name it {path.name}.gz")


def parse_object(line: str, where: str) -> dict:
    """The JSON object on a line; raises InputError, which begins with `where`, if it is none."""
    return parse_json(line, where, dict)


def parse_json(text: str, where: str, kind: type):
    """The JSON value in a text; raises InputError where it is none or no `kind`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); write one JSON object a line") from error
    if not isinstance(value, kind):
        raise InputError(f"{where}: a JSON {type(value).__name__} instead of a {kind.__name__}")
    return value


def take(row: dict, name: str, kind: type | tuple[type, ...] = str):
    """A field of a published row; raises InputError where it is missing or of another type."""
    if name not in row:
        raise InputError(f"no field {name!r} (it has {', '.join(row)})")
    if not isinstance(row[name], kind) or kind is list and not row[name]:
        raise InputError(f"field {name!r} is {str(row[name])[:40]!r}")
    return row[name]
