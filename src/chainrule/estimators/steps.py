"""Train an estimator on batches, like scikit-learn's solvers "adam" and "sgd"."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from ..training import Trainer
from ..types import Array
from .convergence import Convergence, Record
from .inputs import SparseBatches, is_sparse, taken, to_host

Data = tuple[Any, ...]
"""Inputs, targets, and weights or None."""


def train(
    trainer: Trainer,
    data: Data,
    validation: Data | None,
    record: Record,
    parameters: Mapping[str, Any],
    *,
    incremental: bool,
) -> int:
    """Train for several epochs, or for one more epoch.

    Parameters
    ----------
    trainer : Trainer
        The trainer.
    data, validation : tuple
        Inputs, targets in the form that the loss requires, and weights or None.
    record : Record
        The record of results to update.
    parameters : mapping
        Parameters of the estimator.
    incremental : bool
        Whether to train for a single epoch.

    Returns
    -------
    int
        The number of steps that were skipped because the gradient was NaN or infinite.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` was reached before convergence.
    """
    if validation is not None:
        x, *others = validation
        others = [array for array in others if array is not None]
        validation = (x.toarray() if is_sparse(x) else x, *others)
    rule = Convergence(record, parameters, samples=int(data[0].shape[0]))
    epochs = 1 if incremental else parameters["max_iter"]
    history, made = trainer.history, trainer.optimizer.steps
    rows, steps = len(history.epochs), len(history.step_losses)
    try:
        trainer.fit(
            **_batches(parameters, data),
            epochs=epochs,
            validation_data=validation,
            callbacks=[rule, *(parameters["callbacks"] or ())],
            terminate_on_nan=False,
            verbose=0,
        )
    except KeyboardInterrupt:
        if trainer.half_done:
            raise
        warnings.warn("Training interrupted by user.", stacklevel=5)
    finally:
        trainer.metrics, trainer.listeners = {}, []  # these refer to the data
    left_out = len(history.step_losses) - steps - (trainer.optimizer.steps - made)
    if incremental and len(history.epochs) > rows:  # limits the memory for many calls
        del history.epochs[:rows], history.step_losses[:steps]
    elif not incremental and record.n_iter_ == epochs and not rule.converged:
        rate = "learning_rate_init" if parameters["optimizer"] is None else "optimizer__lr"
        warnings.warn(
            f"training did not converge within max_iter={epochs} epochs: increase max_iter or "
            f"{rate}, scale the inputs (StandardScaler), or increase tol",
            ConvergenceWarning,
            stacklevel=5,
        )
    return max(0, left_out)  # `left_out` is negative after an interruption


def _batches(parameters: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """Return the arguments of `Trainer.fit` that define the batches."""
    x, y, weight = data
    samples, asked = int(x.shape[0]), parameters["batch_size"]
    if asked == "auto":
        asked = min(200, samples)
    elif asked > samples:
        warnings.warn(
            f"batch_size={asked} exceeds the number of samples: using all {samples} in each batch",
            stacklevel=6,
        )
    size = min(int(asked), samples)
    if parameters["batch_norm"] and size < 2:
        raise ValueError(
            "batch_norm=True: expected batches of at least 2 samples, found "
            f"n_samples={samples} and batch_size={parameters['batch_size']!r}; samples of weight 0 "
            "do not count"
        )
    # Drop a last batch of one sample, because BatchNorm cannot compute the variance of one sample.
    how: dict[str, Any] = {
        "batch_size": size,
        "shuffle": bool(parameters["shuffle"]),
        "drop_last": bool(parameters["batch_norm"]) and size > 1 and samples % size == 1,
    }
    if is_sparse(x):
        return {"x": SparseBatches(data, **how)}
    return {"x": x, "y": y, "sample_weight": weight, **how}


def split(
    data: Data,
    fraction: float,
    random: np.random.RandomState,
    *,
    strata: Array | None,
) -> tuple[Data, Data, np.ndarray]:
    """Split data into a training part and a validation part.

    Parameters
    ----------
    data : tuple
        Inputs, targets and weights or None.
    fraction : float
        The share of the samples in the validation part.
    random : numpy.random.RandomState
        The generator that chooses the validation samples.
    strata : array or None
        Classes whose proportions should be the same in both parts, if possible.

    Returns
    -------
    tuple of tuple
        The training part, the validation part, and the row indices of the validation part.
    """
    samples, strata = int(data[0].shape[0]), to_host(strata)
    held, weighted = math.ceil(fraction * samples), data[2] is not None
    if weighted:  # the random weights of bagging must not cause an error
        if samples < 3:
            raise ValueError(
                "early_stopping=True: expected at least 3 samples with a weight above 0 (2 of them "
                f"for validation), found n_samples={samples}"
            )
        held = max(held, 2)
    if strata is not None:
        members = np.unique(strata, axis=0, return_counts=True)[1]
        few = members.min() < 2 or len(members) > min(held, samples - held)
        if few and (weighted or len(members) > 2):  # in other cases, scikit-learn raises an error
            strata = None
    rows, held_out = train_test_split(
        np.arange(samples), random_state=random, test_size=held, stratify=strata
    )
    if len(held_out) < 2:
        raise ValueError(
            "The validation set is too small: increase validation_fraction, or pass validation_data"
        )
    first, second = (tuple(taken(array, part) for array in data) for part in (rows, held_out))
    return first, second, held_out
