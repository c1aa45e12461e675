"""New tests for tasks: inputs like those of the given asserts, results of the gold solution, and a choice among them.

Gold runs in the sandbox, twice, with two seeds of hashes and of `random`. An input is used if both runs give the same
plain value, in short time and without output. If gold raises, the input may be one that the task does not allow, so it
is no test. Of these inputs a few are chosen that show most wrong programs to be wrong: mutants of gold, and code that
the caller has. The new asserts have the form of the given ones; floats may differ by 1e-6, as in EvalPlus.

A task of which this is not sure stays as it is.
"""

import ast
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.strengthening.given import (
    CALL,
    EXPECTED,
    OPEN_ORDER,
    PLAIN,
    TRUTH,
    Given,
    Values,
    call_text,
    callee,
    common_form,
    given_calls,
)
from raccoon.strengthening.inputs import new_inputs
from raccoon.strengthening.mutants import make_mutants, make_probes, make_stubs
from raccoon.strengthening.trials import RESEED, Called, Trial, run_trials
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import Task

VERSION = 2  # of what this file makes; it stands in each task
MARK = "# New tests, with the results of the solution"
MOST = 16  # new asserts of a task, unless the caller wants another number
INPUTS = 250  # that are tried for each task
MUTANTS = 60  # of gold
ENOUGH_OTHERS = 4  # independent programs that pass the given test, to contradict gold
SURVIVOR, KILLED = 8.0, 0.2  # weights of a wrong program that passes the given test, and of one that fails it
NEW_RESULT = 0.5  # weight of a result that no chosen input has
NEW_EDGE = {"edge": 1.0, "exchange": 3.0, "other": 0.0}  # weight of a kind of input that is not chosen yet
VARIED = 0.5  # weight of an input of many characters: few are wrong on what is small and uniform alone
NO_INPUT = "gold gives no usual result on new inputs"
# Results where there is nothing to return, and the words of a prompt that speak of them
EMPTY = {
    "None": ["none", "null"],
    "0": [r"\b0\b", "zero"],
    "-1": ["-1"],
    "''": ["empty", "''", '""'],
    "[]": ["empty", r"\[\]"],
    "()": ["empty", r"\(\)"],
    "{}": ["empty", r"\{\}"],
    "set()": ["empty"],
}
UNUSABLE = {"!": "gold raises on new inputs", "t": "gold is slow on new inputs"}  # by a letter of driver.py
MOST_CHARS = 300  # of a new assert's arguments

# How floats compare. It stands above the new asserts of a task that has some.
CLOSE = """\
def _close(found, wanted):
    if isinstance(wanted, float):
        return isinstance(found, (int, float)) and abs(found - wanted) <= 1e-6 * max(1, abs(wanted))
    if isinstance(wanted, (list, tuple)):
        return type(found) is type(wanted) and len(found) == len(wanted) and all(map(_close, found, wanted))
    if isinstance(wanted, dict):
        same = isinstance(found, dict) and found.keys() == wanted.keys()
        return same and all(_close(found[key], wanted[key]) for key in wanted)
    return found == wanted
"""
SAME_ITEMS = "sorted({}, key=repr) == sorted({}, key=repr)"


@dataclass(frozen=True)
class Strengthened:
    """A task with new tests, and their number; or the task as it was, and why."""

    task: Task
    added: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Known:
    """A caller's programs for a task: those that a policy under training wrote, and those of other authors.

    Authors who agree may be right against gold. A policy that has found a gap in the test agrees with itself.
    """

    wrong: tuple[str, ...] = ()
    independent: tuple[str, ...] = ()


@dataclass
class Work:
    """What is known of a task while it is strengthened."""

    task: Task
    given: list[Given]
    form: str
    any_order: bool
    inputs: list[Values]
    kinds: list[str]  # of the inputs
    function: str
    wrong: list[str]  # probes, mutants, wrong programs of the caller, then independent ones
    probes: int
    others: int  # the independent ones

    @property
    def names(self) -> tuple[str, ...]:
        return self.given[0].names

    def trial(self, inputs: Sequence[Values], programs: Sequence[str], before: str = "", **more) -> Trial:
        """Programs on inputs, behind the task's context and perhaps more text."""
        above = f"{before}{self.task.context}\n"
        texts = tuple(above + program for program in programs)
        truth = self.form in TRUTH
        return Trial(texts, self.function, tuple(inputs), self.names, truth, self.any_order, **more)


