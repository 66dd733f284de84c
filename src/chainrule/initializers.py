"""Initial values of parameters, drawn on the host in float64: the same on every backend.

An initializer takes a NumPy Generator and the parameter's shape, and returns an array of that
shape. The weight of a linear map has shape ``(out, in)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .checks import at_least_zero, finite

__all__ = [
    "constant",
    "given",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "uniform",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__


Initializer: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

# Used like functions, but defined as classes so that they can be compared, copied and printed.
# ruff: noqa: N801


@dataclass(frozen=True)
class constant:
    """The same number `fill` for every element.

    Examples
    --------
    >>> constant(1.0)(np.random.default_rng(0), (2,))
    array([1., 1.])
    """

    fill: float

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, float(self.fill))


@dataclass(frozen=True)
class zeros:
    """Zero for every element."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


@dataclass(frozen=True)
class uniform:
    """Uniform in [`a`, `b`)."""

    a: float
    b: float

    def __post_init__(self) -> None:
        if not finite("a", self.a) < finite("b", self.b):
            raise ValueError(f"expected a < b, found a={self.a}, b={self.b}")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.uniform(self.a, self.b, shape)


@dataclass(frozen=True)
class normal:
    """Normal with mean 0 and standard deviation `std`."""

    std: float

    def __post_init__(self) -> None:
        at_least_zero("std", self.std)

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.normal(0.0, self.std, shape)


@dataclass(frozen=True)
class he_normal:
    """Normal with variance 2 / in, which keeps the scale of activations through ReLU layers.

    Source: K. He et al., "Delving deep into rectifiers", 2015.
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _normal(rng, shape, 2.0 / _fans(shape)[0])


@dataclass(frozen=True)
class he_uniform:
    """Uniform with variance 2 / in, see `he_normal`."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _uniform(rng, shape, 2.0 / _fans(shape)[0])


@dataclass(frozen=True)
class glorot_normal:
    """Normal with variance 2 / (in + out), which keeps the scale of activations and gradients.

    Source: X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", 2010.
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _normal(rng, shape, 2.0 / sum(_fans(shape)))


@dataclass(frozen=True)
class glorot_uniform:
    """Uniform with variance 2 / (in + out), see `glorot_normal`."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _uniform(rng, shape, 2.0 / sum(_fans(shape)))


@dataclass(frozen=True)
class lecun_normal:
    """Normal with variance 1 / in, which keeps the scale of activations through linear layers.

    Source: Y. LeCun et al., "Efficient BackProp", 1998.
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _normal(rng, shape, 1.0 / _fans(shape)[0])


@dataclass(frozen=True)
class lecun_uniform:
    """Uniform with variance 1 / in, see `lecun_normal`."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _uniform(rng, shape, 1.0 / _fans(shape)[0])


@dataclass(frozen=True, eq=False)
class given:
    """The values of an array, such as the weights of another layer."""

    array: Any

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        return self.array

    def __repr__(self) -> str:
        return f"given(<array of shape {np.shape(self.array)}>)"


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the numbers of inputs and outputs of a linear map of shape ``(out, in)``."""
    if len(shape) != 2:
        raise ValueError(f"expected weights of shape (out, in), found {shape}")
    return shape[1], shape[0]


def _normal(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    return rng.normal(0.0, math.sqrt(variance), shape)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    limit = math.sqrt(3.0 * variance)  # the variance of uniform(-limit, limit) is limit^2 / 3
    return rng.uniform(-limit, limit, shape)
