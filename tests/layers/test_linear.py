"""Use `Linear` on more than two axes, and check `PReLU`."""

import numpy as np
import pytest

import chainrule as cr


@pytest.mark.parametrize("bias", [True, False])
def test_linear_on_more_axes(bias, library):
    """Outputs and gradients equal those for the input reshaped to two axes."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(3, 2, 4, 5)), rng.normal(size=(3, 2, 4, 6))
    layer = cr.Linear(5, 6, bias=bias)
    layer.bind(library.backend, dtype="float64")
    found = []
    for shape in ((3, 2, 4), (24,)):
        layer.zero_grad()
        y, backward = layer.forward(library.asarray(x.reshape(*shape, 5)))
        dx = backward(library.asarray(dy.reshape(*shape, 6)))
        assert (tuple(y.shape), tuple(dx.shape)) == ((*shape, 6), (*shape, 5))
        arrays = y, dx, layer.state.grads
        found.append([library.to_numpy(array).copy().reshape(-1) for array in arrays])
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert backward(library.asarray(dy.reshape(24, 6)), input_gradient=False) is None


def test_a_first_linear_layer_on_more_axes_computes_no_input_gradient(library):
    model = cr.Sequential(cr.Linear(5, 6), cr.Linear(6, 2), backend=library.backend)
    y, backward = model.forward(library.asarray(np.ones((3, 2, 5), "float32")))
    assert backward(y) is None
    assert backward(y, input_gradient=True).shape == (3, 2, 5)


@pytest.mark.parametrize("shape", [(5,), (3, 2, 4), (5, 4)])
def test_shapes_that_linear_refuses(shape):
    with pytest.raises(cr.ShapeError, match=r"expected input of shape \(batch.*5\), found \("):
        cr.Linear(5, 6).forward(np.ones(shape, "float32"))


def test_training_on_sequences(library):
    x = np.random.default_rng(0).normal(size=(16, 3, 4))
    model = cr.Sequential(cr.Linear(4, 2), backend=library.backend, dtype="float64")
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.Adam(0.1))
    history = trainer.fit(x, x[..., :2], epochs=100, batch_size=16, verbose=0)
    assert history["loss"][-1] < 1e-3 * history["loss"][0]


@pytest.mark.parametrize("features", [1, 2])
def test_prelu_by_hand(features, library):
    layer = cr.PReLU(features, init=cr.initializers.constant(0.5))
    layer.bind(library.backend, dtype="float64")
    y, backward = layer.forward(library.asarray([[-2.0, 3.0], [0.0, -4.0], [1.0, -6.0]]))
    dx = backward(library.asarray([[1.0, 1.0], [10.0, 2.0], [5.0, 3.0]]))
    expected = [[-1.0, 3.0], [0.0, -2.0], [1.0, -3.0]]
    np.testing.assert_array_equal(library.to_numpy(y), expected)
    expected = [[0.5, 1.0], [5.0, 1.0], [5.0, 1.5]]
    np.testing.assert_array_equal(library.to_numpy(dx), expected)
    slopes = [-2.0, -26.0] if features == 2 else [-28.0]
    np.testing.assert_array_equal(library.to_numpy(layer.weight.grad), slopes)


def test_prelu_starts_at_a_quarter_and_does_not_decay():
    layer = cr.PReLU()
    assert layer.weight.value.tolist() == [0.25]
    assert not layer.weight.decay
    assert layer.forward(np.asarray([-1.0, 2.0], "float32"))[0].tolist() == [-0.25, 2.0]
    with pytest.raises(cr.ShapeError, match=r"PReLU\(3\): expected .*\(batch, ..., 3\), found"):
        cr.PReLU(3).forward(np.ones((4, 2), "float32"))
    with pytest.raises(ValueError, match="expected features to be at least 1, found 0"):
        cr.PReLU(0)
