"""Compare optimizers, penalties and norm limits with those of PyTorch."""

import numpy as np
import pytest
import torch

import chainrule as cr

nn = torch.nn
torch.set_num_threads(1)  # otherwise, PyTorch's threads and NumPy's threads wait for each other
OPTIMIZERS = {
    "SGD": (lambda: cr.SGD(0.02), lambda p: torch.optim.SGD(p, 0.02)),
    "momentum": (
        lambda: cr.SGD(0.01, momentum=0.9),
        lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
    ),
    "Nesterov": (
        lambda: cr.SGD(0.01, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True),
    ),
    "SGD, decay": (
        lambda: cr.SGD(0.02, weight_decay=0.01, decay_biases=True),
        lambda p: torch.optim.SGD(p, 0.02, weight_decay=0.01),
    ),
    "RMSprop": (
        lambda: cr.RMSprop(1e-3, alpha=0.9),
        lambda p: torch.optim.RMSprop(p, 1e-3, alpha=0.9),
    ),
    "Adagrad": (
        lambda: cr.Adagrad(1e-2, initial_accumulator_value=0.1),
        lambda p: torch.optim.Adagrad(p, 1e-2, initial_accumulator_value=0.1),
    ),
    "Adam": (lambda: cr.Adam(1e-3), lambda p: torch.optim.Adam(p, 1e-3)),
    "Adam, decay": (
        lambda: cr.Adam(1e-3, weight_decay=0.01, decay_biases=True),
        lambda p: torch.optim.Adam(p, 1e-3, weight_decay=0.01),
    ),
    "AdamW": (
        lambda: cr.AdamW(1e-3, weight_decay=0.1, decay_biases=True),
        lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_a_hundred_steps(ours, theirs, clip, dtype, tolerance):
    rng = np.random.default_rng(0)
    x, y = rng.random((1280, 784)).astype(dtype), rng.integers(0, 10, 1280)
    model = cr.Sequential(
        cr.Linear(784, 128), cr.ReLU(), cr.Linear(128, 10), dtype=dtype, seed=1
    )  # fmt: skip
    optimizer, loss = ours(), cr.CrossEntropyLoss()
    optimizer.clip_norm = clip
    optimizer.bind(model)

    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    net.to(getattr(torch, dtype))
    weights = {name: torch.tensor(p.value) for name, p in model.named_parameters().items()}
    net.load_state_dict(weights)
    optimizer_torch, loss_torch = theirs(net.parameters()), nn.CrossEntropyLoss()

    batches, found, expected = cr.minibatches(x, y, batch_size=128), [], []
    for _ in range(10):
        for inputs, labels in batches:
            outputs, back_through_model = model.forward(inputs, training=True)
            value, back_through_loss = loss(outputs, labels)
            back_through_model(back_through_loss())
            optimizer.step()
            found.append(float(value))

            value_torch = loss_torch(net(torch.tensor(inputs)), torch.tensor(labels))
            optimizer_torch.zero_grad()
            value_torch.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer_torch.step()
            expected.append(value_torch.item())
    assert len(found) == 100
    np.testing.assert_allclose(found, expected, rtol=tolerance)


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [(cr.SGD, torch.optim.SGD), (cr.Adam, torch.optim.Adam), (cr.AdamW, torch.optim.AdamW)],
)
def test_penalties_and_limits(kind, theirs):
    """Training with a penalty and a norm limit agrees with the same calculation in PyTorch."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 9)), rng.integers(0, 4, 64)
    model = cr.Sequential(
        cr.Linear(9, 8, max_norm=1.2), cr.Tanh(), cr.Linear(8, 4), dtype="float64", seed=1
    )  # fmt: skip
    net = nn.Sequential(nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    net.load_state_dict({n: torch.tensor(p.value) for n, p in model.named_parameters().items()})
    options = {"weight_decay": 0.01} if kind is not cr.AdamW else {"weight_decay": 0.0}
    optimizer = kind(0.02, l1=0.003, decay_biases=True, **options).bind(model)
    optimizer_torch = theirs(net.parameters(), 0.02, **options)
    loss, loss_torch = cr.CrossEntropyLoss(), nn.CrossEntropyLoss()
    limited = False
    for _ in range(60):
        outputs, back_through_model = model.forward(x, training=True)
        value, back_through_loss = loss(outputs, y)
        back_through_model(back_through_loss())
        optimizer.step()

        value_torch = loss_torch(net(torch.tensor(x)), torch.tensor(y))
        penalty = 0.003 * sum(p.abs().sum() for p in net.parameters())
        optimizer_torch.zero_grad()
        (value_torch + penalty).backward()
        optimizer_torch.step()
        with torch.no_grad():
            weight, norms = net[0].weight, net[0].weight.norm(dim=1, keepdim=True)
            limited = limited or bool((norms > 1.2).any())
            close = weight.renorm(2, 0, 1.2)  # PyTorch's `renorm` is accurate to 1e-7
            weight.copy_(torch.where(norms > 1.2, 1.2 * weight / norms, weight))
            torch.testing.assert_close(weight.detach(), close, rtol=2e-7, atol=0.0)
        assert float(value) == pytest.approx(value_torch.item(), rel=1e-10)
    assert limited
    for name, parameter in model.named_parameters().items():
        expected = net.state_dict()[name].numpy()
        np.testing.assert_allclose(parameter.value, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda lr: cr.SGD(lr, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        (cr.RMSprop, torch.optim.RMSprop),
        (cr.Adagrad, torch.optim.Adagrad),
        (cr.Adam, torch.optim.Adam),
        (
            lambda lr: cr.AdamW(lr, weight_decay=0.1, decay_biases=True),
            lambda p: torch.optim.AdamW(p, weight_decay=0.1),
        ),
    ],
    ids=["SGD", "RMSprop", "Adagrad", "Adam", "AdamW"],
)
def test_rates_by_layer_and_temporarily_frozen_layers(ours, theirs):
    """Learning rates per layer, and a layer frozen for 20 steps: the losses equal PyTorch's."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 9)), rng.integers(0, 4, 64)
    model = cr.Sequential(cr.Linear(9, 8), cr.Tanh(), cr.Linear(8, 4), dtype="float64", seed=1)
    net = nn.Sequential(nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    net.load_state_dict({n: torch.tensor(p.value) for n, p in model.named_parameters().items()})
    optimizer = ours({"0": 0.01, "2": 0.03, "2.bias": 0.002}).bind(model)
    groups = [
        {"params": net[0].parameters(), "lr": 0.01},
        {"params": [net[2].weight], "lr": 0.03},
        {"params": [net[2].bias], "lr": 0.002},
    ]
    optimizer_torch = theirs(groups)
    loss, loss_torch = cr.CrossEntropyLoss(), nn.CrossEntropyLoss()
    for step in range(60):
        frozen = 10 <= step < 30
        (model[0].freeze if frozen else model[0].unfreeze)()
        net[0].requires_grad_(not frozen)
        outputs, back_through_model = model.forward(x, training=True)
        value, back_through_loss = loss(outputs, y)
        back_through_model(back_through_loss())
        optimizer.step()

        optimizer_torch.zero_grad(set_to_none=True)
        value_torch = loss_torch(net(torch.tensor(x)), torch.tensor(y))
        value_torch.backward()
        optimizer_torch.step()
        assert float(value) == pytest.approx(value_torch.item(), rel=1e-10)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e15, 1e19, 3e20])
@pytest.mark.parametrize("name", ["RMSprop", "Adam", "AdamW"])
def test_large_gradients(name, size):
    """After a large gradient, float32 steps agree with PyTorch's float64 steps."""
    model = cr.Sequential(cr.Linear(1, 1, bias=False))
    start = model[0].weight.value.copy()
    weight = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(cr, name)(1e-3).bind(model)
    optimizer_torch = getattr(torch.optim, name)([weight], 1e-3)
    for grad in [size] + [1.0] * 200:
        model[0].weight.add_grad(np.full((1, 1), grad, "float32"))
        weight.grad = torch.full((1, 1), grad, dtype=torch.float64)
        optimizer.step()
        optimizer_torch.step()
    moved, expected = model[0].weight.value - start, weight.detach().numpy() - start
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-6)
