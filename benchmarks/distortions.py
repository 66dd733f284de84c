"""Time of elastic distortions of MNIST-sized images, compared with SciPy.

SciPy distorts the same images with the same random fields, and the results must agree to 1e-5.
"""

from __future__ import annotations

import importlib.util
from functools import partial

import numpy as np

import chainrule as cr

from .libraries import hide_numba
from .rounds import Calls, Times, race
from .text import number, ratio, rows, spread

IMAGES = (128, 28, 28)  # a batch
ALPHA, SIGMA = 36.0, 5.0


def measure(rounds: int) -> Times:
    """Return the seconds per batch."""
    chosen = [name for name, package in _NEEDS.items() if importlib.util.find_spec(package)]
    return race(calls, [(name,) for name in chosen], rounds)


def calls(library: str) -> tuple[list[float], Calls]:
    """Return a function that distorts a batch with this library."""
    if library == "chainrule-plain":
        hide_numba()
    augment = cr.augmentation.RandomElastic(ALPHA, SIGMA)
    distort = scipys_elastic if library == "SciPy" else augment
    images = np.random.default_rng(0).random(IMAGES, dtype=np.float32)
    expected, found = (f(images, np.random.default_rng(1)) for f in (augment, distort))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    rng = np.random.default_rng(2)
    return [float(np.mean(found))], {("elastic", library): partial(distort, images, rng)}


def scipys_elastic(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Compute the images that `RandomElastic` returns, with SciPy instead of chainrule."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    noise = 2.0 * rng.random((2, *images.shape)) - 1.0
    smooth = gaussian_filter(noise, (0, 0, SIGMA, SIGMA), mode="constant")
    rows, columns = np.indices(images.shape[1:])
    distorted = [
        map_coordinates(
            image, (rows + ALPHA * down, columns + ALPHA * across), order=1, mode="grid-constant"
        )
        for image, down, across in zip(images, *smooth, strict=True)
    ]
    return np.stack(distorted)


def table(results: Times) -> str:
    """Return a table with a line for each library."""
    times = results["elastic"]
    lines = [
        (
            library,
            spread(seconds),
            number(IMAGES[0] / float(np.median(seconds))),
            "" if library == "chainrule" else ratio(seconds, times["chainrule"]),
        )
        for library, seconds in times.items()
    ]
    head = (
        f"{IMAGES[0]} images of 28 x 28",
        "time",
        "images per second",
        "relative to chainrule's",
    )
    return rows(head, lines)


_NEEDS = {"chainrule": "numpy", "chainrule-plain": "numba", "SciPy": "scipy"}