def strengthen(
    tasks: Sequence[Task],
    sandboxes: tuple[Sandbox, Sandbox],
    most: int,
    seed: int = 0,
    known: Mapping[str, "Known"] | None = None,
) -> list[Strengthened]:
    """Each task with at most `most` new asserts. `sandboxes` have two seeds of hashes; `known`: code by task_id."""
    found: dict[int, Strengthened] = {}
    works: dict[int, Work] = {}
    for place, task in enumerate(tasks):
        work = begin(task, random.Random(f"{seed} {task.task_id}"), (known or {}).get(task.task_id, Known()))
        if isinstance(work, Work):
            works[place] = work
        else:
            found[place] = Strengthened(task, 0, work)
    usable = usable_inputs([*works.values()], sandboxes)
    chosen: dict[int, Strengthened] = {}
    kills = killed_by([*works.values()], usable, sandboxes[0])
    for (place, work), results, killed in zip(works.items(), usable, kills, strict=True):
        if isinstance(results, str):
            found[place] = Strengthened(work.task, 0, results)
            continue
        picked = choose(work, results, killed, most)
        if not picked:
            found[place] = Strengthened(work.task, 0, "other programs contradict gold")
            continue
        calls = [(work.inputs[number], results[number + len(work.given)].literal) for number in picked]
        chosen[place] = Strengthened(with_tests(work, calls, seed), len(calls))
    found |= confirmed(chosen, tasks, sandboxes)
    return [found[place] for place in range(len(tasks))]


def begin(task: Task, rng: random.Random, known: Known) -> Work | str:
    """What to do for a task, or why nothing can be done."""
    if task.kind != "function":
        return "it is a whole program"
    if not task.solution:
        return "it has no solution"
    if MARK in task.test:
        return "it has new tests already"
    given = [each for each in given_calls(task) if each.form]
    signature = (given[0].names, len(given[0].arguments)) if given else ()
    given = [each for each in given if (each.names, len(each.arguments)) == signature]
    if not given or not task.entry_point:
        return "no assert calls it with literals and compares the result with one"
    form = common_form(given)
    if not form:
        return "its asserts compare in several ways"
    shown = given_calls(replace(task, test=task.visible_tests))  # the prompt's examples, of which some are no asserts
    alike = [each.arguments for each in [*given, *shown] if (each.names, len(each.arguments)) == signature]
    made = new_inputs([*{repr(each): each for each in alike}.values()], task.prompt, INPUTS, rng)
    made = [(kind, values) for kind, values in made if len(repr(values)) <= MOST_CHARS]
    kinds, inputs = [kind for kind, _ in made], [values for _, values in made]
    if not inputs:
        return "no new input is like the given ones"
    any_order = is_order_open(task.solution) or any(f"{name}(" in form for name in OPEN_ORDER)
    probes = make_probes(task.solution, task.prompt, told(task.prompt))
    wrong = [*probes, *make_mutants(task.solution, MUTANTS), *known.wrong, *known.independent]
    return Work(task, given, form, any_order, inputs, kinds, callee(task), wrong, len(probes), len(known.independent))


def is_order_open(solution: str) -> bool:
    """Whether a solution may take the order of its result from a set: it makes one and sorts nothing."""
    tree = parse_code(solution)
    nodes = list(ast.walk(tree)) if tree else []
    names = {getattr(node.func, "id", getattr(node.func, "attr", "")) for node in nodes if isinstance(node, ast.Call)}
    makes = any(isinstance(node, (ast.Set, ast.SetComp)) for node in nodes) or names & {"set", "frozenset"}
    return bool(makes) and not names & {"sorted", "sort"}


def usable_inputs(works: Sequence[Work], sandboxes: tuple[Sandbox, Sandbox]) -> list[dict[int, Called] | str]:
    """For each task the results of gold by the number of the input, the given ones first; or why it has none."""
    everything = [[*(each.arguments for each in work.given), *work.inputs] for work in works]
    pairs = [*zip(works, everything, strict=True)]
    asked = [work.trial(inputs, [work.task.solution], literals=True) for work, inputs in pairs]
    again = [work.trial(inputs, [work.task.solution], RESEED) for work, inputs in pairs]
    found: list[dict[int, Called] | str] = []
    for work, one, other in zip(works, run_trials(asked, sandboxes[0]), run_trials(again, sandboxes[1]), strict=True):
        known = len(work.given)
        letters = Counter(each.letter for each in one)
        plain = {n: each for n, each in enumerate(one) if each.letter == "=" and each.literal}
        same = {n: each for n, each in plain.items() if other[n].exact == each.exact}
        if any(other[n].letter == "=" for n in plain.keys() - same.keys()):
            found.append("gold gives another result the second time")
        elif letters[">"]:
            found.append("gold prints")
        elif not all(n in same for n in range(known)):
            slow = any(each.letter == "t" for each in one[:known])
            found.append("gold is slow on the given inputs" if slow else "gold returns no plain values")
        else:
            like = results_like([same[n].literal for n in range(known)], work.task.prompt)
            same = {n: each for n, each in same.items() if n < known or like(each.literal)}
            found.append(same if len(same) > known else UNUSABLE.get(letters.most_common(1)[0][0], NO_INPUT))
    return found


