"""Pooling over time, with and without lengths."""

import numpy as np
import pytest

import chainrule as cr

MODES = ("mean", "max", "last")
LENGTHS = np.asarray([5, 1, 3])
modes = pytest.mark.parametrize("mode", MODES)


def sequences(seed=0):
    return np.random.default_rng(seed).normal(size=(3, 5, 4))


def pooled(mode, library, x, lengths=None):
    layer = cr.PoolOverTime(mode).bind(library.backend, dtype="float64")
    x = library.asarray(x)
    return layer.forward(x if lengths is None else (x, library.asarray(lengths)))


@modes
def test_padding_does_not_count(mode, library):
    x, dy = sequences(), np.random.default_rng(1).normal(size=(3, 4))
    for filling in (0.0, 1e9, np.nan, np.inf):
        x[np.arange(5) >= LENGTHS[:, None]] = filling
        y, backward = pooled(mode, library, x, LENGTHS)
        dx, of_lengths = backward(library.asarray(dy))
        assert of_lengths is None
        for i, length in enumerate(LENGTHS):
            alone, back = pooled(mode, library, x[i : i + 1, :length])
            np.testing.assert_allclose(
                library.to_numpy(y)[i], library.to_numpy(alone)[0], rtol=1e-14
            )
            expected = library.to_numpy(back(library.asarray(dy[i : i + 1])))[0]
            np.testing.assert_allclose(library.to_numpy(dx)[i, :length], expected, rtol=1e-14)
            assert not library.to_numpy(dx)[i, length:].any()


@modes
def test_gradients_with_lengths_are_right(mode, library):
    layer, x = cr.PoolOverTime(mode), (sequences(), LENGTHS)
    assert cr.gradcheck(layer, x=x, backend=library.backend) <= 1e-6


def test_values(library):
    x = [[[1.0, 5.0], [3.0, 2.0], [9.0, 9.0]]]
    found = {m: library.to_numpy(pooled(m, library, x, [2])[0]).tolist() for m in MODES}
    assert found == {"mean": [[2.0, 3.5]], "max": [[3.0, 5.0]], "last": [[3.0, 2.0]]}


def test_the_maximum_goes_to_the_first_of_the_largest(library):
    _, backward = pooled("max", library, [[[2.0], [7.0], [7.0], [7.0]]], [3])
    dx, _ = backward(library.asarray([[5.0]]))
    assert library.to_numpy(dx)[0, :, 0].tolist() == [0.0, 5.0, 0.0, 0.0]


def test_nan_within_a_sequence_is_not_hidden(library):
    x = sequences()
    x[2, 1, 0] = np.nan
    for mode in ("mean", "max"):
        y = library.to_numpy(pooled(mode, library, x, LENGTHS)[0])
        assert np.argwhere(np.isnan(y)).tolist() == [[2, 0]]


@modes
def test_float32_stays_float32(mode, library):
    model = cr.Sequential(cr.PoolOverTime(mode), backend=library.backend)
    x = library.asarray(sequences(), dtype=model.state.dtype), library.asarray(LENGTHS)
    y, backward = model.forward(x)
    dx, _ = backward(y, input_gradient=True)
    assert y.dtype == dx.dtype == model.state.dtype


@pytest.mark.not_on("cupy")  # lengths on a GPU are not read, because that would be slow
@modes
def test_mistakes(mode, library):
    for lengths, kind, message in (
        ([5, 0, 3], cr.DataError, "expected lengths from 1 to 5, found 0"),
        ([6, 1, 3], cr.DataError, "expected lengths from 1 to 5, found 6"),
        ([5, 1], cr.ShapeError, r"expected lengths of shape \(3,\), found \(2,\)"),
        ([5.0, 1.0, 3.0], cr.DataError, "expected integer lengths, found .*float64"),
    ):
        with pytest.raises(kind, match=message):
            pooled(mode, library, sequences(), lengths)
    with pytest.raises(
        cr.ShapeError, match=r"expected .*\(batch, time, features\), found \(3, 5\)"
    ):
        pooled(mode, library, sequences()[:, :, 0])
    with pytest.raises(ValueError, match="expected mode to be one of"):
        cr.PoolOverTime("first")
