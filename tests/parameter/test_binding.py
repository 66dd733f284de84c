"""A parameter belongs to one model, and parts cannot be added after the weights are drawn."""

import numpy as np
import pytest
from table import Residual, Scale

import chainrule as cr


def test_a_bound_layer_belongs_to_one_model():
    layer = cr.Linear(2, 2)
    cr.Sequential(layer, seed=0)
    with pytest.raises(ValueError, match=r"already belongs to another model.*layer.copy\(\)"):
        cr.Sequential(layer)
    with pytest.raises(ValueError, match="already belongs to another model"):
        cr.Sequential(cr.Sequential(cr.Linear(2, 2), seed=1))
    with pytest.raises(ValueError, match="this Linear already has its weights, because"):
        layer.bind()
    parameter = layer.weight
    with pytest.raises(ValueError, match="already belongs to another model"):
        Scale(2).gain = parameter


def test_a_layer_in_two_models_is_detected():
    layer = cr.Linear(2, 2)
    one, two = cr.Sequential(layer), cr.Sequential(layer)
    two.bind()
    with pytest.raises(ValueError, match="already belongs to a model"):
        one.bind()


def test_a_model_is_bound_once():
    for model in (cr.mlp([2, 2], seed=0), cr.mlp([2, 2])):
        model.predict(np.ones((1, 2)))
        with pytest.raises(
            ValueError, match=r"this Sequential already .*or call copy\(\).bind\(...\), which keeps"
        ):
            model.bind(dtype="float64")
        twin = model.copy().bind(dtype="float64")
        np.testing.assert_array_equal(twin[0].weight.value, model[0].weight.value)


def test_a_layer_outside_any_model_owns_its_vector():
    layer = cr.Linear(3, 2)
    assert layer.weight.value.shape == (2, 3)
    assert layer.state.values.shape == (8,)
    assert layer.forward(np.ones((1, 3), "float32"))[0].shape == (1, 2)


def test_reading_a_parameter_draws_the_whole_model():
    model = cr.Sequential(cr.Linear(2, 2), cr.Sequential(cr.Linear(2, 2)))
    assert model[1][0].weight.value.shape == (2, 2)
    assert model[0].state is model.state is model[1][0].state


def test_a_layer_added_too_late():
    residual = Residual(cr.Linear(2, 2))
    cr.Sequential(residual, seed=0)
    residual.more = cr.Linear(2, 2)
    with pytest.raises(RuntimeError, match="was added after the weights"):
        residual.more.forward(np.ones((1, 2), "float32"))


def test_a_parameter_of_no_layer():
    with pytest.raises(RuntimeError, match="belongs to no layer: assign it to an attribute"):
        cr.Parameter((2,)).value  # noqa: B018


def test_a_parameter_assigned_too_late():
    model = cr.Sequential(cr.Linear(4, 8), seed=0)
    model[0].weight = cr.Parameter((8, 4))
    with pytest.raises(RuntimeError, match="added after the weights of the model had been drawn"):
        model.predict(np.ones((1, 4)))


def test_a_layer_appended_too_late():
    class Blocks(cr.Layer):
        def __init__(self):
            self.blocks = [cr.Linear(2, 2)]

    model = cr.Sequential(Blocks(), seed=0)
    model[0].blocks.append(cr.Linear(2, 2))
    with pytest.raises(RuntimeError, match="added to this model after its weights were drawn"):
        cr.SGD(0.1).bind(model)


def test_values_by_name_instead_of_random_ones():
    def model():
        layer = cr.Linear(2, 2, bias=False)
        return cr.Sequential(layer, layer)

    ones = np.ones((2, 2), "float32")
    assert (model().bind(values={"0.weight": ones})[0].weight.value == ones).all()
    unbound, drawn = model(), model().bind()[0].weight.value
    for values, error in (
        ({"0.weight": ones, "typo": ones}, KeyError),
        ({"0.weight": np.ones(3)}, cr.ShapeError),
        ({"0.weight": np.full((2, 2), np.nan)}, cr.DataError),
        ({"0.weight": ones, "1.weight": 2 * ones}, ValueError),
    ):
        with pytest.raises(error):
            unbound.bind(values=values)
    with pytest.raises(KeyError, match=r"found 'typo', expected one of 0\.weight, 1\.weight"):
        unbound.bind(values={"typo": ones})
    assert (unbound.bind()[0].weight.value == drawn).all()  # refused values change nothing
