"""Models and files converted from and to PyTorch have the same weights, outputs and gradients."""

import copy
import doctest
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


def test_no_layer_is_forgotten():
    kinds = {thing for thing in vars(cr.layers).values() if isinstance(thing, type)}
    only_ours = {cr.Layer, cr.layers.Slice, cr.Rescaling}
    models = [cr.from_torch(net_of(theirs, "float32")) for theirs, _ in LAYERS.values()]
    made = {type(part) for model in models for _, part in (("", model), *model._walk())}
    assert kinds - only_ours == {kind for kind in made if issubclass(kind, cr.Layer)}
    names = {type(theirs()).__name__ for theirs, _ in LAYERS.values()}
    assert torch_modules._LAYERS.keys() == names - {"Sequential"}
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
    """A subclass that computes the same as `nn.Linear`."""


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


def test_the_example_of_the_docstring():
    text = cr.from_torch.__doc__.replace("# doctest: +SKIP", "")
    names = {"cr": cr, "np": np, "torch": torch}
    example = doctest.DocTestParser().get_doctest(text, names, "from_torch", None, None)
    assert len(example.examples) == 4
    assert doctest.DocTestRunner().run(example).failed == 0


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
