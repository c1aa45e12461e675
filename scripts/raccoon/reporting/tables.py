"""The tables of a run's report: tasks by difficulty and by gain, the constants, the comparison of models.

It reads results.json and the training script's source; logs.py reads the run's own logs. It makes no HTML.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, read_constants
from raccoon.reporting.logs import LoggedCompletion, Run, TaskProfile, parse_record
from raccoon.savings import in_todays_names
from raccoon.statistics import wilson_interval
from raccoon.store import parse_json

ROWS = 15  # of each table of tasks
RESULTS_FILE = "results.json"
EVALUATION_FOLDER = "eval_results"  # where evaluate_models.py and the demo write by default
TRAINING_SCRIPT = Path(__file__).resolve().parents[2] / "train_rl_poc.py"


@dataclass(frozen=True)
class Visit:
    """The result of one group of completions of a task."""

    task_id: str
    step: int
    passed: int
    n: int  # completions that got a verdict other than INFRA


@dataclass(frozen=True)
class Difficulty:
    """A task over the whole run."""

    task_id: str
    visits: int
    passed: int
    n: int
    last_step: int

    @property
    def pass_rate(self) -> float:
        return self.passed / self.n


@dataclass(frozen=True)
class Gain:
    """A task's pass rate when it was first measured, and in its last group."""

    task_id: str
    first_step: int  # 0: in the profile before training
    first: float
    last_step: int
    last: float

    @property
    def difference(self) -> float:
        return self.last - self.first


@dataclass(frozen=True)
class Length:
    """The conversations of a run that have the same number of answers."""

    turns: int
    n: int
    passed: int
    broken: int  # the last answer passes fewer of the task's tests than the first


@dataclass(frozen=True)
class RunConstant:
    """A constant of the run, with the script's default and comment."""

    name: str
    value: str
    default: str  # "" if the present script has no such constant
    comment: str

    @property
    def changed(self) -> bool:
        return self.value != self.default


@dataclass(frozen=True)
class ScoreRow:
    """A row of results.json: a model on a benchmark."""

    model: str
    path: str
    benchmark: str
    mode: str
    n: int
    samples: int
    passed: int
    pass_at_1: float | None
    interval: tuple[float, float]
    badge: str = "unknown"  # whether the model was trained on the tasks: seen, partly seen, unseen or unknown
    turns: int = 1  # answers to a task at most; the last ones count

    @property
    def way(self) -> str:
        """The mode, and the turns if there are several."""
        return self.mode + (f", {self.turns} turns" if self.turns > 1 else "")


@dataclass(frozen=True)
class ComparisonRow:
    """A row of results.json: two models on a benchmark."""

    benchmark: str
    mode: str
    baseline: str
    candidate: str
    n: int
    gained: int
    lost: int
    difference: float
    interval: tuple[float, float]
    p: float
    p_holm: float
    sentence: str
    detectable: float | None = None  # the smallest difference that the test finds four times in five


@dataclass(frozen=True)
class Evaluation:
    """The rows of results.json about the run's model and about the models that it is compared with."""

    path: Path
    scores: list[ScoreRow]
    comparisons: list[ComparisonRow]
    own: frozenset[str]  # the names of the run's model and of its checkpoints


def visit(group: Sequence[LoggedCompletion]) -> Visit:
    statuses = [completion.status for completion in group]
    return Visit(group[0].task_id, group[0].step, statuses.count("PASS"), len(statuses) - statuses.count("INFRA"))


def by_length(counts: Counter[tuple[int, str]]) -> list[Length]:
    """The conversations by their number of answers; `counts` are by that number and by how they ended."""
    found = []
    for turns in sorted({turns for turns, _ in counts}):
        n = sum(count for (length, _), count in counts.items() if length == turns)
        passed = counts[turns, "PASS"] + counts[turns, "repaired"]
        found.append(Length(turns, n, passed, counts[turns, "broken"]))
    return found


def by_task(visits: Iterable[Visit]) -> dict[str, list[Visit]]:
    """Task id -> its visits in the order of the run, without those that have no verdict."""
    found: dict[str, list[Visit]] = {}
    for each in visits:
        if each.n:
            found.setdefault(each.task_id, []).append(each)
    return found


