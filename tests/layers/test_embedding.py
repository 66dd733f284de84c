"""Embeddings: integers as input, repeated rows, padding and mistakes."""

import numpy as np
import pytest
from helpers import trainer_on

import chainrule as cr

TOKENS = np.asarray([[3, 0, 3, 2], [1, 3, 2, 2]])


def embedding(library, *arguments, dtype="float64", **options):
    return cr.Embedding(*arguments, **options).bind(library.backend, dtype=dtype)


def test_repeated_integers_add_up(library):
    layer = embedding(library, 5, 3)
    weight = library.to_numpy(layer.weight.value).copy()
    y, backward = layer.forward(library.asarray(TOKENS))
    np.testing.assert_array_equal(library.to_numpy(y), weight[TOKENS])
    dy = np.random.default_rng(0).normal(size=(2, 4, 3))
    expected = np.zeros((5, 3))
    np.add.at(expected, TOKENS, dy)
    for times in (1, 2):  # a second backward pass adds to the gradient
        assert backward(library.asarray(dy)) is None
        found = library.to_numpy(layer.weight.grad)
        np.testing.assert_allclose(found, times * expected, rtol=1e-14, atol=1e-15)
    cr.SGD(0.1).bind(layer).step()
    layer.forward(library.asarray(TOKENS))[1](library.asarray(dy))
    np.testing.assert_allclose(library.to_numpy(layer.weight.grad), expected, rtol=1e-14)


def test_padding_starts_at_zero_and_stays_there(library):
    layer = embedding(library, 5, 3, padding_idx=3)
    value = library.to_numpy(layer.weight.value)
    assert not value[3].any()
    rest = [0, 1, 2, 4]
    without = library.to_numpy(embedding(library, 5, 3).weight.value)
    np.testing.assert_array_equal(value[rest], without[rest])
    _, backward = layer.forward(library.asarray(TOKENS))
    backward(library.asarray(np.ones((2, 4, 3))))
    grad = library.to_numpy(layer.weight.grad)
    assert grad[:, 0].tolist() == [1.0, 1.0, 3.0, 0.0, 0.0]


def test_gradients_are_right_in_a_model(library):
    model = cr.Sequential(
        cr.Sequential(cr.Embedding(6, 4)), cr.PoolOverTime("mean"), cr.Linear(4, 2)
    )
    assert model.takes_integers
    x = np.random.default_rng(0).integers(0, 6, (3, 5))
    assert cr.gradcheck(model, x=x, backend=library.backend) <= 1e-6
    assert cr.gradcheck(model, x=(x, np.asarray([5, 1, 3])), backend=library.backend) <= 1e-6


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_a_model_gets_integers_as_they_are(dtype, library):
    model = cr.Sequential(cr.Embedding(5, 3), cr.Flatten(), backend=library.backend)
    x = library.backend.xp.astype(library.asarray(TOKENS), getattr(library.backend.xp, dtype))
    lengths = library.asarray([1, 1])
    assert model.enter(x).dtype == x.dtype
    assert [a.dtype for a in model.enter((x, lengths))] == [x.dtype, lengths.dtype]
    expected = library.to_numpy(model[0].weight.value)[TOKENS].reshape(2, 12)
    np.testing.assert_array_equal(library.to_numpy(model.forward(x)[0]), expected)
    np.testing.assert_array_equal(model.predict(TOKENS.astype(dtype)), expected)
    np.testing.assert_array_equal(model.predict(TOKENS.tolist()), expected)


def test_gradients_are_converted_even_if_integers_are_not(library):
    model = cr.Sequential(cr.Embedding(5, 3), backend=library.backend)
    _, backward = model.forward(library.asarray(TOKENS))
    assert backward(library.asarray(np.ones((2, 4, 3), int)), input_gradient=True) is None
    assert library.to_numpy(model[0].weight.grad)[3].tolist() == [3.0, 3.0, 3.0]


@pytest.mark.not_on("cupy")  # the check would wait for the device
@pytest.mark.parametrize("wrong", [5, 6, -1, -5])
def test_integers_without_a_vector_are_refused(wrong, library):
    model = cr.Sequential(cr.Embedding(5, 3), backend=library.backend)
    x = library.asarray(np.where(TOKENS == 0, wrong, TOKENS))
    with pytest.raises(cr.DataError, match=rf"Embedding\(5, 3\): .* from 0 to 4, found {wrong}$"):
        model.forward(x)


