"""What these tests need besides PyTorch."""

import importlib.util

import pytest

if importlib.util.find_spec("onnxruntime") is None:
    collect_ignore_glob = ["test_onnx*.py"]  # `nox -s parity` installs it and runs them


@pytest.fixture
def path(tmp_path):
    """The path of an ONNX file that does not exist yet."""
    return tmp_path / "model.onnx"
