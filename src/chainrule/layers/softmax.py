"""Softmax and its logarithm over the last axis, ``(..., classes)`` to the same shape."""

from __future__ import annotations

from ..formulas import log_softmax
from ..types import Array, Backward
from .base import Layer


class Softmax(Layer):
    """``y = exp(x) / sum(exp(x))`` over the last axis.

    For training a classifier leave it out: `CrossEntropyLoss` works on the logits, where it is
    both faster and stable.
    """

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = xp.exp(log_softmax(xp, x))

        def backward(dy: Array) -> Array:
            return y * (dy - xp.sum(dy * y, axis=-1, keepdims=True))

        return y, backward


class LogSoftmax(Layer):
    """``y = x - log(sum(exp(x)))`` over the last axis."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = log_softmax(xp, x)

        def backward(dy: Array) -> Array:
            return dy - xp.exp(y) * xp.sum(dy, axis=-1, keepdims=True)

        return y, backward
