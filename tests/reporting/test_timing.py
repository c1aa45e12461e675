"""What the time of a run went into: shares, tokens a second, and what is named to be changed."""

import pytest

from helpers.run_folders import metrics, write_lines, write_run
from raccoon.reporting.logs import Run, read_run
from raccoon.reporting.timing import time_parts, time_sentences


def timed(folder, seconds: list[dict[str, float]]) -> Run:
    write_run(folder)
    rows = [metrics(step, seconds=each, completions=10, tokens_mean=20.0) for step, each in enumerate(seconds, 1)]
    write_lines(folder / "metrics.jsonl", rows)
    return read_run(folder)


def test_parts_are_shares_of_the_whole_time(tmp_path):
    step = {"generate": 2.0, "reward": 1.0, "wait": 0.0, "update": 4.0, "heldout": 0.0, "checkpoint": 0.0}
    run = timed(tmp_path, [step, step | {"checkpoint": 6.0}, step | {"checkpoint": 2.0, "other": 2.0}, step])
    parts = {part.name: part for part in time_parts(run)}
    assert list(parts) == ["generate", "reward", "update", "checkpoint", "other"]
    assert sum(part.share for part in parts.values()) == pytest.approx(1)
    checkpoint = parts["checkpoint"]
    assert (checkpoint.seconds, checkpoint.share, checkpoint.median, checkpoint.longest) == (8.0, 8 / 38, 4.0, 6.0)
    told = " ".join(time_sentences(run))
    assert "generation took 21.1 % and the update 42.1 %" in told
    assert "The rest is 36.8 % = 21.1 % writing checkpoints + 10.5 % reward" in told
    assert "wrote 100 tokens a second while it generated, and 21 in a second of the whole time" in told
    assert "Change first: writing checkpoints takes 21.1 %; raise SAVE_STEPS" in told


def test_a_step_that_was_held_up_is_named_and_old_logs_are_read(tmp_path):
    run = timed(tmp_path, [{"generate": 1.0, "reward": 0.1, "update": 1.0}] * 6 + [{"generate": 1.0, "update": 70.0}])
    assert "Step 7 took 1 min, where a step usually takes 2 s" in " ".join(time_sentences(run))
    assert time_sentences(timed(tmp_path, [{}, {}])) == [] == time_parts(timed(tmp_path, [{}]))


def test_a_step_without_a_generation_has_no_speed(tmp_path):
    run = timed(tmp_path, [{"generate": 0.0, "update": 1.0}, {"generate": 4.0, "update": 1.0}])
    assert [step.generation_speed for step in run.steps] == [None, 50.0]
    assert [step.speed for step in run.steps] == [None, 40.0]
