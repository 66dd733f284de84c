"""The functions of the Array API standard for symbolic arrays, as far as training steps use them.

A function that is missing here, such as `sort`, cannot be part of a compiled step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...errors import BackendError
from .arrays import Symbol, broadcast, gather, lift, product, record, reduce, symbol
from .arrays import astype as converted
from .program import Access, Loop, contiguous

# ruff: noqa: A001  (`sum`, `min` and other names of the standard)

bool, int32, int64, float32, float64 = np.bool_, np.int32, np.int64, np.float32, np.float64
uint8, int8, int16 = np.uint8, np.int8, np.int16
nan, inf, pi, e, newaxis = math.nan, math.inf, math.pi, math.e, None
isdtype, finfo, iinfo, result_type = np.isdtype, np.finfo, np.iinfo, np.result_type
matmul = product


def __getattr__(name: str) -> Any:
    """Refuse a function that is not part of this namespace."""
    if name.startswith("__"):
        raise AttributeError(name)
    raise BackendError(f"the step uses xp.{name}, which cannot be compiled")


def _elementwise(name: str) -> Any:
    return lambda *inputs: record(name, inputs)


exp, log, log1p, expm1, tanh, sqrt, abs, floor, maximum, minimum, where = map(
    _elementwise,
    "exp log log1p expm1 tanh sqrt abs floor maximum minimum where".split(),
)
logical_and, logical_or, equal, less = map(
    _elementwise, ["bitwise_and", "bitwise_or", "equal", "less"]
)


def sign(x: Symbol) -> Symbol:
    return where(x > 0, 1, where(x < 0, -1, x))


def isfinite(x: Symbol) -> Symbol:
    return abs(x) < inf


def isnan(x: Symbol) -> Symbol:
    return x != x


def square(x: Symbol) -> Symbol:
    return x * x


def clip(x: Symbol, min: Any = None, max: Any = None) -> Symbol:
    x = x if min is None else maximum(x, min)
    return x if max is None else minimum(x, max)


# New arrays. A device is a program.


def full(shape: Any, fill: Any, *, dtype: Any = None, device: Any) -> Symbol:
    shape = (shape,) if isinstance(shape, int) else shape
    out = symbol(device, shape, type(fill) if dtype is None else dtype)
    out[...] = fill
    return out


def empty(shape: Any, *, dtype: Any = float64, device: Any) -> Symbol:
    return symbol(device, (shape,) if isinstance(shape, int) else shape, dtype)


def zeros(shape: Any, *, dtype: Any = float64, device: Any) -> Symbol:
    return full(shape, 0, dtype=dtype, device=device)


def ones(shape: Any, *, dtype: Any = float64, device: Any) -> Symbol:
    return full(shape, 1, dtype=dtype, device=device)


def full_like(x: Symbol, fill: Any, *, dtype: Any = None) -> Symbol:
    return full(x.shape, fill, dtype=dtype or x.dtype, device=x.device)


def empty_like(x: Symbol) -> Symbol:
    return symbol(x.device, x.shape, x.dtype)


zeros_like, ones_like = partial(full_like, fill=0), partial(full_like, fill=1)


def arange(
    start: int, stop: int | None = None, step: int = 1, *, dtype: Any = int64, device: Any
) -> Symbol:
    start, stop = (0, start) if stop is None else (start, stop)
    out = symbol(device, (len(range(start, stop, step)),), dtype)
    device.append(Loop("copy", out.shape, (Access(None, start, (step,)),), out.access(out.shape)))
    return out


def asarray(x: Any, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Symbol:
    if isinstance(x, Symbol):
        x = x if dtype is None else converted(x, dtype)
        return record("copy", (x,)) if copy else x
    return lift(device, np.asarray(x, dtype=dtype))


def astype(x: Symbol, dtype: Any, *, copy: Any = True, device: Any = None) -> Symbol:
    return record("copy", (x,)) if copy and x.dtype == dtype else converted(x, dtype)


# Views.


def reshape(x: Symbol, shape: Any, *, copy: Any = None) -> Symbol:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if -1 in shape:
        rest = x.size // math.prod(n for n in shape if n != -1)
        shape = tuple(rest if n == -1 else n for n in shape)
    if math.prod(shape) != x.size:
        raise ValueError(f"an array of shape {x.shape} cannot be reshaped to {shape}")
    if not x.is_contiguous():
        x = record("copy", (x,))
    return x.view(shape, contiguous(shape))


def permute_dims(x: Symbol, axes: Sequence[int]) -> Symbol:
    return x.view([x.shape[a] for a in axes], [x.strides[a] for a in axes])


def matrix_transpose(x: Symbol) -> Symbol:
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


broadcast_to = broadcast


def concat(arrays: Sequence[Symbol], *, axis: int = 0) -> Symbol:
    one, axis = arrays[0], axis % arrays[0].ndim
    length = len([i for a in arrays for i in range(a.shape[axis])])
    dtype = np.result_type(*{a.dtype for a in arrays})
    out = symbol(one.device, (*one.shape[:axis], length, *one.shape[axis + 1 :]), dtype)
    start = 0
    for a in arrays:
        stop = start + a.shape[axis]
        out[(*(slice(None),) * axis, slice(start, stop), ...)] = a
        start = stop
    return out


def stack(arrays: Sequence[Symbol], *, axis: int = 0) -> Symbol:
    axis %= arrays[0].ndim + 1
    return concat([a[(*(slice(None),) * axis, None, ...)] for a in arrays], axis=axis)


def take(x: Symbol, index: Symbol, *, axis: int = 0) -> Symbol:
    axis, before = axis % x.ndim, x.strides[: axis % x.ndim]
    space = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    strides = (*before, *(0,) * index.ndim, *x.strides[axis + 1 :])
    inner = reshape(index, (*index.shape, *(1,) * (x.ndim - axis - 1)))
    return gather(x, space, strides, [(inner.access(space), x.strides[axis])])


def take_along_axis(x: Symbol, index: Symbol, *, axis: int = -1) -> Symbol:
    axis %= x.ndim
    space = tuple(n if a == axis else m for a, (n, m) in enumerate(zip(index.shape, x.shape)))
    strides = tuple(0 if a == axis else s for a, s in enumerate(x.strides))
    return gather(x, space, strides, [(index.access(space), x.strides[axis])])


# Reductions.


def sum(x: Symbol, *, axis: Any = None, keepdims: Any = False, dtype: Any = None) -> Symbol:
    return reduce("add", x if dtype is None else converted(x, dtype), axis, keepdims, 0)


def max(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    return reduce("maximum", x, axis, keepdims, -inf if x.dtype.kind == "f" else iinfo(x.dtype).min)


def min(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    return reduce("minimum", x, axis, keepdims, inf if x.dtype.kind == "f" else iinfo(x.dtype).max)


def any(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    return reduce("bitwise_or", converted(x, bool), axis, keepdims, False)


def all(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    return reduce("bitwise_and", converted(x, bool), axis, keepdims, True)


def count_nonzero(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    return sum(converted(converted(x, bool), int64), axis=axis, keepdims=keepdims)


def mean(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    total = sum(x, axis=axis, keepdims=keepdims)
    return total / (x.size / total.size)


def argmax(x: Symbol, *, axis: int = -1, keepdims: Any = False) -> Symbol:
    axis, n = axis % x.ndim, x.shape[axis]
    places = reshape(arange(n, device=x.device), (n, *(1,) * (x.ndim - axis - 1)))
    largest = (x == max(x, axis=axis, keepdims=True)) | isnan(x)  # the first NaN counts as largest
    return min(where(largest, places, n), axis=axis, keepdims=keepdims)


def vecdot(a: Symbol, b: Symbol, *, axis: int = -1) -> Symbol:
    return sum(a * b, axis=axis)

