"""Losses: how far outputs are from targets, as ``(value, backward)``.

Every loss is an object that is called with outputs and targets. ``backward()`` returns the gradient
of the value by the outputs; an evaluation that does not call it computes no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace

from .backend import Array, on_host
from .errors import DataError, ShapeError
from .layers.sigmoids import sigmoid
from .layers.softmax import log_softmax

Formula = tuple[Array, Callable[[], Array]]


class Loss:
    """What all losses share: checks, weights and the reduction to one number.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, optional
        What is made of the values, one for each element: their mean, their sum or nothing.

    Notes
    -----
    A loss of one's own defines `formula`, and `check_values` if not all targets will do.
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")

    def __init__(self, *, reduction: str = "mean") -> None:
        if reduction not in self.reductions:
            raise ValueError(
                f"expected reduction to be one of {self.reductions}, found {reduction!r}"
            )
        self.reduction = reduction

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        """The values, and a function that gives their derivative by `y`."""
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def check_values(self, xp: Any, target: Array, outputs: int) -> None:
        """Raise a `DataError` if `target` holds what cannot be meant; reads from the device."""

    def __call__(
        self, y: Array, target: Array, *, sample_weight: Array | None = None
    ) -> tuple[Array, Callable[..., Array]]:
        """The loss of outputs `y`, and the function that gives its gradient.

        Parameters
        ----------
        y : array
            Outputs, ``(batch, features)``.
        target : array
            What they should be, of the same shape; `CrossEntropyLoss` takes labels too.
        sample_weight : array, optional
            ``(batch,)``, not negative. The mean is then the weighted one, so that weight 2 equals
            the sample twice.

        Returns
        -------
        value : array
            0-d, or of the shape of the values where ``reduction="none"``.
        backward : callable
            ``backward(dvalue=1.0)`` returns the gradient by `y`, of the shape of `y`.

        Raises
        ------
        ShapeError
            If the shapes do not fit; ``(n,)`` beside ``(n, 1)`` is an error, not a broadcast.
        DataError
            If targets in host memory are out of range. (On a device they are not read in a step;
            `Trainer` checks all data once.)
        """
        xp = array_namespace(y)
        if y.ndim == 0 or y.shape[0] == 0:
            raise DataError(
                f"expected at least one sample, found outputs of shape {tuple(y.shape)}"
            )
        target = self._as_target(xp, y, target)
        if on_host(target):
            self.check_values(xp, target, y.shape[-1])
        values, derivative = self.formula(xp, y, target)
        weight, total = self._weights(xp, y, target, sample_weight)
        scale: Any = 1.0
        if weight is not None:
            weight = _along(weight, values)
            values = values * weight
        value = values
        if self.reduction != "none":
            if self.reduction != "sum":
                scale = 1.0 / total
            if self.reduction == "mean":
                scale = scale * (y.shape[0] / math.prod(values.shape))
            value = xp.sum(values) * scale
        if weight is not None:
            scale = scale * weight

        def backward(dvalue: Any = 1.0) -> Array:
            factor = dvalue * scale
            return derivative() * (_along(factor, y) if getattr(factor, "ndim", 0) else factor)

        return value, backward

    def _as_target(self, xp: Any, y: Array, target: Array) -> Array:
        if target.shape != y.shape:
            expected, found = _in_words(y, target)
            raise ShapeError(
                f"{type(self).__name__}: expected targets of shape {expected} like the outputs, "
                f"found {found}"
            )
        return target if target.dtype == y.dtype else xp.astype(target, y.dtype)

    def _weights(
        self, xp: Any, y: Array, target: Array, sample_weight: Array | None
    ) -> tuple[Array | None, Any]:
        """A weight for each sample, if there are any, and their sum."""
        if sample_weight is None:
            return None, y.shape[0]
        if sample_weight.shape != y.shape[:1]:
            found = tuple(sample_weight.shape)
            raise ShapeError(f"expected sample weights of shape ({y.shape[0]},), found {found}")
        weight = xp.astype(sample_weight, y.dtype)
        return weight, _positive(xp, xp.sum(weight))

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({options})"


class MSELoss(Loss):
    """Squared error ``(y - target)^2``."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return d * d, lambda: 2.0 * d


class L1Loss(Loss):
    """Absolute error ``|y - target|``; its derivative at 0 is taken as 0."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return xp.abs(d), lambda: xp.sign(d)


