"""The code of the pages that needs PyTorch, onnxruntime or Keras runs."""

import contextlib

import pytest
from pages import NEEDS_MORE, PAGES, code, columns, variables

NEEDING_MORE = [page for page in PAGES if any(map(NEEDS_MORE.search, code(page)))]


@pytest.mark.parametrize("page", NEEDING_MORE)
def test_the_code_of_the_page_runs(page, tmp_path):
    pytest.importorskip("torch"), pytest.importorskip("onnxruntime")
    names = {}
    with contextlib.chdir(tmp_path):
        for block in code(page):
            exec(block, names)


def test_the_column_of_pytorch_runs(tmp_path):
    pytest.importorskip("torch")
    ((theirs, _),) = columns("docs/howto/from_pytorch.md")
    with contextlib.chdir(tmp_path):
        exec(theirs, variables())


@pytest.mark.filterwarnings("ignore")  # Keras warns about its own code
def test_the_column_of_keras_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("torch"), pytest.importorskip("keras")
    ((theirs, _),) = columns("docs/howto/from_keras.md")
    with contextlib.chdir(tmp_path):
        exec(theirs, variables())
