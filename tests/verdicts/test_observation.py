"""What a test's text says: whether it can tell copies from objects, what it reads as it was, what it leaves behind."""

import pytest

from raccoon.test_texts.test_programs import KEEP, KEPT, analyse

CHECK = "def check(candidate):\n{}\ncheck(f)"
TREE = "class TreeNode:\n    def __init__(self, val=0):\n        self.val = val\n"
COPIES_WILL_DO = [
    "assert f([1, 2]) == [2, 1]",
    "assert f(1) == 2\nassert f([2]) == 3",
    "assert f([1], key=(2, [3])) is None",
    "assert f(1) is True",
    CHECK.format("    assert candidate([1]) == [1]\n    assert candidate([2]) == [2]"),
    "x = f([1])\nassert x == [1]",
    "r = f([1])\nassert len(r) == 1 and r[0] == 1",
    "xs = [1, 2]\nassert f(xs) == 3",
    "for x, y in [([1], 1), ([2], 2)]:\n    assert f(x) == y",
    "for i, x in enumerate([[1], [2]]):\n    assert f(x) == i",
    "table = [([1], 1)]\nfor x, y in table:\n    assert f(x) == y",
    "assert sorted(f([1])) == [1]",
    "assert abs(f([1.0]) - 1) < 1e-6",
    "assert f([1]) == 2, f'wrong'",
    "import math\nassert math.isclose(f([1]), 1)",
]
COPIES_CAN_BE_TOLD = [
    "xs = [1]\nassert f(xs) is xs",
    "xs = [1]\nassert f(xs) is not xs",
    "xs = [1]\nf(xs)\nassert xs == [2]",
    "xs = [1]\nassert f(xs) == [1] and xs == [1]",
    "xs = [1]\nr = f(xs)\nxs.append(2)\nassert r == [1]",
    "g = f(2)\ng[0][0] = 1\nassert g[1][0] == 0",
    "g = f(2)\ng.append(1)\nassert g == [1]",
    "g = f(2)\ng += [1]\nassert g == [1]",
    "g = f(2)\ndel g[0]\nassert g == []",
    "a = f(1)\nb = f(1)\nassert a == b",
    "assert f(1) == f(1)",
    "assert id(f(1)) != id(f(1))",
    "a, b = f(1), f(2)\nassert a != b",
    "r = [f(x) for x in range(3)]\nassert r == [[0], [1], [2]]",
    "assert all(f(x) == x for x in range(3))",
    "xs = [1]\nfor _ in range(2):\n    assert f(xs) == 1",
    "for xs in ([1], [2]):\n    f(xs)\n    assert xs == []",
    "data = [[1], [2]]\nfor xs in data:\n    f(xs)\nassert data == [[], []]",
    "xs = [1]\nassert f(xs, xs) == 2",
    "row = [0]\nassert f([row, row]) == 2",
    "h = []\nput(h, 1)\nassert take(h) == 1",
    "s = Stack()\ns.push(1)\nassert s.top() == 1",
    "assert list(map(f, [[1], [2]])) == [1, 2]",
    "a = f(2)\nb = a(3)\nassert a(4) == 5 and b == [1]",
    "def helper(xs):\n    return f(xs)\nxs = [1]\nassert helper(xs) == 1\nassert xs == [1]",
    "def check(candidate):\n    xs = [1]\n    candidate(xs)\n    assert xs == [2]\ncheck(f)",
    "while f([1]):\n    pass",
    "assert (x := f([1])) and f(x)",
    "x = f([1])\nf(x)\nassert x == [1]",
    "try:\n    x = f([1])\nfinally:\n    assert f(1)\nassert x == [1]",
]


@pytest.mark.parametrize("test", COPIES_WILL_DO)
def test_copies_will_do(test):
    assert not analyse(test, "", "f").tracks


@pytest.mark.parametrize("test", COPIES_CAN_BE_TOLD)
def test_copies_can_be_told_from_objects(test):
    assert analyse(test, "", "f").tracks


def test_structures_of_the_context_are_tracked():
    assert analyse("assert f(1) == 2", TREE, "f").tracks


# --- arguments as they were before the call ---------------------------------------------------------------------------

READ_BEFORE = [
    "xs = [3, 1]\nassert f(xs) == sorted(xs)",
    "xs = [3, 1]\nassert sorted(xs) == f(xs)",
    "xs = [3, 1]\nr = f(xs)\nassert r == sorted(xs)",
    "xs = [3, 1]\nassert f(xs) == [x for x in xs]",
    "xs = [3, 1]\nassert f(xs=xs) == xs[::-1]",
    "xs = [3, 1]\nassert abs(poly(xs, f(xs))) < 1e-6",
    "def check(candidate):\n    xs = [3, 1]\n    assert candidate(xs) == sum(xs)\ncheck(f)",
]
READ_NOW = [
    "xs = [3, 1]\nf(xs)\nassert xs == [1, 3]",
    "xs = [3, 1]\nf(xs)\nassert xs == sorted([3, 1])",
    "xs = [3, 1]\nassert f(xs) is xs",
    "xs = [3, 1]\nk = f(xs)\nassert xs[:k] == [1]",
    "xs = [3, 1]\nk = f(xs)\nassert len(xs) == k",
    "xs = [3, 1]\nassert f(xs) == 1\nassert xs == [1]",
    "xs = [3, 1]\nr = f(xs)\nxs.append(1)\nassert r == sorted(xs)",
    "xs = [3, 1]\nr = f(xs)\nxs[0] = 1\nassert r == sorted(xs)",
]


