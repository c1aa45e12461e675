"""Starts `transformers serve` with a random model, for the tests that want a real OpenAI-compatible server."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from helpers.ports import port_to_take_again
from helpers.random_model import write_model

PATIENCE = 120  # seconds until it answers; about 20 on a machine that is not busy
NEEDED = ("fastapi", "uvicorn", "openai", "transformers", "torch")


def missing_packages() -> list[str]:
    return [name for name in NEEDED if not find_spec(name)]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str]]:
    """(base URL, model name) of a server that answers; its log is folder/serve.log."""
    model = write_model(folder / "served")
    (folder / "hf" / "hub").mkdir(parents=True)  # without it the list of models is an error
    port = port_to_take_again()
    command = [
        str(Path(sys.executable).with_name("transformers")),
        "serve",
        str(model),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
        "--dtype",
        "float32",
    ]
    environment = {
        **os.environ,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    with open(folder / "serve.log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1", str(model)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(f"transformers serve does not answer at {url}")
