"""Everything that is run on this project: ``nox -l`` lists it, ``nox -s NAME`` runs it."""

from __future__ import annotations

import ctypes
import ctypes.util
import itertools
import os
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement

nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lint", "types"]

TEST_TOOLS = ("pytest>=9", "pytest-xdist>=3.6", "hypothesis>=6.150", "array-api-strict>=2.6")
FRAMES = ("polars>=1.20", "pyarrow>=18")  # data frames other than those of pandas
TESTED_EXTRAS = ".[examples,tensorboard,distributed]"
PYTEST = ("python", "-m", "pytest")
PARALLEL = (*PYTEST, "-n", "2")  # two processes; ``-- -n 0`` runs the tests in one
PYTEST_ON_CUPY = (*PYTEST, "--library", "cupy", "--ignore", "tests/parity")
COMPILED = (  # the tests of what has compiled loops
    *(f"tests/{room}" for room in ("backends", "layers", "losses", "optimizers", "training")),
    *("tests/test_agreement.py", "tests/test_contract.py"),
    "tests/estimators/test_same_as_scikit_learn.py",
)
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # for small products, more threads wait for each other
TORCH = "torch==2.13.0"
ONNX_RUNTIME = "onnxruntime>=1.20"


@nox.session
def tests(session: nox.Session) -> None:
    """The tests on NumPy and array_api_strict: they run everywhere.

    Arguments go to pytest: ``nox -s tests -- tests/properties -k files -n 0``.
    """
    run_tests(session)


@nox.session
def tests_fast(session: nox.Session) -> None:
    """The tests on NumPy with the extra ``fast``, whose compiled loops must change no result."""
    session.install(".[examples,fast]", *TEST_TOOLS)
    session.run(*PARALLEL, "--library", "numpy", *COMPILED, *session.posargs, env=ONE_THREAD)


@nox.session
def lessons(session: nox.Session) -> None:
    """The tests of the examples: the figures that each lesson prints."""
    run_tests(session, "tests/examples", "--lessons")


@nox.session
def slow(session: nox.Session) -> None:
    """The tests that are too slow for every change."""
    run_tests(session, "-m", "slow", "--slow")


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """The tests with the lowest versions that pyproject.toml allows, on the oldest Python."""
    session.install(".[all]", *lowest_versions(), *TEST_TOOLS, *FRAMES)
    # A warning is no error here: old releases use what newer ones of their dependencies deprecate.
    environment = {**ONE_THREAD, "PYTHONWARNINGS": "default"}
    session.run(*PARALLEL, "-W", "default", *session.posargs, env=environment)


