"""Shows the committed pictures of the lessons, in the gallery and on the pages of slow lessons.

The pictures are those that ``examples/README.md`` shows.
"""

import re
from pathlib import Path

from sphinx_gallery.utils import scale_image

ROOT = Path(__file__).parents[2]
LESSONS = "docs/lessons"
SECTION = re.compile(r"^## .*\]\((\w+)\.py\)\n\n(?:.+\n)+\n!\[(.+)\]\(\.\.(/\S+)\)$", re.MULTILINE)
TITLE = re.compile(r"^.+\n=+\n", re.MULTILINE)


class WriteThePlot:
    """The command-line arguments of a lesson that the site runs. The gallery shows the figure."""

    def __call__(self, gallery_conf, script_vars):
        return ["--plot", str(ROOT / "build" / "lesson.png")]

    def __repr__(self):
        return type(self).__name__


def setup(app):
    app.connect("builder-inited", replace_thumbnails, priority=600)  # after sphinx-gallery
    app.connect("source-read", add_picture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def pictures():
    """Return a dict from each lesson's name to the description and the path of its picture."""
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    return {name: (description, path) for name, description, path in SECTION.findall(page)}


def replace_thumbnails(app):
    """Scale the pictures to thumbnails."""
    width, height = app.config.sphinx_gallery_conf["thumbnail_size"]
    for name, (_, path) in pictures().items():
        thumbnail = ROOT / LESSONS / "images" / "thumb" / f"sphx_glr_{name}_thumb.png"
        scale_image(str(ROOT / path[1:]), str(thumbnail), width, height)


def add_picture(app, docname, source):
    """Show the picture below the title of a lesson that the site does not run."""
    folder, _, name = docname.rpartition("/")
    known = pictures()
    runs = re.search(app.config.sphinx_gallery_conf["filename_pattern"], f"/{name}.py")
    if folder == LESSONS and name in known and not runs:
        description, path = known[name]
        image = f"\n.. image:: {path}\n   :alt: {description}\n"
        source[0] = TITLE.sub(lambda title: title[0] + image, source[0], count=1)
