"""Makes more training data, from offline templates or an OpenAI-compatible server, and keeps only what is verified.

A record is kept if its solution passes its test twice, no stub passes it, enough mutants fail it, and neither the set
nor a benchmark has a similar task. It does not check that the prompt describes what the solution does. To continue a
stopped run, give the same command again; it does not ask a server twice.

    python scripts/create_synthetic_data.py --backend templates --num-samples 200 --output data/synthetic.jsonl
    python scripts/create_synthetic_data.py --backend nvidia --data-dir ./data --output data/nvidia.jsonl
    python scripts/create_synthetic_data.py --backend mutants --mode trajectories --turns 2 \\
        --input-tasks my_tasks.jsonl --output data/repairs.jsonl
    python scripts/create_synthetic_data.py --backend vllm --model ./my-rl-model --mode harder --data-dir ./data \\
        --input-tasks data/synthetic.jsonl --profile my-rl-model/profile.jsonl --output data/harder.jsonl

Inputs:  a backend; INPUT_TASKS (task file) and PROFILE for the modes that start from tasks; DATA_DIR or the hub.
Outputs: OUTPUT, a task file for train_rl_poc.py --train-files (mode trajectories: {"task_id", "messages", "origin"} on
         each line, for SFT); OUTPUT.answers.jsonl, OUTPUT.checks.jsonl and OUTPUT.feedback.jsonl, work that a
         continued run does not repeat.
Exit:    0 written; 1 nothing was kept, or the server was lost; 2 bad input.
"""

import datetime
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_choice, check_positive, override_constants, run_main
from raccoon.conversation import check_feedback
from raccoon.llm.client import Answer, Endpoint, LlmClient, Request, ServerLost, read_key
from raccoon.progress import progress_bar
from raccoon.published.benchmarks import BENCHMARKS, load_benchmark
from raccoon.reporting.logs import TaskProfile, read_records
from raccoon.sandbox.pool import Sandbox, SandboxError
from raccoon.store import Ledger, digest, write_records
from raccoon.synthetic.conversations import StoredFeedback, Teller, continued, mutant_conversations
from raccoon.synthetic.server_tasks import (
    MODES,
    AnswerError,
    Candidate,
    Mode,
    StoredAnswer,
    TaskRequest,
    make_request,
    read_candidate,
)
from raccoon.synthetic.verification import NOT_JUDGED, Rules, Seen, TaskCheck, check_tasks, contaminated
from raccoon.tasks.task import Task, given_in, read_task_file, task_record, write_task_file
from raccoon.tasks.templates import generate_tasks
from raccoon.tasks.visible_tests import check_visible_tests

# What is made
# templates (offline), nvidia, openai, vllm, or mutants (offline: conversations in which a mutant of a task's solution
# fails, and the solution repairs it)
BACKEND = "templates"
# tasks (new tasks), harder (variants of INPUT_TASKS), solutions (new solutions of INPUT_TASKS), or trajectories
# (solutions with their conversations, for SFT)
MODE = "tasks"
NUM_SAMPLES = 200  # number of candidates; the checks drop some, so fewer records are kept
OUTPUT = "data/synthetic.jsonl"  # file for this script alone
SEED = 0  # of the templates, the questions and, if the server takes a seed, its sampling
DATE = ""  # YYYY-MM-DD in each record's origin; "": today

# Conversations (MODE trajectories)
TURNS = 1  # answers at most: a wrong one gets the sandbox's feedback, and the model tries again; 1: no feedback
MAX_FEEDBACK = 1000  # characters of a feedback
ONLY_REPAIRS = False  # leave out the conversations whose first answer is right, if there are too many of them

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


AT_ONCE = "solved at once"

# The server of each backend: its address, default model and the environment variable with the key.
BACKENDS = {
    "templates": None,  # offline
    "mutants": None,  # offline
    "nvidia": Endpoint("https://integrate.api.nvidia.com/v1", "qwen/qwen2.5-coder-32b-instruct", "NVIDIA_API_KEY"),
    "openai": Endpoint("https://api.openai.com/v1", "gpt-4.1-mini", "OPENAI_API_KEY"),
    "vllm": Endpoint("http://localhost:8000/v1", ""),
}


