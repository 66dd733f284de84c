"""Peak memory of training, compared with the memory that Adam and backpropagation need.

Four vectors of the size of the parameters are needed: values, gradients, and Adam's two averages.
The activations are also needed: the batch and one output per layer.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from .libraries import LIBRARIES
from .task import make_data
from .text import number, rows

WIDTHS, BATCH = [784, 2500, 2000, 1500, 1000, 500, 10], 256
STEPS = 5
_STATUS = Path("/proc/self/status")


def measure(libraries: list[str]) -> dict[str, Any]:
    """Return the peak number of bytes of each library."""
    spawn = multiprocessing.get_context("spawn")
    found = {}
    for library in libraries:
        if library in ("chainrule", "torch"):
            with ProcessPoolExecutor(1, spawn) as fresh:
                found[library] = fresh.submit(peak, library, WIDTHS, BATCH).result()
    return {"needed": needed(WIDTHS, BATCH), "peaks": found}


def needed(widths: list[int], batch: int) -> int:
    """Return the bytes that the activations and four vectors of parameters need in float32."""
    parameters = sum(n * m + m for n, m in pairwise(widths))
    return 4 * (4 * parameters + batch * sum(widths))


def peak(library: str, widths: list[int], batch: int) -> dict[str, int]:
    """Return the peak bytes while a model is made and trained, minus the bytes in use before.

    A small network trains first, so that code and buffers that are loaded only once do not count.
    """
    data, make = make_data(widths[0], batch, samples=STEPS * batch), LIBRARIES[library]
    for _ in range(2):
        make([widths[0], 128, widths[-1]], data).step()
    tidy()
    before = resident()
    task = make(widths, data)
    making = highest()
    forgotten = tidy()
    for _ in range(STEPS):
        task.step()
    return {"made": making - before, "trained": highest() - before, "forgotten": forgotten}


def resident() -> int:
    """Return the bytes in use or, outside Linux, the peak since the process started."""
    return _status("VmRSS")


def highest() -> int:
    """Return the peak bytes since `tidy` or, outside Linux, since the process started."""
    return _status("VmHWM")


def _status(field: str) -> int:
    if _STATUS.exists():
        found = re.search(rf"{field}:\s*(\d+) kB", _STATUS.read_text())
        return 1024 * int(found[1]) if found else 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def tidy() -> bool:
    """Release free memory and reset the peak. Return whether the reset was possible."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def table(results: dict[str, Any]) -> str:
    """Return a table with a line for each library."""
    need, found = results["needed"], results["peaks"]
    lines = [
        (k, *(f"{number(v[what] / 1e6)} MB, {v[what] / need:.2f}" for what in ("trained", "made")))
        for k, v in found.items()
    ]
    head = (
        f"{'-'.join(map(str, WIDTHS))}, batch {BATCH}",
        f"peak in {STEPS} steps, and as a multiple of {number(need / 1e6)} MB",
        "while the model is made",
    )
    since = all(peaks["forgotten"] for peaks in found.values())
    note = (
        ""
        if since
        else "\n\nThese are peaks since the process started, because no other peaks are reported."
    )
    return rows(head, lines) + note
