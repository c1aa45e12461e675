"""Runs scripts in forks of one Python that has imported the libraries: importing takes longer than a tiny run.

A fork ends as `python script.py` does, with the same exit code and output. It does not show what a script imports.

    python tests/helpers/warm_python.py 3        (started by `server`; 3 is its socket)
"""

import contextlib
import functools
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARIES = ("trl.trainer.grpo_trainer", "peft", "transformers.models.qwen3.modeling_qwen3", "scipy.stats")
MAX_JOB = 1 << 20  # bytes


class Script:
    """A script that runs. Its output goes to `stdout` and `stderr`, which are files or descriptors."""

    def __init__(self, words: list[str], folder: Path, changes: dict[str, str], stdout, stderr):
        self.channel = server()
        job = json.dumps({"words": words, "folder": str(folder), "changes": changes}).encode()
        streams = [each if isinstance(each, int) else each.fileno() for each in (stdout, stderr)]
        socket.send_fds(self.channel, [job], streams)
        self.pid = int(self.channel.recv(MAX_JOB))

    def wait(self) -> int:
        """Its exit code, as subprocess gives it."""
        return os.waitstatus_to_exitcode(int(self.channel.recv(MAX_JOB)))


def run(words: list[str], folder: Path, **changes: str) -> subprocess.CompletedProcess:
    """Runs a script to its end: its path and its flags, a working folder, and changes of the environment."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        code = Script(words, folder, changes, stdout, stderr).wait()
        texts = [stream.seek(0) or stream.read() for stream in (stdout, stderr)]
    return subprocess.CompletedProcess(words, code, *texts)


@functools.cache
def server() -> socket.socket:
    """The channel to the one server of this process. It serves one script at a time and ends with the channel."""
    from helpers.training_runs import environment

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        words = [sys.executable, __file__, str(theirs.fileno())]
        subprocess.Popen(words, env=environment(), stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    return ours


def next_script(channel: socket.socket) -> list[str]:
    """Forks for each job. Returns the words of a script in its fork, and [] in the server when the channel closes."""
    while True:
        job, streams, *_ = socket.recv_fds(channel, MAX_JOB, 2)
        if not job:
            return []
        if pid := os.fork():
            for stream in streams:
                os.close(stream)
            channel.send(str(pid).encode())
            channel.send(str(os.waitpid(pid, 0)[1]).encode())
            continue
        channel.close()
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
            os.close(stream)
        described = json.loads(job)
        os.chdir(described["folder"])
        os.environ.update(described["changes"])
        return described["words"]


if __name__ == "__main__":
    with contextlib.suppress(ImportError):  # the script says what is missing
        for library in LIBRARIES:
            importlib.import_module(library)
    if words := next_script(socket.socket(fileno=int(sys.argv[1]))):
        sys.argv, sys.path[0] = words, os.path.dirname(os.path.abspath(words[0]))
        runpy.run_path(words[0], run_name="__main__")
