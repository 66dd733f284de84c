"""Models and files converted from and to PyTorch have the same weights, outputs and gradients."""

import copy
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.utils.prune

import chainrule as cr
from chainrule.interop import torch as torch_modules

nn = torch.nn
torch.set_num_threads(1)  # otherwise, PyTorch's threads and NumPy's threads wait for each other

# Each row: the same layer in both libraries, with four features as input and output.
LAYERS = {
    "Linear": (lambda: nn.Linear(4, 4), lambda: cr.Linear(4, 4)),
    "Linear without bias": (
        lambda: nn.Linear(4, 4, bias=False),
        lambda: cr.Linear(4, 4, bias=False),
    ),
    "ReLU": (nn.ReLU, cr.ReLU),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.2), lambda: cr.LeakyReLU(0.2)),
    "ReLU6": (nn.ReLU6, cr.ReLU6),
    "ELU": (lambda: nn.ELU(0.7), lambda: cr.ELU(0.7)),
    "PReLU": (nn.PReLU, cr.PReLU),
    "PReLU, a slope per feature": (lambda: nn.PReLU(4), lambda: cr.PReLU(4)),
    "GELU": (nn.GELU, cr.GELU),
    "GELU, approximate": (lambda: nn.GELU(approximate="tanh"), lambda: cr.GELU(approximate="tanh")),
    "SiLU": (nn.SiLU, cr.SiLU),
    "Sigmoid": (nn.Sigmoid, cr.Sigmoid),
    "Tanh": (nn.Tanh, cr.Tanh),
    "Softplus": (nn.Softplus, cr.Softplus),
    "Softmax": (lambda: nn.Softmax(dim=-1), cr.Softmax),
    "LogSoftmax": (lambda: nn.LogSoftmax(dim=1), cr.LogSoftmax),
    "Identity": (nn.Identity, cr.Identity),
    "Flatten": (nn.Flatten, cr.Flatten),
    "Dropout": (lambda: nn.Dropout(0.0), lambda: cr.Dropout(0.0)),
    "BatchNorm": (
        lambda: nn.BatchNorm1d(4, eps=1e-3, momentum=0.3),
        lambda: cr.BatchNorm(4, eps=1e-3, momentum=0.3),
    ),
    "BatchNorm without weights": (
        lambda: nn.BatchNorm1d(4, eps=1e-3, affine=False),
        lambda: cr.BatchNorm(4, eps=1e-3, momentum=0.1, affine=False),
    ),
    "LayerNorm": (lambda: nn.LayerNorm(4, eps=1e-3), lambda: cr.LayerNorm(4, eps=1e-3)),
    "Sequential": (
        lambda: nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Tanh(), nn.Linear(6, 4))),
        lambda: cr.Sequential(cr.Linear(4, 6), cr.Sequential(cr.Tanh(), cr.Linear(6, 4))),
    ),
}
# Each row: the same layer in both libraries, and the shape of one sample.
IMAGES = {
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3), lambda: cr.Conv1d(2, 3, 3), (2, 8)),
    "Conv1d, every option": (
        lambda: nn.Conv1d(4, 6, 2, stride=2, padding=1, dilation=2, groups=2, bias=False),
        lambda: cr.Conv1d(4, 6, 2, stride=2, padding=1, dilation=2, groups=2, bias=False),
        (4, 8),
    ),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 3), lambda: cr.Conv2d(2, 3, 3), (2, 5, 4)),
    "Conv2d, every option": (
        lambda: nn.Conv2d(4, 6, (2, 3), (2, 1), (1, 2), dilation=(1, 2), groups=2, bias=False),
        lambda: cr.Conv2d(
            4, 6, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False
        ),
        (4, 5, 6),
    ),
    "Conv2d, same size": (
        lambda: nn.Conv2d(2, 2, 3, padding="same"),
        lambda: cr.Conv2d(2, 2, 3, padding="same"),
        (2, 4, 5),
    ),
    "Conv2d, valid": (
        lambda: nn.Conv2d(2, 2, 3, padding="valid"),
        lambda: cr.Conv2d(2, 2, 3, padding="valid"),
        (2, 4, 5),
    ),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(2, 3, 3),
        lambda: cr.ConvTranspose2d(2, 3, 3),
        (2, 3, 2),
    ),
    "ConvTranspose2d, every option": (
        lambda: nn.ConvTranspose2d(4, 6, (2, 3), (2, 3), 1, (1, 2), 2, bias=False, dilation=2),
        lambda: cr.ConvTranspose2d(
            4, 6, (2, 3), stride=(2, 3), padding=1, output_padding=(1, 2), groups=2, dilation=2,
            bias=False,
        ),
        (4, 3, 3),
    ),
    "BatchNorm2d": (
        lambda: nn.BatchNorm2d(3, eps=1e-3),
        lambda: cr.BatchNorm(3, eps=1e-3, momentum=0.1),
        (3, 4, 2),
    ),
    "GroupNorm": (
        lambda: nn.GroupNorm(2, 4, eps=1e-3),
        lambda: cr.GroupNorm(2, 4, eps=1e-3),
        (4, 3, 2),
    ),
    "GroupNorm without weights": (
        lambda: nn.GroupNorm(1, 2, affine=False),
        lambda: cr.GroupNorm(1, 2, eps=1e-5, affine=False),
        (2, 3),
    ),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), lambda: cr.MaxPool1d(2), (2, 7)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), lambda: cr.MaxPool2d(2), (2, 4, 6)),
    "MaxPool2d, every option": (
        lambda: nn.MaxPool2d((3, 2), (2, 1), padding=1, dilation=(1, 2), ceil_mode=True),
        lambda: cr.MaxPool2d((3, 2), stride=(2, 1), padding=1, dilation=(1, 2), ceil_mode=True),
        (2, 5, 5),
    ),
    "AvgPool1d": (
        lambda: nn.AvgPool1d(3, 1, padding=1, ceil_mode=True, count_include_pad=False),
        lambda: cr.AvgPool1d(3, stride=1, padding=1, ceil_mode=True, count_include_pad=False),
        (2, 7),
    ),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), lambda: cr.AvgPool2d(2), (2, 4, 6)),
    "AvgPool2d, every option": (
        lambda: nn.AvgPool2d((3, 2), (2, 1), padding=1, ceil_mode=True, count_include_pad=False),
        lambda: cr.AvgPool2d(
            (3, 2), stride=(2, 1), padding=1, ceil_mode=True, count_include_pad=False
        ),
        (2, 6, 5),
    ),
    "AdaptiveAvgPool2d": (
        lambda: nn.AdaptiveAvgPool2d((2, 3)),
        lambda: cr.AdaptiveAvgPool2d((2, 3)),
        (2, 5, 7),
    ),
    "AdaptiveAvgPool2d, one": (
        lambda: nn.AdaptiveAvgPool2d((1, 1)),
        lambda: cr.AdaptiveAvgPool2d(1),
        (2, 5, 7),
    ),
    "ZeroPad2d": (
        lambda: nn.ZeroPad2d((1, 2, 0, 3)),
        lambda: cr.ZeroPad2d((1, 2, 0, 3)),
        (2, 3, 2),
    ),
    "ZeroPad2d, one number": (lambda: nn.ZeroPad2d(1), lambda: cr.ZeroPad2d(1), (2, 3, 2)),
    "Unflatten": (
        lambda: nn.Unflatten(1, (2, -1)),
        lambda: cr.Unflatten(1, (2, -1)),
        (6, 3),
    ),
    "Unflatten, the last axis": (
        lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(-1, (3, 6))),
        lambda: cr.Sequential(cr.Flatten(), cr.Unflatten(1, (3, 6))),
        (6, 3),
    ),
    "Dropout2d": (lambda: nn.Dropout2d(0.0), lambda: cr.Dropout2d(0.0), (2, 3, 2)),
    "Conv2d, softmax of rows": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(9, 4), nn.Softmax(dim=1)),
        lambda: cr.Sequential(cr.Conv2d(2, 3, 2), cr.Flatten(), cr.Linear(9, 4), cr.Softmax()),
        (2, 4, 2),
    ),
}  # fmt: skip
# Each row: the same layer in both libraries. One sample is five steps of three features.
RECURRENT = {
    "RNN": (lambda: nn.RNN(3, 4, batch_first=True), lambda **o: cr.RNN(3, 4, **o)),
    "RNN, every option": (
        lambda: nn.RNN(
            3, 4, 2, "relu", bias=False, batch_first=True, dropout=0.1, bidirectional=True
        ),
        lambda **o: cr.RNN(
            3,
            4,
            num_layers=2,
            bias=False,
            bidirectional=True,
            dropout=0.1,
            nonlinearity="relu",
            **o,
        ),
    ),
    "LSTM": (lambda: nn.LSTM(3, 4, batch_first=True), lambda **o: cr.LSTM(3, 4, **o)),
    "LSTM, two layers": (
        lambda: nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True),
        lambda **o: cr.LSTM(3, 4, num_layers=2, bidirectional=True, **o),
    ),
    "GRU": (lambda: nn.GRU(3, 4, batch_first=True), lambda **o: cr.GRU(3, 4, **o)),
    "GRU without bias": (
        lambda: nn.GRU(3, 4, bias=False, batch_first=True),
        lambda **o: cr.GRU(3, 4, bias=False, **o),
    ),
}
# Errors are relative to the largest number, or to 1 if all numbers are smaller.
BOUND = {"float32": 1e-5, "float64": 1e-12}

