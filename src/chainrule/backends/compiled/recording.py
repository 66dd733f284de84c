"""The backend on which a step is recorded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...types import Array
from ..base import Backend
from . import namespace
from .arrays import Symbol, inside, matmul, reduce, scatter, take
from .compile import CompiledStep
from .program import Program


class RecordingBackend(Backend):
    """A backend whose arrays are symbols. Its device is the program that is being recorded."""

    patch_elements = 2**18  # as in NumPy's backend

    def __init__(self) -> None:
        self.xp, self.name, self.array_type = namespace, "compiled", Symbol
        self.device, self.precision, self._kernels = Program(namespace), None, {}

    def asarray(self, x: Any, *, dtype: Any = None) -> Array:
        return namespace.asarray(x, dtype=dtype, device=self.device)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        return matmul(a, b, out)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        scatter("reduce add", target, inside(index, target.shape[0]), values)

    def expect_norm(self, x: Array, largest: float = math.inf) -> None:
        limit = min(largest * largest, float(np.finfo(x.dtype).max))
        small = reduce("add", x * x) <= limit
        while self.device.valid:
            small = small & self.device.valid.pop()
        self.device.append("expect", (), (small.access(()),), small.access(()))

    def row(self, table: Array, index: Array) -> Array:
        """Return the rows of a table of the training run, whose numbers need no check."""
        return take(table, index, 0)

    def set_row(self, target: Array, index: Array, values: Any) -> None:
        """Write `values` to the row of `target` whose number is the only element of `index`."""
        scatter("copy", target, index, values)

    def compiled(self) -> CompiledStep:
        """Return the recorded step."""
        return CompiledStep(self.device)
