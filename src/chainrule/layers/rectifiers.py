"""Activations after the rectifier: bent or smoothed, linear for large inputs.

Inputs and outputs are of one shape, any.
"""

from __future__ import annotations

import math

from ..checks import Checked, finite
from ..formulas import relu, relu_gradient, sigmoid
from ..types import Array, Backward
from .base import Layer


class ReLU(Layer):
    """``y = max(x, 0)``, the rectified linear unit; its derivative at 0 is taken as 0."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        kernel = self.backend.kernel
        y = kernel(relu)(x)
        return y, lambda dy: kernel(relu_gradient)(dy, y)


class LeakyReLU(Layer):
    """``y = x`` where x > 0, else ``negative_slope * x``; its derivative at 0 is the slope.

    Source: A. Maas et al., "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Parameters
    ----------
    negative_slope : float, optional
        The derivative below 0.
    """

    keeps_arguments = True
    negative_slope = Checked(finite)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, slope = self.xp, self.negative_slope
        y = xp.where(x > 0, x, slope * x) if slope else relu(xp, x)  # 0 times infinity is no number
        return y, lambda dy: xp.where(x > 0, dy, slope * dy)


class ReLU6(Layer):
    """``y = min(max(x, 0), 6)``; its derivative at the corners is taken as 0.

    Source: A. Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.
    """

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = xp.minimum(xp.maximum(x, 0.0), 6.0)
        return y, lambda dy: dy * xp.astype((x > 0) & (x < 6), dy.dtype)


class ELU(Layer):
    """``y = x`` where x > 0, else ``alpha * (exp(x) - 1)``.

    Source: D.-A. Clevert et al., "Fast and accurate deep network learning by exponential linear
    units", 2016.

    Parameters
    ----------
    alpha : float, optional
        How far below 0 the output can be.
    """

    keeps_arguments = True
    alpha = Checked(finite)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        below = self.alpha * xp.expm1(xp.minimum(x, 0.0))
        y = xp.where(x > 0, x, below)
        return y, lambda dy: dy * xp.where(x > 0, 1.0, below + self.alpha)


class GELU(Layer):
    """``y = x Phi(x)``, Phi being the normal distribution function in its tanh approximation.

    ``Phi(x) = (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``; `y` differs from the exact form,
    which needs the error function that the standard does not have, by at most 4.8e-4.

    Parameters
    ----------
    approximate : {"tanh"}, optional
        Said for those who know a library whose default is the exact form.

    Notes
    -----
    Source: D. Hendrycks and K. Gimpel, "Gaussian error linear units", 2016.
    """

    def __init__(self, approximate: str = "tanh") -> None:
        if approximate != "tanh":
            raise ValueError(f"expected approximate='tanh', the only form, found {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, c, d = self.xp, math.sqrt(2 / math.pi), 0.044715
        x = xp.maximum(x, -10.0)  # beyond -10 and 10 the distribution function is 0 and 1
        z = xp.minimum(x, 10.0)
        square = z * z
        half = 0.5 * (1.0 + xp.tanh(z * (c + c * d * square)))

        def backward(dy: Array) -> Array:
            return dy * (half * (1.0 + z * (1.0 - half) * (2.0 * c + 6.0 * c * d * square)))

        return x * half, backward


class SiLU(Layer):
    """``y = x sigmoid(x)``, also known as swish.

    Source: S. Elfwing et al., "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", 2018.
    """

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        x = xp.maximum(x, -1000.0)  # beyond -1000 and 1000 the sigmoid is 0 and 1
        s = sigmoid(xp, x)
        return x * s, lambda dy: dy * (s * (1.0 + xp.minimum(x, 1000.0) * (1.0 - s)))


class Softplus(Layer):
    """``y = log(1 + exp(x))``, a smooth rectifier.

    Source: C. Dugas et al., "Incorporating second-order functional knowledge for better option
    pricing", 2001.
    """

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))  # exp of no positive number
        return y, lambda dy: dy * sigmoid(xp, x)
