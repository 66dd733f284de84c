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
"""A function that returns new values for its first arguments, see `Backend.elementwise`."""

LearningRate: TypeAlias = float | Callable[[int], float]
"""A number, or a function of the step number, which starts at 0."""

LearningRates: TypeAlias = LearningRate | Mapping[str, LearningRate]
"""One rate for all parameters, or a rate for each layer by name, see `Optimizer`."""

Seed: TypeAlias = int | np.random.Generator
"""A seed, or a generator of random numbers."""
