"""The functions of the Array API standard for symbolic arrays, as far as training steps use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...errors import BackendError
from . import arrays
from .arrays import Symbol, broadcast, gather, lift, record, reduce, symbol
from .emit import INSTRUCTIONS
from .program import Access, row_major

bool, int32, int64, float32, float64 = np.bool_, np.int32, np.int64, np.float32, np.float64
uint8, uint64, nan, inf, newaxis = np.uint8, np.uint64, math.nan, math.inf, None
isdtype, finfo, matmul, broadcast_to = np.isdtype, np.finfo, arrays.matmul, broadcast


def __getattr__(name: str) -> Any:
    """Return an elementwise function, or refuse a function that cannot be compiled."""
    if name in INSTRUCTIONS:
        return partial(record, name)
    raise (AttributeError if name[:2] == "__" else BackendError)(f"xp.{name} cannot be compiled")


def sign(x: Symbol) -> Symbol:
    return where(x > 0, 1, where(x < 0, -1, x))


def isfinite(x: Symbol) -> Symbol:
    return record("abs", x) < inf


def isnan(x: Symbol) -> Symbol:
    return x != x


def clip(x: Symbol, low: Any, high: Any) -> Symbol:
    return record("minimum", record("maximum", x, low), high)


where, maximum = partial(record, "where"), partial(record, "maximum")
logical_and, logical_or = partial(record, "bitwise_and"), partial(record, "bitwise_or")


def empty(shape: Any, *, dtype: Any = float64, device: Any) -> Symbol:
    return symbol(device, (shape,) if isinstance(shape, int) else shape, dtype)


def full(shape: Any, fill: Any, *, dtype: Any = float64, device: Any) -> Symbol:
    out = empty(shape, dtype=dtype, device=device)
    out[...] = fill
    return out


def full_like(x: Symbol, fill: Any) -> Symbol:
    return full(x.shape, fill, dtype=x.dtype, device=x.device)


zeros, ones = partial(full, fill=0), partial(full, fill=1)
zeros_like, ones_like = partial(full_like, fill=0), partial(full_like, fill=1)
empty_like = zeros_like


def arange(start: int, stop: int | None = None, *, dtype: Any = int64, device: Any) -> Symbol:
    start, stop = (0, start) if stop is None else (start, stop)
    out = symbol(device, (stop - start,), dtype)
    device.append("copy", out.shape, (Access(None, start, (1,)),), out.access(out.shape))
    return out


def asarray(x: Any, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Symbol:
    if not isinstance(x, Symbol):
        return lift(device, np.asarray(x, dtype=dtype))
    return astype(x, x.dtype if dtype is None else dtype, copy=copy)


def astype(x: Symbol, dtype: Any, *, copy: Any = True) -> Symbol:
    return record("copy", x) if copy and x.dtype == dtype else arrays.astype(x, dtype)


def reshape(x: Symbol, shape: Any, *, copy: Any = None) -> Symbol:
    shape = np.empty(x.shape, bool).reshape(shape).shape
    pairs = zip(x.shape, x.strides, row_major(x.shape), strict=True)
    x = x if np.all([n == 1 or a == b for n, a, b in pairs]) else record("copy", x)
    return x.view(shape, row_major(shape))


def permute_dims(x: Symbol, axes: Sequence[int]) -> Symbol:
    return x.view([x.shape[a] for a in axes], [x.strides[a] for a in axes])


def matrix_transpose(x: Symbol) -> Symbol:
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def concat(parts: Sequence[Symbol], *, axis: int = 0) -> Symbol:
    axis %= parts[0].ndim
    shape = np.concatenate([np.empty(p.shape, bool) for p in parts], axis=axis).shape
    out, start = symbol(parts[0].device, shape, np.result_type(*{p.dtype for p in parts})), 0
    for part in parts:
        stop = start + part.shape[axis]
        out[(*(slice(None),) * axis, slice(start, stop), ...)] = part
        start = stop
    return out


def stack(parts: Sequence[Symbol], *, axis: int = 0) -> Symbol:
    axis %= parts[0].ndim + 1
    return concat([p[(*(slice(None),) * axis, None, ...)] for p in parts], axis=axis)


def take(x: Symbol, index: Symbol, *, axis: int = 0) -> Symbol:
    axis %= x.ndim
    space = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    strides = (*x.strides[:axis], *(0,) * index.ndim, *x.strides[axis + 1 :])
    places = index[(..., *(None,) * (x.ndim - axis - 1))].access(space)
    return gather(x, space, strides, [(places, x.strides[axis])])


def take_along_axis(x: Symbol, index: Symbol, *, axis: int = -1) -> Symbol:
    axis %= x.ndim
    space = (*x.shape[:axis], index.shape[axis], *x.shape[axis + 1 :])
    strides = (*x.strides[:axis], 0, *x.strides[axis + 1 :])
    return gather(x, space, strides, [(index.access(space), x.strides[axis])])


def sum(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    return reduce("add", x, axis, keepdims, 0)


def max(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    return reduce("maximum", x, axis, keepdims, -inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)


def min(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    return reduce("minimum", x, axis, keepdims, inf if x.dtype.kind == "f" else np.iinfo(x.dtype).max)


def any(x: Symbol, *, axis: Any = None) -> Symbol:
    return reduce("bitwise_or", arrays.astype(x, bool), axis, False, 0)


def all(x: Symbol, *, axis: Any = None) -> Symbol:
    return reduce("bitwise_and", arrays.astype(x, bool), axis, False, 1)


def count_nonzero(x: Symbol, *, axis: Any = None) -> Symbol:
    return sum(arrays.astype(x != 0, int64), axis=axis)


def mean(x: Symbol, *, axis: Any = None, keepdims: Any = False) -> Symbol:
    total = sum(x, axis=axis, keepdims=keepdims)
    return total / (x.size / total.size)


def argmax(x: Symbol, *, axis: int = -1) -> Symbol:
    axis, n = axis % x.ndim, x.shape[axis]
    places = arange(n, device=x.device)[(..., *(None,) * (x.ndim - axis - 1))]
    largest = (x == max(x, axis=axis, keepdims=True)) | isnan(x)  # the first NaN counts as largest
    return reduce("minimum", where(largest, places, n), axis, False, n)


def vecdot(a: Symbol, b: Symbol) -> Symbol:
    return sum(a * b, axis=-1)
