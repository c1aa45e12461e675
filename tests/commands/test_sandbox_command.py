"""What sandbox.py says on stderr about programs without a verdict."""

import sandbox
from raccoon.records import Verdict, infra_cause


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
