"""Looks for hidden tests in the feedback that wrong programs get.

For each task of the published sets, wrong programs run with feedback: stubs, constant answers, mutants of the gold
solution, published wrong samples of HumanEval, and programs that collect all that the tests give them and return it,
raise it or print it. A leak is a telling value of the task's test that occurs in the feedback but not in the program,
the prompt or the visible tests, and not in the feedback that the same program gets where the visible tests are the
whole test. Telling is an input or an expected value, or a part of one, of more than 3 characters; of a longer one, the
first 40 without blanks. EvalPlus's expected values are those that the reference computes for the first inputs.

    python benchmarks/leak_hunt.py [--data-dir D] [--wrong 3] [--timeout 1] [--limit N] [--benchmarks humaneval mbpp]

Input: the published files in the data folder; sets that it lacks are skipped, and tasks with the test and the visible
tests of an earlier set. Output: a Markdown table; on stderr, a line for each leak and for each feedback that differs
from that of the visible tests alone. Exit 1 if there is a leak, or no set.
"""

import argparse
import ast
import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from raccoon.constants import InputError  # noqa: E402
from raccoon.published.benchmarks import BENCHMARKS, load_benchmark  # noqa: E402
from raccoon.records import Program  # noqa: E402
from raccoon.sandbox.pool import Sandbox  # noqa: E402
from raccoon.strengthening.mutants import make_mutants, make_stubs  # noqa: E402
from raccoon.tasks.shown_examples import compact  # noqa: E402
from raccoon.tasks.task import Task  # noqa: E402

DATA_DIR = os.environ.get("DATA_DIR") or str(ROOT.parent / "shared" / "data")
MAX_FEEDBACK = 1000  # characters
SHORTEST, LONGEST = 4, 40  # characters of a value
MOST_VALUES = 20_000  # of a task, evenly spread
COMPUTED = 50  # inputs of EvalPlus whose expected values are computed
CHUNK = 16  # tasks that run as one batch
ADDRESS = re.compile(r"0x[0-9a-f]+")  # that a program has written into its message
LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp)

COLLECTS = """\
seen = []


class Told(Exception):
    pass


def collect(*arguments, **named):
    seen.append((arguments, named))
    {ending}


class Any:
    def __getattr__(self, name):
        return collect


def {entry_point}(*arguments, **named):
    return collect(*arguments, **named) if arguments or named else Any()
"""
ENDINGS = {
    "returns": "return seen",
    "returns its text": "return repr(seen)",
    "raises": "raise Told(repr(seen))",
    "raises later": "if len(seen) > 1: raise ValueError(repr(seen))",
    "raises a class": "raise type('Told' + repr(seen), (Exception,), {})()",
    "prints": "print(seen, flush=True)",
    "exits": "raise SystemExit(repr(seen))",
    "reads frames": "import sys; raise Told(repr([each.f_locals for each in sys._current_frames().values()]))",
}


def wrong_programs(task: Task, samples: dict[str, list[str]], mutants: int) -> list[str]:
    """The corpus for a task."""
    codes = [*make_stubs(task), *make_mutants(task.solution, mutants), *samples.get(task.task_id, [])]
    if task.kind == "function":
        codes += [COLLECTS.format(entry_point=task.entry_point, ending=ending) for ending in ENDINGS.values()]
    return list(dict.fromkeys(codes))


