"""Types that several parts of the package share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of any library. The Array API standard defines no common class for arrays."""

Arrays: TypeAlias = Any
"""An array, or several arrays in a tuple or in a dict with strings as keys."""

Shapes: TypeAlias = Any
"""A shape, or the shapes of several arrays in a tuple or a dict."""

Backward: TypeAlias = Callable[..., Array]
"""A function that computes the gradient of the input from the gradient of the output."""

Rule: TypeAlias = Callable[..., tuple[Array, ...]]
"""A function that returns new values for its first arguments (see `Backend.elementwise`)."""

LearningRate: TypeAlias = float | Callable[[int], float]
"""A number, or a function of the step number. Steps are counted from 0."""

LearningRates: TypeAlias = LearningRate | Mapping[str, LearningRate]
"""One rate for all parameters, or a dict from layer names to rates (see `Optimizer`)."""

Seed: TypeAlias = int | np.random.Generator
"""A seed or a random generator."""
