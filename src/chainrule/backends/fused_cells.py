"""Compiled float32 loops for the gated cells of `chainrule.cells`, one for each pass.

numba does not vectorise `tanh`, so these loops compute `tanh` as a quotient of two polynomials.
Other dtypes have no compiled loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..cells import gru_cell, lstm_cell
from ..types import Array
from .fused import cached

# For |x| <= 9, tanh(x) is x * P(x²) / Q(x²) with a relative error of 2e-8. The coefficients come
# from a fit that increases the weights of the largest errors in each iteration. In float32, `_tanh`
# has a relative error of at most 3e-7.
_P0, _P1, _P2, _P3, _P4 = map(
    np.float32, (1.0, 0.13381068, 0.003495637, 2.0609836e-05, 1.3355596e-08)
)
_Q1, _Q2, _Q3, _Q4 = map(np.float32, (0.46714383, 0.025877172, 0.00032857127, 7.776965e-07))
_HALF, _ONE, _LARGEST = np.float32(0.5), np.float32(1.0), np.float32(9.0)


@cached
def _clipped(x: Any, limit: Any) -> Any:
    x = limit if x > limit else x  # in this form, NaN stays NaN
    return -limit if x < -limit else x


@cached
def _tanh(x: Any) -> Any:
    x = _clipped(x, _LARGEST)
    s = x * x
    numerator = x * (_P0 + s * (_P1 + s * (_P2 + s * (_P3 + s * _P4))))
    denominator = _ONE + s * (_Q1 + s * (_Q2 + s * (_Q3 + s * _Q4)))
    return _clipped(numerator / denominator, _ONE)


@cached
def _sigmoid(x: Any) -> Any:
    return _HALF * _tanh(_HALF * x) + _HALF


# All arrays below are contiguous, with one row per sample. A row of `gates` holds one gate after
# another. numba vectorises short loops over one gate, but not one loop over all gates.


@cached
def _lstm(from_x: Array, from_h: Array, c: Array, gates: Array, new_c: Array, new_h: Array) -> None:
    batch, width = c.shape
    for n in range(batch):
        x, h, a = from_x[n], from_h[n], gates[n]
        for j in range(2 * width):
            a[j] = _sigmoid(x[j] + h[j])
        for j in range(2 * width, 3 * width):
            a[j] = _tanh(x[j] + h[j])
        for j in range(3 * width, 4 * width):
            a[j] = _sigmoid(x[j] + h[j])
        i, f, g, o = a[:width], a[width : 2 * width], a[2 * width : 3 * width], a[3 * width :]
        for j in range(width):
            new_c[n, j] = f[j] * c[n, j] + i[j] * g[j]
        for j in range(width):
            new_h[n, j] = o[j] * _tanh(new_c[n, j])


@cached
def _lstm_gradient(
    dh: Array, dc: Array, gates: Array, c: Array, new_c: Array, da: Array, dc_before: Array
) -> None:
    batch, width = c.shape
    for n in range(batch):
        a, d = gates[n], da[n]
        i, f, g, o = a[:width], a[width : 2 * width], a[2 * width : 3 * width], a[3 * width :]
        di, df, dg, do = d[:width], d[width : 2 * width], d[2 * width : 3 * width], d[3 * width :]
        for j in range(width):
            t = _tanh(new_c[n, j])
            of_c = dc[n, j] + dh[n, j] * o[j] * (_ONE - t * t)
            di[j] = of_c * g[j] * i[j] * (_ONE - i[j])
            df[j] = of_c * c[n, j] * f[j] * (_ONE - f[j])
            dg[j] = of_c * i[j] * (_ONE - g[j] * g[j])
            do[j] = dh[n, j] * t * o[j] * (_ONE - o[j])
            dc_before[n, j] = of_c * f[j]


def _lstm_cell(from_x: Array, from_h: Array, h: Array, c: Array) -> Any:
    if from_x.dtype != np.float32:
        return lstm_cell(np, from_x, from_h, h, c)
    from_x, from_h, c = map(np.ascontiguousarray, (from_x, from_h, c))
    gates, new_c, new_h = np.empty_like(from_x), np.empty_like(c), np.empty_like(c)
    _lstm(from_x, from_h, c, gates, new_c, new_h)

    def backward(dh: Array, dc: Array) -> Any:
        da, dc_before = np.empty_like(gates), np.empty_like(c)
        dh, dc = map(np.ascontiguousarray, (dh, dc))
        _lstm_gradient(dh, dc, gates, c, new_c, da, dc_before)
        return da, da, (None, dc_before)

    return (new_h, new_c), backward


@cached
def _gru(from_x: Array, from_h: Array, h: Array, gates: Array, new_h: Array) -> None:
    batch, width = h.shape
    for n in range(batch):
        x, b, a = from_x[n], from_h[n], gates[n]
        for j in range(2 * width):
            a[j] = _sigmoid(x[j] + b[j])
        r, z, content = a[:width], a[width : 2 * width], a[2 * width :]
        x, b = x[2 * width :], b[2 * width :]
        for j in range(width):
            content[j] = _tanh(x[j] + r[j] * b[j])
        for j in range(width):
            new_h[n, j] = content[j] + z[j] * (h[n, j] - content[j])


@cached
def _gru_gradient(
    dh: Array, gates: Array, h: Array, from_h: Array, d: Array, through: Array
) -> None:
    # `d` holds the gradients with respect to `from_x`, and then those with respect to `from_h`.
    batch, width = h.shape
    for n in range(batch):
        a, b = gates[n], from_h[n, 2 * width :]
        r, z, content = a[:width], a[width : 2 * width], a[2 * width :]
        dr, dz = d[0, n, :width], d[0, n, width : 2 * width]
        dn, db = d[0, n, 2 * width :], d[1, n, 2 * width :]
        for j in range(width):
            new, dy = content[j], dh[n, j]
            dn[j] = dy * (_ONE - z[j]) * (_ONE - new * new)
            dz[j] = dy * (h[n, j] - new) * z[j] * (_ONE - z[j])
            dr[j] = dn[j] * b[j] * r[j] * (_ONE - r[j])
            db[j] = dn[j] * r[j]
            through[n, j] = dy * z[j]
        d[1, n, : 2 * width] = d[0, n, : 2 * width]


def _gru_cell(from_x: Array, from_h: Array, h: Array) -> Any:
    if from_x.dtype != np.float32:
        return gru_cell(np, from_x, from_h, h)
    from_x, from_h, h = map(np.ascontiguousarray, (from_x, from_h, h))
    gates, new_h = np.empty_like(from_x), np.empty_like(h)
    _gru(from_x, from_h, h, gates, new_h)

    def backward(dh: Array) -> Any:
        d, through = np.empty((2, *from_x.shape), h.dtype), np.empty_like(h)
        _gru_gradient(np.ascontiguousarray(dh), gates, h, from_h, d, through)
        return d[0], d[1], (through,)

    return (new_h,), backward


KERNELS: dict[Callable[..., Any], Callable[..., Any]] = {
    lstm_cell: _lstm_cell,
    gru_cell: _gru_cell,
}
