"""Sums over long batches in float32 agree with sums in float64."""

import numpy as np
import pytest

import chainrule as cr


def close(library, found, expected, tolerance):
    np.testing.assert_allclose(library.to_numpy(found), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("samples", [511, 512, 513, 1_000_003])
def test_gradients_of_a_bias(samples, library):
    dy = np.full((samples, 2), 0.1, "float32")
    layer = cr.Linear(1, 2)
    layer.bind(library.backend)
    _, backward = layer.forward(library.asarray(np.ones((samples, 1), "float32")))
    backward(library.asarray(dy), input_gradient=False)
    close(library, layer.bias.grad, dy.sum(axis=0, dtype="float64"), 1e-5)


@pytest.mark.parametrize("steps", [511, 512, 30_001])
def test_the_mean_of_a_long_sequence(steps, library):
    x, lengths = np.full((2, steps, 3), 0.1, "float32"), np.asarray([steps, steps - 1])
    layer = cr.PoolOverTime("mean").bind(library.backend)
    for given in (library.asarray(x), (library.asarray(x), library.asarray(lengths))):
        close(library, layer.forward(given)[0], np.full((2, 3), 0.1), 2e-6)


def test_gradients_of_layer_norm(library):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 300, 2)).astype("float32")
    dy = rng.uniform(size=x.shape).astype("float32")
    layer = cr.LayerNorm(2)
    layer.bind(library.backend)
    y, backward = layer.forward(library.asarray(x))
    backward(library.asarray(dy))
    expected = (dy.astype("float64") * library.to_numpy(y)).sum(axis=(0, 1))
    close(library, layer.bias.grad, dy.sum(axis=(0, 1), dtype="float64"), 1e-6)
    np.testing.assert_allclose(library.to_numpy(layer.weight.grad), expected, atol=0.1)


@pytest.mark.parametrize(("samples", "mean"), [(60_000, 1e4), (300_000, -1e4), (32, 1e6)])
def test_batch_norm_far_from_0(samples, mean, library):
    rng = np.random.default_rng(0)
    x = rng.normal(mean, size=(samples, 3)).astype("float32")
    dy = rng.normal(1.0, size=x.shape).astype("float32")
    layer = cr.BatchNorm(3, momentum=1.0)
    layer.bind(library.backend)
    y, backward = layer.forward(library.asarray(x), training=True)
    dx = backward(library.asarray(dy))

    exact = x.astype("float64")
    centred = exact - exact.mean(axis=0)
    inverse = 1 / np.sqrt(exact.var(axis=0) + 1e-5)
    z = centred * inverse
    close(library, y, z, 1e-5)
    close(library, layer.bias.grad / samples, dy.mean(axis=0, dtype="float64"), 1e-6)
    close(library, layer.weight.grad / samples, (dy * z).mean(axis=0), 1e-5)
    close(library, dx, inverse * (dy - dy.mean(axis=0) - z * (dy * z).mean(axis=0)), 1e-4)
    close(library, layer.running_mean.value, exact.mean(axis=0), 1e-6)
    close(library, layer.running_var.value, exact.var(axis=0, ddof=1), 1e-5)
