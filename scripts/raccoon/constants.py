"""How every script starts and ends: flags set its constants for one run, and errors become one line.

The script's file is its configuration. From weak to strong: the value in the file, an environment variable (only if the
line's comment says `env NAME`), --demo, `--config FILE` with the config.json of an earlier run, a flag. Every other
argument is a constant.

    BATCH_SIZE = 4  # prompts a step            python scripts/train_rl_poc.py --batch-size 8

Input: a script's own source and command line. Output: its changed globals; `changed: ...` on stdout.
"""

import ast
import difflib
import errno
import io
import json
import os
import re
import shlex
import sys
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

from raccoon.constant_types import SECRET, file_fault, range_fault, saved_fault

OLDEST_PYTHON = (3, 11)  # its -P keeps a script's folder out of sys.path
IMAGE = (
    "docker build -t nano-raccoon-rl . && docker run --rm --gpus all --shm-size 16g --tmpfs /tmp:exec,size=4g "
    '--stop-timeout 600 --user "$(id -u):$(id -g)" -v "$PWD:/app" -v hf:/hf nano-raccoon-rl'
)

RELAUNCHED = "RL_POC_PROCESSES"  # environment variable that launch.py sets to the number of processes it starts

HELP_WIDTH = 110  # characters
HELP_INDENT = " " * 6

TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
SCALARS = (bool, int, float, str, type(None))
OPTIONS = "_OPTIONS"  # the end of the names of constants that are dicts


class InputError(Exception):
    """Bad input from the user. The message names the thing, the value and the remedy, on one line."""


class RunError(Exception):
    """A run cannot continue, for a reason other than bad input. The message says what to do."""


def run_main(main: Callable[[], None]) -> None:
    """Runs a script's main and turns known failures into one line on stderr and an exit code.

    Bad input and a missing library exit 2, Ctrl-C 130; a RunError, a full disk, too little memory and a closed pipe
    (`| head -1`) exit 1.
    """
    try:
        main()
        sys.stdout.flush()
    except InputError as error:
        exit_with(error)
    except RunError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == __package__:  # a file of ours is missing
            raise
        exit_with(
            f"{sys.executable} has no module {error.name!r}: activate the environment in which requirements.txt is "
            "installed, or pip install -r requirements.txt"
        )
    except BrokenPipeError:
        give_up_output()
        sys.exit("error: the reader of standard output closed the pipe, so the script stopped")
    except (OSError, MemoryError, RuntimeError) as error:
        if lacks_memory(error):
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][-200:]}"
            sys.exit(
                f"error: the memory is too small ({reason}): lower BATCH_SIZE (training makes up for it with a higher "
                "GRADIENT_ACCUMULATION), or stop other programs, and give the same command again; what is written stays"
            )
        if not isinstance(error, OSError) or error.errno not in DISK_FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror}: free some space, and give the same command again")


def lacks_memory(error: Exception) -> bool:
    """Whether an error of Python, the system or torch, which has only words for it, is a lack of memory."""
    words = ("can't allocate memory", "out of memory", "can't start new thread")
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", 0) == errno.ENOMEM
        or any(each in str(error) for each in words)
    )


def give_up_output() -> None:
    """Sends standard output to /dev/null after its reader has gone, because Python flushes it again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def print_help(text: str) -> NoReturn:
    """Prints the help and exits 0, even if `| head` closes the pipe."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        give_up_output()
    sys.exit(0)


def exit_with(fault: object) -> NoReturn:
    """Prints bad input on one line of stderr and exits 2."""
    print("error:", " ".join(str(fault).split()), file=sys.stderr)
    sys.exit(2)


def require_python() -> None:
    """Raises InputError if this Python is too old; the message has the command that runs the container instead."""
    if sys.version_info < OLDEST_PYTHON:
        wanted, found = (".".join(map(str, version[:2])) for version in (OLDEST_PYTHON, sys.version_info))
        command = shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]])
        way = f"use python{wanted} or newer, or the container: {IMAGE} {command}"
        raise InputError(f"Python >= {wanted} needed, found {found}: {way}")


