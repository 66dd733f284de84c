"""A model has one dtype. Inputs are converted, and layers that change the dtype are reported."""

import numpy as np
import pytest

import chainrule as cr


class Noise(cr.Layer):
    """A layer that adds a float64 array in the forward or backward pass."""

    def __init__(self, *, forward=True):
        self.in_forward = forward

    def forward(self, x, *, training=False):
        noise = self.xp.ones(x.shape, dtype=self.xp.float64)
        if self.in_forward:
            return x + noise, lambda dy: dy
        return x, lambda dy: dy * noise


class Scale(cr.Layer):
    """A layer with one gain per feature: y = gain * x."""

    def __init__(self, features):
        self.gain = cr.Parameter((features,), init=cr.initializers.constant(1.0))

    def forward(self, x, *, training=False):
        def backward(dy):
            self.gain.add_grad(self.xp.sum(dy * x, axis=0))
            return dy * self.gain.value

        return x * self.gain.value, backward


class Inside(cr.Layer):
    """A layer that calls another layer."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x, *, training=False):
        return self.inner.forward(x, training=training)


X = np.ones((3, 4))
NAMED = r".*float64, but the model computes in .*float32: use xp.astype\(y, x.dtype\)"


def test_dy_is_converted_as_x_is(library):
    model = cr.Sequential(cr.Linear(4, 5), cr.ReLU(), cr.Linear(5, 2), backend=library.backend)
    grads = []
    for dtype in ("float32", "float64"):
        model.zero_grad()
        y, back = model.forward(library.asarray(X, dtype=library.backend.dtype(dtype)))
        dy = library.asarray(np.ones((3, 2)), dtype=library.backend.dtype(dtype))
        dx = back(dy, input_gradient=True)
        assert y.dtype == dx.dtype == library.backend.dtype("float32")
        grads.append(library.to_numpy(model.state.grads).copy())
    np.testing.assert_array_equal(*grads)
    with pytest.raises(TypeError, match="expected an array of backend .*, found builtins.list"):
        back([[1.0, 1.0]] * 3)


@pytest.mark.parametrize("make", [Noise, lambda: Inside(Noise())], ids=["alone", "inside"])
def test_an_output_of_another_dtype(make, library):
    model = cr.Sequential(cr.Linear(4, 4), make(), cr.Linear(4, 2), backend=library.backend)
    x = library.asarray(X, dtype=library.backend.dtype("float32"))
    for run in (model.predict, model.forward):
        with pytest.raises(TypeError, match=rf"layer '1', .*Noise\(\).*: output is {NAMED}"):
            run(x)
    double = cr.Sequential(make(), dtype="float64", backend=library.backend)
    assert double.predict(x).dtype == library.backend.dtype("float64")


def test_a_model_that_leaves_its_dtype(library):
    class Shifted(cr.Sequential):
        def forward(self, x, *, training=False):
            y, back = super().forward(x, training=training)
            return y + self.xp.ones(y.shape, dtype=self.xp.float64), back

    model = Shifted(cr.Linear(4, 2), backend=library.backend)
    with pytest.raises(TypeError, match=rf"Shifted\((.|\n)*\): output is {NAMED}"):
        model.predict(library.asarray(X, dtype=library.backend.dtype("float32")))


def test_a_gradient_of_another_dtype(library):
    noise = Noise(forward=False)
    model = cr.Sequential(cr.Linear(4, 4), noise, cr.ReLU(), backend=library.backend)
    y, back = model.forward(library.asarray(X), training=True)
    with pytest.raises(TypeError, match=rf"layer '1', Noise\(.*\): gradient is {NAMED}"):
        back(y)


@pytest.mark.parametrize("make", [lambda: Scale(4), lambda: cr.Linear(4, 4)], ids=["own", "ours"])
def test_a_layer_that_is_the_model_names_its_parameter(make, library):
    """If a layer without a model gets a float64 gradient, the error names the layer."""
    layer = make()
    layer.bind(library.backend)
    dy = library.asarray(X, dtype=library.backend.dtype("float32"))
    _, back = layer.forward(dy)
    back(dy)
    with pytest.raises(TypeError, match=rf"^{type(layer).__name__}\(.*\): gradient of .*{NAMED}"):
        back(library.asarray(X, dtype=library.backend.dtype("float64")))