every_layer = pytest.mark.parametrize(("theirs", "ours"), LAYERS.values(), ids=LAYERS)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def net_of(theirs, dtype):
    """Return a PyTorch model with this layer and with random weights and statistics."""
    net = nn.Sequential(nn.Linear(5, 4), theirs(), nn.Linear(4, 3)).to(getattr(torch, dtype))
    torch.manual_seed(0)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2.0).mul_(1.0 if tensor.ndim < 2 else 0.5)
    return net


def model_of(ours, dtype, **options):
    return cr.Sequential(cr.Linear(5, 4), ours(), cr.Linear(4, 3), dtype=dtype, **options)


def inputs(dtype, shape=(7, 5), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def same(found, expected):
    expected = expected.detach().numpy()
    found = np.asarray(found)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    bound = BOUND[str(expected.dtype)] * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=bound)


def same_in_inference(model, net, x):
    net.eval()
    same(model.predict(x), net(torch.tensor(x)))


def same_in_training(model, net, x):
    net.train()
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = net(x_torch)
    dy = inputs(x.dtype, y_torch.shape, seed=1)
    y_torch.backward(torch.tensor(dy))
    y, backward = model.forward(x, training=True)
    same(y, y_torch)
    same(backward(dy, input_gradient=True), x_torch.grad)
    theirs = dict(net.named_parameters())
    for name, parameter in model.named_parameters().items():
        if parameter.trainable:
            same(parameter.grad, theirs[name].grad)
    for name, buffer in model.named_buffers().items():
        same(buffer.value, net.state_dict()[name])


