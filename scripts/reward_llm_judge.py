"""The LLM judge as a reward, alone or beside execution; started by itself, it says what the judge is worth.

How it is asked is in judge_rubric.py, how the server is spoken to in llm_client.py. What cannot be judged has
no score: it is None, is counted, and never becomes a number in the middle. Training uses it with --reward judge
or --reward both. This command measures, before one trusts it: agreement with execution on samples with known
verdicts, the bias of position and length, and which injections in the code raise its score.

    python scripts/reward_llm_judge.py --judge-base-url http://127.0.0.1:8000/v1 --judge-model NAME
    python scripts/reward_llm_judge.py --judge-model NAME --samples samples.jsonl --tasks humaneval --data-dir data
    python scripts/reward_llm_judge.py --judge-model NAME --samples RUN/completions.jsonl --tasks RUN/tasks.jsonl

Inputs:  an OpenAI-compatible server; SAMPLES with known verdicts, and their TASKS; the folder INJECTIONS.
Outputs: OUTPUT_DIR/judge_report.md and judge_report.json; OUTPUT_DIR/judgements.jsonl, all that the judge has
         answered, so that the same command again asks nothing twice.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from answer_cache import AnswerCache, answer_key
from code_tasks import BENCHMARKS, Task, load_benchmark, read_task_file
from judge_report import (
    Sample,
    injections_md,
    measure_injections,
    measure_samples,
    read_injections,
    read_samples,
    samples_md,
)
from judge_rubric import WORTHLESS, Judgement, Question, ask_about, read_judgement, visible_program
from llm_client import Answer, Endpoint, LlmClient, ServerLost
from rewards import ExecutionReward
from run_control import Rollout, finite
from script_constants import InputError, override_constants, run_main

# The judge, on any OpenAI-compatible server
JUDGE_BASE_URL = "http://127.0.0.1:8000/v1"  # of its server
JUDGE_MODEL = ""  # its name there
JUDGE_KEY_ENV = ""  # the environment variable that holds its key; "" needs none
JUDGE_TIMEOUT = 120.0  # seconds a request
JUDGE_CONCURRENCY = 16  # requests at once

# What it is measured on
SAMPLES = []  # JSON-lines files of samples with known verdicts
TASKS = "humaneval"  # the benchmark, or the task file, that they are of
DATA_DIR = ""  # folder of the published benchmark files; "" is the hub (env DATA_DIR)
LIMIT = 100  # samples of each file, chosen by SEED; 0 is all. Each costs three requests
SEED = 0  # of LIMIT's choice
INJECTIONS = "tests/injections"  # folder of injections.jsonl and programs.jsonl; "" measures none
OUTPUT_DIR = "./judge_report"

JUDGEMENTS_FILE = "judgements.jsonl"  # in a run's OUTPUT_DIR


class Judge:
    """Judges programs on one server; what it has judged before it does not ask again.

    `within` are the seconds that one call of judge() may take.
    """

    def __init__(self, client: LlmClient, cache: AnswerCache, within: float | None = None) -> None:
        self.client, self.cache, self.within = client, cache, within
        self.lost = ""  # why the server was given up, once it was

    def judge(self, items: Sequence[tuple[str, str]], reverse: bool = False) -> list[Judgement]:
        """A judgement of each (task prompt, code), in order; code that does not parse is worth 0, unasked.

        An answer that cannot be read is kept like any other, so that a resumed run meets it again; what the
        server failed to answer is asked again next time.
        """
        programs = [(prompt, visible_program(code)) for prompt, code in items]
        questions = {item: ask_about(*item, reverse) for item in dict.fromkeys(programs) if item[1]}
        keys = {item: self.key(question) for item, question in questions.items()}
        missing = [item for item in questions if keys[item] not in self.cache]
        errors = self.ask([(keys[item], questions[item]) for item in missing])
        return [self.judgement(keys[item], errors) if item[1] else WORTHLESS for item in programs]

    def key(self, question: Question) -> str:
        endpoint, request = self.client.endpoint, question.request
        return answer_key("judge", endpoint.model, request.messages, request.temperature, request.max_tokens)

    def ask(self, questions: list[tuple[str, Question]]) -> dict[str, str]:
        """Puts the judgements of new questions into the cache; why there is none, by key, for the others."""
        errors = {key: "the server was lost before" for key, _ in questions}

        def keep(number: int, answer: Answer) -> None:
            key, question = questions[number]
            errors[key] = answer.error
            if answer.text is not None:
                self.cache.put(key, asdict(read_judgement(answer.text, question.answer_id)))

        try:
            self.client.ask_all([question.request for _, question in questions], keep, self.within)
        except ServerLost as lost:
            self.lost = str(lost)  # every question that it left open has its error
        return errors

    def judgement(self, key: str, errors: Mapping[str, str]) -> Judgement:
        return Judgement(**self.cache[key]) if key in self.cache else Judgement(None, error=errors[key])


@dataclass(frozen=True)
class JudgeScale:
    """What a judgement is worth beside a verdict: `worst` for score 0, `best` for score 1, times `weights`.

    `weights` are TRL's reward_weights, of execution and of the judge; None is the judge alone.
    """

    worst: float
    best: float
    weights: tuple[float, float] | None

    def value(self, judgement: Judgement) -> float | None:
        if judgement.score is None:
            return None
        return self.worst + (self.best - self.worst) * judgement.score


class JudgeReward:
    """TRL's reward functions where a judge scores completions, alone or beside execution.

    It stands in for ExecutionReward. The code is executed in either case: the verdict is logged, and is what the
    held-out control goes by. Beside execution a completion needs both scores: where one is missing both are
    None, because a sum over what is left would put it in the middle of the others.
    """

    def __init__(self, execution: ExecutionReward, judge: Judge, scale: JudgeScale) -> None:
        self.executed, self.judged, self.scale = execution, judge, scale
        self.batch: Any = None
        self.pairs: list[tuple[float | None, float | None]] = []  # execution's and judge's, of the batch
        self.scored: list[Rollout] = []

    @property
    def functions(self) -> list:
        return [self.execution, self.judge] if self.scale.weights else [self.judge]

    def execution(self, completion_ids: list[list[int]], task: list[dict], **_: Any) -> list[float | None]:
        """TRL's reward function: execution's part."""
        return [pair[0] for pair in self.score(completion_ids, task)]

    def judge(self, completion_ids: list[list[int]], task: list[dict], **_: Any) -> list[float | None]:
        """TRL's reward function: the judge's part."""
        return [pair[1] for pair in self.score(completion_ids, task)]

    def score(self, completion_ids: list[list[int]], task: list[dict]) -> list[tuple]:
        """Both parts of a batch, which TRL hands to each of the functions in turn."""
        if self.batch is not completion_ids:
            tasks = [Task(**fields) for fields in task]
            executed = self.evaluate(tasks, completion_ids)
            judgements = self.judge_rollouts(tasks, executed)
            self.pairs = [self.pair(*both) for both in zip(executed, judgements, strict=True)]
            self.scored += map(self.rollout, executed, judgements, self.pairs)
            self.batch = completion_ids
        return self.pairs

    def judge_rollouts(self, tasks: list[Task], rollouts: list[Rollout]) -> list[Judgement]:
        """A truncated completion is worth 0 unasked, as it is a FAIL to execution."""
        asked = [(task.prompt, "" if rollout.truncated else rollout.code)
                 for task, rollout in zip(tasks, rollouts, strict=True)]
        return self.judged.judge(asked)

    def pair(self, executed: Rollout, judgement: Judgement) -> tuple[float | None, float | None]:
        """Execution's and the judge's reward; both or none where both are wanted."""
        value = self.scale.value(judgement)
        if self.scale.weights and None in (executed.reward, value):
            return None, None
        return executed.reward, value

    def rollout(self, executed: Rollout, judgement: Judgement, pair: tuple) -> Rollout:
        """The rollout as it is logged: TRL's weighted sum, and its parts."""
        value = pair[1]
        if value is None:
            return replace(executed, reward=None, reward_parts={}, judgement=judgement)
        if not self.scale.weights:
            return replace(executed, reward=value, reward_parts={"judge": value}, judgement=judgement)
        reward = sum(weight * part for weight, part in zip(self.scale.weights, pair, strict=True))
        parts = {**executed.reward_parts, "judge": value}
        return replace(executed, reward=reward, reward_parts=parts, judgement=judgement)

    def evaluate(self, tasks: list[Task], completion_ids: list[list[int]]) -> list[Rollout]:
        """ExecutionReward's: a completion of each task with its verdict, unjudged."""
        return self.executed.evaluate(tasks, completion_ids)

    def take_rollouts(self) -> list[Rollout]:
        """What was scored since the last call."""
        scored, self.scored = self.scored, []
        return scored