@dataclass(frozen=True)
class Job:
    """What is made and kept, and the limits of the sandbox: the constants after their check."""

    backend: str
    mode: Mode
    number: int  # of candidates
    output: str
    date: str
    server: Endpoint | None  # None: the templates or the mutants make the tasks
    seed: int
    first: Request  # the settings of the sampling, without words
    broken_retries: int
    turns: int
    max_feedback: int
    only_repairs: bool
    rules: Rules
    max_similarity: float
    timeout: float
    memory_mb: int
    batch: int

    def side_file(self, name: str) -> Path:
        return Path(f"{self.output}.{name}.jsonl")


def main() -> None:
    job = make_job()
    parents = load_parents(job, INPUT_TASKS, PROFILE, MIN_PASS_RATE)
    workers = SANDBOX_WORKERS or None
    try:
        with Ledger(job.side_file("checks"), TaskCheck) as checks:
            benchmarks = load_benchmarks(job.server is not None, DATA_DIR, ALLOW_UNCHECKED)
            with Sandbox(workers, job.timeout, job.memory_mb, allow_weak=ALLOW_WEAK_SANDBOX) as sandbox:
                print(f"sandbox  {sandbox.walls}", flush=True)
                if job.turns > 1:
                    check_visible_tests(parents, sandbox.run)
                candidates, drops = make_candidates(job, parents, sandbox, (PRICE_INPUT, PRICE_OUTPUT))
                found = verify(job, candidates, checks, sandbox)
            kept = keep(job, list(zip(candidates, found, strict=True)), parents, benchmarks, drops)
    except (SandboxError, ServerLost) as error:
        sys.exit(f"error: {error}; finished work is saved beside {OUTPUT}: give the same command again to continue")
    print(drop_table(drops, kept_counts(job.turns, kept)))
    write_kept(kept, job.mode.name, job.output)


def make_job() -> Job:
    """Raises InputError for constants that cannot work, before anything is loaded, asked or written."""
    check_choice("BACKEND", BACKEND, BACKENDS)
    check_choice("MODE", MODE, MODES)
    check_positive(NUM_SAMPLES=NUM_SAMPLES, CONCURRENCY=CONCURRENCY, REQUEST_TIMEOUT=REQUEST_TIMEOUT)
    check_positive(MAX_TOKENS=MAX_TOKENS, MUTANTS=MUTANTS, SANDBOX_TIMEOUT=SANDBOX_TIMEOUT, BATCH=BATCH)
    check_turns()
    if MODES[MODE].from_tasks and not INPUT_TASKS:
        raise InputError(f"MODE {MODE} starts from tasks; give a task file with --input-tasks")
    if PROFILE and MODE != "harder":
        raise InputError(f"PROFILE is used only by MODE harder, and MODE is {MODE}; leave it out")
    job = Job(
        BACKEND,
        replace(MODES[MODE], repairs=TURNS > 1),
        NUM_SAMPLES,
        OUTPUT,
        DATE or datetime.date.today().isoformat(),
        make_server(),
        SEED,
        Request((), TEMPERATURE, MAX_TOKENS, seed=SEED),
        BROKEN_RETRIES,
        TURNS,
        MAX_FEEDBACK,
        ONLY_REPAIRS,
        Rules(MUTANTS, MIN_MUTANTS_KILLED, ALLOW_SHARED_TESTS),
        MAX_SIMILARITY,
        SANDBOX_TIMEOUT,
        SANDBOX_MEMORY_MB,
        BATCH,
    )
    if Path(OUTPUT).exists() and not job.side_file("checks").exists():
        raise InputError(f"OUTPUT {OUTPUT} exists, and this script did not write it; give another, or move it away")
    if Path(OUTPUT).is_dir():
        raise InputError(f"OUTPUT {OUTPUT} is a folder; give the path of a file in it")
    return job


