"""Layers that normalise each sample to mean 0 and variance 1."""

from __future__ import annotations

from .. import initializers
from ..backends import Backend
from ..checks import Checked, above_zero, flag, whole
from ..formulas import dot, sum_over_batch
from ..parameter import Parameter
from ..types import Array, Backward
from .base import Layer
from .normalization import without_overflow
from .windowed import axes_hint


class LayerNorm(Layer):
    """Layer normalisation of each sample, ``y = weight * (x - mean) / sqrt(var + eps) + bias``.

    Mean and variance are computed over the last axis. The variance is the mean squared deviation.
    The layer works in the same way in training and inference, and a batch may have a single sample.
    On a GPU, the layer does not check for overflow. Where float32 deviations exceed 1.8e19, `y`
    equals the bias.

    Source: J. Ba et al., "Layer normalization", 2016.

    Parameters
    ----------
    features : int
        The size of the last axis of ``x`` and ``y``, which have shape ``(batch, ..., features)``.
        The parameters ``weight`` and ``bias`` have shape ``(features,)``. ``weight`` starts at 1,
        and ``bias`` at 0.
    eps : float, optional
        A number above 0 that avoids a division by zero if all features of a sample are equal.

    Raises
    ------
    ShapeError
        In `forward`, if the shape of ``x`` does not fit.

    Examples
    --------
    >>> x = np.asarray([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]], dtype="float32")
    >>> np.round(cr.LayerNorm(3).forward(x)[0], 3)
    array([[-1.225,  0.   ,  1.225],
           [-1.225,  0.   ,  1.225]], dtype=float32)
    """

    keeps_arguments = True
    per_step = True
    eps = Checked(above_zero)

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        self.features = whole("features", features, least=1)
        self.eps = eps
        self.weight = Parameter((self.features,), init=initializers.constant(1.0), decay=False)
        self.bias = Parameter((self.features,), decay=False)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        features = self.features
        self.expect(x.ndim > 1 and x.shape[-1] == features, ("batch", "...", features), x)
        weight, bias, total = self.weight, self.bias, self.backend.kernel(sum_over_batch)
        normal, back = standardized(self.backend, x, self.eps)
        y = normal * weight.value
        y += bias.value

        def backward(dy: Array) -> Array:
            bias.add_grad(total(dy))
            weight.add_grad(total(dy * normal))
            return back(dy * weight.value)

        return y, backward


class GroupNorm(Layer):
    """Normalisation of each sample over groups of channels.

    ``y = weight * (x - mean) / sqrt(var + eps) + bias``, where mean and variance are computed over
    the channels of a group and all positions. The variance is the mean squared deviation. The layer
    works in the same way in training and inference, and a batch may have a single sample. For
    overflow on a GPU, see `LayerNorm`.

    Source: Y. Wu and K. He, "Group normalization", 2018.

    Parameters
    ----------
    num_groups : int
        The number of groups. `num_channels` must be a multiple of it.
    num_channels : int
        The size of axis 1 of ``x`` and ``y``, which have shape ``(batch, channels, ...)``. The
        parameters ``weight`` and ``bias`` have shape ``(channels,)``. ``weight`` starts at 1, and
        ``bias`` at 0.
    eps : float, optional
        A number above 0 that avoids a division by zero if all elements of a group are equal.
    affine : bool, optional
        Whether to multiply by a weight and add a bias. If False, the attributes ``weight`` and
        ``bias`` are None.

    Raises
    ------
    ShapeError
        In `forward`, if the shape of ``x`` does not fit.

    Examples
    --------
    >>> x = np.asarray([[[1.0, 3.0], [5.0, 7.0], [2.0, 2.0], [4.0, 4.0]]], dtype="float32")
    >>> np.round(cr.GroupNorm(2, 4).forward(x)[0], 2)
    array([[[-1.34, -0.45],
            [ 0.45,  1.34],
            [-1.  , -1.  ],
            [ 1.  ,  1.  ]]], dtype=float32)
    """

    keeps_arguments = True
    eps = Checked(above_zero)
    _fixed = frozenset({"num_groups", "num_channels", "affine"})

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, *, affine: bool = True
    ) -> None:
        self.num_groups = whole("num_groups", num_groups, least=1)
        self.num_channels = whole("num_channels", num_channels, least=1)
        if num_channels % num_groups:
            raise ValueError(
                f"expected num_channels to be a multiple of num_groups, found {num_channels} and "
                f"{num_groups}"
            )
        self.eps = eps
        self.affine = flag("affine", affine)
        shape, one = (self.num_channels,), initializers.constant(1.0)
        self.weight = Parameter(shape, init=one, decay=False) if self.affine else None
        self.bias = Parameter(shape, decay=False) if self.affine else None

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, channels, shape = self.xp, self.num_channels, x.shape
        fits = x.ndim > 1 and shape[1] == channels and min(shape) > 0
        self.expect(fits, ("batch", channels, "..."), x, axes_hint(x, channels, x.ndim))
        weight, bias, total = self.weight, self.bias, self.backend.kernel(sum_over_batch)
        rows = xp.reshape(x, (shape[0] * self.num_groups, -1))
        normal, back = standardized(self.backend, rows, self.eps)

        def by_channel(rows: Array) -> Array:
            return xp.reshape(rows, (shape[0], channels, -1))

        y = by_channel(normal)
        if weight is not None and bias is not None:
            y = y * weight.value[:, None] + bias.value[:, None]

        def backward(dy: Array) -> Array:
            dy = by_channel(dy)
            if weight is not None and bias is not None:
                bias.add_grad(total(xp.sum(dy, axis=2)))
                weight.add_grad(total(xp.sum(dy * by_channel(normal), axis=2)))
                dy = dy * weight.value[:, None]
            return xp.reshape(back(xp.reshape(dy, normal.shape)), shape)

        return xp.reshape(y, shape), backward


def standardized(backend: Backend, x: Array, eps: float) -> tuple[Array, Backward]:
    """Return ``(x - mean) / sqrt(var + eps)`` over the last axis, and its backward function."""
    xp, row_dot, features = backend.xp, backend.kernel(dot), x.shape[-1]
    normal = x - x[..., :1]  # sums of small numbers are more accurate
    normal -= xp.mean(normal, axis=-1, keepdims=True)
    variance = row_dot(normal, normal) / features
    inverse = 1.0 / xp.sqrt(variance + eps)
    inverse = without_overflow(backend, inverse, variance, normal, axis=-1)
    normal *= inverse

    def backward(dnormal: Array) -> Array:
        dx = normal * (row_dot(dnormal, normal) / -features)
        dx += dnormal
        dx -= xp.mean(dnormal, axis=-1, keepdims=True)
        dx *= inverse
        return dx

    return normal, backward
