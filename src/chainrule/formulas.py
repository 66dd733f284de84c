"""Formulas as pure functions. A backend may replace a formula with a kernel."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

from .types import Array


def sign(xp: ModuleType, x: Array) -> Array:
    """Return -1, 0 or 1 for each element.

    CuPy's backend replaces this function, because array-api-compat's version waits for the GPU.
    """
    return xp.sign(x)


def dot(xp: ModuleType, a: Array, b: Array) -> Array:
    """Return ``sum(a * b)`` over the last axis. In the result, this axis has length 1.

    CuPy's backend replaces this function, because array-api-compat's version is a matrix product.
    """
    return xp.vecdot(a, b)[..., None]


def squares(xp: Any, x: Array) -> Array:
    """Return the sum of the squares of a vector."""
    return xp.sum(x * x)


def extremes(xp: Any, x: Array) -> tuple[Array, Array]:
    """Return the smallest and the largest element."""
    return xp.min(x), xp.max(x)


def scaled_norm(
    xp: Any, x: Array, axis: int | tuple[int, ...] | None = None
) -> tuple[Array, Array]:
    """Return the Euclidean norm as two factors, because their product may overflow.

    The first factor is the largest absolute value of the elements, or 1 if this value is 0 or not
    finite. The second factor is the norm after each element is divided by the first factor. For
    finite elements, the second factor is 0, or between 1 and the square root of the number of
    elements. In both factors, the reduced axes have length 1.
    """
    scale = xp.max(xp.abs(x), axis=axis, keepdims=True)
    scale = xp.where((scale > 0) & xp.isfinite(scale), scale, 1.0)
    x = x / scale
    return scale, xp.sqrt(xp.sum(x * x, axis=axis, keepdims=True))


def sum_over_batch(xp: Any, x: Array) -> Array:
    """Return the sum over all axes except the last axis.

    The shape ``(batch, ..., features)`` becomes ``(features,)``. Array libraries may add up the
    rows one after another. As the sum grows, more of each new row is lost to rounding. So a long
    batch is divided into blocks of rows. Each block is summed first, and then the sums of all
    blocks are added.
    """
    if x.ndim > 2:
        x = xp.reshape(x, (-1, x.shape[-1]))
    if x.shape[0] < 2 * BLOCK:
        return xp.sum(x, axis=0)
    blocks, rest = divmod(x.shape[0], BLOCK)
    sums = xp.sum(xp.reshape(x[: blocks * BLOCK, :], (BLOCK, -1)), axis=0)
    total = sum_over_batch(xp, xp.reshape(sums, (blocks, -1)))
    return total + xp.sum(x[blocks * BLOCK :, :], axis=0) if rest else total


BLOCK = 256  # the number of rows in a block


def masked(xp: Any, x: Array, kept: Array, factor: float) -> Array:
    """Return ``factor * x`` where `kept` is true. Elsewhere, return 0, even if `x` is infinite."""
    return xp.where(kept, x, 0.0) * factor


def relu(xp: Any, x: Array) -> Array:
    """Return ``max(x, 0)``."""
    return xp.maximum(x, 0.0)


def relu_gradient(xp: Any, dy: Array, y: Array) -> Array:
    """Return `dy` where the output `y` is positive, and 0 elsewhere."""
    return dy * xp.astype(y > 0, dy.dtype)


def sigmoid(xp: Any, x: Array) -> Array:
    """Return ``1 / (1 + exp(-x))``. To avoid overflow, no exponent is positive."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, e) / (1.0 + e)


def log_sigmoid(xp: Any, x: Array) -> Array:
    """Return ``log(sigmoid(x))``, accurate even where the sigmoid rounds to 0."""
    return xp.minimum(x, 0.0) - xp.log1p(xp.exp(-xp.abs(x)))


def normal(xp: Any, x: Array) -> tuple[Array, Array]:
    """Return the distribution function and the density of the standard normal distribution.

    The probability of values above ``|x|`` is computed as ``exp(-x^2 / 2)`` times a quotient of
    polynomials. The error is below 1e-15. `x` must be finite. Source: J. F. Hart et al., "Computer
    approximations", 1968, as written by G. West in "Better approximations to cumulative normal
    functions", 2005.
    """
    z, bell = xp.abs(x), xp.exp(-0.5 * (x * x))
    beyond = bell * (_polynomial(NORMAL_NUMERATOR, z) / _polynomial(NORMAL_DENOMINATOR, z))
    return xp.where(x > 0, 1.0 - beyond, beyond), bell * DENSITY_AT_0


DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)

# Coefficients of the polynomials, from the highest power to the lowest.
NORMAL_NUMERATOR = (
    0.0352624965998911, 0.700383064443688, 6.37396220353165, 33.912866078383, 112.079291497871,
    221.213596169931, 220.206867912376,
)  # fmt: skip
NORMAL_DENOMINATOR = (
    0.0883883476483184, 1.75566716318264, 16.064177579207, 86.7807322029461, 296.564248779674,
    637.333633378831, 793.826512519948, 440.413735824752,
)  # fmt: skip


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Evaluate a polynomial by Horner's rule; `coefficients` begins with the highest power."""
    first, second, *rest = coefficients
    y = first * x + second
    for coefficient in rest:
        y *= x
        y += coefficient
    return y


def log_softmax(xp: Any, x: Array) -> Array:
    """Return ``x - log(sum(exp(x)))`` over the last axis, without overflow."""
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def softmax_cross_entropy(xp: Any, y: Array, labels: Array) -> tuple[Array, Array]:
    """Return ``-log softmax(y)[label]`` for each row, and the derivative with respect to `y`."""
    log_p = log_softmax(xp, y)
    rows = xp.arange(y.shape[0], device=y.device)
    return -log_p[rows, labels], xp.exp(log_p) - one_hot(xp, y, labels)


def predicted(xp: Any, outputs: Array, labels: Array) -> Array:
    """Return, for each label, whether the largest output belongs to its class.

    The outputs have one more axis, for the classes. Among equal outputs, the first counts as the
    largest.
    """
    return xp.argmax(outputs, axis=-1) == labels


def count(xp: Any, condition: Array, dtype: Any) -> Array:
    """Return the number of elements that are True, as a 0-d array of this dtype."""
    return xp.astype(xp.count_nonzero(condition), dtype)


def one_hot(xp: Any, y: Array, labels: Array) -> Array:
    """Return an array with the shape of `y`: 1 at the label of each row, and 0 elsewhere."""
    classes = xp.arange(y.shape[1], dtype=labels.dtype, device=y.device)
    return xp.astype(labels[:, None] == classes[None, :], y.dtype)
