"""What is minimised: a mean over the samples, and the L2 penalty over their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import Array
from ..errors import DataError
from ..layers import Sequential
from ..losses import BCEWithLogitsLoss, CrossEntropyLoss, Formula, Loss
from .network import linear_layers


class _PerSample(Loss):
    """A sum over the outputs of a sample, a mean over the samples."""

    reductions = ("batchmean",)

    def __init__(self) -> None:
        super().__init__(reduction="batchmean")


class HalfSquaredLoss(_PerSample):
    """``(y - target)^2 / 2``, scikit-learn's "squared_error"."""

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        d = y - target
        return 0.5 * d * d, lambda: d


class HalfPoissonLoss(_PerSample):
    """Half of the Poisson deviance of ``exp(y)``, scikit-learn's "poisson".

    ``exp(y) - target + target (log target - y)``, whose last term is 0 where the target is.
    """

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        if (least := float(xp.min(target))) < 0.0:
            raise DataError(f"loss='poisson': expected targets of at least 0, found {least:g}")

    def formula(self, xp: Any, y: Array, target: Array) -> Formula:
        mean = xp.exp(y)
        log_target = xp.log(xp.where(target > 0.0, target, 1.0))
        return mean - target + target * (log_target - y), lambda: mean - target


class LogLoss(CrossEntropyLoss):
    """`CrossEntropyLoss`, scikit-learn's "log_loss" of more than two classes."""

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        """There is nothing to find at each step: the estimator numbers the classes."""


class BinaryLogLoss(_PerSample, BCEWithLogitsLoss):
    """`BCEWithLogitsLoss`, summed over the labels: scikit-learn's "log_loss" of two classes."""

    def __init__(self) -> None:
        BCEWithLogitsLoss.__init__(self, reduction="batchmean")

    def check_values(self, xp: Any, y: Array, target: Array) -> None:
        """There is nothing to find at each step: the estimator's indicators are booleans."""


class Penalized(Loss):
    """``loss + alpha / 2 * sum(weight^2) / n``, n being what the mean of the loss divides by.

    Parameters
    ----------
    loss : Loss
        A mean over samples.
    model : Sequential
        Whose linear layers' weights are penalised.
    alpha : float
        How much.
    """

    def __init__(self, loss: Loss, model: Sequential, alpha: float) -> None:
        self.loss = loss
        self.model = model
        self.weights = [layer.weight for layer in linear_layers(model)]
        self.size = sum(p.size for p in self.weights)  # they stand first in the flat vector
        self.alpha = float(alpha)
        self.reduction = loss.reduction

    def check(self, y: Array, target: Array) -> None:
        self.loss.check(y, target)

    def total_weight(
        self, xp: Any, y: Array, target: Array, sample_weight: Array | None
    ) -> float | Array:
        return self.loss.total_weight(xp, y, target, sample_weight)

    def penalty(self, share: Any = 1.0) -> tuple[Any, Callable[[Any], None]]:
        """A share of the penalty, and what adds a multiple of its gradient."""
        alpha = share * self.alpha
        flat = self.model.state.values[: self.size]

        def backward(dvalue: Any) -> None:
            for p in self.weights:
                p.add_grad((dvalue * alpha) * p.value)

        return 0.5 * alpha * (flat @ flat), backward

    def __call__(
        self, y: Array, target: Array, *, sample_weight: Array | None = None
    ) -> tuple[Array, Callable[..., Array]]:
        value, back_through_loss = self.loss(y, target, sample_weight=sample_weight)
        if not self.alpha:
            return value, back_through_loss
        xp = self.model.xp
        total = self.total_weight(xp, y, target, sample_weight)
        penalty, back_through_penalty = self.penalty(_inverse(xp, total))

        def backward(dvalue: Any = 1.0) -> Array:
            back_through_penalty(dvalue)
            return back_through_loss(dvalue)

        return value + penalty, backward


def _inverse(xp: Any, total: float | Array) -> float | Array:
    """``1 / total``, or 0 for a batch whose samples have no weight."""
    if isinstance(total, float):
        return 1.0 / total if total > 0.0 else 0.0
    return xp.where(total > 0.0, 1.0 / xp.where(total > 0.0, total, 1.0), 0.0)
