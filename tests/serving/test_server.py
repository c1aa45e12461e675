"""The verdict server: what it answers, and what it does with clients that ask too much, too slowly, or leave."""

import base64
import contextlib
import dataclasses
import http.client
import json
import socket
import subprocess
import sys

import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install -r requirements-serve.txt")

from helpers.paths import SCRIPTS
from helpers.verdict_servers import WAIT, HeldBox, ServerProcess, answer, lines, posted, served, until
from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.serving import server as serving
from raccoon.serving.fusion import MAX_STDOUT
from raccoon.serving.lines import checked_program, judged_count, program_line, read_verdict
from raccoon.serving.server import Limits

PASS = Verdict.of("pass", 1, 1)
ADD = {"task_id": "a", "code": "def f(x):\n    return x + 1\n", "test": "assert f(1) == 2\n", "entry_point": "f"}
CASES = json.dumps({"inputs": ["1", "2", "3"], "outputs": ["1", "4", "6"]})
PROGRAMS = [
    Program(**ADD),
    Program(**ADD | {"code": "def f(x):\n    return x\n"}, visible_tests="assert f(1) == 2", max_feedback=400),
    Program(**ADD | {"code": "def f(x)\n"}),
    Program(**ADD | {"code": ""}, max_feedback=400),
    Program(**ADD | {"code": "import os\nprint('\ud800 \\u00e9')\nos._exit(3)\n"}, solution=ADD["code"]),
    Program("print(2 * int(input()))", CASES, kind="program", task_id="p"),
    Program("print(2 * int(input()))", CASES, kind="program", ends_early=True),
    Program("def g():\n    return half(4)\n", "assert g() == 2", "g", "def half(x):\n    return x // 2\n"),
    Program("x = 1\n", "assert 1 == 1\n", task_id="never calls the code"),
]
TOKEN = "sixteen-or-more-characters"


@pytest.fixture(scope="module")
def real():
    with ServerProcess() as server:
        yield server


def test_verdicts_are_those_of_the_local_sandbox(real):
    body = b"\n".join(map(program_line, PROGRAMS)) + b" \nnonsense\n[1]\n" + lines(ADD | {"timeout": 301})
    with posted(real.port, "/verdicts", body) as response:
        assert response.status == 200
        found = response.read().splitlines()
    with Sandbox(workers=1) as box:
        local = box.run(PROGRAMS)
    assert [json.loads(line)["task_id"] for line in found] == [each.task_id for each in PROGRAMS] + ["", "", "a"]
    verdicts = [dataclasses.replace(read_verdict(line), seconds=0.0) for line in found]
    assert verdicts[: len(PROGRAMS)] == [dataclasses.replace(each, seconds=0.0) for each in local]
    assert {each.status for each in local} == {"PASS", "PARTIAL", "FAIL", "INFRA"}
    reasons = [each.reason for each in verdicts[len(PROGRAMS) :]]
    assert all(each.startswith("infra: malformed line") for each in reasons)
    assert "line 19: " in reasons[0] and "up to 300" in reasons[2]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_line_holds_the_whole_program(program):
    assert checked_program(json.loads(program_line(program))) == program


def test_each_verdict_is_sent_as_soon_as_it_is_there():
    box = HeldBox()
    with served(box) as port, posted(port, "/verdicts?heartbeat=0.1", lines(ADD, ADD)) as response:
        assert judged_count(response.readline()) == 0  # a heartbeat
        box.futures[0].set_result(PASS)
        while judged_count(line := response.readline()) is not None:
            pass
        assert read_verdict(line) == PASS and not box.futures[1].done()
        box.futures[1].set_result(PASS)
        assert len(response.read().split()) > 0


def test_ten_thousand_programs_at_once_take_turns():
    """They are all judged, and another client's program does not wait for all of them."""
    box = HeldBox()
    with served(box) as port, posted(port, "/verdicts", lines(ADD) * 10_000) as response:
        with posted(port, "/verdicts", lines(ADD | {"task_id": "other"})):
            until(lambda: "other" in [program.task_id for program in box.programs])
            assert len(box.programs) <= serving.IN_FLIGHT + 1
        box.answer = lambda _: PASS
        for future in box.futures[: serving.IN_FLIGHT]:
            future.set_result(PASS)
        assert response.status == 200 and response.read().count(b"\n") == 10_000


