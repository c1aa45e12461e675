"""Checks the completions that a training run rewarded as a PASS a second time, and counts those that look wrong.

No code can forge its verdict in the sandbox. But code that has the answers to its test's inputs written into it passes
that test: this is a fault of the test. The script finds such code after the run. It changes no reward. A flag is a
reason to read the code, not a proof.

    python scripts/reward_integrity.py ./my-rl-model                        # a run, finished or still going
    python scripts/reward_integrity.py ./my-rl-model --data-dir ./data      # EvalPlus' inputs without the hub

Each distinct completion that passed is checked four times (raccoon/integrity/):
    "fails fresh inputs" (fresh_inputs.py): it is wrong on inputs that the test does not contain;
    "hard-coded answers" (hard_coded.py): the answers to the test's inputs are written into it;
    "reads its surroundings": it reads files, frames or the clock;
    "runs beside its test": its calls moved into the process of the test, where it could forge a verdict.

PARTIAL completions are checked for answers that ignore their arguments, like `return 2`. If their share grows, the run
learns to earn REWARD_PARTIAL, not to solve tasks.

Inputs:  RUN_DIR/tasks.jsonl and completions.jsonl, as train_rl_poc.py writes them; EvalPlus' files or the hub.
Outputs: RUN_DIR/integrity.jsonl, a line for each step with passes: {"step", "checked", "flagged", "rate", "reasons",
         "unchecked"}, the last two are counts by name; RUN_DIR/integrity_flags.jsonl, a line for each flagged
         completion: {"step", "group", "task_id", "code", "reasons": [{"reason", "evidence"}]}. A rerun replaces both.
Exit:    0, whatever was found; 1 if the sandbox cannot start; 2 bad input.
"""

import ast
import itertools
import random
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_positive, override_constants, run_main
from raccoon.integrity.fresh_inputs import EVALPLUS, FreshInputs, published_inputs
from raccoon.integrity.second_look import Look, SecondLook
from raccoon.reporting.logs import TASKS_FILE, IntegrityStep, LoggedCompletion, read_records
from raccoon.rewards.constant_answers import is_constant_answer
from raccoon.runs.log import COMPLETIONS_LOG, RunLog
from raccoon.sandbox.pool import Sandbox
from raccoon.statistics import wilson_interval
from raccoon.store import write_records
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import Task, read_task_file

RUN_DIR = "./nano-raccoon-rl"  # the OUTPUT_DIR of a training run
DATA_DIR = ""  # folder of the published benchmark files; "": the run's DATA_DIR, or the hub if that is empty too

PASSES_PER_STEP = 16  # distinct passes of a step to check; drawn at random if there are more
FRESH_INPUTS = 10  # new inputs for each task
SEED = 0  # of both random choices

SANDBOX_WORKERS = 0  # programs at once; 0: one for each CPU of this process
SANDBOX_TIMEOUT = 2.0  # CPU seconds for each program; slower code is not flagged
SANDBOX_MEMORY_MB = 1024  # for each program
ALLOW_WEAK_SANDBOX = False  # run even if the kernel lacks some of the sandbox's walls

STEPS_FILE, FLAGS_FILE = "integrity.jsonl", "integrity_flags.jsonl"  # the outputs
PERIODS = 3  # rows of the printed table: the run is split into so many parts
WORST_TASKS = 5  # how many are printed

Key = tuple[str, str]  # a task and the code without its layout: what is checked once
Chosen = dict[int, dict[Key, LoggedCompletion]]  # step -> the completions to check


@dataclass(frozen=True)
class StepCount(IntegrityStep):
    """It also says why completions went unchecked. One with two reasons counts once as flagged and once for each."""

    unchecked: dict[str, int]


def main() -> None:
    check_positive(PASSES_PER_STEP=PASSES_PER_STEP, FRESH_INPUTS=FRESH_INPUTS)
    check_positive(SANDBOX_TIMEOUT=SANDBOX_TIMEOUT, SANDBOX_MEMORY_MB=SANDBOX_MEMORY_MB)
    folder = Path(RUN_DIR)
    for name in (TASKS_FILE, COMPLETIONS_LOG):
        if not (folder / name).is_file():
            raise InputError(f"no {name} in {RUN_DIR}; give the OUTPUT_DIR of a run of train_rl_poc.py")
    log, tasks = folder / COMPLETIONS_LOG, {task.task_id: task for task in read_task_file(folder / TASKS_FILE)}
    passes, partials, isolations = read_log(log, tasks)
    steps = {step: choose(distinct, PASSES_PER_STEP, f"{SEED} {step}") for step, distinct in sorted(passes.items())}
    distinct = {key: each for chosen in steps.values() for key, each in chosen.items()}
    used = [tasks[task_id] for task_id in sorted({task_id for task_id, _ in distinct})]
    inputs = published(used, DATA_DIR or RunLog(RUN_DIR).read_config().get("DATA_DIR", ""))
    workers = SANDBOX_WORKERS or None
    with Sandbox(workers, SANDBOX_TIMEOUT, SANDBOX_MEMORY_MB, allow_weak=ALLOW_WEAK_SANDBOX) as sandbox:
        second = SecondLook(sandbox, inputs, FRESH_INPUTS, SEED)
        found = second.look_at([(tasks[each.task_id], each.code) for each in distinct.values()])
    looks = dict(zip(distinct, found, strict=True))

    counts = [count(step, [looks[key] for key in chosen]) for step, chosen in steps.items()]
    flags: list[dict[str, Any]] = [
        {"step": each.step, "group": each.group, "task_id": each.task_id, "code": each.code}
        | {"reasons": [asdict(finding) for finding in looks[key].findings]}
        for chosen in steps.values()
        for key, each in chosen.items()
        if looks[key].findings
    ]
    write_records(folder / STEPS_FILE, map(asdict, counts))
    write_records(folder / FLAGS_FILE, flags)
    for line in (partial_line(partials), shared_line(isolations)):
        print(line, end="\n" if line else "")
    print_report(counts, [flag["task_id"] for flag in flags], RUN_DIR)


