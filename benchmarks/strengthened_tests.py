"""Measures strengthened tests with EvalPlus, which their maker never sees.

Of programs that pass the tests of HumanEval or MBPP: which share of those that fail HumanEval+ or MBPP+ fail the new
tests too, and which share of those that pass? The programs are published samples, EvalPlus's reference solutions, and
four kinds of edited ones:

    mutant            one edit of gold, by the operators with which the maker chooses its tests
    two edits         of gold
    of the reference  one edit of EvalPlus's own solution, where that is not gold
    other edits       of gold, by operators of this file, which the maker does not know

    python benchmarks/strengthened_tests.py [--data-dir D] [--half all|first|second] [--cache FILE] [--most 16]

LeetCodeDataset's easy tasks (`--sets leetcode:easy`) are measured with their own test, of which the maker sees three
asserts.

Input: the published files in the data folder. Output: a Markdown table; on stderr, a line for each program that passes
EvalPlus's tests and fails the new ones, or fails EvalPlus's alone. "Refuted" are programs of the first sort for which
EvalPlus's reference, a text of its own, agrees with the new tests: they are wrong. Verdicts of EvalPlus are kept in the
cache.
"""

import argparse
import ast
import contextlib
import copy
import itertools
import json
import os
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from raccoon.integrity.fresh_inputs import published_inputs  # noqa: E402
from raccoon.published.benchmarks import BENCHMARKS, load_benchmark, read_rows  # noqa: E402
from raccoon.published.function_sets import ROOT as ROOT_TASK  # noqa: E402
from raccoon.published.function_sets import RULES  # noqa: E402
from raccoon.records import Program  # noqa: E402
from raccoon.sandbox.pool import Sandbox  # noqa: E402
from raccoon.store import AnswerCache, digest  # noqa: E402
from raccoon.strengthening.mutants import make_mutants, parse_shallow  # noqa: E402
from raccoon.strengthening.strengthen import CLOSE, MOST, Known, Strengthened, Work, begin, given_test, strengthen  # noqa: E402
from raccoon.strengthening.trials import DRIVER, NEVER, run_trials  # noqa: E402
from raccoon.tasks.extraction import extract_code  # noqa: E402
from raccoon.tasks.task import Task  # noqa: E402

