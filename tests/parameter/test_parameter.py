"""Parameters are views into one vector, and have the right names, shapes and initial values."""

import copy

import numpy as np
import pytest
from helpers import model_on
from table import Residual, Scale

import chainrule as cr


def test_parameters_are_views_into_one_vector(library):
    model = model_on(library)
    state = model.state
    assert state.values.shape == (4 * 3 + 3 + 3 * 2 + 2,)
    for parameter in model.parameters():
        parameter.value[...] = 7.0
        parameter.grad[...] = 8.0
    assert (library.to_numpy(state.values) == 7.0).all()
    assert (library.to_numpy(state.grads) == 8.0).all()


def test_parameters_with_weight_decay_come_first():
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
    with pytest.raises((ValueError, TypeError), match="expected seed to be"):
        cr.Sequential(cr.Linear(2, 2), seed=seed)


@pytest.mark.parametrize("shape", [(0,), (-1, 2), (2, 0)])
def test_bad_shapes(shape):
    with pytest.raises(cr.ShapeError, match="positive integers as the shape"):
        cr.Parameter(shape)


def test_an_initializer_of_the_wrong_shape():
    with pytest.raises(cr.ShapeError, match=r"gave shape \(3,\), expected \(2, 2\)"):
        cr.Linear(2, 2, init=lambda rng, shape: np.ones(3)).weight.value  # noqa: B018


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


def test_a_subclass_of_sequential_with_its_own_part(tmp_path):
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


def test_bad_initializers_and_gradients():
    with pytest.raises(TypeError, match="are its parentheses missing"):
        cr.Linear(2, 2, init=cr.initializers.he_normal)
    with pytest.raises(TypeError, match="such as initializers.he_normal"):
        cr.Linear(2, 2, init="he_normal")
    with pytest.raises(cr.DataError, match="gave NaN or infinity"):
        cr.Linear(2, 2, init=cr.initializers.constant(np.nan)).bind()
    with pytest.raises(cr.DataError, match="gave NaN or infinity in float32"):
        cr.Linear(2, 2, init=cr.initializers.constant(1e300)).bind()
    with pytest.raises(cr.ShapeError, match=r"expected a gradient of shape \(2,\), found \(\)"):
        cr.Linear(2, 2).bias.add_grad(np.asarray(1.0))


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


def test_a_custom_layer_with_the_name_of_a_built_in_one(tmp_path):
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
    with pytest.raises(cr.FileFormatError, match="an unknown layer 'GELU'"):
        cr.load(path)
    loaded = cr.load(path, layers={"GELU": GELU, "Turn": Turn})
    assert loaded.predict([[1.0]]) == model.predict([[1.0]]) == 600.0
    assert repr(loaded[1]) == "Turn(3.0)"
