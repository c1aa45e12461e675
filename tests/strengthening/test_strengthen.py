"""New tests: which inputs are made, whose results count, what is chosen, and which tasks stay as they were."""

import ast
import json
import random
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from helpers.reward_doubles import TABLE, Tokenizer, ids
from raccoon.records import Program
from raccoon.rewards.execution import Chat, ExecutionReward, RewardTable
from raccoon.rewards.training_tasks import stronger_tasks
from raccoon.sandbox.pool import Sandbox
from raccoon.strengthening.both_verdicts import given_statuses
from raccoon.strengthening.given import common_form, given_calls
from raccoon.strengthening.inputs import new_inputs
from raccoon.strengthening.stored import strengthen_all
from raccoon.strengthening.strengthen import MARK, Known, given_test, results_like, strengthen
from raccoon.tasks.task import Task


@pytest.fixture(scope="module")
def boxes():
    with Sandbox(2, timeout=20) as first, first.like(1) as second:
        yield first, second


def make_task(solution: str, *asserts: str, **more) -> Task:
    name = re.findall(r"def (\w+)", solution)[-1]
    return Task(name, "Write it.", "\n".join(asserts) + "\n", name, solution=solution, **more)


SHARED = make_task(
    "def shared(a, b):\n    return [x for x in a if x in b]\n",
    "assert shared([1, 2, 3], [2, 3, 4]) == [2, 3]",
    "assert shared([5, 6], [7, 6]) == [6]",
)
LAST = make_task(
    "def last(words):\n    return sorted(words)[-1]\n",
    "assert last(['b', 'a']) == 'b'",
    "assert last(['x', 'y']) == 'y'",
)


def inputs_like(given: list[tuple], number: int, prompt: str = "") -> list[tuple]:
    return [values for _, values in new_inputs(given, prompt, number, random.Random(0))]


def new_asserts(task: Task) -> list[ast.Assert]:
    tree = ast.parse(task.test[task.test.index(MARK) :])
    return [node for node in tree.body if isinstance(node, ast.Assert)]


def test_new_tests_fail_what_the_given_ones_let_pass(boxes):
    found = strengthen([SHARED, LAST], boxes, 15)
    assert [each.added for each in found] == [15, 15]
    first = Program.of(found[1].task, "def last(words):\n    return words[-1] if words[-1] > 'x' else words[0]\n")
    longer = Program.of(found[0].task, "def shared(a, b):\n    return [x for x in a[-2:] if x in b]\n")
    gold = [Program.of(each.task, each.task.solution) for each in found]
    weak = [
        replace(program, test=given_test(each.task.test)) for program, each in zip((longer, first), found, strict=True)
    ]
    verdicts = boxes[0].run([first, longer, *gold, *weak])
    assert [verdict.status for verdict in verdicts] == ["PARTIAL", "PARTIAL", "PASS", "PASS", "PASS", "PASS"]
    assert all(verdict.isolation == "separate" for verdict in verdicts)


def test_the_given_test_comes_first_and_is_kept(boxes):
    [found] = strengthen([SHARED], boxes, 3)
    assert found.task.test.startswith(SHARED.test) and given_test(found.task.test) == SHARED.test
    assert given_test(SHARED.test) == SHARED.test
    assert json.loads(found.task.origin) == {"new_tests": {"version": 2, "seed": 0, "number": 3}}
    assert len(new_asserts(found.task)) == 3
    again = strengthen([found.task], boxes, 3)[0]
    assert again.task == found.task and again.reason == "it has new tests already"


@pytest.mark.parametrize(
    "solution, asserts, reason",
    [
        ("import random\ndef f(x):\n    return random.random() if x > 3 else x\n", ["f(1) == 1"], "another result"),
        ("def f(x):\n    return next(iter({'a' * x, 'b' * x, 'c' * x}))[:x > 3]\n", ["f(1) == ''"], "another result"),
        ("import time\ndef f(x):\n    return time.time() if x > 3 else x\n", ["f(1) == 1"], "another result"),
        ("def f(x):\n    print(x)\n    return x\n", ["f(1) == 1", "f(2) == 2"], "gold prints"),
        ("def f(x):\n    return (i for i in range(x)) if x > 3 else x\n", ["f(1) == 1", "f(2) == 2"], ""),
        ("def f(x):\n    return f(x) if x > 2 else x\n", ["f(1) == 1", "f(2) == 2"], ""),
        ("def f(x):\n    while x > 2:\n        pass\n    return x\n", ["f(1) == 1", "f(2) == 2"], ""),
        ("def f(x):\n    return object()\n", ["f(1) != f(2)"], "no assert"),
    ],
)
def test_gold_that_cannot_be_asked(boxes, solution, asserts, reason):
    """What is random, slow, endless or no plain value makes no assert; what repeats itself still does."""
    task = make_task(solution, *(f"assert {each}" for each in asserts))
    [found] = strengthen([task], boxes, 5)
    if reason:
        assert found.task == task and reason in found.reason
    else:
        made = new_asserts(found.task) if found.added else []
        assert all(ast.literal_eval(node.test.left.args[0]) <= 3 for node in made)


