"""The sets of contest problems: APPS, TACO and CodeContests, each row as a Task.

Most problems are programs that read stdin. Some of APPS and TACO are functions that are called with arguments. The
result is None for a row without tests, or with tests of another kind. Solutions were written by people, and some are
wrong, so a run on these sets leaves out tasks whose solution fails (SKIP_FAILING_TASKS). Nothing is run here.
"""

import json

from raccoon.constants import InputError
from raccoon.tasks.cases import capped, program_test
from raccoon.tasks.prompts import method_prompt, program_prompt
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import Task, take

PYTHON3 = 3  # CodeContests' number for the language
CALLS = """\
import json


def _same(out, expected):
    out = list(out) if isinstance(out, tuple) else out
    return out == expected or (isinstance(expected, list) and len(expected) == 1 and out == expected[0])


for _arguments, _expected in json.loads({cases!r}):
    assert _same({call}(*_arguments), _expected), {{"arguments": _arguments, "expected": _expected}}
"""  # the sets wrap some expected values into a list of one


def apps_task(row: dict) -> Task | None:
    """A row of APPS (Hendrycks et al. 2021). `file`, the name of its file, is its split."""
    number = row.get("problem_id", row.get("id"))
    if not isinstance(number, int):
        raise InputError(f"field 'problem_id' is {str(number)[:40]!r}")
    split = row.get("file", "train")
    return contest_task(row, f"APPS/{split}/{number}", "apps", split)


def taco_task(row: dict) -> Task | None:
    """A row of TACO (Li et al. 2023). It has APPS's fields but no id, so its position in the file is the id."""
    split = row.get("file", "train").partition("-")[0]
    return contest_task(row, f"TACO/{split}/{take(row, 'row', int)}", "taco", split)


def contest_task(row: dict, task_id: str, source: str, split: str) -> Task | None:
    """The common part of APPS and TACO: JSON texts in `solutions` and `input_output`."""
    tests = parsed(row, "input_output", {})
    inputs, outputs = tests.get("inputs"), tests.get("outputs")
    if not inputs or not outputs or len(inputs) != len(outputs):
        return None
    inputs, outputs = capped(inputs, outputs)
    question, starter = take(row, "question").strip(), row.get("starter_code") or ""
    common = {"task_id": task_id, "solution": first_python(parsed(row, "solutions", [])), "source": source,
              "split": split, "difficulty": str(row.get("difficulty") or "").lower(),
              "date": str(row.get("date") or "")[:10]}
    if not tests.get("fn_name"):
        return Task(prompt=program_prompt(question), test=program_test(inputs, outputs, "tokens"), kind="program",
                    **common)
    name, in_class = tests["fn_name"], "class Solution" in (starter or common["solution"])
    if not all(isinstance(arguments, list) for arguments in inputs) or not str(name).isidentifier():
        return None
    call = f"Solution().{name}" if in_class else name
    cases = json.dumps(list(zip(inputs, outputs, strict=True)))
    return Task(prompt=method_prompt(question, starter or f"def {name}(...):"),
                test=CALLS.format(cases=cases, call=call), entry_point="Solution" if in_class else name,
                context="from typing import *\n", **common)


def code_contests_task(row: dict) -> Task | None:
    """A row of CodeContests (Li et al. 2022): public tests, then private ones, then generated ones."""
    if row.get("input_file") or row.get("output_file"):  # it reads or writes a file of that name
        return None
    inputs, outputs = [], []
    for group in ("public_tests", "private_tests", "generated_tests"):
        tests = row.get(group) or {}
        inputs += tests.get("input") or []
        outputs += tests.get("output") or []
    if not inputs:
        return None
    found = row.get("solutions") or {}
    solutions = [text for language, text in zip(found.get("language") or [], found.get("solution") or [], strict=True)
                 if language == PYTHON3]
    inputs, outputs = capped(inputs, outputs)
    split = row.get("file", "train").partition("-")[0]
    return Task(
        task_id=f"CodeContests/{split}/{take(row, 'name')}",
        prompt=program_prompt(take(row, "description").strip()),
        test=program_test(inputs, outputs, "tokens"),
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
