"""The visible tests of published tasks: what the prompt shows, part of the test, and passed by the gold solution."""

import gzip
import json

import pytest

from raccoon.published import function_sets
from raccoon.published.benchmarks import BENCHMARKS, load_benchmark
from raccoon.published.benchmarks import converted as tasks_of
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import Task, check_cases, read_visible_cases
from raccoon.tasks.visible_tests import check_visible_tests, visible_fault

SHOWN = {  # name -> tasks with visible tests
    "humaneval": 135,
    "humanevalplus": 135,
    "mbpp": 427,
    "mbpp_full": 974,
    "mbppplus": 378,
    "leetcode": 223,
    "leetcode_train": 0,  # its problems lack their examples
    "cruxeval": 0,
    "kodcode": 0,
    "bigcodebench": 0,
    "bigcodebench_hard_instruct": 0,
}
EVERY = {"leetcode": 8, "mbpp_full": 4, "humanevalplus": 4}  # one of so many tasks runs: all of them take long


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as one:
        yield one


def one_task(name: str, row: dict) -> Task:
    (task,) = tasks_of(BENCHMARKS[name], [row], "here")
    return task


@pytest.mark.parametrize("name", SHOWN)
def test_visible_tests_are_the_prompts_and_gold_passes_them(data_dir, sandbox, name):
    tasks = load_benchmark(name, data_dir)
    assert sum(bool(task.visible_tests) for task in tasks) == SHOWN[name]
    check_visible_tests(tasks[:: EVERY.get(name, 1)], sandbox.run)


def test_the_wrong_examples_are_those_that_gold_fails(data_dir, sandbox, monkeypatch):
    monkeypatch.setattr(function_sets, "WRONG_EXAMPLES", set())
    tasks = load_benchmark("humaneval", data_dir)
    pairs = [(task, line) for task in tasks for line in task.visible_tests.splitlines()]
    verdicts = sandbox.run([Program.of(task, task.solution, test=line, visible_tests="") for task, line in pairs])
    monkeypatch.undo()
    failed = {line for (_, line), verdict in zip(pairs, verdicts, strict=True) if verdict.status != "PASS"}
    assert failed == function_sets.WRONG_EXAMPLES


def test_humaneval_shows_its_docstrings_examples_and_no_assert_of_its_test(data_dir):
    task = next(task for task in load_benchmark("humaneval", data_dir) if task.entry_point == "has_close_elements")
    assert task.visible_tests == (
        "assert has_close_elements([1.0, 2.0, 3.0], 0.5) == False\n"
        "assert has_close_elements([1.0, 2.8, 3.0, 4.0, 5.0, 2.0], 0.3) == True\n"
    )


def test_a_docstrings_examples_are_those_of_the_entry_point():
    stub = (
        'def g(x):\n    """\n    >>> f(1)\n    9\n    """\n\n\ndef f(x):\n    r"""\n    >>> f("\\n")\n    2\n    """\n'
    )
    row = {
        "task_id": "HumanEval/0",
        "prompt": stub,
        "entry_point": "f",
        "canonical_solution": "",
        "test": "def check(f): ...",
    }
    assert one_task("humaneval", row).visible_tests == 'assert f("\\n") == 2\n'


def test_mbpp_shows_its_first_assert_with_what_it_needs():
    row = {"task_id": 700, "prompt": "p", "code": "def f(x):\n    return x", "test_imports": ["import math"]}
    task = one_task("mbpp", row | {"test_list": ["assert f(1) == math.pi", "assert f(2) == 2"]})
    assert task.visible_tests == "import math\nassert f(1) == math.pi\n" and task.visible_tests.strip() in task.test


LEETCODE = {
    "task_id": "add",
    "entry_point": "Solution().add",
    "prompt": "class ListNode: ...",
    "completion": "class Solution:\n    def add(self, s, k):\n        return 1\n",
    "query": 'Question.\n\nExample 1:\n\nInput: s = "ab", k = [1,null]\nOutput: true\n\nExample 2:\n\n'
    "Input: s = 'c', k = []\nOutput: [2]\n\n```python\nclass Solution:\n    def add(self, s, k):\n```\n",
    "test": "def check(candidate):\n    assert candidate(s = 'x',k = []) == False\n"
    "    assert candidate(s = 'ab',k = list_node([1, None])) == True\n"
    "    assert candidate(s = 'ab',k = [1, None]) == True\n    assert candidate(s = 'ab',k = [1, None]) == True\n"
    "    assert is_same_list(candidate(s = 'c',k = list_node([])), list_node([2]))\n"
    "    assert candidate(s = 'c',k = []) == [3]\n",
}


