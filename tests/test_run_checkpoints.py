"""The folder that a run may take for its own, and the checkpoint in it that it goes on from."""

import json
import os
import struct
import zipfile
from pathlib import Path

import pytest

import run_checkpoints
from code_tasks import InputError


def test_the_folder_of_another_run_is_refused(tmp_path):
    values = {"LEARNING_RATE": 1e-5, "MAX_STEPS": 10}
    run_checkpoints.check_folder(str(tmp_path / "new"), values, {"MAX_STEPS"}, resume=True)
    (tmp_path / "config.json").write_text(json.dumps({**values, "MAX_STEPS": 5, "hidden_size": 8}))
    run_checkpoints.check_folder(str(tmp_path), values, {"MAX_STEPS"}, resume=True)
    with pytest.raises(InputError, match="LEARNING_RATE 1e-05 -> 0.1"):
        run_checkpoints.check_folder(str(tmp_path), {"LEARNING_RATE": 0.1}, {"MAX_STEPS"}, resume=True)
    with pytest.raises(InputError, match="holds a run already"):
        run_checkpoints.check_folder(str(tmp_path), values, {"MAX_STEPS"}, resume=False)
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    with pytest.raises(InputError, match="did not train"):
        run_checkpoints.check_folder(str(tmp_path), values, {"MAX_STEPS"}, resume=True)


def test_folders_that_cannot_be_a_runs_own_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (".", "..", "/"):
        with pytest.raises(InputError, match="holds the current folder"):
            run_checkpoints.check_folder(folder, {}, (), resume=True)
    Path("file").touch()
    with pytest.raises(InputError, match="no writable folder"):
        run_checkpoints.check_folder("file/run", {}, (), resume=True)


def make_checkpoint(folder: Path, number: int, processes: int = 1) -> Path:
    path = folder / f"checkpoint-{number}"
    path.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    ranks = [f"rng_state_{rank}.pth" for rank in range(processes)] if processes > 1 else ["rng_state.pth"]
    for name in ("optimizer.pt", "scheduler.pt", *ranks):
        with zipfile.ZipFile(path / name, "w") as archive:
            archive.writestr("data", "x" * 100)
    (path / "trainer_state.json").write_text(json.dumps({"global_step": number}))
    return path


def test_the_newest_checkpoint_by_number_is_taken(tmp_path):
    make_checkpoint(tmp_path, 9)
    newest = make_checkpoint(tmp_path, 10)
    (tmp_path / "checkpoint-best").mkdir()
    assert run_checkpoints.newest_complete_checkpoint(tmp_path, 1) == (newest, [])


@pytest.mark.parametrize("damage", ["trainer_state.json", "optimizer.pt", "model.safetensors", "rng_state.pth"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(tmp_path, damage, cut):
    whole = make_checkpoint(tmp_path, 2)
    file = make_checkpoint(tmp_path, 4) / damage
    if cut:
        os.truncate(file, file.stat().st_size - 3)
    else:
        file.unlink()
    found, broken = run_checkpoints.newest_complete_checkpoint(tmp_path, 1)
    assert found == whole
    assert len(broken) == 1
    assert "checkpoint-4 is not whole" in broken[0]


def test_a_checkpoint_of_other_processes_is_not_whole(tmp_path):
    make_checkpoint(tmp_path, 4, processes=2)
    assert run_checkpoints.newest_complete_checkpoint(tmp_path, 2)[0].name == "checkpoint-4"
    found, broken = run_checkpoints.newest_complete_checkpoint(tmp_path, 3)
    assert found is None
    assert "no rng_state_2.pth for a run of 3 process(es)" in broken[0]
