"""Makes more training data, from offline templates or an OpenAI-compatible server, and keeps only what is verified.

A record is kept if its solution passes its test twice, no stub passes it, enough mutants fail it, and neither the set
nor a benchmark has a similar task. It does not check that the prompt describes what the solution does. To continue a
stopped run, give the same command again; it does not ask a server twice.

    python scripts/create_synthetic_data.py --backend templates --num-samples 200 --output data/synthetic.jsonl
    python scripts/create_synthetic_data.py --backend nvidia --data-dir ./data --output data/nvidia.jsonl
    python scripts/create_synthetic_data.py --backend vllm --model ./my-rl-model --mode harder --data-dir ./data \\
        --input-tasks data/synthetic.jsonl --profile my-rl-model/profile.jsonl --output data/harder.jsonl

Inputs:  a backend; INPUT_TASKS (task file) and PROFILE for the modes that start from tasks; DATA_DIR or the hub.
Outputs: OUTPUT, a task file for train_rl_poc.py --train-files (mode trajectories: {"task_id", "messages", "origin"} on
         each line, for SFT); OUTPUT.answers.jsonl and OUTPUT.checks.jsonl, work that a continued run does not repeat.
Exit:    0 written; 1 nothing was kept, or the server was lost; 2 bad input.
"""

import datetime
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from raccoon.constants import InputError, override_constants, run_main
from raccoon.ledger import Ledger, digest
from raccoon.llm.client import Answer, Endpoint, LlmClient, ServerLost, read_key
from raccoon.progress import progress_bar
from raccoon.published.benchmarks import BENCHMARKS, load_benchmark
from raccoon.reporting.logs import TaskProfile, read_records
from raccoon.sandbox.pool import Sandbox, SandboxError
from raccoon.synthetic.answers import AnswerError, Candidate, StoredAnswer, read_candidate
from raccoon.synthetic.duplicates import Seen, chunks, contaminated
from raccoon.synthetic.prompts import MODES, Question, Sampling, make_question
from raccoon.synthetic.verification import NOT_JUDGED, Check, Rules, check_tasks
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task, read_task_file, write_task_file
from raccoon.tasks.templates import generate_tasks
from raccoon.whole_files import write_records

# What is made
BACKEND = "templates"  # templates (offline), nvidia, openai or vllm
# tasks (new tasks), harder (variants of INPUT_TASKS), solutions (new solutions of INPUT_TASKS), or trajectories
# (solutions with their conversations, for SFT)
MODE = "tasks"
NUM_SAMPLES = 200  # number of candidates; the checks drop some, so fewer records are kept
OUTPUT = "data/synthetic.jsonl"  # file for this script alone
SEED = 0  # of the templates, the questions and, if the server takes a seed, its sampling
DATE = ""  # YYYY-MM-DD in each record's origin; "": today

# The server
MODEL = ""  # name of the model on the server; "": the backend's default
BASE_URL = ""  # of another OpenAI-compatible server, instead of the backend's; it gets the backend's key
CONCURRENCY = 8  # requests at once
REQUEST_TIMEOUT = 120.0  # seconds a request
MAX_RETRIES = 5  # of a request that is refused for now (429, 5xx) or cut off; the waits between them grow
BROKEN_RETRIES = 1  # how often to ask again if an answer holds no task
TEMPERATURE = 0.8  # of sampling; a higher value gives more varied tasks and more broken ones
MAX_TOKENS = 2048  # of an answer; an answer that is cut off is dropped
PRICE_INPUT = 0.0  # for a million tokens sent, in any currency; 0: no cost is counted
PRICE_OUTPUT = 0.0  # for a million tokens received

# The tasks from which the modes harder, solutions and trajectories start
INPUT_TASKS = ""  # a task file
PROFILE = ""  # profile.jsonl of a training run; mode `harder` takes its tasks with a pass rate of MIN_PASS_RATE or more
MIN_PASS_RATE = 1.0  # share of a task's samples that pass; 1: all of them

# What is kept
MUTANTS = 6  # of each solution, at most
MIN_MUTANTS_KILLED = 0.8  # share of mutants that must fail the test; below 1 because some compute the same as the code
MAX_SIMILARITY = 0.8  # of a server's prompts (Jaccard of three-word sequences); from here on one is a duplicate
ALLOW_SHARED_TESTS = False  # keep tests that must run in the same process as the code, which could forge a PASS
DATA_DIR = ""  # folder of the published benchmark files, to drop records like theirs; "": download from the hub
ALLOW_UNCHECKED = False  # continue if a benchmark cannot be read; records are then not compared with it

