"""Requests that are known before the code runs: which tests have them, and that the verdict is the same without."""

import itertools
import signal

import pytest

from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.test_texts.test_programs import analyse
from raccoon.verdicts.test_run import MOST_REQUESTS, on_alarm, planned

CHECK = "def check(candidate):\n    assert candidate([1]) == [1], 'no'\n    assert candidate([2]) == [2]\ncheck(f)"
PLANNED = {  # a test, how many requests are planned; right code may leave a plan and cost a second run
    "assert f(1) == 2": 1,
    CHECK: 2,
    "assert f(1) == 2 and f(2) == 3": 1,
    "x = f([1])\nassert x == [1] and len(x) == 1": 1,
    "for i in range(20):\n    assert f(i) == -1": 20,
    "assert f('ab') == 'ba'\nassert f('ba') == 'ab'": None,
    "assert abs(f(1.5) - 2) < 1e-6": 1,
    "assert round(f(1), 2) == 2.5 and f(1)[0] == 3": 1,
    "assert f(1) == 2, f'got {f(1)}'": 1,
    "import math\nassert math.isclose(f(1), 2.0)": 1,
    "assert sorted(f([1])) == [1]": 1,
    "assert str(f(1)) == '1'": 1,
    "assert {'a': f(1)}['a'] == 1": 1,
    "assert f(g(1)) == 1": None,
    "assert f(1)(2) == 3": 1,
    "if f(1) == 1:\n    assert f(2) == 2": 1,
    "x = f(1)\nfor _ in range(x):\n    assert f(2)": 1,
    "try:\n    f(1)\n    assert False\nexcept ValueError:\n    pass": None,
    "import pytest\nwith pytest.raises(ValueError):\n    f(1)": None,
    "s = Stack()\ns.push(1)\nassert s.top() == 1": None,
    "assert f(lambda x: x) == 1": None,
    "assert f(iter([1])) == 1": None,
    "x = f(1)\nassert f(x) == 2": None,
    "assert f(f(1)) == 2\nassert f(3) == 4": None,
    "assert f(LIMIT) == 2": None,
    "while not f(1):\n    pass": None,
    f"for i in range({MOST_REQUESTS + 1}):\n    assert f(i) == i": None,
    "import time\ntime.sleep(1)\nassert f(1) == 2": None,
    "import sys\nsys.setrecursionlimit(99)\nassert f(1) == 2": None,
    "raise ValueError if f(1) else KeyError": None,
}


@pytest.fixture(autouse=True)
def clock():
    """A judge's handler of alarms."""
    before = signal.signal(signal.SIGALRM, on_alarm)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("test, count", PLANNED.items())
def test_requests_that_are_known_beforehand(test, count):
    assert len(planned(Program("", test, "f"), analyse(test, "", "f")).requests) == (count or 0)


def test_object_that_cannot_be_sent_is_known_beforehand():
    context = "class Odd:\n    __slots__ = ('a',)\n"
    test = "x = Odd()\nassert f(x) == 1"
    assert planned(Program("", test, "f", context), analyse(test, context, "f")) is None


@pytest.mark.parametrize("test", [
    "import io\nassert f(io.StringIO('a')) == 'a'",
    "import io\nassert f([io.BytesIO()]) == 'a'",
    "import random\nx = f(f(1))\nassert f(random.Random(1)) == x",
    "import re\nassert f(f(1), re.compile('a'))",
])  # fmt: skip
def test_object_that_cannot_be_sent_is_known_in_a_test_that_needs_answers(test):
    assert planned(Program("", test, "f"), analyse(test, "", "f")) is None


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1, timeout=1) as box:
        yield box


