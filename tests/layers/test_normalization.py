"""Compare normalisation layers with values computed by hand, and check their errors."""

from functools import partial

import numpy as np
import pytest
from table import drawn

import chainrule as cr

X = np.asarray([[1.0, 10.0], [3.0, 30.0], [5.0, 80.0]])  # means 3 and 40, variances 8/3 and 2600/3


def on(library, layer, **options):
    cr.Sequential(layer, **{"backend": library.backend, "dtype": "float64", **options})
    return layer


def statistics(layer, library):
    return [library.to_numpy(b.value).copy() for b in (layer.running_mean, layer.running_var)]


def test_batch_norm_by_hand(library):
    layer = on(library, cr.BatchNorm(2, eps=1.0, momentum=0.25))
    layer.weight.value[...] = library.asarray([2.0, 3.0])
    layer.bias.value[...] = library.asarray([0.5, -1.0])
    y, _ = layer.forward(library.asarray(X), training=True)
    normal = (X - [3.0, 40.0]) / np.sqrt([8 / 3 + 1, 2600 / 3 + 1])
    np.testing.assert_allclose(library.to_numpy(y), normal * [2, 3] + [0.5, -1], rtol=1e-12)
    mean, var = statistics(layer, library)
    np.testing.assert_allclose(mean, [0.75, 10.0], rtol=1e-12)
    np.testing.assert_allclose(var, [0.75 + 0.25 * 4, 0.75 + 0.25 * 1300], rtol=1e-12)

    y, _ = layer.forward(library.asarray(X))
    normal = (X - mean) / np.sqrt(var + 1.0)
    np.testing.assert_allclose(library.to_numpy(y), normal * [2, 3] + [0.5, -1], rtol=1e-12)


def test_layer_norm_by_hand(library):
    layer = on(library, cr.LayerNorm(2, eps=1.0))
    layer.weight.value[...] = library.asarray([2.0, 3.0])
    layer.bias.value[...] = library.asarray([0.5, -1.0])
    half = np.asarray([[4.5], [13.5], [37.5]])  # standard deviation of each row
    expected = np.concatenate([-half, half], axis=1) / np.sqrt(half**2 + 1) * [2, 3] + [0.5, -1]
    for training in (False, True):
        y, _ = layer.forward(library.asarray(X), training=training)
        np.testing.assert_allclose(library.to_numpy(y), expected, rtol=1e-12)
        one, _ = layer.forward(library.asarray(X[1:2]), training=training)
        np.testing.assert_allclose(library.to_numpy(one), expected[1:2], rtol=1e-12)
    assert layer.named_buffers() == {}


def test_inference_moves_no_statistics(library):
    layer = on(library, cr.BatchNorm(2))
    x = library.asarray(X)
    layer.forward(x, training=True)
    before = statistics(layer, library)
    y, _ = layer.forward(x)
    one, _ = layer.forward(library.asarray(X[:1]))
    np.testing.assert_array_equal(library.to_numpy(one), library.to_numpy(y)[:1])
    for old, new in zip(before, statistics(layer, library), strict=True):
        np.testing.assert_array_equal(old, new)


