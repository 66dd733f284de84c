"""The array libraries that tests run on."""

import contextlib
import importlib.util
import signal
from dataclasses import dataclass

import numpy as np
import pytest

import chainrule as cr

STRICTEST = {"boolean_indexing": False, "data_dependent_shapes": False, "enabled_extensions": ()}
LIBRARIES = ("numpy", "numpy-readonly", "strict", "strictest", "torch", "cupy")


@dataclass(frozen=True)
class Library:
    """A backend, and how a test makes its arrays."""

    name: str
    backend: cr.Backend

    def asarray(self, x, dtype=None):
        array = self.backend.asarray(np.array(x), dtype=dtype)
        if self.name == "numpy-readonly":
            array.flags.writeable = False
        return array

    def to_numpy(self, x):
        return self.backend.to_numpy(x)


def pytest_addoption(parser):
    parser.addoption(
        "--library",
        action="append",
        choices=LIBRARIES,
        help="run on this library only; may be repeated",
    )
    parser.addoption(
        "--of-library", action="store_true", help="leave out the tests that run on no library"
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--of-library"):
        named = {"library", "backend_name"}
        left_out = [item for item in items if not named & set(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def libraries(config):
    if chosen := config.getoption("--library"):
        return chosen
    here = cr.available_backends()
    return [name for name in LIBRARIES if name not in ("torch", "cupy") or name in here]


def pytest_generate_tests(metafunc):
    if "library" in metafunc.fixturenames:
        metafunc.parametrize("library", libraries(metafunc.config), indirect=True)
    if "backend_name" in metafunc.fixturenames:
        known = cr.available_backends()
        names = [name for name in libraries(metafunc.config) if name in known]
        metafunc.parametrize("backend_name", names)


@pytest.fixture
def library(request):
    name = request.param
    with contextlib.ExitStack() as stack:
        if name.startswith("strict"):
            import array_api_strict

            if name == "strictest":
                stack.enter_context(array_api_strict.ArrayAPIStrictFlags(**STRICTEST))
            yield Library(name, cr.get_backend(array_api_strict))
        else:
            yield Library(name, cr.get_backend(name.removesuffix("-readonly")))


@pytest.fixture
def ctrl_c():
    """Python's own way with SIGINT, which a process in the background is told to ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


if importlib.util.find_spec("torch") is None:
    collect_ignore = ["parity"]  # `nox -s parity` installs PyTorch and runs them
