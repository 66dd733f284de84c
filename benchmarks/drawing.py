"""Time to draw batches from 60,000 images of 784 pixels, stored as float32 or as bytes.

Bytes need a quarter of the memory of float32. A model for images in bytes starts with `Rescaling`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import chainrule as cr

from .libraries import chainrule
from .rounds import Calls, Times, race
from .task import make_data, network
from .text import rows, spread

WIDTHS, BATCH = [784, 128, 10], 128


def measure(rounds: int) -> Times:
    """Return the seconds per drawn batch and per step."""
    return race(calls, [()], rounds)


def calls(samples: int = 60_000) -> tuple[list[float], Calls]:
    """Return functions that draw a batch or run a step. Drawing bytes includes scaling them."""
    data = make_data(WIDTHS[0], BATCH, samples)
    bytewise = replace(data, images=(255 * data.images).astype(np.uint8))
    steps = {
        "float32": chainrule(WIDTHS, data),
        "uint8": chainrule(WIDTHS, bytewise, scaling(network(WIDTHS).copy())),
    }
    floats, drawn, scale = data.batches(), bytewise.batches(), scaling()
    timed: Calls = {
        ("draw", "float32"): lambda: next(floats),
        ("draw", "uint8"): lambda: scale.forward(next(drawn)[0]),
    }
    timed.update({("step", kind): task.step for kind, task in steps.items()})
    for task in steps.values():
        task.step()
    return [], timed


def scaling(*layers: cr.Layer) -> cr.Sequential:
    """Return a model that scales bytes and then applies these layers."""
    return cr.Sequential(cr.Rescaling(1 / 255), *layers, seed=0)


def table(results: Times) -> str:
    """Return a table with a line for float32 images and a line for images in bytes."""
    lines = [
        (kind, *(spread(times[kind]) for times in results.values())) for kind in results["step"]
    ]
    network = "-".join(map(str, WIDTHS))
    return rows((f"images, batch {BATCH}", "drawn and in float32", f"a step of {network}"), lines)
