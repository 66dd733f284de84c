"""Softmax and log-softmax over the last axis of ``(..., classes)``."""

from __future__ import annotations

from ..formulas import log_softmax
from ..types import Array, Backward
from .base import Layer


class Softmax(Layer):
    """Softmax, ``y = exp(x) / sum(exp(x))`` over the last axis.

    Do not end a classifier with this layer if you train it with `CrossEntropyLoss`. That loss takes
    logits instead, because this is faster and numerically stable.

    Examples
    --------
    >>> logits = np.log(np.asarray([[1.0, 3.0, 4.0]]))
    >>> y, backward = cr.Softmax().forward(logits)
    >>> np.round(y, 3)
    array([[0.125, 0.375, 0.5  ]])
    >>> y, backward = cr.Softmax().forward(logits + 100.0)  # only differences between logits matter
    >>> np.round(y, 3)
    array([[0.125, 0.375, 0.5  ]])
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = xp.exp(log_softmax(xp, x))

        def backward(dy: Array) -> Array:
            return y * (dy - xp.sum(dy * y, axis=-1, keepdims=True))

        return y, backward


class LogSoftmax(Layer):
    """Logarithm of the softmax, ``y = x - log(sum(exp(x)))`` over the last axis.

    Examples
    --------
    >>> y, backward = cr.LogSoftmax().forward(np.asarray([[0.0, 1000.0]]))  # without overflow
    >>> y
    array([[-1000.,     0.]])
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = log_softmax(xp, x)

        def backward(dy: Array) -> Array:
            return dy - xp.exp(y) * xp.sum(dy, axis=-1, keepdims=True)

        return y, backward
