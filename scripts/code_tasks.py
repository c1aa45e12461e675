"""Code tasks: the record that all scripts share, benchmarks, task files, and the code in a completion.

It runs no code and loads no model (sandbox.py and the scripts do); only the standard library is imported.

Inputs:  the published benchmark files in DATA_DIR, or the Hugging Face hub; task files (JSON lines of Task).
Outputs: task files.
"""

import ast
import gzip
import json
import os
import re
import socket
import textwrap
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from evalplus_tests import plus_test

# Every script takes these from here too.
from script_constants import InputError, check_writable, constants, override_constants, require_python, run_main  # noqa: F401
from whole_files import write_records

HUB = "https://huggingface.co"  # or what HF_ENDPOINT names

# Bounds on the search for code in one completion; an honest one has a few thousand characters.
MAX_PARSED_CHARS = 100_000  # a longer text is not parsed
PARSE_BUDGET = 500_000  # characters given to ast.parse, all attempts together
MAX_BLOCKS = 32  # fenced blocks looked at, the last ones
MAX_STARTS = 16  # lines of prose from which a program is tried
MAX_CUTS = 6  # statements cut from the end of a program

# Fences are matched without ambiguity, so that a hostile line takes linear time.
FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})([^`~\n]*)$")
CODE_LINE = re.compile(
    r"^[ \t]*(?:(?:async +)?def +\w|class +\w|import +\w|from +[\w.]+ +import\b|@\w|return\b"
    r"|\w+ *=[^=]|[\w.]+\(.*\)[ \t]*$)", re.MULTILINE)

PREDICT = "def predict():\n    return "  # what a CRUXEval answer completes

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda,
          ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Task:
    """A programming problem and the program that grades it.

    `context` holds the trusted imports and helper functions that the prompt gives; it does not define the
    entry point. `test` raises when the solution is wrong and calls everything itself. `solution` is a
    complete program beside `context`. `origin` says what made a synthetic task, as JSON text.
    """

    task_id: str
    prompt: str
    test: str
    entry_point: str = ""
    context: str = ""
    solution: str = ""
    source: str = ""
    split: str = ""
    origin: str = ""


TASK_FIELDS = tuple(field.name for field in fields(Task))


def messages(task: Task) -> list[dict[str, str]]:
    """The conversation that asks a model for the task's code."""
    return [{"role": "user", "content": task.prompt}]


def read_task_file(path: str | Path) -> list[Task]:
    """The tasks of a JSON lines file; raises InputError with file, line and remedy for a bad line."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no task file {path}: give the path of a JSON lines file of tasks")
    tasks, line_of = [], {}
    for number, line in numbered_lines(path):
        where = f"{path}, line {number}"
        task = parse_task(line, where, default_id=f"{path.stem}/{number}")
        if task.task_id in line_of:
            first = line_of[task.task_id]
            raise InputError(f"{where}: task_id {task.task_id!r} stands on line {first} already; rename one")
        line_of[task.task_id] = number
        tasks.append(task)
    if not tasks:
        raise InputError(f"{path} holds no task: give a file with one JSON object a line")
    return tasks


def parse_task(line: str, where: str, default_id: str) -> Task:
    """One line of a task file as a Task."""
    row = parse_object(line, where)
    for name, value in row.items():
        if name not in TASK_FIELDS:
            raise InputError(f"{where}: unknown field {name!r}; the fields are {', '.join(TASK_FIELDS)}")
        if not isinstance(value, str):
            raise InputError(f"{where}: field {name!r} is {type(value).__name__}; make it a string")
    for name in ("prompt", "test"):
        if not row.get(name, "").strip():
            raise InputError(f"{where}: no {name}; every task needs a non-empty prompt and test")
    return Task(**{**row, "task_id": row.get("task_id") or default_id})


def write_task_file(path: str | Path, tasks: Iterable[Task]) -> None:
    """Writes tasks as JSON lines; the file appears whole or not at all."""
    write_records(path, map(asdict, tasks))


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of each line of a plain or gzipped text file that is not blank."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): fetch the file again") from error


def parse_object(line: str, where: str) -> dict:
    """The JSON object on a line; raises InputError, which begins with `where`, if it is none."""
    return parse_json(line, where, dict)


def parse_json(text: str, where: str, kind: type):
    """The JSON value in a text; raises InputError where it is none or no `kind`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); write one JSON object a line") from error
    if not isinstance(value, kind):
        raise InputError(f"{where}: a JSON {type(value).__name__} instead of a {kind.__name__}")
    return value


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark is published and how one of its rows becomes a Task."""

    name: str
    convert: Callable[[dict], Task]
    file: str  # in DATA_DIR
    hub: str
    config: str | None = None
    split: str | None = None  # None: all of them


def load_benchmark(name: str, data_dir: str | Path = "") -> list[Task]:
    """All tasks of a benchmark, in the published order.

    Read from the published file in `data_dir`, or from the hub where that is empty. Raises InputError for
    an unknown name, a missing file, an unreachable hub and a row that lacks a field.
    """
    if name not in BENCHMARKS:
        raise InputError(f"no benchmark {name!r}; choose from {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[name]
    if data_dir:
        origin = str(Path(data_dir) / benchmark.file)
        rows = read_rows(Path(origin), name)
    else:
        origin = f"hub data set {benchmark.hub}"
        rows = hub_rows(benchmark)
    tasks = []
    for number, row in enumerate(rows, 1):
        try:
            tasks.append(benchmark.convert(row))
        except (InputError, SyntaxError, ValueError) as error:
            raise InputError(f"{origin}, row {number}: {error}; fetch the published file again") from error
    return tasks


def load_training_tasks(data_dir: str | Path = "") -> list[Task]:
    """The 584 training tasks: sanitized MBPP without its few-shot prompt split (420) and HumanEval (164)."""
    mbpp = [task for task in load_benchmark("mbpp", data_dir) if task.split != "prompt"]
    return mbpp + load_benchmark("humaneval", data_dir)


def read_rows(path: Path, name: str) -> list[dict]:
    """The rows of a published file: one JSON list, or JSON lines."""
    if not path.is_file():
        raise InputError(f"no file {path} for benchmark {name}: put the published file there, "
                         "or leave DATA_DIR empty to read the Hugging Face hub")
    if path.suffix == ".json":
        return parse_json("".join(line for _, line in numbered_lines(path)), str(path), list)
    return [parse_object(line, f"{path}, line {number}") for number, line in numbered_lines(path)]


def hub_is_out_of_reach() -> bool:
    """Whether nobody here knows the hub's address; behind a proxy it is the proxy that has to."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    if getproxies():
        return False
    try:
        socket.getaddrinfo(urlsplit(os.environ.get("HF_ENDPOINT") or HUB).hostname, None)
    except OSError:
        return True
    return False


def hub_rows(benchmark: Benchmark) -> list[dict]:
    """The rows of a hub data set, all splits in the order of their task_id where none is named."""
    if hub_is_out_of_reach():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the hub's library then takes its cache, without 30 s of retries
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError:
        raise InputError("the package datasets is missing: pip install datasets, or set DATA_DIR") from None
    try:
        loaded = load_dataset(benchmark.hub, benchmark.config, split=benchmark.split)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n")[0][:200]
        raise InputError(f"cannot read {benchmark.hub} from the hub ({type(error).__name__}: {reason}): "
                         f"put the published file at DATA_DIR/{benchmark.file} and give --data-dir DATA_DIR"
                         ) from error
    if benchmark.split:
        return list(loaded)
    return sorted((row for split in loaded.values() for row in split), key=lambda row: row["task_id"])


def take(row: dict, name: str, kind: type | tuple[type, ...] = str):
    """A field of a published row; raises InputError where it is missing or of another type."""
    if name not in row:
        raise InputError(f"no field {name!r} (it has {', '.join(row)})")
    if not isinstance(row[name], kind) or kind is list and not row[name]:
        raise InputError(f"field {name!r} is {str(row[name])[:40]!r}")
    return row[name]


def humaneval_task(row: dict) -> Task:
    """A row of HumanEval (Chen et al. 2021). Its test only defines check(), so the call is added."""
    prompt, entry_point = take(row, "prompt"), take(row, "entry_point")
    return Task(
        task_id=take(row, "task_id"),
        prompt=completion_prompt(prompt),
        test=f"{take(row, 'test')}\ncheck({entry_point})\n",
        entry_point=entry_point,
        context=text_above(prompt, entry_point),
        solution=prompt + take(row, "canonical_solution"),
        source="humaneval",
        split="test",
    )


def completion_prompt(stub: str) -> str:
    """Asks for the function whose imports, header and docstring are `stub`."""
    return ("Complete this Python function. Answer with the whole function in one ```python block.\n\n"
            f"```python\n{stub.strip()}\n```\n")


def mbpp_task(row: dict) -> Task:
    """A row of sanitized or full MBPP (Austin et al. 2021), told apart by the name of the text's field.

    The setup code of full MBPP builds objects of the solution's classes, so it runs after the solution.
    """
    text = take(row, "text" if "text" in row else "prompt")
    code, number = take(row, "code"), take(row, "task_id", int)
    tests = take(row, "test_list", list)
    setup = [take(row, "test_setup_code")] if "text" in row else take(row, "test_imports", (list, tuple))
    entry_point = entry_point_of(tests[0], code)
    return Task(
        task_id=f"Mbpp/{number}",
        prompt=description_prompt(text, entry_point, tests[0]),
        test="\n".join([*setup, *tests]).replace("\r\n", "\n").strip() + "\n",
        entry_point=entry_point,
        solution=code,
        source="mbpp_full" if "text" in row else "mbpp",
        split=mbpp_split(number),
    )


def description_prompt(text: str, entry_point: str, example: str) -> str:
    """Asks for a function that is described in words, by its name and one of its tests."""
    return (f"{text.strip()}\n\nName the function `{entry_point}`. It must pass this test:\n\n"
            f"```python\n{example.strip()}\n```\n\nAnswer with the whole program in one ```python block.\n")


def mbpp_split(number: int) -> str:
    """The split of an MBPP task, which its number decides."""
    for split, last in (("prompt", 10), ("test", 510), ("validation", 600)):
        if number <= last:
            return split
    return "train"


def entry_point_of(test: str, solution: str) -> str:
    """The function that an assert is about: the first name it calls that the solution defines.

    A pattern on the text is wrong where the call stands inside set(...) or math.isclose(...), and a list of
    builtins where the function is called sum.
    """
    program, reference = parse_code(test), parse_code(solution)
    if program is None or reference is None:
        raise InputError("its code or first test is not Python")
    defined = bound_names(reference)
    for node in ast.walk(program):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            return node.func.id
    raise InputError(f"its first test calls nothing that its code defines: {test[:80]!r}")


def humanevalplus_task(row: dict) -> Task:
    """A row of HumanEval+ (Liu et al. 2023): the published file has inputs, the hub a finished test."""
    task = replace(humaneval_task(row), source="humanevalplus")
    return replace(task, test=row_plus_test(row, task.solution)) if "base_input" in row else task


def mbppplus_task(row: dict) -> Task:
    """A row of MBPP+ (Liu et al. 2023): the published file has inputs, the hub a finished test."""
    if "base_input" not in row:
        return replace(mbpp_task(row), test=take(row, "test"), source="mbppplus")
    task_id, entry_point = take(row, "task_id"), take(row, "entry_point")
    solution = take(row, "canonical_solution")
    text, _, example = take(row, "prompt").strip('"\n').partition("\nassert ")
    return Task(
        task_id=task_id,
        prompt=description_prompt(text, entry_point, f"assert {example}"),
        test=row_plus_test(row, solution),
        entry_point=entry_point,
        solution=solution,
        source="mbppplus",
        split=mbpp_split(int(task_id.removeprefix("Mbpp/"))),
    )


def row_plus_test(row: dict, reference: str) -> str:
    """The test program of an EvalPlus row. A row without additional inputs holds {} in their place."""
    return plus_test(take(row, "task_id"), take(row, "entry_point"), reference,
                     [*take(row, "base_input", list), *take(row, "plus_input", (list, dict))],
                     take(row, "atol", (int, float)), row.get("assertion", ""))


def bigcodebench_task(row: dict) -> Task:
    """A row of BigCodeBench (Zhuo et al. 2024), complete prompts. Its test only defines a TestCase."""
    stub, entry_point = take(row, "code_prompt"), take(row, "entry_point")
    return Task(
        task_id=take(row, "task_id"),
        prompt=completion_prompt(take(row, "complete_prompt")),
        test=take(row, "test"),
        entry_point=entry_point,
        context=text_above(stub, entry_point),
        solution=stub + take(row, "canonical_solution"),
        source="bigcodebench",
        split="test",
    )


def bigcodebench_instruct_task(row: dict) -> Task:
    """A row of BigCodeBench with the prompt that describes the function in words."""
    text = take(row, "instruct_prompt").strip()
    return replace(bigcodebench_task(row), source="bigcodebench_instruct",
                   prompt=f"{text}\n\nAnswer with the whole program in one ```python block.\n")


def cruxeval_task(row: dict) -> Task:
    """A row of CRUXEval (Gu et al. 2024), output prediction: `predict` returns what `f` would.

    `f` stands in the test alone, and only a literal completes the stub (see literal_answer), so that the
    answer cannot be computed by the program that is to be predicted.
    """
    code, call = take(row, "code"), f"f({take(row, 'input')})"
    return Task(
        task_id=f"CRUXEval/{take(row, 'id').removeprefix('sample_')}",
        prompt=f"What does `{call}` return, given this program?\n\n```python\n{code}\n```\n\n"
               "Work it out without running it. Answer with this function in one ```python block, the value "
               f"written as a literal in place of the dots:\n\n```python\n{PREDICT}...\n```\n",
        test=f"{code}\n\nassert {call} == predict()\n",
        entry_point="predict",
        solution=PREDICT + take(row, "output") + "\n",
        source="cruxeval",
        split="test",
    )


BENCHMARKS = {benchmark.name: benchmark for benchmark in (
    Benchmark("humaneval", humaneval_task, "humaneval/HumanEval.jsonl.gz", "openai/openai_humaneval",
              split="test"),
    Benchmark("mbpp", mbpp_task, "mbpp/sanitized-mbpp.json", "google-research-datasets/mbpp", "sanitized"),
    Benchmark("mbpp_full", mbpp_task, "mbpp/mbpp.jsonl", "google-research-datasets/mbpp", "full"),
    Benchmark("humanevalplus", humanevalplus_task, "evalplus/HumanEvalPlus.jsonl.gz",
              "evalplus/humanevalplus", split="test"),
    Benchmark("mbppplus", mbppplus_task, "evalplus/MbppPlus.jsonl.gz", "evalplus/mbppplus", split="test"),
    Benchmark("bigcodebench", bigcodebench_task, "bigcodebench/BigCodeBench-v0.1.4.jsonl.gz",
              "bigcode/bigcodebench", split="v0.1.4"),
    Benchmark("bigcodebench_instruct", bigcodebench_instruct_task,
              "bigcodebench/BigCodeBench-v0.1.4.jsonl.gz", "bigcode/bigcodebench", split="v0.1.4"),
    Benchmark("cruxeval", cruxeval_task, "cruxeval/cruxeval.jsonl", "cruxeval-org/cruxeval", split="test"),
)}


def parse_code(text: str) -> ast.Module | None:
    """The syntax tree of untrusted text; None where it is no Python, too long or too deep to parse."""
    tree, _ = parse_or_line(text)
    return tree


def parse_or_line(text: str) -> tuple[ast.Module | None, int]:
    """(tree, 0), or (None, number of the line where parsing stopped; 1 where that is unknown)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text), 0
    except SyntaxError as error:
        return None, error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return None, 1


def is_literal(node: ast.expr) -> bool:
    """Whether an expression is a literal other than the dots of a stub."""
    try:
        return ast.literal_eval(node) is not ...
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False


def own_nodes(scope: ast.Module | ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a module or function without the insides of the functions and classes in it."""
    pending = list(scope.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def bound_names(tree: ast.Module) -> set[str]:
    """The names that running a module binds, also inside its if, try and loops."""
    names = set()
    for node in own_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def missing_names(tree: ast.Module) -> set[str]:
    """The names that a module reads and binds nowhere, builtins among them."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    inner = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return ({node.id for node in names if isinstance(node.ctx, ast.Load)}
            - {node.id for node in names if isinstance(node.ctx, ast.Store)} - inner - bound_names(tree))


def find_function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """The last definition of a function at a module's top level."""
    found = [node for node in tree.body
             if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name]
    return found[-1] if found else None


def parse_stub(stub: str, entry_point: str) -> ast.FunctionDef | None:
    """The entry point of a program that may end with its header alone."""
    tree = parse_code(stub) or parse_code(stub.rstrip() + "\n    pass\n")
    return find_function(tree, entry_point) if tree else None


def text_above(stub: str, entry_point: str) -> str:
    """What stands above the entry point in a stub: its imports, constants and helper functions."""
    function = parse_stub(stub, entry_point)
    if not function:
        raise InputError(f"its prompt does not define {entry_point!r}")
    above = "\n".join(stub.split("\n")[: function.lineno - 1]).strip("\n")
    return above + "\n" if above else ""


class Parser:
    """Parses the candidates of one completion until its budget of characters is spent."""

    def __init__(self, budget: int = PARSE_BUDGET):
        self.budget = budget

    def __call__(self, text: str) -> tuple[ast.Module | None, int]:
        """What parse_or_line says; (None, 1), which nothing follows up, when the budget is spent."""
        if len(text) > min(self.budget, MAX_PARSED_CHARS):
            return None, 1
        self.budget -= len(text) + 100
        return parse_or_line(text)


def extract_code(completion: str, task: Task) -> str:
    """The Python program in a completion, as the model wrote it; "" where there is none.

    In this order: the whole text; the last fenced block that defines the entry point, with the blocks that
    define what it lacks; the last block, or the text, that completes the prompt's stub; the code in prose.
    Where nothing parses, what looks like code, so that its syntax error can be seen. Never raises; the time
    is bounded by PARSE_BUDGET.
    """
    text = strip_thinking(completion).lstrip("\ufeff")
    stub = prompt_stub(task)
    blocks = fenced_blocks(text)[-MAX_BLOCKS:]
    if stub.endswith("return ..."):
        last_line = text.strip().split("\n")[-1]
        return literal_answer([*blocks[::-1], text.strip(), last_line.strip("` ")], stub, task)
    parser = Parser()
    found = (defining_program(text, task, parser)
             or defining_block(blocks, task, parser)
             or first(completed_stub(body, stub, task, parser) for body in [*blocks[::-1], text])
             or program_in_prose(text, task, parser))
    return found or first(part for part in [*blocks[::-1], text] if CODE_LINE.search(part))


def first(candidates: Iterable[str]) -> str:
    """The first text that is not empty."""
    return next(filter(None, candidates), "")


def strip_thinking(completion: str) -> str:
    """What follows the reasoning; "" where the reasoning never ends."""
    return "" if thinking_state(completion) == "open" else completion.rpartition("</think>")[2]


def thinking_state(completion: str) -> str:
    """"open" where a think block never ends, "closed" where one does, else "none"."""
    if re.search(r"^[ \t]*<think>", completion.rpartition("</think>")[2], re.MULTILINE):
        return "open"
    return "closed" if "</think>" in completion else "none"


def with_opened_thinking(prompt: str, completion: str) -> str:
    """A completion with the `<think>` that the rendered prompt ends on, as some models' chat templates do.

    Without it a completion that is cut inside its thoughts would look like an answer.
    """
    return f"<think>\n{completion}" if prompt.rstrip().endswith("<think>") else completion


def fenced_blocks(text: str) -> list[str]:
    """The insides of Markdown code fences that are not blank; the last fence may lack its end.

    A fence that is indented deeper belongs to a docstring. A named fence inside a block starts the next one,
    and a line of code that ends with the fence ends the block.
    """
    blocks, block, opening = [], [], None
    for line in text.split("\n"):
        mark = FENCE.match(line)
        if opening is None:
            opening, block = mark, []
        elif mark and mark[2].startswith(opening[2]) and len(mark[1]) < len(opening[1]) + 4:
            blocks.append("\n".join(block))
            opening, block = (mark if mark[3].strip() else None), []
        elif line.endswith(opening[2]) and not mark:
            blocks.append("\n".join([*block, line.removesuffix(opening[2])]))
            opening = None
        else:
            block.append(line.removeprefix(opening[1]))
    if opening is not None:
        blocks.append("\n".join(block))
    return [block for block in blocks if block.strip()]


def prompt_stub(task: Task) -> str:
    """The header of the entry point that the prompt shows, its body only where that is `return ...`."""
    for block in fenced_blocks(task.prompt):
        function = parse_stub(block, task.entry_point)
        if function:
            lines = block.split("\n")[function.lineno - 1 : function.end_lineno]
            header = lines[: function.body[0].lineno - function.lineno]
            return "\n".join(lines if lines[-1].strip() == "return ..." else header)
    return ""


def defines(tree: ast.Module, task: Task) -> bool:
    """Whether a program defines the entry point, or anything where the task names none."""
    names = bound_names(tree)
    return task.entry_point in names if task.entry_point else bool(names)


def defining_program(text: str, task: Task, parser: Parser) -> str:
    """The text, without its indentation or interpreter prompts, where that defines the entry point."""
    for variant in dict.fromkeys((text, textwrap.dedent(text), without_prompts(text))):
        tree, _ = parser(variant)
        if tree and defines(tree, task):
            return variant
    return ""


def without_prompts(text: str) -> str:
    """The input of an interactive session, without its prompts and output."""
    if ">>> " not in text:
        return text
    lines = (line.strip() + " " if line.strip() == "..." else line.lstrip() for line in text.split("\n"))
    return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ")))


def defining_block(blocks: list[str], task: Task, parser: Parser) -> str:
    """The last block that defines the entry point, after the blocks that define what it lacks."""
    for place in range(len(blocks) - 1, -1, -1):
        code = defining_program(blocks[place], task, parser) or head_program(blocks[place], task, parser)
        if code:
            return with_helpers(code, blocks[:place] + blocks[place + 1 :], task, parser)
    return ""


def with_helpers(code: str, others: list[str], task: Task, parser: Parser) -> str:
    """The code after those other blocks that bind names which it reads and does not bind."""
    parts, lacking = [code], missing_names(parse_code(code))
    for block in reversed(others):
        tree, _ = parser(block)
        if tree and bound_names(tree) & lacking and task.entry_point not in missing_names(tree):
            parts.insert(0, block)
            lacking |= missing_names(tree)
    parts.sort(key=lambda part: "from __future__" not in part)
    return "\n\n".join(parts)


def completed_stub(text: str, stub: str, task: Task, parser: Parser) -> str:
    """The stub with the text as its body: indented as it is, or its first line, or all of it.

    A text that is not indented may be a program of its own, so it is a body only where it returns something.
    """
    if not stub:
        return ""
    for body in (text, "    " + text, textwrap.indent(text, "    ")):
        code = head_program(f"{stub}\n{body}", task, parser)
        function = code and find_function(parse_code(code), task.entry_point)
        if function and (body is text or any(isinstance(node, ast.Return) for node in own_nodes(function))):
            return code
    return ""


def program_in_prose(text: str, task: Task, parser: Parser) -> str:
    """The longest run of lines that is a program and defines the entry point.

    It starts the text, a paragraph or what a colon announces; a line of broken code directly above is a part
    of it, and its syntax error must be seen.
    """
    if len(text) > MAX_PARSED_CHARS:
        return ""
    lines, starts = text.split("\n"), []
    for place, line in enumerate(lines):
        above = lines[place - 1].rstrip() if place else ""
        if CODE_LINE.match(line) and line[0] not in " \t" and (not above or above.endswith((":", "```"))):
            starts.append(place)
    return first(head_program("\n".join(lines[start:]), task, parser) for start in starts[:MAX_STARTS])


def head_program(text: str, task: Task, parser: Parser) -> str:
    """The text up to the top-level statement where parsing stops, where that defines the entry point.

    Only whole statements are cut, so a function whose end is missing is never repaired.
    """
    lines = text.split("\n")
    for _ in range(MAX_CUTS):
        tree, stop = parser("\n".join(lines))
        if tree:
            return "\n".join(lines) if defines(tree, task) else ""
        stop = min(stop, len(lines)) - 1
        while stop > 0 and lines[stop][:1] in ("", " ", "\t", ")", "]", "}"):
            stop -= 1
        del lines[stop:]
    return ""


def literal_answer(candidates: list[str], stub: str, task: Task) -> str:
    """A stub that ends with `return ...`, the dots replaced by the literal that the model answers.

    Anything but a literal is no answer, so a program that computes the value is none.
    """
    for text in candidates:
        tree = parse_code(text) if len(text) <= MAX_PARSED_CHARS else None
        function = tree and find_function(tree, task.entry_point)
        statements = function.body[-1:] if function else tree.body if tree and len(tree.body) == 1 else []
        for statement in statements:
            value = getattr(statement, "value", None)
            if isinstance(statement, (ast.Return, ast.Expr)) and value and is_literal(value):
                return stub.removesuffix("...") + f"({ast.get_source_segment(text, value)})\n"
    return ""
