"""Arguments that are assigned to a layer later are checked as in the constructor."""

import math

import numpy as np
import pytest

import chainrule as cr


@pytest.mark.parametrize(
    ("layer", "name", "bad"),
    [
        (cr.Dropout(0.5), "p", (-1.0, 1.0, 1.5, math.nan)),
        (cr.LeakyReLU(), "negative_slope", (math.nan, math.inf)),
        (cr.ELU(), "alpha", (math.nan, -math.inf)),
        (cr.BatchNorm(3), "eps", (0.0, -1.0, math.inf)),
        (cr.BatchNorm(3), "momentum", (-0.1, 1.1)),
        (cr.LayerNorm(3), "eps", (0.0,)),
        (cr.Rescaling(2.0), "scale", (math.nan,)),
        (cr.Rescaling(2.0), "offset", (math.inf,)),
        (cr.HuberLoss(), "delta", (-1.0, 0.0)),
        (cr.CrossEntropyLoss(), "label_smoothing", (2.0,)),
        (cr.callbacks.ExponentialMovingAverage(), "decay", (2.0, 1.0)),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "__dict__") else str(value),
)
def test_bad_numbers_are_refused(layer, name, bad):
    before = getattr(layer, name)
    for value in bad:
        with pytest.raises(ValueError, match=name):
            setattr(layer, name, value)
    with pytest.raises(TypeError, match=f"expected {name} to be a number, found 'no'"):
        setattr(layer, name, "no")
    assert getattr(layer, name) == before


def test_a_new_number_takes_effect_everywhere(tmp_path):
    """A number assigned later appears in the repr, in files and in copies."""
    layer = cr.LeakyReLU()
    layer.negative_slope = 0.5
    assert repr(layer) == "LeakyReLU(0.5)"
    model = cr.Sequential(layer)
    model.save(tmp_path / "model")
    for one in (model, cr.load(tmp_path / "model"), cr.Sequential(layer.copy())):
        assert one.predict(np.asarray([[-2.0]], "float32")).tolist() == [[-1.0]]
    norm = cr.BatchNorm(3)
    norm.momentum = 0.5
    assert repr(norm) == "BatchNorm(3, momentum=0.5)"


@pytest.mark.parametrize(
    "make",
    [
        lambda: cr.Linear(2, 2, bias="no"),
        lambda: cr.SGD(0.1, momentum=0.9, nesterov="no"),
        lambda: cr.Adam(decay_biases=1.0),
        lambda: cr.Parameter((2,), decay="no"),
        lambda: cr.callbacks.EarlyStopping(restore_best="no"),
        lambda: cr.minibatches([1.0, 2.0], batch_size=1, shuffle="no"),
        lambda: cr.minibatches([1.0, 2.0, 3.0], batch_size=2, drop_last=0.5),
    ],
    ids=["bias", "nesterov", "decay_biases", "decay", "restore_best", "shuffle", "drop_last"],
)
def test_flags_must_be_booleans(make):
    with pytest.raises(TypeError, match="to be True or False, found"):
        make()
