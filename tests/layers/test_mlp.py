"""Check models made by `mlp`, and generated data sets with two features."""

import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.layers.mlp import ACTIVATIONS


def kinds(model):
    return [type(layer).__name__ for layer in model]


def test_one_activation_for_all():
    model = cr.mlp([4, 20, 7, 1], activation="tanh", output="sigmoid", seed=3)
    assert kinds(model) == ["Linear", "Tanh", "Linear", "Tanh", "Linear", "Sigmoid"]
    assert [p.shape for p in model.parameters() if p.decay] == [(20, 4), (7, 20), (1, 7)]
    assert model.state.seed == 3
    assert kinds(cr.mlp([3, 2])) == ["Linear"]


def test_an_activation_for_each_layer():
    init = cr.initializers.uniform(-0.5, 0.5)
    model = cr.mlp([4, 3, 3, 1], activation=["none", "relu6"], init=init, dtype="float64")
    assert kinds(model) == ["Linear", "Linear", "ReLU6", "Linear"]
    assert np.abs(model[0].weight.value).max() <= 0.5


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_by_its_name(name):
    model = cr.mlp([3, 4, 2], activation=name, output=name)
    assert len(model) == (2 if name == "none" else 4)
    assert model.predict(np.ones((5, 3))).shape == (5, 2)


def test_bad_mlps():
    with pytest.raises(ValueError, match=r"at least two widths \(inputs and outputs\), found"):
        cr.mlp([4])
    with pytest.raises(
        ValueError, match=r"expected 2 activations \(one for each hidden layer\), found 1"
    ):
        cr.mlp([4, 3, 3, 1], activation=["relu"])
    with pytest.raises(ValueError, match=r"at least two widths \(inputs and outputs\), found 3"):
        cr.mlp(3)
    for kind in (cr.ReLU, cr.ReLU(), [cr.ReLU]):
        with pytest.raises(ValueError, match=r"an activation, one of none, relu, .*; found .*ReLU"):
            cr.mlp([2, 3, 1], activation=kind)
    with pytest.raises(ValueError, match="an activation, one of none, relu, .*; found 'swish'"):
        cr.mlp([4, 3, 1], activation="swish")


def test_spirals_follow_the_formula():
    x, y = cr.datasets.spirals(600, noise=0.0)
    assert np.bincount(y).tolist() == [100] * 6
    radius = np.hypot(*x.T)
    np.testing.assert_allclose(radius, np.tile(np.linspace(0, 1, 100), 6), atol=1e-12)
    angle = np.arctan2(x[:, 0], x[:, 1]) % (2 * np.pi)
    outer = radius > 0
    expected = (4 * (radius + y)) % (2 * np.pi)
    np.testing.assert_allclose(np.exp(1j * angle[outer]), np.exp(1j * expected[outer]), atol=1e-9)
    noisy, _ = cr.datasets.spirals(600, noise=0.3, seed=1)
    assert not np.allclose(noisy, x)
    np.testing.assert_allclose(np.hypot(*noisy.T), radius, atol=1e-12)


@pytest.mark.parametrize("options", [{"samples": 601}, {"samples": 0}, {"noise": -1.0}], ids=str)
def test_bad_spirals(options):
    with pytest.raises(ValueError, match="expected"):
        cr.datasets.spirals(**options)


@pytest.mark.parametrize(("name", "classes"), [("circles", 2), ("moons", 2), ("blobs", 4)])
def test_problems_of_scikit_learn(name, classes, monkeypatch):
    make = getattr(cr.datasets, name)
    x, y = make(200, noise=0.1, seed=1)
    assert x.shape == (200, 2)
    assert set(y) == set(range(classes))
    np.testing.assert_array_equal(x, make(200, noise=0.1, seed=1)[0])
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "\.\[sklearn\]" in a clone'):
        make(200)
