"""What import-linter and ruff cannot say of the code (pyproject.toml has the rest): README's two drawings and sizes."""

import re
import sys

import grimp
import pytest

from helpers.documents import blocks, read
from helpers.paths import SCRIPTS

TREE, ARROWS = blocks(read("README.md").split("# Where things are")[1], "")[:2]
ROOMS = {path.parent.name for path in (SCRIPTS / "raccoon").glob("*/__init__.py")}
FOREIGN_CODE = ("sandbox", "verdicts", "child", "exchange", "test_texts")  # rooms of the processes that run it
MOST_LINES = 570  # of a file
MOST_FILES = 9  # of a room, beside its __init__.py


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """What imports what, each room as one module."""
    found = grimp.build_graph("raccoon", include_external_packages=True, cache_dir=None)
    for room in ROOMS:
        found.squash_module(f"raccoon.{room}")
    return found


@pytest.mark.parametrize(("indent", "folder"), [(4, SCRIPTS), (8, SCRIPTS / "raccoon")], ids=["commands", "rooms"])
def test_readme_draws_every_file(indent, folder):
    lines = [line for line in TREE.split("\ntests/")[0].splitlines() if re.match(rf" {{{indent}}}\S", line)]
    names = {
        part.rstrip("/")
        for line in lines
        for part in re.split(" {2,}", line.strip())
        if re.fullmatch(r"\w+\.\w+|\w+/", part)
    }
    assert names == {path.name for path in folder.iterdir()} - {"__pycache__"}


def test_readme_draws_every_import_between_rooms(graph):
    drawn = {
        (source, target)
        for line in ARROWS.splitlines()
        for source in re.findall(r"\w+", line.split("-->")[0])
        for target in re.findall(r"\w+", line.split("-->")[1])
    }
    assert drawn == {
        (source, target)
        for source in ROOMS
        for target in ROOMS
        if graph.direct_import_exists(importer=f"raccoon.{source}", imported=f"raccoon.{target}")
    }


def test_processes_that_run_foreign_code_need_the_standard_library_alone(graph):
    needed = set().union(*(graph.find_modules_directly_imported_by(f"raccoon.{room}") for room in FOREIGN_CODE))
    libraries = {name for name in needed if not name.startswith("raccoon")} - sys.stdlib_module_names
    assert libraries <= {"numpy"}  # values of numpy, if the code's process has it


def test_nothing_imports_a_command():
    commands = "|".join(path.stem for path in SCRIPTS.glob("*.py"))
    found = re.compile(rf"^\s*(?:import|from) (?:{commands})\b", re.M)
    assert [path for path in SCRIPTS.rglob("*.py") if found.search(path.read_text())] == []


def test_no_file_and_no_room_is_too_large():
    """Neither tool counts lines of a file or files of a folder."""
    assert [path for path in SCRIPTS.rglob("*.py") if path.read_text().count("\n") > MOST_LINES] == []
    assert [room for room in ROOMS if len([*(SCRIPTS / "raccoon" / room).glob("*.py")]) > MOST_FILES + 1] == []
