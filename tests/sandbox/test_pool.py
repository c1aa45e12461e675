"""The sandbox through its doors: Sandbox, safe_execute and the command. Attacks are in test_attacks.py."""

import concurrent.futures
import contextlib
import gzip
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from helpers.paths import SCRIPTS
from raccoon.published import benchmarks
from raccoon.records import KINDS, Program, Verdict
from raccoon.sandbox.pool import WINDOW, Sandbox, SandboxError, WorkerPool, safe_execute
from raccoon.tasks.task import stub_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

COMMAND = [sys.executable, str(SCRIPTS / "sandbox.py")]
ROOM = "/raccoon/sandbox/"  # judges and zygotes are started from files there
RIGHT = Program("def f(x):\n    return x + 1\n", "assert f(1) == 2\n", "f", task_id="right")
SLOW = Program("import time\n\ndef f(x):\n    time.sleep(0.1)\n    return x\n", "assert f(1) == 1\n", "f")
BESIDE = "from unittest import mock\n"  # a test with this line runs beside the code
SHARED = Program("def f(x):\n    return x + 1\n", BESIDE + "assert f(1) == 2\n", "f")
CALL = "assert f(1) == 1"
SHARED_CALL = BESIDE + CALL
ENDLESS = "def f(x):\n    while True:\n        pass\n"
PATIENCE = 30.0  # seconds in which ended processes must be gone and their folders removed


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as one:
        yield one