def check_turns() -> None:
    """Raises InputError for conversations that no backend or mode makes."""
    check_positive(TURNS=TURNS)
    if TURNS > 1 and MODE != "trajectories":
        raise InputError(f"TURNS is {TURNS}, and MODE {MODE} makes no conversations; give --mode trajectories")
    check_feedback(TURNS, MAX_FEEDBACK)
    if ONLY_REPAIRS and TURNS < 2:
        raise InputError("ONLY_REPAIRS needs conversations of several turns; give --turns 2")
    if BACKEND == "mutants" and TURNS != 2:
        raise InputError("BACKEND mutants makes repairs, of two answers; give --mode trajectories --turns 2")


def make_server() -> Endpoint | None:
    """The server of BACKEND; None for a backend that needs none."""
    server = BACKENDS[BACKEND]
    if server:
        if not (MODEL or server.model):
            raise InputError(f"BACKEND {BACKEND} has no default model; give the server's name for it with --model")
        server = replace(server, base_url=BASE_URL or server.base_url, model=MODEL or server.model)
        server = replace(server, timeout=REQUEST_TIMEOUT, concurrency=CONCURRENCY, max_retries=MAX_RETRIES)
        read_key(server)
    elif BASE_URL or MODEL or BACKEND == "templates" and MODE != "tasks":
        raise InputError(
            f"BACKEND {BACKEND} needs no server: it takes no MODEL and no BASE_URL, and templates only MODE tasks; "
            "give --backend nvidia, openai or vllm, with --base-url for another server"
        )
    return server


def load_parents(job: Job, path: str, profile: str, least: float) -> list[Task]:
    """The tasks that the mode starts from; with a profile, those with a pass rate of at least `least`."""
    if not job.mode.from_tasks:
        return []
    with given_in("INPUT_TASKS"):
        tasks = read_task_file(path)
    if not job.server:
        tasks = [task for task in tasks if task.solution]
        if not tasks:
            raise InputError(
                f"no task of INPUT_TASKS {path} has a solution, and BACKEND {job.backend} makes mutants of it"
            )
    if not profile:
        return tasks
    if not Path(profile).is_file():
        raise InputError(f"no PROFILE {profile}; give the profile.jsonl of a run with PROFILE_SAMPLES")
    rates = {each.task_id: each.pass_rate for each in read_records(Path(profile), TaskProfile)}
    solved = [task for task in tasks if rates.get(task.task_id, 0.0) >= least]
    if not solved:
        raise InputError(
            f"no task of {path} has a pass rate of {least:g} or more in {profile}; "
            "lower MIN_PASS_RATE, or give the profile of a run on these tasks"
        )
    print(f"input    {len(solved)} of {len(tasks)} tasks have a pass rate of {least:g} or more")
    return solved


def load_benchmarks(served: bool, data_dir: str, allow_unchecked: bool) -> dict[str, list[Task]]:
    """The benchmarks to compare records with. What cannot be read is an error, all at once, unless `allow_unchecked`.

    Templates quote no benchmark and should need no network: without `data_dir` they are not checked, as a warning says.
    """
    if not served and not data_dir:
        print(
            "warning: the tasks are not compared with any benchmark, and small tasks may resemble one; to compare "
            "them, give --data-dir"
        )
        return {}
    found, unread = {}, []
    for name, benchmark in BENCHMARKS.items():
        if benchmark.large or "_hard" in name:  # BigCodeBench-Hard's tasks are BigCodeBench's
            continue
        try:
            found[name] = load_benchmark(name, data_dir)
        except InputError as error:
            unread.append(f"{name} ({error})")
    if unread and not allow_unchecked:
        raise InputError(f"cannot compare with {'; '.join(unread)}; or continue without them: --allow-unchecked")
    for reason in unread:
        print(f"warning: the tasks are not compared with {reason}")
    return found


