"""Losses for regression."""

from __future__ import annotations

from typing import Any

from ..backends.base import kernel
from ..checks import Checked, above_zero
from ..formulas import sign
from ..types import Array
from .base import Formula
from .weights import WeightedOutputs


class MSELoss(WeightedOutputs):
    """Squared error ``(y - target)^2``."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return d * d, lambda: 2.0 * d


class L1Loss(WeightedOutputs):
    """Absolute error ``|y - target|``. The derivative at 0 is defined as 0."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return xp.abs(d), lambda: kernel(xp, sign)(d)


class HuberLoss(WeightedOutputs):
    """Huber loss, which is quadratic for small errors and linear for large errors.

    With ``d = |y - target|``, the loss is ``d^2 / 2`` if ``d <= delta``, and
    ``delta (d - delta / 2)`` otherwise.

    Source: P. Huber, "Robust estimation of a location parameter", 1964.

    Parameters
    ----------
    delta : float, optional
        The largest error for which the loss is quadratic. For larger errors, the loss is linear.
    **options
        ``weight`` and ``reduction``, as in `WeightedOutputs`.
    """

    delta = Checked(above_zero)

    def __init__(self, *, delta: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.delta = delta

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d, delta = y - target, self.delta
        size = xp.abs(d)
        inner = xp.minimum(size, delta)
        return inner * (size - 0.5 * inner), lambda: xp.minimum(xp.maximum(d, -delta), delta)
