"""The sets of contest problems: APPS, TACO, CodeContests and LiveCodeBench, each row as a Task.

Most problems are programs that read stdin; some are functions or methods that are called with arguments. Solutions of
the training sets were written by people, and some are wrong, so a run on them leaves out tasks whose solution fails
(SKIP_FAILING_TASKS). LiveCodeBench publishes none, so gold cannot calibrate its tasks. Its problems have the date of
their contest, so that a model can be tested on problems that are newer than its training data. Nothing is run here.

A task's visible tests are its public cases; in APPS and TACO, which have none, the first cases that the problem's text
shows. A case that the task's test leaves out (capped) is not visible either.
"""

import base64
import io
import json
import pickle
import zlib
from collections.abc import Iterable
from typing import Any

from raccoon.constants import InputError
from raccoon.tasks.prompts import method_prompt, program_prompt
from raccoon.tasks.shown_examples import compact, shown_arguments, shown_blocks, shows_case
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import LeftOut, Task, as_text, capped, program_test, take, visible_cases

PYTHON3 = 3  # CodeContests' number for the language
MOST_SHOWN = 3  # visible cases of a problem of APPS and TACO
# The imports that the judges of APPS and TACO put before every program, without numpy, which few programs need and all
# would pay for.
CONTEXT = """\
import sys
import time
import itertools
from itertools import accumulate, product, permutations, combinations
import collections
from collections import Counter, OrderedDict, deque, defaultdict, ChainMap
from functools import lru_cache
import math
from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2
import fractions
from typing import *
import random
import heapq
from heapq import *
"""
CALLS = """\
from math import inf, nan


def _plain(value):
    if isinstance(value, dict):
        return {{key: _plain(item) for key, item in value.items()}}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _same(out, expected):
    return out == expected or (isinstance(expected, list) and len(expected) == 1 and out == expected[0])


for _arguments, _expected in eval({cases}):
    assert _same(_plain({call}(*_arguments)), _expected), {{"arguments": _arguments, "expected": _expected}}
"""  # the sets wrap some expected values into a list of one

# Of a task of LiveCodeBench; some have cases of many megabytes
LIVE_CASES, LIVE_CHARS = 100, 2_000_000
MAX_PRIVATE = 1 << 30  # bytes of one problem's private tests, unpacked
LIVE_MODULES = """string re datetime collections heapq bisect copy math random statistics itertools functools operator
io sys json builtins typing""".split()  # imported by the benchmark's own harness before every program
LIVE_CONTEXT = (
    "".join(f"from {name} import *\n" for name in LIVE_MODULES)
    + "".join(f"import {name}\n" for name in LIVE_MODULES[:-2])
    + "sys.setrecursionlimit(50000)\n"
)
LIVE_CALLS = """\
import json


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


for _arguments, _expected in json.loads({cases!r}):
    assert _plain(Solution().{name}(*_arguments)) == _expected, {{"arguments": _arguments, "expected": _expected}}
"""


def apps_task(row: dict) -> Task | LeftOut:
    """A row of APPS (Hendrycks et al. 2021). `file`, the name of its file, is its split."""
    number = row.get("problem_id", row.get("id"))
    if not isinstance(number, int):
        raise InputError(f"field 'problem_id' is {str(number)[:40]!r}")
    split = row.get("file", "train")
    return contest_task(row, f"APPS/{split}/{number}", "apps", split, "tokens")


def taco_task(row: dict) -> Task | LeftOut:
    """A row of TACO (Li et al. 2023). It has APPS's fields but no id, so its position in the split is the id."""
    split = row.get("file", "train").partition("-")[0]
    return contest_task(row, f"TACO/{split}/{take(row, 'row', int)}", "taco", split, "text")