def check_writable(name: str, folder: str) -> None:
    """Raises InputError if the folder that a constant names cannot be written. It need not exist yet."""
    import tempfile  # here, because --help must be fast

    existing = existing_part(folder)
    try:
        tempfile.TemporaryFile(dir=existing).close()  # os.access() tells root that even /proc is writable
    except OSError as error:
        if error.errno in DISK_FULL:
            return  # the run finds out what fits
        raise InputError(f"{name} {folder}: {existing} is not a writable folder; give another") from error


def check_positive(**values: float) -> None:
    """Raises InputError for a constant, given under its name, that is not above 0."""
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"{name} is {value}; give a value above 0")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raises InputError for a constant whose value is none of its choices."""
    if value not in choices:
        raise InputError(f"no {name} {value!r}; choose from {', '.join(choices)}")


def existing_part(folder: str) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    directory = Path(folder).resolve()
    return next(path for path in (directory, *directory.parents) if os.path.exists(path))  # False without rights


@dataclass(frozen=True)
class Constant:
    """An upper-case name at the top level of a script's file."""

    name: str
    value: object
    comment: str  # at the end of its line; without one, the comment lines above it
    heading: str  # the comment lines above it, if it also has a comment at the end of its line
    starts_group: bool  # whether it follows a blank line
    annotation: str = ""

    @property
    def boolean(self) -> bool:
        """Whether its flag may stand without a value. `bool | str` takes words as well."""
        return isinstance(self.value, bool) or self.annotation == "bool | str"

    @property
    def flag(self) -> str:
        return "--" + self.name.lower().replace("_", "-")

    @property
    def environment(self) -> str:
        """The environment variable that may set it; "" if its comment names none."""
        found = re.search(r"\benv ([A-Z][A-Z0-9_]*)", self.comment)
        return found[1] if found else ""

    @property
    def secret(self) -> bool:
        """Whether it holds a key, which must not appear in a command line, a log or a saved file."""
        return bool(SECRET.search(self.name))


def override_constants(
    namespace: dict, argv: list[str] | None = None, positional: str = "", replaced: Mapping[str, str] | None = None
) -> None:
    """Sets a script's constants from the environment and its command line, and prints what changed.

    Called once under `__main__` with globals(). `positional` names the constant that words without a flag set,
    `replaced` what to write instead of flags of earlier versions.
    A bad flag, a bad value, also one in the file, or a Python that is too old ends the process with one line and exit
    2; --help with exit 0.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        require_python()
        if fault := file_fault(namespace):
            raise InputError(fault)
        table = read_constants(namespace)
        if {"-h", "--help"} & set(words):
            print_help(help_text(namespace, table))
        refuse_replaced(words, replaced or {})
        changed = {**environment_values(table), **flag_values(words, table, namespace, positional)}
        own = {constant.name: constant.value for constant in table}
        if fault := range_fault(own | {name: value for name, (value, _) in changed.items()}):
            raise InputError(fault)
    except InputError as error:
        exit_with(error)
    for name, (value, _) in changed.items():
        namespace[name] = value
    secrets = {constant.name for constant in table if constant.secret}
    shown = [
        f"{name} = {'***' if name in secrets else repr(value)} ({origin})"
        for name, (value, origin) in changed.items()
        if origin != "config" or value != own.get(name)  # a saved config names every constant
    ]
    if shown and os.environ.get("RANK", "0") == "0" and RELAUNCHED not in os.environ:  # once for all processes
        print("changed:", ", ".join(shown), flush=True)  # flushed, so that it comes before any error


class Settings(SimpleNamespace):
    """A script's constants as attributes under their own names, for the rooms that need them."""


def constants(namespace: dict) -> Settings:
    """Every constant of a script with its current value, as saved in config.json; keys are left out."""
    return Settings(**{constant.name: constant.value for constant in read_constants(namespace) if not constant.secret})