class HuberLoss(Loss):
    """``d^2 / 2`` where ``d = |y - target| <= delta``, else ``delta (d - delta / 2)``.

    Source: P. Huber, "Robust estimation of a location parameter", 1964.
    """

    def __init__(self, *, delta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        if not 0 < delta < math.inf:
            raise ValueError(f"expected a finite delta > 0, found {delta}")
        self.delta = delta

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d, delta = y - target, self.delta
        size = xp.abs(d)
        inner = xp.minimum(size, delta)
        return inner * (size - 0.5 * inner), lambda: xp.clip(d, -delta, delta)


class BCELoss(Loss):
    """Binary cross-entropy ``-(t log y + (1 - t) log(1 - y))`` of probabilities `y`.

    The logarithms are of no less than the smallest normal number, so the loss stays finite. From
    logits, `BCEWithLogitsLoss` is exact and faster.

    Parameters
    ----------
    weight : sequence of float, optional
        ``(features,)``, a factor for the values of each output.
    reduction : {"mean", "sum", "none"}, optional
        See `Loss`.
    """

    def __init__(self, *, weight: Sequence[float] | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight = _class_weight(weight)

    def check_values(self, xp: Any, target: Array, outputs: int) -> None:
        _check_range(xp, target, 0, 1, "targets of binary cross-entropy")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        weight = _for_outputs(xp, self.weight, y)
        tiny = xp.finfo(y.dtype).smallest_normal
        log_y, log_not_y = xp.log(xp.maximum(y, tiny)), xp.log(xp.maximum(1.0 - y, tiny))

        def derivative() -> Array:
            return weight * (y - target) / xp.maximum(y * (1.0 - y), 1e-12)

        return -weight * (target * log_y + (1.0 - target) * log_not_y), derivative


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of ``sigmoid(y)``, computed from the logits `y` without overflow.

    ``(1 - t) y + (1 + (pos_weight - 1) t) log(1 + exp(-y))``.

    Parameters
    ----------
    weight : sequence of float, optional
        ``(features,)``, a factor for the values of each output.
    pos_weight : sequence of float, optional
        ``(features,)``, the weight of class 1 beside class 0, for each output.
    reduction : {"mean", "sum", "none"}, optional
        See `Loss`.
    """

    def __init__(
        self,
        *,
        weight: Sequence[float] | None = None,
        pos_weight: Sequence[float] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight = _class_weight(weight)
        self.pos_weight = _class_weight(pos_weight)

    def check_values(self, xp: Any, target: Array, outputs: int) -> None:
        _check_range(xp, target, 0, 1, "targets of binary cross-entropy")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        weight = _for_outputs(xp, self.weight, y)
        positive = 1.0 + (_for_outputs(xp, self.pos_weight, y) - 1.0) * target
        softplus = xp.maximum(-y, 0.0) + xp.log1p(xp.exp(-xp.abs(y)))  # log(1 + exp(-y))

        def derivative() -> Array:
            return weight * ((1.0 - target) - positive * sigmoid(xp, -y))

        return weight * ((1.0 - target) * y + positive * softplus), derivative


class CrossEntropyLoss(Loss):
    """Cross-entropy ``-sum(q log softmax(y))`` of logits `y` and targets `q`, one value a sample.

    Parameters
    ----------
    weight : sequence of float, optional
        ``(classes,)``, a weight for each class; the mean is the weighted one.
    label_smoothing : float, optional
        The share of each target that is spread evenly over all classes (C. Szegedy et al.,
        "Rethinking the Inception architecture", 2016).
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

    Targets are labels, ``(batch,)`` integers, or one-hot rows (or any distributions),
    ``(batch, classes)``.
    """

    def __init__(
        self,
        *,
        weight: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"expected 0 <= label_smoothing <= 1, found {label_smoothing}")
        self.weight = _class_weight(weight)
        self.label_smoothing = label_smoothing

    def _as_target(self, xp: Any, y: Array, target: Array) -> Array:
        if y.ndim != 2 or y.shape[1] < 2:
            raise ShapeError(
                "CrossEntropyLoss: expected logits of shape (batch, classes) with at least two "
                f"classes, found {tuple(y.shape)} (for one output, BCEWithLogitsLoss)"
            )
        if target.shape == y.shape:
            return target if target.dtype == y.dtype else xp.astype(target, y.dtype)
        if target.shape != y.shape[:1]:
            expected, found = _in_words(y, target)
            raise ShapeError(
                f"CrossEntropyLoss: expected labels of shape (batch,) or one-hot "
                f"rows of shape {expected}, found {found}"
            )
        if not xp.isdtype(target.dtype, "integral"):
            raise DataError(f"CrossEntropyLoss: expected integer labels, found {target.dtype}")
        return target

    def check_values(self, xp: Any, target: Array, outputs: int) -> None:
        if target.ndim == 1:
            _check_range(xp, target, 0, outputs - 1, f"labels of {outputs} classes")
            return
        _check_range(xp, target, 0, math.inf, "one-hot targets")
        rows = xp.sum(xp.astype(target, xp.float32), axis=1)
        worst = float(xp.max(xp.abs(rows - 1.0)))
        if worst > 1e-3:
            raise DataError(f"expected one-hot rows that sum to 1, found a sum off by {worst:.3g}")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        q = self._distribution(xp, y, target)
        if self.label_smoothing:
            q = (1.0 - self.label_smoothing) * q + self.label_smoothing / y.shape[1]
        if self.weight is not None:
            q = q * _for_outputs(xp, self.weight, y)
        log_p = log_softmax(xp, y)

        def derivative() -> Array:
            p = xp.exp(log_p)
            if self.weight is not None or target.ndim == 2:
                p *= xp.sum(q, axis=1, keepdims=True)  # else q sums to 1
            p -= q
            return p

        return -xp.sum(q * log_p, axis=1), derivative

    def _weights(
        self, xp: Any, y: Array, target: Array, sample_weight: Array | None
    ) -> tuple[Array | None, Any]:
        weight, total = super()._weights(xp, y, target, sample_weight)
        if self.weight is not None:
            class_weight = _for_outputs(xp, self.weight, y)
            of_sample = xp.sum(self._distribution(xp, y, target) * class_weight, axis=1)
            total = xp.sum(of_sample if weight is None else of_sample * weight)
            total = _positive(xp, total)
        return weight, total

    @staticmethod
    def _distribution(xp: Any, y: Array, target: Array) -> Array:
        if target.ndim == 2:
            return target
        classes = xp.arange(y.shape[1], dtype=target.dtype, device=y.device)
        return xp.astype(target[:, None] == classes[None, :], y.dtype)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence ``t (log t - y)`` of log-probabilities `y` from targets `t`.

    Parameters
    ----------
    reduction : {"mean", "batchmean", "sum", "none"}, optional
        See `Loss`; "batchmean" is the divergence itself: the sum over an output's elements, the
        mean over the batch.
    """

    reductions = ("mean", "batchmean", "sum", "none")

    def check_values(self, xp: Any, target: Array, outputs: int) -> None:
        _check_range(xp, target, 0, math.inf, "targets of the divergence")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        log_t = xp.log(xp.where(target > 0, target, 1.0))  # t log t is 0 at 0
        return target * (log_t - y), lambda: -target


def _in_words(*arrays: Array) -> list[str]:
    """Their shapes, with "batch" for a first axis of one length in all."""
    shapes = [tuple(map(str, array.shape)) for array in arrays]
    if len({shape[:1] for shape in shapes}) == 1:
        shapes = [("batch", *shape[1:]) for shape in shapes]
    return [f"({', '.join(shape)}{',' * (len(shape) == 1)})" for shape in shapes]


def _along(weight: Array, values: Array) -> Array:
    """A weight for each sample, shaped to multiply `values`, ``(batch, ...)``."""
    return weight if weight.ndim == values.ndim else weight[(..., *(None,) * (values.ndim - 1))]


def _positive(xp: Any, total: Array) -> Array:
    """A sum of weights to divide by: 1 where it is 0, as in a batch of ignored samples."""
    return xp.where(total > 0, total, xp.ones_like(total))


def _class_weight(weight: Sequence[float] | None) -> np.ndarray | None:
    if weight is None:
        return None
    array = np.asarray(weight, dtype=float)
    if array.ndim != 1 or not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"expected a list of finite weights of at least 0, found {weight!r}")
    return array


def _for_outputs(xp: Any, weight: np.ndarray | None, y: Array) -> Any:
    """A weight for each output as an array that goes with `y`, or 1."""
    if weight is None:
        return 1.0
    if weight.shape != y.shape[-1:]:
        raise ShapeError(f"expected {y.shape[-1]} weights, one an output, found {weight.size}")
    return xp.asarray(weight.tolist(), dtype=y.dtype, device=y.device)


def _check_range(xp: Any, x: Array, low: float, high: float, what: str) -> None:
    least, most = xp.min(x).__float__(), xp.max(x).__float__()
    if not low <= least <= most <= high:
        found = least if not least >= low else most
        raise DataError(f"expected {what} from {low} to {high}, found {found:g}")
