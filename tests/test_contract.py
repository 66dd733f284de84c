"""Every layer, loss and optimizer in `table.py` meets its contract, on every library."""

import copy
import functools
import pickle

import numpy as np
import pytest
from array_api_compat import array_namespace
from helpers import finite_differences
from table import LAYERS, LOSSES, OPTIMIZERS, OWN, input_of

import chainrule as cr

layers = pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)
losses = pytest.mark.parametrize(("make", "target", "before"), LOSSES.values(), ids=LOSSES)
optimizers = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


modes = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
# Layers that can be applied to their own output.
REPEATABLE = {
    name: (make, shape)
    for name, (make, shape) in LAYERS.items()
    if make().forward(input_of(make(), shape))[0].shape == shape
}
# Every loss with every reduction that it supports.
REDUCED = {
    f"{name}, {reduction}": (functools.partial(make, reduction=reduction), target, before)
    for name, (make, target, before) in LOSSES.items()
    for reduction in ("mean", "sum", "none", "batchmean")
    if reduction != "batchmean" or name.startswith("KLDivLoss")
}
reduced_losses = pytest.mark.parametrize(
    ("make", "target", "before"), REDUCED.values(), ids=REDUCED
)


def model_of(make, library, **options):
    return cr.Sequential(make(), **{"backend": library.backend, **options})


@layers
@pytest.mark.parametrize(
    "training",
    [
        pytest.param(False, marks=pytest.mark.not_on("strict"), id="inference"),
        pytest.param(True, id="training"),
    ],
)
@finite_differences
def test_layer_gradients_are_right(make, shape, training, library):
    x = input_of(make(), shape)
    assert cr.gradcheck(make(), x=x, training=training, backend=library.backend) <= 1e-6


@layers
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layer_keeps_library_dtype_and_inputs(make, shape, dtype, library):
    model = model_of(make, library, dtype=dtype)
    x = input_of(model, shape)
    x = library.asarray(x if model.takes_integers else x.astype(dtype))
    before = library.to_numpy(x).copy()
    y, backward = model.forward(x, training=True)
    dy = library.asarray(np.ones(y.shape, dtype))
    dx = backward(dy, input_gradient=True)
    assert (dx is None) == model.takes_integers
    results = [(y, y.shape)] if dx is None else [(y, y.shape), (dx, shape)]
    for array, expected in results:
        assert array_namespace(array) is array_namespace(x)
        assert array.dtype == library.backend.dtype(dtype)
        assert array.device == x.device
        assert array.shape == expected
    assert np.array_equal(library.to_numpy(x), before)
    assert np.array_equal(library.to_numpy(dy), np.ones(y.shape))


@layers
@modes
@pytest.mark.not_on("numpy")
def test_layer_agrees_with_numpy(make, shape, training, library):
    x = input_of(make(), shape, seed=1)
    found, expected = (
        [
            chosen.to_numpy(array)
            for array in pass_through(make, x, training, chosen)
            if array is not None  # integers have no gradient
        ]
        for chosen in (library, OnNumpy)
    )
    for ours, numpys in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=1e-12, atol=1e-14)


def pass_through(make, x, training, library):
    """Return the output of a layer, the gradient of its input, and those of its parameters."""
    model = model_of(make, library, dtype="float64")
    y, backward = model.forward(library.asarray(x), training=training)
    dy = library.asarray(np.random.default_rng(2).normal(size=y.shape))
    return y, backward(dy, input_gradient=True), model.state.grads


class OnNumpy:
    backend = cr.get_backend("numpy")
    asarray = to_numpy = staticmethod(np.asarray)


@pytest.mark.parametrize(("make", "shape"), REPEATABLE.values(), ids=REPEATABLE)
@finite_differences
def test_layer_used_twice_gets_the_sum_of_gradients(make, shape, library):
    layer = make()
    assert cr.gradcheck(cr.Sequential(layer, layer), shape=shape, backend=library.backend) <= 1e-6


@layers
def test_layer_survives_a_file(make, shape, library, tmp_path):
    model = model_of(make, library, seed=3)
    x = input_of(model, shape)
    model.forward(library.asarray(x), training=True)  # this changes the buffers
    model.save(tmp_path / "model.safetensors")
    for backend in (library.backend, "numpy"):
        loaded = cr.load(tmp_path / "model.safetensors", backend=backend, layers=OWN)
        assert repr(loaded) == repr(model)
        atol = 1e-7 if backend is library.backend else 1e-6  # libraries add in different orders
        np.testing.assert_allclose(loaded.predict(x), model.predict(x), rtol=1e-6, atol=atol)
        again = {**loaded.named_parameters(), **loaded.named_buffers()}
        for name, part in {**model.named_parameters(), **model.named_buffers()}.items():
            stored = loaded.backend.to_numpy(again[name].value)
            assert np.array_equal(stored, library.to_numpy(part.value))


@reduced_losses
@finite_differences
def test_loss_gradients_are_right(make, target, before, library):
    loss, target = make(), library.asarray(target)
    weight = library.asarray(SAMPLE_WEIGHT)

    class Weighted(type(loss)):
        def __call__(self, y, target):
            return loss(y, target, sample_weight=weight)

    for function in (loss, Weighted()):
        # A layer makes outputs that suit the loss, such as probabilities.
        assert check_loss(function, target, before(), library) <= 1e-6


SAMPLE_WEIGHT = np.random.default_rng(0).uniform(0.5, 2.0, 4)


