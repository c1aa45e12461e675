"""The examples that the text of a problem shows: calls with their results, and inputs with their outputs.

A published set's visible tests are made of them, because a model may see no other test. Nothing is run.
"""

import ast
import re
from collections.abc import Iterator

from raccoon.tasks.syntax import is_literal, parse_code

# Between a call and its result on one line: f(2) == 4, f(2) -> 4, f(2) returns 4, f(2)  # 4
SIGN = r"(?:=+>|-+>|==?|\u279e|\u2192|returns?\b:?)"
RESULT = re.compile(rf"\s*(?:#\s*{SIGN}?|{SIGN})\s*")
PROMPT, GOES_ON = ">>>", "..."
LONGEST_CALL = 1000  # characters
# LeetCode's examples; an output ends with its line
CASE = re.compile(r"^\W*Input\W*:\s*((?:.+\n)+?)\s*Output\W*:[^\S\n]*(.*)$", re.MULTILINE)
NAMES = re.compile(r"(^|,)\w+=")  # of arguments
HEADING = re.compile(r"\W*(?:samples?|examples?)?\W*(in|out)puts?[\W\d]*", re.IGNORECASE)
WORDS = {"true": "True", "false": "False", "null": "None"}  # of JSON
JSON_WORD = re.compile(rf"\b({'|'.join(WORDS)})\b")


def shown_asserts(text: str, entry_point: str) -> list[str]:
    """The examples of a text as asserts, each once: calls of the function with literals, and a literal as the result.

    `text` is Python source, such as a docstring as it is written. It may have the form of doctest, or have the result
    on the line of the call (RESULT).
    """
    lines = text.split("\n")
    found: dict[str, None] = {}
    for place, line in enumerate(lines):
        for call, rest in calls_in(line, entry_point):
            sign = RESULT.match(rest)
            if line.lstrip().startswith(PROMPT) and line.strip() == f"{PROMPT} {call}":
                result = printed_below(lines[place + 1 :])
            elif sign:
                result = rest[sign.end() :]
            else:
                continue
            if value := literal(result):
                found[f"assert {call} == {value}"] = None
    return list(found)


def calls_in(line: str, entry_point: str) -> Iterator[tuple[str, str]]:
    """(call, what follows it) for each call of the function with literals in a line."""
    for start in re.finditer(rf"(?<![\w.]){re.escape(entry_point)}\(", line):
        for end in range(start.end(), min(len(line), start.end() + LONGEST_CALL)):
            if line[end] == ")" and is_call(line[start.start() : end + 1]):
                yield line[start.start() : end + 1], line[end + 1 :]
                break


def is_call(text: str) -> bool:
    """Whether a text is one call with literals."""
    tree = parse_code(text)
    call = tree.body[0].value if tree and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr) else None
    if not isinstance(call, ast.Call):
        return False
    return all(map(is_literal, [*call.args, *(keyword.value for keyword in call.keywords)]))


def printed_below(lines: list[str]) -> str:
    """What a doctest expects: the lines up to a blank one, the next prompt or the docstring's end."""
    printed = []
    for line in lines:
        if not line.strip() or line.lstrip().startswith((PROMPT, GOES_ON, '"""', "'''")):
            break
        printed.append(line.strip())
    return " ".join(printed)


def literal(text: str) -> str:
    """The text of a literal, without a comment or the point of a sentence behind it; "" for any other text."""
    text = text.strip().removesuffix(".")
    tree = parse_code(text)
    node = tree.body[0] if tree and len(tree.body) == 1 else None
    if not isinstance(node, ast.Expr) or not is_literal(node.value):
        return ""
    return ast.get_source_segment(text, node.value) or ""


def shown_cases(text: str) -> set[tuple[str, str]]:
    """(input, output) of each example that a text names so, in the form that compact() gives."""
    return {(compact(given), compact(wanted)) for given, wanted in CASE.findall(text)}


def compact(text: str) -> str:
    """A value's text in one form, whether JSON or Python wrote it, and however it is spaced."""
    words = JSON_WORD.sub(lambda word: WORDS[word[0]], text.replace("'", '"'))
    return "".join(words.split())


def shown_arguments(text: str, name: str) -> set[tuple[str, str]]:
    """(arguments, result) of each example of a function or method, from calls and from named cases, by compact()."""
    found = {(NAMES.sub(r"\1", given), wanted) for given, wanted in shown_cases(text)}
    for each in shown_asserts(text, name):
        call, _, result = each.removeprefix(f"assert {name}(").rpartition(") == ")
        found.add((compact(call), compact(result)))
    return found


def shown_blocks(text: str) -> list[tuple[list[str], list[str]]]:
    """The lines under each heading "Input" and under the heading "Output" that follows it; both end at a heading."""
    parts: list[tuple[str, list[str]]] = []
    for line in map(str.strip, text.split("\n")):
        if heading := HEADING.fullmatch(line):
            parts.append((heading[1].lower(), []))
        elif parts:
            parts[-1][1].append("" if line.startswith("```") else line)
    both = zip(parts, parts[1:], strict=False)
    return [(given, wanted) for (first, given), (second, wanted) in both if (first, second) == ("in", "out")]


def shows_case(blocks: list[tuple[list[str], list[str]]], given: str, wanted: str) -> bool:
    """Whether shown_blocks has a case: this input, and this output at the beginning of a paragraph."""
    ours, result = text_lines(given), text_lines(wanted)
    for shown, below in blocks:
        printed = text_lines("\n".join(below))
        whole = printed[: len(result)] == result and not any(printed[len(result) : len(result) + 1])
        if whole and ours == text_lines("\n".join(shown)) and any(ours) and any(result):
            return True
    return False


def text_lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]
