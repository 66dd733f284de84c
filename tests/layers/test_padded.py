"""Padded sequences pass through the layers of a model together with their lengths."""

import re

import numpy as np
import pytest
from helpers import trainer_on
from table import LAYERS

import chainrule as cr
from chainrule.forms import Padded

LENGTHS = np.asarray([4, 1, 3])
ENDS = {
    "mean": lambda: cr.PoolOverTime("mean"),
    "max": lambda: cr.PoolOverTime("max"),
    "last": lambda: cr.PoolOverTime("last"),
    "last state": lambda: cr.LSTM(2, 3, bidirectional=True, output="last"),
}
OF_STEPS = {name: row for name, row in LAYERS.items() if row[0]().per_step}


def normal(shape, library, seed=0):
    return library.asarray(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_sequences_of_unequal_length_are_those_of_each_alone(end, library):
    """Outputs equal those of each sequence without padding, and gradients equal their sum."""
    inner = cr.Sequential(cr.Linear(3, 4), cr.LayerNorm(4), cr.Dropout(0.5))
    layers = inner, cr.GRU(4, 3), cr.Tanh(), cr.RNN(3, 2), end()
    model = cr.Sequential(*layers, backend=library.backend, dtype="float64")
    x, lengths = normal((3, 4, 3), library), library.asarray(LENGTHS)
    together = library.to_numpy(model.predict((x, lengths)))
    y, backward = model.forward((x, lengths))
    np.testing.assert_array_equal(library.to_numpy(y), together)
    dy = normal(y.shape, library, seed=1)
    dx, none = backward(dy, input_gradient=True)
    assert none is None
    expected = {n: library.to_numpy(p.grad).copy() for n, p in model.named_parameters().items()}

    model.zero_grad()
    for i, length in enumerate(LENGTHS):
        one, until = slice(i, i + 1), slice(0, int(length))
        alone, backward = model.forward(x[one, until, :])
        np.testing.assert_allclose(library.to_numpy(alone)[0], together[i], rtol=1e-10)
        dalone = backward(dy[one, ...], input_gradient=True)
        found = library.to_numpy(dx)[i]
        np.testing.assert_allclose(found[until], library.to_numpy(dalone)[0], atol=1e-12)
        assert not found[int(length) :].any()
    for name, parameter in model.named_parameters().items():
        found = library.to_numpy(parameter.grad)
        np.testing.assert_allclose(found, expected[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("row", OF_STEPS.values(), ids=OF_STEPS)
def test_each_step_alone(row, library):
    """A layer with `per_step` gives the same result for one step alone as among other steps."""
    make, shape = row
    layer = make().bind(library.backend, dtype="float64")
    shape = (2, 3, *shape[-1:])
    x = normal(shape, library)
    if layer.takes_integers:
        x = library.asarray(np.arange(6).reshape(2, 3))
    y = layer.forward(x)[0]
    for t in range(3):
        alone = layer.forward(x[:, t : t + 1, ...])[0]
        found, expected = map(library.to_numpy, (y[:, t : t + 1, ...], alone))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", [cr.GRU, cr.LSTM])
def test_a_language_model_with_states(kind, library):
    """Two pieces of a text, with the state passed on, give the results of the whole text."""
    layers = cr.Embedding(9, 4), cr.Dropout(0.3), kind(4, 3, return_state=True), cr.Linear(3, 9)
    model = cr.Sequential(*layers, backend=library.backend, dtype="float64")
    ids = library.asarray(np.arange(12).reshape(2, 6) % 9)
    (y, *_), backward = model.forward(ids)
    dy, states = normal(y.shape, library), model[2].states
    nothing = (None for _ in states)
    backward((dy, *nothing))
    expected = {n: library.to_numpy(p.grad).copy() for n, p in model.named_parameters().items()}

    model.zero_grad()
    zeros = library.backend.xp.zeros((2, 1, 3), dtype=y.dtype)
    start = {"x": ids[:, :2], **dict.fromkeys(states, zeros)}
    (first, *between), back_through_first = model.forward(start)
    given = {"x": ids[:, 2:], **dict(zip(states, between, strict=True))}
    (second, *final), back_through_second = model.forward(given)
    found = np.concatenate([library.to_numpy(first), library.to_numpy(second)], axis=1)
    np.testing.assert_allclose(found, library.to_numpy(y), rtol=1e-10)
    predicted = model.predict(given)
    for one, other in zip(predicted, (second, *final), strict=True):
        np.testing.assert_array_equal(library.to_numpy(one), library.to_numpy(other))
    dgiven = back_through_second((dy[:, 2:, :], *(None for _ in states)), input_gradient=True)
    assert dgiven["x"] is None
    back_through_first((dy[:, :2, :], *(dgiven[name] for name in states)))
    for name, parameter in model.named_parameters().items():
        found = library.to_numpy(parameter.grad)
        np.testing.assert_allclose(found, expected[name], rtol=1e-10, atol=1e-12)


def test_scores_without_a_gradient():
    """Only the state has a gradient, so the layers after the recurrent layer get none."""
    model = cr.Sequential(cr.GRU(2, 3, return_state=True), cr.Linear(3, 4))
    (_, h), backward = model.forward(np.ones((1, 2, 2)))
    backward((None, np.ones_like(h)))
    assert not model[1].weight.grad.any()
    assert model[0].weight_ih_l0.grad.any()


@pytest.mark.not_on("cupy")
def test_a_late_index_next_to_a_state_is_checked(library):
    model = cr.Sequential(cr.Embedding(5, 2), cr.GRU(2, 2, output="last"), cr.Linear(2, 2))
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    x = {"h": np.zeros((3, 1, 2)), "x": np.asarray([[1], [2], [5]])}
    with pytest.raises(cr.DataError, match="^x: sample 2: .*integers from 0 to 4, found 5"):
        trainer.fit(x, np.zeros(3, int), verbose=0)


def test_which_layers_treat_each_step_alone():
    kinds = {type(row[0]()).__name__ for row in OF_STEPS.values()}
    assert kinds == {
        "ELU", "GELU", "Identity", "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax", "PReLU",
        "ReLU", "Rescaling", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh", "Dropout",
        "Embedding",
    }  # fmt: skip


def test_a_model_returns_the_sequences_without_lengths(library):
    """A model with an output for each step, such as a tag for each word."""
    layers = cr.Embedding(9, 4), cr.Dropout(0.3), cr.GRU(4, 3), cr.Linear(3, 5)
    model = cr.Sequential(*layers, backend=library.backend, dtype="float64")
    x, lengths = library.asarray(np.arange(8).reshape(2, 4)), library.asarray(np.asarray([4, 2]))
    y, backward = model.forward((x, lengths), training=True)
    assert y.shape == model.predict((x, lengths)).shape == (2, 4, 5)
    assert backward(y, input_gradient=True) == (None, None)
    with pytest.raises(cr.ShapeError, match=r"gradient of shape \(2, 4, 5\), found \(2, 4, 4\)"):
        backward(y[:, :, :4])


class Doubled(cr.Layer):
    """A custom layer that gets the sequences only."""

    per_step = True

    def forward(self, x, *, training=False):
        return 2.0 * x, lambda dy: 2.0 * dy


class Pairs(cr.Layer):
    """A custom layer that gets the sequences and their lengths."""

    def forward(self, x, *, training=False):
        sequences, lengths = x
        return Padded(2.0 * sequences, lengths), lambda dy: (2.0 * dy[0], None)


@pytest.mark.parametrize("kind", [Doubled, Pairs])
def test_custom_layers(kind, library):
    model = cr.Sequential(kind(), cr.PoolOverTime("mean"), backend=library.backend)
    x, lengths = normal((3, 4, 2), library), library.asarray(LENGTHS)
    y = library.to_numpy(model.predict((x, lengths)))
    for row, length, sequence in zip(y, LENGTHS, library.to_numpy(x), strict=True):
        np.testing.assert_allclose(row, 2.0 * sequence[:length].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_lengths_of_any_integer_dtype(end, dtype, library):
    """There are more steps than a small dtype can count."""
    layer = end().bind(library.backend, dtype="float64")
    x, lengths = normal((2, 300, 2), library), np.asarray([100, 3])
    found = layer.forward((x, library.asarray(lengths.astype(dtype))))[0]
    for i, length in enumerate(lengths):
        alone = layer.forward(x[i : i + 1, : int(length), :])[0]
        np.testing.assert_allclose(*map(library.to_numpy, (found[i, ...], alone[0, ...])))


@pytest.mark.not_on("cupy")  # integers on a GPU are not read, because that would be slow
@pytest.mark.parametrize(
    "layers",
    [
        (cr.Linear(2, 2), cr.GRU(2, 2, output="last")),
        (cr.Sequential(cr.LSTM(2, 2, output="last")),),
        (cr.PoolOverTime("mean"),),
    ],
    ids=["GRU", "LSTM", "PoolOverTime"],
)
def test_a_late_length_is_checked_before_the_first_step(layers, library):
    trainer = trainer_on(library, *(layer.copy() for layer in layers), cr.Linear(2, 2))
    before = library.to_numpy(trainer.model.state.values).copy()
    x, lengths, y = np.ones((8, 4, 2)), np.full(8, 4), np.zeros(8, int)
    wrong = np.asarray([4, 4, 4, 4, 4, 4, 4, 5])
    message = "expected lengths from 1 to 4, found 5"
    with pytest.raises(cr.DataError, match=f"^x: sample 7: .*{message}"):
        trainer.fit((x, wrong), y, batch_size=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(library.to_numpy(trainer.model.state.values), before)
    with pytest.raises(cr.DataError, match=message):
        trainer.fit((x, lengths), y, validation_data=((x, wrong), y), verbose=0)
    np.testing.assert_array_equal(library.to_numpy(trainer.model.state.values), before)


def test_a_late_length_by_name_is_checked_before_the_first_step():
    model = cr.Sequential(cr.GRU(2, 2, output="last"), cr.Linear(2, 2))
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    given = {"x": np.ones((3, 4, 2)), "lengths": np.asarray([4, 4, 7])}
    with pytest.raises(cr.DataError, match="^x: sample 2: .*expected lengths from 1 to 4, found 7"):
        trainer.fit(given, np.zeros(3, int), batch_size=1, verbose=0)


@pytest.mark.parametrize("one", [[5], np.asarray([5])], ids=["list", "array"])
def test_lists_of_unequal_length(one):
    trainer = cr.Trainer(cr.mlp([2, 2]), loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    for x in ([[1, 2], one], ([[1, 2], one], [2, 1])):
        with pytest.raises(cr.DataError, match=r"pad sequences .* and pass them as \(x, lengths\)"):
            trainer.fit(x, [0, 1], verbose=0)


@pytest.mark.not_on("cupy")
@pytest.mark.parametrize("with_lengths", [False, True])
def test_a_late_index_is_checked_before_the_first_step(with_lengths, library):
    layers = cr.Embedding(5, 2), cr.PoolOverTime("mean"), cr.Linear(2, 2)
    trainer = trainer_on(library, *layers)
    before = library.to_numpy(trainer.model.state.values).copy()
    x = np.ones((8, 4), int)
    x[7, 1] = 9
    given = (x, np.full(8, 4)) if with_lengths else x
    with pytest.raises(cr.DataError, match="^x: sample 7: .*integers from 0 to 4, found 9"):
        trainer.fit(given, np.zeros(8, int), batch_size=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(library.to_numpy(trainer.model.state.values), before)


@pytest.mark.parametrize(
    ("layer", "second", "words"),
    [
        (cr.BatchNorm(2), LENGTHS, "this layer takes no lengths or states"),
        (cr.Flatten(), LENGTHS, "this layer takes no lengths or states"),
        (cr.Linear(2, 2), LENGTHS.astype("float32"), "a list of rows is one array"),
        (cr.Linear(2, 2), np.ones((3, 2), int), "a list of rows is one array"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, cr.Layer) else None,
)
def test_layers_that_do_not_take_lengths(layer, second, words, library):
    model = cr.Sequential(layer.copy(), backend=library.backend)
    with pytest.raises(TypeError, match=f"expected one array as input, .*{re.escape(words)}"):
        model.predict((normal((3, 4, 2), library), library.asarray(second)))


@pytest.mark.parametrize(
    "x",
    [{"x": np.ones((3, 4, 2)), "mask": np.ones(3)}, {"image": np.ones((3, 4, 2))}],
    ids=["another name", "no x"],
)
def test_other_inputs_by_name_are_refused(x):
    with pytest.raises(TypeError, match="expected one array as input, .*a list of rows is one"):
        cr.Sequential(cr.Linear(2, 2)).predict(x)


@pytest.mark.parametrize(
    ("layer", "x"),
    [(cr.Linear(4, 2), np.ones((3, 4))), (cr.Embedding(9, 2), LENGTHS)],
    ids=["Linear", "Embedding"],
)
def test_two_inputs_without_steps_are_refused(layer, x, library):
    """The second input would be ignored."""
    model = cr.Sequential(layer.copy(), backend=library.backend)
    with pytest.raises(TypeError, match="expected one array as input, .*a list of rows is one"):
        model.predict((library.asarray(x), library.asarray(LENGTHS)))
