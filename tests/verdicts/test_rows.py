"""Programs whose verdict was wrong once: none forges, none changes another's verdict, and honest code passes."""

import json

import pytest

from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox

OTHERWISE = {  # programs that plain Python passes and the sandbox does not, on purpose
    "fn int subclass": "a subclass that replaces an operator must give its plain class's answer",
    "wrong handle bool lies over calls": "an object must give one answer to one question",
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as box:
        yield box


def judged(sandbox: Sandbox, code: str, test: str, entry_point: str = "f", **fields):
    [verdict] = sandbox.run([Program(code, test, entry_point, **fields)])
    return verdict


def test_programs_that_differed_from_plain_python(sandbox, data_dir):
    path = data_dir / "verdicts" / "programs.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = ("code", "test", "entry_point", "context", "task_id", "timeout", "kind")
    programs = [Program(**{name: line[name] for name in names if name in line}) for line in lines]
    verdicts = dict(zip([line["task_id"] for line in lines], sandbox.run(programs), strict=True))
    right = {"not PASS": ("FAIL", "PARTIAL"), "not PASS/INFRA": ("FAIL", "PARTIAL")}
    wrong = {
        line["task_id"]
        for line in lines
        if verdicts[line["task_id"]].status not in right.get(line["expected"], (line["expected"],))
    }
    assert {name: verdicts[name] for name in wrong ^ set(OTHERWISE)} == {}


# --- what an answer must not be able to do ----------------------------------------------------------------------------

RAW = """import sys
values, child = sys.modules["raccoon.exchange.values"], sys.modules["raccoon.child.functions"]
def dumps(value, heap=None, old=values.dumps):
    if value[0] == "ok" and value[1] == "X":
        return FRAME
    return old(value, heap)
values.dumps = dumps
def f(x): return "X"
"""
FRAMES = [
    b'["ok",{"type":"__loader__"},null]',
    b'["ok",{"numpy":["ndarray",null,[1],[{"type":"__loader__"}]]}]',
    b"",
    b"{",
    b'["ok"]',
    b'["ok",{"r":1}]',
    b'["ok",{"r":1e9}]',
    b'["callback",99,"call",[],[]]',
    b'["callback",0,"take",5]',
    b"5",
    b'["ok",{"standard":["os","system"]}]',
    b'["error","X",[],"m",5]',
    b'["error","X",["os.system"],"m",null]',
    b'["syntax","X",[],"m",null]',
    b'["ok",{"object":[1,"x","lazy",[]]}]',
    b'["ok",' + b"[" * 9999 + b"]" * 9999 + b"]",
    b'["infra","x"]',
    b'{"needs":"shared"}',
    b'["ok",{"test":[0,"function","x","",[]]}]',
]
HAND_BACK = "once = f('abc')\ntwice = f(once)\nassert (once, twice) == ('cba', 'abc')"


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame[:30].decode())
@pytest.mark.parametrize(
    "test", [HAND_BACK, "xs = []\nassert f(xs) is xs", "assert f(lambda: 1) == 1", "assert f(1) == 1"]
)
def test_no_answer_chooses_its_isolation(sandbox, frame, test):
    verdict = judged(sandbox, RAW.replace("FRAME", repr(frame)), test)
    assert verdict.status in ("FAIL", "PARTIAL") and verdict.isolation == "separate", verdict


UNITTEST = (
    "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n"
    "    def test_b(self):\n        self.assertEqual(f(2), 3)\n"
)
COUNTS = [
    "[90_000, 2, ['wrong', 'x']]",
    "[10**400, 1, ['wrong', 'x']]",
    "[10**400, 0, []]",
    "[-5, 0, []]",
    "[2, -1, []]",
    "[0, 0, []]",
    "['2', 0, []]",
    "[2, 0]",
    "None",
    "[2.5, 0, []]",
    "[1, 0, ['infra', 'x']]",
    "[0, 10**400, ['pass', '']]",
    "[1, 1, [1, 2, 3]]",
    "[True, False, [None, None]]",
]


@pytest.mark.parametrize("counts", COUNTS)
def test_counts_beside_the_code_are_those_of_the_text(sandbox, counts):
    code = "import sys\nchild = sys.modules['raccoon.child.functions']\ndef f(x): return 0\n"
    code += f"child.REQUESTS['test'] = lambda *_: ['ok', {counts}]\n"
    verdict = judged(sandbox, code, UNITTEST)
    assert verdict.status != "INFRA" and verdict.isolation == "shared", verdict
    assert 0 <= verdict.tests_passed <= verdict.tests_total <= 2, verdict


