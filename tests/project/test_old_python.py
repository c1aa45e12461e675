"""Commands answer without libraries; on a Python that is too old they stop with one line that names the way out.

What Python 3.11 and later added to modules would fail before that line: pyproject.toml bans it at the top of files.
"""

import ast
import subprocess
import sys

import pytest

from helpers.paths import SCRIPTS
from raccoon import constants

COMMANDS = sorted(SCRIPTS.glob("*.py"))
PRETEND = """
import runpy, sys
sys.argv, sys.version_info = sys.argv[1:], (3, 10, 13, "final", 0)
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("script", COMMANDS, ids=lambda path: path.name)
def test_help_needs_no_library(script):
    done = subprocess.run([sys.executable, "-S", str(script), "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout, done.stderr


def test_old_python_can_read_every_file():
    for path in SCRIPTS.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


@pytest.mark.parametrize("script", COMMANDS, ids=lambda path: path.name)
def test_old_python_is_refused_with_the_command_to_run(script):
    words = [] if script.stem == "sandbox" else ["--no-such-flag", "a b"]
    done = subprocess.run(
        [sys.executable, "-c", PRETEND, str(script), *words],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "Python >= 3.11 needed, found 3.10: " in done.stderr
    remedy = f"{constants.IMAGE} python scripts/{script.name} --no-such-flag 'a b'\n" if words else "Docker image"
    assert remedy in done.stderr
