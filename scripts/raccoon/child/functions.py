"""The child: runs one untrusted program and answers the judge's requests with values, until it is killed.

Code of the program runs in this process. So nothing secret may be in it, and everything that it sends is treated as
data only (exchange/values.py, exchange/heap.py).
"""

import _thread
import builtins
import functools
import linecache
import operator
import sys
import time
import types

from raccoon.child.adaptations import FILENAME, adapt
from raccoon.child.code_heap import CodeHeap, Kept, failure
from raccoon.exchange import frames, heap, values

MODULE = "solution"  # its name for itself: a main guard belongs to a script, and this code is called by a test
TEST_PROGRAMS = "raccoon.test_texts.test_programs"
MAX_PROGRAM = 64 << 20  # bytes of a program with its context
TAKING = 0.02  # seconds after which no further item is taken ahead
METHODS = (types.FunctionType, types.MethodType, types.BuiltinMethodType, types.MethodWrapperType, functools.partial)


def answer_requests(job: int) -> None:
    """Loads the program from `job`, then answers requests one by one.

    It ends when the judge closes the channel, or after the requests that the judge has planned. Planned calls with
    plain values come with the program.
    """
    incoming = frames.FrameReader(job)
    program = values.plain(incoming.read(MAX_PROGRAM))
    planned = [incoming.read() for _ in range(program["planned"])]  # else the judge may wait to send them
    conversation = Conversation(job, incoming, program)
    conversation.reply(attempt(conversation.load))
    if program["calls"]:
        conversation.answer_calls(program["calls"])
        return
    for frame in planned or iter(incoming.read, None):
        conversation.answer(frame)


def attempt(action, *arguments) -> list:
    """The result of `action`, or the failure that it raised; SystemExit is a failure too."""
    try:
        return action(*arguments)
    except BaseException as error:
        return failure(error)


class Conversation:
    """The program and its channel to the judge."""

    turn = _thread.RLock()  # of the thread that waits for the test

    def __init__(self, job: int, incoming: frames.FrameReader, program: dict):
        self.job, self.incoming, self.program = job, incoming, program
        module = types.ModuleType(MODULE)
        module.__file__ = FILENAME
        sys.modules[MODULE] = sys.modules["__main__"] = module
        self.namespace = module.__dict__
        self._heap: CodeHeap | None = None

    @property
    def heap(self) -> "CodeHeap":
        """The objects that are shared with the judge. Most programs share none: what is not made touches no memory."""
        if self._heap is None:
            self._heap = CodeHeap(self)
        return self._heap

    def load(self) -> list:
        """Runs the program's top level. The context's classes are known before code of the program runs."""
        context, code = self.program["context"], self.program["code"]
        if context:
            exec(compile(context, "context.py", "exec", dont_inherit=True), self.namespace)
            if self.program["tracks"]:
                self.heap.structures = heap.structures(self.namespace)
        try:
            compiled = compile(code, FILENAME, "exec", dont_inherit=True)
        except BaseException as error:
            return values.Inline(["syntax", *failure(error)[1:]])
        linecache.cache[FILENAME] = (lambda: code,)  # split into lines only when needed
        adapt(code)
        exec(compiled, self.namespace)
        return values.Inline(["ok", None])

    def answer_calls(self, calls: list[list]) -> None:
        """Answers planned calls. In one function, because each function that runs touches memory, which costs time."""
        for _, name, arguments, keywords in calls:
            if keywords or not values.all_plain(arguments):
                arguments, keywords = values.decoded([arguments, keywords], self.heap)
            try:
                result = defined(self.namespace, name)(*arguments, **dict(keywords))
            except BaseException as error:
                self.reply(failure(error))
                continue
            if not values.write_plain(self.job, result):
                self.reply(values.Inline(["ok", result]))

    def answer(self, frame: bytes) -> None:
        """Does what one request asks for, and replies."""
        kind, *details = values.loads(frame, self.heap)
        self.reply(attempt(REQUESTS[kind], self, *details))

    def reply(self, reply: list) -> None:
        """Sends the reply to a request, or a call of one of the test's own functions."""
        try:
            data = values.dumps(reply, self.heap)
        except (frames.ValueLimit, MemoryError):
            data = b""  # no answer: an error would look like one that the code raised
        except BaseException as error:
            data = values.dumps(failure(error, 0), self.heap)
        frames.write_frame(self.job, data)

    def ask_test(self, number: int, *details):
        """The result of a call of a function or an iterator of the test. The test may call the code meanwhile."""
        with self.turn:
            self.reply(values.Inline(["callback", number, *details]))
            while True:
                kind, *details = values.loads(self.incoming.read(), self.heap)
                if kind == "return":
                    return details[0]
                if kind == "raise":
                    raise details[0]
                self.reply(attempt(REQUESTS[kind], self, *details))


# --- requests ---------------------------------------------------------------------------------------------------------


