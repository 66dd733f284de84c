"""Training by steps on batches: what a `Trainer` is given, and what is left of it afterwards."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from ..metrics import Metric
from ..types import Array
from .convergence import Convergence
from .inputs import SparseBatches, is_sparse, taken, to_host
from .network import draw_seed, make_optimizer
from .objective import PenalizedTrainer

Data = tuple[Array, Array, Array | None]  # inputs, targets, weights


def train(
    estimator: Any,
    data: Data,
    y: Array,
    random: np.random.RandomState,
    *,
    first: bool,
    incremental: bool,
) -> None:
    """Some epochs of a new trainer, or one more of the trainer that there is.

    Parameters
    ----------
    estimator : MultilayerPerceptron
        Whose model is trained.
    data : tuple
        Inputs, targets in the form that the loss takes, and weights or None.
    y : array
        The targets as they were given.
    random : numpy.random.RandomState
        What chooses the validation data and gives the seed of the batches.
    first : bool
        Whether the model is new.
    incremental : bool
        Whether to go on with the trainer, for one epoch.
    """
    validation, metrics = None, {}
    if estimator.early_stopping:
        data, validation, metrics["score"] = _split(estimator, data, y, random)
    seed = draw_seed(random)
    if not incremental or not hasattr(estimator, "trainer_"):
        estimator.trainer_ = PenalizedTrainer(
            estimator.model_,
            penalty=estimator._penalty,
            loss=estimator._loss,
            optimizer=make_optimizer(estimator),
            seed=seed,
        )
    trainer = estimator.trainer_
    trainer.metrics = metrics
    _reset(estimator, first=first)
    rule = Convergence(estimator, samples=data[0].shape[0], validated=validation is not None)
    try:
        trainer.fit(
            **_batches(estimator, data),
            epochs=1 if incremental else estimator.max_iter,
            validation_data=validation,
            callbacks=[rule, *(estimator.callbacks or ())],
            terminate_on_nan=False,
            verbose=0,
        )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=4)
    finally:
        trainer.metrics, trainer.listeners = {}, []  # they hold on to the data
    if estimator.n_iter_ == estimator.max_iter and not (rule.converged or incremental):
        warnings.warn(
            f"the training has not converged in max_iter={estimator.max_iter} epochs",
            ConvergenceWarning,
            stacklevel=4,
        )


def _reset(estimator: Any, *, first: bool) -> None:
    """Make ready what `Convergence` writes to."""
    early = estimator.early_stopping
    estimator.n_iter_ = 0
    changed = (getattr(estimator, "validation_scores_", None) is not None) != early
    if first or changed or not hasattr(estimator, "loss_curve_"):
        estimator.loss_curve_ = []
        estimator._no_improvement_count = 0
        estimator.validation_scores_ = [] if early else None
        estimator.best_validation_score_ = -math.inf if early else None
        estimator.best_loss_ = None if early else math.inf


def _batches(estimator: Any, data: Data) -> dict[str, Any]:
    """The arguments of `Trainer.fit` that say where batches come from."""
    x, y, weight = data
    samples, asked = int(x.shape[0]), estimator.batch_size
    if asked == "auto":
        asked = min(200, samples)
    elif asked > samples:
        warnings.warn(
            f"batch_size={asked} is more than there are samples: a batch is all {samples}",
            stacklevel=5,
        )
    size = min(int(asked), samples)
    if estimator.batch_norm and size < 2:
        raise ValueError(
            "batch_norm=True: expected batches of at least 2 samples to take a variance of, found "
            f"n_samples={samples} and batch_size={estimator.batch_size!r}"
        )
    # A single sample that is left over has no variance for BatchNorm to take.
    how: dict[str, Any] = {
        "batch_size": size,
        "shuffle": bool(estimator.shuffle),
        "drop_last": bool(estimator.batch_norm) and size > 1 and samples % size == 1,
    }
    if is_sparse(x):
        return {"x": SparseBatches(data, **how)}
    return {"x": x, "y": y, "sample_weight": weight, **how}


def _split(
    estimator: Any, data: Data, y: Array, random: np.random.RandomState
) -> tuple[Data, tuple[Array, ...], Metric]:
    """The data without a part of it; that part; and the score on it, as a metric."""
    fraction, samples = estimator.validation_fraction, int(y.shape[0])
    strata = to_host(estimator._strata(data[1]))
    if strata is not None:
        members = np.unique(strata, axis=0, return_counts=True)[1]
        held = math.ceil(fraction * samples)
        few = members.min() < 2 or len(members) > min(held, samples - held)
        if few and len(members) > 2:  # of two classes scikit-learn's raises, too
            strata = None
    rows, held_out = train_test_split(
        np.arange(samples), random_state=random, test_size=fraction, stratify=strata
    )
    if len(held_out) < 2:
        raise ValueError(
            "The validation set is too small: increase validation_fraction, or give more samples"
        )
    x, targets, weights = (taken(array, held_out) for array in data)
    labels, importance = to_host(taken(y, held_out)), to_host(weights)

    def score(outputs: Array, _: Array) -> float:
        return float(estimator._scored(labels, to_host(estimator._decided(outputs)), importance))

    x = x.toarray() if is_sparse(x) else x
    validation = (x, targets) if weights is None else (x, targets, weights)
    others: Any = tuple(taken(array, rows) for array in data)
    return others, validation, score
