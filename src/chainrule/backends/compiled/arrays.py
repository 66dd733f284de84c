"""Symbolic arrays. Every operation on them adds a loop to the program that is being recorded."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ...errors import BackendError
from ...types import Array
from .program import Access, Buffer, Constant, Program

_LARGE = 2**12  # from this number of multiplications on, BLAS computes a matrix product


class Symbol:
    """A symbolic array: a view of a buffer. Its device is the program.

    The class has the operators of the Array API standard. `layout` is an array of bytes without
    contents. It is the same view of a buffer with one byte for each element, so that NumPy computes
    shapes, strides and offsets.
    """

    __array_ufunc__ = None  # NumPy's arrays leave operations with symbols to this class
    T = property(lambda self: self.view(self.layout.T))

    def __init__(self, program: Program, buffer: Buffer, layout: np.ndarray) -> None:
        self.device, self.buffer, self.dtype, self.layout = program, buffer, buffer.dtype, layout
        self.ndim, self.size, self.shape = layout.ndim, layout.size, layout.shape
        self.strides = layout.strides
        self.offset = layout.ctypes.data - buffer.layout.ctypes.data  # of the first element

    def view(self, layout: np.ndarray) -> Array:
        """Return another view of the same buffer."""
        return Symbol(self.device, self.buffer, layout)

    def access(self, space: tuple[int, ...]) -> Access:
        """Return the access of a loop over `space`, to which the array is broadcast."""
        return Access(self.buffer, self.offset, np.broadcast_to(self.layout, space).strides)

    def __getitem__(self, key: Any) -> Array:
        keys = key if isinstance(key, tuple) else (key,)
        if not isinstance(keys[0], Symbol):
            layout = self.layout[keys if any(k is ... for k in keys) else (*keys, ...)]
            if layout.size and not np.may_share_memory(layout, self.layout):
                raise BackendError("an index that is a list or an array cannot be compiled")
            return self.view(layout)
        keys = tuple(inside(k, n) for k, n in zip(keys, self.shape, strict=True))
        return gather(self[(0,) * self.ndim], [*zip(keys, self.strides, strict=True)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if any(isinstance(k, Symbol) for k in (key if isinstance(key, tuple) else (key,))):
            raise BackendError("a change of elements that an array selects cannot be compiled")
        record("copy", value, out=self[key])

    def __matmul__(self, other: Array) -> Array:
        return matmul(self, other)

    def __neg__(self) -> Array:
        return record("multiply", self, -1)

    def __invert__(self) -> Array:
        return record("bitwise_xor", self, (~self.dtype.type(0)).item())

    def _refuse(self, *_: Any) -> NoReturn:
        raise BackendError("the step reads a number in Python")

    __bool__ = __float__ = __int__ = __index__ = __array__ = _refuse

    def __array_namespace__(self, **_: Any) -> Any:
        return self.device.namespace

    def __dlpack_device__(self) -> tuple[int, int]:
        return 12, 0  # the type for extensions, as numbers cannot be read


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "rshift": "bitwise_right_shift", "pow": "pow",
}  # fmt: skip
_COMPARISONS = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
_COMPARISONS |= {"eq": "equal", "ne": "not_equal"}
for _short, _name in (_OPERATORS | _COMPARISONS).items():
    setattr(Symbol, f"__{_short}__", lambda a, b, f=_name: record(f, a, b))
    setattr(Symbol, f"__r{_short}__", lambda a, b, f=_name: record(f, b, a))
    setattr(Symbol, f"__i{_short}__", lambda a, b, f=_name: record(f, a, b, out=a))


def record(function: str, *given: Any, out: Array = None) -> Array:
    """Record an elementwise function. It takes symbols, NumPy arrays and numbers."""
    program = next(i.device for i in (*given, out) if isinstance(i, Symbol))
    inputs = [lift(program, i) if isinstance(i, np.ndarray | np.generic) else i for i in given]
    symbols = [i for i in inputs if isinstance(i, Symbol)]
    if any(i.device is not program for i in symbols):
        raise BackendError("an array of an earlier recording is used")
    space = np.broadcast_shapes(*(i.shape for i in symbols)) if out is None else out.shape
    conditions, values = inputs[: function == "where"], inputs[function == "where" :]
    dtype = _common(function, values) if symbols else out.dtype
    operands = [i.access(space) for i in conditions] + [_operand(i, space, dtype) for i in values]
    result = np.dtype(bool) if function in _COMPARISONS.values() else dtype
    out = symbol(program, space, result) if out is None else out
    if function != "copy" and out.dtype != result:
        raise BackendError(f"an array of {out.dtype} cannot hold the {result} of {function!r}")
    target = out.access(space)
    if any(i.buffer is out.buffer and i.access(space) != target for i in symbols):
        return record("copy", record(function, *inputs), out=out)  # do not read new elements
    program.append(function, space, tuple(operands), target)
    return out


def _common(function: str, values: Any) -> np.dtype[Any]:
    """Return the dtype in which a function computes. It is NumPy's, or has a sign."""
    common = np.result_type(*(v.dtype if isinstance(v, Symbol) else v for v in values))
    if function == "divide" and common.kind != "f":
        return np.dtype(np.float64)
    compared = common.kind in "bu" and function in _COMPARISONS.values()
    return np.dtype(np.int64) if compared else common


