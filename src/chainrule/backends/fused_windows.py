"""The functions of `chainrule.windows` as compiled loops over one or two spatial axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import numpy as xp

from ..types import Array
from ..windows import (
    Windows,
    crop,
    pad,
    padded_shape,
    patches,
    sum_largest,
    sum_patches,
)
from .fused import cached

# The images have two spatial axes and are already padded. The last arguments of a loop are `size`,
# `stride` and `dilation` of the windows. Only loops over contiguous memory are fast. So windows
# that are neighbours in memory have their own loop.


@cached
def _patches_loop(x: Array, columns: Array, size: Any, stride: Any, dilation: Any) -> None:
    channels, elements, batch, height, width = columns.shape
    for c in range(channels):
        for element in range(elements):
            i, j = divmod(element, size[1])
            for n in range(batch):
                for r in range(height):
                    line = x[n, c, r * stride[0] + i * dilation[0]][j * dilation[1] :]
                    column = columns[c, element, n, r]
                    if stride[1] == 1:
                        for s in range(width):
                            column[s] = line[s]
                    else:
                        for s in range(width):
                            column[s] = line[s * stride[1]]


@cached
def _sum_patches_loop(columns: Array, x: Array, size: Any, stride: Any, dilation: Any) -> None:
    channels, elements, batch, height, width = columns.shape
    for c in range(channels):
        for element in range(elements):
            i, j = divmod(element, size[1])
            for n in range(batch):
                for r in range(height):
                    line = x[n, c, r * stride[0] + i * dilation[0]][j * dilation[1] :]
                    column = columns[c, element, n, r]
                    if stride[1] == 1:
                        for s in range(width):
                            line[s] += column[s]
                    else:
                        for s in range(width):
                            line[s * stride[1]] += column[s]


@cached
def _sum_largest_loop(
    dy: Array, x: Array, y: Array, inside: Array, dx: Array, size: Any, stride: Any, dilation: Any
) -> None:
    batch, channels, height, width = y.shape
    for n in range(batch):
        for c in range(channels):
            for r in range(height):
                for s in range(width):
                    row, column = r * stride[0], s * stride[1]
                    # Loop from last to first, because the first of the largest elements counts.
                    # Selecting is faster than branching, because the branches cannot be predicted.
                    i = i_found = row + (size[0] - 1) * dilation[0]
                    j_found = column
                    while i >= row:
                        j = column + (size[1] - 1) * dilation[1]
                        while j >= column:
                            value = x[n, c, i, j]
                            found = inside[i, j] & ((value == y[n, c, r, s]) | (value != value))
                            i_found = i if found else i_found
                            j_found = j if found else j_found
                            j -= dilation[1]
                        i -= dilation[0]
                    dx[n, c, i_found, j_found] += dy[n, c, r, s]


def _patches(x: Array, windows: Windows) -> Array:
    batch, channels = x.shape[:2]
    x, windows = _plane(pad(xp, x, windows.padding)), windows.in_plane()
    elements = math.prod(windows.size)
    columns = np.empty((channels, elements, batch, *windows.count), x.dtype)
    _patches_loop(x, columns, windows.size, windows.stride, windows.dilation)
    return columns.reshape(channels * elements, -1)


def _sum_patches(columns: Array, windows: Windows, shape: tuple[int, ...]) -> Array:
    batch, channels = shape[:2]
    x, plane = np.zeros(padded_shape(shape, windows.padding), columns.dtype), windows.in_plane()
    columns = columns.reshape(channels, -1, batch, *plane.count)
    _sum_patches_loop(columns, _plane(x), plane.size, plane.stride, plane.dilation)
    return crop(x, windows.padding)


def _sum_largest(dy: Array, x: Array, y: Array, windows: Windows) -> Array:
    plane = windows.in_plane()
    size, stride, dilation = plane.size, plane.stride, plane.dilation
    inside = pad(xp, np.ones((1, 1, *x.shape[2:]), bool), windows.padding, False)
    x = pad(xp, x, windows.padding, -math.inf)
    dx = np.zeros(x.shape, dy.dtype)
    images = map(_plane, (dy, x, y))
    _sum_largest_loop(*images, _plane(inside)[0, 0], _plane(dx), size, stride, dilation)
    return crop(dx, windows.padding)


def _plane(x: Array) -> Array:
    """Return a view with two spatial axes. A missing first axis has length 1."""
    return x if x.ndim == 4 else x[:, :, None, :]


KERNELS: dict[Callable[..., Any], Callable[..., Any]] = {
    patches: _patches,
    sum_patches: _sum_patches,
    sum_largest: _sum_largest,
}
