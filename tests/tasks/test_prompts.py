"""What a base model goes on with, and where its completion ends."""

import pytest

from raccoon.published.benchmarks import load_benchmark
from raccoon.tasks.prompts import completion_prompt, description_prompt, direct_prompt, stop_words, until_stop_word
from raccoon.tasks.task import Task

STUB = 'import math\n\ndef f(x):\n    """Doc."""'
SHOWN = Task("a/1", completion_prompt(STUB), "assert f(1)", "f")
DESCRIBED = Task("a/2", description_prompt('Say """it""".', "f", "assert f(1) == 2"), "assert f(1) == 2", "f")


def test_the_stub_is_gone_on_with():
    assert direct_prompt(SHOWN) == STUB + "\n"


def test_words_become_a_docstring():
    assert direct_prompt(DESCRIBED) == "\"\"\"\nSay '''it'''.\nassert f(1) == 2\n\"\"\"\n"
    assert direct_prompt(Task("a/3", "Just words.", "t")) == '"""\nJust words.\n"""\n'


@pytest.mark.parametrize(
    "task, text, kept",
    [
        (SHOWN, "    return x\n\ndef g(): pass", "    return x\n"),
        (SHOWN, "    return x\nassert f(1)\nprint(2)", "    return x"),
        (SHOWN, "    print(x)\n    return x", "    print(x)\n    return x"),
        (DESCRIBED, 'def g(): pass\n\ndef f(x):\n    pass\n"""\nAnother', "def g(): pass\n\ndef f(x):\n    pass"),
        (DESCRIBED, "def f(x): pass\nif __name__ == 1: pass", "def f(x): pass"),
    ],
)
def test_a_completion_ends_where_something_else_begins(task, text, kept):
    assert until_stop_word(text, task) == kept


def test_published_benchmarks_have_the_fields_own_direct_prompts(data_dir):
    """HumanEval's and BigCodeBench's own prompts, MBPP+'s as EvalPlus publishes it, and CRUXEval's assert."""
    first = {name: load_benchmark(name, data_dir)[0] for name in ("humaneval", "bigcodebench", "mbppplus", "cruxeval")}
    assert direct_prompt(first["humaneval"]).startswith("from typing import List\n\n\ndef has_close_elements(")
    assert direct_prompt(first["bigcodebench"]).endswith('"""\n')
    assert direct_prompt(first["mbppplus"]).startswith('"""\nWrite a function to find the shared elements')
    assert "assert set(similar_elements(" in direct_prompt(first["mbppplus"]).split("\n")[2]
    assert direct_prompt(first["cruxeval"]).endswith("==") and stop_words(first["cruxeval"]) == ("\n",)
