"""A lower bound for the time of a step, computed from the measured speed of the GPU.

A step must move data: it reads its batch, and reads and writes each parameter and Adam's two
averages. All other numbers could stay on the chip. A step must also compute its matrix products,
and the step must be launched. The floor is the longest of these three times: moving, computing and
launching.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..rounds import Calls, Seconds, race
from ..text import number, rows, spread
from .place import Clock, Place, clock

COPIED, SIDE, LAUNCHES = 2**27, 8192, 1000  # sizes: float32 numbers, rows of a matrix, launches


def moved(widths: list[int], batch: int) -> int:
    """Return the bytes that a step must move: float32 numbers, int64 labels and sample indices."""
    parameters = sum(n * m + m for n, m in pairwise(widths))
    return 4 * (6 * parameters + batch * widths[0]) + 8 * 2 * batch


def operations(widths: list[int], batch: int) -> int:
    """Count the operations of a step's matrix products, without an input gradient in layer 1."""
    products = [n * m for n, m in pairwise(widths)]
    return 2 * batch * (3 * sum(products) - products[0])


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """Time a copy, a matrix product, and the launch of a small graph on the GPU."""
    long = dict.fromkeys(("copy", "product", "launch"), rounds)
    times, (copied, side) = race(calls, [(place,)], rounds, long), sizes(place)
    return {"bytes": 8 * copied, "operations": 2 * side**3, "seconds": times}


def sizes(place: Place) -> tuple[int, int]:
    """Return the size of the copy, and the number of rows and columns of the matrices."""
    return (2**16, 64) if place.dry else (COPIED, SIDE)


def calls(place: Place) -> tuple[list[float], Calls]:
    """Return three functions: a large copy on the GPU, a large product, a small graph's launch."""
    backend, ticks = place.backend, clock(place, "cupy")
    xp, (copied, side) = backend.xp, sizes(place)

    def varied(n: int) -> Any:
        return xp.sin(xp.arange(n, dtype=xp.float32))

    source, target = varied(copied), xp.zeros(copied, dtype=xp.float32)
    a = xp.reshape(varied(side * side), (side, side))
    out, launch = xp.zeros_like(a), _small_graph(place)

    def copy() -> None:
        target[...] = source

    if not place.dry:
        import cupy

        copy = partial(cupy.copyto, target, source)  # the GPU's copy engine, not a kernel

    timed: Calls = {
        ("copy", "card"): lambda: _timed(copy, 20, ticks),
        ("product", "card"): lambda: _timed(lambda: backend.matmul(a, a, out), 5, ticks),
        ("launch", "card"): lambda: _timed(launch, LAUNCHES, ticks),
    }
    for call in timed.values():
        call()
    if not np.array_equal(backend.to_numpy(target), backend.to_numpy(source)):
        raise RuntimeError("the copy differs from its source")
    return [], timed


def _small_graph(place: Place) -> Callable[[], None]:
    """Return a function that launches a graph. The graph adds 1 to a number."""
    backend = place.backend
    x = backend.xp.zeros(1, dtype=backend.xp.float32)

    def add() -> None:
        x[...] += 1.0

    if place.dry:
        return add
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        add()  # this call compiles the kernel
        stream.synchronize()
        stream.begin_capture()
        add()
        graph = stream.end_capture()
    launch: Callable[[], None] = graph.launch
    return launch


def _timed(call: Callable[[], object], repeats: int, ticks: Clock) -> Seconds:
    call()
    start = ticks.now()
    for _ in range(repeats):
        call()
    return Seconds(ticks.between(start, ticks.now()) / repeats)


def ceilings(results: dict[str, Any]) -> dict[str, float]:
    """Return the median bytes per second, operations per second and seconds per launch."""
    seconds = {what: float(np.median(of["card"])) for what, of in results["seconds"].items()}
    return {
        "bytes": results["bytes"] / seconds["copy"],
        "operations": results["operations"] / seconds["product"],
        "launch": seconds["launch"],
    }


def terms(widths: list[int], batch: int, ceilings: dict[str, float]) -> dict[str, float]:
    """Return the seconds that a step needs to move data, to compute, and to be launched."""
    return {
        "bytes": moved(widths, batch) / ceilings["bytes"],
        "operations": operations(widths, batch) / ceilings["operations"],
        "launch": ceilings["launch"],
    }


def table(results: dict[str, Any]) -> str:
    """Return a table of the GPU's peak speeds, one line per measurement."""
    found, times = ceilings(results), results["seconds"]
    rates = {
        "copy": f"{number(found['bytes'] / 1e9)} GB/s, read and written",
        "product": f"{number(found['operations'] / 1e12)} TFLOP/s",
        "launch": "",
    }
    lines = [(what, spread(times[what]["card"]), rate) for what, rate in rates.items()]
    return rows(("what the card does at most", "time", "rate"), lines)
