"""Compare activations and losses far from 0 with mpmath, or with PyTorch where it is accurate."""

import mpmath
import numpy as np
import pytest
import torch

import chainrule as cr

mpmath.mp.dps = 150
torch.set_num_threads(1)  # otherwise, PyTorch's threads and NumPy's threads wait for each other
nn, INF = torch.nn, np.inf
SIZES = [1e-30, 0.1, 3.0, 9.0, 12.0, 30.0, 100.0, 800.0, 1e6, 1e20]


def approximate_gelu(x):
    u = mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf(0.044715) * x**3)
    return x * (1 + mpmath.tanh(u)) / 2


FORMULAS = {
    "LeakyReLU": (cr.LeakyReLU(0.25), lambda x: max(x, x / 4)),
    "ELU": (cr.ELU(0.5), lambda x: x if x > 0 else mpmath.expm1(x) / 2),
    "GELU": (cr.GELU(), lambda x: x * mpmath.ncdf(x)),
    "GELU, approximate": (cr.GELU("tanh"), approximate_gelu),
    "SiLU": (cr.SiLU(), lambda x: x / (1 + mpmath.exp(-x))),
    "Softplus": (cr.Softplus(), lambda x: mpmath.log1p(mpmath.exp(x))),
    "Sigmoid": (cr.Sigmoid(), lambda x: 1 / (1 + mpmath.exp(-x))),
    "Tanh": (cr.Tanh(), mpmath.tanh),
}


@pytest.mark.parametrize(("layer", "formula"), FORMULAS.values(), ids=FORMULAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_slopes(layer, formula, dtype):
    x = np.asarray([[-size for size in SIZES] + SIZES], dtype)
    y, backward = layer.copy().forward(x)
    points = [mpmath.mpf(float(point)) for point in x[0]]
    h = mpmath.mpf(10) ** -60
    slopes = [(formula(p + h) - formula(p)) / h if p > 0 else (formula(p) - formula(p - h)) / h
              for p in points]  # fmt: skip
    # The tolerance is relative for values above 1, and absolute for smaller values.
    tolerance = 8 * np.finfo(dtype).eps
    expected = np.asarray([[float(formula(p)) for p in points]])
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
    expected = np.asarray([[float(slope) for slope in slopes]])
    np.testing.assert_allclose(backward(np.ones_like(x)), expected, rtol=tolerance, atol=tolerance)


RIGHT_IN_PYTORCH = {  # PyTorch's GELU and SiLU are NaN at infinity
    "ReLU": (cr.ReLU(), nn.ReLU()),
    "LeakyReLU": (cr.LeakyReLU(0.2), nn.LeakyReLU(0.2)),
    "ReLU6": (cr.ReLU6(), nn.ReLU6()),
    "ELU": (cr.ELU(0.7), nn.ELU(0.7)),
    "Sigmoid": (cr.Sigmoid(), nn.Sigmoid()),
    "Tanh": (cr.Tanh(), nn.Tanh()),
    "Softmax": (cr.Softmax(), nn.Softmax(dim=-1)),
    "LogSoftmax": (cr.LogSoftmax(), nn.LogSoftmax(dim=-1)),
}


@pytest.mark.parametrize(("ours", "theirs"), RIGHT_IN_PYTORCH.values(), ids=RIGHT_IN_PYTORCH)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers(ours, theirs, dtype):
    x = np.asarray([[-INF, -1e20, -800, -30, 0, 30, 30], [-INF, 0, 1, 2, 800, 1e20, 3e20]], dtype)
    if not isinstance(ours, cr.Softmax | cr.LogSoftmax):
        x[1, 0] = INF
    dy = np.random.default_rng(0).normal(size=x.shape).astype(dtype)
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = theirs(x_torch)
    y_torch.backward(torch.tensor(dy))
    y, backward = ours.copy().forward(x)
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, y_torch.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(backward(dy), x_torch.grad.numpy(), rtol=tolerance, atol=tolerance)


LOGITS = np.asarray([[-INF, 2.0, 0.5], [800.0, -INF, -1e20], [0.0, 1e4, 1e4]])
LARGE = np.asarray([[1e4, -1e4, 1e20], [-1e20, 40.0, -40.0]])
ZERO_ONE = np.asarray([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
LOSSES = {
    "CrossEntropyLoss": (cr.CrossEntropyLoss, nn.CrossEntropyLoss, LOGITS, np.asarray([1, 0, 2])),
    "CrossEntropyLoss, impossible": (
        cr.CrossEntropyLoss, nn.CrossEntropyLoss, LOGITS, np.asarray([0, 1, 2]),
    ),
    "CrossEntropyLoss, smoothed": (
        lambda **o: cr.CrossEntropyLoss(label_smoothing=0.1, **o),
        lambda **o: nn.CrossEntropyLoss(label_smoothing=0.1, **o),
        LOGITS, np.asarray([1, 0, 2]),
    ),
    "BCEWithLogitsLoss": (cr.BCEWithLogitsLoss, nn.BCEWithLogitsLoss, LARGE, ZERO_ONE),
    "BCEWithLogitsLoss, wrong": (cr.BCEWithLogitsLoss, nn.BCEWithLogitsLoss, LARGE, 1 - ZERO_ONE),
    "BCELoss": (cr.BCELoss, nn.BCELoss, ZERO_ONE, ZERO_ONE),
    "L1Loss": (cr.L1Loss, nn.L1Loss, LARGE, ZERO_ONE),
    "HuberLoss": (cr.HuberLoss, nn.HuberLoss, LARGE, ZERO_ONE),
    "MSELoss": (cr.MSELoss, nn.MSELoss, LARGE, ZERO_ONE),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "y", "target"), LOSSES.values(), ids=LOSSES)
def test_losses(ours, theirs, y, target):
    y_torch = torch.tensor(y, requires_grad=True)
    value_torch = theirs(reduction="none")(y_torch, torch.tensor(target))
    value_torch.sum().backward()
    value, backward = ours(reduction="none")(y, target)
    np.testing.assert_allclose(value, value_torch.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(backward(), y_torch.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_batch_norm_of_a_long_batch(mean):
    """A long batch in float32 gives the results that PyTorch computes in float64."""
    x = np.random.default_rng(0).normal(mean, size=(60_000, 4)).astype("float32")
    y, _ = cr.BatchNorm(4).forward(x, training=True)
    expected = nn.BatchNorm1d(4).double()(torch.tensor(x).double()).detach().numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_the_divergence_of_an_impossible_class():
    special = pytest.importorskip("scipy.special")
    y, t = np.asarray([[np.log(0.3), np.log(0.7), -INF]]), np.asarray([[0.5, 0.5, 0.0]])
    value, _ = cr.KLDivLoss(reduction="batchmean")(y, t)
    assert float(value) == pytest.approx(special.rel_entr(t, np.exp(y)).sum(), rel=1e-12)
