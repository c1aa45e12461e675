"""What attacks on the judge have found: each case was once decided by the code, or by the test of another program."""

import json

import pytest

from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.test_texts.test_programs import analyse

IDENTITY = "def f(x):\n    return x\n"
RAW = """
import os, time

def f(*_):
    frame = {frame!r}
    os.write(3, len(frame).to_bytes(4, "little") + frame)
    time.sleep(60)
"""
CONTROL = "raccoon.verdicts.judge_heap"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1, timeout=2) as one:
        yield one


def verdict(sandbox, code: str, test: str):
    return sandbox.submit(Program(code, test, "f")).result()


def raised(module: str, name: str, *arguments) -> str:
    """Code that answers its first request with an exception of any class that the judge has loaded."""
    error = [1, {"standard": [module, name]}, "", list(arguments), [], None, False]
    return RAW.format(frame=json.dumps(["error", "E", [], "", {"error": error}]).encode())


@pytest.mark.parametrize("test", ["x = f(1)\nassert x == 5\n", "assert f(1) == 5\n"])
@pytest.mark.parametrize("module, name", [
    *((CONTROL, name) for name in "ChildGone CallerGone Deadline NotCarried".split()),
    ("raccoon.verdicts.test_run", "TestFault"),
    ("__main__", "CallerGone"),
    ("_pytest.outcomes", "Skipped"),
    ("builtins", "SystemExit"),
])  # fmt: skip
def test_code_cannot_raise_what_ends_a_run(sandbox, module, name, test):
    assert verdict(sandbox, raised(module, name), "import pytest\n" + test).status == "FAIL"
    assert verdict(sandbox, IDENTITY, "assert f(1) == 1").status == "PASS"


def test_exit_without_an_exception_is_no_success(sandbox):
    code = RAW.format(frame=json.dumps(["error", "E", ["builtins.SystemExit"], "", None]).encode())
    assert verdict(sandbox, code, "x = f(1)\nassert x == 5").status == "FAIL"


def test_exit_that_the_code_returns_is_no_success(sandbox):
    test = "error = f(1)\nif error is not None:\n    raise error\n"
    assert verdict(sandbox, "def f(x):\n    return SystemExit(0)\n", test).status == "FAIL"


@pytest.mark.parametrize("result", [
    "SimpleNamespace({name}=lambda *_: True)", "wrapped(ValueError(), {name}=lambda *_: True)",
])  # fmt: skip
@pytest.mark.parametrize("name, test", [("startswith", "f('x').startswith('abc')"), ("isdigit", "f('x').isdigit()")])
def test_function_in_a_field_is_no_method_of_a_plain_value(sandbox, result, name, test):
    code = "from types import SimpleNamespace\n\ndef wrapped(one, **fields):\n    vars(one).update(fields)\n"
    code += f"    return one\n\ndef f(x):\n    return {result.format(name=name)}\n"
    assert verdict(sandbox, code, f"assert {test}").status == "FAIL"


def test_namespace_of_functions_passes(sandbox):
    code = "from types import SimpleNamespace\n\ndef f():\n    xs = []\n    return SimpleNamespace("
    code += "push=xs.append, pop=xs.pop, size=lambda: len(xs), get=lambda i: xs[i])\n"
    test = "s = f()\ns.push(1)\ns.push(2)\nassert s.size() == 2\nassert s.get(0) == 1\nassert s.pop() == 2"
    assert verdict(sandbox, code, test).status == "PASS"


@pytest.mark.parametrize("base, made, change", [
    ("UserDict", "{'a': 1, 'b': 2}", "r['c'] = 3"), ("UserList", "[1, 2]", "r.append(3)"),
    ("UserString", "'abc'", "r.upper()"), ("ChainMap", "{'a': 1}, {'b': 2}", "r['c'] = 3"),
])  # fmt: skip
def test_own_subclass_of_a_wrapper_can_be_asked(sandbox, base, made, change):
    code = f"from collections import {base}\n\nclass Own({base}):\n    def total(self):\n        return len(self)\n\n"
    test = f"r = f()\nbefore = r.total()\n{change}\nassert (before, r.total()) in ((2, 3), (3, 3))"
    assert verdict(sandbox, f"{code}def f():\n    return Own({made})\n", test).status == "PASS"


