"""Check sample weights, multiply them by class weights, and drop samples with weight 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from sklearn.utils import check_array

from ..backends.conversion import like
from ..errors import shown
from ..types import Array
from .inputs import check_foreign, expect_numbers, expect_present, few, is_foreign, taken, to_host


def sample_weights(weight: Any, samples: int) -> Array | None:
    """Check sample weights. Arrays of another library stay on their device."""
    if weight is None:
        return None
    if isinstance(weight, Real):
        weight = np.full(samples, weight)
    if not is_foreign(weight):
        given = weight
        expect_present("sample_weight", given)
        weight = check_array(given, ensure_2d=False, dtype=float, input_name="sample_weight")
        expect_numbers("sample_weight", given)
    else:
        check_foreign(weight, "sample_weight", dimensions=(1,))
    xp = array_namespace(weight)
    if not xp.isdtype(weight.dtype, "real floating"):
        weight = xp.astype(weight, xp.float64)
    if tuple(weight.shape) != (samples,):
        raise ValueError(f"expected {samples} sample weights, found shape {tuple(weight.shape)}")
    return _checked(weight, "sample_weight")


def with_weight(weight: Array | None, *arrays: Any) -> tuple[Any, ...]:
    """Drop samples with weight 0, and return the remaining rows of each array and of the weights.

    Dropped samples do not affect batches, statistics or validation data.
    """
    if weight is None or array_namespace(weight).all(weight > 0.0):
        return *arrays, weight
    rows = np.flatnonzero(to_host(weight))
    return tuple(taken(array, rows) for array in (*arrays, weight))


def times_class_weight(
    weight: Array | None, class_weight: Any, labels: np.ndarray, classes: np.ndarray
) -> Array:
    """Multiply sample weights by the weights of the classes.

    Parameters
    ----------
    weight : array or None
        Sample weights, above 0.
    class_weight : dict or list of dict
        See `MLPClassifier`. For several labels, a list with one dict per label.
    labels : ndarray
        The class of each sample, or several labels for each sample.
    classes : ndarray
        All classes. For several labels, the two values that a label can have.
    """
    columns = labels.reshape(len(labels), -1).T
    each = [class_weight] if labels.ndim == 1 else class_weight
    if (
        not isinstance(each, list | tuple)
        or len(each) != len(columns)
        or not all(isinstance(one, Mapping) for one in each)
    ):
        raise ValueError(
            "expected class_weight to be 'balanced', a dict of weights, or a list with one dict "
            f"per label (for several labels), found {shown(class_weight)}"
        )
    pairs = zip(each, columns, strict=True)
    factors = [_of_classes(one, column, classes) for one, column in pairs]
    product: Array = math.prod(factors)
    if not np.any(product):
        raise ValueError(
            "expected at least one sample of a class whose class_weight is above 0, found only "
            f"classes of weight 0: {few(np.unique(labels))}"
        )
    if weight is None:
        return _checked(product, "class_weight")
    return _checked(weight * like(weight, product), "sample_weight times class_weight")


def balanced(labels: np.ndarray, weight: Array | None) -> Any:
    """Return the `class_weight` that gives all classes the same total weight.

    Parameters
    ----------
    labels : ndarray
        The class of each sample, or several labels for each sample.
    weight : array or None
        Sample weights.

    Returns
    -------
    dict or list of dict
        A dict from classes to weights. For several labels, a list with one dict per label.
    """
    of_samples = to_host(weight)
    each = [_balanced(column, of_samples) for column in labels.reshape(len(labels), -1).T]
    return each[0] if labels.ndim == 1 else each


def _balanced(labels: np.ndarray, weight: np.ndarray | None) -> dict[Any, float]:
    present, codes = np.unique(labels, return_inverse=True)
    sums = np.bincount(codes, weights=weight)
    factors = sums.sum() / (len(present) * sums)
    return dict(zip(present.tolist(), factors.tolist(), strict=True))


def _of_classes(given: Mapping[Any, float], labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the class weight of each sample. Classes that are not named have weight 1."""
    present, codes = np.unique(labels, return_inverse=True)
    names = classes.tolist()
    unknown = [name for name in given if name not in names]
    if unknown and not all(
        name in given for name in names
    ):  # probably a typo, for which scikit-learn also raises an error
        raise ValueError(
            f"expected class_weight to name classes among {shown(names)}, found {shown(unknown)}"
        )
    return np.asarray([given.get(name, 1.0) for name in present.tolist()], dtype=float)[codes]


def _checked(weight: Array, name: str) -> Array:
    """Return the weights if they are valid; otherwise raise a `ValueError`."""
    xp = array_namespace(weight)
    low, high = float(xp.min(weight)), float(xp.max(weight))
    if not (low >= 0.0 and 0.0 < high * weight.shape[0] < math.inf):
        raise ValueError(  # scikit-learn's checks look for the word "zero"
            f"expected {name} to be at least zero (above zero for at least one sample) with a "
            f"finite sum, found values from {low:g} to {high:g}"
        )
    return weight
