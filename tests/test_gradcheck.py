"""The gradient check finds mistakes and reports where they are."""

import numpy as np
import pytest
from table import Residual, Scale

import chainrule as cr


class WrongInput(cr.Layer):
    def forward(self, x, *, training=False):
        factor = self.xp.asarray([2.0, 2.0, 2.1])
        return 2.0 * x, lambda dy: factor * dy


class WrongParameter(Scale):
    def forward(self, x, *, training=False):
        y, _ = super().forward(x, training=training)

        def backward(dy):
            self.gain.add_grad(self.xp.sum(dy, axis=0))
            return dy * self.gain.value

        return y, backward


class WrongShape(cr.Layer):
    def forward(self, x, *, training=False):
        return x, lambda dy: dy[0]


class NotANumber(cr.Layer):
    def forward(self, x, *, training=False):
        return x, lambda dy: dy * np.nan


class WrongLoss(cr.MSELoss):
    def formula(self, xp, y, target):
        values, derivative = super().formula(xp, y, target)
        return values, lambda: -derivative()


def test_right_gradients_of_custom_layers():
    assert cr.gradcheck(Scale(5), shape=(4, 5)) < 1e-8
    assert cr.gradcheck(Residual(Scale(5)), shape=(4, 5)) < 1e-8


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (WrongInput(), r"relative error .* at entry \(\d, 2\) of the input: gradient"),
        (WrongParameter(3), r"entry \(\d,\) of gain: gradient .*, finite difference"),
        (
            WrongShape(),
            r"expected a gradient of shape \(4, 3\) \(the input's shape\), found \(3,\)",
        ),
        (NotANumber(), "relative error nan .* gradient nan"),
    ],
    ids=repr,
)
def test_wrong_gradients(layer, message):
    with pytest.raises(AssertionError, match=message):
        cr.gradcheck(layer, shape=(4, 3))


def test_kinks_and_frozen_layers_raise_no_alarm():
    for seed in range(40):  # with some seeds, the input of a ReLU is exactly 0
        model = cr.Sequential(cr.Linear(4, 2), cr.ReLU(), cr.Linear(2, 2), cr.ReLU())
        cr.gradcheck(model, shape=(5, 4), seed=seed)
    layer = cr.Linear(3, 2)
    layer.freeze()
    cr.gradcheck(layer, shape=(4, 3))
    assert not layer.trainable


def test_a_loss_needs_targets():
    with pytest.raises(TypeError, match="needs target="):
        cr.gradcheck(cr.MSELoss(), shape=(4, 3))


def test_a_wrong_loss():
    with pytest.raises(AssertionError, match="entry .* of the input"):
        cr.gradcheck(WrongLoss(), shape=(4, 3), target=np.zeros((4, 3)))


def test_the_layer_itself_is_left_alone():
    model = cr.Sequential(cr.Linear(3, 2), cr.Dropout(0.5), seed=0)
    before, draws = model.state.values.copy(), model.state.draws
    cr.gradcheck(model, shape=(4, 3), training=True)
    np.testing.assert_array_equal(model.state.values, before)
    assert model.state.draws == draws
    unbound = cr.Linear(3, 2)
    cr.gradcheck(unbound, shape=(4, 3))
    assert unbound._state is None


def test_a_layer_that_writes_to_its_input_is_named():
    class Doubles(cr.Layer):
        def __init__(self, forward):
            self.in_forward = forward

        def forward(self, x, *, training=False):
            if self.in_forward:
                x *= 2.0

            def backward(dy):
                dy *= 2.0
                return dy

            return 2.0 * x, backward

    for forward in (True, False):
        with pytest.raises(ValueError, match=r"^Doubles\(.*\): writes to x or dy"):
            cr.gradcheck(Doubles(forward), shape=(2, 3))