def contest_task(row: dict, task_id: str, source: str, split: str, compare: str) -> Task | LeftOut:
    """The common part of APPS and TACO: JSON texts in `solutions` and `input_output`."""
    tests = parsed(row, "input_output", {})
    inputs, outputs, name = tests.get("inputs"), tests.get("outputs"), tests.get("fn_name")
    if not inputs or not outputs or len(inputs) != len(outputs):
        return LeftOut(task_id, "it has no pairs of input and output")
    inputs, outputs = capped(inputs, outputs)
    question, starter = take(row, "question").strip(), row.get("starter_code") or ""
    common = {
        "task_id": task_id,
        "solution": first_python(parsed(row, "solutions", [])),
        "source": source,
        "split": split,
        "difficulty": str(row.get("difficulty") or "").lower(),
        "date": str(row.get("date") or "")[:10],
        "context": CONTEXT,
    }
    checker = row.get("checker") or ""
    if row.get("special_judge") and (name or not checker):
        return LeftOut(task_id, "it needs a special judge and there is no checker")
    if not name:
        test = program_test(inputs, outputs, "checker" if checker else compare, checker)
        blocks = shown_blocks(question)
        shown = [case for case in zip(inputs, outputs, strict=True) if shows_case(blocks, *map(as_text, case))]
        visible_tests = visible_cases(shown[:MOST_SHOWN])
        return Task(prompt=program_prompt(question), kind="program", test=test, visible_tests=visible_tests, **common)
    in_class = "class Solution" in (starter or common["solution"])
    if not all(isinstance(arguments, list) for arguments in inputs) or not str(name).isidentifier():
        return LeftOut(task_id, "its test is no list of calls")
    cases = [(whole_keys(given, 1), whole_keys(wanted, 1)) for given, wanted in zip(inputs, outputs, strict=True)]
    examples = shown_arguments(question, name)
    shown = [case for case in cases if shows_call(examples, *case)][:MOST_SHOWN]
    call = f"Solution().{name}" if in_class else name
    test, visible_tests = (CALLS.format(cases=ascii(ascii(some)), call=call) if some else "" for some in (cases, shown))
    return Task(
        prompt=method_prompt(question, starter or f"def {name}(...):"),
        test=test,
        entry_point="Solution" if in_class else name,
        visible_tests=visible_tests,
        **common,
    )


def shows_call(examples: set[tuple[str, str]], arguments: list, expected: Any) -> bool:
    """Whether shown_arguments has a case. Some expected values are wrapped into a list of one."""
    given, results = ", ".join(map(repr, arguments)), [expected]
    if isinstance(expected, list) and len(expected) == 1:
        results += expected
    return any((compact(given), compact(repr(result))) in examples for result in results)


def whole_keys(value: Any, depth: int = 0) -> Any:
    """The value with int keys in its dicts where all keys are ints as text, which JSON makes of them.

    As the judges of APPS and TACO do: in a dict, or in the first item of a list.
    """
    if isinstance(value, dict):
        try:
            return {int(key): item for key, item in value.items()}
        except ValueError:
            return value
    return [whole_keys(value[0]), *value[1:]] if depth and isinstance(value, list) and value else value


def code_contests_task(row: dict) -> Task | LeftOut:
    """A row of CodeContests (Li et al. 2022): public tests, then private ones, then generated ones."""
    split = row.get("file", "train").partition("-")[0]
    task_id = f"CodeContests/{split}/{take(row, 'name')}"
    if row.get("input_file") or row.get("output_file"):
        return LeftOut(task_id, "it reads or writes a file")
    groups = [row.get(group) or {} for group in ("public_tests", "private_tests", "generated_tests")]
    inputs, outputs = ([text for group in groups for text in group.get(side) or []] for side in ("input", "output"))
    if not inputs:
        return LeftOut(task_id, "it has no tests")
    inputs, outputs = capped(inputs, outputs)
    public = [*zip(groups[0].get("input") or [], groups[0].get("output") or [], strict=False)]
    found = row.get("solutions") or {}
    solutions = zip(found.get("language") or [], found.get("solution") or [], strict=True)
    return Task(
        task_id=task_id,
        prompt=program_prompt(take(row, "description").strip()),
        test=program_test(inputs, outputs, "values"),
        visible_tests=visible_cases([case for case in zip(inputs, outputs, strict=True) if case in public]),
        solution=first_python([text for language, text in solutions if language == PYTHON3]),
        source="code_contests",
        split=split,
        difficulty=str(row.get("cf_rating") or ""),
        kind="program",
    )


