"""Reads the logs of a training run into plain records and checks each line against the record's fields.

It does not judge, draw or write anything. A run that is still going is read up to its newest whole step.

Input: a run's folder, whose files runs/log.py describes. It may also have integrity.jsonl, with one line for each step
whose completions with a high reward were looked at again. Only config.json and metrics.jsonl must exist.
"""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from raccoon.constants import InputError
from raccoon.runs.log import COMPLETIONS_LOG, CONFIG_FILE, HELDOUT_LOG, METRICS_LOG, PROFILE_LOG, STOPPED_FILE, Rollout
from raccoon.store import LineFile, parse_json

T = TypeVar("T")

INTEGRITY_LOG = "integrity.jsonl"
TASKS_FILE = "tasks.jsonl"

LARGEST = 1e300  # numbers above it are not taken for measurements; NaN and infinities neither
SHOWN = 40  # characters of a wrong value in an error


@dataclass(frozen=True)
class Step:
    """A line of metrics.jsonl; a value that was not finite is None."""

    step: int
    pass_rate: float | None
    reward: float | None
    reward_parts: dict[str, float]
    constant_groups: float | None
    truncated: float
    tokens_mean: float
    tokens_max: int
    completions: int
    statuses: dict[str, int]
    kinds: dict[str, int]
    seconds: dict[str, float]
    grad_norm: float | None
    learning_rate: float | None
    entropy: float | None
    weights_changed: float | None
    update_ratio: float | None
    peak_memory_gb: float | None = None
    kl: float | None = None
    pass_rate_drawn: float | None = None  # with the groups that refills have left out
    unused_groups: dict[str, int] | None = None  # those, by reason
    thinking_open: float | None = None
    judge_none: float | None = None
    partial_groups: float | None = None  # those that PARTIAL against FAIL alone tells apart
    mixed_groups: float | None = None  # and those in which some pass and some do not
    constant_answers: float | None = None  # completions whose answer ignores its arguments


@dataclass(frozen=True)
class Check:
    """A line of heldout.jsonl: the held-out tasks at one step."""

    step: int
    n: int
    passed: int
    pass_rate: float
    interval: tuple[float, float]  # in the file, and here, a list
    gained: int
    lost: int
    p: float | None
    statuses: dict[str, str]


@dataclass(frozen=True)
class TaskProfile:
    """A line of profile.jsonl: a task before training."""

    task_id: str
    samples: int
    pass_rate: float


@dataclass(frozen=True)
class IntegrityStep:
    """A line of integrity.jsonl: completions of a step with a high reward, and how many a second look flagged."""

    step: int
    checked: int
    flagged: int
    rate: float | None
    reasons: dict[str, int]


@dataclass(frozen=True)
class Stopped:
    """STOPPED.json: why a run ended before its last step."""

    reason: str
    step: int


@dataclass(frozen=True, kw_only=True)
class LoggedCompletion(Rollout):
    """A line of completions.jsonl. A model wrote its texts, so nothing in them may be trusted."""

    step: int
    group: int


@dataclass(frozen=True)
class Group:
    """The completions of one prompt in one step."""

    step: int
    number: int
    completions: tuple[LoggedCompletion, ...]

    @property
    def task_id(self) -> str:
        return self.completions[0].task_id


@dataclass(frozen=True)
class TaskPrompt:
    """The prompt of a task, from a line of tasks.jsonl."""

    task_id: str
    prompt: str


@dataclass(frozen=True)
class Run:
    """Everything that a run has logged except its completions, which read_groups reads."""

    folder: Path
    constants: dict[str, Any]
    steps: list[Step]
    checks: list[Check]
    profile: list[TaskProfile]
    integrity: list[IntegrityStep]
    stopped: Stopped | None
    saved: bool  # whether the trained model lies in the folder: it is written after the last step
    ended: str = ""  # what ended a finished run, as config.json says it

    @property
    def last_step(self) -> int:
        return self.steps[-1].step

    @property
    def max_steps(self) -> int:
        """The steps that the run was to make; if config.json does not say, those that it made."""
        wanted = self.constants.get("MAX_STEPS")
        return wanted if isinstance(wanted, int) else self.last_step


