"""Client of an OpenAI-compatible server: many requests at once, retried, counted, bounded in time and in size.

It does not know the meaning of questions and answers. The server is not trusted: whatever it sends or does not send
becomes an Answer, and its `error` says why there is no text. No message contains the key.
"""

import asyncio
import json
import math
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

from raccoon.constants import InputError
from raccoon.store import AnswerCache

MAX_BODY = 8_000_000  # bytes of one answer; far more than any request needs
REFUSALS = (400, 413, 422, 451)  # HTTP: the server will not take this text; other requests may be answered
MAX_MESSAGE = 200  # characters of a server's message in an error
MAX_TOKENS_COUNTED = 10**9  # a larger usage figure is an error of the server
FIRST_WAIT = 0.5  # seconds before the first retry; each further one waits twice as long
LONGEST_WAIT = 60.0  # seconds before a retry at most, whatever Retry-After says
LOST_AFTER = 4  # requests in a row, with all their retries, without an answer
PROBE_TOKENS = 16  # of the request that check() sends

# Fields that some servers refuse. A refused field is left out from then on; of several that are named, the first.
OPTIONAL_FIELDS = ("response_format", "seed", "temperature", "max_tokens")


@dataclass(frozen=True)
class Endpoint:
    """A server and the limits for its use."""

    base_url: str  # ends in /v1 on most servers
    model: str
    api_key_env: str = ""  # the environment variable with the key; "": no key
    timeout: float = 120.0  # seconds for each request
    concurrency: int = 16  # requests at once
    max_retries: int = 5  # of one request


@dataclass(frozen=True)
class Request:
    """One request to the server."""

    messages: tuple[dict[str, str], ...]  # of "role" and "content"
    temperature: float
    max_tokens: int
    json_schema: dict | None = None  # of the answer, if the server has structured output
    seed: int | None = None


@dataclass(frozen=True)
class Answer:
    """The answer to a request. If `text` is None, `error` says why in one line."""

    text: str | None
    error: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0  # from the first try to the last
    finish_reason: str = ""
    refused: bool = False  # the server works, but has no answer to this text: it may be the text's own doing


Keep = Callable[[int, Answer], None]  # gets an answer with the number of its request


