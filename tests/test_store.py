"""The store: what a kill, a full disk, a damaged line and a second process do to a file of JSON lines."""

import resource
import threading

import pytest

from raccoon.constants import InputError
from raccoon.evaluation.records import RecordFile
from raccoon.ledger import AnswerCache
from raccoon.store import LineFile


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
