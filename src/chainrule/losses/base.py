"""The base of all losses: checks, weights and the reduction to one number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import array_api_compat.numpy
import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from ..backends.conversion import like, on_host, to_numpy
from ..checks import Checked, one_of
from ..errors import DataError, ShapeError, other_dtype
from ..types import Array

Formula = tuple[Array, Callable[[], Array]]
"""The values of a formula, and a function that gives their derivative."""


class Loss:
    """How far outputs are from targets; each loss adds its formula.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the values, one for each element: their mean, their sum, or nothing.

    Notes
    -----
    A custom loss defines `formula`, and `check_values` if not every target is valid.
    """

    outputs: ClassVar[str] = "numbers"
    """How the loss interprets outputs: "numbers", "logits" of classes, "binary logits", "binary
    probabilities", "log-probabilities" or "log-means"; metrics and estimators go by it."""

    reduction = Checked(one_of("mean", "sum", "none"))

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        """The values, and a function that gives their derivative with respect to `y`."""
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def check_outputs(self, xp: Any, y: Array) -> None:
        """Raise an error if outputs are not of the kind that the loss takes; may read them."""

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        """Raise a `DataError` if `target` holds invalid values; reads from the device."""

    def as_target(self, xp: Any, y: Array, target: Array) -> Array:
        """`target` in the dtype that the formula takes, if its shape fits.

        Raises
        ------
        ShapeError
            If it does not.
        """
        if target.shape != y.shape:
            expected, found = in_words(y, target)
            raise ShapeError(
                f"{type(self).__name__}: expected targets of shape {expected} like the outputs, "
                f"found {found}"
            )
        return target if target.dtype == y.dtype else xp.astype(target, y.dtype)

    def target_weight(self, xp: Any, y: Array, target: Array) -> Array | None:
        """The weight of each sample that follows from its target, ``(batch,)``; None if all are 1.

        A mean divides by the sum of these weights; `formula` has already applied them.
        """
        return None

    def check(self, y: Array, target: Array) -> None:
        """Raise an error if targets do not fit the outputs `y`: their shape, or invalid values.

        A call of the loss does so for targets in host memory; from a device they are read only
        here. `Trainer` checks all data once.
        """
        xp, y = as_outputs(y)
        self.check_values(xp, y, self.as_target(xp, y, like(y, target)))

    def __call__(
        self, y: Array, target: Array, *, sample_weight: Array | None = None
    ) -> tuple[Array, Callable[..., Array]]:
        """The loss of outputs `y`, and the function that gives its gradient.

        Parameters
        ----------
        y : array
            Outputs, ``(batch, features)``; a list or a frame becomes NumPy's. The loss computes in
            their dtype if that is float32 or float64, and in float64 otherwise (whole numbers,
            float16).
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
            ``backward(dvalue=1.0)`` returns the gradient with respect to `y`, of the shape of `y`,
            in the dtype in which the loss computes.

        Raises
        ------
        ShapeError
            If the shapes do not fit; ``(n,)`` and ``(n, 1)`` are an error, not a broadcast.
        DataError
            If targets in host memory are out of range, see `check`, or weights there are negative
            or of no finite sum.
        """
        if sample_weight is not None:  # those of a training were checked before it
            xp, outputs = as_outputs(y)
            weight = xp.astype(like(outputs, sample_weight), outputs.dtype)
            if on_host(weight):
                check_weights("sample_weight", xp, weight, zeros=True)
        if self.reduction == "none":
            values, back = self._values(*self._inputs(y, target, sample_weight))
            return values, lambda dvalue=1.0: back(dvalue)
        loss_sum, total_weight, back = self.sums(y, target, sample_weight=sample_weight)
        scale = self.scale(total_weight)
        return loss_sum * scale, lambda dvalue=1.0: back(dvalue * scale)

    def sums(
        self, y: Array, target: Array, *, sample_weight: Array | None = None
    ) -> tuple[Array, float | Array, Callable[[Any], Array]]:
        """The loss as a sum over samples, so that the parts of a batch add up to the whole.

        Parameters
        ----------
        y, target, sample_weight
            See `__call__`.

        Returns
        -------
        loss_sum : array
            0-d, the sum over the samples; the loss is ``scale(total_weight) * loss_sum``.
        total_weight : float or array
            The number of samples, or the sum of their weights.
        backward : callable
            ``backward(factor)`` returns `factor` times the gradient of `loss_sum`.
        """
        xp, y, target, weight = self._inputs(y, target, sample_weight)
        values, back = self._values(xp, y, target, weight)
        # A mean is one over the elements of each sample, too; "batchmean" and "sum" add them up.
        share = y.shape[0] / math.prod(values.shape) if self.reduction == "mean" else 1.0
        by_target = self.target_weight(xp, y, target)
        if by_target is not None:
            weight = by_target if weight is None else weight * by_target
        total_weight = float(y.shape[0]) if weight is None else xp.sum(weight)
        if by_target is not None and on_host(weight) and not bool(xp.isfinite(total_weight)):
            raise DataError(f"expected weights with a finite sum in {y.dtype}, found infinity")
        return xp.sum(values) * share, total_weight, lambda factor: back(factor * share)

    def scale(self, total_weight: Any) -> float | Array:
        """Return the factor from a sum over samples to the loss: 1, or ``1 / total_weight``.

        It is 0 where all weights are 0, as in a batch of ignored samples, or where their sum is too
        small to divide by.
        """
        if self.reduction == "sum":
            return 1.0
        if type(total_weight) is float:
            return 1.0 / total_weight
        xp = array_namespace(total_weight)
        positive = total_weight >= xp.finfo(total_weight.dtype).smallest_normal
        return xp.where(positive, 1.0 / xp.where(positive, total_weight, 1.0), 0.0)

    def _inputs(
        self, y: Any, target: Any, sample_weight: Any
    ) -> tuple[Any, Array, Array, Array | None]:
        """The namespace, and all arguments as arrays of it, checked."""
        xp, y = as_outputs(y)
        if y.ndim == 0 or y.shape[0] == 0:
            raise DataError(
                f"expected at least one sample, found outputs of shape {tuple(y.shape)}"
            )
        target = self.as_target(xp, y, like(y, target))
        if on_host(target):
            self.check_values(xp, y, target)
        if sample_weight is None:
            return xp, y, target, None
        weight = like(y, sample_weight)
        if weight.shape != y.shape[:1]:
            expected, found = y.shape[0], tuple(weight.shape)
            raise ShapeError(f"expected {expected} sample weights, found shape {found}")
        return xp, y, target, xp.astype(weight, y.dtype)

    def _values(
        self, xp: Any, y: Array, target: Array, weight: Array | None
    ) -> tuple[Array, Callable[[Any], Array]]:
        """The values times the weights of the samples, and their gradient."""
        values, gradient = self._weighted_formula(xp, y, target)
        if weight is None:
            return values, lambda dvalues: gradient() * _along(dvalues, y)
        weight = _along(weight, values)
        return times(xp, values, weight), lambda dvalues: times(
            xp, gradient(), _along(dvalues * weight, y)
        )

    def _weighted_formula(self, xp: Any, y: Array, target: Array) -> Formula:
        """The formula, with the weights of the outputs where a loss has them."""
        return self._checked_formula(xp, y, target)

    def _checked_formula(self, xp: Any, y: Array, target: Array) -> Formula:
        """`formula`, if it returns what it should: values, and a function that gives a gradient."""
        result = self.formula(xp, y, target)
        if type(result) is not tuple or len(result) != 2 or not callable(result[1]):
            raise TypeError(
                f"{self!r}: expected formula to return an array of values and the function that "
                f"gives their derivative, found {result!r:.200}"
            )
        values, derivative = result
        self._expect_array("values", values, y, axes=1)
        return values, lambda: self._expect_array("gradient", derivative(), y)

    def _expect_array(self, what: str, result: Any, y: Array, *, axes: int | None = None) -> Array:
        """`result`, if it is an array like the outputs, at least in so many axes."""
        if not hasattr(result, "dtype"):
            raise TypeError(f"{self!r}: expected an array as {what}, found {result!r:.200}")
        if result.shape[:axes] != y.shape[:axes]:
            expected = tuple(y.shape) if axes is None else f"({y.shape[0]}, ...)"
            found = tuple(result.shape)
            raise ShapeError(f"{self!r}: expected {what} of shape {expected}, found {found}")
        if result.dtype != y.dtype:
            raise other_dtype(f"{self!r}: {what}", result.dtype, y.dtype)
        return result

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({options})"


