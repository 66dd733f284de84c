"""Restore an estimator after an error, or after Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..layers import Sequential
from ..training import Trainer


@contextmanager
def undone_by_errors(estimator: Any) -> Iterator[None]:
    """Restore the attributes of an estimator if the block raises an error."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


@contextmanager
def training_undone_by_errors(
    model: Sequential, trainer: Trainer | None, curve: list[float]
) -> Iterator[None]:
    """Restore a model and its trainer if the block raises an error.

    Parameters
    ----------
    model : Sequential
        The model. Its weights, running statistics and counter of random masks are restored.
    trainer : Trainer or None
        The trainer. Its optimizer, counters, batch order and history are restored.
    curve : list of float
        The losses so far. After an error, new losses are removed from the end of this list. (The
        list may be too long to copy.)
    """
    state, length = model.state, len(curve)
    vectors, draws = state.snapshot(), state.draws
    restore_trainer = None if trainer is None else _restoring(trainer)
    try:
        yield
    except BaseException:
        state.zero_grad()
        state.restore(vectors)
        state.draws = draws
        del curve[length:]
        if restore_trainer is not None:
            restore_trainer()
        raise


def _restoring(trainer: Trainer) -> Callable[[], None]:
    """Return a function that restores the current state of the trainer, except for its model."""
    attributes, optimizer = vars(trainer).copy(), trainer.optimizer.state()
    rows = {name: column.copy() for name, column in vars(trainer.history).items()}
    order: Any = trainer.rng.bit_generator.state

    def restore() -> None:
        vars(trainer).update(attributes)
        vars(trainer.history).update(rows)
        trainer.optimizer.load_state(optimizer)
        trainer.rng.bit_generator.state = order

    return restore
