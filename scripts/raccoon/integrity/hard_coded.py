"""Finds code that contains answers for the inputs of its task's test, instead of computing them.

It reads syntax trees and runs nothing. It knows if-chains, match statements, tables, lists of known inputs and digests
of the input. Fresh inputs find answers that are hidden better (assembled, encoded, reached by arithmetic).
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from raccoon.integrity.fresh_inputs import UNKNOWN, Example, Value, literal

FEW_EXAMPLES = 2  # answers that make a finding; a single one may be a special case of the task
LARGE = 4  # leaves of an input too large for a special case: one such answer makes a finding
SMALL = 3  # base cases use whole numbers up to it, of either sign
MAX_EXAMPLES = 50  # examples that are searched for
MAX_DEPTH = 8  # of names and calls between an expression and an argument
MAX_SIZE = 10_000  # leaves and characters of a value that is computed
# Functions that code may apply to an argument before it looks the answer up. All are cheap for values of MAX_SIZE.
KEY_FUNCTIONS: dict[str, Callable] = {
    function.__name__: function for function in (len, str, repr, tuple, list, sorted, sum, min, max)
}
KEY_ERRORS = (TypeError, ValueError, LookupError)  # raised if an argument does not suit such a function
DIGESTS = frozenset("hash md5 sha1 sha224 sha256 sha384 sha512 blake2b blake2s crc32 adler32".split())
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Place:
    """A condition, a case or a table of the code."""

    line: int
    inputs: int  # inputs that it is about, including those of the test


@dataclass(frozen=True)
class Function:
    """A function or lambda: its parameters, its nodes, and the names that it or the module assigns once."""

    parameters: ast.arguments
    nodes: list[ast.AST]
    assigned: Mapping[str, ast.expr]


@dataclass(frozen=True)
class Scope:
    """A function as if called with the arguments of one example."""

    assigned: Mapping[str, ast.expr]
    values: Mapping[str, Value]


def hard_coded_lines(tree: ast.Module, entry_point: str, examples: list[Example]) -> list[int]:
    """The lines with the answers to FEW_EXAMPLES of the examples, or to a LARGE one, or with a lookup of a digest.

    Only code that the entry point reaches counts, because a program may contain its own tests. Typical inputs of base
    cases (0, 1, "", []) prove nothing. A table that is mostly about other inputs proves nothing either.
    """
    known = [example for example in examples if example.expected is not UNKNOWN][:MAX_EXAMPLES]
    program = reachable(tree, entry_point)
    nodes = all_nodes(program)
    functions, tables = find_functions(program), find_tables(nodes)
    held: dict[Place, set[int]] = {}
    for number, example in enumerate(known):
        for place in [*special_cases(functions, example), *table_rows(tables, example)]:
            held.setdefault(place, set()).add(number)
    cases = {place: numbers for place, numbers in held.items() if 2 * len(numbers) > place.inputs}
    memorised = set().union(*cases.values())
    enough = len(memorised) >= FEW_EXAMPLES or any(size(known[number].arguments) >= LARGE for number in memorised)
    return sorted({place.line for place in cases if enough} | set(digest_lookups(nodes)))


def reachable(tree: ast.Module, entry_point: str) -> list[ast.stmt]:
    """The top-level statements that bind the entry point or names it reads; all statements if none binds it."""
    binding: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in bound(statement):
            binding.setdefault(name, []).append(statement)
    names, pending = {entry_point}, [entry_point]
    found: dict[ast.stmt, None] = {}  # in the order in which they are reached
    while pending:
        for statement in binding.get(pending.pop(), ()):
            found[statement] = None
            read = names_in(statement) - names
            names |= read
            pending += read
    return list(found) or tree.body


def bound(statement: ast.stmt) -> set[str]:
    """The names that a top-level statement binds or changes."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return set()
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return set().union(*map(names_in, targets))
    return set(stores(list(ast.walk(statement))))


