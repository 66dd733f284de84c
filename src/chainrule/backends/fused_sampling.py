"""The function of `chainrule.sampling` as a compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import numpy as xp

from ..sampling import bilinear
from ..types import Array
from ..windows import pad
from .fused import cached


@cached
def _bilinear_loop(x: Array, rows: Array, columns: Array, y: Array) -> None:
    batch, channels, out_height, out_width = y.shape
    one, after = rows.dtype.type(1), np.uint32(1)
    height, width = rows.dtype.type(x.shape[2] - 3), rows.dtype.type(x.shape[3] - 3)
    for n in range(batch):
        for c in range(channels):
            image = x[n, c]
            for i in range(out_height):
                for j in range(out_width):
                    row = min(max(-one, rows[n, i, j]), height) + one  # NaN becomes 0
                    column = min(max(-one, columns[n, i, j]), width) + one
                    # Unsigned, so that numba does not check for negative indices.
                    top, left = np.uint32(row), np.uint32(column)
                    below, beyond = row - rows.dtype.type(top), column - rows.dtype.type(left)
                    upper = image[top, left]
                    upper += beyond * (image[top, left + after] - upper)
                    lower = image[top + after, left]
                    lower += beyond * (image[top + after, left + after] - lower)
                    y[n, c, i, j] = upper + below * (lower - upper)


def _bilinear(images: Array, rows: Array, columns: Array, fill: float) -> Array:
    x = pad(xp, images.astype(rows.dtype, copy=False), ((1, 2), (1, 2)), fill)
    y = np.empty((*images.shape[:2], *rows.shape[1:]), rows.dtype)
    _bilinear_loop(x, np.ascontiguousarray(rows), np.ascontiguousarray(columns), y)
    return y


KERNELS: dict[Callable[..., Any], Callable[..., Any]] = {bilinear: _bilinear}
