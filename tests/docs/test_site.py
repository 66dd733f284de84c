"""Every link and every file on the built site exists. ``nox -s docs`` builds the site."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "docs"
PAGES = sorted(SITE.rglob("*.html"))
LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, file):
        super().__init__()
        self.links, self.anchors = [], {"", "top"}
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors.update(values[name] for name in ("id", "name") if values.get(name))
        if target := values.get(LINKS.get(tag, "")):
            self.links.append((tag, target))


def broken(site):
    """Yield the page and the target of each link that leads nowhere."""
    files = sorted(site.rglob("*.html"))
    pages = {file: Page(file) for file in files if file.name != "webpack-macros.html"}
    for file, page in pages.items():
        for tag, target in page.links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if tag != "a" and parts.scheme != "data":
                    yield file.relative_to(site).as_posix(), target  # needs the network
                continue
            found = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            found = found / "index.html" if found.is_dir() else found
            known = pages[found].anchors if found in pages else {unquote(parts.fragment)}
            if not found.exists() or unquote(parts.fragment) not in known:
                yield file.relative_to(site).as_posix(), target


@pytest.mark.skipif(not PAGES, reason="the site is not built: nox -s docs")
def test_every_link_on_the_site_leads_somewhere():
    assert list(broken(SITE)) == []


def test_a_broken_link_on_a_site_is_found(tmp_path):
    good = '<a href="b.html#there"></a><a href="#here" id="here"></a><a href="https://a.b/c"></a>'
    (tmp_path / "a.html").write_text(good)
    (tmp_path / "b.html").write_text('<h1 id="there"></h1><img src="data:,x">')
    assert list(broken(tmp_path)) == []
    bad = ["none.html", "b.html#here", "#there", "none.css", "https://a.b/c.js", "none.png"]
    (tmp_path / "c.html").write_text(
        "".join(f'<a href="{target}"></a>' for target in bad[:3])
        + f'<link href="{bad[3]}"><script src="{bad[4]}"></script><img src="{bad[5]}">'
    )
    assert list(broken(tmp_path)) == [("c.html", target) for target in bad]