def as_outputs(y: Any) -> tuple[Any, Array]:
    """The namespace of outputs, and the outputs in float32 or float64.

    Outputs of any other dtype become float64, so that no target is truncated to a whole number and
    no sum is taken in float16. A list or a frame becomes an array of NumPy's.
    """
    own = isinstance(y, np.ndarray) or not is_array_api_obj(y)
    if own:
        y = to_numpy(y)
    xp: Any = array_api_compat.numpy if own else array_namespace(y)  # which takes longer
    if y.dtype in (xp.float32, xp.float64):
        return xp, y
    if xp.isdtype(y.dtype, "complex floating"):
        raise DataError(f"expected outputs that are real numbers, found dtype {y.dtype}")
    return xp, xp.astype(y, xp.float64)


def in_words(*arrays: Array) -> list[str]:
    """Their shapes, with "batch" for a first axis of one length in all."""
    shapes = [tuple(map(str, array.shape)) for array in arrays]
    if len({shape[:1] for shape in shapes}) == 1:
        shapes = [("batch", *shape[1:]) for shape in shapes]
    return [f"({', '.join(shape)}{',' * (len(shape) == 1)})" for shape in shapes]


def check_range(xp: Any, x: Array, low: float, high: float, what: str) -> None:
    """Raise a `DataError` if `x` holds anything else; reads from the device."""
    least, most = float(xp.min(x)), float(xp.max(x))
    if not (low <= least and most <= high):
        found = most if low <= least else least
        raise DataError(f"expected {what} from {low} to {high}, found {found:.12g}")


