"""Errors and warnings for a fit in which numbers overflowed."""

from __future__ import annotations

import math
import warnings

from array_api_compat import array_namespace

from ..layers import Sequential
from ..types import Array


def cause_of_overflow(alpha: float, weight: Array | None) -> str:
    """Return the likely reason for an overflow, and a remedy."""
    total = math.inf if weight is None else float(array_namespace(weight).sum(weight))
    if alpha > total:
        return (
            f"The penalty, alpha={alpha:g}, is divided by the sum of the sample weights, "
            f"{total:g}. Scale the weights to a mean of 1, or set alpha=0."
        )
    return (
        "The input data may contain large values and need to be preprocessed. "
        "Scale the data, for example with StandardScaler, or lower the learning rate."
    )


def check_finite(
    model: Sequential, *, loss: float, left_out: int, incremental: bool, cause: str
) -> None:
    """Raise a `ValueError` if numbers overflowed, or only warn if the result is usable.

    Parameters
    ----------
    model : Sequential
        The trained model.
    loss : float
        The loss of the last epoch, or 0 if the loss does not matter.
    left_out : int
        The number of steps that were skipped because the gradient was not finite.
    incremental : bool
        Whether the fit was a single epoch.
    cause : str
        The likely reason, for the error message.
    """
    finite = math.isfinite(loss)
    if left_out and (incremental or not finite):  # skipped steps did not change the weights
        raise ValueError(f"Solver produced non-finite parameter weights. {cause}")
    vectors = {"parameter weights": model.state.values, "running statistics": model.state.buffers}
    for what, vector in vectors.items():
        if not model.xp.all(model.xp.isfinite(vector)):
            raise ValueError(f"Solver produced non-finite {what}. {cause}")
    if not finite:
        raise ValueError(f"Solver produced a non-finite loss, {loss}. {cause}")
    if left_out:
        words = f"{left_out} steps were skipped: the gradient was NaN or infinite. {cause}"
        warnings.warn(words, RuntimeWarning, stacklevel=4)
