"""Losses for classification: cross-entropy and Kullback-Leibler divergence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..backends.base import kernel
from ..checks import Checked, at_least, one_of, optional, share
from ..errors import DataError, ShapeError
from ..formulas import log_softmax, one_hot, softmax_cross_entropy
from ..types import Array
from .base import Formula, Loss, times
from .checking import as_labels, check_labels, check_range, check_sums, in_words
from .weights import OutputWeight, WeightedOutputs


class CrossEntropyLoss(Loss):
    """Cross-entropy ``-sum(q log softmax(y))`` for logits `y` and targets `q`.

    The logits have shape ``(batch, classes)``, or ``(batch, ..., classes)`` for several values per
    sample, such as ``(batch, time, classes)``. The classes are always on the last axis. (In
    PyTorch, they are on axis 1.) Targets are integer labels ``(batch, ...)``, or rows
    ``(batch, ..., classes)`` with a probability for each class, often one-hot. The loss has one
    value for each label or row. A label and the equivalent one-hot row have the same loss. (With
    rows and a `weight`, PyTorch divides the sum of all values by their number. This class divides
    by the sum of the weights.)

    Parameters
    ----------
    weight : sequence of float, optional
        ``(classes,)``, a weight for each class. With weights, the mean becomes a weighted mean:
        the sum of all values, divided by the sum of their weights.
    label_smoothing : float, optional
        The share of the target probability that is spread evenly over all classes (C. Szegedy et
        al., "Rethinking the Inception architecture", 2016).
    ignore_index : int, optional
        A label to ignore, such as -100. Ignored labels have a gradient of 0, and do not count in
        the mean. If all labels of a batch are ignored, the loss is 0. (In PyTorch, the loss is then
        NaN.)
    reduction : {"mean", "sum", "none"}, optional
        See `Loss`.

    Examples
    --------
    >>> logits = np.asarray([[2.0, 0.0], [0.0, 1.0]])
    >>> value, backward = CrossEntropyLoss()(logits, np.asarray([0, 1]))
    >>> round(float(value), 4)
    0.2201
    >>> np.round(backward(), 3)
    array([[-0.06 ,  0.06 ],
           [ 0.134, -0.134]])
    """

    outputs = "logits"
    label_smoothing = Checked(share)
    ignore_index = Checked(optional(at_least(-(2**63))))

    def __init__(
        self,
        *,
        weight: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight = OutputWeight.of(weight)
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index

    def check_outputs(self, xp: Any, y: Array) -> None:
        if y.ndim < 2 or y.shape[-1] < 2:
            hint = " (for one output, use BCEWithLogitsLoss)" if y.shape[1:] in ((), (1,)) else ""
            hint = " (Flatten() turns each sample into a row)" if y.ndim > 2 else hint
            raise ShapeError(
                "CrossEntropyLoss: expected logits of shape (batch, ..., classes) with at least "
                f"two classes, found {tuple(y.shape)}{hint}"
            )

    def as_target(self, xp: Any, y: Array, target: Array) -> Array:
        self.check_outputs(xp, y)
        if target.shape == y.shape:
            return super().as_target(xp, y, target)
        if target.shape != y.shape[:-1]:
            rows, labels, found = in_words(y, y[..., 0], target)
            hint = ""
            if y.ndim > 2 and target.shape == y.shape[:1]:
                hint = " (Flatten() or PoolOverTime turns each sample into a row)"
            raise ShapeError(
                f"CrossEntropyLoss: expected labels of shape {labels} or one-hot rows of shape "
                f"{rows}, found {found}{hint}"
            )
        if target.dtype == xp.int64:
            return target
        if not xp.isdtype(target.dtype, "integral"):
            found = _no_labels(xp, target)
            raise DataError(f"CrossEntropyLoss: expected integer labels, found {found}")
        return as_labels(xp, target)

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        if target.ndim < y.ndim:
            labels, _ = self._counted(xp, y, target)
            check_labels(xp, labels, y.shape[-1], "CrossEntropyLoss: ")
            return
        check_sums(xp, target, "expected one-hot rows that sum to 1")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        if y.ndim > 2:
            return self._over_last_axis(xp, y, target)
        if target.ndim == 1 and not self.weight and not self.label_smoothing:
            values, gradient = kernel(xp, softmax_cross_entropy)(y, target)
            return values, lambda: gradient
        q = one_hot(xp, y, target) if target.ndim == 1 else target
        if self.label_smoothing:
            q = (1.0 - self.label_smoothing) * q + self.label_smoothing / y.shape[1]
        if self.weight:
            q = q * self.weight.on(xp, y)
        log_p = log_softmax(xp, y)
        values = -xp.sum(times(xp, log_p, q), axis=1)  # use `times`, because a logit may be -inf
        return values, lambda: times(xp, xp.exp(log_p), xp.sum(q, axis=1, keepdims=True)) - q

    def _over_last_axis(self, xp: Any, y: Array, target: Array) -> Formula:
        """Apply the formula to logits with more than two axes, reshaped to a matrix."""
        rows = xp.reshape(y, (-1, y.shape[-1]))
        labels = target.ndim < y.ndim
        values, derivative = self.formula(
            xp, rows, xp.reshape(target, (-1,) if labels else rows.shape)
        )
        return xp.reshape(values, y.shape[:-1]), lambda: xp.reshape(derivative(), y.shape)

    def target_weight(self, xp: Any, y: Array, target: Array) -> Array | None:
        labels, counts = self._counted(xp, y, target)
        if self.weight is None:
            return counts
        weight = self.weight.on(xp, y)
        if target.ndim == y.ndim:
            return xp.sum(target * weight, axis=-1)
        weight = xp.take(xp.reshape(weight, (-1,)), xp.reshape(labels, (-1,)), axis=0)
        weight = xp.reshape(weight, labels.shape)
        return weight if counts is None else weight * counts

    def _weighted_formula(self, xp: Any, y: Array, target: Array) -> Formula:
        labels, counts = self._counted(xp, y, target)
        values, derivative = self._checked_formula(xp, y, labels)
        if counts is None:
            return values, derivative
        return times(xp, values, counts), lambda: times(xp, derivative(), counts[..., None])

    def _counted(self, xp: Any, y: Array, target: Array) -> tuple[Array, Array | None]:
        """Return the labels, and a sample weight for each label: 0 if ignored, otherwise 1.

        Ignored labels are replaced by 0. The weights are None if the targets are rows, or if
        `ignore_index` is None.
        """
        if self.ignore_index is None or target.ndim == y.ndim:
            return target, None
        counts = target != self.ignore_index
        return xp.where(counts, target, 0), xp.astype(counts, y.dtype)


def _no_labels(xp: Any, target: Array) -> str:
    """Describe targets that are not integers, without their dtype, which users may not know."""
    if target.dtype == xp.bool:
        return "booleans: y.astype(int) converts them to labels"
    if bool(xp.all(target == xp.floor(target))):
        return "floating-point numbers: y.astype(int) converts them to labels"
    return "floating-point numbers that are not whole numbers"


class KLDivLoss(WeightedOutputs):
    """Kullback-Leibler divergence ``KL(t || exp(y))`` for targets `t` and log-probabilities `y`.

    The value of each element is ``t (log t - y)``. The divergence of a sample is the sum of its
    values.

    Outputs above 0, such as logits, raise an error. The loss does not check that the probabilities
    of a sample sum to 1, so let the model end in `LogSoftmax`.

    Source: S. Kullback and R. Leibler, "On information and sufficiency", 1951.

    Parameters
    ----------
    weight : sequence of float, optional
        See `WeightedOutputs`.
    reduction : {"mean", "batchmean", "sum", "none"}, optional
        See `Loss`. "batchmean" is the mean divergence of a sample: the sum of all values, divided
        by the number of samples.

    Examples
    --------
    >>> y, target = np.log(np.asarray([[0.5, 0.5]])), np.asarray([[0.9, 0.1]])
    >>> value, backward = cr.KLDivLoss(reduction="batchmean")(y, target)
    >>> round(float(value), 4)  # 0.9 log(0.9 / 0.5) + 0.1 log(0.1 / 0.5)
    0.3681
    >>> backward()
    array([[-0.9, -0.1]])
    """

    outputs = "log-probabilities"
    reduction = Checked(one_of("mean", "batchmean", "sum", "none"))

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        check_range(xp, target, 0, math.inf, "targets of the Kullback-Leibler divergence")
        self.check_outputs(xp, y)

    def check_outputs(self, xp: Any, y: Array) -> None:
        largest = float(xp.max(y))
        if 1e-3 < largest < math.inf:  # `Trainer` reports infinity and NaN
            raise DataError(
                f"KLDivLoss: expected log-probabilities (at most 0), found {largest:.6g}; "
                "for logits, add LogSoftmax as the last layer"
            )

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        return relative_entropy(xp, target, y), lambda: -target


def relative_entropy(xp: Any, t: Array, y: Array) -> Array:
    """Return ``t (log t - y)``. Where `t` is 0, return 0, even if `y` is minus infinity."""
    present = t > 0.0
    return t * xp.where(present, xp.log(xp.where(present, t, 1.0)) - y, 0.0)
