"""The drawing of the house: which room may import which, what is heavy, how large things get, what --help says."""

import ast
import functools
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT, SCRIPTS
from helpers.sources import (
    COMMANDS,
    FILES,
    ROOM_FILES,
    STARTED_BY_THE_SANDBOX,
    calls,
    imports,
    imports_at_top,
    own_files,
    roots,
    tree,
)
from raccoon import constants

# Which rooms the files of a room may import, beside those of their own and the small files. Commands may import all.
ARROWS = {
    "tasks": set(),
    "verdicts": set(),
    "runs": set(),
    "planning": set(),
    "published": {"tasks"},
    "sandbox": {"verdicts"},
    "judging": {"tasks", "published", "sandbox"},
    "rewards": {"tasks", "sandbox", "judging", "runs"},
    "training": {"tasks", "runs"},
    "recipe": {"tasks", "published", "sandbox", "judging", "runs", "rewards", "training", "planning"},
    "evaluation": {"tasks", "published", "sandbox", "judging"},
    "synthetic": {"tasks", "published", "sandbox", "judging"},
    "integrity": {"tasks", "published", "sandbox"},
    "reporting": {"runs"},
}
SMALL = "small files"  # directly in raccoon/, for everyone; they import each other alone
# Imported inside functions only: they load torch, or belong to one choice of a run.
LATE = {"raccoon/training/" + name for name in
        "batches callbacks export library_internals memory_probe policy sharding trainer".split()} | {
            "raccoon/decoding"}
HEAVY = {"torch", "trl", "transformers", "datasets", "numpy", "scipy", "matplotlib", "accelerate", "peft", "tqdm",
         "jinja2", "openai", "httpx2"}
OPTIONAL = {"raccoon/verdicts/values": {"numpy"}}  # used where it is installed
MOST_COMMANDS = 20  # entries of scripts/
MOST_FILES = 9  # of a room
CROWDED = {"sandbox": 11, "verdicts": 15}  # rooms that may hold more: four processes and their walls; what tests need
MOST_LINES = 450  # of a file
LONG_FILES = {"raccoon/verdicts/objects": 750, "raccoon/verdicts/values": 530, "raccoon/sandbox/child": 490,
              "raccoon/sandbox/zygote": 470}  # one table of methods or values each
MOST_FUNCTION_LINES = 60


def room(name: str) -> str:
    """The room of a file; "" for a command."""
    parts = name.split("/")
    return "" if len(parts) == 1 else SMALL if len(parts) == 2 else parts[1]


ROOMS = sorted({room(name) for name in ROOM_FILES} - {SMALL})


def test_every_room_is_drawn():
    assert ROOMS == sorted(ARROWS)


@pytest.mark.parametrize("name", FILES)
def test_imports_follow_the_arrows(name):
    targets = {room(found) for found in own_files(imports(name))}
    if not room(name):
        assert "" not in targets, "nothing imports a command"
        return
    allowed = {SMALL} if room(name) == SMALL else {SMALL, room(name)} | ARROWS[room(name)]
    assert targets <= allowed


def drawn() -> tuple[set[str], set[str]]:
    """The entries of scripts/ and of scripts/raccoon/ in README's drawing."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```\nscripts/\n(.*?)^```", text, re.M | re.S)[1]
    entries: dict[int, set[str]] = {4: set(), 8: set()}
    for line in block.split("tests/")[0].splitlines():
        depth = len(line) - len(line.lstrip())
        names = line.split() if re.search(r"\.\w+  \w+\.", line) else line.split()[:1]
        entries[depth] |= {name.rstrip("/") for name in names if name.endswith("/") or "." in name}
    return entries[4], entries[8]


def test_readme_draws_the_house():
    commands, rooms = drawn()
    assert commands == {path.name for path in SCRIPTS.iterdir() if path.name != "__pycache__"}
    assert rooms == {path.name for path in (SCRIPTS / "raccoon").iterdir() if path.name != "__pycache__"}


def test_there_is_no_circle():
    graphlib.TopologicalSorter({name: own_files(imports(name)) - {name} for name in FILES}).prepare()
    graphlib.TopologicalSorter(ARROWS).prepare()


@pytest.mark.parametrize("name", FILES)
def test_heavy_libraries_are_imported_inside_functions(name):
    at_top = imports_at_top(name)
    assert name in LATE or not roots(at_top) & HEAVY
    assert name in LATE or not own_files(at_top) & LATE


@pytest.mark.parametrize("name", [name for name in ROOM_FILES if room(name) in ("sandbox", "verdicts")])
def test_sandbox_needs_the_standard_library_alone(name):
    assert roots(imports(name)) - sys.stdlib_module_names - {"raccoon"} <= OPTIONAL.get(name, set())
    assert {room(found) for found in own_files(imports(name))} - {"sandbox", "verdicts"} <= {SMALL}
    assert {found for found in own_files(imports(name)) if room(found) == SMALL} <= {"raccoon/__init__"}


@pytest.mark.parametrize("name", [name for name in ROOM_FILES if room(name) in ("tasks", "published")])
def test_tasks_load_with_the_standard_library_alone(name):
    assert roots(imports_at_top(name)) - sys.stdlib_module_names <= {"raccoon"}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_hides_a_module(name):
    """Commands lie first on sys.path: a file named as a library would be imported in its place."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    required = {re.split(r"[^\w-]", line)[0].replace("-", "_").lower() for line in text.splitlines()} - {""}
    assert name not in sys.stdlib_module_names and name.lower() not in required


