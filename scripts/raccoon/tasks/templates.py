"""Compositional programming tasks from templates: keep some items, change each, reduce the rest.

A task is one filter, one map and one reduce over the integers of a list, the characters of a string or the words of a
string. It has a prompt, a reference solution and a test program. 15 % of the composition kinds are held out: no
training task has them. It does not measure general coding ability.

    python -c "from raccoon.tasks import templates as t; print(t.generate_tasks(1, seed=0)[0].prompt)" # from scripts/

Callers write the task files (scripts/demo_model.py, create_synthetic_data.py).
"""

import hashlib
import itertools
import random
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace

from raccoon.constants import InputError
from raccoon.tasks.task import Task

HELDOUT_SHARE = 0.15  # of the composition kinds; a hash of the kind's name decides
MIN_ANSWERS = 5  # distinct answers in a test program, so that no constant can pass
ENOUGH_ANSWERS = 7  # with so many distinct answers, a test is added only if it refutes a mistake that still passes
CANDIDATES = 40  # inputs tried for a test program

# The imperfect teacher. Most of its authors share the common mistakes, so a model that imitates them is wrong even in
# its most likely answer. Slips are rare, and a model that imitates many authors averages them out.
MISCONCEPTION_RATE = 0.62  # for each component whose mistake is common
SLIP_RATE = 0.08  # for each other component
BROKEN_RATE = 0.06  # programs with a line that does not run
TELLING = 4  # random inputs of which a teacher sees the longest
REPAIR_RATE = 0.7  # for each component, once the teacher has read feedback
DOCSTRING_RATE = 0.6
TYPE_HINT_RATE = 0.6
BREAKS = (  # text of a solution, and what a broken one has instead
    ("result = []", "results = []"),
    (":\n        if", "\n        if"),
    (")\n    return", "\n    return"),
)

FUNCTIONS = ("solve", "compute", "calc", "process", "answer", "run")
PHRASINGS = (
    "Write a function {function}({argument}) that returns {goal}.",
    "Implement {function}({argument}). It should return {goal}.",
    "Define {function}({argument}) in Python; the result is {goal}.",
)
PARTS = ("filter", "map", "reduce")  # of a TaskKind
# {k} begins at 3: "divisible by 2" means "even", so one could be held out while the other is trained on.
CONSTANTS = {"k": tuple(range(3, 10)), "j": tuple(range(2, 10)), "c": tuple("aeimnorst")}


@dataclass(frozen=True)
class Component:
    """One row of a table: its words in the prompt, its code, and the code of a mistaken author.

    {x} is the item; {k}, {j} and {c} are constants; {e} is the answer for an empty result. A reduce's code is the lines
    after the loop, over the list `result`. `common` mistakes are those that most of the teacher's authors make. `type`
    is a map's item type or a reduce's return type ({t}: the item type).
    """

    name: str
    phrase: str
    code: str
    mistake: str
    common: bool = False
    type: str = "int"


def components(table: str) -> tuple[Component, ...]:
    """The rows of a table: name | phrase | code | mistake, and the type if it is not int. * marks a common mistake."""
    rows = [[cell.strip() for cell in line.split(" | ")] for line in table.strip().splitlines()]
    return tuple(
        Component(name.rstrip("*"), phrase, code, mistake, name.endswith("*"), *kind)
        for name, phrase, code, mistake, *kind in rows
    )


def reduces(table: str) -> tuple[Component, ...]:
    """The same for reduces that only return an expression."""
    return tuple(replace(row, code=f"return {row.code}", mistake=f"return {row.mistake}") for row in components(table))


