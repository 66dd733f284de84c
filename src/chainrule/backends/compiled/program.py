"""The recorded program: a list of loops over arrays of known shape and dtype.

Every operation except a matrix product is a loop nest. The body of the loop reads one element of
each input, computes one number, and writes it to one element of the output. A reduction writes
several times to the same element.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...errors import BackendError


@dataclass(eq=False)
class Buffer:
    """A piece of memory: an array of the training run, or a temporary array of the program.

    Attributes
    ----------
    number : int
        The position in the list of the program's buffers.
    array : numpy.ndarray or None
        The array of the training run, or None for a temporary array.
    """

    number: int
    size: int
    dtype: np.dtype[Any]
    array: np.ndarray | None = None


class Access(NamedTuple):
    """The element that a loop reads or writes in iteration ``i``, ``buffer[offset + i . strides]``.

    Without a buffer, the access is the number ``offset + i . strides`` itself. The `index` adds
    further terms ``element * stride`` to the place, where each element is an access to integers.
    """

    buffer: Buffer | None
    offset: int
    strides: tuple[int, ...]
    index: tuple[tuple[Access, int], ...] = ()

    @property
    def accesses(self) -> tuple[Access, ...]:
        """This access and the accesses to its indices."""
        return self, *(access for access, _ in self.index)


class Constant(NamedTuple):
    """A number of a dtype."""

    value: float
    dtype: np.dtype[Any]


Operand = Access | Constant


class Loop(NamedTuple):
    """``out = function(*inputs)`` for each index of `space`; reductions have ``out`` as an input.

    Functions are named as in the Array API. The other names are ``copy``, and ``reduce sum``,
    ``reduce min`` and so on, for loops that combine `out` with the input.
    """

    function: str
    space: tuple[int, ...]
    inputs: tuple[Operand, ...]
    out: Access


class Product(NamedTuple):
    """The matrix product ``out = a @ b``. Shape and strides are those of matrices."""

    shape: tuple[int, int, int]  # rows, inner size, columns
    a: Access
    b: Access
    out: Access


class Guard(NamedTuple):
    """Breaks off the step unless the element, a boolean, is true."""

    condition: Access


Operation = Loop | Product | Guard


def reads(operation: Operation) -> list[Access]:
    """Return all elements that an operation reads."""
    if isinstance(operation, Guard):
        return [operation.condition]
    if isinstance(operation, Product):
        return [operation.a, operation.b]
    found = [a for i in operation.inputs if isinstance(i, Access) for a in i.accesses]
    return found + [access for access, _ in operation.out.index]


@dataclass
class Program:
    """The operations of one step, in order."""

    buffers: list[Buffer] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    undo: list[Loop] = field(default_factory=list)  # runs if a step is broken off

    limit = 5000  # longer programs take too long to compile

    def temporary(self, size: int, dtype: Any) -> Buffer:
        """Add a temporary array."""
        self.buffers.append(Buffer(len(self.buffers), size, np.dtype(dtype)))
        return self.buffers[-1]

    def append(self, operation: Operation) -> None:
        """Add an operation."""
        if len(self.operations) == self.limit:
            raise BackendError(f"a step has more than {self.limit} operations")
        self.operations.append(operation)

    def __str__(self) -> str:
        return "\n".join(map(_line, self.operations))


def _line(operation: Operation) -> str:
    """Describe an operation in one line."""
    if isinstance(operation, Guard):
        return f"expect {_named(operation.condition)}"
    if isinstance(operation, Product):
        m, k, n = operation.shape
        a, b, out = map(_named, operation[1:])
        return f"{out} = {a} @ {b}  ({m} x {k} @ {k} x {n})"
    inputs = ", ".join(map(_named, operation.inputs))
    shape = " x ".join(map(str, operation.space)) or "1"
    return f"{_named(operation.out)} = {operation.function}({inputs})  ({shape})"


def _named(operand: Operand) -> str:
    """Describe an operand: its buffer, offset and strides, or its value."""
    if isinstance(operand, Constant):
        return f"{operand.value:g}"
    place = [f"{operand.offset}"] if operand.offset else []
    place += [f"{s}{'ijklmn'[i]}" for i, s in enumerate(operand.strides) if s]
    place += [f"{s} {_named(access)}" for access, s in operand.index]
    if operand.buffer is None:
        return " + ".join(place) or "0"
    kind = "t" if operand.buffer.array is None else "m"
    return f"{kind}{operand.buffer.number}[{' + '.join(place)}]"


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of an array in row-major order."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