@every_layer
@both_dtypes
def test_from_torch(theirs, ours, dtype):
    net = net_of(theirs, dtype)
    before = copy.deepcopy(net.state_dict())
    model = cr.from_torch(net)
    assert repr(model) == repr(model_of(ours, dtype))
    assert model.state.dtype_name == dtype
    tensors = {name for name in net.state_dict() if "num_batches_tracked" not in name}
    assert model.named_parameters().keys() | model.named_buffers().keys() == tensors
    same_in_inference(model, net, inputs(dtype))
    for parameter in model.parameters():
        parameter.value[...] += 0.0  # the values are writable copies
    same_in_training(model, net, inputs(dtype, seed=2))
    same_in_inference(model, net, inputs(dtype, seed=3))
    for parameter in model.parameters():
        parameter.value[...] = 9.0
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, before[name])


@pytest.mark.parametrize(("theirs", "ours", "shape"), IMAGES.values(), ids=IMAGES)
@both_dtypes
def test_layers_for_images(theirs, ours, shape, dtype, tmp_path):
    net = nn.Sequential(nn.Identity(), theirs()).to(getattr(torch, dtype))
    model = cr.from_torch(net, dtype=dtype)
    expected = cr.Sequential(cr.Identity(), ours(), dtype=dtype, seed=5)
    assert repr(model) == repr(expected)
    same_in_inference(model, net, inputs(dtype, (3, *shape)))
    same_in_training(model, net, inputs(dtype, (3, *shape), seed=2))
    expected.save(tmp_path / "model.safetensors")
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    loaded = net.load_state_dict(tensors, strict=False)
    assert {name.rpartition(".")[2] for name in loaded.missing_keys} <= {"num_batches_tracked"}
    assert loaded.unexpected_keys == []
    same_in_inference(expected, net, inputs(dtype, (3, *shape), seed=3))


