"""Layers that keep all values: `Flatten` changes only the shape, and `Identity` nothing."""

from __future__ import annotations

import math

from ..types import Array, Backward
from .base import Layer


class Flatten(Layer):
    """Flattens each sample: ``(batch, height, width)`` becomes ``(batch, height * width)``."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, shape = self.xp, x.shape
        self.expect(x.ndim > 0, ("batch", "..."), x)

        def backward(dy: Array) -> Array:
            return xp.reshape(dy, shape)

        return xp.reshape(x, (shape[0], math.prod(shape[1:]))), backward


class Identity(Layer):
    """Identity, ``y = x``."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        return x, lambda dy: dy
