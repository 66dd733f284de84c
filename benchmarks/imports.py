"""Time of `import chainrule` in a new interpreter, compared with importing NumPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from .text import rows, spread

OURS, THEIRS = "import chainrule", "import array_api_compat.numpy"
IMPORTS = {  # imports before the timing, and the timed import
    "import numpy": ("", "import numpy"),
    THEIRS: ("", THEIRS),
    OURS: ("", OURS),
    f"{OURS} after {THEIRS}": (THEIRS, OURS),
}
_TIMED = "import time\n{}\nstart = time.perf_counter()\n{}\nprint(time.perf_counter() - start)"


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the time of each import in each round, in seconds, after a warm-up round."""
    seconds: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for turn in range(rounds + 1):
        for name, code in IMPORTS.items():
            command = [sys.executable, "-c", _TIMED.format(*code)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            if turn:
                seconds[name].append(float(out))
    return seconds


def table(results: dict[str, list[float]]) -> str:
    """Return a table of import times, and of the difference between two imports in each round.

    The difference can be negative, because chainrule imports no array library before the first
    model needs one.
    """
    lines = [(name, spread(seconds)) for name, seconds in results.items()]
    less = np.subtract(results[OURS], results[THEIRS]).tolist()
    lines.append((f"{OURS} less {THEIRS}", spread(less)))
    return rows(("import", "time"), lines)
