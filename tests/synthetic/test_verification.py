"""Verification: each reason for which a task is dropped, and that the sandbox's own faults are none."""

import random
from dataclasses import replace

import pytest

from raccoon.records import Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.synthetic.verification import NOT_JUDGED, RESEED, Rules, check_tasks, verdicts_of
from raccoon.tasks.task import Task
from raccoon.tasks.templates import generate_tasks

RULES = Rules(mutants=6, min_mutants_killed=0.8, allow_shared_tests=False)
GOOD = Task(
    "good",
    "Sum the items above 2.",
    "assert f([1, 2, 3]) == 3\nassert f([]) == 0\nassert f([4, 5]) == 9\n",
    "f",
    solution="def f(xs):\n    total = 0\n    for x in xs:\n        if x > 2:\n            total += x\n"
    "    return total\n",
)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1, timeout=1) as box:
        yield box


def check(sandbox, rules=RULES, **changes):
    return check_tasks([replace(GOOD, **changes)], sandbox, rules)[0]


def test_a_good_task_is_verified_with_its_share(sandbox):
    found = check(sandbox)
    assert found.reason == "" and found.mutants == 6 and 0.8 <= found.share == found.killed / 6


REASONS = [
    ("the solution fails (wrong)", {"test": "assert f([3]) == 4\n"}),
    ("the solution fails (exception)", {"solution": "def f(xs):\n    raise KeyError\n"}),
    ("the solution fails (timeout)", {"solution": "def f(xs):\n    while True:\n        pass\n"}),
    ("the solution fails (syntax)", {"solution": "def f(xs:\n"}),
    ("a stub passes", {"test": "assert f([]) is None\n", "solution": "def f(xs):\n    return None\n"}),
    ("a stub passes", {"test": "assert f([1]) == 7\nassert f([2]) == 7\n", "solution": "def f(xs):\n    return 7\n"}),
    ("weak tests: mutants survive", {"test": "assert f([]) == 0\nassert f([9]) == 9\n"}),
    (
        "the test needs shared isolation",
        {
            "test": "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n"
            "        self.assertEqual(f([3]), 3)\n"
        },
    ),
    (
        "no mutant can be made",
        {
            "test": "assert f([2, 1]) == [1, 2]\nassert f([]) == []\nassert f([3, 1]) == [1, 3]\n",
            "solution": "def f(xs):\n    return sorted(xs)\n",
        },
    ),
]


@pytest.mark.parametrize("reason, changes", REASONS, ids=[f"{i} {reason}" for i, (reason, _) in enumerate(REASONS)])
def test_each_reason(sandbox, reason, changes):
    assert check(sandbox, **changes).reason == reason


@pytest.mark.parametrize("draw", ["random.random()", "random.randrange(10**9)"])
def test_a_solution_that_draws_is_not_repeatable(sandbox, draw):
    """The sandbox seeds every child alike, so a test written from what it saw there passes; but not twice."""
    rng = random.Random(0)  # what a child of the sandbox draws first
    drawn = eval(draw, {"random": rng})
    task = Task(
        "t", "p", f"assert f(1) == (1, {drawn!r})\n", "f", solution=f"import random\ndef f(x):\n    return x, {draw}\n"
    )
    assert check_tasks([task], sandbox, RULES)[0].reason == "the solution is not repeatable"


def test_reseeding_leaves_an_honest_context_alone(sandbox):
    context = "import math\nHALF = 0.5\n"
    task = replace(GOOD, context=context, solution=GOOD.solution.replace("total = 0", "total = math.floor(HALF)"))
    assert check_tasks([task], sandbox, RULES)[0].reason == "" and RESEED.endswith("\n")


def test_shared_tests_are_kept_where_allowed(sandbox):
    test = (
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n"
        "        self.assertEqual([f([1, 2, 3]), f([]), f([4, 5])], [3, 0, 9])\n"
    )
    assert check(sandbox, replace(RULES, allow_shared_tests=True), test=test).reason == ""


class FlakySandbox:
    """Fails itself the first times that it sees a program."""

    def __init__(self, sandbox, times):
        self.sandbox, self.times, self.runs = sandbox, times, {}

    def run(self, programs):
        real = self.sandbox.run(programs)
        for program in programs:
            self.runs[program] = self.runs.get(program, 0) + 1
        return [
            replace(verdict, status="INFRA", reason="infra: lost") if self.runs[program] <= self.times else verdict
            for program, verdict in zip(programs, real, strict=True)
        ]


def test_infra_is_tried_again_and_never_counts_as_bad(sandbox):
    assert check(FlakySandbox(sandbox, 1)).reason == ""
    assert check(FlakySandbox(sandbox, 99)).reason == NOT_JUDGED


def test_mutants_that_cannot_be_judged_do_not_count():
    class OnlyMutantsLost:
        def run(self, programs):
            return [verdict_of(program) for program in programs]

    def verdict_of(program):
        kind = "INFRA" if "break" in program.code else "PASS" if program.code == GOOD.solution else "FAIL"
        return Verdict(kind, "reason", 0, 0, 0.0, "separate")

    found = check(OnlyMutantsLost())
    assert (found.reason, found.mutants, found.killed) == ("", 5, 5)


def test_equal_programs_run_once():
    class Counting:
        seen = []

        def run(self, programs):
            self.seen += programs
            return [Verdict("PASS", "pass", 1, 1, 0.0, "separate")] * len(programs)

    box = Counting()
    assert len(verdicts_of(["a", "b", "a"], box)) == 3 and box.seen == ["a", "b"]


def test_most_templates_are_verified(sandbox):
    checks = check_tasks(generate_tasks(30, seed=3), sandbox, RULES)
    assert sum(not found.reason for found in checks) >= 25
    assert {found.reason for found in checks} <= {"", "weak tests: mutants survive"}


def test_a_solution_that_moves_beside_its_test_in_either_run_is_dropped():
    class Moving:
        def run(self, programs):
            return [
                Verdict("PASS", "pass", 1, 1, 0.0, "shared" if RESEED in program.context else "separate")
                for program in programs
            ]

    assert check(Moving()).reason == "the test needs shared isolation"
