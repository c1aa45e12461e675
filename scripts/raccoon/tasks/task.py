"""The task record that every script uses, the cases of tasks that are whole programs, and task files (JSON lines).

It runs no code and loads no model; it needs only the standard library.
"""

import ast
import builtins
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from raccoon.constants import InputError
from raccoon.store import parse_json, write_records
from raccoon.tasks.syntax import bound_names, missing_names, parse_code


@dataclass(frozen=True)
class Task:
    """A programming problem and the program that grades it.

    `context` holds the trusted imports and helper functions that the prompt gives. It does not define the entry point.
    `test` raises when the solution is wrong; it makes all calls itself. `solution` is a complete program when it
    follows `context`. `origin` says, as JSON text, what made a synthetic task.

    `visible_tests` are the tests that the model may see when it tries again, in the form of `test`; "": none.

    `kind` is "function" or "program". A program reads stdin and prints; its `test` holds its cases, the texts of stdin
    and those to print, as JSON text: {"inputs": [...], "outputs": [...], "compare": ...}. `compare` is one of
    COMPARISONS; verdicts/stdin_cases.py says what each takes for equal. `date` (YYYY-MM-DD) is when the problem was
    published, `difficulty` is what its set says; "" if unknown.
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
    visible_tests: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A published row that cannot be a Task, and why."""

    task_id: str
    reason: str


KINDS = ("function", "program")
SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can write half a character, which no tokenizer takes
TASK_FIELDS = tuple(field.name for field in fields(Task))
COMPARISONS = ("lines", "numbers", "text", "tokens", "values", "checker")
SHOWN_FAULTS = 20  # bad lines of a task file that are named
MAX_CASES = 20  # of a training task: every completion runs all of them
MAX_CASE_CHARS = 100_000  # of input and output together; a larger case is left out if the task has smaller ones


@contextmanager
def given_in(constant: str) -> Iterator[None]:
    """Begins the InputErrors of its block with the constant that gave the input."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{constant}: {error}") from error


def read_task_file(path: str | Path) -> list[Task]:
    """The tasks of a JSON lines file. Raises InputError with file, line, id and remedy of the bad lines."""
    path = Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"no task file {path} (it {found}): give the path of a JSON lines file of tasks")
    tasks: list[Task] = []
    line_of: dict[str, int] = {}
    faults: list[str] = []
    for number, line in numbered_lines(path):
        try:
            row = parse_json(line, where := f"{path}, line {number}")
            where += f" ({row['task_id']})" if isinstance(row.get("task_id"), str) else ""
            task = parse_task(row, where, default_id=f"{path.stem}/{number}")
            if before := line_of.get(task.task_id):
                raise InputError(f"{where}: task_id {task.task_id!r} is also on line {before}; rename one")
        except InputError as error:
            faults.append(str(error))
            continue
        line_of[task.task_id] = number
        tasks.append(task)
    if faults:
        more = len(faults) - SHOWN_FAULTS
        raise InputError("; ".join(faults[:SHOWN_FAULTS]) + (f"; and {more} more bad lines" if more > 0 else ""))
    if not tasks:
        raise InputError(f"{path} holds no task: give a file with one JSON object on each line")
    return tasks


def parse_task(row: dict, where: str, default_id: str) -> Task:
    """The Task of a line of a task file."""
    for name, value in row.items():
        if name not in TASK_FIELDS:
            raise InputError(f"{where}: unknown field {name!r}; the fields are {', '.join(TASK_FIELDS)}")
        if not isinstance(value, str):
            raise InputError(f"{where}: field {name!r} is {type(value).__name__}; make it a string")
    for name in ("prompt", "test"):
        if not row.get(name, "").strip():
            raise InputError(f"{where}: {name} is missing or empty; every task needs a prompt and a test")
    if SURROGATE.search(row["prompt"]):
        raise InputError(f"{where}: the prompt has half a character, like \\ud83d alone; write the whole one")
    if row.get("kind", "function") not in KINDS:
        raise InputError(f"{where}: unknown kind {row['kind']!r}; choose from {', '.join(KINDS)}")
    if row.get("kind") == "program":
        try:
            check_cases(row["test"])
            read_visible_cases(row.get("visible_tests", ""))
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    return Task(**{**row, "task_id": row.get("task_id") or default_id})


def write_task_file(path: str | Path, tasks: Iterable[Task]) -> None:
    """Writes tasks as JSON lines; the file appears whole, or not at all."""
    write_records(path, map(task_record, tasks))


def task_record(task: Task) -> dict[str, str]:
    """The fields of a task. Without visible tests it is what it was before tasks had any, and so are its digests."""
    return {name: text for name, text in asdict(task).items() if text or name != "visible_tests"}


def numbered_rows(path: Path) -> Iterator[tuple[int, str, dict]]:
    """(number, "FILE, line N", JSON object) of each line of a file that is not blank. Raises InputError."""
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        yield number, where, parse_json(line, where)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of each line of a plain or gzipped text file that is not blank. Raises InputError."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with open(path, "rb") as start:
            first = start.read(2)
        if first in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f"{path} is UTF-16: save it as UTF-8")
        if first == b"\x1f\x8b" and path.suffix != ".gz":
            raise InputError(f"{path} is compressed with gzip: name it {path.name}.gz")
        with opener(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): fetch the file again") from error


def take(row: dict, name: str, kind: type | tuple[type, ...] = str):
    """A field of a published row. Raises InputError if it is missing, empty or of another type."""
    if name not in row:
        raise InputError(f"field {name!r} is missing; the row has {', '.join(row)}")
    if not isinstance(row[name], kind) or kind is list and not row[name]:
        raise InputError(f"field {name!r} has an unexpected value: {str(row[name])[:40]!r}")
    return row[name]


def program_test(inputs: Sequence, outputs: Sequence, compare: str = "lines", checker: str = "") -> str:
    """The test of a task of kind "program". Inputs and outputs are texts or lists of lines; InputError for others.

    `checker` is a trusted program that defines check(input, output, expected). Only `compare` "checker" takes one.
    """
    record = {"inputs": [*map(as_text, inputs)], "outputs": [*map(as_text, outputs)], "compare": compare}
    text = json.dumps(record | ({"checker": checker} if checker else {}))
    check_cases(text)
    return text


def visible_cases(cases: Sequence[tuple]) -> str:
    """The visible tests of a task of kind "program": cases of its test, each an input and an output; "" for none."""
    inputs, outputs = ([as_text(case[place]) for case in cases] for place in (0, 1))
    return json.dumps({"inputs": inputs, "outputs": outputs}) if cases else ""


def read_visible_cases(visible_tests: str) -> list[tuple[str, str]]:
    """(input, output) of each visible case. Raises InputError if the text is not of visible_cases()."""
    if not visible_tests:
        return []
    record = parse_json(visible_tests, "visible_tests")
    if record.keys() != {"inputs", "outputs"}:
        raise InputError(f"visible_tests has {', '.join(record)}; give inputs and outputs, which are among the test's")
    try:
        check_cases(visible_tests)
    except InputError as error:
        raise InputError(f"visible_tests: {error}") from None
    return [*zip(record["inputs"], record["outputs"], strict=True)]


def as_text(value) -> str:
    """A case as one text; some sets publish lists of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise InputError(f"a case is {str(value)[:40]!r}; it must be a text or a list of lines")
    return value


