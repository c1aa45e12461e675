"""Scores from records, and the two files that hold them."""

import json
from dataclasses import replace

import pytest

from raccoon.evaluation.engines import Completion, Turn
from raccoon.evaluation.grading import OUTCOMES, Record
from raccoon.evaluation.report import comparison_md
from raccoon.evaluation.results import compare_all, make_score, results_json
from raccoon.evaluation.subjects import Control
from raccoon.evaluation.task_sets import Calibration, Limits, TaskSet
from raccoon.published.contamination import Badge
from raccoon.records import Verdict
from raccoon.statistics import wilson_interval
from raccoon.tasks.task import Task

VERDICTS = {
    "pass": ("PASS", "pass"),
    "wrong": ("PARTIAL", "wrong: 1 of 2"),
    "infra": ("INFRA", "infra: lost"),
    "no code": ("FAIL", "no code"),
    "syntax": ("FAIL", "syntax: line 1"),
    "timeout": ("FAIL", "timeout: 10 s"),
}
TASKS = [Task(f"t/{i}", "p", "t") for i in range(4)]


def record(number: int, status: str, reason: str, isolation: str = "separate", sample: int = 0, truncated=False):
    passed = {"PASS": 2, "PARTIAL": 1}.get(status, 0)
    verdict = Verdict(status, reason, passed, 2, 0.1, isolation)
    return Record(f"t/{number}", sample, "", "", "", truncated, verdict, "", "")


def calibration_of(tasks, of=4, gold=()):
    """Gold passes all tasks of a benchmark with `of` tasks, except those with another record in `gold`."""
    records = {task.task_id: record(int(task.task_id[2:]), "PASS", "pass") for task in tasks} | dict(gold)
    task_set = TaskSet("b", tasks, frozenset(f"t/{i}" for i in range(of)))
    return Calibration(task_set, records, {}, Limits(10.0, 60.0))


NO_NLTK = {"t/3": record(3, "FAIL", "exception: No module named 'nltk'")}
CALIBRATION = calibration_of(TASKS, gold=NO_NLTK)
UNSEEN = Badge("unseen", {})


class Subject:
    turns, costly, ignores_seeds = 1, True, False

    def __init__(self, name, path=None):
        self.name, self.path, self.control = name, name if path is None else path, path == ""


def score(outcomes, name="m", calibration=CALIBRATION, badge=UNSEEN, mode="greedy", path=None, **more):
    """outcomes: task number -> the outcomes of its samples."""
    records = [
        record(i, *VERDICTS.get(kind, VERDICTS["syntax"]), sample=sample, truncated=kind == "truncated")
        for i, kinds in outcomes.items()
        for sample, kind in enumerate(kinds)
    ]
    return make_score(Subject(name, path), mode, records, calibration, badge, **more)


def test_both_numbers_are_given_with_and_without_excluded_tasks():
    row = score({0: ["pass"], 1: ["wrong"], 2: ["pass"], 3: ["wrong"]}).as_row()
    assert (row["n"], row["passed"], row["pass@1"]) == (3, 2, pytest.approx(2 / 3))
    assert row["with_excluded"] == {"n": 4, "passed": 2, "pass@1": 0.5}


def test_the_controls_are_scored_on_every_task():
    assert make_score(Control("gold"), "greedy", [], CALIBRATION, UNSEEN).n == 0
    row = score({i: ["wrong" if i == 3 else "pass"] for i in range(4)}, name="gold", path="").as_row()
    assert (row["n"], row["passed"]) == (4, 3)


def test_infra_is_counted_and_never_scored():
    row = score({0: ["pass"], 1: ["infra"], 2: ["wrong"]}).as_row()
    assert (row["n"], row["passed"], row["infra"], row["missing"]) == (2, 1, 1, 1)


def test_every_outcome_has_its_column():
    row = score({0: ["pass", "wrong", "no code"], 1: ["syntax", "timeout", "truncated"], 2: ["infra"]}).as_row()
    assert list(row["outcomes"]) == list(OUTCOMES)
    assert {name: n for name, n in row["outcomes"].items() if n} == dict.fromkeys(
        ("pass", "wrong", "no code", "syntax", "timeout", "truncated", "infra"), 1
    )
    assert row["truncated"] == 1


