"""Scores and comparisons from records, and the two files that contain them: results.json and comparison.md.

It grades nothing and loads no model. Fractions are 0..1 in results.json and per cent in comparison.md.

results.json: {"settings", "calibration", "results", "comparisons"}; all keys are always there. settings.extraction says
how the code was found: "regex", "llm", or "strict" for prompt + completion unchanged.
    results: one row for each model, benchmark and mode ("greedy" or "sampled"):
        model, path, benchmark, mode
        n              tasks scored: calibrated, with at least one completion that the sandbox could grade
        samples        completions of these tasks;  passed: how many of them pass
        pass@1         mean over the tasks of the share of samples that pass
        interval       [low, high], 95 %: Wilson for one sample of each task, bootstrap over tasks for several
        pass@k         {"1": ..., "10": ...}: unbiased, for each k of PASS_AT that every task has samples for
        with_excluded  {n, passed, pass@1} including the tasks that calibration excludes
        tasks, of      tasks asked for, and tasks of the whole benchmark (more under --limit)
        missing        tasks without a completion;  infra: completions that the sandbox could not grade
        infra_causes   {cause: completions};  infra_by_code: tasks where this happened although their gold (without one:
                       their stub) was graded, so that the code may have decided it
        pass@1_infra_failed  pass@1 if these completions count as failed; not scoring them can only raise pass@1
        shared_passed  passes from shared isolation, which the code can forge; only on tasks whose gold ran so too
        shared_refused completions that ran so on another task; each counts as failed
        outcomes       completions by outcome;  truncated: cut at MAX_COMPLETION_LENGTH, passing or not
        training_data  {"badge": "seen" | "partly seen" | "unseen" | "unknown", "tasks": {task_id: reason}}
    comparisons: one row for each pair of models (or sample files) with a common benchmark and mode; the first is the
        baseline:
        benchmark, mode, baseline, candidate, n (tasks scored in both)
        gained, lost   tasks that the candidate solves more / less often;  gained_ids, lost_ids: which
        difference     of pass@1, candidate minus baseline;  interval: [low, high], 95 %, bootstrap over tasks
        p, p_holm      exact McNemar (sign-flip test for several samples of each task); Holm-corrected over all rows
        detectable     the smallest difference that n tasks find with 80 % power at their discordance
        flip_rate      (gained + lost) / n;  repeat: true if the candidate is the baseline, evaluated again
        distinguishable, sentence
    calibration: one row for each benchmark: benchmark, tasks, gold_passed, with_gold, stub_passed,
        gold_failed {task_id: cause}, ungraded {task_id: cause} (stub without a verdict), weak [task_id],
        uncalibrated [task_id]
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from raccoon.evaluation.calibration import Calibration, counted
from raccoon.evaluation.records import OUTCOMES, Record
from raccoon.published.contamination import Badge
from raccoon.statistics import (
    ALPHA,
    Difference,
    bootstrap_interval,
    compare,
    holm,
    mean,
    pass_at_k,
    verdict_sentence,
    wilson_interval,
)
from raccoon.tasks.task import Task
from raccoon.trust import UNEXPECTED_SHARED, accepted, infra_cause, named_counts

DEFAULT_PASS_AT = (1, 10, 100)
# An infra verdict with these words does not change when graded again
LASTING = ("the test of ", "the context of ", "the cases of ")


@dataclass(frozen=True)
class Score:
    """One model on one benchmark in one mode. `outcomes` has the samples of the scored tasks, task id -> passed."""

    model: str
    path: str
    benchmark: str
    mode: str
    outcomes: Mapping[str, list[bool]]
    with_excluded: Mapping[str, list[bool]]
    counts: Counter
    truncated: int
    tasks: int
    of: int
    missing: int
    badge: Badge
    pass_ks: tuple[int, ...] = DEFAULT_PASS_AT
    excluded: int = 0  # tasks with a completion that calibration excludes
    lasting: tuple[str, ...] = ()  # reasons of infra verdicts that do not change when graded again
    infra: Mapping[str, Counter] = field(default_factory=dict)  # task id -> causes, without excluded tasks
    shared_passed: int = 0
    shared_refused: int = 0

    @property
    def n(self) -> int:
        return len(self.outcomes)

    @property
    def samples(self) -> int:
        return sum(map(len, self.outcomes.values()))

    @property
    def passed(self) -> int:
        return sum(map(sum, self.outcomes.values()))

    @property
    def interval(self) -> tuple[float, float]:
        if self.n == 0:
            return 0.0, 1.0
        if self.samples == self.n:
            return wilson_interval(self.passed, self.n)
        return bootstrap_interval([mean(samples) for samples in self.outcomes.values()])

    @property
    def if_infra_failed(self) -> float | None:
        """pass@1 with the completions that the sandbox could not grade as failed ones."""
        failed = {task_id: [False] * causes.total() for task_id, causes in self.infra.items()}
        return pass_at_1(
            {
                task_id: self.outcomes.get(task_id, []) + failed.get(task_id, [])
                for task_id in dict.fromkeys([*self.outcomes, *failed])
            }
        )

    @property
    def infra_causes(self) -> Counter:
        return sum(self.infra.values(), Counter())

    @property
    def pass_at(self) -> dict[int, float]:
        return {
            k: mean([pass_at_k(len(s), sum(s), k) for s in self.outcomes.values()])
            for k in self.pass_ks
            if k <= self.fewest
        }

    @property
    def fewest(self) -> int:
        """The smallest number of samples of a scored task."""
        return min(map(len, self.outcomes.values()), default=0)

    def as_row(self) -> dict[str, Any]:
        every = self.with_excluded
        return {
            "model": self.model,
            "path": self.path,
            "benchmark": self.benchmark,
            "mode": self.mode,
            "n": self.n,
            "samples": self.samples,
            "passed": self.passed,
            "pass@1": pass_at_1(self.outcomes),
            "interval": list(self.interval),
            "pass@k": {str(k): rate for k, rate in self.pass_at.items()},
            "with_excluded": {"n": len(every), "passed": sum(map(sum, every.values())), "pass@1": pass_at_1(every)},
            "tasks": self.tasks,
            "of": self.of,
            "missing": self.missing,
            "infra": self.counts["infra"],
            "infra_causes": dict(self.infra_causes),
            "infra_by_code": sorted(self.infra),
            "pass@1_infra_failed": self.if_infra_failed,
            "shared_passed": self.shared_passed,
            "shared_refused": self.shared_refused,
            "outcomes": {name: self.counts[name] for name in OUTCOMES},
            "truncated": self.truncated,
            "training_data": {"badge": self.badge.name, "tasks": dict(self.badge.tasks)}
            | ({"dates": self.badge.dates} if self.badge.dates else {}),
        }


def pass_at_1(outcomes: Mapping[str, list[bool]]) -> float | None:
    """The mean over tasks of the share of samples that pass; None if nothing was scored."""
    return mean([mean(samples) for samples in outcomes.values()]) if outcomes else None


def make_score(
    subject: Any,
    benchmark: str,
    mode: str,
    tasks: Sequence[Task],
    of: int,
    records: Iterable[Record],
    calibration: Calibration,
    badge: Badge,
    pass_ks: Sequence[int] = DEFAULT_PASS_AT,
) -> Score:
    """The score of a subject's records. The controls are scored on every task."""
    graded: dict[str, list[bool]] = {}
    counts, truncated, present, reasons = Counter(), 0, set(), {}
    infra, shared = {}, Counter()
    for record in records:
        record = replace(
            record, verdict=accepted(record.verdict, subject.control or record.task_id in calibration.shared)
        )
        shared["refused"] += record.verdict.reason == UNEXPECTED_SHARED
        shared["passed"] += record.passed and record.verdict.isolation == "shared"
        counts[record.outcome] += 1
        truncated += record.truncated
        present.add(record.task_id)
        if not record.infra:
            graded.setdefault(record.task_id, []).append(record.passed)
            continue
        if subject.control or record.task_id not in calibration.excluded:
            infra.setdefault(record.task_id, Counter())[infra_cause(record.verdict.reason, record.task_id)] += 1
        if any(word in record.verdict.reason for word in LASTING):
            reasons[record.verdict.reason.partition(": ")[2]] = None
    kept = {t: samples for t, samples in graded.items() if subject.control or t not in calibration.excluded}
    return Score(
        subject.name,
        subject.path,
        benchmark,
        mode,
        kept,
        graded,
        counts,
        truncated,
        len(tasks),
        of,
        len(tasks) - len(present),
        badge,
        tuple(pass_ks),
        len(graded) - len(kept),
        tuple(reasons),
        infra,
        shared["passed"],
        shared["refused"],
    )


