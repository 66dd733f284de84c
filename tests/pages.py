"""The pages of the documentation and the code on them."""

import re
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import numpy as np

import chainrule as cr

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^( *)(```|~~~)([^\n]*)\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)
NEEDS_MORE = re.compile(r"^import (?:torch|onnxruntime)$", re.MULTILINE)
FOLDERS = ("docs", "examples")
FILES = sorted([*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md"))])
PAGES = [page.relative_to(ROOT).as_posix() for page in FILES]
COMPARISONS = [page for page in PAGES if page.startswith("docs/howto/from_")]


class Block(NamedTuple):
    """A block of code on a page."""

    indent: int
    language: str
    code: str


def blocks(text):
    """Return all blocks of code in the text of a page."""
    return [
        Block(len(indent), language, dedent(code))
        for indent, _, language, code in FENCE.findall(text)
    ]


def read(page):
    """Return the text of a page, or of another file of the project."""
    return (ROOT / page).read_text(encoding="utf-8")


def code(page, language="python"):
    """Return the code in one language on a page."""
    return [block.code for block in blocks(read(page)) if block.language == language]


def columns(page):
    """Yield the code in the two columns of each table: the other library's, and ours."""
    for table in TABLE.findall(read(page)):
        rows = [re.split(r" ?\| ?", line)[1:3] for line in table.splitlines()[2:]]
        cells = [[re.fullmatch(r"`(.+)`|", cell)[1] or "" for cell in row] for row in rows]
        yield tuple("\n".join(column) for column in zip(*cells, strict=True))


def variables():
    """Return the variables that the tables use: inputs, and labels of three classes."""
    x = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
    return {"cr": cr, "x": x, "y": x[:, :3].argmax(axis=1)}
