"""The model of an estimator and its optimizer, from scikit-learn's parameters."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from .. import initializers
from ..layers import BatchNorm, Dropout, Layer, Linear, Sequential
from ..layers.mlp import ACTIVATIONS as BY_NAME
from ..optimizers import SGD, Adam, Optimizer

ACTIVATIONS = {"identity": BY_NAME["none"], "logistic": BY_NAME["sigmoid"], **BY_NAME}
"""scikit-learn's names of activations, and those of `chainrule.mlp`."""


def make_model(
    widths: list[int],
    activations: list[str],
    *,
    dropout: list[float],
    batch_norm: bool,
    last: Layer | None,
    random: np.random.RandomState,
    **where: Any,
) -> Sequential:
    """A multilayer perceptron, whose first weights are those of scikit-learn's of this state.

    Parameters
    ----------
    widths : list of int
        The number of inputs, the widths of the hidden layers, the number of outputs.
    activations : list of str
        One for each hidden layer, and one that says the scale of the last layer's weights.
    dropout : list of float
        Of each hidden layer's outputs.
    batch_norm : bool
        Whether there is a `BatchNorm` before each activation.
    last : Layer or None
        What follows the last linear layer.
    random : numpy.random.RandomState
        What the weights are drawn from. The seed of the model is drawn from a copy, so that what
        scikit-learn draws next, the validation data, is the same, too.
    **where
        ``backend``, ``device`` and ``dtype``.
    """
    layers: list[Layer] = []
    for n, m, activation, p in zip(
        widths[:-2], widths[1:-1], activations[:-1], dropout, strict=True
    ):
        kind = ACTIVATIONS[activation]
        layers.append(_linear(n, m, activation, random))
        if batch_norm:
            layers.append(BatchNorm(m))
        if kind is not None:
            layers.append(kind())
        if p > 0.0:
            layers.append(Dropout(p))
    layers.append(_linear(widths[-2], widths[-1], activations[-1], random))
    if last is not None:
        layers.append(last)
    return Sequential(*layers, seed=draw_seed(copy.deepcopy(random)), **where)


def draw_seed(random: np.random.RandomState) -> int:
    """A seed for what draws by itself."""
    return int(random.randint(np.iinfo(np.int32).max))


def _linear(n: int, m: int, activation: str, random: np.random.RandomState) -> Linear:
    """Weights and biases uniform within Glorot's bound, for the logistic function a smaller one."""
    bound = math.sqrt((2.0 if activation in ("logistic", "sigmoid") else 6.0) / (n + m))
    weight = random.uniform(-bound, bound, (n, m)).T
    bias = random.uniform(-bound, bound, m)
    return Linear(n, m, init=initializers.given(weight), bias_init=initializers.given(bias))


def linear_layers(model: Sequential) -> list[Linear]:
    """Those that `coefs_` and `intercepts_` are of."""
    return [layer for layer in model if isinstance(layer, Linear)]


class EfficientAdam(Adam):
    """`Adam`, with epsilon added to the root before that is corrected for starting at zero.

    ``value -= lr * sqrt(1 - b2^t) / (1 - b1^t) * mean / (sqrt(square) + eps)``, the order that the
    paper's section 2 calls more efficient, and scikit-learn's.
    """

    def scalars(self, lr: float, step: int) -> tuple[float, ...]:
        rate, unbias, *others = super().scalars(lr, step)
        return rate / unbias, 1.0, *others


def make_optimizer(estimator: Any) -> Optimizer:
    """A copy of the one that was given, or that of the solver."""
    optimizer: Optimizer | None = estimator.optimizer
    if optimizer is not None:
        return optimizer.copy()
    rate = estimator.learning_rate_init
    if estimator.solver == "sgd":
        nesterov = bool(estimator.nesterovs_momentum and estimator.momentum > 0)
        return SGD(rate, momentum=estimator.momentum, nesterov=nesterov)
    return EfficientAdam(rate, betas=(estimator.beta_1, estimator.beta_2), eps=estimator.epsilon)
