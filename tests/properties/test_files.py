"""Saving and loading any model of built-in layers changes nothing."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

import chainrule as cr

init = cr.initializers
INITIALIZERS = st.one_of(
    st.none(),
    st.sampled_from([init.he_normal, init.he_uniform, init.glorot_normal, init.glorot_uniform,
                     init.lecun_normal, init.lecun_uniform, init.zeros]).map(lambda kind: kind()),
    st.builds(init.constant, st.floats(-1, 1)),
    st.builds(init.normal, st.floats(0, 1)),
    st.builds(init.uniform, st.floats(-1, 0), st.floats(0.1, 1)),
)  # fmt: skip
BIAS_INITIALIZERS = st.none() | st.builds(init.normal, std=st.floats(0, 1))
SMALL = st.floats(1e-6, 1.0)


@st.composite
def linear(draw, features):
    """Draw a linear layer, and return the layer and the number of its outputs."""
    outputs = draw(st.integers(1, 5))
    options = {
        "bias": draw(st.booleans()),
        "init": draw(INITIALIZERS),
        "bias_init": draw(BIAS_INITIALIZERS),
        "max_norm": draw(st.none() | st.floats(0.1, 2)),
    }
    given_ones = {name: option for name, option in options.items() if option is not None}
    return cr.Linear(features, outputs, **given_ones), outputs


def of_one_width(features):
    """Draw layers with as many outputs as inputs."""
    plain = (cr.ReLU, cr.ReLU6, cr.SiLU, cr.Sigmoid, cr.Tanh, cr.Softplus, cr.Softmax,
             cr.LogSoftmax, cr.Identity, cr.Flatten, cr.GELU)  # fmt: skip
    return st.one_of(
        st.sampled_from(plain).map(lambda kind: kind()),
        st.builds(cr.GELU, approximate=st.just("tanh")),
        st.builds(cr.LeakyReLU, st.floats(-1, 1)),
        st.builds(cr.ELU, alpha=st.floats(0, 2)),
        st.builds(cr.Rescaling, st.floats(-2, 2), offset=st.floats(-2, 2)),
        st.builds(cr.Dropout, st.floats(0, 0.9)),
        st.builds(cr.BatchNorm, st.just(features), eps=SMALL, momentum=st.floats(0, 1)),
        st.builds(cr.LayerNorm, st.just(features), SMALL),
    )


@st.composite
def layers(draw, features, depth=0):
    """Draw a chain of layers, and return the chain and the number of its outputs."""
    chain, again = [], {}  # `again` is a dict from a width to layers to use again
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["linear", "other", "nested", "shared"]))
        before = features
        if kind == "linear":
            layer, features = draw(linear(features))
        elif kind == "nested" and depth < 2:
            inner, features = draw(layers(features, depth + 1))
            layer = cr.Sequential(*inner)
        elif kind == "shared" and again.get(features):
            layer = draw(st.sampled_from(again[features]))
        else:
            layer = draw(of_one_width(features))
        if features == before:
            again.setdefault(features, []).append(layer)
        chain.append(layer)
    return chain, features


@st.composite
def models(draw):
    """Draw a model that was trained on one batch, and return the model and its number of inputs."""
    features = draw(st.integers(1, 5))
    chain, _ = draw(layers(features))
    model = cr.Sequential(
        *chain, dtype=draw(st.sampled_from(["float32", "float64"])), seed=draw(st.integers(0, 99))
    )
    for layer in chain:
        if draw(st.booleans()):
            layer.freeze()
    x = np.random.default_rng(1).normal(size=(6, features))
    model.forward(model.backend.asarray(x), training=True)  # this updates the running statistics
    return model, features


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@given(drawn=models())
def test_a_model_survives_a_file(drawn, folder):
    model, features = drawn
    first, second = folder / "first.safetensors", folder / "second.safetensors"
    model.save(first)
    loaded = cr.load(first)
    assert repr(loaded) == repr(model)
    assert loaded.state.dtype == model.state.dtype
    for named in ("named_parameters", "named_buffers"):
        saved, read = getattr(model, named)(), getattr(loaded, named)()
        assert list(read) == list(saved)
        for name, part in saved.items():
            np.testing.assert_array_equal(read[name].value, part.value, strict=True)
    x = np.random.default_rng(2).normal(size=(3, features))
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x), strict=True)

    loaded.save(second)
    with safe_open(first, "numpy") as saved, safe_open(second, "numpy") as again:
        assert json.loads(again.metadata()["architecture"]) == json.loads(
            saved.metadata()["architecture"]
        )
        assert sorted(again.keys()) == sorted(saved.keys())
        for name in saved.keys():  # noqa: SIM118  (not a dict)
            a, b = again.get_tensor(name), saved.get_tensor(name)
            np.testing.assert_array_equal(a, b, strict=True)
