"""What a judge may do behind its walls, and what a fork of it may do that runs a test."""

import subprocess
import sys

import pytest

from helpers.paths import SCRIPTS

JUDGE = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from raccoon.exchange import frames
from raccoon.sandbox import judge
from raccoon.sandbox.setup import Setup
os.makedirs("root/scratch")
confine_test = judge.confine(Setup(0, os.path.abspath("root/scratch"), 1024, (), (), False, True))

def outcome(action):
    try:
        return "refused" if action() is False else "done"
    except OSError:
        return "refused"

def forked(action):
    pid = os.fork()
    if pid == 0:
        confine_test()
        os._exit(outcome(action) == "done")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1

def kill_a_fork():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1] == signal.SIGKILL

parent = os.getpid()
actions = {
    "fork": lambda: os.fork() or os._exit(0), "kill": lambda: os.kill(parent, 0), "memory file": frames.memory_file,
    "exec": lambda: os.execv("/bin/true", ["true"]), "write": lambda: open("/tmp/written", "w"),
    "socket": lambda: __import__("socket").socket(), "own signal": lambda: os.kill(os.getpid(), 0)}
print({name: (outcome(action), "done" if forked(action) else "refused") for name, action in actions.items()})
print(kill_a_fork())
"""
RIGHTS = {
    "fork": ("done", "refused"),
    "kill": ("done", "refused"),
    "memory file": ("done", "refused"),
    "exec": ("refused", "refused"),
    "write": ("refused", "refused"),
    "socket": ("refused", "refused"),
    "own signal": ("done", "done"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
def test_fork_of_a_judge_has_the_rights_of_a_child(tmp_path):
    command = [sys.executable, "-s", "-S", "-P", "-c", JUDGE, str(SCRIPTS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout == f"{RIGHTS}\nTrue\n", done.stderr
