"""Padded sequences ``(x, lengths)``. Only the first steps of each sequence count."""

from __future__ import annotations

from ..backends.conversion import on_host
from ..errors import DataError, ShapeError, shown
from ..forms import several
from ..types import Array, Arrays
from .base import Layer


def padded(layer: Layer, x: Arrays) -> tuple[Array, Array | None]:
    """Return the sequences and their lengths. The lengths are None if `x` is one array.

    Raises
    ------
    TypeError
        If `x` is neither one array nor ``(x, lengths)``.
    """
    if not several(x):
        return x, None
    if not isinstance(x, tuple) or len(x) != 2:
        raise TypeError(
            f"{layer._label()}: expected one array or a tuple (x, lengths), found {shown(x)}"
        )
    sequences, lengths = x
    return sequences, lengths


def present(layer: Layer, x: Array, lengths: Array) -> Array:
    """Return a mask ``(batch, time)`` that is False in the padding of `x`, ``(batch, time, ...)``.

    Raises
    ------
    TypeError
        If `lengths` is not an array of the layer's backend.
    ShapeError
        If `lengths` does not have shape ``(batch,)``.
    DataError
        If the lengths are not integers, or if a length in host memory is below 1 or above the
        number of steps.
    """
    xp, (batch, time) = layer.xp, x.shape[:2]
    own = isinstance(lengths, layer.backend.array_type)
    if not own:
        raise TypeError(
            f"{layer._label()}: expected lengths as an array of backend {layer.backend.name!r}, "
            f"found {shown(lengths)}"
        )
    if tuple(lengths.shape) != (batch,):
        shape = tuple(lengths.shape)
        raise ShapeError(f"{layer._label()}: expected lengths of shape ({batch},), found {shape}")
    if not xp.isdtype(lengths.dtype, "integral"):
        raise DataError(
            f"{layer._label()}: expected integer lengths, found {lengths.dtype}: a model "
            "converts floats and uint8 to its own dtype"
        )
    lengths = xp.astype(lengths, xp.int64)  # a small dtype could not hold the number of steps
    if on_host(lengths):
        least, most = int(xp.min(lengths)), int(xp.max(lengths))
        if least < 1 or most > time:
            found = least if least < 1 else most
            raise DataError(f"{layer._label()}: expected lengths from 1 to {time}, found {found}")
    steps = xp.arange(time, dtype=xp.int64, device=lengths.device)
    return steps[None, :] < lengths[:, None]
