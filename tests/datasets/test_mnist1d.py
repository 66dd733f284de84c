"""MNIST-1D: the signals follow the authors' description and the distribution of their file."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.datasets import mnist1d

TEMPLATES = [
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


def together(splits):
    (x_train, y_train), (x_test, y_test) = splits
    return np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])


def stretch(x, length):
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(x)), x)


def every_place(digit):
    """Return the signals of a template, one for each number of zeros and each shift."""
    template = np.asarray(TEMPLATES[digit], dtype=float) - 5
    long = [stretch(np.append(template, np.zeros(zeros)), 72) for zeros in range(36, 61)]
    return np.array([stretch(np.roll(x, shift), 40) for x in long for shift in range(48)])


def test_shapes_and_types():
    (x_train, y_train), (x_test, y_test) = mnist1d(50)
    assert (x_train.shape, y_train.shape) == ((40, 40), (40,))
    assert (x_test.shape, y_test.shape) == ((10, 40), (10,))
    assert (x_train.dtype, y_train.dtype) == (np.float64, np.int64)


def test_digits_are_balanced_and_signals_standardised():
    x, y = together(mnist1d())
    assert np.bincount(y).tolist() == [500] * 10
    assert np.mean(x) == pytest.approx(0, abs=1e-12)
    assert np.std(x) == pytest.approx(1)


def test_seeds():
    x, y = together(mnist1d(100, seed=3))
    again, labels = together(mnist1d(100, seed=3))
    np.testing.assert_array_equal(again, x)
    np.testing.assert_array_equal(labels, y)
    assert not np.any(together(mnist1d(100, seed=4))[0] == x)


def test_one_permutation_for_all_samples_and_seeds():
    x, y = together(mnist1d(100))
    shuffled, labels = together(mnist1d(100, shuffled=True))
    order = [int(np.flatnonzero(x[0] == number)[0]) for number in shuffled[0]]
    assert sorted(order) == list(range(40)) != order
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_array_equal(shuffled, x[:, order])
    np.testing.assert_array_equal(
        together(mnist1d(100, seed=1, shuffled=True))[0],
        together(mnist1d(100, seed=1))[0][:, order],
    )


@pytest.mark.parametrize("digit", range(10))
def test_without_noise_a_signal_is_its_template(digit):
    """A signal without noise is a multiple of its stretched and shifted template, plus a line."""
    x, y = together(mnist1d(400, noise=0))
    places = every_place(digit)
    # Subtract the best fitting line, so that linear trends do not affect the comparison.
    line = np.stack([np.ones(40), np.linspace(-1, 1, 40)], axis=1)
    rest = np.eye(40) - line @ np.linalg.pinv(line)
    places = places @ rest
    factors = []
    for signal in x[y == digit] @ rest:
        fitted = (places @ signal) / np.sum(places**2, axis=1)
        errors = np.linalg.norm(fitted[:, None] * places - signal, axis=1)
        assert np.min(errors) < 1e-9
        factors.append(fitted[np.argmin(errors)])
    assert 1.2 < max(factors) / min(factors) < 1.2 / 0.8
    assert min(factors) > 0


# Measured on the authors' file, github.com/greydanus/mnist1d, mnist1d_data.pkl.
DEVIATIONS = [1.196, 0.873, 0.835, 1.009, 0.881, 0.838, 1.191, 0.877, 1.000, 0.899]
BENDS = [0.438, 0.461, 0.443, 0.628, 0.465, 0.495, 0.440, 0.468, 0.629, 0.544]


def test_distribution_of_the_published_file():
    x, y = together(mnist1d(20000))
    for digit in range(10):
        signals = x[y == digit]
        assert np.std(signals) == pytest.approx(DEVIATIONS[digit], rel=0.03)
        bends = np.mean(np.abs(np.diff(signals, n=2)))
        assert bends == pytest.approx(BENDS[digit], rel=0.03)


def test_noise():
    bends = [np.mean(np.abs(np.diff(mnist1d(1000, noise=n)[0][0], n=2))) for n in (0, 1, 2)]
    assert bends[0] < bends[1] < bends[2]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"samples": 5}, ValueError, "expected samples to be at least 10, found 5"),
        ({"samples": 25}, ValueError, "a multiple of 10 digits, found 25"),
        ({"samples": 1e3}, TypeError, "expected samples to be a whole number, found 1000.0"),
        ({"noise": -1.0}, ValueError, "expected noise to be finite and at least 0, found -1.0"),
        ({"shuffled": "yes"}, TypeError, "expected shuffled"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        cr.datasets.mnist1d(**options)
