"""Errors say how to correct mistakes in networks for images."""

import re

import numpy as np
import pytest

import chainrule as cr


def zeros(*shape):
    return np.zeros(shape, "float32")


FLATTEN = "with Flatten() before this layer, x has shape "
ADD_CHANNEL = "Unflatten(1, (1, 8)) or x[:, None] adds an axis for one channel"
MOVE = "np.moveaxis(x, -1, 1) moves the last axis to the channel axis"
EMPTY = "the input is empty"


@pytest.mark.parametrize(
    ("layer", "shape", "hint"),
    [
        (cr.Linear(18, 2), (4, 2, 3, 3), FLATTEN + "(batch, 18)"),
        (cr.Linear(20, 2), (4, 2, 3, 3), FLATTEN + "(batch, 18)"),
        (cr.Linear(64, 2), (4, 8, 8), FLATTEN + "(batch, 64)"),
        (cr.Conv2d(1, 2, 3), (4, 8, 8), ADD_CHANNEL),
        (cr.Conv1d(1, 2, 3), (4, 8), ADD_CHANNEL),
        (cr.MaxPool2d(2), (4, 8, 8), ADD_CHANNEL),
        (cr.AdaptiveAvgPool2d(1), (4, 8, 8), ADD_CHANNEL),
        (cr.ZeroPad2d(1), (4, 8, 8), ADD_CHANNEL),
        (cr.Conv2d(3, 2, 3), (3, 8, 8), "x[None] adds an axis for the batch"),
        (cr.Conv2d(3, 2, 3), (4, 8, 8, 3), MOVE),
        (cr.Conv2d(1, 2, 3), (4, 8, 8, 1), MOVE),
        (cr.ConvTranspose2d(3, 2, 3), (4, 8, 8, 3), MOVE),
        (cr.BatchNorm(3), (4, 8, 8, 3), MOVE),
        (cr.GroupNorm(1, 3), (4, 8, 3), MOVE),
        (cr.Conv2d(1, 2, 3), (0, 1, 8, 8), EMPTY),
        (cr.AvgPool2d(2), (4, 1, 0, 8), EMPTY),
        (cr.AdaptiveAvgPool2d(1), (0, 1, 8, 8), EMPTY),
        (cr.GroupNorm(1, 3), (0, 3, 8), EMPTY),
    ],
)  # fmt: skip
def test_the_error_says_how_to_change_the_input(layer, shape, hint):
    model = cr.Sequential(layer.copy())
    expected = rf"layer '0', .*: expected input of shape .*, found .*: {re.escape(hint)}$"
    with pytest.raises(cr.ShapeError, match=expected):
        model.forward(zeros(*shape))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(cr.Linear(5, 2), (4, 8, 3)), (cr.Conv2d(3, 2, 3), (4, 2, 8, 8)), (cr.MaxPool2d(2), (4, 8))],
)
def test_no_hint_where_none_would_help(layer, shape):
    with pytest.raises(cr.ShapeError, match=rf"found {re.escape(str(shape))}$"):
        layer.copy().forward(zeros(*shape))


def test_a_loss_after_a_convolution():
    model = cr.Sequential(cr.Conv2d(1, 3, 3))
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    hint = r"\(Flatten\(\) or PoolOverTime turns each sample into a row\)$"
    with pytest.raises(cr.ShapeError, match=hint):
        trainer.fit(zeros(4, 1, 8, 8), [0, 1, 2, 0], verbose=0)


def test_a_layer_that_is_used_twice_has_two_names():
    shared = cr.Linear(4, 4)
    model = cr.Sequential(shared, cr.Sequential(cr.Linear(4, 3)), shared)
    with pytest.raises(cr.ShapeError, match=r"^layer '0' and '2', Linear\(4, 4\): .*\(2, 3\)"):
        model.predict(zeros(2, 4))
    twin = model.copy()  # a copy in another model gets new names
    with pytest.raises(cr.ShapeError, match=r"^layer '1.0' and '1.2', Linear\(4, 4\): "):
        cr.Sequential(cr.Tanh(), twin).predict(zeros(2, 4))


MADE_WITH = {
    "Conv2d": lambda size: cr.Conv2d(2, 2, size),
    "Conv1d, stride": lambda size: cr.Conv1d(2, 2, 1, stride=size),
    "ConvTranspose2d, padding": lambda size: cr.ConvTranspose2d(2, 2, 3, padding=size),
    "Conv2d, dilation": lambda size: cr.Conv2d(2, 2, 1, dilation=(1, size)),
    "Conv2d, channels": lambda size: cr.Conv2d(size, size, 1, groups=size),
    "MaxPool2d": lambda size: cr.MaxPool2d(size),
    "AdaptiveAvgPool2d": lambda size: cr.AdaptiveAvgPool2d(size),
    "ZeroPad2d": lambda size: cr.ZeroPad2d((0, size, 0, size)),
    "Unflatten": lambda size: cr.Unflatten(1, (size, -1)),
    "GroupNorm": lambda size: cr.GroupNorm(size, 2),
    "Linear": lambda size: cr.Linear(size, size),
}


@pytest.mark.parametrize("make", MADE_WITH.values(), ids=MADE_WITH)
def test_arguments_become_plain_numbers(make, tmp_path):
    layer = make(np.int64(2))
    assert repr(layer) == repr(make(2))
    cr.Sequential(layer).save(tmp_path / "model.safetensors")
    with pytest.raises((TypeError, ValueError), match=r"expected .*array\(2\)"):
        make(np.asarray(2))


def test_initializers_with_numpys_numbers_can_be_saved(tmp_path):
    path = tmp_path / "model.safetensors"
    cr.Sequential(cr.Linear(2, 2, init=cr.initializers.constant(np.float32(0.5)))).save(path)
    assert cr.load(path)[0].arguments().kwargs["init"] == cr.initializers.constant(0.5)
    model = cr.Sequential(cr.Linear(2, 2, init=cr.initializers.constant(np.asarray(0.5))))
    with pytest.raises(TypeError, match=r"cannot be written to a file: .*, found array\(0.5\)"):
        model.save(path)


def test_a_list_that_changes_later_does_not_change_the_layer():
    size = [3, 2]
    layer = cr.Conv2d(1, 1, size)
    size[0] = 9
    assert repr(layer) == "Conv2d(1, 1, [3, 2])"
    assert layer.weight.shape == (1, 1, 3, 2)
