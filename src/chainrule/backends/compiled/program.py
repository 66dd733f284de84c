"""The recorded program: a list of loops over arrays of known shape and dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...errors import BackendError

NO_LOOPS = {"matmul", "expect"}
_WITHOUT_SIGN = {"copy", "where", "bitwise_and", "bitwise_or", "bitwise_xor", "expect"}
"""Functions that LLVM computes in the same way for integers with and without a sign."""

_LIMIT = 5000  # a longer program takes too long to compile
_COSTS = {"matmul": 0.03, **dict.fromkeys(("exp", "log", "tanh", "expm1", "log1p", "pow"), 10.0)}


@dataclass(eq=False)
class Buffer:
    """A piece of memory. `array` is an array of the training run, or None for a temporary array."""

    number: int
    size: int
    dtype: np.dtype[Any]
    array: Any = None

    def __post_init__(self) -> None:
        self.layout = np.empty(self.size, np.int8)  # never read (see `Symbol`)


class Access(NamedTuple):
    """The element that a loop reads or writes in iteration ``i``, ``buffer[offset + i . strides]``.

    The `gathered` terms ``element * stride`` are added to the place. Each of these elements is an
    access to integers.
    """

    buffer: Buffer
    offset: int
    strides: tuple[int, ...]
    gathered: tuple[tuple[Access, int], ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the element."""
        return self.buffer.dtype

    def __str__(self) -> str:
        terms = [f"{s}{'ijklmnopqrstuvwxyz'[i]}" for i, s in enumerate(self.strides) if s]
        terms += [f"{s} * {access}" for access, s in self.gathered]
        place = " + ".join([str(self.offset)] * (self.offset > 0 or not terms) + terms)
        return f"{'t' if self.buffer.array is None else 'm'}{self.buffer.number}[{place}]"


class Constant(NamedTuple):
    """A number of a dtype."""

    value: float
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return str(self.value)


class Operation(NamedTuple):
    """A loop nest, ``out = function(*inputs)`` for each index of `space`.

    The functions have the names of the Array API standard. With the prefix ``reduce``, the loop
    writes several times to the same element of `out`, which is also its first input. Two operations
    are no loops: ``matmul`` multiplies matrices, where `space` is (rows, inner size, columns), and
    ``expect`` breaks off the step unless its input, which is also `out`, is true.
    """

    function: str
    space: tuple[int, ...]
    inputs: tuple[Any, ...]
    out: Access

    @property
    def reads(self) -> list[Access]:
        """All elements that the operation reads."""
        direct = [i for i in self.inputs if isinstance(i, Access)]
        return direct + [a for access in (*direct, self.out) for a, _ in access.gathered]

    def __str__(self) -> str:
        inputs = ", ".join(map(str, self.inputs))
        return f"{self.out} = {self.function}({inputs})  [{' x '.join(map(str, self.space)) or 1}]"


@dataclass
class Program:
    """The operations of one step, in order. `namespace` holds the functions of its arrays."""

    namespace: Any
    buffers: list[Buffer] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    valid: list[Any] = field(default_factory=list)  # whether each index so far is in its range

    def append(self, *operation: Any) -> None:
        """Add an operation, unless its arrays are empty."""
        added = Operation(*operation)
        function, dtype = added.function.removeprefix("reduce "), added.inputs[-1].dtype
        if dtype.kind in "bu" and function not in _WITHOUT_SIGN:
            raise BackendError(f"{function!r} of {dtype} cannot be compiled")
        if len(self.operations) == _LIMIT:
            raise BackendError(f"a step has more than {_LIMIT} operations")
        if 0 not in added.space:
            self.operations.append(added)

    @cached_property
    def text(self) -> str:
        """The whole recorded program. Programs with equal texts differ only in their arrays."""
        buffers = [f"{buffer.dtype} x {buffer.size}" for buffer in self.buffers]
        return "\n".join([*buffers, *map(str, self.operations)])

    def equals(self, other: Program) -> bool:
        """Return whether both programs have the same operations and equal arrays."""
        return self.text == other.text and all(
            a.array is b.array or np.array_equal(a.array, b.array, equal_nan=True)
            for a, b in zip(self.buffers, other.buffers, strict=True)
        )

    @property
    def nanoseconds(self) -> float:
        """A rough estimate of the time of a step."""
        return sum(math.prod(o.space) * _COSTS.get(o.function, 1.0) for o in self.operations)
