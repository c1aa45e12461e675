"""The documents cut into sections, tables and commands, and the flags that the scripts take."""

import ast
import functools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from helpers.paths import ROOT, SCRIPTS
from raccoon import constants

DOCUMENTS = sorted(ROOT.glob("*.md"))
SOURCES = [*SCRIPTS.rglob("*.py"), *SCRIPTS.glob("*.sh"), *(ROOT / "benchmarks").glob("*.py")]
SCRIPT = re.compile(r"(scripts|benchmarks)/\w+\.(py|sh)")


@dataclass(frozen=True)
class Table:
    """A table with the marker above it (an HTML comment), the text of its section up to it, and the whole section."""

    document: str
    marker: str
    before: str
    section: str
    rows: list[dict[str, str]]


@functools.cache
def read(path: Path | str) -> str:
    """A text by its path in the project."""
    return (ROOT / path).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A document without its command blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def blocks(text: str, language: str) -> list[str]:
    """The command blocks that are marked with a language, "" for those without a mark."""
    return [block for found, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if found == language]


def inline(text: str) -> list[str]:
    """What stands between single backticks, its line breaks made blanks."""
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose(text))]


def sections(text: str) -> list[str]:
    """A document cut before each heading."""
    held = re.sub(r"^```.*?^```", lambda found: re.sub("^#", "\0", found[0], flags=re.M), text, flags=re.M | re.S)
    return [part.replace("\0", "#") for part in re.split(r"^(?=#)", held, flags=re.M) if part.strip()]


def anchor(section: str) -> str:
    """The anchor that GitHub gives a section's heading."""
    return re.sub(r"[^\w\- ]", "", section.split("\n")[0].lstrip("# ").lower()).replace(" ", "-")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def rows(lines: list[str]) -> list[dict[str, str]]:
    header, _, *body = map(cells, lines)
    return [dict(zip(header, row, strict=True)) for row in body]


def tables() -> list[Table]:
    found = []
    for path in DOCUMENTS:
        for section in sections(read(path)):
            for table in re.finditer(r"(?:^\|.*\n)+", section, re.M):
                before = section[: table.start()]
                marker = (re.findall(r"<!-- (.*?) -->", before) or [""])[-1]
                found.append(Table(path.name, marker, before, section, rows(table[0].splitlines())))
    return found


def command_lines() -> list[list[str]]:
    """The words of each line of the bash blocks and of each command in the text or in a container file's header."""
    lines = []
    for path in DOCUMENTS:
        lines += "\n".join(blocks(read(path), "bash")).replace("\\\n", " ").splitlines()
        lines += [code for code in inline(read(path)) if re.match(r"(python|bash) \S+/", code)]
    for name in ("Dockerfile", "docker-compose.yml"):
        lines += re.findall(r"^#\s+(docker .*)", read(name), re.M)
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def namespace(script: Path) -> dict:
    """The plain constants of a script and its demo table, read from its source."""
    found = {"__file__": str(script)}
    for node in ast.parse(read(script)).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and node.value:
            try:
                found[target.id] = ast.literal_eval(node.value)
            except ValueError:  # computed: no constant that a flag sets
                continue
    return found


@functools.cache
def flags(script: Path) -> set[str]:
    """The flags that a script takes."""
    if "override_constants" not in read(script):
        return set(re.findall(r"--[a-z][a-z-]+", read(script))) | {"--help"}
    names = {constant.flag for constant in constants.read_constants(namespace(script))}
    return names | {"--no-" + name.removeprefix("--") for name in names} | {"--help", "--demo"}


def check_command(words: list[str]) -> None:
    """Asserts that the script in a command, if there is one, exists and understands the words after it."""
    place = next((place for place, word in enumerate(words) if SCRIPT.fullmatch(word)), None)
    if place is None:
        return
    script, given = ROOT / words[place], words[place + 1 :]
    assert script.is_file(), f"no {words[place]}"
    end = next((number for number, word in enumerate(given) if word in ("<", ">", "|", "&&", ";")), len(given))
    given = [word for word in given[:end] if word != "--help"]
    if any(SCRIPT.fullmatch(word) for word in given):
        check_command(given)
    elif "override_constants" in read(script):
        values, positional = namespace(script), re.search(r'positional="(\w+)"', read(script))
        try:
            constants.flag_values(given, constants.read_constants(values), values, positional[1] if positional else "")
        except constants.InputError as error:
            raise AssertionError(f"{shlex.join(words)}: {error}") from None
    else:
        unknown = {word.partition("=")[0] for word in given if word.startswith("--")} - flags(script)
        assert not unknown, f"{script.name} has no {unknown}"
