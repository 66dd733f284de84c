"""The code in the README runs, and every public name is documented."""

import contextlib
import copy
import inspect
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pages import code

import chainrule as cr

ROOT = Path(__file__).parents[2]


def readme(*, extra=None):
    """Yield the README's code blocks that need this extra, or no extra if it is None."""
    needs = {"sklearn": "sklearn", "dask": "distributed"}
    for block in code("README.md"):
        imported = set(re.findall(r"^from (\w+)", block, re.MULTILINE)) & needs.keys()
        if {needs[name] for name in imported} == ({extra} if extra else set()):
            yield block


def test_the_readmes_code_runs(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 1000)
    images = (rng.random((1000, 28, 28)) * 25 * (1 + labels[:, None, None])).astype(np.uint8)
    data = (images, labels), (images[:200], labels[:200])
    monkeypatch.setattr(cr.datasets, "mnist", lambda: data)
    monkeypatch.chdir(tmp_path)
    plain, names = list(readme()), {}
    assert len(plain) >= 3
    for block in plain:
        exec(block, names)
    assert (tmp_path / "mnist.safetensors").exists()


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Run the README's hyperparameter search, and return its variables and output folder."""
    pytest.importorskip("sklearn")
    (search,) = readme(extra="sklearn")
    names, folder = {"cr": cr}, tmp_path_factory.mktemp("search")
    with contextlib.chdir(folder):
        exec(search.replace("n_jobs=-1", "n_jobs=1, cv=2"), names)
    return names, folder


def test_the_readmes_search_runs(searched):
    names, folder = searched
    assert names["search"].score(names["x_test"], names["y_test"]) > 0.93
    assert (folder / "digits.safetensors").exists()


@pytest.mark.slow
def test_the_readmes_search_runs_on_dask(searched, monkeypatch):
    """The README's hyperparameter search runs on two local Dask workers instead of a cluster."""
    distributed = pytest.importorskip("dask.distributed", exc_type=ImportError)
    here = {"n_workers": 2, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    client = partial(distributed.Client, **here)
    monkeypatch.setattr(distributed, "Client", lambda address: client())
    (search,) = readme(extra="distributed")
    names = searched[0]
    serial = names["search"]
    names["search"] = copy.deepcopy(serial)
    exec(search, names)
    assert names["search"].best_params_ == serial.best_params_


def test_each_block_of_the_readme_is_run():
    run = [*readme(), *readme(extra="sklearn"), *readme(extra="distributed")]
    assert sorted(run) == sorted(code("README.md"))


def test_the_readmes_commands():
    commands = "".join(code("README.md", "bash")).splitlines()
    mnist, tests = (line for line in commands if "nox" in line)
    assert mnist.endswith("nox -s mnist")
    assert tests.endswith("nox -s tests")


PUBLIC = {name: getattr(cr, name) for name in cr.__all__}
CALLABLE = {name: thing for name, thing in PUBLIC.items() if callable(thing)}


@pytest.mark.parametrize("name", cr.__all__)
def test_every_public_name_is_documented(name):
    assert inspect.getdoc(PUBLIC[name])


@pytest.mark.parametrize("name", CALLABLE)
def test_every_parameter_is_documented(name):
    """Every parameter is documented, except ``*args`` and ``**kwargs``."""
    thing = CALLABLE[name]
    if isinstance(thing, type) and issubclass(thing, Exception):
        return
    documented = inspect.getdoc(thing)
    if isinstance(thing, type) and "Parameters" not in documented:
        documented += "".join(inspect.getdoc(base) or "" for base in thing.__mro__[1:-1])
    for parameter in inspect.signature(thing).parameters.values():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            assert re.search(rf"\b{parameter.name}\b", documented), parameter.name


@pytest.mark.parametrize("name", CALLABLE)
def test_every_public_method_is_documented(name):
    thing = CALLABLE[name]
    for method, function in inspect.getmembers(thing, inspect.isfunction):
        if not method.startswith("_"):
            assert inspect.getdoc(function), method


def test_every_example_has_its_place_and_its_picture():
    page = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    scripts = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
    section = r"^## .*\]\((\w+\.py)\)\n\n(?:.+\n)+\n!\[[^]]+\]\(\S+\)$"
    sections = re.findall(section, page, re.MULTILINE)
    assert sorted(sections) == [name for name in scripts if name != "lesson.py"]


def test_the_start_page_lists_every_page():
    start = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((\S+\.md)\)", start))
    howto = (ROOT / "docs/howto/index.md").read_text(encoding="utf-8")
    linked |= {f"howto/{page}" for page in re.findall(r"\]\((\w+\.md)\)", howto)}
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages - {"index.md"} <= linked
    assert {"../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md"} <= linked


def test_the_changelog_has_a_section_for_the_version():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert any(heading.startswith(f"[{cr.__version__}]") for heading in headings)