def test_leetcode_shows_the_asserts_that_are_the_problems_examples():
    task = one_task("leetcode", LEETCODE)
    assert task.visible_tests.splitlines() == [
        "assert Solution().add(s = 'ab',k = list_node([1, None])) == True",
        "assert Solution().add(s = 'ab',k = [1, None]) == True",
        "assert is_same_list(Solution().add(s = 'c',k = list_node([])), list_node([2]))",
    ]
    assert visible_fault(task) == ""


QUESTION = "Add.\n\nExamples\n\nInput\n1 2\n\nOutput\n3\n\nInput\n5 5\n\nOutput\n10\n"
CALLS = "Twice.\n\n```python\ntwice(2) => [4]\ntwice(3)  # 6\n```\n\nInput: n = 4\nOutput: 8\n\ntwice(5) = 10\n"
STDIN = {"inputs": ["7 7\n", "5 5\n", "1 2\n"], "outputs": ["14\n", "10\n", "3\n"]}
NAMED = {"fn_name": "twice", "inputs": [[9], [3], [4], [2], [5]], "outputs": [[18], [6], 8, [[4]], [10]]}
CONTEST = {"problem_id": 7, "solutions": "[]", "starter_code": ""}


@pytest.mark.parametrize("name", ["apps", "taco"])
def test_contests_show_the_cases_of_their_text(name):
    place = {"file": "train-0", "row": 1}
    row = CONTEST | place | {"question": QUESTION, "input_output": json.dumps(STDIN)}
    assert read_visible_cases(one_task(name, row).visible_tests) == [("5 5\n", "10\n"), ("1 2\n", "3\n")]
    assert one_task(name, row | {"question": "Add."}).visible_tests == ""

    task = one_task(name, row | {"question": CALLS, "input_output": json.dumps(NAMED), "starter_code": "def twice(n):"})
    assert "[([3], [6]), ([4], 8), ([2], [[4]])]" in task.visible_tests and visible_fault(task) == ""
    hidden = one_task(name, row | {"question": "x", "input_output": json.dumps(NAMED), "starter_code": "def twice(n):"})
    assert hidden.visible_tests == ""


def test_code_contests_shows_the_public_cases_that_its_test_has():
    many = {"input": [f"{number}\n" for number in range(60)], "output": ["0\n"] * 60}
    row = {
        "name": "1_A. Sum",
        "description": "Add.",
        "public_tests": {"input": ["1 2\n", "9 9\n"], "output": ["3\n", "18\n"]},
        "private_tests": many,
        "generated_tests": None,
        "solutions": None,
    }
    task = one_task("code_contests", row)
    assert read_visible_cases(task.visible_tests) == [("1 2\n", "3\n")]  # the other public case is not among the 20
    assert len(check_cases(task.test)["inputs"]) == 20
    both = one_task("code_contests", row | {"private_tests": {"input": ["4 4\n"], "output": ["8\n"]}})
    assert read_visible_cases(both.visible_tests) == [("1 2\n", "3\n"), ("9 9\n", "18\n")]


LIVE = {
    "question_id": "abc1_a",
    "question_content": "Add.",
    "starter_code": "",
    "difficulty": "easy",
    "contest_date": "2024-10-05T00:00:00",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": json.dumps([{"input": "3 4\n", "output": "7\n", "testtype": "stdin"}]),
    "metadata": "{}",
}


def test_livecodebench_shows_its_public_cases():
    assert read_visible_cases(one_task("livecodebench", LIVE).visible_tests) == [("1 2\n", "3\n")]
    private = json.dumps([{"input": "[3]", "output": "6"}])
    row = LIVE | {"metadata": json.dumps({"func_name": "twice"}), "private_test_cases": private}
    task = one_task("livecodebench", row | {"public_test_cases": json.dumps([{"input": "[1]", "output": "2"}])})
    assert "[[[[1]], 2]]" in task.visible_tests and "6" not in task.visible_tests and visible_fault(task) == ""
    without = one_task("livecodebench", row | {"public_test_cases": "[]"})
    assert without.visible_tests == "" and "6" in without.test


def test_the_quote_that_ends_an_example_of_mbppplus_is_kept(data_dir):
    path = data_dir / BENCHMARKS["mbppplus"].file
    with gzip.open(path, "rt") as file:
        row = next(row for row in map(json.loads, file) if row["task_id"] == "Mbpp/11")
    assert one_task("mbppplus", row).visible_tests == 'assert remove_Occ("hello","l") == "heo"\n'
