"""Activations with an upper and a lower limit, for inputs of any shape."""

from __future__ import annotations

from ..formulas import sigmoid
from ..types import Array, Backward
from .base import Layer


class Sigmoid(Layer):
    """Logistic function, ``y = 1 / (1 + exp(-x))``.

    Examples
    --------
    >>> y, backward = cr.Sigmoid().forward(np.asarray([-2.0, 0.0, 3.0]))
    >>> np.round(y, 3)
    array([0.119, 0.5  , 0.953])
    >>> np.round(backward(np.ones(3)), 3)  # the slope at each input
    array([0.105, 0.25 , 0.045])
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        y = sigmoid(self.xp, x)
        return y, lambda dy: dy * (y * (1.0 - y))


class Tanh(Layer):
    """Hyperbolic tangent, ``y = tanh(x)``.

    Examples
    --------
    >>> y, backward = cr.Tanh().forward(np.asarray([-2.0, 0.0, 3.0]))
    >>> np.round(y, 3)
    array([-0.964,  0.   ,  0.995])
    >>> np.round(backward(np.ones(3)), 3)  # the slope at each input
    array([0.071, 1.   , 0.01 ])
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        y = self.xp.tanh(x)
        return y, lambda dy: dy * (1.0 - y * y)
