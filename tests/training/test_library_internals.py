"""The private names of the libraries that the project relies on are where it looks for them."""

import importlib

import pytest

pytest.importorskip("trl")

from raccoon.training.library_internals import PRIVATE_NAMES, is_there  # noqa: E402


@pytest.mark.parametrize(("module", "owner", "name", "purpose"), PRIVATE_NAMES, ids=lambda value: str(value)[:40])
def test_private_name_is_where_it_was(module, owner, name, purpose):
    try:
        there = is_there(module, owner, name)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{module}.{owner} has gone from the installed library ({error}); it is needed for: {purpose}")
    library = module.partition(".")[0]
    version = importlib.import_module(library).__version__
    assert there, f"{library} {version} has no {owner}.{name} any more; it is needed for: {purpose}"
