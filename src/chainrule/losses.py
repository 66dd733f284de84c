"""Losses: how far outputs are from targets, as ``(value, backward)``.

Every loss is an object that is called with outputs and targets; ``backward()`` returns the gradient
of the value by the outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from .backend import Array, beside, host_array, kernel, on_host, sign
from .errors import DataError, ShapeError
from .layers.sigmoids import sigmoid
from .layers.softmax import log_softmax

Formula = tuple[Array, Callable[[], Array]]


class Loss:
    """What all losses share: checks, weights and the reduction to one number.

    Parameters
    ----------
    weight : sequence of float, optional
        ``(features,)``, a factor for the values of each output. The mean still divides by their
        number, as in PyTorch. (`CrossEntropyLoss` has weights of classes instead.)
    reduction : {"mean", "sum", "none"}, optional
        What is made of the values, one for each element: their mean, their sum or nothing.

    Notes
    -----
    A loss of one's own defines `formula`, and `check_values` if not all targets will do.
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")

    def __init__(self, *, weight: Sequence[float] | None = None, reduction: str = "mean") -> None:
        if reduction not in self.reductions:
            raise ValueError(
                f"expected reduction to be one of {self.reductions}, found {reduction!r}"
            )
        self.reduction = reduction
        self.weight = OutputWeight.of(weight)

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        """The values, and a function that gives their derivative by `y`."""
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        """Raise a `DataError` if `target` holds what cannot be meant; reads from the device."""

    def as_target(self, xp: Any, y: Array, target: Array) -> Array:
        """`target` in the dtype that the formula takes, if its shape fits.

        Raises
        ------
        ShapeError
            If it does not.
        """
        if target.shape != y.shape:
            expected, found = _in_words(y, target)
            raise ShapeError(
                f"{type(self).__name__}: expected targets of shape {expected} like the outputs, "
                f"found {found}"
            )
        return target if target.dtype == y.dtype else xp.astype(target, y.dtype)

    def check(self, y: Array, target: Array) -> None:
        """Find mistakes in targets for outputs `y`: their shape, and values that cannot be meant.

        A call of the loss does so for targets in host memory; from a device they are read only
        here. `Trainer` checks all data once.
        """
        y = as_outputs(y)
        xp = array_namespace(y)
        self.check_values(xp, y, self.as_target(xp, y, beside(y, target)))

    def total_weight(
        self, xp: Any, y: Array, target: Array, sample_weight: Array | None
    ) -> float | Array:
        """What the mean divides by: the number of samples, or the sum of their weights."""
        weight = self._sample_weight(xp, y, sample_weight)
        return float(y.shape[0]) if weight is None else xp.sum(weight)

    def output_weight(self, xp: Any, y: Array) -> Array | None:
        """What multiplies the values of each output, if anything: `weight`, shaped like `y`."""
        return self.weight.on(xp, y) if self.weight else None

    @staticmethod
    def _sample_weight(xp: Any, y: Array, sample_weight: Array | None) -> Array | None:
        if sample_weight is None:
            return None
        sample_weight = beside(y, sample_weight)
        if sample_weight.shape != y.shape[:1]:
            expected, found = y.shape[0], tuple(sample_weight.shape)
            raise ShapeError(f"expected {expected} sample weights, found shape {found}")
        return xp.astype(sample_weight, y.dtype)

    def __call__(
        self, y: Array, target: Array, *, sample_weight: Array | None = None
    ) -> tuple[Array, Callable[..., Array]]:
        """The loss of outputs `y`, and the function that gives its gradient.

        Parameters
        ----------
        y : array
            Outputs, ``(batch, features)``; a list or a frame becomes NumPy's.
        target : array
            What they should be, of the same shape; `CrossEntropyLoss` takes labels too. A list, a
            frame or an array of another library is moved to where the outputs are.
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
            If targets in host memory are out of range, see `check`.
        """
        y = as_outputs(y)
        xp = array_namespace(y)
        if y.ndim == 0 or y.shape[0] == 0:
            raise DataError(
                f"expected at least one sample, found outputs of shape {tuple(y.shape)}"
            )
        target = self.as_target(xp, y, beside(y, target))
        if on_host(target):
            self.check_values(xp, y, target)
        values, derivative = self.formula(xp, y, target)
        if values.shape[:1] != y.shape[:1]:
            expected, found = f"({y.shape[0]}, ...)", tuple(values.shape)
            raise ShapeError(f"{self!r}: expected values of shape {expected}, found {found}")

        scale: Any = 1.0
        if self.reduction not in ("none", "sum"):
            scale = 1.0 / positive(xp, self.total_weight(xp, y, target, sample_weight))
            if self.reduction == "mean":
                scale = scale * (y.shape[0] / math.prod(values.shape))
        weight = self._sample_weight(xp, y, sample_weight)
        if weight is not None:
            scale = scale * _along(weight, values)
        factors = self.output_weight(xp, y)
        if factors is not None:
            if values.shape != y.shape:
                raise ShapeError(f"{self!r}: expected a value for each output, to be weighted")
            scale = scale * factors
        value = values * scale
        if self.reduction != "none":
            value = xp.sum(value)

        def backward(dvalue: Any = 1.0) -> Array:
            factor = dvalue * scale
            return derivative() * (_along(factor, y) if getattr(factor, "ndim", 0) else factor)

        return value, backward

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
        return xp.abs(d), lambda: kernel(xp, sign)(d)


