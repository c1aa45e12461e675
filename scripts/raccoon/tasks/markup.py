"""Which parts of a model's text are marked as code: fences, quotes, indentation, backticks, prompts, end tokens.

It does not parse Python; it looks at single lines. Every pattern takes linear time on hostile text.
"""

import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator
from itertools import islice

# A fence can match in one way only, so that a hostile line takes linear time.
FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})([^`~\n]*)$")
CODE_LINE = re.compile(
    r"^[ \t]*(?:(?:async +)?def +\w|class +\w|import +\w|from +[\w.]+ +import\b|@\w|return\b"
    r"|\w+ *=[^=]|[\w.]+\(.*\)[ \t]*$)",
    re.MULTILINE,
)
# A statement, also one whose first word has a capital letter, and one of Python 2.
STATEMENT = re.compile(CODE_LINE.pattern + r"|[ \t]*(?:print|exec|raise)\b", re.IGNORECASE)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# The language, a file's name, a tag, a rule or a command, alone on a line.
LABEL = re.compile(
    r"(?:file(?:name)?: *)?(?:python ?[\d.]*|py|[\w./-]+\.py):?|\[/?\w+\]|</?\w+>|in ?\[\d*\]:"
    r"|[=_~…—–-]{2,}|…|[$%] \S.*|(?:python3?|pip) [\w./-]+",
    re.IGNORECASE,
)
# Words that a sentence without a capital letter and a full stop must not hold: it may be a statement with a fault.
STATEMENT_WORDS = frozenset(
    "import def class lambda return yield elif except assert global nonlocal del raise print "
    "async await finally".split()
)
BULLET = re.compile(r"^(?:[-•]|\d+[.)]) +")
WORD = re.compile(r"[\"'(‘“]*\w[\w/'’.,:!?()\"”。：！，、-]*|[:!?–—-]")
CAPITAL = re.compile(r"[\s\-*#_\"'(\d.)]*[A-Z]")
# Tokens that end a model's text, if its tokenizer left them in. In quotes they are part of a program.
END_TOKEN = re.compile(
    r"(?:<[|｜](?:end|im_end|im_start|eot|EOT|eom|file_sep|fim|return|repo)[\w▁]*[|｜]>|</s>"
    r"|<end_of_turn>|<eos>)(?![\"'`])"
)


def looks_like_code(text: str) -> bool:
    """Whether a line of the text begins like a Python statement."""
    return bool(CODE_LINE.search(text))


def without_end_tokens(text: str) -> str:
    """The text before the first token that ends a model's text; the whole text if nothing is before that token."""
    mark = END_TOKEN.search(text)
    return text[: mark.start()] if mark and text[: mark.start()].strip() else text


def without_prompts(text: str) -> str:
    """The input of an interactive session, without its prompts and output."""
    if ">>> " not in text:
        return text
    lines = (line.strip() + " " if line.strip() == "..." else line.lstrip() for line in text.split("\n"))
    return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ")))