class Outputs(nn.Sequential):
    """A chain of modules whose last module also returns its states, which are left out."""

    def forward(self, x):
        return super().forward(x)[0]


recurrent_layers = pytest.mark.parametrize(("theirs", "ours"), RECURRENT.values(), ids=RECURRENT)


@recurrent_layers
@both_dtypes
def test_recurrent_layers(theirs, ours, dtype):
    parts = nn.Linear(5, 3), nn.Tanh(), theirs()
    net = nn.Sequential(*parts).to(getattr(torch, dtype))
    model = cr.from_torch(net)
    assert repr(model) == repr(cr.Sequential(cr.Linear(5, 3), cr.Tanh(), ours()))
    same_in_inference(model, Outputs(*parts), inputs(dtype, (2, 6, 5)))
    net[-1].dropout = 0.0
    same_in_training(cr.from_torch(net), Outputs(*parts), inputs(dtype, (2, 6, 5), seed=2))
    net.zero_grad()
    alone = inputs(dtype, (2, 6, 3), seed=3)
    same_in_training(cr.from_torch(net[-1]), Outputs(net[-1]), alone)


@recurrent_layers
@both_dtypes
def test_files_of_recurrent_layers(theirs, ours, dtype, tmp_path):
    path, x = tmp_path / "model.safetensors", inputs(dtype, (4, 6, 3))
    model = cr.Sequential(ours(bias_init=cr.initializers.normal(0.3)), dtype=dtype, seed=5)
    model.save(path)
    net = Outputs(theirs()).to(getattr(torch, dtype))
    net.load_state_dict(safetensors.torch.load_file(path), strict=True)
    same_in_inference(cr.load(path), net, x)
    another = cr.Sequential(ours(), dtype=dtype, seed=6)
    safetensors.torch.save_file(net.state_dict(), path)
    another.load_weights(path)
    same_in_inference(another, net, x)