def test_running_statistics_converge_to_those_of_the_data(library):
    layer = on(library, cr.BatchNorm(2))
    for _ in range(400):
        layer.forward(library.asarray(X), training=True)
    mean, var = statistics(layer, library)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(var, X.var(axis=0, ddof=1), rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_extreme_values_of_momentum(momentum, library):
    layer = on(library, cr.BatchNorm(2, momentum=momentum))
    layer.forward(library.asarray(X), training=True)
    mean, var = statistics(layer, library)
    np.testing.assert_allclose(mean, momentum * X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(var, [4.0, 1300.0] if momentum else [1.0, 1.0], rtol=1e-14)


def test_a_frozen_layer_is_a_fixed_function(library):
    layer = on(library, drawn(cr.BatchNorm(2)))
    x, expected = library.asarray(X), library.to_numpy(layer.forward(library.asarray(X))[0])
    before = statistics(layer, library)
    layer.freeze()
    y, back = layer.forward(x, training=True)
    dx = back(library.asarray(np.ones((3, 2))))
    scale = library.to_numpy(layer.weight.value) / np.sqrt(before[1] + 1e-5)
    np.testing.assert_array_equal(library.to_numpy(y), expected)
    np.testing.assert_allclose(library.to_numpy(dx), np.tile(scale, (3, 1)), rtol=1e-12)
    for old, new in zip(before, statistics(layer, library), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not library.to_numpy(layer.state.grads).any()
    layer.forward(
        library.asarray(X[:1]), training=True
    )  # one sample is enough without batch statistics
    layer.unfreeze()
    assert not np.array_equal(library.to_numpy(layer.forward(x, training=True)[0]), expected)
    assert not np.array_equal(statistics(layer, library)[0], before[0])


def test_constant_features_stay_finite(library):
    x = library.asarray(np.full((4, 3), 1e3, "float32"))
    for layer in (cr.BatchNorm(3), cr.LayerNorm(3)):
        y, back = on(library, layer, dtype="float32").forward(x, training=True)
        dx = library.to_numpy(back(library.asarray(np.eye(4, 3, dtype="float32"))))
        assert not library.to_numpy(y).any()
        assert np.isfinite(dx).all()


@pytest.mark.parametrize("samples", [1, 0])
def test_a_batch_without_a_variance(samples, library):
    model = cr.Sequential(cr.Linear(2, 2), cr.BatchNorm(2), backend=library.backend)
    x = library.asarray(np.ones((samples, 2), "float32"))
    before = library.to_numpy(model.state.buffers).copy()
    with pytest.raises(cr.ShapeError, match=r"layer '1', BatchNorm\(2\): .* 2 values of each"):
        model.forward(x, training=True)
    np.testing.assert_array_equal(library.to_numpy(model.state.buffers), before)
    assert model.forward(x)[0].shape == (samples, 2)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (cr.BatchNorm(3), (4, 2), r"\(batch, 3\), found \(4, 2\)"),
        (cr.BatchNorm(3), (3,), r"\(batch, 3, ...\), found \(3,\)"),
        (cr.BatchNorm(3), (2, 4, 3), r"\(batch, 3, ...\), found \(2, 4, 3\)"),
        (cr.GroupNorm(1, 3), (2, 4, 3), r"\(batch, 3, ...\), found \(2, 4, 3\)"),
        (cr.LayerNorm(3), (4, 2), r"\(batch, ..., 3\), found \(4, 2\)"),
        (cr.LayerNorm(3), (3,), r"\(batch, ..., 3\), found \(3,\)"),
    ],
    ids=str,
)
def test_shapes(layer, shape, message):
    with pytest.raises(cr.ShapeError, match=message):
        layer.forward(np.ones(shape, "float32"))


def test_bad_options():
    for kind in (cr.BatchNorm, cr.LayerNorm, partial(cr.GroupNorm, 1)):
        for eps in (0.0, -1.0, np.nan, np.inf):
            with pytest.raises(ValueError, match="expected eps to be finite and above 0"):
                kind(3, eps=eps)
        with pytest.raises(ValueError, match="expected (features|num_channels) to be at least 1"):
            kind(0)
    for momentum in (-0.1, 1.1, np.nan, None):
        with pytest.raises((ValueError, TypeError)):
            cr.BatchNorm(3, momentum=momentum)


def test_options_survive_a_file(tmp_path):
    model = cr.Sequential(cr.BatchNorm(3, eps=1e-3, momentum=0.2), cr.LayerNorm(3, 1e-4))
    model[0].momentum = 0.05
    model.save(tmp_path / "model.safetensors")
    loaded = cr.load(tmp_path / "model.safetensors")
    assert (loaded[0].eps, loaded[0].momentum, loaded[1].eps) == (1e-3, 0.05, 1e-4)
    assert repr(loaded) == repr(model)


def test_weight_decay_does_not_apply_to_normalisation():
    model = cr.Sequential(cr.Linear(3, 3), cr.BatchNorm(3), cr.LayerNorm(3))
    decaying = [name for name, p in model.named_parameters().items() if p.decay]
    assert decaying == ["0.weight"]


def test_the_order_of_the_batch_does_not_matter(library):
    """Reordering the samples of a batch only reorders the outputs."""
    x, order = np.random.default_rng(0).normal(size=(7, 3)), [3, 0, 6, 2, 5, 1, 4]
    for make in (cr.BatchNorm, cr.LayerNorm):
        layer = on(library, make(3))
        one, other = (
            library.to_numpy(layer.forward(library.asarray(a), training=True)[0])
            for a in (x, x[order])
        )
        np.testing.assert_allclose(one[order], other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", [cr.BatchNorm, cr.LayerNorm])
def test_training_agrees_with_numpy_and_learns(kind, library):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(96, 8)), rng.integers(0, 3, 96)
    x[np.arange(96), y] += 3.0

    def train(backend):
        model = cr.Sequential(
            cr.Linear(8, 16, bias=False), kind(16), cr.ReLU(), cr.Linear(16, 3),
            backend=backend, dtype="float64", seed=3,
        )  # fmt: skip
        trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(1e-2))
        history = trainer.fit(x, y, epochs=10, batch_size=32, verbose=0)
        return history.step_losses, trainer.evaluate(x, y), model

    found, measured, model = train(library.backend)
    expected, _, numpys = train("numpy")
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    for ours, theirs in (
        (model.state.values, numpys.state.values),
        (model.state.buffers, numpys.state.buffers),
    ):
        np.testing.assert_allclose(library.to_numpy(ours), theirs, rtol=1e-8, atol=1e-10)
    assert measured["accuracy"] > 0.9


