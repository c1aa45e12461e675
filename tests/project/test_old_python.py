"""On a Python that is too old, whatever a user starts stops with one line that names the way out."""

import ast
import shutil
import subprocess
import sys

import pytest

from helpers.paths import SCRIPTS
from helpers.sources import COMMANDS, FILES, calls, tree
from raccoon import constants

OLD = (3, 10)
CONFIGURED = [name for name in COMMANDS if calls(name, "override_constants")]
# What Python 3.11 and 3.12 added to modules; imported at the top, it would fail before the line is printed.
NEWER = """
tomllib wsgiref.types contextlib.chdir datetime.UTC enum.EnumCheck enum.FlagBoundary enum.ReprEnum enum.StrEnum
enum.global_enum enum.member enum.nonmember enum.property enum.verify hashlib.file_digest itertools.batched math.cbrt
math.exp2 math.sumprod operator.call asyncio.Barrier asyncio.Runner asyncio.TaskGroup asyncio.timeout
collections.abc.Buffer typing.LiteralString typing.Never typing.NotRequired typing.Required typing.Self
typing.TypeAliasType typing.TypeVarTuple typing.Unpack typing.assert_never typing.assert_type
typing.dataclass_transform typing.override typing.reveal_type
""".split()
PRETEND = """
import runpy, sys
script = sys.argv[1]
sys.argv, sys.version_info = sys.argv[1:], (3, 10, 13, "final", 0)
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(script, run_name="__main__")
"""


def old_interpreter() -> str:
    """A real Python 3.10 where there is one, else an empty text."""
    path = shutil.which("python3.10") or ""
    works = path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0
    return path if works else ""


def imported_at_top(name: str) -> set[str]:
    """The modules, and the names out of modules, that a file imports outside of functions."""
    found = set()
    for node in tree(name).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def stopped(command: list[str]) -> str:
    """The one line with which a command ends."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("name", FILES)
def test_old_python_reads_as_far_as_the_check(name):
    ast.parse((SCRIPTS / f"{name}.py").read_text(encoding="utf-8"), feature_version=OLD)
    assert imported_at_top(name) & set(NEWER) == set()


@pytest.mark.parametrize("name", CONFIGURED)
@pytest.mark.parametrize("arguments", [["--help"], ["--no-such-flag", "a b"]])
def test_old_python_is_refused_with_the_command_to_run(name, arguments):
    line = stopped([sys.executable, "-c", PRETEND, str(SCRIPTS / f"{name}.py"), *arguments])
    assert line.startswith("error: Python >= 3.11 needed, found 3.10: ")
    words = " ".join(["--no-such-flag", "'a b'"] if len(arguments) > 1 else arguments)
    assert line.endswith(f"{constants.IMAGE} python scripts/{name}.py {words}\n")


def test_old_python_is_refused_by_the_sandbox():
    line = stopped([sys.executable, "-c", PRETEND, str(SCRIPTS / "sandbox.py")])
    assert line.startswith("sandbox.py: Python >= 3.11 needed, found 3.10: ") and "Docker image" in line


@pytest.mark.skipif(not old_interpreter(), reason="no python3.10 on the PATH")
@pytest.mark.parametrize("name", [*CONFIGURED, "sandbox"])
def test_real_old_python_is_refused(name):
    assert "Python >= 3.11 needed, found 3.10" in stopped([old_interpreter(), str(SCRIPTS / f"{name}.py")])
