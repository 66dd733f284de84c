"""The types that several rooms share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of any library; the standard defines no common class to name here."""

Backward: TypeAlias = Callable[..., Array]
"""Pulls the gradient of an output back to the input, see `Layer.forward`."""

Rule: TypeAlias = Callable[..., tuple[Array, ...]]
"""New values of its first arguments, see `Backend.elementwise`."""

LearningRate: TypeAlias = float | Callable[[int], float]
"""A number, or a function of the step, counted from 0."""

LearningRates: TypeAlias = LearningRate | Mapping[str, LearningRate]
"""One for all parameters, or one for those of each layer by its name, see `Optimizer`."""

Seed: TypeAlias = int | np.random.Generator
"""Where random numbers come from."""
