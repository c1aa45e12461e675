"""What is found wrong with a run: the record that sentinels, the diagnosis of a finished run and the report share.

It finds nothing itself (sentinels.py and diagnosis.py do). It is plain data, without torch.
"""

from dataclasses import dataclass

SEVERITIES = ("info", "warning", "stop")  # worth knowing; worth a change; the run should end


@dataclass(frozen=True)
class Finding:
    """One fault of a run: `onset` is the step at which it began, `seen` the one at which the numbers showed it."""

    severity: str  # one of SEVERITIES
    name: str  # of the rule, like "entropy_collapse"
    onset: int
    seen: int
    cause: str  # what the numbers show, with figures; no full stop
    remedy: str  # what to change, most promising first; no full stop
    section: str  # title of a section of WHAT_GOES_WRONG.md

    @property
    def message(self) -> str:
        """The finding as one line."""
        return f"{self.cause}: {self.remedy}"


def at_least(findings: list[Finding], severity: str) -> list[Finding]:
    """Those of this severity or a higher one."""
    return [each for each in findings if SEVERITIES.index(each.severity) >= SEVERITIES.index(severity)]
