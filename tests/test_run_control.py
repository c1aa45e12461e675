"""Log files across a resume, the choice of a checkpoint, stop signals, held-out control and sentinels."""

import json
import os
import signal
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import run_control
from code_tasks import InputError
from run_control import Rollout, RunError, RunLog, hold_folder
from sandbox import Verdict

SCRIPTS = Path(run_control.__file__).parent


def rollout(status: str = "PASS", correctness: float | None = 1.0, **changes) -> Rollout:
    verdict = Verdict(status, "pass" if status == "PASS" else "wrong: no", 1, 2, 0.5, "separate")
    parts = {} if correctness is None else {"correctness": correctness, "docstring": 0.05}
    fields = {"task_id": "t", "completion": "c", "code": "c", "verdict": verdict, "tokens": 3, "truncated": False,
              "reward": None if correctness is None else correctness + 0.05, "reward_parts": parts}
    return Rollout(**{**fields, **changes})


def step(number: int, **changes) -> dict:
    """A line of metrics.jsonl of a healthy step."""
    return {"step": number, "pass_rate": 0.5, "statuses": {"PASS": 4, "FAIL": 4}, "kinds": {"pass": 4, "wrong": 4},
            "completions": 8, "constant_groups": 0.25, "grad_norm": 0.3, "learning_rate": 1e-4,
            "entropy": 1.0, "weights_changed": 0.9,
            "update_ratio": 0.001, **changes}


# Log files


def test_resume_keeps_the_lines_up_to_its_step_and_drops_half_a_line(tmp_path):
    log = RunLog(tmp_path)
    log.append("completions.jsonl", [{"step": 1, "n": 0}, {"step": 2, "n": 1}, {"step": 3, "n": 2}])
    with open(tmp_path / "completions.jsonl", "a") as file:
        file.write('{"step": 1, "n"')
    log.keep_until(2)
    assert log.read("completions.jsonl", 9) == [{"step": 1, "n": 0}, {"step": 2, "n": 1}]
    assert log.read("completions.jsonl", 1) == [{"step": 1, "n": 0}]
    assert log.read("absent.jsonl", 9) == []


def test_lines_hold_what_json_can(tmp_path):
    log = RunLog(tmp_path)
    log.append("metrics.jsonl", [{"step": 1, "loss": float("nan"), "lone": "\ud800", "parts": {"a": float("inf")}}])
    assert log.read("metrics.jsonl", 1) == [{"step": 1, "loss": None, "lone": "\ud800", "parts": {"a": None}}]


def test_a_full_disk_is_a_run_error():
    with pytest.raises(RunError, match="No space left on device"):
        RunLog("/dev").append("full", [{"step": 1}])


def test_completion_records_have_no_seconds_and_number_their_groups():
    records = run_control.completion_records(7, 2, [rollout(), rollout("FAIL", -0.5), rollout(advantage=0.3)])
    assert [(record["step"], record["group"], record["advantage"]) for record in records] \
        == [(7, 0, 0.0), (7, 0, 0.0), (7, 1, 0.3)]
    assert "seconds" not in records[0]["verdict"]
    assert records[1]["verdict"]["status"] == "FAIL"
    json.dumps(records)


def test_rollout_metrics():
    group = [rollout(), rollout(truncated=True, correctness=-0.5), rollout("INFRA", None), rollout("FAIL", -0.5)]
    metrics = run_control.rollout_metrics(group + [rollout(), rollout("INFRA", None)] * 2, 4)
    assert metrics["pass_rate"] == pytest.approx(3 / 5)  # the truncated one does not count, INFRA is left out
    assert metrics["reward"] == pytest.approx((3 * 1.05 - 2 * 0.45) / 5)
    assert metrics["constant_groups"] == 0.5
    assert metrics["statuses"] == {"PASS": 4, "INFRA": 3, "FAIL": 1}
    assert metrics["completions"] == 8


def test_a_group_is_constant_when_only_style_differs():
    styled = rollout(reward_parts={"correctness": 1.0, "docstring": 0.0})
    assert run_control.is_constant([rollout(), styled, rollout("INFRA", None)])
    assert not run_control.is_constant([rollout(), rollout("PARTIAL", 0.2)])


