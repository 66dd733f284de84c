"""Check that the parameters and buffers of a model are finite."""

from __future__ import annotations

from .base import Layer


def not_finite(model: Layer) -> str | None:
    """Describe the first parameter or buffer that holds NaN or infinity, or return None.

    If all values are finite, this function reads only one number from the device.
    """
    xp, state = model.xp, model.state
    values, buffers = (xp.all(xp.isfinite(vector)) for vector in (state.values, state.buffers))
    if bool(xp.logical_and(values, buffers)):
        return None
    for name, part in model.named_stored().items():
        if not bool(xp.all(xp.isfinite(part.value))):
            return f"the {type(part).__name__.lower()} {name!r}"
    return None
