"""One question to a model, and the verdict on its answer."""

from pathlib import Path

import pytest

import try_model
from helpers import warm_python
from helpers.random_model import write_model, write_tasks

SCRIPT = Path(try_model.__file__)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("try")
    write_model(folder / "model")
    write_tasks(folder / "tasks.jsonl", 2)
    return folder


def run(place, *flags):
    return warm_python.run([str(SCRIPT), "model", "--max-completion-length", "20", *flags], place, DATA_DIR="")


def test_an_answer_has_its_verdict(place):
    done = run(place, "--prompt", "add one", "--test", "assert f(1) == 2", "--num-samples", "2", "--temperature", "1")
    assert done.returncode == 0, done.stderr
    assert "prompt\nadd one\n" in done.stdout
    verdicts = [line for line in done.stdout.splitlines() if line.startswith("verdict ")]
    assert len(verdicts) == 2 and all(any(f": {s} (" in line for s in ("PASS", "PARTIAL", "FAIL")) for line in verdicts)
    of_a_file = run(place, "--benchmark", "tasks.jsonl", "--task", "t/1")
    assert of_a_file.returncode == 0 and "verdict 1: " in of_a_file.stdout
    assert "none: give --test" in run(place, "--prompt", "add one").stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [((), "--prompt"), (("--benchmark", "tasks.jsonl", "--task", "x"), "no task 'x' in tasks.jsonl")],
)
def test_bad_input_is_one_line(place, flags, words):
    done = run(place, *flags)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and words in done.stderr


def test_an_answer_cannot_command_the_terminal():
    assert try_model.shown("a\x1b[2Jb\r\n\tc\u202e") == "a\ufffd[2Jb\ufffd\n\tc\ufffd"
