"""The progress bar: whole lines in a log, and none of work that is done at once."""

import subprocess
import sys

from helpers.paths import SCRIPTS

PROGRAM = """
import sys, time
sys.path.insert(0, {scripts!r})
from raccoon import progress
progress.LOG_SECONDS = {seconds}
with progress.progress_bar(total=6, desc="checking", unit="task", disable={disable}) as bar:
    for _ in range(6):
        time.sleep(0.05)
        bar.update()
"""


def log(seconds: float, disable: bool = False) -> str:
    """What a bar of six steps writes where stderr is no terminal."""
    program = PROGRAM.format(scripts=str(SCRIPTS), seconds=seconds, disable=disable)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "", done.stderr
    return done.stderr


def test_log_gets_whole_lines():
    written = log(0.01)
    assert "\r" not in written and written.isascii() and written.endswith("\n")
    assert all(line.startswith("checking: ") for line in written.splitlines())
    assert len(written.splitlines()) > 1


def test_short_work_leaves_no_line():
    assert log(30.0) == ""


def test_other_processes_of_a_run_are_silent():
    assert log(0.01, disable=True) == ""
