"""Every link and every file on the built site exists. ``nox -s docs`` builds the site."""

import html
import inspect
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import chainrule as cr

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "docs"
PAGES = sorted(SITE.rglob("*.html"))
EXCERPT = re.compile(
    r'href="\.\./\.\./source/([^"#]+)\.html#L-(\d+)".*?<pre>(.*?)</pre>', re.DOTALL
)
LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}


built = pytest.mark.skipif(not PAGES, reason="the site is not built: nox -s docs")


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


@built
def test_every_link_on_the_site_leads_somewhere():
    assert list(broken(SITE)) == []


@built
def test_every_page_has_a_title():
    missing = [page.name for page in PAGES if "&lt;no title&gt;" in page.read_text("utf-8")]
    assert missing == []


@built
def test_each_excerpt_leads_to_its_line():
    """The line that a link leads to is the first line of the excerpt below the link."""
    links = 0
    for page in (SITE / "docs" / "maths").glob("*.html"):
        for path, line, code in EXCERPT.findall(page.read_text("utf-8")):
            (first, *_) = html.unescape(re.sub(r"<[^>]+>", "", code)).strip().splitlines()
            source = (ROOT / f"{path}.py").read_text("utf-8").splitlines()
            assert source[int(line) - 1].strip() == first.strip(), (page.name, path, line)
            links += 1
    assert links > 100


@built
def test_every_public_name_has_a_page():
    names = [name for name in cr.__all__ if not inspect.ismodule(getattr(cr, name))]
    assert [name for name in names if not (SITE / f"docs/api/cr.{name}.html").exists()] == []


@built
@pytest.mark.parametrize(
    "method",
    ["Layer.freeze", "Parameter.value", "Sequential.predict", "Trainer.fit", "Trainer.stop"],
)
def test_pages_show_the_methods_of_bases_without_a_page(method):
    page = Page(SITE / f"docs/api/cr.{method.partition('.')[0]}.html")
    assert f"chainrule.{method}" in page.anchors


@built
def test_pages_leave_out_the_methods_of_bases_with_a_page():
    assert "chainrule.Linear.freeze" not in Page(SITE / "docs/api/cr.Linear.html").anchors


@built
def test_the_names_in_the_readme_lead_to_their_pages():
    links = {target for _, target in Page(SITE / "README.html").links}
    pages = {f"docs/api/{page.name}" for page in (SITE / "docs/api").glob("cr.*.html")}
    assert pages <= links


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
