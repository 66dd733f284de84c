"""Flat vectors: who owns what, how gradients live, what copies are."""

import copy
import pickle

import numpy as np
import pytest
from table import Residual, Scale

import chainrule as cr


def model_on(library, **options):
    layers = cr.Linear(4, 3), cr.Tanh(), cr.Linear(3, 2)
    return cr.Sequential(*layers, **{"backend": library.backend, "dtype": "float64", **options})


def backward(model, library, seed=0):
    rng = np.random.default_rng(seed)
    y, back = model.forward(library.asarray(rng.normal(size=(5, 4))))
    back(library.asarray(rng.normal(size=y.shape)))


def test_parameters_are_views_into_one_vector(library):
    model = model_on(library)
    state = model.state
    assert state.values.shape == (4 * 3 + 3 + 3 * 2 + 2,)
    for parameter in model.parameters():
        parameter.value[...] = 7.0
        parameter.grad[...] = 8.0
    assert (library.to_numpy(state.values) == 7.0).all()
    assert (library.to_numpy(state.grads) == 8.0).all()


def test_those_with_weight_decay_come_first():
    model = cr.Sequential(cr.Linear(4, 3), Scale(3), cr.Linear(3, 2))
    assert list(model.named_parameters()) == [
        "0.weight", "0.bias", "1.gain", "2.weight", "2.bias",
    ]  # fmt: skip
    assert [p.decay for p in model.state.parameters] == [True, True, True, False, False]


def test_names_reach_into_attributes_and_lists():
    class Blocks(cr.Layer):
        def __init__(self):
            self.blocks = [Scale(2), cr.Sequential(cr.Linear(2, 2, bias=False))]

    model = cr.Sequential(Residual(cr.Linear(2, 2)), Blocks())
    assert list(model.named_parameters()) == [
        "0.inner.weight", "0.inner.bias", "1.blocks.0.gain", "1.blocks.1.0.weight",
    ]  # fmt: skip


def test_the_same_seed_draws_the_same_weights_in_both_dtypes(library):
    one, other = model_on(library, seed=3), cr.Sequential(*model_on(library)[0:0], seed=3)
    assert len(other) == 0
    other = cr.Sequential(cr.Linear(4, 3), cr.Tanh(), cr.Linear(3, 2), seed=3)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(library.to_numpy(a.value).astype("float32"), b.value)
    different = model_on(library, seed=4)
    a, b = (library.to_numpy(m[0].weight.value) for m in (one, different))
    assert not np.isclose(a, b).any()


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match="expected a seed"):
        cr.Sequential(cr.Linear(2, 2), seed=seed)


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
    assert not library.to_numpy(model[2].weight.grad).any()  # nor does it count in the norm
    model[2].unfreeze()
    backward(model, library)
    optimizer.step()
    assert not np.array_equal(library.to_numpy(model[2].weight.value), before["2.weight"])


def test_backward_goes_no_further_than_it_must(library):
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


def test_a_bound_layer_belongs_to_one_model():
    layer = cr.Linear(2, 2)
    cr.Sequential(layer, seed=0)
    with pytest.raises(ValueError, match=r"another model already.*layer.copy\(\)"):
        cr.Sequential(layer)
    with pytest.raises(ValueError, match="another model already"):
        cr.Sequential(cr.Sequential(cr.Linear(2, 2), seed=1))
    with pytest.raises(ValueError, match="belongs to a model already"):
        layer.bind()
    parameter = layer.weight
    with pytest.raises(ValueError, match="another model already"):
        Scale(2).gain = parameter


def test_a_layer_in_two_models_is_found_out():
    layer = cr.Linear(2, 2)
    one, two = cr.Sequential(layer), cr.Sequential(layer)
    two.bind()
    with pytest.raises(ValueError, match="belongs to a model already"):
        one.bind()


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
    with pytest.raises(RuntimeError, match="has its weights already"):
        residual.more.forward(np.ones((1, 2), "float32"))


def test_a_parameter_of_no_layer():
    with pytest.raises(RuntimeError, match="assigned to no attribute"):
        cr.Parameter((2,)).value  # noqa: B018


@pytest.mark.parametrize("shape", [(0,), (-1, 2), (2, 0)])
def test_bad_shapes(shape):
    with pytest.raises(cr.ShapeError, match="positive sizes"):
        cr.Parameter(shape)


def test_an_initializer_of_the_wrong_shape():
    with pytest.raises(cr.ShapeError, match=r"gave shape \(3,\), expected \(2, 2\)"):
        cr.Linear(2, 2, init=lambda rng, shape: np.ones(3)).weight.value  # noqa: B018


def test_copy_is_free_and_starts_from_the_same_weights(library):
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
def test_copies_of_whatever_holds_a_model_train_it(copier, library):
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


def test_products_go_straight_into_place(library, monkeypatch):
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


