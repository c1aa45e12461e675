"""The tasks to train on and the held-out tasks: chosen, and each checked before training starts.

It loads no model. A task that fails its own solution ends the run at once, because it would teach the policy to fail;
so does one whose test cannot fail, because it would teach that anything passes.
"""

import ast
import random
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from raccoon.constants import InputError
from raccoon.published.benchmarks import BENCHMARKS, is_benchmark, load_set, load_training_tasks
from raccoon.published.contamination import find_overlap
from raccoon.records import Program
from raccoon.rewards.kept_verdicts import kept_verdicts
from raccoon.runs.heldout import Heldout, constant_share, partial_warning, profile_table
from raccoon.sandbox.pool import NEEDS_TWO_ORDERS, Sandbox
from raccoon.strengthening.stored import strengthen_all, summary
from raccoon.strengthening.strengthen import MOST
from raccoon.tasks.syntax import is_literal, parse_code
from raccoon.tasks.task import Task, called_names, given_in, read_task_file, stub_program
from raccoon.tasks.visible_tests import check_visible_tests


@dataclass(frozen=True)
class TaskChoice:
    """Where tasks come from, and which are left out."""

    sets: list[str]  # published sets to train on
    files: list[str]
    data_dir: str
    reported: list[str]  # benchmarks and task files that are reported later
    allow_shared: bool  # tests that must run in the process of the code
    skip_failing: bool
    profile_samples: int  # of each task, before training; 0: no profile
    max_constant_share: float  # of a profile
    new_tests: str = ""  # the file in which new tests are kept; "": none are made
    servers: bool = False  # other machines run the programs
    visible_tests: bool = False  # they are shown, in a run with several turns, and so they are checked

    def __post_init__(self) -> None:
        if self.new_tests and self.servers:
            raise InputError(f"STRENGTHEN cannot use SANDBOX_URLS: {NEEDS_TWO_ORDERS}")
        if not self.sets and not self.files:
            raise InputError(
                "no task to train on: TRAINING_SETS (with BENCHMARK_TASKS) and TRAIN_FILES are empty; set one of them"
            )
        for name in [*self.sets, *self.reported]:
            if not is_benchmark(name) and (name in self.sets or not Path(name).is_file()):
                constant = "TRAINING_SETS" if name in self.sets else "REPORTED_BENCHMARKS"
                raise InputError(f"{constant}: no benchmark {name!r}; choose from {', '.join(BENCHMARKS)}")


def load_tasks(choice: TaskChoice, heldout: Heldout, sandbox: Sandbox) -> tuple[list[Task], list[Task]]:
    """The tasks to train on and those of the held-out control, all checked."""
    tasks = load_training_tasks(choice.data_dir, choice.sets)
    published = {task.task_id for task in tasks}
    for path in choice.files:
        with given_in("TRAIN_FILES"):
            found, known = read_task_file(path), {task.task_id for task in tasks}
            if twice := [task.task_id for task in found if task.task_id in known]:  # logs and verdicts go by the id
                raise InputError(
                    f"{path}: other tasks have the same task_id, like {twice[0]}; give each one of its own"
                )
            tasks += found
    control = load_set(heldout.source, choice.data_dir, "HELDOUT") if heldout.source else []  # before the long checks
    tasks = decontaminated(tasks, choice.reported, choice.data_dir)
    tasks = passing_tasks(tasks, sandbox, choice.allow_shared, choice.skip_failing)
    tasks = strong_tasks(tasks, sandbox, published, choice.skip_failing)
    tasks = stronger_tasks(tasks, sandbox, choice.new_tests)
    watched = unseen_tasks(control, tasks, heldout.tasks)
    if control and not watched:
        raise InputError(
            f'every task of HELDOUT {heldout.source} is trained on; give other tasks, or "" for no control'
        )
    unfit = {*failing_tasks(watched, sandbox, choice.allow_shared), *weak_tasks(watched, sandbox)}
    watched = [task for task in watched if task.task_id not in unfit]
    if choice.visible_tests:
        check_visible_tests([*tasks, *watched], sandbox.run)
    return tasks, watched


