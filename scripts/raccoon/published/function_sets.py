"""The sets of functions: HumanEval, MBPP, EvalPlus's versions of both, BigCodeBench, CRUXEval, LeetCodeDataset.

A row of each becomes a Task. EvalPlus (Liu et al. 2023) publishes inputs and a reference solution but no expected
outputs. So its test program contains the reference, which computes them. The reference is trusted and never runs in one
process with a model's code. Nothing is run here.

A task's visible tests are what its prompt shows: MBPP's first assert, the examples in HumanEval's docstrings and those
of LeetCode's problems. BigCodeBench has none, because most of its examples name files that do not exist; CRUXEval has
none, because its only test contains the answer.
"""

import ast
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from raccoon.constants import InputError
from raccoon.tasks.prompts import PREDICT, completion_prompt, description_prompt
from raccoon.tasks.shown_examples import compact, shown_asserts, shown_cases
from raccoon.tasks.syntax import bound_names, text_above
from raccoon.tasks.task import Task, take

META_DIFFICULTY = re.compile(r"\{'question_id': \d+, 'difficulty': '(\w+)'")  # of LeetCodeDataset's older files
ENTRY_POINT = re.compile(r"(\w+)\(\)\.\w+")  # of LeetCodeDataset: Solution().twoSum
# An assert of LeetCodeDataset by compact(), without the calls that make lists and trees of nodes
ASSERTS = ["assertcandidate({})=={}"]
ASSERTS += [f"assertis_same_{each}(candidate({{}}),{{}})" for each in ("list", "tree")]
NODES = re.compile(r"\b(?:list|tree)_node\(([^()]*)\)")
SPACED = 100  # characters of blanks and such calls in an assert
STARTER = re.compile(r"```python\n(.*?)```", re.DOTALL)
OPTIONAL_IMPORT = re.compile(r"^from sortedcontainers import SortedList$", re.MULTILINE)
WITHOUT_IT = """try:
    from sortedcontainers import SortedList
except ImportError:
    pass"""

SAME_SET = "isinstance(out, Iterable) and set(out) == set(expected)"
IS_FOUND = "(out if isinstance(out, bool) else out is not None) == (expected is not None)"
# Tasks that need another rule than equality, as in EvalPlus's evaluator: any root is right, the order is free, a match
# object counts as true, or the text of the task has a second meaning (two tasks).
RULES = {
    **dict.fromkeys(
        ("Mbpp/2", "Mbpp/7", "Mbpp/111", "Mbpp/140", "Mbpp/232", "Mbpp/249", "Mbpp/579", "Mbpp/769"), SAME_SET
    ),
    **dict.fromkeys(("Mbpp/737", "Mbpp/787", "Mbpp/794"), IS_FOUND),
    "Mbpp/558": "out in (expected, sum(abs(int(a) - int(b)) for a, b in zip("
    "*(str(n).zfill(max(len(str(m)) for m in args)) for n in args))))",
    "Mbpp/581": "out in (expected, round(args[0] ** 2 + 2 * args[0] * math.hypot(args[0] / 2, args[1])))",
}
# Examples of HumanEval's docstrings that contradict its own solutions and tests; a test finds them again.
WRONG_EXAMPLES = {
    "assert median([-10, 4, 6, 1000, 10, 20]) == 15.0",
    "assert sort_array([1, 5, 2, 3, 4]) == [1, 2, 3, 4, 5]",
    "assert sort_array([-2, -3, -4, -5, -6]) == [-6, -5, -4, -3, -2]",
    "assert tri(1) == 3",
    "assert tri(4) == 3",
    'assert bf("Earth", "Mercury") == "Venus"',
}
ROOT = "HumanEval/32"  # only the value of the polynomial at the answer counts

