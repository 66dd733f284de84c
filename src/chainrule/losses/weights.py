"""Losses with a weight for each output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError, ShapeError, shown
from ..types import Array
from .base import Formula, Loss, times


class WeightedOutputs(Loss):
    """Base class of losses with one value per output, and an optional weight per output.

    Parameters
    ----------
    weight : sequence of float, optional
        ``(features,)``, a factor for the values of each output. As in PyTorch, the mean is the sum
        divided by the number of values, not by the sum of the weights.
    reduction : {"mean", "sum", "none"}, optional
        See `Loss`.
    """

    def __init__(self, *, weight: Sequence[float] | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight = OutputWeight.of(weight)

    def _weighted_formula(self, xp: Any, y: Array, target: Array) -> Formula:
        values, derivative = self._checked_formula(xp, y, target)
        if self.weight is None:
            return values, derivative
        if values.shape != y.shape:
            raise ShapeError(f"{self!r}: expected formula to return one value for each output")
        weight = self.weight.on(xp, y)
        return times(xp, values, weight), lambda: times(xp, derivative(), weight)


class OutputWeight:
    """One weight per output. The weights are moved to the device of the outputs when needed.

    Parameters
    ----------
    weights : sequence of float
        ``(outputs,)``, finite, at least 0 and not all 0.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        array = np.asarray(weights, dtype=float)
        if array.ndim != 1 or not (np.isfinite(array).all() and (array >= 0).all() and array.any()):
            raise ValueError(
                "expected a list of finite weights of at least 0 (not all 0), found "
                f"{shown(weights)}"
            )
        self.weights = array.tolist()
        self._moved: Array = None

    @classmethod
    def of(cls, weights: Sequence[float] | None) -> OutputWeight | None:
        """Wrap `weights`, or return None if `weights` is None."""
        return None if weights is None else cls(weights)

    def on(self, xp: Any, y: Array) -> Array:
        """Return the weights as an array like `y`, with shape ``(1, ..., outputs)``."""
        if y.ndim < 2 or len(self.weights) != y.shape[-1]:
            found = f"{len(self.weights)} for outputs of shape {tuple(y.shape)}"
            raise ShapeError(f"expected one weight per output, found {found}")
        there = self._moved
        if type(there) is not type(y) or there.dtype != y.dtype or there.device != y.device:
            limits = xp.finfo(y.dtype)
            if not limits.smallest_normal <= max(self.weights) <= limits.max:
                raise DataError(f"expected weights within the range of {y.dtype}, found {self!r}")
            there = self._moved = xp.asarray(self.weights, dtype=y.dtype, device=y.device)
        return there[(*(None,) * (y.ndim - 1), ...)]

    def __getstate__(self) -> dict[str, Any]:
        return {"weights": self.weights, "_moved": None}

    def __repr__(self) -> str:
        return repr(self.weights)
