"""Running an example as a user does."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def run_example(script, *options, **environment):
    """What the script prints, in a process of its own in which warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / script, *map(str, options)],
        capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "agg", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
