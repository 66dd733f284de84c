"""Slices of models are views. Uses that need a copy raise errors that name `copy`."""

import copy
import pickle

import numpy as np
import pytest
from helpers import model_on
from table import Residual

import chainrule as cr


def test_a_slice_computes_with_the_layers_of_the_model(library):
    model = model_on(library)
    x = library.asarray(np.random.default_rng(0).normal(size=(5, 4)))
    first, rest = model[:2], model[2:]
    hidden, _ = first.forward(x)
    np.testing.assert_array_equal(library.to_numpy(first.predict(x)), library.to_numpy(hidden))
    for found in (rest.predict(hidden), rest.predict(hidden, batch_size=2)):
        np.testing.assert_allclose(
            library.to_numpy(found), library.to_numpy(model.predict(x)), rtol=1e-12
        )
    model[0].weight.value[...] = 0.0
    model[0].bias.value[...] = 0.0
    assert not library.to_numpy(first.predict(x)).any()


def test_gradients_go_back_through_slices(library):
    model = model_on(library)
    x = library.asarray(np.random.default_rng(0).normal(size=(5, 4)))
    y, back = model.forward(x, training=True)
    dx = back(y, input_gradient=True)
    grads = library.to_numpy(model.state.grads).copy()
    model.zero_grad()
    hidden, back_through_first = model[:1].forward(x, training=True)
    y, back_through_rest = model[1:].forward(hidden, training=True)
    again = back_through_first(back_through_rest(y, input_gradient=True), input_gradient=True)
    np.testing.assert_array_equal(library.to_numpy(again), library.to_numpy(dx))
    np.testing.assert_array_equal(library.to_numpy(model.state.grads), grads)


def test_as_a_collection_and_as_text():
    model = cr.mlp([4, 8, 3, 2])
    view = model[1:]
    assert (len(view), view[0], view[-1]) == (4, model[1], model[4])
    assert list(view[1:3]) == [model[2], model[3]]
    assert list(model[::2]) == [model[0], model[2], model[4]]
    assert repr(model[:2]) == "Slice(\n  0: Linear(4, 8)\n  1: ReLU()\n)"
    assert model[:2].summary().endswith("total 40 parameters, 40 trainable")
    assert len(model[5:]) == 0
    for index in (5, -6):
        with pytest.raises(IndexError):
            model[index]


def test_freezing_a_slice_freezes_the_layers():
    model = cr.mlp([4, 8, 3])
    model[:2].freeze()
    assert [layer.trainable for layer in model] == [False, False, True]
    model[:].unfreeze()
    assert model[0].trainable


def test_a_copy_is_a_model(library):
    shared = cr.Linear(4, 4)
    model = model_on(library, shared, cr.Sequential(shared), Residual(cr.Linear(4, 4)))
    model[0].freeze()
    x = library.asarray(np.ones((2, 4)))
    twin = model[:2].copy()
    assert type(twin) is cr.Sequential
    assert twin[0] is twin[1][0]
    assert not twin[0].trainable
    # The layers of a copy belong to no bound model yet.
    twin = cr.Sequential(*twin, backend=library.backend, dtype="float64")
    np.testing.assert_array_equal(
        library.to_numpy(twin.predict(x)), library.to_numpy(model[:2].predict(x))
    )
    twin[0].weight.value[...] = 0.0
    assert library.to_numpy(model[0].weight.value).any()
    alone = model[2:].copy()
    cr.Trainer(alone, loss=cr.MSELoss(), optimizer=cr.SGD(0.1)).fit([[1.0] * 4], [[0.0] * 4])


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_deepcopy_and_pickle_take_the_model_along(copier):
    model = cr.mlp([4, 8, 3])
    twin = copier(model[:1])
    np.testing.assert_array_equal(twin.predict(np.ones((2, 4))), model[:1].predict(np.ones((2, 4))))
    assert twin[0] is not model[0]


class Holder(cr.Layer):
    def __init__(self, layers):
        self.layers = layers


MISTAKES = {
    "Trainer": lambda view: cr.Trainer(view, loss=cr.MSELoss(), optimizer=cr.SGD(0.1)),
    "optimizer": lambda view: cr.SGD(0.1).bind(view),
    "Sequential": lambda view: cr.Sequential(view, cr.Linear(3, 1)),
    "custom layer": Holder,
    "list in a custom layer": lambda view: Holder([view]),
    "gradcheck": lambda view: cr.gradcheck(view, shape=(2, 4)),
    "to_onnx": lambda view: cr.to_onnx(view, "model.onnx"),
    "save": lambda view: view.save("model.safetensors"),
    "load_weights": lambda view: view.load_weights("model.safetensors"),
    "bind": lambda view: view.bind(),
    "parameters": lambda view: view.parameters(),
}


@pytest.mark.parametrize("use", MISTAKES.values(), ids=MISTAKES)
def test_uses_that_need_a_copy(use):
    model = cr.mlp([4, 8, 3])
    with pytest.raises(
        (TypeError, AttributeError), match=r"shares the layers of its model, but slice.copy\(\)"
    ):
        use(model[:2])
    assert model[:2].copy().parameters()


def test_names_that_a_slice_does_not_have():
    view = cr.mlp([4, 8, 3])[:2]
    with pytest.raises(AttributeError, match="Slice has no 'fit': use cr.Trainer"):
        view.fit([[0.0] * 4])
    with pytest.raises(AttributeError, match="object has no attribute 'no_such_name'"):
        _ = view.no_such_name
