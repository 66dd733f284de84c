"""Dropout, with the same masks on every backend."""

from __future__ import annotations

from ..checks import Checked, below_one
from ..formulas import masked
from ..masks import keep_mask
from ..types import Array, Backward
from .base import Layer


class Dropout(Layer):
    """In training, sets each element to zero with probability `p`, and scales up all others.

    In training, ``y = x * mask / (1 - p)``, so that the expected value of ``y`` is ``x``. In
    inference, ``y = x``. Each element of the mask depends on a hash of the seed, the number of the
    mask and the index of the element. So every backend computes exactly the same masks, without a
    random generator.

    Source: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", 2014.

    Parameters
    ----------
    p : float
        The probability that an element is set to zero, 0 <= p < 1.

    Examples
    --------
    >>> model = cr.Sequential(cr.Dropout(0.5), seed=3)
    >>> x = np.ones((2, 4), dtype="float32")
    >>> model.forward(x, training=True)[0]
    array([[0., 2., 0., 2.],
           [0., 0., 2., 2.]], dtype=float32)
    >>> model.forward(x)[0]
    array([[1., 1., 1., 1.],
           [1., 1., 1., 1.]], dtype=float32)
    """

    keeps_arguments = True
    per_step = True
    p = Checked(below_one)

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        if not training or self.p == 0.0:
            return x, lambda dy: dy
        state, kernel = self.state, self.backend.kernel
        kept = kernel(keep_mask)(self._mask_shape(x), 1.0 - self.p, state.next_key(), x.device)
        factor = 1.0 / (1.0 - self.p)
        return kernel(masked)(x, kept, factor), lambda dy: kernel(masked)(dy, kept, factor)

    def _mask_shape(self, x: Array) -> tuple[int, ...]:
        return tuple(x.shape)


class Dropout2d(Dropout):
    """In training, sets each channel of each image to zero with probability `p`.

    As in `Dropout`, all other channels are divided by ``1 - p``. If single pixels were set to zero,
    the next layer could infer them from similar neighbouring pixels.

    Source: J. Tompson et al., "Efficient object localization using convolutional networks", 2015.

    Parameters
    ----------
    p : float
        The probability that a channel of ``x``, ``(batch, channels, height, width)``, is set to
        zero, 0 <= p < 1. There may be any number of axes after the channels.

    Raises
    ------
    ShapeError
        In `forward` in training, if ``x`` has fewer than three axes.

    Examples
    --------
    >>> model = cr.Sequential(cr.Dropout2d(0.5), seed=0)
    >>> x = np.ones((1, 4, 1, 2), dtype="float32")
    >>> model.forward(x, training=True)[0][0, :, 0]  # one row per channel
    array([[0., 0.],
           [2., 2.],
           [0., 0.],
           [2., 2.]], dtype=float32)
    """

    per_step = False

    def _mask_shape(self, x: Array) -> tuple[int, ...]:
        self.expect(x.ndim > 2, ("batch", "channels", "..."), x)
        return *x.shape[:2], *(1 for _ in x.shape[2:])
