"""Compare convolutions and pooling with those of PyTorch, for random arguments."""

import numpy as np
import pytest
import torch
from windowed import KINDS, drawn

import chainrule as cr

nn = torch.nn


def both(name, seed):
    """Draw a layer of this kind and an input. Return the layer, PyTorch's layer and the input."""
    rng = np.random.default_rng([seed, sum(map(ord, name))])
    while True:
        x, arguments, options = drawn(name, rng)
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
def test_random_arguments(name, request, monkeypatch):
    for seed in range(request.config.getoption("--configurations", 30)):
        ours, theirs, x = both(name, seed)
        values = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
        ours.bind(dtype="float64", values=values)
        x_torch = torch.tensor(x, requires_grad=True)
        y_torch = theirs(x_torch)
        dy = np.random.default_rng(seed).normal(size=tuple(y_torch.shape))
        y_torch.backward(torch.tensor(dy))
        monkeypatch.setattr(type(ours.backend), "patch_elements", 1 if seed % 2 else 2**18)
        y, backward = ours.forward(x)
        same = {"rtol": 1e-10, "atol": 1e-10, "err_msg": f"{ours!r}, input {x.shape}"}
        np.testing.assert_allclose(y, y_torch.detach(), **same)
        np.testing.assert_allclose(backward(dy), x_torch.grad, **same)
        for key, parameter in theirs.named_parameters():
            np.testing.assert_allclose(ours.named_parameters()[key].grad, parameter.grad, **same)