def make_candidates(
    job: Job, parents: Sequence[Task], sandbox: Sandbox, prices: tuple[float, float]
) -> tuple[list[Candidate], Counter]:
    """The tasks to verify, and how many others could not be made, by reason. `prices`: of a million tokens each way."""
    if not job.server and not job.mode.from_tasks:
        tasks = generate_tasks(job.number, job.seed)
        return [Candidate(task, "", "raccoon/tasks/templates.py", job.date) for task in tasks], Counter()
    with ExitStack() as stack:
        teller = None
        if job.turns > 1:
            told = stack.enter_context(Ledger(job.side_file("feedback"), StoredFeedback))
            teller = Teller(sandbox, told, job.max_feedback, (job.timeout, job.memory_mb), job.batch)
        if not job.server:
            assert teller  # make_job has checked it
            return mutant_conversations(parents, job.number, job.date, teller)
        answers = stack.enter_context(Ledger(job.side_file("answers"), StoredAnswer))
        found = ask_server(job, job.server, parents, answers, teller)
    sent = sum(answer.prompt_tokens for answer in answers.records.values())
    received = sum(answer.completion_tokens for answer in answers.records.values())
    cost = f", cost {(prices[0] * sent + prices[1] * received) / 1e6:.4f}" if any(prices) else ""
    print(f"asked    {len(answers.records)} answers in all, {sent:,} tokens sent, {received:,} received{cost}")
    return found


def ask_server(
    job: Job, server: Endpoint, parents: Sequence[Task], answers: Ledger[StoredAnswer], teller: Teller | None
) -> tuple[list[Candidate], Counter]:
    """Asks for all tasks; if an answer holds no task, asks again with another seed. A teller leads to more turns."""
    found: dict[int, Candidate] = {}
    faults: dict[int, str] = {}
    asked: dict[int, TaskRequest] = {}
    pending = list(range(job.number))
    for attempt in range(job.broken_retries + 1):
        requests = {number: make_request(job.mode, parents, number, attempt, job.first) for number in pending}
        new, missing = ask_numbered(job, server, answers, requests)
        asked, found, faults = asked | requests, found | new, faults | missing
        pending = [number for number in missing if requests[number].key(server.model) in answers.records]
    if teller:
        ask = partial(ask_numbered, job, server, answers)
        found, lost = continued(asked, found, job.turns, teller, ask)
        faults |= lost
    return [found[number] for number in sorted(found)], Counter(
        reason for number, reason in faults.items() if number not in found
    )


def ask_numbered(
    job: Job, server: Endpoint, answers: Ledger[StoredAnswer], requests: dict[int, TaskRequest]
) -> tuple[dict[int, Candidate], dict[int, str]]:
    """The tasks in the answers, and why there is none in others, both by the number of the request."""
    unanswered = ask_missing(list(requests.values()), answers, server, job.date)
    found: dict[int, Candidate] = {}
    faults: dict[int, str] = {}
    for number, asked in requests.items():
        key = asked.key(server.model)
        if key in unanswered:
            faults[number] = unanswered[key]
            continue
        try:
            found[number] = read_candidate(answers.records[key], asked, job.mode, server.model)
        except AnswerError as error:
            faults[number] = str(error)
    return found, faults


def ask_missing(
    requests: Sequence[TaskRequest], answers: Ledger[StoredAnswer], server: Endpoint, date: str
) -> dict[str, str]:
    """Sends the requests that have no answer in the ledger. Returns key -> reason of those that still have none."""
    keyed = [(asked.key(server.model), asked.request) for asked in requests]
    missing = [(key, request) for key, request in keyed if key not in answers.records]
    if not missing:
        return {}

    failed: dict[str, str] = {}
    with (
        LlmClient(server) as client,
        progress_bar(total=len(missing), desc=f"asking {server.model}", unit="answer") as bar,
    ):
        client.check()

        def keep_answer(number: int, answer: Answer) -> None:
            key, text, reason = missing[number][0], answer.text or "", answer.finish_reason
            if answer.text is None and not reason:
                failed[key] = f"no answer: {answer.error}"
            else:
                stored = StoredAnswer(text, reason, answer.prompt_tokens, answer.completion_tokens, date)
                answers.put(key, stored)
            bar.update()

        client.ask_all([request for _, request in missing], keep_answer)
    return failed