@dataclass(frozen=True)
class Comparison:
    """Two scores on the same benchmark and mode, and their difference."""

    baseline: Score
    candidate: Score
    found: Difference
    p_holm: float

    @property
    def repeat(self) -> bool:
        return self.baseline.path == self.candidate.path != ""

    @property
    def distinguishable(self) -> bool:
        return self.p_holm < ALPHA

    @property
    def sentence(self) -> str:
        return verdict_sentence(
            self.baseline.model,
            self.candidate.model,
            f"{self.baseline.benchmark}, {self.baseline.mode}",
            self.found,
            self.p_holm,
        )

    def as_row(self) -> dict[str, Any]:
        found = self.found
        return {
            "benchmark": self.baseline.benchmark,
            "mode": self.baseline.mode,
            "baseline": self.baseline.model,
            "candidate": self.candidate.model,
            "n": found.n,
            "gained": len(found.gained),
            "lost": len(found.lost),
            "difference": found.difference,
            "interval": list(found.interval),
            "p": found.p,
            "p_holm": self.p_holm,
            "detectable": found.detectable,
            "flip_rate": found.flip_rate,
            "repeat": self.repeat,
            "distinguishable": self.distinguishable,
            "sentence": self.sentence,
            "gained_ids": list(found.gained),
            "lost_ids": list(found.lost),
        }


