"""Metrics for regression."""

from __future__ import annotations

from typing import Any

from ..types import Array
from .base import fitting_targets, higher_is_better, lower_is_better


@higher_is_better
def r2(outputs: Array, targets: Array) -> Array:
    """Coefficient of determination: the share of the targets' variance that the outputs explain.

    The score of a feature is ``1 - sum((t - y)^2) / sum((t - mean(t))^2)``, with sums over the
    samples. The result is the mean over the features. If the targets of a feature are constant, the
    feature scores 1 if all its outputs are exact, and 0 otherwise, as in scikit-learn.

    Parameters
    ----------
    outputs, targets : array
        ``(samples,)`` or ``(samples, features)``, both of the same shape.

    Returns
    -------
    array
        The score, as a 0-d array. It is at most 1. It is 0 if every output is the mean of the
        targets. See `chainrule.metrics` for the dtype.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> float(r2(np.asarray([1.0, 2.0, 2.0]), np.asarray([1.0, 2.0, 3.0])))
    0.5
    """
    xp, dtype, outputs, targets = _in_float64("r2", outputs, targets)
    error = targets - outputs
    # Subtract the first sample, so that constant targets have a variance of exactly 0.
    targets = targets - targets[:1, ...]
    deviation = targets - xp.mean(targets, axis=0, keepdims=True)
    scale = xp.max(xp.abs(deviation), axis=0)  # avoids overflow and underflow of the squares
    varies = scale > 0.0
    scale = xp.where(varies, scale, 1.0)
    unexplained, total = (xp.sum((d / scale) ** 2, axis=0) for d in (error, deviation))
    right = xp.astype(xp.all(error == 0.0, axis=0), xp.float64)
    share = unexplained / xp.where(varies, total, 1.0)
    return xp.astype(xp.mean(xp.where(varies, 1.0 - share, right)), dtype)


@lower_is_better
def mean_absolute_error(outputs: Array, targets: Array) -> Array:
    """Mean of ``|y - t|`` over samples and features, in the unit of the targets.

    Parameters
    ----------
    outputs, targets : array
        ``(samples,)`` or ``(samples, features)``, both of the same shape.

    Returns
    -------
    array
        The mean error, as a 0-d array. See `chainrule.metrics` for the dtype.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> float(mean_absolute_error(np.asarray([1.0, 2.0, 5.0]), np.asarray([1.0, 3.0, 3.0])))
    1.0
    """
    xp, dtype, outputs, targets = _in_float64("mean_absolute_error", outputs, targets)
    return xp.astype(xp.mean(xp.abs(outputs - targets)), dtype)


def _absolute_errors(xp: Any, outputs: Array, targets: Array) -> Array:
    """Return the absolute error of each output."""
    return xp.abs(outputs - xp.astype(targets, outputs.dtype))


mean_absolute_error.per_sample = _absolute_errors  # type: ignore[attr-defined]


def _in_float64(name: str, outputs: Array, targets: Array) -> tuple[Any, Any, Array, Array]:
    """Return the namespace, the result's dtype, and the outputs and targets in float64."""
    xp, outputs, targets = fitting_targets(name, outputs, targets)
    return xp, outputs.dtype, xp.astype(outputs, xp.float64), xp.astype(targets, xp.float64)