def decontaminated(tasks: list[Task], reported: Sequence[str], data_dir: str) -> list[Task]:
    """The tasks that are not like a task of a benchmark to be reported; prints how many are left out."""
    for name in reported:
        signs = find_overlap(tasks, load_set(name, data_dir, "REPORTED_BENCHMARKS"))
        if len(signs) == len(tasks):
            raise InputError(
                f"every task is like one of {name}, of REPORTED_BENCHMARKS: train on others, or do not report it"
            )
        if signs:
            shown = ", ".join([f"{task_id} ({sign})" for task_id, sign in signs.items()][:3])
            print(
                f"left out {len(signs)} of {len(tasks)} tasks that are like one of {name}: {shown}"
                f"{', ...' if len(signs) > 3 else ''}"
            )
        tasks = [task for task in tasks if task.task_id not in signs]
    return tasks


def failing_tasks(tasks: Sequence[Task], sandbox: Sandbox, allow_shared: bool) -> dict[str, str]:
    """The ids of the tasks that cannot be trained on, with the reason; a task without a solution runs a stub."""
    programs = [Program.of(task, task.solution or "pass") for task in tasks]
    verdicts = kept_verdicts(programs, sandbox, "the tasks' own solutions")
    failing = {}
    for task, verdict in zip(tasks, verdicts, strict=True):
        if verdict.status == "INFRA" or task.solution and verdict.status != "PASS":
            failing[task.task_id] = verdict.reason
        elif verdict.isolation == "shared" and not allow_shared:
            failing[task.task_id] = "its test must run in the process of the code; ALLOW_SHARED_TESTS accepts that"
    return failing


def passing_tasks(tasks: list[Task], sandbox: Sandbox, allow_shared: bool, skip_failing: bool) -> list[Task]:
    """The tasks that can be trained on. Raises InputError if there are others, unless they are to be skipped."""
    failing = failing_tasks(tasks, sandbox, allow_shared)
    if failing and not skip_failing:
        named = "; ".join(f"{task_id} ({reason})" for task_id, reason in failing.items())
        raise InputError(
            f"{len(failing)} of {len(tasks)} tasks fail their own solution or cannot be judged: "
            f"{named}; correct them, or leave them out with --skip-failing-tasks"
        )
    if failing:
        print(f"left out {len(failing)} tasks that fail their own solution: {', '.join(failing)}")
    return [task for task in tasks if task.task_id not in failing]


def weak_tasks(tasks: Sequence[Task], sandbox: Sandbox) -> list[str]:
    """The ids of the tasks whose test accepts a stub, a function without an answer: on these every answer passes."""
    doubtful = [task for task in tasks if not refuses_stub(task)]
    programs = [Program.of(task, stub_program(task)) for task in doubtful]
    verdicts = kept_verdicts(programs, sandbox, "that an answer without content fails")
    return [task.task_id for task, verdict in zip(doubtful, verdicts, strict=True) if verdict.status == "PASS"]


def refuses_stub(task: Task) -> bool:
    """Whether a test's text shows that a function without an answer fails it: `assert f(...) == 2` at its top level."""
    tree = parse_code(task.test) if task.kind == "function" else None
    if not tree:
        return False
    names = {task.entry_point} if task.entry_point else {*called_names(task.test, task.context)}
    for node in tree.body:
        if not isinstance(node, ast.Assert) or not isinstance(node.test, ast.Compare):
            continue
        call, wanted = node.test.left, node.test.comparators[0]
        calls = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names
        if calls and isinstance(node.test.ops[0], ast.Eq) and is_literal(wanted) and ast.unparse(wanted) != "None":
            return True
    return False


