"""Answers that ignore their arguments, and what the best of them passes."""

import pytest

from raccoon.published.benchmarks import load_benchmark
from raccoon.rewards.constant_answers import constant_passes, is_constant_answer
from raccoon.tasks.templates import generate_tasks

CONSTANT = [
    "def f(x):\n    return 2",
    "def f(x):\n    return True",
    "def f(x):\n    return None",
    "def f(x):\n    return",
    "def f(x):\n    return []",
    "def f(x):\n    return {'a': 1, 'b': [2]}",
    "def f(x):\n    return ''",
    "def f(x):\n    return -1.5",
    "def f(x):\n    return (0, 0)",
    "def f(x):\n    pass",
    "def f(x):\n    ...",
    'def f(x):\n    """Returns twice x."""',
    "def f(x):\n    return ...",
    "def f(x, *rest):\n    return [1, 2]",
    "def f(*args, **named):\n    return 0",
    "def f(self, x):\n    return 0",
    'def f(x: int, y: int = 3) -> int:\n    """Adds."""\n    return 0',
    "async def f(x):\n    return 0",
    "def f(x):\n    y = len(x)\n    return 2",
    "def f(x):\n    x = 5\n    return x",
    "def f(x):\n    y: int = 5\n    return y",
    "def f(x):\n    result = []\n    return result",
    "def f(x):\n    a, b = 1, 2\n    return b",
    "def f(x):\n    a = b = 1\n    return b",
    "def f(x):\n    y = 5\n    y += 1\n    return y",
    "def f(x):\n    y = x * 2 + 1\n    return 0",
    "def f(x):\n    return 2 + 3 * 4",
    "def f(x):\n    return [0] * 3",
    "def f(x):\n    return float('inf')",
    "def f(x):\n    return list(range(3))",
    "def f(x):\n    return ','.join(['a', 'b'])",
    "def f(x):\n    if not x:\n        return -1\n    return -1",
    "def f(x):\n    if x % 2 == 0:\n        return True\n    elif x[0].startswith('a'):\n        return True\n"
    "    else:\n        return True",
    "def f(x):\n    if False:\n        return x\n    return 1",
    "def f(x):\n    if 0:\n        x.sort()\n    return 1",
    "def f(x):\n    return 1\n    return x",
    "def f(x):\n    if True:\n        return 1\n    else:\n        return x",
    "def f(x):\n    while False:\n        return x\n    return 1",
    "def f(x):\n    while True:\n        return 1",
    "def f(x):\n    while True:\n        break\n    return 1",
    "def f(x):\n    for each in x:\n        if each > 3:\n            return 1\n    return 1",
    "def f(x):\n    for each in x:\n        pass",
    "def f(x):\n    total = 0\n    for each in x:\n        total += each\n    return 0",
    "def f(x):\n    found = []\n    for each in x:\n        found.append(each)\n    return None",
    "def f(x):\n    table = {}\n    for each in x:\n        table[each] = 1\n    return 3",
    "def f(x):\n    return True if x else True",
    "def f(x):\n    try:\n        return 0\n    except Exception:\n        return x",
    "def f(x):\n    try:\n        pass\n    finally:\n        return 0",
    "def f(x):\n    match x:\n        case 1:\n            return 0\n        case _:\n            return 0",
    "def f(x):\n    print('hello')",
    "def f(x):\n    def helper(y):\n        return y\n    return 7",
    "def f(x):\n    import math\n    return math.pi",
    "f = lambda x: 2",
    "f = lambda *x: None",
    "import math\ndef f(x):\n    total = math.pi\n    return total",
    "def g(x):\n    return x\ndef f(x):\n    return 0",
    "def g(x):\n    return 0\ndef f(x):\n    return g(x)",
    "def f(x):\n    return x\ndef f(x):\n    return 0",
    "@cache\ndef f(x):\n    return x\ndef f(x):\n    return 0",
]


@pytest.mark.parametrize("code", CONSTANT)
def test_answers_that_do_not_depend_on_their_arguments(code):
    assert is_constant_answer(code, "f")


