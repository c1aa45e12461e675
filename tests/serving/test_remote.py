"""A sandbox on servers: nothing is lost, and nothing has two verdicts, whatever happens to the servers."""

import contextlib
import dataclasses
import http.server
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from unittest.mock import Mock

import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install -r requirements-serve.txt")

import evaluate_models
from helpers.paths import SCRIPTS
from helpers.ports import port_to_take_again
from helpers.verdict_servers import WAIT, HeldBox, ServerProcess, served, until
from raccoon.constants import InputError
from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.serving import remote
from raccoon.serving.lines import grading_versions, heartbeat_line, judge_version, verdict_line
from raccoon.serving.remote import RemoteSandbox, open_sandbox
from raccoon.serving.server import Limits

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")

PASS = Verdict.of("pass", 1, 1)
TOKEN = "sixteen-or-more-characters"


def program(number: int, code: str = "def f(x):\n    return x + {}\n") -> Program:
    return Program(code.format(number), "assert f(1) == 2\n", "f", task_id=f"t/{number}")


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def plain(verdicts: list[Verdict]) -> list[Verdict]:
    return [dataclasses.replace(verdict, seconds=0.0) for verdict in verdicts]


def test_of_two_servers_one_is_killed_and_nothing_is_lost():
    programs = [program(number) for number in range(120)]
    with ServerProcess() as first, ServerProcess() as second, RemoteSandbox([first.url, second.url]) as box:
        found = []
        for verdict in box.stream(programs):
            found.append(verdict)
            if len(found) == 30:
                os.kill(first.process.pid, signal.SIGKILL)
        assert [bool(server.down) for server in box.servers] == [True, False]
    with Sandbox(workers=1) as local:
        assert plain(found) == plain(local.run(programs))  # each at its place, and none is INFRA


def test_every_verdict_that_a_killed_server_gave_is_kept(monkeypatch):
    """The other server is asked for what is missing, and for nothing else."""
    monkeypatch.setattr(remote, "LANES", 1)  # so that three programs are one request
    first, second = HeldBox(), HeldBox(lambda given: PASS)
    with served(second) as port, contextlib.ExitStack() as stack:
        gone = stack.enter_context(served(first))
        with RemoteSandbox([url(gone), url(port)]) as box:
            box.servers[1].down = "not yet"
            box.servers[1].rest_until = time.monotonic() + WAIT
            futures = box.submit_all([program(number) for number in range(6)])
            until(lambda: len(first.programs) == 3)  # a share of what waits: there are two servers
            given = first.programs[0].task_id
            first.futures[0].set_result(dataclasses.replace(PASS, output="of the first"))
            until(lambda: any(future.done() for future in futures))
            stack.close()  # the first server ends
            box.servers[1].rest_until = 0
            verdicts = [future.result(WAIT) for future in futures]
    assert sorted(each.output for each in verdicts) == [""] * 5 + ["of the first"]
    assert given == "t/0" and sorted(each.task_id for each in second.programs) == [f"t/{n}" for n in range(1, 6)]


def test_without_any_server_the_verdict_is_infra_and_says_why():
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(served(HeldBox(lambda given: PASS)))
        with RemoteSandbox([url(port)], patience=0.3) as box:
            assert box.run([program(0)]) == [PASS]
            stack.close()
            [verdict] = box.run([program(1)])
    assert verdict.status == "INFRA" and url(port) in verdict.reason and "refused" in verdict.reason


def test_what_only_a_lost_server_may_judge_is_given_up():
    lost = Verdict.of("infra: a sandbox process was lost (test)")
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(served(HeldBox(lambda given: lost)))]
        with served(HeldBox(lambda given: PASS)) as port:
            box = stack.enter_context(RemoteSandbox([url(ports[0]), url(port)], patience=0.3))
        assert box.run([program(number) for number in range(20)]) == [lost] * 20


def test_a_server_that_comes_back_goes_on():
    with ServerProcess(address=f"127.0.0.1:{port_to_take_again()}") as first:
        box = RemoteSandbox([first.url])
        assert box.run([program(1)])[0].status == "PASS"
    with box:
        future = box.submit(program(1))
        until(lambda: box.servers[0].down)
        with ServerProcess(address=f"127.0.0.1:{first.port}"):
            assert future.result(2 * WAIT).status == "PASS"


