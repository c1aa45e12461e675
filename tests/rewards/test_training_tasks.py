"""Which tasks a run trains on, without what is like a reported benchmark; what is held out has no sign of them."""

from dataclasses import replace

import pytest

from helpers.run_examples import choice
from raccoon.constants import InputError
from raccoon.published.benchmarks import load_benchmark, load_training_tasks
from raccoon.published.contamination import find_overlap
from raccoon.records import Program, Verdict
from raccoon.rewards.kept_verdicts import kept_verdicts
from raccoon.rewards.training_tasks import (
    decontaminated,
    load_tasks,
    refuses_stub,
    strong_tasks,
    unseen_tasks,
    weak_tasks,
    worth_training_on,
)
from raccoon.runs.heldout import Heldout
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import Task, write_task_file
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


def test_tasks_like_those_of_a_reported_task_file_are_left_out(tmp_path):
    write_task_file(tmp_path / "reported.jsonl", [OWN])
    other = replace(OWN, task_id="own/9", prompt="Something else.", test="assert more(8) == 9", solution="")
    assert choice(files=["own.jsonl"], reported=[str(tmp_path / "reported.jsonl")]).reported
    assert decontaminated([OWN, other], [str(tmp_path / "reported.jsonl")], "") == [other]


def profiled(task_id: str, *scores: float) -> dict:
    rate = scores.count(1.0) / len(scores)
    return {"task_id": task_id, "samples": len(scores), "pass_rate": rate, "correctness": list(scores)}


def test_a_profile_without_a_useful_task_is_refused_whatever_share_is_allowed():
    tasks = [replace(OWN, task_id=name) for name in ("never", "some", "always")]
    profile = [profiled("never", -0.5, -0.5), profiled("some", 1.0, -0.5), profiled("always", 1.0, 1.0)]
    chosen = choice(files=["own.jsonl"], max_constant_share=1.0)
    assert [task.task_id for task in worth_training_on(tasks, profile, chosen, 4)] == ["some"]
    with pytest.raises(InputError, match="the profile finds no task to train on"):
        worth_training_on(tasks, profile[:1], chosen, 4)


def test_only_what_is_named_is_trained_on(tmp_path):
    write_task_file(tmp_path / "own.jsonl", [OWN])
    with Sandbox(workers=1) as sandbox:
        found = load_tasks(choice(files=[str(tmp_path / "own.jsonl")]), Heldout("", 1, 1, 0.0, 0), sandbox)
    assert found == ([OWN], [])


def test_no_task_and_no_such_benchmark_are_refused():
    with pytest.raises(InputError, match="no task to train on: TRAINING_SETS"):
        choice()
    with pytest.raises(InputError, match="no benchmark 'humanevil'; choose from"):
        choice(sets=["humanevil"])
    with pytest.raises(InputError, match="STRENGTHEN cannot use SANDBOX_URLS"):
        choice(files=["own.jsonl"], new_tests="new.jsonl", servers=True)


def test_a_file_that_cannot_be_read_is_named_with_its_constant_before_any_task_runs(tmp_path):
    write_task_file(tmp_path / "own.jsonl", [OWN])
    (tmp_path / "bad.jsonl").write_text("{\n")
    good, bad, absent, sandbox = (str(tmp_path / name) for name in ("own.jsonl", "bad.jsonl", "absent.jsonl", ""))
    for files, heldout, words in (
        ([absent], good, "^TRAIN_FILES: no task file .*does not exist"),
        ([sandbox], good, "^TRAIN_FILES: no task file .*is a folder"),
        ([good], absent, "^HELDOUT: no task file"),
        ([good], bad, "^HELDOUT: .*bad.jsonl, line 1"),
        ([good, good], good, "^TRAIN_FILES: .*own.jsonl: other tasks have the same task_id, like own/1"),
        ([good], "humanevil", "^HELDOUT: no benchmark or task file 'humanevil'; choose from"),
    ):
        with pytest.raises(InputError, match=words):
            load_tasks(choice(files=files), Heldout(heldout, 5, 1, 0.0, 0), sandbox=None)  # none is needed


SHOWN = replace(OWN, task_id="own/2", visible_tests="assert more(5) == 6")
UNKNOWN = replace(OWN, task_id="own/3", visible_tests="assert more(7) == 8")


def loaded(tmp_path, heldout: list[Task], **changes):
    """(what load_tasks finds, the tests that it runs) for the tasks OWN and SHOWN, and a file of held-out tasks."""
    write_task_file(tmp_path / "own.jsonl", [OWN, SHOWN])
    write_task_file(tmp_path / "held.jsonl", heldout)
    ran: list[str] = []
    with Sandbox(workers=1) as sandbox:
        stream = sandbox.stream

        def watched(programs):
            programs = list(programs)
            ran.extend(program.test for program in programs)
            return stream(programs)

        sandbox.stream = watched
        watch = Heldout(str(tmp_path / "held.jsonl"), 5, 1, 0.0, 0)
        found = load_tasks(choice(files=[str(tmp_path / "own.jsonl")], **changes), watch, sandbox)
    return found, ran


