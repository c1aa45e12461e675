"""Scores and comparisons from records, and the two files that contain them: results.json and comparison.md.

Fractions are 0..1 in results.json and per cent in comparison.md.

results.json: {"settings", "calibration", "results", "comparisons"}; all keys are always there. settings.extraction says
how the code was found: "regex", "llm", or "strict" for prompt + completion unchanged.
    results: one row for each model, benchmark and mode ("greedy" or "sampled"):
        model, path, benchmark, mode
        n              tasks scored: calibrated, with at least one completion that the sandbox could grade
        samples, passed  completions of these tasks, and how many of them pass;  pass@1: mean of the tasks' shares
        interval       [low, high], 95 %: Wilson for one sample of each task, bootstrap over tasks for several
        pass@k         {"1": ..., "10": ...}: unbiased, for each k of PASS_AT that every task has samples for
        with_excluded  {n, passed, pass@1} including the tasks that calibration excludes
        tasks, of      tasks asked for, and tasks of the whole benchmark;  missing: tasks without a completion
        infra          completions that the sandbox could not grade;  infra_causes: {cause: completions}
        infra_by_code  tasks where this happened although a control was graded: the code may have decided it
        pass@1_infra_failed  pass@1 if these completions count as failed; not scoring them can only raise pass@1
        shared_passed  passes from shared isolation, which the code can forge; only on tasks whose gold ran so too
        shared_refused completions that ran so on another task; each counts as failed
        outcomes       completions by outcome;  truncated: cut at MAX_COMPLETION_LENGTH, passing or not
        training_data  {"badge": "seen" | "partly seen" | "unseen" | "unknown", "tasks": {task_id: reason}}
    comparisons: one row for each pair of models (or sample files) with a common benchmark and mode:
        benchmark, mode, baseline (the first), candidate, n (tasks scored in both)
        gained, lost   tasks that the candidate solves more / less often;  gained_ids, lost_ids: which
        difference     of pass@1, candidate minus baseline;  interval: [low, high], 95 %, bootstrap over tasks
        p, p_holm      exact McNemar (sign-flip test for several samples of each task); Holm-corrected over all rows
        detectable     the smallest difference that n tasks find with 80 % power at their discordance
        flip_rate      (gained + lost) / n;  repeat: true if the candidate is the baseline, evaluated again
        distinguishable, sentence
    calibration: one row for each benchmark: benchmark, tasks, gold_passed, with_gold, stub_passed, gold_failed
        {task_id: cause}, ungraded {task_id: cause} (stub without a verdict), weak [task_id], uncalibrated [task_id]
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

from raccoon.evaluation.grading import OUTCOMES, Record
from raccoon.evaluation.subjects import Subject
from raccoon.evaluation.task_sets import Calibration
from raccoon.published.contamination import Badge
from raccoon.records import UNEXPECTED_SHARED, accepted, infra_cause, named_counts
from raccoon.statistics import (
    ALPHA,
    Difference,
    bootstrap_interval,
    compare,
    holm,
    how_many,
    mean,
    pass_at_k,
    verdict_sentence,
    wilson_interval,
)

DEFAULT_PASS_AT = (1, 10, 100)
# An infra verdict with these words does not change when graded again
LASTING = ("the test of ", "the context of ", "the cases of ")


@dataclass(frozen=True, eq=False)
class Score:
    """A subject on a task set in one mode. The controls are scored on every task, models on those calibrated."""

    subject: Subject
    mode: str
    records: Sequence[Record]  # without texts; make_score makes them
    calibration: Calibration
    badge: Badge
    pass_ks: Sequence[int]

    @property
    def model(self) -> str:
        return self.subject.name

    @property
    def benchmark(self) -> str:
        return self.calibration.task_set.name

    @property
    def title(self) -> str:
        return f"{self.model} on {self.benchmark}, {self.mode}"

    @cached_property
    def with_excluded(self) -> dict[str, list[bool]]:
        """task id -> whether each sample passes, for all tasks that the sandbox could grade."""
        graded: dict[str, list[bool]] = {}
        for record in self.records:
            if not record.infra:
                graded.setdefault(record.task_id, []).append(record.passed)
        return graded

    @cached_property
    def outcomes(self) -> dict[str, list[bool]]:
        """The same for the scored tasks."""
        return {task_id: samples for task_id, samples in self.with_excluded.items() if self.counts_for(task_id)}

    def counts_for(self, task_id: str) -> bool:
        return self.subject.control or task_id not in self.calibration.excluded

    @cached_property
    def infra(self) -> dict[str, Counter]:
        """task id -> causes, for tasks that calibration does not exclude."""
        found: dict[str, Counter] = {}
        for record in self.records:
            if record.infra and self.counts_for(record.task_id):
                cause = infra_cause(record.verdict.reason, record.task_id)
                found.setdefault(record.task_id, Counter())[cause] += 1
        return found

    @cached_property
    def counts(self) -> Counter:
        """Completions by outcome; also those that were "cut", and those from shared isolation by what came of them."""
        found = Counter(record.outcome for record in self.records)
        found["cut"] = sum(record.truncated for record in self.records)
        found["shared passed"] = sum(r.passed and r.verdict.isolation == "shared" for r in self.records)
        found["shared refused"] = sum(record.verdict.reason == UNEXPECTED_SHARED for record in self.records)
        return found

    @property
    def missing(self) -> int:
        """Tasks without a completion."""
        return self.tasks - len({record.task_id for record in self.records})

    @property
    def tasks(self) -> int:
        return len(self.calibration.task_set.tasks)

    @property
    def n(self) -> int:
        return len(self.outcomes)

    @property
    def samples(self) -> int:
        return sum(map(len, self.outcomes.values()))

    @property
    def passed(self) -> int:
        return sum(map(sum, self.outcomes.values()))

    @cached_property
    def interval(self) -> tuple[float, float]:
        if self.n == 0:
            return 0.0, 1.0
        if self.samples == self.n:
            return wilson_interval(self.passed, self.n)
        return bootstrap_interval([mean(samples) for samples in self.outcomes.values()])

    @cached_property
    def if_infra_failed(self) -> float | None:
        """pass@1 with the completions that the sandbox could not grade as failed ones."""
        failed = {task_id: [False] * causes.total() for task_id, causes in self.infra.items()}
        every = dict.fromkeys([*self.outcomes, *failed])
        return pass_at_1({task_id: self.outcomes.get(task_id, []) + failed.get(task_id, []) for task_id in every})

    @cached_property
    def infra_causes(self) -> Counter:
        return sum(self.infra.values(), Counter())

    @cached_property
    def pass_at(self) -> dict[int, float]:
        possible = [k for k in self.pass_ks if k <= self.fewest]
        return {k: mean([pass_at_k(len(s), sum(s), k) for s in self.outcomes.values()]) for k in possible}

    @property
    def fewest(self) -> int:
        """The smallest number of samples of a scored task."""
        return min(map(len, self.outcomes.values()), default=0)

    def as_row(self) -> dict[str, Any]:
        every, badge, whole = self.with_excluded, self.badge, len(self.calibration.task_set.ids)
        dates = {"dates": badge.dates} if badge.dates else {}
        row: dict[str, Any] = {
            "model": self.model,
            "path": self.subject.path,
            "benchmark": self.benchmark,
            "mode": self.mode,
        }
        row |= {"n": self.n, "samples": self.samples, "passed": self.passed, "pass@1": pass_at_1(self.outcomes)}
        row |= {"interval": list(self.interval), "pass@k": {str(k): rate for k, rate in self.pass_at.items()}}
        row |= {"with_excluded": {"n": len(every), "passed": sum(map(sum, every.values())), "pass@1": pass_at_1(every)}}
        row |= {"tasks": self.tasks, "of": whole, "missing": self.missing, "infra": self.counts["infra"]}
        row |= {"infra_causes": dict(self.infra_causes), "infra_by_code": sorted(self.infra)}
        row |= {"pass@1_infra_failed": self.if_infra_failed}
        row |= {"shared_passed": self.counts["shared passed"], "shared_refused": self.counts["shared refused"]}
        row |= {"outcomes": {name: self.counts[name] for name in OUTCOMES}, "truncated": self.counts["cut"]}
        return row | {"training_data": {"badge": badge.name, "tasks": dict(badge.tasks), **dates}}


def make_score(
    subject: Subject,
    mode: str,
    records: Iterable[Record],
    calibration: Calibration,
    badge: Badge,
    pass_ks: Sequence[int] = DEFAULT_PASS_AT,
) -> Score:
    """The score of records, kept without texts. What ran in shared isolation counts only where gold did so too."""

    def kept(record: Record) -> Record:
        verdict = accepted(record.verdict, subject.control or record.task_id in calibration.shared)
        return replace(record, prompt="", completion="", code="", verdict=replace(verdict, output=""))

    return Score(subject, mode, list(map(kept, records)), calibration, badge, pass_ks)


def pass_at_1(outcomes: Mapping[str, list[bool]]) -> float | None:
    """The mean over tasks of the share of samples that pass; None if nothing was scored."""
    return mean([mean(samples) for samples in outcomes.values()]) if outcomes else None


@dataclass(frozen=True)
class Comparison:
    """Two scores on the same benchmark and mode, and their difference."""

    baseline: Score
    candidate: Score
    found: Difference
    p_holm: float

    @property
    def repeat(self) -> bool:
        return self.baseline.subject.path == self.candidate.subject.path != ""

    @property
    def sentence(self) -> str:
        where = f"{self.baseline.benchmark}, {self.baseline.mode}"
        return verdict_sentence(self.baseline.model, self.candidate.model, where, self.found, self.p_holm)

    def as_row(self) -> dict[str, Any]:
        found, first = self.found, self.baseline
        row: dict[str, Any] = {"benchmark": first.benchmark, "mode": first.mode, "baseline": first.model}
        row |= {"candidate": self.candidate.model, "n": found.n, "gained": len(found.gained), "lost": len(found.lost)}
        row |= {"difference": found.difference, "interval": list(found.interval), "p": found.p, "p_holm": self.p_holm}
        row |= {"detectable": found.detectable, "flip_rate": found.flip_rate, "repeat": self.repeat}
        row |= {"distinguishable": self.p_holm < ALPHA, "sentence": self.sentence}
        return row | {"gained_ids": list(found.gained), "lost_ids": list(found.lost)}


def compare_all(scores: Sequence[Score]) -> list[Comparison]:
    """Every pair of models on every benchmark and mode that both have, without controls; the earlier is the baseline.

    One correction covers all pairs, because among many differences one is large by chance.
    """
    models = dict.fromkeys(score.model for score in scores if score.subject.path)
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
    rows = {
        "settings": dict(settings),
        "calibration": [calibration.as_row() for calibration in calibrations],
        "results": [score.as_row() for score in scores],
        "comparisons": [comparison.as_row() for comparison in comparisons],
    }
    return json.dumps(rows, indent=2) + "\n"


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
    outcomes = [[*labels(s), *(s.counts[name] for name in OUTCOMES), s.counts["cut"]] for s in scores]
    controls = [
        [c.task_set.name, len(c.task_set.tasks), *c.counts, len(c.excluded), len(c.uncalibrated)] for c in calibrations
    ]
    parts += [
        "## Verdicts",
        markdown_table(f"model | benchmark | mode | {' | '.join(OUTCOMES)} | cut at the limit", outcomes),
        "## Calibration",
        markdown_table("benchmark | tasks | gold passes | stub passes | excluded | without solution", controls),
        "\n".join(line for c in calibrations for line in [f"- {c.summary}", *(f"  - {each}" for each in c.details)]),
    ]
    notes = [f"- {score.title}: {note}" for score in scores for note in score_notes(score)]
    if notes:
        parts += ["## Notes", "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


def shown_comparisons(scores: Sequence[Score], comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Each model against the first, and against its own repetition. The controls are left out."""
    firsts = {score.subject.path: score.model for score in reversed(scores) if score.subject.path}
    baseline = next((score.model for score in scores if score.subject.path), "")
    return [
        c
        for c in comparisons
        if c.baseline.subject.path
        and c.baseline.model in firsts.values()
        and (c.repeat or c.baseline.model == baseline and c.candidate.model in firsts.values())
    ]


