"""Time of a training step, an epoch and predictions, compared with other libraries.

The tables also give the floor of a step: the time of its matrix products alone.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .bare import bare_products
from .libraries import LIBRARIES
from .rounds import Calls, race
from .task import make_data
from .text import ratio, rows, share, spread

NETWORKS = {  # batch size, and batches per epoch (fewer for the last network, to save time)
    "784-32-10": (32, 1875),
    "784-128-10": (128, 468),
    "784-512-512-10": (128, 468),
    "784-2500-2000-1500-1000-500-10": (256, 20),
}
PREDICTED = (1, 128, 10_000)
EPOCHS = 3  # maximum number of rounds in which an epoch is timed


def measure(networks: list[str], libraries: list[str], rounds: int) -> dict[str, Any]:
    """Return, for each network, the batch size, the samples per epoch and the seconds per call."""
    results = {}
    for name in networks:
        batch, steps = NETWORKS[name]
        widths = [int(n) for n in name.split("-")]
        processes = [(library, widths, batch, steps) for library in libraries]
        seconds = race(calls, processes, rounds, long={"epoch": EPOCHS})
        results[name] = {"batch": batch, "epoch": batch * steps, "seconds": seconds}
    return results


def calls(
    library: str, widths: list[int], batch: int, steps: int, samples: int = 60_000
) -> tuple[list[float], Calls]:
    """Return the functions to time. chainrule's also include the bare matrix products."""
    data = make_data(widths[0], batch, samples, steps)
    task = LIBRARIES[library](widths, data)
    timed: Calls = {("step", library): task.step, ("epoch", library): task.epoch}
    for n in PREDICTED:
        timed[f"predict {n:,}", library] = partial(task.predict, data.images[:n])
    if library == "chainrule":
        timed["floor", "NumPy"] = bare_products(widths, batch)
    return [task.step() for _ in range(5)], timed


def table(results: dict[str, Any]) -> str:
    """Return tables of times, of ratios to chainrule's time in the same round, and of floors."""
    lines, floors = [], []
    for name, result in results.items():
        network, seconds = f"{name}, {result['batch']}", dict(result["seconds"])
        floor = seconds.pop("floor")["NumPy"]
        for what, times in seconds.items():
            call = f"epoch of {result['epoch']:,} samples" if what == "epoch" else what
            for library, theirs in times.items():
                slower = "" if library == "chainrule" else ratio(theirs, times["chainrule"])
                lines.append((network, call, library, spread(theirs), slower))
        reached = [f"{library} {share(floor, s)}" for library, s in seconds["step"].items()]
        floors.append((network, spread(floor), ", ".join(reached)))
    head = ("network, batch", "call", "library", "time", "time relative to chainrule's")
    below = ("network, batch", "matrix products of a step alone", "share of their speed reached")
    return f"{rows(head, lines)}\n\n{rows(below, floors)}"
