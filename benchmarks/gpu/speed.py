"""Times of training steps of all libraries on the same device, measured over whole epochs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..comparison import NETWORKS
from ..libraries import chainrule
from ..rounds import Calls, Seconds, Times, race
from ..task import make_data
from ..text import middle, number, ratio, rows, share, spread
from . import floor
from .libraries import LIBRARIES, Trained
from .place import Attempts, Place

SAMPLES = 60_000
CHECKED = 10  # steps whose losses must agree with NumPy's
TOLERANCE, OF_DEEP = (
    1e-3,
    1e-2,
)  # relative tolerances; rounding errors grow fast with more than two hidden layers
EPOCHS = 2  # timed epochs per round, after an untimed epoch
TINY = {"12-8-10": 4, "12-8-6-10": 8}  # networks of a dry run, with their batch sizes
HOST, DEVICE = "step", "step by events"


def networks(place: Place, names: list[str]) -> dict[str, int]:
    """Return the batch size of each network."""
    return TINY if place.dry else {name: NETWORKS[name][0] for name in names}


def measure(
    place: Place, rounds: int, attempts: Attempts, names: list[str], libraries: list[str]
) -> dict[str, Any]:
    """Return the seconds per step for each network. A library with wrong losses is left out."""
    results = {}
    for name, batch in networks(place, names).items():
        steps = CHECKED + 2 if place.dry else SAMPLES // batch
        widths = [int(n) for n in name.split("-")]
        processes = [(library, widths, batch, steps, place) for library in ("NumPy", *libraries)]
        long = dict.fromkeys((HOST, DEVICE), rounds)
        tolerance = OF_DEEP if len(widths) > 4 else TOLERANCE
        seconds = attempts(name, race, calls, processes, rounds, long, tolerance)
        if seconds is None:
            continue
        if not base(seconds):
            raise RuntimeError(f"{name}: chainrule itself failed")
        results[name] = {"batch": batch, "steps": steps, "seconds": seconds}
    return results


def calls(
    library: str, widths: list[int], batch: int, steps: int, place: Place
) -> tuple[list[float], Calls]:
    """Return the losses of the first steps, and functions that return the mean time of a step."""
    data = make_data(widths[0], batch, batch * steps, steps)
    if library == "NumPy":
        task = chainrule(widths, data)
        return [task.step() for _ in range(CHECKED)], {}
    train = LIBRARIES[library][1](widths, data, place)
    trained = train(1)
    last: list[Trained] = []

    def by_host() -> Seconds:
        last[:] = [train(1 + EPOCHS)]
        return Seconds(np.mean(last[0].seconds[1:]) / steps)

    timed: Calls = {(HOST, library): by_host}
    if trained.by_events:
        timed[DEVICE, library] = lambda: Seconds(np.mean(last[0].by_events[1:]))
    return trained.losses[:CHECKED], timed


def base(times: Times) -> str:
    """Return the name of the reference: chainrule, with a graph if possible."""
    ours = ("chainrule graph", "chainrule")
    return next((name for name in ours if name in times.get(HOST, {})), "")


def table(results: dict[str, Any], ceilings: dict[str, float] | None) -> str:
    """Return tables of times, of ratios to chainrule's time in the same round, and of floors."""
    lines, floors = [], []
    for name, result in results.items():
        times, widths = result["seconds"], [int(n) for n in name.split("-")]
        network, ours = f"{name}, {result['batch']}", base(times)
        for library, seconds in times[HOST].items():
            by_events = times.get(DEVICE, {}).get(library)
            device = spread(by_events) if by_events else ""
            multiple = "" if library == ours else ratio(seconds, times[HOST][ours])
            lines.append((network, library, spread(seconds), device, multiple))
        if ceilings:
            needed = floor.terms(widths, result["batch"], ceilings)
            least = max(needed.values())
            shares = (f"{who} {share([least] * len(s), s)}" for who, s in times[HOST].items())
            size = f"{number(floor.moved(widths, result['batch']) / 1e6)} MB"
            work = f"{number(floor.operations(widths, result['batch']) / 1e9)} GFLOP"
            floors.append((network, size, work, *map(middle, needed.values()), ", ".join(shares)))
    head = ("network, batch", "library", "a step", "by events", "as a multiple of ours")
    below = (
        "network, batch", "must be moved", "must be done", "time for moving", "for doing",
        "for launching", "the longest over the time of a step",
    )  # fmt: skip
    return "\n\n".join(rows(h, part) for h, part in ((head, lines), (below, floors)) if part)