DATA_DIR = os.environ.get("DATA_DIR") or str(ROOT.parent / "shared" / "data")
PAIRS = {"humaneval": "humanevalplus", "mbpp": "mbppplus", "leetcode:easy": "leetcode:easy"}
LABELS = ("wrong", "right", "wrong, gold wrong", "right, gold wrong")  # by EvalPlus
FIRST = 3  # asserts of LeetCodeDataset that are given
OF_EACH = {"humaneval": 12, "mbpp": 8, "leetcode": 8}  # programs of a kind for each task
TIMEOUT, PLUS_TIMEOUT = 4.0, 10.0  # CPU seconds
CHUNK = 32  # tasks at once
ROUNDS = 5  # of verdicts, to measure their time
COMPARE_TIMEOUT = 30.0  # CPU seconds of all programs of a task
COMPARE = """
import time


def within(seconds):
    end = time.process_time() + seconds
    return lambda: time.process_time() < end


def compare(programs, reference, inputs, how):
    out, space, in_time = prepare(), loaded(reference), within(2)
    first = space
    function = lambda: space[how["function"]]
    known = [(arguments, attempt(function(), arguments, how, 0.3)[:2]) for arguments in inputs if in_time()]
    known = [(arguments, right) for arguments, right in known if right[0] not in "!t"]
    for number, program in enumerate(programs):
        word, in_time = "right", within(4)
        try:
            space = loaded(program)
            for arguments, right in known:
                found = attempt(function(), arguments, how, 1.0)[:2]
                word = "slow" if found[0] == "t" or not in_time() else word if found == right else "wrong"
                if word == "wrong" and found[0] in "=?":
                    pair = [each[how["function"]](*copy.deepcopy(arguments)) for each in (space, first)]
                    word = "right" if _close(*pair) else "wrong"
                if word != "right":
                    break
        except BaseException:
            word = "wrong"
        print(number, word, file=out, flush=True)
"""
UNWRAPPED = frozenset("abs sorted list tuple set str int round reversed lower upper strip max min sum".split())
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "lower": "upper", "upper": "lower"}
SWAPPED |= {"isupper": "islower", "islower": "isupper", "append": "extend", "startswith": "endswith", "ceil": "floor"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=DATA_DIR)
    parser.add_argument("--half", choices=("all", "first", "second"), default="all")
    parser.add_argument("--cache", default="")
    parser.add_argument("--most", type=int, default=MOST)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cost", action="store_true", help="also measure what a verdict costs")
    parser.add_argument("--programs", action="store_true", help="only make the verdicts of EvalPlus")
    parser.add_argument("--sets", nargs="+", choices=list(PAIRS), default=list(PAIRS)[:2])
    options = parser.parse_args()
    cache = AnswerCache(options.cache or os.devnull)
    counts: dict[str, Counter] = defaultdict(Counter)
    with Sandbox(timeout=TIMEOUT) as first, Sandbox(timeout=TIMEOUT, hash_seed=1) as second:
        for name in options.sets:
            tasks, programs, references = corpus(name, PAIRS[name], options, first, cache)
            print(name, len(tasks), "tasks,", len(programs), "programs that pass", file=sys.stderr, flush=True)
            if options.programs:
                continue
            started, made = time.time(), list[Strengthened]()
            for start in range(0, len(tasks), CHUNK):
                made += strengthen(tasks[start : start + CHUNK], (first, second), options.most, options.seed)
            print(f"{name}: {time.time() - started:.0f} s", Counter(each.reason for each in made), file=sys.stderr)
            if options.cost:
                print_cost(name, made, first)
            measure(name, {each.task.task_id: each for each in made}, programs, references, first, counts)
    print_table(counts)


def print_table(counts: dict[str, Counter]) -> None:
    """Prints for each kind how many programs there are of each label, and how many fail the new tests."""
    print(f"| programs | {' | '.join(f'{label} | fail' for label in LABELS)} | right, refuted |")
    print(f"|---{'|---|---' * len(LABELS)}|---|")
    for kind, found in counts.items():
        killed = {label: found[f"{label} killed"] for label in LABELS}
        shares = [f"{number} ({number / max(1, found[label]):.1%})" for label, number in killed.items()]
        cells = [cell for label, share in zip(killed, shares, strict=True) for cell in (found[label], share)]
        print(f"| {kind} | {' | '.join(map(str, cells))} | {found['refuted']} |")


def corpus(
    name: str, plus_name: str, options, sandbox: Sandbox, cache: AnswerCache
) -> tuple[list[Task], list[tuple], dict[str, str]]:
    """The tasks of a half that both sets have, (task_id, kind, code, label) of programs that pass, and references.

    The label says whether they are right or wrong by EvalPlus, and whether EvalPlus refutes gold. The references are
    EvalPlus's solutions by task_id, where they are not gold.
    """
    plus = {task.task_id: task for task in load_benchmark(plus_name, options.data_dir)}
    tasks = [task for task in load_benchmark(name, options.data_dir) if task.task_id in plus]
    if name == plus_name:
        tasks = [replace(task, test=first_asserts(task.test)) for task in tasks]
    order = random.Random(0).sample(range(len(tasks)), len(tasks))
    half = {"all": order, "first": order[::2], "second": order[1::2]}[options.half]
    tasks = [tasks[place] for place in sorted(half)]
    samples = published_samples(options.data_dir, tasks) if name == "humaneval" else {}
    found = [
        (task, kind, code)
        for task in tasks
        for kind, code in programs_of(task, plus[task.task_id], samples.get(task.task_id, []))
    ]
    found = likely(found, sandbox)
    passing = judged([(Program.of(task, code), TIMEOUT) for task, _, code in found], sandbox, cache)
    found = [each for each, passes in zip(found, passing, strict=True) if passes]
    right = right_programs([(plus[task.task_id], code) for task, _, code in found], options.data_dir, sandbox, cache)
    gold = right_programs([(plus[task.task_id], task.solution) for task in tasks], options.data_dir, sandbox, cache)
    refuted = {task.task_id for task, passes in zip(tasks, gold, strict=True) if passes is False}
    known = [
        (task.task_id, kind, code, f"{'right' if passes else 'wrong'}{', gold wrong' * (task.task_id in refuted)}")
        for (task, kind, code), passes in zip(found, right, strict=True)
        if passes is not None
    ]
    others = {task.task_id: plus[task.task_id].solution for task in tasks}
    return tasks, known, {task.task_id: others[task.task_id] for task in tasks if others[task.task_id] != task.solution}


