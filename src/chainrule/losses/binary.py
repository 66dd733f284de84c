"""Binary cross-entropy for probabilities and for logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DataError
from ..types import Array
from .base import Formula, times
from .checking import check_range
from .weights import OutputWeight, WeightedOutputs


class BCELoss(WeightedOutputs):
    """Binary cross-entropy ``-(t log y + (1 - t) log(1 - y))`` for probabilities `y`.

    The loss and its gradient are always finite. The arguments of the logarithms are at least the
    smallest normal number, and the denominator of the gradient is at least 1e-12. If the outputs
    are logits, use `BCEWithLogitsLoss`, which is faster and more accurate.

    Examples
    --------
    >>> y, target = np.asarray([[0.8], [0.5]]), np.asarray([[1.0], [0.0]])
    >>> value, backward = cr.BCELoss()(y, target)
    >>> round(float(value), 4)
    0.4581
    >>> np.round(backward(), 4)
    array([[-0.625],
           [ 1.   ]])
    """

    outputs = "binary probabilities"

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        self.check_outputs(xp, y)
        check_range(xp, target, 0, 1, "targets of binary cross-entropy")

    def check_outputs(self, xp: Any, y: Array) -> None:
        if float(xp.min(y)) < 0.0 or float(xp.max(y)) > 1.0:  # `Trainer` reports NaN
            raise DataError("BCELoss: expected probabilities; for logits, use BCEWithLogitsLoss")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        tiny = xp.finfo(y.dtype).smallest_normal
        log_y, log_not_y = xp.log(xp.maximum(y, tiny)), xp.log(xp.maximum(1.0 - y, tiny))

        def derivative() -> Array:
            return (y - target) / xp.maximum(y * (1.0 - y), 1e-12)

        return -(target * log_y + (1.0 - target) * log_not_y), derivative


class BCEWithLogitsLoss(WeightedOutputs):
    """Binary cross-entropy for logits `y`, computed without overflow.

    For a target t, the loss is ``(1 - t) y + (1 + (pos_weight - 1) t) log(1 + exp(-y))``.

    Parameters
    ----------
    pos_weight : sequence of float, optional
        ``(features,)``. For each output, the weight of class 1 relative to class 0.
    **options
        ``weight`` and ``reduction``, as in `WeightedOutputs`.

    Examples
    --------
    >>> y, target = np.asarray([[0.0], [2.0]]), np.asarray([[1.0], [0.0]])
    >>> value, backward = cr.BCEWithLogitsLoss()(y, target)
    >>> round(float(value), 4)
    1.41
    >>> np.round(backward(), 4)  # (sigmoid(y) - target) / 2
    array([[-0.25  ],
           [ 0.4404]])
    """

    outputs = "binary logits"

    def __init__(self, *, pos_weight: Sequence[float] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.pos_weight = OutputWeight.of(pos_weight)

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        check_range(xp, target, 0, 1, "targets of binary cross-entropy")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        negative = 1.0 - target
        positive = self.pos_weight.on(xp, y) * target if self.pos_weight else target
        both, above, size = positive + negative, y > 0.0, xp.abs(y)
        wrong = xp.where(above, negative, positive)
        e = xp.exp(-size)

        def derivative() -> Array:
            slope = wrong - both * (e / (1.0 + e))
            return xp.where(above, slope, -slope)

        return times(xp, size, wrong) + both * xp.log1p(e), derivative
