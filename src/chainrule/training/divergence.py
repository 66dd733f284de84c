"""Where in a model a number stopped being one, and the state to look from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..layers import Sequential
from ..types import Array

if TYPE_CHECKING:
    from .trainer import Trainer


@dataclass
class Snapshot:
    """All that a step changes in a trainer, copied on the device."""

    vectors: list[Array]
    draws: int
    steps: int
    rng: Mapping[str, Any]

    @classmethod
    def of(cls, trainer: Trainer) -> Snapshot:
        """A copy of the state as it is."""
        xp, state = trainer.model.xp, trainer.model.state
        vectors = [xp.asarray(vector, copy=True) for vector in _vectors(trainer)]
        return cls(vectors, state.draws, trainer.optimizer.steps, trainer.rng.bit_generator.state)

    def restore(self, trainer: Trainer) -> None:
        """Make the state what it was."""
        for vector, kept in zip(_vectors(trainer), self.vectors, strict=True):
            vector[...] = kept
        trainer.model.state.draws = self.draws
        trainer.optimizer.steps = self.steps
        trainer.rng.bit_generator.state = self.rng


def _vectors(trainer: Trainer) -> list[Array]:
    state = trainer.model.state
    return [state.values, state.buffers, *trainer.optimizer._slots.values()]


def culprit(trainer: Trainer, x: Array) -> str:
    """The place where the first number that is none appears, when `x` is sent through the model."""
    model, xp = trainer.model, trainer.model.xp

    def finite(array: Array) -> bool:
        return bool(xp.all(xp.isfinite(array)))

    for name, parameter in model.named_parameters().items():
        if not finite(parameter.value):
            return f"the parameter {name!r}, after the step before"
    if type(model).forward is not Sequential.forward:
        return "the outputs or the loss"
    draws, buffers = model.state.draws, xp.asarray(model.state.buffers, copy=True)
    try:
        x = model._enter(x, model.state)
        for i, layer in enumerate(model.layers):
            x = layer.forward(x, training=True)[0]
            if not finite(x):
                return f"the output of layer '{i}', {layer!r}"
    finally:
        model.state.draws = draws
        model.state.buffers[...] = buffers
    return "the loss itself"