@dataclass
class Usage:
    """The requests and tokens of a client so far. Refused and broken tries count as retries, not as requests."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class ServerLost(Exception):
    """The server has stopped answering. Earlier answers are kept; the other requests were not sent."""


@dataclass(eq=False)
class Failure(Exception):
    """Why one try got no answer."""

    message: str
    status: int = 0  # HTTP; 0 without a status
    retry_after: float = 0.0  # seconds that the server asks for
    unanswered: bool = False  # nothing useful arrived: connection refused or cut, or timeout

    @property
    def passing(self) -> bool:
        """Whether another try may succeed: the server is busy, broken or gone, but does not refuse the request."""
        return not self.status or self.status in (408, 409, 429) or self.status >= 500


class LlmClient:
    """Sends requests to one server from one thread. A context manager."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint, self.usage = endpoint, Usage()
        self.refused: set[str] = set()  # of OPTIONAL_FIELDS
        self.unanswered = 0  # requests in a row
        self.jitter = random.Random()  # its own generator: training uses the global ones
        self.lost = ""  # why ask_once() gave the server up; "" while it answers

    def __enter__(self) -> "LlmClient":
        self.key = read_key(self.endpoint)
        self.runner = asyncio.Runner()
        self.client = self.runner.run(open_client(self.endpoint, self.key))
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.client.close())
        self.runner.close()

    def check(self, more: Sequence[dict[str, str]] = ()) -> None:
        """Asks for a few tokens. Raises InputError if the key, the address or the model is wrong.

        `more` are messages after the first, for a server that must take several.
        """
        first = {"role": "user", "content": "Say OK."}
        probe = Request((first, *more), temperature=0.0, max_tokens=PROBE_TOKENS)
        try:
            self.runner.run(self._try(probe))
        except Failure as failure:
            models = [] if failure.unanswered else self.runner.run(self._models())
            raise InputError(check_message(self.endpoint, failure, models)) from None

    def ask_all(
        self, requests: Sequence[Request], told: Keep | None = None, within: float | None = None
    ) -> list[Answer]:
        """An answer to each request, in order. `told` gets each with its number when it arrives, in this thread.

        `within` is the time for all requests in seconds; those without an answer by then get an error. Raises
        ServerLost after LOST_AFTER requests in a row without an answer.
        """
        answers: dict[int, Answer] = {}

        def keep(number: int, answer: Answer) -> None:
            answers[number] = answer
            if told:
                told(number, answer)

        self.runner.run(self._ask_all(requests, keep, within))
        for number in range(len(requests)):
            if number not in answers:  # only with `within`
                keep(number, Answer(None, f"no answer within the {within:g} s for all requests", seconds=within or 0.0))
        return [answers[number] for number in range(len(requests))]

    def ask_once(
        self,
        requests: Mapping[str, Request],
        cache: AnswerCache,
        read: Callable[[str, str], object],
        within: float | None = None,
    ) -> dict[str, Answer]:
        """Puts read(key, text) of each new answer into the cache; returns the answers without a text, by key."""
        keys = [key for key in requests if key not in cache.values]
        failed = {key: Answer(None, "the server had stopped answering before") for key in keys}

        def keep(number: int, answer: Answer) -> None:
            failed[keys[number]] = answer
            if answer.text is not None:
                cache.put(keys[number], read(keys[number], answer.text))
                del failed[keys[number]]

        try:
            self.ask_all([requests[key] for key in keys], keep, within)
        except ServerLost as error:
            self.lost = str(error)
        return failed

    async def _ask_all(self, requests: Sequence[Request], keep: Keep, within: float | None) -> None:
        waiting = iter(enumerate(requests))
        try:
            async with asyncio.timeout(within) as limit, asyncio.TaskGroup() as group:
                for _ in range(min(self.endpoint.concurrency, len(requests))):
                    group.create_task(self._work(waiting, keep))
        except TimeoutError:
            if not limit.expired():
                raise
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _work(self, waiting: Iterator[tuple[int, Request]], keep: Keep) -> None:
        for number, request in waiting:
            answer = await self._ask(request)
            keep(number, answer)
            if self.unanswered >= LOST_AFTER:
                raise ServerLost(f"{self.endpoint.base_url} has stopped answering ({answer.error})")

    async def _ask(self, request: Request) -> Answer:
        """Sends one request, with its retries."""
        started = time.perf_counter()
        self.usage.requests += 1
        for attempt in range(self.endpoint.max_retries + 1):
            try:
                answer = await self._try(request)
                self.unanswered = 0
                self.usage.prompt_tokens += answer.prompt_tokens
                self.usage.completion_tokens += answer.completion_tokens
                break
            except Failure as failure:
                last = failure
            if not last.passing or attempt == self.endpoint.max_retries:
                self.unanswered = self.unanswered + 1 if last.unanswered else 0
                answer = Answer(None, last.message, refused=last.status in REFUSALS)
                break
            self.usage.retries += 1
            await asyncio.sleep(self._wait(attempt, last.retry_after))
        return replace(answer, seconds=time.perf_counter() - started)

    def _wait(self, attempt: int, retry_after: float) -> float:
        """Seconds before the next try: doubled each time, partly random, at least what the server asks for."""
        backoff = FIRST_WAIT * 2**attempt * self.jitter.uniform(0.5, 1.0)
        return min(max(backoff, retry_after), LONGEST_WAIT)

    async def _try(self, request: Request) -> Answer:
        """One try. Raises Failure. A field that the server refuses is left out."""
        refused = set(self.refused)
        while True:
            fields = request_fields(self.endpoint.model, request, refused)
            try:
                answer = await self._post(fields)
            except Failure as failure:
                field = refused_field(fields, failure)
                if not field:
                    raise
                refused.add(field)
                continue
            self.refused |= refused
            return answer

    async def _post(self, fields: dict[str, Any]) -> Answer:
        import openai

        try:
            async with asyncio.timeout(self.endpoint.timeout):
                raw = await self.client.chat.completions.with_raw_response.create(**fields)
        except (openai.APITimeoutError, TimeoutError):
            raise Failure(f"no answer within {self.endpoint.timeout:g} s", unanswered=True) from None
        except openai.APIConnectionError as error:
            raise Failure(f"connection failed ({one_line(error.__cause__ or error)})", unanswered=True) from None
        except openai.APIStatusError as error:
            named = error.body.get("message") if isinstance(error.body, dict) else error.body
            message = one_line(named or error.message)
            if self.key:
                message = message.replace(self.key, "***")
            wait = retry_after(error.response.headers.get("retry-after", ""))
            raise Failure(f"HTTP {error.status_code}: {message}", error.status_code, wait) from None
        except openai.OpenAIError as error:
            raise Failure(one_line(error)) from None
        return read_answer(raw.content)

    async def _models(self) -> list[str]:
        """The models that the server lists; [] if it lists none."""
        import openai

        try:
            async with asyncio.timeout(self.endpoint.timeout):
                raw = await self.client.models.with_raw_response.list()
            return [str(model["id"]) for model in json.loads(raw.content)["data"]]
        except (openai.OpenAIError, TimeoutError, ValueError, RecursionError, KeyError, TypeError):
            return []


