"""Train a model with the limited-memory BFGS method."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from ..data.moving import move
from ..layers import Sequential
from ..losses import Loss
from ..training.sample_means import SampleMeans
from ..training.step import accumulate
from ..types import Array
from .inputs import SparseBatches, is_sparse
from .objective import Penalty

_NAMES = ("X", "y", "sample_weight")
_REACHED_A_LIMIT = 1  # SciPy's status when max_iter or max_fun is reached


def fit(
    model: Sequential,
    loss: Loss,
    penalty: Penalty | None,
    data: tuple[Any, ...],
    parameters: Mapping[str, Any],
) -> tuple[float, int]:
    """Move the parameters of a model to a local minimum of the loss on all of the data.

    Source: R. Byrd et al., "A limited memory algorithm for bound constrained optimization", 1995,
    as implemented in SciPy.

    Parameters
    ----------
    model : Sequential
        The model to train.
    loss : Loss
        The loss, which must be a mean over samples.
    penalty : Penalty or None
        The penalty to add to the loss, after division by the total weight of the samples.
    data : tuple
        Inputs, targets, and weights or None. Sparse inputs are processed in parts.
    parameters : mapping
        Parameters of the estimator. The iterations stop when no element of the gradient exceeds
        `tol` in absolute value. The iterations also stop if the line search finds no smaller loss,
        because of rounding or a kink in an activation.

    Returns
    -------
    loss : float
        The final loss.
    iterations : int
        The number of iterations.

    Warns
    -----
    ConvergenceWarning
        If an element of the gradient still exceeds `tol` in absolute value. The warning shows the
        largest absolute value.
    """
    state, done = model.state, 0
    max_iter, tol = parameters["max_iter"], parameters["tol"]

    def moved(arrays: tuple[Any, ...]) -> tuple[Array, ...]:
        given = {n: a for n, a in zip(_NAMES, arrays, strict=False) if a is not None}
        return move(state.backend, given, state.dtype_name)

    whole = None if is_sparse(data[0]) else moved(data)

    def objective(vector: np.ndarray) -> tuple[float, np.ndarray]:
        state.values[...] = state.backend.asarray(vector, dtype=state.dtype)
        parts = [whole] if whole else map(moved, SparseBatches(data)())
        return _value_and_gradient(model, loss, penalty, parts, data[0].shape[0])

    def report(intermediate_result: Any) -> None:  # SciPy requires this name
        nonlocal done
        done += 1
        if parameters["verbose"]:
            print(f"Iteration {done}, loss = {intermediate_result.fun:.8g}")

    result = scipy.optimize.minimize(
        objective,
        state.backend.to_numpy(state.values).astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=report,
        options={"maxiter": max_iter, "maxfun": parameters["max_fun"], "gtol": tol, "ftol": 0.0},
    )
    state.values[...] = state.backend.asarray(result.x, dtype=state.dtype)
    iterations = min(int(result.nit), max_iter)
    largest = float(np.max(np.abs(result.jac)))
    if not largest <= tol:
        why = f"{result.message}. Increase max_iter or max_fun, or scale the inputs"
        if result.status != _REACHED_A_LIMIT:
            why = (
                f"the line search finds no smaller loss in {state.dtype_name}. Scale the inputs, "
                "choose a smooth activation such as tanh, or increase tol"
            )
        warnings.warn(
            f"lbfgs did not converge in {iterations} iterations: expected a gradient whose largest "
            f"element is at most tol={tol:g}, found {largest:.2g}; {why}",
            ConvergenceWarning,
            stacklevel=4,
        )
    return float(result.fun), iterations


def _value_and_gradient(
    model: Sequential,
    loss: Loss,
    penalty: Penalty | None,
    parts: Iterable[tuple[Array, ...]],
    samples: int,
) -> tuple[float, np.ndarray]:
    """Return the loss of all parts plus the penalty, and the gradient as a vector."""
    value, _ = accumulate(model, loss, parts, samples, penalty, SampleMeans({}))
    return float(value), model.backend.to_numpy(model.state.grads).astype(np.float64)