def verify(job: Job, candidates: Sequence[Candidate], checks: Ledger[TaskCheck], sandbox: Sandbox) -> list[TaskCheck]:
    """A check of each candidate; those in the ledger are not run again."""
    limits = [job.timeout, job.memory_mb, *asdict(job.rules).values()]
    keys = [digest(task_record(candidate.task), limits) for candidate in candidates]
    tasks = {key: candidate.task for key, candidate in zip(keys, candidates, strict=True)}
    missing, results, started = [key for key in tasks if key not in checks.records], dict(checks.records), time.time()
    with progress_bar(total=len(missing), desc="verifying", unit="task", disable=not missing) as bar:
        for start in range(0, len(missing), job.batch):
            batch = missing[start : start + job.batch]
            found = check_tasks([tasks[key] for key in batch], sandbox, job.rules)
            for key, check in zip(batch, found, strict=True):
                results[key] = check
                if check.reason != NOT_JUDGED:
                    checks.put(key, check)
            bar.update(len(batch))
    seconds = time.time() - started
    if missing:
        print(f"verified {len(missing)} tasks in {seconds:.1f} s, {len(missing) / seconds:.1f} a second")
    return [results[key] for key in keys]


def keep(
    job: Job,
    checked: Sequence[tuple[Candidate, TaskCheck]],
    parents: Sequence[Task],
    benchmarks: Mapping[str, Sequence[Task]],
    drops: Counter,
) -> list[Candidate]:
    """The candidates that are verified, new and in no benchmark. All others are counted in `drops`."""
    # Prompts are compared only if a server wrote them: those of templates differ in one word by design.
    seen = Seen(job.max_similarity if job.mode.new_tasks and job.server else None)
    for parent in parents if job.mode.unlike_parents else ():
        seen.add(parent)
    unique = []
    for candidate, check in checked:
        at_once = job.only_repairs and not candidate.earlier
        reason = check.reason or AT_ONCE * at_once or seen.add(candidate.distinct)
        if reason:
            drops[reason] += 1
            continue
        origin: dict[str, Any] = {"backend": job.backend, "model": candidate.model, "mode": job.mode.name}
        origin |= {"prompt": candidate.prompt, "date": candidate.date, "seed": job.seed}
        origin |= {"mutants": check.mutants, "mutants_killed": round(check.share, 4)}
        origin |= {"turns": 1 + len(candidate.earlier)} if job.turns > 1 else {}
        unique.append(replace(candidate, task=replace(candidate.task, origin=json.dumps(origin))))
    signs = contaminated([candidate.task for candidate in unique], benchmarks)
    drops.update(f"contaminated: like {sign.partition(':')[0]}" for sign in signs.values())
    return [candidate for candidate in unique if candidate.task.task_id not in signs]


def kept_counts(turns: int, kept: Sequence[Candidate]) -> dict[str, int]:
    """How many candidates were kept; with several turns, how many of them are repairs."""
    repaired = sum(bool(candidate.earlier) for candidate in kept)
    return {"kept, repaired": repaired, f"kept, {AT_ONCE}": len(kept) - repaired} if turns > 1 else {"kept": len(kept)}


def drop_table(drops: Counter, kept: Mapping[str, int]) -> str:
    """How many candidates were kept and dropped, and why, as a Markdown table."""
    rows = [*kept.items(), *sorted(drops.items(), key=lambda item: (-item[1], item[0]))]
    rows.append(("all", sum(kept.values()) + drops.total()))
    return "\n".join(["| candidates | number |", "|---|---|", *(f"| {name} | {number} |" for name, number in rows)])


def write_kept(kept: Sequence[Candidate], mode: str, output: str) -> None:
    """Writes what was kept, and prints the next command. If nothing was kept, it is an error and writes no file."""
    if not kept:
        sys.exit(f"error: nothing was kept, so {output} is not written; the table above gives the reasons")
    if mode == "trajectories":
        write_records(output, map(trajectory, kept))
        print(f"saved    {len(kept)} trajectories in {output}")
        return
    write_task_file(output, (candidate.task for candidate in kept))
    print(
        f"saved    {len(kept)} tasks in {output}; to train on them:\n"
        f"python scripts/train_rl_poc.py --training-sets '' --train-files {shlex.quote(output)}"
    )


def trajectory(candidate: Candidate) -> dict:
    """A verified answer as an SFT example: the conversation that led to it, and the whole answer."""
    task = candidate.distinct
    return {"task_id": task.task_id, "origin": task.origin, "messages": [*candidate.conversation]}


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
