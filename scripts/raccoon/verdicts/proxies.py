"""The code as a test in the judge sees it: requests to the child, and the values and exceptions that it answers.

Everything that the child sends is treated as data. A proxy replaces each function of the code.
"""

import collections
import json
import sys
from typing import NoReturn

from raccoon.verdicts import test_programs as tests
from raccoon.verdicts import values
from raccoon.verdicts.objects import JudgeCarrier, Method


class ChildGone(BaseException):
    """The child has ended or sends invalid data, so the test cannot continue."""


class Child:
    """The untrusted process, as the judge sees it: a descriptor that delivers values."""

    def __init__(self, descriptor: int):
        self.descriptor, self.incoming = descriptor, values.FrameReader(descriptor)
        self.fault = None  # of the ChildGone or NotCarried that was raised, also if the test caught it
        self.carrier: JudgeCarrier | None = None
        self.loaded = self.gone = False
        self.requests = 0

    def send(self, context: str, code: str, objects: bool = False) -> None:
        """Sends the program, which starts to run. With `objects`, the child keeps objects of the code's classes."""
        self._write(json.dumps({"context": context, "code": code, "objects": objects}).encode())

    def load(self) -> None:
        """Waits until the program's top level has run. Raises ChildGone with the reason if it did not."""
        self.loaded = True
        try:
            self.incoming.read()  # values.WALLS_STAND: no code has run yet that could send anything else
        except (EOFError, OSError):
            self._end("infra: a wall could not be raised around the code")
        reply = self._receive()
        if reply[0] != "ok":
            kind = "syntax" if reply[0] == "syntax" else reason_kind(reply[1])
            self._end(f"{kind}: {failure_text(reply)}")

    def request(self, *details) -> tuple:
        """One request: (value, arguments after the call). Raises the code's exception as a builtin one."""
        if not self.loaded:
            self.load()
        self.requests += 1
        if self.carrier is not None:
            self.carrier.asked(*details[:2])
        try:
            data = values.dumps(list(details), trusted=True, carrier=self.carrier)
        except values.NotCarried as error:
            self.needs_shared(str(error))
        self._write(data)
        reply = self._receive()
        if reply[0] == "ok":
            return reply[1], reply[2]
        raise rebuilt_exception(reply)

    def needs_shared(self, why: str) -> NoReturn:
        """Stops the test: plain values and objects are not enough for it, so it must run in shared isolation."""
        self.fault = "shared"
        raise values.NotCarried(why)

    def _write(self, data: bytes) -> None:
        try:
            values.write_frame(self.descriptor, data)
        except OSError:
            self.gone = True
            self._end("")

    def _receive(self) -> list:
        reply = None
        try:
            reply = values.loads(self.incoming.read(), self.carrier)
        except (EOFError, OSError):
            self.gone = True
            self._end("")
        except values.ValueLimit as error:
            self._end(f"exception: the code's answer is {error}")
        except MemoryError:
            self._end("memory: the code's answer does not fit the judge's memory")
        if not well_formed(reply):
            self._end("exception: the code's process sent something that is not an answer")
        return reply

    def _end(self, reason: str) -> NoReturn:
        self.fault = reason
        raise ChildGone(reason) from None


def well_formed(reply) -> bool:
    """Whether a reply has the form that the zygote's children give it."""
    if type(reply) is not list or not reply:
        return False
    if reply[0] == "ok":
        return len(reply) == 3 and (reply[2] is None or type(reply[2]) is list)
    if reply[0] not in ("error", "syntax") or [type(part) for part in reply[1:]] != [str, list, str, list]:
        return False
    return all(type(name) is str for name in reply[2])


def failure_text(reply: list) -> str:
    """`ValueError: message` of a failure reply, as one line."""
    message = " ".join(reply[3].split())
    return (f"{reply[1]}: {message}" if message else reply[1])[: tests.MAX_TEXT]


def reason_kind(name: str) -> str:
    """The kind of a verdict for an exception of this name."""
    return {"MemoryError": "memory", "PermissionError": "forbidden"}.get(name, "exception")


def rebuilt_exception(reply: list) -> Exception:
    """The code's exception as the nearest standard one, with its arguments. Never one that ends a process or a loop."""
    kind = next(filter(None, map(standard_exception, reply[2])), RuntimeError)
    if issubclass(kind, (StopIteration, StopAsyncIteration)):  # it would silently end a map() or a loop of the test
        kind = RuntimeError
    try:
        error = kind(*reply[4])
    except Exception:  # some, such as JSONDecodeError, take other arguments than they keep
        error = kind.__new__(kind)
        error.args = tuple(reply[4])
    error.verdict_kind, error.verdict_text = reason_kind(reply[1]), failure_text(reply)
    return error


def standard_exception(name: str) -> type[Exception] | None:
    """The exception class of this module and name, if it is loaded and belongs to the standard library."""
    module, _, attribute = name.rpartition(".")
    if module.partition(".")[0] not in values.STANDARD_MODULES:
        return None
    found = getattr(sys.modules.get(module), attribute, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


class Proxy:
    """Represents one function of the code in a test."""

    def __init__(self, child: Child, name: str):
        self._child, self.__name__ = child, name

    def __call__(self, *arguments, **keywords):
        return self.called(arguments, keywords, False)[0]

    def called(self, arguments: tuple, keywords: dict, in_place: bool) -> tuple:
        """The value, and the arguments as the call left them if `in_place`."""
        return self._child.request("call", self.__name__, list(arguments), keywords, in_place)


def call_in_place(function, *arguments, **keywords):
    """Makes a call that may change its arguments, and copies the changed contents into collections and structures."""
    if not isinstance(function, (Proxy, Method)):
        return function(*arguments, **keywords)
    result, after = function.called(arguments, keywords, True)
    if after and len(after) == 2 and type(after[0]) is list and type(after[1]) is dict:
        kinds = function._child.carrier.structures.values() if function._child.carrier else ()
        for old, new in zip(arguments, after[0], strict=False):
            take_on(old, new, kinds)
        for name, new in after[1].items():
            take_on(keywords.get(name), new, kinds)
    return result


def take_on(old, new, kinds=()) -> None:
    """Copies new contents into a mutable collection or structure of the test. Does nothing for other values."""
    if type(old) is type(new) and type(old) in kinds:
        old, new = vars(old), vars(new)
    if type(old) is not type(new) or type(old) not in (list, bytearray, dict, set, collections.deque):
        return
    old.clear()
    old.update(new) if type(old) in (dict, set) else old.extend(new)
