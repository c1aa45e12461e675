"""Keeps only the tasks whose solution and test confirm each other, and that are new. It runs both in the sandbox.

It verifies that the solution passes the test twice, the second time with another random seed, that no stub passes, and
that enough mutants of the solution fail. It cannot verify that the prompt describes the solution.

A task from a server has its own test, which is untrusted too. First, server_tasks.py rejects all tests except asserts
on the entry point. Then the test runs in the sandbox's judge, which is itself behind Landlock, seccomp and a memory
limit (confine in sandbox/judge.py). It cannot write, start processes or reach a network. A test that does not end costs
one verdict.

Tasks are alike if they have the same text; the same solution, ignoring names, docstrings and annotations; or nearly the
same words in the prompt. MinHash (Broder 1997) in bands finds similar prompts, so the cost grows linearly with the
number of tasks. The exact Jaccard similarity confirms each find.
"""

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from raccoon.published.contamination import find_overlap, normal_form
from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.strengthening.mutants import make_mutants, make_stubs, parse_shallow
from raccoon.strengthening.trials import RESEED
from raccoon.tasks.prompts import NAMING
from raccoon.tasks.task import Task

INFRA_ROUNDS = 3  # runs of a program at most, while the sandbox itself fails

NOT_JUDGED = "not judged: the sandbox failed"  # our own fault: the next run judges it again

SHINGLE = 3  # words in a row
BANDS = 16  # of ROWS values each: prompts of similarity s share a band with chance 1 - (1 - s**ROWS)**BANDS,
ROWS = 4  # which is 0.9998 at 0.8 and 0.12 at 0.3
PRIME = (1 << 61) - 1  # of the hash family a * x + b
CHUNK = 500  # tasks compared with a benchmark at once: rows of the matrix of similarities


@dataclass(frozen=True)
class Rules:
    """How strong a test must be; the script's constants of these names explain each."""

    mutants: int
    min_mutants_killed: float
    allow_shared_tests: bool


@dataclass(frozen=True)
class TaskCheck:
    """The result for one task: why it is dropped, "" for a verified task, and its mutants."""

    reason: str
    mutants: int = 0
    killed: int = 0

    @property
    def share(self) -> float:
        """The share of mutants that the test killed."""
        return self.killed / self.mutants if self.mutants else 0.0


