"""Verdicts over HTTP, for other machines and for other people's trainers. It needs fastapi and uvicorn.

    POST /verdicts    program lines, as sandbox.py reads them; their verdict lines, in order, as they come
    POST /run_code    SandboxFusion's call (fusion.py)
    GET  /healthz     what the server is, and how full

Whoever reaches the port can use the CPUs, so any address but loopback needs a token: the environment variable
SANDBOX_TOKEN. A request then has the header `Authorization: Bearer TOKEN`, or the token as the password in its URL.
There is no TLS: put a proxy or an SSH tunnel before a server that others could listen to.

Nothing here trusts a client: bodies, programs waiting and seconds are limited. A request for which there is no place
gets 429 with Retry-After and is not begun. A client that leaves gives up its programs that have not begun. With
`?heartbeat=5`, /verdicts sends a line like {"judged": 70} after each 5 seconds without a verdict: how many programs of
all clients have ended. So a client can tell a busy server from one that is dead or stuck.
"""

import asyncio
import base64
import collections
import errno
import hmac
import importlib.util
import io
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from raccoon.constants import InputError, check_positive
from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox, libraries
from raccoon.serving.fusion import requested_program, response
from raccoon.serving.lines import TOKEN_ENV, grading_versions, heartbeat_line, read_lines, token, verdict_line

MIN_TOKEN = 16  # characters
IN_FLIGHT = 64  # programs of one request that wait for a worker or run, so that requests take turns
GATHERED = 0.005  # seconds in which verdicts are gathered before they are sent: a message for each takes more CPU
RETRY_AFTER = 1  # seconds
CONNECTIONS = 1000  # at once; more get 503
ENDING_SECONDS = 5  # that open requests have when the server is told to stop
HEARTBEATS = (0.1, 60.0)  # seconds, shortest and longest


@dataclass(frozen=True)
class Limits:
    """What a server takes. A request beyond it is refused before anything of it runs."""

    body: int = 64 << 20  # bytes of one request
    held: int = 256 << 20  # bytes of all requests
    queue: int = 16_384  # programs accepted whose verdict is not sent
    longest: float = 300.0  # CPU seconds of a program
    patience: float = 60.0  # seconds for a body to arrive, and for a client to take what is sent


