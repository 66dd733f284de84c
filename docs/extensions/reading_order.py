"""Builds the navigation from the lists of links on the index pages.

Each top-level list item of an index page becomes one entry of the navigation. The entry is the page
that the first link of the item leads to.
"""

import re
from pathlib import PurePosixPath
from posixpath import normpath

from sphinx.addnodes import pending_xref

INDEX_PAGES = ("docs/index", "docs/maths/index", "docs/howto/index")
GENERATED = {"docs/howto/index": "docs/api/index"}  # generated, to be listed last
SHORT = {"README": "Guide", "docs/maths/index": "Maths", "docs/api/index": "API"}  # in the menus
INSTEAD = {"examples/README": "docs/lessons/index"}  # the gallery shows the same lessons
ITEM = re.compile(r"^(?:-|\d+\.) (?:(?!\]\().)*\]\(([^)#]+)\.md\)", re.MULTILINE)


def setup(app):
    app.connect("source-read", add_toctree)
    app.connect("doctree-read", replace_targets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def entries(docname, text):
    """Return the pages that an index page lists, in the same order."""
    folder = PurePosixPath(docname).parent
    listed = [normpath(str(folder / path)) for path in ITEM.findall(text)]
    return [INSTEAD.get(page, page) for page in listed]


def add_toctree(app, docname, source):
    """Append a table of contents to an index page. The page itself shows the list."""
    if docname in INDEX_PAGES:
        pages = []
        for page in entries(docname, source[0]):
            pages += [page, GENERATED[page]] if page in GENERATED else [page]
        lines = "\n".join(f"{SHORT[p]} </{p}>" if p in SHORT else f"/{p}" for p in pages)
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{lines}\n```\n"


def replace_targets(app, doctree):
    """Redirect links to pages that the site shows in a different form."""
    for link in doctree.findall(pending_xref):
        if link["reftarget"] in INSTEAD:
            link["reftarget"] = INSTEAD[link["reftarget"]]