INT_FILTERS = components("""
positive*   | that are positive                 | {x} > 0        | {x} >= 0
negative    | that are negative                 | {x} < 0        | {x} <= 0
even        | that are even                     | {x} % 2 == 0   | {x} % 2 == 1
odd         | that are odd                      | {x} % 2 == 1   | {x} % 2 == 0
above*      | that are greater than {k}         | {x} > {k}      | {x} >= {k}
below       | that are less than {k}            | {x} < {k}      | {x} <= {k}
at_least*   | that are at least {k}             | {x} >= {k}     | {x} > {k}
at_most     | that are at most {k}              | {x} <= {k}     | {x} < {k}
multiple    | that are divisible by {k}         | {x} % {k} == 0 | {x} // {k} == 0
no_multiple | that are not divisible by {k}     | {x} % {k} != 0 | {x} % {k} == 0
other_than  | that differ from {k}              | {x} != {k}     | {x} > {k}
far*        | whose absolute value is above {k} | abs({x}) > {k} | {x} > {k}
""")
INT_MAPS = components("""
same        |                                             | {x}           | {x} + 1
square      | the squares of                              | {x} * {x}     | {x} * 2
cube*       | the cubes of                                | {x} ** 3      | {x} * 3
times       | {j} times each of                           | {x} * {j}     | {x} ** {j}
negate      | the negatives of                            | -{x}          | abs({x})
absolute    | the absolute values of                      | abs({x})      | -{x}
plus        | the results of adding {j} to                | {x} + {j}     | {x} * {j}
minus*      | the results of subtracting {j} from         | {x} - {j}     | {j} - {x}
from        | the results of subtracting from {j} each of | {j} - {x}     | {x} - {j}
remainder   | the remainders modulo {j} of                | {x} % {j}     | {x} // {j}
quotient*   | the floor quotients by {j} of               | {x} // {j}    | {x} / {j}
last_digit* | the last decimal digits of                  | abs({x}) % 10 | {x} % 10
""")
PRODUCT = "total = {}\nfor item in result:\n    total *= item\nreturn total"
INT_REDUCES = (
    Component("sum", "the sum of", "return sum(result)", "return max(result)"),
    Component("product", "the product (1 if there are none) of", PRODUCT.format(1), PRODUCT.format(0), common=True),
    *reduces("""
count_distinct | the number of distinct values among   | len(set(result))             | len(result)
smallest       | the smallest (0 if there are none) of | min(result, default=0)       | min(result)
largest        | the largest (0 if there are none) of  | max(result, default=0)       | sorted(result)[-1]
first          | the first (0 if there are none) of    | result[0] if result else 0   | result[0]
last*          | the last (0 if there are none) of     | result[-1] if result else 0  | result[-1]
list           | the list of                           | result                       | sorted(result)     | list[int]
ascending*     | the list in ascending order of        | sorted(result)               | result.sort()      | list[int]
descending     | the list in descending order of       | sorted(result, reverse=True) | sorted(result)     | list[int]
backwards*     | the list in reverse order of          | result[::-1]                 | result.reverse()   | list[int]
"""),
    Component(
        "spread",
        "the largest minus the smallest (0 if there are none) of",
        "return max(result) - min(result) if result else 0",
        "return max(result) - min(result)",
        common=True,
    ),
)
CHAR_FILTERS = components("""
vowel*     | that are vowels             | {x}.lower() in "aeiou"     | {x} in "aeiou"
no_vowel   | that are not vowels         | {x}.lower() not in "aeiou" | {x} not in "aeiou"
digit      | that are digits             | {x}.isdigit()              | {x}.isalnum()
letter*    | that are letters            | {x}.isalpha()              | {x}.isalnum()
upper      | that are upper case         | {x}.isupper()              | {x}.islower()
lower      | that are lower case         | {x}.islower()              | {x}.isupper()
no_space   | that are not spaces         | {x} != " "                 | {x} == " "
other_than | that differ from '{c}'      | {x} != "{c}"               | {x} == "{c}"
after*     | that are greater than '{c}' | {x} > "{c}"                | {x} >= "{c}"
""")
CHAR_MAPS = components("""
same   |                       | {x}            | {x}.lower() | str
upper  | the upper case of     | {x}.upper()    | {x}.lower() | str
lower  | the lower case of     | {x}.lower()    | {x}.upper() | str
swap*  | the swapped case of   | {x}.swapcase() | {x}.upper() | str
double | two copies of each of | {x} * 2        | {x} + 2     | str
""")
CHAR_REDUCES = reduces("""
join           | the string made of                  | "".join(result)              | result          | str
dashes         | the string with dashes between      | "-".join(result)             | "".join(result) | str
backwards*     | the reversed string made of         | "".join(result[::-1])        | result[::-1]    | str
list           | the list of                         | result                       | "".join(result) | list[str]
ascending*     | the sorted list of                  | sorted(result)               | result.sort()   | list[str]
count          | the number of                       | len(result)                  | result
count_distinct | the number of distinct values among | len(set(result))             | len(result)
first          | the first ('' if there are none) of | result[0] if result else ""  | result[0]       | str
last*          | the last ('' if there are none) of  | result[-1] if result else "" | result[-1]      | str
""")
WORD_FILTERS = components("""
longer*      | longer than {k} letters        | len({x}) > {k}            | len({x}) >= {k}
up_to        | of at most {k} letters         | len({x}) <= {k}           | len({x}) < {k}
even_length  | with an even number of letters | len({x}) % 2 == 0         | len({x}) % 2 == 1
contains     | that contain '{c}'             | "{c}" in {x}              | "{c}" not in {x}
lacks        | that do not contain '{c}'      | "{c}" not in {x}          | "{c}" in {x}
vowel_first* | that start with a vowel        | {x}[0].lower() in "aeiou" | {x}[0] in "aeiou"
capital*     | that start with a capital      | {x}[0].isupper()          | {x}.isupper()
lower        | in lower case                  | {x}.islower()             | {x}.isupper()
""")
WORD_MAPS = components("""
same        |                                     | {x}         | {x}.lower() | str
length      | the lengths of                      | len({x})    | {x}
upper       | the upper case of                   | {x}.upper() | {x}.lower() | str
backwards   | the reversals of                    | {x}[::-1]   | {x}[-1]     | str
last_letter | the last letters of                 | {x}[-1]     | {x}[0]      | str
tail*       | all but the first letter of each of | {x}[1:]     | {x}[:-1]    | str
""")
WORD_REDUCES = reduces("""
list           | the list of                            | result                        | sorted(result)   | list[{t}]
ascending*     | the sorted list of                     | sorted(result)                | result.sort()    | list[{t}]
backwards*     | the list in reverse order of           | result[::-1]                  | result.reverse() | list[{t}]
count_distinct | the number of distinct values among    | len(set(result))              | len(result)
first          | the first ({e} if there are none) of   | result[0] if result else {e}  | result[0]        | {t}
last*          | the last ({e} if there are none) of    | result[-1] if result else {e} | result[-1]       | {t}
largest        | the largest ({e} if there are none) of | max(result, default={e})      | max(result)      | {t}
""")


