"""The data sets of the playground.

The program that the page shows contains the source text of these functions, so each function uses
only its arguments, ``np`` and ``cr``.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import numpy as np

import chainrule as cr

from ..datasets.mnist import mnist_is_on_disk


def xor(samples: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points whose class is 1 where both coordinates have the same sign."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.0, 1.0, (samples, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    return x + rng.normal(0.0, noise, x.shape), y


def curve(samples: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points near a sine wave whose frequency grows from left to right."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.0, 1.0, (samples, 1))
    return x, np.sin(4.0 * (x + 0.5) ** 2) + rng.normal(0.0, noise, x.shape)


def drawn(points: tuple[tuple[float, ...], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return points that are given as rows of x, y and class."""
    table = np.array(points)
    return table[:, :2], table[:, 2].astype(int)


def digits(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return handwritten digits of 8 x 8 pixels from scikit-learn."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x[:samples] / 16, y[:samples]


def mnist(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return handwritten digits of 28 x 28 pixels."""
    (x, y), _ = cr.datasets.mnist()
    return x[:samples].reshape(-1, 784) / 255, y[:samples]


FUNCTIONS: tuple[Callable[..., Any], ...] = (xor, curve, drawn, digits, mnist)
OWN = {function.__name__: function for function in FUNCTIONS}


def find(name: str) -> Callable[..., Any]:
    """Return the function with this name, such as ``cr.datasets.moons`` or ``xor``."""
    found: Any = cr
    return OWN.get(name) or reduce(getattr, name.split(".")[1:], found)


@dataclass(frozen=True)
class Source:
    """A data set.

    Parameters
    ----------
    name : str
        The name of the function that returns inputs and targets, as in the program.
    inputs : int
        The number of features.
    classes : int or None
        The number of classes, 0 for regression, or None if the user chooses the number.
    side : int
        The width and height of the images, or 0 if the inputs are not images.
    """

    name: str
    inputs: int = 2
    classes: int | None = 2
    side: int = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the function's arguments, which are names of settings."""
        return tuple(inspect.signature(find(self.name)).parameters)


@cache
def available_sources() -> dict[str, Source]:
    """Return the data sets that need neither a download nor a missing library."""
    sources = {"spirals": Source("cr.datasets.spirals", classes=None), "xor": Source("xor")}
    if importlib.util.find_spec("sklearn") is not None:
        sources["circles"] = Source("cr.datasets.circles")
        sources["moons"] = Source("cr.datasets.moons")
        sources["blobs"] = Source("cr.datasets.blobs", classes=None)
        sources["digits"] = Source("digits", inputs=64, classes=10, side=8)
    if mnist_is_on_disk():
        sources["mnist"] = Source("mnist", inputs=784, classes=10, side=28)
    sources["curve"] = Source("curve", inputs=1, classes=0)
    sources["drawn"] = Source("drawn", classes=None)
    return sources