def test_a_last_batch_of_one_sample_is_reported_where_it_occurs():
    model = cr.Sequential(cr.Linear(2, 2), cr.BatchNorm(2))
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    x = np.random.default_rng(0).normal(size=(5, 2))
    for options, samples, remedy in (
        ({"batch_size": 4}, 5, "; drop_last=True leaves out the last batch, which is smaller"),
        ({"batch_size": 1}, 5, "; choose a larger batch_size"),
        (
            {"batch_size": 5, "micro_batches": 3},
            5,
            "; choose fewer micro_batches or a larger batch_",
        ),
        ({}, 1, "found 1$"),
    ):
        with pytest.raises(cr.ShapeError, match=remedy):
            trainer.fit(x[:samples], x[:samples], verbose=0, **options)
    trainer.fit(x, x, batch_size=4, drop_last=True, verbose=0)


def test_batch_norm_without_weights(library):
    layer = on(library, cr.BatchNorm(2, eps=1.0, affine=False))
    assert layer.weight is layer.bias is None
    assert layer.parameters() == []
    assert list(layer.named_buffers()) == ["running_mean", "running_var"]
    layer.freeze()  # this layer has nothing to freeze
    y, _ = layer.forward(library.asarray(X), training=True)
    expected = (X - [3.0, 40.0]) / np.sqrt([8 / 3 + 1, 2600 / 3 + 1])
    np.testing.assert_allclose(library.to_numpy(y), expected, rtol=1e-12)
    mean, var = statistics(layer, library)
    np.testing.assert_allclose(mean, [0.3, 4.0], rtol=1e-12)
    with pytest.raises(cr.ShapeError, match="at least 2 values of each feature"):
        layer.forward(library.asarray(X[:1]), training=True)
    y, _ = layer.forward(library.asarray(X[:1]))
    np.testing.assert_allclose(library.to_numpy(y), (X[:1] - mean) / np.sqrt(var + 1), rtol=1e-12)
    assert repr(layer) == "BatchNorm(2, 1.0, affine=False)"
    with pytest.raises(TypeError, match="expected affine to be True or False"):
        cr.BatchNorm(2, affine="no")


def test_batch_norm_of_images_sees_every_position(library):
    """Each channel of an image is normalised like a column with a row for every position."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    rows = np.moveaxis(x, 1, -1).reshape(-1, 3)
    images, matrix = on(library, cr.BatchNorm(3)), on(library, cr.BatchNorm(3))
    y, _ = images.forward(library.asarray(x), training=True)
    expected, _ = matrix.forward(library.asarray(rows), training=True)
    found = np.moveaxis(library.to_numpy(y), 1, -1).reshape(-1, 3)
    np.testing.assert_allclose(found, library.to_numpy(expected), rtol=1e-12)
    for own, other in zip(statistics(images, library), statistics(matrix, library), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-12)


def test_a_single_image_has_enough_values_for_batch_norm():
    model = cr.Sequential(cr.Conv2d(1, 2, 3), cr.BatchNorm(2), cr.Flatten(), cr.Linear(8, 2))
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    trainer.fit(np.ones((1, 1, 4, 4)), np.ones((1, 2)), epochs=1, verbose=0)


def test_group_norm_by_hand(library):
    x = np.asarray([[[1.0, 3.0], [5.0, 7.0], [2.0, 2.0], [4.0, 4.0]]])
    y, _ = on(library, cr.GroupNorm(2, 4, eps=1.0)).forward(library.asarray(x))
    expected = [[[-3, -1], [1, 3], [0, 0], [0, 0]]] / np.sqrt(6.0)  # mean 4, variance 5
    expected[:, 2:] = np.asarray([[-1, -1], [1, 1]]) / np.sqrt(2.0)  # mean 3, variance 1
    np.testing.assert_allclose(library.to_numpy(y), expected, rtol=1e-12)


def test_group_norm_needs_groups_of_equal_size():
    with pytest.raises(ValueError, match="num_channels to be a multiple of num_groups, found 4 an"):
        cr.GroupNorm(3, 4)
