"""Code extraction by a model: asked where there is doubt, believed only where it quotes, never a solver."""

import pytest

from helpers.reward_doubles import FixedSandbox, Tokenizer, ids
from helpers.scripted_server import Fault, ScriptedServer
from raccoon.evaluation.engines import Completion, Slot
from raccoon.evaluation.grading import Grader, RecordFile
from raccoon.llm import client
from raccoon.llm.client import Endpoint, LlmClient
from raccoon.llm.llm_extraction import LlmExtractor, verbatim
from raccoon.records import Verdict
from raccoon.rewards.execution import Chat, ExecutionReward
from raccoon.store import AnswerCache
from raccoon.tasks.task import Task

pytest.importorskip("openai")
TASK = Task("t", "Write f.", "assert f(1) == 2", "f")
CODE = "def f(x):\n    return x + 1\n"
# extract_code finds no program in it that parses: the model numbered nothing, but talked on inside its block.
MIXED = "```python\nSure: here is def of f, as asked for ...\n  def f(x):\n      return x + 1\nthat is (all\n```"


@pytest.fixture
def extracting(tmp_path, monkeypatch):
    """extracting(script) -> (LlmExtractor, server)"""
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    opened = []

    def start(script):
        server = ScriptedServer(script).__enter__()
        client = LlmClient(Endpoint(server.url, "scripted", timeout=20.0, max_retries=0)).__enter__()
        opened.extend([server, client])
        return LlmExtractor(client, AnswerCache(tmp_path / "extractions.jsonl")), server

    yield start
    for each in reversed(opened):
        each.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("code", "completion", "found"),
    [
        (CODE, f"Here: {CODE} done", CODE.rstrip()),
        (CODE, "text\n    def f(x):\n        return x + 1\nmore", CODE.rstrip()),  # dedented
        ("def f(x):\n        return x + 1", CODE, CODE.rstrip()),  # the completion's indentation counts
        (
            "def f(x):\n  for y in x:\n    z = y\n    return z",
            "def f(x):\n  for y in x:\n    z = y\n  return z",
            "def f(x):\n  for y in x:\n    z = y\n  return z",
        ),  # so no line moves to another block
        (CODE.replace("+ 1", "+ 2"), CODE, ""),
        (CODE + "f(1)", CODE, ""),
        ("", CODE, ""),
        (" \n", CODE, ""),
        (CODE, "", ""),
    ],
)
def test_only_what_stands_in_the_completion_is_code(code, completion, found):
    assert verbatim(code, completion) == found


def test_a_model_is_asked_only_where_nothing_parses(extracting):
    extractor, server = extracting(lambda body: f"```python\n{CODE}```")
    assert extractor.extract([f"```python\n{CODE}```", MIXED, ""], [TASK] * 3) == [CODE.rstrip(), CODE.rstrip(), ""]
    assert len(server.requests) == 1
    assert extractor.extract([MIXED], [TASK]) == [CODE.rstrip()]
    assert len(server.requests) == 1  # from the cache
    assert extractor.summary() == "code extraction by LLM: 2 asked, 2 found"


def test_an_extractor_that_solves_the_task_is_not_believed(extracting):
    extractor, _ = extracting(lambda body: "```python\ndef f(x):\n    return {1: 2}[x]\n```")
    (code,) = extractor.extract([MIXED], [TASK])
    assert "{1: 2}" not in code
    assert extractor.counts == {"asked": 1, "not verbatim": 1}


def test_a_server_that_fails_is_no_fail(extracting):
    def broken(body):
        raise Fault("status", 500)

    extractor, _ = extracting(broken)
    box = FixedSandbox([Verdict("FAIL", "no code", 0, 0, 0.0, "separate")])
    reward = ExecutionReward(None, box, Chat(Tokenizer(), [0]), extractor)
    reward.table = type("Table", (), {"parts": lambda self, verdict, *_: None})()
    (rollout,) = reward.evaluate([TASK], [ids(MIXED)])
    assert (rollout.verdict.status, rollout.reward, extractor.counts["failed"]) == ("INFRA", None, 1)


class Ignored:
    """A progress bar that shows nothing."""

    def update(self, count): ...

    def set_postfix_str(self, text, refresh): ...


def test_the_evaluation_grades_a_batch_in_one_go_and_leaves_failures_ungraded(extracting, tmp_path):
    def script(body):
        if "again" in body["messages"][-1]["content"]:
            raise Fault("status", 500)
        return CODE

    class Box:
        def submit(self, program):
            from concurrent.futures import Future

            done = Future()
            done.set_result(Verdict("PASS", "pass", 1, 1, 0.1, "separate"))
            return done

    extractor, server = extracting(script)
    file = RecordFile(tmp_path / "t.jsonl")
    requests = [Slot(TASK, sample) for sample in range(3)]
    texts = [MIXED, MIXED + "again", CODE]
    answers = [(request, Completion(text, "p")) for request, text in zip(requests, texts, strict=True)]
    with Grader(Box(), file, {"t": 1.0}, "here", Ignored(), extractor) as grader:
        grader.begin(*answers[0])
        assert server.requests == []
        grader.submit(answers, {request.key: "x" for request in requests})
    records = file.load()
    assert [records["t", sample].verdict.status for sample in range(3)] == ["PASS", "INFRA", "PASS"]
    assert [records["t", sample].code for sample in range(3)] == [CODE.rstrip(), "", CODE]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 400, "too long"),
        Fault("status", 422, "no"),
        Fault("status", 413, "too large"),
        Fault("body", 200, '{"choices": [{"message": {"content": null}, "finish_reason": "content_filter"}]}'),
    ],
)
def test_a_text_that_the_server_refuses_cannot_choose_to_be_unscored(extracting, fault):
    def refusing(body):
        raise fault

    extractor, _ = extracting(refusing)
    (code,) = extractor.extract([MIXED], [TASK])
    assert code is not None and extractor.counts["failed"] == 0


def test_half_a_surrogate_pair_is_sent_too(extracting):
    extractor, _ = extracting(lambda body: f"```python\n{CODE}```")
    assert extractor.extract([MIXED + "\ud800"], [TASK]) == [CODE.rstrip()]
