"""Data, checked and moved to the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends import Backend, get_backend
from ..backends.conversion import to_numpy
from ..errors import DataError, ShapeError
from ..types import Array

CHECKED_AT_ONCE = 2**24  # bytes of a file that are looked at together


def to_device(backend: Backend, array: Array) -> Array:
    """An array that `move` returned, or a part of it, on the device; a file is read now."""
    if isinstance(array, backend.array_type) and not isinstance(array, np.memmap):
        return array
    copy = np.array(array)
    whole = copy.dtype.kind in "iu" and copy.dtype != np.uint8  # not every library has the others
    return backend.asarray(copy.astype(np.int64) if whole else copy)


def move(backend: Backend, arrays: dict[str, Any], dtype: str | None) -> tuple[Array, ...]:
    """The arrays on the device, checked: numbers, all finite, all of one length of at least 1.

    A `numpy.memmap` is checked too, but stays a file.
    """
    if not arrays:
        raise TypeError("expected at least one array")
    moved = {name: _moved(backend, name, data, dtype) for name, data in arrays.items()}
    lengths = {name: array.shape[0] for name, array in moved.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{n} of {name}" for name, n in lengths.items())
        raise ShapeError(f"expected as many samples in each array, found {found}")
    return tuple(moved.values())


def _moved(backend: Backend, name: str, data: Any, dtype: str | None) -> Array:
    xp, on_disk = backend.xp, isinstance(data, np.memmap)
    try:
        array = to_numpy(data) if on_disk else backend.asarray(data)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    if array.ndim == 0 or 0 in array.shape:
        raise DataError(f"{name}: expected samples, found an array of shape {tuple(array.shape)}")
    if on_disk:
        _check_finite(get_backend("numpy"), name, data)
        return data
    if array.dtype == getattr(xp, "float16", None):
        _check_finite(backend, name, array)
    elif xp.isdtype(array.dtype, "real floating"):
        array = backend.asarray(array, dtype=None if dtype is None else backend.dtype(dtype))
        _check_finite(backend, name, array)
    elif array.dtype not in (xp.uint8, xp.int64, xp.bool):
        if not xp.isdtype(array.dtype, "integral"):
            raise DataError(f"{name}: expected real numbers, found dtype {array.dtype}")
        array = xp.astype(array, xp.int64)  # not every library gathers others
    return array


def _check_finite(backend: Backend, name: str, array: Array) -> None:
    xp, samples = backend.xp, array.shape[0]
    step = samples
    if isinstance(array, np.memmap):
        step = max(1, CHECKED_AT_ONCE * samples // array.nbytes)
    bad: list[int] = []
    for start in range(0, samples, step):
        finite = xp.isfinite(array[start : start + step, ...])
        if not bool(xp.all(finite)):
            rows = xp.all(xp.reshape(finite, (finite.shape[0], -1)), axis=1)
            bad.extend((start + np.flatnonzero(~backend.to_numpy(rows))).tolist())
    if bad:
        raise DataError(
            f"{name}: expected finite numbers, found NaN, infinity or what is too large for "
            f"{array.dtype} in {len(bad)} of {samples} samples, first in sample {bad[0]}"
        )
