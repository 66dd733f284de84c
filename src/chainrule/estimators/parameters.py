"""Check the parameters of an estimator, and parse the network settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..callbacks import Callback
from ..errors import shown
from ..layers.mlp import ACTIVATIONS as BY_NAME
from ..losses import Loss
from ..optimizers import SGD, Optimizer
from ..training.checking import expect_validation_tuple

ACTIVATIONS = {"identity": BY_NAME["none"], "logistic": BY_NAME["sigmoid"], **BY_NAME}
"""A dict from the names in scikit-learn and in `chainrule.mlp` to activations."""

_CHOICES = {
    "solver": ("lbfgs", "sgd", "adam"),
    "learning_rate": ("constant", "invscaling", "adaptive"),
    "precision": ("auto", "float32", "float64"),
}
_BOOLEANS = (
    "shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "batch_norm",
)  # fmt: skip
_INTERVALS = {
    "alpha": (0.0, math.inf, True),
    "learning_rate_init": (0.0, math.inf, False),
    "power_t": (0.0, math.inf, True),
    "tol": (0.0, math.inf, True),
    "momentum": (0.0, 1.0, True),
    "validation_fraction": (0.0, 1.0, True),
    "beta_1": (0.0, 1.0, True),
    "beta_2": (0.0, 1.0, True),
    "epsilon": (0.0, math.inf, False),
    "verbose": (0.0, math.inf, True),
}
"""For each parameter, the lower bound, the upper bound (never included), and whether the lower
bound is included."""
_COUNTS = {"batch_size": "auto", "max_iter": None, "n_iter_no_change": math.inf, "max_fun": None}
"""Parameters that are whole numbers of at least 1, each with its other allowed value or None."""


def check_parameters(of: Mapping[str, Any], losses: tuple[str, ...]) -> None:
    """Raise a `ValueError` for the first invalid parameter.

    Parameters
    ----------
    of : mapping
        A dict from names to the parameters of an estimator.
    losses : tuple of str
        The names that the parameter `loss` accepts.
    """

    def expect(holds: bool, name: str, words: str) -> None:
        if not holds:
            raise ValueError(f"expected {name} to be {words}, found {shown(of[name])}")

    for name, options in _CHOICES.items():
        expect(isinstance(of[name], str) and of[name] in options, name, f"one of {options}")
    for name in _BOOLEANS:
        expect(isinstance(of[name], bool | np.bool_), name, "True or False")
    for name, (low, high, closed) in _INTERVALS.items():
        words = f"a number in {'[' if closed else '('}{low:g}, {high:g})"
        expect(_within(of[name], low, high, closed), name, words)
    for name, other in _COUNTS.items():
        special = other is not None and isinstance(of[name], type(other)) and of[name] == other
        words = "a whole number of at least 1" + (f" or {other!r}" if other is not None else "")
        expect(special or _is_count(of[name]), name, words)

    loss, optimizer, callbacks = (of[name] for name in ("loss", "optimizer", "callbacks"))
    named = isinstance(loss, str) and loss in losses
    expect(named or isinstance(loss, Loss), "loss", f"one of {losses} or a chainrule loss")
    expect(named or loss.reduction not in ("none", "sum"), "loss", "a loss with a mean reduction")
    fits = optimizer is None or isinstance(optimizer, Optimizer)
    expect(fits, "optimizer", "None or an optimizer such as cr.AdamW()")
    fits = isinstance(callbacks or [], list | tuple)
    fits = fits and all(isinstance(callback, Callback) for callback in callbacks or [])
    expect(fits, "callbacks", "a list of callbacks")

    contradicts = of["solver"] == "sgd" and not isinstance(optimizer, SGD | None)
    expect(not contradicts, "solver", f"left out when optimizer={optimizer!r} is given")
    if of["solver"] == "lbfgs":
        for name in ("optimizer", "callbacks", "batch_norm", "dropout"):
            expect(not np.any(of[name]), name, "left out: solver='lbfgs' does not train on batches")


def check_validation_data(given: Any, solver: str) -> None:
    """Raise an error if `validation_data` is not a tuple, or if the solver cannot use it."""
    if given is None:
        return
    expect_validation_tuple(given)
    if solver == "lbfgs":
        raise ValueError("expected validation_data to be left out: solver='lbfgs' has no epochs")


@dataclass(frozen=True)
class Network:
    """The network settings among the parameters of an estimator."""

    hidden_layer_sizes: list[int]
    activation: list[str]
    dropout: list[float]
    batch_norm: bool
    loss: Any
    precision: str
    backend: Any
    device: Any

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Network:
        """Check and parse the network settings. `check_parameters` checks all other parameters."""
        hidden = _hidden_sizes(parameters["hidden_layer_sizes"])
        return cls(
            hidden,
            _activations(parameters["activation"], len(hidden)),
            _dropouts(parameters["dropout"], len(hidden)),
            bool(parameters["batch_norm"]),
            *(parameters[name] for name in ("loss", "precision", "backend", "device")),
        )

    def expect(self, now: Network) -> None:
        """Raise a `ValueError` for the first setting of `now` that differs from this network."""
        for name, value in vars(self).items():
            found = getattr(now, name)
            if found is not value and repr(found) != repr(value):
                raise ValueError(
                    f"expected {name} to stay {value!r}, found {found!r}: warm_start and "
                    "partial_fit continue with the existing network"
                )


def _hidden_sizes(sizes: Any) -> list[int]:
    """Return the widths of the hidden layers as a list."""
    several = list(sizes) if isinstance(sizes, Iterable) else [sizes]
    if not all(map(_is_count, several)):
        raise ValueError(
            f"expected hidden_layer_sizes to be whole numbers of at least 1, found {shown(sizes)}"
        )
    return [int(size) for size in several]


def _activations(activation: Any, layers: int) -> list[str]:
    """Return a list with an activation for each hidden layer."""
    names = _each("activation", activation, layers, str)
    for name in names:
        if name not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"expected activation to be one of {known}; found {name!r}")
    return names


def _dropouts(dropout: Any, layers: int) -> list[float]:
    """Return a list with a dropout probability for each hidden layer."""
    probabilities = _each("dropout", dropout, layers, Real)
    if not all(_within(p, 0.0, 1.0) for p in probabilities):
        raise ValueError(f"expected dropout in [0, 1), found {dropout!r}")
    return [float(p) for p in probabilities]


def _each(name: str, given: Any, layers: int, kind: type) -> list[Any]:
    each = [given] * layers if isinstance(given, kind) else given
    if not isinstance(each, list | tuple):
        raise ValueError(f"expected {name} to be a value or a list of values, found {shown(given)}")
    if len(each) != layers:
        raise ValueError(
            f"expected {layers} values of {name} (one for each hidden layer), found {len(each)}: "
            f"{shown(given)}"
        )
    return list(each)


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and value is not True and int(value) >= 1


def _within(value: Any, low: float, high: float, closed: bool = True) -> bool:
    if not isinstance(value, Real | np.bool_):
        return False
    return low < float(value) < high or (closed and float(value) == low)