# --- what a test must not be able to do to other tests ----------------------------------------------------------------

SPOILERS = """import decimal; decimal.getcontext().prec = 3
import decimal; d = decimal; d.getcontext().prec = 3
import decimal; decimal.DefaultContext.prec = 3
from decimal import getcontext as g; g().prec = 3
import sys; sys.setrecursionlimit(60)
import math; math.pi = 3
import math; m = math; m.pi = 3
import math, json; a, b = math, json; a.pi = 3
import math; [m] = [math]; del m.pi
import math, contextlib; m = contextlib.nullcontext(math).__enter__(); m.pi = 3
import math, operator; operator.methodcaller('__setattr__', 'pi', 3)(math)
import math; setattr(math, 'pi', 3)
import math; vars(math)['pi'] = 3
import math; math.__dict__['pi'] = 3
import math; (lambda m: [0 for m.pi in [3]])(math)
import random; random.seed(5); random.random()
import random; random.setstate(random.Random(9).getstate())
import random; random._os.environ['ZZ'] = '1'
import os; os.environ['ZZ'] = '1'
import os; os.chdir('/')
import dataclasses; dataclasses.sys.setrecursionlimit(60)
import statistics; statistics.mean = len
import statistics; s = statistics; s.mean = len
import json; json.dumps = json.loads = len
import json; J = json.JSONEncoder; J.encode = J.iterencode = len
import json; json.encoder.c_make_encoder = None
import copy; copy._deepcopy_dispatch.clear()
import copy; copy._deepcopy_dispatch[list] = lambda x, memo: 5
import keyword; keyword.kwlist.clear()
import string; s = string._re; s.compile = 5
import collections; c = collections; c.Counter.most_common = len
import collections.abc; collections.abc.Sized.register(int)
import enum; E = enum.Enum; E.zzz = 1
import itertools; i = itertools; i.count = 5
import builtins; builtins.len = builtins.sorted = lambda *_: 5
__builtins__['len'] = lambda *_: 5
(x for x in []).gi_frame.f_builtins['len'] = lambda *_: 5
import sys; sys.path.clear()
import sys; sys.stdout = sys.stderr = None
import gc; gc.disable(); gc.freeze()
import warnings; warnings.simplefilter('error')
import atexit; atexit.register(len)
type(f).__call__ = lambda *_: 1
T = type(f); T.__call__ = lambda *_: 1
f._child.heap.tracks = None
global __tally__; __tally__ = None
import numpy as np; np.seterr(all='raise')
import numpy as np; np.random.seed(3)
import numpy as np; n = np; n.sum = len""".splitlines()
# These may end a judge, and with it what others have spoiled, so each is looked at alone
ENDERS = """import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)
import signal; signal.alarm(1)
import signal; signal.setitimer(signal.ITIMER_REAL, 0.001)
import os; os.closerange(0, 99)
import os; os._exit(0)
import os; os.kill(os.getpid(), 9)
import sys; sys.modules.clear()
import sys; sys.settrace(lambda *_: 1 / 0)
import threading; threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))""".splitlines()
VICTIMS = [
    "assert f(1) == 1",
    "assert math.pi > 3.1 and f(1) == 1",
    "from decimal import Decimal\nassert str(f(1) / Decimal(3)) == '0.3333333333333333333333333333'",
    "def deep(n):\n    return n and deep(n - 1)\nassert f(1) == 1 and deep(500) == 0",
    "import json\nassert json.loads(json.dumps([f(1)])) == [1]",
    "import copy\nassert copy.deepcopy([[f(1)]]) == [[1]]",
    "xs = [2, 1]\nassert f(xs) == list(xs) and sorted(f(xs)) == [1, 2] and len(f(xs)) == 2",
    "import keyword, statistics, itertools\n"
    "assert keyword.kwlist and statistics.mean([f(1), next(itertools.count(3))]) == 2",
    "import collections.abc\nassert f(1) == 1 and not issubclass(int, collections.abc.Sized)",
    "from collections import Counter\nassert Counter(f('aa')).most_common(1) == [('a', 2)]",
    "import re, enum\nassert re.fullmatch('a+', f('aa')) and not hasattr(enum.Enum, 'zzz')",
    "import random\nassert f(random.random()) == 0.8444218515250481",
    "import os\nassert f(os.environ.get('ZZ')) is None",
    "import warnings\nwarnings.warn('w')\nassert f(1) == 1",
    "assert f(lambda x: x)(2) == 2",
    UNITTEST.replace("2)\n    def", "1)\n    def").replace("f(2), 3", "f(2), 2"),
]
TOGETHER = 4  # spoilers
SAME = "def f(x): return x"


