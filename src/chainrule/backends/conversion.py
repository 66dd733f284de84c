"""Data of any kind as arrays: `to_numpy` in host memory, `like` where another array lies."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import array_api_compat
import numpy as np

from ..errors import DataError
from ..types import Array

_HOST = 1  # kDLCPU
_NUMBERS = "biuf"  # the kinds of NumPy's dtypes that hold real numbers


def to_numpy(x: Any) -> np.ndarray:
    """`x` (a list, a frame, an array of any library) as a NumPy array of real numbers.

    Raises
    ------
    DataError
        If it does not hold real numbers.
    """
    if type(x) is np.ndarray and x.dtype.kind in _NUMBERS:
        return x
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise DataError("expected an array without masked elements: fill them first")
    array: np.ndarray = _converted(_in_host_memory, x)
    found = ""
    if array.dtype == object:
        others = ((i, v) for i, v in enumerate(array.flat) if not isinstance(v, Real))
        i, other = next(others, (-1, None))
        if i < 0:
            array = np.asarray(array.tolist())
        else:
            found = f" with {other!r:.40}"
            if array.ndim == 2 and hasattr(x, "columns"):
                found += f" in column {list(x.columns)[i % array.shape[1]]!r}"
    if array.dtype.kind not in _NUMBERS:
        raise DataError(f"expected an array of real numbers, found dtype {array.dtype}{found}")
    return array


def like(array: Array, x: Any) -> Array:
    """`x` (a list, a frame, an array of any library) as an array like `array`, where that lies.

    Raises
    ------
    DataError
        If it does not hold real numbers.
    """
    if type(x) is type(array):
        return to_numpy(x) if type(x) is np.ndarray else x  # words are NumPy's own, too
    xp = array_api_compat.array_namespace(array)
    return xp.asarray(brought_to(xp, array.device, x), device=array.device)


def brought_to(xp: Any, device: Any, x: Any) -> Array:
    """`x` as what the library's own `asarray` takes: an array of its own, or one of NumPy's."""
    there = _kind_of_device(xp.empty(0, device=device))
    if there != _HOST and _kind_of_device(x) == there:
        array = _converted(xp.from_dlpack, x)
        if not xp.isdtype(array.dtype, ("bool", "integral", "real floating")):
            raise DataError(f"expected an array of real numbers, found dtype {array.dtype}")
        return array
    array = to_numpy(x)
    if array.dtype == np.float16 and not hasattr(xp, "float16"):
        array = array.astype(np.float32)
    if there == _HOST and not array.flags.writeable:
        array = array.copy()  # a library that shares the memory may not know that (PyTorch)
    return array


def on_host(x: Array) -> bool:
    """Whether `x` lies in host memory, where reading a number costs no synchronisation."""
    return _kind_of_device(x) == _HOST


def _kind_of_device(x: Any) -> int:
    """Its number in DLPack; what is no array is in host memory."""
    return int(x.__dlpack_device__()[0]) if hasattr(x, "__dlpack_device__") else _HOST


def _converted(convert: Callable[[Any], Array], x: Any) -> Array:
    """`x` converted without what no other library takes: PyTorch's autograd, bfloat16."""
    try:
        if hasattr(x, "detach"):
            x = x.detach()
        if str(getattr(x, "dtype", "")).endswith("bfloat16"):
            xp = array_api_compat.array_namespace(x)
            x = xp.astype(x, xp.float32)
        return convert(x)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        found = type(x).__name__
        raise DataError(f"expected an array of numbers, found {found}: {error}") from error


def _in_host_memory(x: Any) -> np.ndarray:
    """`x` as a NumPy array of whatever it holds."""
    try:
        array = np.asarray(x)
    except (TypeError, RuntimeError):  # from a device, where copying to the host must be asked for
        if not hasattr(x, "__dlpack__"):
            raise
        return np.from_dlpack(x) if on_host(x) else np.from_dlpack(x, device="cpu")
    if array.dtype == object and array.ndim == 2 and hasattr(x, "items"):
        # A frame whose columns are of several kinds, each of which may be one of numbers.
        array = np.stack([np.asarray(column) for _, column in x.items()], axis=1)
    return array
