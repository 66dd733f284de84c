"""Compare losses with PyTorch's losses."""

import numpy as np
import pytest
import torch

import chainrule as cr

nn = torch.nn
torch.set_num_threads(1)  # otherwise, PyTorch's threads and NumPy's threads wait for each other
T = np.random.default_rng(1).normal(size=(6, 3))
ZERO_ONE = (T > 0).astype(float)
LABELS = np.asarray([0, 2, 1, 1, 2, 0])
IGNORED = np.asarray([0, -100, 1, -100, 2, 0])  # -100 is PyTorch's default ignore_index
SHARES = np.exp(T) / np.exp(T).sum(axis=1, keepdims=True)
W = [0.5, 2.0, 1.0]
W_TORCH = torch.tensor(W, dtype=torch.float64)

LOSSES = {
    "MSELoss": (cr.MSELoss, nn.MSELoss, T, None),
    "L1Loss": (cr.L1Loss, nn.L1Loss, T, None),
    "HuberLoss": (
        lambda **o: cr.HuberLoss(delta=0.7, **o), lambda **o: nn.HuberLoss(delta=0.7, **o), T, None,
    ),
    "BCELoss": (
        lambda **o: cr.BCELoss(weight=W, **o),
        lambda **o: nn.BCELoss(weight=W_TORCH, **o),
        ZERO_ONE,
        torch.sigmoid,
    ),
    "BCEWithLogitsLoss": (
        lambda **o: cr.BCEWithLogitsLoss(weight=W, pos_weight=W, **o),
        lambda **o: nn.BCEWithLogitsLoss(weight=W_TORCH, pos_weight=W_TORCH, **o),
        ZERO_ONE,
        None,
    ),
    "CrossEntropyLoss": (cr.CrossEntropyLoss, nn.CrossEntropyLoss, LABELS, None),
    "CrossEntropyLoss, shares": (cr.CrossEntropyLoss, nn.CrossEntropyLoss, SHARES, None),
    "CrossEntropyLoss, weighted and smoothed": (
        lambda **o: cr.CrossEntropyLoss(weight=W, label_smoothing=0.2, **o),
        lambda **o: nn.CrossEntropyLoss(weight=W_TORCH, label_smoothing=0.2, **o),
        LABELS,
        None,
    ),
    "CrossEntropyLoss, ignored": (
        lambda **o: cr.CrossEntropyLoss(ignore_index=-100, **o), nn.CrossEntropyLoss, IGNORED, None,
    ),
    "CrossEntropyLoss, a class ignored": (
        lambda **o: cr.CrossEntropyLoss(ignore_index=2, weight=W, label_smoothing=0.2, **o),
        lambda **o: nn.CrossEntropyLoss(ignore_index=2, weight=W_TORCH, label_smoothing=0.2, **o),
        LABELS,
        None,
    ),
    "KLDivLoss": (cr.KLDivLoss, nn.KLDivLoss, SHARES, lambda x: torch.log_softmax(x, dim=-1)),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "target", "before"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.filterwarnings("ignore:reduction.*:UserWarning")  # PyTorch advises batchmean
def test_losses(ours, theirs, target, before, reduction):
    compare(ours, theirs, target, before, reduction)


def test_the_mean_over_the_batch():
    compare(*LOSSES["KLDivLoss"], "batchmean")


def compare(ours, theirs, target, before, reduction):
    x = torch.tensor(np.random.default_rng(2).normal(size=(6, 3)))
    y_torch = (before(x) if before else x).clone().requires_grad_()
    value_torch = theirs(reduction=reduction)(y_torch, torch.tensor(target))
    value_torch.sum().backward()
    value, backward = ours(reduction=reduction)(y_torch.detach().numpy(), target)
    np.testing.assert_allclose(value, value_torch.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(backward(), y_torch.grad.numpy(), rtol=1e-11, atol=1e-15)


# Losses with output weights, compared with PyTorch's elementwise losses weighted by hand. With the
# `weight` argument of PyTorch's mse_loss, the mean would divide by the sum of the weights.
WEIGHTED = {
    "MSELoss": (cr.MSELoss, nn.MSELoss, T, None),
    "L1Loss": (cr.L1Loss, nn.L1Loss, T, None),
    "HuberLoss": (cr.HuberLoss, nn.HuberLoss, T, None),
    "KLDivLoss": (cr.KLDivLoss, nn.KLDivLoss, SHARES, lambda x: torch.log_softmax(x, dim=-1)),
}


@pytest.mark.parametrize(("ours", "theirs", "target", "before"), WEIGHTED.values(), ids=WEIGHTED)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_of_outputs(ours, theirs, target, before, reduction):
    def weighted(reduction):
        values = theirs(reduction="none")
        reduce = {"mean": torch.mean, "sum": torch.sum, "none": torch.clone}[reduction]
        return lambda y, target: reduce(W_TORCH * values(y, target))

    compare(lambda **o: ours(weight=W, **o), weighted, target, before, reduction)


parameters = [nn.Parameter(torch.zeros(1))]
THEIRS = {
    "a loss": ({"loss": nn.MSELoss()}, r"found MSELoss\(\): .* mean cr.MSELoss\(...\)\?$"),
    "a class": ({"loss": nn.CrossEntropyLoss}, r"did you mean cr.CrossEntropyLoss\(...\)\?$"),
    "an unknown loss": ({"loss": nn.NLLLoss()}, "chainrule has its own losses and optimizers$"),
    "an optimizer": (
        {"optimizer": torch.optim.Adam(parameters)},
        r"(?s)expected an Optimizer.*: this comes from PyTorch; did you mean cr.Adam\(...\)\?$",
    ),
    "a module": ({"loss": nn.Linear(1, 1)}, r"cr.from_torch\(module\) converts a module"),
}


@pytest.mark.parametrize(("options", "message"), THEIRS.values(), ids=THEIRS)
def test_a_trainer_names_what_is_used_instead(options, message):
    options = {"loss": cr.MSELoss(), "optimizer": cr.SGD(0.1), **options}
    with pytest.raises(TypeError, match=message):
        cr.Trainer(cr.mlp([1, 1]), **options)


def test_an_optimizer_names_parameters_of_pytorch():
    with pytest.raises(TypeError, match="Adam: expected a learning rate, found <generator"):
        cr.Adam(nn.Linear(1, 1).parameters(), lr=1e-3)
