"""The maths pages quote the source exactly, and cover every layer, loss and optimizer."""

import doctest
import importlib
import inspect
import re
from operator import attrgetter
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import chainrule as cr
from chainrule.windows import Windows, patches
from docs.figures import one_step

MATHS = Path(__file__).parents[2] / "docs" / "maths"
SOURCE = Path(cr.__file__).parent
PAGES = sorted(MATHS.glob("*.md"))
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$\n?", re.MULTILINE)
FORMULA = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.DOTALL | re.MULTILINE)
CAPTION = re.compile(r"^\[`(\S+\.py)`\]\((\S+)\), `(\S+)`\n(?=```)", re.MULTILINE)
SESSION = "pycon"  # a block that is run as a doctest

EXCERPTS = [
    pytest.param(info, code, id=f"{page.stem}-{i}-{info.removeprefix('python ')}")
    for page in PAGES
    for i, (info, code) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
    if info != SESSION
]


def prose(page):
    """Return the text of a page without its code blocks and their captions."""
    return FENCE.sub("", CAPTION.sub("", page.read_text(encoding="utf-8")))


def sections(page):
    """Return the text under each heading ``## Name``. Comments in code are not headings."""
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
        names = re.findall(r"[^\W\d]\w+", " ".join(re.findall(r"`([^`\n]+)`", prose(page))))
        assert not set(names) - known, page.name


CLASSES = [
    *exported(cr.layers, cr.Layer),
    *exported(cr, cr.Loss),
    *exported(cr, cr.Optimizer),
]


def named(info):
    """Return the object named in a block's first line, ``python module:qualified.name``."""
    match = re.fullmatch(r"python ([\w.]+):([\w.]+)", info)
    assert match, f"expected ```python module:object, found ```{info}"
    thing = attrgetter(match[2])(importlib.import_module(match[1]))
    assert (thing.__module__, thing.__qualname__) == match.groups(), "it is defined elsewhere"
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
        assert len(lines) == 2 * len(blocks), f"{page.name}: a code block is indented"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_its_section(kind):
    (text,) = [text for title, text in SECTIONS if title == kind.__name__]
    assert FORMULA.search(FENCE.sub("", text)), "no formula"
    assert "Shapes:" in text or issubclass(kind, cr.Optimizer)
    own = f"{kind.__module__}:{kind.__qualname__}"
    quoted = [info.removeprefix("python ") for info, _ in FENCE.findall(text)]
    assert any(name == own or name.startswith(f"{own}.") for name in quoted), "no line is quoted"


def test_every_page_is_linked():
    index = (MATHS / "index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"^- \[[^]]+\]\((\w+\.md)\)", index, re.MULTILINE))
    assert linked == {page.name for page in PAGES} - {"index.md"}


def test_each_page_links_to_the_next():
    index = (MATHS / "index.md").read_text(encoding="utf-8")
    order = ["index.md", *re.findall(r"^- \[[^]]+\]\((\w+\.md)\)", index, re.MULTILINE)]
    for name, following in zip(order, [*order[1:], None], strict=True):
        *_, last = (MATHS / name).read_text(encoding="utf-8").splitlines()
        links = re.findall(r"\]\((\S+)\)", last)
        assert links[:-1] == ([following] if following else []), name
        assert links[-1] == ("index.md" if name != "index.md" else "../index.md"), name


def test_each_excerpt_has_its_file_above_it():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        infos = [info for info, _ in FENCE.findall(text) if info != SESSION]
        captions = CAPTION.findall(text)
        assert len(captions) == len(infos), page.name
        for info, (file, link, name) in zip(infos, captions, strict=True):
            source = Path(inspect.getfile(inspect.unwrap(named(info))))
            assert (source, info.partition(":")[2]) == (SOURCE / file, name), page.name
            assert link == f"../../src/chainrule/{file}", page.name


def test_sessions_print_what_the_page_says():
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    for page in PAGES:
        blocks = FENCE.findall(page.read_text(encoding="utf-8"))
        code = "\n".join(code for info, code in blocks if info == SESSION)  # one after another
        runner.run(parser.get_doctest(code, {"cr": cr, "np": np}, page.name, None, None))
    assert runner.tries > 0
    assert runner.failures == 0


