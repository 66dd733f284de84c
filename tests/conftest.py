"""The array libraries that the tests run on, and the tests that run only on request."""

import contextlib
import functools
import importlib.util
import signal
from dataclasses import dataclass

import numpy as np
import pytest

import chainrule as cr

STRICTEST = {"boolean_indexing": False, "data_dependent_shapes": False, "enabled_extensions": ()}
LIBRARIES = ("numpy", "numpy-readonly", "strict", "strictest", "torch", "cupy")
BACKENDS = ("numpy", "torch", "cupy")  # backends that users select by name
# The tests in these folders use these libraries only on request. Their trainers and plots get
# NumPy's arrays, so "numpy-readonly" would repeat "numpy". A training run only calls functions that
# have their own tests with the strictest flags.
SELDOM = {
    "numpy-readonly": ("callbacks", "parallel", "plotting", "training"),
    "strictest": ("callbacks", "data", "parallel", "training"),
}
# What passes at the strictest flags also passes at the default flags. What passes with read-only
# arrays also passes with writable ones, which many tests of `nox -s tests_fast` use.
STRICTER = {"strict": "strictest", "numpy": "numpy-readonly"}
ON_REQUEST = ("slow", "lessons")  # markers of tests that run with --slow or --lessons


@dataclass(frozen=True)
class Library:
    """A backend, with conversions between its arrays and NumPy's."""

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
        help="run only on this library; may be repeated",
    )
    parser.addoption(
        "--of-library", action="store_true", help="leave out tests that do not use a library"
    )
    parser.addoption("--slow", action="store_true", help="also run the slow tests")
    parser.addoption("--lessons", action="store_true", help="also run the tests of the lessons")


def pytest_collection_modifyitems(config, items):
    chosen = [item for item in items if wanted(item, config)]
    config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
    items[:] = chosen


def wanted(item, config):
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if any(item.get_closest_marker(name) and not config.getoption(name) for name in ON_REQUEST):
        return False
    library = parameters.get("library")
    if any(library in marker.args for marker in item.iter_markers("not_on")):
        return False
    if not is_usual(item, library):
        return config.getoption("--slow") or config.getoption("--library")
    of_library = {"library", "backend_name", "other_backend"} & set(
        getattr(item, "fixturenames", ())
    )
    if config.getoption("--of-library") and not of_library:
        return False
    return "other_backend" not in of_library or isinstance(parameters["other_backend"], str)


def is_usual(item, library):
    """Return whether a test runs on this library without an option."""
    if any(library in marker.args for marker in item.iter_markers("on_request")):
        return False
    if library in STRICTER:
        stricter = STRICTER[library]
        runs = not any(stricter in marker.args for marker in item.iter_markers("not_on"))
        return not (runs and is_usual(item, stricter))
    return item.path.parent.name not in SELDOM.get(library, ())


@functools.cache
def works(name):
    """Return whether this library is available, without importing other libraries."""
    try:
        cr.get_backend(name)
    except cr.BackendError:
        return False
    return True


def libraries(config):
    if chosen := config.getoption("--library"):
        return chosen
    return [name for name in LIBRARIES if name not in ("torch", "cupy") or works(name)]


def pytest_generate_tests(metafunc):
    if "library" in metafunc.fixturenames:
        metafunc.parametrize("library", libraries(metafunc.config), indirect=True)
    for fixture, others in (("backend_name", BACKENDS), ("other_backend", BACKENDS[1:])):
        if fixture in metafunc.fixturenames:
            names = [n for n in libraries(metafunc.config) if n in others and works(n)]
            metafunc.parametrize(fixture, names)


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
    """Restore Python's default handler of Ctrl-C, because background processes ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


if importlib.util.find_spec("torch") is None:
    collect_ignore = ["parity"]  # `nox -s parity` installs PyTorch and runs these tests
