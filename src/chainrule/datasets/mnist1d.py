"""MNIST-1D: ten digits as signals of 40 numbers, generated at random."""

from __future__ import annotations

import numpy as np

from ..checks import at_least_zero, flag, whole

Split = tuple[np.ndarray, np.ndarray]

# One row per digit, by S. Greydanus.
_TEMPLATES = np.asarray(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
_KNOTS = _TEMPLATES.shape[1]
_FINE, _LENGTH = 72, 40  # numbers per signal, before and after resampling
_SHUFFLED = np.random.default_rng(0).permutation(_LENGTH)


def mnist1d(
    samples: int = 5000, *, noise: float = 1.0, shuffled: bool = False, seed: int = 0
) -> tuple[Split, Split]:
    """Generate MNIST-1D: short signals that a convolutional network classifies best.

    Each digit has a template, a curve through 12 points. A sample is the template of its digit,
    stretched, scaled and moved to a random position in a signal. Smooth noise surrounds the
    template. White noise and a random slope are added to the whole signal. Four fifths of the
    samples are for training.

    The procedure and its constants come from the authors, but the random numbers are different. So
    the samples follow the same distribution as the samples of the published file, but are not equal
    to them. The authors report test accuracies of 32 % for logistic regression, 68 % for an MLP and
    94 % for a convolutional network. After shuffling, they report 32, 68 and 56 %.

    Source: S. Greydanus and D. Kobak, "Scaling down deep learning with MNIST-1D", 2024.

    Parameters
    ----------
    samples : int, optional
        The number of samples, a multiple of 10. Each digit has the same number of samples.
    noise : float, optional
        A factor for the standard deviation of the noise. With 0, there is no noise.
    shuffled : bool, optional
        Whether to reorder the 40 numbers of each signal, with the same permutation for all samples
        and seeds. A network then cannot tell which numbers are neighbours.
    seed : int, optional
        Seed of the samples.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of array
        Signals ``(samples, 40)``, as float64, with mean 0 and standard deviation 1 over all
        samples. Labels ``(samples,)``, as int64 from 0 to 9.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = cr.datasets.mnist1d()
    >>> x_train.shape, x_test.shape
    ((4000, 40), (1000, 40))
    """
    samples, noise = whole("samples", samples, least=10), at_least_zero("noise", noise)
    if samples % 10:
        raise ValueError(f"expected samples to be a multiple of 10 digits, found {samples}")
    rng = np.random.default_rng(seed)
    digits = rng.permutation(np.arange(samples) % 10)
    x = _signals(digits, noise, rng)
    x = (x - np.mean(x)) / np.std(x)
    if flag("shuffled", shuffled):
        x = x[:, _SHUFFLED]
    train = samples * 4 // 5
    return (x[:train], digits[:train]), (x[train:], digits[train:])


def _signals(digits: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Return one signal per digit, ``(samples, 40)``."""
    samples = len(digits)
    # The template, followed by 36 to 60 zeros, is stretched to 72 numbers, and rotated by up to 47
    # of them. `place` is the position in the template from which each number comes.
    steps = rng.integers(36, 61, (samples, 1)) + _KNOTS - 1
    moved = np.arange(_FINE) - rng.integers(0, 48, (samples, 1))
    place = moved % _FINE * steps / (_FINE - 1)
    inside = place < _KNOTS
    x = inside * _heights(digits[:, None], np.minimum(place, _KNOTS))
    x *= rng.uniform(0.8, 1.2, (samples, 1))
    x += ~inside * _smooth(rng.normal(0.0, 0.25 * noise, x.shape))
    x += rng.normal(0.0, 0.02 * noise, x.shape)
    x += rng.uniform(-0.375, 0.375, (samples, 1)) * np.linspace(-0.5, 0.5, _FINE)
    signals: np.ndarray = x @ _resampling()
    return signals


def _heights(digit: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Interpolate templates linearly at positions from 0 to 12, and return the heights."""
    y = _TEMPLATES - np.mean(_TEMPLATES, axis=1, keepdims=True)
    y /= 6.0 * np.std(y, axis=1, keepdims=True)
    y = np.pad(y - y[:, :1], ((0, 0), (0, 1)))  # so that each curve begins and ends at 0
    knot = np.minimum(place.astype(int), _KNOTS - 1)
    share = place - knot
    heights: np.ndarray = (1.0 - share) * y[digit, knot] + share * y[digit, knot + 1]
    return heights


def _smooth(x: np.ndarray) -> np.ndarray:
    """Smooth each row with a Gaussian of standard deviation 2, reflecting the row at both ends."""
    distance = np.arange(-8, 9)
    weights = np.exp(-0.5 * (distance / 2.0) ** 2)
    padded = np.pad(x, ((0, 0), (8, 8)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(distance), axis=1)
    smooth: np.ndarray = windows @ (weights / np.sum(weights))
    return smooth


def _resampling() -> np.ndarray:
    """Return the matrix that reduces 72 numbers to 40 by linear interpolation."""
    fine, coarse = np.linspace(0.0, 1.0, _FINE), np.linspace(0.0, 1.0, _LENGTH)
    return np.stack([np.interp(coarse, fine, unit) for unit in np.eye(_FINE)])
