"""CUDA kernels for the functions of `chainrule.windows` that convolutions use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..types import Array
from ..windows import Windows, patches, sum_patches

_PARAMETERS = ", ".join(
    f"int64 {name}"
    for name in (
        "batch", "channels", "height", "width", "rows", "columns", "size0", "size1",
        "stride0", "stride1", "dilation0", "dilation1", "before0", "before1",
    )
)  # fmt: skip

# `i` is the index of the element to compute. The kernels split `i` into one index per axis, from
# the last axis to the first.

_PATCHES = """
long long rest = i;
const long long s = rest % columns; rest /= columns;
const long long r = rest % rows; rest /= rows;
const long long n = rest % batch; rest /= batch;
const long long k1 = rest % size1; rest /= size1;
const long long k0 = rest % size0;
const long long c = rest / size0;
const long long y = r * stride0 + k0 * dilation0 - before0;
const long long z = s * stride1 + k1 * dilation1 - before1;
const bool inside = 0 <= y && y < height && 0 <= z && z < width;
column = inside ? x[((n * channels + c) * height + y) * width + z] : (T)0;
"""

# Each thread sums the copies of one element of the image. So no two threads write to the same
# element, and the order of summation never changes.

_SUM_PATCHES = """
long long rest = i;
const long long z = rest % width + before1; rest /= width;
const long long y = rest % height + before0; rest /= height;
const long long c = rest % channels;
const long long n = rest / channels;
T total = 0;
for (long long k0 = 0; k0 < size0; ++k0) {
    const long long r = y - k0 * dilation0;
    if (r < 0 || r % stride0 != 0 || r / stride0 >= rows) continue;
    for (long long k1 = 0; k1 < size1; ++k1) {
        const long long s = z - k1 * dilation1;
        if (s < 0 || s % stride1 != 0 || s / stride1 >= columns) continue;
        const long long place = ((c * size0 + k0) * size1 + k1) * batch + n;
        total += unfolded[(place * rows + r / stride0) * columns + s / stride1];
    }
}
x = total;
"""


def window_kernels(cupy: Any) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return a dict from functions to their kernels, each of which is compiled on first use."""
    unfold = cupy.ElementwiseKernel(
        f"raw T x, {_PARAMETERS}", "T column", _PATCHES, "chainrule_patches"
    )
    fold = cupy.ElementwiseKernel(
        f"raw T unfolded, {_PARAMETERS}", "T x", _SUM_PATCHES, "chainrule_sum_patches"
    )

    def of_patches(x: Array, windows: Windows) -> Array:
        batch, channels = x.shape[:2]
        rows = channels * math.prod(windows.size)
        columns = cupy.empty((rows, batch * math.prod(windows.count)), dtype=x.dtype)
        return unfold(cupy.ascontiguousarray(x), *_numbers(x.shape, windows), columns)

    def of_sum_patches(columns: Array, windows: Windows, shape: tuple[int, ...]) -> Array:
        x = cupy.empty(shape, dtype=columns.dtype)
        return fold(cupy.ascontiguousarray(columns), *_numbers(shape, windows), x)

    return {patches: of_patches, sum_patches: of_sum_patches}


def _numbers(shape: tuple[int, ...], windows: Windows) -> tuple[int, ...]:
    """Return the numbers in the order of `_PARAMETERS`."""
    plane = windows.in_plane()
    space = shape[2:] if len(shape) == 4 else (1, *shape[2:])
    before = tuple(before for before, _ in plane.padding)
    return *shape[:2], *space, *plane.count, *plane.size, *plane.stride, *plane.dilation, *before
