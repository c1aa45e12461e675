"""Programs made from a right one: mutants of the solution, probes and stubs. They run elsewhere, in the sandbox.

A mutant is the solution with one small edit (DeMillo, Lipton and Sayward 1978). It may happen to compute the same as
the solution, and then no test can kill it. So the share of killed mutants measures a test; it proves nothing. A stub
returns a constant or raises. A probe may be as right as the solution: it answers otherwise what the prompt leaves open.
"""

import ast
import copy
import itertools
import operator
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from functools import partial

from raccoon.tasks.syntax import is_literal, parse_code
from raccoon.tasks.task import Task

# The other side of the boundary, or the opposite if there is no boundary.
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt}
COMPARISONS |= {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
COMPARISONS |= {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In}
OPPOSITES = COMPARISONS | {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add}
ARITHMETIC |= {ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult}
ARITHMETIC |= {ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd}
ARITHMETIC |= {ast.LShift: ast.RShift, ast.RShift: ast.LShift}
# Statements that can be removed without a NameError, which any test would notice.
DROPPABLE = (ast.Expr, ast.AugAssign, ast.If, ast.For, ast.While, ast.Continue, ast.Break, ast.Raise)

# Words for > and <, which >= and <= contradict, and words that allow for both
STRICT: dict[type[ast.cmpop], str] = {ast.GtE: r"\b(above|over|exceeds?|(more|greater|larger|longer|higher) than)\b"}
STRICT |= {ast.LtE: r"\b(below|under|(less|smaller|fewer|shorter|lower) than)\b"}
INCLUSIVE = r"equal|inclusive|at (least|most)|no (more|less)|up to|[<>]=|[≤≥]"
# Where a default stands, by the names of fields
HOLDERS: dict[type, tuple[str, ...]] = {ast.Return: ("value",), ast.Assign: ("value",), ast.IfExp: ("body", "orelse")}
NOTHING = r"0|-1|None|-?\d{5,}|-?10 \*\* \d+|-?float\('-?inf'\)|-?(math\.inf|sys\.maxsize)"  # or as large as none
MOST_PROBES = 30
ODD = (7919, -7919)  # numbers that no task has
MAX_DEPTH = 100  # of a syntax tree: Python's functions on trees are recursive, some with three calls for each level

Edit = tuple[str, Callable[[], object]]  # its kind, and the function that makes it in the tree


def make_mutants(code: str, number: int) -> list[str]:
    """At most `number` distinct programs, each one edit away from `code`; kinds of edits take turns. Deterministic."""
    tree = parse_shallow(code)
    if tree is None:
        return []
    for node in ast.walk(tree):  # editing a docstring changes nothing
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    kinds = defaultdict(list)
    for place, (kind, _) in enumerate(edits(tree)):
        kinds[kind].append(place)
    rng = random.Random(code)
    queues = [rng.sample(places, len(places)) for places in kinds.values()]
    order = [place for turn in itertools.zip_longest(*queues) for place in turn if place is not None]
    made = {ast.unparse(tree): None}
    for place in order:
        if len(made) > number:
            break
        made.setdefault(edited(tree, edits, place))
    return list(made)[1:]


def make_probes(code: str, prompt: str, told: Collection[str]) -> list[str]:
    """Programs that decide otherwise what a prompt often leaves open: defaults, ties and limits.

    A default is what there is where nothing is found: where a variable starts, what is returned, what next(), get() and
    max() give for want of an item. A tie is between equal items. A limit is an argument that a value may reach in the
    code, and must pass in the prompt. `told`: defaults that the prompt names.
    """
    tree = parse_shallow(code)
    text = prompt.lower()
    strict = [] if re.search(INCLUSIVE, text) else [sign for sign, words in STRICT.items() if re.search(words, text)]
    offered = partial(open_edits, told=told, strict=tuple(strict))
    number = len([*itertools.islice(offered(tree), MOST_PROBES)]) if tree else 0
    return [edited(tree, offered, place) for place in range(number)] if tree else []


def edited(tree: ast.Module, offered: Callable[[ast.Module], Iterator[Edit]], place: int) -> str:
    """The text of a tree with one of the edits that a function offers."""
    changed = copy.deepcopy(tree)
    _, make = next(itertools.islice(offered(changed), place, None))
    make()
    return ast.unparse(ast.fix_missing_locations(changed))


def defaults(tree: ast.Module, told: Collection[str]) -> Iterator[Edit]:
    """Every edit that puts an odd number in the place of a default."""
    for node in ast.walk(tree):
        names = [name for name in HOLDERS.get(type(node), ()) if is_default(getattr(node, name), told)]
        places: list[Callable[[ast.expr], object]] = [partial(setattr, node, name) for name in names]
        if isinstance(node, ast.keyword) and node.arg == "default":
            places = [partial(setattr, node, "value")]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("next", "get"):
            places = [partial(operator.setitem, node.args, 1)] if len(node.args) == 2 else []
        for put in places:
            for number in ODD:
                yield "default", partial(put, ast.Constant(number))


def open_edits(tree: ast.Module, told: Collection[str], strict: tuple[type[ast.cmpop], ...]) -> Iterator[Edit]:
    """Every edit that decides otherwise what a prompt often leaves open. `strict`: signs that it contradicts."""
    yield from defaults(tree, told)
    arguments = {each.arg for node in ast.walk(tree) if isinstance(node, ast.arguments) for each in node.args}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and any(keyword.arg == "key" for keyword in node.keywords) and node.args:
            turned = ast.Subscript(ast.List([ast.Starred(node.args[0])]), ast.Slice(step=ast.Constant(-1)))
            yield "tie", partial(operator.setitem, node.args, 0, turned)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
            best = {ast.unparse(name) for each in node.body if isinstance(each, ast.Assign) for name in each.targets}
            yield from moved(node.test, best, (ast.Lt, ast.LtE, ast.Gt, ast.GtE))
        elif isinstance(node, ast.Compare):
            yield from moved(node, arguments, strict)


def moved(test: ast.Compare, names: set[str], signs: tuple[type[ast.cmpop], ...]) -> Iterator[Edit]:
    """The edits that move the boundary of a comparison with one of these names."""
    for place, sign in enumerate(test.ops):
        if isinstance(sign, signs) and names & set(map(ast.unparse, (test.left, *test.comparators))):
            yield "limit", partial(operator.setitem, test.ops, place, COMPARISONS[type(sign)]())


def is_default(node: ast.expr | None, told: Collection[str]) -> bool:
    """Whether an expression is a value that often stands for nothing, and the prompt does not say so."""
    text = ast.unparse(node) if node else ""
    return bool(re.fullmatch(NOTHING, text)) and text not in told


def parse_shallow(code: str) -> ast.Module | None:
    """The syntax tree of untrusted text; None if it is not Python or nested deeper than MAX_DEPTH."""
    tree = parse_code(code)
    level: list[ast.AST] = [tree] if tree else []
    depth = 0
    while level and depth <= MAX_DEPTH:
        level, depth = [child for node in level for child in ast.iter_child_nodes(node)], depth + 1
    return None if level else tree


def edits(tree: ast.Module) -> Iterator[Edit]:
    """Every edit that the operators offer, in the order of the tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for place, sign in enumerate(node.ops):
                yield "comparison", partial(operator.setitem, node.ops, place, COMPARISONS[type(sign)]())
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC:
            yield "arithmetic", partial(setattr, node, "op", ARITHMETIC[type(node.op)]())
        elif isinstance(node, ast.Constant) and isinstance(node.value, int):  # a bool too
            changed = not node.value if isinstance(node.value, bool) else node.value + 1
            yield "constant", partial(setattr, node, "value", changed)
        # Conditions are negated, except those of while loops, most of which would never end.
        elif isinstance(node, (ast.If, ast.IfExp)):
            yield "condition", partial(setattr, node, "test", negated(node.test))
        elif isinstance(node, ast.comprehension):
            for place, test in enumerate(node.ifs):
                yield "condition", partial(operator.setitem, node.ifs, place, negated(test))
        yield from statement_edits(node)


def negated(test: ast.expr) -> ast.expr:
    """The opposite of a condition, as short as possible."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return ast.Compare(test.left, [OPPOSITES[type(test.ops[0])]()], test.comparators)
    return ast.UnaryOp(ast.Not(), test)


def statement_edits(node: ast.AST) -> Iterator[Edit]:
    """Removed statements, and loops that end after their first round."""
    for name in ("body", "orelse", "finalbody"):
        statements = getattr(node, name, None)
        for place, statement in enumerate(statements if isinstance(statements, list) else ()):
            if isinstance(statement, DROPPABLE):
                yield "statement", partial(operator.setitem, statements, place, ast.Pass())
    if isinstance(node, (ast.For, ast.While)):
        yield "early exit", partial(node.body.append, ast.Break())


def make_stubs(task: Task) -> list[str]:
    """Programs that no test may accept: they return None, True, their argument or the commonest answer, or raise."""
    if not task.entry_point:
        return ["pass\n"]
    values = dict.fromkeys(["None", "True", "arguments[0]", *expected_answers(task)])
    bodies = [*(f"return {value}" for value in values), "raise ValueError"]
    return [f"def {task.entry_point}(*arguments, **named):\n    {body}\n" for body in bodies]


def expected_answers(task: Task) -> list[str]:
    """The literal that most of a test's comparisons expect, as a list; [] if there is none."""
    tree = parse_code(task.test)
    compared = [
        side
        for node in ast.walk(tree or ast.Module([], []))
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        if is_literal(side)
    ]
    return [text for text, _ in Counter(map(ast.unparse, compared)).most_common(1)]
