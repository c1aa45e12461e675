"""The code as a test in the judge sees it: requests to the child, and the values and exceptions that it answers.

Everything that the child sends is treated as data. A proxy replaces each function of the code.
"""

import itertools
import json
from typing import Any, NoReturn

from raccoon.exchange import frames, heap, values
from raccoon.exchange.values import MAX_ITEMS, Inline, pairs
from raccoon.verdicts.control import OURS, ChildGone, Diverged, NotCarried
from raccoon.verdicts.handles import DESCRIBING
from raccoon.verdicts.judge_heap import JudgeHeap

PLAIN_CALL = b'["call",'  # how a request starts that calls a function with values only
MAX_TEXT = 300  # characters of a message


class Child:
    """The untrusted process, as the judge sees it: a descriptor that delivers values.

    `planned`: the requests that the child gets at once. `expects_stop`: the test expects a StopIteration of the code.
    """

    def __init__(self, descriptor: int, planned: tuple[bytes, ...] = (), expects_stop: bool = False):
        self.descriptor, self.incoming = descriptor, frames.FrameReader(descriptor)
        self.planned, self.expects_stop = planned, expects_stop
        self.fault: str | None = None  # of the ChildGone that was raised, also if the test caught it
        self.heap: JudgeHeap | None = None
        self.loaded = self.gone = self.diverged = False
        self.requests = 0
        self.silent = False  # while a message about a failure is written, which must not run code

    def send(self, context: str, code: str, tracks: bool) -> None:
        """Sends the program and the planned requests. The program starts to run."""
        with_program = not tracks and all(data.startswith(PLAIN_CALL) for data in self.planned)
        calls, requests = (self.planned, ()) if with_program else ((), self.planned)
        fields = {"context": context, "code": code, "tracks": tracks, "planned": len(requests)}
        program = json.dumps(fields).encode().removesuffix(b"}") + b',"calls":[' + b",".join(calls) + b"]}"
        self._write(program, *requests)

    def load(self) -> None:
        """Waits until the program's top level has run. Raises ChildGone with the reason if it did not."""
        self.loaded = True
        try:
            self.incoming.read()  # frames.WALLS_STAND: no code has run yet that could send anything else
        except (EOFError, OSError):
            self.end("infra: a wall could not be raised around the code")
        reply = self._receive()
        if reply[0] != "ok":
            kind = "syntax" if reply[0] == "syntax" else reason_kind(reply[1])
            self.end(f"{kind}: {failure_text(reply)}")

    def request(self, *details) -> list:
        """The parts of the reply to one request. Raises the code's exception."""
        if self.silent:
            raise AttributeError("not asked")
        if not self.loaded:
            self.load()
        number, self.requests = self.requests, self.requests + 1
        self.heap.asked(*details[:2])
        try:
            data = values.dumps(Inline(details), self.heap)
        except NotCarried as error:
            self.end(f"exception: the test hands an object of its class {error} to the code")
        except frames.ValueLimit as error:
            self.end(f"exception: the test hands a value to the code that cannot be sent: {error}")
        if not self.planned:
            self._write(data)
        elif number >= len(self.planned) or data != self.planned[number]:
            self.diverged = True
            raise Diverged
        return self._answer()

    def _answer(self) -> list:
        """The parts of the next reply. Until it comes, the code may call functions of the test."""
        while True:
            reply = self._receive()
            if reply[0] == "ok":
                return reply[1:]
            if reply[0] != "callback":
                raise self.raised(reply)
            self._write(values.dumps(self.called_back(*reply[1:3], reply[3:]), self.heap))

    def called_back(self, number, kind: str, details: list) -> list:
        """The answer to the code's call of a function of the test, or to its request for items of an iterator."""
        try:
            found = self.heap.objects[number]
            if kind == "take":
                [most] = details
                arguments, keywords, found = (found, min(most, MAX_ITEMS)), (), take
            else:
                arguments, keywords = details
        except (LookupError, TypeError, ValueError):
            self.end("exception: the code's process calls what it was not given")
        try:
            return Inline(["return", found(*arguments, **dict(keywords))])
        except OURS:
            raise
        except BaseException as error:
            return Inline(["raise", error])

    def raised(self, reply: list) -> BaseException:
        """The exception of a failure reply, as the test gets it."""
        if not well_formed(reply):
            self.end("exception: the code's process sent something that is not an answer")
        error = reply[4]
        if not isinstance(error, BaseException):
            kind = next(filter(None, map(standard_exception, reply[2])), RuntimeError)
            error = kind(reply[3])
        if isinstance(error, (StopIteration, StopAsyncIteration)) and not self.expects_stop:
            error = RuntimeError(f"the code raised {type(error).__name__}")  # it would silently end the test's own loop
        if not hasattr(error, "verdict_kind"):
            error.verdict_kind, error.verdict_text = reason_kind(reply[1]), failure_text(reply)
        return error

    def _write(self, *datas: bytes) -> None:
        try:
            frames.write_frame(self.descriptor, *datas)
        except OSError:
            self.gone = True
            self.end("")

    def _receive(self) -> list:
        reply: Any = None
        try:
            reply = values.loads(self.incoming.read(), self.heap)
        except (EOFError, OSError):
            self.gone = True
            self.end("")
        except frames.ValueLimit as error:
            self.end(f"exception: the code's answer is {error}")
        except MemoryError:
            self.end("memory: the code's answer does not fit the judge's memory")
        if not well_formed(reply):
            self.end("exception: the code's process sent something that is not an answer")
        return reply

    def end(self, reason: str) -> NoReturn:
        """Stops the test for a reason that the verdict gives."""
        self.fault = reason if self.fault is None else self.fault
        raise ChildGone(reason) from None


def take(iterator, most: int) -> Inline:
    """The next items of one of the test's iterators."""
    return Inline(itertools.islice(iterator, most))


def well_formed(reply) -> bool:
    """Whether a reply has the form that the zygote's children give it."""
    if type(reply) is not list or not reply or reply[0] not in ("ok", "callback", "error", "syntax"):
        return False
    if reply[0] in ("ok", "callback"):
        return 2 <= len(reply) <= 5
    if [type(part) for part in reply[1:4]] != [str, list, str] or len(reply) != 5:
        return False
    return all(type(name) is str for name in reply[2])


def failure_text(reply: list) -> str:
    """`ValueError: message` of a failure reply, as one line."""
    message = " ".join(reply[3].split())
    return (f"{reply[1]}: {message}" if message else reply[1])[:MAX_TEXT]


def reason_kind(name: str) -> str:
    """The kind of a verdict for an exception of this name."""
    return {"MemoryError": "memory", "PermissionError": "forbidden"}.get(name, "exception")


def standard_exception(name: str) -> type[BaseException] | None:
    """The exception class of this module and name, if it is loaded and belongs to the standard library."""
    module, _, attribute = name.rpartition(".")
    found = heap.standard_object(module, attribute)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


class Proxy:
    """Represents one function of the code in a test."""

    called_by_name = True

    def __init__(self, child: Child, name: str):
        self._child, self.__name__ = child, name

    def __call__(self, *arguments, **keywords):
        return self._child.request("call", self.__name__, Inline(arguments), pairs(keywords))[0]

    def __getattr__(self, name: str):
        if name.startswith("__") and name not in DESCRIBING:
            raise AttributeError(f"function {self.__name__!r} has no attribute {name!r} here")
        value, is_method = self._child.request("attribute", self, name)
        if is_method is not True:
            return value
        ask = self._child.request
        return lambda *arguments, **keywords: ask("method", self, name, Inline(arguments), pairs(keywords))[0]
