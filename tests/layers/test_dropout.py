"""Dropout's masks look random, and are the same on every library."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.masks import keep_mask, split_key


def mask(shape, p, seed, draw, library=None):
    backend = library.backend if library else cr.get_backend("numpy")
    array = keep_mask(backend.xp, shape, p, split_key(seed, draw), backend.xp.zeros(1).device)
    return backend.to_numpy(array)


def test_masks_are_the_same_on_every_library(library):
    for draw in range(5):
        ours = mask((33, 7), 0.7, 11, draw, library)
        np.testing.assert_array_equal(ours, mask((33, 7), 0.7, 11, draw))


def test_masks_follow_the_formula():
    """The masks equal those computed with Python's integers, modulo 2**32 and 2**64."""

    def mix(z):
        z = (z + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        return z ^ (z >> 31)

    def kept(seed, draw, i, p):
        key = mix((mix(seed) + draw * 0x9E3779B97F4A7C15) & (2**64 - 1))
        h = (i * 0x9E3779B9) & (2**32 - 1) ^ (key >> 32)
        h = ((h ^ (h >> 16)) * 0x7FEB352D) & (2**32 - 1) ^ (key & (2**32 - 1))
        h = ((h ^ (h >> 15)) * 0x846CA68B) & (2**32 - 1)
        return (h ^ 2**31) < int(p * 2**32)  # flip the sign bit, because int32 is signed

    for seed, draw, p in [(0, 0, 0.5), (5, 3, 0.8), (2**40, 10**6, 0.1)]:
        expected = [kept(seed, draw, i, p) for i in range(500)]
        assert mask((500,), p, seed, draw).tolist() == expected


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.9])
def test_the_fraction_kept(p):
    n, draws = 20_000, 50
    kept = np.asarray([mask((n,), p, 3, draw).mean() for draw in range(draws)])
    deviations = (kept - p) / np.sqrt(p * (1 - p) / n)
    assert np.abs(deviations).max() < 4.5
    assert 0.6 < deviations.std() < 1.5  # independent masks have a standard deviation of 1


@pytest.mark.parametrize("what", ["draws", "seeds", "elements", "rows"])
def test_no_correlation(what):
    n = 100_000
    if what == "draws":
        pairs = [(mask((n,), 0.5, 0, d), mask((n,), 0.5, 0, d + 1)) for d in range(20)]
    elif what == "seeds":
        pairs = [(mask((n,), 0.5, s, 0), mask((n,), 0.5, s + 1, 0)) for s in range(20)]
    else:
        lag = 1 if what == "elements" else 128
        masks = [mask((n,), 0.5, s, 9) for s in range(20)]
        pairs = [(m[:-lag], m[lag:]) for m in masks]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(n)


def test_all_runs_of_bits_are_equally_likely():
    """A chi-square test of the 256 patterns of eight neighbours finds no preference."""
    bits = np.concatenate([mask((8000,), 0.5, 1, d) for d in range(100)]).reshape(-1, 8)
    counts = np.bincount(np.packbits(bits, axis=1)[:, 0], minlength=256)
    expected = counts.sum() / 256
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert 255 - 5 * np.sqrt(510) < chi2 < 255 + 5 * np.sqrt(510)


def test_expected_value_is_kept_and_inference_passes_through(library):
    layer = cr.Sequential(cr.Dropout(0.25), backend=library.backend)
    x = library.asarray(np.ones((200, 500), "float32"))
    y, backward = layer.forward(x, training=True)
    host = library.to_numpy(y)
    assert host.mean() == pytest.approx(1.0, abs=0.01)
    assert set(np.unique(host)) == {np.float32(0.0), np.float32(1 / 0.75)}
    np.testing.assert_array_equal(library.to_numpy(backward(x, input_gradient=True)), host)
    again, _ = layer.forward(x, training=True)
    assert not np.array_equal(library.to_numpy(again), host)
    np.testing.assert_array_equal(library.to_numpy(layer.forward(x)[0]), library.to_numpy(x))


class FlipSigns(cr.Layer):
    """The example in the docstring of `Layer`."""

    def forward(self, x, *, training=False):
        if not training:
            return x, lambda dy: dy
        xp, draw = self.xp, self.backend.kernel(keep_mask)
        kept = draw(x.shape, 0.9, self.state.next_key(), x.device)
        return xp.where(kept, x, -x), lambda dy: xp.where(kept, dy, -dy)


def test_a_custom_layer_that_draws_random_numbers(library):
    assert cr.gradcheck(FlipSigns(), shape=(9, 5), training=True, backend=library.backend) < 1e-6
    model = cr.Sequential(FlipSigns(), FlipSigns(), backend=library.backend, seed=3)
    x = np.ones((20, 50), "float32")
    found = [library.to_numpy(model.forward(library.asarray(x), training=True)[0]) for _ in "ab"]
    keys = [mask(x.shape, 0.9, 3, draw) for draw in range(4)]
    expected = [np.where(keys[i] == keys[i + 1], 1.0, -1.0) for i in (0, 2)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_bad_probability(p):
    with pytest.raises(ValueError, match="0 <= p < 1"):
        cr.Dropout(p)
