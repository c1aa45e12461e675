"""The hunt for hidden tests in feedback finds one that leaks, and takes nothing else for one."""

import importlib.util
import sys

import pytest

from helpers.paths import ROOT
from raccoon.records import Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import Task, program_test, visible_cases

SPEC = importlib.util.spec_from_file_location("leak_hunt", ROOT / "benchmarks" / "leak_hunt.py")
leak_hunt = importlib.util.module_from_spec(SPEC)
sys.modules["leak_hunt"] = leak_hunt
SPEC.loader.exec_module(leak_hunt)

TASK = Task(
    "own/1",
    "Give twice a number. twice(1100) is 2200.",
    "assert twice(1100) == 2200\nassert twice(1234) == 2468\nassert twice([7, 8, 9]) == [7, 8, 9, 7, 8, 9]\n",
    "twice",
    solution="def twice(x):\n    return x + x\n",
    visible_tests="assert twice(1100) == 2200\n",
)
PROGRAM = Task("own/2", "Add.", program_test(["1 2", "30 40"], ["3", "7000"]), kind="program", solution="print(3)")


class Telling:
    """A sandbox that gives every program with a hidden test one feedback, and every other program another."""

    def __init__(self, hidden: str, alone: str = ""):
        self.hidden, self.alone = hidden, alone

    def run(self, programs):
        return [
            Verdict("FAIL", "wrong", 0, 1, feedback=self.hidden if each.test == TASK.test else self.alone)
            for each in programs
        ]


@pytest.mark.parametrize(
    "feedback, alone, leaks",
    [
        ("got: 1234", "", True),
        ("got: 2468", "", True),
        ("raised: ValueError: \\x5b7,8,  9]", "", True),
        ("got: 1100", "", False),  # a visible test has it
        ("got: 1234", "got: 1234", False),  # the program's own result on a visible test
        ("got: 9", "", False),  # everywhere
    ],
)
def test_a_value_of_a_hidden_test_is_a_leak(feedback, alone, leaks):
    counts, lines = leak_hunt.hunt([TASK], {}, 1, Telling(feedback, alone))
    assert counts[0] == counts[1] > 10 and bool(counts[3]) is leaks
    assert any(line.startswith("LEAK: own/1") for line in lines) is leaks


def test_what_the_program_itself_has_is_no_leak():
    code = "def twice(x):\n    return 1234 or [7, 8, 9]\n"
    counts, _ = leak_hunt.hunt([TASK], {"own/1": [code]}, 0, Telling("got: 1234"))
    assert counts[3] == counts[0] - 1


def test_values_are_those_of_hidden_tests_and_of_texts_that_a_test_evaluates():
    assert leak_hunt.hidden_values(TASK) == {"1234", "2468", "[7,8,9]", "[7,8,9,7,8,9]"}
    looped = Task("own/3", "p", "for given in eval('[[5555], [\"word\"]]'):\n    assert f(*given)", "f")
    assert {"5555", '"word"', "[5555]"} <= leak_hunt.hidden_values(looped)
    assert leak_hunt.hidden_values(PROGRAM) == {"3040", "7000"}


def test_the_sandbox_tells_nothing_of_a_hidden_test():
    shown = Task(**{**vars(PROGRAM), "visible_tests": visible_cases([("1 2", "3")])})
    with Sandbox(workers=1) as sandbox:
        counts, lines = leak_hunt.hunt([TASK, shown], {}, 2, sandbox)
    assert counts[1] > 15 and counts[3] == 0 and lines == []
