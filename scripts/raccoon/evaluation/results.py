"""Scores and comparisons from records, and the file that contains them: results.json (report.py: comparison.md).

Fractions are 0..1.

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
        alike          [tasks whose samples are all the same text, tasks with several samples], of a model
        ignores_sampling  whether the samples seem to be made without temperature and seed
        uncut          completions that still end with the text of an end token
        outcomes       completions by outcome;  truncated: cut at MAX_COMPLETION_LENGTH, passing or not
        training_data  {"badge": "seen" | "partly seen" | "unseen" | "unknown", "tasks": {task_id: reason}}
        passed_given   only if tasks have new tests: completions of these that pass the given ones
      and, if it has several turns, as everything above is about the last answers:
        turns          the most answers to a task;  used: conversations with more than one
        visible_tests  whether the model was told what they gave (null: saved answers, it is not known); false: only
                       errors of its code
        by_turn        [{"passed", "pass@1", "interval"}, ...]: if each conversation had ended after 1, 2, ... turns;
                       the first is what an evaluation with one turn gives, the last is the row itself
        repaired       of the conversations that went on after an answer that failed: the share that passes at the end
        broken         of all that went on: the share whose last answer passes fewer of the task's tests than the first
    comparisons: one row for each pair of models (or sample files) with a common benchmark and mode:
        benchmark, mode, baseline (the first), candidate, n (tasks scored in both)
        gained, lost   tasks that the candidate solves more / less often;  gained_ids, lost_ids: which
        difference     of pass@1, candidate minus baseline;  interval: [low, high], 95 %, bootstrap over tasks
        p, p_holm      exact McNemar (sign-flip test for several samples of each task); Holm-corrected over all rows
                       and, if a model has several turns, over the comparisons at each turn too
        detectable     the smallest difference that n tasks find with 80 % power at their discordance
        flip_rate      (gained + lost) / n;  repeat: true if the candidate is the baseline, evaluated again
        distinguishable, sentence
        by_turn        only with several turns: [{"gained", "lost", "difference", "interval", "p", "p_holm"}, ...]
    calibration: one row for each benchmark: benchmark, tasks, gold_passed, with_gold, stub_passed, gold_failed
        {task_id: cause}, ungraded {task_id: cause} (stub without a verdict), weak [task_id], uncalibrated [task_id]
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

from raccoon.evaluation.engines import Completion, Turn
from raccoon.evaluation.grading import OUTCOMES, Record
from raccoon.evaluation.subjects import Subject
from raccoon.evaluation.task_sets import Calibration
from raccoon.published.contamination import Badge
from raccoon.records import UNEXPECTED_SHARED, accepted, breaks, infra_cause
from raccoon.statistics import (
    ALPHA,
    Difference,
    compare,
    holm,
    how_many,
    mean,
    mean_rate_interval,
    pass_at_k,
    verdict_sentence,
    wilson_interval,
)

DEFAULT_PASS_AT = (1, 10, 100)
ALIKE = 1.1  # times the tasks with equal samples: more than nine in ten are no chance
END_TOKEN = re.compile(r"(<\|?(im_end|endoftext|eot_id|end_of_turn|end|end_of_text)\|?>|</s>)\s*$")


@dataclass(frozen=True, eq=False)
class Score:
    """A subject on a task set in one mode. The controls are scored on every task, models on those calibrated."""

    subject: Subject
    mode: str
    records: Sequence[Record]  # without texts; make_score makes them
    calibration: Calibration
    badge: Badge
    pass_ks: Sequence[int]
    alike: tuple[int, int] = (0, 0)  # tasks whose samples of a model are all the same text, of those with several
    uncut: int = 0  # completions of a model that still have the token that ends them, as text

    @property
    def ignores_sampling(self) -> bool:
        """Whether a model seems to have been sampled without temperature and seed, as some servers do it."""
        equal, several = self.alike
        return self.mode == "sampled" and (0 < several <= equal * ALIKE or not several and self.subject.ignores_seeds)

    @property
    def doubts(self) -> list[str]:
        """What a reader of the row must know of its completions."""
        where = f"on {self.alike[0]} of {self.alike[1]} tasks" if self.alike[1] else "in a test of two seeds"
        sampling = (
            f"warning: {where} all samples are the same text: the server or engine seems to ignore temperature and "
            "seed, so these are greedy answers; `transformers serve` samples only if the model's "
            'generation_config.json has "do_sample": true'
        )
        uncut = (
            f"warning: {how_many(self.uncut, 'completion')} still end with the text of an end token, which the server "
            "should have cut; code without a fence fails for it"
        )
        return [sampling] * self.ignores_sampling + [uncut] * bool(self.uncut)

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

    @property
    def turns(self) -> int:
        return self.subject.turns

    @cached_property
    def scored(self) -> list[Record]:
        return [record for record in self.records if not record.infra and self.counts_for(record.task_id)]

    def outcomes_at(self, turn: int) -> dict[str, list[bool]]:
        """The outcomes if each conversation had ended after so many turns, or earlier."""
        found: dict[str, list[bool]] = {}
        for record in self.scored:
            found.setdefault(record.task_id, []).append(passed_at(record, turn))
        return found

    @property
    def visible_tests(self) -> bool | None:
        """Whether visible tests were shown; None for saved answers."""
        return any(task.visible_tests for task in self.calibration.task_set.tasks) if self.subject.costly else None

    @property
    def used(self) -> list[Record]:
        """Those of the scored conversations that have several turns."""
        return [record for record in self.scored if len(record.turns) > 1]

    @property
    def repaired(self) -> float | None:
        failed = [record for record in self.used if not passed_at(record, 1)]
        return mean([record.passed for record in failed]) if failed else None

    @property
    def broken(self) -> float | None:
        return mean([breaks([turn.verdict for turn in r.turns]) for r in self.used]) if self.used else None

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
        found["given"] = sum(record.given_status not in ("", "INFRA") for record in self.scored)
        found["given passed"] = sum(record.given_status == "PASS" for record in self.scored)
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
        return rate_interval(self.outcomes)

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
        row |= {"alike": list(self.alike), "ignores_sampling": self.ignores_sampling, "uncut": self.uncut}
        row |= {"outcomes": {name: self.counts[name] for name in OUTCOMES}, "truncated": self.counts["cut"]}
        row |= {"training_data": {"badge": badge.name, "tasks": dict(badge.tasks), **dates}}
        row |= {"passed_given": self.counts["given passed"]} if self.counts["given"] else {}
        return row | (self.turn_fields() if self.turns > 1 else {})

    def turn_fields(self) -> dict[str, Any]:
        """The part of a row that only evaluations with several turns have."""
        ends = [self.outcomes_at(turn) for turn in range(1, self.turns + 1)]
        by_turn = [
            {"passed": sum(map(sum, end.values())), "pass@1": pass_at_1(end), "interval": list(rate_interval(end))}
            for end in ends
        ]
        fields: dict[str, Any] = {"turns": self.turns, "visible_tests": self.visible_tests, "by_turn": by_turn}
        return fields | {"repaired": self.repaired, "broken": self.broken, "used": len(self.used)}


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
        shared = subject.control or record.task_id in calibration.shared
        short = replace(accepted(record.verdict, shared), output="")
        turns = tuple(Turn(Completion("", ""), "", accepted(turn.verdict, shared)) for turn in record.turns)
        return replace(record, prompt="", completion="", code="", verdict=short, turns=turns)

    records = list(records)
    texts: dict[str, list[str]] = {}
    for record in records if subject.costly else ():
        texts.setdefault(record.task_id, []).append(record.completion)
    several = [samples for samples in texts.values() if len(samples) > 1]
    alike = sum(len({*samples}) == 1 for samples in several), len(several)
    uncut = sum(bool(END_TOKEN.search(text)) for samples in texts.values() for text in samples)
    return Score(subject, mode, list(map(kept, records)), calibration, badge, pass_ks, alike, uncut)


def passed_at(record: Record, turn: int) -> bool:
    """Whether the answer passes that stands after so many turns, the last one if there are fewer."""
    verdict = record.turns[:turn][-1].verdict if record.turns else record.verdict
    return verdict.status == "PASS"


def rate_interval(outcomes: Mapping[str, list[bool]]) -> tuple[float, float]:
    """The 95 % interval of pass@1: Wilson for one sample of each task, bootstrap over tasks for several."""
    samples = [passed for each in outcomes.values() for passed in each]
    if not outcomes:
        return 0.0, 1.0
    if len(samples) == len(outcomes):
        return wilson_interval(sum(samples), len(samples))
    return mean_rate_interval([mean(each) for each in outcomes.values()])


def pass_at_1(outcomes: Mapping[str, list[bool]]) -> float | None:
    """The mean over tasks of the share of samples that pass; None if nothing was scored."""
    return mean([mean(samples) for samples in outcomes.values()]) if outcomes else None


@dataclass(frozen=True)
class Comparison:
    """Two scores on the same benchmark and mode, and their differences after 1, 2, ... turns; the last one counts."""

    baseline: Score
    candidate: Score
    by_turn: Sequence[Difference]
    p_holms: Sequence[float]  # of each difference

    @property
    def found(self) -> Difference:
        return self.by_turn[-1]

    @property
    def p_holm(self) -> float:
        return self.p_holms[-1]

    @property
    def repeat(self) -> bool:
        return self.baseline.subject.path == self.candidate.subject.path != ""

    @property
    def sentence(self) -> str:
        where, turns = f"{self.baseline.benchmark}, {self.baseline.mode}", (self.candidate.turns, self.baseline.turns)
        if max(turns) > 1:
            where += ", " + " against ".join(how_many(each, "turn") for each in dict.fromkeys(turns))
        return verdict_sentence(self.baseline.model, self.candidate.model, where, self.found, self.p_holm)

    def as_row(self) -> dict[str, Any]:
        found, first = self.found, self.baseline
        row: dict[str, Any] = {"benchmark": first.benchmark, "mode": first.mode, "baseline": first.model}
        row |= {"candidate": self.candidate.model, "n": found.n, "gained": len(found.gained), "lost": len(found.lost)}
        row |= {"difference": found.difference, "interval": list(found.interval), "p": found.p, "p_holm": self.p_holm}
        row |= {"detectable": found.detectable, "flip_rate": found.flip_rate, "repeat": self.repeat}
        row |= {"distinguishable": self.p_holm < ALPHA, "sentence": self.sentence}
        row |= {"gained_ids": list(found.gained), "lost_ids": list(found.lost)}
        return row | ({"by_turn": list(map(change_row, self.by_turn, self.p_holms))} if len(self.by_turn) > 1 else {})


def change_row(found: Difference, p_holm: float) -> dict[str, Any]:
    row = {"gained": len(found.gained), "lost": len(found.lost), "difference": found.difference}
    return row | {"interval": list(found.interval), "p": found.p, "p_holm": p_holm}


def compare_all(scores: Sequence[Score]) -> list[Comparison]:
    """Every pair of models on every benchmark and mode that both have, without controls; the earlier is the baseline.

    One correction covers all pairs, at each turn, because among many differences one is large by chance.
    """
    models = dict.fromkeys(score.model for score in scores if score.subject.path)
    pairs = [
        (a, b)
        for first, second in combinations(models, 2)
        for a in scores
        for b in scores
        if (a.model, b.model) == (first, second) and (a.benchmark, a.mode) == (b.benchmark, b.mode)
    ]
    found = [(a, b, by_turn) for a, b in pairs if (by_turn := differences(a, b))]
    corrected = iter(holm([difference.p for _, _, by_turn in found for difference in by_turn]))
    return [Comparison(a, b, by_turn, [next(corrected) for _ in by_turn]) for a, b, by_turn in found]


def differences(baseline: Score, candidate: Score) -> list[Difference]:
    """Their differences after 1, 2, ... turns, on the tasks that are scored in both; [] if there are none."""
    turns = range(1, max(baseline.turns, candidate.turns) + 1)
    found = [compare(baseline.outcomes_at(turn), candidate.outcomes_at(turn)) for turn in turns]
    return [difference for difference in found if difference]


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