def read_run(folder: Path) -> Run:
    """The logs of a run. Raises InputError if they are absent or a line is not as it should be."""
    for name in (CONFIG_FILE, METRICS_LOG):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has no {name}: give the OUTPUT_DIR of a training run that has made a step")
    config = parse_json((folder / CONFIG_FILE).read_bytes(), str(folder / CONFIG_FILE))
    constants = {name: value for name, value in config.items() if name.isupper()}
    if not constants:
        raise InputError(f"{folder / CONFIG_FILE} names no constant: the training script did not write it")
    steps = list(read_records(folder / METRICS_LOG, Step))
    if not steps:
        raise InputError(f"{folder / METRICS_LOG} has no whole line yet: try again after the first step")
    return Run(
        folder=folder,
        constants=constants,
        steps=steps,
        checks=list(read_records(folder / HELDOUT_LOG, Check)),
        profile=list(read_records(folder / PROFILE_LOG, TaskProfile)),
        integrity=list(read_records(folder / INTEGRITY_LOG, IntegrityStep)),
        stopped=read_object(folder / STOPPED_FILE, Stopped),
        saved=any(folder.glob("*.safetensors")),
        ended=str(config.get("ended", "")),
    )


def read_groups(run: Run) -> Iterator[Group]:
    """The groups of completions in the order of the log, without a step that has no metrics yet."""
    finished = (
        completion
        for completion in read_records(run.folder / COMPLETIONS_LOG, LoggedCompletion)
        if completion.step <= run.last_step
    )
    for (step, number), members in groupby(finished, key=lambda each: (each.step, each.group)):
        yield Group(step, number, tuple(members))


def read_prompts(run: Run) -> dict[str, str]:
    """Task id -> prompt, of the tasks of the run; empty if it has no task file."""
    return {task.task_id: task.prompt for task in read_records(run.folder / TASKS_FILE, TaskPrompt)}


def read_records(path: Path, kind: Callable[..., T]) -> Iterator[T]:
    """One record for each line; none if the file is absent. A last line without its end is still being written."""
    return (parse_record(kind, row, where) for where, row in LineFile(path).rows())


def read_object(path: Path, kind: Callable[..., T]) -> T | None:
    """The one record that a file holds; None if the file is absent."""
    return parse_record(kind, parse_json(path.read_bytes(), str(path)), str(path)) if path.is_file() else None


def parse_record(kind: Callable[..., T], value: Any, where: str) -> T:
    """A JSON object as the dataclass `kind`, whose annotations give the types; other keys are ignored."""
    if not isinstance(value, dict):
        raise InputError(f"{where} is not a JSON object: correct or delete it")
    found = {}
    for field in fields(kind):
        if field.name in value:
            found[field.name] = parse_field(field.type, value[field.name], f"{where}: {field.name}")
        elif field.default is MISSING:
            raise InputError(f"{where} has no {field.name!r}: another version of the scripts may have written it")
    return kind(**found)


def parse_field(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        return parse_record(kind, value, where)
    if not fits(value, kind):
        raise InputError(
            f"{where} is {repr(value)[:SHOWN]}, which is not of type {getattr(kind, '__name__', kind)}: "
            "correct or delete the line"
        )
    return value


def fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a type that the records use."""
    if kind is Any:
        return True
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool) and -LARGEST < value < LARGEST
    if kind in (str, bool):
        return isinstance(value, kind)
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return isinstance(value, dict) and all(fits(item, arguments[1]) for item in value.values())
    if get_origin(kind) is tuple:
        return isinstance(value, list) and len(value) == len(arguments) and all(map(fits, value, arguments))
    return any(value is None if each is type(None) else fits(value, each) for each in arguments)
