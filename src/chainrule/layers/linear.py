"""The linear map, and two layers that only reshape or rescale."""

from __future__ import annotations

import math

from .. import initializers
from ..backend import Array
from ..initializers import Initializer
from ..parameter import Parameter
from .base import Backward, Layer


class Linear(Layer):
    """``y = x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of ``x`` ``(batch, in_features)`` and ``y`` ``(batch, out_features)``.
    bias : bool, optional
        Whether there is a bias, ``(out_features,)``.
    init : initializer, optional
        Of the weight, ``(out_features, in_features)``; `initializers.he_normal` if not given.
    bias_init : initializer, optional
        Of the bias; zeros if not given.

    Raises
    ------
    ShapeError
        In `forward`, if ``x`` has another shape.

    Examples
    --------
    >>> y, backward = cr.Linear(3, 2).forward(np.ones((4, 3), dtype="float32"))
    >>> y.shape, backward(y).shape
    ((4, 2), (4, 3))
    """

    takes_input_gradient = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        self.in_features = in_features
        self.out_features = out_features
        init = initializers.he_normal() if init is None else init
        self.weight = Parameter((out_features, in_features), init=init)
        self.bias = Parameter((out_features,), init=bias_init, decay=False) if bias else None

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        self.expect(
            x.ndim == 2 and x.shape[1] == self.in_features, f"(batch, {self.in_features})", x
        )
        weight, bias = self.weight, self.bias
        y = x @ weight.value.T
        if bias is not None:
            y += bias.value

        def backward(dy: Array, input_gradient: bool = True) -> Array | None:
            weight.add_grad_matmul(dy.T, x)
            if bias is not None:
                bias.add_grad(self.xp.sum(dy, axis=0))
            return dy @ weight.value if input_gradient else None

        return y, backward


class Flatten(Layer):
    """All axes but the first made one: images ``(batch, height, width)`` to rows."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, shape = self.xp, x.shape
        self.expect(x.ndim > 0, "(batch, ...)", x)

        def backward(dy: Array) -> Array:
            return xp.reshape(dy, shape)

        return xp.reshape(x, (shape[0], math.prod(shape[1:]))), backward


class Identity(Layer):
    """``y = x``."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        return x, lambda dy: dy


class Rescaling(Layer):
    """``y = scale * x + offset`` with fixed numbers, such as ``Rescaling(1 / 255)`` for images.

    As a part of the model it is saved with it, and `predict` cannot scale otherwise than training
    did; the data itself may stay uint8, a quarter of the memory.
    """

    def __init__(self, scale: float, offset: float = 0.0) -> None:
        if not (math.isfinite(scale) and math.isfinite(offset)):
            raise ValueError(f"expected finite numbers, found scale={scale}, offset={offset}")
        self.scale = scale
        self.offset = offset

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        y = x * self.scale
        if self.offset != 0.0:
            y += self.offset
        return y, lambda dy: dy * self.scale