def check_tasks(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[TaskCheck]:
    """A TaskCheck for each task, in order. A task that one stage drops does not run in the next."""
    checks = dict(enumerate(check_solutions(tasks, sandbox, rules)))
    for stage in (check_stubs, check_mutants):
        left = [place for place, check in checks.items() if not check.reason]
        checks |= zip(left, stage([tasks[place] for place in left], sandbox, rules), strict=True)
    return list(checks.values())


def check_solutions(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[TaskCheck]:
    """Checks that each solution passes its test, and passes it again."""
    again = [replace(task, context=task.context + RESEED) for task in tasks]
    first, second = (verdicts_of([Program.of(task, task.solution) for task in run], sandbox) for run in (tasks, again))
    return [TaskCheck(solution_fault(*pair, rules)) for pair in zip(first, second, strict=True)]


def solution_fault(first: Verdict, second: Verdict, rules: Rules) -> str:
    """Why two verdicts on one solution count against its task, or ""."""
    if "INFRA" in (first.status, second.status):
        return NOT_JUDGED
    if "shared" in (first.isolation, second.isolation) and not rules.allow_shared_tests:
        return "the test needs shared isolation"
    if first.status != "PASS":
        return f"the solution fails ({first.kind})"
    return "" if second.status == "PASS" else "the solution is not repeatable"


def check_stubs(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[TaskCheck]:
    """Checks that each test rejects every stub."""
    found = run_groups(tasks, [make_stubs(task) for task in tasks], sandbox)
    return [
        TaskCheck(NOT_JUDGED if "INFRA" in group else "a stub passes" if "PASS" in group else "") for group in found
    ]


def check_mutants(tasks: Sequence[Task], sandbox: Sandbox, rules: Rules) -> list[TaskCheck]:
    """Checks that each test kills enough mutants. Mutants that the sandbox could not judge do not count."""
    checks = []
    for statuses in run_groups(tasks, [make_mutants(task.solution, rules.mutants) for task in tasks], sandbox):
        judged = [status for status in statuses if status != "INFRA"]
        check = TaskCheck("", len(judged), len(judged) - judged.count("PASS"))
        if not judged:
            check = replace(check, reason=NOT_JUDGED if statuses else "no mutant can be made")
        elif check.share < rules.min_mutants_killed:
            check = replace(check, reason="weak tests: mutants survive")
        checks.append(check)
    return checks


def run_groups(tasks: Sequence[Task], codes: Sequence[list[str]], sandbox: Sandbox) -> list[list[str]]:
    """The statuses of several programs for each task, all run as one batch."""
    programs = [Program.of(task, code) for task, group in zip(tasks, codes, strict=True) for code in group]
    verdicts = iter(verdicts_of(programs, sandbox))
    return [[next(verdicts).status for _ in group] for group in codes]


def verdicts_of(programs: Sequence[Program], sandbox: Sandbox) -> list[Verdict]:
    """The verdicts in order. Equal programs run once; a program with INFRA runs again, INFRA_ROUNDS times at most."""
    verdicts: dict[Program, Verdict] = {}
    for _ in range(INFRA_ROUNDS):
        missing = [each for each in dict.fromkeys(programs) if each not in verdicts or verdicts[each].status == "INFRA"]
        verdicts |= zip(missing, sandbox.run(missing), strict=True)
    return [verdicts[each] for each in programs]


class Seen:
    """The tasks kept so far. Prompts of this Jaccard similarity count as one; None compares no prompts."""

    def __init__(self, max_similarity: float | None):
        self.max_similarity = max_similarity
        self.texts: set[tuple[str, ...]] = set()
        self.solutions: set[str] = set()
        self.prompts: list[frozenset[int]] = []
        self.bands: dict[tuple, list[int]] = defaultdict(list)
        rng = random.Random(0)
        self.family = [(rng.randrange(1, PRIME), rng.randrange(PRIME)) for _ in range(BANDS * ROWS)]

    def add(self, task: Task) -> str:
        """Adds a task and returns ""; or returns the reason why it is not new."""
        text, tree, least = (task.prompt, task.solution, task.test), parse_shallow(task.solution), self.max_similarity
        solution = normal_form(tree) if tree else task.solution
        words = frozenset() if least is None else shingles(task.prompt.partition(NAMING + "`")[0])
        bands = self.signature(words) if words else []
        if text in self.texts:
            return "duplicate: the same text"
        if solution in self.solutions:
            return "duplicate: the same solution"
        alike = {other for band in bands for other in self.bands.get(band, ())}
        if least is not None and any(similarity(words, self.prompts[other]) >= least for other in alike):
            return "duplicate: a similar prompt"
        self.texts.add(text)
        self.solutions.add(solution)
        for band in bands:
            self.bands[band].append(len(self.prompts))
        self.prompts.append(words)
        return ""

    def signature(self, words: frozenset[int]) -> list[tuple]:
        """The bands of a prompt's MinHash signature."""
        lowest = [min((a * word + b) % PRIME for word in words) for a, b in self.family]
        return [(start, *lowest[start : start + ROWS]) for start in range(0, len(lowest), ROWS)]


def shingles(text: str) -> frozenset[int]:
    """The runs of SHINGLE words in a text, as numbers; a shorter text is a single run."""
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    runs = [" ".join(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1))]
    digests = (blake2b(run.encode("utf-8", "replace"), digest_size=7).digest() for run in runs)
    return frozenset(int.from_bytes(digest, "big") for digest in digests)


def similarity(one: frozenset, other: frozenset) -> float:
    """Jaccard similarity: the share of the elements that two sets have in common."""
    return len(one & other) / len(one | other)


def contaminated(tasks: Sequence[Task], benchmarks: Mapping[str, Sequence[Task]]) -> dict[str, str]:
    """task_id -> the benchmark with a like task, and the sign of it, for the contaminated tasks."""
    signs: dict[str, str] = {}
    for name, published in benchmarks.items():
        for start in range(0, len(tasks), CHUNK):
            for task_id, sign in find_overlap(tasks[start : start + CHUNK], published).items():
                signs.setdefault(task_id, f"{name}: {sign}")
    return signs
