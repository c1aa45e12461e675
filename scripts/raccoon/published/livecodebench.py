"""LiveCodeBench's code generation (Jain et al. 2024), each row as a Task: programs that read stdin, and methods.

Problems have the date of their contest, so that a model can be tested on problems that are newer than its training
data. The solutions are not published, so gold cannot calibrate these tasks. Nothing is run here.
"""

import base64
import io
import json
import pickle
import zlib

from raccoon.constants import InputError
from raccoon.tasks.cases import capped, program_test
from raccoon.tasks.prompts import method_prompt, program_prompt
from raccoon.tasks.task import Task, take

MOST_CASES, MOST_CHARS = 100, 2_000_000  # of a task; some have cases of many megabytes
MAX_PRIVATE = 1 << 30  # bytes of one problem's private tests, unpacked
MODULES = """string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys
json builtins typing""".split()  # imported by the benchmark's own harness before every program
CONTEXT = (
    "".join(f"from {name} import *\n" for name in MODULES)
    + "".join(f"import {name}\n" for name in MODULES[:-2])
    + "sys.setrecursionlimit(50000)\n"
)
CALLS = """\
import json


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


for _arguments, _expected in json.loads({cases!r}):
    assert _plain(Solution().{name}(*_arguments)) == _expected, {{"arguments": _arguments, "expected": _expected}}
"""


class TextUnpickler(pickle.Unpickler):
    """Unpickles plain values only, because a file may come from anywhere and a class in it could run code."""

    def find_class(self, module: str, name: str):
        raise InputError(f"its private tests load {module}.{name}; only plain values are allowed")


def livecodebench_task(row: dict) -> Task:
    """A row of LiveCodeBench; `file` is the name of its file, which tells its release."""
    tests = [*json_field(row, "public_test_cases"), *private_tests(row)]
    if not tests or not all(isinstance(test, dict) and {"input", "output"} <= test.keys() for test in tests):
        raise InputError("its test cases are not a list of inputs and outputs")
    inputs, outputs = [test["input"] for test in tests], [test["output"] for test in tests]
    inputs, outputs = capped(inputs, outputs, MOST_CASES, MOST_CHARS)
    name = json_field(row, "metadata").get("func_name") if row.get("metadata") else None
    common = {
        "task_id": f"LiveCodeBench/{take(row, 'question_id')}",
        "source": "livecodebench",
        "context": CONTEXT,
        "split": release(row.get("file", "test")),
        "difficulty": take(row, "difficulty").lower(),
        "date": str(take(row, "contest_date", object))[:10],
    }
    question = take(row, "question_content").strip()
    if not name:
        return Task(
            prompt=program_prompt(question), test=program_test(inputs, outputs, "numbers"), kind="program", **common
        )
    cases = [
        [[json.loads(line) for line in given.split("\n")], json.loads(wanted)]
        for given, wanted in zip(inputs, outputs, strict=True)
    ]
    return Task(
        prompt=method_prompt(question, take(row, "starter_code")),
        entry_point="Solution",
        test=CALLS.format(cases=json.dumps(cases), name=name),
        **common,
    )


def release(file: str) -> str:
    """The release of a file of problems: test is release_v1, test2 is release_v2 and so on."""
    return f"release_v{file.removeprefix('test') or 1}"


def json_field(row: dict, name: str):
    """The JSON value in a field of text."""
    try:
        return json.loads(row[name])
    except (KeyError, ValueError, TypeError, RecursionError):
        raise InputError(f"field {name!r} is {str(row.get(name))[:40]!r}, which is not JSON") from None


def private_tests(row: dict) -> list:
    """The private test cases: JSON, or in the lite version JSON that is pickled, compressed by zlib, in base 64."""
    text = row.get("private_test_cases") or "[]"
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), MAX_PRIVATE)
        if unpacker.unconsumed_tail:
            raise InputError(f"its private tests are larger than {MAX_PRIVATE:,} bytes")
        value = TextUnpickler(io.BytesIO(data)).load()
        tests = json.loads(value) if isinstance(value, str) else value
    except (
        ValueError,
        TypeError,
        zlib.error,
        pickle.UnpicklingError,
        EOFError,
        IndexError,
        KeyError,
        AttributeError,
    ) as error:
        raise InputError(f"its private tests cannot be unpacked ({type(error).__name__})") from None
    if not isinstance(tests, list):
        raise InputError("its private tests are not a list")
    return tests