def test_on_a_device_an_unknown_integer_gives_nan(library, monkeypatch):
    monkeypatch.setattr(cr.layers.embedding, "on_host", lambda x: False)
    layer = embedding(library, 5, 3)
    y = library.to_numpy(layer.forward(library.asarray([[1, 5, -1, 2]]))[0])
    assert np.isnan(y).any(axis=2).tolist() == [[False, True, True, False]]
    trainer = trainer_on(library, cr.Embedding(5, 3), cr.Flatten(), cr.Linear(6, 2))
    with pytest.raises(cr.DivergenceError):
        trainer.fit(np.asarray([[1, 5]] * 4), np.asarray([0, 1, 1, 0]), epochs=1, verbose=0)


def test_mistakes(library):
    layer = embedding(library, 5, 3)
    with pytest.raises(cr.DataError, match="expected integers, found .*float64: .*a custom layer"):
        layer.forward(library.asarray(TOKENS * 1.0))
    with pytest.raises(cr.ShapeError, match=r"expected .*\(batch, ...\), found \(2, 0\): .*empty"):
        layer.forward(library.asarray(TOKENS[:, :0]))
    with pytest.raises(ValueError, match="expected padding_idx below num_embeddings, 5, found 5"):
        cr.Embedding(5, 3, 5)
    with pytest.raises(ValueError, match="padding_idx to be at least 0, found -1"):
        cr.Embedding(5, 3, -1)
    with pytest.raises(cr.ShapeError, match=r"expected rows of shape \(2, 3\) .*, found \(2, 2\)"):
        layer.weight.add_grad_rows(library.asarray([0, 1]), library.asarray(np.ones((2, 2))))
    with pytest.raises(TypeError, match="gradient"):
        layer.weight.add_grad_rows(
            library.asarray([0]), library.asarray(np.ones((1, 3), "float32"))
        )


def test_frozen_vectors_get_no_gradient(library):
    layer = embedding(library, 5, 3)
    layer.freeze()
    _, backward = layer.forward(library.asarray(TOKENS))
    backward(library.asarray(np.ones((2, 4, 3))))
    assert not library.to_numpy(layer.weight.grad).any()


def test_summary_needs_the_length_of_the_sequences():
    model = cr.Sequential(cr.Embedding(5, 3), cr.PoolOverTime("max"), cr.Linear(3, 2))
    with pytest.raises(ValueError, match="summary needs input_shape="):
        model.summary()
    for shape in ((7,), ((7,), ())):
        assert "(batch, 7, 3)" in model.summary(shape)


def words(samples):
    """Return sequences of integers, their lengths, and labels: whether a sequence contains a 7."""
    rng = np.random.default_rng(0)
    tokens, lengths = rng.integers(1, 20, (samples, 12)), rng.integers(1, 13, samples)
    tokens[np.arange(12) >= lengths[:, None]] = 0
    return (tokens, lengths), (tokens == 7).any(axis=1).astype(int)


def test_a_classifier_of_padded_sequences(library, tmp_path, recwarn):
    x, y = words(300)
    layers = cr.Embedding(20, 4, padding_idx=0), cr.PoolOverTime("max"), cr.Linear(4, 2)
    trainer = trainer_on(library, *layers, optimizer=cr.Adam(0.05))
    trainer.fit(x, y, epochs=20, batch_size=30, verbose=0)
    assert not [w for w in recwarn if w.category is UserWarning]
    assert trainer.evaluate(x, y)["accuracy"] > 0.99
    assert not library.to_numpy(trainer.model[0].weight.value)[0].any()
    path = tmp_path / "model.safetensors"
    trainer.model.save(path)
    loaded = cr.load(path, backend=library.backend, dtype="float64")
    np.testing.assert_array_equal(loaded.predict(x), trainer.model.predict(x))
    padded = np.pad(x[0], ((0, 0), (0, 3)), constant_values=9), x[1]  # more padding, no effect
    np.testing.assert_array_equal(loaded.predict(padded), loaded.predict(x))


def test_a_custom_layer_may_take_integers(library):
    class OneHot(cr.Layer):
        takes_integers = True

        def forward(self, x, *, training=False):
            classes = self.xp.arange(5, dtype=x.dtype, device=x.device)
            y = self.xp.astype(x[..., None] == classes, self.state.dtype)
            return y, lambda dy: None

    model = cr.Sequential(OneHot(), cr.Linear(5, 3, bias=False), backend=library.backend)
    y, backward = model.forward(library.asarray(TOKENS))
    weight = library.to_numpy(model[1].weight.value)
    np.testing.assert_array_equal(library.to_numpy(y), weight.T[TOKENS])
    assert backward(y, input_gradient=True) is None
