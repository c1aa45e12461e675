"""The folder that a run may take for its own, and the checkpoint in it that it goes on from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import SCRIPTS
from raccoon.constants import InputError
from raccoon.runs import checkpoints
from raccoon.runs.log import RunLog


def test_the_folder_of_another_run_is_refused(tmp_path):
    values = {"LEARNING_RATE": 1e-5, "MAX_STEPS": 10}
    checkpoints.check_folder(str(tmp_path / "new"), values, resume=True, processes=1)
    (tmp_path / "config.json").write_text(json.dumps({**values, "MAX_STEPS": 5, "hidden_size": 8}))
    checkpoints.check_folder(str(tmp_path), values, resume=True, processes=1)
    with pytest.raises(InputError, match="LEARNING_RATE 1e-05 -> 0.1"):
        checkpoints.check_folder(str(tmp_path), {"LEARNING_RATE": 0.1}, resume=True, processes=1)
    with pytest.raises(InputError, match="already holds a run"):
        checkpoints.check_folder(str(tmp_path), values, resume=False, processes=1)
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    with pytest.raises(InputError, match="did not train"):
        checkpoints.check_folder(str(tmp_path), values, resume=True, processes=1)


def test_a_step_may_be_divided_otherwise_but_not_grow():
    before = {"BATCH_SIZE": 4, "GRADIENT_ACCUMULATION": 4}
    assert checkpoints.changed_constants(before, {"BATCH_SIZE": 2, "GRADIENT_ACCUMULATION": 8}) == []
    changed = checkpoints.changed_constants(before, {"BATCH_SIZE": 2, "GRADIENT_ACCUMULATION": 4})
    assert changed == ["BATCH_SIZE 4 -> 2"]


def test_folders_that_cannot_be_a_runs_own_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (".", "..", "/"):
        with pytest.raises(InputError, match="is or contains the current folder"):
            checkpoints.check_folder(folder, {}, resume=True, processes=1)
    Path("file").touch()
    with pytest.raises(InputError, match="not a writable folder"):
        checkpoints.check_folder("file/run", {}, resume=True, processes=1)


def make_checkpoint(folder: Path, number: int, processes: int = 1) -> Path:
    path = folder / f"checkpoint-{number}"
    (path / "optimizer_0").mkdir(parents=True)
    for name in ("model.safetensors", "optimizer_0/__0_0.distcp", "scheduler.pt", "trainer_state.json"):
        (path / name).write_text(name * 10)
    checkpoints.write_sizes(path, processes)
    return path


def log_steps(folder: Path, count: int, **config) -> None:
    """What a run of so many steps that saves at every fourth has written beside its checkpoints."""
    RunLog(folder).append("metrics.jsonl", [{"step": number} for number in range(1, count + 1)])
    (folder / "config.json").write_text(json.dumps({"SAVE_STEPS": 4, **config}))


def logged(folder: Path) -> int:
    return len((folder / "metrics.jsonl").read_text().splitlines())


@pytest.mark.parametrize("config", ['{"hidden_size": 8}', '{"hidden_si'])
def test_a_run_killed_while_it_saved_its_model_goes_on(tmp_path, config):
    log_steps(tmp_path, 4)
    make_checkpoint(tmp_path, 4)
    (tmp_path / "config.json").write_text(config)
    checkpoints.check_folder(str(tmp_path), {"LEARNING_RATE": 0.1}, resume=True, processes=1)
    RunLog(tmp_path).write_constants({"LEARNING_RATE": 0.1})
    assert RunLog(tmp_path).read_config()["LEARNING_RATE"] == 0.1


def test_the_newest_checkpoint_by_number_is_taken(tmp_path):
    make_checkpoint(tmp_path, 9)
    newest = make_checkpoint(tmp_path, 10)
    (tmp_path / "checkpoint-best").mkdir()
    assert checkpoints.newest_whole_checkpoint(tmp_path, 1) == (newest, [])


@pytest.mark.parametrize("name", ["trainer_state.json", "optimizer_0/__0_0.distcp", "model.safetensors", "sizes.json"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(tmp_path, name, cut):
    whole = make_checkpoint(tmp_path, 2)
    file = make_checkpoint(tmp_path, 4) / name
    if cut:
        os.truncate(file, file.stat().st_size - 3)
    else:
        file.unlink()
    found, broken = checkpoints.newest_whole_checkpoint(tmp_path, 1)
    assert found == whole
    assert len(broken) == 1
    assert "checkpoint-4 is not whole" in broken[0]
    assert name in broken[0]


def test_flipped_bytes_in_a_file_of_the_right_size_are_named(tmp_path):
    whole, path = make_checkpoint(tmp_path, 2), make_checkpoint(tmp_path, 4)
    file = path / "optimizer_0" / "__0_0.distcp"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    found, broken = checkpoints.newest_whole_checkpoint(tmp_path, 1, contents=True)
    assert found == whole and "checkpoint-4" in broken[0] and "optimizer_0/__0_0.distcp: other bytes" in broken[0]
    sizes = json.loads((path / "sizes.json").read_text())
    del sizes["checksums"]  # as earlier versions wrote it
    (path / "sizes.json").write_text(json.dumps(sizes))
    assert checkpoints.newest_whole_checkpoint(tmp_path, 1, contents=True) == (path, [])


def test_a_checkpoint_under_another_name_is_not_whole(tmp_path):
    make_checkpoint(tmp_path, 4).rename(tmp_path / "checkpoint-9")
    assert checkpoints.checkpoint_fault(tmp_path / "checkpoint-9") == "it is of step 4"


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"step": "x", "processes": 1, "files": {}}'])
def test_sizes_that_are_none_make_no_checkpoint_whole(tmp_path, text):
    path = make_checkpoint(tmp_path, 4)
    (path / "sizes.json").write_text(text)
    assert checkpoints.checkpoint_fault(path) == "sizes.json, the last file written, is missing or damaged"


def test_a_checkpoint_that_is_written_again_is_not_whole_until_its_end(tmp_path):
    path = make_checkpoint(tmp_path, 4)
    (path / checkpoints.SIZES_FILE).unlink()
    assert checkpoints.checkpoint_fault(path)
    (path / "sizes.json.tmp").write_text("of a killed process")
    checkpoints.write_sizes(path, 1)
    assert checkpoints.checkpoint_fault(path) == ""


# Nothing that was computed is lost


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [
        (1, None, [10]),
        (2, None, [8, 10]),
        (3, None, [6, 8, 10]),
        (1, 4, [10]),
        (2, 4, [4, 10]),
        (3, 4, [4, 8, 10]),
        (5, 4, [2, 4, 6, 8, 10]),  # with 1 the newest, never the best
        (1, 10, [10]),
        (2, 10, [8, 10]),
        (2, 8, [8, 10]),
        (3, 3, [6, 8, 10]),
        (0, 4, [2, 4, 6, 8, 10, 12]),
    ],
)
def test_the_newest_checkpoint_is_kept_then_the_best_then_older_ones(tmp_path, limit, best, left):
    for step in (10, 2, 8, 12, 4, 6):  # not in their order; 12 was damaged when the run went on from 8
        make_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    checkpoints.remove_old(tmp_path, limit, 10, best)
    assert sorted(int(path.name[11:]) for path in tmp_path.glob("checkpoint-[0-9]*")) == left
    assert (tmp_path / "checkpoint-best").is_dir()


def test_other_processes_are_refused_with_both_numbers_and_the_remedy(tmp_path):
    make_checkpoint(tmp_path, 4, processes=2)
    log_steps(tmp_path, 6, LEARNING_RATE=0.1)
    assert checkpoints.newest_whole_checkpoint(tmp_path, 2)[0].name == "checkpoint-4"
    words = r"holds a run of 2 process\(es\), and this command starts 3; give --processes 2, or another folder"
    with pytest.raises(InputError, match=words):
        checkpoints.resume_point(str(tmp_path), 3)
    with pytest.raises(InputError, match=words):
        checkpoints.check_folder(str(tmp_path), {"LEARNING_RATE": 0.1}, resume=True, processes=3)
    assert logged(tmp_path) == 6


def test_logs_are_not_cut_to_the_start_where_no_checkpoint_is_whole(tmp_path):
    os.truncate(make_checkpoint(tmp_path, 4) / "scheduler.pt", 5)
    log_steps(tmp_path, 4)
    with pytest.raises(
        InputError,
        match="4 logged steps but no whole checkpoint .*checkpoint-4: scheduler.pt has 5 "
        "of 120 bytes.*; restore one, give another folder, or delete this one",
    ):
        checkpoints.resume_point(str(tmp_path), 1)
    assert logged(tmp_path) == 4


@pytest.mark.parametrize(("steps", "config"), [(9, {}), (2, {"ended": "the last step"})])
def test_a_run_whose_checkpoints_were_removed_keeps_its_logs(tmp_path, steps, config):
    log_steps(tmp_path, steps, **config)
    with pytest.raises(InputError, match=rf"{steps} logged steps .*\(there is none\)"):
        checkpoints.resume_point(str(tmp_path), 1)
    assert logged(tmp_path) == steps


def test_logs_beside_no_config_are_kept(tmp_path):
    RunLog(tmp_path).append("metrics.jsonl", [{"step": 1}])
    with pytest.raises(InputError, match="1 logged steps but no whole checkpoint"):
        checkpoints.check_folder(str(tmp_path), {}, resume=True, processes=1)


@pytest.mark.parametrize(("steps", "half_written"), [(3, False), (4, True)])
def test_a_run_killed_before_its_first_checkpoint_was_whole_starts_over_and_says_so(
    tmp_path, capsys, steps, half_written
):
    log_steps(tmp_path, steps)
    if half_written:
        (make_checkpoint(tmp_path, 4) / checkpoints.SIZES_FILE).unlink()
    assert checkpoints.resume_point(str(tmp_path), 1) is None
    assert f"from step 0: the run ended at step {steps}, before its first checkpoint" in capsys.readouterr().out
    assert logged(tmp_path) == 0


def test_a_new_run_says_nothing(tmp_path, capsys):
    assert checkpoints.resume_point(str(tmp_path), 1) is None
    assert capsys.readouterr().out == ""


def test_folder_is_held_until_its_process_ends(tmp_path):
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); from raccoon.runs import checkpoints; "
        f"checkpoints.hold_folder({str(tmp_path / 'run')!r}); print('held', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="in use by another run"):
            checkpoints.hold_folder(str(tmp_path / "run"))
    finally:
        first.kill()  # as hard as it gets
        first.communicate()
    checkpoints.hold_folder(str(tmp_path / "run"))
