"""A model behind an OpenAI-compatible server as a subject of the evaluation script, against a scripted server."""

import itertools
import json

import pytest

from helpers import warm_python
from helpers.paths import SCRIPTS
from helpers.random_model import write_tasks
from helpers.scripted_server import Fault, ScriptedServer, completion

TASKS = 40
GOOD = "```python\ndef f(x):\n    return x + 1\n```"
BAD = "```python\ndef f(x):\n    return x\n```"
FLAGS = ["--benchmarks", "tasks.jsonl", "--output-dir", "out", "--max-completion-length", "50"]


@pytest.fixture
def place(tmp_path):
    write_tasks(tmp_path / "tasks.jsonl", TASKS)
    return tmp_path


def evaluate(place, *flags, model="openai:org/scripted", code=0, **variables):
    words = [str(SCRIPTS / "evaluate_models.py"), "--models", model, *FLAGS, *flags]
    done = warm_python.run(words, place, DATA_DIR="", **variables)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def records(place, name="tasks.jsonl"):
    return [json.loads(line) for line in (place / "out" / "scripted" / name).read_text().splitlines()]


def asked(server):
    """The evaluation's own requests; the first is the check that a server answers."""
    return [body for body in server.requests if "Say OK" not in body["messages"][-1]["content"]]


def server_of(script, **options):
    return ScriptedServer(script, models=("org/scripted",), **options)


def test_it_is_asked_at_once_and_graded_like_any_model(place):
    with server_of(lambda body: GOOD if "two" in body["messages"][-1]["content"] else BAD, delay=0.02) as server:
        evaluate(place, "--base-url", server.url, "--concurrency", "7", "--key-env", "SOME_KEY", SOME_KEY="secret-1")
        assert len(asked(server)) == TASKS and 1 < server.most <= 7
        assert server.headers["authorization"] == "Bearer secret-1"
        for body in asked(server):
            assert (body["temperature"], body["max_tokens"]) == (0, 50) and "seed" not in body
    for record in records(place):
        assert record["outcome"] == ("pass" if "two" in record["prompt"] else "wrong")
    (result,) = json.loads((place / "out" / "results.json").read_text())["results"]
    assert result["model"] == "scripted" and result["n"] == TASKS and 0 < result["passed"] < TASKS
    assert "secret-1" not in (place / "out" / "results.json").read_text()


def test_a_busy_server_is_asked_again_and_a_cut_answer_counts_as_cut(place):
    refused = set()

    def script(body):
        prompt = body["messages"][-1]["content"]
        if prompt not in refused and "Say OK" not in prompt:
            refused.add(prompt)
            raise Fault("status", 503, "busy")
        raise Fault("body", message=completion(GOOD[:30], "length"))

    with server_of(script) as server:
        evaluate(place, "--base-url", server.url, "--limit", "5", "--concurrency", "5")
    assert [record["truncated"] for record in records(place)] == [True] * 5
    assert [record["outcome"] for record in records(place)] == ["truncated"] * 5


def test_what_has_no_answer_is_not_wrong_and_the_next_run_asks_for_it_alone(place):
    failing = True

    def script(body):
        if failing and "three" in body["messages"][-1]["content"]:
            raise Fault("status", 400, "too long for this server")
        return GOOD

    with server_of(script) as server:
        done = evaluate(place, "--base-url", server.url, code=1)
        missing = [body for body in asked(server) if "three" in body["messages"][-1]["content"]]
        assert f"{len(missing)} of {TASKS} requests have no answer (HTTP 400: too long for this server)" in done.stderr
        assert len(records(place)) == TASKS - len(missing) and not (place / "out" / "results.json").exists()
        failing = False
        server.requests.clear()
        evaluate(place, "--base-url", server.url)
        assert len(asked(server)) == len(missing)
        server.requests.clear()
        evaluate(place, "--base-url", server.url)
        assert asked(server) == []
    assert [record["outcome"] for record in records(place)] == ["pass"] * TASKS


def test_a_server_that_is_gone_ends_the_run_with_what_it_gave(place):
    seen = []

    def script(body):
        seen.append(body)
        if len(seen) > 8:
            raise Fault("drop")
        return GOOD

    with server_of(script) as server:
        done = evaluate(place, "--base-url", server.url, "--concurrency", "2", "--request-timeout", "5", code=1)
        assert "stopped answering" in done.stderr
    assert len(records(place)) == 7, "the first was the check"


def test_an_answer_without_text_is_an_answer(place):
    def script(body):
        raise Fault("body", message=completion(None, "content_filter"))

    with server_of(lambda body: "OK" if "Say OK" in body["messages"][-1]["content"] else script(body)) as server:
        evaluate(place, "--base-url", server.url, "--limit", "3")
    assert [(record["completion"], record["outcome"]) for record in records(place)] == [("", "no code")] * 3


def test_samples_have_seeds_of_their_own(place):
    with server_of(lambda body: GOOD) as server:
        evaluate(place, "--base-url", server.url, "--limit", "3", "--modes", "sampled", "--num-samples", "4")
        seeds = [body["seed"] for body in asked(server)]
        assert len(set(seeds)) == 12 and all(0 <= seed < 2**31 for seed in seeds)
        assert {body["temperature"] for body in asked(server)} == {0.8}
    assert len(records(place, "tasks.sampled.jsonl")) == 12


@pytest.mark.parametrize(("samples", "where"), [(1, "in a test of two seeds"), (4, "on 3 of 3 tasks")])
def test_a_server_that_ignores_sampling_or_keeps_the_end_token_is_named(place, samples, where):
    flags = ["--limit", "3", "--modes", "sampled", "--num-samples", str(samples)]
    with server_of(lambda body: GOOD + "<|im_end|>") as server:
        done = evaluate(place, "--base-url", server.url, *flags)
    report = (place / "out" / "comparison.md").read_text()
    for text in (done.stdout, report):
        assert f"warning: {where} all samples are the same text" in text
        assert f"warning: {3 * samples} completions still end" in text
    assert "| scripted | tasks (3 of 40) | sampled, all alike |" in report
    (row,) = json.loads((place / "out" / "results.json").read_text())["results"]
    assert row["ignores_sampling"] and row["uncut"] == 3 * samples


def test_a_server_that_samples_is_not_suspected(place):
    numbers = itertools.count()
    with server_of(lambda body: f"{GOOD}\nNumber {next(numbers)}.") as server:
        done = evaluate(place, "--base-url", server.url, "--limit", "3", "--modes", "greedy", "sampled")
    assert "same text" not in done.stdout and "end token" not in done.stdout


@pytest.mark.parametrize(
    ("model", "flags", "words"),
    [
        ("openai:org/scripted", [], "with --base-url"),
        ("openai:", ["--base-url", "URL"], "give its name there after openai:"),
        ("openai:other", ["--base-url", "URL"], "the server's models are org/scripted"),
        ("openai:org/scripted", ["--base-url", "URL", "--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
        ("openai:org/scripted", ["--base-url", "http://127.0.0.1:9/v1", "--request-timeout", "5"], "start the server"),
        ("openai:org/scripted", ["--base-url", "URL", "--modes", "sampled", "--top-p", "0.9"], "TOP_P"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_runs(place, model, flags, words):
    with server_of(lambda body: GOOD) as server:
        done = evaluate(place, *[server.url if flag == "URL" else flag for flag in flags], model=model, code=2)
    assert words in done.stderr and done.stderr.count("\n") == 1 and not (place / "out").exists()