def compare_all(scores: Sequence[Score]) -> list[Comparison]:
    """Every pair of models on every benchmark and mode that both have. The earlier model is the baseline.

    The controls are left out. One correction covers all pairs, because among many differences one is large by chance.
    """
    models = list(dict.fromkeys(score.model for score in scores if score.path))
    pairs = [
        (a, b)
        for first, second in combinations(models, 2)
        for a in scores
        for b in scores
        if (a.model, b.model) == (first, second) and (a.benchmark, a.mode) == (b.benchmark, b.mode)
    ]
    found = [(a, b, difference) for a, b in pairs if (difference := compare(a.outcomes, b.outcomes))]
    corrected = holm([difference.p for _, _, difference in found])
    return [Comparison(*row, p) for row, p in zip(found, corrected, strict=True)]


def results_json(
    settings: Mapping[str, Any],
    calibrations: Sequence[Calibration],
    scores: Sequence[Score],
    comparisons: Sequence[Comparison],
) -> str:
    """The text of results.json; equal inputs give an equal text."""
    calibration = [
        {
            "benchmark": c.benchmark,
            "tasks": c.tasks,
            "gold_passed": c.gold_passed,
            "with_gold": c.with_gold,
            "stub_passed": c.stub_passed,
            "gold_failed": dict(c.gold_failed),
            "ungraded": dict(c.ungraded),
            "weak": list(c.weak),
            "uncalibrated": list(c.uncalibrated),
        }
        for c in calibrations
    ]
    return (
        json.dumps(
            {
                "settings": dict(settings),
                "calibration": calibration,
                "results": [s.as_row() for s in scores],
                "comparisons": [c.as_row() for c in comparisons],
            },
            indent=2,
        )
        + "\n"
    )


