"""The functions of the Array API standard that training steps use, for symbolic arrays."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...types import Array
from . import arrays
from .arrays import Symbol, astype, broadcast, gather, inside, lift, record, reduce, symbol
from .emit import INSTRUCTIONS

bool, int32, int64, float32, float64 = np.bool_, np.int32, np.int64, np.float32, np.float64
uint8, uint64, nan, newaxis = np.uint8, np.uint64, np.nan, None
isdtype, finfo, matmul, broadcast_to = np.isdtype, np.finfo, arrays.matmul, broadcast


def __getattr__(name: str) -> Any:
    """Return an elementwise or composed function, or refuse a function of another kind."""
    if name in INSTRUCTIONS or name in _COMPOSED:
        return _COMPOSED.get(name) or partial(record, name)
    raise AttributeError(f"xp.{name} cannot be compiled")


def full(shape: Any, fill: Any, *, dtype: Any = float64, device: Any) -> Array:
    out = symbol(device, (shape,) if isinstance(shape, int) else shape, dtype)
    out[...] = fill
    return out


def full_like(x: Array, fill: Any) -> Array:
    return full(x.shape, fill, dtype=x.dtype, device=x.device)


def mean(x: Array, *, axis: Any = None, keepdims: Any = False) -> Array:
    total = reduce("add", x, axis=axis, keepdims=keepdims)
    return total / (x.size / total.size)


def clip(x: Array, min: Any = None, max: Any = None) -> Array:
    x = x if min is None else record("maximum", x, min)
    return x if max is None else record("minimum", x, max)


_FILLED = {"empty": 0, "zeros": 0, "ones": 1}
_COMPOSED: dict[str, Any] = {
    "isnan": lambda x: x != x,
    "isfinite": lambda x: record("abs", x) < np.inf,
    "sign": lambda x: record("where", x > 0, 1, record("where", x < 0, -1, x)),
    "vecdot": lambda a, b: reduce("add", a * b, axis=-1),
    "count_nonzero": lambda x: reduce("add", x != 0),
    "any": lambda x, **axes: reduce("bitwise_or", x != 0, **axes),
    "all": lambda x, **axes: reduce("bitwise_and", x != 0, **axes),
    "matrix_transpose": lambda x: x.view(np.matrix_transpose(x.layout)),
    "permute_dims": lambda x, axes: x.view(x.layout.transpose(axes)),
    **{name: partial(full, fill=fill) for name, fill in _FILLED.items()},
    **{f"{name}_like": partial(full_like, fill=fill) for name, fill in _FILLED.items()},
    **{n: partial(reduce, f) for n, f in (("sum", "add"), ("max", "maximum"), ("min", "minimum"))},
}


def arange(start: int, stop: int | None = None, *, dtype: Any = int64, device: Any) -> Array:
    return record("copy", lift(device, np.arange(start, stop, dtype=dtype)))


def asarray(x: Any, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Array:
    if not isinstance(x, Symbol):
        return lift(device, np.asarray(x, dtype=dtype))
    return astype(x, x.dtype if dtype is None else dtype, copy=copy)


def reshape(x: Array, shape: Any, *, copy: Any = None) -> Array:
    try:
        return x.view(x.layout.reshape(shape, copy=False))
    except ValueError:  # the elements are not in order, or the shape does not fit
        return (x := record("copy", x)).view(x.layout.reshape(shape))


def concat(parts: Any, *, axis: int = 0) -> Array:
    shape = np.concatenate([p.layout for p in parts], axis=axis).shape
    out = symbol(parts[0].device, shape, np.result_type(*{p.dtype for p in parts}))
    ends = np.cumsum([p.shape[axis] for p in parts])
    for part, layout in zip(parts, np.split(out.layout, ends[:-1], axis), strict=True):
        out.view(layout)[...] = part
    return out


def stack(parts: Any, *, axis: int = 0) -> Array:
    return concat([p.view(np.expand_dims(p.layout, axis)) for p in parts], axis=axis)


def take(x: Array, index: Array, *, axis: int = 0) -> Array:
    axis %= x.ndim
    return arrays.take(x, inside(index, x.shape[axis]), axis)


def take_along_axis(x: Array, index: Array, *, axis: int = -1) -> Array:
    first = x.view(np.split(x.layout, [1], axis)[0])
    return gather(first, [(inside(index, x.shape[axis]), x.strides[axis])])


def argmax(x: Array, *, axis: int = -1) -> Array:
    axis, n = axis % x.ndim, x.shape[axis]
    places = arange(n, device=x.device)[(..., *(None,) * (x.ndim - axis - 1))]
    largest = (x == reduce("maximum", x, axis=axis, keepdims=True)) | (x != x)  # NaN is largest
    return reduce("minimum", record("where", largest, places, n), axis=axis)
