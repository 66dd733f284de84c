"""What these tests need beside PyTorch, and their option."""

import importlib.util

if importlib.util.find_spec("onnxruntime") is None:
    collect_ignore = ["test_onnx.py"]  # `nox -s parity` installs it and runs them


def pytest_addoption(parser):
    # Known to ``pytest tests/parity`` only; elsewhere the default holds.
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