def test_own_subclass_of_a_namespace_can_be_asked_and_changed(sandbox):
    code = "from types import SimpleNamespace\n\nclass Own(SimpleNamespace):\n    def total(self):\n"
    code += "        return self.a + self.b\n\ndef f():\n    return Own(a=1, b=2)\n"
    assert verdict(sandbox, code, "r = f()\nassert r.total() == 3\nr.a = 5\nassert r.total() == 7").status == "PASS"


def test_object_does_not_learn_which_item_it_should_hold(sandbox):
    code = "class R:\n    x = None\n    def __contains__(self, x):\n        self.x = x\n        return True\n"
    code += "    def __iter__(self):\n        return iter([self.x])\n\ndef f(x):\n    return R()\n"
    assert verdict(sandbox, code, "assert 5 in f(1)").status == "FAIL"
    honest = "class R:\n    def __iter__(self):\n        return iter([5])\n\ndef f(x):\n    return R()\n"
    assert verdict(sandbox, honest, "assert 5 in f(1) and 6 not in f(1)").status == "PASS"


@pytest.mark.parametrize("test", [
    "for args in [([3, 1],), ([2, 1],)]:\n    assert f(*args) == sorted(*args)",
    "def same(a, b):\n    assert a == b\nfor args in [([3, 1],)]:\n    same(f(*args), sorted(*args))",
    "import math\nxs = [3, 1]\nassert math.isclose(sum(f(xs)), sum(xs))",
    "import numpy as np\nxs = [3, 1]\nassert np.array_equal(f(xs), np.sort(xs))",
])  # fmt: skip
def test_code_that_empties_its_argument_is_compared_with_what_it_got(sandbox, test):
    emptied, honest = "def f(xs):\n    xs.clear()\n    return []\n", "def f(xs):\n    xs.sort()\n    return xs\n"
    assert verdict(sandbox, emptied, test).status == "PARTIAL"
    assert verdict(sandbox, honest, test).status == "PASS"


def test_record_of_an_argument_shows_it_as_the_code_left_it(sandbox):
    test = "seen, xs = [], [3, 1]\nseen.append((f(xs), xs))\nassert seen == [(None, [1, 3])]"
    assert verdict(sandbox, "def f(xs):\n    xs.sort()\n", test).status == "PASS"


def test_own_exception_is_not_asked_what_the_judge_thinks_of_it(sandbox):
    code = "class Own(AssertionError):\n    verdict_kind = 'wrong'\n\ndef f(x):\n    raise Own('no')\n"
    assert verdict(sandbox, code, "x = f(1)\nassert x == 1").status == "FAIL"


def test_callbacks_of_several_threads_do_not_mix(sandbox):
    code = "import threading\n\ndef f(call, n):\n    found = [None] * n\n    def work(i):\n        found[i] = call(i)\n"
    code += "    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]\n"
    code += "    [t.start() for t in threads]\n    [t.join() for t in threads]\n    return found\n"
    test = "for _ in range(20):\n    assert f(lambda i: i * i, 6) == [0, 1, 4, 9, 16, 25]"
    assert verdict(sandbox, code, test).status == "PASS"


def test_code_that_sleeps_does_not_hold_up_the_judge_with_large_arguments(sandbox):
    found = verdict(sandbox, "import time\ntime.sleep(60)\n" + IDENTITY, "assert len(f('a' * 900_000)) == 1")
    assert found.reason.startswith("timeout: no result")


def test_answer_that_makes_the_test_end_its_process_is_wrong(sandbox):
    test = "exec('1')\nif f(1) != 1:\n    __import__('os')._exit(1)\nassert f(2) == 2"
    found = sandbox.submit(Program("def f(x):\n    return 2\n", test, "f", solution=IDENTITY)).result()
    assert (found.status, verdict(sandbox, IDENTITY, test).status) == ("FAIL", "PASS")