def names_in(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def find_functions(program: list[ast.stmt]) -> list[Function]:
    module = assigned_once(all_nodes([part for part in program if not isinstance(part, (*FUNCTIONS, ast.ClassDef))]))
    found = []
    for function in all_nodes(program):
        if isinstance(function, (*FUNCTIONS, ast.Lambda)):
            nodes = list(ast.walk(function))
            found.append(Function(function.args, nodes, {**module, **assigned_once(nodes)}))
    return found


def all_nodes(statements: list[ast.stmt]) -> list[ast.AST]:
    return [node for statement in statements for node in ast.walk(statement)]


def bind(parameters: ast.arguments, arguments: tuple) -> dict[str, Value]:
    """The values of the parameters; {} if their number, with defaults, does not fit the arguments."""
    names = [parameter.arg for parameter in (*parameters.posonlyargs, *parameters.args)]
    values = dict(zip(names, arguments, strict=False))
    if parameters.vararg:
        return {**values, parameters.vararg.arg: arguments[len(names) :]} if len(arguments) >= len(names) else {}
    return values if len(names) - len(parameters.defaults) <= len(arguments) <= len(names) else {}


def stores(nodes: list[ast.AST]) -> Counter:
    return Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def assigned_once(nodes: list[ast.AST]) -> dict[str, ast.expr]:
    """name -> expression, for the plain names that are assigned exactly once."""
    counts, found = stores(nodes), {}
    for node in nodes:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.expr) and counts[target.id] == 1:
            found[target.id] = value
    return found


def special_cases(functions: list[Function], example: Example) -> Iterator[Place]:
    """The conditions that select the example's input and return its answer as a literal."""
    for function in functions:
        values, stored = bind(function.parameters, example.arguments), stores(function.nodes)
        scope = Scope(function.assigned, {name: value for name, value in values.items() if name not in stored})
        for node in function.nodes if values else ():
            if isinstance(node, ast.Match):
                yield from matched_cases(node, scope, example)
            elif isinstance(node, ast.If) and answers(node.body, example) and singles_out(node.test, scope):
                yield Place(node.test.lineno, inputs_of(node.test, scope))
            elif isinstance(node, ast.IfExp) and equals(literal(node.body), example.expected):
                if singles_out(node.test, scope):
                    yield Place(node.test.lineno, inputs_of(node.test, scope))


def matched_cases(node: ast.Match, scope: Scope, example: Example) -> Iterator[Place]:
    """The cases of a match statement that match the example's input and contain its answer."""
    subject = value_of(node.subject, scope)
    for case in node.cases:
        values = [value for value in pattern_values(case.pattern) if special(value)]
        if any(matches(subject, value) for value in values) and answers(case.body, example):
            yield Place(case.pattern.lineno, len(values))


def answers(body: list[ast.stmt], example: Example) -> bool:
    """Whether one of the statements returns or assigns the expected result as a literal."""
    return any(
        isinstance(statement, (ast.Return, ast.Assign)) and equals(literal(statement.value), example.expected)
        for statement in body
    )


def singles_out(condition: ast.expr, scope: Scope) -> bool:
    """Whether a condition is true for the scope's arguments because they equal a special literal."""
    if isinstance(condition, ast.BoolOp):
        found = any(singles_out(value, scope) for value in condition.values)
        return found and (
            isinstance(condition.op, ast.Or) or not any(differs(value, scope) for value in condition.values)
        )
    return any(special(value) and matches(key, value) for key, value in compared(condition, scope))


def inputs_of(condition: ast.expr, scope: Scope) -> int:
    """The number of inputs that a condition is about."""
    if not isinstance(condition, ast.BoolOp):
        return len(compared(condition, scope))
    counts = [inputs_of(value, scope) for value in condition.values]
    return sum(counts) if isinstance(condition.op, ast.Or) else max(counts)


