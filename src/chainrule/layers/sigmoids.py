"""Activations that saturate on both sides; inputs and outputs are of one shape, any."""

from __future__ import annotations

from typing import Any

from ..backend import Array
from .base import Backward, Layer


def sigmoid(xp: Any, x: Array) -> Array:
    """``1 / (1 + exp(-x))`` for any `x`: the exponential is taken of no positive number."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, e) / (1.0 + e)


class Sigmoid(Layer):
    """``y = 1 / (1 + exp(-x))``, the logistic function."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        y = sigmoid(self.xp, x)
        return y, lambda dy: dy * (y * (1.0 - y))


class Tanh(Layer):
    """``y = tanh(x)``."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        y = self.xp.tanh(x)
        return y, lambda dy: dy * (1.0 - y * y)
