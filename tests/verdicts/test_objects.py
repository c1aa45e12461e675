"""Objects of the code's own classes: what a test may ask them, and that none of their answers is a lie."""

import pytest

from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox

PAIR = """
class Pair:
    def __init__(self, a):
        self.a = a

    def __lt__(self, other):
        return self.a < other.a

    def __sub__(self, other):
        return self.a - getattr(other, "a", other)

    def itself(self):
        return self

    def startswith(self, text):
        return True

    def parts(self):
        return Pair([1, 2])

    def __iter__(self):
        return iter(self.a)

    def run(self, action):
        return action(1)

    def start(self, at):
        return at
"""
# name: what a test asks of PAIR, the verdict's status and isolation
ASKED = {
    "operator_of_a_made_instance": ("assert Pair(5) - 2 == 3", "PASS", "separate"),
    "operator_of_two_results": ("p = Pair(5)\nassert p.itself() - p.itself() == 0", "PASS", "separate"),
    "operator_of_a_result": ("assert Pair(5).itself() - 2 == 3", "FAIL", "separate"),
    "query_of_a_made_instance": ("assert Pair(5).startswith('a')", "PASS", "separate"),
    "query_of_a_result": ("assert Pair(5).itself().startswith('a')", "FAIL", "separate"),
    "method_of_a_result_named_like_data": ("assert Pair(5).itself().start(2) == 2", "PASS", "separate"),
    "result_that_equals_nothing": ("assert Pair(5).itself() == 5", "PARTIAL", "separate"),
    "items_of_a_result": ("p = Pair(1).parts()\nassert list(p) == [1, 2] and 2 in p", "PASS", "separate"),
    "made_instance_looked_for": ("p = Pair(1)\nassert [p].index(p) == 0", "PASS", "separate"),
    "made_instance_copied": ("import copy\nassert copy.copy(Pair(3)).a == 3", "PASS", "shared"),
    "method_handed_over": ("p = Pair(3)\nassert p.run(p.startswith)", "PASS", "separate"),
    "class_handed_over": ("assert Pair(3).run(Pair).a == 1", "PASS", "separate"),
    "function_handed_over": ("assert Pair(3).run(lambda x: x) == 1", "PASS", "separate"),
    "attribute_set": ("p = Pair(3)\np.a = [1]\np.a.append(2)\nassert list(p) == [1, 2]", "PASS", "separate"),
    "inner_list_changed": ("p = Pair([1])\np.a.append(2)\nassert list(p.itself()) == [1, 2]", "PASS", "separate"),
    "sorted": ("assert [p.a for p in sorted([Pair(2), Pair(1)])] == [1, 2]", "PASS", "separate"),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1, timeout=5) as box:
        yield box


def judged(sandbox: Sandbox, code: str, test: str, entry_point: str = "f", context: str = ""):
    [verdict] = sandbox.run([Program(code, test, entry_point, context)])
    return verdict


@pytest.mark.parametrize("name", list(ASKED))
def test_what_may_be_asked_of_an_object(sandbox, name):
    test, *expected = ASKED[name]
    verdict = judged(sandbox, PAIR, test)
    assert [verdict.status, verdict.isolation] == expected, verdict


