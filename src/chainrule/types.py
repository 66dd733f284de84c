"""Types that several parts of the package share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of any library: the standard defines no common class."""

Backward: TypeAlias = Callable[..., Array]
"""A function that pulls the gradient of an output back to the input, see `Layer.forward`."""

Rule: TypeAlias = Callable[..., tuple[Array, ...]]
"""A function that returns new values of its first arguments, see `Backend.elementwise`."""

LearningRate: TypeAlias = float | Callable[[int], float]
"""A number, or a function of the step, counted from 0."""

LearningRates: TypeAlias = LearningRate | Mapping[str, LearningRate]
"""A rate for all parameters, or rates by the names of layers, see `Optimizer`."""

Seed: TypeAlias = int | np.random.Generator
"""A seed, or a generator of random numbers."""
