"""A lower bound for the time of a step, from the speed of the card, measured in the same run.

A step must move data: it reads its batch, and reads and writes each parameter and Adam's two
averages. Everything else could stay on the chip. A step must also compute the matrix products, and
it must be launched. The largest of these three times is the floor.
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

COPIED, SIDE, LAUNCHES = 2**27, 8192, 1000  # float32 numbers; rows of a matrix; launches


def moved(widths: list[int], batch: int) -> int:
    """Bytes that a step must move: float32, with labels and sample indices in int64."""
    parameters = sum(n * m + m for n, m in pairwise(widths))
    return 4 * (6 * parameters + batch * widths[0]) + 8 * 2 * batch


def operations(widths: list[int], batch: int) -> int:
    """Multiplications and additions in a step; the first layer needs no input gradient."""
    products = [n * m for n, m in pairwise(widths)]
    return 2 * batch * (3 * sum(products) - products[0])


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """Measure the card: `Times` of a copy, a product, and the launch of an empty graph."""
    long = dict.fromkeys(("copy", "product", "launch"), rounds)
    times, (copied, side) = race(calls, [(place,)], rounds, long), sizes(place)
    return {"bytes": 8 * copied, "operations": 2 * side**3, "seconds": times}


def sizes(place: Place) -> tuple[int, int]:
    """The size of the copy, and the rows and columns of the matrices."""
    return (2**16, 64) if place.dry else (COPIED, SIDE)


def calls(place: Place) -> tuple[list[float], Calls]:
    """A large copy on the device, a large product, and the launch of a small graph."""
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

        copy = partial(cupy.copyto, target, source)  # the card's own copy, not a kernel

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
    """A function that launches a graph which adds 1 to a number."""
    backend = place.backend
    x = backend.xp.zeros(1, dtype=backend.xp.float32)

    def add() -> None:
        x[...] += 1.0

    if place.dry:
        return add
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        add()  # compiles the kernel
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
    """Medians of bytes and operations per second, and of seconds per launch."""
    seconds = {what: float(np.median(of["card"])) for what, of in results["seconds"].items()}
    return {
        "bytes": results["bytes"] / seconds["copy"],
        "operations": results["operations"] / seconds["product"],
        "launch": seconds["launch"],
    }


def terms(widths: list[int], batch: int, ceilings: dict[str, float]) -> dict[str, float]:
    """Seconds that a step needs for moving data, for computing, and for its launch."""
    return {
        "bytes": moved(widths, batch) / ceilings["bytes"],
        "operations": operations(widths, batch) / ceilings["operations"],
        "launch": ceilings["launch"],
    }


def table(results: dict[str, Any]) -> str:
    """The most that the card can do, one line per measurement."""
    found, times = ceilings(results), results["seconds"]
    rates = {
        "copy": f"{number(found['bytes'] / 1e9)} GB/s, read and written",
        "product": f"{number(found['operations'] / 1e12)} TFLOP/s",
        "launch": "",
    }
    lines = [(what, spread(times[what]["card"]), rate) for what, rate in rates.items()]
    return rows(("what the card does at most", "time", "rate"), lines)