def read_key(endpoint: Endpoint) -> str:
    """The endpoint's key; "" if it needs none. Raises InputError if the variable is not set."""
    if not re.match(r"https?://[^/]", endpoint.base_url):
        raise InputError(f"the base URL {endpoint.base_url!r} is not a URL; give one like http://127.0.0.1:8000/v1")
    key = os.environ.get(endpoint.api_key_env, "").strip() if endpoint.api_key_env else ""
    if endpoint.api_key_env and not key:
        raise InputError(f"no key for {endpoint.base_url}: set the environment variable {endpoint.api_key_env}")
    if not key.isascii():
        raise InputError(f"the key in {endpoint.api_key_env} contains a character that no key has; copy it again")
    return key


async def open_client(endpoint: Endpoint, key: str) -> Any:
    """The openai client, without its own retries, redirects and compression, and with bounded bodies.

    Its retries do not repeat an invalid body, and they draw from the global random generator, which training seeds.
    """
    import httpx2
    import openai

    class BoundedStream(httpx2.AsyncByteStream):
        """A body that ends with an error after MAX_BODY bytes."""

        def __init__(self, stream: Any) -> None:
            self.stream = stream

        async def __aiter__(self) -> Any:
            size = 0
            async for chunk in self.stream:
                size += len(chunk)
                if size > MAX_BODY:
                    raise openai.OpenAIError(f"the answer is larger than {MAX_BODY} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self.stream.aclose()

    async def bound(response: Any) -> None:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise openai.OpenAIError("the answer is compressed, which was not asked for")
        response.stream = BoundedStream(response.stream)

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=endpoint.concurrency)
    http = httpx2.AsyncClient(
        timeout=endpoint.timeout,
        limits=limits,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [bound]},
    )
    client = openai.AsyncOpenAI(
        base_url=endpoint.base_url, api_key=key or "none", max_retries=0, timeout=endpoint.timeout, http_client=http
    )
    client.organization = client.project = None  # from OpenAI's environment variables; other servers must not get them
    return client


