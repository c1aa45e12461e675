"""scripts/test.sh: its exit code is that of the checks, wherever one of them fails."""

import os
import subprocess

import pytest

from helpers.paths import SCRIPTS

# Stands in for Python: says what it is asked to run, and fails where FAIL names it.
PYTHON = """#!/usr/bin/env bash
case "$*" in
    *"ruff check"*) check=style ;;
    *"ruff format"*) check=layout ;;
    *"-m mypy"*) check=types ;;
    *importlinter*) check=imports ;;
    *--ignore=tests/attacks*) check=rest ;;
    *tests/attacks*) check=attacks ;;
    *tests/sandbox*) check=sandbox ;;
esac
echo "ran $check"
[[ $FAIL != "$check" ]]
"""


def run_checks(tmp_path, fail: str) -> subprocess.CompletedProcess:
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = os.environ | {"TEST_PYTHON": str(python), "FAIL": fail}
    return subprocess.run(
        ["bash", str(SCRIPTS / "test.sh")], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_check_runs_and_all_well_is_0(tmp_path):
    done = run_checks(tmp_path, fail="nothing")
    assert done.returncode == 0, done.stderr
    ran = [f"ran {check}" for check in ("attacks", "imports", "layout", "rest", "sandbox", "style", "types")]
    assert sorted(done.stdout.split("\n")[:-1]) == ran


@pytest.mark.parametrize("check", ["style", "layout", "types", "imports", "rest", "attacks", "sandbox"])
def test_a_check_that_fails_is_not_lost(tmp_path, check):
    assert run_checks(tmp_path, fail=check).returncode != 0
