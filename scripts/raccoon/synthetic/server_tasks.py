"""What a server is asked for: new tasks, harder ones, solutions or trajectories; and how the task is read in an answer.

Each mode is a row of MODES. Equal seeds give equal requests, so that a resumed run asks nothing twice.

The whole answer is untrusted. The solution runs only in the sandbox's child. The tests run in the sandbox's judge, so
they are checked first: each must be one assert that calls the entry point and consists of literals, comparisons and a
few pure builtins. Such a test needs plain values only, so it runs in another process than the code.
"""

import ast
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raccoon.llm.client import Request, closed_object, parse_json_object
from raccoon.store import digest
from raccoon.strengthening.mutants import parse_shallow
from raccoon.tasks.extraction import extract_code
from raccoon.tasks.prompts import description_prompt, messages
from raccoon.tasks.syntax import find_function, is_literal
from raccoon.tasks.task import Task

TOPICS = """a text format with fields and separators; intervals on a line; a grid of numbers; bank transactions;
dates and durations written as text; a queue with priorities; run-length and similar encodings; matching brackets;
numbers in other bases; prime factors; a game board; a small stack language; word counts and rankings;
intersecting and merging sorted lists; a tree given as nested lists; paths in a small graph; a schedule of jobs;
roman numerals; units and conversions; bit patterns; sliding windows over a sequence;
polynomials as lists of coefficients; version numbers; seating plans; an inventory with limits; cyclic shifts;
a spreadsheet's cells; points and rectangles; anagrams; a cellular automaton in one dimension; change and coins;
levels of nested data""".replace("\n", " ").split("; ")
LEVELS = ("an easy", "a medium", "a demanding")
INPUTS = (
    "one list; one string; two lists; a list and an integer; a string and an integer; one integer; a dictionary; "
    "a list of tuples"
).split("; ")
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

STRING = {"type": "string"}
TASK_SCHEMA = closed_object(
    {"prompt": STRING, "entry_point": STRING, "solution": STRING, "tests": {"type": "array", "items": STRING}}
)

MIN_TESTS = 3
MAX_TESTS = 40
MAX_CHARS = 20_000  # of a prompt, a solution or all tests
MAX_REPEAT = 10_000  # of a literal, as in "a" * 500
# What a test may consist of.
FUNCTIONS = frozenset(
    "abs all any bool dict float int isinstance len list max min round set sorted str sum tuple".split()
)
MODULE_FUNCTIONS = frozenset({"math.isclose", "math.isnan", "math.isinf"})
CONSTANTS = frozenset({"math.inf", "math.nan", "math.pi", "math.e"})
TYPES = frozenset("bool dict float int list set str tuple".split())
VALUES = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Subscript, ast.Slice, ast.keyword, ast.Load)
OPERATIONS = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.cmpop, ast.boolop, ast.unaryop, ast.Add, ast.Sub, ast.Mult)


@dataclass(frozen=True)
class TaskRequest:
    """A request, and the task that it starts from (`parent`), if any."""

    request: Request
    parent: Task | None = None

    def key(self, model: str) -> str:
        """The key under which the answer of `model` is stored. Equal requests have equal keys."""
        asked = self.request
        return digest(model, asked.messages, asked.temperature, asked.max_tokens, asked.json_schema, asked.seed)

    @property
    def prompt_hash(self) -> str:
        return digest(self.request.messages)[:12]


@dataclass(frozen=True)
class Mode:
    """A kind of request. `words` makes the text of one about a parent, with its own generator; None: its prompt."""

    name: str
    words: Callable[[Task | None, random.Random], str] | None = None
    from_tasks: bool = True
    new_tasks: bool = False  # the server also writes the tests
    unlike_parents: bool = True  # a solution that equals a parent's is a duplicate
    repairs: bool = False  # the answer may get feedback, so it need not hold a program