def told(port: int) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    with contextlib.closing(connection):
        connection.request("GET", "/healthz")
        return json.loads(connection.getresponse().read())


def test_a_full_queue_refuses_and_a_client_that_leaves_frees_its_places():
    box = HeldBox()
    with served(box, Limits(queue=100)) as port:
        with posted(port, "/verdicts", lines(ADD) * 80):
            until(lambda: len(box.futures) == serving.IN_FLIGHT)  # of one request
            assert told(port)["queued"] == 80
            box.futures[0].set_running_or_notify_cancel()  # it has begun
            with posted(port, "/verdicts", lines(ADD) * 21) as response:
                assert response.status == 429 and response.headers["Retry-After"] == "1"
            assert answer(port, "/run_code", b"{}")[0] == 400
            assert answer(port, "/verdicts", lines(ADD) * 101)[0] == 413  # it never has the places
        until(lambda: told(port)["queued"] == 0)
        assert [each.cancelled() for each in box.futures] == [False] + [True] * (serving.IN_FLIGHT - 1)


def test_a_client_of_run_code_that_leaves_frees_its_place():
    box = HeldBox()
    with served(box) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        connection.request("POST", "/run_code", b'{"code": "print()", "language": "python"}')
        until(lambda: box.futures)
        connection.close()
        until(lambda: box.futures[0].cancelled())
        assert told(port)["queued"] == 0


def test_a_body_that_is_too_large_is_refused_before_it_arrives():
    box = HeldBox(lambda _: PASS)
    with served(box, Limits(body=1000, held=1100)) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        with contextlib.closing(connection):
            connection.putrequest("POST", "/verdicts")
            connection.putheader("Content-Length", str(300_000_000))
            connection.endheaders(b"{")
            response = connection.getresponse()
            assert response.status == 413 and b"300,000,000 bytes" in response.read()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        with contextlib.closing(connection):  # of unknown length
            connection.request("POST", "/verdicts", iter([b"x" * 600] * 4), encode_chunked=True)
            assert connection.getresponse().status == 413
        assert answer(port, "/verdicts", lines(ADD))[0] == 200  # the bytes of those before are free again


def test_the_bodies_of_all_requests_share_a_limit():
    box = HeldBox()
    with served(box, Limits(held=200)) as port, posted(port, "/verdicts", lines(ADD)):
        assert answer(port, "/verdicts", lines(ADD))[0] == 429


def test_a_body_that_does_not_arrive_is_given_up():
    with served(HeldBox(), Limits(patience=0.2)) as port, socket.create_connection(("127.0.0.1", port), WAIT) as sock:
        sock.sendall(b"POST /verdicts HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{")
        assert sock.recv(100).startswith(b"HTTP/1.1 408")


def test_a_client_that_does_not_read_is_given_up():
    box = HeldBox(lambda _: dataclasses.replace(PASS, output="x" * 100_000))
    with served(box, Limits(patience=0.2)) as port:
        with posted(port, "/verdicts", lines(ADD) * 500):  # 50 MB, of which sockets hold some
            until(lambda: told(port)["queued"] == 0)
            assert len(box.futures) < 500


def test_no_request_without_the_token():
    bearer, basic = f"Bearer {TOKEN}", "Basic " + base64.b64encode(f"any:{TOKEN}".encode()).decode()
    with served(HeldBox(lambda _: PASS), token=TOKEN) as port:
        for given in ("", "Bearer ", f"Bearer {TOKEN}x", TOKEN, "Basic ***", "Basic " + TOKEN):
            status, text = answer(port, "/verdicts", lines(ADD), Authorization=given)
            assert status == 401 and TOKEN not in text
        assert answer(port, "/verdicts", lines(ADD), Authorization=bearer)[0] == 200
        assert answer(port, "/verdicts", lines(ADD), Authorization=basic)[0] == 200
        assert told(port) == {"status": "ok"}  # a probe without the token learns no more


def test_web_pages_are_not_answered():
    with served(HeldBox(lambda _: PASS)) as port:
        assert answer(port, "/verdicts", lines(ADD), Origin="http://page.example")[0] == 403


