"""Interpolation between pixels of images. A backend may replace the function with a kernel."""

from __future__ import annotations

from typing import Any

from .types import Array
from .windows import pad


def bilinear(xp: Any, images: Array, rows: Array, columns: Array, fill: float) -> Array:
    """Return the values of images at the given positions, interpolated between four pixels.

    Every pixel outside an image has the value `fill`. So the values change continuously across the
    edge of an image. Positions that are NaN, or at least 1 pixel outside, have the value `fill`.

    Parameters
    ----------
    images : array
        Images, ``(batch, channels, height, width)``.
    rows, columns : array
        Positions in units of pixels, ``(batch, out_height, out_width)``. Position 0 is the centre
        of the first pixel.
    fill : float
        The value of the pixels outside an image.

    Returns
    -------
    array
        The values, ``(batch, channels, out_height, out_width)``, in the dtype of the positions.
    """
    batch, channels, height, width = images.shape
    # The padding at the end is 2, because interpolation also reads the pixel after the position.
    x = pad(xp, xp.astype(images, rows.dtype), ((1, 2), (1, 2)), fill)
    across = width + 3
    top, below = _pixel_and_rest(xp, rows, height)
    left, beyond = _pixel_and_rest(xp, columns, width)
    first = xp.arange(batch * channels, dtype=top.dtype, device=images.device)
    first = xp.reshape(first, (batch, channels, 1, 1)) * ((height + 3) * across)
    index = xp.reshape(first + (top * across + left)[:, None, :, :], (-1,))
    x, shape = xp.reshape(x, (-1,)), (batch, channels, *rows.shape[1:])
    a, b, c, d = (
        xp.reshape(xp.take(x, index + step), shape) for step in (0, 1, across, across + 1)
    )
    below, beyond = below[:, None, :, :], beyond[:, None, :, :]
    upper = a + beyond * (b - a)
    lower = c + beyond * (d - c)
    return upper + below * (lower - upper)


def _pixel_and_rest(xp: Any, position: Array, size: int) -> tuple[Array, Array]:
    """Return the index of the pixel before each position, and the distance from this pixel.

    The index refers to the padded image.
    """
    position = xp.where(position > -1.0, position, -1.0)  # NaN also becomes -1
    position = xp.minimum(position, float(size)) + 1.0
    pixel = xp.floor(position)
    return xp.astype(pixel, xp.int64), position - pixel
