"""ReLU and similar activations. Most are linear for large positive inputs.

Inputs may have any shape. The output has the shape of the input.
"""

from __future__ import annotations

import math

from .. import initializers
from ..checks import Checked, finite, one_of, whole
from ..formulas import normal, relu, relu_gradient, sigmoid, sum_over_batch
from ..initializers import Initializer
from ..parameter import Parameter
from ..types import Array, Backward
from .base import Layer


class ReLU(Layer):
    """Rectified linear unit, ``y = max(x, 0)``. The derivative at 0 is defined as 0.

    Examples
    --------
    >>> y, backward = cr.ReLU().forward(np.asarray([-2.0, 0.0, 3.0]))
    >>> y
    array([0., 0., 3.])
    >>> backward(np.ones(3))  # the slope at each input
    array([0., 0., 1.])
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        kernel = self.backend.kernel
        y = kernel(relu)(x)
        return y, lambda dy: kernel(relu_gradient)(dy, y)


class LeakyReLU(Layer):
    """ReLU with a slope for x below 0: ``y = x`` where x > 0, else ``negative_slope * x``.

    The derivative at 0 is ``negative_slope``.

    Source: A. Maas et al., "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Parameters
    ----------
    negative_slope : float, optional
        The slope of the function for x below 0.

    Examples
    --------
    >>> y, backward = cr.LeakyReLU(0.1).forward(np.asarray([-2.0, 0.0, 3.0]))
    >>> y
    array([-0.2,  0. ,  3. ])
    >>> backward(np.ones(3))  # the slope at each input
    array([0.1, 0.1, 1. ])
    """

    keeps_arguments = True
    per_step = True
    negative_slope = Checked(finite)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, slope = self.xp, self.negative_slope
        # With a slope of 0, ``slope * x`` would be NaN for an infinite `x`.
        y = xp.where(x > 0, x, slope * x) if slope else relu(xp, x)
        return y, lambda dy: xp.where(x > 0, dy, slope * dy)


class PReLU(Layer):
    """ReLU with a learned slope for x below 0: ``y = x`` where x > 0, else ``weight * x``.

    The derivative at 0 is ``weight``.

    Source: K. He et al., "Delving deep into rectifiers", 2015. As in the paper, weight decay does
    not apply to the slopes.

    Parameters
    ----------
    features : int, optional
        The number of slopes, which is the length of ``weight``. If it is 1, all inputs share one
        slope. Otherwise, each feature has its own slope, and ``x`` must have shape
        ``(batch, ..., features)``.
    init : initializer, optional
        Initializer of the slopes. By default, all slopes start at 0.25.

    Raises
    ------
    ShapeError
        In `forward`, if there are several slopes, but ``x`` has a different number of features.

    Examples
    --------
    >>> layer = cr.PReLU()
    >>> y, backward = layer.forward(np.asarray([[-2.0, 3.0]], dtype="float32"))
    >>> y
    array([[-0.5,  3. ]], dtype=float32)
    >>> backward(np.ones_like(y))
    array([[0.25, 1.  ]], dtype=float32)
    >>> layer.weight.grad  # the derivative with respect to the slope
    array([-2.], dtype=float32)
    """

    per_step = True

    def __init__(self, features: int = 1, *, init: Initializer | None = None) -> None:
        self.features = whole("features", features, least=1)
        init = initializers.constant(0.25) if init is None else init
        self.weight = Parameter((self.features,), init=init, decay=False)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, weight, features = self.xp, self.weight, self.features
        fits = features == 1 or (x.ndim > 1 and x.shape[-1] == features)
        self.expect(fits, ("batch", "...", features), x)
        total = self.backend.kernel(sum_over_batch)
        y = xp.where(x > 0, x, weight.value * x)

        def backward(dy: Array) -> Array:
            dslopes = dy * xp.minimum(x, 0.0)
            weight.add_grad(total(dslopes) if features > 1 else xp.reshape(xp.sum(dslopes), (1,)))
            return xp.where(x > 0, dy, weight.value * dy)

        return y, backward


class ReLU6(Layer):
    """ReLU with an upper limit, ``y = min(max(x, 0), 6)``. The derivative at 0 and at 6 is 0.

    Source: A. Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.

    Examples
    --------
    >>> y, backward = cr.ReLU6().forward(np.asarray([-2.0, 3.0, 8.0]))
    >>> y
    array([0., 3., 6.])
    >>> backward(np.ones(3))  # the slope at each input
    array([0., 1., 0.])
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = xp.minimum(xp.maximum(x, 0.0), 6.0)
        return y, lambda dy: dy * xp.astype((x > 0) & (x < 6), dy.dtype)


