"""The time of a training step and of predictions beside other libraries, as ratios in one run.

``python -m benchmarks.compare`` trains each network with Adam in float32, from the same weights on
the same batches of 60,000 x 784 floats, with every library of `libraries` that is installed, and
checks first that all compute the same losses. Each library has a process of its own, since the idle
threads of one would slow the others down; their rounds take turns, so that a slow moment of the
machine meets all. It prints a table and writes ``--json`` and ``--markdown`` with machine and
versions.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from .libraries import LIBRARIES, network

SAMPLES, FEATURES, CLASSES = 60_000, 784, 10
NETWORKS = {
    "784-32-10": 32,
    "784-128-10": 128,
    "784-512-512-10": 128,
    "784-2500-2000-1500-1000-500-10": 256,
}
PREDICTED = (1, 128, 10_000)
ROUND = 0.1  # seconds that a round takes, or a single call where that is longer
SETTLE = 0.05  # seconds until the threads of a library are asleep

Times = dict[str, list[float]]


def worker(pipe: Connection, library: str, name: str, batch: int) -> None:
    """Times rounds of one library whenever it is asked for one: a step, or a prediction."""
    rng = np.random.default_rng(0)
    x = rng.random((SAMPLES, FEATURES), dtype=np.float32)
    y = rng.integers(0, CLASSES, SAMPLES)
    task = LIBRARIES[library](widths(name), x, y, batch)
    calls: dict[str, Any] = {"step": task.step}
    for n in PREDICTED:
        calls[f"predict {n}"] = lambda n=n: task.predict(x[:n])
    calls["floor"] = bare_products(name, batch)
    pipe.send([task.step() for _ in range(5)])
    repeats: dict[str, int] = {}
    while what := pipe.recv():
        call = calls[what]
        once = timed(call, 1)  # also wakes the library's threads
        if what not in repeats:
            repeats[what] = max(1, int(ROUND / min(once, timed(call, 1))))
        pipe.send(timed(call, repeats[what]))


def timed(call: Any, repeats: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def compare(name: str, batch: int, libraries: list[str], rounds: int) -> dict[str, Times]:
    """Seconds a call, by what is called and by library, a figure a round."""
    spawn = multiprocessing.get_context("spawn")
    pipes, losses = {}, {}
    for library in libraries:
        pipes[library], end = spawn.Pipe()
        spawn.Process(target=worker, args=(end, library, name, batch), daemon=True).start()
        losses[library] = pipes[library].recv()
        if not np.allclose(losses[library], losses["chainrule"], rtol=1e-3):
            raise SystemExit(f"{name}: the losses differ: {losses}")
    calls = {"step": libraries, "floor": ["chainrule"]}
    calls.update({f"predict {n}": libraries for n in PREDICTED})
    times: dict[str, Times] = {what: {n: [] for n in names} for what, names in calls.items()}
    for turn in range(rounds + 1):
        for what, names in calls.items():
            for library in names:
                pipes[library].send(what)
                seconds = pipes[library].recv()
                if turn:  # the first is to warm up
                    times[what][library].append(seconds)
                time.sleep(SETTLE)
    for pipe in pipes.values():
        pipe.send("")
    return times


def bare_products(name: str, batch: int) -> Callable[[], None]:
    """The matrix products of a step by themselves, with NumPy."""
    rng = np.random.default_rng(0)
    products = []
    for layer, weight in enumerate(p.value for p in network(widths(name)).parameters() if p.decay):
        out, inner = weight.shape
        x, dy = (rng.random((batch, n), dtype=np.float32) for n in (inner, out))
        grad = np.empty_like(weight)
        products += [(x, weight.T, np.empty_like(dy)), (dy.T, x, grad)]
        if layer:  # the first layer passes no gradient on
            products.append((dy, weight, np.empty_like(x)))

    def multiply() -> None:
        for a, b, out in products:
            np.matmul(a, b, out=out)

    return multiply


def widths(name: str) -> list[int]:
    """The widths of a network by its name."""
    return [int(n) for n in name.split("-")]


def installed() -> list[str]:
    """The libraries that are here."""
    return [n for n in LIBRARIES if importlib.util.find_spec(n.partition(".")[0]) is not None]


def table(results: dict[str, Any]) -> str:
    """Medians, ratios to chainrule's time in the same round with their quartiles, the floor."""
    lines = [
        "| network, batch | call | library | µs | chainrule is so many times as fast | quartiles |",
        "|---|---|---|---|---|---|",
    ]
    for name, result in results["networks"].items():
        seconds = dict(result["seconds"])
        floor = seconds.pop("floor")["chainrule"]
        for what, times in seconds.items():
            ours = times["chainrule"]
            for library, theirs in times.items():
                ratios = [t / o for t, o in zip(theirs, ours, strict=True)]
                low, middle, high = statistics.quantiles(ratios, n=4)
                figures = f"{middle:.2f} | {low:.2f} to {high:.2f}"
                figures = " | " if library == "chainrule" else figures
                median = 1e6 * statistics.median(theirs)
                lines.append(
                    f"| {name}, {result['batch']} | {what} | {library} | {median:.0f} | {figures} |"
                )
        pairs = zip(floor, seconds["step"]["chainrule"], strict=True)
        share = statistics.median(f / s for f, s in pairs)
        figures = f"{1e6 * statistics.median(floor):.0f} | chainrule at {share:.0%} of their speed"
        lines.append(f"| {name}, {result['batch']} | step | bare matrix products | {figures} | |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=installed())
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    options = parser.parse_args()
    libraries = list(dict.fromkeys(["chainrule", *options.libraries]))
    packages = ("chainrule", "numpy", "numba", "torch", "jax", "scikit-learn")
    here = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    results: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()}
        | {name: here[name] for name in packages if name in here},
        "networks": {},
    }
    for name in options.networks:
        batch = NETWORKS[name]
        results["networks"][name] = {
            "batch": batch,
            "seconds": compare(name, batch, libraries, options.rounds),
        }
    page = f"{results['machine']}; {results['versions']}\n\n{table(results)}\n"
    print(page)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    if options.markdown:
        options.markdown.write_text(page)


if __name__ == "__main__":
    main()
