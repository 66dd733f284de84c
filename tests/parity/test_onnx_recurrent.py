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
    """Return a layer of this kind with random arguments, and a function for random inputs."""
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


def test_a_network_for_sequences(path):
    """Linear layers around a recurrent one. After the last state, they have two axes again."""
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