@pytest.fixture
def own_tmp(tmp_path, monkeypatch) -> Path:
    """A folder for temporary files that only this test uses: the processes of its sandboxes name it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def judged(sandbox: Sandbox, code: str, test: str, entry_point: str = "f", **fields) -> Verdict:
    """The verdict of one program."""
    return sandbox.submit(Program(code, test, entry_point, **fields)).result()


def outcome(verdict: Verdict) -> tuple:
    """All of a verdict but its seconds."""
    return tuple(verdict.as_dict()[name] for name in sorted(set(verdict.as_dict()) - {"seconds"}))


# id: code, test, status, how the reason begins, tests passed, of total
VERDICTS = {
    "right": ("def f(x): return x + 1", "assert f(1) == 2\nassert f(2) == 3", "PASS", "pass", 2, 2),
    "no_assert": ("def f(x): return x", "if f(1) != 1:\n    raise ValueError", "PASS", "pass", 1, 1),
    "a_third_wrong": (
        "def f(x): return 2",
        "assert f(1) == 3\nassert f(2) == 2\nassert f(3) == 2",
        "PARTIAL",
        "wrong: AssertionError (test line 1)",
        2,
        3,
    ),
    "all_wrong": (
        "def f(x): return 2",
        "assert f(1) == 3\nassert f(2) == 4",
        "PARTIAL",
        "wrong: AssertionError (test line 1)",
        0,
        2,
    ),
    "message_of_the_assert": (
        "def f(x): return 2",
        "\nassert f(1) == 3, 'no\\nthree'",
        "PARTIAL",
        "wrong: AssertionError: no three (test line 2)",
        0,
        1,
    ),
    "wrong_before_exception": (
        "def f(x): return 1 // x",
        "assert f(1) == 7\nassert f(0) == 1",
        "PARTIAL",
        "wrong: ",
        0,
        2,
    ),
    "exception_before_wrong": (
        "def f(x): return 1 // x",
        "assert f(0) == 1\nassert f(1) == 7\nassert f(1) == 1",
        "FAIL",
        "exception: ZeroDivisionError: integer division or modulo by zero (test line 1)",
        1,
        3,
    ),
    "own_assertion_of_the_code": (
        "def f(x): assert x > 5",
        CALL,
        "FAIL",
        "exception: AssertionError (test line 1)",
        0,
        1,
    ),
    "exception_at_top_level": (
        "import nosuchmodule",
        "assert f(1) == 1\nassert f(2) == 2",
        "FAIL",
        "exception: ModuleNotFoundError: No module named 'nosuchmodule'",
        0,
        2,
    ),
    "exception_outside_of_asserts": (
        "def f(x): return [][x]",
        "x = f(1)\nassert x == 1",
        "FAIL",
        "exception: IndexError: list index out of range (test line 1)",
        0,
        1,
    ),
    "test_raises_over_a_result": (
        "def f(x): return {}",
        "assert f(1)['key'] == 1",
        "FAIL",
        "exception: KeyError: 'key'",
        0,
        1,
    ),
    "recursion": ("def f(x): return f(x + 1)", CALL, "FAIL", "exception: RecursionError: ", 0, 1),
    "missing": (
        "def g(x): return 1",
        CALL,
        "FAIL",
        "exception: NameError: the code does not define 'f' (test line 1)",
        0,
        1,
    ),
    "only_a_comment": (
        "# nothing",
        CALL,
        "FAIL",
        "exception: NameError: the code does not define 'f' (test line 1)",
        0,
        1,
    ),
    "not_callable": (
        "f = 3",
        CALL,
        "FAIL",
        "exception: TypeError: 'f' is not a function but of type int (test line 1)",
        0,
        1,
    ),
    "wrong_signature": ("def f(): return 1", CALL, "FAIL", "exception: TypeError: f() takes 0 positional", 0, 1),
    "syntax": (
        "def f(x) return x",
        "assert f(1) == 1\nassert f(2) == 2",
        "FAIL",
        "syntax: SyntaxError: expected ':' (solution.py, line 1)",
        0,
        2,
    ),
    "indentation": ("def f(x):\nreturn x", CALL, "FAIL", "syntax: IndentationError: ", 0, 1),
    "no_code": ("", CALL, "FAIL", "no code: there is no Python code to run", 0, 0),
    "blank_code": (" \n\t\n", CALL, "FAIL", "no code: there is no Python code to run", 0, 0),
    "memory": ("def f(x): return len(bytearray(4 << 30))", CALL, "FAIL", "memory: MemoryError", 0, 1),
    "process": ("import os\ndef f(x): return os.fork()", CALL, "FAIL", "forbidden: PermissionError: ", 0, 1),
    "network": (
        "import socket\ndef f(x): return socket.socket()",
        "assert f(1)",
        "FAIL",
        "forbidden: PermissionError: ",
        0,
        1,
    ),
    "exit": (
        "import os\ndef f(x): os._exit(0)",
        CALL,
        "FAIL",
        "exception: the code ended its process with exit code 0 before its tests were over",
        0,
        1,
    ),
    "exit_after_a_passed_assert": (
        "import os\ndef f(x): return x if x == 1 else os._exit(0)",
        "assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3",
        "FAIL",
        "exception: the code ended its process with exit code 0 before its tests were over",
        1,
        3,
    ),
    "system_exit": ("import sys\ndef f(x): sys.exit(0)", CALL, "FAIL", "exception: SystemExit: 0 (test line 1)", 0, 1),
    "keyboard_interrupt": ("def f(x): raise KeyboardInterrupt", CALL, "FAIL", "exception: KeyboardInterrupt", 0, 1),
    "signal": (
        "import ctypes\ndef f(x): ctypes.string_at(0)",
        CALL,
        "FAIL",
        "exception: the code's process died of SIGSEGV",
        0,
        1,
    ),
    "null_byte": ("def f(x): return 1\0", CALL, "FAIL", "syntax: SyntaxError: ", 0, 1),
    "surrogate": ("def f(x): return '\ud800'", "assert f(1)", "FAIL", "syntax: UnicodeEncodeError: ", 0, 1),
    "escaped_surrogate": (
        r"def f(x): return x + 'a\ud800'",
        r"assert f('\udfff') == '\udfffa\ud800'",
        "PASS",
        "pass",
        1,
        1,
    ),
    "deep_parentheses": (f"def f(x): return {'(' * 5000}1{')' * 5000}", CALL, "FAIL", "syntax: ", 0, 1),
    "deep_operators": (f"def f(x): return {'-' * 100_000}1", "assert f(1)", "FAIL", "syntax: ", 0, 1),
    "two_megabytes": (
        "#" * (2 << 20) + "\ndef f(x): return 1",
        CALL,
        "FAIL",
        "forbidden: 2,097,171 characters of code, limit 1,048,576",
        0,
        0,
    ),
    "nearly_a_megabyte": ("#" * 1_048_000 + "\ndef f(x): return 1", CALL, "PASS", "pass", 1, 1),
    "two_megabytes_of_test": ("def f(x): return 1", "#" * (2 << 20) + "\nassert f(1) == 1", "PASS", "pass", 1, 1),
}


@pytest.mark.parametrize("name", list(VERDICTS))
def test_verdict(sandbox, name):
    code, test, status, reason, passed, total = VERDICTS[name]
    verdict = judged(sandbox, code, test)
    assert (verdict.status, verdict.isolation) == (status, "separate"), verdict
    assert verdict.reason.startswith(reason), verdict
    assert verdict.kind in KINDS and "\n" not in verdict.reason
    assert (verdict.tests_passed, verdict.tests_total) == (passed, total), verdict
    assert verdict.seconds >= 0


@pytest.mark.parametrize("code", [ENDLESS, "while True:\n    pass\n"], ids=["call", "load"])
def test_cpu_time_decides(sandbox, code):
    verdict = judged(sandbox, code, CALL, timeout=1.0)
    assert (verdict.status, verdict.kind, verdict.tests_total) == ("FAIL", "timeout", 1), verdict


def test_wall_time_stops_a_sleeper(sandbox):
    verdict = judged(sandbox, "import time\n\ndef f(x):\n    time.sleep(600)\n", CALL, timeout=0.5)
    assert (verdict.status, verdict.reason) == ("FAIL", "timeout: no result in 4 s"), verdict


def test_assertions_that_passed_before_a_timeout_count(sandbox):
    code = "def f(x):\n    while x > 1:\n        pass\n    return x\n"
    verdict = judged(sandbox, code, "assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3", timeout=1.0)
    assert (verdict.kind, verdict.tests_passed, verdict.tests_total) == ("timeout", 1, 3), verdict


LOSSES = {
    "exit at load": "os._exit(97)",
    "exit": "def f(x): os._exit(97)",
    "signal": "def f(x): os.kill(os.getpid(), signal.SIGKILL)",
    "limit": "def f(x):\n    resource.setrlimit(resource.RLIMIT_CPU, (0, 0))\n    while True: pass",
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("test", [CALL, SHARED_CALL], ids=["separate", "shared"])
def test_code_cannot_choose_infra(sandbox, name, test):
    assert judged(sandbox, f"import os, resource, signal\n{LOSSES[name]}", test, timeout=1.0).status == "FAIL"


def test_code_may_raise_its_stack_limit(sandbox):
    """As many a contest solution does before it recurses deeply."""
    code = (
        "import resource, sys, threading\n"
        "resource.setrlimit(resource.RLIMIT_STACK, (resource.getrlimit(resource.RLIMIT_STACK)[1],) * 2)\n"
        "sys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 26)\ndef f(x): return x\n"
    )
    assert judged(sandbox, code, CALL).status == "PASS"


# id: test, context, what the reason says
BROKEN_TESTS = {
    "syntax": ("assert f(1 == 1", "", "does not compile"),
    "null_byte": ("assert f(1) == 1\0", "", "does not compile"),
    "surrogate": ("assert f('\ud800')", "", "does not compile"),
    "deep": (f"assert f(1) == {'(' * 5000}1{')' * 5000}", "", "does not compile"),
    "deep_operators": (f"assert f(1) == {'-' * 100_000}1", "", "does not compile"),
    "library": (f"import nosuchlib\n{CALL}", "", "needs nosuchlib"),
    "library_inside": ("def check(c):\n    import nosuchlib\n    assert c(1)\n\ncheck(f)", "", "nosuchlib"),
    "library_of_a_shared_test": (f"import nosuchlib\n{SHARED_CALL}", "", "needs nosuchlib"),
    "library_of_the_context": (CALL, "from nosuchlib.part import name", "needs nosuchlib"),
    "never_calls": ("assert True", "", "never calls the code"),
    "empty": ("", "", "never calls the code"),
    "exits": ("import sys\nsys.exit(0)", "", "Tests/7"),
    "context_raises": (CALL, "raise ValueError('no')", "ValueError: no"),
    "context_syntax": (CALL, "def (", "does not compile"),
}


@pytest.mark.parametrize("name", list(BROKEN_TESTS))
def test_broken_test_is_our_own_fault_and_names_the_task(sandbox, name):
    test, context, reason = BROKEN_TESTS[name]
    verdict = judged(sandbox, "def f(x): return 1", test, context=context, task_id="Tests/7")
    assert (verdict.status, verdict.kind) == ("INFRA", "infra"), verdict
    assert reason in verdict.reason and "Tests/7" in verdict.reason, verdict


def test_exception_that_the_test_expects(sandbox):
    test = "try:\n    f(-1)\n    assert False\nexcept ValueError as error:\n    assert str(error) == 'low'"
    assert judged(sandbox, "def f(x): raise ValueError('low')", test).status == "PASS"
    wrong = judged(sandbox, "def f(x): raise TypeError('low')", test)
    assert (wrong.status, wrong.kind) == ("FAIL", "exception"), wrong
    silent = judged(sandbox, "def f(x): return None", test)
    assert (silent.status, silent.kind) == ("PARTIAL", "wrong"), silent


def test_several_functions_of_the_code(sandbox):
    code = "LIMIT = 3\ndef g(x): return min(x, LIMIT)\ndef f(x): return g(x) + 1"
    assert judged(sandbox, code, "assert f(9) == 4\nassert g(2) == 2\nassert LIMIT == 3").status == "PASS"


def test_names_of_the_test_do_not_reach_the_code(sandbox):
    code = "def helper(): return 'code'\ndef f(): return helper()"
    test = "def helper(): return 'test'\nassert f() == 'code'\nassert helper() == 'test'"
    assert judged(sandbox, code, test).status == "PASS"


ORACLE = "def double(x):\n    return 2 * x\n"


def test_context_is_there_for_the_code(sandbox):
    verdict = judged(sandbox, "def f(x): return double(x) + 1", "assert f(3) == 7", context=ORACLE)
    assert verdict.status == "PASS", verdict


def test_oracle_of_the_test_comes_from_the_context(sandbox):
    forged = "def double(x): return 5\ndef f(x): return 5"
    test = "assert f(3) == double(3)"
    assert judged(sandbox, forged, test, context=ORACLE).status == "PARTIAL"
    assert judged(sandbox, "def f(x): return x + x", test, context=ORACLE).status == "PASS"


@pytest.mark.parametrize("number", [32, 33, 38, 50])
def test_oracles_of_humaneval(sandbox, data_dir, number):
    """The tests of these four call find_zero's polynomial, the entry point itself and two encoders."""
    task = benchmarks.load_benchmark("humaneval", data_dir)[number]
    fields = {"test": task.test, "entry_point": task.entry_point, "context": task.context}
    gold = judged(sandbox, task.solution, **fields)
    assert (gold.status, gold.isolation) == ("PASS", "separate"), gold
    helper = {32: "poly", 33: "", 38: "encode_cyclic", 50: "encode_shift"}[number]
    forged = f"def {helper or 'other'}(*_): return 0\n\ndef {task.entry_point}(*_): return 0\n"
    assert judged(sandbox, forged, **fields).status in ("PARTIAL", "FAIL")


