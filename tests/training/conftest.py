"""A fixture for tests of repeated steps."""

import pytest


@pytest.fixture
def repeating(library, monkeypatch):
    """Make the backend report that it can repeat steps, as a GPU backend does."""
    monkeypatch.setattr(type(library.backend), "repeats", True)
    return library
