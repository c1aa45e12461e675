"""Skips the tests of the real engine where it is not installed, and makes the model that they share."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers.paths import SCRIPTS
from helpers.training_runs import environment

SFT_STEPS = 120  # of the demo's 500: enough to pass some tasks and to fail others


def pytest_collection_modifyitems(items):
    if not find_spec("vllm"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed: bash scripts/test.sh --vllm"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """A folder with the demo's model, taught for a shorter time, and its tasks."""
    return made(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def demo_of_turns(tmp_path_factory) -> Path:
    """The same for conversations of two turns."""
    return made(tmp_path_factory.mktemp("turns"), "--turns", "2")


def made(folder: Path, *flags: str) -> Path:
    words = [sys.executable, str(SCRIPTS / "demo_model.py"), "--output-dir", str(folder), "--max-steps", str(SFT_STEPS)]
    subprocess.run([*words, *flags], env=environment(), check=True, capture_output=True)
    return folder
