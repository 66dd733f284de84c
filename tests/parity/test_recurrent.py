"""Recurrent layers compared with PyTorch's, for random arguments, lengths and states."""

import numpy as np
import pytest
import torch

import chainrule as cr

nn = torch.nn


def draw(name, rng):
    """Return the same layer in both libraries, with random arguments, and the input's shape."""
    features, hidden, layers = (int(n) for n in rng.integers(1, (5, 6, 4)))
    options = {"bias": bool(rng.integers(2)), "bidirectional": bool(rng.integers(2))}
    if name == "RNN":
        options["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    theirs = getattr(nn, name)(features, hidden, layers, batch_first=True, **options).double()
    for parameter in theirs.parameters():
        parameter.data = torch.tensor(rng.normal(0.0, 0.7, tuple(parameter.shape)))
    output = str(rng.choice(["all", "last"]))
    kind = getattr(cr, name)
    ours = kind(features, hidden, layers, output=output, return_state=True, **options)
    ours.bind(dtype="float64", values={n: p.detach() for n, p in theirs.named_parameters()})
    batch, time = (int(n) for n in rng.integers(1, (6, 8)))
    return ours, theirs, (batch, time, features)


def draw_input(ours, shape, rng):
    """Return an input, with NaN in the padding if there are lengths."""
    batch, time, _ = shape
    given = {"x": rng.normal(size=shape)}
    if rng.integers(2):
        lengths = given["lengths"] = rng.integers(1, time + 1, batch)
        given["x"][np.arange(time) >= lengths[:, None]] = np.nan
    if rng.integers(2):
        runs = ours.num_layers * (1 + ours.bidirectional)
        for name in ours.states:
            given[name] = rng.normal(size=(batch, runs, ours.hidden_size))
    return given


def run_torch(theirs, output, given):
    """Return PyTorch's outputs and states in chainrule's form."""
    x, states = given["x"], [given[name].transpose(0, 1) for name in ("h", "c") if name in given]
    states = [state.contiguous() for state in states]
    time = x.shape[1]
    if "lengths" in given:
        x = nn.utils.rnn.pack_padded_sequence(
            x, given["lengths"], batch_first=True, enforce_sorted=False
        )
    y, last = theirs(x, tuple(states) if len(states) == 2 else (states or [None])[0])
    if "lengths" in given:
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=time)
    last = last if isinstance(last, tuple) else (last,)
    if output == "last":
        directions = 2 if theirs.bidirectional else 1
        y = torch.cat(list(last[0][-directions:]), dim=1)
    return y, *(state.transpose(0, 1) for state in last)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_random_arguments(name, request):
    for seed in range(request.config.getoption("--configurations", 30)):
        rng = np.random.default_rng([seed, *name.encode()])
        ours, theirs, shape = draw(name, rng)
        given = draw_input(ours, shape, rng)
        given_torch = {key: torch.tensor(np.nan_to_num(array)) for key, array in given.items()}
        floats = {k: a.requires_grad_() for k, a in given_torch.items() if k != "lengths"}
        results_torch = run_torch(theirs, ours.output, given_torch)
        results, backward = ours.forward(given, training=True)
        gradients = tuple(rng.normal(size=result.shape) for result in results)
        torch.autograd.backward(results_torch, tuple(map(torch.tensor, gradients)))
        dgiven = backward(gradients)

        note = f"seed {seed}, {ours!r}, {[*given]} with x of shape {shape}"
        same = {"rtol": 1e-10, "atol": 1e-10, "err_msg": note}
        for found, expected in zip(results, results_torch, strict=True):
            np.testing.assert_allclose(found, expected.detach(), **same)
        for key, array in floats.items():
            np.testing.assert_allclose(dgiven[key], array.grad, **same)
        for key, parameter in theirs.named_parameters():
            np.testing.assert_allclose(ours.named_parameters()[key].grad, parameter.grad, **same)