# As in evalplus/eval/__init__.py of version 0.3.1: what is not equal may be close, by numpy.allclose with the row's
# atol and a relative 1e-7. Without an atol, that begins with the first expected value of floats.
PROGRAM = """\
import copy
import math
from collections.abc import Iterable
from math import inf, nan

_oracle = {{}}
exec({reference}, _oracle)


def _floats(value):
    items = value if isinstance(value, (list, tuple)) else [value]
    return bool(items) and all(isinstance(item, float) for item in items)


def _shape(value):
    if not isinstance(value, (list, tuple)):
        return ()
    shapes = set(map(_shape, value))
    return (len(value), *shapes.pop()) if len(shapes) == 1 else (object(),) if value else (0,)


def _close(out, expected):
    if isinstance(expected, (list, tuple)):
        return all(map(_close, out, expected))
    if not (isinstance(out, (int, float, complex)) and isinstance(expected, (int, float, complex))):
        return False
    return out == expected or abs(expected) < inf and abs(out - expected) <= _atol + 1e-7 * abs(expected)


def _equal(same, out, expected):
    global _atol
    if _atol == 0 and _floats(expected):
        _atol = 1e-6
    if same or _atol == 0 or type(out) is not type(expected):
        return same
    return _shape(out) == _shape(expected) and _close(out, expected)


def _agrees(out, expected, *args):
    return {rule}


# As one string: a syntax tree of a thousand inputs takes longer to build than the inputs to run.
for _group in eval({inputs}):
    _atol = {atol}
    for _arguments in _group:
        _expected = _oracle[{entry_point!r}](*copy.deepcopy(_arguments))
        assert _agrees(_out := {entry_point}(*copy.deepcopy(_arguments)), _expected, *_arguments), {{
            "got": _out, "expected": _expected}}
"""


def humaneval_task(row: dict) -> Task:
    """A row of HumanEval (Chen et al. 2021). Its test only defines check(), so this adds the call."""
    prompt, entry_point = take(row, "prompt"), take(row, "entry_point")
    return Task(
        task_id=take(row, "task_id"),
        prompt=completion_prompt(prompt),
        test=f"{take(row, 'test')}\ncheck({entry_point})\n",
        entry_point=entry_point,
        context=text_above(prompt, entry_point),
        solution=prompt + take(row, "canonical_solution"),
        source="humaneval",
        split="test",
        visible_tests=docstring_tests(prompt, entry_point),
    )


def docstring_tests(stub: str, entry_point: str) -> str:
    """The examples in the docstring of a stub's function, without those of WRONG_EXAMPLES."""
    body = stub[stub.rindex(f"def {entry_point}(") :].partition("\n")[2]
    return "".join(f"{each}\n" for each in shown_asserts(body, entry_point) if each not in WRONG_EXAMPLES)


def mbpp_task(row: dict) -> Task:
    """A row of sanitized or full MBPP (Austin et al. 2021); the name of the text's field tells which.

    The setup code of full MBPP creates objects of the solution's classes, so it runs after the solution.
    """
    text = take(row, "text" if "text" in row else "prompt")
    code, number = take(row, "code"), take(row, "task_id", int)
    tests = take(row, "test_list", list)
    setup = [take(row, "test_setup_code")] if "text" in row else take(row, "test_imports", (list, tuple))
    entry_point = entry_point_of(tests[0], code)
    test, visible_tests = (
        "\n".join([*setup, *some]).replace("\r\n", "\n").strip() + "\n" for some in (tests, tests[:1])
    )
    return Task(
        task_id=f"Mbpp/{number}",
        prompt=description_prompt(text, entry_point, tests[0]),
        test=test,
        entry_point=entry_point,
        solution=code,
        source="mbpp_full" if "text" in row else "mbpp",
        split=mbpp_split(number),
        visible_tests=visible_tests,
    )


def mbpp_split(number: int) -> str:
    """The split of an MBPP task. Its number decides it."""
    lasts = (("prompt", 10), ("test", 510), ("validation", 600))
    return next((split for split, last in lasts if number <= last), "train")


def entry_point_of(test: str, solution: str) -> str:
    """The function that an assert tests: the first called name that the solution defines.

    A pattern on the text fails if the call is inside set(...) or math.isclose(...). A list of builtins fails if the
    function is called sum.
    """
    try:
        program, reference = ast.parse(test), ast.parse(solution)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"its code or first test is not Python: {error}") from None
    defined = bound_names(reference)
    for node in ast.walk(program):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            return node.func.id
    raise InputError(f"its first test does not call a function of its code: {test[:80]!r}")


def humanevalplus_task(row: dict) -> Task:
    """A row of HumanEval+ (Liu et al. 2023): the published file has inputs, the hub has a complete test."""
    task = replace(humaneval_task(row), source="humanevalplus")
    return replace(task, test=row_plus_test(row, task.solution)) if "base_input" in row else task


