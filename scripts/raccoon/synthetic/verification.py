"""Keeps only the tasks whose solution and test confirm each other. It runs both in the sandbox.

It verifies that the solution passes the test twice, the second time with another random seed, that no stub passes, and
that enough mutants of the solution fail. It cannot verify that the prompt describes the solution.

A task from a server has its own test, which is untrusted too. First, answers.py rejects all tests except asserts on
the entry point. Then the test runs in the sandbox's judge, which is itself behind Landlock, seccomp and a memory limit
(confine in sandbox/judge.py). It cannot write, start processes or reach a network. A test that does not end costs one
verdict.

Inputs: tasks, a Sandbox. Outputs: a Check for each task.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.synthetic.mutants import make_mutants, make_stubs
from raccoon.tasks.task import Task

INFRA_ROUNDS = 3  # runs of a program at most, while the sandbox itself fails
# The sandbox seeds `random` with 0 in every child. With another seed, a solution that draws numbers answers otherwise.
RESEED = "import random\nrandom.seed(20231)\ndel random\n"

NOT_JUDGED = "not judged: the sandbox failed"  # our own fault: the next run judges it again


@dataclass(frozen=True)
class Rules:
    """How strong a test must be; the script's constants of these names explain each."""

    mutants: int
    min_mutants_killed: float
    allow_shared_tests: bool


@dataclass(frozen=True)
class Check:
    """The result for one task: why it is dropped, "" for a verified task, and its mutants."""

    reason: str
    mutants: int = 0
    killed: int = 0

    @property
    def share(self) -> float:
        """The share of mutants that the test killed."""
        return self.killed / self.mutants if self.mutants else 0.0


def check_tasks(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[Check]:
    """A Check for each task, in order. A task that one stage drops does not run in the next."""
    checks = dict(enumerate(check_solutions(tasks, sandbox, rules)))
    for stage in (check_stubs, check_mutants):
        left = [place for place, check in checks.items() if not check.reason]
        checks |= zip(left, stage([tasks[place] for place in left], sandbox, rules), strict=True)
    return list(checks.values())


def check_solutions(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[Check]:
    """Checks that each solution passes its test, and passes it again."""
    again = [replace(task, context=task.context + RESEED) for task in tasks]
    first, second = (judge([Program.of(task, task.solution) for task in run], sandbox) for run in (tasks, again))
    return [Check(solution_fault(*pair, rules)) for pair in zip(first, second, strict=True)]


def solution_fault(first: Verdict, second: Verdict, rules: Rules) -> str:
    """Why two verdicts on one solution count against its task, or ""."""
    if "INFRA" in (first.status, second.status):
        return NOT_JUDGED
    if "shared" in (first.isolation, second.isolation) and not rules.allow_shared_tests:
        return "the test needs shared isolation"
    if first.status != "PASS":
        return f"the solution fails ({first.kind})"
    return "" if second.status == "PASS" else "the solution is not repeatable"


def check_stubs(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[Check]:
    """Checks that each test rejects every stub."""
    found = judge_groups(tasks, [make_stubs(task) for task in tasks], sandbox)
    return [
        Check(NOT_JUDGED if "INFRA" in statuses else "a stub passes" if "PASS" in statuses else "")
        for statuses in found
    ]


def check_mutants(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[Check]:
    """Checks that each test kills enough mutants. Mutants that the sandbox could not judge do not count."""
    found = judge_groups(tasks, [make_mutants(task.solution, rules.mutants) for task in tasks], sandbox)
    checks = []
    for statuses in found:
        judged = [status for status in statuses if status != "INFRA"]
        check = Check("", len(judged), len(judged) - judged.count("PASS"))
        reason = (
            ("weak tests: mutants survive" if check.share < rules.min_mutants_killed else "")
            if judged
            else (NOT_JUDGED if statuses else "no mutant can be made")
        )
        checks.append(replace(check, reason=reason))
    return checks


def judge_groups(tasks: Sequence[Task], codes: Sequence[list[str]], sandbox: Sandbox) -> list[list[str]]:
    """The statuses of several programs for each task, all run as one batch."""
    programs = [Program.of(task, code) for task, group in zip(tasks, codes, strict=True) for code in group]
    verdicts = iter(judge(programs, sandbox))
    return [[next(verdicts).status for _ in group] for group in codes]


def judge(programs: Iterable[Program], sandbox: Sandbox) -> list[Verdict]:
    """The verdicts in order. Equal programs run once; a program with INFRA runs again, INFRA_ROUNDS times at most."""
    programs = list(programs)
    verdicts: dict[Program, Verdict] = {}
    for _ in range(INFRA_ROUNDS):
        missing = [each for each in dict.fromkeys(programs) if each not in verdicts or verdicts[each].status == "INFRA"]
        verdicts |= zip(missing, sandbox.run(missing), strict=True)
    return [verdicts[each] for each in programs]
