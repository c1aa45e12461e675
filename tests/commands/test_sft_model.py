"""SFT on tasks and trajectories: what is taught, what is left out, and a tiny run from end to end."""

import json
import re
import subprocess
import sys
from unittest.mock import Mock

import pytest

import sft_model
from helpers.training_runs import PROGRAMS, environment, furnish, lines
from raccoon.constants import InputError
from raccoon.published.contamination import find_badge
from raccoon.tasks.task import Task, read_task_file, write_task_file


def run(folder, *flags: str, **options) -> subprocess.CompletedProcess:
    words = [
        sys.executable,
        sft_model.__file__,
        "--model-path",
        "model",
        "--output-dir",
        "sft",
        "--learning-rate",
        "0.01",
        "--epochs",
        "2",
        "--sandbox-workers",
        "1",
        "--batch-size",
        "2",
        "--gradient-accumulation",
        "1",
        *flags,
    ]
    return subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False, **options)


def test_an_answer_is_the_solution_in_a_fence_and_a_trajectory_what_was_said():
    solved = sft_model.conversation(Task("t", "Do it.", "assert f(1)", "f", solution="def f(x):\n    return x\n"))
    assert solved["prompt"] == [{"role": "user", "content": "Do it."}]
    assert solved["completion"] == [{"role": "assistant", "content": "```python\ndef f(x):\n    return x\n```"}]
    said = Task("t", "Do it.", "pass", solution="Here:\n```python\nx = 1\n```", source="trajectory")
    assert sft_model.conversation(said)["completion"][0]["content"] == said.solution


def test_trajectories_are_read_and_bad_lines_named(tmp_path):
    def line(*messages) -> str:
        return (
            json.dumps(
                {"task_id": "a", "messages": [dict(zip(("role", "content"), each, strict=True)) for each in messages]}
            )
            + "\n"
        )

    path = tmp_path / "t.jsonl"
    path.write_text(line(("user", "Do it."), ("assistant", "Done.")))
    assert [(task.prompt, task.solution) for task in sft_model.read_trajectories(str(path))] == [("Do it.", "Done.")]
    for bad in (
        line(("user", "Do it.")),
        line(("user", "x"), ("user", "y")),
        line(("user", " "), ("assistant", "y")),
        '{"task_id": "a"}\n',
        "[]\n",
    ):
        path.write_text(line(("user", "Do it."), ("assistant", "Done.")) + bad)
        with pytest.raises(InputError, match=re.escape(f"{path}, line 2")):
            sft_model.read_trajectories(str(path))
    with pytest.raises(InputError, match="no file of trajectories"):
        sft_model.read_trajectories(str(tmp_path / "none.jsonl"))


def test_what_is_like_a_task_to_evaluate_on_is_not_taught(tmp_path, monkeypatch, capsys):
    def task(name: str, prompt: str, value: int, solution: str = PROGRAMS[0]) -> Task:
        return Task(
            name,
            prompt,
            f"assert f({value}) == {value + 1}\nassert f({value + 5}) == {value + 6}",
            "f",
            solution=solution,
        )

    write_task_file(
        tmp_path / "taught.jsonl",
        [
            task("alike", "add one to the number that is given", 1),
            task("a", "something else altogether", 20),
            task("b", "another thing there is", 40),
            task("wrong", "a wrong solution", 60, PROGRAMS[1]),
            task("unsolved", "no solution at all", 80, ""),
        ],
    )
    write_task_file(tmp_path / "unseen.jsonl", [task("u", "find the largest of them", 1)])  # the same asserts
    monkeypatch.setattr(sft_model, "BENCHMARKS", [str(tmp_path / "taught.jsonl")])
    monkeypatch.setattr(sft_model, "KEEP_UNSEEN", [str(tmp_path / "unseen.jsonl")])
    monkeypatch.setattr(sft_model, "OUTPUT_DIR", str(tmp_path / "sft"))
    monkeypatch.setattr(sft_model, "load_tokenizer", lambda *_: None)
    monkeypatch.setattr(sft_model, "short_enough", stop := Mock(side_effect=InterruptedError))
    with pytest.raises(InterruptedError):
        sft_model.main()
    assert [each.task_id for each in stop.call_args[0][0]] == ["a", "b"]
    assert "left out 1 of 3 tasks that are like one of" in capsys.readouterr().out
    monkeypatch.setattr(sft_model, "KEEP_UNSEEN", [str(tmp_path / "taught.jsonl")])
    with pytest.raises(InputError, match="3 tasks to teach, and 3 of them are like one of KEEP_UNSEEN"):
        sft_model.main()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BENCHMARKS", [], "nothing to teach"),
        ("EPOCHS", 0, "EPOCHS is 0"),
        ("HELDOUT_SHARE", 1.0, "HELDOUT_SHARE is 1.0"),
        ("OUTPUT_DIR", sft_model.MODEL_PATH, "which would be overwritten"),
    ],
)
def test_constants_that_no_run_can_have(name, value, words, monkeypatch):
    monkeypatch.setattr(sft_model, name, value)
    with pytest.raises(InputError, match=words):
        sft_model.check_constants()


def test_a_tiny_model_is_taught_from_end_to_end(tmp_path):
    folder = furnish(tmp_path, train=8)
    flags = ["--benchmarks", "train.jsonl", "more.jsonl", "--keep-unseen", "heldout.jsonl"]
    more, heldout = (
        read_task_file(furnish(tmp_path / "x", train=8, more=4, heldout=2) / f"{name}.jsonl")
        for name in ("more", "heldout")
    )
    write_task_file(folder / "more.jsonl", more)
    write_task_file(folder / "heldout.jsonl", heldout)
    done = run(folder, *flags)
    assert done.returncode == 0, done.stderr
    assert "tasks    11 to teach, 1 held out" in done.stdout and "held-out loss before training" in done.stdout

    losses = [record["heldout_loss"] for record in lines(folder / "sft" / "losses.jsonl")]
    assert len(losses) == 3 and min(losses[1:]) < losses[0]
    config = json.loads((folder / "sft" / "config.json").read_text())
    assert config["MODEL_PATH"] == "model" and config["model_type"] == "qwen3" and config["ended"]
    assert not list((folder / "sft").glob("checkpoint-*")) and (folder / "sft" / "tokenizer.json").is_file()
    taught = read_task_file(folder / "sft" / "tasks.jsonl")
    assert (
        find_badge(folder / "sft", taught[:3], "").name == "seen"
        and find_badge(folder / "sft", heldout, "").name == "unseen"
    )

    again = run(folder, *flags, "--cpu-threads", "2")
    assert (again.returncode, "exists already" in again.stdout) == (0, True)
    other = run(folder, *flags, "--learning-rate", "0.5")
    assert other.returncode == 2 and "made with other values of LEARNING_RATE" in other.stderr