# id: code, test, status
MUTATIONS = {
    "emptied_argument_is_no_sorted_one": (
        "def f(n):\n    n.clear()\n    return n",
        "n = [3, 1]\nassert f(n) == sorted(n)",
        "PARTIAL",
    ),
    "argument_must_be_left_alone": (
        "def f(n):\n    return [n.pop()]",
        "n = [3, 1]\nassert f(n) == [1]\nassert n == [3, 1]",
        "PARTIAL",
    ),
    "statement": ("def f(n): n.sort()", "n = [3, 1]\nf(n)\nassert n == [1, 3]", "PASS"),
    "statement_wrong": ("def f(n): return sorted(n)", "n = [3, 1]\nf(n)\nassert n == [1, 3]", "PARTIAL"),
    "statement_in_check": (
        "def f(n): n.sort()",
        "def check(candidate):\n    n = [3, 1]\n    candidate(n)\n    assert n == [1, 3]\ncheck(f)",
        "PASS",
    ),
    "returns_none": ("def f(n): n.sort()", "n = [3, 1]\nassert f(n) is None\nassert n == [1, 3]", "PASS"),
    "equals_none": ("def f(n): n.sort()", "n = [3, 1]\nassert f(n) == None\nassert n == [1, 3]", "PASS"),
    "nested": ("def f(n): n[0][0] = 9", "n = [[3], [1]]\nf(n)\nassert n == [[9], [1]]", "PASS"),
    "keyword": ("def f(n): n.append(1)", "n = []\nf(n=n)\nassert n == [1]", "PASS"),
    "second_argument": ("def f(m, n): n.extend(m)", "n = []\nf([1], n)\nassert n == [1]", "PASS"),
    "dict": ("def f(n): n.pop('a')", "n = {'a': 1, 'b': 2}\nf(n)\nassert n == {'b': 2}", "PASS"),
    "set": ("def f(n): n.add(2)", "n = {1}\nf(n)\nassert n == {1, 2}", "PASS"),
    "bytearray": ("def f(n): n.reverse()", "n = bytearray(b'ab')\nf(n)\nassert n == b'ba'", "PASS"),
    "deque": (
        "def f(n): n.rotate(1)",
        "from collections import deque\nn = deque([1, 2])\nf(n)\nassert n == deque([2, 1])",
        "PASS",
    ),
}


