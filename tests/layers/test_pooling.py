"""Check pooling by hand: ties, NaN, windows at the border, and invalid arguments."""

import re

import numpy as np
import pytest

import chainrule as cr


def pooled(layer, library, x, dy=None):
    """Return the outputs and the gradient of the input, for one channel of one sample."""
    x = np.asarray(x, "float64")
    layer = layer.bind(library.backend, dtype="float64")
    y, backward = layer.forward(library.asarray(x[None, None, ...]))
    dy = np.ones(y.shape) if dy is None else np.asarray(dy, "float64")[None, None, ...]
    dx = backward(library.asarray(dy))
    assert dx.shape == (1, 1, *x.shape)
    return [library.to_numpy(array)[0, 0].tolist() for array in (y, dx)]


def test_max_pooling_by_hand(library):
    y, dx = pooled(cr.MaxPool2d(2), library, [[1, 2, 5, 0], [4, 3, 6, 7]], dy=[[10, 20]])
    assert y == [[4, 7]]
    assert dx == [[0, 0, 0, 0], [10, 0, 0, 20]]


def test_overlapping_windows_add_their_gradients(library):
    y, dx = pooled(cr.MaxPool1d(3, stride=1), library, [1, 2, 9, 3, 4], dy=[1, 10, 100])
    assert (y, dx) == ([9, 9, 9], [0, 0, 111, 0, 0])
    y, dx = pooled(cr.AvgPool1d(2, stride=1), library, [1, 2, 9], dy=[2, 20])
    assert (y, dx) == ([1.5, 5.5], [1, 11, 10])


def test_the_first_of_equal_elements_gets_the_gradient(library):
    y, dx = pooled(cr.MaxPool2d(2), library, [[3, 3], [3, 3]])
    assert (y, dx) == ([[3]], [[1, 0], [0, 0]])
    y, dx = pooled(cr.MaxPool2d(2), library, [[1, 2], [2, 0]])
    assert (y, dx) == ([[2]], [[0, 1], [0, 0]])
    _, dx = pooled(cr.MaxPool1d(2, stride=1), library, [5, 5, 5], dy=[1, 10])
    assert dx == [1, 10, 0]


def test_nan_passes_through(library):
    y, dx = pooled(cr.MaxPool1d(3), library, [1, np.nan, 9, 4, 5, 6, np.nan, np.nan, 1])
    np.testing.assert_array_equal(y, [np.nan, 6, np.nan])
    assert dx == [0, 1, 0, 0, 0, 1, 1, 0, 0]
    y, _ = pooled(cr.AvgPool1d(3), library, [1, np.nan, 9, 4, 5, 6])
    np.testing.assert_array_equal(y, [np.nan, 5])


def test_infinities(library):
    y, dx = pooled(cr.MaxPool1d(2), library, [-np.inf, -np.inf, np.inf, 1.0])
    assert (y, dx) == ([-np.inf, np.inf], [1, 0, 1, 0])


def test_padding_is_never_the_maximum(library):
    y, dx = pooled(cr.MaxPool1d(2, padding=1), library, [-5, -6, -7, -8])
    assert (y, dx) == ([-5, -6, -8], [1, 1, 0, 1])


def test_a_remainder_gets_no_gradient(library):
    for layer, share in ((cr.MaxPool2d(2), [0, 1]), (cr.AvgPool2d(2), [0.25, 0.25])):
        y, dx = pooled(layer, library, np.arange(15).reshape(3, 5))
        assert np.shape(y) == (1, 2)
        assert dx[1] == [*share, *share, 0]
        assert dx[2] == [0] * 5


@pytest.mark.parametrize(
    ("x", "options", "expected"),
    [
        ([1, 2, 3, 4, 5], {}, [1.5, 3.5]),
        ([1, 2, 3, 4, 5], {"ceil_mode": True}, [1.5, 3.5, 5.0]),
        ([1, 2, 3, 4], {"padding": 1}, [0.5, 2.5, 2.0]),
        ([1, 2, 3, 4], {"padding": 1, "count_include_pad": False}, [1.0, 2.5, 4.0]),
        # The last window would begin in the padding, so there is none.
        ([1, 2, 3], {"padding": 1, "ceil_mode": True, "stride": 4}, [0.5]),
        # The last window holds one element, one zero of the padding, and one place beyond it.
        (
            [1, 2, 3, 4, 5, 6],
            {"kernel": 3, "stride": 3, "padding": 1, "ceil_mode": True},
            [1.0, 4.0, 3.0],
        ),
        (
            [1, 2, 3, 4, 5, 6],
            {"kernel": 3, "stride": 3, "padding": 1, "ceil_mode": True, "count_include_pad": False},
            [1.5, 4.0, 6.0],
        ),
    ],
)
def test_which_elements_count(x, options, expected, library):
    options = {"kernel": 2, **options}
    y, dx = pooled(cr.AvgPool1d(options.pop("kernel"), **options), library, x)
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    # The sum of the means is a linear function of `x`: the dot product of `x` and its gradient.
    assert np.dot(x, dx) == pytest.approx(sum(expected))


