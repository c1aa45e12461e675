"""Which tasks are evaluated, and what their gold solutions and stubs say about them on this machine.

A task set is a benchmark by name or file, or chosen ids or a fixed sample of it. The controls gold and stub are graded
in the same way as models. A set's score counts the tasks whose gold passes and whose stub does not.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from raccoon.constants import InputError
from raccoon.evaluation.grading import Record
from raccoon.published.benchmarks import is_path, load_benchmark
from raccoon.statistics import how_many
from raccoon.tasks.task import Task, given_in, numbered_lines, read_task_file

DEMO_TASKS = 300  # held-out tasks of benchmark "demo"
RANGE = re.compile(r"(.*?)(\d+)-(\d+)")  # HumanEval/0-9

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
class TaskSet:
    """The tasks to evaluate, and the ids of the whole benchmark."""

    name: str
    tasks: list[Task]
    ids: frozenset[str]


def path_stem(name: str) -> str:
    """A benchmark's name in files and tables."""
    return Path(name).name.split(".jsonl")[0] if is_path(name) else name


def load_task_sets(names: Sequence[str], data_dir: str, words: Sequence[str], limit: int, seed: int) -> list[TaskSet]:
    """The tasks of each benchmark that `words` name (empty: all), or `limit` of them (0: all). Raises InputError."""
    full = {path_stem(name): load_whole(name, data_dir) for name in names}
    wanted = chosen_ids(words, {task.task_id for tasks in full.values() for task in tasks}) if words else None
    found = []
    for name, tasks in full.items():
        kept = [task for task in tasks if wanted is None or task.task_id in wanted]
        if not kept:
            raise InputError(f"TASKS names no task of {name}: leave it out of --benchmarks, or add its ids")
        if 0 < limit < len(kept):
            kept = [kept[place] for place in sorted(random.Random(seed).sample(range(len(kept)), limit))]
        found.append(TaskSet(name, kept, frozenset(task.task_id for task in tasks)))
    return found


def load_whole(name: str, data_dir: str) -> list[Task]:
    """A published benchmark, the demo's held-out tasks, or a task file."""
    if is_path(name):
        with given_in("BENCHMARKS"):
            return read_task_file(name)
    if name == "demo":
        from raccoon.tasks.templates import generate_tasks

        return generate_tasks(DEMO_TASKS, seed=0, split="heldout")
    return load_benchmark(name, data_dir)


def chosen_ids(words: Sequence[str], known: set[str]) -> set[str]:
    """The ids that words name: an id, a range with both ends, or a file of these. Raises InputError."""
    listed = [
        (line.strip(), f"{word}, line {number}: ")
        for word in words
        if Path(word).is_file()
        for number, line in numbered_lines(Path(word))
    ]
    ids: set[str] = set()
    for word, where in [*((word, "") for word in words if not Path(word).is_file()), *listed]:
        found = known & {word}
        if not found and (parts := RANGE.fullmatch(word)):
            numbers = {each: each.removeprefix(parts[1]) for each in known if each.startswith(parts[1])}
            among = range(int(parts[2]), int(parts[3]) + 1)
            found = {each for each, number in numbers.items() if number.isdecimal() and int(number) in among}
        if not found:
            raise InputError(
                f"{where}no task {word!r}: give ids like {min(known)!r}, ranges like 'HumanEval/0-9', or "
                "a file with one of them on each line"
            )
        ids |= found
    return ids


@dataclass(frozen=True)
class Limits:
    """CPU seconds for a program: `usual`, and `slow` for gold and for tasks whose gold takes a third of `usual`."""

    usual: float
    slow: float