def test_visible_tests_are_checked_only_where_they_are_shown(tmp_path):
    other = replace(UNKNOWN, test="assert more(8) == 9", prompt="Something else, of which nothing is known here.")
    (_, watched), once = loaded(tmp_path, [other])
    assert watched == [other] and once == [OWN.test, SHOWN.test, other.test]
    with pytest.raises(InputError, match=r"own/3 \(neither its test nor its prompt has 'assert more\(7\) == 8'"):
        loaded(tmp_path, [other], visible_tests=True)
    _, twice = loaded(tmp_path, [replace(other, visible_tests="")], visible_tests=True)
    assert twice == [*once, SHOWN.visible_tests]


STRONG = [
    "assert more(1) == 2",
    "x = more(1)\nassert x == 2",
    "for i in range(3):\n    assert more(i) == i + 1",
    "def check(f):\n    assert f(1) == 2\ncheck(more)",
]
WEAK = ['assert (more(1) == 2, "msg")', "more(1) == 2", "print(more(1))", "assert more(1) == None or True"]


@pytest.mark.parametrize("entry_point", ["more", ""])
def test_tasks_whose_test_cannot_fail_are_refused_or_left_out(capsys, entry_point):
    tasks = [replace(OWN, task_id=f"t/{i}", test=test) for i, test in enumerate(STRONG + WEAK)]
    tasks = [replace(task, entry_point=entry_point) for task in tasks]
    weak = [task.task_id for task in tasks[len(STRONG) :]]
    with Sandbox(workers=1) as sandbox:
        assert weak_tasks(tasks, sandbox) == weak
        with pytest.raises(InputError, match=r"4 of 8 tasks have a test that cannot fail.*: t/4, t/5,.*skip-failing"):
            strong_tasks(tasks, sandbox, set(), skip=False)
        assert strong_tasks(tasks, sandbox, set(), skip=True) == tasks[: len(STRONG)]
        assert strong_tasks(tasks, sandbox, set(weak), skip=False) == tasks[: len(STRONG)]
        assert "left out 4 tasks whose test cannot fail: t/4, t/5" in capsys.readouterr().out
        with pytest.raises(InputError, match="4 of 4 tasks"):
            strong_tasks(tasks[len(STRONG) :], sandbox, set(), skip=True)


def test_only_doubtful_tests_are_run_with_a_stub():
    """The check would else take as long as that of the solutions."""
    assert [refuses_stub(replace(OWN, test=test)) for test in STRONG] == [True, False, False, False]
    assert not any(refuses_stub(replace(OWN, test=test)) for test in WEAK)
    assert not refuses_stub(replace(OWN, test="assert more(1) == None"))
    assert not refuses_stub(replace(OWN, test="assert isinstance(more(1), int) == False"))


def test_a_second_run_checks_no_task_again_that_is_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NANO_RACCOON_CACHE", str(tmp_path))
    good, wrong = (Program("def f():\n    return 1\n", f"assert f() == {n}\n", "f") for n in (1, 2))
    with Sandbox(1) as sandbox:
        first = kept_verdicts([good, wrong], sandbox, "two")
        monkeypatch.setattr(sandbox, "stream", lambda programs: [Verdict.of("no code") for _ in programs])
        assert kept_verdicts([good, wrong], sandbox, "two") == first
        assert [verdict.status for verdict in first] == ["PASS", "PARTIAL"]
        other = replace(good, test="assert f() in (1, 3)\n")
        assert kept_verdicts([good, other], sandbox, "both")[1].reason == "no code"  # another test: asked again
        assert "checking both: 1 programs run; 1 are known" in capsys.readouterr().out
        sandbox.timeout += 1
        assert {verdict.reason for verdict in kept_verdicts([good, wrong], sandbox, "two")} == {"no code"}


def test_a_cache_that_cannot_be_written_or_is_damaged_costs_nothing_but_time(tmp_path, monkeypatch):
    program = Program("def f():\n    return 1\n", "assert f() == 1\n", "f")
    (tmp_path / "verdicts.jsonl").write_text("{\n[]\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "verdicts.jsonl").symlink_to("/dev/full")  # a disk without space
    for folder in (str(tmp_path), "/proc/nowhere", "", str(tmp_path / "full")):
        monkeypatch.setenv("NANO_RACCOON_CACHE", folder)
        with Sandbox(1) as sandbox:
            assert kept_verdicts([program], sandbox, "one")[0].status == "PASS"