def mbppplus_task(row: dict) -> Task:
    """A row of MBPP+ (Liu et al. 2023): the published file has inputs, the hub has a complete test."""
    if "base_input" not in row:
        return replace(mbpp_task(row), test=take(row, "test"), source="mbppplus")
    task_id, entry_point = take(row, "task_id"), take(row, "entry_point")
    solution = take(row, "canonical_solution")
    text, _, example = take(row, "prompt").strip('"\n').partition("\nassert ")
    return Task(
        task_id=task_id,
        prompt=description_prompt(text, entry_point, f"assert {example}"),
        test=row_plus_test(row, solution),
        entry_point=entry_point,
        solution=solution,
        source="mbppplus",
        split=mbpp_split(int(task_id.removeprefix("Mbpp/"))),
        visible_tests=plus_example(take(row, "prompt")),
    )


def plus_example(prompt: str) -> str:
    """The test that a prompt of MBPP+ shows, with the import that it needs."""
    example = prompt.rstrip().removesuffix('"""').partition("\nassert ")[2].strip()
    return f"{'import math' if 'math.' in example else ''}\nassert {example}\n".lstrip()


def row_plus_test(row: dict, reference: str) -> str:
    """The test program of an EvalPlus row. A row without additional inputs has {} as `plus_input`."""
    task_id, entry_point, atol = take(row, "task_id"), take(row, "entry_point"), take(row, "atol", (int, float))
    groups = [take(row, "base_input", list), list(take(row, "plus_input", (list, dict)))]
    return plus_test(task_id, entry_point, reference, [typed_inputs(task_id, group) for group in groups], atol)


def bigcodebench_task(row: dict) -> Task:
    """A row of BigCodeBench (Zhuo et al. 2024), with its complete prompt. Its test only defines a TestCase."""
    stub, entry_point = take(row, "code_prompt"), take(row, "entry_point")
    return Task(
        task_id=take(row, "task_id"),
        prompt=completion_prompt(take(row, "complete_prompt")),
        test=take(row, "test"),
        entry_point=entry_point,
        context=text_above(stub, entry_point),
        solution=stub + take(row, "canonical_solution"),
        source="bigcodebench",
        split="test",
    )


def bigcodebench_instruct_task(row: dict) -> Task:
    """A row of BigCodeBench with the prompt that describes the function in words."""
    prompt = f"{take(row, 'instruct_prompt').strip()}\n\nAnswer with the whole program in one ```python block.\n"
    return replace(bigcodebench_task(row), source="bigcodebench_instruct", prompt=prompt)


def cruxeval_task(row: dict) -> Task:
    """A row of CRUXEval (Gu et al. 2024), output prediction: `predict` returns what `f` would return.

    Only the test contains `f`, and only a literal completes the stub (see literal_answer). So the answer cannot call
    the program whose result it must predict.
    """
    code, call = take(row, "code"), f"f({take(row, 'input')})"
    return Task(
        task_id=f"CRUXEval/{take(row, 'id').removeprefix('sample_')}",
        prompt=f"What does `{call}` return, given this program?\n\n```python\n{code}\n```\n\n"
        "Work it out without running it. Answer with this function in one ```python block, the value "
        f"written as a literal in place of the dots:\n\n```python\n{PREDICT}...\n```\n",
        test=f"{code}\n\nassert {call} == predict()\n",
        entry_point="predict",
        solution=PREDICT + take(row, "output") + "\n",
        source="cruxeval",
        split="test",
    )


def leetcode_task(row: dict) -> Task:
    """A row of LeetCodeDataset's test file (Xia et al. 2025). The class is the entry point; the test calls its method.

    The context defines ListNode, TreeNode and their helpers, as the published prompt does. It imports SortedList if
    that is installed, as LeetCode does. Most tasks whose prompt imports it do not need it.
    """
    name, call = take(row, "task_id"), take(row, "entry_point")
    entry_point = ENTRY_POINT.fullmatch(call)
    if not entry_point:
        raise InputError(f"field 'entry_point' is {call[:40]!r}; it must be Class().method")
    prompt, checks = leetcode_prompt(take(row, "query")), take(row, "test").strip()
    return Task(
        task_id=f"LeetCode/{name}",
        prompt=prompt,
        test=f"{checks}\n\n\ncheck({call})\n",
        entry_point=entry_point[1],
        context=OPTIONAL_IMPORT.sub(WITHOUT_IT, take(row, "prompt")),
        solution=take(row, "completion"),
        source="leetcode",
        split="test",
        difficulty=leetcode_difficulty(row),
        visible_tests=shown_checks(checks, call, shown_cases(prompt)),
    )