def livecodebench_task(row: dict) -> Task:
    """A row of LiveCodeBench (Jain et al. 2024). Its file tells its release: test is release_v1, test2 release_v2."""
    public = json_field(row, "public_test_cases")
    tests = [*public, *private_tests(row)]
    if not tests or not all(isinstance(test, dict) and {"input", "output"} <= test.keys() for test in tests):
        raise InputError("its test cases are not a list of inputs and outputs")
    inputs, outputs = [test["input"] for test in tests], [test["output"] for test in tests]
    inputs, outputs = capped(inputs, outputs, LIVE_CASES, LIVE_CHARS)
    published = [(test["input"], test["output"]) for test in public]
    shown = [case for case in zip(inputs, outputs, strict=True) if case in published]
    name = json_field(row, "metadata").get("func_name") if row.get("metadata") else None
    common = {
        "task_id": f"LiveCodeBench/{take(row, 'question_id')}",
        "source": "livecodebench",
        "context": LIVE_CONTEXT,
        "split": f"release_v{row.get('file', 'test').removeprefix('test') or 1}",
        "difficulty": take(row, "difficulty").lower(),
        "date": str(take(row, "contest_date", object))[:10],
    }
    question = take(row, "question_content").strip()
    if not name:
        test = program_test(inputs, outputs, "numbers")
        visible_tests = visible_cases(shown)
        return Task(prompt=program_prompt(question), test=test, kind="program", visible_tests=visible_tests, **common)
    return Task(
        prompt=method_prompt(question, take(row, "starter_code")),
        entry_point="Solution",
        test=live_calls(name, zip(inputs, outputs, strict=True)),
        visible_tests=live_calls(name, shown) if shown else "",
        **common,
    )


def live_calls(name: str, cases: Iterable[tuple[str, str]]) -> str:
    """The test that calls a method with the JSON values of each case."""
    values = [[[json.loads(line) for line in given.split("\n")], json.loads(wanted)] for given, wanted in cases]
    return LIVE_CALLS.format(cases=json.dumps(values), name=name)


class TextUnpickler(pickle.Unpickler):
    """Unpickles plain values only, because a file may come from anywhere and a class in it could run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise InputError(f"its private tests load {module}.{name}; only plain values are allowed")


UNPICKLING = (pickle.UnpicklingError, EOFError, IndexError, KeyError, AttributeError)  # errors of a damaged pickle


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
    except (ValueError, TypeError, zlib.error, *UNPICKLING) as error:
        raise InputError(f"its private tests cannot be unpacked ({type(error).__name__})") from None
    if not isinstance(tests, list):
        raise InputError("its private tests are not a list")
    return tests


def parsed(row: dict, name: str, otherwise: Any) -> Any:
    """The JSON value in a field of text; `otherwise` if the field is empty, missing or of another type."""
    text = row.get(name)
    if isinstance(text, type(otherwise)):
        return text
    value = json_field(row, name) if text else otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def json_field(row: dict, name: str) -> Any:
    """The JSON value in a field of text. Raises InputError."""
    try:
        return json.loads(row[name])
    except (KeyError, ValueError, TypeError, RecursionError):
        raise InputError(f"field {name!r} is {str(row.get(name))[:40]!r}, which is not JSON") from None


def first_python(solutions: list) -> str:
    """The first solution that parses, since some are written in Python 2; "" if there is none."""
    return next((text for text in solutions if isinstance(text, str) and text.strip() and parse_code(text)), "")