@pytest.mark.parametrize("test", READ_BEFORE)
def test_expected_values_come_from_the_argument_as_it_was(test):
    names = set(analyse(test, "def poly(xs, x): return x", "f").code.co_names)
    inner = [code for code in analyse(test, "", "f").code.co_consts if hasattr(code, "co_names")]
    names = names.union(*(code.co_names for code in inner))
    assert {KEEP, KEPT} <= names


@pytest.mark.parametrize("test", READ_NOW)
def test_arguments_are_read_as_the_code_has_left_them(test):
    assert not {KEEP, KEPT} & set(analyse(test, "", "f").code.co_names)


# --- effects ----------------------------------------------------------------------------------------------------------

HARMLESS = [
    "assert f(1) == 2",
    "import math, json, re, itertools\nassert math.isclose(f(1), 2) and json.dumps(f(2)) and re.match('a', f(3))",
    "from collections import Counter, deque\nassert Counter(f(1)) == Counter('a')",
    "from decimal import Decimal\nassert f(1) == Decimal('1')",
    "import numpy as np\nassert np.allclose(f(1), [1])",
    "import pytest\nwith pytest.raises(ValueError):\n    f(1)",
    "import random\nrandom.seed(3)\nassert f(1) == 2",
    "import os\nassert f(os.path.join('a', 'b')) == 'a' + os.sep + 'b'",
    "import sys\nassert f(1) < sys.maxsize",
    "import io\nassert f(io.StringIO('a')) == 1",
    "def g():\n    n = 0\n    def h():\n        nonlocal n\n        n += 1\n    h()\n    assert f(n)\ng()",
    "class T:\n    def __eq__(self, other):\n        return True\nassert f(1)",
]
# They may leave something behind in the process of the test, but the code would not see it in the same process.
FORKED = [
    "total = 1\ndef g():\n    global total\n    total = f(1)\ng()",
    "vars(f)\nassert f(1)",
    "setattr(int, 'a', 1)\nassert f(1)",
    "exec('x = 1')\nassert f(1)",
    "eval('1')\nassert f(1)",
    "getattr(int, 'x', 0)\nassert f(1)",
    "import scipy\nassert f(1)",
    "import nosuchmodule_xyz\nassert f(1)",
    "from json import *\nimport ctypes\nassert f(1)",
    "import atexit\natexit.register(f)\nassert f(1)",
    "assert f(1).__class__.__subclasses__()",
    "__builtins__['len'] = 1\nassert f(1)",
    "import numpy.lib.format\nassert f(1)",
]
BESIDE_THE_CODE = [
    "import decimal\ndecimal.getcontext().prec = 3\nassert f(1)",
    "import sys\nsys.setrecursionlimit(60)\nassert f(1)",
    "import math\nmath.pi = 3\nassert f(1)",
    "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nassert f(1)",
    "import os\nos.environ['A'] = '1'\nassert f(1)",
    "from os import environ\nenviron['A'] = '1'\nassert f(1)",
    "import os as o\no.chdir('/')\nassert f(1)",
    "with open('x', 'w') as file:\n    file.write('a')\nassert f('x')",
    "import json\njson.dumps = len\nassert f(1)",
    "import builtins\nbuiltins.len = 1\nassert f(1)",
    "import random\nrandom.seed(3)\nassert f(1) == random.random()",
    "import numpy as np\nnp.random.seed(3)\nassert f(1) == np.random.rand()",
    "import numpy as np\nnp.seterr(all='raise')\nassert f(1)",
    "import warnings\nwarnings.simplefilter('error')\nassert f(1)",
    "import pytest\nwith pytest.warns(UserWarning):\n    f(1)",
    "import tempfile\nassert f(tempfile.mkdtemp())",
    "import pathlib\npathlib.Path('x').write_text('a')\nassert f('x')",
    "import subprocess\nassert f(1)\nsubprocess.run('ls')",
    "from concurrent.futures import ThreadPoolExecutor\nassert ThreadPoolExecutor().submit(f, 1).result()",
    "from multiprocessing.pool import ThreadPool\nassert ThreadPool(2).map(f, [1])",
    "import doctest\ndoctest.run_docstring_examples(f, {'f': f})",
    "import threading\nthreading.Thread(target=f).start()\nassert f(1)",
    "import locale\nlocale.setlocale(0, 'C')\nassert f(1)",
    "import gc\ngc.disable()\nassert f(1)",
    "import os.path\nassert f(os.path.exists('x'))",
]


def kind(test: str) -> str:
    found = analyse(test, "", "f")
    return "shared" if found.shared else "harmless" if found.harmless else "fork"


@pytest.mark.parametrize(
    "tests, expected",
    [(HARMLESS, "harmless"), (FORKED, "fork"), (BESIDE_THE_CODE, "shared")],
    ids=["harmless", "fork", "shared"],
)
def test_what_a_test_leaves_behind(tests, expected):
    assert {test: kind(test) for test in tests} == dict.fromkeys(tests, expected)


def test_a_context_that_leaves_something_behind_counts():
    assert not analyse("assert f(1)", "import sys\nsys.setrecursionlimit(60)", "f").harmless
