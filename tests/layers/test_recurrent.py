"""Recurrent layers: lengths, states, dropout between layers, files and mistakes."""

import pickle
import re

import numpy as np
import pytest
from helpers import finite_differences

import chainrule as cr
from chainrule.layers.architecture import Describer

KINDS = {
    "RNN": cr.RNN,
    "RNN with relu": lambda *a, **o: cr.RNN(*a, nonlinearity="relu", **o),
    "LSTM": cr.LSTM,
    "GRU": cr.GRU,
}
LENGTHS = np.asarray([4, 1, 3])

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def bound(layer, library, **options):
    """Bind a layer in float64, with random biases."""
    layer.bind(library.backend, dtype="float64", **options)
    rng = np.random.default_rng(1)
    for parameter in layer.parameters():
        if len(parameter.shape) == 1:
            parameter.value[...] = library.asarray(rng.normal(size=parameter.shape))
    return layer


def normal(shape, library, seed=0):
    return library.asarray(np.random.default_rng(seed).normal(size=shape))


def assert_close(found, expected, library):
    found, expected = library.to_numpy(found), library.to_numpy(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def gradients(layer, library):
    return {n: library.to_numpy(p.grad).copy() for n, p in layer.named_parameters().items()}


@finite_differences
@pytest.mark.parametrize(
    ("kind", "output"),
    [*zip(KINDS.values(), ["all", "last", "last", "all"], strict=True)],
    ids=KINDS,
)
def test_gradients_with_lengths_and_states(kind, output, library):
    """The cell and the form of the output are independent, so not all pairs are tested."""
    layer = kind(1, 1, 2, bidirectional=True, output=output, return_state=True, dropout=0.3)
    rng = np.random.default_rng(0)
    x = {"x": rng.normal(size=(2, 2, 1)), "lengths": np.asarray([2, 1])}
    x |= {name: rng.normal(size=(2, 4, 1)) for name in layer.states}
    assert cr.gradcheck(layer, x=x, training=True, backend=library.backend) <= 1e-6


@kinds
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_does_no_harm(kind, bidirectional, library):
    """NaN in the padding does not change the results, and the padding gets zeros."""
    layer = bound(kind(3, 2, 2, bidirectional=bidirectional), library)
    x = np.random.default_rng(0).normal(size=(3, 4, 3))
    padding = np.arange(4) >= LENGTHS[:, None]
    results = []
    for fill in (np.nan, 0.0, 7.0):
        x[padding] = fill
        layer.zero_grad()
        (y, _), backward = layer.forward((library.asarray(x), library.asarray(LENGTHS)))
        dx, none = backward((normal(y.shape, library, seed=1), None))
        assert none is None
        for array in (y, dx):
            assert not library.to_numpy(array)[padding].any()
        results.append([library.to_numpy(y), library.to_numpy(dx), gradients(layer, library)])
    for found in results[1:]:
        np.testing.assert_equal(found, results[0])


@kinds
@pytest.mark.parametrize("output", ["all", "last"])
def test_sequences_of_unequal_length_are_those_of_each_alone(kind, output, library):
    options = {"bidirectional": True, "output": output, "return_state": True}
    layer = bound(kind(3, 2, 2, **options), library)
    x, state = normal((3, 4, 3), library), normal((3, 4, 2), library, seed=1)
    states = dict.fromkeys(layer.states, state)
    given = {"x": x, **states, "lengths": library.asarray(LENGTHS)}
    results, backward = layer.forward(given)
    dresults = tuple(normal(y.shape, library, seed=2 + i) for i, y in enumerate(results))
    dgiven = backward(dresults)
    together = gradients(layer, library)
    layer.zero_grad()
    for i, length in enumerate(LENGTHS):
        one, until = slice(i, i + 1), slice(0, int(length))
        before = dict.fromkeys(states, state[one, ...])
        alone, backward = layer.forward({"x": x[one, until, :], **before})
        parts = [(y[one, ...], dy[one, ...]) for y, dy in zip(results, dresults, strict=True)]
        if output == "all":
            y, dy = parts[0]
            parts[0] = y[:, until, :], dy[:, until, :]
        for (expected, _), found in zip(parts, alone, strict=True):
            assert_close(found, expected, library)
        dalone = backward(tuple(dy for _, dy in parts))
        assert_close(dalone["x"], dgiven["x"][one, until, :], library)
        for name in states:
            assert_close(dalone[name], dgiven[name][one, ...], library)
    for name, expected in together.items():
        np.testing.assert_allclose(gradients(layer, library)[name], expected, rtol=1e-10)


@kinds
def test_two_halves_with_the_state_passed_on(kind, library):
    layer = bound(kind(3, 2, 2, return_state=True), library)
    x = normal((2, 6, 3), library)
    (y, *final), backward = layer.forward(x)
    dy, *dfinal = (normal(a.shape, library, seed=i) for i, a in enumerate((y, *final)))
    dx = backward((dy, *dfinal))
    whole = gradients(layer, library)
    layer.zero_grad()

    (first, *between), back_through_first = layer.forward(x[:, :2, :])
    states = dict(zip(layer.states, between, strict=True))
    (second, *after), back_through_second = layer.forward({"x": x[:, 2:, :], **states})
    assert_close(first, y[:, :2, :], library)
    assert_close(second, y[:, 2:, :], library)
    for one, other in zip(after, final, strict=True):
        assert_close(one, other, library)
    dsecond = back_through_second((dy[:, 2:, :], *dfinal))
    dfirst = back_through_first((dy[:, :2, :], *(dsecond[name] for name in layer.states)))
    assert_close(dsecond["x"], dx[:, 2:, :], library)
    assert_close(dfirst, dx[:, :2, :], library)
    for name, expected in whole.items():
        np.testing.assert_allclose(gradients(layer, library)[name], expected, rtol=1e-10)


@kinds
def test_the_last_state_is_that_of_all_states(kind, library):
    """The last state is that of the sequence's last step or, in the second direction, of step 0."""
    x, lengths = normal((3, 4, 3), library), library.asarray(LENGTHS)
    every = bound(kind(3, 2, 2, bidirectional=True), library, seed=5)
    last = bound(kind(3, 2, 2, bidirectional=True, output="last"), library, seed=5)
    y = library.to_numpy(every.forward((x, lengths))[0].x)
    found = library.to_numpy(last.forward((x, lengths))[0])
    expected = np.concatenate([y[np.arange(3), LENGTHS - 1, :2], y[:, 0, 2:]], axis=1)
    np.testing.assert_array_equal(found, expected)


@kinds
def test_an_output_without_gradient(kind, library):
    """None stands for a gradient of 0."""
    layer = bound(kind(3, 2, return_state=True), library)
    (y, *final), backward = layer.forward(normal((2, 3, 3), library))
    dfinal = [normal(state.shape, library, seed=i) for i, state in enumerate(final)]
    dx = backward((None, *dfinal))
    expected = backward((library.backend.xp.zeros_like(y), *dfinal))
    assert_close(dx, expected, library)


@kinds
def test_without_the_gradient_of_the_input(kind, library):
    layer = bound(kind(3, 2, 2, bidirectional=True), library)
    y, backward = layer.forward(normal((2, 3, 3), library))
    dy = normal(y.shape, library, seed=1)
    assert backward(dy, input_gradient=False) is None
    found = gradients(layer, library)
    layer.zero_grad()
    backward(dy)
    np.testing.assert_equal(found, gradients(layer, library))


def test_dropout_is_between_layers_and_only_in_training(library):
    x = normal((2, 3, 4), library)

    def in_training(*arguments, **options):
        layer = bound(cr.GRU(4, 50, *arguments, **options), library)
        return library.to_numpy(layer.forward(x, training=True)[0]), layer

    plain, _ = in_training()
    dropped, _ = in_training(dropout=0.5)
    np.testing.assert_array_equal(dropped, plain)  # a single layer has nothing between layers
    plain, _ = in_training(2)
    dropped, layer = in_training(2, dropout=0.5)
    assert not np.isclose(dropped, plain).any(axis=2).all()
    assert (dropped != 0.0).all()
    again = library.to_numpy(layer.forward(x, training=True)[0])
    assert not np.array_equal(again, dropped)  # another mask
    np.testing.assert_array_equal(library.to_numpy(layer.forward(x)[0]), plain)


def test_dropout_scales_what_it_keeps(library):
    """The second layer is a plain sum, so the mean over many masks is the sum without dropout."""
    layer = cr.RNN(1, 400, 2, nonlinearity="relu", dropout=0.25, init=cr.initializers.constant(1))
    layer.bind(library.backend, dtype="float64")
    x = library.asarray(np.ones((1, 1, 1)))
    found = library.to_numpy(layer.forward(x, training=True)[0])
    kept = found[0, 0, 0] * 0.75
    assert kept == pytest.approx(round(kept))  # `kept` units were kept
    assert 250 < kept < 350
    assert library.to_numpy(layer.forward(x)[0])[0, 0, 0] == 400.0


@kinds
def test_frozen_weights(kind, library):
    x = normal((4, 3, 3), library)

    def run(frozen):
        layer = kind(3, 2, 2)
        model = cr.Sequential(layer, backend=library.backend, dtype="float64", seed=2)
        if frozen:
            layer.weight_hh_l0.trainable = layer.bias_ih_l1.trainable = False
        before = {n: library.to_numpy(p.value).copy() for n, p in model.named_parameters().items()}
        optimizer = cr.SGD(0.1).bind(model)
        y, backward = model.forward(x, training=True)
        dx = library.to_numpy(backward(normal(y.shape, library, seed=1), input_gradient=True))
        optimizer.step()
        after = {n: library.to_numpy(p.value) for n, p in model.named_parameters().items()}
        return dx, {n: after[n] - before[n] for n in after}

    dx, moved = run(frozen=True)
    expected_dx, expected = run(frozen=False)
    np.testing.assert_array_equal(dx, expected_dx)
    for name, difference in moved.items():
        if name in ("0.weight_hh_l0", "0.bias_ih_l1"):
            assert not difference.any()
            assert expected[name].any()
        else:
            np.testing.assert_array_equal(difference, expected[name])


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, -2.5])
def test_the_bias_of_the_forget_gate(forget_bias, library, tmp_path):
    path = tmp_path / "model.safetensors"
    layer = cr.LSTM(3, 2, num_layers=2, bidirectional=True, forget_bias=forget_bias)
    model = cr.Sequential(layer, backend=library.backend)
    for name, parameter in model.named_parameters().items():
        if "bias" in name:
            gates = library.to_numpy(parameter.value).reshape(4, 2)
            expected = np.zeros((4, 2))
            if "bias_ih" in name:
                expected[1] = forget_bias
            np.testing.assert_array_equal(gates, expected)
    for parameter in model.parameters():
        parameter.value[...] += 0.25
    model.save(path)
    loaded = cr.load(path, backend=library.backend)
    assert loaded[0].forget_bias == forget_bias
    for name, parameter in loaded.named_parameters().items():
        expected = library.to_numpy(model.named_parameters()[name].value)
        np.testing.assert_array_equal(library.to_numpy(parameter.value), expected)


