"""The evaluation script with several turns, run as its users run it: random model, scripted server, saved answers."""

import json
import os
import signal
import time
from dataclasses import replace

import pytest

from helpers import warm_python
from helpers.paths import SCRIPTS
from helpers.random_model import write_model, write_tasks
from helpers.scripted_server import Fault, ScriptedServer
from raccoon.tasks.task import write_task_file

SCRIPT = str(SCRIPTS / "evaluate_models.py")
TASKS = 40
VISIBLE = "assert f(1) == 2\n"
TURNS = "--turns 2 --max-feedback 300".split()
FLAGS = "--benchmarks tasks.jsonl --max-completion-length 12 --batch-size 8 --temperature 1".split()
MODES = "--modes greedy sampled".split()
NAMES = ("tasks", "tasks.sampled")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turns")
    write_model(folder / "sft", positions=500)
    tasks = write_tasks(folder / "tasks.jsonl", TASKS)
    write_task_file(folder / "tasks.jsonl", [replace(task, visible_tests=VISIBLE) for task in tasks])
    write_model(folder / "plain", template=None, positions=500)
    for name, shown, prompt in (
        ("wrong", "assert f(1) == 3\n", "assert f(1) == 3"),
        ("secret", "assert f(7) == 8\n", ""),
    ):
        tasks = write_tasks(folder / f"{name}.jsonl", 3)
        tasks[1] = replace(tasks[1], visible_tests=shown, prompt=f"Pass {prompt}")
        write_task_file(folder / f"{name}.jsonl", tasks)
    return folder


def evaluate(folder, *flags, code=0):
    done = warm_python.run([SCRIPT, *FLAGS, *flags], folder, DATA_DIR="", HF_HUB_OFFLINE="1")
    assert done.returncode == code, done.stdout + done.stderr
    return done


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def results(folder):
    return json.loads((folder / "results.json").read_text())["results"]


def talks(folder, name="tasks", model="sft"):
    """The answers of each conversation, and what was told."""
    return [
        [(turn["completion"], turn["feedback"]) for turn in row["turns"]]
        for row in lines(folder / model / f"{name}.jsonl")
    ]


@pytest.fixture(scope="module")
def two(place):
    evaluate(place, "--models", "sft", "--output-dir", "two", *TURNS, *MODES)
    return place / "two"


def test_what_failed_is_told_and_tried_again_and_the_first_turn_is_as_with_one(place, two):
    evaluate(place, "--models", "sft", "--output-dir", "one", *MODES)
    for name in NAMES:
        found, alone = talks(two, name), lines(place / "one" / "sft" / f"{name}.jsonl")
        assert [talk[0][0] for talk in found] == [row["completion"] for row in alone]
        assert {len(talk) for talk in found} == {1, 2} and all(talk[-1][1] == "" for talk in found)
        for talk, row in zip(found, alone, strict=True):
            assert len(talk) == (1 if row["truncated"] else 2), "it never passes"
            assert all(0 < len(feedback) <= 300 for _, feedback in talk[:-1])
    assert "turns" not in alone[0] and "by_turn" not in results(place / "one")[0]
    for row in results(two):
        assert row["turns"] == len(row["by_turn"]) == 2 and row["visible_tests"] is True and 0 < row["used"] < TASKS
    assert "| greedy, 2 turns, visible tests were shown |" in (two / "comparison.md").read_text()


def test_another_engine_and_two_processes_say_the_same_in_every_turn(place, two):
    evaluate(place, "--models", "sft", "--output-dir", "lean", "--engine", "lean", *TURNS, *MODES)
    evaluate(place, "--models", "sft", "--output-dir", "shared", "--processes", "2", *TURNS, *MODES)
    for name in NAMES:
        assert talks(two, name) == talks(place / "lean", name) == talks(place / "shared", name)


def test_killed_and_continued_is_the_same_and_what_has_ended_is_kept(place, two):
    paths = [str(place / name) for name in ("sft", "killed", "tasks.jsonl")]
    flags = [part for pair in zip(("--models", "--output-dir", "--benchmarks"), paths, strict=True) for part in pair]
    file = place / "killed" / "sft" / "tasks.jsonl"
    with open(os.devnull, "w") as nowhere:
        script = warm_python.Script([SCRIPT, *FLAGS, *flags, *TURNS], place, {"DATA_DIR": ""}, nowhere, nowhere)
    while script.runs() and not (file.exists() and file.read_bytes().count(b"\n") >= 6):
        time.sleep(0.01)
    os.kill(script.pid, signal.SIGKILL)
    assert script.wait() == -signal.SIGKILL
    kept = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert 6 <= len(kept) < TASKS
    evaluate(place, *flags, *TURNS)
    assert talks(place / "killed") == talks(two) and {*kept} <= {*file.read_text().splitlines(keepends=True)}
    stamp = file.stat().st_mtime_ns
    evaluate(place, *flags, *TURNS)
    assert file.stat().st_mtime_ns == stamp, "a finished evaluation is read"


