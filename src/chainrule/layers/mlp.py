"""Multilayer perceptrons from a list of widths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..initializers import Initializer
from .base import Layer
from .linear import Linear
from .rectifiers import ELU, GELU, LeakyReLU, PReLU, ReLU, ReLU6, SiLU, Softplus
from .sequential import Sequential
from .sigmoids import Sigmoid, Tanh
from .softmax import LogSoftmax, Softmax

ACTIVATIONS: dict[str, type[Layer] | None] = {
    "none": None,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "relu6": ReLU6,
    "elu": ELU,
    "gelu": GELU,
    "silu": SiLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softplus": Softplus,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
}


def mlp(
    widths: Sequence[int],
    *,
    activation: str | Sequence[str] = "relu",
    output: str = "none",
    init: Initializer | None = None,
    **options: Any,
) -> Sequential:
    """Return a multilayer perceptron with linear layers of these widths.

    Parameters
    ----------
    widths : sequence of int
        The number of inputs, the width of each hidden layer, and the number of outputs.
    activation : str or sequence of str, optional
        Activations of the hidden layers: one name for all layers, or a list with one name for each
        layer. The names are ``"none"``, ``"relu"``, ``"leaky_relu"``, ``"prelu"``, ``"relu6"``,
        ``"elu"``, ``"gelu"``, ``"silu"``, ``"sigmoid"``, ``"tanh"``, ``"softplus"``, ``"softmax"``
        or ``"log_softmax"``.
    output : str, optional
        Activation of the last layer.
    init : initializer, optional
        Initializer of the weights. See `Linear` for the default.
    **options
        ``backend``, ``dtype``, ``device`` and ``seed``. See `Layer.bind`.

    Returns
    -------
    Sequential
        The model.

    Raises
    ------
    ValueError
        If there are fewer than two widths, if an activation is unknown, or if a list of activations
        does not have one name for each hidden layer.

    Examples
    --------
    >>> cr.mlp([4, 20, 1], activation="relu", output="sigmoid")
    Sequential(
      0: Linear(4, 20)
      1: ReLU()
      2: Linear(20, 1)
      3: Sigmoid()
    )
    """
    if not hasattr(widths, "__len__") or len(widths) < 2:
        raise ValueError(f"expected at least two widths (inputs and outputs), found {widths}")
    hidden = len(widths) - 2
    several = isinstance(activation, Sequence) and not isinstance(activation, str)
    names = list(activation) if several else [activation] * hidden
    if len(names) != hidden:
        raise ValueError(
            f"expected {hidden} activations (one for each hidden layer), found {len(names)}"
        )
    layers: list[Layer] = []
    for n, m, name in zip(widths[:-1], widths[1:], [*names, output], strict=True):
        if name not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"expected an activation, one of {known}; found {name!r}")
        layers.append(Linear(n, m) if init is None else Linear(n, m, init=init))
        if (kind := ACTIVATIONS[name]) is not None:
            layers.append(kind())
    return Sequential(*layers, **options)
