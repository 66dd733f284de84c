"""Writes the pages of the API reference: one page for each public name.

The groups are the rows of the table "What there is" in the README, which lists every public name.
The pages are written to ``docs/api``, and autodoc fills them from the docstrings. On the site, the
names in the table lead to these pages. In the repository, they lead to the source files.
"""

import importlib
import inspect
import re
import shutil
from pathlib import Path
from typing import Protocol

import chainrule as cr

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "api"
SECTION = re.compile(r"^## What there is\n(.*?)^## ", re.DOTALL | re.MULTILINE)
FROM_SKLEARN = "set_fit_request, set_partial_fit_request, set_score_request"
ROW = re.compile(r"^\| ([^|`]+)`(cr\.(?:\w+\.)?)` \| (.+) \|$", re.MULTILINE)
LINKED = re.compile(r"\[`(\w+)`\]\(src/[^)]+\)")


def setup(app):
    app.connect("config-inited", lambda app, config: write_pages())
    app.connect("source-read", lead_names_to_pages)
    app.connect("missing-reference", find_short_name)
    app.connect("autodoc-process-signature", constructor)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def groups():
    """Yield the title, the module as users know it, and the names of each row of the table."""
    (section,) = SECTION.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    for title, module, names in ROW.findall(section):
        yield title.strip(" ,"), module.rstrip("."), LINKED.findall(names)


def write_pages():
    """Write the index, a page for each group, and a page for each name."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    slugs = []
    for title, module, names in groups():
        slugs.append(re.sub(r"\W+", "-", title))
        _write(slugs[-1], group_page(title.capitalize(), module, names))
        for name in names:
            _write(f"{module}.{name}", name_page(module, name))
    text = "Every public name has a page, which shows the docstring of the name."
    _write("index", "\n".join([*heading("API reference"), text, "", *contents(slugs, depth=1)]))


def lead_names_to_pages(app, docname, source):
    """Lead the names in the table of the README to their pages."""
    if docname == "README":
        source[0] = ROW.sub(_with_links_to_pages, source[0])


def _with_links_to_pages(row):
    return LINKED.sub(rf"[`\1`](docs/api/{row[2]}\1.rst)", row[0])


def group_page(title, module, names):
    """Return a page that lists names, each with the first line of its docstring."""
    lines = [*heading(title), f".. currentmodule:: {real(module)}", "", ".. autosummary::"]
    lines += ["   :nosignatures:", "", *(f"   {name}" for name in names), ""]
    pages = [f"{name} <{module}.{name}>" for name in names]
    return "\n".join(lines + contents(pages, "   :hidden:"))


def name_page(module, name):
    """Return the page of one name."""
    path = real(module)
    thing = getattr(importlib.import_module(path), name)
    directive, options = "autofunction", []
    if isinstance(thing, type) and issubclass(thing, Exception):
        directive, options = "autoexception", ["   :show-inheritance:"]
    elif isinstance(thing, type):
        directive, options = "autoclass", ["   :show-inheritance:", "   :members:"]
        others = ", ".join(base.__name__ for base in left_out(thing))
        options.append(f"   :inherited-members: {others}")
        options += [f"   :exclude-members: {FROM_SKLEARN}"] if "estimators" in path else []
    if path != cr.__name__ and name in cr.__all__:
        options.append("   :no-index:")  # the page of cr.NAME is the target of links
    lines = [f".. currentmodule:: {path}", "", f".. {directive}:: {name}", *options, ""]
    return "\n".join([*heading(f"{module}.{name}"), *lines])


def left_out(kind):
    """Return the base classes whose members the page of a class does not show.

    They begin with the first base that has a page of its own, or that another package defines.
    """
    pages = [
        getattr(importlib.import_module(real(m)), n) for _, m, names in groups() for n in names
    ]
    bases = kind.__mro__[1:]
    start = next(
        i for i, base in enumerate(bases) if base in pages or not any(map(is_own, bases[i:]))
    )
    return bases[start:]


def is_own(kind):
    """Return whether chainrule defines a class."""
    return kind.__module__.partition(".")[0] == cr.__name__


def real(module):
    """Return the name under which a module such as ``cr.augmentation`` is imported."""
    _, _, name = module.partition(".")
    if not name:
        return cr.__name__
    return getattr(cr, name).__name__


def constructor(app, what, name, thing, options, signature, returns):
    """Return the parameters of a constructor, without annotations. The docstring has the types."""
    if what != "class" or not isinstance(thing, type):
        return None
    if thing.__init__ is object.__init__ or issubclass(thing, Protocol):
        return "()", None
    _, *parameters = inspect.signature(thing.__init__).parameters.values()
    plain = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    return str(inspect.Signature(plain)), None


def find_short_name(app, env, node, contnode):
    """Resolve a name such as ``cr.SGD``, or ``SGD`` in the docstring of another module."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].removeprefix("cr.")
    domain, target = env.get_domain("py"), f"{cr.__name__}.{name}"
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contnode)


def heading(title):
    """Return the lines of a heading."""
    return [title, "=" * len(title), ""]


def contents(pages, hidden="", *, depth=None):
    """Return the lines of a table of contents."""
    options = [hidden] if hidden else []
    options += [f"   :maxdepth: {depth}"] if depth else []
    return [".. toctree::", *options, "", *(f"   {page}" for page in pages), ""]


def _write(page, text):
    (FOLDER / f"{page}.rst").write_text(text, encoding="utf-8")
