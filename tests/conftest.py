"""Finds the published benchmark files, where they are, and lets every test hear Ctrl-C."""

import os
import signal
from pathlib import Path

import pytest

from helpers.paths import ROOT

os.environ["NANO_RACCOON_CACHE"] = ""  # no test takes a verdict that another one got
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background ignores it, and so would the scripts under test


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of published benchmark files ($DATA_DIR or ../shared/data); skips where it is absent."""
    folder = Path(os.environ.get("DATA_DIR") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"published benchmark files not found at {folder}: set DATA_DIR to run this test")
    return folder