def batched(texts: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(texts[start : start + size]) for start in range(0, len(texts), size)]


@pytest.mark.parametrize("field", ["test", "context"])
def test_no_test_spoils_another(field):
    """Nothing changes for later programs of the same worker; a few spoilers come before each look."""
    found = {}
    with Sandbox(workers=1, timeout=2) as box:
        for spoilers in [*batched(SPOILERS, TOGETHER), *batched(ENDERS, 1)]:
            for spoiler in spoilers:
                fields = {"context": "", "test": "assert f(1) == 1"}
                fields[field] = f"{spoiler}\n{fields[field]}"
                box.run([Program(SAME, entry_point="f", **fields)])
            verdicts = box.run([Program(SAME, test, "f") for test in VICTIMS])
            if wrong := [(test, one) for test, one in zip(VICTIMS, verdicts, strict=True) if one.status != "PASS"]:
                found[spoilers] = wrong
    assert found == {}


# --- code and tests of parts 3 and 4: (code, test, passes in plain Python) --------------------------------------------

MAKES = "def f(n):\n    out = []\n    for i in range(n):\n        out.append(i)\n        yield out\n"
PROGRAMS = {
    "guard with input": ("def f(x): return x\nif __name__ == '__main__':\n    input()", "assert f(1) == 1", True),
    "guard with argv": (
        "import sys\ndef f(x): return x\nif __name__ == '__main__':\n    sys.argv[1]",
        "assert f(1) == 1",
        True,
    ),
    "guard with exit": (
        "import sys\ndef f(x): return x\nif __name__ == '__main__':\n    sys.exit(f(3))",
        "assert f(1) == 1",
        True,
    ),
    "guard with unittest": (
        "import unittest\ndef f(x): return x\nif __name__ == '__main__':\n    unittest.main()",
        "assert f(1) == 1",
        True,
    ),
    "guard with a wrong example": (
        "def f(x): return x\nif __name__ == '__main__':\n    assert f(1) == 2",
        "assert f(1) == 1",
        True,
    ),
    "threads": (
        "from multiprocessing.pool import ThreadPool\ndef f(x):\n    with ThreadPool(2) as p: return p.map(abs, x)",
        "assert f([-1]) == [1]",
        True,
    ),
    "endless generator": (
        "import itertools\ndef f(): return itertools.count()",
        "from itertools import islice\nassert list(islice(f(), 3)) == [0, 1, 2]",
        True,
    ),
    "generator that raises": (
        "def f():\n    yield 1\n    raise ValueError",
        "g = f()\nassert next(g) == 1\ntry:\n    next(g)\nexcept ValueError:\n    ok = 1\nassert ok",
        True,
    ),
    "iterator read in part": (
        "def f(it): return next(it)",
        "it = iter([1, 2, 3])\nassert f(it) == 1 and list(it) == [2, 3]",
        True,
    ),
    "prefix in place": (
        "def f(n):\n    n[:] = sorted(set(n))\n    return len(n)",
        "n = [1, 1, 2]\nk = f(n)\nassert n[:k] == [1, 2]",
        True,
    ),
    "method in place": (
        "class Solution:\n    def rotate(self, n): n.reverse()",
        "n = [1, 2]\nSolution().rotate(n)\nassert n == [2, 1]",
        True,
    ),
    "returns its argument": ("def f(x, xs):\n    xs.append(x)\n    return xs", "xs = []\nassert f(1, xs) is xs", True),
    "one list is yielded": (MAKES, "assert [len(x) for x in f(3)] == [1, 2, 3]", True),
    "one list is yielded and held": (MAKES, "it = f(3)\na = next(it)\nb = next(it)\nassert a == [0]", False),
    "one list is yielded and unpacked": (MAKES, "a, b, c = f(3)\nassert a == [0]", False),
    "one list is yielded and cut": (
        MAKES,
        "from itertools import islice\nassert list(islice(f(9), 2)) == [[0], [0, 1]]",
        False,
    ),
    "one list is yielded slowly": (
        MAKES.replace("        yield", "        __import__('time').sleep(0.03)\n        yield"),
        "assert list(f(3)) == [[0], [0, 1], [0, 1, 2]]",
        False,
    ),
    "shared list": (
        "def put(q, x): q.append(x)\ndef take(q): return q.pop()",
        "q = []\nput(q, 1)\nassert take(q) == 1",
        True,
    ),
    "own class as argument": (
        "class Node:\n    def __init__(self, v, n=None): self.v, self.n = v, n\n"
        "def f(node): return node.v + (f(node.n) if node.n else 0)",
        "assert f(Node(8, Node(3))) == 11",
        True,
    ),
    "list of functions": (
        "def f(): return [lambda x: x + 1, lambda x: x * 2]",
        "assert [g(3) for g in f()] == [4, 6]",
        True,
    ),
    "SystemExit": (
        "def f(): raise SystemExit(3)",
        "try:\n    f()\nexcept SystemExit as e:\n    assert e.code == 3\nelse:\n    assert 0",
        True,
    ),
    "exit where an Exception is expected": (
        "def f(x):\n    if x < 0: raise SystemExit(1)\n    return x",
        "assert f(1) == 1\ntry:\n    f(-1)\nexcept Exception:\n    pass",
        False,
    ),
    "hierarchy of exceptions": (
        "class E(Exception): pass\nclass F(E): pass\ndef f(): raise F('x')",
        "try:\n    f()\nexcept E as e:\n    assert str(e) == 'x'\nelse:\n    assert 0",
        True,
    ),
    "long range": ("def f(): return range(0, 10**9, 2)", "assert len(f()) == 5 * 10**8 and 4 in f()", True),
    "match by index": (
        "import re\ndef f(t): return re.match('(a)(b)?', t)",
        "assert f('a')[1] == 'a' and f('a')[2] is None and not f('x')",
        True,
    ),
    "context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef f():\n    yield 5",
        "with f() as x:\n    assert x == 5",
        True,
    ),
    "named tuple with methods": (
        "import typing\nclass P(typing.NamedTuple):\n    x: int\n    def twice(self): return 2 * self.x\n"
        "def f(): return P(3)",
        "p = f()\nassert p == (3,) and p.twice() == 6 and p._asdict() == {'x': 3}",
        True,
    ),
    "UserDict with methods": (
        "from collections import UserDict\nclass D(UserDict):\n"
        "    def total(self): return sum(self.values())\ndef f(): return D(a=1)",
        "assert f().total() == 1 and f()['a'] == 1",
        True,
    ),
    "tuples in tuples": (
        "def f(n):\n    t = None\n    for i in range(n): t = (i, t)\n    return t",
        "t, n = f(80), 0\nwhile t:\n    t, n = t[1], n + 1\nassert n == 80",
        True,
    ),
    "set to tuple": ("def f(s): return tuple(s)", "assert f({8, 1}) == (8, 1)", True),
    "set to another tuple": ("def f(s): return tuple(sorted(s))", "assert f({8, 1}) == (8, 1)", False),
    "rows that are one row": (
        "def f(m, n): return [[0] * m] * n",
        "g = f(2, 2)\ng[0][0] = 1\nassert g[1][0] == 0",
        False,
    ),
    "no copy": ("def f(x): return x", "a = [[1]]\nb = f(a)\nb[0].append(2)\nassert a == [[1]]", False),
    "default that grows": ("def f(acc=[]): return acc", "f().append(1)\nassert f() == []", False),
    "sorts its argument": (
        "def f(x):\n    x.sort()\n    return x[0]",
        "xs = [2, 1]\nassert f(xs) == 1\nassert xs == [2, 1]",
        False,
    ),
    "empties its argument": (
        "def f(x):\n    x.clear()\n    return x",
        "xs = [2, 1]\nassert f(xs) == sorted(xs)",
        False,
    ),
    "bool of numpy": ("import numpy\ndef f(): return numpy.bool_(True)", "assert f() is True", False),
    "subclass of list": ("class L(list): pass\ndef f(): return L([1])", "assert type(f()) is list", False),
    "lone surrogates": ("def f(): return chr(0xD83D) + chr(0xDE00)", "assert f() == chr(0x1F600)", False),
    "predictable numbers": (
        "import random\ndef f(): return random.random()",
        "import random\nrandom.seed(1)\na = f()\nrandom.seed(1)\nassert f() == a",
        True,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_verdict_is_that_of_plain_python(sandbox, name):
    code, test, passes = PROGRAMS[name]
    verdict = judged(sandbox, code, test)
    assert (verdict.status == "PASS", verdict.isolation) == (passes, "separate"), verdict