def results_like(given: Sequence[str], prompt: str) -> Callable[[str], bool]:
    """Whether a result is of a kind that the given ones have: of their types and, if it is empty, like one of them.

    What a function returns where there is nothing to return (None, 0, -1, "", []) is its author's choice, unless the
    test or the prompt shows it. So is a negative number where no given result has one.
    """
    values = [ast.literal_eval(each) for each in given]
    kinds = {kind_of(value) for value in values}
    shown = {repr(value) for value in values}
    below = any(map(has_negative, values))
    said = told(prompt)

    def like(text: str) -> bool:
        value = ast.literal_eval(text)
        empty = repr(value) if not isinstance(value, (float, bool)) else repr(int(value))
        is_empty = empty in EMPTY and not isinstance(value, bool)
        usual = kind_of(value) in kinds and (below or not has_negative(value))
        return usual and (not is_empty or empty in shown or empty in said)

    return like


def told(prompt: str) -> list[str]:
    """The results for nothing of which a prompt speaks, its examples aside."""
    text = re.sub(r"[\[({].*?[\])}]|\W\d+ *(,|==|>)", " ", prompt.lower())
    return [empty for empty, words in EMPTY.items() if any(re.search(word, text) for word in words)]


def has_negative(value) -> bool:
    """Whether a value is a negative number or holds one."""
    if isinstance(value, (list, tuple, set)):
        return any(map(has_negative, value))
    return has_negative([*value.values()]) if isinstance(value, dict) else isinstance(value, (int, float)) and value < 0


def kind_of(value) -> str:
    """The type of a result, int and float as one."""
    return "number" if type(value) in (int, float) else type(value).__name__


def killed_by(works: Sequence[Work], usable: Sequence[dict[int, Called] | str], sandbox: Sandbox) -> list[list[int]]:
    """For each task a number for each wrong program: bit i is set if input i of `usable` shows that it is wrong."""
    able = [(place, each) for place, each in enumerate(usable) if not isinstance(each, str)]
    trials = []
    for place, results in able:
        work = works[place]
        everything = [*(each.arguments for each in work.given), *work.inputs]
        wanted = tuple(each.digest for each in results.values())
        trials.append(work.trial([everything[number] for number in results], work.wrong, wanted=wanted))
    found: list[list[int]] = [[] for _ in works]
    for (place, results), lines in zip(able, run_trials(trials, sandbox), strict=True):
        all_of_them = (1 << len(results)) - 1
        found[place] = [int(each.digest, 16) if each.letter == "#" else all_of_them for each in lines]
    return found


def disputed(killed: Sequence[int], work: Work) -> int:
    """The inputs, as bits, on which gold may be wrong, or one right program of several.

    On these most of the independent programs that pass the given test differ from gold (fewer than ENOUGH_OTHERS prove
    nothing), or a probe does: the result is a default that the given test does not show.
    """
    shown = (1 << len(work.given)) - 1
    passing = [bits for bits in killed[len(killed) - work.others :] if not bits & shown]
    places = range(max((bits.bit_length() for bits in passing), default=0) if len(passing) >= ENOUGH_OTHERS else 0)
    found = sum(1 << place for place in places if 2 * sum(bits >> place & 1 for bits in passing) > len(passing))
    for bits in killed[: work.probes]:
        found |= bits if not bits & shown else 0
    return found


