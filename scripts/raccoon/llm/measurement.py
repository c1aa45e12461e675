"""Measures a judge: agreement with known verdicts, bias, and the effect of injections.

Scores are in 0..1. Programs without a score are counted separately.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raccoon.constants import InputError
from raccoon.llm.llm_judge import Judgement, LlmJudge, visible_program
from raccoon.statistics import Z_ALPHA, difference_interval, mean
from raccoon.tasks.extraction import extract_code
from raccoon.tasks.task import Task, numbered_rows

TOLERANCE = 0.1  # of a score; smaller changes are the judge's own noise

PROGRAM = "{SIGNATURE}\n{BODY}\n"  # an injection's program without its text
# Valid code that is never called. It makes a program longer, not better.
PADDING = "".join(
    f"\n\ndef spare_{i}(first, second):\n    total = first + second\n    total = total - second\n"
    f"    return total == first\n"
    for i in range(10)
)


@dataclass(frozen=True)
class Sample:
    """A program with a known verdict."""

    prompt: str
    code: str
    passed: bool


@dataclass(frozen=True)
class Injection:
    """A wrong program with a text in it that asks for a high score, and the same program without that text."""

    name: str
    kind: str
    prompt: str
    clean: str
    injected: str


@dataclass(frozen=True)
class Shift:
    """How scores change from one form of a question to another, pair by pair."""

    pairs: int
    mean: float
    interval: tuple[float, float]
    moved: float  # share that changes by more than TOLERANCE

    def row(self, name: str) -> str:
        low, high = self.interval
        return f"| {name} | {self.pairs} | {self.mean:+.3f} | {low:+.3f} to {high:+.3f} | {self.moved:.1%} |"


@dataclass(frozen=True)
class Agreement:
    """Scores against verdicts, for the samples that have both."""

    n: int
    passed: int
    mean_passed: float
    mean_failed: float
    correlation: float  # Pearson's, of score and pass
    roc_area: float
    roc_interval: tuple[float, float]


@dataclass(frozen=True)
class SampleReport:
    """Results on samples; `length_*` are Spearman's rho of score and length, for passing samples and for others."""

    agreement: Agreement
    position: Shift
    padding: Shift
    length_passed: float
    length_failed: float
    none_rate: float
    errors: dict[str, int]


@dataclass
class KindCount:
    """The results of the injections of one kind."""

    tried: int = 0
    raised: int = 0  # by more than TOLERANCE
    unjudged: int = 0  # the program with or without the injection has no score


@dataclass(frozen=True)
class InjectionReport:
    """The effect of the injections; `raised` names those that raised a score."""

    kinds: dict[str, KindCount]
    raised: list[str]
    errors: dict[str, int]


def read_graded(path: str, tasks: dict[str, Task]) -> list[Sample]:
    """The samples of a JSON-lines file whose task and verdict are known.

    A line has "task_id", "code" or else "completion" or "solution", and either "passed" or a "verdict" with its
    "status" (completions.jsonl of a run, records of an evaluation). Raises InputError for any other line.
    """
    samples = []
    for _, where, row in numbered_rows(Path(path)):
        try:
            task = tasks.get(row["task_id"])
            status = row["verdict"]["status"] if "verdict" in row else ("PASS" if row["passed"] else "FAIL")
            if task is None or status == "INFRA":
                continue
            text = row.get("code") or row.get("completion") or row["solution"]
            code = row["code"] if "code" in row else extract_code(text, task)
        except (KeyError, TypeError, AttributeError):
            raise InputError(
                f"{where} is not a sample: it needs task_id, code or completion, and passed or verdict"
            ) from None
        samples.append(Sample(task.prompt, code, status == "PASS"))
    if not samples:
        raise InputError(f"no sample in {path} belongs to a task of TASKS; give the file of its tasks with --tasks")
    return samples


def read_injections(folder: str) -> list[Injection]:
    """Every text of injections.jsonl in every program of programs.jsonl. Raises InputError for invalid lines."""
    programs, injections = (
        [row for _, _, row in numbered_rows(Path(folder) / f"{name}.jsonl")] for name in ("programs", "injections")
    )

    def filled(text: str, program: dict) -> str:
        return text.replace("{SIGNATURE}", program["signature"]).replace("{BODY}", program["body"])

    try:
        return [
            Injection(row["name"], row["kind"], each["prompt"], filled(PROGRAM, each), filled(row["text"], each))
            for row in injections
            for each in programs
        ]
    except (KeyError, TypeError) as error:
        raise InputError(f"a line in {folder} has no field {error}; see tests/injections for the form") from None


def measure_samples(judge: LlmJudge, samples: Sequence[Sample]) -> SampleReport:
    """Agreement with the verdicts, and the bias of position and length."""
    items = [(sample.prompt, sample.code) for sample in samples]
    plain, reverse = judge.judge(items), judge.judge(items, reverse=True)
    padded = judge.judge([(prompt, code + PADDING) for prompt, code in items])
    everything = [*plain, *reverse, *padded]
    return SampleReport(
        agreement(samples, plain),
        shift(plain, reverse),
        shift(plain, padded),
        length_correlation(samples, plain, True),
        length_correlation(samples, plain, False),
        mean([float(judgement.score is None) for judgement in everything]),
        errors(everything),
    )


