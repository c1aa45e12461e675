"""The tables of a run's report: tasks by difficulty and by gain, the constants, the comparison of models.

It reads results.json and the training script's source; report_logs.py reads the run's own logs. It makes no HTML.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, read_constants
from raccoon.reporting.logs import Group, Run, TaskProfile, parse_json, parse_record
from raccoon.statistics import wilson_interval

ROWS = 15  # of the tables of tasks
RESULTS_FILE = "results.json"
EVALUATION_FOLDER = "eval_results"  # where evaluate_models.py and the demo write by default
TRAINING_SCRIPT = Path(__file__).resolve().parents[2] / "train_rl_poc.py"


@dataclass(frozen=True)
class Visit:
    """What one group of completions of a task got."""

    task_id: str
    step: int
    passed: int
    n: int  # completions that the sandbox could judge


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

    @property
    def at_most(self) -> float:
        """The upper end of the 95 % interval of the pass rate: tasks seen often rank by more than one bad group."""
        return wilson_interval(self.passed, self.n)[1]


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
class Setting:
    """A constant of the run beside the script's default and reason."""

    name: str
    value: str
    default: str  # "" where the script, as it is now, has no such constant
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


@dataclass(frozen=True)
class Evaluation:
    """What results.json says of the run's model and of those that it is compared with."""

    path: Path
    scores: list[ScoreRow]
    comparisons: list[ComparisonRow]


def visit(group: Group) -> Visit:
    statuses = [completion.status for completion in group.completions]
    return Visit(group.task_id, group.step, statuses.count("PASS"), len(statuses) - statuses.count("INFRA"))


def by_task(visits: Iterable[Visit]) -> dict[str, list[Visit]]:
    """Task id -> its visits in the order of the run, those with nothing judged left out."""
    found: dict[str, list[Visit]] = {}
    for each in visits:
        if each.n:
            found.setdefault(each.task_id, []).append(each)
    return found


def hardest(visits: Iterable[Visit]) -> list[Difficulty]:
    """The tasks that passed most rarely, by the upper end of the interval; of equals those seen last, trained most."""
    tasks = [Difficulty(task_id, len(each), sum(visit.passed for visit in each), sum(visit.n for visit in each),
                        each[-1].step) for task_id, each in by_task(visits).items()]
    return sorted(tasks, key=lambda task: (task.at_most, -task.last_step, task.task_id))[:ROWS]


def gains(visits: Iterable[Visit], profile: Iterable[TaskProfile]) -> list[Gain]:
    """Every task measured at two steps: in the profile or its first group, and in its last."""
    before = {task.task_id: (0, task.pass_rate) for task in profile}
    found = []
    for task_id, each in by_task(visits).items():
        step, rate = before.get(task_id, (each[0].step, each[0].passed / each[0].n))
        if each[-1].step > step:
            found.append(Gain(task_id, step, rate, each[-1].step, each[-1].passed / each[-1].n))
    return found


def most_improved(found: Iterable[Gain]) -> list[Gain]:
    """The tasks that gained most, of those that gained."""
    risen = [gain for gain in found if gain.difference > 0]
    return sorted(risen, key=lambda gain: (-gain.difference, gain.task_id))[:ROWS]


def settings(run: Run) -> list[Setting]:
    """The run's constants, those that differ from the training script's defaults first."""
    namespace = {"__file__": str(TRAINING_SCRIPT), **script_defaults()}
    table = {constant.name: constant for constant in read_constants(namespace)}
    rows = [Setting(name, repr(value), repr(table[name].value) if name in table else "",
                    table[name].comment if name in table else "") for name, value in run.constants.items()]
    return sorted(rows, key=lambda row: not row.changed)


def script_defaults() -> dict[str, Any]:
    """The plain constants of the training script, read from its source: scripts are not imported."""
    found = {}
    for node in ast.parse(TRAINING_SCRIPT.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:  # computed, so no constant that a flag sets
                continue
    return found


def find_evaluation(folder: Path, given: str) -> Evaluation | None:
    """The evaluation of a run's model in the folder that was given, else beside or in the run's own; None without.

    Raises InputError where the folder that was given has no results of this model.
    """
    places = [Path(given)] if given else [folder.resolve().parent / EVALUATION_FOLDER, folder / EVALUATION_FOLDER]
    for path in (place / RESULTS_FILE for place in places):
        found = read_evaluation(path, folder) if path.is_file() else None
        if found:
            return found
    if given:
        raise InputError(f"EVAL_RESULTS {given} holds no {RESULTS_FILE} that names the model {folder}: give the "
                         "OUTPUT_DIR of its evaluation")
    return None


def read_evaluation(path: Path, folder: Path) -> Evaluation | None:
    """The rows of a results.json that concern the model of a folder; None where no row does."""
    results = parse_json(path.read_bytes(), str(path))
    lists = ("results", "comparisons")
    if not isinstance(results, dict) or not all(isinstance(results.get(name), list) for name in lists):
        raise InputError(f"{path} has no lists 'results' and 'comparisons': evaluate the model again")
    scores = [parse_record(ScoreRow, renamed(row), f"{path}: a result") for row in results["results"]]
    rows = [parse_record(ComparisonRow, row, f"{path}: a comparison") for row in results["comparisons"]]
    models = {score.model for score in scores if score.path}  # the controls gold and stub have no path
    own = {score.model for score in scores if score.path and is_model_of(Path(score.path), folder)}
    rows = [row for row in rows if {row.baseline, row.candidate} <= models and {row.baseline, row.candidate} & own]
    shown = own.union(*({row.baseline, row.candidate} for row in rows))
    return Evaluation(path, [score for score in scores if score.model in shown], rows) if own else None


def renamed(row: Any) -> Any:
    return {**row, "pass_at_1": row.get("pass@1")} if isinstance(row, dict) else row


def is_model_of(path: Path, folder: Path) -> bool:
    """Whether a model's path is a run's folder or in it; of a run that was moved here, only the name is left."""
    folder, resolved = folder.resolve(), path.resolve()
    return folder in (resolved, *resolved.parents) or not path.exists() and path.name == folder.name