def first_asserts(test: str) -> str:
    """A test of LeetCodeDataset with its first asserts alone."""
    lines, asserts = test.split("\n"), [line for line in test.split("\n") if line.startswith("    assert ")]
    left_out = set(asserts[FIRST:])
    return "\n".join(line for line in lines if line not in left_out)


def likely(found: list[tuple], sandbox: Sandbox) -> list[tuple]:
    """The programs that give gold's results for the calls in the given test: many of the others never end."""
    by_task = defaultdict(list)
    for task, _, code in found:
        by_task[task.task_id].append(code)
    tasks = list({task.task_id: task for task, _, _ in found}.values())
    works = {task.task_id: work for task in tasks if isinstance(work := begin(task, random.Random(0), Known()), Work)}
    given = {task_id: [each.arguments for each in work.given] for task_id, work in works.items()}
    right = run_trials([work.trial(given[name], [work.task.solution]) for name, work in works.items()], sandbox)
    trials = [
        work.trial(given[name], by_task[name], wanted=tuple(each.digest for each in known))
        for (name, work), known in zip(works.items(), right, strict=True)
    ]
    bad = set()
    for name, known, lines in zip(works, right, run_trials(trials, sandbox), strict=True):
        if any(each.letter == "t" for each in known):  # gold is too slow to be asked here
            continue
        bad |= {(name, code) for code, line in zip(by_task[name], lines, strict=True) if line.digest != "0"}
    return [(task, kind, code) for task, kind, code in found if (task.task_id, code) not in bad]


def right_programs(
    pairs: list[tuple[Task, str]], data_dir: str, sandbox: Sandbox, cache: AnswerCache
) -> list[bool | None]:
    """Whether each program passes EvalPlus's test; None if it is slow, which need not be wrong.

    All programs of a task run in one child with the reference: a verdict for each would take twenty times as long. The
    verdict decides for tasks with a rule of their own, and for programs with which the child ends.
    """
    keys = [digest("compared 3", plus.task_id, code) for plus, code in pairs]  # the third form of COMPARE
    missing = defaultdict(list)
    for key, (plus, code) in zip(keys, pairs, strict=True):
        if key not in cache.values:
            missing[plus.task_id].append((key, plus, code))
    published = published_inputs(
        [replace(plus, source=plus.source.removesuffix("plus")) for plus, _ in pairs], data_dir
    )
    compared = [name for name in missing if name not in RULES and name != ROOT_TASK and name in published]
    programs, unsure = [], [each for name in missing if name not in compared for each in missing[name]]
    for name in compared:
        fresh, plus = published[name], missing[name][0][1]
        how = {"function": plus.entry_point, "names": (), "truth": False, "any_order": False, "exact": False}
        codes = [f"{plus.context}\n{code}" for _, _, code in missing[name]]
        call = f"compare({codes!r}, {fresh.reference!r}, {fresh.inputs!r}, {how!r})"
        programs.append(
            Program(f"{DRIVER}\n{CLOSE}\n{COMPARE}\n{call}\n", NEVER, timeout=COMPARE_TIMEOUT, kind="program")
        )
    print(len(programs), "tasks are compared", file=sys.stderr, flush=True)
    for name, verdict in zip(compared, sandbox.stream(programs), strict=True):
        lines = dict(re.findall(r"^(\d+) (right|wrong|slow)$", verdict.output, re.MULTILINE))
        for number, each in enumerate(missing[name]):
            if str(number) in lines:
                cache.put(each[0], {"right": True, "wrong": False}.get(lines[str(number)]))
            else:
                unsure.append(each)
    print(len(unsure), "are judged alone", file=sys.stderr, flush=True)
    passing = judged([(Program.of(plus, code), PLUS_TIMEOUT) for _, plus, code in unsure], sandbox, cache)
    for (key, _, _), passes in zip(unsure, passing, strict=True):
        cache.put(key, passes)
    return [cache.values[key] for key in keys]