def test_the_profile_counts_tasks_and_expects_constant_groups():
    def samples(task_id: str, *scores: float | None) -> list[Rollout]:
        return [rollout("PASS" if score == 1.0 else "INFRA" if score is None else "FAIL", score, task_id=task_id)
                for score in scores]

    profile = run_control.profile_records(
        samples("never", -0.5, -0.5) + samples("half", 1.0, -0.5) + samples("always", 1.0, None) + samples("x", None))
    assert [(record["task_id"], record["samples"], record["pass_rate"]) for record in profile] \
        == [("never", 2, 0.0), ("half", 2, 0.5), ("always", 1, 1.0)]
    assert run_control.constant_share(profile, 4) == pytest.approx((1 + 2 * 0.5**4 + 1) / 3)
    table = [line.split()[:2] for line in run_control.profile_table(profile).splitlines()]
    assert (table[0], table[-1], len(table)) == (["never", "1"], ["always", "1"], 12)
    assert table[6] == ["50", "%"]


def test_a_step_line_bears_values_that_are_missing():
    record = {**step(3), "reward": None, "constant_groups": 1.0, "truncated": 0.0, "entropy": None,
              "seconds": {"generate": 1, "reward": 2, "update": 3}}
    assert "step  3/10  pass  50.0%  reward +nan" in run_control.step_line(record, 10)


# The output folder and its checkpoints


def test_the_folder_of_another_run_is_refused(tmp_path):
    values = {"LEARNING_RATE": 1e-5, "MAX_STEPS": 10}
    run_control.check_folder(str(tmp_path / "new"), values, {"MAX_STEPS"}, resume=True)
    (tmp_path / "config.json").write_text(json.dumps({**values, "MAX_STEPS": 5, "hidden_size": 8}))
    run_control.check_folder(str(tmp_path), values, {"MAX_STEPS"}, resume=True)
    with pytest.raises(InputError, match="LEARNING_RATE 1e-05 -> 0.1"):
        run_control.check_folder(str(tmp_path), {"LEARNING_RATE": 0.1}, {"MAX_STEPS"}, resume=True)
    with pytest.raises(InputError, match="holds a run already"):
        run_control.check_folder(str(tmp_path), values, {"MAX_STEPS"}, resume=False)
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    with pytest.raises(InputError, match="did not train"):
        run_control.check_folder(str(tmp_path), values, {"MAX_STEPS"}, resume=True)


def test_folders_that_cannot_be_a_runs_own_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (".", "..", "/"):
        with pytest.raises(InputError, match="holds the current folder"):
            run_control.check_folder(folder, {}, (), resume=True)
    Path("file").touch()
    with pytest.raises(InputError, match="no writable folder"):
        run_control.check_folder("file/run", {}, (), resume=True)


def make_checkpoint(folder: Path, number: int, processes: int = 1) -> Path:
    path = folder / f"checkpoint-{number}"
    path.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    ranks = [f"rng_state_{rank}.pth" for rank in range(processes)] if processes > 1 else ["rng_state.pth"]
    for name in ("optimizer.pt", "scheduler.pt", *ranks):
        with zipfile.ZipFile(path / name, "w") as archive:
            archive.writestr("data", "x" * 100)
    (path / "trainer_state.json").write_text(json.dumps({"global_step": number}))
    return path


def test_the_newest_checkpoint_by_number_is_taken(tmp_path):
    make_checkpoint(tmp_path, 9)
    newest = make_checkpoint(tmp_path, 10)
    (tmp_path / "checkpoint-best").mkdir()
    assert run_control.newest_complete_checkpoint(tmp_path, 1) == (newest, [])


