"""The kernels of a backend return the same results as their formulas."""

import math
from statistics import NormalDist

import array_api_compat.numpy as xp
import numpy as np
import pytest

import chainrule as cr
from chainrule.formulas import (
    extremes,
    masked,
    normal,
    predicted,
    relu,
    relu_gradient,
    softmax_cross_entropy,
    sum_over_batch,
)
from chainrule.masks import keep_mask, split_key

NORMAL = NormalDist()
AWKWARD = [0.0, -0.0, 1e-45, -1e-45, np.inf, -np.inf, np.nan]


def drawn(shape, dtype, seed=0, awkward=True):
    x = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    if awkward:
        x.reshape(-1)[: len(AWKWARD)] = AWKWARD
    return x


def both(library, function, *arrays):
    """Return the result of the backend's kernel and the result of the formula in NumPy."""
    with np.errstate(all="ignore"):
        found = library.backend.kernel(function)(*(library.asarray(a) for a in arrays))
        return found, function(xp, *arrays)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(7,), (33, 17), (2, 3, 4)])
def test_relu_and_its_gradient(library, shape, dtype):
    x, dy = drawn(shape, dtype), drawn(shape, dtype, seed=1, awkward=False)
    found, expected = both(library, relu, x)
    np.testing.assert_array_equal(library.to_numpy(found), expected)
    found, expected = both(library, relu_gradient, dy, expected)
    np.testing.assert_array_equal(library.to_numpy(found), expected)


@pytest.mark.parametrize("dtype", ["int64", "float16", ">f4", ">f8"])
def test_uncompiled_cases_are_still_computed(dtype):
    kernel = cr.get_backend("numpy").kernel
    y, labels = (10 * drawn((6, 8), "float64", awkward=False)).astype(dtype), np.arange(6)
    for function, arrays in ((relu, [y]), (relu_gradient, [y, y]), (masked, [y, y > 0, 2.0])):
        np.testing.assert_array_equal(kernel(function)(*arrays), function(xp, *arrays))
    found = kernel(softmax_cross_entropy)(y, labels)
    for ours, theirs in zip(found, softmax_cross_entropy(xp, y, labels), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_relu_of_views_and_of_other_dtypes():
    kernel = cr.get_backend("numpy").kernel
    x = drawn((6, 8), "float32", awkward=False)
    for view in (x.T, x[::2, ::3], x[:, 0], x[0, 0]):
        np.testing.assert_array_equal(kernel(relu)(view), relu(xp, view))
        np.testing.assert_array_equal(kernel(relu_gradient)(view, view), view * (view > 0))
    assert kernel(relu)(np.asarray([-2, 3])).tolist() == [0.0, 3.0]
    assert kernel(relu_gradient)(np.ones((1, 8)), x).shape == (6, 8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_cross_entropy(library, dtype):
    y = drawn((50, 9), dtype, awkward=False)
    labels = np.random.default_rng(1).integers(0, 9, 50)
    y[0, (labels[0] + 1) % 9] = -np.inf  # probability 0 for a class that is not the label
    y[1, labels[1]] = -np.inf  # probability 0 for the label
    y[2] = 300.0 * y[2]
    y[3, 4] = np.nan
    found, expected = both(library, softmax_cross_entropy, y, labels)
    tolerance = {"float32": 2e-6, "float64": 1e-14}[dtype]
    for ours, theirs in zip(found, expected, strict=True):
        ours = library.to_numpy(ours)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_a_label_outside_the_classes_does_not_write_into_other_memory():
    kernel = cr.get_backend("numpy").kernel(softmax_cross_entropy)
    with pytest.raises(IndexError):
        kernel(drawn((4, 3), "float32", awkward=False), np.asarray([0, 1, 2, 3]))


def test_cross_entropy_of_many_classes():
    y = np.random.default_rng(0).normal(size=(2, 300_000)).astype("float32")
    values, _ = cr.get_backend("numpy").kernel(softmax_cross_entropy)(y, np.asarray([0, 1]))
    expected, _ = softmax_cross_entropy(xp, y.astype("float64"), np.asarray([0, 1]))
    np.testing.assert_allclose(values, expected, rtol=3e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masked(library, dtype):
    x = drawn((7, 9), dtype)
    kept = np.random.default_rng(1).uniform(size=x.shape) < 0.5
    found = library.backend.kernel(masked)(library.asarray(x), library.asarray(kept), 1.25)
    found = library.to_numpy(found)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.where(kept, x * x.dtype.type(1.25), 0))


@pytest.mark.parametrize("shape", [(3, 2), (511, 3), (512, 3), (70_001, 2), (40, 50, 3)])
def test_sum_over_batch(library, shape):
    x = drawn(shape, "float32", awkward=False)
    found = library.backend.kernel(sum_over_batch)(library.asarray(x))
    expected = x.reshape(-1, shape[-1]).sum(axis=0, dtype="float64")
    np.testing.assert_allclose(library.to_numpy(found), expected, rtol=1e-5, atol=1e-4)


def test_dropout_masks(library):
    backend = library.backend
    device = backend.xp.zeros(1).device
    for shape, p, key in [((70, 9), 0.8, (0, 0)), ((5,), 1e-3, (2**40, 77)), ((0, 3), 0.5, (1, 1))]:
        found = backend.kernel(keep_mask)(shape, p, split_key(*key), device)
        expected = keep_mask(xp, shape, p, split_key(*key), "cpu")
        np.testing.assert_array_equal(library.to_numpy(found), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(101,), (33, 17), (2, 3, 4)])
def test_normal(library, shape, dtype):
    x = np.linspace(-9, 9, math.prod(shape)).reshape(shape).astype(dtype)
    (share, density), _ = both(library, normal, x)
    exact = [[f(float(v)) for v in x.reshape(-1)] for f in (NORMAL.cdf, NORMAL.pdf)]
    tolerance = {"float32": 3e-7, "float64": 1e-15}[dtype]
    for found, expected in zip((share, density), exact, strict=True):
        assert found.dtype == library.backend.dtype(dtype)
        found = library.to_numpy(found).reshape(-1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f8"])
def test_the_loop_of_normal_equals_the_formula(dtype):
    x = drawn((33, 17), dtype, awkward=False)
    for view in (x, x.T, x[::2, ::3], x[0, 0]):
        found = cr.get_backend("numpy").kernel(normal)(view)
        for ours, expected in zip(found, normal(xp, view), strict=True):
            np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_of_equal_outputs(library, dtype):
    """Of equal outputs, the first one counts as the largest. NaN counts as larger than all."""
    outputs = np.asarray([[1, 1, 0], [0, 1, 1], [2, 2, 2], [0, np.nan, 3], [0, 1, 2]], dtype)
    labels = np.asarray([0, 1, 2, 1, 2])
    found, expected = both(library, predicted, outputs, labels)
    np.testing.assert_array_equal(library.to_numpy(found), expected)
    np.testing.assert_array_equal(expected[[0, 1, 2, 4]], [True, True, False, True])


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_extremes(library, dtype):
    x = np.asarray([[3, -2], [7, 0]], dtype)
    found, _ = both(library, extremes, x)
    assert [float(number) for number in found] == [-2.0, 7.0]
