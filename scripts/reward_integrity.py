"""Checks the completions that a training run rewarded as a PASS a second time, and counts those that look wrong.

No code can forge its verdict in the sandbox. But code that has the answers to its test's inputs written into it passes
that test: this is a fault of the test. The script finds such code after the run. It changes no reward. A flag is a
reason to read the code, not a proof.

    python scripts/reward_integrity.py ./my-rl-model                        # a run, finished or still going
    python scripts/reward_integrity.py ./my-rl-model --data-dir ./data      # EvalPlus' inputs without the hub

Each distinct completion that passed is checked four times (raccoon/integrity/):
    "fails fresh inputs" (inputs.py): it is wrong on inputs that the test does not contain;
    "hard-coded answers" (answers.py): the answers to the test's inputs are written into it;
    "reads its surroundings" (surroundings.py): it reads files, frames or the clock;
    "runs beside its test" (checks.py): its calls moved into the process of the test, where it could forge a verdict.

PARTIAL completions are checked for answers that ignore their arguments, like `return 2`. If their share grows, the run
learns to earn REWARD_PARTIAL, not to solve tasks.

Inputs:  RUN_DIR/tasks.jsonl and completions.jsonl, as train_rl_poc.py writes them; EvalPlus' files or the hub.
Outputs: RUN_DIR/integrity.jsonl, a line for each step with passes: {"step", "checked", "flagged", "rate", "reasons",
         "unchecked"}, the last two are counts by name; RUN_DIR/integrity_flags.jsonl, a line for each flagged
         completion: {"step", "group", "task_id", "code", "reasons": [{"reason", "evidence"}]}. A rerun replaces both.
Exit:    0, whatever was found; 1 if the sandbox cannot start; 2 bad input.
"""

import ast
import random
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from raccoon.constants import InputError, override_constants, run_main
from raccoon.integrity.checks import Look, SecondLook
from raccoon.integrity.inputs import EVALPLUS, PublishedInputs, published_inputs
from raccoon.reporting.logs import TASKS_FILE, LoggedCompletion, read_records
from raccoon.rewards.constant_answers import is_constant_answer
from raccoon.runs.log import COMPLETIONS_LOG, RunLog
from raccoon.sandbox.pool import Sandbox
from raccoon.statistics import wilson_interval
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import Task, read_task_file
from raccoon.whole_files import write_records

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

Chosen = dict[int, dict[tuple[str, str], LoggedCompletion]]  # step -> key -> a completion to check


@dataclass(frozen=True)
class StepCount:
    """A line of integrity.jsonl."""

    step: int
    checked: int
    flagged: int
    rate: float | None
    reasons: dict[str, int]
    unchecked: dict[str, int]


def check_constants() -> None:
    """Raises InputError for constants that cannot work."""
    for name in ("PASSES_PER_STEP", "FRESH_INPUTS", "SANDBOX_TIMEOUT", "SANDBOX_MEMORY_MB"):
        if not globals()[name] > 0:
            raise InputError(f"{name} is {globals()[name]}; give a value above 0")
    for name in (TASKS_FILE, COMPLETIONS_LOG):
        if not (Path(RUN_DIR) / name).is_file():
            raise InputError(f"no {name} in {RUN_DIR}; give the OUTPUT_DIR of a run of train_rl_poc.py")


def read_passes(path: Path, tasks: dict[str, Task]) -> Iterator[LoggedCompletion]:
    """The completions that were rewarded as a PASS."""
    for each in read_records(path, LoggedCompletion):
        if each.task_id not in tasks:
            raise InputError(
                f"{path}, step {each.step}: task {each.task_id!r} is not in {TASKS_FILE}; both files must "
                "come from the same run"
            )
        if each.status == "PASS":
            yield each


def constant_partials(path: Path, tasks: dict[str, Task]) -> list[bool]:
    """For each completion that is a PARTIAL, in the order of the log: whether its answer ignores its arguments."""
    return [
        is_constant_answer(each.code, tasks[each.task_id].entry_point)
        for each in read_records(path, LoggedCompletion)
        if each.status == "PARTIAL"
    ]


def shared_line(path: Path) -> str:
    """A line on the passes whose test ran in the process of the code, where code can forge one; "" without any."""
    passes = [each.verdict for each in read_records(path, LoggedCompletion) if each.verdict.status == "PASS"]
    shared = sum(verdict.isolation == "shared" for verdict in passes)
    return f"{shared} of {len(passes)} passes came from shared isolation, where code can forge them" if shared else ""


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


def key_of(each: LoggedCompletion) -> tuple[str, str]:
    """What is checked once: the task and the code without its layout."""
    tree = parse_code(each.code)
    try:
        return each.task_id, ast.dump(tree) if tree else each.code
    except RecursionError:  # a sum of a thousand terms nests that deeply
        return each.task_id, each.code


def choose(passes: Iterable[LoggedCompletion]) -> Chosen:
    """step -> up to PASSES_PER_STEP of its distinct passes, by their keys."""
    steps: Chosen = {}
    for each in passes:
        steps.setdefault(each.step, {}).setdefault(key_of(each), each)
    for step, distinct in sorted(steps.items()):
        keys = sorted(distinct)
        chosen = random.Random(f"{SEED} {step}").sample(keys, min(PASSES_PER_STEP, len(keys)))
        steps[step] = {key: distinct[key] for key in chosen}
    return dict(sorted(steps.items()))


