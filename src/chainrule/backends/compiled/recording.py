"""The backend on which a step is recorded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..base import Backend
from . import namespace
from .arrays import Symbol, expect, lift, matmul, record, scatter
from .compile import CompiledStep
from .program import Operation, Program


_LARGE = 3e6  # in nanoseconds; NumPy's functions are as fast on the arrays of longer steps


class RecordingBackend(Backend):
    """A backend whose arrays are symbols. Its device is the program that is being recorded."""

    patch_elements = 2**18  # as in NumPy's backend

    def __init__(self) -> None:
        self.xp, self.name, self.array_type = namespace, "compiled", Symbol
        self.device, self.precision = Program(), None
        self._kernels = {}

    def asarray(self, x: Any, *, dtype: Any = None) -> Symbol:
        return namespace.asarray(x, dtype=dtype, device=self.device)

    def lift(self, array: np.ndarray, *, scratch: bool = True) -> Symbol:
        """Return a symbol for an array that the step reads and writes.

        If a step is broken off, the contents of the array are restored, unless it is `scratch`.
        """
        symbol = lift(self.device, array)
        if not scratch:
            before, space = record("copy", symbol), symbol.shape
            undo = Operation("copy", space, (before.access(space),), symbol.access(space))
            self.device.undo.append(undo)
        return symbol

    def matmul(self, a: Symbol, b: Symbol, out: Symbol | None = None) -> Symbol:
        return matmul(a, b, out)

    def scatter_add(self, target: Symbol, index: Symbol, values: Symbol) -> None:
        scatter("reduce add", target, index, values)

    def set_row(self, target: Symbol, index: Symbol, values: Any) -> None:
        """Write `values` to the row of `target` whose number is the only element of `index`."""
        scatter("copy", target, index, values)

    def expect_norm(self, x: Symbol, largest: float = math.inf) -> None:
        limit = min(largest * largest, float(np.finfo(x.dtype).max))
        expect(namespace.sum(x * x) <= limit)

    def compiled(self) -> CompiledStep | None:
        """Return the recorded step, or None if it is too large to gain anything."""
        return None if self.device.nanoseconds > _LARGE else CompiledStep(self.device)
