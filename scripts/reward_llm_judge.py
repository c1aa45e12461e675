"""Measures how good an LLM judge is, before you use it as a reward.

It measures the agreement with execution on samples with known verdicts, the bias by position and by length, and which
injections in the code raise the judge's score. Training uses the judge with --reward judge or --reward both. The
questions are in raccoon/llm/rubric.py, the requests to the server in raccoon/llm/client.py. Code that cannot be
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
from raccoon.ledger import AnswerCache
from raccoon.llm.client import Endpoint, LlmClient
from raccoon.llm.judge import JUDGEMENTS_FILE, Judge
from raccoon.llm.measurement import (
    Sample,
    injections_md,
    measure_injections,
    measure_samples,
    read_injections,
    read_samples,
    samples_md,
)
from raccoon.published.benchmarks import is_benchmark, load_benchmark
from raccoon.runs.log import finite
from raccoon.tasks.task import read_task_file

# The judge, on any OpenAI-compatible server
JUDGE_BASE_URL = "http://127.0.0.1:8000/v1"  # of the judge's server
JUDGE_MODEL = ""  # name of the judge on that server
JUDGE_KEY_ENV = ""  # environment variable that holds the key; "": no key
JUDGE_TIMEOUT = 120.0  # seconds a request
JUDGE_CONCURRENCY = 16  # requests at once

# What the judge is measured on
SAMPLES = []  # JSON-lines files of samples with known verdicts
TASKS = "humaneval"  # the benchmark, or the task file, that the samples solve
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub (env DATA_DIR)
LIMIT = 100  # samples of each file, chosen by SEED; 0: all. Each sample needs three requests
SEED = 0  # decides which samples LIMIT chooses
INJECTIONS = "tests/injections"  # folder of injections.jsonl and programs.jsonl; "": do not measure injections
OUTPUT_DIR = "./judge_report"


def main() -> None:
    samples, injections = load_samples(), read_injections(INJECTIONS) if INJECTIONS else []
    if not JUDGE_MODEL or JUDGE_CONCURRENCY < 1 or not JUDGE_TIMEOUT > 0:
        raise InputError(
            f"JUDGE_MODEL {JUDGE_MODEL!r}, JUDGE_CONCURRENCY {JUDGE_CONCURRENCY}, JUDGE_TIMEOUT "
            f"{JUDGE_TIMEOUT}: give the judge's name on its server, and values above 0"
        )
    if not samples and not injections:
        raise InputError(
            "nothing to measure, SAMPLES and INJECTIONS are empty: give --samples, or --injections a folder"
        )
    endpoint = Endpoint(JUDGE_BASE_URL, JUDGE_MODEL, JUDGE_KEY_ENV, JUDGE_TIMEOUT, JUDGE_CONCURRENCY)
    with LlmClient(endpoint) as client:
        client.check()
        judge = Judge(client, AnswerCache(Path(OUTPUT_DIR) / JUDGEMENTS_FILE))
        found = {path: measure_samples(judge, chosen) for path, chosen in samples.items()}
        injected = measure_injections(judge, injections) if injections else None
    if judge.lost:
        raise InputError(
            f"{judge.lost}; the answers so far are in {OUTPUT_DIR}: give the same command again to continue"
        )
    tables = [f"### {path}\n\n{samples_md(report)}" for path, report in found.items()]
    tables += [f"### {INJECTIONS}\n\n{injections_md(injected)}"] if injected else []
    report = f"## The judge {JUDGE_MODEL}\n\n" + "\n\n".join(tables) + "\n"
    values = {
        "judge": JUDGE_MODEL,
        "samples": {path: asdict(report) for path, report in found.items()},
        "injections": asdict(injected) if injected else None,
        "usage": asdict(client.usage),
    }
    (Path(OUTPUT_DIR) / "judge_report.md").write_text(report, encoding="utf-8")
    (Path(OUTPUT_DIR) / "judge_report.json").write_text(json.dumps(finite(values), indent=2) + "\n", encoding="utf-8")
    print(
        f"{report}\nasked    {client.usage.requests} requests, {client.usage.retries} retries, "
        f"{client.usage.prompt_tokens} + {client.usage.completion_tokens} tokens\n"
        f"written  {OUTPUT_DIR}/judge_report.md, judge_report.json, {JUDGEMENTS_FILE}"
    )


def load_samples() -> dict[str, list[Sample]]:
    """LIMIT samples of each file, by its path."""
    if not SAMPLES:
        return {}
    tasks = load_benchmark(TASKS, DATA_DIR) if is_benchmark(TASKS) else read_task_file(TASKS)
    known = {task.task_id: task for task in tasks}
    found = {path: read_samples(path, known) for path in SAMPLES}
    return {
        path: random.Random(SEED).sample(samples, min(LIMIT or len(samples), len(samples)))
        for path, samples in found.items()
    }


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
