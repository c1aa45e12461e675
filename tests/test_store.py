"""The store: what a kill, a full disk, a damaged line and a second process do to a file of JSON lines."""

import errno
import resource
import subprocess
import sys
import threading
from unittest.mock import Mock

import pytest

from helpers.paths import SCRIPTS
from raccoon import store
from raccoon.constants import InputError, RunError
from raccoon.evaluation.grading import RecordFile
from raccoon.store import AnswerCache, Ledger, LineFile, digest, write_page
from raccoon.synthetic.server_tasks import StoredAnswer


def rows(file: LineFile) -> list[dict]:
    return [row for _, row in file.rows()]


def test_what_is_appended_is_there_as_json_lines(tmp_path):
    file = LineFile(tmp_path / "new" / "a.jsonl")
    assert rows(file) == []
    file.append([{"n": 1}, {"text": "é\u2028\n\ud800"}])
    file.append([{"n": 2}])
    assert file.path.read_bytes() == b'{"n": 1}\n{"text": "\\u00e9\\u2028\\n\\ud800"}\n{"n": 2}\n'
    assert rows(file) == [{"n": 1}, {"text": "é\u2028\n\ud800"}, {"n": 2}]


def test_a_last_line_that_a_kill_cut_is_skipped_and_then_cut_off(tmp_path):
    file = LineFile(tmp_path / "a.jsonl")
    file.append([{"n": 1}, {"n": 2}])
    whole = file.path.read_bytes()
    for cut in range(1, len(whole)):
        file.path.write_bytes(whole[:-cut])
        kept = rows(file)
        assert kept == [{"n": 1}][: whole[:-cut].count(b"\n")]
        assert file.path.read_bytes() == whole[:-cut]  # reading changes nothing
        file.append([{"n": 3}])
        assert rows(file) == [*kept, {"n": 3}]


@pytest.mark.parametrize("line", ["", '{"n"', "[1]", "null", "[" * 100_000, "\x00" * 9])
def test_a_damaged_line_in_the_middle_is_named(tmp_path, line):
    file = LineFile(tmp_path / "a.jsonl")
    file.path.write_text('{"n": 1}\n' + line + '\n{"n": 2}\n')
    with pytest.raises(InputError, match="a.jsonl, line 2: .*correct or delete it"):
        rows(file)


def test_an_append_that_a_full_disk_cut_is_taken_back_by_the_next(tmp_path):
    file = LineFile(tmp_path / "a.jsonl")
    file.append([{"n": 1}])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (15, limits[1]))
    try:
        with pytest.raises(OSError):
            file.append([{"n": 2}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.path.read_bytes() == b'{"n": 1}\n{"n": '
    file.append([{"n": 3}])
    assert rows(file) == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize(
    "use",
    [
        lambda path: LineFile(path, shared=True).append([{"n": 2}]),
        lambda path: rows(LineFile(path, shared=True)),
        lambda path: RecordFile(path).append([]),
        lambda path: AnswerCache(path).put("k", 2),
    ],
)
def test_a_shared_file_waits_while_another_writes(tmp_path, use):
    file = LineFile(tmp_path / "a.jsonl")
    with file.hold() as other:
        user = threading.Thread(target=use, args=[file.path])
        user.start()
        user.join(0.5)
        other.write(b'{"n": 1}\n')
        assert user.is_alive()
    user.join()
    assert rows(file)[0] == {"n": 1}


# Ledgers: what is put is there again, whatever stopped the run; nothing else is taken for one.

ANSWER = StoredAnswer("text\u2028 of two\nlines", "stop", 3, 4, "2026-01-01")


def test_records_are_there_again(tmp_path):
    path = tmp_path / "new" / "a.jsonl"
    with Ledger(path, StoredAnswer) as ledger:
        ledger.put("k", ANSWER)
    with Ledger(path, StoredAnswer) as ledger:
        assert ledger.records == {"k": ANSWER}


def test_what_is_put_survives_sigkill(tmp_path):
    path = tmp_path / "a.jsonl"
    program = (
        f"import sys, os, signal; sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from pathlib import Path; from raccoon.store import Ledger\n"
        "from raccoon.synthetic.server_tasks import StoredAnswer\n"
        f"with Ledger(Path({str(path)!r}), StoredAnswer) as ledger:\n"
        "    ledger.put('k', StoredAnswer('t', 'stop', 1, 2, 'd'))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with Ledger(path, StoredAnswer) as ledger:
        assert ledger.records == {"k": StoredAnswer("t", "stop", 1, 2, "d")}


@pytest.mark.parametrize(
    "line",
    [
        '{"task_id": "a", "prompt": "p", "test": "t"}',
        "[1]",
        "words",
        '{"key": "k", "text": 3, "finish_reason": "", "prompt_tokens": 1, "completion_tokens": 1, "date": ""}',
    ],
)
def test_a_file_of_another_schema_is_named_and_left_alone(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match="a.jsonl, line 1"):
        Ledger(path, StoredAnswer).__enter__()
    assert path.read_text() == line + "\n"


def test_two_runs_do_not_write_one_file(tmp_path):
    with Ledger(tmp_path / "a.jsonl", StoredAnswer), pytest.raises(InputError, match="another run"):
        Ledger(tmp_path / "a.jsonl", StoredAnswer).__enter__()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write .*give another OUTPUT"):
        Ledger(tmp_path / "file" / "a.jsonl", StoredAnswer).__enter__()


def test_a_full_disk_is_one_line_and_keeps_what_is_there():
    """It is not the input's fault, so the command ends with 1, not 2."""
    with pytest.raises(RunError, match="/dev/full .*No space left.*free some space"):
        Ledger("/dev/full", StoredAnswer).put("k", ANSWER)


def test_a_page_that_cannot_be_written_is_named_by_its_cause(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="page.html could not be written .*give a writable folder"):
        write_page(tmp_path / "file" / "page.html", b"page")
    monkeypatch.setattr(store, "whole_file", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(RunError, match="page.html could not be written .*free some space"):
        write_page(tmp_path / "page.html", b"page")


def test_digests_differ_where_values_do():
    assert digest("a", "b") == digest("a", "b") != digest("ab") and digest({"x": 1, "y": 2}) == digest({"y": 2, "x": 1})
