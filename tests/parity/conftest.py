"""Fixtures and options of the comparisons with PyTorch."""

import importlib.util

import pytest

if importlib.util.find_spec("onnxruntime") is None:
    collect_ignore_glob = ["test_onnx*.py"]  # `nox -s parity` installs it and runs them


def pytest_addoption(parser):
    # Only ``pytest tests/parity`` knows this option; elsewhere its default applies.
    parser.addoption(
        "--configurations",
        type=int,
        default=30,
        help="how many trainings test_random_configurations.py draws",
    )


def pytest_generate_tests(metafunc):
    if "configuration" in metafunc.fixturenames:
        count = metafunc.config.getoption("--configurations", 30)
        metafunc.parametrize("configuration", range(count))


@pytest.fixture
def path(tmp_path):
    """The path of an ONNX file that does not exist yet."""
    return tmp_path / "model.onnx"