def test_the_bias_of_the_forget_gate_is_added_to_bias_init():
    layer = cr.LSTM(3, 2, forget_bias=1.5, bias_init=cr.initializers.constant(0.25)).bind()
    expected = np.repeat([0.25, 1.75, 0.25, 0.25], 2)
    np.testing.assert_array_equal(layer.bias_ih_l0.value, expected)
    np.testing.assert_array_equal(layer.bias_hh_l0.value, 0.25)


def test_initial_values():
    layer = cr.GRU(30, 25, num_layers=2).bind()
    for name, parameter in layer.named_parameters().items():
        if "bias" in name:
            assert not parameter.value.any()
        else:
            assert 0.19 < np.abs(parameter.value).max() <= 0.2  # 1 / sqrt(25)


@pytest.mark.parametrize("kind", [cr.RNN, cr.LSTM, cr.GRU])
def test_default_arguments_are_written_to_files(kind):
    kwargs = Describer().layer(kind(3, 2), "")["kwargs"]
    defaults = {"bias": True, "bidirectional": False, "dropout": 0.0, "output": "all"}
    defaults |= {"num_layers": 1, "return_state": False, "init": None, "bias_init": None}
    own = {cr.RNN: {"nonlinearity": "tanh"}, cr.LSTM: {"forget_bias": 1.0}, cr.GRU: {}}
    assert kwargs == defaults | own[kind]


