"""What a test will ask of the code, found without the code, so that a child can be asked for everything at once.

Most tests call a function with fixed arguments. Each question costs two switches between processes, so the judge runs
such a test once against a stand-in that answers nothing, and writes down the requests. A child then gets them with its
program and ends by itself. When the test runs on the answers, each of its requests is compared with the plan. If one
differs, the answers are worthless: the test runs again in a new child and asks step by step.
"""

import ast
import contextlib
import importlib
from typing import Any

from raccoon.exchange import frames, values
from raccoon.test_texts.needs import KNOWN_AS
from raccoon.test_texts.test_programs import Tally, TestProgram
from raccoon.verdicts.control import OURS, Blank, NotCarried, NotPlanned
from raccoon.verdicts.test_run import Run

MOST_REQUESTS, MOST_BYTES = 2000, 1 << 20
SMALL = 10  # numbers up to this say little about an answer
REHEARSAL_SECONDS = 0.1
PLANNED = ("call", "seed")  # requests whose answers a test can do without


class StandIn:
    """Takes the place of the child in a rehearsal: notes what it is asked for and answers nothing."""

    def __init__(self):
        self.noted: list[bytes] = []
        self.heap: Any = None
        self.fault, self.gone, self.diverged, self.silent = None, False, False, False
        self.not_carried = self.stopped = False
        self.arguments: list = []  # of all calls
        self.compared: list = []  # what the test expects of the answers

    @property
    def requests(self) -> int:
        """How often it was asked."""
        return len(self.noted)

    def request(self, *details) -> list:
        """Notes one request. Raises NotPlanned if the test could not go on without its answer."""
        try:
            self.noted.append(values.dumps(values.Inline(details), self.heap))
        except (NotCarried, frames.ValueLimit):
            self.not_carried = True
            raise NotCarried from None
        self.stopped |= details[0] not in PLANNED or b'{"test":' in self.noted[-1]
        if self.requests > MOST_REQUESTS:
            raise NotPlanned
        self.arguments += details[2] if details[0] in PLANNED else ()
        return [Blank(self.compared)] * 3


def planned(program: dict, test: TestProgram) -> tuple[bytes, ...] | None:
    """All requests of a test, in order; () if they depend on the answers.

    None if the test hands over an object that cannot be sent. No answer has a part in that, so it needs the code's
    process.
    """
    if test.shared or not test.harmless or test.swallows:
        return ()
    child = StandIn()
    for name in (*test.libraries, *(KNOWN_AS.get(name, name) for name in test.modules)):
        importlib.import_module(name)  # not in the rehearsal, whose end would leave half of it
    rehearsal = Rehearsal(program | {"wall_seconds": REHEARSAL_SECONDS}, test, child)
    outcome = rehearsal.judge()
    if child.not_carried:
        return None
    if gives_answers_away(child.arguments, child.compared + literals(program["test"])):
        return ()
    complete = test.goes_on and not outcome.reason and not rehearsal.stopped and not child.stopped
    return tuple(child.noted) if complete and sum(map(len, child.noted)) <= MOST_BYTES else ()


def gives_answers_away(arguments: list, expected: list) -> bool:
    """Whether an argument of one call is what the test expects of another: the code must not see it too early."""
    given = set(filter(None, map(telling, [*arguments, *(part for each in arguments for part in parts(each))])))
    return not given.isdisjoint(filter(None, map(telling, expected)))


def parts(value) -> list:
    """The items of a list or a tuple."""
    return list(value) if type(value) in (list, tuple) else []


def telling(value) -> bytes | None:
    """A value as bytes, if it is not one that many calls have, such as 0, True or an empty list."""
    kind = type(value)
    if kind not in (int, float, complex, str, bytes, list, tuple, dict, set, frozenset):
        return None
    if abs(value) <= SMALL if kind in (int, float, complex) else len(value) <= 1:
        return None
    try:
        return values.dumps(value)
    except (frames.ValueLimit, RecursionError):
        return None


def literals(test: str) -> list:
    """What the text of a test compares with."""
    sides = [side for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Compare) for side in node.comparators]
    found = []
    for side in sides:
        with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            found.append(ast.literal_eval(side))
    return found


class Rehearsal(Run):
    """A run without the code, in which every assertion fails and does not end the test."""

    def __init__(self, program: dict, test: TestProgram, child: StandIn):
        super().__init__(program, test, child, False)
        self.tally = Tally(True, OURS)
        self.stopped = False

    def end_of_test(self, error: BaseException) -> None:
        """Any exception outside of an assertion is one that an answer may have prevented."""
        self.stopped = True
