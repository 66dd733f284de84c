"""Mirror images."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from ...checks import Checked, one_of, share
from ...types import Array
from .base import ImageAugmentation, to_device


class RandomFlip(ImageAugmentation):
    """Flip each image with probability `p`, independently of the other images.

    Parameters
    ----------
    p : float, optional
        The probability, from 0 to 1.
    axis : {-1, -2}, optional
        The axis to reverse. -1 swaps left and right, and -2 swaps top and bottom.

    Raises
    ------
    ShapeError
        When called, if the images do not have shape ``(batch, height, width)`` or ``(batch,
        channels, height, width)``.

    Examples
    --------
    >>> image = np.asarray([[[1, 2], [3, 4]]])
    >>> RandomFlip(1.0)(image, np.random.default_rng(0))
    array([[[2, 1],
            [4, 3]]])
    """

    p = Checked(share)
    axis = Checked(one_of(-1, -2))

    def __init__(self, p: float = 0.5, *, axis: int = -1) -> None:
        self.p = p
        self.axis = axis

    def _draw(
        self, rng: np.random.Generator, batch: int, size: tuple[int, ...]
    ) -> tuple[np.ndarray, ...]:
        """Choose the images to flip."""
        return (rng.random((batch, 1, 1, 1)) < self.p,)

    def _change(self, images: Array, *drawn: np.ndarray) -> Array:
        """Return the images after flipping some of them."""
        xp, (flipped,) = array_namespace(images), drawn
        return xp.where(to_device(flipped, images, "bool"), xp.flip(images, axis=self.axis), images)
