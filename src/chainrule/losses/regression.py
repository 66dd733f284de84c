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
    """Squared error ``(y - target)^2``.

    Examples
    --------
    >>> y, target = np.asarray([[1.0], [5.0]]), np.asarray([[1.0], [2.0]])
    >>> value, backward = cr.MSELoss()(y, target)
    >>> float(value)
    4.5
    >>> backward()
    array([[0.],
           [3.]])
    """

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return d * d, lambda: 2.0 * d


class L1Loss(WeightedOutputs):
    """Absolute error ``|y - target|``. The derivative at 0 is defined as 0.

    Examples
    --------
    >>> y, target = np.asarray([[1.0], [5.0]]), np.asarray([[1.0], [2.0]])
    >>> value, backward = cr.L1Loss()(y, target)
    >>> float(value)
    1.5
    >>> backward()
    array([[0. ],
           [0.5]])
    """

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return xp.abs(d), lambda: kernel(xp, sign)(d)


class HuberLoss(WeightedOutputs):
    """Huber loss, which is quadratic for small errors and linear for large errors.

    For the error ``d = |y - target|``, the loss is ``d^2 / 2`` if ``d <= delta``, and
    ``delta (d - delta / 2)`` otherwise.

    Source: P. Huber, "Robust estimation of a location parameter", 1964.

    Parameters
    ----------
    delta : float, optional
        The largest error for which the loss is quadratic. For larger errors, the loss is linear.
    **options
        ``weight`` and ``reduction``, as in `WeightedOutputs`.

    Examples
    --------
    >>> y, target = np.asarray([[2.5], [5.0]]), np.asarray([[2.0], [2.0]])
    >>> value, backward = cr.HuberLoss(delta=1.0)(y, target)
    >>> float(value)
    1.3125
    >>> backward()  # large errors have gradients of the same size
    array([[0.25],
           [0.5 ]])
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
