"""CUDA kernels for the gated cells of `chainrule.cells`, one for each pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..cells import gru_cell, lstm_cell
from ..types import Array

# A thread computes one hidden unit of one sample. `i` is the index of this unit in the states, and
# `at` is the index of its first gate. Gates of the same unit are `width` elements apart.

_START = """
const long long at = i / width * GATES * width + i % width;
"""

_LSTM = """
T gate[4];
for (int k = 0; k < 4; ++k) {
    gate[k] = from_x[at + k * width] + from_h[at + k * width];
    gate[k] = k == 2 ? tanh(gate[k]) : (T)0.5 * tanh((T)0.5 * gate[k]) + (T)0.5;
    gates[at + k * width] = gate[k];
}
new_c = gate[1] * c + gate[0] * gate[2];
new_h = gate[3] * tanh(new_c);
"""

_LSTM_GRADIENT = """
const T in = gates[at], forget = gates[at + width];
const T g = gates[at + 2 * width], out = gates[at + 3 * width];
const T t = tanh(new_c), d = dc + dh * out * (1 - t * t);
da[at] = d * g * in * (1 - in);
da[at + width] = d * c * forget * (1 - forget);
da[at + 2 * width] = d * in * (1 - g * g);
da[at + 3 * width] = dh * t * out * (1 - out);
dc_before = d * forget;
"""

_GRU = """
const T r = (T)0.5 * tanh((T)0.5 * (from_x[at] + from_h[at])) + (T)0.5;
const T z = (T)0.5 * tanh((T)0.5 * (from_x[at + width] + from_h[at + width])) + (T)0.5;
const T n = tanh(from_x[at + 2 * width] + r * from_h[at + 2 * width]);
gates[at] = r;
gates[at + width] = z;
gates[at + 2 * width] = n;
new_h = n + z * (h - n);
"""

_GRU_GRADIENT = """
const T r = gates[at], z = gates[at + width], n = gates[at + 2 * width];
const T dn = dh * (1 - z) * (1 - n * n), dz = dh * (h - n) * z * (1 - z);
const T dr = dn * from_h[at + 2 * width] * r * (1 - r);
d_from_x[at] = d_from_h[at] = dr;
d_from_x[at + width] = d_from_h[at + width] = dz;
d_from_x[at + 2 * width] = dn;
d_from_h[at + 2 * width] = dn * r;
through = dh * z;
"""


def cell_kernels(cupy: Any) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return a dict from cells to their kernels, each of which is compiled on first use."""

    def kernel(name: str, gates: int, inputs: str, outputs: str, code: str) -> Any:
        code = _START.replace("GATES", str(gates)) + code
        return cupy.ElementwiseKernel(f"{inputs}, int64 width", outputs, code, f"chainrule_{name}")

    lstm = kernel(
        "lstm", 4, "raw T from_x, raw T from_h, T c", "raw T gates, T new_h, T new_c", _LSTM
    )
    lstm_gradient = kernel(
        "lstm_gradient",
        4,
        "T dh, T dc, raw T gates, T c, T new_c",
        "raw T da, T dc_before",
        _LSTM_GRADIENT,
    )
    gru = kernel("gru", 3, "raw T from_x, raw T from_h, T h", "raw T gates, T new_h", _GRU)
    gru_gradient = kernel(
        "gru_gradient",
        3,
        "T dh, raw T gates, raw T from_h, T h",
        "raw T d_from_x, raw T d_from_h, T through",
        _GRU_GRADIENT,
    )

    def empty(x: Array, count: int) -> list[Array]:
        return [cupy.empty(x.shape, dtype=x.dtype) for _ in range(count)]

    def of_lstm(from_x: Array, from_h: Array, h: Array, c: Array) -> Any:
        width, (gates,), (new_h, new_c) = c.shape[1], empty(from_x, 1), empty(c, 2)
        lstm(from_x, from_h, c, width, gates, new_h, new_c)

        def backward(da: Array, dh: Array, dc: Array) -> Any:
            (dc_before,) = empty(c, 1)
            lstm_gradient(dh, dc, gates, c, new_c, width, da, dc_before)
            return None, dc_before

        return (new_h, new_c), backward

    def of_gru(from_x: Array, from_h: Array, h: Array) -> Any:
        width, (gates,), (new_h,) = h.shape[1], empty(from_x, 1), empty(h, 1)
        gru(from_x, from_h, h, width, gates, new_h)

        def backward(d_from_x: Array, d_from_h: Array, dh: Array) -> Any:
            (through,) = empty(h, 1)
            gru_gradient(dh, gates, from_h, h, width, d_from_x, d_from_h, through)
            return (through,)

        return (new_h,), backward

    return {lstm_cell: of_lstm, gru_cell: of_gru}
