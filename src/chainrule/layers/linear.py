"""The fully connected layer."""

from __future__ import annotations

import math

from .. import initializers
from ..checks import flag, whole
from ..formulas import sum_over_batch
from ..initializers import Initializer
from ..parameter import Parameter
from ..types import Array, Backward
from .base import Layer


class Linear(Layer):
    """Fully connected layer, ``y = x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features : int
        The number of input features, and the number of output features. ``x`` has shape
        ``(batch, ..., in_features)``, and ``y`` has shape ``(batch, ..., out_features)``. The dots
        stand for any number of axes.
    bias : bool, optional
        Whether to add a bias of shape ``(out_features,)``.
    init : initializer, optional
        Initializer of the weight, which has shape ``(out_features, in_features)``. By default,
        `initializers.he_normal`.
    bias_init : initializer, optional
        Initializer of the bias. By default, the bias starts at zero.
    max_norm : float, optional
        The largest Euclidean norm that a row of the weight may have. Each row holds the incoming
        weights of one unit. See `Parameter`.

    Raises
    ------
    ShapeError
        In `forward`, if the shape of ``x`` does not fit.

    Examples
    --------
    >>> y, backward = cr.Linear(3, 2).forward(np.ones((4, 3), dtype="float32"))
    >>> y.shape, backward(y).shape
    ((4, 2), (4, 3))
    """

    takes_input_gradient = True
    per_step = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: Initializer | None = None,
        bias_init: Initializer | None = None,
        max_norm: float | None = None,
    ) -> None:
        self.in_features = whole("in_features", in_features, least=1)
        self.out_features = whole("out_features", out_features, least=1)
        init = initializers.he_normal() if init is None else init
        self.weight = Parameter((self.out_features, self.in_features), init=init, max_norm=max_norm)
        biased = flag("bias", bias)
        self.bias = Parameter((self.out_features,), init=bias_init, decay=False) if biased else None

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        features = self.in_features
        if x.ndim != 2:
            return self._over_last_axis(x)
        self.expect(x.shape[1] == features, ("batch", features), x)
        weight, bias, backend = self.weight, self.bias, self.backend
        y = backend.matmul(x, weight.value.T)
        if bias is not None:
            y += bias.value

        def backward(dy: Array, input_gradient: bool = True) -> Array | None:
            weight.add_grad_matmul(dy.T, x)
            if bias is not None:
                bias.add_grad(backend.kernel(sum_over_batch)(dy))
            return backend.matmul(dy, weight.value) if input_gradient else None

        return y, backward

    def _over_last_axis(self, x: Array) -> tuple[Array, Backward]:
        """Apply the layer to an array with more than two axes, reshaped to a matrix."""
        xp, shape, features = self.xp, x.shape, self.in_features
        hint = None
        if x.ndim > 3 or math.prod(shape[1:]) == features:
            hint = f"with Flatten() before this layer, x has shape (batch, {math.prod(shape[1:])})"
        self.expect(x.ndim > 2 and shape[-1] == features, ("batch", "...", features), x, hint)
        y, back = Linear.forward(self, xp.reshape(x, (-1, features)))

        def backward(dy: Array, input_gradient: bool = True) -> Array | None:
            dx = back(xp.reshape(dy, (-1, dy.shape[-1])), input_gradient)
            return xp.reshape(dx, shape) if input_gradient else None

        return xp.reshape(y, (*shape[:-1], y.shape[-1])), backward
