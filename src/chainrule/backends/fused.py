"""A compiled loop for each rule and formula (needs numba, which the ``fast`` extra installs).

A loop reads and writes each element once, whereas NumPy passes over memory once per operation. The
results equal NumPy's results bit for bit. The cross-entropy is an exception, because numba has its
own `exp` and `log`, and sums in a different order. The loops use one thread, because numba's
threads and the threads of NumPy's BLAS would wait for each other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from array_api_compat import numpy as xp

from ..formulas import (
    DENSITY_AT_0,
    NORMAL_DENOMINATOR,
    NORMAL_NUMERATOR,
    masked,
    normal,
    relu,
    relu_gradient,
    softmax_cross_entropy,
)
from ..masks import index_of_first, keep_mask
from ..types import Array, Rule

Update = Callable[..., None]
_compiled: Any = numba.njit(error_model="numpy")  # x / 0 is infinity, not an error


def cached(loop: Callable[..., None], **options: Any) -> Any:
    """Compile a loop, and cache it on disk for the next process if possible."""
    try:
        return numba.njit(cache=True, error_model="numpy", **options)(loop)
    except RuntimeError:  # numba found no folder for the cache
        return numba.njit(error_model="numpy", **options)(loop)


def fused(rule: Rule, outputs: int, otherwise: Update) -> Update:
    """Return a compiled loop that updates arrays by `rule` (see `Backend.elementwise`).

    Parameters
    ----------
    rule : callable
        A function of arrays, followed by numbers. The rule is compiled when it is first called.
    outputs : int
        The number of arrays that the update overwrites.
    otherwise : callable
        The function to call if there is no loop for this number of arrays, or if numba cannot
        compile the rule. In the second case, there is a warning.
    """
    loops = dict(_loops(rule, outputs))

    def update(*arguments: Array) -> None:
        arrays = [a.ndim for a in arguments].count(1)
        loop = loops.get(arrays)
        if loop is None:
            otherwise(*arguments)
            return
        try:
            loop(*arguments[:arrays], arguments[arrays:])
        except numba.core.errors.NumbaError as error:  # raised before an array is changed
            del loops[arrays]
            otherwise(*arguments)
            warnings.warn(f"{rule!r} runs uncompiled: {error}", RuntimeWarning, stacklevel=3)

    return update


@lru_cache(maxsize=64)
def _loops(rule: Rule, outputs: int) -> dict[int, Any]:
    """Return a dict from the number of arrays to the compiled loop. Compiling takes 0.3 seconds."""
    element = _compiled(rule)
    return {
        arrays: _compiled(make(element))
        for (arrays, overwritten), make in _LOOPS.items()
        if overwritten == outputs
    }


# numba cannot unroll a list of arrays, so there is one loop for each number of arrays.


def _two_arrays(element: Any) -> Update:
    def loop(a: Array, b: Array, numbers: tuple[Any, ...]) -> None:
        for i in range(a.size):
            (a[i],) = element(a[i], b[i], *numbers)

    return loop


def _three_arrays(element: Any) -> Update:
    def loop(a: Array, b: Array, c: Array, numbers: tuple[Any, ...]) -> None:
        for i in range(a.size):
            a[i], b[i] = element(a[i], b[i], c[i], *numbers)

    return loop


def _four_arrays(element: Any) -> Update:
    def loop(a: Array, b: Array, c: Array, d: Array, numbers: tuple[Any, ...]) -> None:
        for i in range(a.size):
            a[i], b[i], c[i] = element(a[i], b[i], c[i], d[i], *numbers)

    return loop


_LOOPS = {(2, 1): _two_arrays, (3, 2): _three_arrays, (4, 3): _four_arrays}


# For each formula: the compiled loop, then the function that calls this loop.


@cached
def _relu_loop(x: Array, y: Array) -> None:
    zero = y.dtype.type(0)
    for i in range(x.size):
        y[i] = zero if x[i] <= zero else x[i]  # NaN stays NaN


_OF_MODELS = {np.dtype("float32"), np.dtype("float64")}


def _relu(x: Array) -> Array:
    if x.dtype not in _OF_MODELS:
        return relu(xp, x)
    y = np.empty(x.shape, x.dtype)
    _relu_loop(x.reshape(-1), y.reshape(-1))
    return y


@cached
def _relu_gradient_loop(dy: Array, y: Array, dx: Array) -> None:
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for i in range(y.size):
        dx[i] = dy[i] * (one if y[i] > zero else zero)


def _relu_gradient(dy: Array, y: Array) -> Array:
    if y.dtype not in _OF_MODELS or dy.dtype != y.dtype or dy.shape != y.shape:
        return relu_gradient(xp, dy, y)
    dx = np.empty(y.shape, y.dtype)
    _relu_gradient_loop(dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
    return dx


@cached
def _normal_loop(x: Array, bell: Array, above: Any, below: Any, share: Array) -> None:
    one = x.dtype.type(1)
    for i in range(x.size):  # NumPy computed `bell`, because numba does not vectorise exp
        z = abs(x[i])
        numerator, denominator = above[0], below[0]
        for coefficient in above[1:]:
            numerator = numerator * z + coefficient
        for coefficient in below[1:]:
            denominator = denominator * z + coefficient
        beyond = bell[i] * (numerator / denominator)
        share[i] = one - beyond if x[i] > 0 else beyond


def _normal(x: Array) -> tuple[Array, Array]:
    if x.dtype not in _OF_MODELS:
        return normal(xp, x)
    real, share = x.dtype.type, np.empty(x.shape, x.dtype)
    bell = np.exp(-0.5 * (x * x))
    above, below = (tuple(map(real, c)) for c in (NORMAL_NUMERATOR, NORMAL_DENOMINATOR))
    _normal_loop(x.reshape(-1), bell.reshape(-1), above, below, share.reshape(-1))
    bell *= DENSITY_AT_0
    return share, bell


@cached
def _masked_loop(x: Array, kept: Array, factor: Any, y: Array) -> None:
    zero = y.dtype.type(0)
    for i in range(x.size):
        product = x[i] * factor
        y[i] = product if kept[i] else zero


def _masked(x: Array, kept: Array, factor: float) -> Array:
    if x.dtype not in _OF_MODELS or x.shape != kept.shape:
        return masked(xp, x, kept, factor)
    y = np.empty(x.shape, x.dtype)
    _masked_loop(x.reshape(-1), kept.reshape(-1), x.dtype.type(factor), y.reshape(-1))
    return y


@cached
def _softmax_cross_entropy_loop(y: Array, labels: Array, values: Array, gradient: Array) -> None:
    rows, classes = y.shape
    one = y.dtype.type(1)
    for i in range(rows):
        label = labels[i]
        if not 0 <= label < classes:
            raise IndexError("a label is out of range")
        largest = y[i, 0]
        for j in range(1, classes):
            largest = max(largest, y[i, j])
        precise = 0.0  # a sum in float64, because there may be many classes
        for j in range(classes):
            gradient[i, j] = np.exp(y[i, j] - largest)
            precise += gradient[i, j]
        total = y.dtype.type(precise)
        for j in range(classes):
            gradient[i, j] /= total
        gradient[i, label] -= one
        values[i] = np.log(total) - (y[i, label] - largest)


def _softmax_cross_entropy(y: Array, labels: Array) -> tuple[Array, Array]:
    if y.dtype not in _OF_MODELS:
        return softmax_cross_entropy(xp, y, labels)
    values, gradient = np.empty(y.shape[0], y.dtype), np.empty(y.shape, y.dtype)
    _softmax_cross_entropy_loop(y, labels, values, gradient)
    return values, gradient


@cached
def _keep_mask_loop(first: Any, second: Any, here: int, threshold: int, kept: Array) -> None:
    for i in range(kept.size):  # as in `keep_mask`, but with unsigned integers
        h = np.uint32(np.uint32(here + i) * np.uint32(0x9E3779B9)) ^ first
        h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)) ^ second
        h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B))
        kept[i] = (h ^ np.uint32(2**31)) < threshold


def _keep_mask(
    shape: tuple[int, ...], probability: float, key: tuple[int, int, int], device: Any
) -> Array:
    kept = np.empty(shape, bool)
    first, second = (np.uint32(int(half) % 2**32) for half in key[:2])
    threshold = np.uint32(min(int(probability * 2.0**32), 2**32 - 1))
    _keep_mask_loop(first, second, index_of_first(shape, key[2]), threshold, kept.reshape(-1))
    return kept


@cached
def scatter_add(target: Array, index: Array, values: Array) -> None:
    """Add ``values[i]`` to row ``target[index[i]]`` for every `i` (see `Backend.scatter_add`)."""
    rows, columns = target.shape
    for i in range(index.size):
        if not 0 <= index[i] < rows:
            raise IndexError("an index is out of range")
        row = target[index[i]]
        for j in range(columns):
            row[j] += values[i, j]


KERNELS: dict[Callable[..., Any], Callable[..., Any]] = {
    relu: _relu,
    relu_gradient: _relu_gradient,
    masked: _masked,
    normal: _normal,
    softmax_cross_entropy: _softmax_cross_entropy,
    keep_mask: _keep_mask,
}