def numbers_of_the_step():
    """Return a dict from the names on the page to matrices, given as ``name = ... = matrix``."""
    page = (MATHS / "one_step.md").read_text(encoding="utf-8")
    said = {}
    for formula in re.split(r"\\qquad", "\\qquad".join(FORMULA.findall(page))):
        name, *_, matrix = formula.strip().split(" = ")
        rows = re.fullmatch(r"\\begin{pmatrix} (.+) \\end{pmatrix}", matrix)[1].split(r"\cr")
        said[name] = np.array([row.split("&") for row in rows], dtype=float)
    return said


def test_the_numbers_of_one_step():
    said = numbers_of_the_step()
    first, last = cr.Linear(2, 2), cr.Linear(2, 1)
    model = cr.Sequential(first, cr.LeakyReLU(0.5), last, dtype="float64")
    for layer, i in ((first, 1), (last, 2)):
        layer.weight.value[...] = said[f"W_{i}"]
        layer.bias.value[...] = said[f"b_{i}"][0]
    optimizer, found = cr.SGD(lr=0.01).bind(model), {}
    for after in ("", "_{new}"):
        z, back_through_first = first.forward(said["x"])
        h, back_through_activation = model[1].forward(z)
        y, back_through_last = last.forward(h)
        loss, back_through_loss = cr.MSELoss()(y, said["t"])
        values = {"z": z, "h": h, "y": y, "L": loss}
        found |= {f"{name}{after}": value for name, value in values.items()}
        if after:
            break
        found["dy"] = back_through_loss()
        found["dh"] = back_through_last(found["dy"])
        found["dz"] = back_through_activation(found["dh"])
        found["dx"] = back_through_first(found["dz"])
        for layer, i in ((first, 1), (last, 2)):
            found |= {f"dW_{i}": layer.weight.grad.copy(), f"db_{i}": layer.bias.grad.copy()}
        optimizer.step()
        for layer, i in ((first, 1), (last, 2)):
            found |= {f"V_{i}": layer.weight.value, f"c_{i}": layer.bias.value}
    assert said.keys() - found.keys() == {"x", "t", "W_1", "b_1", "W_2", "b_2"}
    for name, value in found.items():
        np.testing.assert_allclose(
            np.reshape(value, said[name].shape), said[name], atol=5e-5, rtol=1e-12, err_msg=name
        )


def test_the_figure_of_one_step():
    """The figure shows the numbers on the page, and equals what the script draws."""
    figure = (MATHS.parent / "images" / "one_step.svg").read_text(encoding="utf-8")
    assert figure == one_step.drawing()
    said = numbers_of_the_step()
    drawn = re.sub(r"<[^>]+>", " ", figure).replace("\N{MINUS SIGN}", "-")
    number = r"(-?\d+(?:\.\d+)?)\s+"
    found = re.findall(rf"{number}\|\s+{number}(?:\|\s+)?{number}", drawn)
    learned = [("W_1", "dW_1", "V_1"), ("b_1", "db_1", "c_1")]
    learned += [("W_2", "dW_2", "V_2"), ("b_2", "db_2", "c_2")]
    expected = [
        numbers
        for names in learned
        for numbers in zip(*(said[name].flat for name in names), strict=True)
    ]
    assert sorted(tuple(map(float, numbers)) for numbers in found) == sorted(expected)


@pytest.mark.parametrize("lr", [0.001, 0.01, 0.02, 0.1, 1.0, 10.0])
def test_the_learning_rates_of_one_step(lr, monkeypatch):
    page = (MATHS / "one_step.md").read_text(encoding="utf-8")
    y, loss = re.search(rf"^\| {lr:g} \| (\S+) \| (\S+) \|$", page, re.MULTILINE).groups()
    monkeypatch.setattr(one_step, "LR", lr)
    found = one_step.numbers()
    assert found["new y"].item() == pytest.approx(float(y), abs=5e-5)
    assert found["new L"].item() == pytest.approx(float(loss), abs=5e-5)


