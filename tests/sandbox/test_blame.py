"""Whose fault a lost process is: the code's, unless a good program is lost too. No code chooses to go unscored."""

import json
import socket

import pytest

from raccoon.records import Program
from raccoon.sandbox import pool
from raccoon.sandbox.pool import Sandbox

CASES = json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]})
BESIDE = "from unittest import mock\n"  # a test with this line runs beside the code
TESTS = {"function": "assert f(1) == 2", "shared": BESIDE + "assert f(1) == 2", "program": CASES}
FATAL = [
    "os.kill(os.getpid(), 40)",
    "os.kill(os.getpid(), 63)",
    "os.killpg(os.getpgrp(), 40)",
    "os.kill(0, 50)",
    "os.kill(-1, 40)",
    "os.killpg(0, 2)",
    "os.kill(1, 2)",
    "signal.raise_signal(35)",
    "os.abort()",
    "signal.pthread_kill(threading.get_ident(), 64)",
    "signal.raise_signal(9)",
    "signal.setitimer(1, 0.01); sum(range(10**9))",
]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as one:
        yield one


def program(form: str, line: str, **fields) -> Program:
    """A program of one form that runs the line and then gives no answer."""
    source = f"import os, signal, sys, threading\n{line}\n"
    if form != "program":
        source = f"import os, signal, sys, threading\ndef f(x):\n    {line}\n"
    return Program(
        source,
        TESTS[form],
        "" if form == "program" else "f",
        kind="program" if form == "program" else "function",
        **fields,
    )


@pytest.mark.parametrize("line", FATAL)
@pytest.mark.parametrize("form", TESTS)
def test_no_signal_to_itself_is_infra(sandbox, form, line):
    verdict = sandbox.run([program(form, line)])[0]
    assert verdict.status in ("FAIL", "PARTIAL"), verdict
    assert sandbox.run([Program("def f(x): return x + 1", TESTS["shared"], "f")])[0].status == "PASS"


# Tests that end their judge with some code only. Such a test stands for every way that code may find to do so.
END = "exec('import os; os._exit(9)')"
DEADLY = f"if f(1) != 2:\n    {END}\nassert f(2) == 3"
GOOD, BAD = "def f(x): return x + 1", "def f(x): return x"


def deadly(test: str, code: str, solution: str = "") -> Program:
    return Program(code, test, "f", solution=solution)


@pytest.mark.parametrize("solution", [GOOD, ""])
def test_code_that_ends_the_judge_fails(sandbox, solution):
    good, bad = sandbox.run([deadly(DEADLY, GOOD, solution), deadly(DEADLY, BAD, solution)])
    assert good.status == "PASS", good
    assert (bad.status, bad.kind) == ("FAIL", "exception"), bad


def test_test_that_ends_every_judge_is_our_fault(sandbox):
    test = f"f(1)\n{END}"
    both = sandbox.run([deadly(test, GOOD, GOOD), deadly(test, BAD, GOOD)])
    assert [verdict.status for verdict in both] == ["INFRA", "INFRA"], both


NONSENSE = [b"{", b"[]", b"null", b"7", b"{}", b'"PASS"', b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b"x" * (2 << 20)]
WRONG = {
    "status": ["OK", 1, None, ["PASS"]],
    "reason": [None, 1],
    "tests_passed": [-1, 1.0, True, "1", 10**6],
    "tests_total": [None, {}, float("nan")],
    "seconds": ["1", None],
    "isolation": ["", "both", None],
    "output": [None, []],
    "number": ["", None, 0],
}
ANSWER = {
    "status": "PASS",
    "reason": "pass",
    "tests_passed": 1,
    "tests_total": 1,
    "seconds": 0.1,
    "isolation": "separate",
    "output": "",
    "number": "n",
}


def test_answer_that_is_none_is_a_lost_process():
    assert pool.checked_answer(json.dumps(ANSWER).encode(), "n")["status"] == "PASS"
    wrong = [json.dumps(ANSWER | {name: value}).encode() for name, values in WRONG.items() for value in values]
    missing = [json.dumps({name: ANSWER[name] for name in ANSWER if name != other}).encode() for other in ANSWER]
    for data in NONSENSE + wrong + missing:
        with pytest.raises(ConnectionError):
            pool.checked_answer(data, "n")


@pytest.mark.parametrize("data", [*NONSENSE, json.dumps(ANSWER).encode()], ids=range(11))
def test_nonsense_costs_a_new_judge_and_no_verdict(sandbox, data, monkeypatch):
    """A judge whose first answer is replaced is asked no second time."""
    received, left = pool.receive, [data]

    def first_replaced(channel: socket.socket) -> bytes:
        answer = received(channel)
        return left.pop() if left and answer else answer

    sandbox.run([deadly("assert f(1) == 2", GOOD)])  # so that the judge runs
    before = sandbox._pools[False].workers[0].starts
    monkeypatch.setattr(pool, "receive", first_replaced)
    verdicts = sandbox.run([deadly("assert f(1) == 2", GOOD), deadly("assert f(1) == 2", BAD)])
    assert [verdict.status for verdict in verdicts] == ["PASS", "PARTIAL"], verdicts
    assert sandbox._pools[False].workers[0].starts == before + 1


def test_answer_written_by_a_test_is_not_that_of_the_next_program(sandbox):
    """A hostile test may write to its judge's channel; it decides its own verdict only."""
    forged = json.dumps(ANSWER).encode()
    frame = len(forged).to_bytes(4, "little") + forged
    write = f"    try: os.write(n, {frame!r})\n    except OSError: pass\n"
    test = f"import os\nf(1)\nfor n in range(3, 30):\n{write}assert f(1) == 2"
    verdicts = sandbox.run([deadly(test, BAD)] + [deadly("assert f(1) == 2", BAD)] * 3)
    assert [verdict.status for verdict in verdicts[1:]] == ["PARTIAL"] * 3, verdicts
