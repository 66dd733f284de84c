"""Build the model and the optimizer of an estimator from the estimator's parameters."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..layers import BatchNorm, Dropout, Layer, Linear, Sequential
from ..optimizers import SGD, Adam, Optimizer
from .parameters import ACTIVATIONS, Network


def make_model(
    network: Network,
    inputs: int,
    outputs: int,
    *,
    last: Layer | None,
    random: np.random.RandomState,
    **where: Any,
) -> Sequential:
    """Build a multilayer perceptron with the initial weights that scikit-learn would draw.

    Parameters
    ----------
    network : Network
        The hidden layers.
    inputs, outputs : int
        The number of inputs and the number of outputs.
    last : Layer or None
        The layer to add after the last linear layer.
    random : numpy.random.RandomState
        The random generator for the weights. The model's seed is drawn from a copy of this
        generator, so that the generator later draws the same validation data as in scikit-learn.
    **where
        ``backend``, ``device`` and ``dtype``.
    """
    layers: list[Layer] = []
    values: dict[str, np.ndarray] = {}

    def add_linear(n: int, m: int, activation: str) -> None:
        """Add a linear layer with Glorot's uniform weights, which are smaller for "logistic"."""
        logistic = activation in ("logistic", "sigmoid")
        bound = math.sqrt((2.0 if logistic else 6.0) / (n + m))
        values[f"{len(layers)}.weight"] = random.uniform(-bound, bound, (n, m)).T
        values[f"{len(layers)}.bias"] = random.uniform(-bound, bound, m)
        layers.append(Linear(n, m))

    n, hidden, activation = inputs, network.hidden_layer_sizes, "identity"
    for m, activation, p in zip(hidden, network.activation, network.dropout, strict=True):
        add_linear(n, m, activation)
        if network.batch_norm:
            layers.append(BatchNorm(m))
        if (kind := ACTIVATIONS[activation]) is not None:
            layers.append(kind())
        if p > 0.0:
            layers.append(Dropout(p))
        n = m
    add_linear(n, outputs, activation)
    if last is not None:
        layers.append(last)
    seed = draw_seed(copy.deepcopy(random))
    return Sequential(*layers).bind(seed=seed, values=values, **where)


def draw_seed(random: np.random.RandomState) -> int:
    """Draw a seed for another random generator."""
    return int(random.randint(np.iinfo(np.int32).max))


def linear_layers(model: Sequential) -> list[Linear]:
    """Return the linear layers, whose parameters are `coefs_` and `intercepts_`."""
    return [layer for layer in model if isinstance(layer, Linear)]


class EfficientAdam(Adam):
    """`Adam` with epsilon added to the square root before the bias correction.

    ``value -= lr * sqrt(1 - b2^t) / (1 - b1^t) * mean / (sqrt(square) + eps)``. Section 2 of the
    paper on Adam calls this order more efficient. scikit-learn uses the same order.
    """

    def scalars(self, lr: float, step: int) -> tuple[float, ...]:
        rate, unbias, *others = super().scalars(lr, step)
        return rate / unbias, 1.0, *others


def make_optimizer(parameters: Mapping[str, Any]) -> Optimizer:
    """Return a copy of the given optimizer, or a new optimizer for the solver."""
    optimizer: Optimizer | None = parameters["optimizer"]
    if optimizer is not None:
        return optimizer.copy()
    rate = parameters["learning_rate_init"]
    if parameters["solver"] == "sgd":
        momentum = parameters["momentum"]
        nesterov = bool(parameters["nesterovs_momentum"] and momentum > 0)
        return SGD(rate, momentum=momentum, nesterov=nesterov)
    betas = parameters["beta_1"], parameters["beta_2"]
    return EfficientAdam(rate, betas=betas, eps=parameters["epsilon"])