@pytest.mark.parametrize("context", ["import sys\nsys.exit(0)", "raise KeyboardInterrupt", "raise ValueError"])
def test_context_that_raises_is_our_fault(sandbox, context):
    assert sandbox.submit(Program(IDENTITY, "assert f(1) == 1", "f", context)).result().status == "INFRA"


def test_test_that_imports_the_main_module_means_that_of_the_code(sandbox):
    test = "import __main__\nassert f(1) == 1 and __main__.f(2) == 2"
    found = verdict(sandbox, IDENTITY, test)
    assert (found.status, found.isolation) == ("PASS", "shared")


@pytest.mark.parametrize("body, status", [
    ("int('x')", "PASS"), ("raise ValueError", "PASS"), ("assert False", "PARTIAL"), ("int(f(1))", "FAIL"),
    ("held.index('x')", "FAIL"), ("[].pop()", "FAIL"),
])  # fmt: skip
def test_only_what_the_test_itself_raises_can_be_suppressed(sandbox, body, status):
    code = "class Suppress:\n    def __init__(self, *kinds):\n        self.kinds = kinds\n    def __enter__(self):\n"
    code += "        return []\n    def __exit__(self, kind, *_):\n"
    code += "        return kind is not None and issubclass(kind, (AssertionError, *self.kinds))\n"
    code += "def f(x):\n    return 'x'\n"
    test = f"with Suppress(ValueError) as held:\n    {body}\nassert f(1) == 'x'\n"
    assert verdict(sandbox, code, test).status == status


def test_class_of_the_test_that_the_code_makes_objects_of_is_beside_the_code(sandbox):
    test = "class A:\n    def __init__(self, x):\n        self.x = x\nassert f(A, 3).x == 3\n"
    found = verdict(sandbox, "def f(kind, *given):\n    return kind(*given)\n", test)
    assert (found.status, found.isolation) == ("PASS", "shared")


@pytest.mark.parametrize("code, test", [
    ("copy = {'a': 1}", "assert copy.get('a') == 1 and f(1) == 1"),
    ("string = 'abc'", "assert string.upper() == 'ABC' and f(1) == 1"),
    ("class Winreg:\n    value = 3\nwinreg = Winreg()", "assert winreg.value == 3 and f(1) == 1"),
    ("import math", "assert math.floor(2.5) == f(2)"),
])  # fmt: skip
def test_variable_with_the_name_of_a_module_is_the_codes(sandbox, code, test):
    assert verdict(sandbox, f"{code}\n{IDENTITY}", test).status == "PASS"


# --- tests ------------------------------------------------------------------------------------------------------------