class ELU(Layer):
    """Exponential linear unit: ``y = x`` where x > 0, else ``alpha * (exp(x) - 1)``.

    Source: D.-A. Clevert et al., "Fast and accurate deep network learning by exponential linear
    units", 2016.

    Parameters
    ----------
    alpha : float, optional
        ``-alpha`` is the limit of the output for large negative inputs.

    Examples
    --------
    >>> y, backward = cr.ELU().forward(np.asarray([-2.0, 0.0, 3.0]))
    >>> np.round(y, 3)
    array([-0.865,  0.   ,  3.   ])
    >>> np.round(backward(np.ones(3)), 3)  # the slope at each input
    array([0.135, 1.   , 1.   ])
    """

    keeps_arguments = True
    per_step = True
    alpha = Checked(finite)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        below = self.alpha * xp.expm1(xp.minimum(x, 0.0))
        y = xp.where(x > 0, x, below)
        return y, lambda dy: dy * xp.where(x > 0, 1.0, below + self.alpha)


class GELU(Layer):
    """Gaussian error linear unit, ``y = x Phi(x)``.

    Phi is the cumulative distribution function of the standard normal distribution. Source: D.
    Hendrycks and K. Gimpel, "Gaussian error linear units", 2016.

    Parameters
    ----------
    approximate : {"none", "tanh"}, optional
        With "none", Phi is exact. With "tanh", the layer approximates Phi by
        ``(1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``, which changes `y` by at most 4.8e-4.

    Examples
    --------
    >>> y, backward = cr.GELU().forward(np.asarray([-2.0, 0.0, 3.0]))
    >>> np.round(y, 3)
    array([-0.046,  0.   ,  2.996])
    >>> np.round(backward(np.ones(3)), 3)  # the slope at each input
    array([-0.085,  0.5  ,  1.012])
    """

    keeps_arguments = True
    per_step = True
    approximate = Checked(one_of("none", "tanh"))

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        if self.approximate == "tanh":
            return self._approximate(x)
        xp = self.xp
        x = xp.maximum(x, -40.0)  # Phi is 0 below -40 and 1 above 40
        z = xp.minimum(x, 40.0)
        share, density = self.backend.kernel(normal)(z)
        return x * share, lambda dy: dy * (share + z * density)

    def _approximate(self, x: Array) -> tuple[Array, Backward]:
        xp, c, d = self.xp, math.sqrt(2 / math.pi), 0.044715
        x = xp.maximum(x, -10.0)  # Phi is 0 below -10 and 1 above 10
        z = xp.minimum(x, 10.0)
        square = z * z
        half = 0.5 * (1.0 + xp.tanh(z * (c + c * d * square)))

        def backward(dy: Array) -> Array:
            return dy * (half * (1.0 + z * (1.0 - half) * (2.0 * c + 6.0 * c * d * square)))

        return x * half, backward


class SiLU(Layer):
    """Sigmoid linear unit, ``y = x sigmoid(x)``, also known as swish.

    Source: S. Elfwing et al., "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", 2018.

    Examples
    --------
    >>> y, backward = cr.SiLU().forward(np.asarray([-2.0, 0.0, 3.0]))
    >>> np.round(y, 3)
    array([-0.238,  0.   ,  2.858])
    >>> np.round(backward(np.ones(3)), 3)  # the slope at each input
    array([-0.091,  0.5  ,  1.088])
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        x = xp.maximum(x, -1000.0)  # the sigmoid is 0 below -1000 and 1 above 1000
        s = sigmoid(xp, x)
        return x * s, lambda dy: dy * (s * (1.0 + xp.minimum(x, 1000.0) * (1.0 - s)))


class Softplus(Layer):
    """Smooth rectifier, ``y = log(1 + exp(x))``.

    Source: C. Dugas et al., "Incorporating second-order functional knowledge for better option
    pricing", 2001.

    Examples
    --------
    >>> y, backward = cr.Softplus().forward(np.asarray([-2.0, 0.0, 3.0]))
    >>> np.round(y, 3)
    array([0.127, 0.693, 3.049])
    >>> np.round(backward(np.ones(3)), 3)  # the slope at each input
    array([0.119, 0.5  , 0.953])
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp = self.xp
        y = xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))  # the exponent is never positive
        return y, lambda dy: dy * sigmoid(xp, x)
