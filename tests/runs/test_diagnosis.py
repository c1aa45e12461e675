"""The faults that a run's numbers show, in this project's logs and in those of plain TRL, and runs without a fault."""

import json
import math
import random
import subprocess
import sys

import pytest

from helpers.cheating_run import cheating_run
from helpers.paths import SCRIPTS
from raccoon.constants import InputError
from raccoon.runs.diagnosis import by_step, checked, closing_paragraph, diagnose, read_log, replay
from raccoon.runs.findings import Finding, at_least
from raccoon.runs.heldout import heldout_record
from raccoon.runs.history import History
from raccoon.runs.log import repetition

STEPS, ONSET = 160, 80


def trl_run(seed: int = 0, steps: int = STEPS, **changed) -> list[dict]:
    """Rows with TRL's names of a run that learns, with the noise of few groups.

    `changed` maps a name (two underscores stand for a slash) to a function of the value and of how far the fault has
    gone, from 0 at ONSET to 1 at the end.
    """
    draw = random.Random(seed)

    def noisy(value: float, share: float = 0.1) -> float:
        return value * draw.lognormvariate(0, share)

    rows = []
    for step in range(1, steps + 1):
        done = step / steps
        rate = min(max(draw.gauss(0.2 + 0.3 * done, 0.06), 0.0), 1.0)
        format_part = min(draw.gauss(0.5 + 5 * done, 0.02), 0.98)  # it rises first, in a tenth of the steps
        row = {
            "step": step,
            "reward": rate + 0.1 * format_part,
            "reward_std": noisy(0.4),
            "frac_reward_zero_std": draw.uniform(0.1, 0.5),
            "entropy": noisy(0.8 - 0.3 * done),
            "kl": noisy(0.01 + 0.1 * done, 0.4),
            "clip_ratio/region_mean": noisy(0.05),
            "grad_norm": noisy(0.3, 0.4),
            "learning_rate": 1e-6,
            "completions/mean_length": noisy(300 + 60 * done, 0.15),
            "completions/clipped_ratio": draw.uniform(0.0, 0.1),
            "step_time": noisy(10.0, 0.15) * (1 if step > 2 else 4),  # the first steps compile
            "repetition": noisy(0.1, 0.2),
            "rewards/accuracy/mean": rate,
            "rewards/format/mean": format_part,
        }
        if step % 10 == 0:
            row["eval_rewards/accuracy/mean"] = draw.gauss(0.18 + 0.28 * done, 0.02)
        gone = max(0.0, (step - ONSET) / (steps - ONSET))
        for name, change in changed.items():
            name = name.replace("__", "/")
            if step > ONSET and name in row:
                row[name] = change(row[name], gone)
        rows.append(row)
    return rows


def names(rows: list[dict]) -> set[str]:
    return {each.name for each in replay(rows, [])[1]}


@pytest.mark.parametrize("seed", range(8))
def test_a_run_that_learns_has_no_fault(seed):
    assert names(trl_run(seed)) == set()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("entropy_collapse", {"entropy": lambda value, gone: value * (1 - 0.9 * gone)}),
        ("entropy_growth", {"entropy": lambda value, gone: value * (1 + 5 * gone)}),
        ("kl_blowup", {"kl": lambda value, gone: value * 50**gone}),
        ("clip_saturation", {"clip_ratio__region_mean": lambda value, gone: value + 0.4 * gone}),
        ("no_signal", {"frac_reward_zero_std": lambda value, gone: min(value + 0.6 * gone, 1.0)}),
        ("no_spread", {"reward_std": lambda value, gone: value * (1 - gone)}),
        ("many_truncated", {"completions__clipped_ratio": lambda value, gone: value + 0.4 * gone}),
        ("length_growth", {
            "completions__mean_length": lambda value, gone: value * (1 + 2 * gone),
            "eval_rewards__accuracy__mean": lambda value, gone: min(value, 0.32),
        }),
        ("length_collapse", {
            "completions__mean_length": lambda value, gone: value * (1 - 0.9 * gone),
            "rewards__accuracy__mean": lambda value, gone: 0.2,
            "eval_rewards__accuracy__mean": lambda value, gone: 0.18,
        }),
        ("repetition", {"repetition": lambda value, gone: value + 0.5 * gone}),
        ("slower_steps", {"step_time": lambda value, gone: value * (1 + 1.5 * gone)}),
        ("reward_falls", {"reward": lambda value, gone: value * (1 - gone)}),
        ("unearned_reward", {
            "reward": lambda value, gone: 0.35 + 0.6 * gone,
            "rewards__accuracy__mean": lambda value, gone: value * 0.6,
        }),
        ("held_out_falls", {"eval_rewards__accuracy__mean": lambda value, gone: 0.32 - 0.25 * gone + value / 100}),
        ("gradient_not_finite", {"grad_norm": lambda value, gone: float("nan") if 0.5 < gone < 0.6 else value}),
        ("gradient_spikes", {"grad_norm": lambda value, gone: value * (60 if round(80 * gone) % 25 == 24 else 1)}),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_its_numbers_and_begins_where_it_began(name, changed):
    for seed in (20, 21):
        rows = trl_run(seed, **changed)
        found = {each.name: each for each in replay(rows, [])[1]}
        assert name in found, (seed, sorted(found))
        assert found[name].seen > ONSET
        assert found[name].onset <= found[name].seen