class Refused(Exception):
    """A request is not served: HTTP status and one line that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message

    async def answer(self, send: Any) -> None:
        """Sends it as the whole response."""
        headers = [(b"content-type", b"application/json")]
        headers += [(b"retry-after", str(RETRY_AFTER).encode())] if self.status == 429 else []
        headers += [(b"www-authenticate", b"Bearer")] if self.status == 401 else []
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"error": self.message}).encode()})


class Guard:
    """The door (ASGI): reads the whole body and hands it on, or answers by itself."""

    def __init__(self, app: Any, token: str, limits: Limits) -> None:
        self.app, self.token, self.limits = app, token.encode(), limits
        self.held = 0  # bytes

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers, body = dict(scope["headers"]), bytearray()
        scope["known"] = self.knows(headers.get(b"authorization", b""))
        try:
            if not scope["known"] and scope["path"] != "/healthz":
                raise Refused(401, f"no or a wrong token; send the one in the server's {TOKEN_ENV} as a Bearer token")
            if b"origin" in headers:  # every browser sends it, so that a page cannot use the server behind its reader
                raise Refused(403, "it has an Origin: this server does not answer web pages")
            await self.read(int(headers.get(b"content-length", b"0")), body, receive)
            messages = [{"type": "http.request", "body": bytes(body), "more_body": False}]

            async def replay() -> dict:
                return messages.pop() if messages else await receive()

            await self.app(scope, replay, send)
        except Refused as refused:
            await refused.answer(send)
        except ConnectionAbortedError:
            pass  # the client left before its body was whole
        finally:
            self.held -= len(body)

    def knows(self, authorization: bytes) -> bool:
        """Whether a request may come in."""
        kind, _, given = authorization.partition(b" ")
        if kind.lower() == b"basic":  # what a client makes of a URL like http://user:TOKEN@host:8765
            try:
                given = base64.b64decode(given).partition(b":")[2]
            except ValueError:
                given = b""
        return not self.token or hmac.compare_digest(given.strip(), self.token)

    async def read(self, declared: int, body: bytearray, receive: Any) -> None:
        """Reads a body of so many declared bytes, 0 if unknown. Raises Refused, if possible before the body arrives."""
        try:
            async with asyncio.timeout(self.limits.patience):
                more = True
                self.weigh(max(declared, len(body)), len(body))
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionAbortedError
                    body += message.get("body", b"")
                    self.held += len(message.get("body", b""))
                    self.weigh(max(declared, len(body)), len(body))
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self.limits.patience:g} s") from None

    def weigh(self, size: int, here: int) -> None:
        """Raises Refused if a body, of which so many bytes are here, is too large, or all bodies together."""
        if size > self.limits.body:
            most = f"a request has at most {self.limits.body:,}: send its lines in several"
            raise Refused(413, f"the body has {size:,} bytes; {most}")
        if self.held - here + size > self.limits.held:
            raise Refused(429, "the bodies of other requests take all the memory; try again later")


class Places:
    """The places for programs whose verdict is not sent yet, and the way to the sandbox."""

    def __init__(self, box: Sandbox, most: int) -> None:
        self.box, self.most, self.taken = box, most, 0
        self.judged = 0  # programs that have ended; several threads count, so one may be missed now and then

    def submit(self, program: Program | Verdict) -> Future[Verdict]:
        future = self.box.submit(program)
        if isinstance(program, Program):
            future.add_done_callback(self.count)
        return future

    def count(self, future: Future[Verdict]) -> None:
        self.judged += not future.cancelled()

    def take(self, count: int) -> None:
        """Raises Refused if so many are not free."""
        if count > self.most:
            raise Refused(413, f"{count:,} programs; a request has at most {self.most:,}: send them in several")
        if self.taken + count > self.most:
            raise Refused(429, f"{self.taken:,} of {self.most:,} places are taken; try again later")
        self.taken += count

    def leave(self, count: int) -> None:
        self.taken -= count


async def verdict_lines(
    body: bytes, places: Places, count: int, longest: float, heartbeat: float
) -> AsyncIterator[bytes]:
    """The verdict lines of a body's programs, which have `count` places, and heartbeats."""
    task_ids: collections.deque = collections.deque()
    programs = read_lines(io.BytesIO(body), task_ids, longest)
    running: collections.deque[Future[Verdict]] = collections.deque()
    try:
        while True:
            while len(running) < IN_FLIGHT and (program := next(programs, None)) is not None:
                running.append(places.submit(program))
            if not running:
                return
            first = asyncio.wrap_future(running[0])
            while not (await asyncio.wait([first], timeout=heartbeat or None))[0]:
                yield heartbeat_line(places.judged)
            lines = []
            while running and running[0].done():
                lines.append(verdict_line(task_ids.popleft(), running.popleft().result()))
            count -= len(lines)
            places.leave(len(lines))
            yield "".join(lines).encode()
            if running:
                await asyncio.sleep(GATHERED)
    finally:
        for future in running:
            future.cancel()  # those that have begun end by themselves
        places.leave(count)


