"""Seen or unseen: each sign by itself, and on the published benchmarks' known overlaps."""

import json

import pytest

from raccoon.published.benchmarks import load_benchmark
from raccoon.published.contamination import find_badge, find_overlap
from raccoon.tasks.task import Task, write_task_file

CODE = "def {name}({x}):\n    total = 0\n    for item in {x}:\n        total += item * item\n    return total\n"
LONG = "return the sum of the squares of all the numbers in the list that the caller gives to you today"
# Prompts of unlike words: a training set whose tasks are like each other would count as a family.
OTHERS = [
    Task(
        f"other/{i}",
        f"{verb} every {noun} of the {thing}",
        f"assert o{i}({i}) == {i * 7}",
        f"o{i}",
        solution=f"def o{i}(x):\n    return x * 7\n",
    )
    for i, (verb, noun, thing) in enumerate(
        zip(
            "count reverse join split delete merge rotate hash pad trim".split(),
            "vowel digit letter word line pair row column key leaf".split(),
            "string number text file list tree matrix graph queue stack".split(),
            strict=True,
        )
    )
]


def seen(task, *training):
    return find_overlap([task], [*training, *OTHERS]).get(task.task_id, "")


def test_the_same_id_is_seen():
    assert seen(Task("a/1", "p", "t"), Task("a/1", "q", "u")) == "same id"


def test_the_same_prompt_under_another_name_is_seen():
    first = Task("a/1", "Write square_sum to add the squares.\nassert square_sum(2) == 4", "t", "square_sum")
    second = Task("b/1", "Write sq to add the squares.\nassert sq(3) == 9", "u", "sq")
    assert seen(first, second) == "same prompt as b/1"


def test_the_same_solution_with_other_names_and_a_docstring_is_seen():
    first = Task("a/1", "alpha", "t", "f", solution=CODE.format(name="f", x="values"))
    documented = CODE.format(name="g", x="xs").replace("\n", '\n    """Adds."""\n', 1)
    assert seen(first, Task("b/1", "omega", "u", "g", solution=documented)) == "same solution as b/1"
    other = CODE.format(name="g", x="xs").replace("item * item", "item + item")
    assert seen(first, Task("b/1", "omega", "u", "g", solution=other)) == ""


def test_a_builtin_is_no_name_that_may_differ():
    code = "def f({0}):\n    {1} = [{2} for {2} in {0} if {2} > 0]\n    return {3}({1}) + {3}({0}) * 2\n"
    first = Task("a/1", "alpha", "t", "f", solution=code.format("xs", "kept", "x", "max"))
    for builtin, sign in (("max", "same solution as b/1"), ("min", "")):
        second = code.format("values", "rest", "value", builtin)
        assert seen(first, Task("b/1", "omega", "u", "f", solution=second)) == sign


def test_shared_asserts_are_seen_whatever_the_function_is_called():
    first = Task("a/1", "alpha", "assert f([1, 2]) == 5\nassert f([3]) == 9\nassert f([]) == 0", "f")
    check = "def check(candidate):\n    assert candidate([1, 2]) == 5\n    assert candidate([3]) == 9\ncheck(g)"
    assert seen(first, Task("b/1", "omega", check, "g")) == "2 of 3 asserts of b/1"
    assert seen(first, Task("b/1", "omega", "assert g([1, 2]) == 5\nassert g([4]) == 16", "g")) == ""


def test_thirteen_words_in_a_row_are_seen():
    sign = seen(Task("a/1", f"Please {LONG}", "t"), Task("b/1", f"You must {LONG} or else", "u"))
    assert sign == "13 words in a row of the prompt of b/1"


def test_what_many_tasks_share_is_no_sign():
    asked = "\nAnswer with the whole program in one block of python and with nothing else at all please"
    training = [Task(f"b/{i}", f"{task.prompt} {asked}", "u") for i, task in enumerate(OTHERS * 2)]
    assert find_overlap([Task("a/1", f"Draw a circle. {asked}", "t")], training) == {}