def test_tasks_without_a_solution_or_literals_stay(boxes):
    tasks = [
        replace(SHARED, solution=""),
        replace(SHARED, kind="program", test='{"inputs": [""], "outputs": [""]}'),
        make_task("def f(x):\n    return 1\n", "assert f(int) == 1"),
    ]
    found = strengthen(tasks, boxes, 5)
    assert [each.task for each in found] == tasks and not any(each.added for each in found)
    assert [each.reason[:12] for each in found] == ["it has no so", "it is a whol", "no assert ca"]


def test_inputs_on_which_gold_raises_are_no_tests(boxes):
    task = make_task("def f(xs):\n    return 6 // (3 - len(xs))\n", "assert f([1]) == 3", "assert f([1, 2]) == 6")
    [found] = strengthen([task], boxes, 10)
    assert found.added
    assert all(len(ast.literal_eval(node.test.left.args[0])) != 3 for node in new_asserts(found.task))


def test_an_argument_that_gold_changes_is_shown_as_it_was(boxes):
    task = make_task(
        "def f(xs):\n    xs.sort()\n    return xs[0]\n", "assert f([2, 1]) == 1", "assert f([3, 5, 4]) == 3"
    )
    [found] = strengthen([task], boxes, 8)
    arguments = [ast.literal_eval(node.test.left.args[0]) for node in new_asserts(found.task)]
    assert any(each != sorted(each) for each in arguments)


@pytest.mark.parametrize(
    "asserted, form",
    [
        ("f(1) == 2", "__call__ == __expected__"),
        ("2 == f(1)", "__call__ == __expected__"),
        ("f(1) is True", "__call__ is __expected__"),
        ("not f(1)", "not __call__"),
        ("set(f(1)) == set((1, 2))", "set(__call__) == set(__expected__)"),
        ("abs(f(1) - 2.0 / 3.0) < 1e-6", "abs(__call__ - __expected__) < 1e-06"),
        ("math.isclose(f(1), 2.5, rel_tol=0.1)", "math.isclose(__call__, __expected__, rel_tol=0.1)"),
        ("f(1) != 2", ""),
        ("f(1) == f(1)", None),
    ],
)
def test_the_form_of_an_assert(asserted, form):
    found = given_calls(make_task("def f(x): ...", f"assert {asserted}, 'message'"))
    assert [each.form for each in found] == ([] if form is None else [form])


def test_new_asserts_compare_like_the_given_ones(boxes):
    tasks = [
        make_task("def f(x):\n    return x / 3\n", "assert f(1) == 1 / 3", "assert f(2) == 2 / 3"),
        make_task("def f(x):\n    return {x, x + 1}\n", "assert set(f(1)) == set([1, 2])"),
        make_task("def f(xs):\n    return list(set(xs))\n", "assert f([1, 1, 2]) == [1, 2]"),
        make_task("def f(x):\n    return x > 2\n", "assert f(5)", "assert not f(1)"),
    ]
    found = strengthen(tasks, boxes, 4)
    assert all(each.added for each in found)
    codes = [
        "def f(x):\n    return x * (1 / 3)\n",
        "def f(x):\n    return [x + 1, x, x]\n",
        "def f(xs):\n    return sorted(set(xs), reverse=True)\n",
        "def f(x):\n    return 1 if x > 2 else ''\n",
    ]
    for each, code in zip(found, codes, strict=True):
        new = each.task.test.partition(MARK)[2].partition("\n")[2]
        assert boxes[0].run([Program.of(each.task, code, test=new)])[0].status == "PASS", each.task.test


def test_methods_with_named_arguments(boxes):
    solution = "class Solution:\n    def double(self, nums, times):\n        return [n * times for n in nums]\n"
    test = "def check(candidate):\n    assert candidate(nums=[1, 2], times=2) == [2, 4]\n\ncheck(Solution().double)\n"
    task = Task("double", "Double.", test, "Solution", solution=solution)
    [found] = strengthen([task], boxes, 4)
    assert found.added == 4 and "assert Solution().double(nums=[" in found.task.test
    assert boxes[0].run([Program.of(found.task, solution)])[0].status == "PASS"


def test_inputs_keep_what_all_given_ones_have():
    given = [([1, 4, 6], 3, "0110"), ([2, 3, 9, 12], 4, "10"), ([5, 7], 2, "111")]
    made = inputs_like(given, 60, "Takes positive numbers.")
    assert len(made) > 30 and len({repr(each) for each in made}) == len(made)
    for numbers, length, bits in made:
        assert numbers == sorted(numbers) and length == len(numbers) > 0 and min(numbers) > 0
        assert bits and set(bits) <= {"0", "1"}
    assert made == inputs_like(given, 60, "Takes positive numbers.")
    assert any(0 in numbers for numbers, _, _ in inputs_like(given, 60))


