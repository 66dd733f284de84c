"""Windows at random positions in padded images."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from ...checks import Checked, at_least, finite, per_axis
from ...errors import ShapeError
from ...types import Array
from ...windows import pad
from .base import ImageAugmentation, fill_of, to_device


class RandomCrop(ImageAugmentation):
    """Cut a window out of each image, at a random position.

    All positions at which the window lies inside the padded image are equally likely. With padding,
    the images can keep their size: ``RandomCrop(32, padding=4)`` is the usual choice for CIFAR-10.
    If the window and the images differ in size, the model must accept both sizes in `fit`.

    Source: A. Krizhevsky et al., "ImageNet classification with deep convolutional neural networks",
    2012.

    Parameters
    ----------
    size : int or tuple of int
        The height and the width of the window, in pixels, at least 1. A single number stands for
        both.
    padding : int or tuple of int, optional
        The number of pixels to add on each side: one number for all sides, or one for top and
        bottom and one for left and right.
    fill : float, optional
        The value of the added pixels.

    Raises
    ------
    ShapeError
        When called, if the images do not have shape ``(batch, height, width)`` or ``(batch,
        channels, height, width)``, or if the window is larger than the padded image.
    ValueError
        When called, if the dtype of the images cannot represent `fill`.

    Examples
    --------
    >>> image = np.asarray([[[1, 2, 3], [4, 5, 6]]])
    >>> RandomCrop((1, 2))(image, np.random.default_rng(0))
    array([[[5, 6]]])
    """

    size = Checked(lambda name, size: per_axis(name, size, 2, least=1))
    padding = Checked(lambda name, padding: per_axis(name, padding, 2, least=0))
    fill = Checked(finite)

    def __init__(
        self,
        size: int | tuple[int, int],
        *,
        padding: int | tuple[int, int] = 0,
        fill: float = 0.0,
    ) -> None:
        self.size = size
        self.padding = padding
        self.fill = fill

    def _draw(
        self, rng: np.random.Generator, batch: int, size: tuple[int, ...]
    ) -> tuple[np.ndarray, ...]:
        """Draw the first row and the first column of each window."""
        padded = tuple(n + 2 * m for n, m in zip(size, self.padding, strict=True))
        if any(n > m for n, m in zip(self.size, padded, strict=True)):
            raise ShapeError(
                f"{self!r}: expected padded images of at least {self.size} pixels, found {padded}"
            )
        return _random_places(rng, batch, padded, self.size)

    def _change(self, images: Array, *drawn: np.ndarray) -> Array:
        """Return a window of each image."""
        return _windows(_padded(images, self.padding, self.fill), self.size, *drawn)


class RandomShift(ImageAugmentation):
    """Shift each image by a random number of pixels, and fill the uncovered pixels.

    Source: P. Simard et al., "Best practices for convolutional neural networks applied to visual
    document analysis", 2003.

    Parameters
    ----------
    pixels : int
        The largest shift along each of the two axes, at least 0. All shifts from ``-pixels`` to
        ``pixels`` are equally likely.
    fill : float, optional
        The value of the uncovered pixels.

    Raises
    ------
    ShapeError
        When called, if the images do not have shape ``(batch, height, width)`` or
        ``(batch, channels, height, width)``, or if the height or the width is at most `pixels`.
    ValueError
        When called, if the dtype of the images cannot represent `fill`.

    Examples
    --------
    >>> image = np.asarray([[[1, 2], [3, 4]]])
    >>> RandomShift(1)(image, np.random.default_rng(2))
    array([[[0, 3],
            [0, 0]]])
    """

    pixels = Checked(at_least(0))
    fill = Checked(finite)

    def __init__(self, pixels: int, *, fill: float = 0.0) -> None:
        self.pixels = pixels
        self.fill = fill

    def _draw(
        self, rng: np.random.Generator, batch: int, size: tuple[int, ...]
    ) -> tuple[np.ndarray, ...]:
        """Draw the first row and the first column of each image in the padded image."""
        if min(size) <= self.pixels:
            raise ShapeError(
                f"{self!r}: expected images larger than the largest shift, found {size} pixels"
            )
        return _random_places(rng, batch, tuple(n + 2 * self.pixels for n in size), size)

    def _change(self, images: Array, *drawn: np.ndarray) -> Array:
        """Return the shifted images."""
        padded = _padded(images, (self.pixels, self.pixels), self.fill)
        return _windows(padded, tuple(images.shape[2:]), *drawn)


def _padded(images: Array, padding: tuple[int, int], fill: float) -> Array:
    xp = array_namespace(images)
    return pad(xp, images, [(n, n) for n in padding], fill_of(images, fill))


def _random_places(
    rng: np.random.Generator, batch: int, outer: tuple[int, ...], size: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    """Draw the first pixel of a window of each image. All positions are equally likely."""
    return tuple(rng.integers(0, n - m + 1, batch) for n, m in zip(outer, size, strict=True))


def _windows(images: Array, size: tuple[int, ...], *places: np.ndarray) -> Array:
    """Cut a window of this size out of each image, at these rows and columns."""
    xp, device = array_namespace(images), images.device
    batch, channels, height, width = images.shape
    # Compute the flat index of each pixel of the windows.
    first = to_device(np.stack(places).reshape(2, batch, 1, 1, 1), images, "int64")
    image, channel, row, column = (
        xp.reshape(xp.arange(n, dtype=first.dtype, device=device), (-1, *[1] * after))
        for n, after in ((batch, 3), (channels, 2), (size[0], 1), (size[1], 0))
    )
    rows = (image * channels + channel) * height + row + first[0, ...]
    index = rows * width + column + first[1, ...]
    windows = xp.take(xp.reshape(images, (-1,)), xp.reshape(index, (-1,)))
    return xp.reshape(windows, index.shape)