@nox.session(python=["3.11", "3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """The tests on each version of Python that is found on the PATH."""
    run_tests(session)


@nox.session
def tests_gpu(session: nox.Session) -> None:
    """The CuPy path, where there is a GPU; with --no-venv in an environment that has CuPy."""
    environment = on_gpu(session)
    session.run(*PYTEST_ON_CUPY, *session.posargs, env=environment)


@nox.session
def gpu(session: nox.Session) -> None:
    """All that a GPU is to show: tests_gpu, MNIST both ways, the benchmark, docs/gpu.md's tables.

    Tests that fail are told at the end, after all else. Arguments are the benchmark's:
    ``nox -s gpu -- --rounds 3``.
    """
    environment = on_gpu(session)
    try:
        session.run(*PYTEST_ON_CUPY, env=environment)
        failed = False
    except CommandFailed:
        failed = True
    mnist = ("python", "examples/mnist.py", "--backend", "cupy")
    session.run(*mnist, env=environment)
    session.run(*mnist, "--compile", "auto", env=environment)
    if session.venv_backend != "none":
        for other in (TORCH, f"jax[cuda{cuda_driver()[0]}]"):  # what does not install is left out
            session.install(other, success_codes=[0, 1])
    benchmark = ("python", "-m", "benchmarks.gpu", "--write", "docs/gpu.md", *session.posargs)
    for precision in ("float32", "tf32"):
        session.run(*benchmark, "--precision", precision, env=environment)
    if failed:
        session.error("tests failed on CuPy, see above")


@nox.session
def parity(session: nox.Session) -> None:
    """Compared with PyTorch and onnxruntime; then the tests on PyTorch's tensors.

    With arguments, the comparisons only: ``nox -s parity -- --configurations 500``.
    """
    session.install(".[examples,onnx]", *TEST_TOOLS, TORCH, ONNX_RUNTIME)
    session.run(*PARALLEL, "tests/parity", *session.posargs, env=ONE_THREAD)
    if not session.posargs:
        on_torch = ("--library", "torch", "--of-library", "--ignore", "tests/parity")
        session.run(*PARALLEL, "tests", *on_torch, env=ONE_THREAD)


@nox.session
def coverage(session: nox.Session) -> None:
    """Which lines the tests reach."""
    extras = ".[examples,tensorboard,onnx,distributed]"
    session.install("-e", extras, *TEST_TOOLS, *FRAMES, "pytest-cov", TORCH, ONNX_RUNTIME)
    measured = ("--cov", "--cov-report=term", "--cov-fail-under=97", "--lessons", "--slow")
    session.run(*PARALLEL, *measured, *session.posargs, env=ONE_THREAD)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and the direction of imports."""
    session.install("ruff==0.17.*", "import-linter>=2.10,<3")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session
def types(session: nox.Session) -> None:
    """Types."""
    session.install(".", "mypy>=1.18", "nox", "matplotlib")
    session.run("mypy")


@nox.session
def mnist(session: nox.Session) -> None:
    """The MNIST example; arguments are passed on: ``nox -s mnist -- --epochs 3``."""
    session.install(".[examples]")
    session.run("python", "examples/mnist.py", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Every lesson, its picture in a folder of the session."""
    session.install(".[examples]")
    folder = Path(session.create_tmp())
    for script in sorted(Path("examples").glob("[0-9]*.py")):
        files = ["--plot", str(folder / f"{script.stem}.png")]
        if script.stem == "06_xor":
            files += ["--animate", str(folder / "06_xor.gif")]
        session.run("python", script, *files, *session.posargs, env=ONE_THREAD)
    session.log(f"the pictures are in {folder}")


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmark beside other libraries, with the extra ``fast`` and without it."""
    session.install(".[fast]", TORCH, "jax", "scikit-learn", "thinc==9.1.1", "threadpoolctl")
    session.run("python", "-m", "benchmarks.compare", *session.posargs)


def run_tests(session: nox.Session, *options: str) -> None:
    """Install all that the tests use on a CPU, and run them."""
    session.install(TESTED_EXTRAS, *TEST_TOOLS, *FRAMES)
    session.run(*PARALLEL, *options, *session.posargs, env=ONE_THREAD)


def lowest_versions() -> list[str]:
    """The lower bounds in pyproject.toml as exact versions, except those of the GPU's packages."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    on_cpu = [extras[name] for name in extras if not name.startswith(("cuda", "graphs"))]
    return [
        f"{requirement.name}=={bound.version}"
        for requirement in map(Requirement, itertools.chain(project["dependencies"], *on_cpu))
        for bound in requirement.specifier
        if bound.operator == ">="
    ]


def on_gpu(session: nox.Session) -> dict[str, str]:
    """Install what a GPU needs; the variables of the environment, or a skip with the reason.

    With --no-venv everything is there already, but for the library itself.
    """
    cuda, reason = cuda_driver()
    if not cuda:
        session.skip(f"no GPU to test on: {reason}")
    if session.venv_backend == "none":
        return {"PYTHONPATH": os.pathsep.join(["src", os.environ.get("PYTHONPATH", "")])}
    session.install(f".[examples,cuda{cuda},graphs{cuda}]", *TEST_TOOLS)
    return {}


def cuda_driver() -> tuple[int, str]:
    """The major CUDA version of the NVIDIA driver, or 0 and why there is none."""
    name = ctypes.util.find_library("cuda") or "libcuda.so.1"
    try:
        driver = ctypes.CDLL("nvcuda.dll" if ctypes.util.find_library("nvcuda") else name)
    except OSError as error:
        return 0, f"no NVIDIA driver ({error})"
    count, version = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return 0, "the NVIDIA driver finds no device"
    driver.cuDriverGetVersion(ctypes.byref(version))
    major = version.value // 1000
    if major < 12:
        return 0, f"the driver is of CUDA {major}, CuPy needs 12 or newer"
    return min(major, 13), ""  # a driver runs what was built for older ones