def read_constants(namespace: dict) -> list[Constant]:
    """The constants of the file that `namespace` belongs to, in the file's order, with their current values.

    Values are bool, int, float, str, None, or a list or tuple of those; with a name that ends in _OPTIONS, a dict.
    """
    source = Path(namespace["__file__"]).read_text(encoding="utf-8")
    lines, comments, found = source.split("\n"), read_comments(source), []
    for node in ast.parse(source).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        name = getattr(targets[0], "id", "")
        plain = name.endswith(OPTIONS) or is_plain(namespace.get(name, ...))
        if not name.isupper() or name.startswith("_") or not plain:
            continue
        trailing = comments.get(node.lineno) or comments.get(node.end_lineno or 0, "")
        top = node.lineno - 1  # lines[top - 1] is the line above
        while top > 0 and lines[top - 1].startswith("#"):
            top -= 1
        above = " ".join(comments[line] for line in range(top + 1, node.lineno))
        comment, heading = (trailing, above) if trailing else (above, "")
        starts, annotation = top == 0 or not lines[top - 1].strip(), getattr(node, "annotation", None)
        written = ast.unparse(annotation) if annotation else ""
        found.append(Constant(name, namespace[name], comment, heading, starts, written))
    return found


def is_plain(value: object) -> bool:
    """Whether a command line can give such a value."""
    return all(isinstance(item, SCALARS) for item in (value if isinstance(value, list | tuple) else [value]))


def read_comments(source: str) -> dict[int, str]:
    """The comment on each line of a program, by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("#").strip() for token in tokens if token.type == tokenize.COMMENT}


def environment_values(table: list[Constant]) -> dict[str, tuple]:
    """name -> (value, origin) of the constants whose environment variables are set."""
    found = {}
    for constant in table:
        variable = constant.environment
        if variable and os.environ.get(variable):
            found[constant.name] = (parse_value(constant, variable, [os.environ[variable]]), f"env {variable}")
    return found


def flag_values(words: list[str], table: list[Constant], namespace: dict, positional: str) -> dict:
    """name -> (value, origin) of the constants that --demo, --config and flags set; the later of these wins."""
    flags = {constant.flag: constant for constant in table if not constant.secret}
    demo, saved, given, loose, words = {}, {}, {}, [], list(words)
    while words:
        word = words.pop(0)
        flag, equals, text = word.partition("=")
        negated = flags.get("--" + flag.removeprefix("--no-"))
        if word == "--demo" and "DEMO" in namespace:
            demo = {name: (value, "demo") for name, value in namespace["DEMO"].items()}
        elif flag == "--config":
            path = text if equals else words.pop(0) if words else ""
            saved = {name: (value, "config") for name, value in saved_values(path, namespace).items()}
        elif flag in flags:
            values = [text] if equals else take_values(flags[flag], words)
            given[flags[flag].name] = (parse_value(flags[flag], flag, values), "flag")
        elif word.startswith("--no-") and negated and negated.boolean:
            given[negated.name] = (False, "flag")
        elif positional and not word.startswith("-"):
            loose.append(word)
        else:
            raise InputError(unknown_word(flag if word.startswith("-") else word, flags, table))
    if loose:
        constant = next(constant for constant in table if constant.name == positional)
        given[positional] = (parse_value(constant, positional, loose), "argument")
    return {**demo, **saved, **given}


def saved_values(path: str, namespace: dict) -> dict:
    """The constants that a run has saved in its config.json. Raises InputError if this script does not take them."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"--config {path!r} cannot be read ({error}); give the config.json of an earlier run"
        ) from error
    values = {name: value for name, value in found.items() if name.isupper()} if isinstance(found, dict) else {}
    values.pop("PUSH_TO_HUB", None)
    fault = saved_fault(values, namespace, path) if values else f"{path} names no constant"
    if fault:
        raise InputError(f"--config: {fault}; correct the file, or give the config.json of a run of this script")
    return values


def refuse_replaced(words: list[str], replaced: Mapping[str, str]) -> None:
    """Raises InputError for a flag of an earlier version, with what to write instead."""
    for word in words:
        flag = word.partition("=")[0]
        if flag in replaced:
            raise InputError(f"no flag {flag} any more; give {replaced[flag]}")
        if flag.replace("--no-", "--", 1) in replaced:
            raise InputError(f"no flag {flag} any more; leave it out")


