"""Random changes to a batch of inputs. The labels do not change."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from array_api_compat import array_namespace

from ..checks import whole
from ..errors import ShapeError
from ..types import Array

__all__ = ["RandomShift"]


def __dir__() -> list[str]:
    return __all__


Augmentation = Callable[[Array, np.random.Generator], Array]
"""A function that takes a batch of inputs and a random generator, and returns a changed batch."""


class RandomShift:
    """Shift each image by a random number of pixels, and fill the uncovered pixels with zeros.

    All channels of an image are shifted together.

    Source: P. Simard et al., "Best practices for convolutional neural networks applied to visual
    document analysis", 2003.

    Parameters
    ----------
    pixels : int
        The largest shift along each of the two axes, at least 0. All shifts from ``-pixels`` to
        ``pixels`` are equally likely.

    Raises
    ------
    ShapeError
        When called, if the images do not have shape ``(batch, height, width)`` or ``(batch,
        channels, height, width)``.

    Examples
    --------
    >>> image = np.asarray([[[1, 2], [3, 4]]])
    >>> RandomShift(1)(image, np.random.default_rng(2))
    array([[[0, 3],
            [0, 0]]])
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = whole("pixels", pixels, least=0)

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """Return the shifted images, with the same shape and dtype."""
        if images.ndim not in (3, 4):
            raise ShapeError(
                "expected images of shape (batch, height, width) or (batch, channels, height, "
                f"width), found {tuple(images.shape)}"
            )
        xp, device, n = array_namespace(images), images.device, self.pixels
        batch, *others, height, width = images.shape
        channels = math.prod(others)
        padded = batch, channels, height + 2 * n, width + 2 * n
        wide = xp.zeros(padded, dtype=images.dtype, device=device)
        wide[:, :, n : n + height, n : n + width] = xp.reshape(
            images, (batch, channels, height, width)
        )
        # For each image, draw the corner of a window in the padded image. Then compute the flat
        # index of each pixel of the window.
        corners = xp.asarray(rng.integers(0, 2 * n + 1, size=(2, batch, 1, 1, 1)), device=device)
        image, channel, row, column = (
            xp.reshape(xp.arange(size, dtype=corners.dtype, device=device), (-1, *[1] * after))
            for size, after in ((batch, 3), (channels, 2), (height, 1), (width, 0))
        )
        rows = (image * channels + channel) * (height + 2 * n) + row + corners[0, ...]
        index = xp.reshape(rows * (width + 2 * n) + column + corners[1, ...], (-1,))
        return xp.reshape(xp.take(xp.reshape(wide, (-1,)), index), images.shape)

    def __repr__(self) -> str:
        return f"RandomShift({self.pixels})"