def choose(work: Work, results: Mapping[int, Called], killed: Sequence[int], most: int) -> list[int]:
    """At most `most` of the new inputs, those that kill most wrong programs first.

    A program that an earlier input kills counts half for the next, and so on, so that each is killed in several ways.
    A result or an edge of its own counts too: a model's mistakes are not those of an edit.
    """
    given, left_out = len(work.given), disputed(killed, work)
    shown = (1 << given) - 1
    weights = [SURVIVOR if not bits & shown else KILLED for bits in killed]
    weights[: work.probes] = [0.0] * work.probes
    left = {bit: number for bit, number in enumerate(results) if bit >= given and not left_out >> bit & 1}
    kills = {bit: [place for place, bits in enumerate(killed) if bits >> bit & 1] for bit in left}
    picked: list[int] = []
    seen = Counter(results[number].digest for number in range(given))
    edges: Counter[str] = Counter()
    while left and len(picked) < most:
        gains = {}
        for bit, number in left.items():
            kind = work.kinds[number - given]
            gain = sum(weights[place] for place in kills[bit])
            gain += NEW_RESULT / (1 + seen[results[number].digest])
            gain += VARIED * min(1, len(set(repr(work.inputs[number - given]))) / 20)
            gains[bit] = gain + NEW_EDGE[kind.partition(" ")[0]] / 4 ** edges[kind]
        best = max(left, key=lambda bit: gains[bit])
        number = left.pop(best)
        picked.append(number - given)
        seen[results[number].digest] += 1
        edges[work.kinds[number - given]] += 1
        for place in kills[best]:
            weights[place] /= 2
    return sorted(picked)


def with_tests(work: Work, calls: Sequence[tuple[Values, str]], seed: int) -> Task:
    """The task with asserts on these calls behind its test."""
    lines = [f"{MARK} (version {VERSION}, seed {seed})."]
    asserts = [f"assert {condition(work, arguments, result)}" for arguments, result in calls]
    if any("_close(" in line for line in asserts):
        lines.append(CLOSE)
    test = work.task.test.rstrip("\n") + "\n\n" + "\n".join([*lines, *asserts]) + "\n"
    origin = read_origin(work.task.origin) | {"new_tests": {"version": VERSION, "seed": seed, "number": len(calls)}}
    return replace(work.task, test=test, origin=json.dumps(origin))


def read_origin(text: str) -> dict:
    """The JSON object of a task's origin; one that holds the text if it is something else."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"origin": text}


def condition(work: Work, arguments: Values, result: str) -> str:
    """The condition of one new assert."""
    call, form = call_text(work.function, arguments, work.names), work.form
    value = ast.literal_eval(result)
    if form in TRUTH:
        return call if value else f"not {call}"
    if " is " in form and value not in (True, False, None):
        form = PLAIN
    if form == PLAIN and work.any_order and isinstance(value, (list, tuple)):
        return SAME_ITEMS.format(call, result)
    if form == PLAIN and isinstance(value, float):  # without a function the judge is ten times as fast
        return f"abs({call} - {result}) <= {1e-6 * max(1, abs(value)):.3g}"
    if form == PLAIN and has_float(value):
        return f"_close({call}, {result})"
    return form.replace(CALL, call).replace(EXPECTED, result)


def has_float(value) -> bool:
    """Whether a value is a float or holds one."""
    if isinstance(value, dict):
        return any(map(has_float, value.values()))
    return isinstance(value, float) or isinstance(value, (list, tuple)) and any(map(has_float, value))


def confirmed(
    chosen: Mapping[int, Strengthened], tasks: Sequence[Task], sandboxes: tuple[Sandbox, Sandbox]
) -> dict[int, Strengthened]:
    """The tasks whose gold passes the new test too, in both sandboxes, while no stub does; the others as they were."""
    reasons: dict[int, str] = {}
    for sandbox, before in zip(sandboxes, ("", RESEED), strict=True):
        programs = [
            Program.of(each.task, each.task.solution, context=each.task.context + before) for each in chosen.values()
        ]
        for place, verdict in zip(chosen, sandbox.run(programs), strict=True):
            if verdict.status != "PASS" or verdict.isolation != "separate":
                reasons.setdefault(place, f"gold does not pass the new test ({verdict.kind}, {verdict.isolation})")
    stubs = [(place, stub) for place, each in chosen.items() for stub in make_stubs(each.task)[:1]]
    verdicts = sandboxes[0].run([Program.of(chosen[place].task, stub) for place, stub in stubs])
    for (place, _), verdict in zip(stubs, verdicts, strict=True):
        if verdict.status == "PASS":
            reasons.setdefault(place, "a stub passes the new test")
    return {
        place: Strengthened(tasks[place], 0, reasons[place]) if place in reasons else each
        for place, each in chosen.items()
    }


def given_test(test: str) -> str:
    """A task's test as it was before it got new tests."""
    return test.partition(f"\n\n{MARK}")[0] + "\n" if MARK in test else test