@pytest.mark.parametrize(
    ("address", "token", "named"),
    [
        ("0.0.0.0:0", "", "SANDBOX_TOKEN is not set, and 0.0.0.0 is not loopback"),
        ("[::]:0", "", "SANDBOX_TOKEN is not set"),
        ("127.0.0.1:0", "short", "SANDBOX_TOKEN has 5 characters"),
        ("8765", "", "give HOST:PORT"),
        ("127.0.0.1:http", "", "give HOST:PORT"),
        ("203.0.113.1:1", TOKEN, "give an address of this machine"),
    ],
)
def test_an_address_that_cannot_be_served_is_one_line(address, token, named, monkeypatch):
    monkeypatch.setenv("SANDBOX_TOKEN", token)
    with pytest.raises(serving.InputError) as error:
        serving.listen(address)
    assert named in str(error.value) and "\n" not in str(error.value)


def test_a_taken_port_ends_the_command_with_one_line(real):
    command = [sys.executable, str(SCRIPTS / "sandbox.py"), "--serve", f"127.0.0.1:{real.port}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "in use" in ended.stderr and ended.stderr.count("\n") == 1


def run_code(port: int, code: str, stdin: str | None = None, **fields: object) -> dict:
    """The wire format of verl 0.9.1's call_sandbox_api()."""
    payload = {"compile_timeout": 10, "run_timeout": 10, "code": code, "stdin": stdin, "memory_limit_MB": 1024}
    payload |= {"language": "python", "files": {}, "fetch_files": []} | fields
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    status, text = answer(port, "/run_code", json.dumps(payload).encode(), **headers)
    return json.loads(text) | {"http": status}


def test_run_code_answers_as_sandbox_fusion_does(real):
    good = run_code(real.port, "import sys\nprint(input() * 2)\nprint('é', end='')\nprint(1, file=sys.stderr)", "ab")
    assert (good["status"], good["run_result"]["status"]) == ("Success", "Finished")
    assert good["run_result"]["return_code"] == 0
    assert (good["run_result"]["stdout"], good["run_result"]["stderr"]) == ("abab\né", "1\n")
    assert run_code(real.port, "print(input() if False else 1)")["run_result"]["stdout"] == "1\n"
    long = "x" * 100_000
    assert run_code(real.port, f"print({long!r})")["run_result"]["stdout"] == long + "\n"
    failed = {
        "print(1)\nraise KeyError('k')": (1, "1\n", "KeyError: 'k'\n"),
        "import sys\nprint(1)\nsys.exit(3)": (3, "1\n", "SystemExit: 3\n"),
        "def f(:": (1, "", "SyntaxError"),
        "raise ValueError(chr(0xD800))": (1, "", "ValueError: \ud800\n"),
        "import os\nos._exit(4)": (4, "", "exit code 4"),
    }
    for code, (number, stdout, stderr) in failed.items():
        found = run_code(real.port, code)
        assert found["status"] == "Failed" and found["run_result"]["return_code"] == number
        assert found["run_result"]["stdout"] == stdout and stderr in found["run_result"]["stderr"]
    late = run_code(real.port, "print(1, flush=True)\nwhile True: pass", run_timeout=1)
    assert late["status"] == "Failed" and late["run_result"]["status"] == "TimeLimitExceeded"
    flood = run_code(real.port, f"print('x' * {MAX_STDOUT})")
    assert flood["status"] == "SandboxError" and "more than" in flood["message"] and flood["run_result"] is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"language": "cpp"}, "language is 'cpp'"),
        ({"files": {"a": "eA=="}}, "files is given"),
        ({"fetch_files": ["a"]}, "fetch_files is given"),
        ({"run_timeout": 1e9}, "run_timeout is 1000000000.0"),
        ({"run_timeout": "9"}, "run_timeout is '9'"),
        ({"stdin": 3}, "stdin is missing or not a text"),
        ({"memory_limit_MB": 4096}, "memory_limit_MB is 4096"),
    ],
)
def test_run_code_names_what_it_does_not_serve(fields, named):
    with served(HeldBox()) as port:
        found = run_code(port, "print(1)", **fields)
        assert found["http"] == 400 and named in found["error"]
        assert "not JSON" in answer(port, "/run_code", b"{")[1]


def test_the_client_of_sandbox_fusion_is_served(real):
    fusion = pytest.importorskip("sandbox_fusion", reason="sandbox-fusion is not installed: pip install sandbox-fusion")
    asked = fusion.RunCodeRequest(code="print(input())", stdin="x", language="python")
    found = fusion.run_code(asked, endpoint=f"http://127.0.0.1:{real.port}", max_attempts=1)
    assert found.status == "Success" and found.run_result.stdout == "x\n"