def test_the_onset_is_that_of_the_change():
    rows = trl_run(3, frac_reward_zero_std=lambda value, gone: 1.0)
    (found,) = (each for each in replay(rows, [])[1] if each.name == "no_signal")
    assert ONSET - 5 <= found.onset <= ONSET + 2 < found.seen <= ONSET + 10


@pytest.mark.parametrize(
    ("name", "number", "value"), [("entropy_collapse", "entropy", 0.01), ("reward_falls", "reward", -0.5)]
)
def test_a_jump_began_where_it_jumped(name, number, value):
    rows = trl_run(3, **{number: lambda _, gone: value * (1 + gone / 100)})
    (found,) = (each for each in replay(rows, [])[1] if each.name == name)
    assert found.onset == ONSET + 1


@pytest.mark.parametrize("correlation", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("name", ["reward", "completions/mean_length", "repetition", "step_time"])
def test_steps_that_resemble_their_neighbours_are_no_change(name, correlation):
    """Windows of such a run differ by more than independent steps would make them."""
    for seed in range(4):
        draw, rows, state = random.Random(seed), [], 0.0
        for step in range(200):
            state = correlation * state + math.sqrt(1 - correlation**2) * draw.gauss(0, 1)
            rows.append({"step": step, name: 0.3 + 0.12 * state})
        assert names(rows) == set()


def test_an_entropy_that_leaps_in_the_first_steps_is_named_before_a_window_is_over():
    values = [0.06, 0.08, 0.06, 0.08, 0.2, *(0.4 + 0.2 * step for step in range(20))]
    (found,) = replay([{"step": step, "entropy": value} for step, value in enumerate(values, 1)], [])[1]
    assert found.name == "entropy_growth" and found.seen <= 10
    assert names([{"step": step, "entropy": 0.1 * (1 + step % 3)} for step in range(60)]) == set()


def test_constant_groups_that_come_in_waves_are_no_lasting_lack_of_signal():
    def run(wave: list[float]) -> list[dict]:
        draw = random.Random(0)
        shares = [share + draw.uniform(-0.1, 0.1) for share in wave * 10][:120]
        return [{"step": step, "constant_groups": share} for step, share in enumerate(shares)]

    assert names(run([0.5] * 15 + [0.75] * 12)) == set()
    assert names(run([0.8])) == {"no_signal"}


def test_a_change_shows_beside_steps_that_resemble_their_neighbours():
    draw, rows, state = random.Random(0), [], 0.0
    for step in range(200):
        state = 0.8 * state + 0.6 * draw.gauss(0, 1)
        rows.append({"step": step, "repetition": 0.1 + 0.02 * state + 0.4 * (step > 120)})
    (found,) = replay(rows, [])[1]
    assert found.name == "repetition" and found.seen <= 132


def test_a_plateau_is_said_where_the_gain_is_certainly_over():
    def run(last: float) -> list[dict]:
        draw = random.Random(1)
        return [{"step": n, "reward": draw.gauss(min(n / 100, 1.0) * last, 0.03)} for n in range(400)]

    assert names(run(0.5)) == {"plateau"}
    assert names([{"step": n, "reward": n / 400} for n in range(400)]) == set()  # it still rises
    assert names(run(0.0)) == set()  # it never rose


@pytest.mark.parametrize(("weight", "found"), [(0.1, set()), (1.0, {"unearned_reward"})])
def test_a_small_part_of_the_reward_may_rise_before_passes_do(weight, found):
    draw, rows = random.Random(4), []
    for step in range(60):
        rate, style = draw.gauss(0.2, 0.015), min(max(step / 30, 0.3), 1.0)
        rows.append({"step": step, "reward": rate + weight * style, "reward_std": 0.4, "rewards/accuracy/mean": rate})
    assert names(rows) == found


def test_longer_completions_are_earned_by_a_held_out_gain():
    longer = {"completions__mean_length": lambda value, gone: value * (1 + 2 * gone)}
    assert names(trl_run(5, **longer)) == set()  # the held-out score more than doubles
    rows = [{name: value for name, value in row.items() if "eval" not in name} for row in trl_run(5, **longer)]
    assert names(rows) == {"length_growth"}
    tasks = [{str(task): "PASS" if task < passed else "FAIL" for task in range(100)} for passed in (20, 60)]
    checks = [heldout_record(step, tasks[step > 0], tasks[0]) for step in (0, 80)]
    assert replay(rows, checks)[1] == []


def test_the_run_of_smollm2_is_named_early_and_ends():
    findings = replay(cheating_run(0), [])[1]
    seen = {each.name: each.seen for each in findings}
    assert min(seen.values()) <= 15 and seen["only_constant_answers"] <= 45
    assert [each.name for each in at_least(findings, "stop")] == ["only_constant_answers"]
    paragraph = closing_paragraph(findings)
    assert paragraph.startswith("diagnosis: since step ") and "Change first: set PAY_CONSTANT_ANSWERS" in paragraph
    assert closing_paragraph([]) == ""


@pytest.mark.parametrize(("onset", "first"), [(15, "entropy_growth"), (500, "no_signal")])
def test_the_end_of_a_run_names_the_cause_before_what_follows_from_it(onset, first):
    found = [
        Finding("info", "slower_steps", 1, 5, "slow", "wait", "Time"),
        Finding("warning", "no_signal", 1, 12, "no_signal", "other tasks", "Signal"),
        Finding("warning", "entropy_growth", onset, onset + 5, "entropy_growth", "lower LEARNING_RATE", "Entropy"),
    ]
    assert f", {first}. Beside it: " in closing_paragraph(found)


def test_the_same_run_in_three_logs_has_the_same_findings(tmp_path):
    rows = trl_run(7, entropy=lambda value, gone: value * (1 - 0.9 * gone))
    own = tmp_path / "own"
    checkpoint = tmp_path / "trl" / "checkpoint-160"
    for folder in (own, checkpoint):
        folder.mkdir(parents=True)
    (own / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evals = {"step", "eval_rewards/accuracy/mean"}  # the Trainer logs these in a row of their own
    apart = [{name: row[name] for name in row if (name in evals) == held or name == "step"}
             for row in rows for held in (False, True)]  # fmt: skip
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": [*apart, {"step": 160, "epoch": 1}]}))
    (tmp_path / "log.jsonl").write_text((own / "metrics.jsonl").read_text())
    found = [diagnose(path) for path in (own, tmp_path / "trl", checkpoint, tmp_path / "log.jsonl")]
    assert [each.name for each in found[0]] == ["entropy_collapse"]
    assert all(each == found[0] for each in found)


def test_an_export_of_a_tracker_has_the_findings_of_the_run(tmp_path):
    """Names after "train/", a row of its own for each held-out score, and every name in every row."""
    rows = trl_run(7, entropy=lambda value, gone: value * (1 - 0.9 * gone))
    rows[40]["grad_norm"] = None
    exported = []
    for row in rows:
        score = row.pop("eval_rewards/accuracy/mean", None)
        update = {f"train/{name}": value for name, value in row.items() if name != "step"}
        step = {"_step": len(exported), "train/global_step": row["step"], "eval/rewards/accuracy/mean": None}
        exported.append(step | update)
        if score is not None:
            row["eval_rewards/accuracy/mean"] = score
            exported.append(dict.fromkeys(update) | step | {"eval/rewards/accuracy/mean": score})
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "export.jsonl").write_text("".join(json.dumps(row) + "\n" for row in exported))
    own, found = (diagnose(tmp_path / name) for name in ("own.jsonl", "export.jsonl"))
    assert found == own and [each.name for each in found] == ["gradient_not_finite", "entropy_collapse"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "holds no steps"), ("[1]\n", "found a JSON list"), ('{"step": 1, "fine": 2}\n', "has no number under")],
)
def test_a_log_that_says_nothing_is_named(tmp_path, text, words):
    log = tmp_path / "log.jsonl"
    log.write_text(text)
    if "number" in words:
        command = [sys.executable, SCRIPTS / "diagnose_run.py", log]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 2 and words in ended.stderr and len(ended.stderr.splitlines()) == 1
    else:
        with pytest.raises(InputError, match=words):
            diagnose(log)


