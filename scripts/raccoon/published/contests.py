"""The sets of contest problems: APPS, TACO and CodeContests, each row as a Task.

Most problems are programs that read stdin. Some of APPS and TACO are functions that are called with arguments.
Solutions were written by people, and some are wrong, so a run on these sets leaves out tasks whose solution fails
(SKIP_FAILING_TASKS). Nothing is run here.
"""

import json

from raccoon.constants import InputError
from raccoon.tasks.cases import capped, program_test
from raccoon.tasks.prompts import method_prompt, program_prompt
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import LeftOut, Task, take

PYTHON3 = 3  # CodeContests' number for the language
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
    inputs, outputs = tests.get("inputs"), tests.get("outputs")
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
    if row.get("special_judge") and (tests.get("fn_name") or not checker):
        return LeftOut(task_id, "it needs a special judge and there is no checker")
    if not tests.get("fn_name"):
        return Task(
            prompt=program_prompt(question),
            kind="program",
            test=program_test(inputs, outputs, "checker" if checker else compare, checker),
            **common,
        )
    name, in_class = tests["fn_name"], "class Solution" in (starter or common["solution"])
    if not all(isinstance(arguments, list) for arguments in inputs) or not str(name).isidentifier():
        return LeftOut(task_id, "its test is no list of calls")
    call = f"Solution().{name}" if in_class else name
    cases = [
        (whole_keys(arguments, 1), whole_keys(expected, 1)) for arguments, expected in zip(inputs, outputs, strict=True)
    ]
    return Task(
        prompt=method_prompt(question, starter or f"def {name}(...):"),
        test=CALLS.format(cases=ascii(ascii(cases)), call=call),
        entry_point="Solution" if in_class else name,
        **common,
    )


def whole_keys(value, depth: int = 0):
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
    inputs, outputs = [], []
    for group in ("public_tests", "private_tests", "generated_tests"):
        tests = row.get(group) or {}
        inputs += tests.get("input") or []
        outputs += tests.get("output") or []
    if not inputs:
        return LeftOut(task_id, "it has no tests")
    found = row.get("solutions") or {}
    solutions = [
        text
        for language, text in zip(found.get("language") or [], found.get("solution") or [], strict=True)
        if language == PYTHON3
    ]
    inputs, outputs = capped(inputs, outputs)
    return Task(
        task_id=task_id,
        prompt=program_prompt(take(row, "description").strip()),
        test=program_test(inputs, outputs, "values"),
        solution=first_python(solutions),
        source="code_contests",
        split=split,
        difficulty=str(row.get("cf_rating") or ""),
        kind="program",
    )


def parsed(row: dict, name: str, otherwise):
    """The JSON value in a field of text; `otherwise` if the field is empty or missing."""
    text = row.get(name)
    if isinstance(text, type(otherwise)):
        return text
    if not text:
        return otherwise
    try:
        value = json.loads(text)
    except (ValueError, RecursionError, TypeError) as error:
        raise InputError(f"field {name!r} is not JSON ({str(error)[:80]})") from None
    return value if isinstance(value, type(otherwise)) else otherwise


def first_python(solutions: list) -> str:
    """The first solution that parses, since some are written in Python 2; "" if there is none."""
    return next((text for text in solutions if isinstance(text, str) and text.strip() and parse_code(text)), "")
