"""Convert data to a NumPy array (`to_numpy`), or to an array like another one (`like`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import array_api_compat
import numpy as np

from ..errors import DataError
from ..forms import list_hint
from ..types import Array

_HOST = 1  # kDLCPU, DLPack's number for host memory
_NUMBERS = "biuf"  # the kinds of NumPy's dtypes that hold real numbers
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_CODES = frozenset(np.dtype(k).char for k in ("bool", *_INTEGERS, "float16", "float32", "float64"))
_PYTHONS = frozenset({bool, int, float})


def to_numpy(x: Any) -> np.ndarray:
    """Return `x` (a list, a data frame or any array) as a NumPy array of real numbers.

    The dtype of the result is float16 or a real dtype of the Array API standard, in the machine's
    byte order. Other dtypes are converted to the nearest of these dtypes. The result may share
    memory with `x`.

    Raises
    ------
    DataError
        If `x` does not hold real numbers.
    """
    if type(x) is np.ndarray and x.dtype.char in _CODES and x.dtype.isnative:
        return x
    array: np.ndarray = _converted(_in_host_memory, x)
    if array.dtype.kind not in _NUMBERS:
        raise DataError(f"expected an array of real numbers, found dtype {array.dtype}")
    kind = min(array.dtype.itemsize, 8)  # at most 8, so that long double becomes float64
    with np.errstate(over="ignore"):
        return np.asarray(array, np.dtype(f"{array.dtype.kind}{kind}"))


def like(array: Array, x: Any) -> Array:
    """Return `x` (a list, a data frame or any array) as an array like `array`.

    The result is an array of the same library, on the same device as `array`.

    Raises
    ------
    DataError
        If `x` does not hold real numbers.
    """
    if type(x) is type(array) is np.ndarray:
        return to_numpy(x)  # raises an error for an array of strings
    xp = array_api_compat.array_namespace(array)
    if type(x) is type(array):
        return real(xp, x.detach() if hasattr(x, "detach") else x)
    device = array_api_compat.device(array)
    return xp.asarray(brought_to(xp, device, x), device=device)


def brought_to(xp: Any, device: Any, x: Any) -> Array:
    """Return `x` as an array that the library's `asarray` accepts."""
    there = _kind_of_device(xp.empty(0, device=device))
    if there != _HOST and _kind_of_device(x) == there:
        return real(xp, _converted(xp.from_dlpack, x))
    array = to_numpy(x)
    if array.dtype == np.float16 and not hasattr(xp, "float16"):
        array = array.astype(np.float32)
    if there == _HOST:  # PyTorch shares the memory and requires this layout
        array = np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"])
    return array


def real(xp: Any, array: Array) -> Array:
    """Return `array` if its dtype holds real numbers; otherwise raise a `DataError`."""
    if not xp.isdtype(array.dtype, ("bool", "integral", "real floating")):
        raise DataError(f"expected an array of real numbers, found dtype {array.dtype}")
    return array


def on_host(x: Array) -> bool:
    """Return whether `x` is in host memory, where reading a number does not wait for a device."""
    return isinstance(x, np.ndarray) or _kind_of_device(x) == _HOST


def _kind_of_device(x: Any) -> int:
    """Return the DLPack device type of an array, or `_HOST` for anything else."""
    return int(x.__dlpack_device__()[0]) if hasattr(x, "__dlpack_device__") else _HOST


def _converted(convert: Callable[[Any], Array], x: Any) -> Array:
    """Convert `x`, after removing autograd, lazy negation and dtypes such as bfloat16."""
    try:
        for resolved in ("detach", "resolve_neg"):  # DLPack ignores lazy negation
            x = getattr(x, resolved)() if hasattr(x, resolved) else x
        if str(getattr(x, "dtype", "")).removeprefix("torch.").startswith(("bfloat16", "float8")):
            xp = array_api_compat.array_namespace(x)
            x = xp.astype(x, xp.float32)
        return convert(x)
    except DataError:  # already raised for an item or a column
        raise
    except (TypeError, ValueError, RuntimeError, BufferError, OverflowError) as error:
        found, hint = type(x).__name__, list_hint(x) or _padding_hint(x)
        raise DataError(f"expected an array of numbers, found {found}: {error}{hint}") from error


def _padding_hint(x: Any) -> str:
    """Return a hint for an error message about a list of lists of unequal length."""
    lists = isinstance(x, list) and all(isinstance(item, list | np.ndarray) for item in x)
    if not lists or len({len(item) for item in x}) == 1:
        return ""
    return ": pad sequences of unequal length to form one array, and pass them as (x, lengths)"


def _in_host_memory(x: Any) -> np.ndarray:
    """Return `x` as a NumPy array of any dtype."""
    if hasattr(x, "compute"):  # a Dask array; Dask's own conversion to NumPy loses masks
        x = x.compute()
    if isinstance(x, list | tuple) and not _are_numbers(x):
        x = [to_numpy(item) for item in x]  # NumPy would lose the masks of arrays in a list
    if hasattr(x, "iter_columns"):  # Polars, whose own conversion turns dates into numbers
        return _side_by_side(zip(x.columns, x.iter_columns(), strict=True))
    if hasattr(x, "itercolumns"):  # a PyArrow table
        return _side_by_side(zip(x.column_names, x.itercolumns(), strict=True))
    try:
        array = np.asanyarray(x)
    except (TypeError, RuntimeError):  # `x` is on a device that requires an explicit copy
        if not hasattr(x, "__dlpack__"):
            raise
        array = np.from_dlpack(x) if on_host(x) else np.from_dlpack(x, device="cpu")
    if np.ma.is_masked(array):
        raise DataError("expected an array without masked elements (fill them first)")
    if array.dtype.kind in "US" and not isinstance(x, np.ndarray):
        array = array.astype(object)  # so that the error shows one of the strings
    if array.dtype != object:
        return np.asarray(array)
    if array.ndim == 2 and hasattr(x, "items"):
        return _side_by_side(x.items())
    return _of_objects(np.asarray(array))


def _are_numbers(items: Iterable[Any]) -> bool:
    kinds = (*_PYTHONS, np.bool_, np.number)
    return all(
        issubclass(kind, kinds) and kind is not np.timedelta64  # a subclass of np.integer
        for kind in set(map(type, items))
    )


def _side_by_side(columns: Iterable[tuple[Any, Any]]) -> np.ndarray:
    """Stack the columns of a data frame into an array. The columns' dtypes may differ."""
    arrays = []
    for name, column in columns:
        try:
            arrays.append(to_numpy(column))
        except DataError as error:
            raise DataError(f"{error} in column {name!r}") from None
    return np.stack(arrays, axis=1)


def _of_objects(array: np.ndarray) -> np.ndarray:
    """Convert an array of dtype object, whose elements may be Python numbers or arrays."""
    items = array.tolist()
    if _PYTHONS.issuperset(map(type, array.flat)):
        numbers = np.asarray(items)
        return numbers.astype(np.float64) if numbers.dtype == object else numbers  # huge integers
    if array.ndim > 0:
        return to_numpy(items)
    if isinstance(items, Real | Decimal):
        return np.asarray(float(items))
    raise DataError(f"expected an array of real numbers, found dtype object with {items!r:.40}")
