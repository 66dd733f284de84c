"""One step of a recurrent network, and its derivative. A backend may replace a cell with a kernel.

A cell takes two sums of shape ``(batch, gates * hidden)``: `from_x`, the part of the gates that
comes from the input of this step, and `from_h`, the part that comes from the state ``h`` before
this step. Both already include the biases and the products with the weights. A kernel may overwrite
`from_x`.

A cell returns the new states and a function ``backward(*dsums, *dstates)``. This function writes
the gradients with respect to `from_x` and `from_h` to the arrays `dsums`. If a cell uses only
``from_x + from_h``, both gradients are the same, and `dsums` is a single array, ``da``. The
function returns the gradients with respect to the states before this step. The gradient with
respect to ``h`` lacks the part that flows through `from_h`, because that part needs the weights. If
there is no other part, this gradient is None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .types import Array

Cell = Callable[..., tuple[tuple[Array, ...], Callable[..., Any]]]
"""A function of a namespace, `from_x`, `from_h` and the states."""


def tanh_cell(xp: Any, from_x: Array, from_h: Array, h: Array) -> Any:
    """Return ``h = tanh(from_x + from_h)``."""
    new = xp.tanh(from_x + from_h)

    def backward(da: Array, dh: Array) -> Any:
        da[...] = dh * (1.0 - new * new)
        return (None,)

    return (new,), backward


def relu_cell(xp: Any, from_x: Array, from_h: Array, h: Array) -> Any:
    """Return ``h = max(from_x + from_h, 0)``."""
    new = xp.maximum(from_x + from_h, 0.0)

    def backward(da: Array, dh: Array) -> Any:
        da[...] = xp.where(new > 0.0, dh, 0.0)
        return (None,)

    return (new,), backward


def lstm_cell(xp: Any, from_x: Array, from_h: Array, h: Array, c: Array) -> Any:
    """Return ``c = f * c + i * g`` and ``h = o * tanh(c)``, with the gates in the order i, f, g, o.

    Source: S. Hochreiter and J. Schmidhuber, "Long short-term memory", 1997; for the forget gate
    `f`, F. Gers et al., "Learning to forget", 2000.
    """
    i, f, g, o = _split(from_x + from_h, 4)
    i, f, g, o = _sigmoid(xp, i), _sigmoid(xp, f), xp.tanh(g), _sigmoid(xp, o)
    new_c = f * c + i * g
    t = xp.tanh(new_c)

    def backward(da: Array, dh: Array, dc: Array) -> Any:
        dc = dc + dh * o * (1.0 - t * t)
        di, df = dc * g * i * (1.0 - i), dc * c * f * (1.0 - f)
        dg, do = dc * i * (1.0 - g * g), dh * t * o * (1.0 - o)
        _write(da, di, df, dg, do)
        return None, dc * f

    return (o * t, new_c), backward


def gru_cell(xp: Any, from_x: Array, from_h: Array, h: Array) -> Any:
    """Return ``h = (1 - z) * n + z * h``, with the gates in the order r, z, n.

    The new content is ``n = tanh(x_n + r * h_n)``: `r` multiplies the product with the weights, as
    in PyTorch and in cuDNN.

    Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder for
    statistical machine translation", 2014.
    """
    (x_r, x_z, x_n), (h_r, h_z, h_n) = _split(from_x, 3), _split(from_h, 3)
    r, z = _sigmoid(xp, x_r + h_r), _sigmoid(xp, x_z + h_z)
    n = xp.tanh(x_n + r * h_n)

    def backward(d_from_x: Array, d_from_h: Array, dh: Array) -> Any:
        dn = dh * (1.0 - z) * (1.0 - n * n)
        dz = dh * (h - n) * z * (1.0 - z)
        dr = dn * h_n * r * (1.0 - r)
        _write(d_from_x, dr, dz, dn)
        _write(d_from_h, dr, dz, dn * r)
        return (dh * z,)

    return (n + z * (h - n),), backward


def _sigmoid(xp: Any, x: Array) -> Array:
    return 0.5 * xp.tanh(0.5 * x) + 0.5  # cannot overflow


def _split(a: Array, gates: int) -> list[Array]:
    """Divide the second axis into equal parts."""
    width = a.shape[1] // gates
    return [a[:, i * width : (i + 1) * width] for i in range(gates)]


def _write(dsum: Array, *gradients: Array) -> None:
    """Write the gradients of all gates next to each other."""
    for part, gradient in zip(_split(dsum, len(gradients)), gradients, strict=True):
        part[...] = gradient
