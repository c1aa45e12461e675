"""A Sandbox on other machines: programs go to servers of raccoon/serving/server.py, and verdicts come back.

Each server has a few lanes: threads that take some waiting programs, send them as one request, and hand on each verdict
as soon as its line arrives. A server that is lost or full loses nothing: what it has not answered waits for another
server, or for its return. A verdict is INFRA only if every server fails, for longer than PATIENCE.

The servers must have this machine's judge, its Python (3.11, say) and its memory limit, because verdicts depend on
them. They are not trusted beyond that: what is no verdict line counts as a lost server.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import platform
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from raccoon.constants import InputError
from raccoon.records import TIMEOUT, Program, Verdict
from raccoon.sandbox.pool import MAX_TIMEOUT, MEMORY_MB, NEEDS_TWO_ORDERS, WINDOW, Sandbox
from raccoon.serving.lines import TOKEN_ENV, judge_version, judged_count, program_line, read_verdict, token
from raccoon.store import digest

BATCH = 32  # programs of one request
BATCH_BYTES = 8 << 20  # of one request, unless one program has more
LANES = 3  # requests at once for each server, at least: while one ends, another keeps the workers busy
HEARTBEAT = 5.0  # seconds: how often a server that works says so
SILENCE = 30.0  # seconds without a byte: the server is lost
PATIENCE = 30.0  # seconds without any server; then what waits is INFRA
FULL_SECONDS = 900.0  # that a program waits for servers that answer 429
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0  # seconds before a lost server is asked again
MOST_LOSSES = 4  # of requests with one program, over all servers, before that is held to be its doing
MAX_LINE = 64 << 20  # bytes of a verdict line
MOST_WORKERS = 4096  # of a server, as of a Sandbox
# What /healthz tells, and of which type
ABOUT: dict[str, Any] = {
    "workers": int, "walls": str, "memory_mb": int, "longest": (int, float), "preload": list, "queue": int,
    "libraries": dict,
}  # fmt: skip
TOOLS = {"pip", "setuptools", "wheel"}  # whose versions decide no verdict
SHOWN = 5  # libraries that are named
LOST = (OSError, http.client.HTTPException, ValueError, RecursionError)


class Full(Exception):
    """A server has no place now; it says after how many seconds to ask again."""


@dataclasses.dataclass(eq=False)
class Job:
    """A program and the promise of its verdict."""

    program: Program
    line: bytes
    future: concurrent.futures.Future[Verdict] = dataclasses.field(default_factory=concurrent.futures.Future)
    refused: dict[str, Verdict] = dataclasses.field(default_factory=dict)  # by server: its INFRA
    losses: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)  # by server
    full_since: float = 0.0  # monotonic

    def give(self, verdict: Verdict) -> None:
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # its caller has cancelled it
            self.future.set_result(verdict)


class Server:
    """One server, as this machine sees it. `down` says why it is lost; "" while it is there."""

    def __init__(self, url: str, token: str) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urllib.parse.SplitResult("", "", "", "", ""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            shown = url.rpartition("@")[2]  # without a password
            raise InputError(f"SANDBOX_URLS has {shown!r}; give the URL of a server, like http://127.0.0.1:8765")
        if parts.username or parts.password:
            raise InputError(f"SANDBOX_URLS has a password for {parts.hostname}; put it into {TOKEN_ENV} instead")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.url, self.host, self.path = url.rstrip("/"), parts.hostname, parts.path.rstrip("/")
        self.port = port or kind.default_port  # without one, http.client would take an IPv6 address apart
        self.connect = lambda timeout: kind(self.host, self.port, timeout=timeout)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.down, self.down_since, self.pause, self.rest_until = "", 0.0, FIRST_PAUSE, 0.0
        self.looked_for = False  # a lane asks now whether it is back
        self.about: dict[str, Any] = {}

    def look(self, seconds: float) -> None:
        """Asks what the server is. Raises OSError, HTTPException or ValueError if it is no server or not the same."""
        connection = self.connect(seconds)
        with contextlib.closing(connection):
            connection.request("GET", f"{self.path}/healthz", headers=self.headers)
            answer = connection.getresponse()
            found = json.loads(answer.read(1 << 20))
        if not isinstance(found, dict) or found.get("status") != "ok":
            raise ValueError(f"no sandbox server: HTTP {answer.status}")
        if "judge" not in found:
            raise ValueError(f"it refuses the token; set {TOKEN_ENV} to the server's")
        self.check(found["judge"], str(found.get("python")))
        known = all(isinstance(found.get(name), kind) for name, kind in ABOUT.items())
        known = known and all(isinstance(version, str) for version in found["libraries"].values())
        if not known or not (0 < found["workers"] <= MOST_WORKERS and 0 < found["longest"] <= MAX_TIMEOUT):
            raise ValueError("it does not say what a sandbox server says")
        self.about = found

    def check(self, judge: object, python: str) -> None:
        """Raises ValueError if the server would give other verdicts than this machine."""
        own = platform.python_version()
        if judge != judge_version():
            raise ValueError(f"its judge is {judge}, this machine's is {judge_version()}: run the same version there")
        if python.split(".")[:2] != own.split(".")[:2]:
            raise ValueError(f"its Python is {python}, this machine's is {own}: run the same version there")

    def ask(self, jobs: Sequence[Job], box: "RemoteSandbox") -> Iterator[Verdict]:
        """The verdicts of programs, in order, as they come; raises Full, or one of LOST if not all come."""
        connection = self.connect(SILENCE)
        with contextlib.closing(connection):
            connection.connect()
            sock = connection.sock
            box.opened.add(sock)
            try:
                if box.closed:  # while this connected; close() has not seen the socket
                    raise ConnectionError("the sandbox has been closed")
                path, body = f"{self.path}/verdicts?heartbeat={HEARTBEAT:g}", b"".join(job.line for job in jobs)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it refuses before it has all
                    connection.request("POST", path, body, self.headers | {"Connection": "close"})
                answer = connection.getresponse()
                if answer.status == 429:
                    raise Full(answer.headers.get("Retry-After", ""))
                if answer.status != 200:
                    raise ValueError(f"HTTP {answer.status}: {answer.read(300).decode(errors='replace')}")
                self.check(answer.headers.get("Sandbox-Judge"), answer.headers.get("Sandbox-Python", ""))
                if answer.headers.get("Sandbox-Memory-Mb") != str(self.about["memory_mb"]):
                    raise ValueError("its memory limit is not the one it had")
                count, queue = 0, Queue(self.about)
                while count < len(jobs) and (line := answer.readline(MAX_LINE)):
                    if (judged := judged_count(line)) is not None:
                        queue.check(judged)
                        continue
                    yield read_verdict(line)
                    count, queue = count + 1, Queue(self.about)
                if count < len(jobs):
                    raise ConnectionError(f"it ended after {count} of {len(jobs)} verdicts")
            finally:
                box.opened.discard(sock)


class Queue:
    """What the heartbeats of a server say while a program waits in its queue.

    At most as many others as the queue holds go before it. While they do, and then while it runs, something must end
    within the limits of the server's longest program: judged, perhaps again alone, perhaps with a control.
    """

    def __init__(self, about: dict[str, Any]) -> None:
        self.places, self.patience = about["queue"], 3 * Program("", "", timeout=about["longest"]).wall_seconds(True)
        self.first, self.newest, self.since = -1, -1, time.monotonic()

    def check(self, judged: int) -> None:
        """Raises ConnectionError if the program should have been judged by now."""
        now = time.monotonic()
        self.first = judged if self.first < 0 else self.first
        if self.newest < judged <= self.first + self.places:
            self.newest, self.since = judged, now
        if now - self.since > self.patience:
            raise ConnectionError(f"it says that it works, and gave no verdict that was due for {self.patience:g} s")


class RemoteSandbox(Sandbox):
    """A Sandbox whose programs run on servers. Threads may share it.

    `urls`: of the servers. `timeout` and `memory_mb`: as of a Sandbox; the servers must give programs as much memory.
    `preload`: modules that the servers must have preloaded. `patience`: seconds without any server before INFRA.
    Raises InputError that names a server which cannot be reached, refuses the token, or would give other verdicts.
    """

    def __init__(
        self,
        urls: Sequence[str],
        timeout: float = TIMEOUT,
        memory_mb: int = MEMORY_MB,
        preload: Sequence[str] = (),
        patience: float = PATIENCE,
    ):
        self.timeout, self.memory_mb, self.preload, self.patience = timeout, memory_mb, preload, patience
        secret = token()
        self.servers = [*{server.url: server for server in (Server(url, secret) for url in urls)}.values()]
        for server in self.servers:
            self.admit(server)
        about = [server.about for server in self.servers]
        installed = {server.url: server.about["libraries"] for server in self.servers}
        self.walls = "; ".join(
            f"{server.url}: {server.about['workers']} workers, libraries {digest(installed[server.url])[:8]}, "
            f"{server.about['walls']}"
            for server in self.servers
        )
        if differing := differences(installed):
            shown = "; ".join(differing[:SHOWN]) + ("; ..." if len(differing) > SHOWN else "")
            self.walls += f"\nwarning: libraries differ, so a verdict may depend on its server: {shown}"
        workers = sum(each["workers"] for each in about)
        self.window = max(WINDOW, 4 * workers)
        self.changed = threading.Condition()  # guards all below, and what servers and jobs have noted
        self.waiting: dict[Job, None] = {}  # in order
        self.opened: set[socket.socket] = set()
        self.closed = False
        lanes = [max(LANES, -(-2 * each["workers"] // BATCH)) for each in about]
        self.lanes = sum(lanes)
        for server, count in zip(self.servers, lanes, strict=True):
            for _ in range(count):
                threading.Thread(target=self.work, args=(server,), daemon=True).start()

    def like(self, hash_seed: int) -> Sandbox:
        raise InputError(NEEDS_TWO_ORDERS)

    def admit(self, server: Server) -> None:
        """Raises InputError if this sandbox cannot use a server."""
        try:
            server.look(SILENCE)
        except LOST as error:
            remedy = f"start it there: python scripts/sandbox.py --serve {server.host}:{server.port}"
            raise InputError(f"SANDBOX_URLS {server.url}: {error}; {remedy}, or take it out") from None
        self.check(server)

    def check(self, server: Server) -> None:
        """Raises InputError if a server was started in a way that gives other verdicts than this sandbox's."""
        about = server.about
        missing = [name for name in self.preload if name not in about["preload"]]
        for given, needed, flag in (
            (about["memory_mb"], about["memory_mb"] == self.memory_mb, f"--memory-mb {self.memory_mb}"),
            (about["longest"], about["longest"] >= self.timeout, f"--timeout {self.timeout:g}"),
            (about["preload"], not missing, f"--preload {' '.join(self.preload)}"),
        ):
            if not needed:
                raise InputError(f"SANDBOX_URLS {server.url} has {given} where this run needs {flag}; start it so")

    def run(self, programs: Iterable[Program]) -> list[Verdict]:
        return [future.result() for future in self.submit_all(programs)]

    def submit(self, program: Program | Verdict) -> concurrent.futures.Future[Verdict]:
        if isinstance(program, Verdict):
            passed_on: concurrent.futures.Future[Verdict] = concurrent.futures.Future()
            passed_on.set_result(program)
            return passed_on
        return self.submit_all([program])[0]

    def submit_all(self, programs: Iterable[Program]) -> list[concurrent.futures.Future[Verdict]]:
        """Puts programs into the queue."""
        sent = [dataclasses.replace(each, timeout=each.timeout or self.timeout) for each in programs]
        jobs = [Job(program, program_line(program)) for program in sent]
        with self.changed:
            if self.closed:
                raise RuntimeError("the sandbox has been closed")
            self.waiting |= dict.fromkeys(jobs)
            self.changed.notify_all()
        return [job.future for job in jobs]

    def close(self) -> None:
        """Gives up what waits, and ends the requests."""
        with self.changed:
            self.closed, jobs = True, [*self.waiting]
            self.waiting.clear()
            self.changed.notify_all()
            for sock in [*self.opened]:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)  # its lane reads the end
        for job in jobs:
            job.future.cancel()

    def work(self, server: Server) -> None:
        """A lane: sends what waits until the sandbox is closed. One of a lost server's lanes looks for it."""
        while jobs := self.take(server):
            answered = 0
            try:
                for verdict in server.ask(jobs, self):
                    self.settle(jobs[answered], server, verdict)
                    answered += 1
                with self.changed:
                    server.pause = FIRST_PAUSE
            except Full as full:
                self.put_off(jobs[answered:], server, str(full))
            except LOST as error:
                self.lose(jobs[answered:], server, str(error) or type(error).__name__)

    def take(self, server: Server) -> list[Job]:
        """The next programs for a server; [] when the sandbox is closed."""
        while True:
            with self.changed:
                pause = server.rest_until - time.monotonic()
                if self.closed:
                    return []
                if not server.down and pause <= 0 and (jobs := self.share(server)):
                    for job in jobs:
                        del self.waiting[job]
                    return jobs
                if pause > 0 or not server.down or server.looked_for:
                    self.changed.wait(min(pause, LONGEST_PAUSE) if pause > 0 else None)
                    continue
                server.looked_for = True
            self.look_for(server)

    def share(self, server: Server) -> list[Job]:
        """Some waiting programs that this server has not refused: so many that all lanes have some."""
        jobs: list[Job] = []
        most, size = max(1, min(BATCH, server.about["queue"], len(self.waiting) // self.lanes)), 0
        for job in self.waiting:
            if server.url in job.refused:
                continue
            if jobs and (job.losses or size + len(job.line) > BATCH_BYTES):
                break
            jobs.append(job)
            size += len(job.line)
            if job.losses or len(jobs) == most:  # one with which a server was lost goes alone, in case it is the cause
                break
        return jobs

    def look_for(self, server: Server) -> None:
        """Asks a lost server whether it is back."""
        down = ""
        try:
            server.look(LONGEST_PAUSE)
            self.check(server)
        except (*LOST, InputError) as error:
            down = str(error) or type(error).__name__
        with self.changed:
            server.looked_for = False
            self.note(server, down)
            self.changed.notify_all()

    def note(self, server: Server, down: str) -> None:
        """Notes whether a server is lost. Gives up what waits for servers that have all been lost for too long."""
        now = time.monotonic()
        server.down_since = (server.down_since or now) if down else 0.0
        server.down = down
        if not down:
            return
        server.rest_until = now + server.pause
        server.pause = min(2 * server.pause, LONGEST_PAUSE)
        over = {each.url for each in self.servers if each.down and now - each.down_since >= self.patience}
        for job in [job for job in self.waiting if {each.url for each in self.servers} <= over | {*job.refused}]:
            del self.waiting[job]
            causes = "; ".join(f"{each.url}: {each.down}" for each in self.servers)
            lost = Verdict.of(f"infra: no server of SANDBOX_URLS gave a verdict ({causes})")
            job.give([*job.refused.values(), lost][0])

    def settle(self, job: Job, server: Server, verdict: Verdict) -> None:
        """Hands on a verdict. A server's own fault is asked of another one first."""
        if verdict.status == "INFRA":
            job.refused[server.url] = verdict
            if len(job.refused) < len(self.servers):
                return self.put_back([job])
        job.give(verdict)

    def put_off(self, jobs: list[Job], server: Server, after: str) -> None:
        """A server was full: others may take these programs, or it itself, later."""
        now = time.monotonic()
        with self.changed:
            server.rest_until = now + (min(int(after[:4]), LONGEST_PAUSE) if after.isdecimal() else 1.0)
        for job in jobs:
            job.full_since = job.full_since or now
            if now - job.full_since > FULL_SECONDS:
                job.refused[server.url] = Verdict.of(f"infra: {server.url} is full for {FULL_SECONDS:g} s")
        self.put_back(jobs)

    def lose(self, jobs: list[Job], server: Server, why: str) -> None:
        """A server was lost with these programs. One that is lost again and again leaves them to the others."""
        for job in jobs:
            job.losses[server.url] += 1
            if job.losses[server.url] >= max(1, MOST_LOSSES // len(self.servers)):
                told = f"infra: {job.losses.total()} requests with it were lost, the last at {server.url} ({why})"
                job.refused[server.url] = Verdict.of(told)
        with self.changed:
            self.note(server, why)
        self.put_back(jobs)

    def put_back(self, jobs: list[Job]) -> None:
        """Puts programs before all that wait; those that every server has refused get that verdict."""
        over = [job for job in jobs if len(job.refused) == len(self.servers)]
        with self.changed:
            going = [job for job in jobs if job not in over and not self.closed]
            self.waiting = dict.fromkeys([*going, *self.waiting])
            self.changed.notify_all()
        for job in jobs:
            if job in over:
                job.give([*job.refused.values()][-1])
            elif job not in going:
                job.future.cancel()


def differences(installed: dict[str, dict[str, str]]) -> list[str]:
    """The libraries that not all servers have in one version, a line for each. `installed`: by server, then by name."""
    found = []
    for name in sorted(set().union(*installed.values()) - TOOLS):
        versions = {url: libraries.get(name) for url, libraries in installed.items()}
        if len({*versions.values()}) > 1:
            found.append(f"{name} " + ", ".join(f"{version or 'none'} at {url}" for url, version in versions.items()))
    return found


def open_sandbox(urls: Sequence[str], workers: int | None = None, **settings: Any) -> Sandbox:
    """The sandbox of a script: on this machine, or on the servers of `urls` if there are some.

    `settings` are those of a Sandbox. `workers` and `allow_weak` are a server's own affair.
    """
    urls = [url for url in urls if url]
    if not urls:
        return Sandbox(workers, **settings)
    settings.pop("allow_weak", None)
    return RemoteSandbox(urls, **settings)
