"""Which tasks are evaluated: ids, ranges, files of them, and a sample."""

import pytest

from raccoon.constants import InputError
from raccoon.evaluation.task_sets import chosen_ids, load_task_sets
from raccoon.tasks.task import Task, write_task_file

IDS = {f"HumanEval/{number}" for number in range(164)} | {"Mbpp/2", "Mbpp/11", "odd-1-2"}


@pytest.mark.parametrize(
    "words, ids",
    [
        (["HumanEval/7"], {"HumanEval/7"}),
        (["HumanEval/0-2"], {"HumanEval/0", "HumanEval/1", "HumanEval/2"}),
        (["HumanEval/162-999", "Mbpp/2"], {"HumanEval/162", "HumanEval/163", "Mbpp/2"}),
        (["Mbpp/1-10"], {"Mbpp/2"}),
        (["odd-1-2"], {"odd-1-2"}),
    ],
)
def test_words_name_ids(words, ids):
    assert chosen_ids(words, IDS) == ids


@pytest.mark.parametrize("word", ["HumanEval/164", "HumanEval/9-3", "HumanEval/", "Human", "Mbpp/3-10", "0-9", ""])
def test_a_word_that_names_nothing_is_refused(word):
    with pytest.raises(InputError, match="no task"):
        chosen_ids(["HumanEval/1", word], IDS)


def test_a_file_of_ids_is_read_and_a_bad_line_named(tmp_path):
    path = tmp_path / "hard.txt"
    path.write_text("HumanEval/3\n\nMbpp/2-11\n")
    assert chosen_ids([str(path), "HumanEval/5"], IDS) == {"HumanEval/3", "HumanEval/5", "Mbpp/2", "Mbpp/11"}
    path.write_text("HumanEval/3\nHumanEval/999\n")
    with pytest.raises(InputError, match="hard.txt, line 2: no task 'HumanEval/999'"):
        chosen_ids([str(path)], IDS)


def test_the_chosen_tasks_are_sampled_and_the_whole_benchmark_is_remembered(tmp_path):
    write_task_file(tmp_path / "a.jsonl", [Task(f"a/{i}", "p", "assert True") for i in range(20)])
    write_task_file(tmp_path / "b.jsonl", [Task(f"b/{i}", "p", "assert True") for i in range(5)])
    paths = [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    first, second = load_task_sets(paths, "", ["a/5-14", "b/1"], limit=3, seed=0)
    assert (first.name, len(first.tasks), len(first.ids)) == ("a", 3, 20)
    assert {task.task_id for task in first.tasks} <= {f"a/{i}" for i in range(5, 15)}
    assert [task.task_id for task in second.tasks] == ["b/1"]
    (again,) = load_task_sets(paths[:1], "", ["a/5-14"], limit=3, seed=0)
    assert again.tasks == first.tasks and [len(b.tasks) for b in load_task_sets(paths, "", [], 0, 0)] == [20, 5]
    with pytest.raises(InputError, match="names no task of b"):
        load_task_sets(paths, "", ["a/1"], 0, 0)
