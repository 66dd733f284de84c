"""Lesson 11 runs as a script and prints the correct numbers."""

import os
import subprocess
import sys

import pytest
from running import EXAMPLES, lesson, numbers

pytest.importorskip("sklearn")

pytestmark = pytest.mark.lessons


def check_sweep(out):
    pattern = r"45 settings, the best: learning rate (.+), width (\d+), dropout (.+)"
    rate, width, dropout = numbers(pattern, out)
    accuracy, deviation = numbers(r"cross-validated accuracy: (.+), standard error (.+)", out)
    assert deviation == pytest.approx((accuracy * (1 - accuracy) / 1347) ** 0.5, abs=1e-4)
    (others,) = numbers(r"others within one standard error: (\d+)", out)
    (tested,) = numbers("test accuracy: (.+)", out)
    return (rate, width, dropout), accuracy, others, tested


def test_sweep(tmp_path):
    (rate, width, dropout), accuracy, others, tested = check_sweep(lesson("11_sweep.py", tmp_path))
    assert rate in (0.003, 0.01, 0.03)  # within the grid, not at its edge
    assert width in (32, 128)
    assert dropout in (0.0, 0.2, 0.5)
    assert accuracy > 0.96
    assert 1 <= others <= 10
    assert tested > 0.94


def test_sweep_on_other_backends(tmp_path, other_backend):
    options = ("--epochs", 3, "--backend", other_backend)
    _, accuracy, _, tested = check_sweep(lesson("11_sweep.py", tmp_path, *options))
    assert accuracy > 0.91
    assert tested > 0.89


def test_sweep_on_two_dask_workers(tmp_path):
    pytest.importorskip("distributed", reason="the extra distributed is not installed")
    serial = lesson("11_sweep.py", tmp_path, "--epochs", 1, "--n-jobs", 1)
    assert lesson("11_sweep.py", tmp_path, "--epochs", 1, "--dask", "local") == serial


def test_without_dask_it_says_what_to_install(tmp_path):
    (tmp_path / "distributed.py").write_text("raise ImportError('not installed')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, EXAMPLES / "11_sweep.py", "--dask", "local"],
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": path},
    )
    assert done.returncode == 1
    extra = 'pip install ".[distributed]" in a clone of chainrule\'s repository'
    assert done.stderr == f"--dask needs Dask: {extra}\n"