def results_table(scores: Sequence[Score]) -> str:
    ks = sorted({k for score in scores for k in score.pass_at} - {1})
    rows = []
    for s in scores:
        every, scored, lowest = s.with_excluded, in_percent(pass_at_1(s.outcomes)), in_percent(s.if_infra_failed)
        seen = s.badge.name + (f" ({len(s.badge.tasks)})" if s.badge.tasks else "")
        rows.append(
            [
                *labels(s),
                scored if lowest == scored else f"{scored} ({lowest} with infra as failed)",
                span(s.interval),
                f"{s.passed}/{s.samples}",
                *(in_percent(s.pass_at.get(k)) for k in ks),
                f"{in_percent(pass_at_1(every))} ({sum(map(sum, every.values()))}/{sum(map(len, every.values()))})",
                f"{seen}; {s.badge.dates}" if s.badge.dates else seen,
            ]
        )
    columns = "".join(f" | pass@{k}" for k in ks)
    header = f"model | benchmark | mode | pass@1 | 95 % interval | passed{columns}"
    return markdown_table(f"{header} | with excluded tasks | in training data", rows)


def differences_table(comparisons: Sequence[Comparison]) -> str:
    rows = []
    for c in comparisons:
        found, first = c.found, c.baseline
        row: list[Any] = [first.benchmark, first.mode, first.model, c.candidate.model, f"{100 * found.difference:+.1f}"]
        row += [span(found.interval, "+.1f"), len(found.gained), len(found.lost), found.n, f"{found.p:.2g}"]
        rows.append([*row, f"{c.p_holm:.2g}", in_percent(found.flip_rate), in_percent(found.detectable)])
    header = "benchmark | mode | baseline | candidate | difference | 95 % interval | gained | lost | n | p | p (Holm)"
    return markdown_table(f"{header} | flip rate | detectable at 80 % power", rows)