# The sandbox that runs solutions, stubs and mutants
SANDBOX_WORKERS = 0  # programs at once; 0: one for each CPU of this process
SANDBOX_TIMEOUT = 1.0  # CPU seconds for each program; slower tasks slow down training, and many mutants never end
SANDBOX_MEMORY_MB = 1024  # for each program
ALLOW_WEAK_SANDBOX = False  # continue even if the kernel lacks some of the sandbox's walls

BATCH = 100  # tasks that are checked and saved together; a stopped run repeats at most so many checks


@dataclass(frozen=True)
class Backend:
    """A source of candidates; one without a base_url needs no server."""

    name: str
    base_url: str = ""
    key_variable: str = ""  # the environment variable that holds the key; "": no key
    model: str = ""  # the default; "": MODEL has to be given


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("templates"),
        Backend("nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", "qwen/qwen2.5-coder-32b-instruct"),
        Backend("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "gpt-4.1-mini"),
        Backend("vllm", "http://localhost:8000/v1"),
    )
}


@dataclass(frozen=True)
class Origin:
    """What made a record: Task.origin holds it as JSON."""

    backend: str
    model: str
    mode: str
    prompt: str  # the hash of what was asked, or the file of the templates
    date: str
    seed: int
    mutants: int
    mutants_killed: float  # share


def main() -> None:
    check_constants()
    limits = {"timeout": SANDBOX_TIMEOUT, "memory_mb": SANDBOX_MEMORY_MB, "allow_weak": ALLOW_WEAK_SANDBOX}
    parents = load_parents()
    try:
        with Ledger(side_file("checks"), Check) as checks:
            benchmarks = load_benchmarks()
            with Sandbox(SANDBOX_WORKERS or None, **limits) as sandbox:
                print(f"sandbox  {sandbox.walls}", flush=True)
                candidates, drops = make_candidates(parents)
                found = verify(candidates, checks, sandbox)
            kept = keep(candidates, found, parents, benchmarks, drops)
    except (SandboxError, ServerLost) as error:
        sys.exit(f"error: {error}; finished work is saved beside {OUTPUT}: give the same command again to continue")
    print(drop_table(drops, len(kept)))
    save(kept)


def check_constants() -> None:
    """Raises InputError for constants that cannot work, before anything is loaded, asked or written."""
    for name, choices in (("BACKEND", BACKENDS), ("MODE", MODES)):
        if globals()[name] not in choices:
            raise InputError(f"no {name} {globals()[name]!r}; choose from {', '.join(choices)}")
    for name in ("NUM_SAMPLES", "CONCURRENCY", "REQUEST_TIMEOUT", "MAX_TOKENS", "MUTANTS", "SANDBOX_TIMEOUT", "BATCH"):
        if not globals()[name] > 0:
            raise InputError(f"{name} is {globals()[name]}; give a value above 0")
    if MODES[MODE].from_tasks and not INPUT_TASKS:
        raise InputError(f"MODE {MODE} starts from tasks; give a task file with --input-tasks")
    if PROFILE and MODE != "harder":
        raise InputError(f"PROFILE is used only by MODE harder, and MODE is {MODE}; leave it out")
    if not BACKENDS[BACKEND].base_url and (MODE != "tasks" or BASE_URL or MODEL):
        raise InputError(
            f"BACKEND {BACKEND} needs no server: it takes no MODEL and no BASE_URL, and only MODE tasks; "
            "give --backend nvidia, openai or vllm, with --base-url for another server"
        )
    if BACKENDS[BACKEND].base_url:
        read_key(endpoint())
    if Path(OUTPUT).exists() and not side_file("checks").exists():
        raise InputError(f"OUTPUT {OUTPUT} exists, and this script did not write it; give another, or move it away")
    if Path(OUTPUT).is_dir():
        raise InputError(f"OUTPUT {OUTPUT} is a folder; give the path of a file in it")


def endpoint() -> Endpoint:
    """The server of the constants."""
    backend = BACKENDS[BACKEND]
    if not (MODEL or backend.model):
        raise InputError(f"BACKEND {BACKEND} has no default model; give the server's name for it with --model")
    return Endpoint(
        BASE_URL or backend.base_url,
        MODEL or backend.model,
        backend.key_variable,
        REQUEST_TIMEOUT,
        CONCURRENCY,
        MAX_RETRIES,
    )


def side_file(name: str) -> Path:
    return Path(f"{OUTPUT}.{name}.jsonl")


def load_parents() -> list[Task]:
    """The tasks that the mode starts from; for `harder`, those that are solved according to PROFILE."""
    if not MODES[MODE].from_tasks:
        return []
    tasks = read_task_file(INPUT_TASKS)
    if not PROFILE:
        return tasks
    rates = read_profile(PROFILE)
    solved = [task for task in tasks if rates.get(task.task_id, 0.0) >= MIN_PASS_RATE]
    if not solved:
        raise InputError(
            f"no task of {INPUT_TASKS} has a pass rate of {MIN_PASS_RATE:g} or more in {PROFILE}; "
            "lower MIN_PASS_RATE, or give the profile of a run on these tasks"
        )
    print(f"input    {len(solved)} of {len(tasks)} tasks have a pass rate of {MIN_PASS_RATE:g} or more")
    return solved


