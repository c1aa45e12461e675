"""How a script ends where its surroundings fail: one line that names the thing and the remedy, and no traceback."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from helpers.paths import SCRIPTS
from raccoon.constants import InputError, check_writable, run_main
from raccoon.sandbox.pool import SandboxError


def raises(error: BaseException):
    def main() -> None:
        raise error

    return main


def ended(main, capsys) -> tuple[object, str]:
    """The exit code, or the text that exits with 1, and stderr."""
    with pytest.raises(SystemExit) as end:
        run_main(main)
    return end.value.code, capsys.readouterr().err


def test_missing_library_names_the_interpreter_and_the_remedy(capsys):
    code, line = ended(raises(ModuleNotFoundError("No module named 'scipy'", name="scipy")), capsys)
    assert code == 2 and sys.executable in line and "'scipy'" in line and "requirements.txt" in line
    assert line.count("\n") == 1


def test_missing_file_of_ours_is_a_fault_and_not_the_users(capsys):
    with pytest.raises(ModuleNotFoundError):
        run_main(raises(ModuleNotFoundError("broken", name="raccoon.rewards")))


def test_machine_without_the_sandbox_is_one_line(capsys):
    code, _ = ended(raises(SandboxError("no Landlock: use a newer kernel")), capsys)
    assert code == "error: no Landlock: use a newer kernel"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_line(number, capsys):
    code, _ = ended(raises(OSError(number, os.strerror(number), "out/results.json")), capsys)
    assert code == f"error: out/results.json: {os.strerror(number)}: free some space, and give the same command again"


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory"), RuntimeError("can't allocate memory: 9 bytes")],
)
def test_too_little_memory_is_one_line_with_a_remedy(error, capsys):
    code, _ = ended(raises(error), capsys)
    assert "the memory is too small" in code and "lower BATCH_SIZE" in code and "\n" not in code


def test_other_faults_of_torch_keep_their_traceback():
    with pytest.raises(RuntimeError, match="shape"):
        run_main(raises(RuntimeError("wrong shape")))


def test_other_faults_of_the_system_keep_their_traceback():
    with pytest.raises(PermissionError):
        run_main(raises(PermissionError(errno.EACCES, "no")))


def closed_output(words: list[str]) -> subprocess.CompletedProcess:
    """A script whose reader is gone before it writes."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run([sys.executable, *words], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(writer)


def test_help_into_a_closed_pipe_says_nothing():
    done = closed_output([str(SCRIPTS / "train_rl_poc.py"), "--help"])
    assert done.stderr == "" and done.returncode == 0


def test_work_into_a_closed_pipe_ends_with_one_line():
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); from raccoon import constants; "
        "constants.run_main(lambda: print('step 1'))"
    )
    done = closed_output(["-c", program])
    assert done.returncode == 1
    assert done.stderr == "error: the reader of standard output closed the pipe, so the script stopped\n"


def test_what_was_changed_stands_above_the_error():
    words = [sys.executable, str(SCRIPTS / "make_report.py"), "nowhere"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, env=buffered)
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["changed", "error"]


def test_folder_behind_a_closed_one_is_refused(tmp_path, monkeypatch):
    """stat() itself is refused there, which Path.exists() raises."""

    def stat(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.geteuid():
        closed.chmod(0)
    else:
        real = os.stat
        monkeypatch.setattr(
            os, "stat", lambda path, **more: stat(path) if Path(path).parent == closed else real(path, **more)
        )
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: stat(dir))
    with pytest.raises(InputError, match="closed is not a writable folder"):
        check_writable("OUTPUT_DIR", str(closed / "run"))


def test_sandbox_whose_verdicts_nobody_reads_ends_with_one_line():
    reader, writer = os.pipe()
    os.close(reader)
    program = b'{"task_id": "a", "code": "def f(): return 1", "test": "assert f() == 1"}\n'
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "sandbox.py"), "--workers", "1"],
        input=program * 3,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writer)
    assert done.returncode == 1
    said = b"sandbox.py: the reader of the verdicts closed the pipe, so the script stopped"
    assert done.stderr.splitlines()[1:] == [said]