def test_pass_at_k_needs_k_samples_of_every_task():
    ten = {0: ["pass"] * 5 + ["wrong"] * 5, 1: ["wrong"] * 10, 2: ["pass"] * 10}
    row = score(ten, mode="sampled").as_row()
    assert row["pass@k"] == {"1": pytest.approx(0.5), "10": pytest.approx(2 / 3)}
    assert (row["samples"], row["passed"], row["pass@1"]) == (30, 15, pytest.approx(0.5))
    assert list(score({**ten, 1: ["wrong"]}).as_row()["pass@k"]) == ["1"]


def test_pass_at_a_chosen_k():
    five = {0: ["pass"] * 2 + ["wrong"] * 3, 1: ["wrong"] * 5, 2: ["pass"] * 5}
    found = score(five, mode="sampled", pass_ks=[1, 3, 5, 6])
    assert found.as_row()["pass@k"] == {
        "1": pytest.approx(7 / 15),
        "3": pytest.approx(1.9 / 3),
        "5": pytest.approx(2 / 3),
    }
    assert "| pass@3 | pass@5 |" in comparison_md({}, [CALIBRATION], [found], [])
    report = comparison_md({}, [CALIBRATION], [score(five, mode="sampled")], [])
    assert "only 5 samples, too few for pass@10; --pass-at 1 5 gives pass@5" in report


def test_unequal_numbers_of_samples_weigh_each_task_once():
    assert score({0: ["pass"], 1: ["wrong"] * 3, 2: ["wrong"]}).as_row()["pass@1"] == pytest.approx(1 / 3)


def test_a_score_without_tasks_is_no_number():
    row = score({}).as_row()
    assert (row["n"], row["pass@1"], row["pass@k"], row["interval"]) == (0, None, {}, [0.0, 1.0])


def many(passing, name, mode="greedy", path=None):
    clean = calibration_of([Task(f"t/{i}", "p", "t") for i in range(50)], of=50)
    return score({i: ["pass" if i < passing else "wrong"] for i in range(50)}, name, clean, mode=mode, path=path)


def test_every_pair_is_compared_in_its_own_mode_and_all_are_corrected_together():
    scores = [
        many(50, "gold", path=""),
        many(10, "sft"),
        many(12, "sft", "sampled"),
        many(30, "rl"),
        many(18, "rl", "sampled"),
        many(10, "other"),
    ]
    found = [c.as_row() for c in compare_all(scores)]
    assert [(c["baseline"], c["candidate"], c["mode"]) for c in found] == [
        ("sft", "rl", "greedy"),
        ("sft", "rl", "sampled"),
        ("sft", "other", "greedy"),
        ("rl", "other", "greedy"),
    ]
    greedy, sampled, same, other = found
    assert (greedy["gained"], greedy["lost"], greedy["n"]) == (20, 0, 50)
    assert greedy["p_holm"] == 4 * greedy["p"] and greedy["distinguishable"] and other["p_holm"] == 4 * other["p"]
    assert sampled["p"] == 2 / 2**6 and sampled["p_holm"] == 2 * sampled["p"], "two are smaller"
    assert sampled["p"] < 0.05 and not sampled["distinguishable"], "four looks find such a difference by chance"
    assert "corrected for all 4 comparisons" in comparison_md({}, [CALIBRATION], scores, compare_all(scores))
    assert not same["distinguishable"] and "no difference between" in same["sentence"]


def test_a_model_against_itself_is_a_repeat_and_shows_its_flip_rate():
    found = compare_all([many(10, "sft", path="x"), many(11, "sft.repeat2", path="x")])[0].as_row()
    assert found["repeat"] and found["flip_rate"] == pytest.approx(1 / 50) and not found["distinguishable"]


def test_the_report_shows_the_pairs_that_a_reader_asks_for():
    scores = [
        many(50, "gold", path=""),
        many(10, "sft"),
        many(30, "rl"),
        many(20, "other"),
        many(11, "sft.repeat2", path="sft"),
        many(31, "rl.repeat2", path="rl"),
    ]
    report = comparison_md({}, [CALIBRATION], scores, compare_all(scores))
    table = report.partition("## Differences\n\n")[2].partition("\n\n")[0].split("\n")[2:]
    assert [tuple(row.split(" | ")[2:4]) for row in table] == [
        ("sft", "rl"),
        ("sft", "other"),
        ("sft", "sft.repeat2"),
        ("rl", "rl.repeat2"),
    ]


