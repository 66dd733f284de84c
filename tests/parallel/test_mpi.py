"""Train with processes that MPI connects, let them fail, and resume on another number of ranks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ranks

import chainrule as cr

pytest.importorskip("mpi4py")

SECONDS = 120  # a run that takes longer hangs
LAUNCHER = shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which("mpiexec")
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    # In MPICH, waiting processes leave the core to others, and use the loopback interface only.
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "1",
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT": "16",
    "HYDRA_IFACE": "lo",
    "FI_TCP_IFACE": "lo",
}
EVERYTHING = {"augment": "built-in", "micro_batches": 2}


def start(size, **options):
    """Run the script on this many ranks, and return the finished process."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = [LAUNCHER, "-n", str(size), sys.executable, ranks.__file__, *words]
    environment = {**os.environ, **ENVIRONMENT}
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)


def expect_same(output, expected):
    found = json.loads(output.read_text())
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-10, err_msg=name)


@pytest.fixture(scope="module")
def expected():
    """The result of a single process."""
    trainer = cr.Trainer(ranks.model(), **ranks.arguments_of_trainer())
    augment = ranks.AUGMENTATIONS[EVERYTHING["augment"]]
    ranks.fit(trainer, None, **{**EVERYTHING, "augment": augment})
    return ranks.found(trainer)


@pytest.mark.parametrize(
    "size", [2, pytest.param(3, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_the_result_is_that_of_a_single_process(size, expected, tmp_path):
    output = tmp_path / "result.json"
    done = start(size, output=output, **EVERYTHING)
    assert done.returncode == 0, done.stderr
    assert len(expected["losses"]) == 100
    expect_same(output, expected)


@pytest.mark.parametrize("kind", ranks.KINDS)
def test_a_failure_ends_all_ranks_and_the_run_resumes(kind, expected, tmp_path):
    folder, output = tmp_path / "checkpoints", tmp_path / "result.json"
    fails = {"fail": kind, "rank": 1, "step": 47}
    done = start(2, output=output, checkpoints=folder, **fails, **EVERYTHING)
    assert done.returncode != 0
    assert not output.exists()
    words = {
        "exception": "RuntimeError: this rank fails",
        "nan": "DivergenceError: the loss became nan at step 47",
        "kill": "",
        "interrupt": "KeyboardInterrupt",
    }
    assert words[kind] in done.stderr
    assert done.stderr.count("Traceback (most recent call last)") == (kind != "kill")
    size = 1 if kind in ("nan", "interrupt") else 2
    done = start(size, output=output, checkpoints=folder, **EVERYTHING)
    assert done.returncode == 0, done.stderr
    expect_same(output, expected)
