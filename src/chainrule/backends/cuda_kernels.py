"""A single CUDA kernel for each formula. CuPy alone would launch one kernel per operation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..formulas import (
    dot,
    masked,
    normal,
    relu_gradient,
    sign,
    softmax_cross_entropy,
    sum_over_batch,
)
from ..masks import index_of_first, keep_mask
from ..types import Array

_ROWS = 4  # the number of rows per block; each warp computes one row

SOFTMAX_CROSS_ENTROPY = """
extern "C" __global__ void softmax_cross_entropy(
    const REAL* y, const long long* labels, REAL* values, REAL* gradient,
    const int rows, const int classes)
{
    const int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (row >= rows) return;  // all threads of a warp have the same row
    y += (long long)row * classes;
    gradient += (long long)row * classes;

    REAL largest = y[0];
    for (int j = lane; j < classes; j += 32) largest = fmax(largest, y[j]);
    for (int n = 16; n > 0; n /= 2)
        largest = fmax(largest, __shfl_xor_sync(0xffffffff, largest, n));

    REAL total = 0;
    for (int j = lane; j < classes; j += 32) total += gradient[j] = exp(y[j] - largest);
    for (int n = 16; n > 0; n /= 2) total += __shfl_xor_sync(0xffffffff, total, n);

    const long long label = labels[row];
    for (int j = lane; j < classes; j += 32)
        gradient[j] = gradient[j] / total - (j == label ? 1 : 0);
    if (lane == 0)
        values[row] = 0 <= label && label < classes ? log(total) - (y[label] - largest) : nan("");
}
"""


def kernels(cupy: Any) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return a dict from formulas to their kernels, each of which is compiled on first use."""
    gradient = cupy.ElementwiseKernel(
        "T dy, T y", "T dx", "dx = dy * (T)(y > 0)", "chainrule_relu_gradient"
    )
    product = cupy.ElementwiseKernel(
        "T x, bool kept, T factor", "T y", "y = kept ? x * factor : (T)0", "chainrule_masked"
    )
    distribution = cupy.ElementwiseKernel(
        "T x",
        "T share, T density",
        "share = normcdf(x); density = exp(x * x * (T)-0.5) * (T)0.3989422804014327",
        "chainrule_normal",
    )
    mask = cupy.ElementwiseKernel(
        "int32 first, int32 second, int64 here, int64 threshold",
        "bool kept",
        # As in `keep_mask`, but with unsigned integers. `here + i` is the index of the element.
        """
        unsigned int h = (unsigned int)(here + i) * 0x9E3779B9u ^ (unsigned int)first;
        h = (h ^ (h >> 16)) * 0x7FEB352Du ^ (unsigned int)second;
        h = (h ^ (h >> 15)) * 0x846CA68Bu;
        kept = (long long)(int)h < threshold
        """,
        "chainrule_keep_mask",
    )
    real = {"float32": "float", "float64": "double"}
    cross_entropy = {
        name: cupy.RawKernel(SOFTMAX_CROSS_ENTROPY.replace("REAL", kind), "softmax_cross_entropy")
        for name, kind in real.items()
    }

    def of_relu(dy: Array, y: Array) -> Array:
        return gradient(dy, y)

    def of_masked(x: Array, kept: Array, factor: float) -> Array:
        return product(x, kept, factor)

    def of_normal(x: Array) -> tuple[Array, Array]:
        share, density = distribution(x)
        return share, density

    def of_mask(shape: tuple[int, ...], probability: float, key: Any, device: Any) -> Array:
        kept = cupy.empty(shape, dtype=bool)
        threshold = min(int(probability * 2.0**32), 2**32 - 1) - 2**31
        first, second, start = key
        return mask(first, second, index_of_first(shape, start), threshold, kept)

    def of_cross_entropy(y: Array, labels: Array) -> tuple[Array, Array]:
        y, labels = cupy.ascontiguousarray(y), cupy.ascontiguousarray(labels, dtype=cupy.int64)
        rows, classes = y.shape
        values, derivative = cupy.empty(rows, dtype=y.dtype), cupy.empty_like(y)
        cross_entropy[str(y.dtype)](
            (math.ceil(rows / _ROWS),),
            (32 * _ROWS,),
            (y, labels, values, derivative, cupy.int32(rows), cupy.int32(classes)),
        )
        return values, derivative

    return {
        sign: cupy.sign,
        dot: lambda a, b: cupy.sum(a * b, axis=-1, keepdims=True),
        sum_over_batch: lambda x: cupy.sum(x, axis=tuple(range(x.ndim - 1))),  # an accurate sum
        relu_gradient: of_relu,
        masked: of_masked,
        normal: of_normal,
        keep_mask: of_mask,
        softmax_cross_entropy: of_cross_entropy,
    }