def int_input(rng: random.Random, constants: dict) -> list[int]:
    """Small integers, often at or next to 0 and the task's constants."""
    near = [value + step for value in (0, *constants.values()) for step in (-1, 0, 1)]
    pool = [*range(-20, 31), *(2 * near)]
    return rng.choices(pool, k=rng.randint(1, 8))


def char_input(rng: random.Random, constants: dict) -> str:
    """Letters of both cases, digits, blanks and signs, often the task's letter."""
    pool = "abcdehimnorstuwyzAEIORSTZ0179  -" + 3 * constants.get("c", "")
    return "".join(rng.choices(pool, k=rng.randint(1, 12)))


def word_input(rng: random.Random, constants: dict) -> str:
    """Words, some capitalised, some twice, often of about the length at which the task's filter changes its answer."""
    letters = "aeioumnrst" + constants.get("c", "")
    sizes = [1, 2, 3, 4, 5, 7] + [constants["k"] + step for step in (-1, 0, 1) if "k" in constants]
    words = ["".join(rng.choices(letters, k=rng.choice(sizes))) for _ in range(rng.randint(1, 6))]
    words += rng.sample(words, k=rng.randint(0, 1))
    return " ".join(word.capitalize() if rng.random() < 0.4 else word for word in words)


@dataclass(frozen=True)
class Domain:
    """The inputs of a family of tasks: their words in a prompt, the loop over them, and the three tables."""

    name: str
    phrase: str
    argument_type: str
    arguments: tuple[str, ...]
    item: str
    loop: str
    tables: tuple[tuple[Component, ...], ...]  # filters, maps, reduces
    empty: object
    sample_input: Callable[[random.Random, dict], object]


DOMAINS = (
    Domain(
        "ints",
        "the integers in the list {argument}",
        "list[int]",
        ("values", "numbers", "items"),
        "number",
        "{argument}",
        (INT_FILTERS, INT_MAPS, INT_REDUCES),
        [],
        int_input,
    ),
    Domain(
        "chars",
        "the characters of the string {argument}",
        "str",
        ("text", "line", "word"),
        "char",
        "{argument}",
        (CHAR_FILTERS, CHAR_MAPS, CHAR_REDUCES),
        "",
        char_input,
    ),
    Domain(
        "words",
        "the words of the string {argument}",
        "str",
        ("text", "line", "sentence"),
        "word",
        "{argument}.split()",
        (WORD_FILTERS, WORD_MAPS, WORD_REDUCES),
        "",
        word_input,
    ),
)


