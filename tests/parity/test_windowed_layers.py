"""Convolutions and pooling compared with PyTorch's, for random arguments."""

import numpy as np
import pytest
import torch

import chainrule as cr

nn = torch.nn


def per_axis(rng, low, high, axes=2):
    """Return an integer for all axes or one for each, from `low` up to and including `high`."""
    if rng.random() < 0.4:
        return int(rng.integers(low, high + 1))
    return tuple(int(n) for n in rng.integers(low, high + 1, size=axes))


def convolution(rng, axes):
    groups = int(rng.choice([1, 1, 2, 3]))
    inputs, outputs = (groups * int(n) for n in rng.integers(1, 4, size=2))
    options = {"dilation": per_axis(rng, 1, 3, axes), "groups": groups, "bias": rng.random() < 0.7}
    kind = rng.random()
    if kind < 0.15:
        options["padding"] = "same"
    elif kind < 0.25:
        options |= {"padding": "valid", "stride": per_axis(rng, 1, 3, axes)}
    else:
        options |= {"padding": per_axis(rng, 0, 3, axes), "stride": per_axis(rng, 1, 4, axes)}
    return inputs, (inputs, outputs, per_axis(rng, 1, 4, axes)), options


def transposed(rng, axes):
    inputs, (_, outputs, size), options = convolution(rng, axes)
    options |= {"padding": per_axis(rng, 0, 1), "stride": per_axis(rng, 1, 3)}
    limits = (np.broadcast_to(options[name], 2) for name in ("stride", "dilation"))
    most = np.maximum(*limits) - 1
    options["output_padding"] = tuple(int(rng.integers(0, n + 1)) for n in most)
    return inputs, (inputs, outputs, size), options


def pooling(rng, axes):
    size = per_axis(rng, 1, 4, axes)
    most = int(np.min(size)) // 2
    options = {"padding": per_axis(rng, 0, most, axes), "ceil_mode": rng.random() < 0.5}
    if rng.random() < 0.7:
        options["stride"] = per_axis(rng, 1, 4, axes)
    return int(rng.integers(1, 4)), (size,), options


def max_pooling(rng, axes):
    channels, arguments, options = pooling(rng, axes)
    return channels, arguments, options | {"dilation": per_axis(rng, 1, 2, axes)}


def avg_pooling(rng, axes):
    channels, arguments, options = pooling(rng, axes)
    return channels, arguments, options | {"count_include_pad": rng.random() < 0.5}


def adaptive(rng, axes):
    return int(rng.integers(1, 4)), (per_axis(rng, 1, 6),), {}


KINDS = {
    "Conv1d": (convolution, 1),
    "Conv2d": (convolution, 2),
    "ConvTranspose2d": (transposed, 2),
    "MaxPool1d": (max_pooling, 1),
    "MaxPool2d": (max_pooling, 2),
    "AvgPool1d": (avg_pooling, 1),
    "AvgPool2d": (avg_pooling, 2),
    "AdaptiveAvgPool2d": (adaptive, 2),
}


def drawn(name, seed):
    """Draw a layer of this kind that fits its input, and return it with PyTorch's and the input."""
    make, axes = KINDS[name]
    rng = np.random.default_rng([seed, sum(map(ord, name))])
    while True:
        channels, arguments, options = make(rng, axes)
        x = rng.normal(size=(int(rng.integers(1, 4)), channels, *rng.integers(3, 12, size=axes)))
        x = np.round(x, 1)  # so that some elements are equal
        theirs = getattr(nn, name)(*arguments, **options).double()
        try:
            theirs(torch.tensor(x))
        except RuntimeError:  # the window does not fit into the input
            with pytest.raises(cr.ShapeError):
                getattr(cr, name)(*arguments, **options).forward(x)
            continue
        return getattr(cr, name)(*arguments, **options), theirs, x


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")  # PyTorch copies the input
@pytest.mark.parametrize("name", KINDS)
def test_random_arguments(name, request):
    for seed in range(request.config.getoption("--configurations", 30)):
        ours, theirs, x = drawn(name, seed)
        values = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
        ours.bind(dtype="float64", values=values)
        x_torch = torch.tensor(x, requires_grad=True)
        y_torch = theirs(x_torch)
        dy = np.random.default_rng(seed).normal(size=tuple(y_torch.shape))
        y_torch.backward(torch.tensor(dy))
        y, backward = ours.forward(x)
        same = {"rtol": 1e-10, "atol": 1e-10, "err_msg": f"{ours!r}, input {x.shape}"}
        np.testing.assert_allclose(y, y_torch.detach(), **same)
        np.testing.assert_allclose(backward(dy), x_torch.grad, **same)
        for key, parameter in theirs.named_parameters():
            np.testing.assert_allclose(ours.named_parameters()[key].grad, parameter.grad, **same)
