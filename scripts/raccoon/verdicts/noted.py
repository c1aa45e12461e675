"""What a run notes for the feedback: the first thing that went wrong, as far as the model may know of it."""

import re

from raccoon.records import Program
from raccoon.test_texts import test_programs as tests
from raccoon.test_texts.visible import Statement
from raccoon.verdicts import feedback as form
from raccoon.verdicts.children import NO_ANSWER, Child, failure_reason
from raccoon.verdicts.judge_heap import OURS

PLACE_IN_MESSAGE = re.compile(r" \([^()]*, line \d+\)$")  # of a SyntaxError
RAISED_AS = {"memory": "memory", "forbidden": "forbidden"}  # by the kind in a verdict's reason
BUILTIN = re.compile(r"\w+")

Fault = list  # [a kind of feedback.SENTENCES, parts]; the kind is "" if the end of the child decides it


class Noted:
    """The notes of one run. `visible`: the visible statements; None: there are none, so only execution counts.

    If the test is the visible test as a whole, then everything that it does may be told.
    """

    def __init__(self, program: Program, child: Child, visible: tuple[Statement, ...] | None):
        self.program, self.child, self.visible = program, child, visible
        self.whole = program.test == program.visible_tests
        self.fault: Fault = []

    def place(self, line: int) -> list[tuple[str, str]] | None:
        """The parts that name a line of the test; None if nothing may be told of what happens there."""
        for each in self.visible or ():
            if each.first <= line <= each.last:
                return [("test:", each.text)]
        return [] if self.whole or self.visible is None else None

    def failed(self, error: BaseException, line: int) -> None:
        """Notes an exception that the test did not expect: a failed assertion, or what a call of the code raised."""
        place, raised = self.place(line), getattr(error, "verdict_place", None)
        if self.fault or place is None or not raised and self.visible is None:
            return
        self.child.silent = True
        try:
            self.fault = self.raised(error, place, *raised) if raised else self.wrong(place, line)
        finally:
            self.child.silent = False

    def raised(self, error: BaseException, place: list, kind: str, own: list) -> Fault:
        """The fault of a call that raised. `kind` is its nearest builtin class, `own` holds the line of the code."""
        text = getattr(error, "verdict_text", "")
        if text == f"NameError: the code does not define {self.program.entry_point!r}":
            return ["missing", [*place, ("raised:", text)]]
        shown = ("raised:", kind if self.visible is None else text)
        name = RAISED_AS.get(getattr(error, "verdict_kind", ""), "raised")
        return [name, [*place, shown, *form.own_line(self.program.code, *own)]]

    def wrong(self, place: list, line: int) -> Fault:
        expected = [("expected:", each.expected) for each in self.visible or () if each.first <= line <= each.last]
        got = [("got:", form.shown_value(value)) for value in self.child.returned]
        return ["wrong", [*place, *(part for part in expected[:1] if part[1]), *got]]

    def stopped(self, line: int) -> None:
        """Notes that the run ended at this line of the test, before the test's own end."""
        place = [] if self.loading else self.place(line)
        if self.fault or place is None:
            return
        self.fault = ["", place]
        if self.child.load_failure:
            self.fault = load_fault(self.child.load_failure, self.program.code)

    @property
    def loading(self) -> bool:
        """Whether the code's top level has begun and has not ended well."""
        return self.child.loaded and not self.child.ready

    def beside_code(self, kind: str, text: str) -> None:
        """Notes the first failure of a test that ran in the code's process, which may have said anything."""
        if kind != "wrong" and not self.fault:
            self.fault = [RAISED_AS.get(kind, "raised"), [("raised:", form.builtin_class(BUILTIN.findall(text)[:1]))]]


def load_fault(reply: list, code: str) -> Fault:
    """The fault of code that does not parse, or whose top level raises, from the reply of the child."""
    kind, _, text = failure_reason(reply).partition(": ")
    text = PLACE_IN_MESSAGE.sub("", text) if kind == "syntax" else text
    return ["load" if kind == "exception" else kind, [("raised:", text), *form.own_line(code, *reply[5:])]]


class CaseNotes:
    """The notes of a whole program: the first fault in a visible case; without visible cases, in its execution.

    `left`: the visible cases that have not run yet.
    """

    def __init__(self, program: Program, visible: set[tuple[bytes, bytes]]):
        self.program, self.visible, self.left = program, visible, visible.copy()
        self.fault: Fault = []

    def failed(self, reason: str, failure: list, given: bytes, expected: bytes, printed: bytes) -> None:
        """Notes a case that failed for a reason of a verdict. `failure`: the child's reply about an exception."""
        kind, told = reason.partition(": ")[0], (given, expected) in self.visible
        if self.fault or kind == "infra" or not told and (self.visible or kind == "wrong") and kind != "syntax":
            return
        parts = [("test:", form.shown_text(given))] if told else []
        if kind == "syntax":
            self.fault = load_fault(failure, self.program.code)
        elif failure:
            text = reason.partition(": ")[2] if told else form.builtin_class(failure[2])
            own = form.own_line(self.program.code, *failure[5:])
            self.fault = [RAISED_AS.get(kind, "raised"), [*parts, ("raised:", text), *own]]
        elif kind == "wrong":
            texts = ("expected:", form.shown_text(expected)), ("output:", form.shown_text(printed))
            self.fault = ["wrong", [*parts, *texts]]
        else:
            ended = "unanswered" if reason == NO_ANSWER or reason.startswith("exception: it printed") else "ended"
            self.fault = [ended if kind == "exception" else kind, parts]


class Watch(tests.Tally):
    """A tally that notes each failed assertion."""

    noted: Noted

    def __enter__(self):
        self.noted.child.returned = []
        return self

    def __exit__(self, kind, error, trace) -> bool:
        goes_on = super().__exit__(kind, error, trace)
        if kind is not None and not isinstance(error, OURS):
            self.noted.failed(error, trace.tb_lineno)
        return goes_on
