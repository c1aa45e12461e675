"""A folder that is no whole model is refused before anything is made with it."""

import json
import shutil

import pytest

safetensors = pytest.importorskip("safetensors.torch")
pytest.importorskip("transformers")

from helpers.paths import SCRIPTS  # noqa: E402
from helpers.random_model import write_model  # noqa: E402
from raccoon.constants import InputError  # noqa: E402
from raccoon.model_files import check_model_folder, load_tokenizer, load_weights, save_model  # noqa: E402
from raccoon.planning.advice import check_model  # noqa: E402

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


@pytest.mark.parametrize(
    "missing, words",
    [("config.json", "no model in"), ("tokenizer*", "no tokenizer in"), ("model.safetensors", "no weights in")],
)
def test_an_incomplete_folder_is_named_by_training_and_evaluation(folder, missing, words):
    check_model(str(folder), 0)
    for file in folder.glob(missing):
        file.unlink()
    for check in (check_model_folder, lambda path: check_model(str(path), 0)):
        with pytest.raises(InputError, match=words):
            check(folder)


@pytest.mark.parametrize("keep", [4, 100, -1])
def test_weights_that_were_cut_off_are_named(folder, keep):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:keep])
    with pytest.raises(InputError, match="not whole .model.safetensors: "):
        check_model_folder(folder)
    with pytest.raises(InputError, match="cannot load the model"):
        load_weights(folder, "float32")


def test_a_missing_shard_is_named(folder):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": WEIGHTS, "b": "two"}}))
    with pytest.raises(InputError, match="two is missing"):
        check_model_folder(folder)


def test_a_model_is_not_loaded_with_weights_drawn_at_random(folder):
    weights = safetensors.load_file(folder / WEIGHTS)
    del weights["model.norm.weight"]
    safetensors.save_file(weights, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(InputError, match="lacks 1 of its weights, like model.norm.weight"):
        load_weights(folder, "float32")


def test_a_tokenizer_without_tokens_is_refused(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(InputError, match="knows no text"):
        load_tokenizer(folder)


def test_others_may_read_a_saved_model_as_the_umask_says(whole, tmp_path):
    (tmp_path / "plain").touch()
    save_model(load_weights(whole, "float32"), load_tokenizer(whole), tmp_path)
    modes = {path.name: oct(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {modes["plain"]}, modes
    places = {path.name for path in SCRIPTS.rglob("*.py") if ".save_pretrained(" in path.read_text()}
    assert places == {"model_files.py", "policy.py"}  # policy.py opens the adapters, which it alone writes