def take_values(constant: Constant, words: list[str]) -> list[str]:
    """Removes the flag's values from the front of `words` and returns them."""
    if isinstance(constant.value, bool) and constant.annotation != "bool | str":
        count = 1 if words and words[0].lower() in TRUTH else 0
    elif isinstance(constant.value, (list, tuple)):
        count = next((place for place, word in enumerate(words) if word.startswith("--")), len(words))
    else:
        count = 1 if words and not words[0].startswith("--") else 0
    taken, words[:count] = words[:count], []
    return taken


def unknown_word(word: str, flags: dict[str, Constant], table: list[Constant]) -> str:
    """The error message for a word that belongs to no constant."""
    if not word.startswith("-"):
        return f"argument {word!r} has no flag; give every value after its flag, see --help"
    for constant in table:
        if constant.secret and constant.flag == word:
            return f"{word} is not a flag; put the key into the environment variable {constant.environment}"
    close = difflib.get_close_matches(word, flags, 1)
    return f"no flag {word}; " + (f"did you mean {close[0]}?" if close else "see --help")


def parse_value(constant: Constant, where: str, words: list[str]):
    """The words as a value of the constant's type; `where` names the flag or variable in the error."""
    value = constant.value
    if isinstance(value, (list, tuple)):
        if not words:
            raise InputError(f"{where} needs at least one value")
        return type(value)(parse_scalar(value[0] if value else "", where, word) for word in words)
    if constant.boolean and not words:
        return True
    if not words:
        raise InputError(f"{where} needs a value, like {shown_default(value)}")
    if len(words) > 1:
        raise InputError(f"{where} takes one value, found {len(words)}: {' '.join(words)}")
    if isinstance(value, dict):
        return parse_options(where, words[0])
    if constant.annotation == "bool | str":
        return TRUTH.get(words[0].lower(), words[0])
    return parse_scalar(value, where, words[0])


def parse_options(where: str, word: str) -> dict:
    """A JSON object."""
    try:
        found = json.loads(word)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{where} is {word!r}; give a JSON object in quotes, like '{{\"name\": 0.5}}'")
    return found


def parse_scalar(like, where: str, word: str):
    """A word as a value of the type of `like`. If `like` is None, as a number if it is one, else as text."""
    if isinstance(like, bool):
        if word.lower() not in TRUTH:
            raise InputError(f"{where} is {word!r}; give true or false")
        return TRUTH[word.lower()]
    if like is None and word.lower() == "none":
        return None
    for kind in (int, float, str) if like is None else (type(like),):
        try:
            return kind(word)
        except ValueError:
            continue
    wanted = {int: "a whole number", float: "a number"}[type(like)]
    raise InputError(f"{where} is {word!r}; give {wanted}, like {like}")


def help_text(namespace: dict, table: list[Constant]) -> str:
    """The first paragraph of the script's docstring, and its constants by groups."""
    lines = [
        (namespace.get("__doc__") or "").strip().split("\n\n")[0],
        "",
        "Constants of the file. A flag changes one for this run:",
    ]
    if "DEMO" in namespace:
        values = ", ".join(f"{name} = {value!r}" for name, value in namespace["DEMO"].items())
        lines += ["", "  --demo", *wrapped(f"use the demo's values: {values}")]
    lines += ["", "  --config FILE", *wrapped("take the constants of a run's config.json, except PUSH_TO_HUB")]
    for constant in table:
        if constant.starts_group:
            lines.append("")
        if constant.heading:
            lines += textwrap.wrap(constant.heading, HELP_WIDTH)
        if constant.secret:
            lines.append(f"  {constant.name} (no flag)")
        else:
            shown = f"  {constant.flag} {shown_default(constant.value)}"
            lines.append(shown if len(shown) <= HELP_WIDTH else shown[:HELP_WIDTH] + " ...")
        lines += wrapped(constant.comment)
    return "\n".join(lines)


def shown_default(value) -> str:
    """A value as it is written after its flag."""
    if isinstance(value, (list, tuple)):
        return " ".join(map(shown_default, value)) or "..."
    if isinstance(value, dict):
        return f"'{json.dumps(value)}'"
    return repr(value) if isinstance(value, str) and not re.fullmatch(r"[^\s'\"]+", value) else str(value)


def wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, HELP_WIDTH, initial_indent=HELP_INDENT, subsequent_indent=HELP_INDENT)