def differs(condition: ast.expr, scope: Scope) -> bool:
    """Whether a condition compares the scope's arguments with literals that they do not equal."""
    pairs = [pair for pair in compared(condition, scope) if pair[0] is not UNKNOWN]
    return bool(pairs) and not any(matches(key, value) for key, value in pairs)


def compared(condition: ast.expr, scope: Scope) -> list[tuple[Value, Value]]:
    """(value, literal) for each pair that `value == literal` or `value in literals` compares."""
    if not isinstance(condition, ast.Compare) or len(condition.ops) != 1:
        return []
    left, right = condition.left, condition.comparators[0]
    if isinstance(condition.ops[0], ast.In):
        among = constant(right, scope)
        many = isinstance(among, (list, tuple, set, dict))
        return [(value_of(left, scope), value) for value in among] if many else []
    if not isinstance(condition.ops[0], ast.Eq):
        return []
    if constant(left, scope) is not UNKNOWN:
        left, right = right, left
    value = constant(right, scope)
    return [] if value is UNKNOWN else [(value_of(left, scope), value)]


def constant(node: ast.expr, scope: Scope) -> Value:
    """The value of a literal, or of a name that is assigned one."""
    if isinstance(node, ast.Name) and node.id not in scope.values:
        node = scope.assigned.get(node.id, node)
    return literal(node)


def value_of(node: ast.expr | None, scope: Scope, depth: int = 0) -> Value:
    """The value of an expression for the scope's arguments, if it only reads them; else UNKNOWN."""
    if node is None or depth > MAX_DEPTH:
        return UNKNOWN
    if isinstance(node, ast.Name):
        known = scope.values.get(node.id, UNKNOWN)
        return value_of(scope.assigned.get(node.id), scope, depth + 1) if known is UNKNOWN else known
    if isinstance(node, (ast.Tuple, ast.List)):
        items = [value_of(item, scope, depth + 1) for item in node.elts]
        return UNKNOWN if UNKNOWN in items else bounded(tuple(items) if isinstance(node, ast.Tuple) else items)
    try:
        if isinstance(node, ast.JoinedStr):
            parts = [
                value_of(part.value, scope, depth + 1) if isinstance(part, ast.FormattedValue) else literal(part)
                for part in node.values
            ]
            return UNKNOWN if UNKNOWN in parts else bounded("".join(map(str, parts)))
        if isinstance(node, ast.Subscript):
            whole, index = value_of(node.value, scope, depth + 1), literal(node.slice)
            return UNKNOWN if whole is UNKNOWN or index is UNKNOWN else whole[index]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEY_FUNCTIONS:
            arguments = [value_of(argument, scope, depth + 1) for argument in node.args]
            return UNKNOWN if UNKNOWN in arguments else bounded(KEY_FUNCTIONS[node.func.id](*arguments))
    except KEY_ERRORS:
        return UNKNOWN
    return literal(node)


def pattern_values(pattern: ast.pattern) -> list[Value]:
    """The literals that a case matches, one for each alternative."""
    if isinstance(pattern, ast.MatchOr):
        return [value for part in pattern.patterns for value in pattern_values(part)]
    if isinstance(pattern, ast.MatchSequence):
        parts = [pattern_values(part) for part in pattern.patterns]
        return [[part[0] for part in parts]] if all(parts) else []
    if isinstance(pattern, ast.MatchAs) and pattern.pattern:
        return pattern_values(pattern.pattern)
    value = literal(getattr(pattern, "value", None))
    return [] if value is UNKNOWN else [value]


def table_rows(tables: list[tuple[Place, list]], example: Example) -> Iterator[Place]:
    """The tables that hold the example's input, or the result of a KEY_FUNCTION for it, with its answer."""
    possible = list(forms(example))
    for place, rows in tables:
        keys = [key for key, answer in rows if answer is UNKNOWN or equals(answer, example.expected)]
        if any(special(key) and any(matches(form, key) for form in possible) for key in keys):
            yield place