def test_the_files_hold_what_they_promise():
    badge = Badge("partly seen", {"t/0": "same id"})
    part = calibration_of(TASKS, of=9, gold=NO_NLTK)
    scores = [score({0: ["pass"], 1: ["infra"]}, "sft", part, badge), score({0: ["wrong"]}, "a|b", part)]
    text = results_json({"seed": 0}, [CALIBRATION], scores, compare_all(scores))
    results = json.loads(text)
    assert set(results) == {"settings", "calibration", "results", "comparisons"}
    assert {"model", "benchmark", "mode", "n", "passed", "pass@1", "interval"} <= set(results["results"][0])
    assert {"benchmark", "mode", "baseline", "candidate", "gained", "lost", "p", "difference", "interval"} <= set(
        results["comparisons"][0]
    )
    assert text == results_json({"seed": 0}, [CALIBRATION], scores, compare_all(scores))

    report = comparison_md({"seed": 0}, [CALIBRATION], scores, compare_all(scores))
    assert "b (4 of 9)" in report, "a sample of a benchmark says so in every row"
    assert "partly seen (1)" in report and "t/0 (same id)" in report
    assert "  - gold fails on 1, not installed: nltk: t/3" in report
    assert "could not grade 1 completion, not scored; the same" in report
    tables = [block.split("\n") for block in report.split("\n\n") if block.startswith("|")]
    assert len(tables) == 4
    for table in tables:
        assert len({row.replace("\\|", "").count("|") for row in table}) == 1


def test_the_tasks_that_are_not_scored_add_up():
    report = comparison_md({}, [CALIBRATION], [score({0: ["pass"], 1: ["infra"], 3: ["wrong"]})], [])
    assert (
        "- m on b, greedy: scored on 1 of 4 tasks; the others are 1 without a completion, 1 left out by "
        "calibration, 1 that the sandbox could not grade."
    ) in report


def test_what_stays_ungradable_is_said_and_not_put_off_to_another_run():
    VERDICTS["stays"] = ("INFRA", "infra: the test of t/1 needs psutil, not installed here")
    report = comparison_md({}, [CALIBRATION], [score({0: ["pass"], 1: ["stays"], 2: ["wrong"]})], [])
    assert "could not grade 1 completion, not scored; the test of t/1 needs psutil, not installed here." in report
    assert "the same command" not in report


def test_the_schema_in_the_docstring_names_every_key():
    from raccoon.evaluation import results as module

    scores = [many(10, "sft"), many(30, "rl")]
    results = json.loads(results_json({}, [CALIBRATION], scores, compare_all(scores)))
    for key in [*results, *results["results"][0], *results["comparisons"][0], *results["calibration"][0]]:
        assert key in module.__doc__, key


def test_infra_is_counted_by_cause_and_the_score_shown_as_if_it_had_failed():
    VERDICTS["raises"] = ("INFRA", "infra: the test of t/1 raises KeyError: 5")
    found = score({0: ["pass"], 1: ["raises"], 2: ["wrong"], 3: ["infra"]})
    row = found.as_row()
    assert (row["pass@1"], row["pass@1_infra_failed"]) == (0.5, pytest.approx(1 / 3))
    assert (row["infra_causes"], row["infra_by_code"]) == ({"the test raises KeyError": 1}, ["t/1"])  # t/3 has no gold
    report = comparison_md({}, [CALIBRATION], [found], [])
    assert "| 50.0 (33.3 with infra as failed) |" in report
    assert (
        "warning: the test raises KeyError (1). The controls of these tasks were graded, so the code may have "
        "decided it: t/1. Not scoring it raises pass@1 from 33.3 to 50.0."
    ) in report
    mixed = score({0: ["pass", "infra"], 1: ["wrong", "wrong"]}, mode="sampled").as_row()
    assert (mixed["pass@1"], mixed["pass@1_infra_failed"]) == (0.5, 0.25)
    assert "as failed" not in comparison_md({}, [CALIBRATION], [score({0: ["pass"]})], [])


