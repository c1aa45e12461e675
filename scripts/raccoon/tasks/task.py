"""The task record that every script uses, and task files: JSON lines, one Task on each line, every line checked.

It runs no code and loads no model; it needs only the standard library.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from raccoon.constants import InputError
from raccoon.store import parse_json
from raccoon.tasks.cases import check_cases
from raccoon.whole_files import write_records


@dataclass(frozen=True)
class Task:
    """A programming problem and the program that grades it.

    `context` holds the trusted imports and helper functions that the prompt gives. It does not define the entry point.
    `test` raises when the solution is wrong; it makes all calls itself. `solution` is a complete program when it
    follows `context`. `origin` says, as JSON text, what made a synthetic task.

    `kind` is "function" or "program". A program reads stdin and prints; its `test` holds cases (cases.py). `date`
    (YYYY-MM-DD) is when the problem was published, `difficulty` is what its set says; "" if unknown.
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


@dataclass(frozen=True)
class LeftOut:
    """A published row that cannot be a Task, and why."""

    task_id: str
    reason: str


KINDS = ("function", "program")
TASK_FIELDS = tuple(field.name for field in fields(Task))


def read_task_file(path: str | Path) -> list[Task]:
    """The tasks of a JSON lines file. Raises InputError with file, line and remedy for a bad line."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no task file {path}: give the path of a JSON lines file of tasks")
    tasks, line_of = [], {}
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        task = parse_task(line, where, default_id=f"{path.stem}/{number}")
        if task.task_id in line_of:
            first = line_of[task.task_id]
            raise InputError(f"{where}: task_id {task.task_id!r} is also on line {first}; rename one")
        line_of[task.task_id] = number
        tasks.append(task)
    if not tasks:
        raise InputError(f"{path} holds no task: give a file with one JSON object on each line")
    return tasks


def parse_task(line: str, where: str, default_id: str) -> Task:
    """The Task on one line of a task file."""
    row = parse_json(line, where)
    for name, value in row.items():
        if name not in TASK_FIELDS:
            raise InputError(f"{where}: unknown field {name!r}; the fields are {', '.join(TASK_FIELDS)}")
        if not isinstance(value, str):
            raise InputError(f"{where}: field {name!r} is {type(value).__name__}; make it a string")
    for name in ("prompt", "test"):
        if not row.get(name, "").strip():
            raise InputError(f"{where}: {name} is missing or empty; every task needs a prompt and a test")
    if row.get("kind", "function") not in KINDS:
        raise InputError(f"{where}: unknown kind {row['kind']!r}; choose from {', '.join(KINDS)}")
    if row.get("kind") == "program":
        try:
            check_cases(row["test"])
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    return Task(**{**row, "task_id": row.get("task_id") or default_id})


def write_task_file(path: str | Path, tasks: Iterable[Task]) -> None:
    """Writes tasks as JSON lines; the file appears whole, or not at all."""
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


def numbered_rows(path: Path) -> Iterator[tuple[str, dict]]:
    """("FILE, line N", JSON object) of each line that is not blank. Raises InputError for a line that holds none."""
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        yield where, parse_json(line, where)


def check_form(path: Path) -> None:
    """Raises InputError for a file whose first bytes show UTF-16, or gzip without the suffix .gz."""
    try:
        with open(path, "rb") as file:
            start = file.read(2)
    except OSError:
        return  # the reader reports it
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path} is UTF-16: save it as UTF-8")
    if start == b"\x1f\x8b" and path.suffix != ".gz":
        raise InputError(f"{path} is compressed with gzip: name it {path.name}.gz")


def take(row: dict, name: str, kind: type | tuple[type, ...] = str):
    """A field of a published row. Raises InputError if it is missing, empty or of another type."""
    if name not in row:
        raise InputError(f"field {name!r} is missing; the row has {', '.join(row)}")
    if not isinstance(row[name], kind) or kind is list and not row[name]:
        raise InputError(f"field {name!r} has an unexpected value: {str(row[name])[:40]!r}")
    return row[name]