class Renamed(cr.GRU):
    """A subclass without a `forward` of its own."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)


@pytest.mark.parametrize("kind", [cr.RNN, cr.LSTM, cr.GRU, Renamed])
def test_a_function_as_initializer_is_not_stored(kind, tmp_path):
    def ones(rng, shape):
        return np.ones(shape)

    path = tmp_path / "model.safetensors"
    model = cr.Sequential(kind(3, 2, init=ones, bias_init=ones))
    assert (model[0].weight_ih_l0.value == 1.0).all()
    model.save(path)
    loaded = cr.load(path, layers={"Renamed": Renamed})
    np.testing.assert_array_equal(loaded[0].weight_hh_l0.value, 1.0)


def test_a_subclass_takes_lengths(library):
    model = cr.Sequential(Renamed(3, 2), backend=library.backend, dtype="float64")
    y = model.predict((normal((3, 4, 3), library), library.asarray(LENGTHS)))
    assert not library.to_numpy(y)[1, 1:].any()


X = np.ones((2, 3, 4))
MISTAKES = {
    "a vector": (X[0], cr.ShapeError, r"input of shape \(batch, time, 4\), found \(3, 4\)"),
    "features": (X[:, :, :3], cr.ShapeError, r"\(batch, time, 4\), found \(2, 3, 3\)"),
    "no steps": (X[:, :0], cr.ShapeError, r"\(batch, time, 4\), found \(2, 0, 4\)"),
    "three arrays": (
        (X, np.ones(2, int), X), cr.ShapeError, r"\(x, lengths\), found a tuple of 3 arrays"
    ),
    "one array": ((X,), cr.ShapeError, r"\(x, lengths\), found a tuple of 1 arrays"),
    "an unknown name": (
        {"x": X, "length": np.ones(2, int)},
        cr.DataError,
        "named 'x', 'lengths', 'h', 'c', of which only 'x' is required, found 'x', 'length'",
    ),
    "no x": ({"h": np.ones((2, 1, 5))}, cr.DataError, "only 'x' is required, found 'h'"),
    "a state": (
        {"x": X, "h": np.ones((2, 1, 5)), "c": np.ones((1, 2, 5))},
        cr.ShapeError,
        r"the state 'c' of shape \(2, 1, 5\) \(batch, .*hidden_size\), found \(1, 2, 5\)",
    ),
    "one state of two": (
        {"x": X, "h": np.ones((2, 1, 5))},
        cr.DataError,
        "all states or none, 'h', 'c', found only 'h'",
    ),
    "integers": ((X.astype(int), np.ones(2, int)), TypeError, "input in float64, found .*int64"),
    "a state of integers": (
        {"x": X, "h": np.ones((2, 1, 5), int), "c": np.ones((2, 1, 5))},
        TypeError,
        "input in float64, found .*int64",
    ),
    "lengths of floats": (
        (X, np.ones(2)), cr.DataError, "integer lengths, found .*float64",
    ),
    "too few lengths": ((X, np.ones(1, int)), cr.ShapeError, r"shape \(2,\), found \(1,\)"),
    "two axes": ((X, np.ones((2, 1), int)), cr.ShapeError, r"found \(2, 1\)"),
}  # fmt: skip


@pytest.mark.parametrize(("x", "error", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(x, error, words, library):
    layer = cr.LSTM(4, 5).bind(library.backend, dtype="float64")
    x = cr.forms.each(library.asarray, x)
    with pytest.raises(error, match=rf"^{re.escape(repr(layer))}: expected .*{words}"):
        layer.forward(x)


def test_lengths_that_are_not_an_array():
    layer = cr.GRU(4, 5).bind()
    with pytest.raises(TypeError, match=r"expected lengths as an array of .*numpy.*, found \[1, 3"):
        layer.forward((X.astype("float32"), [1, 3]))


def test_a_state_in_another_dtype():
    layer = cr.GRU(4, 5).bind()
    given = {"x": X.astype("float32"), "h": np.ones((2, 1, 5))}
    with pytest.raises(TypeError, match="state 'h' in the dtype of x, float32, found float64"):
        layer.forward(given)


GRADIENTS = {
    "all": ({}, X, np.ones((2, 2, 5))),
    "last": ({"output": "last"}, X, np.ones((2, 3, 5))),
    "one array for two": ({"return_state": True}, X, np.ones((2, 3, 5))),
    "no gradient for a state": ({"return_state": True}, X, (np.ones((2, 3, 5)),)),
    "a state": ({"return_state": True}, X, (None, np.ones((2, 5)))),
    "one array for padded sequences": ({}, (X, np.asarray([3, 1])), np.ones((2, 3, 5))),
}


@pytest.mark.parametrize(("options", "x", "dy"), GRADIENTS.values(), ids=GRADIENTS)
def test_gradients_of_the_wrong_shape(options, x, dy, library):
    layer = cr.GRU(4, 5, **options).bind(library.backend, dtype="float64")
    _, backward = layer.forward(cr.forms.each(library.asarray, x))
    dy = cr.forms.each(lambda array: None if array is None else library.asarray(array), dy)
    with pytest.raises(cr.ShapeError, match=rf"^{re.escape(repr(layer))}: expected a gradient"):
        backward(dy)


@pytest.mark.parametrize("kind", [cr.RNN, cr.LSTM, cr.GRU])
def test_pickling(kind):
    layer = pickle.loads(pickle.dumps(cr.Sequential(kind(3, 2))))
    expected = cr.Sequential(kind(3, 2)).named_parameters()
    for name, parameter in layer.named_parameters().items():
        np.testing.assert_array_equal(parameter.value, expected[name].value)


@pytest.mark.not_on("cupy")  # lengths on a GPU are not read, because that would be slow
@pytest.mark.parametrize(("lengths", "found"), [([3, 0], 0), ([4, 1], 4), ([-1, 1], -1)])
def test_lengths_out_of_range(lengths, found, library):
    layer = cr.GRU(4, 5).bind(library.backend, dtype="float64")
    with pytest.raises(cr.DataError, match=f"expected lengths from 1 to 3, found {found}"):
        layer.forward((library.asarray(X), library.asarray(np.asarray(lengths))))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_layers": 0}, "num_layers to be at least 1, found 0"),
        ({"dropout": 1.0}, "0 <= dropout < 1"),
        ({"output": "first"}, "output to be one of .*, found 'first'"),
        ({"forget_bias": np.nan}, "forget_bias to be finite"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=f"expected {words}"):
        cr.LSTM(3, 4, **options)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("return_sequences", "did you mean 'output'"),
        ("units", "did you mean 'hidden_size'"),
        ("hidden_dim", "did you mean 'hidden_size'"),
        ("input_dim", "did you mean 'input_size'"),
        ("n_layers", "did you mean 'num_layers'"),
        ("batch_first", "the batch is always the first axis"),
        ("proj_size", "there are no projections; add a Linear layer"),
        ("recurrent_dropout", "dropout= applies between layers"),
    ],
)
def test_an_argument_of_another_library(name, hint):
    with pytest.raises(TypeError, match=f"GRU has no argument {name!r}: {hint}"):
        cr.GRU(3, 4, **{name: 1})


def test_an_unknown_nonlinearity():
    with pytest.raises(ValueError, match="expected nonlinearity to be one of .*, found 'sigmoid'"):
        cr.RNN(3, 4, nonlinearity="sigmoid")


def test_training_with_lengths(library):
    """A GRU learns whether the elements of a sequence, without padding, sum to more than 0."""
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(size=(64, 5, 1)), rng.integers(1, 6, 64)
    present = np.arange(5) < lengths[:, None]
    y = (np.where(present, x[:, :, 0], 0.0).sum(axis=1) > 0).astype(int)
    x[~present] = 9.0
    model = cr.Sequential(cr.GRU(1, 6, output="last"), cr.Linear(6, 2), backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(0.03))
    trainer.fit((x, lengths), y, epochs=12, batch_size=16, verbose=0)
    assert trainer.evaluate((x, lengths), y)["accuracy"] > 0.9
