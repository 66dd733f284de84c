"""NumPy on the CPU."""

from typing import Any

import numpy as np

from ..backend import Array, Backend


class NumpyBackend(Backend):
    """NumPy; matrix products go straight into their place."""

    def __init__(self, *, device: Any = None) -> None:
        super().__init__(np, device=device)

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x)

    def matmul(self, a: Array, b: Array, out: Array) -> None:
        np.matmul(a, b, out=out)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        np.add.at(target, index, values)
