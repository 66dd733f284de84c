"""Copy models in memory and through files."""

import copy
import pickle

import numpy as np
import pytest
from helpers import backward, model_on

import chainrule as cr


def test_a_copy_is_unbound_and_starts_from_the_same_weights(library):
    model = model_on(library)
    twin = cr.Sequential(model[0].copy(), cr.Tanh(), model[2].copy(), seed=99)
    twin_values = [p.value for p in twin.parameters()]
    for ours, theirs in zip(model.parameters(), twin_values, strict=True):
        np.testing.assert_array_equal(library.to_numpy(ours.value).astype("float32"), theirs)
    unbound = cr.Linear(2, 2).copy()
    assert unbound._state is None


@pytest.mark.parametrize(
    "copier", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
def test_copies_keep_their_views(copier, library):
    model = model_on(library)
    backward(model, library)
    twin = copier(model)
    assert np.array_equal(library.to_numpy(twin.state.grads), library.to_numpy(model.state.grads))
    twin[0].weight.value[...] = 0.0
    assert (library.to_numpy(twin.state.values)[:12] == 0.0).all()
    assert library.to_numpy(model.state.values)[:12].any()
    assert repr(copier(cr.Linear(2, 3))) == "Linear(2, 3)"


@pytest.mark.parametrize(
    "copier", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
def test_copies_of_containers_of_models_train(copier, library):
    shared = cr.Linear(4, 4)
    model = cr.Sequential(
        cr.Sequential(shared), cr.Sequential(shared), backend=library.backend, dtype="float64"
    )
    cr.Sequential(cr.Sequential(shared.copy()))
    optimizer = cr.SGD(0.1).bind(model)
    for holder in ((optimizer, model), {"optimizer": optimizer, "model": model}):
        twins = copier(holder)
        optimizer_twin, twin = twins.values() if isinstance(twins, dict) else twins
        before = library.to_numpy(twin[0][0].weight.value).copy()
        assert twin[0][0].state is twin.state is twin[1].state
        backward(twin, library)
        optimizer_twin.step()
        assert not np.array_equal(library.to_numpy(twin[0][0].weight.value), before)


def test_scalars_and_later_changes_survive_a_file(tmp_path):
    class Gain(cr.Layer):
        def __init__(self):
            self.gain = cr.Parameter((), init=cr.initializers.constant(3.0))

        def forward(self, x, *, training=False):
            return x * self.gain.value, lambda dy: dy * self.gain.value

    model = cr.Sequential(Gain(), cr.Dropout(0.5), cr.LeakyReLU(negative_slope=0.5))
    model[1].p, model[2].negative_slope = 0.1, 0.2
    model.save(tmp_path / "model.safetensors")
    loaded = cr.load(tmp_path / "model.safetensors", layers={"Gain": Gain})
    assert (loaded[1].p, loaded[2].negative_slope) == (0.1, 0.2)
    assert repr(list(loaded)[1:]) == "[Dropout(0.1), LeakyReLU(0.2)]"
    assert float(loaded[0].gain.value) == 3.0
    assert not isinstance(loaded[0].gain.init, cr.initializers.given)


def test_sharing_survives_a_copy_and_a_file(tmp_path):
    layer = cr.Linear(3, 3)
    model = cr.Sequential(layer, cr.Sequential(layer), cr.ReLU())
    model.save(tmp_path / "shared.safetensors")
    for twin in (copy.deepcopy(model), cr.load(tmp_path / "shared.safetensors")):
        assert twin[0] is twin[1][0]
        assert len(twin.parameters()) == 2
        assert twin.state.values.shape == (12,)
