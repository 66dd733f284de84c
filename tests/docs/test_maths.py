"""The pages of mathematics quote the source as it is, and leave no layer, loss or optimizer out."""

import importlib
import inspect
import re
from operator import attrgetter
from pathlib import Path
from textwrap import dedent

import pytest

import chainrule as cr

MATHS = Path(__file__).parents[2] / "docs" / "maths"
SOURCE = Path(cr.__file__).parent
PAGES = sorted(MATHS.glob("*.md"))
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$\n?", re.MULTILINE)
FORMULA = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.DOTALL | re.MULTILINE)

EXCERPTS = [
    pytest.param(info, code, id=f"{page.stem}-{i}-{info.removeprefix('python ')}")
    for page in PAGES
    for i, (info, code) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
]


def sections(page):
    """The text under each ``## Name``; a comment in a block of code is no heading."""
    text = page.read_text(encoding="utf-8")
    code = [range(*block.span()) for block in FENCE.finditer(text)]
    headings = [
        heading
        for heading in re.finditer(r"^## (.+)$", text, re.MULTILINE)
        if not any(heading.start() in block for block in code)
    ]
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {h[1].strip(): text[h.end() : end] for h, end in zip(headings, ends, strict=True)}


SECTIONS = [item for page in PAGES for item in sections(page).items()]


def exported(module, base):
    things = [getattr(module, name) for name in module.__all__]
    return [x for x in things if isinstance(x, type) and issubclass(x, base) and x is not base]


def test_names_in_the_text_are_in_the_source():
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    known = set(re.findall(r"\w+", source))
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        names = re.findall(r"[^\W\d]\w+", " ".join(re.findall(r"`([^`\n]+)`", text)))
        assert not set(names) - known, page.name


CLASSES = [
    *exported(cr.layers, cr.Layer),
    *exported(cr, cr.Loss),
    *exported(cr, cr.Optimizer),
]


def named(info):
    """The object that a block's first line names, ``python module:qualified.name``."""
    match = re.fullmatch(r"python ([\w.]+):([\w.]+)", info)
    assert match, f"expected ```python module:object, found ```{info}"
    thing = attrgetter(match[2])(importlib.import_module(match[1]))
    assert (thing.__module__, thing.__qualname__) == match.groups(), "inherited, or imported there"
    return thing


@pytest.mark.parametrize(("info", "code"), EXCERPTS)
def test_the_source_says_so(info, code):
    source = inspect.getsource(named(info)).splitlines()
    quoted = code.splitlines()
    assert code.strip()
    starts = range(len(source) - len(quoted) + 1)
    windows = (dedent("\n".join(source[i : i + len(quoted)])) for i in starts)
    assert "\n".join(quoted) in windows


def test_every_block_of_code_is_checked():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)
        blocks = FENCE.findall(text)
        assert len(lines) == 2 * len(blocks), f"{page.name}: a block that is not at the margin"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_its_section(kind):
    (text,) = [text for title, text in SECTIONS if title == kind.__name__]
    assert FORMULA.search(FENCE.sub("", text)), "no formula"
    assert "Shapes:" in text or issubclass(kind, cr.Optimizer)
    own = f"{kind.__module__}:{kind.__qualname__}"
    quoted = [info.removeprefix("python ") for info, _ in FENCE.findall(text)]
    assert any(name == own or name.startswith(f"{own}.") for name in quoted), "no line of its own"


def test_every_page_is_linked():
    index = (MATHS / "index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"^- \[[^]]+\]\((\w+\.md)\)", index, re.MULTILINE))
    assert linked == {page.name for page in PAGES} - {"index.md"}


def test_every_link_leads_somewhere():
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            assert (MATHS / target).is_file(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_formulas_survive_markdown(page):
    """A renderer that reads Markdown first takes ``\\,``, ``}_`` and ``*`` for its own."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    formulas = FORMULA.findall(text) + re.findall(r"\$([^$\n]+)\$", FORMULA.sub("", text))
    assert formulas
    for formula in formulas:
        assert not re.search(r"\\[^a-zA-Z]|[})\]]_|\*", formula), formula
