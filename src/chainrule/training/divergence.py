"""Find the place in a model where NaN or infinity first appears."""

from __future__ import annotations

from typing import Any

from ..forms import named
from ..layers import Sequential
from ..layers.finite import not_finite
from ..losses import Loss
from ..types import Array, Arrays

THE_LOSS = "the loss itself"  # where NaN first appears if all outputs are finite


def culprit(model: Sequential, loss: Loss, x: Array, y: Array) -> str:
    """Describe where NaN or infinity first appears in the forward pass of a batch.

    Raises
    ------
    DataError
        If the targets are invalid, because invalid targets can also make the loss NaN.
    """
    if where := not_finite(model):
        return f"{where}, before this step"
    xp, state = model.xp, model.state
    draws, buffers = state.draws, state.snapshot("buffers")
    try:
        if type(model).forward is not Sequential.forward:
            return "the outputs or the loss"
        x = model.enter(x)
        if not _all_finite(xp, x):
            return "the inputs of this step (after any augmentation)"
        for layer in model.layers:
            x = layer.forward(x, training=True)[0]
            if not _all_finite(xp, x):
                return f"the output of {layer._label()}"
        loss.check(x, y)
    finally:
        state.draws = draws
        state.restore(buffers)
    return THE_LOSS


def _all_finite(xp: Any, x: Arrays) -> bool:
    """Return whether no array contains NaN or infinity. Integers are always finite."""
    arrays = (a for a in named("x", x).values() if xp.isdtype(a.dtype, "real floating"))
    return all(bool(xp.all(xp.isfinite(array))) for array in arrays)