def score_notes(score: Score) -> list[str]:
    """Notes that a reader of a row needs: tasks that are not scored, infra, missing pass@k, tasks seen in training."""
    notes, infra, seen = [], score.counts["infra"], score.badge.tasks
    shared, refused = score.counts["shared passed"], score.counts["shared refused"]
    if score.missing:
        excluded = len(score.with_excluded) - score.n
        others = {
            "without a completion": score.missing,
            "left out by calibration": excluded,
            "that the sandbox could not grade": score.tasks - score.missing - excluded - score.n,
        }
        named = ", ".join(f"{number} {reason}" for reason, number in others.items() if number)
        notes.append(f"scored on {score.n} of {score.tasks} tasks; the others are {named}.")
    if infra:
        reasons = [record.verdict.reason for record in score.records if record.infra]
        lasting = {reason.partition(": ")[2]: None for reason in reasons if any(word in reason for word in LASTING)}
        again = "; ".join(list(lasting)[:3]) or "the same command grades them again"
        notes.append(f"the sandbox could not grade {how_many(infra, 'completion')}, not scored; {again}.")
    if score.infra:
        shown = ", ".join(sorted(score.infra)[:20]) + (", ..." if len(score.infra) > 20 else "")
        notes.append(
            f"warning: {named_counts(score.infra_causes)}. The controls of these tasks were graded, so the code may "
            f"have decided it: {shown}. Not scoring it raises pass@1 from {in_percent(score.if_infra_failed)} to "
            f"{in_percent(pass_at_1(score.outcomes))}."
        )
    if shared:
        notes.append(
            f"{shared} of the passes come from shared isolation, as the tests of these tasks need it; "
            "code can forge such a pass."
        )
    if refused:
        notes.append(
            f"warning: {how_many(refused, 'completion')} ran in shared isolation, unlike the gold "
            "solution, and failed for it: the code attacks the sandbox, or the sandbox has a fault."
        )
    if score.fewest > 1 and max(score.pass_ks) > 1 and max(score.pass_at, default=1) == 1:
        notes.append(
            f"some tasks have only {score.fewest} samples, too few for pass@{min(k for k in score.pass_ks if k > 1)}; "
            f"--pass-at 1 {score.fewest} gives pass@{score.fewest}."
        )
    if seen:
        named = ", ".join(f"{task} ({reason})" for task, reason in list(seen.items())[:20])
        more = f" and {len(seen) - 20} more (results.json)." if len(seen) > 20 else "."
        notes.append(f"{how_many(len(seen), 'task')} of the training data: {named}{more}")
    return notes


def labels(score: Score) -> tuple[str, str, str]:
    """The first columns of a row: model, benchmark with the size of the sample if it is one, and mode."""
    whole = len(score.calibration.task_set.ids)
    sample = f" ({score.tasks} of {whole})" if score.tasks < whole else ""
    return score.model, score.benchmark + sample, score.mode


def in_percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def span(interval: tuple[float, float], form: str = ".1f") -> str:
    return " to ".join(format(100 * end, form) for end in interval)


def markdown_table(header: str, rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; `header` has a | between two columns. Characters that would end a cell are escaped."""
    lines = [f"| {header} |", "|" + " --- |" * (header.count("|") + 1)]
    return "\n".join(lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows])
