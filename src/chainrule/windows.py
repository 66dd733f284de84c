"""Windows that slide over the spatial axes of images, ``(batch, channels, *space)``.

The functions work for any number of spatial axes. A backend may replace each function with a
kernel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .types import Array


@dataclass(frozen=True)
class Windows:
    """The positions of windows. Each field has one entry per spatial axis.

    Attributes
    ----------
    size : tuple of int
        The number of elements in a window.
    stride : tuple of int
        The distance from one window to the next.
    dilation : tuple of int
        The distance from one element of a window to the next.
    padding : tuple of (int, int)
        The number of elements that are added before the image and after it.
    count : tuple of int
        The number of windows.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    count: tuple[int, ...]

    def elements(self) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Yield each element's index, and the slices that select the element in all windows."""
        for index in itertools.product(*map(range, self.size)):
            axes = zip(index, self.stride, self.dilation, self.count, strict=True)
            yield index, tuple(slice(i * d, i * d + (n - 1) * s + 1, s) for i, s, d, n in axes)

    def rows(self, part: slice, height: int) -> tuple[slice, Windows]:
        """Return the image rows that some rows of windows cover, and these windows within them.

        `part` is a slice of the rows of windows, and `height` is the height of the whole image. In
        a sequence, the rows are positions.
        """
        if part == slice(0, self.count[0]):
            return slice(0, height), self
        reach = self.dilation[0] * (self.size[0] - 1) + 1
        start = part.start * self.stride[0] - self.padding[0][0]
        stop = (part.stop - 1) * self.stride[0] - self.padding[0][0] + reach
        first, last = (min(max(row, 0), height) for row in (start, stop))
        above = min(max(-start, 0), stop - start)
        below = stop - start - above - (last - first)
        padding, count = self.padding[1:], self.count[1:]
        rows = part.stop - part.start
        return slice(first, last), replace(
            self, padding=((above, below), *padding), count=(rows, *count)
        )

    def in_plane(self) -> Windows:
        """Return the same windows with two spatial axes. A missing first axis has length 1."""
        if len(self.size) == 2:
            return self
        one = (1,)
        padding = (0, 0), *self.padding
        return Windows(
            one + self.size, one + self.stride, one + self.dilation, padding, one + self.count
        )


def patches(xp: Any, x: Array, windows: Windows) -> Array:
    """Return the windows of `x` as the columns of a matrix.

    Row ``(channel, *element)`` of column ``(sample, *window)`` holds one element of one window. The
    matrix has shape ``(channels * prod(size), batch * prod(count))``.
    """
    batch, channels = x.shape[:2]
    x = _swapped(xp, pad(xp, x, windows.padding))
    shape = (channels, *windows.size, batch, *windows.count)
    columns = xp.empty(shape, dtype=x.dtype, device=x.device)
    for index, place in windows.elements():
        columns[:, *index, ...] = x[:, :, *place]
    return xp.reshape(columns, (channels * math.prod(windows.size), -1))


def sum_patches(xp: Any, columns: Array, windows: Windows, shape: tuple[int, ...]) -> Array:
    """Return images of this shape, in which each element is the sum of its copies in `columns`.

    This map is the adjoint of `patches`: ``sum(columns * patches(x))`` is
    ``sum(sum_patches(columns) * x)`` for all `x`.
    """
    batch, channels = shape[:2]
    columns = xp.reshape(columns, (channels, *windows.size, batch, *windows.count))
    x = xp.zeros(padded_shape(shape, windows.padding), dtype=columns.dtype, device=columns.device)
    total = _swapped(xp, x)
    for index, place in windows.elements():
        total[:, :, *place] += columns[:, *index, ...]
    return crop(x, windows.padding)


def largest(xp: Any, x: Array, windows: Windows) -> Array:
    """Return the largest element of each window, or NaN if a window contains NaN."""
    x = pad(xp, x, windows.padding, -math.inf)
    (_, first), *others = windows.elements()
    y = xp.asarray(x[:, :, *first], copy=True)
    for _, place in others:
        y = xp.maximum(y, x[:, :, *place])
    return y


def sum_largest(xp: Any, dy: Array, x: Array, y: Array, windows: Windows) -> Array:
    """Add the `dy` of each window at the position of the window's largest element in `x`.

    The result has the shape of `x`. Among equal elements, and among NaNs, the first one counts. `y`
    is ``largest(x)``.
    """
    inside = pad(xp, xp.ones(x.shape[2:], dtype=xp.bool, device=x.device), windows.padding, False)
    x = pad(xp, x, windows.padding, -math.inf)
    dx = xp.zeros(x.shape, dtype=dy.dtype, device=dy.device)
    missing = xp.ones(y.shape, dtype=xp.bool, device=dy.device)
    for _, place in windows.elements():
        value = x[:, :, *place]
        found = missing & inside[place] & ((value == y) | (value != value))
        missing = missing ^ found
        dx[:, :, *place] += xp.where(found, dy, 0.0)
    return crop(dx, windows.padding)


def pad(xp: Any, x: Array, padding: Sequence[tuple[int, int]], fill: float | bool = 0.0) -> Array:
    """Return `x`, padded with the value `fill` at both ends of its last axes."""
    if not any(map(any, padding)):
        return x
    padded = xp.full(padded_shape(x.shape, padding), fill, dtype=x.dtype, device=x.device)
    crop(padded, padding)[...] = x
    return padded


def crop(x: Array, padding: Sequence[tuple[int, int]]) -> Array:
    """Return a view of `x` without its padding."""
    sizes = x.shape[-len(padding) :]
    return x[..., *(slice(a, n - b) for (a, b), n in zip(padding, sizes, strict=True))]


def padded_shape(shape: tuple[int, ...], padding: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return the shape of an array of this shape after `pad`."""
    axes = len(shape) - len(padding)
    return *shape[:axes], *(a + n + b for (a, b), n in zip(padding, shape[axes:], strict=True))


def _swapped(xp: Any, x: Array) -> Array:
    """Return a view of `x` with its first two axes, batch and channels, swapped."""
    return xp.permute_dims(x, (1, 0, *range(2, x.ndim)))
