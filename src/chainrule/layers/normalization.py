"""Batch normalisation."""

from __future__ import annotations

import math

from .. import initializers
from ..backends import Backend
from ..backends.conversion import on_host
from ..checks import Checked, above_zero, flag, share, whole
from ..errors import ShapeError
from ..formulas import scaled_norm, squares, sum_over_batch
from ..parameter import Buffer, Parameter
from ..types import Array, Backward
from .base import Layer
from .windowed import axes_hint


class BatchNorm(Layer):
    """Batch normalisation of each feature, ``y = weight * (x - mean) / sqrt(var + eps) + bias``.

    In images and sequences, ``(batch, features, ...)``, the features are the channels on axis 1.
    The statistics of a feature are computed over all samples and all positions.

    In training, the layer normalises with the mean and variance of the batch, and updates running
    averages of both: ``running = (1 - momentum) * running + momentum * new``. In inference, the
    layer normalises with the running averages. The variance of a batch is the sum of squared
    deviations divided by the number of values. For the running variance, the sum is divided by this
    number minus 1, as in PyTorch.

    While weight and bias are frozen (see `freeze`), the layer uses the running averages even in
    training, and does not update them. (PyTorch would keep updating them.) A layer without weight
    and bias cannot be frozen, so in training it always uses the statistics of the batch.

    In float32, deviations above 1.8e19 make the running variance infinite, which `Trainer.fit`
    reports as an error.

    A linear layer or a convolution directly before a `BatchNorm` needs no bias, because `BatchNorm`
    subtracts the mean: use ``Linear(..., bias=False)``.

    Source: S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by
    reducing internal covariate shift", 2015.

    Parameters
    ----------
    features : int
        The size of axis 1 of ``x`` and ``y``, which have shape ``(batch, features, ...)``. The
        parameters ``weight`` and ``bias`` and the buffers ``running_mean`` and ``running_var`` have
        shape ``(features,)``. Weight and running variance start at 1. Bias and running mean start
        at 0.
    eps : float, optional
        A number above 0 that avoids a division by zero if a feature is constant.
    momentum : float, optional
        The weight of the current batch in the running averages, 0 <= momentum <= 1.
    affine : bool, optional
        Whether to multiply by a weight and add a bias. If False, the attributes ``weight`` and
        ``bias`` are None.

    Raises
    ------
    ShapeError
        In `forward`, if the shape of ``x`` does not fit, or if a training batch has only one value
        for each feature.

    Examples
    --------
    >>> layer = cr.BatchNorm(2)
    >>> x = np.asarray([[1.0, 10.0], [3.0, 30.0]], dtype="float32")
    >>> y, backward = layer.forward(x, training=True)
    >>> np.round(y, 3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> layer.running_mean.value
    array([0.2, 2. ], dtype=float32)
    """

    keeps_arguments = True
    eps = Checked(above_zero)
    momentum = Checked(share)

    def __init__(
        self, features: int, eps: float = 1e-5, momentum: float = 0.1, *, affine: bool = True
    ) -> None:
        self.features = whole("features", features, least=1)
        self.eps = eps
        self.momentum = momentum
        self.affine = flag("affine", affine)
        shape, one = (self.features,), initializers.constant(1.0)
        self.weight = Parameter(shape, init=one, decay=False) if self.affine else None
        self.bias = Parameter(shape, decay=False) if self.affine else None
        self.running_mean = Buffer((self.features,))
        self.running_var = Buffer((self.features,), fill=1.0)

    def expect_batch(self, samples: int) -> None:
        if samples < 2 and not self._is_fixed():
            raise ShapeError(
                f"{self._label()}: expected at least 2 values of each feature in a training batch, "
                f"found {samples}"
            )

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, features = self.xp, self.features
        if x.ndim != 2:
            return self._over_axis_1(x, training)
        self.expect(x.shape[1] == features, ("batch", features), x)
        weight, bias, samples, share = self.weight, self.bias, x.shape[0], self.state.share
        total = self.backend.kernel(sum_over_batch)
        of_batch = training and not self._is_fixed()
        if of_batch:
            self.expect_batch(share.of_batch(samples))
            first = x[0, :]
            centred = x - first  # sums of small numbers are more accurate
            mean = total(centred) / samples
            centred -= mean
            variance = total(centred * centred) / samples
            samples, mean, variance = share.moments(samples, centred, first, mean, variance)
            self._follow(mean, variance * (samples / (samples - 1)))
        else:
            centred = x - self.running_mean.value
            variance = self.running_var.value
        inverse = 1.0 / xp.sqrt(variance + self.eps)
        if of_batch:
            inverse = without_overflow(self.backend, inverse, variance, centred, axis=0)
        scale = inverse if weight is None else weight.value * inverse
        y = centred * scale
        if bias is not None:
            y += bias.value

        def backward(dy: Array) -> Array:
            dbias = total(dy)
            dweight = total(dy * centred) * inverse
            if bias is not None and weight is not None:
                bias.add_grad(dbias)
                weight.add_grad(dweight)
            if not of_batch:
                return dy * scale
            dbias, dweight = share.sums(dbias, dweight)
            dx = centred * (inverse * dweight / -samples)
            dx += dy
            dx -= dbias / samples
            dx *= scale
            return dx

        return y, backward

    def _over_axis_1(self, x: Array, training: bool) -> tuple[Array, Backward]:
        """Normalise the channels of images or sequences. Each position becomes a row."""
        xp, features = self.xp, self.features
        fits = x.ndim > 2 and x.shape[1] == features
        self.expect(fits, ("batch", features, "..."), x, axes_hint(x, features, x.ndim))
        channels_last = x.shape[0], *x.shape[2:], features

        def as_rows(image: Array) -> Array:
            last = xp.permute_dims(image, (0, *range(2, image.ndim), 1))
            return xp.reshape(last, (-1, features))

        def as_image(matrix: Array) -> Array:
            last = xp.reshape(matrix, channels_last)
            return xp.permute_dims(last, (0, last.ndim - 1, *range(1, last.ndim - 1)))

        y, back = BatchNorm.forward(self, as_rows(x), training=training)
        return as_image(y), lambda dy: as_image(back(as_rows(dy)))

    def _is_fixed(self) -> bool:
        """Return whether weight and bias are frozen."""
        weight, bias = self.weight, self.bias
        return weight is not None and bias is not None and not (weight.trainable or bias.trainable)

    def _follow(self, mean: Array, variance: Array) -> None:
        """Move the running averages towards the statistics of a batch."""
        for running, new in ((self.running_mean, mean), (self.running_var, variance)):
            value = running.value
            value *= 1.0 - self.momentum
            value += self.momentum * new


def without_overflow(
    backend: Backend, inverse: Array, variance: Array, deviations: Array, axis: int
) -> Array:
    """Return `inverse`, with corrected values where the variance has overflowed.

    For the corrected values, the deviations are divided by the largest deviation before they are
    squared. On a device, `inverse` is returned unchanged, because checking for an overflow would
    have to wait for the result.
    """
    backend.expect_norm(variance)
    if not on_host(variance) or math.isfinite(float(backend.kernel(squares)(variance))):
        return inverse
    xp = backend.xp
    scale, norm = scaled_norm(xp, deviations, axis)
    exact = xp.reshape(math.sqrt(deviations.shape[axis]) / norm / scale, variance.shape)
    return xp.where(xp.isfinite(variance), inverse, exact)
