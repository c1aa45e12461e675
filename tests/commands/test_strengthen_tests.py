"""strengthen_tests.py: a file of tasks in, a stronger one out; what is done is not done again; bad input is named."""

import json

import pytest

import strengthen_tests
from helpers.run_folders import completion, write_lines
from raccoon.constants import InputError
from raccoon.strengthening.strengthen import MARK, Known
from raccoon.tasks.task import Task, read_task_file, write_task_file

SOLUTION = """def largest(xs):
    best = xs[0]
    for x in xs:
        if x > best:
            best = x
    return best
"""
TASKS = [
    Task(
        "one",
        "Find the largest.",
        "assert largest([1, 3]) == 3\nassert largest([2, 5]) == 5\n",
        "largest",
        "",
        SOLUTION,
    ),
    Task("two", "Say hello.", "assert hello() == 1\n", "hello"),
]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    write_task_file(tmp_path / "tasks.jsonl", TASKS)
    values = {"TASK_SETS": [str(tmp_path / "tasks.jsonl")], "OUTPUT": str(tmp_path / "out.jsonl"), "SANDBOX_WORKERS": 1}
    for name, value in values.items():
        monkeypatch.setattr(strengthen_tests, name, value)
    return tmp_path


def test_all_tasks_come_out_in_order_and_a_second_run_asks_nothing(settings, monkeypatch, capsys):
    strengthen_tests.main()
    first, second = read_task_file(settings / "out.jsonl")
    number = json.loads(first.origin)["new_tests"]["number"]
    assert MARK in first.test and number == strengthen_tests.MAX_NEW_TESTS and second == TASKS[1]
    assert "| new tests | 1 |" in capsys.readouterr().out
    monkeypatch.setattr("raccoon.strengthening.stored.strengthen", None)
    (settings / "out.jsonl").unlink()
    strengthen_tests.main()
    assert read_task_file(settings / "out.jsonl") == [first, second]


def test_wrong_code_of_a_run_and_of_samples(settings, monkeypatch):
    lines = [
        completion(1, 0, "PARTIAL", "wrong = 1"),
        completion(1, 0, "PASS", "right = 1"),
        completion(2, 0, "FAIL", ""),
    ]
    write_lines(settings / "completions.jsonl", [line | {"task_id": "one"} for line in lines])
    write_lines(settings / "samples.jsonl", [{"task_id": "two", "solution": "other = 1"}])
    monkeypatch.setattr(strengthen_tests, "FROM_RUN", str(settings))
    monkeypatch.setattr(strengthen_tests, "SAMPLES", [str(settings / "samples.jsonl")])
    found = strengthen_tests.known_programs({task.task_id: task for task in TASKS})
    assert found == {"one": Known(("wrong = 1", "right = 1")), "two": Known((), ("other = 1",))}


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("TASK_SETS", [], "TASK_SETS is empty"),
        ("TASK_SETS", ["nowhere.jsonl"], "no task file nowhere.jsonl"),
        ("MAX_NEW_TESTS", 0, "MAX_NEW_TESTS is 0"),
        ("OUTPUT", ".", "OUTPUT . is a folder"),
        ("FROM_RUN", "nowhere", "no completions.jsonl in FROM_RUN nowhere"),
    ],
)
def test_bad_input(settings, monkeypatch, name, value, message):
    monkeypatch.setattr(strengthen_tests, name, value)
    with pytest.raises(InputError, match=message):
        strengthen_tests.main()