def published_samples(data_dir: str) -> dict[str, list[str]]:
    """task_id -> published wrong programs of HumanEval."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(data_dir, "samples").glob("*.jsonl")):
        for row in map(json.loads, path.read_text().splitlines()):
            if not row["passed"]:
                found.setdefault(row["task_id"], []).append(row["completion"])
    return found


def hidden_values(task: Task) -> set[str]:
    """The telling values of a task's test that its prompt and its visible tests do not have."""
    if task.kind == "program":
        record = json.loads(task.test)
        texts = [line for case in [*record["inputs"], *record["outputs"]] for line in [case, *case.split("\n")]]
        found = set(map(telling, texts))
    else:
        found = set(literals(task.test))
        if task.source == "cruxeval":
            found |= set(literals(task.solution))
        if "_oracle" in task.test:
            found |= set(computed_values(task))
    shown = compact(task.prompt + task.visible_tests + repr(task.entry_point))  # a missing one is named in quotes
    values = sorted(value for value in found if value and value not in shown)
    return set(values[:: -(-len(values) // MOST_VALUES)] if values else ())


def telling(text: str) -> str:
    """A value's text as it is compared; "" if it tells nothing."""
    return compact(text[: 3 * LONGEST])[:LONGEST] if len(text) >= SHORTEST else ""


def literals(program: str) -> Iterator[str]:
    """The telling literals of a program and their parts, also of a text that the program evaluates."""
    lines = program.split("\n")
    for node in ast.walk(ast.parse(program)):
        if not isinstance(node, LITERALS):
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value[:1] in tuple("[({"):
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                yield from literals(node.value)
        if isinstance(node, ast.Constant):
            yield telling(repr(node.value))
        else:
            end = node.end_col_offset if node.end_lineno == node.lineno else None
            yield telling(lines[node.lineno - 1][node.col_offset : end])


def computed_values(task: Task) -> Iterator[str]:
    """What EvalPlus's reference gives for the first inputs; nothing if that takes long."""
    loop = task.test.partition("# As one string")[2].partition("for _group in ")[2].partition(":\n")[0]
    program = (
        f"{task.solution}\nfrom math import inf, nan\nfor group in {loop}:\n    for given in group[:{COMPUTED}]:\n"
    )
    program += f"        print(repr({task.entry_point}(*given)), flush=True)\n"
    with contextlib.suppress(subprocess.TimeoutExpired):
        run = subprocess.run([sys.executable, "-I", "-"], input=program, capture_output=True, text=True, timeout=10)
        for line in run.stdout.splitlines():
            yield telling(line)
            with contextlib.suppress(SyntaxError, ValueError):
                yield from literals(line)


def alone(task: Task, code: str) -> Program:
    """The program with the visible tests as the whole test; without any, a test that asks nothing."""
    test = task.visible_tests or "pass"
    if task.kind == "program":
        test = json.dumps(json.loads(task.test) | json.loads(task.visible_tests or "{}"))
    return Program.of(task, code, test=test, max_feedback=MAX_FEEDBACK)


def hunt(tasks: Sequence[Task], samples: dict[str, list[str]], mutants: int, box: Sandbox) -> tuple[list[int], list]:
    """([programs, feedbacks, values checked, leaks], lines about leaks and differences) of some tasks."""
    corpus = [(task, code) for task in tasks for code in wrong_programs(task, samples, mutants)]
    verdicts = box.run([Program.of(task, code, max_feedback=MAX_FEEDBACK) for task, code in corpus])
    told = [(*pair, verdict.feedback) for pair, verdict in zip(corpus, verdicts, strict=True) if verdict.feedback]
    same = box.run([alone(task, code) for task, code, _ in told])
    values = {task.task_id: hidden_values(task) for task in tasks}
    checked = leaks = 0
    lines = []
    for (task, code, text), verdict in zip(told, same, strict=True):
        if task.visible_tests and ADDRESS.sub("", verdict.feedback) != ADDRESS.sub("", text):
            lines.append(f"differs: {task.task_id}: {text!r} / {verdict.feedback!r} / {code!r}")
        checked += len(values[task.task_id])
        plain, known = (compact(each.replace(r"\x3c", "<").replace(r"\x5b", "[")) for each in (text, verdict.feedback))
        found = [value for value in values[task.task_id] if value in plain and value not in known]
        found = [value for value in found if value not in compact(code)]
        leaks += bool(found)
        lines += [f"LEAK: {task.task_id}: {found} in {text!r} / {code!r}"] if found else []
    return [len(corpus), len(told), checked, leaks], lines


def published(name: str, data_dir: str, done: set[tuple[str, str]]) -> list[Task]:
    """The tasks of a set whose tests no earlier set had; [] if its file is not there."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            tasks = load_benchmark(name, data_dir)
    except InputError:
        return []
    return [task for task in tasks if (task.test, task.visible_tests) not in done]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=DATA_DIR)
    parser.add_argument("--wrong", type=int, default=3, help="mutants of each task's solution")
    parser.add_argument(
        "--timeout", type=float, default=1.0, help="CPU seconds; most of the time goes into endless mutants"
    )
    parser.add_argument("--limit", type=int, default=None, help="tasks of each set")
    parser.add_argument("--benchmarks", nargs="+", default=list(BENCHMARKS))
    parser.add_argument("--preload", nargs="*", default=(), help="modules that most programs of a set import")
    options = parser.parse_args()
    print("| set | tasks | with visible tests | programs | feedbacks | values checked | leaks |")
    print("|" + "---|" * 7)
    done: set[tuple[str, str]] = set()
    samples, leaked = published_samples(options.data_dir), 0
    with Sandbox(timeout=options.timeout, memory_mb=4096 if options.preload else 1024, preload=options.preload) as box:
        for name in options.benchmarks:
            tasks = published(name, options.data_dir, done)[: options.limit]
            if not tasks:
                print(f"| {name} | no file, or the tasks of a set above |" + " |" * 5, flush=True)
                continue
            done |= {(task.test, task.visible_tests) for task in tasks}
            counts = [0, 0, 0, 0]
            for start in range(0, len(tasks), CHUNK):
                found, lines = hunt(tasks[start : start + CHUNK], samples, options.wrong, box)
                counts = [*map(sum, zip(counts, found, strict=True))]
                for line in lines:
                    print(line, file=sys.stderr, flush=True)
            shown = sum(bool(task.visible_tests) for task in tasks)
            print(f"| {name} | {len(tasks)} | {shown} | {' | '.join(f'{count:,}' for count in counts)} |", flush=True)
            leaked += counts[-1]
    return 1 if leaked or not done else 0


if __name__ == "__main__":
    sys.exit(main())