def test_a_pass_from_shared_isolation_counts_where_gold_ran_so_too_and_is_named():
    calibration = calibration_of(TASKS, gold={"t/0": record(0, "PASS", "pass", "shared")})
    records = [record(i, status, status.lower(), "shared") for i, status in enumerate(("PASS", "PASS", "INFRA"))]
    found = make_score(Subject("m"), "greedy", records, calibration, UNSEEN)
    row = found.as_row()
    assert (row["n"], row["passed"], row["shared_passed"], row["shared_refused"], row["infra"]) == (3, 1, 1, 2, 0)
    assert row["outcomes"]["forbidden"] == 2
    report = comparison_md({}, [calibration], [found], [])
    assert "1 of the passes come from shared isolation" in report and "2 completions ran in shared isolation" in report
    control = make_score(Subject("gold", ""), "greedy", records[:2], calibration, UNSEEN)
    assert control.passed == 2


# Several turns


def talk(number, kinds, sample=0):
    """A record of a conversation by the outcomes of its answers."""
    found = [record(number, *VERDICTS[kind], sample=sample) for kind in kinds]
    return replace(found[-1], turns=tuple(Turn(Completion("", ""), "", each.verdict) for each in found))


def talked(talks, name="m", turns=2, costly=True, visible="", count=4):
    """The score of conversations: task number -> the outcomes of one conversation's answers."""
    tasks = [Task(f"t/{i}", "p", "t", visible_tests=visible) for i in range(count)]
    subject = Subject(name)
    subject.turns, subject.costly = turns, costly
    records = [talk(number, kinds) for number, kinds in talks.items()]
    return make_score(subject, "greedy", records, calibration_of(tasks, of=count), UNSEEN)


FOUR = {0: ["pass"], 1: ["wrong", "pass"], 2: ["syntax", "wrong"], 3: ["pass", "wrong"]}


def test_a_conversation_is_broken_if_its_last_answer_passes_fewer_tests_than_its_first():
    talks = {0: ["wrong", "syntax"], 1: ["syntax", "wrong"], 2: ["wrong", "wrong"]}
    assert talked(talks).broken == pytest.approx(1 / 3)


def test_each_turn_is_scored_as_if_the_conversations_had_ended_there():
    row = talked(FOUR, turns=3).as_row()
    assert [(each["passed"], each["pass@1"]) for each in row["by_turn"]] == [(2, 0.5)] * 3
    assert (row["passed"], row["turns"], row["used"]) == (2, 3, 3)
    assert (row["repaired"], row["broken"]) == (0.5, pytest.approx(1 / 3)), "of 2 that failed, and of 3 that went on"
    assert row["by_turn"][0]["interval"] == row["interval"] == list(wilson_interval(2, 4))
    gained = talked({i: ["wrong", "pass"] if i else ["wrong"] for i in range(4)}).as_row()
    assert [each["passed"] for each in gained["by_turn"]] == [0, 3] and gained["passed"] == 3


def test_a_conversation_without_a_verdict_at_its_end_is_scored_at_no_turn():
    row = talked({0: ["wrong", "infra"], 1: ["wrong", "pass"], 2: ["pass"]}).as_row()
    assert [(each["passed"], each["pass@1"]) for each in row["by_turn"]] == [(1, 0.5), (2, 1.0)]
    assert (row["n"], row["infra"], row["used"], row["repaired"]) == (2, 1, 1, 1.0)


def test_where_no_conversation_went_on_there_are_no_shares():
    row = talked({0: ["pass"], 1: ["wrong"]}).as_row()
    assert (row["used"], row["repaired"], row["broken"]) == (0, None, None)


def test_samples_of_a_task_are_conversations_of_their_own():
    records = [talk(0, ["wrong", "pass"], 0), talk(0, ["wrong"], 1), talk(1, ["pass"], 0), talk(1, ["pass"], 1)]
    subject = Subject("m")
    subject.turns = 2
    row = make_score(subject, "sampled", records, CALIBRATION, UNSEEN).as_row()
    assert [each["pass@1"] for each in row["by_turn"]] == [0.5, 0.75] and row["pass@1"] == 0.75
    assert row["by_turn"][1]["interval"] == row["interval"]


