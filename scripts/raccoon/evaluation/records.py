"""The records of an evaluation: one JSON line for each completion, appended after grading and read again on resume.

It does not generate or grade. Two digests in a record name what it depends on. A stored completion or verdict is used
again only if none of that has changed.

    OUTPUT_DIR/<model>/<benchmark>.jsonl             greedy completions, and those of gold, stub and sample files
    OUTPUT_DIR/<model>/<benchmark>.sampled.jsonl     completions sampled with temperature
    OUTPUT_DIR/<model>/<benchmark>[.sampled].solutions.jsonl    {"task_id", "solution"}: the samples format of
                                                     EvalPlus and BigCodeBench, whose harnesses can score it

A line: {"task_id", "sample" (0, 1, ... of the task), "prompt" (text sent), "completion", "code" (extracted),
"truncated" (cut at MAX_COMPLETION_LENGTH), "outcome" (one of OUTCOMES), "verdict" (the sandbox's),
"generated_by", "graded_by" (digests)}. During an evaluation the lines are in the order of grading, and the last line of
a (task_id, sample) counts. At its end each occurs once, in the benchmark's order.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from raccoon.constants import InputError
from raccoon.evaluation.generation import Completion
from raccoon.records import Verdict
from raccoon.store import LineFile
from raccoon.tasks.task import Task
from raccoon.whole_files import write_records

Key = tuple[str, int]  # task_id, sample

# The columns of the verdict table: the sandbox's kinds of reason, and "truncated" for a completion that was cut
# at MAX_COMPLETION_LENGTH and did not pass.
OUTCOMES = ("pass", "wrong", "exception", "syntax", "no code", "timeout", "memory", "forbidden", "truncated", "infra")


@dataclass(frozen=True)
class Record:
    """A graded completion."""

    task_id: str
    sample: int
    prompt: str
    completion: str
    code: str
    truncated: bool
    verdict: Verdict
    generated_by: str
    graded_by: str

    @property
    def key(self) -> Key:
        return self.task_id, self.sample

    @property
    def passed(self) -> bool:
        return self.verdict.status == "PASS"

    @property
    def infra(self) -> bool:
        """The sandbox's own fault: never scored, and graded again on resume."""
        return self.verdict.status == "INFRA"

    @property
    def outcome(self) -> str:
        if self.infra or self.passed:
            return "infra" if self.infra else "pass"
        return "truncated" if self.truncated else self.verdict.kind

    def as_completion(self) -> Completion:
        """The model's text, to grade it again."""
        return Completion(self.completion, self.prompt, self.truncated)

    def to_row(self) -> dict:
        return {
            "task_id": self.task_id,
            "sample": self.sample,
            "prompt": self.prompt,
            "completion": self.completion,
            "code": self.code,
            "truncated": self.truncated,
            "outcome": self.outcome,
            "verdict": self.verdict.as_dict(),
            "generated_by": self.generated_by,
            "graded_by": self.graded_by,
        }

    @classmethod
    def from_row(cls, row: dict) -> "Record":
        """Raises KeyError or TypeError for a row that to_row did not make."""
        del row["outcome"]
        return cls(**{**row, "verdict": Verdict(**row["verdict"])})


class RecordFile:
    """The file of one model on one benchmark. Several processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, LineFile(path, shared=True)

    def load(self) -> dict[Key, Record]:
        """The last record of each (task_id, sample). Raises InputError for a line that is not a record."""
        records = {}
        for where, row in self.file.rows():
            try:
                record = Record.from_row(row)
            except (KeyError, TypeError):
                raise InputError(
                    f"{where} is not an evaluation record: delete that line, or choose another --output-dir"
                ) from None
            records[record.key] = record
        return records

    def append(self, records: Iterable[Record]) -> None:
        self.file.append(record.to_row() for record in records)

    def finish(
        self, tasks: list[Task], records: dict[Key, Record], wanted: Collection[Key], alone: Collection[Key] = ()
    ) -> None:
        """Writes each record once, first those of `tasks` in their order; then the solutions of the `wanted` keys.

        The code of the keys in `alone` is a whole program.
        """
        place = {task.task_id: index for index, task in enumerate(tasks)}
        ordered = sorted(records.values(), key=lambda r: (place.get(r.task_id, len(place)), r.sample))
        write_records(self.path, (record.to_row() for record in ordered))
        context = {task.task_id: task.context for task in tasks}
        write_records(
            self.path.with_suffix(".solutions.jsonl"),
            (
                {"task_id": r.task_id, "solution": with_context("" if r.key in alone else context[r.task_id], r.code)}
                for r in ordered
                if r.key in wanted
            ),
        )


def with_context(context: str, code: str) -> str:
    """A complete program: the prompt's imports and helpers, then the model's code."""
    return code if code.startswith(context.strip()) else f"{context.rstrip()}\n\n\n{code}"


def digest(*parts: str | bytes) -> str:
    """A short fingerprint of a list of texts. Different lists have different fingerprints."""
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()[:16]