@dataclass(frozen=True)
class Calibration:
    """What the records of gold and stub (task id -> record) say about the tasks of a set. Task ids by finding."""

    task_set: TaskSet
    gold: Mapping[str, Record]
    stub: Mapping[str, Record]
    limits: Limits

    @cached_property
    def gold_failed(self) -> dict[str, str]:
        """task id -> cause"""
        return {task_id: self.cause(record) for task_id, record in self.gold.items() if not record.passed}

    @cached_property
    def ungraded(self) -> dict[str, str]:
        """task id -> why its stub has no verdict; not those whose gold fails"""
        lost = {task_id: record for task_id, record in self.stub.items() if record.infra}
        return {task_id: self.cause(record) for task_id, record in lost.items() if task_id not in self.gold_failed}

    @cached_property
    def stub_passed(self) -> list[str]:
        return [task_id for task_id, record in self.stub.items() if record.passed]

    @cached_property
    def weak(self) -> list[str]:
        """Those whose stub passes; not those whose gold fails."""
        return [task_id for task_id in self.stub_passed if task_id not in self.gold_failed]

    @cached_property
    def uncalibrated(self) -> list[str]:
        """Those without a solution to check."""
        return [task.task_id for task in self.task_set.tasks if task.task_id not in self.gold]

    @cached_property
    def slow(self) -> set[str]:
        """Those whose gold needs a large part of the usual time limit."""
        return {each for each, record in self.gold.items() if record.verdict.seconds > self.limits.usual / 3}

    @cached_property
    def shared(self) -> set[str]:
        """Those whose gold (without one: the stub) runs in the process of its test."""
        records = {**self.stub, **self.gold}
        return {task_id for task_id, record in records.items() if record.verdict.isolation == "shared"}

    @cached_property
    def excluded(self) -> set[str]:
        return {*self.gold_failed, *self.ungraded, *self.weak}

    def cause(self, record: Record) -> str:
        """Why a control has not the verdict that it should have, in words that name what is missing if they can."""
        verdict = record.verdict
        for pattern, cause in CAUSES:
            found = re.search(pattern, verdict.reason) or re.search(pattern, verdict.output)
            if found:
                return cause.format(next(filter(None, found.groups()), ""), limit=self.limits.slow)
        return verdict.reason[:120]

    def check(self) -> None:
        """Raises InputError if a stub passes that WEAK_TESTS does not list, or if no gold solution passes."""
        name, unknown = self.task_set.name, [task_id for task_id in self.stub_passed if task_id not in WEAK_TESTS]
        if unknown:
            raise InputError(
                f"{name}: a function that returns None passes the tests of {' '.join(unknown[:20])}"
                f"{' ...' if len(unknown) > 20 else ''} ({len(unknown)} of {len(self.task_set.tasks)} tasks): correct "
                "these tests, or list them in WEAK_TESTS of raccoon/evaluation/task_sets.py to leave them out"
            )
        if self.gold and len(self.gold_failed) == len(self.gold):
            raise InputError(
                f"{name}: no gold solution passes here (the first: {next(iter(self.gold_failed.values()))}); "
                "correct that, because a score would mean nothing"
            )

    @property
    def counts(self) -> tuple[str, str]:
        """How many gold solutions and how many stubs pass."""
        passed = len(self.gold) - len(self.gold_failed)
        return f"{passed}/{len(self.gold)}", f"{len(self.stub_passed)}/{len(self.task_set.tasks)}"

    @property
    def summary(self) -> str:
        left_out = f"; left out of the score: {how_many(len(self.excluded), 'task')}" if self.excluded else ""
        return f"{self.task_set.name}: gold {self.counts[0]}, stub {self.counts[1]}{left_out}"

    @property
    def details(self) -> list[str]:
        """One line with task ids for each reason why tasks are left out or not calibrated."""
        lines = [f"gold fails on {len(ids)}, {cause}: {' '.join(ids)}" for cause, ids in by_cause(self.gold_failed)]
        lost = by_cause(self.ungraded)
        lines += [f"the stub has no verdict on {len(ids)}, {cause}: {' '.join(ids)}" for cause, ids in lost]
        if self.weak:
            lines.append(f"the stub passes on {len(self.weak)}, weak tests: {' '.join(self.weak)}")
        unchecked = set(self.uncalibrated) - self.excluded
        if unchecked:
            lines.append(f"scored without a solution to calibrate with: {how_many(len(unchecked), 'task')}")
        return lines

    def as_row(self) -> dict:
        row: dict = {"benchmark": self.task_set.name, "tasks": len(self.task_set.tasks)}
        row |= {"gold_passed": len(self.gold) - len(self.gold_failed), "with_gold": len(self.gold)}
        row |= {"stub_passed": len(self.stub_passed), "gold_failed": self.gold_failed, "ungraded": self.ungraded}
        return row | {"weak": self.weak, "uncalibrated": self.uncalibrated}


def by_cause(tasks: Mapping[str, str]) -> Iterable[tuple[str, list[str]]]:
    """(cause, task ids) for each cause."""
    groups: dict[str, list[str]] = {}
    for task_id, cause in tasks.items():
        groups.setdefault(cause, []).append(task_id)
    return groups.items()
