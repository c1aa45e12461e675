"""The tasks to evaluate: benchmarks by name or file, chosen ids of them, and a fixed sample.

Inputs: names and paths of benchmarks, ids, ranges of ids or a file of ids. Outputs: Benchmarks.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raccoon.constants import InputError
from raccoon.published.benchmarks import load_benchmark
from raccoon.tasks.task import Task, numbered_lines, read_task_file

DEMO_TASKS = 300  # held-out tasks of benchmark "demo"
RANGE = re.compile(r"(.*?)(\d+)-(\d+)")  # HumanEval/0-9


@dataclass(frozen=True)
class Benchmark:
    """The tasks to evaluate, and the ids of the whole benchmark."""

    name: str
    tasks: list[Task]
    ids: frozenset[str]

    @property
    def of(self) -> int:
        return len(self.ids)


def is_path(name: str) -> bool:
    return name.endswith((".jsonl", ".jsonl.gz")) or "/" in name


def path_stem(name: str) -> str:
    """A benchmark's name in files and tables."""
    return Path(name).name.split(".jsonl")[0] if is_path(name) else name


def load_benchmarks(
    names: Sequence[str], data_dir: str, words: Sequence[str], limit: int, seed: int
) -> list[Benchmark]:
    """The benchmarks with the tasks that `words` name (empty: all), reduced to a sample of `limit` (0: all).

    Raises InputError for a word that names no task, and for a benchmark without a named task.
    """
    full = {path_stem(name): load_tasks(name, data_dir) for name in names}
    wanted = chosen_ids(words, {task.task_id for tasks in full.values() for task in tasks}) if words else None
    benchmarks = []
    for name, tasks in full.items():
        kept = [task for task in tasks if wanted is None or task.task_id in wanted]
        if not kept:
            raise InputError(f"TASKS names no task of {name}: leave it out of --benchmarks, or add its ids")
        benchmarks.append(Benchmark(name, sample(kept, limit, seed), frozenset(task.task_id for task in tasks)))
    return benchmarks


def load_tasks(name: str, data_dir: str) -> list[Task]:
    """A published benchmark, the demo's held-out tasks, or a task file."""
    if is_path(name):
        return read_task_file(name)
    if name == "demo":
        from raccoon.tasks.templates import generate_tasks

        return generate_tasks(DEMO_TASKS, seed=0, split="heldout")
    return load_benchmark(name, data_dir)


def chosen_ids(words: Sequence[str], known: set[str]) -> set[str]:
    """The ids that words name: an id, a range of ids with both ends, or the path of a file with one of these per line.

    Raises InputError for a word that names none of the known ids.
    """
    listed = [
        (line.strip(), f"{word}, line {number}: ")
        for word in words
        if Path(word).is_file()
        for number, line in numbered_lines(Path(word))
    ]
    given = [(word, "") for word in words if not Path(word).is_file()]
    ids: set[str] = set()
    for word, where in [*given, *listed]:
        found = known & {word} or ids_between(word, known)
        if not found:
            raise InputError(
                f"{where}no task {word!r}: give ids like {min(known)!r}, ranges like 'HumanEval/0-9', or "
                "a file with one of them on each line"
            )
        ids |= found
    return ids


def ids_between(word: str, known: set[str]) -> set[str]:
    """The known ids in a range such as HumanEval/0-9; empty if the word is not a range."""
    parts = RANGE.fullmatch(word)
    if not parts:
        return set()
    numbers = {task_id: task_id.removeprefix(parts[1]) for task_id in known if task_id.startswith(parts[1])}
    return {
        task_id
        for task_id, number in numbers.items()
        if number.isdecimal() and int(parts[2]) <= int(number) <= int(parts[3])
    }


def sample(tasks: list[Task], limit: int, seed: int) -> list[Task]:
    """The first `limit` tasks of a shuffle with `seed`, in the benchmark's order; all tasks for 0."""
    if not 0 < limit < len(tasks):
        return tasks
    return [tasks[i] for i in sorted(random.Random(seed).sample(range(len(tasks)), limit))]
