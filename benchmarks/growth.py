"""How the time of a step grows with depth, width and batch size.

The reference is a step in bare NumPy, without a loss, an optimizer or the drawing of batches.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .bare import bare_step
from .libraries import LIBRARIES
from .rounds import Calls, race
from .task import make_data
from .text import rows, spread

DEPTHS, WIDTHS = (1, 2, 4, 8, 16), (32, 64, 128, 256, 512, 1024)
BATCHES = (1, 8, 32, 128, 512, 2048, 4096)
SWEEPS: dict[str, dict[int, tuple[list[int], int]]] = {
    "hidden layers of width 32, batch 32": {n: ([784, *[32] * n, 10], 32) for n in DEPTHS},
    "width of 2 hidden layers, batch 128": {n: ([784, n, n, 10], 128) for n in WIDTHS},
    "batch of 784-128-10": {n: ([784, 128, 10], n) for n in BATCHES},
}
"""For each quantity that varies, a dict from its values to networks (widths, batch size)."""


def measure(libraries: list[str], rounds: int) -> dict[str, Any]:
    """Return the seconds per step in each sweep, and the seconds per additional hidden layer."""
    compared = [(library,) for library in libraries if library in ("chainrule", "torch")]
    times = race(calls, compared, rounds)
    sweeps = {
        name: {str(n): times[f"{name}: {n}"] for n in sweep} for name, sweep in SWEEPS.items()
    }
    depths = next(iter(sweeps.values()))
    return {"sweeps": sweeps, "a layer": {who: slope(depths, who) for who in depths["1"]}}


def calls(library: str, samples: int = 60_000) -> tuple[list[float], Calls]:
    """Return the steps of all networks. chainrule's also include steps in bare NumPy."""
    data = make_data(784, 1, samples)
    losses: list[float] = []
    timed: Calls = {}
    for name, sweep in SWEEPS.items():
        for n, (widths, batch) in sweep.items():
            task = LIBRARIES[library](widths, replace(data, batch=batch))
            losses += [task.step() for _ in range(2)]
            timed[f"{name}: {n}", library] = task.step
            if library == "chainrule":
                timed[f"{name}: {n}", "NumPy"] = bare_step(widths, batch)
    return losses, timed


def slope(depths: dict[str, dict[str, list[float]]], who: str) -> list[float]:
    """Fit the seconds per additional layer by least squares, in each round."""
    seconds = [times[who] for times in depths.values()]
    slopes: list[float] = np.polyfit([*map(int, depths)], seconds, 1)[0].tolist()
    return slopes


def table(results: dict[str, Any]) -> str:
    """Return a table for each sweep, and the cost of an additional layer."""
    tables = []
    for name, sweep in results["sweeps"].items():
        who = [*next(iter(sweep.values()))]
        lines = [(n, *(spread(times[w]) for w in who)) for n, times in sweep.items()]
        tables.append(rows((name, *who), lines))
    layers = [f"{who} {spread(seconds)}" for who, seconds in results["a layer"].items()]
    tables.append(f"An additional hidden layer of width 32 at batch size 32: {'; '.join(layers)}.")
    return "\n\n".join(tables)
