"""Elastic distortions."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from ...checks import Checked, above_zero, at_least_zero, below, finite
from ...types import Array
from .base import ImageAugmentation, precision, resample, to_device


class RandomElastic(ImageAugmentation):
    """Move each pixel by a random displacement that changes smoothly across the image.

    For each pixel and axis, a number is drawn from the uniform distribution on [-1, 1]. A Gaussian
    filter smooths these numbers over the image. The result, multiplied by `alpha`, is the
    displacement in pixels. The new pixel is a bilinear sample of the image at the displaced
    position. Away from the border, the standard deviation of a displacement is about
    ``0.163 * alpha / sigma`` for `sigma` of at least 1.

    In integer images, new pixels are rounded to the nearest integer. The filter is applied by
    matrix products, which suits images of up to a few hundred pixels along each axis.

    Source: P. Simard et al., "Best practices for convolutional neural networks applied to visual
    document analysis", 2003. For images of handwritten digits, they use ``RandomElastic(alpha=34,
    sigma=4)``.

    Parameters
    ----------
    alpha : float
        The factor that multiplies the smoothed numbers, in pixels, at least 0.
    sigma : float
        The standard deviation of the Gaussian filter, in pixels, above 0 and below 1000. The filter
        ends four standard deviations from its centre, and all numbers outside the image count as 0.
    fill : float, optional
        The value of all pixels outside the image.

    Raises
    ------
    ShapeError
        When called, if the images do not have shape ``(batch, height, width)`` or ``(batch,
        channels, height, width)``.
    DataError
        When called, if the images are neither in uint8 nor in a floating-point dtype.
    ValueError
        When called, if the dtype of the images cannot represent `fill`.

    Examples
    --------
    >>> image = np.asarray([[[0.0, 1.0], [0.0, 1.0]]])
    >>> RandomElastic(alpha=1.0, sigma=1.0)(image, np.random.default_rng(0)).round(2)
    array([[[0.19, 0.61],
            [0.19, 0.79]]])
    """

    alpha = Checked(at_least_zero)
    sigma = Checked(lambda name, sigma: below(1000)(name, above_zero(name, sigma)))
    fill = Checked(finite)

    def __init__(self, alpha: float, sigma: float, *, fill: float = 0.0) -> None:
        self.alpha = alpha
        self.sigma = sigma
        self.fill = fill

    def _draw(
        self, rng: np.random.Generator, batch: int, size: tuple[int, ...]
    ) -> tuple[np.ndarray, ...]:
        """Draw a number from 0 to 1 for each pixel and axis."""
        return (np.moveaxis(rng.random((2, batch, *size)), 0, 1),)

    def _change(self, images: Array, *drawn: np.ndarray) -> Array:
        """Return the distorted images."""
        xp, dtype, size = array_namespace(images), precision(images), images.shape[2:]
        noise = 2.0 * to_device(np.moveaxis(drawn[0], 1, 0), images, dtype) - 1.0
        down, across = (to_device(gaussian_matrix(n, self.sigma), images, dtype) for n in size)
        displacement = self.alpha * xp.matmul(down, xp.matmul(noise, across))
        rows, columns = (xp.arange(n, dtype=noise.dtype, device=images.device) for n in size)
        return resample(
            images, rows[:, None] + displacement[0, ...], columns + displacement[1, ...], self.fill
        )


def gaussian_matrix(size: int, sigma: float) -> np.ndarray:
    """Return the symmetric matrix that smooths a vector with a Gaussian filter.

    The filter ends four standard deviations from its centre, and its weights sum to 1. Elements
    before and after the vector count as 0.
    """
    radius = int(4.0 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    weights /= 2.0 * np.sum(weights) - 1.0  # counts both sides, but the centre only once
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    return np.append(weights, np.zeros(size))[distance]
