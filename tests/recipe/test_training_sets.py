"""Which tasks a run trains on: named sets, without what is like a benchmark that is to be reported."""

import types

import pytest

from raccoon.constants import InputError
from raccoon.published.benchmarks import load_benchmark, load_training_tasks
from raccoon.recipe.task_selection import decontaminated, load_tasks
from raccoon.tasks.task import Task, write_task_file

OWN = Task(
    "own/1",
    "Give one more than a number, whatever it is.",
    "assert more(1) == 2\nassert more(5) == 6",
    "more",
    solution="def more(x):\n    return x + 1\n",
)


def test_seed_is_the_default_and_sets_are_named(data_dir):
    assert len(load_training_tasks(data_dir)) == 584
    assert {task.source for task in load_training_tasks(data_dir, ["humaneval"])} == {"humaneval"}


def test_tasks_like_a_reported_benchmark_are_left_out(data_dir, capsys):
    theirs = load_benchmark("humaneval", data_dir)[:3]
    assert decontaminated([OWN, *theirs], ["humaneval"], str(data_dir)) == [OWN]
    assert "left out 3 of 4 tasks that are like one of humaneval: HumanEval/0 (same id)" in capsys.readouterr().out
    assert decontaminated([OWN, *theirs], [], "") == [OWN, *theirs]
    with pytest.raises(InputError, match="every task is like one of humaneval"):
        decontaminated(theirs, ["humaneval"], str(data_dir))


def test_no_set_is_an_empty_name(tmp_path):
    from raccoon.sandbox.pool import Sandbox

    write_task_file(tmp_path / "own.jsonl", [OWN])
    settings = types.SimpleNamespace(
        TRAINING_SETS=[""],
        BENCHMARK_TASKS=True,
        REPORTED_BENCHMARKS=[],
        HELDOUT="",
        TRAIN_FILES=[tmp_path / "own.jsonl"],
        DATA_DIR="",
        ALLOW_SHARED_TESTS=False,
        SKIP_FAILING_TASKS=False,
    )
    with Sandbox(workers=1) as sandbox:
        assert load_tasks(settings, sandbox) == ([OWN], [])
        settings.TRAINING_SETS, settings.BENCHMARK_TASKS = ["mbpp"], False
        assert load_tasks(settings, sandbox) == ([OWN], [])