def comparison_md(
    settings: Mapping[str, Any],
    calibrations: Sequence[Calibration],
    scores: Sequence[Score],
    comparisons: Sequence[Comparison],
) -> str:
    """The text of comparison.md, whose parts can be copied into a README."""
    shown = shown_comparisons(scores, comparisons)
    parts = [
        "# Evaluation",
        results_table(scores),
        f"{', '.join(f'{k} {v}' for k, v in settings.items())}. "
        "In training data: by what the training run's config.json names. Its base model's data are not known.",
    ]
    if shown:
        parts += ["## Differences", differences_table(shown), "\n".join(f"- {c.sentence}" for c in shown)]
        if len(comparisons) > 1:
            parts += [f"p (Holm) is corrected for all {len(comparisons)} comparisons of this run."]
    parts += ["## Verdicts", outcomes_table(scores), "## Calibration", calibration_table(calibrations)]
    parts += [
        "\n".join(line for c in calibrations for line in [f"- {c.summary}", *(f"  - {detail}" for detail in c.details)])
    ]
    notes = [note for score in scores for note in score_notes(score)]
    if notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def shown_comparisons(scores: Sequence[Score], comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Each model against the first, and against its own repetition. The controls are left out."""
    firsts = {score.path: score.model for score in reversed(scores) if score.path}
    baseline = next((score.model for score in scores if score.path), "")
    return [
        c
        for c in comparisons
        if c.baseline.path
        and c.baseline.model in firsts.values()
        and (c.repeat or c.baseline.model == baseline and c.candidate.model in firsts.values())
    ]


def results_table(scores: Sequence[Score]) -> str:
    ks = sorted({k for score in scores for k in score.pass_at} - {1})
    header = [
        "model",
        "benchmark",
        "mode",
        "pass@1",
        "95 % interval",
        "passed",
        *(f"pass@{k}" for k in ks),
        "with excluded tasks",
        "in training data",
    ]
    rows = []
    for s in scores:
        every = s.with_excluded
        rows.append(
            [
                s.model,
                benchmark_label(s),
                s.mode,
                rate_label(s),
                span(s.interval),
                f"{s.passed}/{s.samples}",
                *(percent(s.pass_at.get(k)) for k in ks),
                f"{percent(pass_at_1(every))} ({sum(map(sum, every.values()))}/{sum(map(len, every.values()))})",
                badge_label(s),
            ]
        )
    return table(header, rows)


def differences_table(comparisons: Sequence[Comparison]) -> str:
    header = [
        "benchmark",
        "mode",
        "baseline",
        "candidate",
        "difference",
        "95 % interval",
        "gained",
        "lost",
        "n",
        "p",
        "p (Holm)",
        "flip rate",
        "detectable at 80 % power",
    ]
    return table(
        header,
        [
            [
                c.baseline.benchmark,
                c.baseline.mode,
                c.baseline.model,
                c.candidate.model,
                f"{100 * c.found.difference:+.1f}",
                span(c.found.interval, "+.1f"),
                len(c.found.gained),
                len(c.found.lost),
                c.found.n,
                f"{c.found.p:.2g}",
                f"{c.p_holm:.2g}",
                percent(c.found.flip_rate),
                percent(c.found.detectable),
            ]
            for c in comparisons
        ],
    )


def outcomes_table(scores: Sequence[Score]) -> str:
    header = ["model", "benchmark", "mode", *OUTCOMES, "cut at the limit"]
    return table(
        header,
        [[s.model, benchmark_label(s), s.mode, *(s.counts[name] for name in OUTCOMES), s.truncated] for s in scores],
    )


def calibration_table(calibrations: Sequence[Calibration]) -> str:
    header = ["benchmark", "tasks", "gold passes", "stub passes", "excluded", "without solution"]
    return table(
        header,
        [
            [
                c.benchmark,
                c.tasks,
                f"{c.gold_passed}/{c.with_gold}",
                f"{c.stub_passed}/{c.tasks}",
                len(c.excluded),
                len(c.uncalibrated),
            ]
            for c in calibrations
        ],
    )


def score_notes(score: Score) -> list[str]:
    """Notes that a reader of a row needs: tasks that are not scored, infra, missing pass@k, tasks seen in training."""
    where = f"{score.model} on {score.benchmark}, {score.mode}"
    notes, infra = [], score.counts["infra"]
    if score.missing:
        ungraded = score.tasks - score.missing - score.excluded - score.n
        parts = [
            f"{score.missing} without a completion",
            f"{score.excluded} left out by calibration",
            f"{ungraded} that the sandbox could not grade",
        ]
        notes.append(
            f"{where}: scored on {score.n} of {score.tasks} tasks; the others are "
            + ", ".join(part for part in parts if not part.startswith("0 "))
            + "."
        )
    if infra:
        again = "; ".join(score.lasting[:3]) or "the same command grades them again"
        notes.append(f"{where}: the sandbox could not grade {counted(infra, 'completion')}, not scored; {again}.")
    if score.infra:
        shown = ", ".join(sorted(score.infra)[:20]) + (", ..." if len(score.infra) > 20 else "")
        notes.append(
            f"{where}: warning: {named_counts(score.infra_causes)}. The controls of these tasks were "
            f"graded, so the code may have decided it: {shown}. Not scoring it raises pass@1 from "
            f"{percent(score.if_infra_failed)} to {percent(pass_at_1(score.outcomes))}."
        )
    if score.shared_passed:
        notes.append(
            f"{where}: {score.shared_passed} of the passes come "
            "from shared isolation, as the tests of these tasks need it; code can forge such a pass."
        )
    if score.shared_refused:
        notes.append(
            f"{where}: warning: {counted(score.shared_refused, 'completion')} ran in shared isolation, unlike "
            "the gold solution, and failed for it: the code attacks the sandbox, or the sandbox has a fault."
        )
    if score.fewest > 1 and max(score.pass_ks) > 1 and max(score.pass_at, default=1) == 1:
        notes.append(
            f"{where}: some tasks have only {score.fewest} samples, too few for pass@"
            f"{min(k for k in score.pass_ks if k > 1)}; --pass-at 1 {score.fewest} gives pass@{score.fewest}."
        )
    if score.badge.tasks:
        shown = [f"{task} ({reason})" for task, reason in list(score.badge.tasks.items())[:20]]
        more = len(score.badge.tasks) - len(shown)
        notes.append(
            f"{where}: {counted(len(score.badge.tasks), 'task')} of the training data: {', '.join(shown)}"
            + (f" and {more} more (results.json)." if more else ".")
        )
    return notes


def benchmark_label(score: Score) -> str:
    """The benchmark's name, with the size of the sample if it is one."""
    return score.benchmark + (f" ({score.tasks} of {score.of})" if score.tasks < score.of else "")


def badge_label(score: Score) -> str:
    label = score.badge.name + (f" ({len(score.badge.tasks)})" if score.badge.tasks else "")
    return f"{label}; {score.badge.dates}" if score.badge.dates else label


def rate_label(score: Score) -> str:
    """pass@1; after it, what it is if the completions that could not be graded count as failed."""
    scored, lowest = percent(pass_at_1(score.outcomes)), percent(score.if_infra_failed)
    return scored if lowest == scored else f"{scored} ({lowest} with infra as failed)"


def percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def span(interval: tuple[float, float], form: str = ".1f") -> str:
    return " to ".join(format(100 * end, form) for end in interval)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table. Characters that would end a cell are escaped."""
    cells = [list(map(str, row)) for row in (header, ["---"] * len(header), *rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)