# A test, code, its status: with answers that the plan did not expect too.
JUDGED = [
    ("assert f(1) == 2", "def f(x): return x + 1", "PASS"),
    ("assert f(1) == 2", "def f(x): return x", "PARTIAL"),
    ("assert f(1) == 2", "def f(x): raise ValueError", "FAIL"),
    ("assert f(1) == 2\nassert f(2) == 3", "import os\ndef f(x): return os._exit(0) if x > 1 else 2", "FAIL"),
    ("assert f(1) == 2\nassert f(2) == 3", "def f(x):\n    while x > 1: pass\n    return 2", "FAIL"),
    ("x = f(1)\nassert x == 2 and f(x) == 3", "def f(x): return x + 1", "PASS"),
    ("assert f(1) == 2 and f(2) == 3 and f(3) == 4", "def f(x): return x + 1", "PASS"),
    ("assert f(1) or f(2)\nassert f(3) == 4", "def f(x): return x + 1 if x > 1 else 0", "PASS"),
    ("assert f(1) == 1 or f(2) == 3", "def f(x): return x + 1", "PASS"),
    ("assert f(1) == 1 or f(2) == 4", "def f(x): return x + 1", "PARTIAL"),
    (
        "x = f(1)\nassert [f(n) for n in x] == [0, 1]",
        "def f(x): return [0, 1] if x == 1 and not seen.append(1) and len(seen) == 1 else x\nseen = []",
        "PASS",
    ),
    ("a = f(1)\nif a == 2:\n    assert f(2) == 3\nelse:\n    assert f(9) == 3", "def f(x): return x + 1", "PASS"),
    ("a = f(1)\nif a == 2:\n    assert f(2) == 3\nelse:\n    assert f(9) == 3", "def f(x): return 3", "PASS"),
    ("xs = [1]\nf(xs)\nassert xs == [1, 2]", "def f(x): x.append(2)", "PASS"),
    ("xs = [1]\nf(xs)\nf(xs)\nassert xs == [1, 2, 2]", "def f(x): x.append(2)", "PASS"),
    ("xs = [1]\nf(xs)\nassert f(xs) == 2", "def f(x):\n    x.append(2)\n    return len(x) - 1", "PASS"),
    ("assert f(1) == 1\nassert f(1) == 2", "n = [0]\ndef f(x):\n    n[0] += 1\n    return n[0]", "PASS"),
    (
        "import random\nrandom.seed(3)\na = f(9)\nrandom.seed(3)\nassert f(9) == a",
        "import random\ndef f(x): return random.random()",
        "PASS",
    ),
    ("assert f(1) == 2, f'got {f(1)}'", "n = [0]\ndef f(x):\n    n[0] += 1\n    return n[0]", "PARTIAL"),
]


@pytest.mark.parametrize("test, code, status", JUDGED)
def test_plan_changes_no_verdict(sandbox, test, code, status):
    """Twice, because a test that needed something else the first time has no plan the second time."""
    verdicts = sandbox.run([Program(code, test, "f")] * 2)
    assert [verdict.status for verdict in verdicts] == [status] * 2, verdicts


def test_diverging_code_spoils_no_plan_of_others(sandbox):
    """Programs of one test, of which some need other requests than others, in every order."""
    test = "a = f(1)\nif a == 2:\n    assert f(2) == 3\nelse:\n    assert f(9) == 10 - 1"
    codes = [("def f(x): return x + 1", "PASS"), ("def f(x): return x", "PASS"), ("def f(x): return 0", "PARTIAL")]
    for order in itertools.permutations(codes):
        verdicts = sandbox.run([Program(code, test + f"\n# {order}", "f") for code, _ in order])
        assert [verdict.status for verdict in verdicts] == [status for _, status in order]


@pytest.mark.parametrize(
    "code",
    [
        "os.write(3, b'x' * 99)",
        "os.closerange(3, 99)",
        "sys.exit(0)",
        "os._exit(0)",
        "os.write(3, b'\\0\\0\\0\\0' * 9)",
        "threading.Thread(target=lambda: os.write(3, b'1' * 99)).start()",
    ],
)
@pytest.mark.parametrize("where", ["top", "call", "atexit"])
def test_child_that_is_asked_at_once_gives_no_answers_of_its_own(sandbox, code, where):
    lines = {
        "top": f"{code}\ndef f(x): return x",
        "call": f"def f(x):\n    {code}\n    return x",
        "atexit": f"atexit.register(lambda: {code})\ndef f(x): return 0",
    }
    program = Program(f"import atexit, os, sys, threading\n{lines[where]}", "assert f(1) == 2\nassert f(2) == 3", "f")
    assert sandbox.run([program])[0].status in ("FAIL", "PARTIAL")
