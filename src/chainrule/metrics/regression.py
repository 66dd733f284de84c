"""Metrics of numbers."""

from __future__ import annotations

from ..types import Array
from .base import fitting_targets


def r2(outputs: Array, targets: Array) -> Array:
    """The coefficient of determination: the share of the targets' variance that is explained.

    ``1 - sum((t - y)^2) / sum((t - mean(t))^2)`` over the samples; of several outputs, the mean.
    Where the targets do not vary it is 1 if all outputs are right and else 0, as in scikit-learn.

    Parameters
    ----------
    outputs, targets : array
        ``(samples,)`` or ``(samples, features)``, both alike.

    Returns
    -------
    array
        0-d, of the outputs' dtype; at most 1, and 0 for the mean of the targets.

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
    xp, outputs, targets = fitting_targets("r2", outputs, targets)
    targets = xp.astype(targets, outputs.dtype)
    error = targets - outputs
    # From the first sample on, so that targets that do not vary have exactly no variance.
    targets = targets - targets[:1, ...]
    deviation = targets - xp.mean(targets, axis=0, keepdims=True)
    unexplained, total = xp.sum(error * error, axis=0), xp.sum(deviation * deviation, axis=0)
    right = xp.astype(unexplained == 0.0, total.dtype)
    share = unexplained / xp.where(total > 0.0, total, 1.0)
    return xp.mean(xp.where(total > 0.0, 1.0 - share, right))


def mean_absolute_error(outputs: Array, targets: Array) -> Array:
    """The mean of ``|y - t|`` over samples and features, in the targets' own unit.

    Parameters
    ----------
    outputs, targets : array
        ``(samples,)`` or ``(samples, features)``, both alike.

    Returns
    -------
    array
        0-d, of the outputs' dtype.

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
    xp, outputs, targets = fitting_targets("mean_absolute_error", outputs, targets)
    return xp.mean(xp.abs(outputs - xp.astype(targets, outputs.dtype)))