def test_a_server_s_own_fault_is_asked_of_another_one():
    lost = Verdict.of("infra: a sandbox process was lost (test)")
    first, second = HeldBox(lambda given: lost), HeldBox(lambda given: PASS)
    programs = [program(number) for number in range(40)]
    with served(first) as one, served(second) as other:
        with RemoteSandbox([url(one), url(other)]) as box:
            assert box.run(programs) == [PASS] * 40
        with RemoteSandbox([url(one)]) as box:
            assert box.run(programs) == [lost] * 40


def test_a_full_server_is_asked_later():
    box = HeldBox()
    with served(box, Limits(queue=1)) as port, RemoteSandbox([url(port)]) as remote_box:
        futures = remote_box.submit_all([program(0), program(1)])
        done: list[Future] = []
        while len(done) < 2:
            until(lambda: len(box.futures) > len(done))  # noqa: B023
            box.futures[len(done)].set_result(PASS)
            until(lambda: sum(future.done() for future in futures) > len(done))  # noqa: B023
            done = [future for future in futures if future.done()]
        assert not remote_box.servers[0].down


def test_a_server_without_memory_for_a_large_program_is_asked_later():
    """It answers before it has read all, and closes: it is full, not lost."""
    box, large = HeldBox(), Program("def f():\n    return 1\n", "#" * 6_000_000, "f")
    with served(box, Limits(held=8_000_000)) as port, RemoteSandbox([url(port)]) as remote_box:
        futures = [remote_box.submit(large)]
        until(lambda: box.futures)
        put_off = remote_box.put_off
        asked = threading.Event()
        remote_box.put_off = lambda *given: (put_off(*given), asked.set())
        futures.append(remote_box.submit(large))
        assert asked.wait(WAIT)
        box.answer = lambda given: PASS
        box.futures[0].set_result(PASS)
        assert [future.result(WAIT) for future in futures] == [PASS] * 2


def test_a_server_with_few_places_gets_no_more_programs_at_once(monkeypatch):
    monkeypatch.setattr(remote, "LANES", 1)
    lost = []
    with served(HeldBox(lambda given: PASS), Limits(queue=2)) as port, RemoteSandbox([url(port)]) as box:
        lose = box.lose
        box.lose = lambda *given: (lost.append(given), lose(*given))
        assert box.run([program(number) for number in range(40)]) == [PASS] * 40
    assert not lost


def test_one_server_named_twice_is_one():
    """Else a program that it fails to judge would wait for the other one for ever."""
    lost = Verdict.of("infra: a sandbox process was lost (test)")
    with served(HeldBox(lambda given: lost)) as port, RemoteSandbox([url(port), f"{url(port)}/"]) as box:
        assert box.submit(program(0)).result(WAIT) == lost


def test_a_server_that_comes_back_with_another_memory_limit_is_refused():
    """It came back between two requests, so that only its next answer tells."""
    with served(HeldBox(lambda given: PASS)) as port, RemoteSandbox([url(port)], patience=0.3) as box:
        box.memory_mb = box.servers[0].about["memory_mb"] = 512  # what it had
        [verdict] = box.run([program(0)])
        assert verdict.status == "INFRA" and "--memory-mb 512" in verdict.reason


def test_a_lost_server_is_looked_for_while_its_other_requests_last(monkeypatch):
    """Whichever lane is busy, the other one finds out that the server is there."""
    monkeypatch.setattr(remote, "LANES", 2)
    held = HeldBox()
    with served(held) as port, RemoteSandbox([url(port)]) as box:
        futures = []
        for number in range(3):
            futures.append(box.submit(program(number)))
            until(lambda: len(held.futures) == len(futures))
            if number == 1:
                held.futures[0].set_result(PASS)
                until(futures[0].done)
            with box.changed:
                box.note(box.servers[0], "lost")


