"""Tests of the task templates: what the split keeps apart, and what the test programs refuse."""

import ast
import random
from dataclasses import replace

import pytest

from raccoon.constants import InputError
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks import templates
from raccoon.tasks.task import Task


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return templates.generate_tasks(300, seed=5) + templates.generate_tasks(150, seed=5, split="heldout")


def kind_of(task: Task) -> str:
    return "/".join(task.task_id.split("/")[:2])


def asserts(task: Task) -> list[tuple[str, str]]:
    """(argument, answer) of each assert of a task's test."""
    comparisons = [node.test for node in ast.parse(task.test).body]
    return [(ast.unparse(c.left.args[0]), ast.unparse(c.comparators[0])) for c in comparisons]


def passes(code: str, test: str) -> bool:
    """Whether code of this file's own making passes; a model's code would need the sandbox."""
    namespace: dict = {}
    try:
        exec(code + "\n" + test, namespace)  # noqa: S102
    except (AssertionError, SyntaxError, NameError, TypeError, ValueError, IndexError):
        return False
    return True


def test_same_seed_same_tasks():
    assert templates.generate_tasks(40, seed=3) == templates.generate_tasks(40, seed=3)
    assert templates.generate_tasks(40, seed=3) != templates.generate_tasks(40, seed=4)


def test_thousands_of_distinct_tasks():
    tasks = templates.generate_tasks(2500, seed=0)
    assert len({task.task_id for task in tasks}) == 2500
    assert len({(task.prompt, task.test) for task in tasks}) == 2500


def test_heldout_kinds_are_in_no_training_task(tasks):
    used = {split: {kind_of(t) for t in tasks if t.split == split} for split in ("train", "heldout")}
    assert used["train"] and used["heldout"] and not used["train"] & used["heldout"]
    train, heldout = templates.kinds("train"), templates.kinds("heldout")
    assert 0.12 < len(heldout) / (len(train) + len(heldout)) < 0.18
    for part in templates.PARTS:
        trained = {(kind.domain.name, getattr(kind, part).name) for kind in train}
        assert {(kind.domain.name, getattr(kind, part).name) for kind in heldout} <= trained


def test_split_of_a_kind_is_fixed():
    """A kind that changes sides would put held-out tasks of old runs into new training sets."""
    heldout = {kind.name for kind in templates.kinds("heldout")}
    assert {"ints/positive-same-product", "chars/vowel-same-count", "words/longer-same-list"} <= heldout
    assert not {"ints/positive-same-sum", "ints/positive-same-largest"} & heldout


def test_no_more_tasks_than_exist():
    with pytest.raises(InputError, match="cannot make 1000000 distinct train tasks.*at most"):
        templates.generate_tasks(10**6, seed=0)
    with pytest.raises(InputError, match="cannot make 1 distinct test tasks"):
        templates.generate_tasks(1, seed=0, split="test")


def test_kinds_and_constants_of_tasks_are_distinct_and_spread():
    tasks = templates.generate_tasks(1500, seed=1)
    assert len({kind_of(task) for task in tasks}) == 1500


def test_each_test_asks_for_many_answers_and_begins_with_nothing(tasks):
    for task in tasks:
        pairs = asserts(task)
        assert pairs[0][0] in ("[]", "''")
        assert len({answer for _, answer in pairs}) >= templates.MIN_ANSWERS
        assert any(argument != answer for argument, answer in pairs)


def test_references_pass_and_stubs_fail(tasks):
    for task in tasks:
        header = f"def {task.entry_point}(x): return "
        assert passes(task.solution, task.test)
        for answer in {"None", "x", "[]", "''", "0", *(answer for _, answer in asserts(task))}:
            assert not passes(header + answer, task.test), (task.task_id, answer)


def test_references_and_stubs_in_the_sandbox(tasks):
    sample = random.Random(0).sample(tasks, 8)
    with Sandbox(workers=2) as sandbox:
        gold = sandbox.run([Program(t.solution, t.test, t.entry_point) for t in sample])
        stub = sandbox.run([Program(f"def {t.entry_point}(x): pass", t.test, t.entry_point) for t in sample])
    assert [verdict.status for verdict in gold] == ["PASS"] * 8
    assert [verdict.status for verdict in stub] == ["PARTIAL"] * 8


def test_solutions_have_docstring_hints_and_short_lines(tasks):
    for task in tasks:
        function = ast.parse(task.solution).body[0]
        assert function.name == task.entry_point and ast.get_docstring(function)
        assert function.returns and function.args.args[0].annotation
        assert max(map(len, task.solution.splitlines())) < 110


def test_nearly_every_mistake_is_refuted():
    """Those that stand are no mistakes in their place, like lower for upper case of digits."""
    rng = random.Random(0)
    refuted: dict[str, list[bool]] = {}
    for kind in rng.sample(templates.kinds("train"), 600):
        problem = templates.put_in_words(kind, rng.choice(kind.instances()), rng)
        if not (task := templates.make_task(problem, rng)):
            continue
        for part in templates.PARTS:
            mistaken = templates.write_solution(replace(problem, kind=templates.mistake_in(kind, part)))
            name = f"{kind.domain.name} {part} {getattr(kind, part).name}"
            refuted.setdefault(name, []).append(not passes(mistaken, task.test))
    outcomes = [outcome for outcomes in refuted.values() for outcome in outcomes]
    assert sum(outcomes) / len(outcomes) > 0.9
    assert [name for name, outcomes in refuted.items() if not any(outcomes)] == []


def test_teacher_is_right_in_a_minority_and_repeats_itself():
    rng, right, runs = random.Random(0), 0, 0
    train = templates.kinds("train")
    for number in range(400):
        problem = templates.random_problem(train, rng)
        task = templates.make_task(problem, rng)
        code = templates.teacher_solution(problem, random.Random(number))
        assert code == templates.teacher_solution(problem, random.Random(number))
        if task:
            runs += 1
            right += passes(code, task.test)
    assert 0.3 < right / runs < 0.5


def test_a_teacher_without_faults_writes_the_reference(monkeypatch):
    for rate in ("MISCONCEPTION_RATE", "SLIP_RATE", "BROKEN_RATE"):
        monkeypatch.setattr(templates, rate, 0.0)
    for rate in ("DOCSTRING_RATE", "TYPE_HINT_RATE"):
        monkeypatch.setattr(templates, rate, 1.0)
    rng = random.Random(0)
    for _ in range(50):
        problem = templates.random_problem(templates.kinds("train"), rng)
        assert templates.teacher_solution(problem, rng) == templates.write_solution(problem)


def test_component_names_are_distinct_and_mistakes_differ():
    for domain in templates.DOMAINS:
        for table in domain.tables:
            assert len({component.name for component in table}) == len(table)
            assert len({component.phrase for component in table}) == len(table)
            assert all(component.code != component.mistake for component in table)


def test_fresh_inputs_are_of_the_kind_of_the_task(tasks):
    for task in tasks[::30]:
        inputs = templates.fresh_inputs(task.task_id, 5, seed=1)
        assert len(inputs) == 5 and inputs == templates.fresh_inputs(task.task_id, 5, seed=1)
        assert {type(value) for value in inputs} == {type(ast.literal_eval(asserts(task)[0][0]))}
    for other in ("HumanEval/1", "", "ints/a-b-c", "words/longer-same-list/k=x", tasks[0].task_id + "/k=1"):
        assert templates.fresh_inputs(other, 5, seed=1) == []
