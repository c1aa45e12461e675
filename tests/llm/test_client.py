"""The client against a server that answers, is busy, breaks and lies; and how a model's JSON is read."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from helpers.paths import SCRIPTS
from helpers.scripted_server import Fault, ScriptedServer
from raccoon.constants import InputError
from raccoon.llm import client
from raccoon.llm.client import LOST_AFTER, PROBE_TOKENS, Endpoint, LlmClient, Request, ServerLost, parse_json_object

pytest.importorskip("openai")
KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)


def endpoint(server: ScriptedServer, **changes) -> Endpoint:
    return Endpoint(**{"base_url": server.url, "model": "scripted", "timeout": 20.0, "max_retries": 2, **changes})


def request(text: str = "hi", **changes) -> Request:
    return Request(({"role": "user", "content": text},), **{"temperature": 0.5, "max_tokens": 9, **changes})


def first_times(fault: Fault, count: int):
    """A script that breaks down `count` times and then answers."""
    left = iter(range(count))

    def script(body: dict) -> str:
        if next(left, None) is not None:
            raise fault
        return "answer"

    return script


def always(fault: Fault):
    def script(body: dict) -> str:
        raise fault

    return script


def ask(script, *requests: Request, **changes):
    with ScriptedServer(script) as server, LlmClient(endpoint(server, **changes)) as client:
        return client.ask_all(requests or [request()]), client, server


def test_answers_come_in_order_and_are_told_as_they_come():
    told = {}
    with ScriptedServer(lambda body: body["messages"][0]["content"].upper(), delay=0.02) as server:
        with LlmClient(endpoint(server, concurrency=3)) as client:
            caller = threading.get_ident()

            def keep(number, answer):
                assert threading.get_ident() == caller
                told[number] = answer

            answers = client.ask_all([request(f"q{i}") for i in range(10)], keep)
            again = client.ask_all([request("x")])  # the same client, once more
    assert [answer.text for answer in answers] == [f"Q{i}" for i in range(10)]
    assert told == dict(enumerate(answers))
    assert server.most <= 3
    assert (again[0].text, answers[0].finish_reason, answers[0].prompt_tokens) == ("X", "stop", 7)
    assert dataclasses.asdict(client.usage) == {
        "requests": 11,
        "retries": 0,
        "prompt_tokens": 77,
        "completion_tokens": 33,
    }


def test_what_is_sent():
    schema = {"type": "object", "properties": {}}
    _, _, server = ask(lambda body: "", request(json_schema=schema, seed=4))
    sent = server.requests[0]
    assert (sent["model"], sent["temperature"], sent["max_tokens"], sent["seed"]) == ("scripted", 0.5, 9, 4)
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert sent["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("status", 429, "slow down"), "HTTP 429: "),
        (Fault("status", 500, "oh"), "HTTP 500: "),
        (Fault("hang"), "no answer within 2 s"),
        (Fault("drop"), "connection failed ("),
        (Fault("half"), "connection failed ("),
        (Fault("huge"), "the answer is larger than 8000000 bytes"),
        (Fault("body", 200, "<html>"), "the answer is not JSON"),
        (Fault("body", 200, "[" * 100_000), "the answer is not JSON"),
        (Fault("body", 200, "[1]"), "the answer is JSON but not a chat completion"),
        (Fault("body", 200, '{"choices": []}'), "the answer is JSON but not a chat completion"),
        (Fault("body", 200, '{"choices": [{"message": {"content": 5}}]}'), "its content is not a text"),
        (Fault("body", 200, "{}", {"Content-Encoding": "gzip"}), "the answer is compressed"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_fault_is_tried_again_and_then_an_error(fault, words):
    limits = {"max_retries": 1, "timeout": 2.0 if fault.kind == "hang" else 20.0}  # a busy machine may pause us
    (healed,), client, _ = ask(first_times(fault, 1), **limits)
    assert (healed.text, healed.error, client.usage.retries) == ("answer", "", 1)
    (broken,), _, server = ask(always(fault), **limits)
    assert broken.text is None
    assert words in broken.error and "\n" not in broken.error and len(broken.error) < 300
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_not_tried_again(status):
    (answer,), _, server = ask(always(Fault("status", status, "no")))
    assert answer.error.startswith(f"HTTP {status}: ")
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed():
    with ScriptedServer(lambda body: "elsewhere") as other:
        (answer,), _, _ = ask(always(Fault("status", 307, "", {"Location": other.url + "/chat/completions"})))
    assert answer.text is None and other.requests == []


def test_an_answer_without_text_is_an_error_and_odd_usage_counts_as_none():
    odd = {
        "choices": [{"message": {"content": None}, "finish_reason": "content_filter"}],
        "usage": {"prompt_tokens": "many", "completion_tokens": 10**30},
    }
    (answer,), client, _ = ask(always(Fault("body", 200, json.dumps(odd))))
    assert answer.error == "the answer has no text (finish_reason content_filter)"
    assert (client.usage.prompt_tokens, client.usage.completion_tokens) == (0, 0)
    half = '{"choices": [{"message": {"content": "a\\ud800"}}], "usage": null}'
    (answer,), _, _ = ask(always(Fault("body", 200, half)))
    assert answer.text.encode() == b"a?"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("1e9", 60),
        ("-3", 0),
        ("nan", 0),
        ("inf", 0),
        ("soon", 0),
        ("", 0),
        ("99999999999999999999 GMT", 0),
        (format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True), 60),
    ],
)
def test_retry_after_is_bounded(header, seconds):
    assert client.retry_after(header) == seconds


def test_retry_after_is_waited_for():
    with ScriptedServer(lambda body: "") as server, LlmClient(endpoint(server)) as client:
        assert client._wait(0, retry_after=9.0) == 9.0
        assert client._wait(50, retry_after=0.0) == 60.0
        assert 0.01 <= client._wait(1, retry_after=0.0) <= 0.02


@pytest.mark.parametrize(
    ("field", "instead"),
    [("response_format", None), ("seed", None), ("temperature", None), ("max_tokens", "max_completion_tokens")],
)
def test_a_field_that_the_server_refuses_is_left_out_from_then_on(field, instead):
    def script(body):
        if field in body:
            raise Fault("status", 400, f"Unsupported parameter: '{field}'" if field != "response_format" else "no")
        return "answer"

    full = request(json_schema={"type": "object"}, seed=1)
    answers, client, server = ask(script, *[full] * 3, concurrency=1)
    assert [answer.text for answer in answers] == ["answer"] * 3
    assert len(server.requests) == 4  # one refusal
    assert client.refused >= {field}
    assert instead is None or server.requests[-1][instead] == 9


def test_a_400_for_another_reason_costs_no_field():
    (answer,), client, _ = ask(always(Fault("status", 400, "the prompt is too long")), request(json_schema={}))
    assert "the prompt is too long" in answer.error
    assert client.refused == set()


def test_a_server_that_dies_is_lost_and_what_was_answered_is_kept():
    kept = {}
    with ScriptedServer(lambda body: "answer") as server, LlmClient(endpoint(server, concurrency=2)) as client:

        def keep(number, answer):
            kept[number] = answer.text
            if number == 5:
                server.script = always(Fault("drop"))

        with pytest.raises(ServerLost, match="has stopped answering"):
            client.ask_all([request()] * 50, keep)
    assert sum(text == "answer" for text in kept.values()) >= 6
    assert len(kept) <= 6 + 2 + LOST_AFTER


def test_all_requests_together_end_in_time():
    told = []
    with ScriptedServer(lambda body: "answer", delay=0.2) as server:
        with LlmClient(endpoint(server, concurrency=1)) as client:
            answers = client.ask_all([request()] * 20, lambda number, _: told.append(number), within=2.0)
    assert answers[0].text == "answer"
    assert answers[-1].error == "no answer within the 2 s for all requests"
    assert sorted(told) == list(range(20))


def test_what_the_caller_raises_comes_out():
    def full_disk(number, answer):
        raise OSError("no space")

    with ScriptedServer(lambda body: "answer") as server, LlmClient(endpoint(server)) as client:
        with pytest.raises(OSError, match="no space"):
            client.ask_all([request()] * 5, full_disk)


def test_a_key_is_sent_and_never_told(monkeypatch):
    monkeypatch.setenv("TEST_LLM_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    script = always(Fault("status", 401, f"wrong key {KEY}"))
    (answer,), _, server = ask(script, api_key_env="TEST_LLM_KEY")
    assert server.headers["authorization"] == f"Bearer {KEY}"
    assert "openai-organization" not in server.headers
    assert KEY not in answer.error and "***" in answer.error
    with ScriptedServer(script) as server, LlmClient(endpoint(server, api_key_env="TEST_LLM_KEY")) as client:
        with pytest.raises(InputError, match="check the key in TEST_LLM_KEY") as caught:
            client.check()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api_key_env": "ABSENT_LLM_KEY"}, "set the environment variable ABSENT_LLM_KEY"),
        ({"base_url": "localhost:8000"}, "give one like http://127.0.0.1:8000/v1"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "start the server, or correct the base URL"),
        ({"model": "scriptd"}, "the server's models are scripted"),
    ],
)
def test_check_names_what_is_wrong_and_the_remedy(changes, words):
    with ScriptedServer(lambda body: "OK") as server, pytest.raises(InputError, match=words):
        with LlmClient(endpoint(server, **changes)) as client:
            client.check()


def test_check_of_a_server_that_answers_asks_for_little():
    with ScriptedServer(lambda body: "OK") as server, LlmClient(endpoint(server)) as client:
        client.check()
    assert [body["max_tokens"] for body in server.requests] == [PROBE_TOKENS]


def test_ctrl_c_stops_at_once():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom raccoon.llm.client import *\n"
        "with LlmClient(Endpoint(sys.argv[2], 'scripted', timeout=60)) as client:\n"
        "    print('asking', flush=True)\n"
        "    client.ask_all([Request(({'role': 'user', 'content': 'x'},), 0.0, 1)] * 50)\n"
    )
    with ScriptedServer(always(Fault("hang"))) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(SCRIPTS), server.url],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        while not server.requests:
            threading.Event().wait(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=25)  # less than the requests would hang
    assert errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Here it is: {"a": {"b": [1, 2]}} as asked', {"a": {"b": [1, 2]}}),
        ('```json\n{"a": "```"}\n```\nDone', {"a": "```"}),
        ('With {braces} first:\n```json\n{"a": 1}\n```', {"a": 1}),
        ('{"a": "```{}"}', {"a": "```{}"}),
        ('<think>is it {"a": 2}?</think>\n{"a": 1}', {"a": 1}),
        ('{"a": 1} {"a": 2}', None),
        ('<think></think>{"a": 10}\n</think>{"a": 1}', None),
        ('{"a": 1, "a": 2}', None),
        ('{"a": {"b": 1, "b": 2}}', None),
        ('{"a": NaN}', None),
        ('{"a": -Infinity}', None),
        ('{"a": 1e999}', None),
        ('{"a": ' + "9" * 5000 + "}", None),
        ('{"a": 1', None),
        ("[1]", None),
        ("7", None),
        ("", None),
        ("{" * 100_000, None),
        ('{"a":' * 100_000, None),
    ],
)
def test_one_json_object_or_none(text, value):
    assert parse_json_object(text) == value