def test_lenet_5_in_files(tmp_path):
    """LeNet-5 goes from PyTorch to chainrule and back, in files and in memory."""
    path = tmp_path / "model.safetensors"
    net = nn.Sequential(
        nn.Unflatten(1, (1, 28)), nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(16, 120, 5), nn.Tanh(),
        nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip
    model = cr.from_torch(net)
    x = inputs("float32", (4, 28, 28))
    same_in_training(model, net, x)
    for parameter in model.parameters():
        parameter.value[...] *= 1.5
    model.save(path)
    net.load_state_dict(safetensors.torch.load_file(path), strict=True)
    same_in_inference(cr.load(path), net, x)
    assert repr(cr.load(path)) == repr(model)
    net = copy.deepcopy(net).apply(lambda m: m.reset_parameters() if hasattr(m, "weight") else None)
    safetensors.torch.save_file(net.state_dict(), path)
    model.load_weights(path)
    same_in_inference(model, net, x)


def test_every_layer_has_a_row():
    kinds = {thing for thing in vars(cr.layers).values() if isinstance(thing, type)}
    only_ours = {cr.Layer, cr.layers.Slice, cr.Rescaling, cr.PoolOverTime}
    models = [cr.from_torch(net_of(theirs, "float32")) for theirs, _ in LAYERS.values()]
    models += [cr.from_torch(theirs()) for theirs, *_ in (*IMAGES.values(), *RECURRENT.values())]
    models.append(cr.from_torch(nn.Embedding(3, 2)))  # test_sequences.py compares it
    made = {type(part) for model in models for _, part in (("", model), *model._walk())}
    assert kinds - only_ours == {kind for kind in made if issubclass(kind, cr.Layer)}
    rows = *LAYERS.values(), *IMAGES.values(), *RECURRENT.values()
    names = {type(theirs()).__name__ for theirs, *_ in rows}
    assert torch_modules._LAYERS.keys() == names - {"Sequential"} | {"Embedding"}
    for name in torch_modules._LAYERS:
        assert f"``{name}``" in cr.from_torch.__doc__


@both_dtypes
def test_a_single_module(dtype):
    norm = nn.LayerNorm(3).to(getattr(torch, dtype))
    model = cr.from_torch(norm)
    assert list(model.named_parameters()) == ["0.weight", "0.bias"]
    same_in_inference(model, norm, inputs(dtype, (4, 2, 3)))


def test_a_layer_that_is_used_twice():
    linear, inner = nn.Linear(5, 5), nn.Sequential(nn.Linear(5, 5), nn.SiLU())
    net = nn.Sequential(inner, linear, nn.Tanh(), linear, inner).double()
    model = cr.from_torch(net)
    assert model[1] is model[3]
    assert model[0] is model[4]
    assert model.named_parameters().keys() == dict(net.named_parameters()).keys()
    same_in_training(model, net, inputs("float64"))


def test_images():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Softmax(dim=1)).double()
    same_in_training(cr.from_torch(net), net, inputs("float64", (5, 3, 4)))


def test_backend_and_dtype():
    net = nn.Sequential(nn.Linear(5, 3))
    model = cr.from_torch(net, backend="torch", device=torch.device("cpu"), dtype="float64")
    assert (model.backend.name, model.state.dtype_name) == ("torch", "float64")
    x = torch.tensor(inputs("float64"))
    same(model.predict(x), net.double()(x))
    assert cr.from_torch(nn.Sequential(nn.Linear(5, 3)).half()).state.dtype_name == "float32"
    assert cr.from_torch(nn.Sequential(nn.Linear(5, 3)).bfloat16()).state.dtype_name == "float32"
    assert cr.from_torch(nn.ReLU()).state.dtype_name == "float32"


def test_frozen_parameters_stay_frozen():
    net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).double()
    net[0].weight.requires_grad = False
    model = cr.from_torch(net)
    assert [p.trainable for p in model.parameters()] == [False, True, True, True]
    same_in_training(model, net, inputs("float64"))


def test_options_are_kept():
    net = nn.Sequential(nn.Dropout(0.3), nn.ReLU(inplace=True))
    assert repr(cr.from_torch(net)) == repr(cr.Sequential(cr.Dropout(0.3), cr.ReLU()))


def test_a_linear_layer_on_sequences():
    net = nn.Sequential(nn.Linear(5, 4), nn.PReLU(), nn.Linear(4, 3), nn.Softmax(dim=-1)).double()
    same_in_training(cr.from_torch(net), net, inputs("float64", (6, 2, 5)))


