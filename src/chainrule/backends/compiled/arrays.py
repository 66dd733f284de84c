"""Symbolic arrays. Every operation on them adds a loop to the program that is being recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from ...errors import BackendError
from .products import LARGE
from .program import Access, Buffer, Constant, Guard, Loop, Operand, Product, Program, contiguous

_ON_NO_HOST = 12, 0  # DLPack's device type for extensions: reading a number is not possible


class Symbol:
    """A symbolic array: a view of a buffer, as in NumPy. Strides count elements.

    The class has the operators of the Array API standard. An array's device is its program.
    """

    __array_ufunc__ = None  # NumPy arrays leave operations with symbols to this class

    def __init__(
        self,
        program: Program,
        buffer: Buffer,
        shape: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
        offset: int = 0,
    ) -> None:
        self.device = program
        self.buffer = buffer
        self.shape = shape
        self.strides = contiguous(shape) if strides is None else strides
        self.offset = offset
        self.dtype = buffer.dtype

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    T = property(lambda self: self.view(self.shape[::-1], self.strides[::-1]))

    def view(
        self, shape: Sequence[int], strides: Sequence[int], offset: int | None = None
    ) -> Symbol:
        """Return another view of the same buffer."""
        offset = self.offset if offset is None else offset
        return Symbol(self.device, self.buffer, tuple(shape), tuple(strides), offset)

    def access(self, space: tuple[int, ...]) -> Access:
        """Return the access of a loop over `space`, to which the array is broadcast."""
        strides = broadcast(self, space).strides
        return Access(self.buffer, self.offset, strides)

    def is_contiguous(self) -> bool:
        """Return whether the elements are in row-major order, without gaps."""
        pairs = zip(self.shape, self.strides, contiguous(self.shape), strict=True)
        return all(n == 1 or a == b for n, a, b in pairs)

    def __getitem__(self, key: Any) -> Symbol:
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(isinstance(k, Symbol) for k in keys):
            return self._at(keys)
        if ... not in keys:
            keys.append(...)
        gap = keys.index(...)
        missing = self.ndim - sum(k is not None for k in keys) + 1
        keys[gap : gap + 1] = [slice(None)] * missing
        shape, strides, offset, axis = list[int](), list[int](), self.offset, 0
        for k in keys:
            if k is None:
                shape, strides = [*shape, 1], [*strides, 0]
                continue
            n, stride, axis = self.shape[axis], self.strides[axis], axis + 1
            if isinstance(k, slice):
                part = range(n)[k]
                offset += part.start * stride if len(part) else 0
                shape, strides = [*shape, len(part)], [*strides, part.step * stride]
            else:
                offset += range(n)[k] * stride
        return self.view(shape, strides, offset)

    def _at(self, keys: list[Any]) -> Symbol:
        """Return ``self[i, j, ...]`` for one array of integers for each axis."""
        if len(keys) != self.ndim or not all(isinstance(k, Symbol) for k in keys):
            raise BackendError("expected one integer array for each axis as an index")
        space = np.broadcast_shapes(*(k.shape for k in keys))
        index = [(k.access(space), s) for k, s in zip(keys, self.strides, strict=True)]
        return gather(self, space, (0,) * len(space), index)

    def __setitem__(self, key: Any, value: Any) -> None:
        record("copy", (value,), out=self[key])

    def __iter__(self) -> Any:
        return (self[i, ...] for i in range(self.shape[0]))

    def __len__(self) -> int:
        return self.shape[0]

    def __matmul__(self, other: Symbol) -> Symbol:
        return product(self, other)

    def _refuse(self, *_: Any) -> NoReturn:
        raise BackendError("the step reads a number in Python")

    __bool__ = __float__ = __int__ = __index__ = _refuse
    __array__ = _refuse

    def __array_namespace__(self, **_: Any) -> Any:
        from . import namespace

        return namespace

    def __dlpack_device__(self) -> tuple[int, int]:
        return _ON_NO_HOST

    __hash__ = object.__hash__


def _operators() -> None:
    """Add the operators. Those with ``=`` write to the array itself."""
    names = {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "pow",
        "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
        "rshift": "bitwise_right_shift",
    }  # fmt: skip
    for short, name in names.items():
        setattr(Symbol, f"__{short}__", lambda a, b, f=name: record(f, (a, b)))
        setattr(Symbol, f"__r{short}__", lambda a, b, f=name: record(f, (b, a)))
        setattr(Symbol, f"__i{short}__", lambda a, b, f=name: record(f, (a, b), out=a))
    comparisons = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
    for short, name in (comparisons | {"eq": "equal", "ne": "not_equal"}).items():
        setattr(Symbol, f"__{short}__", lambda a, b, f=name: record(f, (a, b)))
    Symbol.__neg__ = lambda a: record("multiply", (a, -1))  # type: ignore[attr-defined]
    Symbol.__invert__ = lambda a: record("bitwise_xor", (a, -1))  # type: ignore[attr-defined]


_operators()

_TO_BOOL = {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"}


def record(function: str, inputs: Sequence[Any], *, out: Symbol | None = None) -> Symbol:
    """Record an elementwise function. The inputs are symbols, NumPy arrays or numbers."""
    program = next(i.device for i in (*inputs, out) if isinstance(i, Symbol))
    inputs = [lift(program, i) if isinstance(i, np.ndarray | np.generic) else i for i in inputs]
    symbols = [i for i in inputs if isinstance(i, Symbol)]
    if any(i.device is not program for i in symbols):
        raise BackendError("an array of an earlier recording is used")
    space = np.broadcast_shapes(*(i.shape for i in symbols)) if out is None else out.shape
    conditions, values = (inputs[:1], inputs[1:]) if function == "where" else ([], inputs)
    dtype = _common(function, values, out)
    operands = [i.access(space) for i in conditions]
    operands += [_operand(i, space, dtype) for i in values]
    result = np.dtype(bool) if function in _TO_BOOL else dtype
    if out is None:
        out = symbol(program, space, result)
    elif function != "copy" and out.dtype != result:
        raise BackendError(f"an array of {out.dtype} cannot hold the {result} of {function!r}")
    target = out.access(space)
    if any(i.buffer is out.buffer and i.access(space) != target for i in symbols):
        record("copy", (record(function, inputs),), out=out)  # the loop must not read its results
    else:
        program.append(Loop(function, space, tuple(operands), target))
    return out


def _common(function: str, values: Sequence[Any], out: Symbol | None) -> np.dtype[Any]:
    """Return the dtype in which a function computes."""
    dtypes = {v.dtype for v in values if isinstance(v, Symbol)}
    if not dtypes:
        return np.dtype(float) if out is None else out.dtype
    common: np.dtype[Any] = np.result_type(*dtypes)
    floats = function == "divide" or any(isinstance(v, float) for v in values)
    return np.dtype(float) if floats and common.kind != "f" else common


def _operand(x: Any, space: tuple[int, ...], dtype: np.dtype[Any]) -> Operand:
    """Return an input of a loop in this dtype."""
    if not isinstance(x, Symbol):
        return Constant(x, dtype)
    return astype(x, dtype).access(space)


def astype(x: Symbol, dtype: Any) -> Symbol:
    """Return `x` in this dtype, without a copy if it has this dtype."""
    return x if x.dtype == dtype else record("copy", (x,), out=symbol(x.device, x.shape, dtype))


def symbol(program: Program, shape: Sequence[int], dtype: Any) -> Symbol:
    """Return a new temporary array."""
    shape = tuple(map(int, shape))
    return Symbol(program, program.temporary(math.prod(shape), dtype), shape)


def lift(program: Program, array: np.ndarray | np.generic) -> Symbol:
    """Return a symbol for the memory of an array. The program reads the memory in every step."""
    array = np.asarray(array)
    array = array if array.flags.c_contiguous else np.ascontiguousarray(array)
    found = (b for b in program.buffers if b.array is array)
    buffer = next(found, None) or program.temporary(array.size, array.dtype)
    buffer.array = array
    return Symbol(program, buffer, array.shape)


def broadcast(x: Symbol, shape: Sequence[int]) -> Symbol:
    """Return a view of this shape."""
    shape, more = tuple(shape), len(shape) - x.ndim
    if more < 0 or any(n not in (1, m) for n, m in zip(x.shape, shape[more:], strict=True)):
        raise ValueError(f"an array of shape {x.shape} does not fit {shape}")
    strides = [0 if n == 1 else s for n, s in zip(x.shape, x.strides, strict=True)]
    return x.view(shape, [0] * more + strides)


def gather(
    x: Symbol, space: tuple[int, ...], strides: Sequence[int], index: Sequence[tuple[Access, int]]
) -> Symbol:
    """Return the elements of `x` at places that depend on integer arrays."""
    out = symbol(x.device, space, x.dtype)
    source = Access(x.buffer, x.offset, tuple(strides), tuple(index))
    x.device.append(Loop("copy", space, (source,), out.access(space)))
    return out


def scatter(function: str, x: Symbol, index: Symbol, values: Any) -> None:
    """Write ``values[i]`` to row ``x[index[i]]`` for every `i`, or combine both in a reduction."""
    space = (*index.shape, *x.shape[1:])
    rows = Access(index.buffer, index.offset, index.strides + (0,) * (x.ndim - 1))
    out = Access(x.buffer, x.offset, (0, *x.strides[1:]), ((rows, x.strides[0]),))
    source = _operand(values, space, x.dtype)
    inputs = (source,) if function == "copy" else (out, source)
    x.device.append(Loop(function, space, inputs, out))


def reduce(function: str, x: Symbol, axis: Any, keepdims: bool, first: float) -> Symbol:
    """Reduce axes of `x` with a function, starting with the number `first`."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = {a % x.ndim for a in axes}
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    out = symbol(x.device, kept, x.dtype)
    out[...] = first
    where = out.access(x.shape)
    x.device.append(Loop(f"reduce {function}", x.shape, (where, x.access(x.shape)), where))
    if keepdims:
        return out
    remaining = [a for a in range(x.ndim) if a not in axes]
    return out.view([out.shape[a] for a in remaining], [out.strides[a] for a in remaining])


def product(a: Symbol, b: Symbol, out: Symbol | None = None) -> Symbol:
    """Record matrix products, one for each index of the leading axes."""
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matrices of shapes {a.shape} and {b.shape} do not fit")
    several = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    out = symbol(a.device, (*several, m, n), a.dtype) if out is None else out
    a, b = broadcast(a, (*several, m, k)), broadcast(b, (*several, k, n))
    if m * k * n < LARGE and b.strides[-1] != 1:
        b = record("copy", (b,))
    a, b = (x if 1 in x.strides[-2:] else record("copy", (x,)) for x in (a, b))
    for i in np.ndindex(several):
        parts = [x[(*i, ...)] for x in (a, b, out)]
        accesses = (Access(x.buffer, x.offset, x.strides) for x in parts)
        out.device.append(Product((m, k, n), *accesses))
    return out


def guard(condition: Symbol) -> None:
    """Break off a step unless `condition`, a boolean with one element, is true."""
    condition.device.append(Guard(Access(condition.buffer, condition.offset, ())))