def as_labels(xp: Any, integers: Array) -> Array:
    """Integers as int64; those that are too large for it become its largest, not negative."""
    labels = xp.astype(integers, xp.int64)
    if integers.dtype == xp.uint64:
        labels = xp.where(labels < 0, LARGEST, labels)
    return labels


LARGEST = 2**63 - 1


def check_labels(xp: Any, labels: Array, classes: int, prefix: str = "") -> None:
    """Raise a `DataError` if labels are not those of so many classes; reads from the device."""
    least, most = int(xp.min(labels)), int(xp.max(labels))
    if least < 0 or most >= classes:
        hint = ": labels start at 0" if least == 1 and most == classes else ""
        hint = " or more" if most == LARGEST else hint
        raise DataError(
            f"{prefix}expected labels of {classes} classes from 0 to {classes - 1}, found "
            f"{least if least < 0 else most}{hint}"
        )


def check_sums(xp: Any, rows: Array, expected: str, hint: str = "") -> None:
    """Raise a `DataError` unless each row is a distribution; reads from the device.

    The sum may be off by what bfloat16 rounds, 2^-8.
    """
    check_range(xp, rows, 0, math.inf, "entries of one-hot rows")
    worst = float(xp.max(xp.abs(xp.sum(rows, axis=-1) - 1.0)))
    if worst > 4e-3:
        raise DataError(f"{expected}, found a sum off by {worst:.3g}{hint}")


def times(xp: Any, x: Array, weight: Array) -> Array:
    """``x * weight``, and 0 for a weight of 0, even of an infinite `x`: that counts as absent."""
    return xp.where(weight == 0.0, 0.0, x) * weight


def check_weights(name: str, xp: Any, weight: Array, *, zeros: bool = False) -> None:
    """Raise a `DataError` if samples cannot be weighted so; reads from the device.

    With `zeros`, all of them may be 0.
    """
    least, most, total = (float(f(weight)) for f in (xp.min, xp.max, xp.sum))
    limits = xp.finfo(weight.dtype)
    usable = least >= 0.0 and limits.smallest_normal <= total <= limits.max
    if not (usable or (zeros and least == most == 0.0)):
        raise DataError(
            f"{name}: expected weights of at least 0{'' if zeros else ', not all of them 0'}, "
            f"whose sum is within the range of {weight.dtype}, found values from {least:g} to "
            f"{most:g} that sum to {total:g}"
        )


def _along(factor: Any, y: Array) -> Any:
    """A number, or one for each sample or value, shaped to multiply `y`, ``(batch, ...)``."""
    axes = getattr(factor, "ndim", 0)
    return factor if axes in (0, y.ndim) else factor[(..., *(None,) * (y.ndim - axes))]
