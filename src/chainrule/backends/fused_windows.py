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
    largest,
    pad,
    padded_shape,
    patches,
    sum_largest,
    sum_patches,
)
from .fused import cached

# A loop takes images of two spatial axes, which are padded already. The last three arguments are
# `size`, `stride` and `dilation` of the windows. Where neighbouring windows are neighbours in
# memory, a loop of its own copies them without computing addresses.


@cached
def _patches_loop(x: Array, columns: Array, size: Any, stride: Any, dilation: Any) -> None:
    _, _, batch, height, width = columns.shape
    for row in range(columns.shape[0]):
        for element in range(columns.shape[1]):
            i, j = divmod(element, size[1])
            for n in range(batch):
                for r in range(height):
                    line = x[n, row, r * stride[0] + i * dilation[0]]
                    start = j * dilation[1]
                    if stride[1] == 1:
                        for s in range(width):
                            columns[row, element, n, r, s] = line[start + s]
                    else:
                        for s in range(width):
                            columns[row, element, n, r, s] = line[start + s * stride[1]]


@cached
def _sum_patches_loop(columns: Array, x: Array, size: Any, stride: Any, dilation: Any) -> None:
    _, _, batch, height, width = columns.shape
    for row in range(columns.shape[0]):
        for element in range(columns.shape[1]):
            i, j = divmod(element, size[1])
            for n in range(batch):
                for r in range(height):
                    line = x[n, row, r * stride[0] + i * dilation[0]]
                    start = j * dilation[1]
                    if stride[1] == 1:
                        for s in range(width):
                            line[start + s] += columns[row, element, n, r, s]
                    else:
                        for s in range(width):
                            line[start + s * stride[1]] += columns[row, element, n, r, s]


@cached
def _largest_loop(x: Array, y: Array, which: Array, size: Any, stride: Any, dilation: Any) -> None:
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            for r in range(y.shape[2]):
                for s in range(y.shape[3]):
                    best, place = x[n, c, r * stride[0], s * stride[1]], 0
                    for i in range(size[0]):
                        for j in range(size[1]):
                            value = x[
                                n,
                                c,
                                r * stride[0] + i * dilation[0],
                                s * stride[1] + j * dilation[1],
                            ]
                            if value > best or value != value:
                                best, place = value, i * size[1] + j
                    y[n, c, r, s] = best
                    which[n, c, r, s] = place


@cached
def _sum_largest_loop(
    dy: Array, which: Array, dx: Array, size: Any, stride: Any, dilation: Any
) -> None:
    for n in range(dy.shape[0]):
        for c in range(dy.shape[1]):
            for r in range(dy.shape[2]):
                for s in range(dy.shape[3]):
                    i, j = divmod(which[n, c, r, s], size[1])
                    row, column = r * stride[0] + i * dilation[0], s * stride[1] + j * dilation[1]
                    dx[n, c, row, column] += dy[n, c, r, s]


def _patches(x: Array, windows: Windows) -> Array:
    batch, channels = x.shape[:2]
    x, elements = _planes(pad(xp, x, windows.padding)), math.prod(windows.size)
    columns = np.empty((channels, elements, batch, *_plane(windows.count)), x.dtype)
    _patches_loop(x, columns, *_places(windows))
    return columns.reshape(channels * elements, -1)


def _sum_patches(columns: Array, windows: Windows, shape: tuple[int, ...]) -> Array:
    batch, channels = shape[:2]
    x = np.zeros(padded_shape(shape, windows.padding), columns.dtype)
    columns = columns.reshape(channels, -1, batch, *_plane(windows.count))
    _sum_patches_loop(columns, _planes(x), *_places(windows))
    return crop(x, windows.padding)


def _largest(x: Array, windows: Windows) -> tuple[Array, Array]:
    shape = (*x.shape[:2], *windows.count)
    y, which = np.empty(shape, x.dtype), np.empty(shape, np.int32)
    x = pad(xp, x, windows.padding, -math.inf)
    _largest_loop(_planes(x), _planes(y), _planes(which), *_places(windows))
    return y, which


def _sum_largest(dy: Array, which: Array, windows: Windows, shape: tuple[int, ...]) -> Array:
    dx = np.zeros(padded_shape(shape, windows.padding), dy.dtype)
    _sum_largest_loop(_planes(dy), _planes(which), _planes(dx), *_places(windows))
    return crop(dx, windows.padding)


def _planes(x: Array) -> Array:
    """Return a view with two spatial axes, the first of which may have length 1."""
    return x if x.ndim == 4 else x[:, :, None, :]


def _plane(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return sizes if len(sizes) == 2 else (1, *sizes)


def _places(windows: Windows) -> tuple[tuple[int, ...], ...]:
    return _plane(windows.size), _plane(windows.stride), _plane(windows.dilation)


KERNELS: dict[Callable[..., Any], Callable[..., Any]] = {
    patches: _patches,
    sum_patches: _sum_patches,
    largest: _largest,
    sum_largest: _sum_largest,
}