@pytest.mark.parametrize("name", list(MUTATIONS))
def test_arguments_change_as_in_one_process(sandbox, name):
    code, test, status = MUTATIONS[name]
    verdict = judged(sandbox, code, test)
    assert (verdict.status, verdict.isolation) == (status, "separate"), verdict


UNITTEST = """import unittest

class Cases(unittest.TestCase):
    def test_one(self):
        self.assertEqual(f(1), 1)

    def test_two(self):
        self.assertEqual(f(2), 2)
"""
PATCHED = "with {}('os.getcwd', return_value='there'):\n    assert f() == 'there'\n"
GETCWD = "import os\n\ndef f():\n    return os.getcwd()\n"

PAIR = """class Pair:
    def __init__(self, a):
        self.a = a

    def __eq__(self, other):
        return self.a == other.a

    def __hash__(self):
        return self.a
"""

# id: code, test: right solutions whose tests need what neither values nor objects can serve
SHARED_TESTS = {
    "unittest": ("def f(x): return x", UNITTEST),
    "objects_compared": (PAIR, "assert Pair(3) == Pair(3)"),
    "object_in_a_set": (PAIR, "assert len({Pair(3), Pair(3)}) == 1"),
    "patch": (GETCWD, "from unittest.mock import patch\n" + PATCHED.format("patch")),
    "mock_patch": (GETCWD, "from unittest import mock\n" + PATCHED.format("mock.patch")),
    "unittest_mock_patch": (GETCWD, "import unittest.mock\n" + PATCHED.format("unittest.mock.patch")),
    "mock_without_assert": ("def f(g): g(2)", BESIDE + "m = mock.Mock()\nf(m)\nm.assert_called_once_with(2)"),
}


@pytest.mark.parametrize("name", list(SHARED_TESTS))
def test_what_plain_data_cannot_carry_runs_beside_the_code(sandbox, name):
    code, test = SHARED_TESTS[name]
    verdict = judged(sandbox, code, test)
    assert (verdict.status, verdict.isolation) == ("PASS", "shared"), verdict


# code, test, status, kind, passed, total
SHARED_VERDICTS = {
    "half": ("def f(x): return 1", UNITTEST, "PARTIAL", "wrong", 1, 2),
    "first_wrong": ("def f(x): return x", BESIDE + "assert f(1) == 2\nassert f(1) == 1", "PARTIAL", "wrong", 1, 2),
    "exception": ("def f(g): return 1 // 0", SHARED_CALL, "FAIL", "exception", 0, 1),
    "syntax": ("def f(g) 1", SHARED_CALL, "FAIL", "syntax", 0, 1),
    "missing": ("def g(g): return 1", SHARED_CALL, "FAIL", "exception", 0, 1),
    "exit": ("import os\ndef f(g): os._exit(0)", SHARED_CALL, "FAIL", "exception", 0, 1),
}


@pytest.mark.parametrize("name", list(SHARED_VERDICTS))
def test_verdict_beside_the_code(sandbox, name):
    code, test, *expected = SHARED_VERDICTS[name]
    verdict = judged(sandbox, code, test)
    assert [verdict.status, verdict.kind, verdict.tests_passed, verdict.tests_total] == expected, verdict
    assert verdict.isolation == "shared"


def test_shared_test_sees_the_context(sandbox):
    verdict = judged(sandbox, "def f(x): return x + K", BESIDE + "assert f(1) == K + 1", context="K = 4")
    assert (verdict.status, verdict.isolation) == ("PASS", "shared"), verdict


