"""The code of the how-to pages that needs PyTorch, onnxruntime or Keras runs."""

import contextlib

import pytest
from howto import blocks, columns, variables


@pytest.mark.parametrize("page", ["export", "from_pytorch"])
def test_the_code_of_the_page_runs(page, tmp_path):
    pytest.importorskip("torch"), pytest.importorskip("onnxruntime")
    names = {}
    with contextlib.chdir(tmp_path):
        for block in blocks(page, all_libraries=True):
            exec(block, names)


def test_the_column_of_pytorch_runs(tmp_path):
    pytest.importorskip("torch")
    ((theirs, _),) = columns("from_pytorch")
    with contextlib.chdir(tmp_path):
        exec(theirs, variables())


@pytest.mark.filterwarnings("ignore")  # warnings of Keras about itself
def test_the_column_of_keras_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("torch"), pytest.importorskip("keras")
    ((theirs, _),) = columns("from_keras")
    with contextlib.chdir(tmp_path):
        exec(theirs, variables())