def new_task(parent: Task | None, rng: random.Random) -> str:
    """Asks for a task about a topic. `rng` draws level, topic and input."""
    level, topic, given = rng.choice(LEVELS), rng.choice(TOPICS), rng.choice(INPUTS)
    return f"Write {level} programming task in Python about {topic}. The function takes {given}.\n\n{RULES}"


def harder_task(parent: Task | None, rng: random.Random) -> str:
    """Asks for a harder variant of a task that a model always solves."""
    assert parent  # the mode starts from tasks
    given = json.dumps({"prompt": parent.prompt, "solution": parent.solution}, ensure_ascii=False)
    return (
        "A model solves this programming task every time:\n\n"
        f"{given}\n\nWrite a harder variant of it in Python: one further condition, a generalisation or a "
        f"combination with another idea, so that the solution needs a step more.\n\n{RULES}"
    )


MODES = {
    mode.name: mode
    for mode in (
        Mode("tasks", new_task, from_tasks=False, new_tasks=True),
        Mode("harder", harder_task, new_tasks=True),
        Mode("solutions"),
        Mode("trajectories", unlike_parents=False),
    )
}


def make_request(mode: Mode, parents: Sequence[Task], number: int, attempt: int, first: Request) -> TaskRequest:
    """The request with a number; parents take turns. A further attempt differs only in its seed.

    `first` has the settings of the sampling, and the seed of request 0.
    """
    parent, seed = parents[number % len(parents)] if mode.from_tasks else None, first.seed or 0
    if mode.words:
        rng = random.Random(f"{seed} {mode.name} {number}")
        conversation = [{"role": "user", "content": mode.words(parent, rng)}]
    else:  # a known task, in the words of training and evaluation
        conversation = messages(parent) if parent else []
    schema = TASK_SCHEMA if mode.new_tasks else None
    seed += number + attempt * SEED_STEP
    return TaskRequest(replace(first, messages=tuple(conversation), json_schema=schema, seed=seed), parent)


