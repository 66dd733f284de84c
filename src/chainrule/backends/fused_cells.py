"""Compiled float32 loops for the gated cells of `chainrule.cells`, one for each pass.

numba does not vectorise `tanh`, so these loops compute `tanh` as a quotient of two polynomials.
Other dtypes have no compiled loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..cells import gru_cell, lstm_cell
from ..types import Array
from .fused import cached

# A product and the sum after it may become one instruction.
compiled = partial(cached, fastmath={"contract"})

# For |x| <= 9, tanh(x) is x * P(x²) / Q(x²) with a relative error of 2e-8. The coefficients come
# from a fit that increases the weights of the largest errors in each iteration. In float32, `_tanh`
# has a relative error of at most 3e-7.
_P0, _P1, _P2, _P3, _P4 = map(
    np.float32, (1.0, 0.13381068, 0.003495637, 2.0609836e-05, 1.3355596e-08)
)
_Q1, _Q2, _Q3, _Q4 = map(np.float32, (0.46714383, 0.025877172, 0.00032857127, 7.776965e-07))
_HALF, _ONE, _LARGEST = np.float32(0.5), np.float32(1.0), np.float32(9.0)


@compiled
def _clipped(x: Any, limit: Any) -> Any:
    x = limit if x > limit else x  # in this form, NaN stays NaN
    return -limit if x < -limit else x


@compiled
def _tanh(x: Any) -> Any:
    x = _clipped(x, _LARGEST)
    s = x * x
    numerator = x * (_P0 + s * (_P1 + s * (_P2 + s * (_P3 + s * _P4))))
    denominator = _ONE + s * (_Q1 + s * (_Q2 + s * (_Q3 + s * _Q4)))
    return _clipped(numerator / denominator, _ONE)


@compiled
def _sigmoid(x: Any) -> Any:
    return _HALF * _tanh(_HALF * x) + _HALF


# All arrays below are contiguous. Each gate of a sample is a row, in the order of the cell. numba
# vectorises short loops over one gate, but not one loop over all gates.


@compiled
def _lstm(sums: Array, from_h: Array, c: Array, new_c: Array, new_h: Array) -> None:
    # The gates replace the sums from which they are computed.
    batch, width = c.shape
    a, b = sums.reshape(batch, 4, width), from_h.reshape(batch, 4, width)
    for n in range(batch):
        for gate in range(4):
            if gate == 2:
                for j in range(width):
                    a[n, gate, j] = _tanh(a[n, gate, j] + b[n, gate, j])
            else:
                for j in range(width):
                    a[n, gate, j] = _sigmoid(a[n, gate, j] + b[n, gate, j])
        for j in range(width):
            new_c[n, j] = a[n, 1, j] * c[n, j] + a[n, 0, j] * a[n, 2, j]
        for j in range(width):
            new_h[n, j] = a[n, 3, j] * _tanh(new_c[n, j])


@compiled
def _lstm_gradient(
    da: Array, dh: Array, dc: Array, gates: Array, c: Array, new_c: Array, dc_before: Array
) -> None:
    batch, width = c.shape
    a, d = gates.reshape(batch, 4, width), da.reshape(batch, 4, width)
    for n in range(batch):
        for j in range(width):
            o, t = a[n, 3, j], _tanh(new_c[n, j])
            dc_before[n, j] = dc[n, j] + dh[n, j] * o * (_ONE - t * t)
            d[n, 3, j] = dh[n, j] * t * o * (_ONE - o)
        for j in range(width):
            d[n, 0, j] = dc_before[n, j] * a[n, 2, j] * a[n, 0, j] * (_ONE - a[n, 0, j])
        for j in range(width):
            d[n, 1, j] = dc_before[n, j] * c[n, j] * a[n, 1, j] * (_ONE - a[n, 1, j])
        for j in range(width):
            d[n, 2, j] = dc_before[n, j] * a[n, 0, j] * (_ONE - a[n, 2, j] * a[n, 2, j])
        for j in range(width):
            dc_before[n, j] *= a[n, 1, j]


def _lstm_cell(from_x: Array, from_h: Array, h: Array, c: Array) -> Any:
    if from_x.dtype != np.float32:
        return lstm_cell(np, from_x, from_h, h, c)
    gates, from_h, c = map(np.ascontiguousarray, (from_x, from_h, c))
    new_c, new_h = np.empty_like(c), np.empty_like(c)
    _lstm(gates, from_h, c, new_c, new_h)

    def backward(da: Array, dh: Array, dc: Array) -> Any:
        dc_before = np.empty_like(c)
        dh, dc = map(np.ascontiguousarray, (dh, dc))
        _lstm_gradient(da, dh, dc, gates, c, new_c, dc_before)
        return None, dc_before

    return (new_h, new_c), backward


@compiled
def _gru(sums: Array, from_h: Array, h: Array, new_h: Array) -> None:
    # The gates replace the sums from which they are computed.
    batch, width = h.shape
    a, b = sums.reshape(batch, 3, width), from_h.reshape(batch, 3, width)
    for n in range(batch):
        for gate in range(2):
            for j in range(width):
                a[n, gate, j] = _sigmoid(a[n, gate, j] + b[n, gate, j])
        for j in range(width):
            a[n, 2, j] = _tanh(a[n, 2, j] + a[n, 0, j] * b[n, 2, j])
        for j in range(width):
            new_h[n, j] = a[n, 2, j] + a[n, 1, j] * (h[n, j] - a[n, 2, j])


@compiled
def _gru_gradient(
    d_from_x: Array,
    d_from_h: Array,
    dh: Array,
    gates: Array,
    h: Array,
    from_h: Array,
    through: Array,
) -> None:
    batch, width = h.shape
    a, b = gates.reshape(batch, 3, width), from_h.reshape(batch, 3, width)
    d, e = d_from_x.reshape(batch, 3, width), d_from_h.reshape(batch, 3, width)
    for n in range(batch):
        for j in range(width):
            d[n, 2, j] = dh[n, j] * (_ONE - a[n, 1, j]) * (_ONE - a[n, 2, j] * a[n, 2, j])
        for j in range(width):
            z = a[n, 1, j]
            d[n, 1, j] = dh[n, j] * (h[n, j] - a[n, 2, j]) * z * (_ONE - z)
        for j in range(width):
            d[n, 0, j] = d[n, 2, j] * b[n, 2, j] * a[n, 0, j] * (_ONE - a[n, 0, j])
        for j in range(width):
            e[n, 2, j] = d[n, 2, j] * a[n, 0, j]
        for j in range(width):
            through[n, j] = dh[n, j] * a[n, 1, j]
        e[n, :2] = d[n, :2]


def _gru_cell(from_x: Array, from_h: Array, h: Array) -> Any:
    if from_x.dtype != np.float32:
        return gru_cell(np, from_x, from_h, h)
    gates, from_h, h = map(np.ascontiguousarray, (from_x, from_h, h))
    new_h = np.empty_like(h)
    _gru(gates, from_h, h, new_h)

    def backward(d_from_x: Array, d_from_h: Array, dh: Array) -> Any:
        through = np.empty_like(h)
        _gru_gradient(d_from_x, d_from_h, np.ascontiguousarray(dh), gates, h, from_h, through)
        return (through,)

    return (new_h,), backward


KERNELS: dict[Callable[..., Any], Callable[..., Any]] = {
    lstm_cell: _lstm_cell,
    gru_cell: _gru_cell,
}