REACHING = {
    "alias": "import math\nm = math\nm.pi = 3",
    "alias of a name": "import math as m\nn = m\nn.pi = 3",
    "module without import": "m = math\nm.pi = 3\nmath.sqrt(1)",
    "numpy without import": "m = np\nm.pi = 3\nnp.sqrt(1)",
    "parameter": "import math\ndef g(m):\n    m.pi = 3\ng(math)",
    "loop": "import math\nfor m in [math]:\n    m.pi = 3",
    "with": "import math\nfrom contextlib import nullcontext\nwith nullcontext(math) as m:\n    m.pi = 3",
    "class body": "import math\nclass A:\n    m = math\nA.m.pi = 3",
    "deleted": "import math\nm = math\ndel m.pi",
    "target of a loop": "import math\nm = math\nfor m.pi in [3]:\n    pass",
    "module in a module": "import enum\nenum.sys.modules['math'].pi = 3",
    "path": "from os import path\ndef g(p):\n    p.os.environ['A'] = '1'\ng(path)",
    "list of a module": "import calendar\ncalendar.mdays[2] = 30",
    "list by name": "from keyword import kwlist\nkwlist.clear()",
    "private table": "import copy\ncopy._deepcopy_dispatch.clear()",
    "attribute by text": "import math, operator\noperator.methodcaller('__setattr__', 'pi', 3)(math)",
    "attribute by wrapping": "import functools, math, types\n"
    "functools.update_wrapper(math, types.SimpleNamespace(pi=3), ('pi',), ())",
    "attribute by format": "import string\nstring.Formatter().get_field('0.__globals__', [f], {})",
    "attribute by pattern": "match f:\n    case object(__globals__=g):\n        g.clear()",
    "frame": "def g():\n    yield\ng().gi_frame.f_builtins['abs'] = None",
    "traceback": "import pytest\nwith pytest.raises(ValueError) as e:\n    int('x')\ne.tb.tb_frame.f_builtins.clear()",
    "abstract class": "import numbers\nnumbers.Number.register(str)",
    "loader": "__loader__.load_module('math').pi = 3",
    "import by pytest": "import pytest\npytest.importorskip('math').pi = 3",
    "alias of a class": "from collections import Counter\nC = Counter\nC.most_common = None",
    "class as an argument": "import collections\ndef g(c):\n    c.most_common = None\ng(collections.Counter)",
    "class in a decorator": "from collections import Counter\ndef g(c):\n    c.most_common = None\n    return str\n"
    "@g(Counter)\ndef h():\n    pass",
    "class in an annotation": "from collections import Counter\ndef g(c):\n    c.most_common = None\nx: g(Counter) = 1",
    "class of an instance": "from collections import Counter\ntype(Counter()).most_common = None",
    "class attribute of an instance": "from collections import Counter\nc = Counter()\nc.__class__.most_common = None",
    "class above": "from collections import Counter\nclass D(Counter):\n    pass\ntype.mro(D)[1].most_common = None",
    "alias in typing": "import typing\nA = typing.Counter[int]\nA.most_common = None",
    "class made a dataclass": "from collections import Counter\nfrom dataclasses import dataclass as d\nd(Counter)",
    "end of an object": "class A:\n    def __del__(self):\n        while True:\n            pass\na = A()\na.me = a",
    "end of a generator": "def g():\n    try:\n        yield\n    finally:\n        while True:\n            pass\n"
    "xs = [g()]\nnext(xs[0])\nxs.append(xs)",
}


@pytest.mark.parametrize("name", list(REACHING))
def test_test_that_may_change_what_others_meet_is_kept_apart(name):
    assert not analyse(f"assert f(1) == 1\n{REACHING[name]}\n", "", "f").harmless


def test_star_import_hides_no_effect():
    assert analyse("from decimal import *\ngetcontext().prec = 3\nassert f(1) == 1", "", "f").shared


def test_what_a_test_has_held_is_free_for_the_next(sandbox):
    large = "x = [{}] * 50_000_000\ndef g():\n    return x\nassert f(1) == 1 and g()"
    assert {verdict(sandbox, IDENTITY, large.format(n)).status for n in range(12)} == {"PASS"}


@pytest.mark.parametrize("test, context", [
    ("assert f(1) == 1", ""),
    ("import math\nassert math.isclose(f(1.0), math.pi)", ""),
    ("from collections import Counter\nassert f('a') == Counter('a') and isinstance(f('a'), Counter)", ""),
    ("import numpy as np\nassert np.allclose(f(np.zeros(3)), np.linalg.norm(np.ones(3)))", ""),
    ("import pytest\nwith pytest.raises(ValueError, match='x'):\n    f(1)", ""),
    ("import datetime\nassert f(1) == datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)", ""),
    ("n = Node(1)\nn.next = Node(2)\nassert f(n) == 1",
     "from typing import *\nfrom collections import *\n\nclass Node:\n    def __init__(self, x: int = 0):\n"
     "        self.x, self.next = x, None\n\ndef size(n: Optional[Node]) -> int:\n    return 1\n"),
])  # fmt: skip
def test_usual_test_is_judged_at_once(test, context):
    assert analyse(test, context, "f").harmless


def test_test_in_a_fork_cannot_speak_for_the_judge(sandbox):
    stops = "os = __import__('os')\nfor n in range(3, 64):\n    try:\n        os.set_blocking(n, False)\n"
    assert verdict(sandbox, IDENTITY, f"assert f(1) == 1\n{stops}    except OSError:\n        pass").status == "PASS"
    worker = sandbox._pools[False].workers[0]
    starts = worker.starts
    assert verdict(sandbox, IDENTITY, "assert f(1) == 1").status == "PASS"
    assert worker.starts == starts
