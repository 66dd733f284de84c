"""The code of the pages in docs/howto."""

import re
from pathlib import Path
from textwrap import dedent

import numpy as np

import chainrule as cr

HOWTO = Path(__file__).parents[1] / "docs" / "howto"
CODE = re.compile(r"^( *```)python\n(.*?)^\1", re.DOTALL | re.MULTILINE)
TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)
NEEDS_MORE = re.compile(r"^import (?:torch|onnxruntime)$", re.MULTILINE)
PAGES = [page.stem for page in sorted(HOWTO.glob("*.md")) if page.stem != "index"]
COMPARISONS = [page for page in PAGES if page.startswith("from_")]


def blocks(page, *, all_libraries=False):
    """Return the page's code blocks. By default, leave out code that needs other libraries."""
    text = (HOWTO / f"{page}.md").read_text(encoding="utf-8")
    found = [dedent(code) for _, code in CODE.findall(text)]
    return [code for code in found if all_libraries or not NEEDS_MORE.search(code)]


def columns(page):
    """Yield the code in the two columns of each table: the other library's, and ours."""
    for table in TABLE.findall((HOWTO / f"{page}.md").read_text(encoding="utf-8")):
        rows = [re.split(r" ?\| ?", line)[1:3] for line in table.splitlines()[2:]]
        cells = [[re.fullmatch(r"`(.+)`|", cell)[1] or "" for cell in row] for row in rows]
        yield tuple("\n".join(column) for column in zip(*cells, strict=True))


def variables():
    """Return the variables that the tables use: inputs, and labels of three classes."""
    x = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
    return {"cr": cr, "x": x, "y": x[:, :3].argmax(axis=1)}
