"""Softmax and log-softmax over the last axis of ``(..., classes)``."""

from __future__ import annotations

from ..formulas import log_softmax
from ..types import Array, Backward
from .base import Layer


class Softmax(Layer):
    """Softmax, ``y = exp(x) / sum(exp(x))`` over the last axis.

    A classifier trained with `CrossEntropyLoss` must not end with this layer. `CrossEntropyLoss`
    takes the logits, which is faster and numerically stable.
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = xp.exp(log_softmax(xp, x))

        def backward(dy: Array) -> Array:
            return y * (dy - xp.sum(dy * y, axis=-1, keepdims=True))

        return y, backward


class LogSoftmax(Layer):
    """Logarithm of the softmax, ``y = x - log(sum(exp(x)))`` over the last axis."""

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = log_softmax(xp, x)

        def backward(dy: Array) -> Array:
            return dy - xp.exp(y) * xp.sum(dy, axis=-1, keepdims=True)

        return y, backward
