"""Checks of outputs, targets and sample weights, for losses and metrics."""

from __future__ import annotations

import math
from operator import itemgetter
from typing import Any

import array_api_compat.numpy
import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from ..backends.base import kernel
from ..backends.conversion import to_numpy
from ..errors import DataError, shown
from ..forms import ONE_OR_SEVERAL, each, first, several
from ..formulas import extremes
from ..types import Array, Arrays


def as_outputs(y: Any) -> tuple[Any, Arrays]:
    """Return the namespace of the outputs, and the outputs in float32 or float64.

    Outputs that are neither float32 nor float64 become float64. The reason is that the targets are
    converted to the dtype of the outputs: integer outputs would truncate the targets, and float16
    outputs would make sums inexact. A list or a data frame becomes a NumPy array. Several outputs
    keep their form.
    """
    if several(y):
        pairs = each(as_outputs, y)
        return first(pairs)[0], each(itemgetter(1), pairs)
    own = isinstance(y, np.ndarray) or not is_array_api_obj(y)
    if own:
        y = to_numpy(y)
    xp: Any = array_api_compat.numpy if own else array_namespace(y)  # array_namespace is slow
    if y.dtype in (xp.float32, xp.float64):
        return xp, y
    if xp.isdtype(y.dtype, "complex floating"):
        raise DataError(f"expected outputs that are real numbers, found dtype {y.dtype}")
    return xp, xp.astype(y, xp.float64)


def expect_one_array(name: str, *data: Arrays) -> None:
    """Raise a TypeError if a built-in loss or metric receives a tuple or a dict of arrays."""
    for x in data:
        if several(x):
            raise TypeError(
                f"{name}: expected one array of outputs and one of targets, found {shown(x)}: "
                f"{ONE_OR_SEVERAL}"
            )


def in_words(*arrays: Array) -> list[str]:
    """Format shapes as text. If all arrays are equally long, the first axis is "batch"."""
    shapes = [tuple(map(str, array.shape)) for array in arrays]
    if len({shape[:1] for shape in shapes}) == 1:
        shapes = [("batch", *shape[1:]) for shape in shapes]
    return [f"({', '.join(shape)}{',' * (len(shape) == 1)})" for shape in shapes]


def check_range(xp: Any, x: Array, low: float, high: float, what: str) -> None:
    """Raise a `DataError` if an element is not in this range. The check waits for the device."""
    least, most = map(float, kernel(xp, extremes)(x))
    if not (low <= least and most <= high):
        found = most if low <= least else least
        raise DataError(f"expected {what} from {low} to {high}, found {found:.12g}")


def as_labels(xp: Any, integers: Array) -> Array:
    """Convert integers to int64. Larger integers become the largest int64."""
    labels = xp.astype(integers, xp.int64)
    if integers.dtype == xp.uint64:
        labels = xp.where(labels < 0, LARGEST, labels)
    return labels


LARGEST = 2**63 - 1


def check_labels(xp: Any, labels: Array, classes: int, prefix: str = "") -> None:
    """Raise a `DataError` if a label is not a class number. The check waits for the device."""
    least, most = map(int, kernel(xp, extremes)(labels))
    if least < 0 or most >= classes:
        hint = ": labels start at 0" if least == 1 and most == classes else ""
        hint = " or more" if most == LARGEST else hint
        hint = f": ignore_index={least} leaves out this label" if least < 0 else hint
        raise DataError(
            f"{prefix}expected labels of {classes} classes from 0 to {classes - 1}, found "
            f"{least if least < 0 else most}{hint}"
        )


def check_sums(xp: Any, rows: Array, expected: str, hint: str = "") -> None:
    """Raise a `DataError` if a row is not a distribution. The check waits for the device.

    The sum of a row may differ from 1 by the rounding error of bfloat16, 2^-8.
    """
    check_range(xp, rows, 0, math.inf, "entries of one-hot rows")
    worst = float(xp.max(xp.abs(xp.sum(rows, axis=-1) - 1.0)))
    if worst > 4e-3:
        raise DataError(f"{expected}, found a sum that differs from 1 by {worst:.3g}{hint}")


def check_weights(name: str, xp: Any, weight: Array, *, zeros: bool = False) -> None:
    """Raise a `DataError` if sample weights are invalid. The check waits for the device.

    If `zeros` is True, all weights may be 0. Otherwise, at least one weight must be above 0.
    """
    least, most, total = (float(f(weight)) for f in (xp.min, xp.max, xp.sum))
    limits = xp.finfo(weight.dtype)
    usable = least >= 0.0 and limits.smallest_normal <= total <= limits.max
    if not (usable or (zeros and least == most == 0.0)):
        raise DataError(
            f"{name}: expected weights of at least 0{'' if zeros else ' (not all 0)'} with a sum "
            f"within the range of {weight.dtype}, found values from {least:g} to {most:g} that sum "
            f"to {total:g}"
        )
