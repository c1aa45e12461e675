"""Runs programs on inputs in the sandbox and reads what each call gave. Their code never runs in this process.

What a child prints is untrusted: it is text of a known form or it is left out.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.strengthening.given import Values

DRIVER = Path(__file__).with_name("driver.py").read_text(encoding="utf-8")
LINE = re.compile(r"(\d{1,4}) ([=?!t>.#])(\w{0,160})(?: (.*))?", re.ASCII)
NEVER = json.dumps({"inputs": [""], "outputs": ["no program prints this"]})
DIGEST = 10  # characters, as in driver.py
TIMEOUT = 2.0  # CPU seconds of one run
MOST_LOST = 3  # runs of one trial that may end too early; then the rest is lost
ROUNDS = 16  # runs of one trial at most: each goes on where the last one stopped
# The sandbox seeds `random` with 0 in every child. With another seed, a solution that draws numbers answers otherwise.
RESEED = "import random\nrandom.seed(20231)\ndel random\n"


@dataclass(frozen=True)
class Called:
    """What one call gave: a letter of driver.py, the result's digests, and the result as a literal, "" if not asked."""

    letter: str
    digest: str = ""
    exact: str = ""
    literal: str = ""


LOST = Called("x")  # the run ended before or during this call


@dataclass(frozen=True)
class Trial:
    """Programs, their function, and the inputs to call it on. `names`: of the last arguments.

    `truth`: only the truth of a result counts; `any_order`: not the order of its items. With `wanted`, the digests of
    the right results, it tells which inputs show that a program is wrong; else what the only program gives.
    """

    programs: tuple[str, ...]
    function: str
    inputs: tuple[Values, ...]
    names: tuple[str, ...] = ()
    truth: bool = False
    any_order: bool = False
    literals: bool = False
    wanted: tuple[str, ...] = ()
    start: int = 0

    @property
    def size(self) -> int:
        """How many lines it prints."""
        return len(self.programs if self.wanted else self.inputs)

    def as_program(self) -> Program:
        """The program whose output has the results from `start` on."""
        how = {"function": self.function, "names": self.names, "truth": self.truth, "any_order": self.any_order}
        how["exact"] = not self.wanted
        run, last = ("run_wrong", self.wanted) if self.wanted else ("run_gold", self.literals)
        arguments = ", ".join(map(repr, (self.programs, self.inputs, how, self.start, last)))
        return Program(f"{DRIVER}\n\n{run}({arguments})\n", NEVER, timeout=TIMEOUT, kind="program")


def run_trials(trials: Sequence[Trial], sandbox: Sandbox) -> list[list[Called]]:
    """What each trial gave, in the order of its inputs or programs. LOST: the child ended there."""
    found: list[dict[int, Called]] = [{} for _ in trials]
    going = {place: trial for place, trial in enumerate(trials) if trial.size}
    lost: Counter[int] = Counter()
    for _ in range(ROUNDS):
        verdicts = sandbox.run([trial.as_program() for trial in going.values()])
        for (place, trial), verdict in zip([*going.items()], verdicts, strict=True):
            lines = read_lines(verdict.output, trial)
            start = max(lines, default=trial.start - 1) + 1
            if lines and lines[start - 1].letter == ".":  # it has no room to go on
                start -= 1
            elif start < trial.size:
                lines[start] = LOST
                lost[place] += 1
                start = start + 1 if lost[place] < MOST_LOST else trial.size
            found[place] |= lines
            going[place] = replace(trial, start=start)
        going = {place: trial for place, trial in going.items() if trial.start < trial.size}
        if not going:
            break
    return [[each.get(number, LOST) for number in range(trial.size)] for each, trial in zip(found, trials, strict=True)]


def read_lines(output: str, trial: Trial) -> dict[int, Called]:
    """The lines of an output that have the known form."""
    found = {}
    for line in output.split("\n"):
        if match := LINE.fullmatch(line):
            number = int(match[1])
            if trial.start <= number < trial.size:
                found[number] = Called(match[2], *digests(match[3], match[2]), match[4] or "")
    return found


def digests(text: str, letter: str) -> tuple[str, str]:
    """The two digests of a result; of an exception its name, and of a wrong program its number."""
    return (text[:DIGEST], text[DIGEST:]) if letter in "=?>" else (text, "")