def test_a_rewording_is_seen_by_similarity():
    first = Task("a/1", "Find the lateral surface area of a cylinder with given height.", "t")
    assert seen(first, Task("b/1", "Find the surface area of a cylinder with given height.", "u")).startswith(
        "prompt 0."
    )


def test_the_same_rare_name_needs_less_similarity():
    first = Task("a/1", "Remove all odd numbers from the given list", "t", "remove_odd")
    second = Task("b/1", "Remove odd numbers from the list using lambda", "u", "remove_odd")
    assert seen(first, second).startswith("same function name, prompt 0.")
    assert seen(first, Task("b/1", second.prompt, "u", "drop")) == ""


def test_tasks_of_one_family_are_not_called_copies_of_each_other():
    from raccoon.tasks.templates import generate_tasks

    badge = find_overlap(generate_tasks(60, seed=0, split="heldout"), generate_tasks(400, seed=0))
    assert len(badge) <= 1  # a held-out kind may be a trained one in other words: even is a multiple of 2


@pytest.fixture
def model(tmp_path):
    """A function that writes a model folder whose config.json names training files."""

    def make(tasks, **config):
        write_task_file(tmp_path / "train.jsonl", tasks)
        config = {"TRAIN_FILES": [str(tmp_path / "train.jsonl")], "TRAINING_SETS": [], **config}
        (tmp_path / "config.json").write_text(json.dumps(config))
        return tmp_path

    return make


def test_the_badge_of_a_run(model, tmp_path):
    folder = model([Task(f"a/{i}", f"p{i}", "t") for i in range(4)])
    benchmark = [Task(f"a/{i}", f"q{i}", "u") for i in range(8)]
    assert find_badge(folder, benchmark[:5], "").name == "seen"
    partly = find_badge(folder, benchmark[3:], "")
    assert (partly.name, dict(partly.tasks)) == ("partly seen", {"a/3": "same id"})
    assert find_badge(folder, benchmark[4:], "").name == "unseen"
    assert find_badge(folder / "checkpoint-50", benchmark[4:], "").name == "unseen"


def test_the_tasks_beside_the_model_win_over_the_named_files(model, tmp_path):
    folder = model([Task("a/1", "p", "t")])
    write_task_file(folder / "tasks.jsonl", [Task("b/1", "p", "t")])
    assert find_badge(folder, [Task("b/1", "q", "u")], "").name == "seen"


def test_a_model_that_does_not_tell_is_unknown(model, tmp_path, capsys):
    assert find_badge(tmp_path / "nowhere", [Task("a", "p", "t")], "").name == "unknown"
    folder = model([Task("a/1", "p", "t")], TRAIN_FILES=["gone.jsonl"])
    assert find_badge(folder, [Task("a", "p", "t")], "").name == "unknown"
    assert "gone.jsonl" in capsys.readouterr().out
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    assert find_badge(folder, [Task("a", "p", "t")], "").name == "unknown"


def test_the_known_overlaps_of_the_published_benchmarks(model, data_dir):
    mbpp = load_benchmark("mbpp", data_dir)
    test = [task for task in mbpp if task.split == "test"]
    signs = find_overlap(test, [task for task in mbpp if task.split != "test"])
    assert {"Mbpp/451": "Mbpp/800", "Mbpp/104": "Mbpp/569", "Mbpp/233": "Mbpp/574"}.items() <= {
        task_id: sign.split()[-1] for task_id, sign in signs.items()
    }.items()
    assert len(signs) < 40, "most of MBPP's test split is not in the rest"

    folder = model([], TRAIN_FILES=[], TRAINING_SETS=["mbpp", "humaneval"], DATA_DIR=str(data_dir))
    assert find_badge(folder, load_benchmark("humaneval", data_dir), "").name == "seen"
    assert len(find_badge(folder, mbpp, "").tasks) >= 420
    bigcodebench = find_badge(folder, load_benchmark("bigcodebench", data_dir), "")
    assert (bigcodebench.name, list(bigcodebench.tasks)) == ("partly seen", ["BigCodeBench/787"])
