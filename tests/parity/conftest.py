"""Fixtures and options of the comparisons with PyTorch."""

import importlib.util

import pytest

if importlib.util.find_spec("onnxruntime") is None:
    collect_ignore_glob = ["test_onnx*.py"]  # `nox -s parity` installs onnx and runs these tests


def pytest_addoption(parser):
    # The option exists only in ``pytest tests/parity``. Elsewhere, the default applies.
    parser.addoption(
        "--configurations",
        type=int,
        default=30,
        help="number of random training runs, and of random arguments for each kind of layer",
    )


def pytest_generate_tests(metafunc):
    if "configuration" in metafunc.fixturenames:
        count = metafunc.config.getoption("--configurations", 30)
        metafunc.parametrize("configuration", range(count))


@pytest.fixture
def path(tmp_path):
    """The path of an ONNX file that does not exist yet."""
    return tmp_path / "model.onnx"