class Liar(http.server.BaseHTTPRequestHandler):
    """A server that says it is one, and answers programs with `server.wrong`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, body: bytes, **headers: str) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.reply(json.dumps(self.server.about).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.after:
            self.send_response(429)
            self.send_header("Retry-After", self.server.after)
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.server.after = ""
            return
        about = {name: str(self.server.about[name]) for name in ("judge", "python", "memory_mb")}
        self.reply(self.server.wrong, **{f"Sandbox_{name}": value for name, value in about.items()})


@contextlib.contextmanager
def liar(wrong: bytes = b"", after: str = "", **changes: object):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    about = {"status": "ok", "workers": 1, "walls": "", "memory_mb": 1024, "longest": 300.0, "preload": []}
    about |= {"queue": 100, "libraries": {}}
    server.about, server.wrong, server.after = about | grading_versions() | changes, wrong, after
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield url(server.server_port)
    finally:
        server.shutdown()
        server.server_close()


GOOD_LINE = verdict_line("t", PASS).encode()


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        GOOD_LINE[:-20],
        GOOD_LINE.replace(b'"PASS"', b'"WON"') * 40,
        GOOD_LINE.replace(b'"tests_passed": 1', b'"tests_passed": "1"') * 40,
        GOOD_LINE.replace(b'"tests_passed": 1', b'"tests_passed": 2') * 40,
        GOOD_LINE.replace(b'"reason": "pass"', b'"reason": "wrong"') * 40,
        GOOD_LINE.replace(b'"seconds": 0.0', b'"seconds": NaN') * 40,
        b"\n" * 1000,
    ],
)
def test_what_is_no_verdict_is_asked_of_another_server(wrong):
    programs = [program(number) for number in range(40)]
    with liar(wrong) as false, served(HeldBox(lambda given: PASS)) as port:
        with RemoteSandbox([false, url(port)]) as box:
            assert box.run(programs) == [PASS] * 40


@pytest.mark.parametrize("after", ["9" * 5000, "-1", "soon", "0"])
def test_what_a_full_server_says_about_later_is_no_number_of_any_size(after, monkeypatch):
    monkeypatch.setattr(remote, "LONGEST_PAUSE", 0.05)
    with liar(GOOD_LINE, after) as server, RemoteSandbox([server]) as box:
        assert box.submit(program(0)).result(WAIT) == PASS


def test_a_server_that_answers_nothing_right_leaves_programs_to_a_busy_one(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(remote, "LANES", 1)
    held = HeldBox()
    with liar(b"") as false, served(held) as port, RemoteSandbox([false, url(port)]) as box:
        futures = box.submit_all([program(number) for number in range(4)])
        until(lambda: len(held.programs) + sum(false in job.refused for job in [*box.waiting]) == 4)
        held.answer = lambda given: PASS
        for future in [*held.futures]:
            future.set_result(PASS)
        assert [future.result(WAIT) for future in futures] == [PASS] * 4


@pytest.mark.parametrize(
    ("beats", "borne"),
    [
        ([3] * 9, 3),  # it judges nothing
        ([*range(3, 12)], 5),  # from the fourth on others that have come later, for its queue has two places
    ],
)
def test_a_server_that_only_says_that_it_works_is_lost(beats, borne, monkeypatch):
    """After the time that its longest program, here of one CPU second, may take: three times 8 seconds."""
    monkeypatch.setattr(remote, "time", Mock(monotonic=Mock(side_effect=range(0, 1000, 10))))
    queue = remote.Queue({"queue": 2, "longest": 1.0})
    for judged in beats[:borne]:
        queue.check(judged)
    with pytest.raises(ConnectionError, match="gave no verdict that was due for 24 s"):
        queue.check(beats[borne])


def test_a_lost_server_s_heartbeats_are_no_verdicts(monkeypatch):
    monkeypatch.setattr(remote.Queue, "check", Mock(side_effect=ConnectionError("stuck")))
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)
    with liar(heartbeat_line(3) * 1000) as false, RemoteSandbox([false]) as box:
        [verdict] = box.run([program(0)])
        assert verdict.status == "INFRA" and "stuck" in verdict.reason


def test_servers_whose_libraries_differ_are_named(monkeypatch):
    with liar(libraries={"numpy": "1.0", "pip": "1"}) as one, liar(libraries={"numpy": "2.0", "scipy": "3"}) as other:
        with RemoteSandbox([one, other]) as box:
            assert f"numpy 1.0 at {one}, 2.0 at {other}; scipy none at {one}, 3 at {other}" in box.walls
            assert "pip" not in box.walls
        with RemoteSandbox([one]) as box, RemoteSandbox([other]) as second:
            assert "warning" not in box.walls
            walls = [each.walls.replace(each.servers[0].url, "") for each in (box, second)]
    assert walls[0] != walls[1]  # kept verdicts depend on the libraries, and so on this text


def test_a_program_with_which_servers_are_lost_again_and_again_is_given_up(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)
    with liar(b"") as false, RemoteSandbox([false]) as box:
        [verdict] = box.run([program(0)])
        assert verdict.status == "INFRA" and "requests with it were lost" in verdict.reason


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"judge": "0123"}, f"its judge is 0123, this machine's is {judge_version()}: run the same version there"),
        ({"python": "3.99.0"}, f"its Python is 3.99.0, this machine's is {platform.python_version()}"),
        ({"memory_mb": 512}, "has 512 where this run needs --memory-mb 1024"),
        ({"longest": 5.0}, "has 5.0 where this run needs --timeout 10"),
        ({"libraries": {"numpy": 2}}, "does not say what a sandbox server says"),
        ({"longest": float("inf")}, "does not say what a sandbox server says"),
        ({"workers": "2"}, "does not say what a sandbox server says"),
        ({"workers": 5_000}, "does not say what a sandbox server says"),  # it would get hundreds of threads
        ({"status": "no"}, "no sandbox server"),
    ],
)
def test_a_server_that_would_give_other_verdicts_is_refused(changes, named):
    with liar(**changes) as false, pytest.raises(InputError) as error:
        RemoteSandbox([false])
    assert named in str(error.value) and false in str(error.value) and "\n" not in str(error.value)


def test_a_server_must_have_the_modules_that_programs_share():
    with liar(preload=["numpy"]) as known:
        RemoteSandbox([known], preload=("numpy",)).close()
        with pytest.raises(InputError, match="--preload numpy scipy"):
            RemoteSandbox([known], preload=("numpy", "scipy"))


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ("127.0.0.1:8765", "give the URL of a server"),
        ("ftp://127.0.0.1", "give the URL of a server"),
        ("http://127.0.0.1:port", "give the URL of a server"),
        ("http://:1", "give the URL of a server"),
        (f"http://any:{TOKEN}@127.0.0.1:1", "put it into SANDBOX_TOKEN"),
        (f"http://any:{TOKEN}@127.0.0.1:port", "give the URL of a server"),
        ("http://[::1]", "--serve ::1:80"),
        ("http://127.0.0.1:9", "refused; start it there: python scripts/sandbox.py --serve 127.0.0.1:9"),
    ],
)
def test_a_url_without_a_server_is_named(bad, named):
    with pytest.raises(InputError) as error:
        open_sandbox([bad])
    assert named in str(error.value) and TOKEN not in str(error.value)


def test_the_token_comes_from_the_environment(monkeypatch):
    with served(HeldBox(lambda given: PASS), token=TOKEN) as port:
        for wrong in ("", f"{TOKEN}x"):
            monkeypatch.setenv("SANDBOX_TOKEN", wrong)
            with pytest.raises(InputError, match="refuses the token; set SANDBOX_TOKEN"):
                RemoteSandbox([url(port)])
        monkeypatch.setenv("SANDBOX_TOKEN", TOKEN)
        with RemoteSandbox([url(port)]) as box:
            assert box.run([program(0)]) == [PASS]


def test_a_token_that_no_header_can_hold_is_not_shown(monkeypatch):
    with served(HeldBox(lambda given: PASS), token=TOKEN) as port:
        monkeypatch.setenv("SANDBOX_TOKEN", f" {TOKEN}\n")  # as a file has it
        RemoteSandbox([url(port)]).close()
        for wrong in (f"{TOKEN}\n{TOKEN}", f"{TOKEN}\u00e9", f"{TOKEN}\0"):
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(os, "environ", os.environ | {"SANDBOX_TOKEN": wrong})
                with pytest.raises(InputError, match="characters that no header can hold") as error:
                    RemoteSandbox([url(port)])
            assert TOKEN not in str(error.value)


def test_the_evaluation_grades_on_servers_that_fit_its_benchmarks(monkeypatch):
    with liar() as small, liar(memory_mb=4096, preload=[*evaluate_models.PRELOAD]) as large:
        monkeypatch.setattr(evaluate_models, "SANDBOX_URLS", [large])
        monkeypatch.setattr(evaluate_models, "BENCHMARKS", ["bigcodebench", "mbpp"])
        with evaluate_models.grading_sandbox(1) as box:
            assert [server.url for server in box.servers] == [large]
        monkeypatch.setattr(evaluate_models, "SANDBOX_URLS", [small, large])
        with pytest.raises(InputError, match="--memory-mb 4096"):
            evaluate_models.grading_sandbox(1)
        monkeypatch.setattr(evaluate_models, "SANDBOX_URLS", [""])  # as a flag gives it
        with evaluate_models.grading_sandbox(1) as box:
            assert type(box) is Sandbox


def test_closing_gives_up_what_waits_and_leaves_no_thread():
    before = set(threading.enumerate())
    held = HeldBox()
    with served(held) as port:
        with RemoteSandbox([url(port)]) as box:
            passed_on = box.submit(PASS)
            futures = box.submit_all([program(number) for number in range(200)])
            until(lambda: held.futures)
        until(lambda: all(future.cancelled() for future in futures))
        assert passed_on.result() == PASS
    until(lambda: set(threading.enumerate()) <= before)


def namespaces() -> str:
    """Why there are no network namespaces here; "" if there are."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"verdicts-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True) if which() else None
    subprocess.run(["ip", "netns", "del", name], capture_output=True) if made else None
    return "" if made and not made.returncode else f"no network namespaces here: {made.stderr if made else 'no ip'}"


