"""Visible tests are shown to a model only if they are its task's, and if its task's own solution passes them."""

from dataclasses import replace

import pytest

from raccoon.constants import InputError
from raccoon.records import Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import Task, program_test, read_task_file, visible_cases, write_task_file
from raccoon.tasks.visible_tests import check_visible_tests, visible_fault

TASK = Task(
    "own/1",
    "Give one more. For example, more(7) -> 8.",
    "import math\n\n\ndef check(candidate):\n    assert candidate(1) == 2\n    assert candidate(5) == 6\n\n\n"
    "check(more)",
    "more",
    solution="def more(x):\n    return x + 1\n",
)
PROGRAM = Task("own/2", "Add.", program_test(["1 2", "3 4"], ["3", "7"]), kind="program", solution="print(3)")
LOOP = """\
def same(out, expected):
    return out == expected


for _arguments, _expected in eval({!r}):
    assert same(more(*_arguments), _expected)
"""
LOOPED = replace(TASK, test=LOOP.format("[([1], 2), ([5], 6)]"))


@pytest.mark.parametrize(
    "task, visible_tests",
    [
        (TASK, ""),
        (TASK, "assert more(1) == 2"),
        (TASK, "import math\nassert more(5)==6, 'words'\nassert more( 1 ) == 2"),
        (TASK, "assert more(7) == 8"),  # the prompt's example
        (replace(TASK, prompt="It must pass assert   more(9)==10."), "assert more(9) == 10"),
        (LOOPED, LOOP.format("[([5], 6)]")),
        (PROGRAM, visible_cases([("3 4", "7")])),
    ],
)
def test_what_is_the_tasks_own_is_shown(task, visible_tests):
    assert visible_fault(replace(task, visible_tests=visible_tests)) == ""


@pytest.mark.parametrize(
    "task, visible_tests, words",
    [
        (TASK, "assert more(1) == 2\nassert more(3) == 4", "more(3) == 4"),
        (TASK, "assert more(1) == 3", "more(1) == 3"),
        (TASK, "print(1)", "print(1)"),
        (TASK, "assert more(1", "not Python"),
        (LOOPED, LOOP.format("[([5], 6), ([7], 8)]"), "for _arguments"),
        (LOOPED, LOOP.format("[([5], 6)]").replace("assert", "assert not"), "for _arguments"),
        (PROGRAM, visible_cases([("3 4", "8")]), "'3 4'"),
    ],
)
def test_what_is_not_the_tasks_own_is_named(task, visible_tests, words):
    with pytest.raises(InputError) as caught:
        check_visible_tests([replace(task, visible_tests=visible_tests)], run=lambda programs: [])
    assert task.task_id in str(caught.value) and words in str(caught.value)


def test_a_solution_that_fails_a_visible_test_is_named_with_all_others():
    tasks = [
        replace(TASK, task_id="fine", visible_tests="assert more(7) == 8"),
        replace(TASK, task_id="wrong example", prompt="more(7) -> 9", visible_tests="assert more(7) == 9"),
        replace(TASK, task_id="no solution", solution="", prompt="more(7) -> 9", visible_tests="assert more(7) == 9"),
        replace(TASK, task_id="unknown", visible_tests="assert more(8) == 9"),
    ]
    with Sandbox(workers=1) as sandbox, pytest.raises(InputError) as caught:
        check_visible_tests(tasks, sandbox.run)
    named = [task.task_id for task in tasks if f"{task.task_id} (" in str(caught.value)]
    assert named == ["wrong example", "unknown"]


def test_only_programs_that_can_fail_are_run():
    ran = []

    def run(programs):
        ran.extend(programs)
        return [Verdict("PASS", "pass", 1, 1)] * len(programs)

    shown = replace(TASK, visible_tests="assert more(1) == 2")
    check_visible_tests([TASK, shown, replace(PROGRAM, visible_tests=visible_cases([("3 4", "7")]))], run)
    assert [(program.test, program.code, program.visible_tests) for program in ran] == [
        ("assert more(1) == 2", TASK.solution, "")
    ]


@pytest.mark.parametrize(
    "visible_tests, words",
    [
        ("assert x", "not JSON"),
        ("[]", "list"),
        ('{"inputs": ["1"]}', "inputs and outputs"),
        ('{"inputs": ["1"], "outputs": []}', "outputs"),
        ('{"inputs": ["1"], "outputs": ["1"], "compare": "checker", "checker": "x"}', "compare"),
    ],
)
def test_cases_of_a_file_are_checked_with_their_line(tmp_path, visible_tests, words):
    write_task_file(tmp_path / "own.jsonl", [TASK, replace(PROGRAM, visible_tests=visible_tests)])
    with pytest.raises(InputError, match=r"own.jsonl, line 2 \(own/2\): visible_tests") as caught:
        read_task_file(tmp_path / "own.jsonl")
    assert words in str(caught.value)


def test_a_file_keeps_visible_tests_and_is_as_before_without_them(tmp_path):
    tasks = [TASK, replace(TASK, task_id="b", visible_tests="assert more(1) == 2")]
    write_task_file(tmp_path / "own.jsonl", tasks)
    assert read_task_file(tmp_path / "own.jsonl") == tasks
    assert ["visible_tests" in line for line in (tmp_path / "own.jsonl").read_text().splitlines()] == [False, True]
