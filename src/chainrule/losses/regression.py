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
    """Absolute error ``|y - target|``. Its derivative at 0 is taken to be 0."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return xp.abs(d), lambda: kernel(xp, sign)(d)


class HuberLoss(WeightedOutputs):
    """Huber loss, which is quadratic for small errors and linear for large ones.

    With ``d = |y - target|``, it is ``d^2 / 2`` if ``d <= delta``, else ``delta (d - delta / 2)``.

    Source: P. Huber, "Robust estimation of a location parameter", 1964.

    Parameters
    ----------
    delta : float, optional
        The error beyond which the loss grows linearly instead of quadratically.
    **options
        ``weight`` and ``reduction``, see `WeightedOutputs`.
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