def hardest(visits: Iterable[Visit]) -> list[Difficulty]:
    """The tasks that passed least often; of equal tasks the last seen first.

    The upper end of the 95 % interval of the pass rate ranks a task seen often above one seen once.
    """
    tasks = []
    for task_id, each in by_task(visits).items():
        passed, n = sum(visit.passed for visit in each), sum(visit.n for visit in each)
        tasks.append(Difficulty(task_id, len(each), passed, n, each[-1].step))
    order = {task: (wilson_interval(task.passed, task.n)[1], -task.last_step, task.task_id) for task in tasks}
    return sorted(tasks, key=order.__getitem__)[:ROWS]


def gains(visits: Iterable[Visit], profile: Iterable[TaskProfile]) -> list[Gain]:
    """Every task measured at two steps: in the profile or its first group, and in its last group."""
    before = {task.task_id: (0, task.pass_rate) for task in profile}
    found = []
    for task_id, each in by_task(visits).items():
        step, rate = before.get(task_id, (each[0].step, each[0].passed / each[0].n))
        if each[-1].step > step:
            found.append(Gain(task_id, step, rate, each[-1].step, each[-1].passed / each[-1].n))
    return found


def most_improved(found: Iterable[Gain]) -> list[Gain]:
    """The tasks that gained most."""
    risen = [gain for gain in found if gain.difference > 0]
    return sorted(risen, key=lambda gain: (-gain.difference, gain.task_id))[:ROWS]


def run_constants(run: Run) -> list[RunConstant]:
    """The run's constants; those that differ from the training script's defaults come first."""
    table = read_constants({"__file__": str(TRAINING_SCRIPT), **script_defaults()})
    known = {constant.name: (repr(constant.value), constant.comment) for constant in table}
    values = in_todays_names(run.constants)
    rows = [RunConstant(name, repr(value), *known.get(name, ("", ""))) for name, value in values.items()]
    return sorted(rows, key=lambda row: not row.changed)


def script_defaults() -> dict[str, Any]:
    """The plain constants of the training script, read from its source, because scripts are not imported."""
    found = {}
    for node in ast.parse(TRAINING_SCRIPT.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and value:
            try:
                found[target.id] = ast.literal_eval(value)
            except ValueError:  # a computed value, which no flag sets
                continue
    return found


def find_evaluation(folder: Path, given: str) -> Evaluation | None:
    """The evaluation of a run's model: in the given folder, or else beside the run's folder or in it; None without.

    Raises InputError if a folder was given and has no results of this model.
    """
    places = [Path(given)] if given else [folder.resolve().parent / EVALUATION_FOLDER, folder / EVALUATION_FOLDER]
    for path in (place / RESULTS_FILE for place in places):
        found = read_evaluation(path, folder) if path.is_file() else None
        if found:
            return found
    if not given:
        return None
    raise InputError(
        f"EVAL_RESULTS {given} has no {RESULTS_FILE} that names the model {folder}: give the OUTPUT_DIR of its "
        "evaluation"
    )


def read_evaluation(path: Path, folder: Path) -> Evaluation | None:
    """The rows of a results.json about the model of a folder; None if there are none."""
    results = parse_json(path.read_bytes(), str(path))
    if not all(isinstance(results.get(name), list) for name in ("results", "comparisons")):
        raise InputError(f"{path} has no lists 'results' and 'comparisons': evaluate the model again")
    scores = [parse_record(ScoreRow, renamed(row), f"{path}: a result") for row in results["results"]]
    rows = [parse_record(ComparisonRow, row, f"{path}: a comparison") for row in results["comparisons"]]
    models = {score.model for score in scores if score.path}  # the controls gold and stub have no path
    own = {score.model for score in scores if score.path and is_model_of(Path(score.path), folder)}
    rows = [row for row in rows if {row.baseline, row.candidate} <= models and {row.baseline, row.candidate} & own]
    shown = own.union(*({row.baseline, row.candidate} for row in rows))
    return Evaluation(path, [score for score in scores if score.model in shown], rows, frozenset(own)) if own else None


def renamed(row: Any) -> Any:
    """A row with the names of ScoreRow, where results.json has others."""
    if not isinstance(row, dict):
        return row
    data = row.get("training_data")
    return row | {"pass_at_1": row.get("pass@1")} | ({"badge": data.get("badge")} if isinstance(data, dict) else {})


def is_model_of(path: Path, folder: Path) -> bool:
    """Whether a model's path is a run's folder or in it. Of a run that was moved here only the name counts."""
    folder, resolved = folder.resolve(), path.resolve()
    return folder in (resolved, *resolved.parents) or not path.exists() and path.name == folder.name
