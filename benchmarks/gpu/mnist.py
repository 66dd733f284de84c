"""Time to train a network on MNIST to an accuracy of 98 %, from images in host memory."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

import chainrule as cr

from ..text import middle, rows, spread
from .place import Attempts, Place

HIDDEN, DROPOUT, BATCH, EPOCHS, LR = 512, 0.2, 256, 6, 4e-3
WAYS = {"step by step": "off", "graph": "auto"}
WANTED = 0.98


def measure(place: Place, rounds: int, attempts: Attempts) -> dict[str, Any]:
    """Return seconds and accuracies: of a cold run in a new process, and of warm runs."""
    try:
        cr.datasets.mnist()
    except cr.datasets.DownloadError as error:
        return {"left out": str(error)}
    results: dict[str, Any] = {"ways": {}}
    for way, compile in WAYS.items():
        with tempfile.TemporaryDirectory() as empty:
            cold = attempts.alone(f"MNIST, {way}, cold", trainings, place, compile, 1, empty)
        warm = attempts.alone(f"MNIST, {way}", trainings, place, compile, 1 + rounds, None)
        if cold and warm:
            results["ways"][way] = {"cold": cold, "warm": warm[1:]}
    return results


def trainings(
    place: Place, compile: str, count: int, kernels: str | None
) -> list[tuple[float, float]]:
    """Return seconds and accuracy of each training run, including the transfer of the images.

    The first run includes the import of the array library. If `kernels` names an empty folder to
    use instead of CuPy's cache, the first run also includes the compilation of all kernels.
    """
    (x, y), test = cr.datasets.mnist()
    if kernels:
        os.environ["CUPY_CACHE_DIR"] = kernels
    if place.dry:
        x, y, test = x[:2000], y[:2000], (test[0][:500], test[1][:500])
    results = []
    for seed in range(count):
        start = time.perf_counter()
        accuracy = train(place, compile, seed, (x, y), test)
        results.append((time.perf_counter() - start, accuracy))
    return results


def train(place: Place, compile: str, seed: int, data: Any, test: Any) -> float:
    """Train a new model and return its test accuracy."""
    model = cr.Sequential(
        cr.Flatten(), cr.Rescaling(1 / 255),
        cr.Linear(784, HIDDEN), cr.ReLU(), cr.Dropout(DROPOUT), cr.Linear(HIDDEN, 10),
        backend=place.backend, seed=seed,
    )  # fmt: skip
    epochs = 1 if place.dry else EPOCHS
    rate = cr.schedules.cosine(LR, epochs * -(-len(data[0]) // BATCH))
    trainer = place.trainer(model, compile, optimizer=cr.Adam(lr=rate))
    trainer.fit(*data, epochs=epochs, batch_size=BATCH, verbose=0)
    return trainer.evaluate(*test)["accuracy"]


def table(results: dict[str, Any]) -> str:
    """Return a table with the times and the lowest accuracy of each way to train."""
    if "left out" in results:
        return f"MNIST is left out: {results['left out']}"
    lines = []
    for way, found in results["ways"].items():
        seconds, accuracies = zip(*found["warm"], strict=True)
        ((cold, first),) = found["cold"]
        least = min(first, *accuracies)
        reached = f"{least:.2%}" if least >= WANTED else f"{least:.2%}, not {WANTED:.0%}"
        lines.append((way, spread(seconds), middle(cold), reached))
    network = f"784-{HIDDEN}-10, {EPOCHS} epochs, batch {BATCH}"
    return rows((f"MNIST, {network}", "training", "cold", "lowest accuracy"), lines)