def test_an_earlier_answer_from_unexpected_shared_isolation_did_not_pass():
    forged = Turn(Completion("", ""), "", Verdict("PASS", "pass", 1, 1, 0.1, "shared"))
    last = record(0, "PARTIAL", "wrong: 1 of 2")
    records = [replace(last, turns=(forged, Turn(Completion("", ""), "", last.verdict)))]
    subject = Subject("m")
    subject.turns = 2
    row = make_score(subject, "greedy", records, CALIBRATION, UNSEEN).as_row()
    assert row["by_turn"][0]["passed"] == 0 and row["broken"] == 0


def halves(name, first, last):
    """50 tasks: `first` pass at the first turn, `last` at the second."""
    talks = {i: ["pass"] if i < first else ["wrong", "pass" if i < last else "wrong"] for i in range(50)}
    return talked(talks, name, count=50)


def test_every_turn_of_every_pair_is_compared_and_all_are_corrected_together():
    scores = [halves("sft", 10, 12), halves("rl", 12, 30), halves("other", 10, 13)]
    first, *_ = rows = [c.as_row() for c in compare_all(scores)]
    assert [[(t["gained"], t["lost"]) for t in row["by_turn"]] for row in rows] == [
        [(2, 0), (18, 0)],
        [(0, 0), (1, 0)],
        [(0, 2), (0, 17)],
    ]
    assert {name: first[name] for name in first["by_turn"][1]} == first["by_turn"][1], "the row is its last turn"
    assert first["p_holm"] == 6 * first["p"], "two turns of three pairs"
    assert "rl is better than sft: +36.0 points on b, greedy, 2 turns (18" in first["sentence"]


def test_a_model_with_several_turns_against_one_with_one_says_so():
    (row,) = [c.as_row() for c in compare_all([many(10, "sft"), halves("rl", 10, 30)])]
    assert [each["gained"] for each in row["by_turn"]] == [0, 20]
    assert "on b, greedy, 2 turns against 1 turn (20 gained" in row["sentence"]


@pytest.mark.parametrize(
    "visible, costly, shown, value",
    [
        ("assert f() == 1", True, "visible tests were shown", True),
        ("", True, "only errors were shown", False),
        ("assert f() == 1", False, "saved answers", None),
    ],
)
def test_each_row_of_the_report_says_what_was_shown(visible, costly, shown, value):
    scores = [talked(FOUR, name, visible=visible, costly=costly) for name in ("sft", "rl")]
    assert scores[0].as_row()["visible_tests"] is value
    report = comparison_md({}, [CALIBRATION], scores, compare_all(scores))
    rows = [line for line in report.split("\n") if line.startswith("| ") and "sft |" in line or "| rl |" in line]
    assert len(rows) == 9 and all(f"| greedy, 2 turns, {shown} |" in row for row in rows)
    turns = report.partition("## Turns\n\n")[2].split("\n")
    assert turns[0].endswith("| pass@1, turn 1 | pass@1, turn 2 | went on | repaired | broken |")
    assert turns[2].endswith("| 50.0 (15.0 to 85.0) | 50.0 (15.0 to 85.0) | 3 | 50.0 | 33.3 |")
    assert "corrected for all 2 comparisons" in report


def test_the_schema_names_the_keys_of_several_turns_and_one_turn_has_none_of_them():
    from raccoon.evaluation import results as module

    scores = [halves("sft", 10, 12), halves("rl", 12, 30)]
    results = json.loads(results_json({}, [CALIBRATION], scores, compare_all(scores)))
    alone = json.loads(results_json({}, [CALIBRATION], plain := [many(10, "sft"), many(30, "rl")], compare_all(plain)))
    for rows, keys in (("results", 6), ("comparisons", 1)):
        added = results[rows][0].keys() - alone[rows][0].keys()
        assert len(added) == keys and all(f"{key} " in module.__doc__ for key in added)
    assert "urns" not in comparison_md({}, [CALIBRATION], plain, compare_all(plain))
