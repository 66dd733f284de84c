"""Run examples, scripts and commands as a user does, and parse the numbers that they print."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def run_example(script, *options, **environment):
    """Run an example in its own process, with warnings as errors, and return what it prints.

    Set PYTHONWARNINGS to allow warnings, for example with old versions of libraries. The process
    uses one thread, because with few cores, the libraries' threads wait for each other.
    """
    warnings = os.environ.get("PYTHONWARNINGS", "error")
    done = subprocess.run(
        [sys.executable, "-W", warnings, EXAMPLES / script, *map(str, options)],
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def lesson(script, folder, *options, **environment):
    """Run a lesson, check that its picture is not empty, and return what the lesson prints."""
    from matplotlib.image import imread

    picture = folder / "picture.png"
    out = run_example(script, "--plot", picture, *options, **environment)
    pixels = imread(picture)
    assert pixels.shape[1] >= 900
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 100
    return out


def numbers(pattern, out):
    """Return the numbers in the groups of a pattern, which must match exactly one line."""
    (found,) = re.findall(f"^{pattern}$", out, re.MULTILINE)
    return [float(group) for group in ([found] if isinstance(found, str) else found)]


def all_numbers(pattern, out):
    """Return the numbers at the places marked ``#`` in the pattern, one row per match."""
    pattern = pattern.replace("#", r"(-?\d+\.?\d*(?:e[+-]\d+)?)")
    found = re.findall(pattern, out)
    assert found, f"no {pattern!r} in {out}"
    return np.array(found, dtype=float)


def python(*arguments, wrapped=()):
    """Run Python code with these helpers in a new process, and parse its output as JSON."""
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*wrapped, sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def mnist_is_here():
    """Return whether the folder CHAINRULE_DATA holds MNIST's files."""
    home = os.environ.get("CHAINRULE_DATA")
    return home is not None and next(Path(home).rglob("train-images-idx3-ubyte*"), None)
