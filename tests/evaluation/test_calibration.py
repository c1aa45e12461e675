"""Calibration: what gold and stub say about a benchmark on this machine."""

from dataclasses import replace

import pytest

from raccoon.constants import InputError
from raccoon.evaluation.grading import Record
from raccoon.evaluation.task_sets import WEAK_TESTS, Calibration, Limits, TaskSet
from raccoon.records import Verdict
from raccoon.tasks.task import Task

VERDICTS = {"pass": ("PASS", "pass"), "wrong": ("PARTIAL", "wrong: 0 of 1"), "infra": ("INFRA", "infra: lost")}


def record(task_id, kind, seconds=0.1, output=""):
    status, reason = VERDICTS.get(kind) or ("FAIL", kind)
    return Record(task_id, 0, "", "", "", False, Verdict(status, reason, 0, 1, seconds, "separate", output), "", "")


def found(gold, stub=None, tasks=None, seconds=None):
    tasks = [Task(name, "p", "t") for name in (tasks or gold)]
    stub = {task.task_id: "wrong" for task in tasks} | (stub or {})
    golds = {n: record(n, kind, (seconds or {}).get(n, 0.1)) for n, kind in gold.items()}
    return calibrated(tasks, golds, {n: record(n, kind) for n, kind in stub.items()})


def calibrated(tasks, gold, stub):
    calibration = Calibration(TaskSet("b", tasks, frozenset()), gold, stub, Limits(9.0, 60.0))
    calibration.check()
    return calibration


def test_a_gold_that_fails_is_excluded_with_its_cause():
    calibration = found({"a": "pass", "b": "timeout: 60 s", "c": "exception: ImportError: No module named 'nltk'"})
    assert calibration.excluded == {"b", "c"}
    assert calibration.gold_failed == {"b": "slower than 60 s", "c": "not installed: nltk"}
    assert calibration.summary == "b: gold 1/3, stub 0/3; left out of the score: 2 tasks"
    assert calibration.details == ["gold fails on 1, slower than 60 s: b", "gold fails on 1, not installed: nltk: c"]


def test_a_stub_that_passes_is_an_error_that_names_it():
    with pytest.raises(InputError, match=r"passes the tests of b \(1 of 2 tasks\)"):
        found({"a": "pass", "b": "pass"}, stub={"b": "pass"})


def test_a_test_known_to_be_weak_is_left_out_and_listed():
    weak = WEAK_TESTS[0]
    calibration = found({"a": "pass", weak: "pass"}, stub={weak: "pass"})
    assert calibration.excluded == {weak} and calibration.details == [f"the stub passes on 1, weak tests: {weak}"]


def test_tasks_without_a_solution_are_counted_as_uncalibrated_and_kept():
    calibration = found({"a": "pass"}, tasks=["a", "b"])
    assert calibration.uncalibrated == ["b"] and calibration.excluded == set()
    assert calibration.details == ["scored without a solution to calibrate with: 1 task"]
    assert found({}, tasks=["a"]).counts == ("0/0", "0/1"), "a benchmark without any solution can still be scored"


def test_a_machine_on_which_no_gold_passes_gives_no_score():
    with pytest.raises(InputError, match="no gold solution passes"):
        found({"a": "wrong", "b": "wrong"})


def test_what_the_sandbox_cannot_grade_is_excluded():
    calibration = found({"a": "pass", "b": "infra", "c": "pass"}, stub={"c": "infra"})
    assert calibration.excluded == {"b", "c"} and calibration.counts[0] == "2/3"


def test_the_numbers_in_the_text_add_up():
    """Gold fails on as many as the details say, and every task that is left out is counted once."""
    weak = WEAK_TESTS[0]
    calibration = found(
        {"a": "pass", "b": "wrong", "c": "infra", "d": "pass", weak: "wrong"},
        stub={"b": "infra", "c": "infra", "d": "infra", "e": "infra", weak: "pass"},
        tasks=["a", "b", "c", "d", "e", "f", weak],
    )
    assert calibration.summary == "b: gold 2/5, stub 1/7; left out of the score: 5 tasks"
    assert calibration.details == [
        f"gold fails on 2, wrong: 0 of 1: b {weak}",
        "gold fails on 1, infra: lost: c",
        "the stub has no verdict on 2, infra: lost: d e",
        "scored without a solution to calibrate with: 1 task",
    ]


def test_slow_gold_is_noted():
    assert found({"a": "pass", "b": "pass"}, seconds={"b": 3.5}).slow == {"b"}


@pytest.mark.parametrize(
    "reason, output, cause",
    [
        ("exception: ModuleNotFoundError: No module named 'sklearn.svm'", "", "not installed: sklearn.svm"),
        ("infra: the test of a/1 needs psutil, not installed here", "", "not installed: psutil"),
        (
            "exception: LookupError: Resource 'corpora/stopwords' not found",
            "Please use nltk.download('stopwords')",
            "NLTK data is missing",
        ),
        ("exception: URLError: <urlopen error>", "", "the network is needed"),
        ("wrong: 0 of 3", "socket.gaierror: [Errno -3]", "the network is needed"),
        (
            "exception: FileNotFoundError: [Errno 2] No such file or directory: 'python'",
            "",
            "a program on PATH is needed: python",
        ),
        ("memory: 1024 MB", "", "more memory than the sandbox gives"),
        ("wrong: 4 of 5 tests", "", "wrong: 4 of 5 tests"),
    ],
)
def test_causes_name_what_is_missing(reason, output, cause):
    assert found({}, tasks=["a"]).cause(record("a", reason, output=output)) == cause


@pytest.mark.parametrize(
    "gold, stub, shared",
    [
        ("separate", "separate", set()),
        ("shared", "separate", {"a"}),
        ("separate", "shared", set()),
        (None, "shared", {"a"}),
        (None, "separate", set()),
    ],
)
def test_the_isolation_of_a_task_is_that_of_its_gold_or_else_of_its_stub(gold, stub, shared):
    def one(kind: str, isolation: str) -> dict:
        found = record("a", kind)
        return {"a": replace(found, verdict=replace(found.verdict, isolation=isolation))}

    golds = one("pass", gold) if gold else {}
    assert calibrated([Task("a", "p", "t")], golds, one("wrong", stub)).shared == shared
