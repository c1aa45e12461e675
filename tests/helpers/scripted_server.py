"""A small OpenAI-compatible server for tests: it answers as a function of the request, or with a fault."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Fault(Exception):
    """Raised by a script in the place of an answer: HTTP status and headers, or a way of breaking down."""

    def __init__(self, kind: str, status: int = 200, message: str = "", headers: dict | None = None) -> None:
        super().__init__(kind)
        self.kind, self.status, self.message, self.headers = kind, status, message, headers or {}


class ScriptedServer:
    """A context manager; `script(body) -> text` answers a chat request, or raises a Fault.

    `requests` holds the bodies of all chat requests, `headers` those of the last; `most` is how many were open at once.
    """

    def __init__(self, script: Callable[[dict], str], models: tuple[str, ...] = ("scripted",), delay: float = 0.0):
        self.script, self.models, self.delay = script, models, delay
        self.requests: list[dict] = []
        self.headers: dict[str, str] = {}
        self.open = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> "ScriptedServer":
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                send(self, 200, json.dumps({"object": "list", "data": [{"id": name} for name in owner.models]}))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                owner.answer(self, body)

        class Server(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 64

            def handle_error(self, *_: object) -> None:
                pass  # a client that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, body: dict) -> None:
        with self.lock:
            self.requests.append(body)
            self.headers = {name.lower(): value for name, value in handler.headers.items()}
            self.open += 1
            self.most = max(self.most, self.open)
        try:
            time.sleep(self.delay)
            if body["model"] not in self.models:
                raise Fault("status", 404, f"The model `{body['model']}` does not exist")
            send(handler, 200, completion(self.script(body)))
        except Fault as fault:
            break_down(handler, fault)
        finally:
            with self.lock:
                self.open -= 1


def completion(text: str | None, reason: str = "stop") -> str:
    """The body of a chat completion."""
    return json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "scripted",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        }
    )


def send(
    handler: BaseHTTPRequestHandler, status: int, text: str, headers: dict | None = None, length: int | None = None
) -> None:
    data = text.encode()
    handler.send_response(status)
    for name, value in {
        "Content-Type": "application/json",
        "Content-Length": str(length or len(data)),
        **(headers or {}),
    }.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


def break_down(handler: BaseHTTPRequestHandler, fault: Fault) -> None:
    """What each kind of fault puts on the wire."""
    if fault.kind == "status":
        send(handler, fault.status, json.dumps({"error": {"message": fault.message}}), fault.headers)
    elif fault.kind == "body":  # whatever the message is
        send(handler, fault.status, fault.message, fault.headers)
    elif fault.kind == "hang":
        time.sleep(30)
    elif fault.kind == "half":
        send(handler, 200, completion("cut")[:40], length=4000)
    elif fault.kind == "huge":
        send(handler, 200, '{"choices": "' + "x" * 12_000_000 + '"}')
    # "drop" does no more than this; after a whole answer the connection stays, as its header has promised
    handler.close_connection = fault.kind not in ("status", "body")