@pytest.mark.parametrize("damage", ["trainer_state.json", "optimizer.pt", "model.safetensors", "rng_state.pth"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(tmp_path, damage, cut):
    whole = make_checkpoint(tmp_path, 2)
    file = make_checkpoint(tmp_path, 4) / damage
    if cut:
        os.truncate(file, file.stat().st_size - 3)
    else:
        file.unlink()
    found, broken = run_control.newest_complete_checkpoint(tmp_path, 1)
    assert found == whole
    assert len(broken) == 1
    assert "checkpoint-4 is not whole" in broken[0]


def test_a_checkpoint_of_other_processes_is_not_whole(tmp_path):
    make_checkpoint(tmp_path, 4, processes=2)
    assert run_control.newest_complete_checkpoint(tmp_path, 2)[0].name == "checkpoint-4"
    found, broken = run_control.newest_complete_checkpoint(tmp_path, 3)
    assert found is None
    assert "no rng_state_2.pth for a run of 3 process(es)" in broken[0]


# Stop signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_the_second_ends(number):
    program = "import sys, time; sys.path.insert(0, sys.argv[1]); from run_control import StopSignal\n" \
              "stop = StopSignal().install(); print('ready', flush=True)\n" \
              "while not stop.number: time.sleep(0.01)\n" \
              "print(stop.name, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program, str(SCRIPTS)], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == f"{number.name}\n"
    process.send_signal(number)
    assert process.wait(timeout=60) == -number


def test_importing_run_control_loads_no_library():
    program = "import sys; sys.path.insert(0, sys.argv[1]); import run_control; " \
              "print(*({'torch', 'transformers', 'trl', 'numpy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program, str(SCRIPTS)], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# Held-out control


def test_a_check_is_paired_with_the_first():
    first = {"a": "PASS", "b": "FAIL", "c": "PARTIAL", "d": "INFRA", "e": "PASS"}
    now = {"a": "PASS", "b": "PASS", "c": "PASS", "d": "PASS", "e": "INFRA"}
    record = run_control.heldout_record(20, now, first)
    assert (record["n"], record["passed"], record["gained"], record["lost"]) == (4, 4, 2, 0)
    assert record["p"] == pytest.approx(0.5)  # 2 of 2 one way: 2 x 0.5^2
    assert record["interval"][0] == pytest.approx(0.5101, abs=1e-4)  # Wilson, 4 of 4


def heldout(*passed: int) -> list[dict]:
    """A check of ten tasks every ten steps, of which the first so many pass."""
    statuses = [{str(task): "PASS" if task < count else "FAIL" for task in range(10)} for count in passed]
    return [run_control.heldout_record(10 * i, each, statuses[0]) for i, each in enumerate(statuses)]


def test_the_best_check_is_the_first_of_equals():
    assert run_control.best_heldout(heldout(3, 6, 6, 5))["step"] == 10
    assert run_control.checks_without_gain(heldout(3, 6, 6, 5)) == 2
    assert "best after step 10" in run_control.heldout_line(heldout(3, 6, 6, 5))


def test_a_gap_between_training_and_heldout_is_said_aloud():
    rising = [step(n, pass_rate=0.4 if n <= 10 else 0.6) for n in range(1, 21)]
    warning = run_control.gap_warning(heldout(3, 9, 2), rising)
    assert "rose by 20.0% while the held-out one is worse than after step 10 (+0 -7)" in warning
    assert run_control.gap_warning(heldout(3, 9, 8), rising) == ""  # one task of ten is chance
    assert run_control.gap_warning(heldout(3, 2, 9), rising) == ""
    assert run_control.gap_warning(heldout(3, 9, 2), [step(n) for n in range(1, 21)]) == ""
    assert run_control.gap_warning(heldout(9, 2), rising) == ""


# Sentinels


def test_a_healthy_run_raises_no_alarm():
    assert run_control.alarms([step(n) for n in range(1, 9)]) == []


@pytest.mark.parametrize(("sick", "words"), [
    ({"statuses": {"INFRA": 8}, "pass_rate": None}, "the sandbox failed on every completion"),
    ({"grad_norm": None}, "the gradient is not finite"),
])
def test_what_cannot_go_on_warns_at_once_and_stops_at_the_third_step(sick, words):
    steps = [step(1)] + [step(n, **sick) for n in (2, 3, 4)]
    seen = [run_control.alarms(steps[:n]) for n in (2, 3, 4)]
    assert all(words in alarms[0].message for alarms in seen)
    assert [alarms[0].stop for alarms in seen] == [False, False, True]
    assert run_control.alarms([*steps[:3], step(4)]) == []


@pytest.mark.parametrize(("sick", "words", "after"), [
    ({"kinds": {"timeout": 5, "pass": 3}}, "timed out", 1),
    ({"update_ratio": 0.2}, "20.0% of the weights: lower LEARNING_RATE", 1),
    ({"weights_changed": 0.02}, "changes only 2.0% of the weights", 3),
    ({"entropy": 0.05}, "entropy fell below", 3),
    ({"constant_groups": 0.95}, "more than 90% of the groups are constant", 3),
])
def test_what_should_be_known_is_said_once(sick, words, after):
    steps = [step(n) for n in (1, 2, 3)] + [step(n, **sick) for n in range(4, 10)]
    said = [n for n in range(1, 10) if any(words in alarm.message for alarm in run_control.alarms(steps[:n]))]
    assert said == [3 + after]


def test_a_step_without_gradient_or_learning_rate_may_leave_the_weights():
    for still in ({"grad_norm": 0.0}, {"learning_rate": 0.0}):
        assert run_control.alarms([step(n, weights_changed=0.0, **still) for n in range(1, 9)]) == []


def test_folder_is_held_until_its_process_ends(tmp_path):
    program = (f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import run_control; "
               f"run_control.hold_folder({str(tmp_path / 'run')!r}); print('held', flush=True); sys.stdin.read()")
    first = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="in use by another run"):
            hold_folder(str(tmp_path / "run"))
    finally:
        first.kill()  # as hard as it gets
        first.communicate()
    hold_folder(str(tmp_path / "run"))