def test_module_names_become_numbers():
    net = nn.Sequential(OrderedDict(first=nn.Linear(5, 4), bend=nn.ReLU(), last=nn.Linear(4, 3)))
    model = cr.from_torch(net)
    assert list(model.named_parameters()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    same_in_inference(model, net, inputs("float32"))


def test_training_continues_as_in_torch():
    net = net_of(lambda: nn.Sequential(nn.BatchNorm1d(4), nn.GELU("tanh")), "float64")
    model, rng = cr.from_torch(net), np.random.default_rng(0)
    optimizer = cr.AdamW(0.01, weight_decay=0.1, decay_biases=True).bind(model)
    optimizer_torch = torch.optim.AdamW(net.parameters(), 0.01, weight_decay=0.1)
    loss, loss_torch = cr.CrossEntropyLoss(), nn.CrossEntropyLoss()
    for _ in range(30):
        x, y = rng.normal(size=(16, 5)), rng.integers(0, 3, 16)
        outputs, back_through_model = model.forward(x, training=True)
        value, back_through_loss = loss(outputs, y)
        back_through_model(back_through_loss())
        optimizer.step()
        value_torch = loss_torch(net(torch.tensor(x)), torch.tensor(y))
        optimizer_torch.zero_grad()
        value_torch.backward()
        optimizer_torch.step()
        assert float(value) == pytest.approx(value_torch.item(), rel=1e-9)


class Named(nn.Linear):
    """A subclass with the same computation as `nn.Linear`."""


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_tensors_with_gradients_and_of_half_precision_are_data(kind):
    x = torch.ones((4, 2), dtype=kind, requires_grad=True)
    model = cr.mlp([2, 3, 2])
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    trainer.fit(x, [0, 1, 0, 1], validation_data=(x, torch.arange(4) % 2), verbose=0)
    y = model.predict(x)
    assert type(y) is torch.Tensor
    np.testing.assert_allclose(y, model.predict(np.ones((4, 2))))
    assert x.requires_grad


def test_a_subclass_with_the_same_forward():
    net = nn.Sequential(Named(5, 3))
    same_in_inference(cr.from_torch(net), net, inputs("float32"))


@every_layer
@both_dtypes
def test_a_saved_file_is_a_state_dict(theirs, ours, dtype, tmp_path):
    path = tmp_path / "model.safetensors"
    model = model_of(ours, dtype, seed=5)
    rng = np.random.default_rng(6)
    for parameter in model.parameters():
        parameter.value[...] = rng.uniform(0.5, 1.5, parameter.shape)
    model.forward(inputs(dtype), training=True)  # this updates the running statistics
    model.save(path)
    net = nn.Sequential(nn.Linear(5, 4), theirs(), nn.Linear(4, 3)).to(getattr(torch, dtype))
    net.load_state_dict(safetensors.torch.load_file(path), strict=True)
    same_in_inference(model, net, inputs(dtype, seed=1))


@every_layer
@both_dtypes
def test_a_state_dict_is_a_file_of_weights(theirs, ours, dtype, tmp_path):
    path = tmp_path / "model.safetensors"
    net = net_of(theirs, dtype)
    net(torch.tensor(inputs(dtype)))
    safetensors.torch.save_file(net.state_dict(), path)
    model = model_of(ours, dtype, seed=5)
    model.load_weights(path)
    same_in_inference(model, net, inputs(dtype, seed=1))
    same_in_training(model, net, inputs(dtype, seed=2))


def test_round_trip(tmp_path):
    path = tmp_path / "model.safetensors"
    net = net_of(lambda: nn.Sequential(nn.BatchNorm1d(4), nn.ELU(), nn.LayerNorm(4)), "float32")
    cr.from_torch(net).save(path)
    loaded = safetensors.torch.load_file(path)
    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(loaded[name], tensor)
    same_in_inference(cr.load(path), net, inputs("float32"))
