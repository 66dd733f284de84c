"""Classification problems with two features, which are easy to plot."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checks import at_least_zero, whole
from ..errors import require

Points = tuple[np.ndarray, np.ndarray]


def spirals(samples: int = 6000, *, classes: int = 6, noise: float = 0.2, seed: int = 0) -> Points:
    """Spiral arms, one for each class, from the centre to radius 1.

    Arm k turns by 4 radians, from angle 4k to 4k + 4. Normally distributed noise is added to the
    angle. With six classes, neighbouring arms are 0.57 radians apart. With noise 0.2, the arms
    overlap, so no classifier can exceed an accuracy of about 92 %.

    Source: A. Karpathy, lecture notes of Stanford's CS231n, "Minimal neural network case study".

    Parameters
    ----------
    samples : int, optional
        The number of points, a multiple of the number of classes.
    classes : int, optional
        The number of arms.
    noise : float, optional
        The standard deviation of the angle, in radians.
    seed : int, optional
        Seed of the noise.

    Returns
    -------
    x : array
        The points, ``(samples, 2)``.
    y : array
        The classes, ``(samples,)``, as integers that start at 0.

    Examples
    --------
    >>> x, y = cr.datasets.spirals(600, noise=0.1)
    >>> x.shape, np.bincount(y).tolist()
    ((600, 2), [100, 100, 100, 100, 100, 100])
    """
    classes, noise = whole("classes", classes, least=1), at_least_zero("noise", noise)
    if samples < classes or samples % classes:
        raise ValueError(f"expected samples to be a multiple of classes={classes}, found {samples}")
    rng, n = np.random.default_rng(seed), samples // classes
    y = np.repeat(np.arange(classes), n)
    radius = np.tile(np.linspace(0.0, 1.0, n), classes)
    angle = 4.0 * (radius + y) + rng.normal(0.0, noise, samples)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1), y


def circles(samples: int = 1000, *, noise: float = 0.1, seed: int = 0) -> Points:
    """One circle inside another, from scikit-learn's ``make_circles`` (``sklearn`` extra).

    Examples
    --------
    >>> x, y = cr.datasets.circles(200)
    >>> x.shape, np.bincount(y)
    ((200, 2), array([100, 100]))
    """
    return _make("make_circles", n_samples=samples, noise=noise, factor=0.5, random_state=seed)


def moons(samples: int = 1000, *, noise: float = 0.15, seed: int = 0) -> Points:
    """Two interleaving half circles, from scikit-learn's ``make_moons`` (``sklearn`` extra).

    Examples
    --------
    >>> x, y = cr.datasets.moons(200)
    >>> x.shape, np.bincount(y)
    ((200, 2), array([100, 100]))
    """
    return _make("make_moons", n_samples=samples, noise=noise, random_state=seed)


def blobs(samples: int = 1000, *, classes: int = 4, noise: float = 1.0, seed: int = 0) -> Points:
    """Gaussian blobs around random centres, from ``make_blobs`` (``sklearn`` extra).

    Examples
    --------
    >>> x, y = cr.datasets.blobs(200, classes=4)
    >>> x.shape, np.bincount(y)
    ((200, 2), array([50, 50, 50, 50]))
    """
    options = {"centers": classes, "cluster_std": noise}
    return _make("make_blobs", n_samples=samples, random_state=seed, **options)


def _make(name: str, **options: Any) -> Points:
    datasets = require("sklearn.datasets", what=f"the data set of {name}", extra="sklearn")
    x, y = getattr(datasets, name)(**options)
    return x, y
