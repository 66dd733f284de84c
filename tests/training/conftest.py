"""A library whose steps are repeated."""

import pytest


@pytest.fixture
def repeating(library, monkeypatch):
    """A library whose backend reports that it can repeat steps, as a GPU backend does."""
    monkeypatch.setattr(type(library.backend), "repeats", True)
    return library
