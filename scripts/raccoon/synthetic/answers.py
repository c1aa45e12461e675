"""Reads a task from a server's answer, or the reason why there is none.

The whole answer is untrusted. The solution runs only in the sandbox's child. The tests run in the sandbox's judge, so
they are checked first: each must be one assert that calls the entry point and consists of literals, comparisons and a
few pure builtins. Such a test needs plain values only, so it runs in another process than the code.

Inputs: answers. Outputs: Candidates.
"""

import ast
from dataclasses import dataclass, replace

from raccoon.llm.client import parse_json_object
from raccoon.store import digest
from raccoon.synthetic.mutants import parse_shallow
from raccoon.synthetic.prompts import TASK_SCHEMA, Mode, Question
from raccoon.tasks.extraction import extract_code
from raccoon.tasks.prompts import description_prompt
from raccoon.tasks.syntax import find_function, is_literal
from raccoon.tasks.task import Task

MIN_TESTS = 3
MAX_TESTS = 40
MAX_CHARS = 20_000  # of a prompt, a solution or all tests
MAX_REPEAT = 10_000  # of a literal, as in "a" * 500
FUNCTIONS = frozenset(
    "abs all any bool dict float int isinstance len list max min round set sorted str sum tuple".split()
)
MODULE_FUNCTIONS = frozenset({"math.isclose", "math.isnan", "math.isinf"})
CONSTANTS = frozenset({"math.inf", "math.nan", "math.pi", "math.e"})
TYPES = frozenset("bool dict float int list set str tuple".split())
PLAIN_NODES = (
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Dict,
    ast.Compare,
    ast.BoolOp,
    ast.UnaryOp,
    ast.Subscript,
    ast.Slice,
    ast.keyword,
    ast.Load,
    ast.cmpop,
    ast.boolop,
    ast.unaryop,
    ast.Add,
    ast.Sub,
    ast.Mult,
)


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
    """A task to verify, and its origin. `completion` is the whole answer."""

    task: Task
    model: str
    prompt: str  # the hash of the question
    date: str
    completion: str = ""


def read_candidate(answer: StoredAnswer, question: Question, mode: Mode, model: str) -> Candidate:
    """The task in an answer. Raises AnswerError if there is none to verify."""
    if not answer.text.strip():
        raise AnswerError("the answer is empty")
    if answer.finish_reason == "length":
        raise AnswerError("the answer is cut off")
    read = read_task if mode.new_tasks else read_solution
    task = read(answer.text, question.parent, model.rstrip("/").rpartition("/")[2])
    return Candidate(task, model, question.prompt_hash, answer.date, answer.text)


def read_solution(text: str, parent: Task, name: str) -> Task:
    """A known task with the solution of an answer. Its test is that of the task file, and equally trusted."""
    code = extract_code(text, parent)
    if not code:
        raise AnswerError("the answer holds no code")
    if parse_shallow(code) is None:
        raise AnswerError("the solution is not Python")
    return replace(parent, task_id=f"{parent.task_id}/{name}/{digest(text)[:8]}", solution=code)


def read_task(text: str, parent: Task | None, name: str) -> Task:
    """The task in an answer, after a check of its form. Its source is the model's `name`."""
    row = parse_json_object(text)
    if row is None:
        raise AnswerError("the answer is not one JSON object")
    if row.keys() != TASK_SCHEMA["properties"].keys() or not isinstance(row["tests"], list):
        raise AnswerError("the answer has other fields than asked for")
    texts = [row["prompt"], row["entry_point"], row["solution"], *row["tests"]]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise AnswerError("the answer has other fields than asked for")
    # JSON can express half a surrogate pair, which files and tokenizers do not accept.
    prompt, entry_point, solution, *tests = (text.encode("utf-8", "replace").decode().strip() for text in texts)
    check_solution(prompt, entry_point, solution)
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


def check_solution(prompt: str, entry_point: str, solution: str) -> None:
    """Raises AnswerError if the solution is not a program that defines the entry point."""
    if max(len(prompt), len(solution)) > MAX_CHARS:
        raise AnswerError("the answer is too long")
    tree = parse_shallow(solution)
    if tree is None:
        raise AnswerError("the solution is not Python")
    if entry_point in FUNCTIONS | TYPES | {"math"} or not find_function(tree, entry_point):
        raise AnswerError("the solution does not define the entry point, or it has a builtin's name")


def plain_test(text: str, entry_point: str) -> str:
    """A test as one line of Python. Raises AnswerError if it is more than an assert on the entry point."""
    tree = parse_shallow(text.strip()) if len(text) <= MAX_CHARS else None
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Assert):
        raise AnswerError("a test is not one assert")
    test = tree.body[0].test
    if not is_plain(test, entry_point):
        raise AnswerError("a test is more than a comparison of literals with what the function returns")
    called = [node for node in ast.walk(test) if isinstance(node, ast.Call) and ast.unparse(node.func) == entry_point]
    if not called:
        raise AnswerError("a test does not call the function")
    return f"assert {ast.unparse(test)}"


def is_plain(node: ast.AST, entry_point: str) -> bool:
    """Whether an expression consists only of literals, comparisons and calls of the allowed functions."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        inside = [*node.args, *node.keywords]
        return (
            (name == entry_point or name in FUNCTIONS or name in MODULE_FUNCTIONS)
            and not any(isinstance(part, ast.Starred) for part in inside)
            and all(is_plain(part, entry_point) for part in inside)
        )
    if isinstance(node, ast.Attribute):
        return ast.unparse(node) in CONSTANTS
    if isinstance(node, ast.Name):
        return node.id in TYPES
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return (
            is_literal(node.left)
            and isinstance(node.right, ast.Constant)
            and (type(node.right.value) in (int, float) and abs(node.right.value) <= MAX_REPEAT)
        )
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, (ast.Add, ast.Sub)) and all(
            is_plain(side, entry_point) for side in (node.left, node.right)
        )
    return isinstance(node, PLAIN_NODES) and all(is_plain(part, entry_point) for part in ast.iter_child_nodes(node))
