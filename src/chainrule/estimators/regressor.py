"""Multilayer perceptrons that predict numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from ..losses import Loss
from ..types import Array
from .base import MultilayerPerceptron
from .inputs import targets_on_host, to_host
from .objective import HalfPoissonLoss, HalfSquaredLoss
from .output import Output
from .sample_weights import sample_weights


class MLPRegressor(RegressorMixin, MultilayerPerceptron):  # type: ignore[misc]
    """A multilayer perceptron that predicts one or several numbers per sample.

    This class can replace scikit-learn's `MLPRegressor`. See `MLPClassifier` for the differences.

    Parameters
    ----------
    loss : {"squared_error", "poisson"} or Loss, optional
        The loss to minimise. "squared_error" is half the squared error. "poisson" is half the
        Poisson deviance. With "poisson", predictions are the exponential of the outputs, and
        targets must not be negative. Both losses are sums over the outputs of a sample. The
        gradients are the same as in scikit-learn, but scikit-learn's `loss_` is a mean over the
        outputs.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, \
power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, \
early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun, dropout, \
batch_norm, optimizer, callbacks, precision, backend, device
        See `MLPClassifier`.

    Attributes
    ----------
    validation_scores_, best_validation_score_
        The coefficient of determination R^2 on the validation data after each epoch, and the best
        value of the last call. Without `early_stopping`, both are None.
    out_activation_ : str
        The activation after the last layer: "identity", or "exp" for the Poisson deviance.
    coefs_, intercepts_, loss_, loss_curve_, best_loss_, n_iter_, t_, n_layers_, n_outputs_, \
n_features_in_, feature_names_in_, model_, trainer_
        See `MLPClassifier`.

    Examples
    --------
    >>> from chainrule.estimators import MLPRegressor
    >>> x = np.linspace(-2.0, 2.0, 200)[:, None]
    >>> model = MLPRegressor(activation="tanh", solver="lbfgs", tol=1e-3, random_state=0)
    >>> model.fit(x, np.sin(2.0 * x[:, 0])).score(x, np.sin(2.0 * x[:, 0])) > 0.99
    True
    """

    _losses = ("squared_error", "poisson")
    _numeric = True

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        batch_norm: bool = False,
        optimizer: Any = None,
        callbacks: Any = None,
        precision: str = "auto",
        backend: Any = "auto",
        device: Any = None,
    ) -> None:
        self._take_parameters(locals())

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination R^2, which is at most 1.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.

        Returns
        -------
        float
            The mean R^2 over all outputs, or NaN if a prediction is NaN or infinite.
        """
        y = targets_on_host(y)
        weight = to_host(sample_weights(sample_weight, np.shape(y)[0]))
        return self._scored(y, to_host(self.predict(X)), weight)

    def _learn_targets(self, labels: Array, *, first: bool, incremental: bool) -> None:
        if first or not hasattr(self, "model_"):
            self.n_outputs_ = 1 if labels.ndim == 1 else labels.shape[1]

    def _compare_targets(self, labels: Array) -> None:
        found = 1 if labels.ndim == 1 else labels.shape[1]
        if found != self.n_outputs_:
            raise ValueError(f"expected y with {self.n_outputs_} outputs, found {found}")

    def _choose_loss(self) -> tuple[Loss, Output]:
        named = {"squared_error": HalfSquaredLoss, "poisson": HalfPoissonLoss}
        loss = named[self.loss]() if isinstance(self.loss, str) else self.loss
        return loss, Output.of(loss, otherwise="identity")

    def _targets(self, y: Array, dtype: str) -> Array:
        xp = array_namespace(y)
        y = xp.reshape(xp.astype(y, getattr(xp, dtype)), (y.shape[0], -1))
        if isinstance(self._loss, HalfPoissonLoss) and (least := float(xp.min(y))) < 0.0:
            raise ValueError(f"loss='poisson': expected targets of at least 0, found {least:g}")
        return y

    def _decided(self, outputs: Array) -> Array:
        predictions = self._output.predictions(outputs)
        xp = array_namespace(predictions)
        return xp.reshape(predictions, (-1,)) if predictions.shape[1] == 1 else predictions

    def _scored(self, y: Any, predicted: Any, sample_weight: Any) -> float:
        if not np.isfinite(predicted).all():
            return float("nan")
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
