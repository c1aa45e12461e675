"""Grading beside generating: the sandbox is a stand-in whose verdicts come when the test says so."""

import threading
from concurrent.futures import Future
from dataclasses import replace

import pytest

from raccoon.evaluation.engines import Completion, Slot
from raccoon.evaluation.grading import Grader, RecordFile, StrictExtractor, graded_by, grading_environment
from raccoon.records import Verdict
from raccoon.tasks.task import Task

TASKS = [Task(f"t/{i}", "p", "assert f(1) == 2", "f", context="import math\n") for i in range(3)]
LIMITS = {"t/0": 10.0, "t/1": 60.0, "t/2": 10.0}


class Bar:
    done, text = 0, ""

    def update(self, number):
        self.done += number

    def set_postfix_str(self, text, refresh):
        self.text = text


class Sandbox:
    def __init__(self):
        self.programs, self.futures = [], []

    def submit(self, program):
        self.programs.append(program)
        self.futures.append(Future())
        return self.futures[-1]

    def answer(self, *numbers):
        for number in numbers:
            self.futures[number].set_result(
                Verdict("PASS" if number % 2 else "PARTIAL", "wrong: 0 of 1", 0, 1, 0.1, "separate")
            )


@pytest.fixture
def parts(tmp_path):
    sandbox, file, bar = Sandbox(), RecordFile(tmp_path / "b.jsonl"), Bar()
    return sandbox, file, bar, Grader(sandbox, file, LIMITS, "here", bar)


def answers(*texts):
    pairs = [(Slot(task), Completion(text, "sent")) for task, text in zip(TASKS, texts, strict=False)]
    return pairs, {request.key: f"print {request.key[0]}" for request, _ in pairs}


def test_submitting_does_not_wait_and_a_batch_is_recorded_whole(parts):
    sandbox, file, bar, grader = parts
    with grader:
        grader.submit(*answers("```python\ndef f(x):\n    return 2\n```", "nothing", "def f(x): return x"))
        sandbox.answer(0, 2)
        assert file.load() == {}, "the batch waits for its last verdict"
        sandbox.answer(1)
    records = file.load()
    assert [r.task_id for r in records.values()] == ["t/0", "t/1", "t/2"]
    assert records["t/0", 0].code == "def f(x):\n    return 2"
    assert records["t/1", 0].generated_by == "print t/1" and records["t/1", 0].prompt == "sent"
    assert (bar.done, bar.text) == (3, "pass rate 33.3%")


def test_what_was_begun_while_the_batch_was_generated_is_not_run_again(parts):
    sandbox, file, _, grader = parts
    pairs, prints = answers("x = 1", "y = 2")
    with grader:
        grader.begin(*pairs[1])
        assert [program.task_id for program in sandbox.programs] == ["t/1"]
        grader.submit(pairs, prints)
        sandbox.answer(0, 1)
    assert [program.task_id for program in sandbox.programs] == ["t/1", "t/0"]
    assert [(r.task_id, r.code) for r in file.load().values()] == [("t/0", "x = 1"), ("t/1", "y = 2")]


def test_programs_carry_their_tasks_limits_and_context(parts):
    sandbox, _, _, grader = parts
    with grader:
        grader.submit(*answers("x", "y"))
        sandbox.answer(0, 1)
    first, second = sandbox.programs
    assert (first.timeout, second.timeout) == (10.0, 60.0)
    assert (first.context, first.test, first.entry_point, first.task_id) == (
        "import math\n",
        "assert f(1) == 2",
        "f",
        "t/0",
    )


def test_a_solution_is_run_as_it_is_and_a_completion_with_its_prompts_context(parts):
    sandbox, _, _, grader = parts
    pairs = [
        (Slot(TASKS[0]), Completion("x = 1", "", code="x = 1", alone=True)),
        (Slot(TASKS[1]), Completion("x = 1", "")),
    ]
    with grader:
        grader.submit(pairs, {request.key: "" for request, _ in pairs})
        sandbox.answer(0, 1)
    assert {program.code for program in sandbox.programs} == {"x = 1"}
    assert [program.context for program in sandbox.programs] == ["", "import math\n"]


@pytest.mark.parametrize("source", ["livecodebench", "apps", "taco", "leetcode", "leetcode_train"])
def test_context_that_the_sets_own_judge_adds_stands_before_a_solution_too(parts, source):
    sandbox, _, _, grader = parts
    request = Slot(replace(TASKS[0], source=source))
    with grader:
        grader.submit([(request, Completion("x = 1", "", code="x = 1", alone=True))], {request.key: ""})
        sandbox.answer(0)
    assert [program.context for program in sandbox.programs] == ["import math\n"]


def test_strict_grading_cuts_nothing_and_is_another_environment(parts):
    sandbox, file, bar, _ = parts
    task = Task("t/0", "Do.\n\n```python\ndef f(x):\n```\n", "assert f(1) == 2", "f")
    text = "    return 2\n\nIt is two.<|endoftext|>"
    with Grader(sandbox, file, LIMITS, "here", bar, StrictExtractor()) as grader:
        grader.begin(Slot(task), Completion(text, ""))
        grader.submit([(Slot(task), Completion(text, ""))], {("t/0", 0): ""})
        sandbox.answer(0)
    assert [program.code for program in sandbox.programs] == ["def f(x):\n" + text]
    assert grading_environment("strict") != grading_environment()


def test_what_was_generated_is_recorded_when_the_caller_is_interrupted(parts):
    sandbox, file, _, grader = parts
    with pytest.raises(KeyboardInterrupt), grader:
        grader.submit(*answers("x"))
        threading.Timer(0.2, sandbox.answer, (0,)).start()
        raise KeyboardInterrupt
    assert len(file.load()) == 1


def test_a_failing_sandbox_is_not_taken_for_a_wrong_answer(parts):
    sandbox, file, _, grader = parts
    with pytest.raises(OSError, match="gone"), grader:
        grader.submit(*answers("x"))
        sandbox.futures[0].set_exception(OSError("the sandbox is gone"))
    assert file.load() == {}


def test_a_verdict_depends_on_the_test_the_limit_and_the_machine():
    task, environment = TASKS[0], grading_environment()
    assert environment == grading_environment()
    changed = [Task("t/0", "p", "assert f(2) == 3", "f"), Task("t/0", "p", task.test, "g", context=task.context)]
    prints = {
        graded_by(task, 10.0, environment),
        graded_by(task, 60.0, environment),
        graded_by(task, 10.0, "other"),
        *(graded_by(other, 10.0, environment) for other in changed),
    }
    assert len(prints) == 5
    other_prompt = Task("t/0", "another prompt", task.test, "f", context=task.context)
    assert graded_by(other_prompt, 10.0, "x") == graded_by(task, 10.0, "x")
