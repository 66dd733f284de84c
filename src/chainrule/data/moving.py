"""Move data to the device and check it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends import Backend, get_backend
from ..backends.conversion import to_numpy
from ..errors import DataError, blaming, shown
from ..forms import ONE_OR_SEVERAL, each, each_named, list_hint, named, same_length, several
from ..types import Array, Arrays

CHECKED_AT_ONCE = 2**24  # the number of bytes to read from a file at a time


def to_device(backend: Backend, x: Arrays) -> Arrays:
    """Move arrays, or parts of files on disk, to the device."""
    return each(lambda array: _to_device(backend, array), x)


def rows_at_once(array: Array) -> int:
    """Return how many rows to check at a time: all rows, or about 16 MB if they are in a file."""
    rows: int = array.shape[0]
    return max(1, CHECKED_AT_ONCE * rows // array.nbytes) if isinstance(array, np.memmap) else rows


def _to_device(backend: Backend, array: Array) -> Array:
    if isinstance(array, backend.array_type) and not isinstance(array, np.memmap):
        return array
    return of_few_dtypes(backend.xp, backend.asarray(np.array(array)))


def of_few_dtypes(xp: Any, array: Array) -> Array:
    """Convert integers other than uint8 to int64, because some libraries lack other integer types.

    If an integer is too large for int64, the array becomes float64.
    """
    if array.dtype in (xp.uint8, xp.int64) or not xp.isdtype(array.dtype, "integral"):
        return array
    signed = xp.astype(array, xp.int64)
    if array.dtype == xp.uint64 and bool(xp.any(signed < 0)):
        return xp.astype(array, xp.float64)
    return signed


def move(backend: Backend, data: dict[str, Any], dtype: str | None) -> tuple[Arrays, ...]:
    """Move data to the device, and check that all numbers are finite and all lengths are equal.

    Each entry of `data` is one array, or several arrays in a tuple or a dict. The data of a
    `numpy.memmap` is checked, but stays on disk.
    """
    if not data:
        raise TypeError("expected at least one array")
    moved, lengths = list[Arrays](), dict[str, int]()
    for name, given in data.items():
        if name.endswith("sample_weight") and several(given):
            raise DataError(f"{name}: expected one array, found {shown(given)}: {ONE_OR_SEVERAL}")
        moved.append(each_named(lambda key, array: _moved(backend, key, array, dtype), name, given))
        lengths |= {key: array.shape[0] for key, array in named(name, moved[-1]).items()}
    same_length(lengths, list_hint(*data.values()))
    return tuple(moved)


def _moved(backend: Backend, name: str, data: Any, dtype: str | None) -> Array:
    on_disk = isinstance(data, np.memmap)
    if several(data):
        raise DataError(f"{name}: expected one array, found {shown(data)}: {ONE_OR_SEVERAL}")
    with blaming(name):
        array = data if on_disk else backend.asarray(data)
        if on_disk:
            to_numpy(np.empty(0, data.dtype))  # raises an error for a dtype such as text
    if array.ndim == 0 or 0 in array.shape:
        found, hint = tuple(array.shape), "" if array.ndim else f": {ONE_OR_SEVERAL}"
        raise DataError(f"{name}: expected samples, found an array of shape {found}{hint}")
    if on_disk:
        _check_finite(get_backend("numpy"), name, data)
        return data
    array = of_few_dtypes(backend.xp, array)
    if backend.xp.isdtype(array.dtype, "real floating"):
        if dtype is not None and array.dtype != getattr(backend.xp, "float16", None):
            array = backend.asarray(array, dtype=backend.dtype(dtype))
        _check_finite(backend, name, array)
    return array


def _check_finite(backend: Backend, name: str, array: Array) -> None:
    xp, samples = backend.xp, array.shape[0]
    step = rows_at_once(array)
    bad: list[int] = []
    for start in range(0, samples, step):
        finite = xp.isfinite(array[start : start + step, ...])
        if not bool(xp.all(finite)):
            rows = xp.all(xp.reshape(finite, (finite.shape[0], -1)), axis=1)
            bad.extend((start + np.flatnonzero(~backend.to_numpy(rows))).tolist())
    if bad:
        raise DataError(
            f"{name}: expected finite numbers, found NaN, infinity or numbers too large for "
            f"{array.dtype} in {len(bad)} of {samples} samples, first in sample {bad[0]}"
        )
