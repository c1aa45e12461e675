"""What is held out has no sign of a training task, by the evaluation's own rule."""

import pytest

from raccoon.published.benchmarks import load_benchmark, load_training_tasks
from raccoon.published.contamination import find_overlap
from raccoon.recipe.task_selection import unseen_tasks
from raccoon.tasks.task import Task
from raccoon.tasks.templates import generate_tasks

LONG = (
    "return the number of pairs of equal letters that stand beside one another in the given text, where a letter "
    "may belong to two pairs"
)


def task(name: str, prompt: str, value: int = 0) -> Task:
    return Task(name, prompt, f"assert f({value}) == {value}\nassert f({value + 1}) == {value}", "f")


def test_near_duplicates_of_training_tasks_are_not_held_out():
    trained = [task("a", LONG), task("b", "sort a list of words", 50)]
    watched = [
        task("new", "find the largest number", 10),
        task("a", "another text", 20),
        task("shared words", f"Please {LONG}.", 30),
        task("same asserts", "something else", 50),
    ]
    assert [each.task_id for each in unseen_tasks(watched, trained, 10)] == ["new"]
    assert unseen_tasks(watched[1:], trained, 10) == []


@pytest.mark.parametrize("seed", range(3))
def test_tasks_from_the_templates_of_the_training_tasks_stay(seed):
    """They are all alike, and of other kinds: the demo is watched on them."""
    trained, watched = generate_tasks(2000, seed, "train"), generate_tasks(300, seed, "heldout")
    assert len(unseen_tasks(watched, trained, 300)) == 300


def test_mbpp_that_is_held_out_has_no_near_duplicate_in_training(data_dir):
    trained, watched = load_training_tasks(str(data_dir)), load_benchmark("mbpp_full", str(data_dir))
    held_out = unseen_tasks(watched, trained, 1000)
    assert len(held_out) > 400 and not find_overlap(held_out, trained)
