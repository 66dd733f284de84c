"""The objective: the mean loss over the samples, plus the L2 penalty over their number."""

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
    """A loss whose targets the estimator has already checked."""

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        """Skip the check at each step."""


class _MeanOfSums(_OfCheckedTargets):
    """A sum over the outputs of a sample and a mean over the samples."""

    reduction = Checked(one_of("batchmean"))

    def __init__(self) -> None:
        super().__init__(reduction="batchmean")


class LogLoss(_OfCheckedTargets, CrossEntropyLoss):
    """`CrossEntropyLoss`: scikit-learn's "log_loss" for more than two classes."""


class BinaryLogLoss(_MeanOfSums, BCEWithLogitsLoss):
    """`BCEWithLogitsLoss`: scikit-learn's "log_loss" for two classes or several labels."""


class HalfSquaredLoss(_MeanOfSums):
    """``(y - target)^2 / 2``: scikit-learn's "squared_error"."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return 0.5 * d * d, lambda: d


class HalfPoissonLoss(_MeanOfSums):
    """Half the Poisson deviance of ``exp(y)``: scikit-learn's "poisson".

    ``exp(y) - target + target (log target - y)``, where the last term is 0 for a target of 0.
    """

    outputs = "log-means"

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        mean = xp.exp(y)
        return mean - target + relative_entropy(xp, target, y), lambda: mean - target


class Penalty:
    """``alpha / 2 * sum(weight^2)`` over a model's linear layers.

    A step divides it by the total weight of its batch.

    Parameters
    ----------
    model : Sequential
        The model whose weights are penalised.
    alpha : float
        The strength.
    """

    def __init__(self, model: Sequential, alpha: float) -> None:
        self.model = model
        self.alpha = float(alpha)
        # The flat vectors start with these weights, because parameters that decay come first.
        self.weights = slice(sum(layer.weight.size for layer in linear_layers(model)))

    def value(self) -> Any:
        """The value of the penalty."""
        values = self.model.state.values[self.weights]
        return 0.5 * self.alpha * (values @ values)

    def add_gradient(self, factor: Any) -> None:
        """After the backward pass, add `factor` times the penalty's gradient to the gradients."""
        state = self.model.state
        grads = state.grads[self.weights]
        grads += (factor * self.alpha) * state.values[self.weights]
