"""A model on the hub: private, with its card, without paths and token; and what is no checkpoint. A stub is the hub."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import export_model
from helpers import warm_python
from helpers.hub_stub import Hub
from helpers.random_model import write_model
from helpers.run_folders import check, write_lines, write_run
from helpers.training_runs import environment

SCRIPT = Path(export_model.__file__)
TOKEN = "hf_not_to_be_seen"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A finished run with its card."""
    place = tmp_path_factory.mktemp("export")
    write_model(place / "model")
    model = json.loads((place / "model" / "config.json").read_text())
    run = write_run(place / "run", MODEL_PATH="/home/jane/sft")
    for file in (place / "model").iterdir():
        (run / file.name).write_bytes(file.read_bytes())
    (run / "config.json").write_text(json.dumps({**model, "MODEL_PATH": "/home/jane/sft", "ended": "it is over"}))
    (run / "README.md").write_text("---\nlibrary_name: transformers\n---\n# run\n")
    write_lines(run / "heldout.jsonl", [check(0, 4)])
    return place


def push(folder: Path, status: int = 200, **changes: str):
    hub = Hub(status)
    threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True).start()
    given = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", **changes}
    words = [sys.executable, str(SCRIPT), "run", "--push-to-hub", "me/m"]  # a warm Python has read the variables
    done = subprocess.run(words, cwd=folder, env=environment(**given), capture_output=True, text=True, check=False)
    hub.shutdown()
    return done, hub


def test_the_model_and_its_card_go_to_the_hub_in_private(folder):
    done, hub = push(folder)
    assert done.returncode == 0, done.stderr
    assert [(each["name"], each["visibility"]) for each in hub.created] == [("m", "private")]
    run = folder / "run"
    assert hub.files["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert {"README.md", "tokenizer.json", "generation_config.json", "config.json"} <= set(hub.files)
    assert not [name for name in hub.files if name.endswith(".jsonl")]  # completions may be anybody's
    config = json.loads(hub.files["config.json"])
    assert config["model_type"] == "qwen3" and "MODEL_PATH" not in config and "ended" not in config
    assert hub.tokens == {f"Bearer {TOKEN}"} and TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [(403, {}, "did not take me/m"), (200, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "did not take me/m"),
     (200, {"HF_TOKEN": "", "HF_HOME": "/nowhere"}, "no token")],
)  # fmt: skip
def test_a_hub_that_refuses_or_is_not_there_is_one_line(folder, status, changes, words):
    done, _ = push(folder, status, **changes)
    error = done.stderr.splitlines()[-1]
    assert done.returncode in (1, 2) and words in error and "Traceback" not in done.stderr
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["run", "--output-dir", "new"], "no checkpoint"),
        (["nowhere", "--output-dir", "new"], "no folder nowhere"),
        (["run", "--push-to-hub", "a/b/c"], "'a/b/c'"),
    ],
)
def test_bad_input_is_one_line(folder, flags, words):
    done = warm_python.run([str(SCRIPT), *flags], folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and words in done.stderr