def read_profile(path: str) -> dict[str, float]:
    """task_id -> pass rate, from the lines that runs/heldout.py makes."""
    if not Path(path).is_file():
        raise InputError(f"no PROFILE {path}; give the profile.jsonl of a run with PROFILE_SAMPLES")
    return {each.task_id: each.pass_rate for each in read_records(Path(path), TaskProfile)}


def load_benchmarks() -> dict[str, list[Task]]:
    """The benchmarks to compare records with. One that cannot be read is an error unless ALLOW_UNCHECKED is set.

    Templates quote no benchmark and should need no network. So without DATA_DIR they are not checked, and a warning
    says so.
    """
    if not BACKENDS[BACKEND].base_url and not DATA_DIR:
        print(
            "warning: the tasks are not compared with any benchmark, and small tasks may resemble one; to compare "
            "them, give --data-dir"
        )
        return {}
    found = {}
    for name in [name for name, benchmark in BENCHMARKS.items() if not benchmark.large]:
        try:
            found[name] = load_benchmark(name, DATA_DIR)
        except InputError as error:
            if not ALLOW_UNCHECKED:
                raise InputError(f"{error}; or continue without this comparison: --allow-unchecked") from None
            print(f"warning: the tasks are not compared with {name}: {error}")
    return found


def make_candidates(parents: Sequence[Task]) -> tuple[list[Candidate], Counter]:
    """The tasks to verify, and how many others could not be made, by reason."""
    if BACKENDS[BACKEND].base_url:
        with Ledger(side_file("answers"), StoredAnswer) as answers:
            return ask_server(parents, answers)
    tasks = generate_tasks(NUM_SAMPLES, SEED)
    return [Candidate(task, "", "task_templates.py", today()) for task in tasks], Counter()


def ask_server(parents: Sequence[Task], answers: Ledger[StoredAnswer]) -> tuple[list[Candidate], Counter]:
    """Asks all questions; if an answer holds no task, asks again with another seed."""
    mode, model = MODES[MODE], endpoint().model
    sampling = Sampling(SEED, TEMPERATURE, MAX_TOKENS)
    found: dict[int, Candidate] = {}
    faults: dict[int, str] = {}
    pending = list(range(NUM_SAMPLES))
    for attempt in range(BROKEN_RETRIES + 1):
        questions = {number: make_question(mode, parents, number, attempt, sampling) for number in pending}
        unanswered = ask_missing(list(questions.values()), answers)
        pending = []
        for number, question in questions.items():
            key = question.key(model)
            if key in unanswered:
                faults[number] = unanswered[key]
                continue
            try:
                found[number] = read_candidate(answers.records[key], question, mode, model)
                faults.pop(number, None)
            except AnswerError as error:
                faults[number] = str(error)
                pending.append(number)
    print_usage(answers)
    return [found[number] for number in sorted(found)], Counter(faults.values())


def ask_missing(questions: Sequence[Question], answers: Ledger[StoredAnswer]) -> dict[str, str]:
    """Asks the questions that have no answer in the ledger. Returns key -> reason of those that still have none."""
    server = endpoint()
    keys = [question.key(server.model) for question in questions]
    missing = [
        (key, question.request) for key, question in zip(keys, questions, strict=True) if key not in answers.records
    ]
    if not missing:
        return {}

    failed: dict[str, str] = {}
    with (
        LlmClient(server) as client,
        progress_bar(total=len(missing), desc=f"asking {server.model}", unit="answer") as bar,
    ):
        client.check()

        def on_answer(number: int, answer: Answer) -> None:
            key = missing[number][0]
            if answer.text is None and not answer.finish_reason:
                failed[key] = f"no answer: {answer.error}"
            else:
                answers.put(
                    key,
                    StoredAnswer(
                        answer.text or "", answer.finish_reason, answer.prompt_tokens, answer.completion_tokens, today()
                    ),
                )
            bar.update()

        client.ask_all([request for _, request in missing], on_answer)
    return failed


def print_usage(answers: Ledger[StoredAnswer]) -> None:
    """Prints the tokens and the cost of all answers for OUTPUT so far."""
    sent = sum(answer.prompt_tokens for answer in answers.records.values())
    received = sum(answer.completion_tokens for answer in answers.records.values())
    cost = (PRICE_INPUT * sent + PRICE_OUTPUT * received) / 1e6
    priced = f", cost {cost:.4f}" if PRICE_INPUT or PRICE_OUTPUT else ""
    print(f"asked    {len(answers.records)} answers in all, {sent:,} tokens sent, {received:,} received{priced}")


