"""The comparison of two versions of chainrule. Times are not tested."""

import shutil

import pytest

from benchmarks import versions
from benchmarks.versions import AGAIN, FIT, HERE, OTHER, THIS


def test_both_versions_take_turns(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(versions, "NETWORKS", {"6-5-10": (4, 3)})
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE / "src/chainrule", tmp_path / "src/chainrule", ignore=ignored)
    with (tmp_path / "src/chainrule/__init__.py").open("a") as file:
        file.write("print('the copy was imported')\n")
    versions.main([str(tmp_path), "--networks", "6-5-10", "--rounds", "1", "--starts", "1"])
    out = capfd.readouterr().out
    assert out.count("the copy was imported") == 1
    calls = [tuple(line.split(" | ")[1:3]) for line in out.splitlines() if "6-5-10" in line]
    assert calls == [(c, who) for c in ("step in a loop", FIT) for who in (OTHER, THIS, AGAIN)]


def test_a_folder_without_chainrule_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="expected a copy of the project, found"):
        versions.main([str(tmp_path)])
