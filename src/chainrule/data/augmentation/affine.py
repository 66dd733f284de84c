"""Rotation, scaling, shearing and translation."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...checks import Checked, at_least_zero, below, finite
from ...errors import shown
from ...types import Array
from .base import ImageAugmentation, precision, resample, to_device


def _factors(name: str, pair: Any) -> tuple[float, float]:
    """Return the two numbers if ``0 < low <= high``; otherwise raise an error."""
    expected = f"expected {name} to be a pair (low, high) with 0 < low <= high"
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{expected}, found {shown(pair)}")
    low, high = (finite(name, number) for number in pair)
    if not 0.0 < low <= high:
        raise ValueError(f"{expected}, found {shown(pair)}")
    return low, high


class RandomAffine(ImageAugmentation):
    """Shear, scale and rotate each image about its centre, and translate it.

    The shear, the scale, the angle and the shift along each axis are drawn independently from
    uniform distributions. The shear is applied first and the shift last, with a single
    interpolation. Each new pixel is a bilinear sample of the image. In integer images, new pixels
    are rounded to the nearest integer.

    Parameters
    ----------
    degrees : float, optional
        The largest angle of rotation, in degrees, at least 0. The angle is between ``-degrees`` and
        ``degrees``. Positive angles turn an image counter-clockwise.
    translate : float, optional
        The largest shift along each axis, in pixels, at least 0. The shift is between
        ``-translate`` and ``translate``, and need not be a whole number.
    scale : tuple of float, optional
        The smallest and the largest scale, both above 0. A scale of 2 makes the content of an image
        twice as large.
    shear : float, optional
        The largest angle of shear, in degrees, at least 0 and below 90. The angle is between
        ``-shear`` and ``shear``. A vertical line is tilted by this angle, to the right if the angle
        is positive. Horizontal lines stay horizontal.
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
    >>> image = np.asarray([[[0.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 0.0]]])
    >>> RandomAffine(scale=(2.0, 2.0))(image, np.random.default_rng(0))
    array([[[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]]])
    """

    degrees = Checked(at_least_zero)
    translate = Checked(at_least_zero)
    scale = Checked(_factors)
    shear = Checked(below(90))
    fill = Checked(finite)

    def __init__(
        self,
        *,
        degrees: float = 0.0,
        translate: float = 0.0,
        scale: tuple[float, float] = (1.0, 1.0),
        shear: float = 0.0,
        fill: float = 0.0,
    ) -> None:
        self.degrees = degrees
        self.translate = translate
        self.scale = scale
        self.shear = shear
        self.fill = fill

    def _draw(
        self, rng: np.random.Generator, batch: int, size: tuple[int, ...]
    ) -> tuple[np.ndarray, ...]:
        """Draw a matrix and a shift for each image."""
        matrices = self._matrices(batch, rng)
        return matrices, rng.uniform(-self.translate, self.translate, (batch, 2, 1))

    def _change(self, images: Array, *drawn: np.ndarray) -> Array:
        """Return the transformed images."""
        xp, dtype, size = array_namespace(images), precision(images), images.shape[2:]
        matrices, shift = drawn
        # The new pixel at `p` is sampled from the image at `inverse @ p + offset`.
        inverse = np.linalg.inv(matrices)
        centre = (np.asarray(size)[:, None] - 1.0) / 2.0
        offset = centre - inverse @ (centre + shift)
        maps = to_device(np.concatenate((inverse, offset), axis=2), images, dtype)
        row, column = (xp.arange(n, dtype=maps.dtype, device=images.device) for n in size)
        rows, columns = (
            maps[:, axis, 0, None, None] * row[:, None]
            + maps[:, axis, 1, None, None] * column
            + maps[:, axis, 2, None, None]
            for axis in (0, 1)
        )
        return resample(images, rows, columns, self.fill)

    def _matrices(self, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the matrices that map offsets ``(row, column)`` from the centre to new offsets."""
        tilt = np.tan(np.radians(rng.uniform(-self.shear, self.shear, batch)))
        low, high = self.scale
        scale = rng.uniform(low, high, batch)
        angle = np.radians(rng.uniform(-self.degrees, self.degrees, batch))
        sine, cosine = np.sin(angle), np.cos(angle)
        # First a shear, then a rotation: ((cos, -sin), (sin, cos)) @ ((1, 0), (-tilt, 1)).
        rows = (cosine + tilt * sine, -sine), (sine - tilt * cosine, cosine)
        matrices: np.ndarray = scale * np.asarray(rows)
        return np.moveaxis(matrices, -1, 0)
