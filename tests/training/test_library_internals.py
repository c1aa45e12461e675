"""The private names of the libraries that the project relies on are where it looks for them."""

import importlib
import inspect

import pytest

pytest.importorskip("trl")

from raccoon.training.library_internals import PRIVATE_NAMES  # noqa: E402


def has(owner: type, name: str) -> bool:
    """Whether a class has an attribute, or sets it on its instances in its own source or in that of its bases."""
    if hasattr(owner, name) or name in getattr(owner, "__annotations__", {}):
        return True
    written = [inspect.getsource(base) for base in owner.__mro__ if base.__module__.partition(".")[0] in
               ("trl", "transformers", "torch", "accelerate")]
    return any(f"self.{name} =" in source or f"self.{name}:" in source for source in written)


@pytest.mark.parametrize(("module", "owner", "name", "purpose"), PRIVATE_NAMES, ids=lambda value: str(value)[:40])
def test_private_name_is_where_it_was(module, owner, name, purpose):
    try:
        found = getattr(importlib.import_module(module), owner)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{module}.{owner} has gone from the installed library ({error}); it is needed for: {purpose}")
    library = module.partition(".")[0]
    version = importlib.import_module(library).__version__
    assert has(found, name), f"{library} {version} has no {owner}.{name} any more; it is needed for: {purpose}"