def fence_roles(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(role, text inside) of each line of a text: outside, open, inside, close, next (it opens another), end.

    A fence that is indented deeper belongs to a docstring. A named fence inside a block starts the next block. A line
    of code that ends with the fence ends the block.
    """
    opening = None
    for line in lines:
        mark = FENCE.match(line)
        if opening is None:
            opening = mark
            yield "open" if mark else "outside", ""
        elif mark and mark[2].startswith(opening[2]) and len(mark[1]) < len(opening[1]) + 4:
            opening = mark if mark[3].strip() else None
            yield "next" if opening else "close", ""
        elif line.endswith(opening[2]) and not mark:
            yield "end", line.removesuffix(opening[2])
            opening = None
        else:
            yield "inside", line.removeprefix(opening[1])


def fenced_blocks(text: str) -> list[str]:
    """The insides of Markdown code fences that are not blank; the last fence may lack its end."""
    blocks: list[list[str]] = []
    for role, inside in fence_roles(text.split("\n")):
        if role in ("open", "next"):
            blocks.append([])
        elif role in ("inside", "end"):
            blocks[-1].append(inside)
    return [text for text in map("\n".join, blocks) if text.strip()]


def ends_in_closed_fence(text: str) -> bool:
    """Whether the last line that is not blank is complete and closes a code fence.

    It is complete if it ends with a newline: without one, "```" may be the beginning of another fence's opening.
    """
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    if "\n" not in text[len(text.rstrip()) :] or not FENCE.match(lines[-1]):
        return False
    return [role for role, _ in fence_roles(lines)][-1] == "close"


def loose_blocks(text: str) -> list[str]:
    """The code of a text without fences: the parts quoted with `>`, or else indented, or else in backticks.

    [] unless all text outside is prose: a broken header above an indented body is an error that must be seen.
    """
    inline = INLINE.findall(text), INLINE.sub("", text)
    for found in (quoted_blocks(text), indented_blocks(text), inline):
        blocks, rest = found
        if blocks and all(map(is_prose, rest.split("\n"))):
            return blocks
    return []


def quoted_blocks(text: str) -> tuple[list[str], str]:
    """(the code quoted with `>`, without its fences if it has some; the other lines)"""
    quoted: list[str] = []
    rest: list[str] = []
    for line in text.split("\n"):
        (quoted if line.startswith(">") and not line.startswith(">>") else rest).append(line)
    content = "\n".join(line[1:].removeprefix(" ") for line in quoted)
    return fenced_blocks(content) or [content] * bool(content.strip()), "\n".join(rest)


def indented_blocks(text: str) -> tuple[list[str], str]:
    """(runs of lines indented by four spaces or a tab, without that indentation; the other lines)

    No runs without other lines: a text that is indented as a whole is not loose.
    """
    blocks: list[list[str]] = [[]]
    rest = []
    for line in text.split("\n"):
        if line.startswith(("    ", "\t")) or not line.strip():
            blocks[-1].append(line)
        else:
            rest.append(line)
            blocks.append([])
    dedented = (textwrap.dedent("\n".join(block)).strip("\n") for block in blocks)
    return [block for block in dedented if block.strip() and any(map(str.strip, rest))], "\n".join(rest)


def is_prose(line: str) -> bool:
    """Whether a line is blank, or consists of words and not of whole or broken code of any language.

    In doubt it is code: a line that begins with a small letter must have several words and no sign that code has.
    """
    words = line.split()
    if not words or CODE_LINE.match(line) or line[0].isspace():
        return not words
    if CAPITAL.match(line):
        return not (set(line) & set("{};\\") or words[-1].endswith("):"))
    return len(words) > 1 and not (set(line) & set("{};\\=(") or words[-1].endswith(":") or keyword.iskeyword(words[0]))


def without_label(text: str) -> str:
    """The text without the lines at its beginning that name its language or its file, or are a command or one word.

    A word alone does nothing in a program, unless it is a keyword.
    """
    lines = text.split("\n")
    for place, line in enumerate(lines):
        if not line.strip() or is_label(line):
            continue
        word = line.strip().removesuffix(":")
        if word.isidentifier() and not keyword.iskeyword(word.lower()) and not has_body(lines, place):
            continue
        return "\n".join(lines[place:]) if any(map(str.strip, lines[:place])) else text
    return text


def is_label(line: str) -> bool:
    return not FENCE.match(line) and bool(LABEL.fullmatch(re.sub("[*`]", "", line).strip()))


def parts_between_prose(block: str) -> list[str]:
    """The parts of a block of code between lines of prose; [] if it has no such line.

    A line above an indented one is not prose: it may be a broken line of the function around it.
    """
    lines = block.split("\n")
    parts: list[list[str]] = [[]]
    for place, line in enumerate(lines):
        if (is_label(line) or is_sentence(line)) and not has_body(lines, place):
            parts.append([])
        else:
            parts[-1].append(line)
    texts = ["\n".join(part).strip("\n") for part in parts]
    return [text for text in texts if text.strip()] if len(parts) > 1 else []


def has_body(lines: list[str], place: int) -> bool:
    """Whether the next line that is not blank is indented."""
    return next((line for line in islice(lines, place + 1, None) if line.strip()), "")[:1].isspace()


def is_sentence(line: str) -> bool:
    """Whether a line in a block of code is prose: at the margin, all words, and no statement, even a broken one.

    One word must begin with a capital letter and end like a sentence, two words must do one of it. More words may do
    neither, if they hold no word of a statement. In doubt it is code: a syntax error must not be cut away.
    """
    if not line.strip() or line[0].isspace() or STATEMENT.match(line) or line.startswith(("'", '"')):
        return False
    text = BULLET.sub("", INLINE.sub("code", line.strip().replace("**", "")), count=1)
    words = [word for word in text.split() if word.isascii() or any(map(str.isalnum, word))]
    ends = text[-1:] in tuple(".:!?。：！")
    starts = text[:1].isupper() or not text[:1].isascii()
    if not words or not all(map(WORD.fullmatch, words)) or "(" in text and len(words) < 3:
        return False
    if keyword.iskeyword(words[0].lower().rstrip(":")):
        return text[0].isupper() and ends and len(words) > 2
    if len(words) > 2:
        return starts or ends or "(" not in text and not STATEMENT_WORDS & set(words)
    return (starts or ends) if len(words) == 2 else starts and ends
