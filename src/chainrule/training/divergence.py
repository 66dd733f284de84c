"""Where in a model numbers first became NaN or infinite, and the state to look from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..layers import Sequential
from ..losses import Loss
from ..optimizers import Optimizer
from ..types import Array


@dataclass
class Snapshot:
    """A copy, on the device, of all that a step changes."""

    vectors: dict[str, Array]
    draws: int
    optimizer: dict[str, Any]
    rng: Any

    @classmethod
    def of(cls, model: Sequential, optimizer: Optimizer, rng: np.random.Generator) -> Snapshot:
        """A copy of the state as it is."""
        state = model.state
        return cls(state.snapshot(), state.draws, optimizer.state(), rng.bit_generator.state)

    def restore(self, model: Sequential, optimizer: Optimizer, rng: np.random.Generator) -> None:
        """Make the state what it was."""
        model.state.restore(self.vectors)
        model.state.draws = self.draws
        optimizer.load_state(self.optimizer)
        rng.bit_generator.state = self.rng


def culprit(model: Sequential, loss: Loss, x: Array, y: Array) -> str:
    """The place where the first NaN or infinity appears when a batch is sent through the model.

    Raises
    ------
    DataError
        If the targets are invalid, which makes a loss NaN, too.
    """
    xp, state = model.xp, model.state

    def finite(array: Array) -> bool:
        return bool(xp.all(xp.isfinite(array)))

    for name, parameter in model.named_parameters().items():
        if not finite(parameter.value):
            return f"the parameter {name!r}, after the step before"
    draws, buffers = state.draws, state.snapshot("buffers")
    try:
        if type(model).forward is not Sequential.forward:
            return "the outputs or the loss"
        x = model.enter(x)
        for i, layer in enumerate(model.layers):
            x = layer.forward(x, training=True)[0]
            if not finite(x):
                return f"the output of layer '{i}', {layer!r}"
        loss.check(x, y)
    finally:
        state.draws = draws
        state.restore(buffers)
    return "the loss itself"