# Code that would gladly have its test beside it: a test that does not ask for it never gets there.
BAITS = {
    "object_returned": ("class A: pass\ndef f(x): return A()", CALL),
    "object_handed_back": ("class A: pass\ndef f(x): return A()", "assert f(f(1)) == 1"),
    "object_kept_and_given": ("class A: pass\ndef f(x): return A()", "y = f(1)\ny = f(y)\nassert y == 1"),
    "function_handed_back": ("def f(x): return f", "y = f(1)\nassert f(y) == 1"),
    "deep_value_handed_back": (
        "def f(x):\n    for _ in range(98):\n        x = [x]\n    return x",
        "assert f([f(1)]) == 1",
    ),
    "test_case_of_its_own": (
        "import unittest\nclass T(unittest.TestCase):\n    def test(self): pass\ndef f(x): return 0",
        CALL,
    ),
    "mock_of_its_own": ("from unittest import mock\ndef f(x): return mock.ANY", CALL),
    "word_of_the_protocol": ("import sys\ndef f(x): sys.exit('shared')", "for i in range(3):\n    assert f(i) == i"),
}


@pytest.mark.parametrize("name", list(BAITS))
def test_code_never_chooses_to_be_tested_beside_its_test(sandbox, name):
    verdict = judged(sandbox, *BAITS[name])
    assert verdict.status in ("PARTIAL", "FAIL") and verdict.isolation == "separate", verdict


# The same assertions, on literals and on computed values.
PLANNED = "assert f(0) == 0\nassert f(1) == 1\nassert f(2) == 4\n"
ONE_BY_ONE = [
    "for x in range(3):\n    assert f(x) == x * x\n",
    "assert f(int('0')) == 0\nassert f(len('a')) == 1\nassert f(sum([1, 1])) == 4\n",
    "assert f(0) == 0\nassert f(len('a')) == 1\nassert f(2) == 4\n",
]
EITHER_WAY = {
    "right": "def f(x): return x * x",
    "wrong_at_the_end": "def f(x): return x",
    "exception_at_the_end": "def f(x): return [0, 1][x]",
    "exit_at_the_end": "import os\ndef f(x): return x if x < 2 else os._exit(0)",
    "remembers": "seen = []\ndef f(x):\n    seen.append(x)\n    return x * x if len(seen) < 3 else -1",
    "talks": "def f(x):\n    print(x)\n    return x * x",
    "missing": "def g(x): return x",
}


@pytest.mark.parametrize("code", list(EITHER_WAY))
def test_literal_and_computed_arguments_agree(sandbox, code):
    planned = judged(sandbox, EITHER_WAY[code], PLANNED)
    for test in ONE_BY_ONE:
        single = judged(sandbox, EITHER_WAY[code], test)
        assert (single.status, single.kind) == (planned.status, planned.kind), (planned, single)
        assert (single.tests_passed, single.output) == (planned.tests_passed, planned.output), test


def test_calls_of_a_plan_that_the_test_skips_leave_no_trace(sandbox):
    code = "seen = []\ndef f(x):\n    print(x)\n    seen.append(x)\n    return len(seen)"
    verdict = judged(sandbox, code, "assert True or f(1)\nassert f(2) == 1\nassert f(3) == 2")
    assert (verdict.status, verdict.tests_passed, verdict.output) == ("PASS", 3, "2\n3\n"), verdict


def test_tail_of_the_output_is_kept(sandbox):
    code = "def f(n):\n    for i in range(n):\n        print('line', i)\n    return n"
    verdict = judged(sandbox, code, "assert f(200000) == 200000")
    assert verdict.status == "PASS"
    assert verdict.output.endswith("line 199998\nline 199999\n") and 1000 < len(verdict.output) <= 2000
    assert judged(sandbox, RIGHT.code, RIGHT.test).output == "", "the next program's output is its own"


def test_output_that_is_no_text(sandbox):
    code = "import os, sys\ndef f():\n    os.write(1, b'\\xffabc')\n    return print('err', file=sys.stderr)"
    verdict = judged(sandbox, code, "assert f() is None")
    assert verdict.status == "PASS" and "abc" in verdict.output and "err" in verdict.output


@pytest.mark.parametrize("how", ["sys.stdout.close()", "sys.stdout = None", "del sys.stdout"])
def test_code_without_stdout(sandbox, how):
    assert judged(sandbox, f"import sys\n{how}\ndef f(x): return x", CALL).status == "PASS"


def mixed_programs(count: int) -> tuple[list[Program], list[str]]:
    """Programs of four kinds in turn, and the statuses that they must get."""
    kinds = [
        ("def f(x): return x + {i}", "PASS"),
        ("def f(x): return x - {i} - 1", "PARTIAL"),
        ("def f(x): raise ValueError({i})", "FAIL"),
        ("import random\ndef f(x): print(random.random(), {{'a', 'b', '{i}'}}); return x + {i}", "PASS"),
    ]
    test = "assert f(0) == {i}\nassert f(1) == {i} + 1"
    numbered = [(i, *kinds[i % len(kinds)]) for i in range(count)]
    programs = [Program(code.format(i=i), test.format(i=i), "f", task_id=str(i)) for i, code, _ in numbered]
    return programs, [status for _, _, status in numbered]


def test_same_verdicts_again_and_beside_a_busy_process(sandbox):
    programs, statuses = mixed_programs(60)
    first = sandbox.run(programs)
    assert [verdict.status for verdict in first] == statuses
    assert list(map(outcome, sandbox.run(programs))) == list(map(outcome, first))
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        assert list(map(outcome, sandbox.run(programs))) == list(map(outcome, first))
    finally:
        spinning.kill()
        spinning.wait()


