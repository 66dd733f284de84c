"""Compare layers, and the files they are saved in, with those of PyTorch."""

import numpy as np
import pytest
import safetensors.torch
import torch

import chainrule as cr

nn = torch.nn
torch.set_num_threads(1)  # otherwise, PyTorch's threads and NumPy's threads wait for each other

LAYERS = {
    "ReLU": (cr.ReLU(), nn.ReLU()),
    "LeakyReLU": (cr.LeakyReLU(0.2), nn.LeakyReLU(0.2)),
    "ReLU6": (cr.ReLU6(), nn.ReLU6()),
    "ELU": (cr.ELU(0.7), nn.ELU(0.7)),
    "GELU": (cr.GELU(), nn.GELU()),
    "GELU, approximate": (cr.GELU(approximate="tanh"), nn.GELU(approximate="tanh")),
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


def test_the_error_of_the_approximate_gelu():
    x = np.linspace(-6, 6, 100_001)
    exact = nn.functional.gelu(torch.tensor(x)).numpy()
    error = np.abs(cr.GELU("tanh").forward(x)[0] - exact).max()
    assert 4.5e-4 < error < 4.8e-4


def test_the_exact_gelu_in_both_dtypes():
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-15)):
        x = np.linspace(-12, 12, 100_001).astype(dtype)
        x_torch = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        y_torch = nn.functional.gelu(x_torch)
        y_torch.sum().backward()
        y, backward = cr.GELU().forward(x)
        np.testing.assert_allclose(y, y_torch.detach(), rtol=tolerance, atol=tolerance)
        dx = backward(np.ones_like(x))
        np.testing.assert_allclose(dx, x_torch.grad, rtol=2 * tolerance, atol=2 * tolerance)


def test_more_axes():
    """Layers on sequences and images give PyTorch's outputs and gradients."""
    x, dy = (np.random.default_rng(seed).normal(size=(4, 3, 2, 5)) for seed in (0, 1))
    for ours, theirs in (
        (cr.Linear(5, 5), nn.Linear(5, 5)),
        (cr.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False)),
        (cr.PReLU(), nn.PReLU()),
        (cr.BatchNorm(3), nn.BatchNorm2d(3)),
        (cr.GroupNorm(3, 3), nn.GroupNorm(3, 3)),
        (cr.GroupNorm(1, 3, eps=0.1), nn.GroupNorm(1, 3, eps=0.1)),
        (cr.GroupNorm(1, 3, affine=False), nn.GroupNorm(1, 3, affine=False)),
    ):
        theirs.double()
        values = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
        values.pop("num_batches_tracked", None)
        ours.bind(dtype="float64", values=values)
        x_torch = torch.tensor(x, requires_grad=True)
        y_torch = theirs(x_torch)
        y_torch.backward(torch.tensor(dy))
        y, backward = ours.forward(x, training=True)
        np.testing.assert_allclose(y, y_torch.detach(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(backward(dy), x_torch.grad, rtol=1e-12, atol=1e-12)
        for name, parameter in theirs.named_parameters():
            found = ours.named_parameters()[name].grad
            np.testing.assert_allclose(found, parameter.grad, rtol=1e-12, atol=1e-12)


def normalized(kind, norm, **options):
    """Return the same float64 model in both libraries, with the same random weights."""
    model = cr.Sequential(
        cr.Linear(5, 4), kind(4, eps=1e-3, **options), cr.Tanh(),
        cr.Linear(4, 4), kind(4, **options), cr.Linear(4, 3), dtype="float64",
    )  # fmt: skip
    net = nn.Sequential(
        nn.Linear(5, 4), norm(4, eps=1e-3, **options), nn.Tanh(),
        nn.Linear(4, 4), norm(4, **options), nn.Linear(4, 3),
    ).double()  # fmt: skip
    rng = np.random.default_rng(3)
    for parameter in model.parameters():
        parameter.value[...] = rng.normal(size=parameter.shape)
    weights = {name: torch.tensor(p.value) for name, p in model.named_parameters().items()}
    # Running statistics are not loaded, because both libraries start with the same values.
    net.load_state_dict(weights, strict=kind is cr.LayerNorm)
    return model, net


@pytest.mark.parametrize(
    ("kind", "norm", "options"),
    [
        (cr.BatchNorm, nn.BatchNorm1d, {}),
        (cr.BatchNorm, nn.BatchNorm1d, {"affine": False}),
        (cr.LayerNorm, nn.LayerNorm, {}),
    ],
    ids=["BatchNorm", "BatchNorm without weights", "LayerNorm"],
)
def test_normalization_over_several_steps(kind, norm, options):
    model, net = normalized(kind, norm, **options)
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