def _operand(x: Any, space: tuple[int, ...], dtype: np.dtype[Any]) -> Access | Constant:
    """Return an input of a loop in this dtype."""
    if not isinstance(x, Symbol):
        return Constant(x, dtype)
    return astype(x, dtype, copy=False).access(space)  # type: ignore[no-any-return]


def astype(x: Array, dtype: Any, *, copy: Any = True) -> Array:
    """Return `x` in this dtype."""
    if np.dtype(dtype).kind == "b" != x.dtype.kind:
        return record("not_equal", x, 0)
    same = x.dtype == dtype and not copy
    return x if same else record("copy", x, out=symbol(x.device, x.shape, dtype))


def symbol(program: Program, shape: Any, dtype: Any, array: Any = None) -> Array:
    """Return a new temporary array, or a symbol for an array of the training run."""
    buffer = Buffer(len(program.buffers), math.prod(shape), np.dtype(dtype), array)
    program.buffers.append(buffer)
    return Symbol(program, buffer, buffer.layout.reshape(shape))


def lift(program: Program, array: Any) -> Array:
    """Return a symbol for the memory of an array, which the program reads in every step."""
    array = np.require(array, requirements="C")
    for buffer in program.buffers:
        if buffer.array is array:
            return Symbol(program, buffer, buffer.layout.reshape(array.shape))
    return symbol(program, array.shape, array.dtype, array)


def broadcast(x: Array, shape: Any) -> Array:
    """Return a view of this shape."""
    return x.view(np.broadcast_to(x.layout, shape))


def inside(index: Array, count: int) -> Array:
    """Return an index. If it is not from 0 to `count` - 1, `expect_norm` breaks off the step."""
    if index.dtype.kind not in "iu":
        raise BackendError(f"an index of {index.dtype} cannot be compiled")
    index = astype(index, np.int64, copy=False)
    valid = (index >= 0) & (index < count)
    index.device.valid.append(reduce("bitwise_and", valid))
    return record("where", valid, index, 0)


def selected(first: Array, terms: Any) -> tuple[tuple[int, ...], Access]:
    """Return the loop and the access to elements that integer arrays select.

    From each element of the view `first`, the access moves on by ``index * stride`` for each term.
    """
    space = np.broadcast_shapes(first.shape, *(index.shape for index, _ in terms))
    moves = tuple((index.access(space), stride) for index, stride in terms)
    return space, first.access(space)._replace(gathered=moves)


def gather(first: Array, terms: Any) -> Array:
    """Return the elements that integer arrays select (see `selected`)."""
    space, source = selected(first, terms)
    out = symbol(first.device, space, first.dtype)
    out.device.append("copy", space, (source,), out.access(space))
    return out


def take(x: Array, index: Array, axis: int) -> Array:
    """Return the elements at the given places of an axis. The places are not checked."""
    first = x[(*(slice(None),) * axis, 0, *(None,) * index.ndim, ...)]
    return gather(first, [(index[(..., *(None,) * (x.ndim - axis - 1))], x.strides[axis])])


def scatter(function: str, x: Array, index: Array, values: Any) -> None:
    """Write ``values[i]`` to row ``x[index[i]]`` for every `i`, or combine both in a reduction."""
    space, out = selected(x[:1], [(index[(..., *(None,) * (x.ndim - 1))], x.strides[0])])
    source = _operand(values, space, x.dtype)
    x.device.append(function, space, (source,) if function == "copy" else (out, source), out)


def reduce(function: str, x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Reduce axes of `x`, by default all of them, with a function."""
    if function == "add" and x.dtype.kind in "biu":
        x = astype(x, np.int64, copy=False)
    largest = np.iinfo(x.dtype).max if x.dtype.kind == "i" else np.inf
    first = {"add": 0, "minimum": largest, "maximum": -largest, "bitwise_and": 1, "bitwise_or": 0}
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    out = symbol(x.device, [1 if a in axes else n for a, n in enumerate(x.shape)], x.dtype)
    out[...] = first[function]
    total = out.access(x.shape)
    x.device.append(f"reduce {function}", x.shape, (total, x.access(x.shape)), total)
    return out if keepdims else out.view(out.layout.squeeze(axes))


def _fits_blas(m: int, n: int, down: int, right: int) -> bool:
    """Return whether a matrix lies row by row or column by column in memory."""
    return (right == 1 and (down >= n or m == 1)) or (down == 1 and (right >= m or n == 1))


def matmul(a: Array, b: Array, out: Array = None) -> Array:
    """Record matrix products, one for each index of the leading axes.

    A small product, or one of several dtypes or of integers, is a loop over all products of
    elements, which are added up by a reduction.
    """
    several, (m, k), n = np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2:], b.shape[-1]
    dtypes = {x.dtype for x in (a, b, out) if x is not None}
    if m * k * n < _LARGE or len(dtypes) > 1 or a.dtype.kind != "f":
        terms = record("multiply", a[..., None], b[..., None, :, :])
        result = reduce("add", terms, axis=-2)
        return result if out is None else record("copy", result, out=out)
    out = symbol(a.device, (*several, m, n), a.dtype) if out is None else out
    a, b = (x if _fits_blas(*x.shape[-2:], *x.strides[-2:]) else record("copy", x) for x in (a, b))
    matrices = broadcast(a, (*several, m, k)), broadcast(b, (*several, k, n)), out
    for i in np.ndindex(several):
        *factors, result = (x[(*i, ...)].access(x.shape[-2:]) for x in matrices)
        out.device.append("matmul", (m, k, n), tuple(factors), result)
    return out
