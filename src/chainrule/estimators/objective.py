"""What is minimised: a mean over the samples, and the L2 penalty over their number."""

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
    """A loss of targets that the estimator has checked, once."""

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        """There is nothing to find at each step."""


class _MeanOfSums(_OfCheckedTargets):
    """A sum over the outputs of a sample, a mean over the samples."""

    reduction = Checked(one_of("batchmean"))

    def __init__(self) -> None:
        super().__init__(reduction="batchmean")


class LogLoss(_OfCheckedTargets, CrossEntropyLoss):
    """`CrossEntropyLoss`, scikit-learn's "log_loss" of more than two classes."""


class BinaryLogLoss(_MeanOfSums, BCEWithLogitsLoss):
    """`BCEWithLogitsLoss`, scikit-learn's "log_loss" of two classes or of labels."""


class HalfSquaredLoss(_MeanOfSums):
    """``(y - target)^2 / 2``, scikit-learn's "squared_error"."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return 0.5 * d * d, lambda: d


class HalfPoissonLoss(_MeanOfSums):
    """Half of the Poisson deviance of ``exp(y)``, scikit-learn's "poisson".

    ``exp(y) - target + target (log target - y)``, whose last term is 0 where the target is.
    """

    outputs = "log-means"

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        mean = xp.exp(y)
        return mean - target + relative_entropy(xp, target, y), lambda: mean - target


class Penalty:
    """``alpha / 2 * sum(weight^2)`` over a model's linear layers, to be divided by a total weight.

    Parameters
    ----------
    model : Sequential
        Whose weights they are.
    alpha : float
        The strength.
    """

    def __init__(self, model: Sequential, alpha: float) -> None:
        self.model = model
        self.alpha = float(alpha)
        # In the flat vectors they stand first, as all that decays does.
        self.weights = slice(sum(layer.weight.size for layer in linear_layers(model)))

    def value(self) -> Any:
        """The penalty."""
        values = self.model.state.values[self.weights]
        return 0.5 * self.alpha * (values @ values)

    def add_gradient(self, factor: Any) -> None:
        """Add a multiple of its gradient to that of the loss, when all layers have theirs."""
        state = self.model.state
        grads = state.grads[self.weights]
        grads += (factor * self.alpha) * state.values[self.weights]
