"""Training steps of small networks: compiled for the CPU, in Python, in PyTorch and in JAX.

A step is a step of `fit`, including the order of the batches and the history. The steps of PyTorch
and of JAX include the selection of the batch. ``jax.scan`` runs the steps of an epoch in one
compiled loop. For one thread, run the command with ``taskset -c 0`` and ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import chainrule as cr

from .libraries import LIBRARIES, installed, jax_state, jax_update
from .rounds import Calls, Seconds, race
from .task import LR, Data, make_data, network, weights
from .text import ratio, rows, spread

NETWORKS = {
    "2-8-2, 1": ([2, 8, 2], 1, 4000),
    "64-32-10, 32": ([64, 32, 10], 32, 1000),
    "784-32-10, 32": ([784, 32, 10], 32, 200),
    "20-64-3, 64": ([20, 64, 3], 64, 1000),
    "784-128-10, 128": ([784, 128, 10], 128, 100),
}
"""For each network, its widths, the batch size, and the number of steps per epoch."""

_STEPS = 2000  # from this number of steps on, `fit` compiles

Epoch = Callable[[], tuple[float, Seconds]]
"""A function that trains, and returns the loss of the first epoch and the seconds per step."""


def fit(compile: str, widths: list[int], data: Data) -> Epoch:
    """Set up training by a `Trainer`. The time does not include the preparations of `fit`."""
    loss, optimizer = cr.CrossEntropyLoss(), cr.Adam(lr=LR)
    trainer = cr.Trainer(network(widths), loss=loss, optimizer=optimizer, compile=compile)
    epochs = max(2, _STEPS // data.steps if compile == "auto" else 0)

    def run() -> tuple[float, Seconds]:
        history = trainer.fit(*data.epoch, batch_size=data.batch, epochs=epochs, verbose=0)
        mean = float(np.mean(history["seconds"][-epochs:]))
        return float(history["loss"][-epochs]), Seconds(mean / data.steps)

    return run


def library(name: str, widths: list[int], data: Data) -> Epoch:
    """Set up training by a library, with a call of Python for each step."""
    return _timed(LIBRARIES[name](widths, data).epoch, data.steps)


def scan(widths: list[int], data: Data) -> Epoch:
    """Set up training by JAX, with all steps of an epoch in one loop."""
    import jax
    import jax.numpy as jnp

    inputs, labels = jnp.asarray(data.images), jnp.asarray(data.labels)
    held: list[Any] = [(jax_state(weights(widths)), jnp.float32(1.0))]
    epoch_rows = data.epoch_rows()

    def step(carry: Any, chosen: Any) -> Any:
        state, value = jax_update(carry[0], carry[1], inputs[chosen], labels[chosen])
        return (state, carry[1] + 1.0), value

    loop = jax.jit(lambda carry, chosen: jax.lax.scan(step, carry, chosen))

    def epoch() -> float:
        held[0], losses = loop(held[0], np.stack([*epoch_rows()]))
        return float(losses.mean())

    return _timed(epoch, data.steps)


def _timed(epoch: Callable[[], float], steps: int) -> Epoch:
    def run() -> tuple[float, Seconds]:
        start = time.perf_counter()
        loss = epoch()
        return loss, Seconds((time.perf_counter() - start) / steps)

    return run


WAYS: dict[str, Callable[[list[int], Data], Epoch]] = {
    "compiled": partial(fit, "auto"),
    "chainrule": partial(fit, "off"),
    "jax.scan": scan,
    "jax.jit": partial(library, "jax"),
    "torch": partial(library, "torch"),
}


def calls(way: str) -> tuple[list[float], Calls]:
    """Return the losses of the first epochs, and a call for each network."""
    losses: list[float] = []
    timed: Calls = {}
    for name, (widths, _, _) in NETWORKS.items():
        epoch = WAYS[way](widths, _data(name))
        losses.append(epoch()[0])
        timed[name, way] = partial(_seconds, epoch)
    return losses, timed


def _seconds(epoch: Epoch) -> Seconds:
    return epoch()[1]


def _data(name: str) -> Data:
    widths, batch, steps = NETWORKS[name]
    data = make_data(widths[0], batch, steps * batch, steps)
    return replace(data, labels=data.labels % widths[-1])


def preparation(name: str, compile: str) -> float:
    """Return the seconds that `fit` takes outside of its epochs. Call it in a new process."""
    data = _data(name)
    loss, optimizer = cr.CrossEntropyLoss(), cr.Adam(lr=LR)
    model = network(NETWORKS[name][0])
    trainer = cr.Trainer(model, loss=loss, optimizer=optimizer, compile=compile)
    start = time.perf_counter()
    epochs = max(1, _STEPS // data.steps)
    history = trainer.fit(*data.epoch, batch_size=data.batch, epochs=epochs, verbose=0)
    return time.perf_counter() - start - float(np.sum(history["seconds"]))


def measure(libraries: list[str], rounds: int) -> dict[str, Any]:
    """Return the seconds per step, and the seconds before the first step."""
    ways = [way for way in WAYS if way.partition(".")[0] in {"compiled", *libraries, *installed()}]
    return {
        "steps": race(calls, [(way,) for way in ways], rounds, dict.fromkeys(NETWORKS, rounds)),
        "preparation": {name: _preparations(name) for name in NETWORKS},
    }


def _preparations(name: str) -> list[float]:
    """Return the seconds before the first step: without compiling, compiled, and from the cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CACHE_HOME": folder}
        return [
            json.loads(
                subprocess.run(
                    [sys.executable, "-m", "benchmarks.compiled", name, compile],
                    env=environment,
                    check=True,
                    capture_output=True,
                ).stdout
            )
            for compile in ("off", "auto", "auto")
        ]


def table(results: dict[str, Any]) -> str:
    """Return a table of the times, and a table of the time before the first step."""
    steps, first = results["steps"], results["preparation"]
    others = [way for way in next(iter(steps.values())) if way != "compiled"]
    lines = [
        (name, spread(times["compiled"]), *(ratio(times[w], times["compiled"]) for w in others))
        for name, times in steps.items()
    ]
    pays = []
    for name, (off, cold, cached) in first.items():
        saved = float(np.median(np.subtract(steps[name]["chainrule"], steps[name]["compiled"])))
        counts = (
            f"{max(0.0, (t - off) / saved):,.0f}" if saved > 0 else "-" for t in (cold, cached)
        )
        pays.append((name, f"{cold - off:.2f} s", f"{cached - off:.2f} s", *counts))
    head = "network, batch", "to compile", "from the cache", "pays from step", "with the cache"
    return f"{rows(('network, batch', 'compiled', *others), lines)}\n\n{rows(head, pays)}"


if __name__ == "__main__":
    print(json.dumps(preparation(*sys.argv[1:])))