def test_the_numbers_of_the_convolution():
    """The library computes the matrices in the section's formulas ``name = matrix``."""
    (text,) = [text for title, text in SECTIONS if title == "One dimension, by numbers"]
    pattern = r"(\w+) = \\begin{pmatrix} (.+?) \\end{pmatrix}"
    said = {
        name: np.array([row.split("&") for row in rows.split(r"\cr")], dtype=float)
        for name, rows in re.findall(pattern, " ".join(FORMULA.findall(text)))
    }
    x, w, dy = (said[name] for name in ("x", "w", "dy"))
    layer = cr.Conv1d(1, 1, 3, bias=False, init=cr.initializers.given(w[None, :]))
    layer.bind(dtype="float64")
    y, backward = layer.forward(x[None, :])
    found = {"y": y, "dx": backward(dy[None, :]), "dw": layer.weight.grad, "dP": w.T @ dy}
    found["A"] = np.stack([layer.forward(e[None, None, :])[0][0, 0] for e in np.eye(5)], axis=1)
    found["P"] = patches(np, x[None, :], Windows((3,), (1,), (1,), ((0, 0),), (3,)))
    assert said.keys() - found.keys() == {"x", "w", "dy"}
    for name, value in found.items():
        np.testing.assert_array_equal(np.reshape(value, said[name].shape), said[name], name)
    np.testing.assert_array_equal(said["w"] @ said["P"], said["y"])


def test_the_numbers_of_two_recurrent_steps():
    """The library computes the numbers that the section gives as ``name = ... = number``."""
    (text,) = [text for title, text in SECTIONS if title == "Two steps, by numbers"]
    formulas = re.split(r"\\qquad", "\\qquad".join(FORMULA.findall(text)[1:]))
    parts = [formula.strip().split(" = ") for formula in formulas]
    said = {name: float(number) for name, *_, number in parts}
    x, dy = (np.array([[[said[f"{name}_1"]], [said[f"{name}_2"]]]]) for name in ("x", "dy"))
    layer = cr.RNN(1, 1, nonlinearity="relu")
    values = {"weight_ih_l0": [[said["w"]]], "weight_hh_l0": [[said["u"]]]}
    values |= {"bias_ih_l0": [said["b"]], "bias_hh_l0": [0.0]}
    layer.bind(dtype="float64", values=values)
    h, backward = layer.forward({"x": x, "h": np.full((1, 1, 1), said["h_0"])})
    dx = backward(dy)
    _, back = layer.forward({"x": x[:, 1:], "h": h[:, :1]})
    found = {"h_1": h[0, 0, 0], "h_2": h[0, 1, 0], "dh_0": dx["h"].item()}
    found |= {"dw": layer.weight_ih_l0.grad.item(), "du": layer.weight_hh_l0.grad.item()}
    found |= {"db": layer.bias_ih_l0.grad.item(), "dh_2": dy[0, 1, 0]}
    found["dh_1"] = dy[0, 0, 0] + back(dy[:, 1:])["h"].item()
    assert said.keys() - found.keys() == {"w", "u", "b", "h_0", "x_1", "x_2", "dy_1", "dy_2"}
    for name, value in found.items():
        assert value == said[name], name


def test_the_numbers_of_the_picture_of_patches():
    figure = (MATHS.parent / "images" / "patches.svg").read_text(encoding="utf-8")
    drawn = {}
    for name, group in re.findall(r'<g id="(\S+)">(.*?)</g>', figure, re.DOTALL):
        numbers = re.sub(r"<[^>]+>", " ", group).replace("\N{MINUS SIGN}", "-")
        drawn[name] = np.array(numbers.split(), dtype=float)
    image, kernel = (drawn[name] for name in ("image-0", "kernel"))
    layer = cr.Conv2d(1, 1, 2, init=cr.initializers.given(kernel.reshape(1, 1, 2, 2)))
    y, _ = layer.forward(image.reshape(1, 1, 3, 3))
    columns = patches(
        np, image.reshape(1, 1, 3, 3), Windows((2, 2), (1, 1), (1, 1), ((0, 0), (0, 0)), (2, 2))
    )
    for name, expected in {
        **{f"image-{i}": image for i in range(1, 4)},
        "row": kernel, "patches": columns, "product": y, "output": y,
    }.items():  # fmt: skip
        np.testing.assert_array_equal(drawn[name], np.reshape(expected, -1), name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_formulas_survive_markdown(page):
    """Formulas avoid characters that Markdown would change, such as ``\\,``, ``}_`` and ``*``."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    formulas = FORMULA.findall(text) + re.findall(r"\$([^$\n]+)\$", FORMULA.sub("", text))
    assert formulas
    for formula in formulas:
        assert not re.search(r"\\[^a-zA-Z]|[})\]]_|\*", formula), formula
