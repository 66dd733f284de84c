"""The README's table lists every public name and links it to its definition."""

import inspect
import re
from pathlib import Path

import pytest

import chainrule as cr

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## What there is\n(.*?)^## ", re.DOTALL | re.MULTILINE)


def table():
    (section,) = SECTION.findall((ROOT / "README.md").read_text())
    for row in re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)[1:]:
        module = re.search(r"`cr\.(\w*)", row[0])[1]
        for name, path in re.findall(r"\[`(\w+)`\]\((.+?)\)", row[1]):
            yield module, name, path


def public():
    pytest.importorskip("sklearn"), pytest.importorskip("matplotlib")
    modules = {"": cr, "estimators": cr.estimators, "plotting": cr.plotting}
    modules |= {
        name: getattr(cr, name) for name in cr.__all__ if inspect.ismodule(getattr(cr, name))
    }
    for module, content in modules.items():
        for name in content.__all__:
            if not inspect.ismodule(getattr(content, name)):
                yield module, name


def test_nothing_is_missing_and_nothing_is_invented():
    listed = [(module, name) for module, name, _ in table()]
    assert len(set(listed)) == len(listed)
    assert set(listed) == set(public())


@pytest.mark.parametrize(("module", "name", "path"), list(table()))
def test_the_link_leads_to_the_definition(module, name, path):
    source = (ROOT / path).read_text()
    assert re.search(rf"^(class|def) {name}\b|^{name}\b.* = ", source, re.MULTILINE)


@pytest.mark.parametrize(("module", "name"), [row[:2] for row in table()])
def test_each_name_has_an_example(module, name):
    thing = getattr(getattr(cr, module) if module else cr, name)
    assert "\n>>> " in inspect.cleandoc(thing.__doc__)
