"""What a run notes: log files across a resume, the metrics of a step, stop signals."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from helpers.paths import SCRIPTS
from helpers.run_examples import rollout, step
from raccoon.constants import InputError, RunError
from raccoon.records import accepted
from raccoon.runs.log import (
    Rollout,
    RunLog,
    Turn,
    completion_records,
    is_constant,
    rollout_metrics,
    seconds_left,
    step_line,
)


def test_resume_keeps_the_lines_up_to_its_step_and_drops_half_a_line(tmp_path):
    log = RunLog(tmp_path)
    log.append("completions.jsonl", [{"step": 1, "n": 0}, {"step": 2, "n": 1}, {"step": 3, "n": 2}])
    path = tmp_path / "completions.jsonl"
    path.write_bytes(b'{"n":7,"step":0}\n' + path.read_bytes() + b'{"step": 1, "n"')
    log.keep_until(2)
    assert path.read_bytes() == b'{"n":7,"step":0}\n{"step": 1, "n": 0}\n{"step": 2, "n": 1}\n'
    assert log.read("completions.jsonl", 9) == [{"step": 0, "n": 7}, {"step": 1, "n": 0}, {"step": 2, "n": 1}]
    assert log.read("completions.jsonl", 0) == [{"step": 0, "n": 7}]
    assert log.read("absent.jsonl", 9) == []


def test_a_damaged_line_is_named_and_nothing_is_deleted(tmp_path):
    log, path = RunLog(tmp_path), tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"ste\n')
    for use in (lambda: log.read("metrics.jsonl"), lambda: log.keep_until(1)):
        with pytest.raises(InputError, match="metrics.jsonl, line 2"):
            use()
    assert path.read_text() == '{"step": 1}\n{"ste\n'


@pytest.mark.parametrize("line", ["{}", '{"step": "2"}', '{"step": null}', '{"step": true}'])
def test_a_line_without_a_step_is_named(tmp_path, line):
    log = RunLog(tmp_path)
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    for use in (lambda: log.read("metrics.jsonl"), lambda: log.keep_until(1)):
        with pytest.raises(InputError, match="metrics.jsonl, line 2: its step is"):
            use()


def test_steps_that_the_logs_lack_are_named(tmp_path):
    log = RunLog(tmp_path)
    log.write_constants({"HELDOUT_EVERY": 2})
    row = {"completions": 2, "seconds": {"generate": 1.0}}
    log.append("metrics.jsonl", [{"step": step, **row} for step in (1, 2, 4)])
    log.append("metrics.jsonl", [{"step": 5, "completions": 2, "seconds": {"generate": 0.0}}])  # on those of step 4
    log.append("completions.jsonl", [{"step": step, "group": 0} for step in (1, 1, 2, 2, 4, 4)])
    log.append("heldout.jsonl", [{"step": 0}, {"step": 2}, {"step": 4}])
    assert log.gaps(5, 5) == ["metrics.jsonl lacks step 3"]
    for name in ("completions.jsonl", "heldout.jsonl"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-3])
    assert log.gaps(5, 3) == ["metrics.jsonl lacks step 3", "completions.jsonl lacks lines of step 4"]
    assert log.gaps(5, 5)[2:] == ["heldout.jsonl lacks the check after step 4"]
    log.write_constants({"HELDOUT_EVERY": 2, "MAX_STEPS": 5})  # a run that ended there
    assert log.gaps(5, 5)[2:] == ["heldout.jsonl lacks the check after steps 4, 5"]
    assert log.gaps(5, 4)[2:] == ["heldout.jsonl lacks the check after step 4"]
    assert log.gaps(20, 3)[0] == "metrics.jsonl lacks steps 3, 6, 7, 8, 9 and 11 more"


def test_lines_hold_what_json_can(tmp_path):
    log = RunLog(tmp_path)
    log.append("metrics.jsonl", [{"step": 1, "loss": float("nan"), "lone": "\ud800", "parts": {"a": float("inf")}}])
    assert log.read("metrics.jsonl", 1) == [{"step": 1, "loss": None, "lone": "\ud800", "parts": {"a": None}}]


def test_what_ended_a_run_is_beside_its_constants_until_it_goes_on(tmp_path):
    config, log = tmp_path / "config.json", RunLog(tmp_path)
    config.write_text('{"hidden_size": 8}')
    log.write_constants({"SEED": 1}, "early stop")
    found = json.loads(config.read_text())
    assert "python" in found.pop("versions")
    assert found == {"hidden_size": 8, "SEED": 1, "ended": "early stop"}
    log.write_constants({"SEED": 1})
    assert json.loads(config.read_text())["ended"] == ""


def test_a_full_disk_is_a_run_error():
    with pytest.raises(RunError, match="No space left on device"):
        RunLog("/dev").append("full", [{"step": 1}])


def test_completion_records_have_no_seconds_and_number_their_groups():
    records = completion_records(7, 2, [rollout(), rollout("FAIL", -0.5), rollout(advantage=0.3)])
    assert [(record["step"], record["group"], record["advantage"]) for record in records] == [
        (7, 0, 0.0),
        (7, 0, 0.0),
        (7, 1, 0.3),
    ]
    assert "seconds" not in records[0]["verdict"]
    assert records[1]["verdict"]["status"] == "FAIL"
    json.dumps(records)


def test_rollout_metrics():
    group = [rollout(), rollout(truncated=True, correctness=-0.5), rollout("INFRA", None), rollout("FAIL", -0.5)]
    metrics = rollout_metrics(group + [rollout(), rollout("INFRA", None)] * 2, 4)
    assert metrics["pass_rate"] == pytest.approx(3 / 5)  # the truncated one does not count, INFRA is left out
    assert metrics["reward"] == pytest.approx((3 * 1.05 - 2 * 0.45) / 5)
    assert metrics["constant_groups"] == 0.5
    assert metrics["statuses"] == {"PASS": 4, "INFRA": 3, "FAIL": 1}
    assert metrics["completions"] == 8


def test_what_tells_the_members_of_a_group_apart():
    kinds = {"PASS": 1.0, "PARTIAL": 0.2, "FAIL": -0.5, "INFRA": None}
    groups = [("PASS", "FAIL"), ("PARTIAL", "FAIL"), ("PARTIAL", "PARTIAL"), ("PASS", "INFRA")]
    rollouts = [rollout(status, kinds[status], constant=status == "PARTIAL") for group in groups for status in group]
    metrics = rollout_metrics(rollouts, 2)
    assert (metrics["mixed_groups"], metrics["partial_groups"], metrics["constant_groups"]) == (0.25, 0.25, 0.5)
    assert metrics["constant_answers"] == 3 / 8


def test_pass_rate_and_reward_are_of_the_groups_trained_on_and_the_rest_is_counted_by_reason():
    def unused(*statuses: str) -> list[Rollout]:
        scores = {"PASS": 1.0, "PARTIAL": 0.2, "FAIL": -0.5, "INFRA": None}
        return [rollout(status, scores[status], used=False) for status in statuses]

    rollouts = [
        rollout(),
        rollout("FAIL", -0.5),
        *unused("PASS", "PASS"),
        *unused("FAIL", "FAIL"),
        *unused("PARTIAL", "INFRA"),
        *unused("INFRA", "INFRA"),
        *unused("PASS", "FAIL"),
    ]
    metrics = rollout_metrics(rollouts, 2)
    assert (metrics["pass_rate"], metrics["pass_rate_drawn"]) == (0.5, pytest.approx(4 / 9))
    assert metrics["reward"] == pytest.approx((1.05 - 0.45) / 2)
    assert metrics["unused_groups"] == {"all right": 1, "all wrong": 2, "other constant": 1, "not needed": 1}
    assert (metrics["completions"], metrics["statuses"]["PASS"]) == (12, 4)
    assert rollout_metrics(rollouts[:2], 2)["unused_groups"] == {}


def test_a_group_is_constant_when_only_style_differs():
    styled = rollout(reward_parts={"correctness": 1.0, "docstring": 0.0})
    assert is_constant([rollout(), styled, rollout("INFRA", None)])
    assert not is_constant([rollout(), rollout("PARTIAL", 0.2)])


@pytest.mark.parametrize("name", sorted(set(step(1)) - {"step"}))
def test_a_step_line_bears_values_that_are_missing(name):
    healthy = step_line(step(3), 10)
    assert "step  3/10  pass  50.0%  reward +0.400  correctness +0.500  judge +0.500" in healthy
    absent = {key: value for key, value in step(3).items() if key != name}
    assert step_line(step(3, **{name: None}), 10) == step_line(absent, 10)
    assert "reward +nan" in step_line(step(3, reward=None), 10)


@pytest.mark.parametrize(
    ("steps", "max_steps", "shown"),
    [
        ([2.0] * 3, 10, "  left 14 s"),
        ([2.0] * 3, 3, "  left 0 s"),
        ([90.0] * 2, 10, "  left 12 min"),
        ([900.0] * 2, 20, "  left 4 h 30 min"),
        ([500.0] * 3 + [2.0] * 20, 33, "  left 20 s"),
    ],
)
def test_a_step_line_says_how_much_time_is_left(steps, max_steps, shown):
    """By the newest steps: the first ones load and compile."""
    records = [
        step(number, seconds={"generate": seconds / 2, "reward": 0.0, "update": seconds / 2})
        for number, seconds in enumerate(steps, 1)
    ]
    assert step_line(records[-1], max_steps, seconds_left(records, max_steps)).endswith(shown)
    assert "left" not in step_line(records[-1], max_steps)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_the_second_ends(number):
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from raccoon.launch import StopSignal\n"
        "stop = StopSignal().install(); print('ready', flush=True)\n"
        "while not stop.number: time.sleep(0.01)\n"
        "print(stop.name, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(SCRIPTS)], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == f"{number.name}\n"
    process.send_signal(number)
    assert process.wait(timeout=60) == -number


def test_importing_the_rooms_of_a_run_loads_no_library():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from raccoon.runs import checkpoints, heldout, log, sentinels; "
        "print(*({'torch', 'transformers', 'trl', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(SCRIPTS)], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def infra(reason: str, task: str = "t/1") -> Rollout:
    lost = rollout("INFRA", None, task_id=task)
    return replace(lost, verdict=replace(lost.verdict, reason=f"infra: {reason}"))


def test_infra_is_counted_by_cause_and_where_the_code_may_decide_it():
    groups = [
        infra("the test of t/1 raises KeyError: 5"),
        rollout(),
        infra("the test of t/2 raises KeyError: 'a'", "t/2"),
        infra("a sandbox process was lost ([Errno 104] reset)", "t/2"),
    ]
    metrics = rollout_metrics(groups, 2)
    assert metrics["infra"] == {"the test raises KeyError": 2, "a sandbox process was lost": 1}
    assert metrics["infra_beside"] == 1
    assert "INFRA the test raises KeyError (2), a sandbox process was lost (1)" in step_line({"step": 1, **metrics}, 2)
    assert "INFRA" not in step_line({"step": 1, **rollout_metrics([rollout()], 1)}, 2)


def test_completions_that_moved_beside_their_test_are_counted():
    moved = rollout("FAIL", -0.5)
    moved = replace(moved, verdict=accepted(replace(moved.verdict, status="PASS", isolation="shared"), False))
    assert rollout_metrics([moved, rollout("FAIL", -0.5)], 2)["shared_refused"] == 1


def conversation(answers: int, status: str = "PASS", cut: bool = False, **changes) -> Rollout:
    """A conversation of so many answers, of which the first may be cut."""
    last = rollout(status, 1.0 if status == "PASS" else -0.5, **changes)
    turns = [
        Turn("c", "c", replace(last.verdict, feedback="wrong"), 3, cut and not place, "wrong" * (place < answers - 1))
        for place in range(answers)
    ]
    return replace(last, turns=tuple(turns))


def test_turns_have_metrics_of_their_own():
    rollouts = [conversation(1), conversation(3), conversation(3, "FAIL"), conversation(1, "FAIL", cut=True)]
    rollouts += [conversation(2, used=False), conversation(2, "FAIL", used=False)] * 2
    metrics = rollout_metrics(rollouts, 4, turns=3)
    assert metrics["pass_by_turn"] == [0.25, 0.25, 0.5]
    assert metrics["turns_mean"] == pytest.approx((1 + 3 + 3 + 1 + 4 * 2) / 8)
    assert metrics["repaired"] == pytest.approx(3 / 6)
    assert metrics["cut_at_first"] == pytest.approx(1 / 8)
    assert "pass_by_turn" not in rollout_metrics([rollout()], 1)
    shown = step_line(step(3, pass_by_turn=metrics["pass_by_turn"]), 10)
    assert "  solved 25% + 0% + 25%  reward" in shown
    assert "solved nan%" in step_line(step(3, pass_by_turn=[None, None]), 10)


def test_a_conversation_is_logged_with_its_feedback_beside_the_answers():
    record = conversation(2).record()
    assert [turn["feedback"] for turn in record["turns"]] == ["wrong", ""]
    assert not any({"seconds", "feedback"} & set(turn["verdict"]) for turn in record["turns"])
    assert "turns" not in rollout().record()
    json.dumps(record)


def test_passes_that_only_weak_tests_gave():
    statuses = [("PASS", "PASS"), ("PARTIAL", "PASS"), ("FAIL", "FAIL"), ("PASS", "PASS"), ("INFRA", "INFRA")]
    rollouts = [rollout(status, 1.0, given_status=given) for status, given in statuses]
    metrics = rollout_metrics(rollouts, 5)
    assert metrics["pass_rate_given"] == 3 / 4 and metrics["weak_passes"] == pytest.approx(1 / 3)
    assert [each["given_status"] for each in completion_records(1, 5, rollouts)] == [given for _, given in statuses]
    plain = [rollout()] * 2
    assert "pass_rate_given" not in rollout_metrics(plain, 2) and "given_status" not in plain[0].record()
