"""Keeps only the tasks whose solution and test vouch for each other, by running both in the sandbox.

Verified is: the solution passes the test twice, the second time with another random seed; no stub passes; enough
mutants of the solution fail. It is not: that the prompt says what the solution does, which nobody can run.

A task from a server brings its own test, which is untrusted too. It runs in the sandbox's judge, which is itself
behind Landlock, seccomp and a memory limit (sandbox_judge.confine): it can write nothing, start nothing and reach no
network, and a hang costs one verdict. synthetic_answers.py admits none but asserts on the entry point before that.

Inputs: tasks, a Sandbox. Outputs: a Check for each task.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raccoon.sandbox.pool import Program, Sandbox, Verdict
from raccoon.synthetic.mutants import make_mutants, make_stubs
from raccoon.tasks.task import Task

INFRA_ROUNDS = 3   # times that a program is run until the sandbox itself does not fail
# The sandbox seeds `random` with 0 in every child; under another seed, a solution that draws answers otherwise.
RESEED = "import random\nrandom.seed(20231)\ndel random\n"

NOT_JUDGED = "not judged: the sandbox failed"   # our own fault: the next run tries again


@dataclass(frozen=True)
class Rules:
    """How strong a test has to be; the script's constants of these names explain each."""

    mutants: int
    min_mutants_killed: float
    allow_shared_tests: bool


@dataclass(frozen=True)
class Check:
    """What came of one task: the reason why it is dropped, "" for a verified one, and its mutants."""

    reason: str
    mutants: int = 0
    killed: int = 0

    @property
    def share(self) -> float:
        """Of the mutants, how many died."""
        return self.killed / self.mutants if self.mutants else 0.0


def check_tasks(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[Check]:
    """A Check for each task, in order. What one stage drops, the next does not run."""
    checks = dict(enumerate(check_solutions(tasks, sandbox, rules)))
    for stage in (check_stubs, check_mutants):
        left = [place for place, check in checks.items() if not check.reason]
        checks |= zip(left, stage([tasks[place] for place in left], sandbox, rules), strict=True)
    return list(checks.values())


def check_solutions(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[Check]:
    """Whether each solution passes its test, and passes it again."""
    again = [replace(task, context=task.context + RESEED) for task in tasks]
    first, second = (judge([Program.of(task, task.solution) for task in run], sandbox) for run in (tasks, again))
    return [Check(solution_fault(*pair, rules)) for pair in zip(first, second, strict=True)]


def solution_fault(first: Verdict, second: Verdict, rules: Rules) -> str:
    """Why two verdicts on one solution speak against its task, or ""."""
    if "INFRA" in (first.status, second.status):
        return NOT_JUDGED
    if first.isolation == "shared" and not rules.allow_shared_tests:
        return "the test has to run beside the code"
    if first.status != "PASS":
        return f"the solution fails ({first.kind})"
    return "" if second.status == "PASS" else "the solution is not repeatable"


def check_stubs(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[Check]:
    """Whether each test refuses every stub."""
    found = judge_groups(tasks, [make_stubs(task) for task in tasks], sandbox)
    return [Check(NOT_JUDGED if "INFRA" in statuses else "a stub passes" if "PASS" in statuses else "")
            for statuses in found]


def check_mutants(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[Check]:
    """Whether each test kills enough mutants; those that the sandbox could not judge do not count."""
    found = judge_groups(tasks, [make_mutants(task.solution, rules.mutants) for task in tasks], sandbox)
    checks = []
    for statuses in found:
        judged = [status for status in statuses if status != "INFRA"]
        check = Check("", len(judged), len(judged) - judged.count("PASS"))
        reason = ("weak tests: mutants survive" if check.share < rules.min_mutants_killed else "") if judged else (
            NOT_JUDGED if statuses else "no mutant can be made")
        checks.append(replace(check, reason=reason))
    return checks


def judge_groups(tasks: Sequence[Task], codes: Sequence[list[str]], sandbox: Sandbox) -> list[list[str]]:
    """The statuses of several programs for each task, all run as one batch."""
    programs = [Program.of(task, code) for task, group in zip(tasks, codes, strict=True) for code in group]
    verdicts = iter(judge(programs, sandbox))
    return [[next(verdicts).status for _ in group] for group in codes]


def judge(programs: Iterable[Program], sandbox: Sandbox) -> list[Verdict]:
    """The verdicts in order; equal programs run once, and one that is INFRA again, some times."""
    programs = list(programs)
    verdicts: dict[Program, Verdict] = {}
    for _ in range(INFRA_ROUNDS):
        missing = [each for each in dict.fromkeys(programs)
                   if each not in verdicts or verdicts[each].status == "INFRA"]
        verdicts |= zip(missing, sandbox.run(missing), strict=True)
    return [verdicts[each] for each in programs]