@dataclass(frozen=True)
class TaskKind:
    """A composition: all its tasks are training tasks, or all are held out."""

    domain: Domain
    filter: Component
    map: Component
    reduce: Component

    @property
    def name(self) -> str:
        return f"{self.domain.name}/{self.filter.name}-{self.map.name}-{self.reduce.name}"

    @property
    def split(self) -> str:
        digest = hashlib.sha256(self.name.encode()).digest()
        return "heldout" if int.from_bytes(digest[:4], "big") < HELDOUT_SHARE * 2**32 else "train"

    def instances(self) -> list[dict]:
        """Every choice of the constants in the three components; [{}] if they have none."""
        code = self.filter.code + self.map.code + self.reduce.code
        used = {name: values for name, values in CONSTANTS.items() if "{" + name + "}" in code}
        return [dict(zip(used, values, strict=True)) for values in itertools.product(*used.values())]


@dataclass(frozen=True)
class Problem:
    """A kind with its constants and its words."""

    kind: TaskKind
    constants: dict
    function: str
    argument: str
    phrasing: str

    @property
    def blanks(self) -> dict:
        """The values of the templates' placeholders."""
        kind, empty = self.kind.map.type, "0" if self.kind.map.type == "int" else '""'
        return {"x": self.kind.domain.item, "e": empty, "t": kind, "argument": self.argument, **self.constants}


def generate_tasks(num: int, seed: int, split: str = "train") -> list[Task]:
    """`num` distinct tasks of `split` ("train" or "heldout"), the same for the same seed.

    Kinds take turns, so that the tasks cover as many kinds as `num` allows. No two tasks share both kind and constants.
    Raises InputError if fewer than `num` exist.
    """
    rng = random.Random(seed)
    choices = all_choices(split, rng)
    made = (make_task(put_in_words(kind, constants, rng), rng) for kind, constants in choices)
    tasks = list(itertools.islice(filter(None, made), num)) if num <= len(choices) else []
    if len(tasks) < num:
        most = len(tasks) or len(choices)
        raise InputError(f"cannot make {num} distinct {split} tasks: the templates make at most {most}; ask for fewer")
    return tasks


def fresh_inputs(task_id: str, num: int, seed: int) -> list:
    """`num` inputs for a task made here, drawn like those of its tests; [] for any other task_id."""
    rng, name = random.Random(seed), "/".join(task_id.split("/")[:2])
    for kind in [*kinds("train"), *kinds("heldout")]:
        for constants in kind.instances() if kind.name == name else ():
            if name_task(kind, constants) == task_id:
                return [kind.domain.sample_input(rng, constants) for _ in range(num)]
    return []


def kinds(split: str) -> list[TaskKind]:
    """Every composition of `split`, in the order of the tables."""
    every = (TaskKind(domain, *parts) for domain in DOMAINS for parts in itertools.product(*domain.tables))
    return [kind for kind in every if kind.split == split]


def all_choices(split: str, rng: random.Random) -> list[tuple[TaskKind, dict]]:
    """Every kind of `split` with each choice of its constants; each round has one choice of every kind."""
    every = kinds(split)
    queues = []
    for kind in rng.sample(every, len(every)):
        instances = kind.instances()
        queues.append([(kind, constants) for constants in rng.sample(instances, len(instances))])
    return [choice for turn in itertools.zip_longest(*queues) for choice in turn if choice]


def put_in_words(kind: TaskKind, constants: dict, rng: random.Random) -> Problem:
    """A problem with a random function name, argument name and phrasing."""
    return Problem(kind, constants, rng.choice(FUNCTIONS), rng.choice(kind.domain.arguments), rng.choice(PHRASINGS))


def random_problem(among: list[TaskKind], rng: random.Random) -> Problem:
    """A problem of one of the kinds `among`, each as likely as the next."""
    kind = rng.choice(among)
    return put_in_words(kind, rng.choice(kind.instances()), rng)


def make_task(problem: Problem, rng: random.Random) -> Task | None:
    """The problem with its reference solution and tests; None if it has too few different answers."""
    tests, kind = choose_tests(problem, rng), problem.kind
    if tests is None:
        return None
    name, prompt, solution = name_task(kind, problem.constants), write_prompt(problem), write_solution(problem)
    return Task(name, prompt, tests, problem.function, solution=solution, source="templates", split=kind.split)


def name_task(kind: TaskKind, constants: dict) -> str:
    """The task_id of a kind with its constants."""
    return kind.name + "".join(f"/{name}={value}" for name, value in constants.items())


def write_prompt(problem: Problem) -> str:
    kind = problem.kind
    phrases = (kind.reduce.phrase, kind.map.phrase, kind.domain.phrase, kind.filter.phrase)
    goal = " ".join(phrase for phrase in phrases if phrase).format(**problem.blanks)
    return problem.phrasing.format(function=problem.function, argument=problem.argument, goal=goal)


