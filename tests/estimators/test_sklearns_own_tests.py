"""chainrule's estimators pass scikit-learn's own tests of its multilayer perceptrons."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sklearn = pytest.importorskip("sklearn", "1.9")
HERE = Path(__file__).parent
PLUGINS = HERE.parent  # the folder of replaced_estimators.py


def run(*arguments, **environment):
    """Run pytest in a new process with these arguments and environment variables."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *map(str, arguments)]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
    return {what: int(n) for n, what in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}


@pytest.mark.slow
def test_scikit_learns_tests_pass_with_our_classes(tmp_path):
    import replaced_estimators

    package = Path(sklearn.__file__).parent
    # An empty file keeps pytest from reading the settings of this project or of scikit-learn.
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    found = run(
        "-c", tmp_path / "pytest.ini", "--rootdir", package, "-p", "replaced_estimators",
        package / "neural_network" / "tests" / "test_mlp.py",
        PYTHONPATH=os.pathsep.join([str(PLUGINS), *sys.path]),
    )  # fmt: skip
    assert found["passed"] >= 54
    assert found["deselected"] == len(replaced_estimators.EXCEPTIONS)
    assert "skipped" not in found


@pytest.mark.slow
def test_the_checks_that_need_scipys_array_api():
    """The checks with other array libraries pass if SciPy's environment variable is set."""
    tests = HERE / "test_scikit_learn_checks.py"
    found = run(tests, "-k", "check_array_api_input", SCIPY_ARRAY_API="1")
    assert found["passed"] == 2
    assert "skipped" not in found
