"""Time of an evaluation: one prompt at a time and then grading, against batches that are graded during generation.

Both ways run in one process on the same tasks with the same greedy decoding. They must write the same completions and
give the same verdicts. It measures this machine under its present load, not the models.

    python scripts/demo_model.py && python benchmarks/evaluation.py
    python benchmarks/evaluation.py --model demo/rl_model --limit 100

Inputs: a model folder and a task file. Outputs: a Markdown table on stdout.
"""

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from raccoon.constants import InputError, override_constants, run_main
from raccoon.evaluation.engines import Decoding, Slot, TransformersEngine, load_engine, plan_batches
from raccoon.evaluation.grading import Grader, RecordFile, grading_environment
from raccoon.model_files import check_model_folder
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.extraction import extract_code
from raccoon.tasks.task import Task, read_task_file

MODEL = "./demo/sft_model"
TASKS = "./demo/heldout_tasks.jsonl"
LIMIT = 0  # the first tasks of the file; 0: all
BATCH_SIZE = 100  # as in the demo's evaluation
MAX_COMPLETION_LENGTH = 128
TIMEOUT = 10.0  # CPU seconds for a program
CPU_THREADS = 1
ROUNDS = 5  # of the batched way; their median counts


@dataclass(frozen=True)
class Run:
    """One way's wall seconds, for generating alone and with grading, and its results."""

    generating: float
    total: float
    completions: list[str]
    passed: list[bool]


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", str(CPU_THREADS))
    check_model_folder(Path(MODEL))
    tasks = read_task_file(TASKS)[: LIMIT or None]
    engine = load_engine(Path(MODEL), Decoding(max_tokens=MAX_COMPLETION_LENGTH))
    engine.generate([Slot(task) for task in tasks[:2]])  # the setup on first use counts for neither way
    with Sandbox(timeout=TIMEOUT) as sandbox:
        sandbox.run([program(tasks[0], "pass")])
        serial = one_by_one(engine, tasks, sandbox)
        batched = sorted((together(engine, tasks, sandbox) for _ in range(ROUNDS)), key=lambda run: run.total)
    for run in batched:
        if (serial.completions, serial.passed) != (run.completions, run.passed):
            raise InputError("the two ways differ in a completion or a verdict: this is an error in the evaluation")
    print(table(len(tasks), serial, batched[ROUNDS // 2]))


def one_by_one(engine: TransformersEngine, tasks: list[Task], sandbox: Sandbox) -> Run:
    """The original's way: generate for each task in turn, keep the text, then grade one completion after the other."""
    start = time.perf_counter()
    completions = [engine.generate([Slot(task)])[0].text for task in tasks]
    generated = time.perf_counter()
    passed = [
        sandbox.run([program(task, extract_code(text, task))])[0].status == "PASS"
        for task, text in zip(tasks, completions, strict=True)
    ]
    return Run(generated - start, time.perf_counter() - start, completions, passed)


def together(engine: TransformersEngine, tasks: list[Task], sandbox: Sandbox) -> Run:
    """This project's way: the sandbox grades and records are written while the model generates.

    `generating` is the time of a second pass over the same batches without grading.
    """
    requests = [Slot(task) for task in tasks]
    batches = plan_batches(requests, BATCH_SIZE)
    prints, limits = {request.key: "" for request in requests}, {task.task_id: TIMEOUT for task in tasks}
    environment = grading_environment()
    with tempfile.TemporaryDirectory() as folder:
        file = RecordFile(Path(folder) / "tasks.jsonl")
        start = time.perf_counter()
        with Grader(sandbox, file, limits, environment, Silent()) as grader:
            for batch in batches:
                completions = engine.generate(batch, grader.begin)
                grader.submit(list(zip(batch, completions, strict=True)), prints)
        total = time.perf_counter() - start
        records = file.load()
    start = time.perf_counter()
    for batch in batches:
        engine.generate(batch)
    found = [records[request.key] for request in requests]
    return Run(time.perf_counter() - start, total, [r.completion for r in found], [r.passed for r in found])


class Silent:
    """A progress bar that shows nothing."""

    def update(self, number: int) -> None: ...

    def set_postfix_str(self, text: str, refresh: bool) -> None: ...


def program(task: Task, code: str) -> Program:
    return Program(code, task.test, task.entry_point, task.context, task.task_id)


def table(number: int, serial: Run, batched: Run) -> str:
    rows = [("one prompt at a time, then grading", serial), (f"batches of {BATCH_SIZE}, graded meanwhile", batched)]
    lines = [
        f"{number} tasks, {sum(serial.passed)} pass; completions and verdicts of both ways are equal.",
        "",
        "| way | generating alone, s | with grading, s | grading adds | tasks a second |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {run.generating:.2f} | {run.total:.2f} | {run.total / run.generating - 1:+.1%} "
        f"| {number / run.total:.1f} |"
        for name, run in rows
    ]
    return "\n".join([*lines, "", f"Speed-up: {serial.total / batched.total:.1f}x (median of {ROUNDS} rounds)."])


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
