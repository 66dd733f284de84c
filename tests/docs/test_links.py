"""Every link on a page leads to an existing file, and to an existing heading."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "examples", "benchmarks", "src", "tests")
PAGES = sorted([*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md"))])
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]


def prose(page):
    """Return the text of a page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """Return the anchors that GitHub creates for a page's headings."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        seen = found.count(slug)
        found += [slug, f"{slug}-{seen}"] if seen else [slug]
    return set(found)


def broken(page):
    """Yield the broken links of a page."""
    targets = LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page)))
    for target in targets:
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = page.parent / path if path else page
        inside = file.resolve().is_relative_to(ROOT)
        if not (inside and file.exists()) or (anchor and anchor not in anchors(file)):
            yield target


@pytest.mark.parametrize("page", NAMED)
def test_every_link_leads_somewhere(page):
    assert list(broken(page)) == []


def test_a_broken_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    other, page = tmp_path / "other.md", tmp_path / "page.md"
    other.write_text("# The `Loss`: why?\n\n## Twice\n\n## Twice\n\n```\n# no heading\n```\n")
    good = "[a](other.md) [b](other.md#the-loss-why) [c](other.md#twice-1) [d](#here) `[e](f)`"
    page.write_text(f"# Here\n\n{good} [g](https://example.org/x)\n")
    assert list(broken(page)) == []
    bad = ["none.md", "other.md#no-heading", "other.md#the-loss", "#there", "../outside.md"]
    page.write_text("# Here\n\n" + " ".join(f"[x]({target})" for target in bad))
    assert list(broken(page)) == bad