def test_ceil_mode_of_the_maximum(library):
    x = [1, 2, 3, 4, 9]
    assert pooled(cr.MaxPool1d(2), library, x) == [[2, 4], [0, 1, 0, 1, 0]]
    assert pooled(cr.MaxPool1d(2, ceil_mode=True), library, x) == [[2, 4, 9], [0, 1, 0, 1, 1]]
    y, _ = pooled(cr.MaxPool1d(1, stride=4, ceil_mode=True), library, x[:4])
    assert y == [1]  # a second window would begin beyond the last element
    y, _ = pooled(cr.MaxPool1d(3, stride=1, ceil_mode=True), library, x)
    assert y == [3, 4, 9]  # without a remainder, no window is added


def test_dilated_windows(library):
    y, dx = pooled(cr.MaxPool1d(2, stride=1, dilation=3), library, [5, 1, 2, 3, 9])
    assert (y, dx) == ([5, 9], [1, 0, 0, 0, 1])


def test_a_dilated_window_that_spans_the_image(library):
    """All elements of the window lie in the padding, so there is no maximum and no gradient."""
    layer = cr.MaxPool1d(2, stride=1, padding=1, dilation=2)
    y, dx = pooled(layer, library, [5], dy=[1])
    assert (y, dx) == ([-np.inf], [0])
    y, dx = pooled(layer.copy(), library, [5, 6], dy=[1, 10])
    assert (y, dx) == ([6, 5], [10, 1])


