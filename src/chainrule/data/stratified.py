"""A split that keeps the share of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import is_array_api_obj

from ..backends.conversion import as_numpy, host_array
from ..errors import DataError, ShapeError
from ..types import Array, Seed
from .moving import rows_of

if TYPE_CHECKING:
    pass


def stratified_split(
    *arrays: Any, labels: Any, fraction: float, seed: Seed = 0
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Two parts of the data, each class in both of them in the same proportion.

    Parameters
    ----------
    *arrays : array
        ``(samples, ...)`` each; they keep their library, device and dtype. Lists and frames become
        NumPy's.
    labels : array
        ``(samples,)``, the class of each sample.
    fraction : float
        The share of the samples in the second part, 0 < fraction < 1; of a class of n samples
        ``round(fraction * n)``, but at least one, go there.
    seed : int or numpy.random.Generator, optional
        What chooses them.

    Returns
    -------
    first, second : tuple of array
        The arrays of each part, in the order of the data.

    Raises
    ------
    ValueError
        If the fraction is out of range.
    ShapeError
        If the arrays have different lengths.
    DataError
        If a class has a single sample, which cannot be in both.

    Examples
    --------
    >>> x, y = np.arange(10), np.asarray([0, 1] * 5)
    >>> first, second = stratified_split(x, y, labels=y, fraction=0.4, seed=1)
    >>> first[1].tolist(), second[1].tolist()
    ([0, 1, 0, 1, 0, 1], [0, 1, 1, 0])
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"expected 0 < fraction < 1, found {fraction}")
    classes = host_array(labels)
    arrays = tuple(a if is_array_api_obj(a) else as_numpy(a) for a in arrays)
    shapes = [tuple(a.shape) for a in arrays]
    if not arrays or {shape[:1] for shape in shapes} != {classes.shape}:
        raise ShapeError(
            f"expected arrays as long as the labels, found shapes {shapes} and labels of shape "
            f"{classes.shape}"
        )
    rng, chosen = np.random.default_rng(seed), np.zeros(len(classes), bool)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        if len(members) < 2:
            raise DataError(f"expected at least two samples of each class, found one of {label}")
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    first, second = (
        tuple(rows_of(array, np.flatnonzero(part)) for array in arrays)
        for part in (~chosen, chosen)
    )
    return first, second
