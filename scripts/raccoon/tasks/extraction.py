"""The Python program in a model's completion, as the model wrote it.

It repairs nothing and runs nothing. Time is bounded, whatever the completion holds.
"""

import ast
import re
import textwrap
from collections.abc import Iterable

from raccoon.tasks.syntax import (
    MAX_PARSED_CHARS,
    bound_names,
    find_function,
    is_literal,
    missing_names,
    own_nodes,
    parse_code,
    parse_or_line,
    parse_stub,
)
from raccoon.tasks.task import Task

# Every script takes these from here too.

PARSE_BUDGET = 500_000  # characters given to ast.parse, all attempts together
MAX_BLOCKS = 32  # fenced blocks looked at, the last ones
MAX_STARTS = 16  # lines of prose from which a program is tried
MAX_CUTS = 6  # statements cut from the end of a program

READERS = frozenset({"input", "stdin", "fileinput", "open", "read", "readline"})  # names by which programs read stdin

# Fences are matched without ambiguity, so that a hostile line takes linear time.
FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})([^`~\n]*)$")
CODE_LINE = re.compile(
    r"^[ \t]*(?:(?:async +)?def +\w|class +\w|import +\w|from +[\w.]+ +import\b|@\w|return\b"
    r"|\w+ *=[^=]|[\w.]+\(.*\)[ \t]*$)", re.MULTILINE)


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
    Where nothing parses, what looks like code, so that its syntax error can be seen. A task of kind "program" takes
    the last block that reads stdin in the place of one that defines something. Never raises; the time is bounded by
    PARSE_BUDGET.
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
    """Whether a program defines the entry point, or anything where the task names none; reads stdin if it is to."""
    if task.kind == "program":
        return any(name in READERS for node in ast.walk(tree)
                   for name in (getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", "")))
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
