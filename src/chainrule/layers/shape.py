"""Layers that change the shape, or nothing."""

from __future__ import annotations

import math

from ..types import Array, Backward
from .base import Layer


class Flatten(Layer):
    """All axes but the first made one: images ``(batch, height, width)`` to rows."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, shape = self.xp, x.shape
        self.expect(x.ndim > 0, ("batch", "..."), x)

        def backward(dy: Array) -> Array:
            return xp.reshape(dy, shape)

        return xp.reshape(x, (shape[0], math.prod(shape[1:]))), backward


class Identity(Layer):
    """``y = x``."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        return x, lambda dy: dy
