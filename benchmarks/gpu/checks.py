"""Checks on a GPU: memory stays constant, models do not affect each other, and losses are right."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr

from .. import memory
from ..task import LR, make_data, network
from ..text import number, rows
from .mnist import WAYS
from .place import Attempts, Place

WIDTHS, BATCH = [784, 128, 10], 128
EPOCHS, STEPS = 100, 100  # for the memory check
COMPARED = 468  # steps whose losses are compared with NumPy's
TURNS, EAGER, NESTED = (
    4,
    10,
    50,
)  # epochs of model 1, its steps per step of model 2, and its steps per epoch of model 3


def measure(place: Place, attempts: Attempts) -> dict[str, Any]:
    """Run each check in its own process, and return a dict from its name to its result."""

    def both(what: str, function: Callable[..., Any]) -> dict[str, Any]:
        found = {
            way: attempts.alone(f"{what}, {way}", function, place, compile)
            for way, compile in WAYS.items()
        }
        return {way: result for way, result in found.items() if result is not None}

    memory, losses = both("memory", used), both("agreement", agreement)
    turns = attempts.alone("models in turns", in_turns, place) or {}
    return {"memory": memory, "turns": turns, "agreement": losses}


def _model(place: Place, seed: int) -> cr.Sequential:
    layers = cr.Linear(784, 128), cr.ReLU(), cr.Dropout(0.2), cr.Linear(128, 10)
    return cr.Sequential(*layers, backend=place.backend, seed=seed)


def used(place: Place, compile: str) -> dict[str, Any]:
    """Return the bytes in use after 1 and after 100 epochs of 100 steps.

    The last batch of an epoch is smaller. The result counts the bytes of CuPy's pool and all bytes
    in use on the GPU. Without a GPU, the result counts the bytes of the process.
    """
    epochs, steps = (3, 10) if place.dry else (EPOCHS, STEPS)
    data = make_data(784, BATCH, (steps - 1) * BATCH + BATCH // 2)
    trainer = place.trainer(_model(place, 0), compile, optimizer=cr.Adam(lr=LR))
    seen: list[dict[str, int]] = []

    def look(trainer: cr.Trainer) -> None:
        if len(trainer.history) in (1, epochs):
            gc.collect()
            seen.append(_used(place))

    options: dict[str, Any] = {"batch_size": BATCH, "verbose": 0}
    listener = cr.callbacks.LambdaCallback(on_epoch_end=look)
    trainer.fit(data.images, data.labels, epochs=epochs, callbacks=[listener], **options)
    return {"steps": [steps, epochs * steps], "bytes": seen}


def _used(place: Place) -> dict[str, int]:
    if place.dry:
        return {"process": memory._resident()}
    import cupy

    free, total = cupy.cuda.runtime.memGetInfo()
    return {"pool": cupy.get_default_memory_pool().used_bytes(), "card": total - free}


def in_turns(place: Place) -> dict[str, float]:
    """Return the difference between models that train in turns and models that train alone.

    While the first model trains with graphs, two other models train. The second model trains step
    by step in a visible loop. The third model has its own graphs, which are captured in the middle
    of an epoch of the first model.
    """
    steps = 10 if place.dry else STEPS
    eager, nested = (2, 5) if place.dry else (EAGER, NESTED)
    data = make_data(784, BATCH, steps * BATCH)

    def makers() -> tuple[cr.Trainer, Callable[[], float], cr.Trainer]:
        first, third = (
            place.trainer(_model(place, seed), "auto", optimizer=cr.Adam(lr=1e-3))
            for seed in (1, 3)
        )
        return first, _visible(_model(place, 2), data), third

    def fit(trainer: cr.Trainer, epochs: int, *listeners: cr.Callback) -> list[float]:
        options: dict[str, Any] = {"batch_size": BATCH, "verbose": 0, "callbacks": listeners}
        trainer.fit(data.images, data.labels, epochs=epochs, **options)
        return [*trainer.history.step_losses, *_weights(trainer.model)]

    first, second, third = makers()
    apart = [fit(first, TURNS), [second() for _ in range(TURNS * steps // eager)]]
    apart.append([fit(third, 1) for _ in range(TURNS * steps // nested)][-1])

    first, second, third = makers()
    losses: list[float] = []
    of_third: list[list[float]] = []

    def between(trainer: cr.Trainer) -> None:
        if trainer.optimizer.steps % eager == 0:
            losses.append(second())
        if trainer.optimizer.steps % nested == 0:
            of_third.append(fit(third, 1))

    listener = cr.callbacks.LambdaCallback(on_step_end=between)
    together = [fit(first, TURNS, listener), losses, of_third[-1]]
    names = ("a graph", "eager next to it", "another graph")
    return {
        name: float(np.max(np.abs(np.subtract(one, other))))
        for name, one, other in zip(names, apart, together, strict=True)
    }


def _visible(model: cr.Sequential, data: Any) -> Callable[[], float]:
    """Return a function that runs a step and returns the loss of the step."""
    loss, optimizer = cr.CrossEntropyLoss(), cr.Adam(lr=1e-3).bind(model)
    batches = iter(())

    def step() -> float:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            arrays = data.images, data.labels
            batches = iter(cr.minibatches(*arrays, batch_size=BATCH, backend=model.backend))
            batch = next(batches)
        outputs, back_through_model = model.forward(batch[0], training=True)
        value, back_through_loss = loss(outputs, batch[1])
        back_through_model(back_through_loss())
        optimizer.step()
        return float(value)

    return step


def _weights(model: cr.Sequential) -> list[float]:
    values: list[float] = model.backend.to_numpy(model.state.values).tolist()
    return values


def agreement(place: Place, compile: str) -> float:
    """Return the largest relative difference from NumPy's losses in the first epoch."""
    steps = 5 if place.dry else COMPARED
    data = make_data(WIDTHS[0], BATCH, steps * BATCH, steps)

    def losses(backend: Any, compile: str) -> np.ndarray:
        trainer = place.trainer(network(WIDTHS, backend), compile, optimizer=cr.Adam(lr=LR))
        history = trainer.fit(*data.epoch, batch_size=BATCH, verbose=0)
        return np.asarray(history.step_losses)

    return float(np.max(np.abs(losses(place.backend, compile) / losses("numpy", "off") - 1)))


def table(results: dict[str, Any]) -> str:
    """Return a table with a line for each check."""
    lines = []
    for way, found in results["memory"].items():
        few, many = found["bytes"]
        for what, before in few.items():
            steps = "{:,} and {:,} steps".format(*found["steps"])
            sizes = " and ".join(f"{number(n / 1e6)} MB" for n in (before, many[what]))
            grown = f"{sizes}: {many[what] - before:+,} bytes"
            lines.append((f"memory of the {what} after {steps}, {way}", grown))
    for who, difference in results["turns"].items():
        found = "none" if difference == 0.0 else f"{difference:.1e}"
        lines.append((f"difference from training alone: {who}", found))
    name = "-".join(map(str, WIDTHS))
    for way, difference in results["agreement"].items():
        what = f"largest relative difference from NumPy's losses, first epoch of {name}, {way}"
        lines.append((what, f"{difference:.1e}"))
    return rows(("check", "found"), lines)
