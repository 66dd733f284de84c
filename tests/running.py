"""Running an example as a user does."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def run_example(script, *options, **environment):
    """What the script prints, in a process of its own in which warnings are errors.

    One thread: on two cores those of several libraries would wait for each other.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / script, *map(str, options)],
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
