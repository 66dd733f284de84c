"""At infinity and near the largest numbers, activations have the limits of their formulas."""

import numpy as np
import pytest

import chainrule as cr

INF = np.inf
LARGE = {"float32": (1e20, 3e38), "float64": (1e155, 1e300)}

# Each row: an activation, its values and its slopes, both at the points minus infinity, -a, a and
# infinity. The values are a function of the large number a.
LIMITS = {
    "ReLU": (cr.ReLU(), lambda a: (0, 0, a, INF), (0, 0, 1, 1)),
    "LeakyReLU": (cr.LeakyReLU(0.25), lambda a: (-INF, -a / 4, a, INF), (0.25, 0.25, 1, 1)),
    "LeakyReLU, flat": (cr.LeakyReLU(0.0), lambda a: (0, 0, a, INF), (0, 0, 1, 1)),
    "ReLU6": (cr.ReLU6(), lambda a: (0, 0, 6, 6), (0, 0, 0, 0)),
    "ELU": (cr.ELU(0.5), lambda a: (-0.5, -0.5, a, INF), (0, 0, 1, 1)),
    "GELU": (cr.GELU(), lambda a: (0, 0, a, INF), (0, 0, 1, 1)),
    "GELU, approximate": (cr.GELU("tanh"), lambda a: (0, 0, a, INF), (0, 0, 1, 1)),
    "SiLU": (cr.SiLU(), lambda a: (0, 0, a, INF), (0, 0, 1, 1)),
    "Softplus": (cr.Softplus(), lambda a: (0, 0, a, INF), (0, 0, 1, 1)),
    "Sigmoid": (cr.Sigmoid(), lambda a: (0, 0, 1, 1), (0, 0, 0, 0)),
    "Tanh": (cr.Tanh(), lambda a: (-1, -1, 1, 1), (0, 0, 0, 0)),
}


def run(layer, library, x, dy):
    """Return the output and the gradient of the input as NumPy arrays."""
    model = cr.Sequential(layer.copy(), backend=library.backend, dtype=str(x.dtype))
    y, backward = model.forward(library.asarray(x), training=True)
    dx = backward(library.asarray(dy), input_gradient=True)
    return library.to_numpy(y), library.to_numpy(dx)


@pytest.mark.parametrize(("layer", "limits", "slopes"), LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("dtype", LARGE)
def test_limits(layer, limits, slopes, dtype, library):
    for large in LARGE[dtype]:
        x = np.asarray([[-INF, -large, large, INF]], dtype)
        for slope in (1.0, 0.0, -3.0):
            y, dx = run(layer, library, x, np.full(x.shape, slope, dtype))
            np.testing.assert_array_equal(y, np.asarray([limits(large)], dtype))
            np.testing.assert_array_equal(dx, slope * np.asarray([slopes], dtype))


@pytest.mark.parametrize("layer", [layer for layer, *_ in LIMITS.values()], ids=LIMITS)
def test_nan_stays_nan(layer, library):
    y, _ = run(layer, library, np.asarray([[np.nan]], "float32"), np.ones((1, 1), "float32"))
    assert np.isnan(y).all()


@pytest.mark.parametrize("dtype", LARGE)
def test_softmax_of_impossible_classes(dtype, library):
    large = LARGE[dtype][0]
    x = np.asarray([[1.0, 2.0, -INF], [0.0, -large, 0.0]], dtype)
    p = np.asarray([[1 / (1 + np.e), np.e / (1 + np.e), 0.0], [0.5, 0.0, 0.5]])
    dy = np.asarray([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]], dtype)
    y, dx = run(cr.Softmax(), library, x, dy)
    np.testing.assert_allclose(y, p, rtol=1e-6)
    np.testing.assert_allclose(dx, p * (dy - (dy * p).sum(axis=1, keepdims=True)), rtol=1e-6)
    y, dx = run(cr.LogSoftmax(), library, x, dy)
    log_s = np.asarray([[np.log(1 + np.e)], [np.log(2)]])
    shifted = [[0.0, 1.0, -INF], [0.0, -large, 0.0]]
    np.testing.assert_allclose(y, shifted - log_s, rtol=1e-6)
    np.testing.assert_allclose(dx, dy - p * dy.sum(axis=1, keepdims=True), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("row", [[-INF, -INF], [0.0, INF]])
@pytest.mark.parametrize("layer", [cr.Softmax(), cr.LogSoftmax()], ids=repr)
def test_softmax_is_nan_where_it_is_undefined(layer, row, library):
    y, _ = run(layer, library, np.asarray([row, [0.0, 0.0]]), np.zeros((2, 2)))
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()


def test_training_with_large_numbers(library):
    layers = cr.Linear(1, 1, init=cr.initializers.constant(1e25)), cr.GELU(), cr.Linear(1, 1)
    layers[2].weight.init = cr.initializers.constant(1e-32)
    model = cr.Sequential(*layers, backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.Adam(1e-3))
    trainer.fit(np.ones((4, 1), "float32"), np.zeros((4, 1), "float32"), epochs=1, verbose=0)
    assert np.isfinite(library.to_numpy(model.state.values)).all()


@pytest.mark.parametrize("dtype", LARGE)
def test_a_dropped_unit_is_zero_even_if_infinite(dtype, library):
    x = np.full((4, 50), INF, dtype)
    y, dx = run(cr.Dropout(0.5), library, x, np.ones_like(x))
    assert set(np.unique(y)) == {0.0, INF}
    np.testing.assert_array_equal(dx, np.where(y == 0.0, 0.0, 2.0))


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("kind", [cr.LayerNorm, cr.BatchNorm])
@pytest.mark.parametrize("dtype", LARGE)
def test_normalisation_of_deviations_whose_squares_overflow(kind, dtype, library):
    rng = np.random.default_rng(0)
    usual, dy = rng.normal(size=(2, 6, 6)).astype(dtype)
    for large in LARGE[dtype][0], LARGE[dtype][1] / 100:
        scale = np.ones((6, 6))
        scale[2:4] = large  # only these rows overflow
        scale = (scale if kind is cr.LayerNorm else scale.T).astype(dtype)
        axis = 0 if kind is cr.BatchNorm else 1
        x = usual.astype("float64")
        deviations = x - x.mean(axis, keepdims=True)
        variance = (deviations**2).mean(axis, keepdims=True)
        normal = deviations / np.sqrt(variance + np.where(scale == 1.0, 1e-5, 0.0))
        y, dx = run(kind(6), library, usual * scale, dy)
        np.testing.assert_allclose(y, normal, rtol=2e-5, atol=1e-6)
        dz = dy - dy.mean(axis, keepdims=True)
        dz = dz - normal * (dy * normal).mean(axis, keepdims=True)
        expected = dz / np.sqrt(variance + np.where(scale == 1.0, 1e-5, 0.0))
        np.testing.assert_allclose(dx * scale, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_an_infinite_running_variance_is_reported(library):
    x = np.asarray([[1e20], [-1e20]], "float32")
    model = cr.Sequential(cr.BatchNorm(1), cr.Linear(1, 1), backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    with pytest.raises(cr.DivergenceError, match="running_var"):
        trainer.fit(x, np.zeros((2, 1)), verbose=0)