OTHER = [
    "def f(x):\n    return x",
    "def f():\n    return 2",  # there is nothing to ignore
    "def f(x):\n    if x > 1:\n        return True\n    return False",
    "def f(x):\n    for each in x:\n        if each:\n            return True",  # else None
    "def f(x):\n    return [y for y in x]",
    "def f(x):\n    def g():\n        return x\n    return g()",
    "def f(x):\n    return lambda: x",
    "def f(x):\n    return locals()['x']",
    "def f(x):\n    return x == x",
    "def f(x):\n    if x:\n        x = 5\n    return x",
    "def f(x):\n    y = 0\n    for each in x:\n        y = each\n    return y",
    "def f(x):\n    found = []\n    for each in x:\n        found.append(each)\n    return found",
    "def f(x):\n    found = []\n    other = found\n    other.append(x)\n    return found",
    "def f(x):\n    found = other = []\n    other.append(x)\n    return found",
    "def f(x):\n    found = []\n    for each in x:\n        if not each:\n            return found\n"
    "        found.append(each)\n    return []",
    "def f(x: int",
    "def g(x):\n    return 2",  # another function
    "f = lambda x: x",
    "",
    # it works in place
    "def f(x):\n    x.sort()",
    "def f(x):\n    x.sort()\n    return None",
    "def f(x):\n    x[:] = sorted(x)\n    return None",
    "def f(x):\n    x[0], x[1] = x[1], x[0]",
    "def f(x):\n    x += [1]",
    "def f(x):\n    y = x\n    y += [1]\n    return None",
    "def f(x):\n    del x[0]",
    "def f(x, y):\n    x.value = y",
    "def f(x):\n    for row in x:\n        row.reverse()\n    return None",
    "def f(x):\n    random.shuffle(x)",
    "def f(x, y):\n    x.setdefault('a', []).append(y)",
    "def f(x):\n    heapq.heapify(x)\n    return None",
    "def f(grid):\n    for i in range(len(grid)):\n        for j in range(i):\n"
    "            grid[i][j], grid[j][i] = grid[j][i], grid[i][j]",
    "def f(node):\n    while node:\n        node.seen = True\n        node = node.next\n    return None",
    "class Node:\n    pass\ndef f(node):\n    node.next = node.next.next",
    # it raises, or returns always the same
    "def f(x):\n    if x < 0:\n        raise ValueError('negative')\n    return True",
    "def f(x):\n    if not isinstance(x, str):\n        raise TypeError\n    return None",
    "def f(x):\n    assert x > 0\n    return True",
    "def f(x):\n    int(x)\n    return True",
    "def f(x):\n    y = int(x)\n    return True",
    "def f(x):\n    y = 1 / x\n    return True",
    "def f(x):\n    x['key']\n    return True",
    "def f(x):\n    first = x[0]\n    return True",
    "def f(x):\n    a, b = x\n    return True",
    "def f(x):\n    raise NotImplementedError",
    "def f(x):\n    try:\n        json.loads(x)\n    except ValueError:\n        raise Invalid\n    return True",
    "def f(x):\n    try:\n        int(x)\n        return True\n    except ValueError:\n        return False",
    "def check(x):\n    if not x:\n        raise ValueError\ndef f(x):\n    check(x)\n    return True",
    # it has another effect
    "log = []\ndef f(x):\n    log.append(x)\n    return True",
    "count = 0\ndef f(x):\n    global count\n    count += 1\n    return count",
    "def f(x):\n    print(x)",
    "def f(x):\n    print('got', x)\n    return True",
    "def f(n):\n    for _ in range(n):\n        print('hello')",
    "def f(x):\n    if x:\n        print('yes')\n    else:\n        print('no')",
    "def f(path):\n    with open(path, 'w') as file:\n        file.write('x')\n    return True",
    "import sys\ndef f(x):\n    sys.stdout.write('x')",
    "def f(x):\n    return STATE",  # of the context
    "cache = {}\ndef f(x):\n    return cache",
    "def f(x):\n    x()\n    return True",
    "def f(x):\n    if x.pop():\n        return True\n    return True",
    "import random\ndef f(x):\n    return random.random()",
    # its answer is not what it returns
    "@singledispatch\ndef f(x):\n    return False\n@f.register\ndef _(x: int):\n    return True",
    "@functools.lru_cache\ndef f(x):\n    return 2",
    "@contextmanager\ndef f(x):\n    yield 2",
    "def f(x):\n    return 2\nf = counted(f)",
    "def f(x):\n    yield x\n    return 2",
    "def f(x):\n    yield 1",
    "def f(x):\n    yield from ()",
    "async def f(x):\n    await x\n    return 1",
    "def f(n):\n    return 1 if n == 0 else f(n - 1)",
    "def f(n):\n    if n:\n        f(n - 1)\n    return 1",
    "class f:\n    def method(self, x):\n        return 2",
    "class Solution:\n    def f(self, x):\n        return 2\nf = Solution().f",
    "class Base:\n    def f(self, x):\n        pass",
    "class Base(ABC):\n    @abstractmethod\n    def f(self, x):\n        ...",
    "class Shape:\n    @property\n    def f(self):\n        return 4",
    "if True:\n    def f(x):\n        return 2\nelse:\n    def f(x):\n        return x",
    "def f(x):\n    return 2\nif DEBUG:\n    def f(x):\n        return x",
    "def f(x):\n    total = " + "+".join(["x"] * 3000) + "\n    return 2",  # too deep to tell
]


