"""Finds tasks that are not new: those that occur twice in the set, or in a benchmark.

There are three kinds of likeness: the same text; the same solution, ignoring names, docstrings and annotations; nearly
the same words in the prompt. MinHash (Broder 1997) in bands finds similar prompts, so the cost grows linearly with the
number of tasks. The exact Jaccard similarity confirms each find.

Inputs: tasks, the benchmarks' tasks. Outputs: the reason why a task is dropped, "" for a new one.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from raccoon.published.contamination import find_overlap, normal_form
from raccoon.synthetic.mutants import parse_shallow
from raccoon.tasks.task import Task

SHINGLE = 3  # words in a row
BANDS = 16  # of ROWS values each: prompts of similarity s share a band with chance 1 - (1 - s**ROWS)**BANDS,
ROWS = 4  # which is 0.9998 at 0.8 and 0.12 at 0.3
PRIME = (1 << 61) - 1  # of the hash family a * x + b
NAMING = "\n\nName the function `"  # after it, description_prompt (tasks/prompts.py) has the same text for every task
CHUNK = 500  # tasks compared with a benchmark at once: rows of the matrix of similarities


class Seen:
    """The tasks kept so far; tells whether another one is like one of them.

    `max_similarity`: from this Jaccard similarity on, two prompts count as one. None compares no prompts.
    """

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
        text, solution = (task.prompt, task.solution, task.test), plain(task.solution)
        words = shingles(task.prompt.partition(NAMING)[0]) if self.max_similarity is not None else frozenset()
        bands = self.signature(words) if words else []
        if text in self.texts:
            return "duplicate: the same text"
        if solution in self.solutions:
            return "duplicate: the same solution"
        if any(
            similarity(words, self.prompts[other]) >= self.max_similarity
            for other in {other for band in bands for other in self.bands.get(band, ())}
        ):
            return "duplicate: a similar prompt"
        self.texts.add(text)
        self.solutions.add(solution)
        for band in bands:
            self.bands[band].append(len(self.prompts))
        self.prompts.append(words)
        return ""

    def signature(self, words: frozenset[int]) -> list[tuple]:
        """The bands of a prompt's MinHash signature."""
        least = [min((a * word + b) % PRIME for word in words) for a, b in self.family]
        return [(start, *least[start : start + ROWS]) for start in range(0, len(least), ROWS)]


def plain(solution: str) -> str:
    """A solution without its own names, docstrings and annotations; the text itself if it does not parse."""
    tree = parse_shallow(solution)
    return normal_form(tree) if tree else solution


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
        for chunk in chunks(tasks, CHUNK):
            for task_id, sign in find_overlap(chunk, published).items():
                signs.setdefault(task_id, f"{name}: {sign}")
    return signs


def chunks(items: Sequence, size: int) -> Iterable[Sequence]:
    return (items[start : start + size] for start in range(0, len(items), size))