def test_the_exit_code_says_whether_a_fault_is_as_grave_as_asked(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in trl_run(7, entropy=lambda value, gone: value / 100)))
    for level, code in (("warning", 1), ("stop", 0)):
        command = [sys.executable, SCRIPTS / "diagnose_run.py", log, "--fail-on", level]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == code and "entropy_collapse" in ended.stdout


def test_what_is_no_number_is_missing():
    history = History()
    for value in (None, "1", True, [1], {"a": 1}, float("inf"), 10**400):
        history.add({"step": 1, "entropy": value, "seconds": value, "pass_by_turn": value, "statuses": value})
    assert "entropy" not in history.columns
    assert names([{"step": "x", "entropy": [], "kinds": 3, "statuses": 5, "infra": "?"}] * 30) == set()


def test_what_a_log_names_is_printed_without_control_characters_and_no_other_type_stops_the_reading():
    row = {"step": 1, "pass_rate_drawn": "0.5", "statuses": {"INFRA": 2, "PASS": "x", "FAIL": 1}, "infra_beside": "y"}
    check = {"n": 4, "passed": 2, "pass_rate": 0.5, "gained": 0, "lost": 2, "statuses": {"a": "PASS"}, "p": None}
    rows = [{**row, "step": step, "infra": {"\x1b[2Jlost": 2, "more": "many"}} for step in range(1, 6)]
    (found,) = replay(rows, [{**check, "step": step} for step in range(5)])[1]
    assert found.name == "no_verdict" and "2 completions have no verdict, 0 of them" in found.cause
    assert "[ [2Jlost (2)]" in found.cause


