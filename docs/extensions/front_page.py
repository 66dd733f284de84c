"""Puts the title and the introduction of the README on the front page."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
MARKER = "<!-- introduction -->\n"


def setup(app):
    app.connect("source-read", add_introduction, priority=400)  # before the table of contents
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_introduction(app, docname, source):
    """Replace everything up to the marker with the README's text before its first section."""
    if docname == app.config.root_doc:
        _, marker, after = source[0].partition(MARKER)
        assert marker, f"expected the line {MARKER!r} on the page {docname}"
        source[0] = introduction(README.read_text(encoding="utf-8")) + after


def introduction(readme):
    """Return the introduction, with links that work on a page in the folder ``docs``."""
    text = readme.partition("\n## ")[0]
    return re.sub(r"\]\((?:docs/([^)]+)|(#[^)]+))\)", _moved, text)


def _moved(link):
    path, anchor = link.groups()
    return f"]({path})" if path else f"](../README.md{anchor})"
