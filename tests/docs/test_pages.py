"""The code on the pages runs, and the commands on the pages exist.

A page that is added to the documentation is found and tested without a change to this file. Other
files test the README (``test_docs.py``) and the maths pages (``test_maths.py``).
"""

import contextlib
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from pages import COMPARISONS, NEEDS_MORE, PAGES, ROOT, blocks, code, columns, read, variables

import chainrule as cr

MATHS = [page for page in PAGES if page.startswith("docs/maths/")]
TESTED_ELSEWHERE = ["README.md", *MATHS]
WITH_CODE = [page for page in PAGES if page not in TESTED_ELSEWHERE and code(page)]


def given(page):
    """Return the variables that the code of a page uses but does not define."""
    if page == "docs/gpu.md":
        return {"cr": cr, "model": cr.mlp([4, 8, 3])}
    if page == "docs/augmentation.md":
        images, labels = np.zeros((20, 8, 8), dtype="uint8"), np.arange(20) % 3
        model = cr.Sequential(cr.Flatten(), cr.Linear(64, 3))
        trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.01))
        return {"cr": cr, "trainer": trainer, "x_train": images, "y_train": labels}
    return {}


def run(page, folder):
    """Run the code of a page, with NumPy's backend instead of CuPy's, and return its variables.

    Code that needs more libraries runs in tests/parity/test_pages.py.
    """
    names = given(page)
    with contextlib.chdir(folder):
        for block in code(page):
            if not NEEDS_MORE.search(block):
                exec(re.sub(r'"cupy"(, precision="tf32")?', '"numpy"', block), names)
    return names


@pytest.mark.parametrize("page", WITH_CODE)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # the loss that becomes NaN
def test_the_code_of_the_page_runs(page, tmp_path):
    if any("sklearn" in block for block in code(page)):
        pytest.importorskip("sklearn")
    if any("cr.parallel" in block for block in code(page)):
        pytest.importorskip("mpi4py")
    if any("chainrule.backends.compiled" in block for block in code(page)):
        pytest.importorskip("llvmlite")
    run(page, tmp_path)


def test_the_augmentations_of_the_page(tmp_path):
    names = run("docs/augmentation.md", tmp_path)
    rng, x = np.random.default_rng(0), names["x_train"]
    assert 0.09 < names["noise"](np.zeros(10_000), rng).std() < 0.11
    augmented = names["augment"]({"image": x, "table": x}, rng)
    assert augmented["table"] is x
    assert augmented["image"].shape == x.shape
    names["trainer"].fit(x.astype("float32"), names["y_train"], augment=names["noise"], verbose=0)


def test_the_layer_on_the_page_of_gpus(tmp_path):
    names = run("docs/gpu.md", tmp_path)
    cr.gradcheck(names["Doubled"](3), shape=(4, 3))
    x = np.ones((6, 4), dtype="float32")
    names["trainer"].fit(x, [0, 1, 2] * 2, verbose=0)


@pytest.mark.parametrize("page", PAGES)
def test_each_block_has_a_language_that_is_tested(page):
    """Code blocks hold bash or Python. On the maths pages, they hold quotes and sessions."""
    known = r"pycon|python [\w.]+:[\w.]+" if page in MATHS else "python|bash|text"
    for block in blocks(read(page)):
        assert re.fullmatch(known, block.language), block
        assert not (block.indent and page in MATHS), block


def test_blocks_are_found():
    page = "```python\na\n\nb\n```\n~~~text\n```\n~~~\n1. Then\n\n   ```\n   if a:\n     b\n   ```"
    first, second, third = blocks(page)
    assert first == (0, "python", "a\n\nb\n")
    assert second == (0, "text", "```\n")
    assert third == (3, "", "if a:\n  b\n")


def check(program, arguments):
    """Check that the project has what a command names."""
    if program == "nox":
        sessions = re.findall(r"^def (\w+)\(session", read("noxfile.py"), re.MULTILINE)
        assert arguments[arguments.index("-s") + 1] in sessions
    elif program == "pip":
        extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
        names = re.findall(r"\[(.+)\]", " ".join(arguments))
        assert set(",".join(names).split(",")) <= {"", *extras}
    elif program == "python":
        script = script_of(arguments)
        assert script.exists()
        options = {argument for argument in arguments if argument.startswith("--")}
        code_of_options = "".join(file.read_text("utf-8") for file in script.parent.glob("*.py"))
        assert options <= set(re.findall(r'"(--[\w-]+)"', code_of_options))
    else:
        assert (program, arguments[:2]) == ("python3", ["-m", "venv"])


def script_of(arguments):
    """Return the file that ``python`` runs if it gets these arguments."""
    if arguments[0] != "-m":
        return ROOT / arguments[0]
    module = arguments[1]
    folder = ROOT / "src" if module.startswith("chainrule.") else ROOT
    path = folder / module.replace(".", "/")
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("page", [page for page in PAGES if code(page, "bash")])
def test_the_commands_on_the_page_exist(page):
    for line in "".join(code(page, "bash")).splitlines():
        for command in line.partition("#")[0].split("&&"):
            program, *arguments = shlex.split(command)
            check(Path(program).name, arguments)


@pytest.mark.parametrize("page", COMPARISONS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_our_column_runs(page, tmp_path):
    pytest.importorskip("sklearn")
    for _, ours in columns(page):
        with contextlib.chdir(tmp_path):
            exec(ours, variables())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_column_of_scikit_learn_runs(tmp_path):
    pytest.importorskip("sklearn")
    tables = list(columns("docs/howto/from_scikit_learn.md"))
    assert len(tables) == 2
    for theirs, _ in tables:
        with contextlib.chdir(tmp_path):
            exec(theirs, variables())
