"""Records: what a foreign line does to a file of them, and its form at the end."""

import json

import pytest

from raccoon.constants import InputError
from raccoon.evaluation.grading import Record, RecordFile, fingerprint_of
from raccoon.records import Verdict
from raccoon.tasks.task import Task

PASS = Verdict("PASS", "pass", 2, 2, 0.1, "separate")


def record(task_id="a", sample=0, verdict=PASS, truncated=False, code="x = 1", generated_by="g"):
    return Record(task_id, sample, "prompt", "completion", code, truncated, verdict, generated_by, "v")


def test_a_record_survives_the_file_whatever_it_holds(tmp_path):
    file = RecordFile(tmp_path / "model" / "b.jsonl")
    odd = [
        record("a", code="\ud800 lone surrogate"),
        record("b", code="line\u2028\x00\r\nend"),
        record("c", verdict=Verdict("FAIL", "exception: \u2603", 0, 1, 0.5, "shared", "tail\n")),
    ]
    file.add(odd)
    assert list(file.load().values()) == odd


def test_the_last_record_of_a_sample_counts(tmp_path):
    file = RecordFile(tmp_path / "b.jsonl")
    infra = Verdict("INFRA", "infra: a judge has ended", 0, 0, 0.0, "separate")
    file.add([record(verdict=infra)])
    file.add([record()])
    assert file.load()["a", 0].passed


@pytest.mark.parametrize("line", ["{}", "[]", '{"task_id": "a"}', '{"outcome": "pass", "verdict": 3}'])
def test_a_foreign_line_is_named(tmp_path, line):
    file = RecordFile(tmp_path / "b.jsonl")
    file.add([record("a")])
    file.path.write_text(file.path.read_text() + line + "\n")
    with pytest.raises(InputError, match="b.jsonl, line 2.* delete"):
        file.load()


def test_the_finished_file_is_in_the_benchmarks_order_and_solutions_run_by_themselves(tmp_path):
    file = RecordFile(tmp_path / "b.sampled.jsonl")
    tasks = [Task("b", "p", "t", context="import math\n"), Task("a", "p", "t")]
    file.add([record("a", 1), record("of a larger run"), record("a", 0), record("b", code="y = math.pi")])
    file.finish(tasks, file.load(), {("b", 0), ("a", 0), ("a", 1)})
    assert list(file.load()) == [("b", 0), ("a", 0), ("a", 1), ("of a larger run", 0)]
    rows = [json.loads(line) for line in (tmp_path / "b.sampled.solutions.jsonl").read_text().splitlines()]
    assert [row["task_id"] for row in rows] == ["b", "a", "a"]
    assert set(rows[0]) == {"task_id", "solution"}
    exec(rows[0]["solution"], namespace := {})
    assert namespace["y"] > 3


def test_a_whole_program_is_written_as_it_is(tmp_path):
    file, task = RecordFile(tmp_path / "b.jsonl"), Task("a", "p", "t", context="import math\n")
    file.add([record("a", 0, code="y = 1"), record("a", 1, code="y = 2"), record("a", 2, code="import math\ny = 3")])
    file.finish([task], file.load(), {("a", 0), ("a", 1), ("a", 2)}, alone={("a", 0)})
    rows = [json.loads(line)["solution"] for line in (tmp_path / "b.solutions.jsonl").read_text().splitlines()]
    assert rows == ["y = 1", "import math\n\n\ny = 2", "import math\ny = 3"]


@pytest.mark.parametrize(
    "status, reason, truncated, outcome",
    [
        ("PASS", "pass", False, "pass"),
        ("PASS", "pass", True, "pass"),
        ("PARTIAL", "wrong: 1 of 2", False, "wrong"),
        ("FAIL", "syntax: line 1", True, "truncated"),
        ("FAIL", "no code", False, "no code"),
        ("FAIL", "timeout: 10 s", False, "timeout"),
        ("INFRA", "infra: a judge has ended", True, "infra"),
    ],
)
def test_the_outcome_of_a_record(status, reason, truncated, outcome):
    assert record(verdict=Verdict(status, reason, 0, 1, 0.0, "separate"), truncated=truncated).outcome == outcome


def test_digests_tell_lists_apart():
    assert fingerprint_of("ab", "c") != fingerprint_of("a", "bc") and fingerprint_of("a") != fingerprint_of("a", "")