# An object that f returns, and a test that plain Python passes because the object lies
LIES = {
    "property alternates": ("v = property(lambda self: turn() % 2 * 9)", "r = f()\nassert r.v > 5\nassert r.v < 5"),
    "attribute alternates": (
        "__getattr__ = lambda self, name: turn() % 2 * 9",
        "r = f()\nassert r.v > 5\nassert r.v < 5",
    ),
    "len alternates": ("__len__ = lambda self: turn()", "r = f()\nassert len(r) > 0\nassert len(r) > 1"),
    "text alternates": ("__str__ = lambda self: str(turn())", "r = f()\nassert '1' in str(r)\nassert '2' in str(r)"),
    "items alternate": ("__iter__ = lambda self: iter([turn()])", "r = f()\nassert max(r) == 1\nassert max(r) == 2"),
    "item is no item": ("__iter__ = lambda self: iter([1])\n    __getitem__ = lambda self, i: 7", "assert f()[0] == 7"),
    "contains everything": (
        "__iter__ = lambda self: iter([1])\n    __contains__ = lambda self, x: True",
        "assert 7 in f()",
    ),
    "contains without items": ("__contains__ = lambda self, x: True", "assert 7 in f()"),
    "equals everything": ("__eq__ = lambda self, other: True", "assert f() == 7"),
    "equals from the right": ("__eq__ = lambda self, other: True", "assert 7 == f()"),
    "equals in a list": ("__eq__ = lambda self, other: True", "assert [7] == [f()] and 7 in [f()]"),
    "is smaller than everything": ("__lt__ = __le__ = lambda self, other: True", "assert f() < 7"),
    "subtracts to nothing": ("__sub__ = __rsub__ = lambda self, other: 0", "assert abs(f() - 7) < 1"),
    "method of a text": ("startswith = lambda self, text: True", "assert f().startswith('a')"),
    "method of a list": ("index = lambda self, item: 0", "assert f().index(7) == 0"),
}
TURN = "turns = [0]\ndef turn():\n    turns[0] += 1\n    return turns[0]\n"


@pytest.mark.parametrize("name", LIES)
def test_no_object_lies(sandbox, name):
    body, test = LIES[name]
    verdict = judged(sandbox, f"{TURN}class R:\n    {body}\ndef f(): return R()\n", test)
    assert verdict.status in ("FAIL", "PARTIAL"), verdict


