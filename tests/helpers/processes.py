"""Scripts started in a session of their own, to see what of it is left when they end."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from helpers.training_runs import environment


def start(words: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        words, env=environment(), start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Waits until something has happened; fails where the process ends before."""
    while True:
        try:
            if condition():
                return
        except FileNotFoundError:
            pass
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def left_of_session(leader: int) -> list[str]:
    """The command lines of all processes of a session, by its first process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == leader:
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except (ProcessLookupError, FileNotFoundError):
            pass
    return found
