"""What import-linter and ruff cannot say of the code (pyproject.toml has the rest): README's two drawings and sizes."""

import re
import sys
from collections import defaultdict

import grimp
import pytest

from helpers.paths import ROOT, SCRIPTS

TREE, ARROWS = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text().split("# Where things are")[1],
                          re.M | re.S)[:2]
ROOMS = {path.parent.name for path in (SCRIPTS / "raccoon").glob("*/__init__.py")}
FOREIGN_CODE = ("sandbox", "verdicts", "child", "exchange", "test_texts")  # rooms of the processes that run it
MOST_LINES = 470  # of a file
MOST_FILES = 9  # of a room, beside its __init__.py


def imports() -> dict[str, set[str]]:
    """What the files of each room, or a file outside of rooms, import from elsewhere. A room is named raccoon.ROOM."""
    graph, found = grimp.build_graph("raccoon", include_external_packages=True, cache_dir=None), defaultdict(set)

    def place(module: str) -> str:
        parts = module.split(".")
        return ".".join(parts[:2]) if parts[0] == "raccoon" and parts[1:] and parts[1] in ROOMS else module

    for module in graph.modules:
        found[place(module)] |= {place(each) for each in graph.find_modules_directly_imported_by(module)}
    return {name: targets - {name} for name, targets in found.items()}


@pytest.mark.parametrize(("indent", "folder"), [(4, SCRIPTS), (8, SCRIPTS / "raccoon")], ids=["commands", "rooms"])
def test_readme_draws_every_file(indent, folder):
    lines = [line for line in TREE.split("\ntests/")[0].splitlines() if re.match(rf" {{{indent}}}\S", line)]
    names = {part.rstrip("/") for line in lines for part in re.split(" {2,}", line.strip())
             if re.fullmatch(r"\w+\.\w+|\w+/", part)}
    assert names == {path.name for path in folder.iterdir()} - {"__pycache__"}


def test_readme_draws_every_import_between_rooms():
    drawn = {}
    for line in ARROWS.splitlines():
        sources, targets = (re.split(", ", side.strip()) for side in line.split("-->"))
        drawn |= dict.fromkeys(sources, set(targets))
    found = {room: {name.removeprefix("raccoon.") for name in imports()[f"raccoon.{room}"]} & ROOMS for room in ROOMS}
    assert drawn == {room: targets for room, targets in found.items() if targets}


def test_processes_that_run_foreign_code_need_the_standard_library_alone():
    needed = {name for room in FOREIGN_CODE for name in imports()[f"raccoon.{room}"] if not name.startswith("raccoon")}
    assert needed - sys.stdlib_module_names <= {"numpy"}  # values of numpy, if the code's process has it


def test_nothing_imports_a_command():
    commands = "|".join(path.stem for path in SCRIPTS.glob("*.py"))
    found = re.compile(rf"^\s*(?:import|from) (?:{commands})\b", re.M)
    assert [path for path in SCRIPTS.rglob("*.py") if found.search(path.read_text())] == []


def test_no_file_and_no_room_is_too_large():
    """Neither tool counts lines of a file or files of a folder."""
    assert [path for path in SCRIPTS.rglob("*.py") if path.read_text().count("\n") > MOST_LINES] == []
    assert [room for room in ROOMS if len([*(SCRIPTS / "raccoon" / room).glob("*.py")]) > MOST_FILES + 1] == []
