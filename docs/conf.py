"""Settings of the documentation site. ``nox -s docs`` builds it.

The Markdown pages stay where they are, so that their links also work in the repository. Therefore,
the source folder of the site is the root of the repository.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "docs" / "extensions")]

from lessons import WriteThePlot  # noqa: E402
from source_pages import place as linkcode_resolve  # noqa: E402, F401

import chainrule  # noqa: E402

project = "chainrule"
author = "The chainrule developers"
release = version = chainrule.__version__
root_doc = "docs/index"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.linkcode",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "front_page",
    "lessons",
    "reading_order",
    "reference",
    "source_pages",
]
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "src", "tests", "benchmarks", "build", "docs/results"]
templates_path = ["templates"]
highlight_language = "text"
default_role = "py:obj"  # a name in single backticks links to its page, if it has one

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints = "none"  # the docstrings give the types
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autosummary_generate = False  # the extension `reference` writes the pages
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "docs/lessons",
    "filename_pattern": r"/0[1-58]_",  # these lessons run in seconds
    "ignore_pattern": r"__init__|lesson\.py",
    "within_subsection_order": "FileNameSortKey",
    "thumbnail_size": (480, 240),
    "reset_argv": WriteThePlot(),
    "show_signature": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "doc_module": ("chainrule",),
    "first_notebook_cell": (
        "# Run this notebook in the folder `examples` of the repository, which has lesson.py.\n"
        "%matplotlib inline\n"
        "import sys\n"
        'sys.argv = ["lesson"]  # add options here, such as "--seed", "1"'
    ),
}

# The session installs MathJax, so that the site needs no network.
mathjax_path = "tex-svg.js"
MATHJAX = ROOT / "build" / "node_modules" / "mathjax" / "es5" / mathjax_path

html_theme = "pydata_sphinx_theme"
html_title = "chainrule"
html_static_path = ["static", str(MATHJAX)]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {page: [] for page in ("*", "docs/*", "source/**")}  # single pages, without a menu
html_additional_pages = {"index": "redirect.html"}
html_context = {"default_mode": "auto"}  # without a mode, the theme logs a warning
html_theme_options = {
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
copyright = author
