"""A result is computed once, again if its file is damaged, and always without a folder."""

import pytest

from chainrule.files.cache import cached


@pytest.fixture
def computed(tmp_path, monkeypatch):
    """A function that reads a key through the cache, and a list of the computed keys."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    keys = []

    def read(key):
        return cached(key, lambda: keys.append(key) or key.encode())

    return read, keys


def test_each_key_is_computed_once(computed):
    read, keys = computed
    assert [read(key) for key in ("a", "b", "a", "b", "")] == [b"a", b"b", b"a", b"b", b""]
    assert keys == ["a", "b", ""]


@pytest.mark.parametrize("damage", ["cut", "longer", "empty"])
def test_a_damaged_file_is_replaced(damage, computed, tmp_path):
    read, keys = computed
    read("result")
    (path,) = (tmp_path / "chainrule").iterdir()
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-1], "longer": whole + b"a", "empty": b""}[damage])
    assert read("result") == read("result") == b"result"
    assert keys == ["result"] * 2
    assert path.read_bytes() == whole


def test_without_a_folder_nothing_is_cached(computed, tmp_path, monkeypatch):
    read, keys = computed
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert read("result") == read("result") == b"result"
    assert keys == ["result"] * 2


def test_the_default_folder_is_in_the_home_folder(computed, tmp_path, monkeypatch):
    read, _ = computed
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    read("result")
    assert len(list((tmp_path / ".cache" / "chainrule").iterdir())) == 1