def call(conversation: Conversation, name: str, arguments: list, keywords: list) -> list:
    """Calls one of the program's functions."""
    return values.Inline(["ok", defined(conversation.namespace, name)(*arguments, **dict(keywords))])


def defined(namespace: dict, name: str):
    """One of the program's functions or classes."""
    if name not in namespace:
        raise NameError(f"the code does not define {name!r}")
    if not callable(namespace[name]):
        raise TypeError(f"{name!r} is not a function but of type {type(namespace[name]).__name__}")
    return namespace[name]


def make(conversation: Conversation, name: str, arguments: list, keywords: list) -> list:
    """An instance of one of the program's classes. It always stays in this process."""
    kind = defined(conversation.namespace, name)
    result = kind(*arguments, **dict(keywords))
    return values.Inline(["ok", Kept(result) if isinstance(kind, type) else result])


def value(conversation: Conversation, name: str) -> list:
    """One of the program's variables."""
    if name not in conversation.namespace:
        raise NameError(f"the code does not define {name!r}")
    return values.Inline(["ok", conversation.namespace[name]])


def method(conversation: Conversation, owner, name: str, arguments: list, keywords: list) -> list:
    """Calls a method of one of the program's objects."""
    return values.Inline(["ok", getattr(owner, name)(*arguments, **dict(keywords))])


def attribute(conversation: Conversation, owner, name: str) -> list:
    """["ok", value, is it a method] of an attribute of one of the program's objects."""
    found = getattr(owner, name)
    return values.Inline(["ok", None, True] if isinstance(found, METHODS) else ["ok", found, False])


def operate(conversation: Conversation, name: str, operands: list) -> list:
    """The result of one of Python's operators or protocols on the program's objects."""
    return values.Inline(["ok", OPERATIONS[name](*operands)])


def take(conversation: Conversation, iterator, most: int) -> list:
    """["ok", items, what follows them, value] of an iterator.

    "more", "end" with the value that a generator has returned, or the failure of the next item.
    """
    items = values.Inline()
    conversation.heap.tracks = True  # as the items may be one list, which the iterator changes
    until = time.monotonic() + TAKING
    try:
        while len(items) < most and (not items or time.monotonic() < until):
            items.append(next(iterator))
    except StopIteration as stop:
        return values.Inline(["ok", items, "end", stop.value])
    except BaseException as error:
        return values.Inline(["ok", items, failure(error), None])
    return values.Inline(["ok", items, "more", None])


def seed(conversation: Conversation, module: str, arguments: list) -> list:
    """Seeds a generator of random numbers that the test has seeded, as both share it in one process."""
    if module in sys.modules:
        sys.modules[module].seed(*arguments)
    return values.Inline(["ok", None])


def leave(owner, error=None) -> bool:
    """The end of a with statement, perhaps by an exception; whether the code's object swallows it."""
    return bool(type(owner).__exit__(owner, error and type(error), error, None))


def run_test(conversation: Conversation, test: str, entry_point: str) -> list:
    """Shared isolation: runs the test in the code's own namespace."""
    tests, namespace = sys.modules[TEST_PROGRAMS], conversation.namespace
    namespace["__name__"], original = "__main__", dict(vars(builtins))
    program = tests.analyse(test, "", entry_point, shared=True)
    tally = tests.Tally(program.goes_on)
    namespace[tests.TALLY] = tally
    try:
        exec(program.code, namespace)
        if program.test_cases:
            tests.run_test_classes(namespace, tally)
    except BaseException as error:
        if not (isinstance(error, SystemExit) and not error.code and tests.is_raised_by_test(error)):
            tally.note(error)
    finally:
        vars(builtins).update(original)  # the test may have replaced some
    return values.Inline(["ok", [tally.passed, tally.failed, tally.first]])


OPERATIONS = {
    name: getattr(operator, name)
    for name in """add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift neg pos abs invert
    iadd isub imul itruediv iand ior ixor eq ne lt le gt ge contains getitem setitem delitem""".split()
} | {
    "divmod": divmod,
    "bool": bool,
    "str": str,
    "repr": repr,
    "format": format,
    "len": len,
    "int": int,
    "float": float,
    "complex": complex,
    "bytes": bytes,
    "index": operator.index,
    "round": round,
    "hash": hash,
    "call": lambda owner, arguments, keywords: owner(*arguments, **dict(keywords)),
    "setattr": setattr,
    "delattr": delattr,
    "isinstance": isinstance,
    "iterate": lambda owner: Kept(iter(owner)),
    "reversed": lambda owner: Kept(reversed(owner)),
    "dir": dir,
    "enter": lambda owner: type(owner).__enter__(owner),
    "leave": leave,
}
REQUESTS = {
    "call": call,
    "value": value,
    "test": run_test,
    "make": make,
    "method": method,
    "attribute": attribute,
    "operate": operate,
    "take": take,
    "seed": seed,
}