def strong_tasks(tasks: list[Task], sandbox: Sandbox, published: Set[str], skip: bool) -> list[Task]:
    """The tasks without those of weak_tasks. Raises InputError for them unless they are published or to be skipped."""
    weak = weak_tasks(tasks, sandbox)
    own = [task_id for task_id in weak if task_id not in published]
    if own and not skip or len(weak) == len(tasks):
        raise InputError(
            f"{len(weak)} of {len(tasks)} tasks have a test that cannot fail, a function that returns None passes it: "
            f"{', '.join(own or weak)}; write tests like assert f(1) == 2, without brackets around the condition and "
            "its message, or leave them out with --skip-failing-tasks"
        )
    if weak:
        print(f"left out {len(weak)} tasks whose test cannot fail: {', '.join(weak)}")
    return [task for task in tasks if task.task_id not in weak]


def stronger_tasks(tasks: list[Task], sandbox: Sandbox, path: str) -> list[Task]:
    """The tasks with new tests, which are kept in the file `path`; as they are if it is ""."""
    if not path:
        return tasks
    found = strengthen_all(tasks, path, sandbox, MOST, 0, {})
    print(f"new      tests for the training tasks, kept in {path}:\n{summary(found)}")
    return [each.task for each in found]


def unseen_tasks(tasks: list[Task], trained: list[Task], number: int) -> list[Task]:
    """At most `number` of the tasks, always the same ones, that are not trained on; [] if all are.

    Held out means the same as unseen in an evaluation: neither a training task nor a near-duplicate of one.
    """
    seen = find_overlap(tasks, trained)
    unseen = [task for task in tasks if task.task_id not in seen]
    return random.Random(0).sample(unseen, min(number, len(unseen)))


def short_enough(tasks: list[Task], lengths: list[int], longest: int) -> list[Task]:
    """The tasks whose prompt has at most `longest` tokens."""
    kept = [task for task, length in zip(tasks, lengths, strict=True) if length <= longest]
    if not kept:
        raise InputError(f"every prompt has more than MAX_PROMPT_LENGTH {longest} tokens; raise it")
    if len(kept) < len(tasks):
        print(f"left out {len(tasks) - len(kept)} tasks whose prompt has more than {longest} tokens")
    return kept


def worth_training_on(tasks: list[Task], profile: list[dict], choice: TaskChoice, group_size: int) -> list[Task]:
    """The tasks whose completions in the profile differ in correctness; prints what the profile says.

    Raises InputError if there are none, or if the profile predicts too many constant groups.
    """
    useful = [record for record in profile if len(set(record["correctness"])) > 1]
    share = constant_share(useful, group_size) if useful else 1.0
    print(f"profile  tasks by pass rate in {choice.profile_samples} samples:\n{profile_table(profile)}")
    print(
        f"         {len(useful)} of {len(profile)} tasks are trained on; expected constant groups: {share:.0%}, "
        f"with all tasks {constant_share(profile, group_size):.0%}",
        flush=True,
    )
    warning = partial_warning(useful)
    print(warning, end="\n" if warning else "", flush=True)
    if not useful:
        raise InputError(
            f"the profile finds no task to train on: on each of {len(profile)} all {choice.profile_samples} samples "
            "score the same; give other tasks, or raise TEMPERATURE or PROFILE_SAMPLES"
        )
    if share > choice.max_constant_share:
        raise InputError(
            f"the profile predicts {share:.0%} constant groups, over MAX_CONSTANT_SHARE "
            f"{choice.max_constant_share:.0%}; give other tasks, or raise TEMPERATURE or NUM_GENERATIONS"
        )
    ids = {record["task_id"] for record in useful}
    return [task for task in tasks if task.task_id in ids]


def schedule(tasks: list[Task], prompts: int, seed: int) -> list[Task]:
    """The tasks in the order of training: whole passes, each shuffled separately, cut to `prompts`.

    The whole order is made at once, so that a resumed run finds its place by counting.
    """
    order: list[Task] = []
    for number in range(-(-prompts // len(tasks))):
        order += random.Random(f"{seed} {number}").sample(tasks, len(tasks))
    return order[:prompts]
