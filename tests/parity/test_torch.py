"""Values, gradients and whole trainings against PyTorch's own layers, losses and optimizers."""

import numpy as np
import pytest
import safetensors.torch
import torch

import chainrule as cr

nn = torch.nn
torch.set_num_threads(1)  # its threads and those of NumPy's BLAS would wait for each other

LAYERS = {
    "ReLU": (cr.ReLU(), nn.ReLU()),
    "LeakyReLU": (cr.LeakyReLU(0.2), nn.LeakyReLU(0.2)),
    "ReLU6": (cr.ReLU6(), nn.ReLU6()),
    "ELU": (cr.ELU(0.7), nn.ELU(0.7)),
    "GELU": (cr.GELU(approximate="tanh"), nn.GELU(approximate="tanh")),
    "SiLU": (cr.SiLU(), nn.SiLU()),
    "Sigmoid": (cr.Sigmoid(), nn.Sigmoid()),
    "Tanh": (cr.Tanh(), nn.Tanh()),
    "Softplus": (cr.Softplus(), nn.Softplus()),
    "Softmax": (cr.Softmax(), nn.Softmax(dim=-1)),
    "LogSoftmax": (cr.LogSoftmax(), nn.LogSoftmax(dim=-1)),
    "Flatten": (cr.Flatten(), nn.Flatten()),
    "Identity": (cr.Identity(), nn.Identity()),
}


@pytest.mark.parametrize(("ours", "theirs"), LAYERS.values(), ids=LAYERS)
def test_layers(ours, theirs):
    rng = np.random.default_rng(0)
    x, dy = 4 * rng.normal(size=(6, 5)), rng.normal(size=(6, 5))
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = theirs(x_torch)
    y_torch.backward(torch.tensor(dy))
    y, backward = ours.copy().forward(x)
    np.testing.assert_allclose(y, y_torch.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(backward(dy), x_torch.grad.numpy(), rtol=1e-11, atol=1e-14)


def test_the_exact_gelu_is_as_far_away_as_is_said():
    x = np.linspace(-6, 6, 100_001)
    exact = nn.functional.gelu(torch.tensor(x)).numpy()
    error = np.abs(cr.GELU().forward(x)[0] - exact).max()
    assert 4.5e-4 < error < 4.8e-4


def normalized(kind, norm):
    """The same model of both libraries in float64, with weights that are all drawn."""
    model = cr.Sequential(
        cr.Linear(5, 4), kind(4, eps=1e-3), cr.Tanh(), cr.Linear(4, 4), kind(4), cr.Linear(4, 3),
        dtype="float64",
    )  # fmt: skip
    net = nn.Sequential(
        nn.Linear(5, 4), norm(4, eps=1e-3), nn.Tanh(), nn.Linear(4, 4), norm(4), nn.Linear(4, 3)
    ).double()
    rng = np.random.default_rng(3)
    for parameter in model.parameters():
        parameter.value[...] = rng.normal(size=parameter.shape)
    weights = {name: torch.tensor(p.value) for name, p in model.named_parameters().items()}
    net.load_state_dict(weights, strict=kind is cr.LayerNorm)  # the statistics start alike
    return model, net


@pytest.mark.parametrize(
    ("kind", "norm"), [(cr.BatchNorm, nn.BatchNorm1d), (cr.LayerNorm, nn.LayerNorm)]
)
def test_normalization_over_several_steps(kind, norm):
    model, net = normalized(kind, norm)
    optimizer = cr.SGD(0.05).bind(model)
    optimizer_torch = torch.optim.SGD(net.parameters(), 0.05)
    rng = np.random.default_rng(4)

    def same(ours, theirs):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)

    for samples in (6, 2, 9, 32):
        x, dy = 3.0 + 2.0 * rng.normal(size=(samples, 5)), rng.normal(size=(samples, 3))
        x_torch = torch.tensor(x, requires_grad=True)
        y_torch = net(x_torch)
        optimizer_torch.zero_grad()
        y_torch.backward(torch.tensor(dy))
        y, backward = model.forward(x, training=True)
        same(y, y_torch)
        same(backward(dy, input_gradient=True), x_torch.grad)
        theirs = dict(net.named_parameters())
        for name, parameter in model.named_parameters().items():
            same(parameter.grad, theirs[name].grad)
        optimizer.step()
        optimizer_torch.step()
        theirs = net.state_dict()
        for name, part in {**model.named_parameters(), **model.named_buffers()}.items():
            same(part.value, theirs[name])

    net.eval()
    x, dy = rng.normal(size=(7, 5)), rng.normal(size=(7, 3))
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = net(x_torch)
    y_torch.backward(torch.tensor(dy))
    y, backward = model.forward(x)
    same(y, y_torch)
    same(backward(dy, input_gradient=True), x_torch.grad)
    same(model.predict(x), y_torch)