def shown_checks(checks: str, call: str, shown: set[tuple[str, str]]) -> str:
    """The asserts of check(candidate) that a problem shows as examples, each once, with `call` as the candidate."""
    forms = {form.format(given, wanted) for given, wanted in shown for form in ASSERTS}
    longest = 2 * max(map(len, forms), default=0) + SPACED
    lines = dict.fromkeys(line.strip() for line in checks.split("\n") if len(line) <= longest)  # others have megabytes
    found = [line for line in lines if NODES.sub(r"\1", compact(line)) in forms]
    return "".join(line.replace("candidate(", f"{call}(", 1) + "\n" for line in found)


def leetcode_difficulty(row: dict) -> str:
    """easy, medium or hard; "" if the row does not say. The older files have it in a text, after a number."""
    older = META_DIFFICULTY.match(str(row.get("meta", "")))
    return str(row.get("difficulty") or (older[1] if older else "")).lower()


def leetcode_train_task(row: dict) -> Task:
    """A row of the training file."""
    return replace(leetcode_task(row), source="leetcode_train", split="train")


def leetcode_prompt(query: str) -> str:
    """The problem and its starter code, without the published instructions about the answer's format."""
    starters = STARTER.findall(query)
    if not starters:
        raise InputError("field 'query' shows no starter code")
    problem = query.rpartition("```python\n")[0]
    problem = re.sub(r"\A.*?### Question:\n", "", problem, flags=re.DOTALL)
    problem = re.split(r"### Format:|Please complete the following python code", problem)[0]
    return (
        f"{problem.strip()}\n\nComplete this class; the names of `typing`, `collections` and their like are "
        "imported. Answer with the whole program in one ```python block.\n\n"
        f"```python\n{starters[-1].rstrip()}\n```\n"
    )


def plus_test(task_id: str, entry_point: str, reference: str, groups: list[list[list]], atol: float) -> str:
    """A program that raises if a solution and the reference disagree on one of the inputs.

    `reference` is a complete program, `atol` the row's absolute tolerance. `groups` are lists of inputs that EvalPlus
    judges one after the other; `task_id` chooses among RULES.
    """
    rule = f"_equal({RULES.get(task_id, 'out == expected')}, out, expected)"
    if task_id == ROOT:
        rule = "abs(_oracle['poly'](*args, out)) <= _atol"
    texts = {"reference": ascii(reference), "inputs": ascii(ascii(groups))}
    return PROGRAM.format(entry_point=entry_point, atol=atol, rule=rule, **texts)


def plain(value: Any) -> Any:
    return value


def items(value: list) -> list[tuple]:
    return [tuple(item) for item in value]


def deep(value: Any) -> Any:
    return tuple(map(deep, value)) if isinstance(value, list) else value


# The types that JSON cannot express, by the number of a task in MBPP+: one function for each argument, the last one
# also for all that follow. From mbpp_deserialize_inputs in evalplus/data/mbpp.py of version 0.3.1.
TYPES: dict[int, tuple[Callable, ...]] = {
    **dict.fromkeys(
        (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809),
        (tuple,),
    ),
    **dict.fromkeys((63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780), (items,)),
    **dict.fromkeys((75, 413, 444, 753), (items, plain)),
    **dict.fromkeys((106, 750), (plain, tuple)),
    **dict.fromkeys((250, 307, 405, 446, 617, 720, 763, 808), (tuple, plain)),
    **dict.fromkeys((259, 401, 445), (lambda value: tuple(items(value)),)),
    **dict.fromkeys((580, 615, 791), (deep,)),
    115: (lambda value: [set(item) if isinstance(item, list) and item else {} for item in value],),
    124: (float, complex),
    252: (complex,),
    278: (lambda value: tuple(tuple(item) if isinstance(item, list) else item for item in value),),
    722: (lambda value: {key: tuple(item) for key, item in value.items()}, plain),
}


def typed_inputs(task_id: str, inputs: list[list]) -> list[list]:
    """Published inputs with the types that EvalPlus gives them. Those of HumanEval+ are used as they are."""
    benchmark, _, number = task_id.partition("/")
    convert = TYPES.get(int(number), (plain,)) if benchmark == "Mbpp" else (plain,)
    typed = []
    for arguments in inputs:
        changes = [*convert, *[convert[-1]] * len(arguments)]
        typed.append([change(value) for change, value in zip(changes, arguments, strict=False)])
    return typed
