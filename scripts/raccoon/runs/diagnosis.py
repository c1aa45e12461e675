"""The diagnosis of a run from its logs alone: what went wrong, when it began, and what to change first."""

from pathlib import Path

from raccoon.runs.findings import Finding


def diagnose(run: str | Path) -> list[Finding]:
    """The findings of a run, in the order of their onset; [] for a healthy one.

    `run` is the OUTPUT_DIR of a run, a folder or checkpoint of plain TRL with a trainer_state.json, such a file, or a
    file of JSON lines with TRL's names. Raises InputError if it holds no steps.
    """
    raise NotImplementedError(run)


def closing_paragraph(findings: list[Finding]) -> str:
    """What happened, when it began and what to change first, for the end of a run; "" without findings."""
    raise NotImplementedError(findings)