# An honest object that f returns, and a test
HONEST = {
    "changes between calls": (
        "def go(self): self.n = 5\n    n = 1",
        "r = f()\nassert r.n == 1\nr.go()\nassert r.n == 5",
    ),
    "counts its reads": ("v = property(lambda self: turn())", "r = f()\nassert r.v == 1\nassert r.v == 2"),
    "passes with time": (
        "v = property(lambda self: __import__('time').perf_counter())",
        "r = f()\nassert r.v > 0 and r.v > 0",
    ),
    "has items": (
        "__iter__ = lambda self: iter([1, 2])",
        "r = f()\nassert list(r) == [1, 2]\nassert sum(r) == 3 and 2 in r",
    ),
    "can be entered": (
        "__enter__ = lambda self: self\n    def __exit__(self, *a): self.done = a[0] is None",
        "r = f()\nwith r as same:\n    assert same is r\nassert r.done",
    ),
    "can be called": ("__call__ = lambda self, x: x + 1", "assert f()(2) == 3"),
    "has a class attribute": ("LIMIT = [1]", "r = f()\nr.LIMIT.append(2)\nassert f().LIMIT == [1, 2]"),
    "is of its class": ("pass", "assert isinstance(f(), R) and not isinstance(5, R)"),
    "has a name": ("pass", "assert type(f()).__name__ == 'R' and R.__name__ == 'R'"),
    "keeps what it is given": (
        "def put(self, x): self.x = x",
        "r, xs = f(), []\nr.put(xs)\nxs.append(1)\nassert r.x is xs",
    ),
    "iterates on itself": (
        "n = 0\n    __iter__ = lambda self: self\n    def __next__(self):\n        self.n += 1\n"
        "        if self.n > 2: raise StopIteration\n        return self.n",
        "r = f()\nassert next(r) == 1 and list(r) == [2]",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_object_is_what_it_is(sandbox, name):
    body, test = HONEST[name]
    verdict = judged(sandbox, f"{TURN}class R:\n    {body}\ndef f(): return R()\n", test)
    assert verdict.status == "PASS", verdict


BASES = """list dict set int str tuple float bytes frozenset collections.UserDict collections.UserList collections.deque
collections.OrderedDict collections.Counter""".split()


@pytest.mark.parametrize("base", BASES)
def test_methods_of_a_subclass_can_be_called(sandbox, base):
    body = "extra = 5\n    def same(self): return self\n    def bare(self): return self.extra"
    code = f"import collections\nclass R({base}):\n    {body}\ndef f(): return R()\n"
    verdict = judged(sandbox, code, "r = f()\nassert r.same() is r and r.bare() == 5 and r.extra == 5 and not r")
    assert (verdict.status, verdict.isolation) == ("PASS", "separate"), verdict


@pytest.mark.parametrize("body, test", [
    ("class R(list):\n    def __len__(self): return 9", "assert len(f()) == 9"),
    ("class R(list):\n    def __getitem__(self, i): return 9", "assert f()[0] == 9"),
    ("class R(dict):\n    def __getitem__(self, i): return 9", "assert R and f()[1] == 9"),
    ("class R(list):\n    def __iter__(self): return iter([9])", "assert sum(f()) == 9"),
    ("class R(int):\n    def __bool__(self): return True", "assert f()"),
    ("class R(int):\n    def __lt__(self, other): return True\n    __gt__ = __ge__ = __le__ = __lt__", "assert f() > 9"
        ),
    ("class R(int):\n    def __sub__(self, other): return 0\n    __rsub__ = __sub__", "assert abs(f() - 9) < 1"),
    ("class R(str):\n    def __contains__(self, other): return True", "assert 'nine' in f()"),
])  # fmt: skip
def test_subclass_gives_the_answers_of_its_plain_class(sandbox, body, test):
    code = f"{body}\ndef f(): return R({{1: 2}} if R.__base__ is dict else [1] if R.__base__ is list else 0)\n"
    assert judged(sandbox, code, test).status in ("FAIL", "PARTIAL")


def test_default_for_missing_keys_counts(sandbox):
    code = "class R(dict):\n    def __missing__(self, key): return key * 2\ndef f(): return R({1: 1})\n"
    assert judged(sandbox, code, "r = f()\nassert r[1] == 1 and r[4] == 8").status == "PASS"


@pytest.mark.parametrize("base, operator, test", [
    ("int", "__radd__ = lambda self, other: other + int(self)", "3 + f() == 8 and sum([f(), f()]) == 10"),
    ("int", "__rsub__ = lambda self, other: other - int(self)", "3 - f() == -2"),
    ("str", "__rmul__ = lambda self, other: other * str(self)", "3 * f() == '555'"),
])  # fmt: skip
def test_subclass_may_have_operators_from_the_right(sandbox, base, operator, test):
    code = f"class R({base}):\n    {operator}\ndef f(): return R(5)\n"
    assert judged(sandbox, code, f"assert {test}").status == "PASS"


# --- functions of the test that the code calls ------------------------------------------------------------------------

CALLBACKS = {
    "called": ("def f(g): return g(2)", "assert f(lambda x: x + 1) == 3"),
    "by keyword": ("def f(g): return g(2)", "assert f(g=lambda x: x + 1) == 3"),
    "with keywords": ("def f(g): return g(2, k=3)", "def g(x, *, k): return x + k\nassert f(g) == 5"),
    "as a key": ("def f(xs, g): return sorted(xs, key=g)", "assert f([3, 1, 2], lambda x: -x) == [3, 2, 1]"),
    "builtin": ("def f(g): return g([1, 2])", "assert f(sum) == 3 and f(len) == 2 and f(str.__len__ and max) == 2"),
    "changes a list": (
        "def f(xs, g):\n    g(xs)\n    return xs",
        "xs = [1]\nassert f(xs, lambda x: x.append(2)) is xs == [1, 2]",
    ),
    "remembers": ("def f(g): return [g(1), g(2)]", "seen = []\nf(seen.append)\nassert seen == [1, 2]"),
    "raises": (
        "def f(g):\n    try: g()\n    except KeyError as error: return error.args[0]",
        "def g(): raise KeyError('k')\nassert f(g) == 'k'",
    ),
    "raises through": (
        "def f(g): return g()",
        "def g(): raise KeyError('k')\ntry:\n    f(g)\nexcept KeyError as error:\n"
        "    assert error.args == ('k',)\nelse:\n    assert False",
    ),
    "calls the code": ("def f(g, n): return g(n) if n else 0", "assert f(lambda n: f(lambda m: m, n - 1) + 1, 3) == 3"),
    "is decorated": (
        "def f(g):\n    def inner(*a): return g(*a) * 2\n    return inner",
        "@f\ndef g(x): return x + 1\nassert g(2) == 6",
    ),
    "keeps its name": (
        "import functools\ndef f(g):\n    @functools.wraps(g)\n    def inner(*a): return g(*a)\n    return inner",
        "@f\ndef g(x):\n    'text'\n    return x\nassert g.__name__ == 'g' and g.__doc__ == 'text' and g(1) == 1",
    ),
    "handed back": ("def f(g): return g", "g = lambda: 1\nassert f(g) is g"),
    "iterator": ("def f(xs): return next(xs)", "it = iter([1, 2, 3])\nassert f(it) == 1 and next(it) == 2"),
    "generator": ("def f(xs): return sum(xs)", "assert f(n * n for n in range(4)) == 14"),
    "many calls": ("def f(g): return sum(map(g, range(500)))", "assert f(lambda x: x) == 124750"),
    "gets objects": ("class P:\n    n = 3\ndef f(g): return g(P())", "assert f(lambda p: p.n) == 3"),
    "returned": ("def f(a): return lambda b: a + b", "assert f(1)(2) == 3"),
    "in a dict": ("def f(): return {'add': lambda a, b: a + b}", "assert f()['add'](1, 2) == 3"),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_functions_cross_both_ways(sandbox, name):
    code, test = CALLBACKS[name]
    verdict = judged(sandbox, code, test)
    assert (verdict.status, verdict.isolation) == ("PASS", "separate"), verdict


@pytest.mark.parametrize("code", [
    "def f(g): return g(3)", "def f(g): raise ValueError",
        "def f(g):\n    try: g(1)\n    except BaseException: pass\n    return 3",
    "import os\ndef f(g):\n    g(1)\n    os._exit(0)", "def f(g):\n    while True: g(1)",
])  # fmt: skip
def test_callback_does_not_help_wrong_code(code):
    with Sandbox(workers=1, timeout=1) as box:
        verdict = judged(box, code, "def g(x):\n    assert x == 2\n    return 3\nassert f(g) == 4")
    assert verdict.status in ("FAIL", "PARTIAL"), verdict


# --- exceptions -------------------------------------------------------------------------------------------------------

ERRORS = """Stop = StopIteration
class E(Exception):
    def __init__(self, a, code=3):
        super().__init__(a)
        self.code = code
    def __str__(self): return 'E:' + str(self.args[0])
class F(E, KeyError): pass
class G(F): pass
class H(ValueError, E): pass
def f(what):
    if what == "cause": raise ValueError('v') from E('behind')
    if what == "context":
        try: [][1]
        except IndexError: raise E('a')
    error = eval(what)
    if isinstance(error, BaseException): raise error
    return error
"""
# what f raises, the class that the test catches, what it says of the error
RAISED = [
    ("E('a')", "E", "str(e) == 'E:a' and e.args == ('a',) and e.code == 3 and type(e) is E"),
    ("F('b', 9)", "KeyError", "e.code == 9 and isinstance(e, E) and not isinstance(e, G)"),
    ("G('b')", "F", "str(e) == 'E:b' and type(e).__name__ == 'G'"),
    ("H('b')", "ValueError", "isinstance(e, E) and isinstance(e, H)"),
    ("StopIteration(5)", "StopIteration", "e.value == 5"),
    ("SystemExit(4)", "SystemExit", "e.code == 4"),
    ("KeyboardInterrupt()", "KeyboardInterrupt", "True"),
    ("GeneratorExit()", "GeneratorExit", "True"),
    ("BaseException('x')", "BaseException", "type(e) is BaseException"),
    ("OSError(2, 'no', 'a.txt')", "FileNotFoundError", "(e.errno, e.filename) == (2, 'a.txt')"),
    ("UnicodeDecodeError('utf-8', b'x', 0, 1, 'bad')", "UnicodeError", "e.reason == 'bad' and e.object == b'x'"),
    ("KeyError((1, [2]))", "LookupError", "e.args == ((1, [2]),)"),
    ("__import__('json').JSONDecodeError('m', 'doc', 1)", "ValueError", "e.pos == 1 and 'm' in str(e)"),
    ("AssertionError('mine')", "AssertionError", "str(e) == 'mine'"),
    ("__import__('subprocess').CalledProcessError(3, 'ls')", "Exception", "e.returncode == 3"),
    ("cause", "ValueError", "isinstance(e.__cause__, E) and str(e.__cause__) == 'E:behind'"),
    ("context", "E", "type(e.__context__) is IndexError and e.__cause__ is None"),
]


@pytest.mark.parametrize("what, caught, says", RAISED)
def test_exception_of_the_code_is_what_the_test_catches(sandbox, what, caught, says):
    for test in (
        f"try:\n    f({what!r})\nexcept {caught} as e:\n    assert {says}\nelse:\n    assert False",
        f"import pytest\nwith pytest.raises({caught}) as info:\n    f({what!r})\ne = info.value\nassert {says}",
    ):
        verdict = judged(sandbox, ERRORS, test)
        assert (verdict.status, verdict.isolation) == ("PASS", "separate"), verdict
    silent = judged(sandbox, ERRORS, test.replace(repr(what), "'0'"))
    assert silent.status == "FAIL" and silent.kind == "exception", silent


@pytest.mark.parametrize(
    "what",
    ["SystemExit(0)", "SystemExit(1)", "KeyboardInterrupt()", "GeneratorExit()", "Stop()", "BaseException()", "E('a')"],
)
@pytest.mark.parametrize("test", [
    "try:\n    f({})\nexcept ValueError:\n    pass\nassert True", "f({})", "for _ in range(2):\n    f({})",
    "assert [f({}) for _ in range(2)] == []", "assert list(map(f, [{}])) == []",
])  # fmt: skip
def test_exception_that_the_test_does_not_expect(sandbox, what, test):
    if what == "Stop()" or not test.startswith("assert"):
        verdict = judged(sandbox, ERRORS, test.format(repr(what)))
        assert (verdict.status, verdict.kind) == ("FAIL", "exception"), verdict


# --- pytest -----------------------------------------------------------------------------------------------------------

OUTCOMES = [  # a test of `def f(x): return x`, its status
    ("import pytest\nwith pytest.raises(ValueError):\n    f(1)", "FAIL"),
    ("import pytest\nwith pytest.raises(ValueError):\n    f(1)\nassert f(1) == 1", "FAIL"),
    ("import pytest\nassert f(1) == 1\npytest.skip('enough')", "PASS"),
    ("import pytest\nassert f(1) == 2\npytest.skip('enough')", "PARTIAL"),
    ("import pytest\nif f(1) == 1:\n    pytest.skip('the code decides')\nassert f(1) == 2", "FAIL"),
    ("import pytest\nif f(1) != 2:\n    pytest.fail('not two')", "FAIL"),
    ("import pytest\nassert f(0) == pytest.approx(1e-13)", "PASS"),
    ("import pytest\nassert f(1) == pytest.approx(1.1)", "PARTIAL"),
    ("import sys\nassert f(1) == 1\nsys.exit(0)", "PASS"),
    ("import sys\nassert f(1) == 1\nsys.exit(1)", "FAIL"),
]


@pytest.mark.parametrize("test, status", OUTCOMES)
def test_outcomes_that_are_no_exceptions(sandbox, test, status):
    verdict = judged(sandbox, "def f(x): return x", test)
    assert verdict.status == status, verdict


# --- texts of errors --------------------------------------------------------------------------------------------------

ODD = """import os, time
class Odd:
    def __repr__(self): {}
    __str__ = __format__ = __repr__
def f(x): return Odd()
"""
ENDINGS = [
    "os._exit(0)",
    "os.kill(os.getpid(), 9)",
    "time.sleep(99)",
    "[0 for _ in iter(int, 1)]",
    "return 5",
    "raise SystemExit",
    "return 'five'",
]
WITH_TEXTS = [
    "name = {5: 'five'}[f(1)]\nassert name == 'five'",
    "assert [].index(f(1)) == 0",
    "assert f(1) == 5, f(1)",
    "assert False, f'{f(1)}'",
    "raise ValueError(f(1))",
    "int(f(1))\nassert True",
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_text_of_an_error_is_no_way_out(ending):
    with Sandbox(workers=1, timeout=0.5) as box:
        for test in WITH_TEXTS:
            verdict = judged(box, ODD.format(ending), test)
            assert verdict.status in ("FAIL", "PARTIAL"), (test, verdict)
