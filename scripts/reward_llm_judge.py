"""Measures how good an LLM judge is, before you use it as a reward.

It measures the agreement with execution on samples with known verdicts, the bias by position and by length, and which
injections in the code raise the judge's score. Training uses the judge with --reward judge or --reward both. The
questions are in raccoon/llm/llm_judge.py, the requests to the server in raccoon/llm/client.py. Code that cannot be
judged has no score: it is counted as None and never gets a middle score.

    python scripts/reward_llm_judge.py --judge-base-url http://127.0.0.1:8000/v1 --judge-model NAME
    python scripts/reward_llm_judge.py --judge-model NAME --samples samples.jsonl --tasks humaneval --data-dir data
    python scripts/reward_llm_judge.py --judge-model NAME --samples RUN/completions.jsonl --tasks RUN/tasks.jsonl

Inputs:  an OpenAI-compatible server; SAMPLES with known verdicts, and their TASKS; the folder INJECTIONS.
Outputs: OUTPUT_DIR/judge_report.md and judge_report.json; OUTPUT_DIR/judgements.jsonl, all answers of the judge, so
         that the same command asks nothing twice.
"""

import json
import random
from dataclasses import asdict
from pathlib import Path

from raccoon.constants import InputError, override_constants, run_main
from raccoon.llm import measurement
from raccoon.llm.client import Endpoint, LlmClient
from raccoon.llm.llm_judge import JUDGEMENTS_FILE, LlmJudge
from raccoon.published.benchmarks import load_set
from raccoon.runs.log import finite
from raccoon.store import AnswerCache
from raccoon.tasks.task import Task

# The judge, on any OpenAI-compatible server
JUDGE_BASE_URL = "http://127.0.0.1:8000/v1"  # of the judge's server
JUDGE_MODEL = ""  # name of the judge on that server
JUDGE_KEY_ENV = ""  # environment variable that holds the key; "": no key
JUDGE_TIMEOUT = 120.0  # seconds a request
JUDGE_CONCURRENCY = 16  # requests at once

# What the judge is measured on
SAMPLES: list[str] = []  # JSON-lines files of samples with known verdicts
TASKS = "humaneval"  # the benchmark, or the task file, that the samples solve
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub (env DATA_DIR)
LIMIT = 100  # samples of each file, chosen by SEED; 0: all. Each sample needs three requests
SEED = 0  # decides which samples LIMIT chooses
INJECTIONS = "tests/injections"  # folder of injections.jsonl and programs.jsonl; "": do not measure injections
OUTPUT_DIR = "./judge_report"


def main() -> None:
    tasks = tasks_by_id(TASKS, DATA_DIR) if SAMPLES else {}
    samples = {path: chosen_samples(path, tasks, LIMIT, SEED) for path in SAMPLES}
    injections = measurement.read_injections(INJECTIONS) if INJECTIONS else []
    if not JUDGE_MODEL or JUDGE_CONCURRENCY < 1 or not JUDGE_TIMEOUT > 0:
        raise InputError(
            f"JUDGE_MODEL {JUDGE_MODEL!r}, JUDGE_CONCURRENCY {JUDGE_CONCURRENCY}, JUDGE_TIMEOUT "
            f"{JUDGE_TIMEOUT}: give the judge's name on its server, and values above 0"
        )
    if not samples and not injections:
        raise InputError("nothing to measure: give --samples FILE, or --injections FOLDER")
    folder = Path(OUTPUT_DIR)
    with LlmClient(Endpoint(JUDGE_BASE_URL, JUDGE_MODEL, JUDGE_KEY_ENV, JUDGE_TIMEOUT, JUDGE_CONCURRENCY)) as client:
        client.check()
        judge = LlmJudge(client, AnswerCache(folder / JUDGEMENTS_FILE))
        found = {path: measurement.measure_samples(judge, chosen) for path, chosen in samples.items()}
        injected = measurement.measure_injections(judge, injections) if injections else None
    if client.lost:
        raise InputError(f"{client.lost}; the answers are kept in {folder}: give the same command again to continue")
    tables = [f"### {path}\n\n{measurement.samples_md(report)}" for path, report in found.items()]
    tables += [f"### {INJECTIONS}\n\n{measurement.injections_md(injected)}"] if injected else []
    report = f"## The judge {JUDGE_MODEL}\n\n" + "\n\n".join(tables) + "\n"
    values = {
        "judge": JUDGE_MODEL,
        "samples": {path: asdict(report) for path, report in found.items()},
        "injections": asdict(injected) if injected else None,
        "usage": asdict(client.usage),
    }
    (folder / "judge_report.md").write_text(report, encoding="utf-8")
    (folder / "judge_report.json").write_text(json.dumps(finite(values), indent=2) + "\n", encoding="utf-8")
    used = client.usage
    print(
        f"{report}\nasked    {used.requests} requests, {used.retries} retries, "
        f"{used.prompt_tokens} + {used.completion_tokens} tokens\n"
        f"written  {OUTPUT_DIR}/judge_report.md, judge_report.json, {JUDGEMENTS_FILE}"
    )


def tasks_by_id(name: str, data_dir: str) -> dict[str, Task]:
    """The tasks of a benchmark or of a task file, by id."""
    return {task.task_id: task for task in load_set(name, data_dir, "TASKS")}


def chosen_samples(path: str, tasks: dict[str, Task], limit: int, seed: int) -> list[measurement.Sample]:
    """`limit` samples of a file, drawn with `seed`; all for 0."""
    samples = measurement.read_graded(path, tasks)
    return random.Random(seed).sample(samples, min(limit or len(samples), len(samples)))


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