def check_loss(loss, target, layer, library):
    class Composed(cr.Loss):
        def __call__(self, x, target):
            y, back = model.forward(x)
            value, backward = loss(y, target)
            return value, lambda dvalue=1.0: back(backward(dvalue), input_gradient=True)

    model = cr.Sequential(layer, backend=library.backend, dtype="float64")
    return cr.gradcheck(Composed(), shape=(4, 3), target=target, backend=library.backend)


@reduced_losses
@pytest.mark.not_on("numpy")
def test_loss_agrees_with_numpy(make, target, before, library):
    y = before().forward(np.random.default_rng(1).normal(size=(4, 3)))[0]
    for options in ({}, {"sample_weight": SAMPLE_WEIGHT}):
        found, expected = (
            [
                chosen.to_numpy(array)
                for array in value_and_gradient(make(), y, target, options, chosen)
            ]
            for chosen in (library, OnNumpy)
        )
        for ours, numpys in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, numpys, rtol=1e-12, atol=1e-14)


def value_and_gradient(loss, y, target, options, library):
    weights = {name: library.asarray(array) for name, array in options.items()}
    value, backward = loss(library.asarray(y), library.asarray(target), **weights)
    return value, backward(library.asarray(np.ones(value.shape)))


@losses
def test_only_kl_divergence_has_batchmean(make, target, before):
    if before is not cr.LogSoftmax:
        with pytest.raises(ValueError, match="batchmean"):
            make(reduction="batchmean")


@losses
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_loss_keeps_library_dtype_and_inputs(make, target, before, dtype, library):
    layer = cr.Sequential(before(), backend=library.backend, dtype=dtype)
    x = library.asarray(np.random.default_rng(0).normal(size=(4, 3)).astype(dtype))
    y = library.asarray(library.to_numpy(layer.forward(x)[0]))
    target = library.asarray(target)
    kept = [library.to_numpy(a).copy() for a in (y, target)]
    value, backward = make()(y, target)
    dy = backward()
    assert value.dtype == dy.dtype == library.backend.dtype(dtype)
    assert (value.shape, dy.shape) == ((), (4, 3))
    for array, old in zip((y, target), kept, strict=True):
        assert np.array_equal(library.to_numpy(array), old)


@losses
def test_weight_two_equals_the_sample_twice(make, target, before, library):
    y = library.asarray(before().forward(np.random.default_rng(0).normal(size=(4, 3)))[0])
    twice = [0, 1, 1, 2, 3]
    for reduction in ("mean", "sum"):
        loss = make(reduction=reduction)
        weight = library.asarray([1.0, 2.0, 1.0, 1.0])
        weighted, _ = loss(y, library.asarray(target), sample_weight=weight)
        repeated, _ = loss(
            library.asarray(library.to_numpy(y)[twice]), library.asarray(np.asarray(target)[twice])
        )
        assert float(weighted) == pytest.approx(float(repeated), rel=1e-12)


@losses
def test_loss_of_samples_without_weight_is_zero(make, target, before, library):
    y = library.asarray(before().forward(np.random.default_rng(0).normal(size=(4, 3)))[0])
    weight = library.asarray(np.zeros(4))
    value, backward = make()(y, library.asarray(target), sample_weight=weight)
    assert float(value) == 0.0
    assert not library.to_numpy(backward()).any()


def train(model, optimizer, library, steps=4):
    rng = np.random.default_rng(0)
    x = library.asarray(rng.normal(size=(8, 5)))
    y = library.asarray(rng.integers(0, 3, 8))
    loss = cr.CrossEntropyLoss()
    values = []
    for _ in range(steps):
        outputs, back_through_model = model.forward(x, training=True)
        value, back_through_loss = loss(outputs, y)
        back_through_model(back_through_loss())
        optimizer.step()
        values.append(float(value))
    return values


def small_model(library, **options):
    layers = (
        cr.Linear(5, 8, max_norm=1.5), cr.BatchNorm(8), cr.ReLU(), cr.Dropout(0.2), cr.Linear(8, 3),
    )  # fmt: skip
    return cr.Sequential(*layers, **{"backend": library.backend, **options})


@optimizers
@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.1, "clip_norm": 0.5}, {"l1": 0.01}], ids=str
)
def test_optimizer_agrees_with_numpy(make, options, library):
    ours, numpys = small_model(library, dtype="float64"), small_model_on_numpy()
    values = train(ours, make(**options).bind(ours), library, steps=8)
    expected = train_on_numpy(numpys, make(**options))
    np.testing.assert_allclose(values, expected, rtol=1e-10)
    assert values[-1] < values[0]


def small_model_on_numpy():
    return small_model(OnNumpy, dtype="float64")


def train_on_numpy(model, optimizer):
    return train(model, optimizer.bind(model), OnNumpy, steps=8)


@optimizers
@pytest.mark.parametrize(
    "copier", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
def test_a_copy_continues_training_like_the_original(make, copier, library):
    model = small_model(library)
    optimizer = make(weight_decay=0.01).bind(model)
    train(model, optimizer, library)
    model_copy, optimizer_copy = copier((model, optimizer))
    assert optimizer_copy.bind(model_copy) is optimizer_copy
    assert train(model_copy, optimizer_copy, library) == train(model, optimizer, library)
    for vector in ("values", "grads", "buffers"):
        ours, theirs = (library.to_numpy(getattr(m.state, vector)) for m in (model, model_copy))
        assert np.array_equal(ours, theirs)
    model_copy.parameters()[0].value[...] = 0.0
    assert library.to_numpy(model.parameters()[0].value).any()
