"""Verdict servers for tests: real processes, and one in a thread whose verdicts the test gives."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

from helpers.paths import SCRIPTS
from raccoon.records import Program, Verdict
from raccoon.serving import server as serving
from raccoon.serving.server import Limits, make_app, make_server

WAIT = 20.0  # seconds for what must happen; a machine may pause
ABOUT = {"timeout": 10.0, "memory_mb": 1024, "preload": [], "workers": 1, "walls": "none"}


class ServerProcess:
    """`sandbox.py --serve` as a process of its own; `prefix` is a command that starts it, like ip netns exec."""

    def __init__(self, *flags: str, address: str = "127.0.0.1:0", prefix: tuple[str, ...] = (), **environment: str):
        words = [*prefix, sys.executable, str(SCRIPTS / "sandbox.py"), "--serve", address, "--workers", "1", *flags]
        self.process = subprocess.Popen(
            words, env=os.environ | environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.said = ""
        for line in self.process.stderr or ():
            self.said += line
            if found := re.search(r"serves at (\S+)", line):
                self.url = found[1]
                return
        raise AssertionError(f"no server: {self.said}")

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


class HeldBox:
    """A sandbox whose verdicts the test gives: `answer(program)` at once, or by hand to the `futures`."""

    def __init__(self, answer=None):
        self.answer, self.futures, self.programs = answer, [], []

    def submit(self, program: Program | Verdict) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        self.futures.append(future)
        self.programs.append(program)
        if self.answer:
            future.set_result(program if isinstance(program, Verdict) else self.answer(program))
        return future


@contextlib.contextmanager
def served(box: HeldBox, limits: Limits | None = None, token: str = "", **about: object) -> Iterator[int]:
    """The port of a server in a thread."""
    listening, url = serving.listen("127.0.0.1:0")
    server = make_server(make_app(box, token, limits or Limits(), ABOUT | about))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    with listening:
        thread.start()
        try:
            yield int(url.rpartition(":")[2])
        finally:
            server.should_exit = server.force_exit = True
            thread.join(WAIT)
            assert not thread.is_alive()


def until(condition) -> None:
    """Waits for what another thread or process does; fails after WAIT."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def lines(*programs: dict) -> bytes:
    return b"".join(json.dumps(program).encode() + b"\n" for program in programs)


@contextlib.contextmanager
def posted(port: int, path: str, body: bytes, **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    with contextlib.closing(connection):
        connection.request("POST", path, body, headers)
        yield connection.getresponse()


def answer(port: int, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    """Status and text of the answer to a POST."""
    with posted(port, path, body, **headers) as response:
        return response.status, response.read().decode()