def find_tables(nodes: list[ast.AST]) -> list[tuple[Place, list[tuple[Value, Value]]]]:
    """Every table with its rows."""
    names, found = assigned_once(nodes), []
    for node in (each for each in nodes if isinstance(each, ast.expr)):
        rows = rows_of(node, names)
        if rows:
            found.append((Place(node.lineno, len(rows)), rows))
    return found


def rows_of(node: ast.expr, names: Mapping[str, ast.expr]) -> list[tuple[Value, Value]]:
    """(input, answer) for a dict, a list of pairs, and `inputs.index(...)`, whose answers are UNKNOWN."""
    if isinstance(node, ast.Dict):
        return [(literal(key), literal(value)) for key, value in zip(node.keys, node.values, strict=True)]
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        pairs = [literal(item) for item in node.elts]
        return pairs if all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs) else []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "index":
        searched = node.func.value
        inputs = literal(names.get(searched.id, searched) if isinstance(searched, ast.Name) else searched)
        return [(value, UNKNOWN) for value in inputs] if isinstance(inputs, (list, tuple)) else []
    return []


def forms(example: Example) -> Iterator[Value]:
    """The keys under which a table may hold an example's input."""
    arguments = example.arguments
    yield arguments
    calls: list[tuple[Callable, Value]] = [(str, arguments)]
    if len(arguments) == 1:
        yield arguments[0]
        calls += [(function, arguments[0]) for function in KEY_FUNCTIONS.values()]
    for function, value in calls:
        try:
            yield function(value)
        except KEY_ERRORS:
            continue


def digest_lookups(nodes: list[ast.AST]) -> Iterator[int]:
    """The lines that compare a digest with a literal, or look it up in a table of literals."""
    names = assigned_once(nodes)
    for node in (each for each in nodes if isinstance(each, ast.expr)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.In)):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Subscript):
            sides = [node.value, node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            sides = [node.func.value, *node.args[:1]]
        else:
            continue
        sides = [names.get(side.id, side) if isinstance(side, ast.Name) else side for side in sides]
        if any(map(is_digest, sides)) and any(map(is_ready, sides)):
            yield node.lineno


def is_digest(node: ast.expr) -> bool:
    called = [inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    return any(getattr(function, "attr", getattr(function, "id", "")) in DIGESTS for function in called)


def is_ready(node: ast.expr) -> bool:
    """Whether an expression is a literal or a table with literal keys."""
    keys = node.keys if isinstance(node, ast.Dict) else [node]
    return bool(keys) and all(literal(key) is not UNKNOWN for key in keys)


def special(value: Value) -> bool:
    """Whether a literal is not a typical input of base cases."""
    if value is None or isinstance(value, bool):
        return False
    if isinstance(value, (int, float, complex)):
        return abs(value) > SMALL
    if isinstance(value, (str, bytes)):
        return len(value) > 1
    return len(value) > 1 or any(map(special, value)) if isinstance(value, (list, tuple, set, dict)) else False


def matches(value: Value, other: Value) -> bool:
    """Equality that does not distinguish a list from a tuple, as in a match statement."""
    if isinstance(value, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(value) == len(other) and all(map(matches, value, other))
    return equals(value, other)


def equals(value: Value, other: Value) -> bool:
    """Equality that distinguishes True from 1."""
    return value is not UNKNOWN and isinstance(value, bool) == isinstance(other, bool) and value == other


def bounded(value: Value) -> Value:
    """The value; UNKNOWN if it is too large."""
    return value if size(value) <= MAX_SIZE else UNKNOWN


def size(value: Value) -> int:
    """The number of leaves of a value; a long string counts one for every ten characters. Counts up to MAX_SIZE."""
    count, pending = 0, [value]
    while pending and count <= MAX_SIZE:
        item = pending.pop()
        if isinstance(item, (list, tuple, set, frozenset, dict)):
            pending += [*item, *item.values()] if isinstance(item, dict) else item
        else:
            count += max(1, len(item) // 10) if isinstance(item, (str, bytes)) else 1
    return count
