"""The cases of tasks whose solution is a whole program: the text it reads on stdin and the text it must print.

They are the `test` of a Task of kind "program", as JSON text: {"inputs": [...], "outputs": [...], "compare": ...}.
`compare` is one of COMPARISONS; verdicts/stdin_cases.py says what each takes for equal. Nothing is run here.
"""

import json
from collections.abc import Sequence

from raccoon.constants import InputError

COMPARISONS = ("lines", "numbers", "text", "tokens", "values", "checker")
MAX_CASES = 20  # of a training task: every completion runs all of them
MAX_CASE_CHARS = 100_000  # of input and output together; a larger case is left out if the task has smaller ones


def program_test(inputs: Sequence, outputs: Sequence, compare: str = "lines", checker: str = "") -> str:
    """The test of a program task. Inputs and outputs are texts or lists of lines. Raises InputError for other values.

    `checker` is a trusted program that defines check(input, output, expected). Only `compare` "checker" takes one.
    """
    record = {
        "inputs": [as_text(each) for each in inputs],
        "outputs": [as_text(each) for each in outputs],
        "compare": compare,
    }
    text = json.dumps(record | ({"checker": checker} if checker else {}))
    check_cases(text)
    return text


def as_text(value) -> str:
    """A case as one text; some sets publish lists of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise InputError(f"a case is {str(value)[:40]!r}; it must be a text or a list of lines")
    return value


def check_cases(test: str) -> dict:
    """The record of a program task's test. Raises InputError with the fault if it is not one."""
    try:
        record = json.loads(test)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the test of a program task is not JSON ({error}); give inputs and outputs") from None
    if not isinstance(record, dict):
        raise InputError("the test of a program task is not a JSON object; give inputs and outputs")
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


def capped(inputs: Sequence, outputs: Sequence, most: int = MAX_CASES, chars: int = MAX_CASE_CHARS) -> tuple:
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
    return {
        json.dumps([given.split(), wanted.split()])
        for given, wanted in zip(record["inputs"], record["outputs"], strict=True)
    }