def request_fields(model: str, request: Request, refused: set[str]) -> dict[str, Any]:
    """The request as fields of the API, without those that the server refuses."""
    fields: dict[str, Any] = {"model": model, "messages": list(request.messages)}
    fields |= {"temperature": request.temperature, "max_tokens": request.max_tokens}
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.json_schema is not None:
        schema = {"name": "answer", "schema": request.json_schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    if "max_tokens" in refused:  # OpenAI's newer models know only this name
        fields["max_completion_tokens"] = request.max_tokens
    return {name: value for name, value in fields.items() if name not in refused}


def refused_field(fields: dict[str, Any], failure: Failure) -> str:
    """The field to leave out after a 400 or 422: one that the message names, else the output's form; "" for none."""
    if failure.status not in (400, 422):
        return ""
    present = [field for field in OPTIONAL_FIELDS if field in fields]
    named = [field for field in present if field in failure.message]
    return (named or [field for field in present if field == "response_format"] or [""])[0]


def read_answer(content: bytes) -> Answer:
    """The answer in a body; without a text, for example from a filter, it is an error. Raises Failure."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise Failure("the answer is not JSON") from None
    try:
        choice, usage = body["choices"][0], body.get("usage")
        text = choice["message"].get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Failure("the answer is JSON but not a chat completion") from None
    if text is not None and not isinstance(text, str):
        raise Failure("the answer is a chat completion, but its content is not a text")
    reason = one_line(str(choice.get("finish_reason") or "")[:MAX_MESSAGE])
    given = [usage.get(name) if isinstance(usage, dict) else 0 for name in ("prompt_tokens", "completion_tokens")]
    sent, received = (n if type(n) is int and 0 <= n <= MAX_TOKENS_COUNTED else 0 for n in given)
    if text is None:
        error = f"the answer has no text (finish_reason {reason})"
        return Answer(None, error, sent, received, finish_reason=reason, refused=True)
    # half a surrogate pair cannot be written to a file
    return Answer(text.encode("utf-8", "replace").decode(), "", sent, received, finish_reason=reason)


def retry_after(header: str) -> float:
    """The seconds that a Retry-After header asks for, as a number or a date; 0 for any other header."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else 0.0


def check_message(endpoint: Endpoint, failure: Failure, models: list[str]) -> str:
    """The error message for a failed first request."""
    server = f"{endpoint.base_url}, model {endpoint.model!r}: {failure.message}"
    if failure.unanswered:
        return f"{server}; start the server, or correct the base URL"
    if failure.status in (401, 403):
        wanted = f"the key in {endpoint.api_key_env}" if endpoint.api_key_env else "the variable that holds the key"
        return f"{server}; check {wanted}"
    if models and endpoint.model not in models:
        named = one_line(", ".join(sorted(models)))
        return f"{server}; the server's models are {named}"
    if failure.status in (404, 405):
        return f"{server}; check the base URL, which ends in /v1 on most servers, and the model's name"
    return f"{server}; check the model's name and the server's log"


def one_line(words: object) -> str:
    """A message of a server, or of an error, as one line without control characters and of limited length."""
    text = "".join(character if character.isprintable() else " " for character in str(words)[: 10 * MAX_MESSAGE])
    text = " ".join(text.split())
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + " ..."


def closed_object(properties: dict) -> dict:
    """The JSON schema of an object with exactly these properties, for servers with structured output."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def parse_json_object(text: str) -> dict | None:
    """The one JSON object in a model's answer, alone or with words or a fence around it; else None.

    None too if there are two objects, if a key occurs twice or if a number is not finite: a more lenient reader could
    take a text that the model quotes for its answer. A leading <think> block is skipped.
    """
    text = text.strip()
    if text.startswith("<think>"):
        text = text.partition("</think>")[2].strip()
    fence = None if text.startswith("{") else re.search(r"```(?:json)?\s*(?={)", text)
    start = fence.end() if fence else text.find("{")
    if start < 0:
        return None

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key occurs twice")
        return dict(pairs)

    def finite(word: str) -> float:
        if not math.isfinite(float(word)):
            raise ValueError(f"{word} is not finite")
        return float(word)

    decoder = json.JSONDecoder(object_pairs_hook=unique, parse_constant=finite, parse_float=finite)
    try:
        value, end = decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value if "{" not in text[end:] else None
