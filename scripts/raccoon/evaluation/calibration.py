"""Calibration: the grader's verdicts on solutions that are right and on programs that do nothing.

It grades nothing itself. It reads the records of the controls gold and stub, which were graded in the same way as
models. A benchmark's score counts the tasks whose gold passes and whose stub does not.

Inputs:  the records of gold and stub. Outputs: a Calibration, printed and written by evaluate_models.py.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raccoon.constants import InputError
from raccoon.evaluation.records import Record
from raccoon.tasks.task import Task

# Published tests that a function returning None passes. They are excluded and listed. Any other stub that passes stops
# the evaluation, because a test that accepts such a function measures nothing.
WEAK_TESTS = ("BigCodeBench/272",)

# What a gold solution lacks, by a pattern in the reason or output of its verdict. The first row that matches decides.
CAUSES = (
    (
        r"No module named '([\w.]+)'|needs ([\w., ]+), not installed here|(\w+) not found, please install",
        "not installed: {0}",
    ),
    (r"Resource '?\S*?([\w-]+)\S*'? not found.*nltk|nltk\.download\('(\w+)'\)", "NLTK data is missing"),
    (
        r"URLError|urlopen error|name resolution|gaierror|Connect(ion|Timeout)|Network is unreachable|socket",
        "the network is needed",
    ),
    (r"No such file or directory: 'python'", "a program on PATH is needed: python"),
    (r"^timeout", "slower than {limit:.0f} s"),
    (r"^memory", "more memory than the sandbox gives"),
    (r"^forbidden", "forbidden by the sandbox"),
)


@dataclass(frozen=True)
class Calibration:
    """The results of gold and stub on the tasks of one benchmark. The tuples and mappings hold task ids."""

    benchmark: str
    tasks: int
    with_gold: int
    gold_passed: int
    stub_passed: int
    gold_failed: Mapping[str, str]  # task id -> cause
    weak: tuple[str, ...]  # stub passes
    uncalibrated: tuple[str, ...]  # no solution to check
    slow: frozenset[str]  # gold needs a large part of the usual time limit
    ungraded: Mapping[str, str] = field(default_factory=dict)  # task id -> why its stub has no verdict
    shared: frozenset[str] = frozenset()  # gold (without one: the stub) runs in the process of its test

    @property
    def excluded(self) -> set[str]:
        return {*self.gold_failed, *self.ungraded, *self.weak}

    @property
    def summary(self) -> str:
        return f"{self.benchmark}: gold {self.gold_passed}/{self.with_gold}, stub {self.stub_passed}/{self.tasks}" + (
            f"; left out of the score: {counted(len(self.excluded), 'task')}" if self.excluded else ""
        )

    @property
    def details(self) -> list[str]:
        """One line with task ids for each reason why tasks are left out or not calibrated."""
        lines = [f"gold fails on {len(ids)}, {cause}: {' '.join(ids)}" for cause, ids in by_cause(self.gold_failed)]
        lines += [
            f"the stub has no verdict on {len(ids)}, {cause}: {' '.join(ids)}" for cause, ids in by_cause(self.ungraded)
        ]
        if self.weak:
            lines.append(f"the stub passes on {len(self.weak)}, weak tests: {' '.join(self.weak)}")
        unchecked = set(self.uncalibrated) - self.excluded
        if unchecked:
            lines.append(f"scored without a solution to calibrate with: {counted(len(unchecked), 'task')}")
        return lines


def by_cause(tasks: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """(cause, task ids) for each cause."""
    groups: dict[str, list[str]] = {}
    for task_id, cause in tasks.items():
        groups.setdefault(cause, []).append(task_id)
    return list(groups.items())


def counted(number: int, thing: str) -> str:
    """A number with its noun: 1 task, 2 tasks."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def calibrate(
    benchmark: str,
    tasks: Sequence[Task],
    gold: Mapping[str, Record],
    stub: Mapping[str, Record],
    slow_after: float,
    limit: float,
) -> Calibration:
    """The calibration of a benchmark from the records of its controls, task id -> record.

    It leaves out tasks that the sandbox cannot grade, whose gold fails or whose stub passes. Each counts under one
    reason. A task whose gold took more than `slow_after` seconds is slow. Raises InputError if a stub passes that
    WEAK_TESTS does not list, or if no gold solution passes.
    """
    passing = tuple(task_id for task_id, record in stub.items() if record.passed)
    unknown = [task_id for task_id in passing if task_id not in WEAK_TESTS]
    if unknown:
        raise InputError(
            f"{benchmark}: a function that returns None passes the tests of {' '.join(unknown[:20])}"
            f"{' ...' if len(unknown) > 20 else ''} ({len(unknown)} of {len(tasks)} tasks): correct these "
            "tests, or list them in WEAK_TESTS of raccoon/evaluation/calibration.py to leave them out"
        )
    failed = {task_id: cause_of(record, limit) for task_id, record in gold.items() if not record.passed}
    ungraded = {
        task_id: cause_of(record, limit) for task_id, record in stub.items() if record.infra and task_id not in failed
    }
    if gold and len(failed) == len(gold):
        raise InputError(
            f"{benchmark}: no gold solution passes here (the first: {next(iter(failed.values()))}); "
            "correct that, because a score would mean nothing"
        )
    return Calibration(
        benchmark,
        tasks=len(tasks),
        with_gold=len(gold),
        gold_passed=len(gold) - len(failed),
        stub_passed=len(passing),
        gold_failed=failed,
        ungraded=ungraded,
        weak=tuple(task_id for task_id in passing if task_id not in failed),
        uncalibrated=tuple(task.task_id for task in tasks if task.task_id not in gold),
        slow=frozenset(task_id for task_id, record in gold.items() if record.verdict.seconds > slow_after),
        shared=frozenset(
            task_id for task_id, record in {**stub, **gold}.items() if record.verdict.isolation == "shared"
        ),
    )


def cause_of(record: Record, limit: float) -> str:
    """Why a gold solution failed, in words that name what is missing if the verdict tells."""
    verdict = record.verdict
    for pattern, cause in CAUSES:
        found = re.search(pattern, verdict.reason) or re.search(pattern, verdict.output)
        if found:
            return cause.format(next(filter(None, found.groups()), ""), limit=limit)
    return verdict.reason[:120]
