"""A server's words: what is read as a task, and the reason for everything that is not."""

import json
from dataclasses import replace

import pytest

from raccoon.llm.client import Request
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.synthetic.server_tasks import (
    MIN_TESTS,
    MODES,
    AnswerError,
    StoredAnswer,
    TaskRequest,
    make_request,
    plain_test,
    read_candidate,
    read_task,
)
from raccoon.tasks.task import Task
from raccoon.test_texts.test_programs import analyse

GOOD = {
    "prompt": "Double x.",
    "entry_point": "double",
    "solution": "def double(x):\n    return 2 * x",
    "tests": ["assert double(1) == 2", "assert double(0) == 0", "assert double(-3) == -6"],
}
KNOWN = Task("known/1", "Add a and b.", "assert add(1, 2) == 3\n", "add", solution="def add(a, b):\n    return a + b\n")
QUESTION = TaskRequest(Request(({"role": "user", "content": "ask"},), 0.8, 100))


def stored(text, reason="stop"):
    return StoredAnswer(text, reason, 1, 1, "2026-01-01")


def read(row):
    return read_task(json.dumps(row), "model")


def test_a_good_answer_becomes_a_task():
    task = read(GOOD)
    assert (task.entry_point, task.test.count("assert"), task.source) == ("double", 3, "synthetic/model")
    assert task.prompt.startswith("Double x.\n\nName the function `double`.") and task.task_id.startswith("model/")
    assert read({**GOOD, "prompt": "Double the x."}).task_id != task.task_id


def test_words_and_a_fence_around_the_object_do_not_matter():
    assert read_task(f"Here it is:\n```json\n{json.dumps(GOOD)}\n```", "model") == read(GOOD)


@pytest.mark.parametrize(
    "row, reason",
    [
        ({**GOOD, "extra": 1}, "other fields"),
        ({name: GOOD[name] for name in ("prompt", "solution", "tests")}, "other fields"),
        ({**GOOD, "tests": "assert double(1) == 2"}, "other fields"),
        ({**GOOD, "tests": [1, 2, 3]}, "other fields"),
        ({**GOOD, "prompt": "  "}, "other fields"),
        ({**GOOD, "solution": "def double(x) return x"}, "not Python"),
        ({**GOOD, "solution": "def double(x):\n    return " + "-" * 300 + "x"}, "not Python"),
        ({**GOOD, "solution": "x = 1\n" * 20_000}, "too long"),
        ({**GOOD, "entry_point": "triple"}, "does not define"),
        ({**GOOD, "entry_point": "len", "solution": "def len(x):\n    return 2 * x"}, "builtin's name"),
        ({**GOOD, "tests": GOOD["tests"][: MIN_TESTS - 1]}, "too few"),
        ({**GOOD, "tests": GOOD["tests"][:1] * 9}, "too few"),
        ({**GOOD, "tests": [*GOOD["tests"], "print(double(1))"]}, "not one assert"),
    ],
)
def test_a_bad_answer_has_its_reason(row, reason):
    with pytest.raises(AnswerError, match=reason):
        read(row)


@pytest.mark.parametrize("text", ["", "no object at all", "[1, 2]", json.dumps(GOOD)[:-20], json.dumps(GOOD) * 2])
def test_what_is_not_one_object_is_refused(text):
    with pytest.raises(AnswerError):
        read_candidate(stored(text), QUESTION, MODES["tasks"], "model")


def test_a_cut_answer_is_refused_even_where_it_reads_well():
    with pytest.raises(AnswerError, match="cut off"):
        read_candidate(stored(json.dumps(GOOD), "length"), QUESTION, MODES["tasks"], "model")


def test_half_a_surrogate_pair_reaches_no_file():
    read({**GOOD, "prompt": "Double \ud800."}).prompt.encode("utf-8")


HOSTILE = [
    "import os; assert os.system('true') == f(1)",
    "assert __import__('os').getpid() == f(1)",
    "assert eval(f(1)) == 2",
    "assert f(1).__class__ == int",
    "assert f(lambda: 1) == 1",
    "assert [f(i) for i in [1]] == [1]",
    "assert (x := f(1)) == 1",
    "assert f(10 ** 10 ** 10) == 1",
    "assert f(1 << 10 ** 9) == 1",
    "assert f('a' * 9999999999) == 1",
    "assert f(('a' * 9999) * 9999) == 1",
    "assert f(range(10 ** 9)) == 1",
    "assert f(open) == 1",
    "assert f(*[1]) == 1",
    "assert f(1) == f'{1}'",
    "assert True",
    "assert len([1]) == 1",
    "assert f",
    "f(1)",
    "assert f(1) == 1\nassert f(2) == 2",
    "while True: pass",
    "assert f(" + "-" * 300 + "1) == 1",
    "assert f(1) ==",
    "assert f(\0) == 1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_test_that_is_more_than_a_comparison_is_refused(text):
    with pytest.raises(AnswerError):
        plain_test(text, "f")


@pytest.mark.parametrize(
    "text",
    [
        "assert f([1, 2], key='a') == {'a': (1, 2)}",
        "assert not f('')",
        "assert abs(f(1) - 0.5) < 1e-6",
        "assert sorted(f({3: None})) == [3]",
        "assert f('a' * 500) == 500, 'long'",
        "assert f(1) is None",
        "assert math.isclose(f(2.0), 1.414, rel_tol=1e-3)",
        "assert f(1)[0] == 2 and f(2)[1:] == []",
        "assert isinstance(f(1), (int, float))",
    ],
)
def test_honest_tests_are_taken_and_need_no_value_of_the_codes_own(text):
    line = plain_test(text, "f")
    assert analyse(line, "", "f").shared == ""


def test_math_is_imported_where_a_test_uses_it():
    task = read({**GOOD, "tests": [*GOOD["tests"], "assert math.isclose(double(0.5), 1.0)"]})
    assert task.test.startswith("import math\n")
    with Sandbox(workers=1) as sandbox:
        assert sandbox.run([Program.of(task, task.solution)])[0].status == "PASS"


def test_a_known_task_gets_the_new_solution_and_keeps_its_test():
    question = replace(QUESTION, parent=KNOWN)
    code = "def add(a, b):\n    return sum((a, b))\n"
    found = read_candidate(stored(f"Sure:\n```python\n{code}```"), question, MODES["solutions"], "some/model")
    assert found.task.solution.strip() == code.strip() and found.task.test == KNOWN.test
    assert found.task.task_id.startswith("known/1/model/") and found.completion.startswith("Sure")
    with pytest.raises(AnswerError, match="no code"):
        read_candidate(stored("I cannot."), question, MODES["solutions"], "some/model")


def test_questions_are_the_same_by_seed_and_differ_by_number_and_attempt():
    def keys(seed, mode="tasks", attempt=0):
        return [
            make_request(MODES[mode], [KNOWN], number, attempt, Request((), 0.8, 100, seed=seed)).key("m")
            for number in range(50)
        ]

    assert keys(0) == keys(0) and not set(keys(0)) & set(keys(0, attempt=1)) and len(set(keys(0))) == 50
    assert len(set(keys(0, "harder"))) == 50  # of one parent
    assert make_request(MODES["harder"], [KNOWN], 0, 0, Request((), 0.8, 100, seed=0)).parent == KNOWN


def test_prompts_ask_for_what_is_read():
    text = make_request(MODES["tasks"], [], 0, 0, Request((), 0.8, 100, seed=0)).request.messages[0]["content"]
    assert all(f'"{name}"' in text for name in GOOD)