def judged(programs: Sequence[tuple[Program, float]], sandbox: Sandbox, cache: AnswerCache) -> list[bool]:
    """Whether each program passes."""
    made = [Program(**(vars(program) | {"timeout": timeout})) for program, timeout in programs]
    keys = [digest(each.code, each.test, each.context, each.timeout) for each in made]
    missing = {key: each for key, each in zip(keys, made, strict=True) if key not in cache.values}
    print(len(missing), "verdicts are missing", file=sys.stderr, flush=True)
    for (key, _), verdict in zip(missing.items(), sandbox.stream(missing.values()), strict=True):
        cache.put(key, verdict.status == "PASS")
    return [cache.values[key] for key in keys]


def programs_of(task: Task, plus: Task, samples: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(kind, code) of the programs for a task, each once."""
    number, rng, seen = OF_EACH[task.source], random.Random(task.task_id), {task.solution}
    mutants = make_mutants(task.solution, 40)
    groups = {
        "sample": list(samples),
        "EvalPlus's reference": [plus.solution],
        "mutant": some(mutants, number, rng),
        "two edits": [code for one in some(mutants, number, rng) for code in some(make_mutants(one, 8), 1, rng)],
        "of the reference": some(make_mutants(plus.solution, 40), number, rng),
        "other edits": other_edits(task.solution, 2 * number, rng),
    }
    for kind, codes in groups.items():
        for code in codes:
            if code not in seen:
                seen.add(code)
                yield kind, code


def some(codes: list[str], number: int, rng: random.Random) -> list[str]:
    return rng.sample(codes, min(number, len(codes)))


def published_samples(data_dir: str, tasks: Sequence[Task]) -> dict[str, list[str]]:
    """task_id -> the programs of all sample files; a completion continues its prompt or stands alone."""
    stubs = {row["task_id"]: row["prompt"] for row in read_rows(Path(data_dir) / BENCHMARKS["humaneval"].file, "")}
    known, found = {task.task_id: task for task in tasks}, defaultdict(list)
    for path in sorted(Path(data_dir, "samples").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if task := known.get(row["task_id"]):
                found[task.task_id] += [extract_code(row["completion"], task), stubs[task.task_id] + row["completion"]]
    return found


def other_edits(code: str, number: int, rng: random.Random) -> list[str]:
    """Some programs that are one edit away by none of the maker's operators."""
    tree = parse_shallow(code)
    size = sum(1 for _ in edits(tree)) if tree else 0
    found = {}
    for place in rng.sample(range(size), min(number, size)):
        changed = copy.deepcopy(tree)
        next(itertools.islice(edits(changed), place, None))()
        with contextlib.suppress(ValueError, AttributeError):  # it has no text
            found[ast.unparse(ast.fix_missing_locations(changed))] = None
    return list(found)


def edits(tree: ast.Module) -> Iterator:
    """Functions that each make an edit in the tree."""
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            places = enumerate(value) if isinstance(value, list) else ()
            for setter, child in [(lambda new, n=name, owner=node: setattr(owner, n, new), value)] + [
                (lambda new, p=place, v=value: v.__setitem__(p, new), item) for place, item in places
            ]:
                for new in changes(child):
                    yield lambda setter=setter, new=new: setter(new)
        body = getattr(node, "body", None)
        for place, statement in enumerate(body if isinstance(body, list) else ()):
            if isinstance(statement, ast.If):
                inner, orelse = statement.body, statement.orelse
                yield lambda b=body, p=place, inner=inner: b.__setitem__(slice(p, p + 1), inner)
                yield lambda b=body, p=place, orelse=orelse: b.__setitem__(slice(p, p + 1), orelse or [ast.Pass()])
            elif isinstance(statement, ast.Assign):
                yield lambda b=body, p=place, s=statement: b.insert(p + 1, s)


def changes(node) -> Iterator[ast.AST]:
    """What an expression may become."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in SWAPPED:
            new = copy.deepcopy(node)
            setattr(new.func, "id" if isinstance(new.func, ast.Name) else "attr", SWAPPED[name])
            yield new
        if name in UNWRAPPED and node.args:
            yield node.args[0]
        elif name in UNWRAPPED and isinstance(node.func, ast.Attribute):
            yield node.func.value
        if len(node.args) > 1:
            yield ast.Call(node.func, node.args[:-1], node.keywords)
            yield ast.Call(node.func, node.args[::-1], node.keywords)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield from (ast.Constant(each) for each in (0, node.value - 1, -node.value) if each != node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 30:
        yield ast.Constant(node.value[:-1])
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        yield from node.values
    elif isinstance(node, ast.BinOp):
        yield from (node.left, node.right)
        if not isinstance(node.op, (ast.Add, ast.Mult)):
            yield ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.Compare):
        yield from (ast.Constant(True), ast.Constant(False))
    elif isinstance(node, ast.Slice):
        yield ast.Slice(None, node.upper, node.step)
        yield ast.Slice(node.lower, None, node.step)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield ast.comprehension(node.target, node.iter, [], node.is_async)


def print_cost(name: str, made: list[Strengthened], sandbox: Sandbox) -> None:
    """Prints the mean time of gold's verdicts with the given tests and with all, in turns."""
    seconds: Counter[str] = Counter()
    for _ in range(ROUNDS):
        for label in ("given", "all"):
            tests = [given_test(each.task.test) if label == "given" else each.task.test for each in made]
            pairs = zip(made, tests, strict=True)
            verdicts = sandbox.run([Program.of(each.task, each.task.solution, test=test) for each, test in pairs])
            seconds[label] += sum(verdict.seconds for verdict in verdicts)
    times = {label: 1000 * found / ROUNDS / len(made) for label, found in seconds.items()}
    print(f"{name}: a verdict takes {times['given']:.2f} ms with the given tests and {times['all']:.2f} ms with all")


def measure(
    name: str,
    made: dict[str, Strengthened],
    programs: list[tuple],
    references: dict[str, str],
    sandbox: Sandbox,
    counts: dict,
) -> None:
    """Counts the programs that the new tests fail, and the right ones of them that the reference contradicts too.

    If gold and the reference pass the new tests, a program that fails them is wrong on an input that EvalPlus lacks.
    """
    asked = [Program.of(made[task_id].task, code) for task_id, code in references.items()]
    agreed = {name for name, verdict in zip(references, sandbox.stream(asked), strict=True) if verdict.status == "PASS"}
    tested = [Program.of(made[task_id].task, code) for task_id, _, code, _ in programs]
    for (task_id, kind, code, label), verdict in zip(programs, sandbox.stream(tested), strict=True):
        killed = verdict.status != "PASS"
        refuted = killed and label == "right" and task_id in agreed
        for row in (f"{name}: {kind}", f"{name}: all", "all"):
            counts[row][label] += 1
            counts[row][f"{label} killed"] += killed
            counts[row]["refuted"] += refuted
        if killed == label.startswith("right"):
            test, found = made[task_id].task.test.split("\n"), re.search(r"test line (\d+)", verdict.reason)
            line = {"task_id": task_id, "kind": kind, "label": label, "refuted": refuted, "reason": verdict.reason}
            line |= {"assert": test[int(found[1]) - 1] if found else "", "code": code, "why": made[task_id].reason}
            print(json.dumps(line), file=sys.stderr)


if __name__ == "__main__":
    main()
