"""Adds tests to tasks: inputs like those of their asserts, with the results of their solutions.

Weak tests let wrong code pass, and training pays it. The new asserts are chosen for the wrong programs that the given
test lets pass: mutants of the solution, and code that you have. It changes no prompt and no solution. A task of which
it is not sure stays as it is, and is counted by the reason.

    python scripts/strengthen_tests.py                                            # MBPP and HumanEval
    python scripts/strengthen_tests.py --task-sets my_tasks.jsonl --output my_stronger_tasks.jsonl
    python scripts/strengthen_tests.py --from-run ./my-rl-model                   # also against that run's wrong code

A solution is trusted only as much as its test: it runs in the sandbox. An input on which it raises is no test, because
the task may not allow it. To continue a stopped run, give the same command again.

Inputs:  published sets, from the hub or DATA_DIR, or task files; a run's completions.jsonl; files of samples.
Outputs: OUTPUT, all tasks in the given order, a stronger one with {"new_tests": {"version", "seed", "number"}} in its
         `origin` and a comment above its new asserts; OUTPUT.done.jsonl, from which a stopped run goes on.
Exit:    0; 1 if the sandbox fails; 2 bad input.
"""

import sys
from collections import defaultdict
from pathlib import Path

from raccoon.constants import InputError, check_positive, override_constants, run_main
from raccoon.evaluation.samples import read_samples
from raccoon.published.benchmarks import load_set
from raccoon.reporting.logs import LoggedCompletion, read_records
from raccoon.runs.log import COMPLETIONS_LOG
from raccoon.sandbox.pool import Sandbox, SandboxError
from raccoon.strengthening.stored import strengthen_all, summary
from raccoon.strengthening.strengthen import Known
from raccoon.tasks.extraction import extract_code
from raccoon.tasks.task import Task, write_task_file

TASK_SETS: list[str] = ["mbpp", "humaneval"]  # published sets, without MBPP's prompt split, or task files
OUTPUT = "data/strengthened.jsonl"  # a task file
DATA_DIR = ""  # folder of the published benchmark files; "": download from the hub

MAX_NEW_TESTS = 16  # asserts for each task; each costs every verdict a little
SEED = 0  # of the inputs
FROM_RUN = ""  # OUTPUT_DIR of a training run: what its code got wrong is what the new tests should fail; "": none
# Files of samples for the same purpose: JSON lines of task_id and completion or solution. If most of at least four that
# pass the given test contradict the solution on an input, that input is no test: the solution may be wrong
SAMPLES: list[str] = []
MAX_PROGRAMS = 40  # programs of FROM_RUN and SAMPLES for each task

SANDBOX_WORKERS = 0  # programs at once; 0: one for each CPU of this process
SANDBOX_MEMORY_MB = 1024  # for each program
ALLOW_WEAK_SANDBOX = False  # continue even if the kernel lacks some of the sandbox's walls


def main() -> None:
    check_positive(MAX_NEW_TESTS=MAX_NEW_TESTS, SANDBOX_MEMORY_MB=SANDBOX_MEMORY_MB)
    if not TASK_SETS:
        raise InputError("TASK_SETS is empty; give a published set or a task file with --task-sets")
    if Path(OUTPUT).is_dir() or OUTPUT in TASK_SETS:
        raise InputError(f"OUTPUT {OUTPUT} is a folder or one of TASK_SETS; give the path of another file")
    sets = [load_set(name, DATA_DIR, "TASK_SETS") for name in TASK_SETS]
    tasks = [task for found in sets for task in found if task.split != "prompt"]
    known = known_programs({task.task_id: task for task in tasks})
    done = f"{OUTPUT}.done.jsonl"
    try:
        with Sandbox(SANDBOX_WORKERS or None, memory_mb=SANDBOX_MEMORY_MB, allow_weak=ALLOW_WEAK_SANDBOX) as sandbox:
            print(f"sandbox  {sandbox.walls}", flush=True)
            found = strengthen_all(tasks, done, sandbox, MAX_NEW_TESTS, SEED, known)
    except KeyboardInterrupt:
        sys.exit(f"stopped; finished work is in {done}: give the same command again to continue")
    except SandboxError as error:
        sys.exit(f"error: {error}; finished work is in {done}: give the same command again to continue")
    write_task_file(OUTPUT, (each.task for each in found))
    print(summary(found))
    print(f"saved    {len(found)} tasks in {OUTPUT}; to train on them:")
    print(f"python scripts/train_rl_poc.py --training-sets '' --train-files {OUTPUT}")


def known_programs(tasks: dict[str, Task]) -> dict[str, Known]:
    """task_id -> distinct programs of FROM_RUN, which may be wrong, and of SAMPLES; at most MAX_PROGRAMS of each."""
    run: dict[str, dict[str, None]] = defaultdict(dict)
    samples: dict[str, dict[str, None]] = defaultdict(dict)
    if FROM_RUN:
        log = Path(FROM_RUN) / COMPLETIONS_LOG
        if not log.is_file():
            raise InputError(f"no {COMPLETIONS_LOG} in FROM_RUN {FROM_RUN}; give the OUTPUT_DIR of a training run")
        for each in read_records(log, LoggedCompletion):
            if each.task_id in tasks and each.code.strip():
                run[each.task_id][each.code] = None
    for path in SAMPLES:
        for task_id, conversations in read_samples(path, tasks).rows.items():
            for *_, last in conversations:
                samples[task_id][last.code or extract_code(last.text, tasks[task_id])] = None
    return {
        task_id: Known(*(tuple([*found.get(task_id, ())][:MAX_PROGRAMS]) for found in (run, samples)))
        for task_id in tasks.keys() & (run.keys() | samples.keys())
    }


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)