def check_cases(test: str) -> dict:
    """The record of a program task's test. Raises InputError with the fault if it is not one."""
    record = parse_json(test, "the test of a program task")
    for name in ("inputs", "outputs"):
        texts = record.get(name)
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise InputError(f"the test of a program task has no list of texts {name!r}; give one text for each case")
    if len(record["inputs"]) != len(record["outputs"]):
        raise InputError(f"{len(record['inputs'])} inputs but {len(record['outputs'])} outputs; give one for each")
    if record.get("compare", "lines") not in COMPARISONS:
        raise InputError(f"unknown comparison {record['compare']!r}; choose from {', '.join(COMPARISONS)}")
    if (record.get("compare") == "checker") != bool(record.get("checker")):
        raise InputError('give "compare": "checker" together with a "checker" program, or give neither')
    return record


def capped(
    inputs: Sequence, outputs: Sequence, most: int = MAX_CASES, chars: int = MAX_CASE_CHARS
) -> tuple[list, list]:
    """(inputs, outputs) of at most `most` cases, evenly spread over those that are not too large.

    The choice is always the same. If all cases are too large, the smallest is the only one. Raises InputError if the
    numbers of inputs and outputs differ.
    """
    if len(inputs) != len(outputs):
        raise InputError(f"{len(inputs)} inputs but {len(outputs)} outputs; give one for each")
    sizes = [len(str(given)) + len(str(wanted)) for given, wanted in zip(inputs, outputs, strict=True)]
    fitting = [place for place, size in enumerate(sizes) if size <= chars]
    if not fitting and sizes:
        fitting = [sizes.index(min(sizes))]
    if len(fitting) > most:
        fitting = [fitting[place * len(fitting) // most] for place in range(most)]
    return [inputs[place] for place in fitting], [outputs[place] for place in fitting]


def case_texts(test: str) -> set[str]:
    """Each case of a program task as one text, to find cases that two tasks share; empty for any other test."""
    try:
        record = check_cases(test)
    except InputError:
        return set()
    cases = zip(record["inputs"], record["outputs"], strict=True)
    return {json.dumps([given.split(), wanted.split()]) for given, wanted in cases}


def stub_program(task: Task, value: str = "None") -> str:
    """A program whose answer is always this literal, None for none; a class if the test calls methods.

    Without an entry point it is one function for each name that the test calls and nothing defines. No test may accept
    the one without an answer.
    """
    if task.kind == "program":
        return 'print(end="")\n' if value == "None" else f"print({value})\n"
    if f"{task.entry_point}()." in task.test:
        return f"class {task.entry_point}:\n    def __getattr__(self, name):\n        return lambda *a, **k: {value}\n"
    names = [task.entry_point] if task.entry_point else called_names(task.test, task.context)
    return "".join(f"def {name}(*args, **kwargs):\n    return {value}\n" for name in names) or "None\n"


def called_names(test: str, context: str) -> list[str]:
    """The names that a test calls and that neither it nor the context nor Python defines, ascending."""
    tree, above = parse_code(test), parse_code(context)
    if not tree:
        return []
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return sorted(called & missing_names(tree) - (bound_names(above) if above else set()) - set(dir(builtins)))