def which() -> bool:
    return subprocess.run(["sh", "-c", "command -v ip"], capture_output=True).returncode == 0


CLIENT = """
import sys
from raccoon.records import Program
from raccoon.serving.remote import open_sandbox
programs = [Program(f"def f(x):\\n    return x + {n}\\n", "assert f(1) == 2\\n", "f") for n in range(4)]
with open_sandbox(sys.argv[1:], timeout=10.0, memory_mb=1024) as box:
    print(*(verdict.status for verdict in box.run(programs)))
"""


def test_two_machines():
    """Server and client in network namespaces of their own: the server's address is reached only with the token."""
    if reason := namespaces():
        pytest.skip(reason)
    names = [f"verdicts-{os.getpid()}-{end}" for end in "ab"]  # other test runs have theirs, and may have left some
    run = lambda *words: subprocess.run(words, check=True, capture_output=True)  # noqa: E731
    try:
        for place, name in enumerate(names):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            if place:
                run("ip", "link", "add", "va", "netns", names[0], "type", "veth", "peer", "name", "va", "netns", name)
        for place, name in enumerate(names, 1):
            run("ip", "-n", name, "addr", "add", f"10.99.0.{place}/24", "dev", "va")
            run("ip", "-n", name, "link", "set", "va", "up")
        inside = ("ip", "netns", "exec", names[0])
        with ServerProcess(address="10.99.0.1:0", prefix=inside, SANDBOX_TOKEN=TOKEN) as server:
            command = ["ip", "netns", "exec", names[1], sys.executable, "-c", CLIENT, server.url]
            paths = os.environ | {"PYTHONPATH": str(SCRIPTS)}
            for token, expected in ((TOKEN, "PARTIAL PASS PARTIAL PARTIAL\n"), ("", "")):
                ended = subprocess.run(
                    command, env=paths | {"SANDBOX_TOKEN": token}, capture_output=True, text=True, timeout=60
                )
                assert ended.stdout == expected, ended.stderr
            assert "refuses the token" in ended.stderr
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
