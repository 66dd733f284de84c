"""The cells of `chainrule.cells` as a few compiled loops each.

NumPy computes `tanh` of a whole array between two loops, because numba does not vectorise it. A
sigmoid is ``0.5 * tanh(0.5 * x) + 0.5``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..cells import gru_cell, lstm_cell
from ..types import Array
from .fused import cached

# All arrays are contiguous, with a row for each sample. `a` holds the gates, one after another.


@cached
def _lstm_arguments(from_x: Array, from_h: Array, a: Array) -> None:
    half, width = a.dtype.type(0.5), a.shape[1] // 4
    for n in range(a.shape[0]):
        for j in range(4 * width):
            a[n, j] = half * (from_x[n, j] + from_h[n, j])
        for j in range(2 * width, 3 * width):  # the only gate with tanh
            a[n, j] += a[n, j]


@cached
def _lstm_memory(a: Array, c: Array, new_c: Array) -> None:
    half, width = a.dtype.type(0.5), a.shape[1] // 4
    for n in range(a.shape[0]):
        for j in range(2 * width):
            a[n, j] = half * a[n, j] + half
        for j in range(3 * width, 4 * width):
            a[n, j] = half * a[n, j] + half
        i, f, g = a[n, :width], a[n, width : 2 * width], a[n, 2 * width : 3 * width]
        for j in range(width):
            new_c[n, j] = f[j] * c[n, j] + i[j] * g[j]


@cached
def _lstm_gradient(
    dh: Array, dc: Array, a: Array, c: Array, t: Array, da: Array, dc_before: Array
) -> None:
    one, width = a.dtype.type(1), a.shape[1] // 4
    for n in range(a.shape[0]):
        i, f = a[n, :width], a[n, width : 2 * width]
        g, o = a[n, 2 * width : 3 * width], a[n, 3 * width :]
        di, df = da[n, :width], da[n, width : 2 * width]
        dg, do = da[n, 2 * width : 3 * width], da[n, 3 * width :]
        for j in range(width):
            d = dc[n, j] + dh[n, j] * o[j] * (one - t[n, j] * t[n, j])
            di[j] = d * g[j] * i[j] * (one - i[j])
            df[j] = d * c[n, j] * f[j] * (one - f[j])
            dg[j] = d * i[j] * (one - g[j] * g[j])
            do[j] = dh[n, j] * t[n, j] * o[j] * (one - o[j])
            dc_before[n, j] = d * f[j]


def _lstm_cell(from_x: Array, from_h: Array, h: Array, c: Array) -> Any:
    from_x, from_h, c = map(np.ascontiguousarray, (from_x, from_h, c))
    a, new_c = np.empty_like(from_x), np.empty_like(c)
    _lstm_arguments(from_x, from_h, a)
    np.tanh(a, out=a)
    _lstm_memory(a, c, new_c)
    t = np.tanh(new_c)

    def backward(dh: Array, dc: Array) -> Any:
        da, dc_before = np.empty_like(a), np.empty_like(c)
        dh, dc = map(np.ascontiguousarray, (dh, dc))
        _lstm_gradient(dh, dc, a, c, t, da, dc_before)
        return da, da, (None, dc_before)

    return (a[:, 3 * c.shape[1] :] * t, new_c), backward


@cached
def _gru_gates(from_x: Array, from_h: Array, a: Array) -> None:
    half, width = a.dtype.type(0.5), a.shape[1] // 2
    for n in range(a.shape[0]):
        for j in range(2 * width):
            a[n, j] = half * (from_x[n, j] + from_h[n, j])


@cached
def _gru_content(from_x: Array, from_h: Array, a: Array, content: Array) -> None:
    half, width = a.dtype.type(0.5), a.shape[1] // 2
    for n in range(a.shape[0]):
        for j in range(2 * width):
            a[n, j] = half * a[n, j] + half
        x, b = from_x[n, 2 * width :], from_h[n, 2 * width :]
        for j in range(width):
            content[n, j] = x[j] + a[n, j] * b[j]


@cached
def _gru_state(a: Array, content: Array, h: Array, new: Array) -> None:
    width = h.shape[1]
    for n in range(h.shape[0]):
        z = a[n, width:]
        for j in range(width):
            new[n, j] = content[n, j] + z[j] * (h[n, j] - content[n, j])


@cached
def _gru_gradient(
    dh: Array, a: Array, content: Array, h: Array, from_h: Array, d: Array, through: Array
) -> None:
    # `d` holds the gradients with respect to `from_x`, and after them those of the last gate with
    # respect to `from_h`.
    one, width = a.dtype.type(1), h.shape[1]
    for n in range(h.shape[0]):
        r, z, b = a[n, :width], a[n, width:], from_h[n, 2 * width :]
        dr, dz = d[0, n, :width], d[0, n, width : 2 * width]
        dn, db = d[0, n, 2 * width :], d[1, n, 2 * width :]
        for j in range(width):
            new, dy = content[n, j], dh[n, j]
            dn[j] = dy * (one - z[j]) * (one - new * new)
            dz[j] = dy * (h[n, j] - new) * z[j] * (one - z[j])
            dr[j] = dn[j] * b[j] * r[j] * (one - r[j])
            db[j] = dn[j] * r[j]
            through[n, j] = dy * z[j]
        d[1, n, : 2 * width] = d[0, n, : 2 * width]


def _gru_cell(from_x: Array, from_h: Array, h: Array) -> Any:
    from_x, from_h, h = map(np.ascontiguousarray, (from_x, from_h, h))
    batch, width = h.shape
    a, content, new = np.empty((batch, 2 * width), h.dtype), np.empty_like(h), np.empty_like(h)
    _gru_gates(from_x, from_h, a)
    np.tanh(a, out=a)
    _gru_content(from_x, from_h, a, content)
    np.tanh(content, out=content)
    _gru_state(a, content, h, new)

    def backward(dh: Array) -> Any:
        d, through = np.empty((2, *from_x.shape), h.dtype), np.empty_like(h)
        _gru_gradient(np.ascontiguousarray(dh), a, content, h, from_h, d, through)
        return d[0], d[1], (through,)

    return (new,), backward


KERNELS: dict[Callable[..., Any], Callable[..., Any]] = {
    lstm_cell: _lstm_cell,
    gru_cell: _gru_cell,
}
