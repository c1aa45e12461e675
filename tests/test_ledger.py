"""Ledgers: what is put is there again, whatever stopped the run; nothing else is taken for one."""

import subprocess
import sys

import pytest

from helpers.paths import SCRIPTS
from raccoon.constants import InputError
from raccoon.ledger import Ledger, digest
from raccoon.synthetic.answers import StoredAnswer

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
        "from pathlib import Path; from raccoon.ledger import Ledger\n"
        "from raccoon.synthetic.answers import StoredAnswer\n"
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
    with pytest.raises(InputError, match="/dev/full .*No space left.*free some space"):
        Ledger("/dev/full", StoredAnswer).put("k", ANSWER)


def test_digests_differ_where_values_do():
    assert digest("a", "b") == digest("a", "b") != digest("ab") and digest({"x": 1, "y": 2}) == digest({"y": 2, "x": 1})
