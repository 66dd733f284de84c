"""Changes to a batch of inputs that leave their labels true, drawn anew for each step."""

from __future__ import annotations

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
"""Takes a batch of inputs on its device and the generator of the step, and returns the batch."""


class RandomShift:
    """Moves each image by a whole number of pixels, drawn evenly; what comes in is zero.

    Source: P. Simard et al., "Best practices for convolutional neural networks applied to visual
    document analysis", 2003.

    Parameters
    ----------
    pixels : int
        How far at most, along each of the two axes, at least 0.

    Raises
    ------
    ShapeError
        When called on what are no images ``(batch, height, width)``.

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
        """The images moved, an array of the same shape and dtype."""
        if images.ndim != 3:
            raise ShapeError(
                f"expected images of shape (batch, height, width), found {tuple(images.shape)}"
            )
        xp, device, n = array_namespace(images), images.device, self.pixels
        batch, height, width = images.shape
        wide = xp.zeros((batch, height + 2 * n, width + 2 * n), dtype=images.dtype, device=device)
        wide[:, n : n + height, n : n + width] = images
        # Where each image is cut out of its wide one, as numbers of elements in the flat array.
        corners = xp.asarray(rng.integers(0, 2 * n + 1, size=(2, batch, 1, 1)), device=device)
        image, row, column = (
            xp.reshape(xp.arange(size, dtype=corners.dtype, device=device), shape)
            for size, shape in ((batch, (-1, 1, 1)), (height, (1, -1, 1)), (width, (1, 1, -1)))
        )
        rows = image * (height + 2 * n) + row + corners[0, ...]
        index = xp.reshape(rows * (width + 2 * n) + column + corners[1, ...], (-1,))
        return xp.reshape(xp.take(xp.reshape(wide, (-1,)), index), (batch, height, width))

    def __repr__(self) -> str:
        return f"RandomShift({self.pixels})"