def make_app(box: Sandbox, token: str, limits: Limits, about: dict[str, Any]) -> Any:
    """The ASGI application of a sandbox. `about` is what /healthz tells besides the versions."""
    from fastapi import FastAPI, Request
    from fastapi.responses import Response, StreamingResponse

    app = FastAPI(openapi_url=None)
    app.add_middleware(Guard, token=token, limits=limits)
    places, own, installed = Places(box, limits.queue), grading_versions(), libraries()
    needed = own | {"memory-mb": str(about["memory_mb"])}  # a client compares them: servers are restarted
    headers = {f"sandbox-{name}": value for name, value in needed.items()}

    class Patient(StreamingResponse):
        """A stream that ends when its client does not read."""

        async def stream_response(self, send: Any) -> None:
            async def sent(message: Any) -> None:
                async with asyncio.timeout(limits.patience):
                    await send(message)

            try:
                await super().stream_response(sent)
            except TimeoutError:
                pass  # an unfinished answer: uvicorn closes the connection
            finally:
                await self.body_iterator.aclose()  # type: ignore[attr-defined]  # gives up the places now

    @app.get("/healthz")
    async def healthz(request: Request) -> dict:
        told = about | own | {"queued": places.taken, "queue": limits.queue, "longest": limits.longest}
        told |= {"libraries": installed}
        return {"status": "ok"} | (told if request.scope["known"] else {})

    @app.post("/verdicts")
    async def verdicts(request: Request, heartbeat: float = 0.0) -> Patient:
        body = await request.body()
        count = sum(1 for line in io.BytesIO(body) if not line.isspace())
        places.take(count)
        pause = min(max(heartbeat, HEARTBEATS[0]), HEARTBEATS[1]) if heartbeat > 0 else 0.0
        lines = verdict_lines(body, places, count, limits.longest, pause)
        return Patient(lines, media_type="application/x-ndjson", headers=headers)

    @app.post("/run_code")
    async def run_code(request: Request) -> Response:
        try:
            program = requested_program(await request.body(), about["memory_mb"], limits.longest)
        except InputError as error:
            raise Refused(400, str(error)) from None
        places.take(1)
        future = places.submit(program)
        gone = asyncio.ensure_future(request.receive())  # the body is read: what comes next is the client's end
        try:
            await asyncio.wait([gone, judged := asyncio.wrap_future(future)], return_when=asyncio.FIRST_COMPLETED)
            text = json.dumps(response(judged.result()) if judged.done() else {})  # ASCII: code may print half a pair
            return Response(text, media_type="application/json", headers=headers)
        finally:
            future.cancel()
            gone.cancel()
            places.leave(1)

    return app


def listen(address: str) -> tuple[socket.socket, str]:
    """A socket that listens on HOST:PORT, and its URL. Raises InputError if the address is bad or has no token."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"--serve is {address!r}; give HOST:PORT, like 127.0.0.1:8765")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    size = len(token())
    if 0 < size < MIN_TOKEN or not size and not loopback:
        found = f"has {size} characters" if size else f"is not set, and {host} is not loopback"
        raise InputError(f'{TOKEN_ENV} {found}; set one of {MIN_TOKEN} or more: export {TOKEN_ENV}="$(uuidgen)"')
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found_socket = socket.create_server((host, int(port)), family=family, backlog=1024)
    except OSError as error:
        wanted = "another port" if error.errno == errno.EADDRINUSE else "an address of this machine"
        raise InputError(f"--serve {address}: {error.strerror or error}; give {wanted}") from None
    shown = f"[{host}]" if ":" in host else host
    return found_socket, f"http://{shown}:{found_socket.getsockname()[1]}"


def make_server(app: Any) -> Any:
    """uvicorn's server of an application. Its run(sockets=[...]) ends by a signal, or when `should_exit` is set."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=ENDING_SECONDS,
    )
    # It says in one line that it ends open requests; a traceback of each adds nothing.
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
    )
    return uvicorn.Server(config)


def serve(address: str, settings: dict[str, Any], limits: Limits) -> None:
    """Serves until a signal. Raises InputError for an address that cannot be served, and SandboxError."""
    check_positive(**{"--queue": limits.queue})
    listening, url = listen(address)
    for name in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            raise InputError(f"--serve needs {name}: pip install -r requirements-serve.txt")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # uvicorn raises it again at its end
    with listening, Sandbox(**settings) as box:
        about = {name: settings[name] for name in ("timeout", "memory_mb", "preload")}
        about |= {"workers": settings["workers"] or len(os.sched_getaffinity(0)), "walls": box.walls}
        server = make_server(make_app(box, token(), limits, about))
        print(f"sandbox: {box.walls}\nsandbox: serves at {url}", file=sys.stderr, flush=True)
        server.run(sockets=[listening])
