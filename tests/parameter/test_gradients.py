"""Gradients are overwritten, added up, frozen, and written in place."""

import numpy as np
import pytest
from helpers import backward, model_on

import chainrule as cr


def test_first_gradient_overwrites_later_ones_add(library):
    model = model_on(library)
    optimizer = cr.SGD(0.0).bind(model)
    backward(model, library)
    once = library.to_numpy(model.state.grads).copy()
    backward(model, library)
    np.testing.assert_allclose(library.to_numpy(model.state.grads), 2 * once, rtol=1e-12)
    optimizer.step()
    np.testing.assert_allclose(library.to_numpy(model.state.grads), 2 * once, rtol=1e-12)
    backward(model, library)
    np.testing.assert_array_equal(library.to_numpy(model.state.grads), once)
    model.zero_grad()
    backward(model, library)
    np.testing.assert_array_equal(library.to_numpy(model.state.grads), once)


def test_a_stale_gradient_counts_as_zero(library):
    model = model_on(library)
    optimizer = cr.SGD(1.0).bind(model)
    backward(model, library)
    optimizer.step()
    before = library.to_numpy(model.state.values).copy()
    optimizer.step()
    np.testing.assert_array_equal(library.to_numpy(model.state.values), before)


def test_frozen_parameters_stay(library):
    model = model_on(library)
    model[2].freeze()
    assert (model[0].trainable, model[2].trainable) == (True, False)
    optimizer = cr.AdamW(0.1, weight_decay=0.5, decay_biases=True).bind(model)
    before = {n: library.to_numpy(p.value).copy() for n, p in model.named_parameters().items()}
    for _ in range(3):
        backward(model, library)
        assert not library.to_numpy(model[2].weight.grad).any()
        optimizer.step()
    for name, parameter in model.named_parameters().items():
        same = np.array_equal(library.to_numpy(parameter.value), before[name])
        assert same == name.startswith("2.")
    model[2].unfreeze()
    backward(model, library)
    assert library.to_numpy(model[2].weight.grad).any()
    model[2].freeze()
    optimizer.clip_norm = 1.0
    optimizer.step()
    # The gradient of a frozen parameter is 0, so it does not contribute to the norm.
    assert not library.to_numpy(model[2].weight.grad).any()
    model[2].unfreeze()
    backward(model, library)
    optimizer.step()
    assert not np.array_equal(library.to_numpy(model[2].weight.value), before["2.weight"])


def test_backward_stops_at_the_first_trainable_layer(library):
    model = cr.Sequential(
        cr.Rescaling(2.0), cr.Linear(4, 3), cr.Linear(3, 2), backend=library.backend
    )
    x = library.asarray(np.ones((5, 4), "float32"))
    y, back = model.forward(x)
    assert back(y) is None
    assert back(y, input_gradient=True).shape == (5, 4)
    inner = cr.Sequential(cr.Linear(4, 3))
    cr.Sequential(cr.Identity(), inner, backend=library.backend)
    _, back = inner.forward(x)
    assert back(library.asarray(np.ones((5, 3), "float32"))).shape == (5, 4)
    model.freeze()
    assert model.forward(x)[1](y) is None


def test_a_gradient_of_the_wrong_shape(library):
    _, back = model_on(library).forward(library.asarray(np.ones((5, 4))))
    with pytest.raises(cr.ShapeError, match=r"shape \(5, 2\), found \(5, 3\)"):
        back(library.asarray(np.ones((5, 3))))


def test_products_are_written_in_place(library, monkeypatch):
    model, calls = model_on(library), []
    kind, matmul = type(library.backend), library.backend.matmul

    def spy(self, a, b, out=None):
        if out is not None:
            calls.append(out.shape)
        return matmul(a, b, out)

    monkeypatch.setattr(kind, "matmul", spy)
    backward(model, library)
    assert calls == [(2, 3), (3, 4)]


def test_the_first_layer_computes_no_input_gradient(library):
    asked = []

    class Spy(cr.Linear):
        def forward(self, x, *, training=False):
            y, back = super().forward(x, training=training)

            def backward(dy, input_gradient=True):
                asked.append(input_gradient)
                return back(dy, input_gradient)

            return y, backward

    Spy.takes_input_gradient = True
    model = cr.Sequential(
        cr.Sequential(Spy(4, 3)), Spy(3, 2), backend=library.backend, dtype="float64"
    )
    backward(model, library)
    assert asked == [True, False]


def test_a_subclass_with_a_plain_backward_as_the_first_layer():
    class Double(cr.Linear):
        def forward(self, x, *, training=False):
            y, back = super().forward(x, training=training)
            return 2.0 * y, lambda dy: back(2.0 * dy)

    model = cr.Sequential(Double(3, 2), cr.Linear(2, 2))
    y, back = model.forward(np.ones((1, 3), "float32"))
    back(y)
    assert model[0].weight.grad.any()
    assert cr.gradcheck(Double(3, 2), shape=(4, 3)) < 1e-8


class Skip(cr.Layer):
    """A layer with a branch that can be skipped, as in stochastic depth."""

    def __init__(self):
        self.inner, self.on = cr.Linear(4, 4), True

    def forward(self, x, *, training=False):
        if not self.on:
            return x, lambda dy: dy
        y, back = self.inner.forward(x, training=training)
        return x + y, lambda dy: dy + back(dy)


def test_gradients_that_the_last_pass_did_not_reach_read_as_zero(library):
    skip = Skip()
    model = model_on(library, skip, cr.Linear(4, 1))
    optimizer = cr.SGD(0.1).bind(model)
    for on in (True, False):
        skip.on = on
        backward(model, library)
        inner, outer = (library.to_numpy(layer.weight.grad) for layer in (skip.inner, model[1]))
        assert (inner.any(), outer.any()) == (on, True)
        assert library.to_numpy(model.state.grads)[:4].any() == on
        optimizer.step()
        # Reading a gradient after the step gives the gradient of that step.
        assert library.to_numpy(skip.inner.weight.grad).any() == on
    model.zero_grad()
    assert not library.to_numpy(model[1].weight.grad).any()
    assert not library.to_numpy(model.state.grads).any()


def test_gradients_can_be_changed_by_hand(library):
    model = model_on(library)
    optimizer = cr.SGD(1.0).bind(model)
    backward(model, library)
    before, grads = (library.to_numpy(v).copy() for v in (model.state.values, model.state.grads))
    model.state.grads *= 0.5
    optimizer.step()
    np.testing.assert_allclose(library.to_numpy(model.state.values), before - 0.5 * grads)
    model.zero_grad()
    model[0].weight.grad[...] = 1.0
    before = library.to_numpy(model[0].weight.value).copy()
    optimizer.step()
    np.testing.assert_allclose(library.to_numpy(model[0].weight.value), before - 1.0)


def test_a_frozen_parameter_has_no_gradient(library):
    model = model_on(library)
    backward(model, library)
    model[0].freeze()
    assert not library.to_numpy(model[0].weight.grad).any()
