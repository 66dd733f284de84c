"""A library whose steps are repeated."""

import pytest


@pytest.fixture
def repeating(library, monkeypatch):
    """A library whose backend says that it can repeat steps, as one for a GPU does."""
    monkeypatch.setattr(type(library.backend), "repeats", True)
    return library