def test_layer_norm_with_more_axes():
    x, dy = (np.random.default_rng(seed).normal(size=(4, 3, 5)) for seed in (0, 1))
    layer, theirs = cr.LayerNorm(5), nn.LayerNorm(5).double()
    layer.bind(dtype="float64")
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = theirs(x_torch)
    y_torch.backward(torch.tensor(dy))
    y, backward = layer.forward(x)
    for ours, expected in (
        (y, y_torch.detach()), (backward(dy), x_torch.grad),
        (layer.weight.grad, theirs.weight.grad), (layer.bias.grad, theirs.bias.grad),
    ):  # fmt: skip
        np.testing.assert_allclose(ours, expected.numpy(), rtol=1e-11, atol=1e-13)


def test_running_statistics_in_files(tmp_path):
    path = tmp_path / "model.safetensors"
    model, net = normalized(cr.BatchNorm, nn.BatchNorm1d)
    x = np.random.default_rng(5).normal(size=(16, 5))
    model.forward(x, training=True)
    model.save(path)
    assert net.load_state_dict(safetensors.torch.load_file(path), strict=True)
    net.eval()
    with torch.inference_mode():
        expected = net(torch.tensor(x)).numpy()
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12)

    net.train()
    net(torch.tensor(x))
    net.eval()
    assert "1.num_batches_tracked" in net.state_dict()
    safetensors.torch.save_file(net.state_dict(), path)
    model.load_weights(path)
    with torch.inference_mode():
        expected = net(torch.tensor(x)).numpy()
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12)


T = np.random.default_rng(1).normal(size=(6, 3))
ZERO_ONE = (T > 0).astype(float)
LABELS = np.asarray([0, 2, 1, 1, 2, 0])
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
    "KLDivLoss": (cr.KLDivLoss, nn.KLDivLoss, SHARES, lambda x: torch.log_softmax(x, dim=-1)),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "target", "before"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.filterwarnings("ignore:reduction.*:UserWarning")  # PyTorch's advice on batchmean
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


# With weights of outputs: PyTorch's values of each element, weighted by hand. (The weight of its
# mse_loss is another thing, its mean divides by the sum of the weights.)
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
    """The penalty in PyTorch's loss, and rows that are too long cut after each step."""
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
            close = weight.renorm(2, 0, 1.2)  # PyTorch's own, off by 1e-7 for its quotient
            weight.copy_(torch.where(norms > 1.2, 1.2 * weight / norms, weight))
            torch.testing.assert_close(weight.detach(), close, rtol=2e-7, atol=0.0)
        assert float(value) == pytest.approx(value_torch.item(), rel=1e-10)
    assert limited
    for name, parameter in model.named_parameters().items():
        expected = net.state_dict()[name].numpy()
        np.testing.assert_allclose(parameter.value, expected, rtol=1e-9, atol=1e-12)


def test_a_saved_file_is_a_state_dict(tmp_path):
    path = tmp_path / "model.safetensors"
    model = cr.Sequential(
        cr.Flatten(), cr.Linear(784, 128), cr.ReLU(), cr.Dropout(0.2), cr.Linear(128, 10), seed=3
    )  # fmt: skip
    model.save(path)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10)
    )  # fmt: skip
    net.load_state_dict(safetensors.torch.load_file(path))
    net.eval()
    x = np.random.default_rng(0).random((20, 28, 28), dtype="float32")
    with torch.inference_mode():
        expected = net(torch.tensor(x)).numpy()
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-6, atol=1e-6)

    safetensors.torch.save_file(
        {name: value + 1.0 for name, value in net.state_dict().items()}, path
    )
    model.load_weights(path)
    np.testing.assert_array_equal(model[1].bias.value, net[1].bias.detach().numpy() + 1.0)


def test_predict_of_a_tensor_is_a_tensor():
    model = cr.Sequential(cr.Linear(4, 3))
    x = torch.ones((2, 4))
    found = model.predict(x)
    assert isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(found.numpy(), model.predict(np.ones((2, 4))))