def test_parts_in_dicts_nested_lists_and_private_attributes(tmp_path):
    class Parts(cr.Layer):
        def __init__(self):
            self.by_name = {"a": cr.Linear(2, 2, bias=False)}
            self.nested = [[Scale(2)], (Scale(2),)]
            self._private = Scale(2)
            self.filled = []
            self.filled.append(cr.Sequential(cr.Linear(2, 2, bias=False)))

        def forward(self, x, *, training=False):
            return self.filled[0].forward(x, training=training)

    model = cr.Sequential(cr.Linear(2, 2, bias=False), Parts())
    y, back = model.forward(np.ones((1, 2), "float32"))
    assert list(model.named_parameters()) == [
        "0.weight", "1.by_name.a.weight", "1.nested.0.0.gain", "1.nested.1.0.gain",
        "1._private.gain", "1.filled.0.0.weight",
    ]  # fmt: skip
    back(y)
    assert model[0].weight.grad.any()


def test_a_subclass_of_sequential_with_a_part_of_its_own(tmp_path):
    class Headed(cr.Sequential):
        def __init__(self, width, **options):
            self.head = Scale(width)
            super().__init__(cr.Linear(width, width), **options)

        def forward(self, x, *, training=False):
            y, back = super().forward(x, training=training)
            z, back_through_head = self.head.forward(y)
            return z, lambda dz: back(back_through_head(dz))

    model = Headed(3, seed=4, backend=np)
    assert list(model.named_parameters()) == ["head.gain", "0.weight", "0.bias"]
    model.head.gain.value[...] = 2.0
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(model.predict(x), model.forward(x)[0])
    for twin in (copy.deepcopy(model), model.copy()):
        np.testing.assert_array_equal(twin.predict(x), model.predict(x))
    model.save(tmp_path / "headed.safetensors")
    loaded = cr.load(tmp_path / "headed.safetensors", layers={"Headed": Headed})
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


def test_a_parameter_put_in_too_late():
    model = cr.Sequential(cr.Linear(4, 8), seed=0)
    model[0].weight = cr.Parameter((8, 4))
    with pytest.raises(RuntimeError, match="added to a model that has its weights already"):
        model.predict(np.ones((1, 4)))


def test_bad_initializers_and_gradients():
    with pytest.raises(TypeError, match="are its parentheses missing"):
        cr.Linear(2, 2, init=cr.initializers.he_normal)
    with pytest.raises(TypeError, match="such as initializers.he_normal"):
        cr.Linear(2, 2, init="he_normal")
    with pytest.raises(cr.DataError, match="gave NaN or infinity"):
        cr.Linear(2, 2, init=cr.initializers.constant(np.nan)).bind()
    with pytest.raises(cr.ShapeError, match=r"expected a gradient of shape \(2,\), found \(\)"):
        cr.Linear(2, 2).bias.add_grad(np.asarray(1.0))


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
    assert repr(loaded[1:]) == "(Dropout(0.1), LeakyReLU(0.2))"
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


def test_a_layer_appended_too_late():
    class Blocks(cr.Layer):
        def __init__(self):
            self.blocks = [cr.Linear(2, 2)]

    model = cr.Sequential(Blocks(), seed=0)
    model[0].blocks.append(cr.Linear(2, 2))
    with pytest.raises(RuntimeError, match="added to this model after it had its weights"):
        cr.SGD(0.1).bind(model)


def test_a_subclass_with_a_plain_backward_may_come_first():
    class Double(cr.Linear):
        def forward(self, x, *, training=False):
            y, back = super().forward(x, training=training)
            return 2.0 * y, lambda dy: back(2.0 * dy)

    model = cr.Sequential(Double(3, 2), cr.Linear(2, 2))
    y, back = model.forward(np.ones((1, 3), "float32"))
    back(y)
    assert model[0].weight.grad.any()
    assert cr.gradcheck(Double(3, 2), shape=(4, 3)) < 1e-8


def test_numpys_numbers_as_arguments_keep_the_dtype(library):
    layers = [
        cr.Rescaling(np.float64(0.5), np.float64(1.0)), cr.LeakyReLU(np.float64(0.1)),
        cr.ELU(np.float64(0.5)), cr.Dropout(np.float64(0.5)),
    ]  # fmt: skip
    model = cr.Sequential(*layers, backend=library.backend)
    y, _ = model.forward(library.asarray(np.ones((2, 3), "float32")), training=True)
    assert y.dtype == library.backend.dtype("float32")
    for loss in (cr.HuberLoss(delta=np.float64(1.0)),):
        value, back = loss(y, y)
        assert value.dtype == back().dtype == y.dtype


def test_a_layer_of_ones_own_with_a_name_that_is_taken(tmp_path):
    class GELU(cr.Layer):
        def forward(self, x, *, training=False):
            return 100.0 * x, lambda dy: 100.0 * dy

    class Turn(cr.Layer):
        def __init__(self, angle):
            self.angle = 2 * angle

        def forward(self, x, *, training=False):
            return x * self.angle, lambda dy: dy * self.angle

    path = tmp_path / "own.safetensors"
    model = cr.Sequential(GELU(), Turn(3.0))
    model.save(path)
    with pytest.raises(cr.FileFormatError, match="a layer 'GELU' that is not known"):
        cr.load(path)
    loaded = cr.load(path, layers={"GELU": GELU, "Turn": Turn})
    assert loaded.predict([[1.0]]) == model.predict([[1.0]]) == 600.0
    assert repr(loaded[1]) == "Turn(3.0)"