def test_wrong_programs_of_the_user_are_what_tests_are_chosen_for(boxes):
    """Only an input with 7 shows this one, and no mutant asks for that."""
    task = make_task("def f(x):\n    return x\n", "assert f(1) == 1", "assert f(30) == 30")
    wrong = "def f(x):\n    return 0 if x == 7 else x\n"
    [found] = strengthen([task], boxes, 1, known={"f": Known((wrong,))})
    assert [ast.unparse(node) for node in new_asserts(found.task)] == ["assert f(7) == 7"]


def test_a_stopped_run_goes_on(boxes, tmp_path, monkeypatch):
    first = strengthen_all([SHARED], tmp_path / "done.jsonl", boxes[0], 3, 0, {})
    asked = []
    monkeypatch.setattr(
        "raccoon.strengthening.stored.strengthen", lambda tasks, *_: asked.extend(tasks) or strengthen(tasks, boxes, 3)
    )
    both = strengthen_all([SHARED, LAST], tmp_path / "done.jsonl", boxes[0], 3, 0, {})
    assert asked == [LAST] and both[0] == first[0] and both[1].added == 3


def test_a_grid_of_each_number_once_stays_one():
    given = [([[1, 2], [4, 3]], 3), ([[9, 8, 7], [1, 2, 3], [4, 5, 6]], 1), ([[3, 1], [2, 4]], 2)]
    made = inputs_like(given, 40)
    assert len(made) > 10
    for grid, _ in made:
        items = [item for row in grid for item in row]
        assert sorted(items) == [*range(1, len(items) + 1)] and {len(row) for row in grid} == {len(grid)}


def test_most_given_inputs_decide_what_no_input_has_by_chance():
    """One grid breaks the rule that the others keep."""
    given = [([[1, 2], [3, 4]],), ([[3, 1], [2, 4]],), ([[1, 3], [3, 2]],)]
    assert all(sorted(sum(grid, [])) == [1, 2, 3, 4] for (grid,) in inputs_like(given, 9) if len(grid) == 2)


def test_forms_and_primes_and_the_range_of_the_prompt_stay():
    made = inputs_like([("a1", [3, 7]), ("c3", [5, 11, 2]), ("h8", [13])], 40, "Between 2 and 13.")
    assert len(made) > 10
    for square, numbers in made:
        assert re.fullmatch("[a-z]+[0-9]", square) and set(numbers) <= {2, 3, 5, 7, 11, 13}


def test_what_the_prompt_says_of_lists_and_numbers_holds():
    """One list is out of order, and 0 is no argument of the given ones."""
    given = [([2, 5, 6], 5), ([1, 3, 4, 8], 3), ([4, 1, 7], 7)]
    made = inputs_like(given, 40, "The first place of a number in a sorted array.")
    assert len(made) > 10 and all(numbers == sorted(numbers) and number for numbers, number in made)
    assert min(inputs_like([(15,), (27,), (63,)], 20, "Assume n > 1 and no prime.")) >= (15,)
    pairs = inputs_like([(["(", ")"],), (["()", ")"],), ([")", "()"],)], 20, "Takes a list of two texts.")
    assert pairs and {len(texts) for (texts,) in pairs} == {2}


def test_brackets_stay_balanced():
    given = [("(()) ()",), ("((()))",), ("() (()) ()",)]
    made = inputs_like(given, 20)
    assert len(made) > 3 and all(text.count("(") == text.count(")") and text.find(")") != 0 for (text,) in made)


def test_words_that_are_used_again_and_again_are_all_there_are():
    given = [(["+", "*"], "o o| .|"), (["*", "*", "-"], ".| o o o|"), (["-", "+"], "o| .| .| o")]
    for operators, music in inputs_like(given, 40):
        assert set(operators) <= {"+", "*", "-"} and set(music.split()) <= {"o", "o|", ".|"}


