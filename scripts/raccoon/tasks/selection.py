"""Parts of a benchmark, selected by words after its name: release, dates, difficulty, split. Nothing is read or run.

livecodebench:release_v5:2024-08..2025-01     problems of the first five releases, of contests in those months
taco:easy+medium                              difficulties, or splits, joined by +
code_contests:800-1600                        ratings from 800 to 1600
"""

import re
from collections.abc import Sequence

from raccoon.constants import InputError
from raccoon.tasks.task import Task

RELEASE = re.compile(r"release_v(\d+)")
DATE = r"(\d{4}(?:-\d\d(?:-\d\d)?)?|)"
WINDOW = re.compile(rf"{DATE}\.\.{DATE}")
RATINGS = re.compile(r"(\d+)-(\d+)")


def selected(tasks: list[Task], words: Sequence[str], name: str) -> list[Task]:
    """The tasks that all words select. Raises InputError if there are none."""
    for word in words:
        kept = [task for task in tasks if selects(word, task)]
        if not kept:
            raise InputError(f"{name}: none of the {len(tasks)} tasks is {word!r}; choose from {what_there_is(tasks)}")
        tasks = kept
    return tasks


def selects(word: str, task: Task) -> bool:
    """Whether a word selects a task."""
    if found := RELEASE.fullmatch(word):
        own = RELEASE.fullmatch(task.split)
        return bool(own) and int(own[1]) <= int(found[1])
    if found := WINDOW.fullmatch(word):
        first, last = found.groups()
        return bool(task.date) and task.date >= first and (not last or task.date[: len(last)] <= last)
    if found := RATINGS.fullmatch(word):
        return task.difficulty.isdecimal() and int(found[1]) <= int(task.difficulty) <= int(found[2])
    return bool({task.difficulty, task.split} & set(word.split("+")))


def what_there_is(tasks: Sequence[Task]) -> str:
    """The words that would select something."""
    parts = []
    for field in ("difficulty", "split"):
        found = sorted({getattr(task, field) for task in tasks} - {""})
        parts += [f"{field}: {', '.join(found[:8])}{', ...' if len(found) > 8 else ''}"] if found else []
    dates = sorted({task.date for task in tasks} - {""})
    parts += [f"dates: {dates[0]}..{dates[-1]}"] if dates else []
    return "; ".join(parts) or "nothing: the tasks have no difficulties, splits or dates"
