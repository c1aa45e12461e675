"""The requests to a server: new tasks, harder ones, solutions and trajectories.

Each mode is a row of MODES. Equal seeds give equal questions, so that a resumed run asks nothing twice.

Inputs: a seed and, for all modes except `tasks`, the tasks to start from. Outputs: Questions.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raccoon.llm.client import Request
from raccoon.store import digest
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task

TOPICS = (
    "a text format with fields and separators",
    "intervals on a line",
    "a grid of numbers",
    "bank transactions",
    "dates and durations written as text",
    "a queue with priorities",
    "run-length and similar encodings",
    "matching brackets",
    "numbers in other bases",
    "prime factors",
    "a game board",
    "a small stack language",
    "word counts and rankings",
    "intersecting and merging sorted lists",
    "a tree given as nested lists",
    "paths in a small graph",
    "a schedule of jobs",
    "roman numerals",
    "units and conversions",
    "bit patterns",
    "sliding windows over a sequence",
    "polynomials as lists of coefficients",
    "version numbers",
    "seating plans",
    "an inventory with limits",
    "cyclic shifts",
    "a spreadsheet's cells",
    "points and rectangles",
    "anagrams",
    "a cellular automaton in one dimension",
    "change and coins",
    "levels of nested data",
)
LEVELS = ("an easy", "a medium", "a demanding")
INPUTS = (
    "one list",
    "one string",
    "two lists",
    "a list and an integer",
    "a string and an integer",
    "one integer",
    "a dictionary",
    "a list of tuples",
)
SEED_STEP = 1_000_003  # between the seeds of two attempts at one question

RULES = """Answer with one JSON object and nothing else:
{"prompt": "...", "entry_point": "...", "solution": "...", "tests": ["assert ...", ...]}
- prompt: describes in words what the function takes and returns, edge cases included; no code.
- entry_point: the function's name.
- solution: a complete Python program that defines the function. No input, output, randomness, clock or files; the
  standard library alone.
- tests: 6 to 10 single assert statements, edge cases among them. Each calls the function with literals and compares
  what it returns with a literal: assert f([1, 2]) == 3. Together they must tell the function from one with a small
  mistake, such as < for <= or a loop that ends one item early."""

TASK_SCHEMA = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string"},
        "entry_point": {"type": "string"},
        "solution": {"type": "string"},
        "tests": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["prompt", "entry_point", "solution", "tests"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Question:
    """A request, and the task that it starts from (`parent`), if any."""

    request: Request
    parent: Task | None = None

    def key(self, model: str) -> str:
        """The key under which the answer of `model` is stored. Equal questions have equal keys."""
        request = self.request
        return digest(
            model, request.messages, request.temperature, request.max_tokens, request.json_schema, request.seed
        )

    @property
    def prompt_hash(self) -> str:
        return digest(self.request.messages)[:12]


@dataclass(frozen=True)
class Sampling:
    """Settings of the sampling; the script's constants of these names explain each."""

    seed: int
    temperature: float
    max_tokens: int


@dataclass(frozen=True)
class Mode:
    """A kind of request. `write` makes the messages of one question about a parent, with its own generator."""

    name: str
    write: Callable[[Task | None, random.Random], list[dict[str, str]]]
    schema: dict | None = None  # of the answer
    from_tasks: bool = True
    new_tasks: bool = False  # the server also writes the tests
    unlike_parents: bool = True  # a solution that equals a parent's is a duplicate


def new_task_messages(parent: Task | None, rng: random.Random) -> list[dict[str, str]]:
    """Asks for a task about a topic. `rng` draws topic, level and input."""
    ask = (
        f"Write {rng.choice(LEVELS)} programming task in Python about {rng.choice(TOPICS)}. The function takes "
        f"{rng.choice(INPUTS)}.\n\n{RULES}"
    )
    return [{"role": "user", "content": ask}]


def harder_task_messages(parent: Task, rng: random.Random) -> list[dict[str, str]]:
    """Asks for a harder variant of a task that a model always solves."""
    given = json.dumps({"prompt": parent.prompt, "solution": parent.solution}, ensure_ascii=False)
    ask = (
        "A model solves this programming task every time:\n\n"
        f"{given}\n\nWrite a harder variant of it in Python: one further condition, a generalisation or a "
        f"combination with another idea, so that the solution needs a step more.\n\n{RULES}"
    )
    return [{"role": "user", "content": ask}]


def known_task_messages(parent: Task, rng: random.Random) -> list[dict[str, str]]:
    """Asks for a known task in the words of training and evaluation."""
    return messages(parent)


MODES = {
    mode.name: mode
    for mode in (
        Mode("tasks", new_task_messages, TASK_SCHEMA, from_tasks=False, new_tasks=True),
        Mode("harder", harder_task_messages, TASK_SCHEMA, new_tasks=True),
        Mode("solutions", known_task_messages),
        Mode("trajectories", known_task_messages, unlike_parents=False),
    )
}


def make_question(mode: Mode, parents: Sequence[Task], number: int, attempt: int, sampling: Sampling) -> Question:
    """The question with a number; parents take turns. A further attempt differs only in its seed."""
    parent = parents[number % len(parents)] if mode.from_tasks else None
    rng = random.Random(f"{sampling.seed} {mode.name} {number}")
    request = Request(
        tuple(mode.write(parent, rng)),
        temperature=sampling.temperature,
        max_tokens=sampling.max_tokens,
        json_schema=mode.schema,
        seed=sampling.seed + number + attempt * SEED_STEP,
    )
    return Question(request, parent)