def today() -> str:
    return DATE or datetime.date.today().isoformat()


def verify(candidates: Sequence[Candidate], checks: Ledger[Check], sandbox: Sandbox) -> list[Check]:
    """A check of each candidate; those in the ledger are not run again."""
    rules = Rules(MUTANTS, MIN_MUTANTS_KILLED, ALLOW_SHARED_TESTS)
    limits = [SANDBOX_TIMEOUT, SANDBOX_MEMORY_MB, *asdict(rules).values()]
    keys = [digest(asdict(candidate.task), limits) for candidate in candidates]
    tasks = {key: candidate.task for key, candidate in zip(keys, candidates, strict=True)}
    missing, results, started = [key for key in tasks if key not in checks.records], dict(checks.records), time.time()
    with progress_bar(total=len(missing), desc="verifying", unit="task", disable=not missing) as bar:
        for batch in chunks(missing, BATCH):
            for key, check in zip(batch, check_tasks([tasks[key] for key in batch], sandbox, rules), strict=True):
                results[key] = check
                if check.reason != NOT_JUDGED:
                    checks.put(key, check)
            bar.update(len(batch))
    seconds = time.time() - started
    if missing:
        print(f"verified {len(missing)} tasks in {seconds:.1f} s, {len(missing) / seconds:.1f} a second")
    return [results[key] for key in keys]


def keep(
    candidates: Sequence[Candidate],
    checks: Sequence[Check],
    parents: Sequence[Task],
    benchmarks: Mapping[str, Sequence[Task]],
    drops: Counter,
) -> list[Candidate]:
    """The candidates that are verified, new and in no benchmark. All others are counted in `drops`."""
    seen = new_seen(parents)
    unique = []
    for candidate, check in zip(candidates, checks, strict=True):
        reason = check.reason or seen.add(candidate.task)
        if reason:
            drops[reason] += 1
        else:
            unique.append(replace(candidate, task=replace(candidate.task, origin=origin(candidate, check))))
    signs = contaminated([candidate.task for candidate in unique], benchmarks)
    drops.update(f"contaminated: like {sign.partition(':')[0]}" for sign in signs.values())
    return [candidate for candidate in unique if candidate.task.task_id not in signs]


def new_seen(parents: Sequence[Task]) -> Seen:
    """What the first candidate is compared with: the tasks that the mode starts from, if it must differ from them.

    Prompts are compared only if a server wrote them: those of templates differ in one word by design.
    """
    mode = MODES[MODE]
    seen = Seen(MAX_SIMILARITY if mode.new_tasks and BACKENDS[BACKEND].base_url else None)
    for parent in parents if mode.unlike_parents else ():
        seen.add(parent)
    return seen


def origin(candidate: Candidate, check: Check) -> str:
    """What made a record, as JSON."""
    return json.dumps(
        asdict(
            Origin(
                BACKEND,
                candidate.model,
                MODE,
                candidate.prompt,
                candidate.date,
                SEED,
                check.mutants,
                round(check.share, 4),
            )
        )
    )


def drop_table(drops: Counter, kept: int) -> str:
    """How many candidates were kept and dropped, and why, as a Markdown table."""
    rows = [("kept", kept), *sorted(drops.items(), key=lambda item: (-item[1], item[0]))]
    total = kept + sum(drops.values())
    return "\n".join(
        [
            "| candidates | number |",
            "|---|---|",
            *(f"| {name} | {number} |" for name, number in rows),
            f"| all | {total} |",
        ]
    )


def save(kept: Sequence[Candidate]) -> None:
    """Writes what was kept, and prints the next command. If nothing was kept, it is an error and writes no file."""
    if not kept:
        sys.exit(f"error: nothing was kept, so {OUTPUT} is not written; the table above gives the reasons")
    if MODE == "trajectories":
        write_records(OUTPUT, map(trajectory, kept))
        print(f"saved    {len(kept)} trajectories in {OUTPUT}")
        return
    write_task_file(OUTPUT, (candidate.task for candidate in kept))
    print(
        f"saved    {len(kept)} tasks in {OUTPUT}; to train on them:\n"
        f"python scripts/train_rl_poc.py --training-sets '' --train-files {shlex.quote(OUTPUT)}"
    )


def trajectory(candidate: Candidate) -> dict:
    """A verified answer as an SFT example: the conversation that led to it, and the whole answer."""
    task = candidate.task
    return {
        "task_id": task.task_id,
        "origin": task.origin,
        "messages": [*messages(task), {"role": "assistant", "content": candidate.completion}],
    }


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