@dataclass(frozen=True)
class StoredAnswer:
    """A server's answer to one request, and its date; `text` is "" if it had none."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    date: str  # YYYY-MM-DD


class AnswerError(ValueError):
    """An answer that is not a task. The message is the reason under which it is counted."""


@dataclass(frozen=True)
class Candidate:
    """A task to verify, and its origin. `completion` is the whole answer, `said` the messages before it."""

    task: Task
    model: str
    prompt: str  # the hash of what was asked, or the file of the templates
    date: str
    completion: str = ""
    said: tuple[dict[str, str], ...] = ()

    @property
    def conversation(self) -> tuple[dict[str, str], ...]:
        return (*self.said, {"role": "assistant", "content": self.completion})

    @property
    def earlier(self) -> list[str]:
        """The answers before the last one."""
        return [message["content"] for message in self.said if message["role"] == "assistant"]

    @property
    def distinct(self) -> Task:
        """The task; of a repair with its earlier answers in id and solution, because they make a conversation new."""
        if not self.earlier:
            return self.task
        texts = "\n".join([*self.earlier, self.task.solution])
        return replace(self.task, task_id=f"{self.task.task_id}/{digest(self.earlier)[:8]}", solution=texts)


def read_candidate(answer: StoredAnswer, asked: TaskRequest, mode: Mode, model: str) -> Candidate:
    """The task in an answer. Raises AnswerError if there is none to verify."""
    if not answer.text.strip():
        raise AnswerError("the answer is empty")
    if answer.finish_reason == "length":
        raise AnswerError("the answer is cut off")
    name = model.rstrip("/").rpartition("/")[2]
    known = asked.parent if not mode.new_tasks else None
    task = read_solution(answer.text, known, name, mode) if known else read_task(answer.text, name)
    return Candidate(task, model, asked.prompt_hash, answer.date, answer.text, asked.request.messages)


def read_solution(text: str, parent: Task, name: str, mode: Mode) -> Task:
    """A known task with the solution of an answer. Its test is that of the task file, and equally trusted."""
    code = extract_code(text, parent)
    if not code and not mode.repairs:
        raise AnswerError("the answer holds no code")
    if parse_shallow(code) is None and not mode.repairs:
        raise AnswerError("the solution is not Python")
    return replace(parent, task_id=f"{parent.task_id}/{name}/{digest(text)[:8]}", solution=code)


def read_task(text: str, name: str) -> Task:
    """The task in an answer, after a check of its form. Its source is the model's `name`."""
    row = parse_json_object(text)
    if row is None:
        raise AnswerError("the answer is not one JSON object")
    named = set(row) == set(TASK_SCHEMA["required"]) and isinstance(row["tests"], list)
    texts = [row["prompt"], row["entry_point"], row["solution"], *row["tests"]] if named else [""]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise AnswerError("the answer has other fields than asked for")
    # JSON can express half a surrogate pair, which files and tokenizers do not accept.
    prompt, entry_point, solution, *tests = (text.encode("utf-8", "replace").decode().strip() for text in texts)
    if max(len(prompt), len(solution)) > MAX_CHARS:
        raise AnswerError("the answer is too long")
    tree = parse_shallow(solution)
    if tree is None:
        raise AnswerError("the solution is not Python")
    if entry_point in FUNCTIONS | TYPES | {"math"} or not find_function(tree, entry_point):
        raise AnswerError("the solution does not define the entry point, or it has a builtin's name")
    tests = [plain_test(test, entry_point) for test in tests]
    if not MIN_TESTS <= len(set(tests)) <= MAX_TESTS or sum(map(len, tests)) > MAX_CHARS:
        raise AnswerError("the answer has too few or too many tests")
    lines = ["import math"] * any("math." in test for test in tests) + tests
    return Task(
        task_id=f"{name}/{digest(prompt, solution, tests)[:12]}",
        prompt=description_prompt(prompt, entry_point, tests[0]),
        test="\n".join(lines) + "\n",
        entry_point=entry_point,
        solution=solution + "\n",
        source=f"synthetic/{name}",
        split="train",
    )


def plain_test(text: str, entry_point: str) -> str:
    """A test as one line of Python. Raises AnswerError if it is more than an assert on the entry point."""
    tree = parse_shallow(text.strip()) if len(text) <= MAX_CHARS else None
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Assert):
        raise AnswerError("a test is not one assert")
    test = tree.body[0].test
    if not is_plain_test(test, entry_point):
        raise AnswerError("a test is more than a comparison of literals with what the function returns")
    called = [node for node in ast.walk(test) if isinstance(node, ast.Call) and ast.unparse(node.func) == entry_point]
    if not called:
        raise AnswerError("a test does not call the function")
    return f"assert {ast.unparse(test)}"


def is_plain_test(node: ast.AST, entry_point: str) -> bool:
    """Whether an expression consists only of literals, comparisons and calls of the allowed functions."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        inside = [*node.args, *node.keywords]
        return (
            (name == entry_point or name in FUNCTIONS or name in MODULE_FUNCTIONS)
            and not any(isinstance(part, ast.Starred) for part in inside)
            and all(is_plain_test(part, entry_point) for part in inside)
        )
    if isinstance(node, ast.Attribute):
        return ast.unparse(node) in CONSTANTS
    if isinstance(node, ast.Name):
        return node.id in TYPES
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        times: Any = node.right.value if isinstance(node.right, ast.Constant) else None  # of any plain type
        return is_literal(node.left) and type(times) in (int, float) and abs(times) <= MAX_REPEAT
    if isinstance(node, ast.BinOp):
        plain_sides = is_plain_test(node.left, entry_point) and is_plain_test(node.right, entry_point)
        return isinstance(node.op, (ast.Add, ast.Sub)) and plain_sides
    inner = ast.iter_child_nodes(node)
    return isinstance(node, (*VALUES, *OPERATIONS)) and all(is_plain_test(part, entry_point) for part in inner)
