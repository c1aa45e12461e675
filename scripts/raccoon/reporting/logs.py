"""Reads the logs of a training run into plain records and checks each line against the record's fields.

It does not judge, draw or write anything. A run that is still going is read up to its newest whole step.

Input: a run's folder, whose files runs/log.py describes. It may also have integrity.jsonl, with one line for each step
whose completions with a high reward were looked at again. Only config.json and metrics.jsonl must exist.
"""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from raccoon.constants import InputError
from raccoon.records import breaks
from raccoon.runs.log import (
    COMPLETIONS_LOG,
    CONFIG_FILE,
    HELDOUT_LOG,
    METRICS_LOG,
    PROFILE_LOG,
    STOPPED_FILE,
    Rollout,
    RunLog,
)
from raccoon.store import LineFile, parse_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance  # what dataclasses.fields takes

T = TypeVar("T", bound="DataclassInstance")

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
    pass_rate_given: float | None = None  # by the given tests alone, in a run with new ones
    weak_passes: float | None = None  # the share of these passes that the new tests fail
    # Only in runs with several turns:
    pass_by_turn: list[float | None] | None = None  # the share solved in the first turn, in the first two, and so on
    repaired: float | None = None  # of the conversations with a second turn, those that pass
    cut_at_first: float | None = None  # conversations that end at a first answer that was cut

    @property
    def time(self) -> float:
        """Seconds, with the held-out check and the checkpoint that are counted to the step."""
        return sum(self.seconds.values())

    @property
    def tokens(self) -> float:
        """Those of all completions drawn, by all processes."""
        return self.completions * self.tokens_mean

    @property
    def generation_speed(self) -> float | None:
        """Tokens a second of generation; None in a step that trains on completions of an earlier one."""
        seconds = self.seconds.get("generate", 0.0)
        return self.tokens / seconds if seconds > 0 else None

    @property
    def speed(self) -> float | None:
        """Tokens a second of the whole step."""
        return self.tokens / self.time if self.generation_speed and self.time > 0 else None

    @property
    def by_turn(self) -> dict[str, float | None]:
        """`pass_by_turn` by the number of the turn; {} in a run with one turn."""
        return {str(turn): share for turn, share in enumerate(self.pass_by_turn or (), 1)}


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
    passed_at_first: int | None = None  # with the first answer, in a run with several turns


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

    @property
    def ending(self) -> str:
        """How it went on: "repaired" if the last answer passes, "broken" if it passes fewer tests than the first."""
        if len(self.turns) > 1 and self.status == "PASS":
            return "repaired"
        return "broken" if breaks([turn.verdict for turn in self.turns]) else ""


@dataclass(frozen=True)
class LoggedTask:
    """What is shown of a task of the run, from a line of tasks.jsonl."""

    task_id: str
    prompt: str = ""
    source: str = ""
    split: str = ""


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
    gaps: tuple[str, ...] = ()  # what its logs lack, a part of a sentence for each file

    @property
    def last_step(self) -> int:
        return self.steps[-1].step

    @property
    def turns(self) -> int:
        """The most answers of a conversation; 1 in a run without conversations."""
        return max(1, *(len(step.by_turn) for step in self.steps))

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
    end = folder / STOPPED_FILE
    last, ended = steps[-1].step, str(config.get("ended", ""))
    # A run that goes on may be at its newest check
    gaps = RunLog(folder).gaps(last, last if ended else last - 1)
    stopped = parse_record(Stopped, parse_json(end.read_bytes(), str(end)), str(end)) if end.is_file() else None
    return Run(
        folder=folder,
        constants=constants,
        steps=steps,
        checks=list(read_records(folder / HELDOUT_LOG, Check)),
        profile=list(read_records(folder / PROFILE_LOG, TaskProfile)),
        integrity=list(read_records(folder / INTEGRITY_LOG, IntegrityStep)),
        stopped=stopped,
        saved=any(folder.glob("*.safetensors")),
        ended=ended,
        gaps=tuple(gaps),
    )


def read_groups(run: Run) -> Iterator[list[LoggedCompletion]]:
    """The completions of one prompt in one step, in the order of the log, without a step that has no metrics yet."""
    logged = read_records(run.folder / COMPLETIONS_LOG, LoggedCompletion)
    finished = (completion for completion in logged if completion.step <= run.last_step)
    return (list(members) for _, members in groupby(finished, key=lambda each: (each.step, each.group)))


def read_tasks(run: Run) -> list[LoggedTask]:
    """The tasks of the run; empty if it has no task file."""
    return list(read_records(run.folder / TASKS_FILE, LoggedTask))


def read_records(path: Path, kind: type[T]) -> Iterator[T]:
    """One record for each line; none if the file is absent. A last line without its end is still being written."""
    return (parse_record(kind, row, where) for where, row in LineFile(path).rows())


def parse_record(kind: type[T], value: Any, where: str) -> T:
    """A JSON object as the dataclass `kind`, whose annotations give the types; other keys are ignored."""
    if not isinstance(value, dict):
        raise InputError(f"{where} is not a JSON object: correct or delete it")
    found: dict[str, Any] = {}
    for field in fields(kind):
        name, wanted = field.name, field.type
        if name not in value:
            if field.default is MISSING:
                raise InputError(f"{where} has no {name!r}: another version of the scripts may have written it")
        elif isinstance(wanted, type) and is_dataclass(wanted):
            found[name] = parse_record(wanted, value[name], f"{where}: {name}")
        elif (kind_of_many := many(wanted)) and isinstance(value[name], list):
            rows = enumerate(value[name])
            found[name] = tuple(parse_record(kind_of_many, row, f"{where}: {name}[{place}]") for place, row in rows)
        elif fits(value[name], wanted):
            found[name] = value[name]
        else:
            raise InputError(
                f"{where}: {name} is {repr(value[name])[:SHOWN]}, which is not of type "
                f"{getattr(wanted, '__name__', wanted)}: correct or delete the line"
            )
    return kind(**found)


def many(kind: Any) -> Any:
    """The dataclass of a tuple of records; None for any other type."""
    item = get_args(kind)[0] if get_origin(kind) is tuple else None
    return item if isinstance(item, type) and is_dataclass(item) else None


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
    if get_origin(kind) is list:
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if get_origin(kind) is tuple:
        return isinstance(value, list) and len(value) == len(arguments) and all(map(fits, value, arguments))
    return any(value is None if each is type(None) else fits(value, each) for each in arguments)
