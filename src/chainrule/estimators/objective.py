"""The objective of estimators: the mean loss, plus the L2 penalty per sample."""

from __future__ import annotations

from typing import Any

from ..checks import Checked, one_of
from ..layers import Sequential
from ..losses import BCEWithLogitsLoss, CrossEntropyLoss, Loss
from ..losses.base import Formula
from ..losses.classes import relative_entropy
from ..types import Array
from .network import linear_layers


class _OfCheckedTargets(Loss):
    """Base class of losses whose targets the estimator has already checked."""

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        """Do nothing, to save time in each step."""


class _MeanOfSums(_OfCheckedTargets):
    """Base class of losses that sum over the values of a sample and average over samples."""

    reduction = Checked(one_of("batchmean"))

    def __init__(self) -> None:
        super().__init__(reduction="batchmean")


class LogLoss(_OfCheckedTargets, CrossEntropyLoss):
    """`CrossEntropyLoss`: scikit-learn's "log_loss" for more than two classes."""


class BinaryLogLoss(_MeanOfSums, BCEWithLogitsLoss):
    """`BCEWithLogitsLoss`: scikit-learn's binary or multi-label "log_loss"."""


class HalfSquaredLoss(_MeanOfSums):
    """Half the squared error, ``(y - target)^2 / 2``: scikit-learn's "squared_error"."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return 0.5 * d * d, lambda: d


class HalfPoissonLoss(_MeanOfSums):
    """Half the Poisson deviance of the predictions ``exp(y)``: scikit-learn's "poisson".

    Formula: ``exp(y) - target + target (log target - y)``. The last term is 0 for a target of 0.
    """

    outputs = "log-means"

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        mean = xp.exp(y)
        return mean - target + relative_entropy(xp, target, y), lambda: mean - target


class Penalty:
    """The L2 penalty ``alpha / 2 * sum(weight^2)`` for the weights of all linear layers.

    In each step, the penalty is divided by the total weight of the batch.

    Parameters
    ----------
    model : Sequential
        The model whose weights are penalised.
    alpha : float
        The strength of the penalty.
    """

    def __init__(self, model: Sequential, alpha: float) -> None:
        self.model = model
        self.alpha = float(alpha)
        # The flat vectors start with the weights, because parameters with weight decay come first.
        self.weights = slice(sum(layer.weight.size for layer in linear_layers(model)))

    def value(self) -> Any:
        """Return the value of the penalty."""
        values = self.model.state.values[self.weights]
        return 0.5 * self.alpha * (values @ values)

    def add_gradient(self, factor: Any) -> None:
        """Add the penalty's gradient times `factor` to the gradients, after the backward pass."""
        state = self.model.state
        grads = state.grads[self.weights]
        grads += (factor * self.alpha) * state.values[self.weights]
