"""What all losses share: checks, weights and the reduction to one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from array_api_compat import array_namespace, is_array_api_obj

from ..backends.conversion import beside, host_array, on_host
from ..errors import DataError, ShapeError
from ..types import Array
from .weights import OutputWeight, along, positive

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
            expected, found = in_words(y, target)
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
            scale = scale * along(weight, values)
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
            return derivative() * (along(factor, y) if getattr(factor, "ndim", 0) else factor)

        return value, backward

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({options})"


def as_outputs(y: Any) -> Array:
    """Outputs as they are if they are an array; floating-point numbers in NumPy's otherwise."""
    return y if is_array_api_obj(y) else host_array(y) + 0.0


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
        raise DataError(f"expected {what} from {low} to {high}, found {found:g}")