def test_stream_takes_programs_as_they_are_needed(sandbox):
    taken = itertools.count()
    stream = sandbox.stream(program for program in itertools.repeat(RIGHT) if next(taken) >= 0)
    assert next(taken) == 0
    for verdict in itertools.islice(stream, 3):
        assert verdict.status == "PASS"
    assert next(taken) <= WINDOW + 5
    stream.close()


def test_stream_keeps_the_order(sandbox):
    code = "import time\n\ndef f(x):\n    time.sleep(x)\n    return x\n"
    programs = [Program(code, f"assert f({(9 - i) / 50}) < 0, {i}", "f") for i in range(9)]
    reasons = [verdict.reason for verdict in sandbox.stream(programs)]
    assert reasons == [f"wrong: AssertionError: {i} (test line 1)" for i in range(9)]


def test_threads_share_a_sandbox(sandbox):
    programs, statuses = mixed_programs(15)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for verdicts in threads.map(sandbox.run, [programs] * 4):
            assert [verdict.status for verdict in verdicts] == statuses


def test_two_sandboxes_at_once(sandbox):
    with Sandbox(workers=1, timeout=1) as other:
        futures = [box.submit(RIGHT) for box in (sandbox, other) * 5]
        assert {future.result().status for future in futures} == {"PASS"}
    assert sandbox.submit(RIGHT).result().status == "PASS", "closing one ends the other"


def test_safe_execute_is_one_verdict():
    verdict = safe_execute("def f(x): return double(x)", "assert f(1) == 2", "f", ORACLE, timeout=2)
    assert (verdict.status, verdict.tests_passed, verdict.tests_total) == ("PASS", 1, 1), verdict


def test_limits_of_a_sandbox_are_those_it_was_made_with(own_tmp):
    with Sandbox(workers=1, timeout=1, memory_mb=128, preload=("sqlite3",)) as small:
        assert judged(small, ENDLESS, CALL).kind == "timeout"
        assert judged(small, "def f(n): return len(bytearray(n))", "assert f(200 << 20)").kind == "memory"
        code = "import sys\nloaded = 'sqlite3' in sys.modules\ndef f(): return loaded"
        assert judged(small, code, "assert f()").status == "PASS"


SENSELESS = [("workers", -1), ("timeout", 0), ("timeout", math.nan), ("memory_mb", 0)]


@pytest.mark.parametrize("setting, value", SENSELESS)
def test_senseless_setting_is_refused(own_tmp, setting, value):
    with pytest.raises(SandboxError, match=setting):
        Sandbox(**{"workers": 1} | {setting: value}).close()
    assert not os.listdir(own_tmp)


def test_missing_preload_is_named(own_tmp):
    with pytest.raises(SandboxError, match="nosuchmodule"):
        Sandbox(workers=1, preload=("nosuchmodule",))
    assert not os.listdir(own_tmp) and eventually(lambda: not family(own_tmp))


def lines(*records: dict | bytes) -> bytes:
    """JSON lines; bytes are taken as they are."""
    return b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in records)


def command(text: bytes, *flags: str, **options) -> subprocess.CompletedProcess:
    """A run of the command on `text`."""
    words = [*COMMAND, "--workers", "2", *flags]
    return subprocess.run(words, input=text, capture_output=True, timeout=120, **options)


def statuses_of(done: subprocess.CompletedProcess) -> list[str]:
    """The statuses that the command has printed."""
    return [json.loads(line)["status"] for line in done.stdout.splitlines()]


def record(code: str, **fields) -> dict:
    """One input line that calls f(1) and wants 2."""
    return {"code": code, "test": "assert f(1) == 2", "entry_point": "f", **fields}


FIELDS = {"task_id", "status", "reason", "tests_passed", "tests_total", "seconds", "isolation", "output"}


def test_command_gives_one_verdict_a_line_in_order():
    ids = ["a", 7, None, ["x", 1], "\u00e9", {"k": 1}]
    codes = [f"def f(x): return x + {i % 2}" for i in range(len(ids))]
    records = [record(code, task_id=name, extra=[1]) for code, name in zip(codes, ids, strict=True)]
    done = command(lines(*records, b"\n", {"code": RIGHT.code, "test": RIGHT.test}))
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [verdict["task_id"] for verdict in verdicts] == [*ids, ""]
    assert [verdict["status"] for verdict in verdicts] == ["PARTIAL", "PASS"] * 3 + ["PASS"]
    assert all(set(verdict) == FIELDS for verdict in verdicts)


MALFORMED = {
    "no_json": b"{not json\n",
    "no_object": b"[1, 2]\n",
    "no_code": lines({"test": "assert f(1) == 2"}),
    "no_test": lines({"code": "x = 1"}),
    "code_is_a_number": lines(record(5)),
    "entry_point_is_a_list": lines(record("x = 1", entry_point=["f"])),
    "timeout_is_text": lines(record("x = 1", timeout="5")),
    "timeout_is_zero": lines(record("x = 1", timeout=0)),
    "timeout_is_endless": b'{"code": "x", "test": "f()", "timeout": Infinity}\n',
    "timeout_is_no_number": b'{"code": "x", "test": "f()", "timeout": NaN}\n',
    "timeout_is_true": lines(record("x = 1", timeout=True)),
    "too_deep": b"[" * 100_000 + b"\n",
    "long_number": b'{"code": "x", "test": "f()", "timeout": 1' + b"0" * 5000 + b"}\n",
}