@pytest.mark.parametrize(
    "body, other, prompt, first, second",
    [
        ("next((x for x in xs if x > 6), 0) + 1", (", 0)", ", 50)"), "", "f([1, 9]) == 10", "f([8, 2]) == 9"),
        ("10**20 if xs[0] > 9 else xs[0]", ("**20", "**9"), "", "f([1, 9]) == 1", "f([8, 2]) == 8"),
        ("max(xs, key=lambda x: x % 3)", ("max(xs", "max(xs[::-1]"), "", "f([3, 5, 1]) == 5", "f([4, 3]) == 4"),
        ("[x for x in xs if x >= n]", (">=", ">"), "Those above n.", "f([9, 3, 2], 5) == [9]", "f([1, 8], 4) == [8]"),
    ],
    ids=["default", "sentinel", "tie", "limit"],
)
def test_what_the_prompt_leaves_open_is_not_asked(boxes, body, other, prompt, first, second):
    """Another answer where the given asserts show none passes the new ones too, unless the prompt decides."""
    arguments = "xs, n" if "n]" in body else "xs"
    task = make_task(f"def f({arguments}):\n    return {body}\n", f"assert {first}", f"assert {second}")
    task = replace(task, prompt=prompt or task.prompt)
    [found] = strengthen([task], boxes, 24)
    assert found.added > 3 and other[0] in task.solution
    assert boxes[0].run([Program.of(found.task, task.solution.replace(*other))])[0].status == "PASS"


@pytest.mark.parametrize(
    "given, prompt, result, like",
    [
        (["1", "2"], "", "0", False),
        (["1", "2"], "Return 0 if there is none.", "0", True),
        (["1", "2"], "Of [3, 0, 1] it is 1, of f(0) it is 2.", "0", False),
        (["1", "0"], "", "0", True),
        (["1", "2"], "", "2.5", True),
        (["1", "2"], "", "None", False),
        (["[1]", "[2]"], "", "[]", False),
        (["'a'"], "", "'bc'", True),
        (["True"], "", "False", True),
        (["1", "2"], "", "[-1]", False),
        (["3"], "", "-3", False),
        (["3", "-2"], "", "-3", True),
    ],
)
def test_a_result_for_nothing_counts_only_if_it_is_shown(given, prompt, result, like):
    assert results_like(given, prompt)(result) is like


def test_programs_that_contradict_gold_together_are_believed(boxes):
    """Gold counts 0 as positive. Four programs that pass the given test do not, so no new assert may say so."""
    solution = "def f(xs):\n    return sum(x >= 0 for x in xs)\n"
    task = make_task(
        solution, "assert f([1, -2, 3]) == 2", "assert f([4, -1, -5, 0 - 1]) == 1", "assert f([0 + 1]) == 1"
    )
    task = replace(task, test=task.test + "assert f([0, 0, -1, 2]) == f([0, 0, -1, 2])\n", prompt="Zero: 0.")
    others = [f"def f(xs):\n    return len([x for x in xs if x > 0]) + {number} - {number}\n" for number in range(4)]
    task = replace(task, visible_tests="assert f([0, -3]) == 1\n")
    alone = strengthen([task], boxes, 10)[0].task
    policy = strengthen([task], boxes, 10, known={"f": Known(tuple(others))})[0].task
    beside = strengthen([task], boxes, 10, known={"f": Known(independent=tuple(others))})[0].task
    fails = [boxes[0].run([Program.of(each, others[0])])[0].status for each in (alone, policy, beside)]
    assert fails == ["PARTIAL", "PARTIAL", "PASS"]


def test_both_statuses(boxes):
    task = strengthen([LAST], boxes, 15)[0].task
    codes = [
        "def last(words):\n    return words[words == ['x', 'y']]\n",
        "def last(words):\n    return 1\n",
        LAST.solution,
    ]
    programs = [Program.of(task, code) for code in codes] + [Program.of(LAST, LAST.solution)]
    verdicts = boxes[0].run(programs)
    assert [verdict.status for verdict in verdicts] == ["PARTIAL", "PARTIAL", "PASS", "PASS"]
    run = []
    counting = SimpleNamespace(run=lambda programs: run.extend(programs) or boxes[0].run(programs))
    assert given_statuses(programs, verdicts, counting) == ["PASS", "PARTIAL", "PASS", ""]
    assert [program.code for program in run] == codes[:1]


def test_common_form_needs_half_of_the_asserts():
    task = make_task("def f(x): ...", "assert f(1) == 1", "assert f(2) is 2", "assert set(f(3)) == {3}")
    assert common_form(given_calls(task)) == ""


def test_training_pays_by_all_tests_and_logs_both_statuses(boxes, tmp_path):
    shortcut = "def last(words):\n    return 'b' if 'b' in words else 'y'\n"
    [task] = stronger_tasks([LAST], boxes[0], str(tmp_path / "new_tests.jsonl"))
    assert stronger_tasks([LAST], boxes[0], "") == [LAST]
    reward = ExecutionReward(RewardTable(**TABLE), boxes[0], Chat(Tokenizer(), [0]))
    codes = [shortcut, LAST.solution]
    found = [reward.evaluate([each] * 2, [ids(code) for code in codes]) for each in (LAST, task)]
    statuses = [[(rollout.status, rollout.given_status) for rollout in rollouts] for rollouts in found]
    assert statuses == [[("PASS", ""), ("PASS", "")], [("PARTIAL", "PASS"), ("PASS", "PASS")]]