def write_solution(problem: Problem, docstring: bool = True, type_hints: bool = True) -> str:
    """The function, made of the problem's components, right or wrong."""
    kind, blanks = problem.kind, problem.blanks
    argument, returns = problem.argument, ""
    if type_hints:
        argument = f"{argument}: {kind.domain.argument_type}"
        returns = " -> " + kind.reduce.type.format(**blanks)
    lines = [f"def {problem.function}({argument}){returns}:"]
    if docstring:
        lines.append(f'    """Return {kind.reduce.phrase.format(**blanks)} the results."""')
    lines.append("    result = []")
    lines.append(f"    for {kind.domain.item} in {kind.domain.loop.format(**blanks)}:")
    lines.append(f"        if {kind.filter.code.format(**blanks)}:")
    lines.append(f"            result.append({kind.map.code.format(**blanks)})")
    return "\n".join(lines) + "\n" + textwrap.indent(kind.reduce.code.format(**blanks), "    ") + "\n"


def choose_tests(problem: Problem, rng: random.Random) -> str | None:
    """A test program that the reference passes. Its inputs are chosen so that the identity and the mistakes fail.

    The empty input comes first. Another input is added if its answer is new, or if it refutes a mistake that still
    passes. None if fewer than MIN_ANSWERS answers differ.
    """
    domain = problem.kind.domain
    inputs = [domain.empty, *(domain.sample_input(rng, problem.constants) for _ in range(CANDIDATES))]
    reference = load_function(problem)
    wrong = [load_function(replace(problem, kind=mistake_in(problem.kind, part))) for part in PARTS]
    wrong.append(lambda value: value)
    tests: list[str] = []
    answers: set[str] = set()
    for value in inputs:
        answer = reference(value)
        standing = [function for function in wrong if attempt(function, value) == answer]
        is_new = repr(answer) not in answers and len(answers) < ENOUGH_ANSWERS
        if is_new or len(standing) < len(wrong):
            tests.append(write_assert(problem, value, answer))
            answers.add(repr(answer))
            wrong = standing
    return "".join(tests) if len(answers) >= MIN_ANSWERS else None


def telling_assert(problem: Problem, rng: random.Random) -> str:
    """An assert on an input that shows what the problem asks for: the longest of a few random ones."""
    domain, reference = problem.kind.domain, load_function(problem)
    values = (domain.sample_input(rng, problem.constants) for _ in range(TELLING))
    return max((write_assert(problem, value, reference(value)) for value in values), key=len)


def write_assert(problem: Problem, value: object, answer: object) -> str:
    return f"assert {problem.function}({value!r}) == {answer!r}\n"


def mistake_in(kind: TaskKind, part: str) -> TaskKind:
    """The kind with the mistaken code in one of its PARTS."""
    component = getattr(kind, part)
    return replace(kind, **{part: replace(component, code=component.mistake)})


def load_function(problem: Problem) -> Callable:
    """The problem's function. Only this file's own code runs here; a model's code runs in the sandbox."""
    namespace: dict = {}
    exec(write_solution(problem, docstring=False, type_hints=False), namespace)
    return namespace[problem.function]


def attempt(function: Callable, value: object) -> object:
    """A mistaken function's answer, or the exception that it raised."""
    try:
        return function(value)
    except (TypeError, ValueError, IndexError) as error:
        return error


def teacher_solution(problem: Problem, rng: random.Random) -> str:
    """A program of the imperfect teacher, who takes the problem for another one."""
    return teacher_program(problem, mistaken(problem.kind, rng), rng)


def mistaken(kind: TaskKind, rng: random.Random) -> TaskKind:
    """The kind as the teacher understands it: components have mistakes at their rates."""
    for part in PARTS:
        if rng.random() < (MISCONCEPTION_RATE if getattr(kind, part).common else SLIP_RATE):
            kind = mistake_in(kind, part)
    return kind


def repaired(kind: TaskKind, right: TaskKind, rng: random.Random) -> TaskKind:
    """A mistaken kind after the teacher has read what its program did: some components are those of the right one."""
    return replace(kind, **{part: getattr(right, part) for part in PARTS if rng.random() < REPAIR_RATE})


def teacher_program(problem: Problem, kind: TaskKind, rng: random.Random) -> str:
    """The program of a kind in the words of a problem; some have a broken line."""
    docstring, type_hints = rng.random() < DOCSTRING_RATE, rng.random() < TYPE_HINT_RATE
    code = write_solution(replace(problem, kind=kind), docstring, type_hints)
    return code.replace(*rng.choice(BREAKS)) if rng.random() < BROKEN_RATE else code