def test_malformed_lines_are_named_and_cost_only_themselves():
    text = b"".join(bad + lines(record(RIGHT.code, task_id=name)) for name, bad in MALFORMED.items())
    done = command(text)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1, done.stderr.decode()
    assert [verdict["status"] for verdict in verdicts] == ["INFRA", "PASS"] * len(MALFORMED)
    assert [verdict["task_id"] for verdict in verdicts[1::2]] == list(MALFORMED)
    named = [line for line in done.stderr.decode().splitlines() if "malformed line " in line and "INFRA" not in line]
    assert len(named) == len(MALFORMED)
    for place, line in enumerate(named):
        assert f"line {2 * place + 1}" in line and len(line) < 300, line


def test_line_that_is_no_utf8_costs_only_itself():
    text = b'{"code": "\xff"}\n' + lines(record(RIGHT.code))
    done = command(text, env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"})
    assert statuses_of(done) == ["INFRA", "PASS"], done.stderr.decode()
    assert done.returncode == 1 and b"line 1" in done.stderr


def test_broken_test_does_not_end_the_command():
    done = command(lines({"code": RIGHT.code, "test": "assert f("}, record(RIGHT.code)))
    assert statuses_of(done) == ["INFRA", "PASS"], done.stderr.decode()
    assert done.returncode == 0


BAD_FLAGS = "workers=few workers=-1 timeout=0 timeout=nan memory-mb=0 preload=nosuchmodule nosuchflag".split()


@pytest.mark.parametrize("flag", BAD_FLAGS)
def test_bad_flag_is_refused_in_a_line(flag, tmp_path):
    done = command(lines(record(RIGHT.code)), f"--{flag}", env=os.environ | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 2 and not done.stdout, done.stderr.decode()
    assert b"Traceback" not in done.stderr and not os.listdir(tmp_path)


def test_command_without_input():
    done = command(b"")
    assert (done.returncode, done.stdout) == (0, b"")


def family(mark: Path) -> dict[int, int]:
    """pid -> generation of the living processes of those sandboxes whose scratch folders lie in `mark`.

    Judges are generation 0, zygotes 1, in a pid namespace of its own a zygote's second process 2; children 3.
    """
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = Path("/proc", name, "cmdline").read_bytes().decode()
            state, parent, *_ = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            if state not in "ZX" and ROOM in words and str(mark) in words:
                parents[int(name)] = int(parent)

    def generation(pid: int) -> int:
        return 1 + generation(parents[pid]) if parents[pid] in parents else 0

    return {pid: generation(pid) for pid in parents}


def eventually(condition) -> bool:
    """Whether a condition becomes true within PATIENCE."""
    until = time.monotonic() + PATIENCE
    while not (met := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return bool(met)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def slow_programs(count: int) -> tuple[list[Program], list[str]]:
    """Programs that sleep a little, and the statuses that they must get."""
    programs, statuses = mixed_programs(count)
    return [Program("import time\ntime.sleep(0.05)\n" + p.code, p.test, "f") for p in programs], statuses


@pytest.mark.parametrize("generation", [0, 1, 2, 3])
def test_killed_process_costs_no_verdict(own_tmp, generation):
    programs, statuses = slow_programs(40)
    with Sandbox(workers=2) as box:
        last = 3 if "namespaces (pid" in box.walls.partition("without")[0] else 2
        if generation > last:
            pytest.skip("no pid namespace here, so the zygote is one process")
        futures = [box.submit(program) for program in programs]
        concurrent.futures.wait(futures[:5])
        while not (pids := [pid for pid, found in family(own_tmp).items() if found == generation]):
            time.sleep(0.01)
        kill(pids[0])
        found = [future.result().status for future in futures]
    unlike = [(one, other) for one, other in zip(found, statuses, strict=True) if one != other]
    assert [one for one, _ in unlike] in ([], ["INFRA"]) if generation == last else not unlike, unlike
    assert eventually(lambda: not family(own_tmp)) and not os.listdir(own_tmp)


def test_program_whose_judges_are_killed_again_and_again_is_infra(own_tmp):
    stop = threading.Event()

    def kill_judges() -> None:
        while not stop.wait(0.2):
            for pid, generation in family(own_tmp).items():
                if generation == 0:
                    kill(pid)

    sleeper = Program("import time\ndef f(x):\n    time.sleep(2)\n    return 1", CALL, "f")
    with Sandbox(workers=1) as box:
        killer = threading.Thread(target=kill_judges)
        killer.start()
        verdict = box.submit(sleeper).result()
        stop.set()
        killer.join()
        assert (verdict.status, verdict.kind) == ("INFRA", "infra"), verdict
        assert box.submit(RIGHT).result().status == "PASS", "the sandbox does not recover"
    assert eventually(lambda: not family(own_tmp)) and not os.listdir(own_tmp)


@pytest.mark.parametrize("moment", [0.1, 0.6])
def test_killed_caller_leaves_nothing(tmp_path, moment):
    programs, _ = slow_programs(40)
    text = lines(*[{"code": program.code, "test": program.test, "entry_point": "f"} for program in programs])
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*COMMAND, "--workers", "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as caller:
        caller.stdin.write(text)
        caller.stdin.flush()
        assert eventually(lambda: family(tmp_path))
        time.sleep(moment)
        caller.kill()
    assert eventually(lambda: not family(tmp_path)), "processes have survived"
    assert eventually(lambda: not os.listdir(tmp_path)), "folders have been left"


def test_terminated_caller_leaves_nothing(tmp_path):
    """Ctrl-C: the verdicts so far are whole, and the command says that it was stopped."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*COMMAND, "--workers", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as caller:
        caller.stdin.write(lines(record(RIGHT.code)) * (WINDOW + 2))
        caller.stdin.flush()
        first = caller.stdout.readline()
        caller.send_signal(signal.SIGINT)
        output, errors = caller.communicate(timeout=30)
    assert caller.returncode == 130 and b"Traceback" not in errors, errors.decode()
    assert json.loads(first)["status"] == "PASS" and (not output or output.endswith(b"\n"))
    assert eventually(lambda: not family(tmp_path)) and not os.listdir(tmp_path)


@pytest.mark.parametrize("program", [SLOW, SHARED], ids=["separate", "shared"])
def test_closing_with_work_in_flight(own_tmp, program):
    box = Sandbox(workers=2)
    futures = [box.submit(program) for _ in range(20)]
    time.sleep(0.05)
    box.close()
    assert all(future.done() for future in futures)
    statuses = {future.result().status for future in futures if not future.cancelled()}
    assert statuses <= {"PASS", "INFRA"}
    assert eventually(lambda: not family(own_tmp)) and not os.listdir(own_tmp)
    box.close()


def test_processes_end_with_the_sandbox(own_tmp):
    with Sandbox(workers=1) as box:
        assert box.submit(RIGHT).result().status == box.submit(SHARED).result().status == "PASS"
        assert sorted(family(own_tmp).values())[:3] == [0, 0, 1]
    assert eventually(lambda: not family(own_tmp)) and not os.listdir(own_tmp)


def program_of(task: benchmarks.Task, code: str, timeout: float | None = None) -> Program:
    """Some code for a task."""
    return Program(code, task.test, task.entry_point, task.context, task.task_id, timeout)


# Benchmark, every how many-th task, those that run beside the code.
GOLD = [
    ("humaneval", 1, set()),
    ("mbpp", 1, set()),
    ("mbpp_full", 10, set()),
    ("cruxeval", 10, set()),
    ("humanevalplus", 10, set()),
    ("mbppplus", 10, set()),
    ("leetcode", 20, set()),
    ("leetcode_train", 40, set()),
]


@pytest.mark.parametrize("benchmark, every, shared", GOLD, ids=[benchmark for benchmark, _, _ in GOLD])
def test_gold_passes_and_stubs_fail(sandbox, data_dir, benchmark, every, shared):
    tasks = benchmarks.load_benchmark(benchmark, data_dir)[::every]
    # three of EvalPlus take up to 12 s on an idle machine, and a busy one is slower
    solutions = sandbox.run(program_of(task, task.solution, timeout=60.0) for task in tasks)
    gold = dict(zip(tasks, solutions, strict=True))
    assert [(task.task_id, verdict) for task, verdict in gold.items() if verdict.status != "PASS"] == []
    assert {task.task_id for task, verdict in gold.items() if verdict.isolation != "separate"} == shared
    stubs = sandbox.run(program_of(task, stub_program(task)) for task in tasks)
    judged_wrong = [verdict.status in ("PARTIAL", "FAIL") for verdict in stubs]
    assert [task.task_id for task, wrong in zip(tasks, judged_wrong, strict=True) if not wrong] == []


@pytest.mark.parametrize("name", ["poe_deepseek-coder_6.7b.jsonl", "poe_qwen2.5-coder_7b.jsonl"])
def test_verdicts_equal_those_of_the_official_harness(sandbox, data_dir, name):
    tasks = {task.task_id: task for task in benchmarks.load_benchmark("humaneval", data_dir)}
    with gzip.open(data_dir / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        stubs = {row["task_id"]: row["prompt"] for row in map(json.loads, file)}
    samples = [json.loads(line) for line in (data_dir / "samples" / name).read_text().splitlines()]
    programs = []
    for sample in samples:
        task = tasks[sample["task_id"]]
        programs.append(program_of(task, stubs[task.task_id] + sample["completion"]))
    verdicts = sandbox.run(programs)
    assert len(verdicts) == 164 and {verdict.isolation for verdict in verdicts} == {"separate"}
    disagreements = {
        sample["task_id"]: (sample["result"], verdict.reason)
        for sample, verdict in zip(samples, verdicts, strict=True)
        if sample["passed"] != (verdict.status == "PASS")
    }
    assert disagreements == {}


def test_answer_that_keeps_the_judge_busy_is_not_tried_again(monkeypatch):
    """Only a judge that got no CPU time was starved; one that computed would compute the second time too."""
    asked = []
    ask_alone = WorkerPool.ask_alone
    monkeypatch.setattr(WorkerPool, "ask_alone", lambda *given: asked.append(1) or ask_alone(*given))
    code = "def f():\n    return [(2**61 - 1) * number for number in range(60_000)]\n"
    with Sandbox(workers=1, timeout=0.5) as box:
        verdict, after = box.run([Program(code, "assert len(set(f())) == 1", "f"), RIGHT])
    assert (verdict.kind, after.status, asked) == ("timeout", "PASS", [])