@pytest.mark.parametrize("name", FILES)
def test_file_says_what_it_is(name):
    first = (ast.get_docstring(tree(name)) or "").partition("\n\n")[0]
    assert first.endswith((".", "!")) or ":" in first, f"{name}.py needs a docstring that begins with one sentence"


@pytest.mark.parametrize("name", [name for name in FILES if room(name) in ("training", "recipe", "rewards", "")])
def test_private_names_of_libraries_stand_in_one_file(name):
    """Of our own classes too nothing private is used from outside."""
    if name == "raccoon/training/library_internals":
        return
    used = {node.attr for node in ast.walk(tree(name)) if isinstance(node, ast.Attribute) and node.attr.startswith("_")
            and not node.attr.startswith("__") and not (isinstance(node.value, ast.Name) and node.value.id == "self")}
    assert used <= {"_exit"}


def test_few_commands_and_no_crowded_room():
    assert len([path for path in SCRIPTS.iterdir() if path.name != "__pycache__"]) <= MOST_COMMANDS
    crowds = {each: sum(room(name) == each and not name.endswith("__init__") for name in ROOM_FILES) for each in ROOMS}
    assert {each: size for each, size in crowds.items() if size > CROWDED.get(each, MOST_FILES)} == {}


@pytest.mark.parametrize("name", FILES)
def test_nothing_grows_too_long(name):
    lines = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8").count("\n")
    assert lines <= LONG_FILES.get(name, MOST_LINES)
    functions = [node for node in ast.walk(tree(name)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    long = {node.name: node.end_lineno - node.lineno + 1 for node in functions}
    assert {each: length for each, length in long.items() if length > MOST_FUNCTION_LINES} == {}


@functools.cache
def help_of(name: str) -> str:
    """What `python scripts/NAME.py --help` prints."""
    words = [sys.executable, str(SCRIPTS / f"{name}.py"), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_what_the_command_is_for(name):
    first_word = ast.get_docstring(tree(name)).split()[0]
    assert first_word in help_of(name) or "usage:" in help_of(name)


@pytest.mark.parametrize("name", [name for name in COMMANDS if calls(name, "override_constants")])
def test_help_lists_every_constant(name):
    table = constants.read_constants(vars(importlib.import_module(name)))
    assert table
    listed = {line.split()[0] for line in help_of(name).splitlines() if line.startswith("  ") and line.split()}
    assert {constant.name for constant in table if {constant.name, constant.flag}.isdisjoint(listed)} == set()


def test_help_lists_every_flag_of_the_sandbox():
    nodes = [node for node in ast.walk(tree("sandbox")) if isinstance(node, ast.Call)]
    added = [node.args[0].value for node in nodes if getattr(node.func, "attr", "") == "add_argument"]
    assert len(added) >= 5 and all(flag in help_of("sandbox") for flag in added)


def test_only_the_sandbox_starts_files_of_a_room():
    started = {name for name in ROOM_FILES
               if any("__main__" in ast.unparse(node.test) for node in tree(name).body if isinstance(node, ast.If))}
    assert started == STARTED_BY_THE_SANDBOX


def published() -> list[Path]:
    """The files that git has or would take; all files outside of hidden folders where there is no git."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        names = done.stdout.split("\0")
    except (FileNotFoundError, subprocess.CalledProcessError):
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
        names = [name for name in names if not any(part.startswith(".") for part in Path(name).parts)]
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


# Where the project was written is nobody's business. In pieces, so that this file is clean as well.
WORDS = [r"(?<![\w.])/wo" + "rk/", "/tmp" + r"/w\b", "pyp" + r"i\.", "python" + "hosted", "arti" + "factory"]
FORBIDDEN = re.compile("|".join(WORDS))


def test_no_word_of_the_place_where_it_was_written():
    found = []
    for path in published():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:  # a picture
            continue
        where = path.relative_to(ROOT)
        found += [f"{where}:{number}: {line}" for number, line in enumerate(lines, 1) if FORBIDDEN.search(line)]
    assert found == []