def published(tasks: list[Task]) -> dict[str, PublishedInputs]:
    """EvalPlus' inputs for the tasks; if they cannot be loaded, none, and a printed note."""
    if not any(task.source in EVALPLUS for task in tasks):
        return {}
    run_data = RunLog(RUN_DIR).read_config().get("DATA_DIR", "")
    try:
        return published_inputs(tasks, DATA_DIR or run_data)
    except InputError as error:
        print(
            f"note     EvalPlus' inputs cannot be loaded ({error}): small changes of the test's own inputs are used "
            "instead"
        )
        return {}


def look_at(steps: Chosen, tasks: dict[str, Task]) -> dict[tuple[str, str], Look]:
    """key -> result of the second check; each distinct completion is checked once."""
    distinct = {key: each for chosen in steps.values() for key, each in chosen.items()}
    used = [tasks[task_id] for task_id in sorted({task_id for task_id, _ in distinct})]
    inputs = published(used)
    with Sandbox(SANDBOX_WORKERS or None, SANDBOX_TIMEOUT, SANDBOX_MEMORY_MB, allow_weak=ALLOW_WEAK_SANDBOX) as sandbox:
        second = SecondLook(sandbox, inputs, FRESH_INPUTS, SEED)
        looks = second.look_at([(tasks[each.task_id], each.code) for each in distinct.values()])
    return dict(zip(distinct, looks, strict=True))


def count(step: int, looks: list[Look]) -> StepCount:
    """One step's line. A completion with two reasons counts once as flagged and once for each reason."""
    checked = sum(look.checked for look in looks)
    flagged = sum(bool(look.findings) for look in looks)
    reasons = Counter(finding.reason for look in looks for finding in look.findings)
    unchecked = Counter(look.unchecked for look in looks if not look.checked)
    return StepCount(step, checked, flagged, flagged / checked if checked else None, dict(reasons), dict(unchecked))


def flag_records(steps: Chosen, looks: dict[tuple[str, str], Look]) -> Iterator[dict]:
    """The lines of integrity_flags.jsonl."""
    for chosen in steps.values():
        for key, each in chosen.items():
            if looks[key].findings:
                yield {
                    "step": each.step,
                    "group": each.group,
                    "task_id": each.task_id,
                    "code": each.code,
                    "reasons": [asdict(finding) for finding in looks[key].findings],
                }


def print_report(counts: list[StepCount], flags: list[dict]) -> None:
    """Prints the rate over time, the worst tasks, and the next command."""
    periods = [part for part in split(counts) if part]
    if not periods:
        print(
            "no completion of the run has passed yet: there is nothing to check\n"
            "next: give the same command once the training pass rate is above 0"
        )
        return
    print("| steps | checked | flagged | rate | reasons |\n|---|---|---|---|---|")
    for part in periods:
        checked, flagged = sum(one.checked for one in part), sum(one.flagged for one in part)
        reasons = sum((Counter(one.reasons) for one in part), Counter())
        named = ", ".join(f"{name} {number}" for name, number in reasons.most_common())
        rate = f"{flagged / checked:.1%}" if checked else "-"
        print(f"| {part[0].step}-{part[-1].step} | {checked} | {flagged} | {rate} | {named} |")
    unchecked = sum((Counter(one.unchecked) for one in counts), Counter())
    if unchecked:
        print("unchecked:", ", ".join(f"{name} {number}" for name, number in unchecked.most_common()))
    if rises(periods):
        print(
            "the rate rises: the model learns to pass tests, not to solve tasks; read the flagged code, and give "
            "the worst tasks more tests, or leave them out"
        )
    worst = Counter(flag["task_id"] for flag in flags).most_common(WORST_TASKS)
    if worst:
        print("worst tasks:", ", ".join(f"{task_id} ({number})" for task_id, number in worst))
    print(
        f"next: python scripts/make_report.py {shlex.quote(RUN_DIR)}"
        + (f"; read {Path(RUN_DIR) / FLAGS_FILE}" if flags else "")
    )


def split(counts: list[StepCount]) -> list[list[StepCount]]:
    """The steps, split into PERIODS parts with about the same number of lines."""
    bounds = [len(counts) * place // PERIODS for place in range(PERIODS + 1)]
    return [counts[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]


def rises(periods: list[list[StepCount]]) -> bool:
    """Whether the 95 % interval of the last period's rate lies above the first period's rate."""
    sums = [(sum(one.flagged for one in part), sum(one.checked for one in part)) for part in periods]
    sums = [(flagged, checked) for flagged, checked in sums if checked]
    return len(sums) > 1 and wilson_interval(*sums[-1])[0] > sums[0][0] / sums[0][1]


def main() -> None:
    check_constants()
    folder = Path(RUN_DIR)
    tasks = {task.task_id: task for task in read_task_file(folder / TASKS_FILE)}
    steps = choose(read_passes(folder / COMPLETIONS_LOG, tasks))
    looks = look_at(steps, tasks)

    counts = [count(step, [looks[key] for key in chosen]) for step, chosen in steps.items()]
    flags = list(flag_records(steps, looks))
    write_records(Path(RUN_DIR) / STEPS_FILE, map(asdict, counts))
    write_records(Path(RUN_DIR) / FLAGS_FILE, flags)
    log = folder / COMPLETIONS_LOG
    for said in (partial_line(constant_partials(log, tasks)), shared_line(log)):
        print(said, end="\n" if said else "")
    print_report(counts, flags)


if __name__ == "__main__":
    override_constants(globals(), positional="RUN_DIR")
    run_main(main)
