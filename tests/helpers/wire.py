"""Both sides of one channel, without the processes: what the judge sends and what the code's process makes of it."""

import types

from raccoon.child.functions import REQUESTS, CodeHeap, attempt
from raccoon.exchange.heap import structures
from raccoon.exchange.values import Inline, dumps, loads
from raccoon.verdicts.children import Child
from raccoon.verdicts.judge_heap import JudgeHeap


def defined(code: str, module: str) -> dict:
    """What some code defines."""
    namespace = {"__name__": module}
    exec(code, namespace)
    return namespace


class Wire(Child):
    """A judge's child whose other side is in this process. `raw` replaces its next reply."""

    def __init__(self, tracks: bool = True, context: str = "", code: str = ""):
        super().__init__(-1)
        self.ours, self.theirs = defined(context, "__main__"), defined(context, "solution")
        self.heap = JudgeHeap(self, structures(self.ours), tracks)
        self.other = types.SimpleNamespace(program={"tracks": tracks}, namespace=self.theirs, ask_test=lambda *_: None)
        self.code = self.other.heap = CodeHeap(self.other)
        self.code.structures = structures(self.theirs)
        exec(code, self.theirs)
        self.incoming = types.SimpleNamespace(read=lambda: self.data)
        self.loaded, self.data, self.raw = True, b"", None

    def _write(self, *frames: bytes) -> None:
        [frame] = frames
        kind, *details = loads(frame, self.code)
        self.data = self.raw or dumps(attempt(REQUESTS[kind], self.other, *details), self.code)

    def out(self, value):
        """A value of the test as the code gets it."""
        return loads(dumps(value, self.heap), self.code)

    def back(self, value):
        """A value of the code as the test gets it."""
        return loads(dumps(value, self.code), self.heap)

    def call(self, name: str, *arguments):
        """The result of a function of the code, as the test gets it."""
        return self.request("call", name, Inline(arguments), Inline())[0]