def main() -> None:
    samples, injections = load_samples(), read_injections(INJECTIONS) if INJECTIONS else []
    if not JUDGE_MODEL or JUDGE_CONCURRENCY < 1 or not JUDGE_TIMEOUT > 0:
        raise InputError(f"JUDGE_MODEL {JUDGE_MODEL!r}, JUDGE_CONCURRENCY {JUDGE_CONCURRENCY}, JUDGE_TIMEOUT "
                         f"{JUDGE_TIMEOUT}: give the name that the model has on its server, and values above 0")
    if not samples and not injections:
        raise InputError("nothing to measure: give --samples, or --injections a folder")
    endpoint = Endpoint(JUDGE_BASE_URL, JUDGE_MODEL, JUDGE_KEY_ENV, JUDGE_TIMEOUT, JUDGE_CONCURRENCY)
    with LlmClient(endpoint) as client:
        client.check()
        judge = Judge(client, AnswerCache(Path(OUTPUT_DIR) / JUDGEMENTS_FILE))
        found = {path: measure_samples(judge, chosen) for path, chosen in samples.items()}
        injected = measure_injections(judge, injections) if injections else None
    if judge.lost:
        raise InputError(f"{judge.lost}; what it answered is in {OUTPUT_DIR}, and the same command goes on from there")
    tables = [f"### {path}\n\n{samples_md(report)}" for path, report in found.items()]
    tables += [f"### {INJECTIONS}\n\n{injections_md(injected)}"] if injected else []
    report = f"## The judge {JUDGE_MODEL}\n\n" + "\n\n".join(tables) + "\n"
    values = {"judge": JUDGE_MODEL, "samples": {path: asdict(report) for path, report in found.items()},
              "injections": asdict(injected) if injected else None, "usage": asdict(client.usage)}
    (Path(OUTPUT_DIR) / "judge_report.md").write_text(report, encoding="utf-8")
    (Path(OUTPUT_DIR) / "judge_report.json").write_text(json.dumps(finite(values), indent=2) + "\n", encoding="utf-8")
    print(f"{report}\nasked    {client.usage.requests} requests, {client.usage.retries} retries, "
          f"{client.usage.prompt_tokens} + {client.usage.completion_tokens} tokens\n"
          f"written  {OUTPUT_DIR}/judge_report.md, judge_report.json, {JUDGEMENTS_FILE}")


def load_samples() -> dict[str, list[Sample]]:
    """LIMIT samples of each file, by its path."""
    if not SAMPLES:
        return {}
    tasks = load_benchmark(TASKS, DATA_DIR) if TASKS in BENCHMARKS else read_task_file(TASKS)
    known = {task.task_id: task for task in tasks}
    found = {path: read_samples(path, known) for path in SAMPLES}
    return {path: random.Random(SEED).sample(samples, min(LIMIT or len(samples), len(samples)))
            for path, samples in found.items()}


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
