"""Duplicates: each likeness by itself, no quadratic cost, and likeness to the published benchmarks."""

import random

from raccoon.published.benchmarks import load_benchmark
from raccoon.synthetic.verification import Seen, contaminated, shingles, similarity
from raccoon.tasks.task import Task

WORDS = "count reverse join split delete merge rotate hash pad trim letters digits rows columns of the every in".split()
CODE = "def {f}({x}):\n    total = 0\n    for item in {x}:\n        total += item * {k}\n    return total\n"


def task(number, prompt, solution):
    return Task(str(number), prompt, f"assert {number}", "f", solution=solution)


def test_the_same_text_is_kept_once():
    seen, one = Seen(0.8), task(1, "Add.", CODE.format(f="f", x="xs", k=2))
    assert [seen.add(one), seen.add(one)] == ["", "duplicate: the same text"]


def test_a_solution_under_other_names_is_kept_once():
    seen = Seen(0.8)
    documented = CODE.format(f="g", x="values", k=2).replace("):", '):\n    """Adds."""', 1)
    assert seen.add(task(1, "Add the doubled items.", CODE.format(f="f", x="xs", k=2))) == ""
    assert seen.add(task(2, "Something quite unlike it", documented)) == "duplicate: the same solution"
    assert seen.add(task(3, "Another wording altogether", CODE.format(f="f", x="xs", k=3))) == ""


def test_names_of_a_recursion_do_not_matter():
    seen, code = Seen(None), "def {0}(n):\n    return n * {0}(n - 1) if n else 1\n"
    assert [seen.add(task(i, f"p{i}", code.format(name))) for i, name in enumerate(("f", "fact"))] == [
        "",
        "duplicate: the same solution",
    ]


def prompts(number, rng):
    return [" ".join(rng.choices(WORDS, k=40)) for _ in range(number)]


def test_a_prompt_with_a_word_changed_is_kept_once_and_others_stay():
    rng, seen = random.Random(0), Seen(0.8)
    texts = prompts(200, rng)
    assert {seen.add(task(i, text, f"x = {i}")) for i, text in enumerate(texts)} == {""}
    changed = [f"{text} please" for text in texts]
    assert {seen.add(task(i, text, f"x = {i}")) for i, text in enumerate(changed, 200)} == {
        "duplicate: a similar prompt"
    }


def test_what_every_prompt_says_of_its_function_does_not_make_it_similar():
    seen, tail = Seen(0.8), "\n\nName the function `f`. It must pass this test:\n\nassert f(1) == 1\n" * 3
    assert [seen.add(task(i, text + tail, f"x = {i}")) for i, text in enumerate(("Add two.", "Sort them."))] == ["", ""]


def test_prompts_are_not_compared_where_they_need_not_differ():
    seen = Seen(None)
    assert [seen.add(task(i, "Add the numbers.", f"x = {i}")) for i in range(2)] == ["", ""]


def test_few_unlike_prompts_are_ever_compared(monkeypatch):
    """Near-linear cost: pairs that the bands bring together, of the 19,900 that there are."""
    compared = []
    monkeypatch.setattr(
        "raccoon.synthetic.verification.similarity", lambda a, b: compared.append(0) or similarity(a, b)
    )
    seen = Seen(0.8)
    for i, text in enumerate(prompts(200, random.Random(1))):
        seen.add(task(i, text, f"x = {i}"))
    assert len(compared) < 200


def test_shingles_of_hostile_text():
    assert shingles("") and shingles("\ud800 half a pair") and len(shingles("a b")) == 1


def test_a_benchmark_task_in_other_words_is_contaminated(data_dir):
    published = {name: load_benchmark(name, data_dir) for name in ("humaneval", "mbpp")}
    stolen = published["humaneval"][4]
    own = Task(
        "own/1",
        "Rotate every second row of a seating plan by its number.",
        "assert f(1) == 2\n",
        "f",
        solution="def f(x):\n    return x + 1\n",
    )
    renamed = Task(
        "own/2",
        stolen.prompt.replace(stolen.entry_point, "spread"),
        "assert spread([1.0]) == 0.0\n",
        "spread",
        solution=stolen.solution.replace(stolen.entry_point, "spread"),
    )
    signs = contaminated([own, renamed], published)
    assert signs.keys() == {"own/2"} and signs["own/2"].startswith("humaneval: ")
