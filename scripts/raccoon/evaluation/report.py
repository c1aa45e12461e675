"""comparison.md: the tables of scores and comparisons, in a form that can be copied into a README. In per cent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from raccoon.evaluation.grading import OUTCOMES
from raccoon.evaluation.results import Comparison, Score, pass_at_1
from raccoon.evaluation.task_sets import Calibration
from raccoon.records import named_counts
from raccoon.statistics import how_many

SHOWN = {True: "visible tests were shown", False: "only errors were shown", None: "saved answers"}
TURNS_READ = (
    "Went on: conversations with more than one answer. Repaired: of those whose first answer failed, the share that "
    "passes at the end. Broken: of all that went on, the share whose last answer passes fewer tests than its first."
)
# An infra verdict with these words does not change when graded again
LASTING = ("the test of ", "the context of ", "the cases of ")


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
        f"{', '.join(f'{k} {v}' for k, v in settings.items() if k != 'versions')}. "
        f"{', '.join(f'{k} {v}' for k, v in settings.get('versions', {}).items())}. "
        "In training data: by what the training run's config.json names. Its base model's data are not known.",
    ]
    several = [score for score in scores if score.turns > 1]
    if several:
        parts += ["## Turns", turns_table(several), TURNS_READ]
    if shown:
        parts += ["## Differences", differences_table(shown), "\n".join(f"- {c.sentence}" for c in shown)]
        if any(len(c.by_turn) > 1 for c in shown):
            parts += [differences_by_turn([c for c in shown if len(c.by_turn) > 1])]
        tests = sum(len(c.by_turn) for c in comparisons)
        if tests > 1:
            parts += [f"p (Holm) is corrected for all {tests} comparisons of this run."]
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
        names = first.benchmark, most_told(c), first.model, c.candidate.model
        row: list[Any] = [*names, f"{100 * found.difference:+.1f}"]
        row += [span(found.interval, "+.1f"), len(found.gained), len(found.lost), found.n, f"{found.p:.2g}"]
        rows.append([*row, f"{c.p_holm:.2g}", in_percent(found.flip_rate), in_percent(found.detectable)])
    header = "benchmark | mode | baseline | candidate | difference | 95 % interval | gained | lost | n | p | p (Holm)"
    return markdown_table(f"{header} | flip rate | detectable at 80 % power", rows)


def turns_table(scores: Sequence[Score]) -> str:
    """pass@1 with its interval, if each conversation had ended after 1, 2, ... turns."""
    most, rows = max(score.turns for score in scores), []
    for s in scores:
        by_turn = [f"{in_percent(each['pass@1'])} ({span(each['interval'])})" for each in s.turn_fields()["by_turn"]]
        by_turn += ["-"] * (most - len(by_turn))
        rows.append([*labels(s), *by_turn, len(s.used), in_percent(s.repaired), in_percent(s.broken)])
    columns = " | ".join(f"pass@1, turn {turn}" for turn in range(1, most + 1))
    return markdown_table(f"model | benchmark | mode | {columns} | went on | repaired | broken", rows)


def differences_by_turn(comparisons: Sequence[Comparison]) -> str:
    rows = []
    for c in comparisons:
        for turn, (found, p_holm) in enumerate(zip(c.by_turn, c.p_holms, strict=True), 1):
            row: list[Any] = [c.baseline.benchmark, most_told(c), c.baseline.model, c.candidate.model, turn]
            row += [f"{100 * found.difference:+.1f}", span(found.interval, "+.1f"), len(found.gained), len(found.lost)]
            rows.append([*row, f"{found.p:.2g}", f"{p_holm:.2g}"])
    header = (
        "benchmark | mode | baseline | candidate | turn | difference | 95 % interval | gained | lost | p | p (Holm)"
    )
    return markdown_table(header, rows)


def score_notes(score: Score) -> list[str]:
    """Notes that a reader of a row needs: tasks that are not scored, infra, missing pass@k, tasks seen in training."""
    notes, infra, seen = [f"{doubt}." for doubt in score.doubts], score.counts["infra"], score.badge.tasks
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
    if score.counts["given"]:
        weak = sum(record.given_status == "PASS" and not record.passed for record in score.scored)
        notes.append(
            f"of {how_many(score.counts['given'], 'completion')} of tasks with new tests "
            f"{score.counts['given passed']} pass the given ones; the new tests fail {weak} of these."
        )
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
    """The first columns of a row: model, benchmark with the size of the sample if it is one, and mode with turns."""
    whole = len(score.calibration.task_set.ids)
    sample = f" ({score.tasks} of {whole})" if score.tasks < whole else ""
    shown = f", {score.turns} turns, {SHOWN[score.visible_tests]}" if score.turns > 1 else ""
    mode = score.mode + ", all alike" * score.ignores_sampling
    return score.model, score.benchmark + sample, mode + shown


def most_told(comparison: Comparison) -> str:
    """The mode of two scores, with the turns of the one that has more."""
    return labels(max(comparison.baseline, comparison.candidate, key=lambda score: score.turns))[-1]


def in_percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def span(interval: tuple[float, float], form: str = ".1f") -> str:
    return " to ".join(format(100 * end, form) for end in interval)


def markdown_table(header: str, rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; `header` has a | between two columns. Characters that would end a cell are escaped."""
    lines = [f"| {header} |", "|" + " --- |" * (header.count("|") + 1)]
    return "\n".join(lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows])