@pytest.mark.parametrize("code", OTHER)
def test_answers_that_may_depend_on_them(code):
    assert not is_constant_answer(code, "f")


@pytest.mark.parametrize(
    "part",
    [
        "    a{0} = 1\n",
        "    if x == {0}:\n        y{0} = x\n",
        "    g{0}(x)\n",
        "    y = [x] if x else [y for y in x]\n",
    ],
)
def test_long_code_is_read_in_bounded_time(part):
    """Exponential time would be years."""
    lines = "".join(part.format(number) for number in range(90_000 // len(part)))
    is_constant_answer(f"def f(x):\n{lines}    return 2", "f")
    helpers = "def g0(x):\n    return 0\n" + "".join(
        f"def g{n}(x):\n    return g{n - 1}(x) if x else g{n - 1}(x)\n" for n in range(1, 60)
    )
    is_constant_answer(f"{helpers}def f(x):\n    return g59(x)", "f")


def test_a_helper_counts_by_what_it_returns():
    assert is_constant_answer("def g(x):\n    return 0\ndef h(x):\n    return g(x)\ndef f(x):\n    return h(x)", "f")
    assert not is_constant_answer("def g(x):\n    return x\ndef f(x):\n    return g(x)", "f")
    assert not is_constant_answer("def g(x):\n    return f(x)\ndef f(x):\n    return g(x)", "f")


def test_without_an_entry_point_the_last_function_counts():
    assert is_constant_answer("def g(x):\n    return x\ndef h(x):\n    return 2", "")
    assert not is_constant_answer("def h(x):\n    return 2\ndef g(x):\n    return x", "")


@pytest.mark.parametrize(
    ("test", "passes"),
    [
        ("assert f(1) == 2\nassert f(3) == 4\nassert f(0) == 2", 2),
        ("assert f(1)\nassert f(2) == True\nassert not f(3)\nassert f(4) is True", 3),
        ("assert f([1]) == [1]\nassert f([2]) == [2]", 1),
        ("assert set(f([1])) == {1}\nassert set(f([1, 1])) == {1}", 2),
        ("def check(candidate):\n    assert candidate(1) == 0\n    assert candidate(2) == 0", 2),
        ("for x in (1, 2):\n    assert f(x) == x", 0),
        ("assert 1 == 1", 0),
        ("f(1", 0),
    ],
)
def test_what_the_best_constant_passes(test, passes):
    assert constant_passes(test, "f") == passes


def test_no_solution_of_the_templates_is_constant():
    tasks = generate_tasks(100, 0, "train")
    assert not [task.task_id for task in tasks if is_constant_answer(task.solution, task.entry_point)]


@pytest.mark.parametrize("name", ["humaneval", "mbpp", "mbpp_full", "leetcode"])
def test_no_published_solution_is_constant(data_dir, name):
    tasks = load_benchmark(name, data_dir)
    assert [task.task_id for task in tasks if is_constant_answer(task.solution, task.entry_point)] == []
