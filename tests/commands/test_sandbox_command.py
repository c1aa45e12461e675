"""What sandbox.py reads, and what it says on stderr about programs without a verdict."""

import io
import json

import pytest

import sandbox
from raccoon.records import MIN_FEEDBACK, Verdict, infra_cause
from raccoon.serving.lines import checked_program


def said(*verdicts: tuple[str, str, str]) -> list[str]:
    counts = sandbox.Ungraded()
    for task_id, status, reason in verdicts:
        counts.note(task_id, Verdict(status, reason, 0, 1, 0.1, "separate"))
    return counts.lines()


def test_nothing_is_said_where_every_program_has_a_verdict():
    assert said(("a", "PASS", "pass"), ("a", "FAIL", "timeout: 10 s")) == []


def test_infra_is_counted_by_cause_and_named_where_the_code_may_decide_it():
    lines = said(
        ("a", "INFRA", "infra: the test of a raises KeyError: 5"),
        ("a", "PASS", "pass"),
        ("b", "INFRA", "infra: the test of b raises KeyError: 6"),
        ("b", "INFRA", "infra: lost"),
        ("c", "INFRA", f"{sandbox.MALFORMED} 7: not JSON"),
        ("c", "PASS", "pass"),
    )
    assert lines[0] == "4 INFRA: the test raises KeyError (2), lost (1), malformed line N (1)"
    assert lines[1].endswith("the code may decide it: a") and len(lines) == 2


def test_a_cause_has_no_details():
    for reason in ("infra: a sandbox process was lost ([Errno 104] reset)", "infra: a sandbox process was lost (EOF)"):
        assert infra_cause(reason, "a b/1") == "a sandbox process was lost"
    assert infra_cause("infra: the cases of a b/1 need 3 texts", "a b/1") == "the cases need N texts"
    assert infra_cause("infra: lost", "") == "lost"


LINE = {
    "task_id": "a",
    "code": "def f(x):\n    return x\n",
    "test": "assert f(1) == 2\nassert f(2) == 3\n",
    "entry_point": "f",
}


def verdict_lines(monkeypatch, capsys, *lines: dict) -> list[dict]:
    given = "".join(json.dumps(line) + "\n" for line in lines).encode()
    monkeypatch.setattr(sandbox.sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    monkeypatch.setattr(sandbox.sys, "argv", ["sandbox.py", "--workers", "1"])
    assert sandbox.main() == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_verdict_line_has_feedback_where_it_is_asked_for_and_there_is_some(monkeypatch, capsys):
    asked = {"visible_tests": "assert f(1) == 2", "max_feedback": MIN_FEEDBACK}
    right = LINE | {"code": "def f(x):\n    return x + 1 if x < 2 else 0\n"}
    plain, told, silent = verdict_lines(monkeypatch, capsys, LINE, LINE | asked, right | asked)
    assert "got: 1" in told.pop("feedback")
    assert "feedback" not in plain and "feedback" not in silent
    assert plain | {"seconds": 0} == told | {"seconds": 0}


@pytest.mark.parametrize("fields", [{"max_feedback": MIN_FEEDBACK - 1}, {"max_feedback": "9"}, {"visible_tests": 1}])
def test_wrong_fields_of_feedback_are_named(fields):
    [name] = fields
    with pytest.raises(ValueError, match=name):
        checked_program(LINE | fields)
    for good in (0, None, MIN_FEEDBACK):
        assert checked_program(LINE | {"max_feedback": good, "visible_tests": None}).visible_tests == ""


def test_programs_in_a_file_and_help_where_there_are_none(monkeypatch, capsys, tmp_path):
    (tmp_path / "programs.jsonl").write_text(json.dumps(LINE) + "\n")
    monkeypatch.setattr(sandbox.sys, "argv", ["sandbox.py", str(tmp_path / "programs.jsonl"), "--workers", "1"])
    assert sandbox.main() == 0
    assert json.loads(capsys.readouterr().out)["status"] == "PARTIAL"
    monkeypatch.setattr(sandbox.sys, "argv", ["sandbox.py", str(tmp_path / "none.jsonl")])
    with pytest.raises(SystemExit, match="2"):
        sandbox.main()
    error = capsys.readouterr().err
    example = error.rpartition("lines are like ")[2]
    assert error.count("\n") == 1
    assert checked_program(json.loads(example))  # what the help shows can be judged
