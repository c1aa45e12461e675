"""Runs scripts in forks of one Python that has imported the libraries: importing takes longer than a tiny run.

A fork ends as `python script.py` does, with the same exit code and output. It does not show what a script imports.
The scripts that it starts itself, such as the steps of a check, are forks as well. A training run's report and card
cost more than a tiny run, so they are left out, and count as written, unless the run gets REPORTS=1.

    python tests/helpers/warm_python.py 3        (started by `server`; 3 is its socket)
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import weakref
from pathlib import Path
from typing import Any

LIBRARIES = (
    "trl.trainer.grpo_trainer",
    "peft",
    "transformers.models.qwen3.modeling_qwen3",
    "scipy.stats",
    "matplotlib.backends.backend_svg",
)
MAX_JOB = 1 << 20  # bytes
REPORTS = ("make_report.py", "model_card.py")
FOLDERS = [Path(__file__).resolve().parents[2] / name for name in ("scripts", "benchmarks", "tests/helpers")]


class Script:
    """A script that runs, in so many processes. Its output goes to `stdout` and `stderr`, files or descriptors."""

    def __init__(self, words: list[str], folder: Path, changes: dict[str, str], stdout, stderr, processes: int = 0):
        self.channel = server()
        described = {"words": words, "folder": str(folder), "changes": changes, "processes": processes}
        job = json.dumps(described).encode()
        streams = [each if isinstance(each, int) else each.fileno() for each in (stdout, stderr)]
        socket.send_fds(self.channel, [job], streams)
        self.pid = int(self.channel.recv(MAX_JOB))

    def runs(self) -> bool:
        """Whether its process, the first of several, is still there."""
        return Path(f"/proc/{self.pid}").exists()

    def wait(self) -> int:
        """Its exit code, as subprocess gives it; of several processes, that of the first to fail."""
        return os.waitstatus_to_exitcode(int(self.channel.recv(MAX_JOB)))


def run(words: list[str], folder: Path, processes: int = 0, **changes: str) -> subprocess.CompletedProcess:
    """Runs a script to its end: its path and its flags, a working folder, and changes of the environment.

    With `processes`, each has the environment that torchrun gives its processes, and all end when one fails.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        code = Script(words, folder, changes, stdout, stderr, processes).wait()
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
        described = json.loads(job)
        forks: list[int] = []
        for changes in launched(described["processes"]):  # noqa: B007 - used in the fork
            if not (pid := os.fork()):
                break
            forks.append(pid)
        else:
            for stream in streams:
                os.close(stream)
            channel.send(str(forks[0]).encode())
            channel.send(str(first_fault(forks)).encode())
            continue
        channel.close()
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(described["folder"])
        os.environ.update(described["changes"] | changes)
        return described["words"]


def launched(processes: int) -> list[dict[str, str]]:
    """What torchrun sets for each of so many processes; 0 is one process that it did not start."""
    from ports import port_to_take_again  # this file runs as a script

    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port_to_take_again())}
    ranks = [dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank)) for rank in range(processes)]
    sizes = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(processes))
    return [rank | sizes | meeting for rank in ranks] or [{}]


def first_fault(forks: list[int]) -> int:
    """Waits for processes, and ends the others when one fails. Returns the first status that is not 0, or 0."""
    fault = 0
    while forks:
        pid, status = os.waitpid(-1, 0)
        forks.remove(pid)
        if status and not fault:
            fault = status
            for other in forks:
                os.kill(other, signal.SIGKILL)
    return fault


class Popen(subprocess.Popen):
    """subprocess.Popen, which starts a script of the project as a fork: its preparation in the child never ends."""

    def __init__(self, args: Any, env: dict[str, str] | None = None, **options: Any):
        words = [] if isinstance(args, str) or args[0] != sys.executable else [*map(str, args[1:])]
        words = words[words[:1] == ["-u"] :]  # of torch's launcher
        script = Path(*words[:1])
        if script.parent in FOLDERS and script.name in REPORTS and "REPORTS" not in os.environ:
            options["preexec_fn"] = functools.partial(os._exit, 0)
        elif script.parent in FOLDERS:
            options["preexec_fn"] = functools.partial(be_script, words, env)
        super().__init__(args, env=env, **options)


def be_script(words: list[str], environment: dict[str, str] | None) -> None:
    """Makes this fork a process of a script, which does not return.

    It drops what is its parent's: files, handlers of signals, modules of the project, which may have been patched, and
    what to do at the end, such as the removal of temporary folders.
    """
    for name, module in list(sys.modules.items()):
        if name != "__main__" and (getattr(module, "__file__", None) or "").startswith(tuple(map(str, FOLDERS))):
            del sys.modules[name]
    atexit._clear()
    weakref.finalize._registry.clear()
    weakref.finalize._registered_with_atexit = False
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the parent waits for one of them
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if environment is not None:
        os.environ.clear()
        os.environ.update(environment)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)
    run_script(words)


def run_script(words: list[str]) -> None:
    """Runs a script as Python would and ends this process without taking the libraries apart, which takes a second."""
    sys.argv, sys.path[0] = words, os.path.dirname(os.path.abspath(words[0]))
    code: Any = 1
    try:
        runpy.run_path(words[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    threading._shutdown()
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    subprocess.Popen = Popen  # before a library takes its name
    with contextlib.suppress(ImportError):  # the script says what is missing
        for library in LIBRARIES:
            importlib.import_module(library)
    gc.freeze()  # no fork looks through what all share
    if words := next_script(socket.socket(fileno=int(sys.argv[1]))):
        run_script(words)