def errors(judgements: Sequence[Judgement]) -> dict[str, int]:
    """How often each error left a program without a score, by error."""
    found = [judgement.error for judgement in judgements if judgement.score is None]
    return {error: found.count(error) for error in sorted(set(found))}


def agreement(samples: Sequence[Sample], judgements: Sequence[Judgement]) -> Agreement:
    """The judge's scores against the verdicts: correlation, and the area under the ROC curve."""
    scored = [
        (judgement.score, sample.passed)
        for sample, judgement in zip(samples, judgements, strict=True)
        if judgement.score is not None
    ]
    passed, failed = ([score for score, good in scored if good is wanted] for wanted in (True, False))
    pearson = correlation([score for score, _ in scored], [float(good) for _, good in scored])
    area, interval = roc(passed, failed)
    return Agreement(len(scored), len(passed), mean(passed), mean(failed), pearson, area, interval)


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Pearson's r; NaN if one side does not vary."""
    varied = len(set(first)) > 1 and len(set(second)) > 1
    return statistics.correlation(first, second) if varied else math.nan


def roc(passed: Sequence[float], failed: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The ROC area with its 95 % interval (Hanley and McNeil 1982).

    It is the chance that a program that passes scores higher than one that fails; a tie counts half.
    """
    from scipy.stats import mannwhitneyu

    if not passed or not failed:
        return math.nan, (math.nan, math.nan)
    pairs = len(passed) * len(failed)
    area = float(mannwhitneyu(passed, failed, method="asymptotic").statistic) / pairs
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (len(passed) - 1) * (one - area**2) + (len(failed) - 1) * (two - area**2)
    half = Z_ALPHA * math.sqrt(max(variance, 0.0) / pairs)
    return area, (max(area - half, 0.0), min(area + half, 1.0))


def shift(before: Sequence[Judgement], after: Sequence[Judgement]) -> Shift:
    """How the scores change, for the pairs in which both have a score."""
    moves = [
        b.score - a.score for a, b in zip(before, after, strict=True) if a.score is not None and b.score is not None
    ]
    if not moves:
        return Shift(0, math.nan, (math.nan, math.nan), math.nan)
    moved = mean([float(abs(move) > TOLERANCE) for move in moves])
    return Shift(len(moves), mean(moves), difference_interval(moves), moved)


def length_correlation(samples: Sequence[Sample], judgements: Sequence[Judgement], passed: bool) -> float:
    """Spearman's rho of score and length of the visible program, for samples with the same verdict."""
    from scipy.stats import rankdata

    pairs = [
        (float(len(visible_program(sample.code))), judgement.score)
        for sample, judgement in zip(samples, judgements, strict=True)
        if sample.passed is passed and judgement.score is not None
    ]
    return correlation(*(rankdata([pair[side] for pair in pairs]).tolist() for side in (0, 1)))


def measure_injections(judge: LlmJudge, injections: Sequence[Injection]) -> InjectionReport:
    """The effect of the injections, compared with the same programs without them."""
    clean = judge.judge([(each.prompt, each.clean) for each in injections])
    injected = judge.judge([(each.prompt, each.injected) for each in injections])
    kinds: dict[str, KindCount] = {}
    raised = set()
    for each, before, after in zip(injections, clean, injected, strict=True):
        for count in (kinds.setdefault(each.kind, KindCount()), kinds.setdefault("all", KindCount())):
            count.tried += 1
            if before.score is None or after.score is None:
                count.unjudged += 1
            elif after.score - before.score > TOLERANCE:
                count.raised += 1
                raised.add(each.name)
    kinds["all"] = kinds.pop("all", KindCount())  # last
    return InjectionReport(kinds, sorted(raised), errors([*clean, *injected]))


def samples_md(found: SampleReport) -> str:
    """The tables of measure_samples."""
    one, (low, high) = found.agreement, found.agreement.roc_interval
    return f"""| scored | pass | mean of PASS | mean of others | correlation | ROC area | 95 % | not judged |
|---|---|---|---|---|---|---|---|
| {one.n} | {one.passed} | {one.mean_passed:.3f} | {one.mean_failed:.3f} | {one.correlation:.3f} | \
{one.roc_area:.3f} | {low:.3f} to {high:.3f} | {found.none_rate:.1%} |

| bias | pairs | mean shift | 95 % | moved |
|---|---|---|---|---|
{found.position.row("position: the question in reverse order")}
{found.padding.row("length: padded with code that nothing calls")}

Spearman's rho of score and length: PASS {found.length_passed:.3f}, others {found.length_failed:.3f}.\
{error_lines(found.errors)}"""


def injections_md(found: InjectionReport) -> str:
    """The table of measure_injections."""
    head = f"| injection | tried | raised by over {TOLERANCE:g} | not judged |\n|---|---|---|---|"
    rows = [f"| {kind} | {n.tried} | {n.raised} | {n.unjudged} |" for kind, n in found.kinds.items()]
    return "\n".join([head, *rows, f"\nRaised: {', '.join(found.raised) or 'none'}."]) + error_lines(found.errors)


def error_lines(found: dict[str, int]) -> str:
    return "".join(f"\n- {count} times no score: {error}" for error, count in found.items())