def test_other_turns_feedback_or_visible_tests_are_not_mixed(place, two):
    for changed in ([], ["--turns", "2", "--max-feedback", "310"]):
        refused = evaluate(place, "--models", "sft", "--output-dir", "two", *changed, code=2)
        assert f"holds {TASKS} completions of another model" in refused.stderr
    tasks = [json.loads(line) | {"visible_tests": ""} for line in (place / "tasks.jsonl").read_text().splitlines()]
    (place / "other").mkdir()
    (place / "other" / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    flags = ["--benchmarks", "other/tasks.jsonl", "--models", "sft", "--output-dir", "two", *TURNS]
    assert "or of another grader or other turns" in evaluate(place, *flags, code=2).stderr


def test_saved_conversations_are_graded_again_at_every_turn(place, two):
    evaluate(place, "--samples", str(two / "sft" / "tasks.jsonl"), "--output-dir", "again")
    (again,), first = results(place / "again"), results(two)[0]
    for name in ("n", "passed", "by_turn", "repaired", "broken", "used", "turns", "outcomes", "truncated"):
        assert again[name] == first[name]
    good, bad = (f"```python\ndef f(x):\n    return x + {number}\n```" for number in (1, 2))
    rows = [[good], [bad, good], [bad, bad], [good, bad], [good, good]]
    rows = [{"task_id": f"t/{number}", "turns": turns} for number, turns in enumerate(rows)]
    (place / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluate(place, "--samples", "texts.jsonl", "--output-dir", "texts")
    (row,) = results(place / "texts")
    assert [each["passed"] for each in row["by_turn"]] == [3, 3] and (row["n"], row["passed"], row["used"]) == (5, 3, 4)
    assert (row["repaired"], row["broken"], row["visible_tests"]) == (0.5, 0.25, None)


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--models", "sft", *TURNS, "--prompt-style", "completion"], "PROMPT_STYLE is completion, and TURNS is 2"),
        (["--models", "sft", *TURNS, "--code-extraction-method", "strict"], "sft has several turns, and CODE"),
        (["--models", "sft", "--turns", "0"], "TURNS is 0"),
        (["--models", "sft", "--turns", "2", "--max-feedback", "299"], "MAX_FEEDBACK is 299"),
        (["--models", "sft", "--turns", "2"], "sft reads 500 tokens, and conversations on 40 of 40 tasks"),
        (["--models", "plain", *TURNS], "plain: its tokenizer has no chat template"),
        (["--models", "sft", *TURNS, "--benchmarks", "wrong.jsonl"], "t/1 (its solution fails them"),
        (["--models", "sft", *TURNS, "--benchmarks", "secret.jsonl"], "t/1 (neither its test nor its prompt has"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line_before_anything_is_graded(place, flags, words):
    done = evaluate(place, "--output-dir", "refused", *flags, code=2)
    assert words in done.stderr and done.stderr.count("\n") == 1 and not (place / "refused").exists()


# A model on a server

GOOD, BAD = (f"```python\ndef f(x):\n    return x + {number}\n```" for number in (1, 2))
SERVED = ["--models", "openai:scripted", "--output-dir", "out", "--limit", "20", *TURNS]


@pytest.fixture
def served(place, tmp_path):
    (tmp_path / "tasks.jsonl").write_bytes((place / "tasks.jsonl").read_bytes())
    return tmp_path


def asked(server):
    return [body["messages"] for body in server.requests if "Say OK" not in body["messages"][0]["content"]]


def repairing(messages):
    """A model that corrects its answer if the prompt speaks of two."""
    return GOOD if len(messages) > 1 and "two" in messages[0]["content"] else BAD


def test_a_served_model_gets_messages_and_repairs_what_it_is_told(served):
    with ScriptedServer(lambda body: repairing(body["messages"])) as server:
        evaluate(served, *SERVED, "--base-url", server.url)
        later = [messages for messages in asked(server) if len(messages) > 1]
        assert len(asked(server)) == 40 and len(later) == 20
        for messages in later:
            assert [each["role"] for each in messages] == ["user", "assistant", "user"]
            assert messages[1]["content"] == BAD
            assert "test: assert f(1) == 2\nexpected: 2\ngot: 3\n" in messages[2]["content"]
            assert "f(5)" not in messages[2]["content"], "a hidden test"
    (row,) = results(served / "out")
    two = sum("two" in record["prompt"] for record in lines(served / "out" / "scripted" / "tasks.jsonl"))
    assert [each["passed"] for each in row["by_turn"]] == [0, two] and row["repaired"] == two / 20 and 0 < two < 20


def test_a_conversation_without_its_last_answer_starts_again_and_no_other_one(served):
    failing = True

    def script(body):
        if failing and len(body["messages"]) > 1 and "three" in body["messages"][0]["content"]:
            raise Fault("status", 400, "too long for this server")
        return repairing(body["messages"])

    with ScriptedServer(script) as server:
        done = evaluate(served, *SERVED, "--base-url", server.url, code=1)
        missing = sum(len(messages) > 1 and "three" in messages[0]["content"] for messages in asked(server))
        assert f"{missing} of 20 requests have no answer (HTTP 400: too long for this server)" in done.stderr
        assert len(lines(served / "out" / "scripted" / "tasks.jsonl")) == 20 - missing > 0
        failing = False
        server.requests.clear()
        evaluate(served, *SERVED, "--base-url", server.url)
        assert len(asked(server)) == 2 * missing
    assert results(served / "out")[0]["n"] == 20


def test_each_turn_of_a_sample_has_its_own_seed(served):
    with ScriptedServer(lambda body: BAD) as server:
        evaluate(served, *SERVED, "--modes", "sampled", "--num-samples", "2", "--limit", "4", "--base-url", server.url)
        seeds = [body["seed"] for body in server.requests if "seed" in body]
    assert len(seeds) == len(set(seeds)) == 16


def test_a_server_that_takes_no_second_message_is_refused_before_anything_is_asked(served):
    def script(body):
        if len(body["messages"]) > 1:
            raise Fault("status", 400, "Conversation roles must alternate")
        return GOOD

    with ScriptedServer(script) as server:
        done = evaluate(served, *SERVED, "--base-url", server.url, code=2)
        assert "Conversation roles must alternate" in done.stderr and asked(server) == []