class HuberLoss(Loss):
    """``d^2 / 2`` where ``d = |y - target| <= delta``, else ``delta (d - delta / 2)``.

    Source: P. Huber, "Robust estimation of a location parameter", 1964.

    Parameters
    ----------
    delta : float, optional
        Where the square turns into a line.
    **options
        ``weight`` and ``reduction``, see `Loss`.
    """

    def __init__(self, *, delta: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        if not 0 < delta < math.inf:
            raise ValueError(f"expected a finite delta > 0, found {delta}")
        self.delta = float(delta)

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d, delta = y - target, self.delta
        size = xp.abs(d)
        inner = xp.minimum(size, delta)
        return inner * (size - 0.5 * inner), lambda: xp.minimum(xp.maximum(d, -delta), delta)


class BCELoss(Loss):
    """Binary cross-entropy ``-(t log y + (1 - t) log(1 - y))`` of probabilities `y`.

    The logarithms are of no less than the smallest normal number, and the gradient divides by no
    less than 1e-12, so both stay finite. From logits, `BCEWithLogitsLoss` is exact and faster.
    """

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        check_range(xp, target, 0, 1, "targets of binary cross-entropy")
        if float(xp.min(y)) < 0.0 or float(xp.max(y)) > 1.0:  # NaN is for the Trainer to tell
            raise DataError(
                "BCELoss: expected probabilities; for logits there is BCEWithLogitsLoss"
            )

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        tiny = xp.finfo(y.dtype).smallest_normal
        log_y, log_not_y = xp.log(xp.maximum(y, tiny)), xp.log(xp.maximum(1.0 - y, tiny))

        def derivative() -> Array:
            return (y - target) / xp.maximum(y * (1.0 - y), 1e-12)

        return -(target * log_y + (1.0 - target) * log_not_y), derivative


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of ``sigmoid(y)``, computed from the logits `y` without overflow.

    ``(1 - t) y + (1 + (pos_weight - 1) t) log(1 + exp(-y))``.

    Parameters
    ----------
    pos_weight : sequence of float, optional
        ``(features,)``, the weight of class 1 beside class 0, for each output.
    **options
        ``weight`` and ``reduction``, see `Loss`.
    """

    def __init__(self, *, pos_weight: Sequence[float] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.pos_weight = OutputWeight.of(pos_weight)

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        check_range(xp, target, 0, 1, "targets of binary cross-entropy")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        positive = 1.0 + (self.pos_weight.on(xp, y) - 1.0) * target if self.pos_weight else 1.0
        softplus = xp.maximum(-y, 0.0) + xp.log1p(xp.exp(-xp.abs(y)))  # log(1 + exp(-y))

        def derivative() -> Array:
            return (1.0 - target) - positive * sigmoid(xp, -y)

        return (1.0 - target) * y + positive * softplus, derivative


class CrossEntropyLoss(Loss):
    """Cross-entropy ``-sum(q log softmax(y))`` of logits `y` and targets `q`, one value a sample.

    Targets are labels, ``(batch,)`` integers, or one-hot rows or any distributions,
    ``(batch, classes)``; a label and its one-hot row are the same. (With `weight`, PyTorch divides
    the mean for rows by the number of samples instead, not by their weights.)

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
    """

    def __init__(
        self,
        *,
        weight: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight=weight, reduction=reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"expected 0 <= label_smoothing <= 1, found {label_smoothing}")
        self.label_smoothing = float(label_smoothing)

    def as_target(self, xp: Any, y: Array, target: Array) -> Array:
        if y.ndim != 2 or y.shape[1] < 2:
            raise ShapeError(
                "CrossEntropyLoss: expected logits of shape (batch, classes) with at least two "
                f"classes, found {tuple(y.shape)} (for one output, BCEWithLogitsLoss)"
            )
        if target.shape == y.shape:
            return super().as_target(xp, y, target)
        if target.shape != y.shape[:1]:
            expected, found = _in_words(y, target)
            raise ShapeError(
                "CrossEntropyLoss: expected labels of shape (batch,) or one-hot rows of shape "
                f"{expected}, found {found}"
            )
        if not xp.isdtype(target.dtype, "integral"):
            raise DataError(f"CrossEntropyLoss: expected integer labels, found {target.dtype}")
        return target if target.dtype == xp.int64 else xp.astype(target, xp.int64)

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        if target.ndim == 1:
            classes = y.shape[1]
            check_range(xp, target, 0, classes - 1, f"labels of {classes} classes")
            return
        check_range(xp, target, 0, math.inf, "one-hot targets")
        worst = float(xp.max(xp.abs(xp.sum(target, axis=1) - 1.0)))
        if worst > 1e-3:
            raise DataError(f"expected one-hot rows that sum to 1, found a sum off by {worst:.3g}")

    def output_weight(self, xp: Any, y: Array) -> None:
        """None: weights of classes are in the formula and in the mean."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        if target.ndim == 1 and not self.weight and not self.label_smoothing:
            values, gradient = kernel(xp, softmax_cross_entropy)(y, target)
            return values, lambda: gradient
        q = self._distribution(xp, y, target)
        if self.label_smoothing:
            q = (1.0 - self.label_smoothing) * q + self.label_smoothing / y.shape[1]
        if self.weight:
            q = q * self.weight.on(xp, y)
        log_p = log_softmax(xp, y)
        values = -xp.sum(q * xp.where(q > 0.0, log_p, 0.0), axis=1)  # a logit may be -inf
        return values, lambda: xp.exp(log_p) * xp.sum(q, axis=1, keepdims=True) - q

    def total_weight(
        self, xp: Any, y: Array, target: Array, sample_weight: Array | None
    ) -> float | Array:
        if not self.weight:
            return super().total_weight(xp, y, target, sample_weight)
        target = self.as_target(xp, y, target)
        weights = xp.sum(self._distribution(xp, y, target) * self.weight.on(xp, y), axis=1)
        weight = self._sample_weight(xp, y, sample_weight)
        return xp.sum(weights if weight is None else weights * weight)

    @staticmethod
    def _distribution(xp: Any, y: Array, target: Array) -> Array:
        return one_hot(xp, y, target) if target.ndim == 1 else target


def softmax_cross_entropy(xp: Any, y: Array, labels: Array) -> tuple[Array, Array]:
    """``-log softmax(y)[label]`` for each row, and its derivative ``softmax(y) - one_hot``."""
    log_p = log_softmax(xp, y)
    rows = xp.arange(y.shape[0], device=y.device)
    return -log_p[rows, labels], xp.exp(log_p) - one_hot(xp, y, labels)


def one_hot(xp: Any, y: Array, labels: Array) -> Array:
    """Rows like those of `y`, 1 at the label and else 0."""
    classes = xp.arange(y.shape[1], dtype=labels.dtype, device=y.device)
    return xp.astype(labels[:, None] == classes[None, :], y.dtype)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence ``t (log t - y)`` of log-probabilities `y` from targets `t`.

    Source: S. Kullback and R. Leibler, "On information and sufficiency", 1951.

    Parameters
    ----------
    weight : sequence of float, optional
        See `Loss`.
    reduction : {"mean", "batchmean", "sum", "none"}, optional
        See `Loss`; "batchmean" is the divergence itself: the sum over an output's elements, the
        mean over the batch.
    """

    reductions = ("mean", "batchmean", "sum", "none")

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        check_range(xp, target, 0, math.inf, "targets of the divergence")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        log_t = xp.log(xp.where(target > 0, target, 1.0))  # t log t is 0 at 0
        return target * (log_t - y), lambda: -target


def as_outputs(y: Any) -> Array:
    """Outputs as they are if they are an array; floating-point numbers in NumPy's otherwise."""
    return y if is_array_api_obj(y) else host_array(y) + 0.0


def _in_words(*arrays: Array) -> list[str]:
    """Their shapes, with "batch" for a first axis of one length in all."""
    shapes = [tuple(map(str, array.shape)) for array in arrays]
    if len({shape[:1] for shape in shapes}) == 1:
        shapes = [("batch", *shape[1:]) for shape in shapes]
    return [f"({', '.join(shape)}{',' * (len(shape) == 1)})" for shape in shapes]


def _along(weight: Array, values: Array) -> Array:
    """A weight for each sample, shaped to multiply `values`, ``(batch, ...)``."""
    return weight if weight.ndim == values.ndim else weight[(..., *(None,) * (values.ndim - 1))]


def positive(xp: Any, total: float | Array) -> float | Array:
    """A sum of weights to divide by: 1 where it is 0, as in a batch of ignored samples."""
    # (NumPy's float64 is a float, too.)
    return total if type(total) is float else xp.where(total > 0, total, xp.ones_like(total))


class OutputWeight:
    """A weight for each output, moved to where the outputs are at its first use.

    Parameters
    ----------
    weights : sequence of float
        ``(outputs,)``, finite, at least 0 and not all 0.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        array = np.asarray(weights, dtype=float)
        if array.ndim != 1 or not (np.isfinite(array).all() and (array >= 0).all() and array.any()):
            raise ValueError(
                f"expected a list of finite weights of at least 0, not all 0, found {weights!r}"
            )
        self.weights = array.tolist()
        self._moved: Array = None

    @classmethod
    def of(cls, weights: Sequence[float] | None) -> OutputWeight | None:
        """The weights, if there are any."""
        return None if weights is None else cls(weights)

    def on(self, xp: Any, y: Array) -> Array:
        """The weights, ``(..., outputs)``, with as many axes as `y`."""
        if y.ndim < 2 or len(self.weights) != y.shape[-1]:
            found = f"{len(self.weights)} for outputs of shape {tuple(y.shape)}"
            raise ShapeError(f"expected a weight for each output, found {found}")
        there = self._moved
        if type(there) is not type(y) or there.dtype != y.dtype or there.device != y.device:
            there = self._moved = xp.asarray(self.weights, dtype=y.dtype, device=y.device)
        return there[(*(None,) * (y.ndim - 1), ...)]

    def __getstate__(self) -> dict[str, Any]:
        return {"weights": self.weights, "_moved": None}

    def __repr__(self) -> str:
        return repr(self.weights)


def check_range(xp: Any, x: Array, low: float, high: float, what: str) -> None:
    """Raise a `DataError` if `x` holds anything else; reads from the device."""
    least, most = float(xp.min(x)), float(xp.max(x))
    if not (low <= least and most <= high):
        found = most if low <= least else least
        raise DataError(f"expected {what} from {low} to {high}, found {found:g}")