def test_adaptive_means_by_hand(library):
    y, dx = pooled(cr.AdaptiveAvgPool2d((1, 2)), library, [[1, 2, 3, 4, 5]], dy=[[3, 30]])
    np.testing.assert_allclose(y, [[2, 4]], rtol=1e-14)
    np.testing.assert_allclose(dx, [[1, 1, 11, 10, 10]], rtol=1e-14)
    y, dx = pooled(cr.AdaptiveAvgPool2d(1), library, [[1, 2], [3, 6]])
    assert (y, dx) == ([[3]], [[0.25] * 2] * 2)
    y, _ = pooled(cr.AdaptiveAvgPool2d((2, 3)), library, [[1, 7]])  # more parts than pixels
    np.testing.assert_allclose(y, [[1, 4, 7]] * 2, rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cr.MaxPool2d(3, padding=2), "at most half the kernel size, found (2, 2)"),
        (lambda: cr.MaxPool2d((4, 1), padding=1), "at most half the kernel size, found (1, 1)"),
        (lambda: cr.AvgPool1d(3, padding=2), "at most half the kernel size, found (2,)"),
        (lambda: cr.MaxPool2d(0), "expected kernel_size to be at least 1, found 0"),
        (lambda: cr.MaxPool2d(2, stride=0), "expected stride to be at least 1, found 0"),
        (lambda: cr.MaxPool1d((2, 2)), "expected kernel_size to be one number, found (2, 2)"),
        (lambda: cr.AdaptiveAvgPool2d(0), "expected output_size to be at least 1, found 0"),
    ],
)
def test_arguments_that_are_refused(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (cr.MaxPool2d(3), (1, 2, 5, 2), "a width of at least 3, found 2 in an input of shape"),
        (cr.AvgPool2d(4, padding=1), (1, 2, 1, 5), "a height of at least 2, found 1"),
        (cr.MaxPool1d(2, dilation=5), (1, 2, 5), "a length of at least 6, found 5"),
        (cr.MaxPool2d(2), (2, 5, 5), "(batch, channels, height, width), found (2, 5, 5)"),
        (cr.AvgPool1d(2), (1, 2, 5, 5), "(batch, channels, length), found (1, 2, 5, 5)"),
        (cr.AdaptiveAvgPool2d(1), (2, 5, 5), "(batch, channels, height, width), found (2, 5, 5)"),
        (cr.AdaptiveAvgPool2d(1), (2, 1, 5, 0), "(batch, channels, height, width), found (2, 1,"),
        (cr.ZeroPad2d(1), (2, 5, 5), "(batch, channels, height, width), found (2, 5, 5)"),
        (cr.Unflatten(1, (2, 3)), (1, 5), "(batch, 6, ...), found (1, 5)"),
        (cr.Unflatten(2, (2, -1)), (1, 4, 5), "(batch, any, a multiple of 2, ...), found (1, 4, 5"),
        (cr.Unflatten(2, (2, 3)), (1, 6), "(batch, any, 6, ...), found (1, 6)"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, words):
    model = cr.Sequential(cr.Identity(), layer.copy())
    with pytest.raises(cr.ShapeError, match=rf"layer '1', .*: expected .*{re.escape(words)}"):
        model.forward(np.ones(shape, "float32"))


def test_unflatten(library):
    x = library.asarray(np.arange(24.0).reshape(2, 12), dtype=library.backend.xp.float32)
    for sizes in ((3, 4), (3, -1), (-1, 4), (12,), (1, -1, 2, 2)):
        layer = cr.Unflatten(1, sizes).bind(library.backend)
        y, backward = layer.forward(x)
        expected = np.arange(24.0).reshape(2, *sizes)
        np.testing.assert_array_equal(library.to_numpy(y), expected)
        assert backward(y).shape == (2, 12)
    for sizes in ((), (0, 12), (-1, -1), (-2, 6)):
        with pytest.raises(ValueError, match="expected unflattened_size to be"):
            cr.Unflatten(1, sizes)
    with pytest.raises(ValueError, match="expected dim to be at least 1, found 0"):
        cr.Unflatten(0, (2, 2))


def test_dropout_of_channels(library):
    model = cr.Sequential(cr.Dropout2d(0.25), backend=library.backend, seed=1)
    x = library.asarray(np.ones((50, 40, 2, 3), "float32"))
    y, backward = model.forward(x, training=True)
    found = library.to_numpy(y)
    assert (found == found[:, :, :1, :1]).all()
    kept = found[:, :, 0, 0]
    np.testing.assert_allclose(np.unique(kept), [0.0, 4 / 3], rtol=1e-6)
    assert np.mean(kept > 0) == pytest.approx(0.75, abs=0.05)
    np.testing.assert_array_equal(library.to_numpy(backward(x, input_gradient=True)), found)
    np.testing.assert_array_equal(library.to_numpy(model.forward(x)[0]), library.to_numpy(x))
    with pytest.raises(
        cr.ShapeError, match=r"expected .*\(batch, channels, \.\.\.\), found \(4, 5\)"
    ):
        model.forward(x[:4, :5, 0, 0], training=True)


def test_padding_does_not_take_the_gradient_of_minus_infinity(library):
    """If an image itself contains minus infinity, this element gets the gradient."""
    x = library.asarray(np.asarray([[[-np.inf, 1.0, 2.0, -np.inf]]]))
    layer = cr.MaxPool1d(2, padding=1).bind(library.backend, dtype="float64")
    y, backward = layer.forward(x)
    np.testing.assert_array_equal(library.to_numpy(y), [[[-np.inf, 2.0, -np.inf]]])
    dx = library.to_numpy(backward(library.asarray(np.ones((1, 1, 3)))))
    np.testing.assert_array_equal(dx, [[[1.0, 0.0, 1.0, 1.0]]])


def test_adaptive_means_keep_nan_and_infinity_in_their_parts(library):
    layer = cr.AdaptiveAvgPool2d((1, 3)).bind(library.backend, dtype="float64")
    x = np.asarray([[[[np.inf, 1.0, 2.0, 4.0, np.nan, 1.0]]]])
    y = library.to_numpy(layer.forward(library.asarray(x))[0])
    np.testing.assert_array_equal(y, [[[[np.inf, 3.0, np.nan]]]])


def test_ceil_mode_needs_fewer_elements():
    layer = cr.MaxPool1d(4, stride=2, ceil_mode=True)
    assert layer.forward(np.ones((1, 1, 3), "float32"))[0].shape == (1, 1, 1)
    with pytest.raises(cr.ShapeError, match="expected a length of at least 3, found 2"):
        layer.forward(np.ones((1, 1, 2), "float32"))
