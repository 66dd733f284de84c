"""Initial values of parameters. NumPy draws the values in float64 for every backend.

An initializer takes a NumPy Generator and the shape of a parameter, and returns an array of this
shape. The weight of a linear layer has shape ``(out, in)``, and the weight of a convolution has
shape ``(out, in, *kernel)``.
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

# Initializers are classes instead of functions, so that they can be compared, copied and printed.
# ruff: noqa: N801


@dataclass(frozen=True)
class constant:
    """Set every element to `fill`.

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
    """Set every element to zero.

    Examples
    --------
    >>> zeros()(np.random.default_rng(0), (2,))
    array([0., 0.])
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


@dataclass(frozen=True)
class uniform:
    """Uniform distribution on [`a`, `b`).

    Examples
    --------
    >>> w = uniform(-0.1, 0.1)(np.random.default_rng(0), (400, 100))
    >>> round(float(w.min()), 3), round(float(w.max()), 3)
    (-0.1, 0.1)
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        if not finite("a", self.a) < finite("b", self.b):
            raise ValueError(f"expected a < b, found a={self.a}, b={self.b}")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.uniform(self.a, self.b, shape)


@dataclass(frozen=True)
class normal:
    """Normal distribution with mean 0 and standard deviation `std`.

    Examples
    --------
    >>> w = normal(0.02)(np.random.default_rng(0), (400, 100))
    >>> round(float(w.std()), 3)
    0.02
    """

    std: float

    def __post_init__(self) -> None:
        at_least_zero("std", self.std)

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.normal(0.0, self.std, shape)


@dataclass(frozen=True)
class he_normal:
    """Normal distribution with variance 2 / in.

    This variance preserves the scale of activations in networks with ReLU.

    Source: K. He et al., "Delving deep into rectifiers", 2015.

    Examples
    --------
    >>> w = he_normal()(np.random.default_rng(0), (400, 100))
    >>> round(float(w.std()), 3)  # about sqrt(2 / 100)
    0.142
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _normal(rng, shape, 2.0 / _fans(shape)[0])


@dataclass(frozen=True)
class he_uniform:
    """Uniform distribution with variance 2 / in, the same variance as `he_normal`.

    Examples
    --------
    >>> w = he_uniform()(np.random.default_rng(0), (400, 100))
    >>> round(float(w.std()), 3), round(float(w.max()), 3)
    (0.141, 0.245)
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _uniform(rng, shape, 2.0 / _fans(shape)[0])


@dataclass(frozen=True)
class glorot_normal:
    """Normal distribution with variance 2 / (in + out).

    This variance preserves the scale of activations and gradients in linear layers.

    Source: X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", 2010.

    Examples
    --------
    >>> w = glorot_normal()(np.random.default_rng(0), (400, 100))
    >>> round(float(w.std()), 3)  # about sqrt(2 / 500)
    0.063
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _normal(rng, shape, 2.0 / sum(_fans(shape)))


@dataclass(frozen=True)
class glorot_uniform:
    """Uniform distribution with variance 2 / (in + out), the same variance as `glorot_normal`.

    Examples
    --------
    >>> w = glorot_uniform()(np.random.default_rng(0), (400, 100))
    >>> round(float(w.std()), 3), round(float(w.max()), 3)
    (0.063, 0.11)
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _uniform(rng, shape, 2.0 / sum(_fans(shape)))


@dataclass(frozen=True)
class lecun_normal:
    """Normal distribution with variance 1 / in.

    This variance preserves the scale of activations in linear layers.

    Source: Y. LeCun et al., "Efficient BackProp", 1998.

    Examples
    --------
    >>> w = lecun_normal()(np.random.default_rng(0), (400, 100))
    >>> round(float(w.std()), 3)  # about sqrt(1 / 100)
    0.1
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _normal(rng, shape, 1.0 / _fans(shape)[0])


@dataclass(frozen=True)
class lecun_uniform:
    """Uniform distribution with variance 1 / in, the same variance as `lecun_normal`.

    Examples
    --------
    >>> w = lecun_uniform()(np.random.default_rng(0), (400, 100))
    >>> round(float(w.std()), 3), round(float(w.max()), 3)
    (0.1, 0.173)
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _uniform(rng, shape, 1.0 / _fans(shape)[0])


@dataclass(frozen=True, eq=False)
class given:
    """The values of a given array, such as the weights of another layer.

    Examples
    --------
    >>> layer = cr.Linear(2, 1, init=given([[3.0, 4.0]]))
    >>> layer.weight.value
    array([[3., 4.]], dtype=float32)
    """

    array: Any

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        return self.array

    def __repr__(self) -> str:
        return f"given(<array of shape {np.shape(self.array)}>)"


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the number of inputs and outputs of weights ``(out, in, *kernel)``.

    Each element of a convolution's output has ``in * prod(kernel)`` inputs. If the stride is 1,
    each element of the input affects ``out * prod(kernel)`` outputs.
    """
    if len(shape) < 2:
        raise ValueError(f"expected weights of shape (out, in, ...), found {shape}")
    outputs, inputs, *kernel = shape
    return inputs * math.prod(kernel), outputs * math.prod(kernel)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    return rng.normal(0.0, math.sqrt(variance), shape)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    limit = math.sqrt(3.0 * variance)  # the variance of uniform(-limit, limit) is limit^2 / 3
    return rng.uniform(-limit, limit, shape)
