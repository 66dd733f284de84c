"""ONNX files of recurrent layers: onnxruntime computes the same outputs and states."""

import numpy as np
import onnx
import pytest
from onnx_files import session

import chainrule as cr

BOUND = 1e-5


def assert_same(running, model, x):
    """Compare the outputs for this input, which may be an array, a tuple or a dict."""
    several = dict(enumerate(x)) if isinstance(x, tuple) else x
    names = [one.name for one in running.get_inputs()]
    given = list(several.values()) if isinstance(several, dict) else [x]
    found = running.run(None, dict(zip(names, given, strict=True)))
    expected = model.predict(x)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=BOUND)


def draw(kind, rng):
    """Return a layer of this kind with random arguments, and a function that draws inputs."""
    features, hidden, layers = (int(n) for n in rng.integers(1, (6, 8, 4)))
    time = int(rng.integers(1, 8))
    bias, bidirectional, return_state = map(bool, rng.integers(2, size=3))
    options = {
        "bias": bias,
        "bidirectional": bidirectional,
        "dropout": 0.3,
        "output": str(rng.choice(["all", "last"])),
        "return_state": return_state,
        "bias_init": cr.initializers.normal(0.5),
    }
    if kind is cr.RNN:
        options["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    layer = kind(features, hidden, layers, **options)
    form = str(rng.choice(["array", "tuple", "dict"]))
    with_lengths = bool(rng.integers(2))
    states = layer.states if rng.integers(2) else ()

    def inputs(samples):
        x = rng.normal(size=(samples, time, features)).astype("float32")
        lengths = rng.integers(1, time + 1, samples)
        if form == "array":
            return x
        if form == "tuple":
            return x, lengths
        shape = samples, layers * (1 + bidirectional), hidden
        given = {name: rng.normal(size=shape).astype("float32") for name in states}
        given = {"x": x, **given}
        return given | {"lengths": lengths} if with_lengths else given

    return layer, inputs


def shapes_and_dtypes(x):
    if isinstance(x, dict):
        return {k: a.shape[1:] for k, a in x.items()}, {k: a.dtype.name for k, a in x.items()}
    if isinstance(x, tuple):
        return tuple(a.shape[1:] for a in x), tuple(a.dtype.name for a in x)
    return x.shape[1:], None


@pytest.mark.parametrize("kind", [cr.RNN, cr.LSTM, cr.GRU])
def test_random_arguments(kind, path, request):
    for seed in range(request.config.getoption("--configurations", 30)):
        rng = np.random.default_rng([seed, len(kind.__name__), ord(kind.__name__[0])])
        layer, inputs = draw(kind, rng)
        model = cr.Sequential(layer, seed=seed)
        shapes, dtypes = shapes_and_dtypes(inputs(1))
        cr.to_onnx(model, path, input_shape=shapes, input_dtype=dtypes)
        running = session(path)
        for samples in (1, 2, 5):
            assert_same(running, model, inputs(samples))


@pytest.mark.parametrize("kind", [cr.RNN, cr.LSTM, cr.GRU])
def test_nan_in_the_padding_does_no_harm(kind, path):
    model = cr.Sequential(kind(3, 4, 2, bidirectional=True), seed=1)
    cr.to_onnx(model, path, input_shape=((5, 3), ()), input_dtype=("float32", "int64"))
    rng, lengths = np.random.default_rng(0), np.asarray([5, 1, 3])
    x = rng.normal(size=(3, 5, 3)).astype("float32")
    x[np.arange(5) >= lengths[:, None]] = np.nan
    assert_same(session(path), model, (x, lengths))


@pytest.mark.parametrize("end", [[cr.PoolOverTime("mean")], [cr.Linear(3, 2)]], ids=["one", "all"])
def test_lengths_pass_through_layers(end, path):
    inner = cr.Sequential(cr.LayerNorm(4), cr.Linear(4, 5))
    layers = cr.Embedding(9, 4), inner, cr.GRU(5, 4), cr.Tanh(), cr.RNN(4, 3), *end
    model = cr.Sequential(*(layer.copy() for layer in layers), seed=2)
    cr.to_onnx(model, path, input_shape=((5,), ()), input_dtype="int64")
    x, lengths = np.random.default_rng(0).integers(0, 9, (3, 5)), np.asarray([5, 1, 3])
    assert_same(session(path), model, (x, lengths))


@pytest.mark.parametrize("kind", [cr.RNN, cr.LSTM, cr.GRU])
@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("end", ["all", "last"])
def test_any_number_of_steps(kind, with_lengths, end, path):
    """With a name for the axis of time, one file accepts sequences of any number of steps."""
    layers = cr.Linear(3, 4), kind(4, 5, 2, bidirectional=True, output=end), cr.Linear(10, 2)
    model = cr.Sequential(*layers, seed=1)
    shape, dtype = (("time", 3), ()), ("float32", "int64")
    if with_lengths:
        cr.to_onnx(model, path, input_shape=shape, input_dtype=dtype)
    else:
        cr.to_onnx(model, path, input_shape=shape[0])
    running, rng = session(path), np.random.default_rng(0)
    assert running.get_inputs()[0].shape == ["batch", "time", 3]
    fixed = running.get_outputs()[0].shape[1:]
    assert fixed == [2] if end == "last" else isinstance(fixed[0], str | None) and fixed[1:] == [2]
    for steps in (1, 4, 150):
        x = rng.normal(size=(3, steps, 3)).astype("float32")
        lengths = rng.integers(1, steps + 1, 3)
        assert_same(running, model, (x, lengths) if with_lengths else x)


@pytest.mark.parametrize("end", ["mean", "max", "last"])
def test_embedding_and_pooling_of_any_number_of_steps(end, path):
    model = cr.Sequential(cr.Embedding(9, 4), cr.PoolOverTime(end), cr.Linear(4, 2), seed=1)
    cr.to_onnx(model, path, input_shape=(("time",), ()), input_dtype="int64")
    running, rng = session(path), np.random.default_rng(0)
    for steps in (1, 7):
        assert_same(running, model, (rng.integers(0, 9, (2, steps)), np.asarray([steps, 1])))


@pytest.mark.parametrize("kind", [cr.GRU, cr.LSTM])
def test_a_language_model_with_states(kind, path):
    layers = cr.Embedding(9, 4), cr.Tanh(), kind(4, 3, return_state=True), cr.Linear(3, 9)
    model = cr.Sequential(*layers, seed=1)
    states = model[2].states
    shapes = {"x": ("time",), **dict.fromkeys(states, (1, 3))}
    cr.to_onnx(
        model,
        path,
        input_shape=shapes,
        input_dtype={"x": "int64", **dict.fromkeys(states, "float32")},
    )
    running, rng = session(path), np.random.default_rng(0)
    for steps in (1, 6):
        given = {name: rng.normal(size=(2, 1, 3)).astype("float32") for name in states}
        assert_same(running, model, {"x": rng.integers(0, 9, (2, steps)), **given})


def test_an_axis_that_must_have_a_size(path):
    """The number of features is fixed by the weights."""
    with pytest.raises(cr.ShapeError, match=r"expected input of shape \(batch, time, 3\)"):
        cr.to_onnx(cr.Sequential(cr.GRU(3, 2)), path, input_shape=(5, "features"))


def test_a_network_for_sequences(path):
    """A Linear before recurrent layers gets three axes, and a Linear after the last state two."""
    model = cr.Sequential(
        cr.Linear(3, 6), cr.Tanh(), cr.GRU(6, 5), cr.LSTM(5, 4, output="last"), cr.Linear(4, 2),
        seed=3,
    )  # fmt: skip
    cr.to_onnx(model, path, input_shape=(7, 3))
    x = np.random.default_rng(0).normal(size=(4, 7, 3)).astype("float32")
    assert_same(session(path), model, x)
    products = [n.op_type for n in onnx.load(path).graph.node if n.op_type in ("MatMul", "Gemm")]
    assert products == ["MatMul", "Gemm"]
    np.testing.assert_array_equal(
        onnx.numpy_helper.to_array(
            next(t for t in onnx.load(path).graph.initializer if t.name == "2.weight_hh_l0")
        ),
        model[2].weight_hh_l0.value,
    )


def test_the_number_of_steps_is_unknown(path):
    for layers in (
        [cr.GRU(3, 4, output="last"), cr.Linear(4, 2)],
        [cr.Linear(3, 4), cr.Sequential(cr.RNN(4, 2))],
    ):
        model = cr.Sequential(*layers)
        with pytest.raises(ValueError, match=r"to_onnx needs input_shape=.*\(time, features\)"):
            cr.to_onnx(model, path)
        with pytest.raises(ValueError, match=r"summary needs input_shape=.*\(time, features\)"):
            model.summary()
    assert not path.exists()
