"""The page about two runs: it ranks them only by tasks that both were measured on, and says what else differs."""

import json
from pathlib import Path

import pytest

import make_report
from helpers.run_folders import check, completion, metrics, write_lines, write_run
from raccoon.constants import InputError
from raccoon.reporting.logs import read_run
from raccoon.reporting.tables import find_evaluation
from raccoon.reporting.two_runs import Side, cautions, different_settings, make_two_runs_page, ranking, two_sides

HOSTILE = "</script><img src=x onerror=alert(1)>&lt;"


@pytest.fixture
def pair(tmp_path):
    """Two runs, made from the checks of each and the constants of the second one."""

    def made(*checks: list[dict], **constants) -> tuple[Side, Side]:
        runs = []
        for name, own, changed in zip("ab", [*checks, [], []], ({}, constants), strict=False):
            folder = write_run(tmp_path / name / "rl", **changed)
            write_lines(folder / "heldout.jsonl", own)
            runs.append(read_run(folder))
        return two_sides((runs[0], runs[1]), (find_evaluation(runs[0].folder, ""), find_evaluation(runs[1].folder, "")))

    return made


@pytest.mark.parametrize(
    ("checks", "title"),
    [
        (([check(0, 4), check(12, 4)], [check(0, 4), check(12, 18)]), "B is better."),
        (([check(0, 4), check(12, 18)], [check(0, 4), check(12, 4)]), "A is better."),
        (([check(0, 4), check(12, 9)], [check(0, 4), check(12, 10)]), "No difference between A and B is shown."),
        # The newest check after the same step counts, not a later one of one run alone
        (([check(6, 5), check(12, 20)], [check(6, 5)]), "No difference between A and B is shown."),
        (
            ([check(0, 4)], [check(0, 18), check(12, 18)]),
            "No tasks were measured with both runs, so they cannot be ranked.",
        ),
        (([check(12, 4)],), "No tasks were measured with both runs, so they cannot be ranked."),
    ],
)
def test_held_out_tasks_of_both_decide(pair, checks, title):
    assert ranking(pair(*checks)) == title


def test_an_evaluation_of_both_models_counts_before_the_checks(pair, tmp_path):
    sides = pair([check(12, 18)], [check(12, 4)])
    paths = {"rl-a": str(tmp_path / "a" / "rl"), "rl-b": str(tmp_path / "b" / "rl")}
    row = {"benchmark": "b", "mode": "greedy", "n": 9, "interval": [0.1, 0.6]}
    scores = [{**row, "model": name, "path": path, "samples": 9, "passed": 3} for name, path in paths.items()]
    pairs = {
        "baseline": "rl-b",
        "candidate": "rl-a",
        "gained": 0,
        "lost": 6,
        "difference": -0.6,
        "p": 0.03,
        "p_holm": 0.03,
    }
    (tmp_path / "results.json").write_text(
        json.dumps({"results": scores, "comparisons": [{**row, **pairs, "sentence": "rl-b solves more."}]})
    )
    a, b = (find_evaluation(side.run.folder, str(tmp_path)) for side in sides)
    assert ranking(two_sides((sides[0].run, sides[1].run), (a, b))) == "B is better."


def test_what_differs_is_named(pair):
    sides = pair(SEED=8, REWARD_PARTIAL=0.0, TEMPERATURE=1.2, OUTPUT_DIR="./b", GONE=1)
    assert {row.name: row.values for row in different_settings(sides)} == {
        "SEED": ("7", "8"),
        "REWARD_PARTIAL": ("", "0.0"),
        "TEMPERATURE": ("1.0", "1.2"),
        "GONE": ("", "1"),
    }
    said = " ".join(cautions(sides))
    assert (
        "several seeds" in said and "reward curves have different scales" in said and "different temperatures" in said
    )
    write_lines(sides[0].run.folder / "tasks.jsonl", [{"task_id": name} for name in ("t/0", "t/1")])
    write_lines(sides[1].run.folder / "tasks.jsonl", [{"task_id": name} for name in ("t/1", "t/2", "t/3")])
    write_lines(sides[1].run.folder / "metrics.jsonl", [metrics(1, completions=8)])
    again = two_sides((sides[0].run, read_run(sides[1].run.folder)), (None, None))
    said = " ".join(cautions(again))
    assert "A trained on 2 tasks and B on 3; they have 1 in common" in said and "A step of A has 4 completions" in said


def test_one_folder_twice_or_three_are_refused(pair, tmp_path, monkeypatch):
    run = pair()[0].run
    with pytest.raises(InputError, match="names .* twice"):
        two_sides((run, read_run(run.folder / ".." / "rl")), (None, None))
    monkeypatch.setattr(make_report, "RUN_DIR", ["a", "b", "c"])
    with pytest.raises(InputError, match="RUN_DIR names 3 folders"):
        make_report.main()


def test_the_page_shows_both_and_runs_nothing_of_a_model(pair):
    sides = pair([check(12, 4)], [check(12, 18)], SEED=8)
    assert [side.name for side in sides] == [str(Path("a", "rl")), str(Path("b", "rl"))]
    for side, status in zip(sides, ("PASS", "FAIL"), strict=True):
        rows = [completion(step, 0, status, HOSTILE, task_id="both") for step in (1, 12)]
        rows += [completion(2, 1, "PASS", task_id="same"), completion(3, 1, task_id=f"only {side.letter}")]
        write_lines(side.run.folder / "completions.jsonl", rows)
    page, pairs = make_two_runs_page(sides, 10**6)
    text = page.decode()
    assert (pairs.shown, pairs.of) == (2, 2) and HOSTILE not in text
    first, second = json.loads(pairs.json)
    assert (first["task"], second["task"]) == ("both", "same")  # the larger difference first
    assert [(side["run"], side["step"]) for side in first["sides"]] == [("A", 12), ("B", 12)]
    assert first["sides"][1]["completions"][0]["text"] == HOSTILE
    assert "B is better." in text and "<code>SEED</code>" in text and text.count("<svg") > 5
    assert "A: training" in text and "B: training" in text
    small, kept = make_two_runs_page(sides, len(page) - 100)
    assert kept.shown == 1 and len(small) <= len(page) - 100


def test_a_page_is_named_after_both_runs(tmp_path, monkeypatch, capsys):
    for name in ("a", "b", "c/rl"):
        (tmp_path / name).mkdir(parents=True)
        write_run(tmp_path / name)
    for other in ("b", "c/rl"):
        monkeypatch.setattr(make_report, "RUN_DIR", [str(tmp_path / "a"), str(tmp_path / other)])
        make_report.main()
    assert sorted(path.name for path in (tmp_path / "a").glob("*.html")) == ["a_b.html", "a_c-rl.html"]