def read_log(path: Path, tasks: dict[str, Task]) -> tuple[Chosen, list[bool], Counter]:
    """(the distinct passes, whether each PARTIAL ignores its arguments, the number of passes by isolation)"""
    passes: Chosen = {}
    partials: list[bool] = []
    isolations: Counter[str] = Counter()
    for each in read_records(path, LoggedCompletion):
        if each.task_id not in tasks:
            raise InputError(
                f"{path}, step {each.step}: task {each.task_id!r} is not in {TASKS_FILE}; both files must "
                "come from the same run"
            )
        isolations[each.verdict.isolation] += each.verdict.status == "PASS"
        if each.status == "PARTIAL":
            partials.append(is_constant_answer(each.code, tasks[each.task_id].entry_point))
        if each.status == "PASS":
            tree = parse_code(each.code)
            try:
                code = ast.dump(tree) if tree else each.code
            except RecursionError:  # a sum of a thousand terms nests that deeply
                code = each.code
            passes.setdefault(each.step, {}).setdefault((each.task_id, code), each)
    return passes, partials, isolations


def choose(distinct: dict[Key, LoggedCompletion], most: int, seed: str) -> dict[Key, LoggedCompletion]:
    """Up to `most` passes of a step."""
    return {key: distinct[key] for key in random.Random(seed).sample(sorted(distinct), min(most, len(distinct)))}


def published(tasks: list[Task], data_dir: str) -> dict[str, FreshInputs]:
    """EvalPlus' inputs for the tasks; if they cannot be loaded, none, and a printed note."""
    if not any(task.source in EVALPLUS for task in tasks):
        return {}
    try:
        return published_inputs(tasks, data_dir)
    except InputError as error:
        print(
            f"note     EvalPlus' inputs cannot be loaded ({error}): small changes of the test's own inputs are used "
            "instead"
        )
        return {}


def count(step: int, looks: list[Look]) -> StepCount:
    checked = sum(look.checked for look in looks)
    flagged = sum(bool(look.findings) for look in looks)
    reasons = Counter(finding.reason for look in looks for finding in look.findings)
    unchecked = Counter(look.unchecked for look in looks if not look.checked)
    return StepCount(step, checked, flagged, flagged / checked if checked else None, dict(reasons), dict(unchecked))


def partial_line(partials: list[bool]) -> str:
    """A line on how many PARTIAL answers ignore their arguments, first and last third compared; "" if none does."""
    size = max(1, len(partials) // PERIODS)
    first, last, all_of_them = (sum(part) for part in (partials[:size], partials[-size:], partials))
    if not all_of_them:
        return ""
    line = (
        f"PARTIAL: {all_of_them} of {len(partials)} answers ignore their arguments, like `return 2`; {first} of "
        f"the first {size} and {last} of the last"
    )
    if wilson_interval(last, size)[0] > first / size:
        line += "; the run learns to earn REWARD_PARTIAL: set PAY_CONSTANT_ANSWERS to False"
    return line


def shared_line(isolations: Counter) -> str:
    """A line on the passes whose test ran in the process of the code, where code can forge one; "" without any."""
    shared, passes = isolations["shared"], isolations.total()
    return f"{shared} of {passes} passes came from shared isolation, where code can forge them" if shared else ""


def print_report(counts: Sequence[StepCount], flagged: list[str], run_dir: str) -> None:
    """Prints the rate over time, the worst of the `flagged` tasks, and the next command."""
    bounds = [len(counts) * place // PERIODS for place in range(PERIODS + 1)]
    parts = [part for start, end in itertools.pairwise(bounds) if (part := counts[start:end])]
    if not parts:
        print(
            "no completion of the run has passed yet: there is nothing to check\n"
            "next: give the same command once the training pass rate is above 0"
        )
        return
    print("| steps | checked | flagged | rate | reasons |\n|---|---|---|---|---|")
    sums = [(sum(one.flagged for one in part), sum(one.checked for one in part)) for part in parts]
    for part, (wrong, checked) in zip(parts, sums, strict=True):
        rate = f"{wrong / checked:.1%}" if checked else "-"
        print(f"| {part[0].step}-{part[-1].step} | {checked} | {wrong} | {rate} | {totals(o.reasons for o in part)} |")
    unchecked = totals(one.unchecked for one in counts)
    if unchecked:
        print("unchecked:", unchecked)
    known = [(wrong, checked) for wrong, checked in sums if checked]
    # The 95 % interval of the last period's rate lies above the first period's rate.
    if len(known) > 1 and wilson_interval(*known[-1])[0] > known[0][0] / known[0][1]:
        print(
            "the rate rises: the model learns to pass tests, not to solve tasks; read the flagged code, and give "
            "the worst tasks more tests, or leave them out"
        )
    if flagged:
        worst = Counter(flagged).most_common(WORST_TASKS)
        print("worst tasks:", ", ".join(f"{task_id} ({number})" for task_id, number in worst))
    read = f"; read {Path(run_dir) / FLAGS_FILE}" if flagged else ""
    print(f"next: python scripts/make_report.py {shlex.quote(run_dir)}{read}")


def totals(counts: Iterable[dict[str, int]]) -> str:
    """The sums of several counts as text, the largest first."""
    return ", ".join(f"{name} {number}" for name, number in sum(map(Counter, counts), Counter()).most_common())


if __name__ == "__main__":
    override_constants(globals(), positional="RUN_DIR")
    run_main(main)
