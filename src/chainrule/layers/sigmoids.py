"""Activations with an upper and a lower limit, for inputs of any shape."""

from __future__ import annotations

from ..formulas import sigmoid
from ..types import Array, Backward
from .base import Layer


class Sigmoid(Layer):
    """Logistic function, ``y = 1 / (1 + exp(-x))``."""

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        y = sigmoid(self.xp, x)
        return y, lambda dy: dy * (y * (1.0 - y))


class Tanh(Layer):
    """Hyperbolic tangent, ``y = tanh(x)``."""

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        y = self.xp.tanh(x)
        return y, lambda dy: dy * (1.0 - y * y)