def test_logs_of_other_tools_may_end_without_a_line_end_and_hold_blank_lines(tmp_path):
    log, text = tmp_path / "log.jsonl", '{"step": 1.0, "reward": 1}\n\n{"step": 5.0, "reward": 2}'
    for whole, steps in ((text, [1, 5]), (text + '\n{"step": 9, "rew', [1, 5])):
        log.write_text(whole)
        assert [row["step"] for row in read_log(log)[0]] == steps
    log.write_text(text.replace("}\n\n", "\n\n"))
    with pytest.raises(InputError, match="log.jsonl, line 1: not JSON"):
        read_log(log)


def test_steps_that_a_resumed_run_made_again_replace_the_first_ones():
    first, again = trl_run(1, steps=60, entropy=lambda value, gone: 0.01), trl_run(2, steps=40)
    checks = [{"step": 20, "eval_reward": 0.5}, {"step": 35, "eval_reward": 0.5}]  # written late
    found = by_step([*first, *again[29:], *checks])
    assert [row["step"] for row in found] == list(range(1, 41))
    assert found[28]["reward"] == first[28]["reward"] and found[29]["reward"] == again[29]["reward"]
    assert found[19]["eval_reward"] == 0.5


def test_a_damaged_check_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "reward": 1.0}\n')
    (tmp_path / "heldout.jsonl").write_text('{"step": 0, "n": 3}\n')
    with pytest.raises(InputError, match=r"heldout.jsonl, line 1: passed is 'None', not of type int"):
        diagnose(tmp_path)
    assert (
        checked(
            {**dict.fromkeys(("step", "n", "passed", "pass_rate", "gained", "lost"), 1), "statuses": {}, "p": "0"}, ""
        )["p"]
        is None
    )


def test_repetition_counts_what_stood_before():
    assert repetition("") == 0.0
    assert repetition("def f(values):\n    return sorted(values)[::-1] if values else None\n") < 0.05
    assert repetition("x = 1\n" * 200) > 0.9
    assert repetition("a" * 400) > 0.9
