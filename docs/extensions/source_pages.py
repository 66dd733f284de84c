"""Shows the source files as pages, and makes links to Python files lead to these pages.

On a maths page, a link above each excerpt leads to the file. On the site, the link leads to the
first line of the excerpt.
"""

import importlib
import inspect
import re
import sys
from operator import attrgetter
from pathlib import Path
from posixpath import relpath

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx import addnodes

ROOT = Path(__file__).parents[2]
FOLDERS = ("src/chainrule", "examples", "benchmarks")
FORMAT = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True, wrapcode=True)


def setup(app):
    # This has to run before the collector of downloads, which would copy the files.
    app.connect("doctree-read", lead_links_to_pages, priority=100)
    app.connect("html-collect-pages", source_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def page_of(file):
    """Return the name of the page that shows a file."""
    return "source/" + file.resolve().relative_to(ROOT).as_posix().removesuffix(".py")


def source_pages(app):
    """Yield a page for each source file."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            title = file.relative_to(ROOT).as_posix()
            code = highlight(file.read_text(encoding="utf-8"), PythonLexer(), FORMAT)
            body = f'<div class="source-page"><h1>{title}</h1>\n{code}</div>'
            yield page_of(file), {"title": title, "body": body}, "page.html"


def lead_links_to_pages(app, doctree):
    """Replace links to files and folders of the repository with links to pages of the site."""
    here = app.env.docname
    for link in list(doctree.findall(_is_link)):
        path = Path(app.env.relfn2path(link["reftarget"].partition("#")[0], here)[1])
        file = path / "__init__.py" if path.is_dir() else path
        if path.is_dir() and not file.exists():  # a folder of data, which the site does not show
            link.replace_self(link.children)
            continue
        if file.suffix != ".py":
            continue
        app.env.note_dependency(str(file))  # the page is built again if lines move in the file
        lesson = ROOT / "docs" / "lessons" / f"{file.stem}.rst"
        if file.parent == ROOT / "examples" and lesson.exists():
            target = f"docs/lessons/{file.stem}"
        else:
            target = page_of(file)
        uri = app.builder.get_relative_uri(here, target) + _lines_of_excerpt(link, file)
        link.replace_self(nodes.reference("", "", *link.children, internal=True, refuri=uri))


def _is_link(node):
    links = addnodes.download_reference | addnodes.pending_xref
    return isinstance(node, links) and node.get("reftype") == "myst" and "reftarget" in node


def _lines_of_excerpt(link, file):
    """Return the anchor of the first line of the excerpt below a link, or nothing.

    The line with the link is, for example, "layers/linear.py, Linear.forward".
    """
    excerpt = link.parent.next_node(siblings=True, descend=False)
    name = link.parent.astext().rpartition(", ")[2]
    if not isinstance(excerpt, nodes.literal_block) or not re.fullmatch(r"[\w.]+", name):
        return ""
    module = ".".join(file.relative_to(ROOT / "src").with_suffix("").parts)
    thing = inspect.unwrap(attrgetter(name)(importlib.import_module(module)))
    source, start = inspect.getsourcelines(thing)
    first, *_ = excerpt.astext().splitlines()
    lines = [number for number, line in enumerate(source, start) if line.strip() == first.strip()]
    return f"#L-{lines[0]}"


def place(domain, info):
    """Return the page and the line that define a name of the API reference."""
    try:
        thing = inspect.unwrap(attrgetter(info["fullname"])(sys.modules[info["module"]]))
        thing = getattr(thing, "fget", thing)
        file, (_, line) = Path(inspect.getfile(thing)), inspect.getsourcelines(thing)
    except (AttributeError, TypeError, OSError):
        return None
    if not file.is_relative_to(ROOT / "src"):
        return None
    return relpath(page_of(file), "docs/api") + f".html#L-{line}"
