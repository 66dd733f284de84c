"""`from_torch` refuses modules without an equivalent layer, and objects that are not modules."""

import re

import numpy as np
import pytest
import torch
import torch.nn.utils.prune

import chainrule as cr
from chainrule.interop import torch as torch_modules

nn = torch.nn
torch.set_num_threads(1)  # otherwise, PyTorch's threads and NumPy's threads wait for each other


class Doubled(nn.ReLU):
    def forward(self, x):
        return 2 * super().forward(x)


class Branches(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def replaced():
    module = nn.Tanh()
    module.forward = torch.sin
    return module


def hooked():
    module = nn.Tanh()
    module.register_forward_hook(lambda module, args, y: 2 * y)
    return module


def of_nan():
    module = nn.Linear(5, 5)
    module.weight.data[0, 0] = torch.nan
    return module


def with_a_buffer():
    module = nn.ReLU()
    module.register_buffer("scale", torch.ones(3))
    return module


NOT_SUPPORTED = "not supported. Supported modules are .*Sequential .*, BatchNorm1d, .*, ZeroPad2d$"
REFUSED = {
    "Conv3d": (lambda: nn.Conv3d(1, 2, 3), NOT_SUPPORTED),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(5), NOT_SUPPORTED),
    "Hardtanh": (nn.Hardtanh, NOT_SUPPORTED),
    "ModuleList": (lambda: nn.ModuleList([nn.ReLU()]), NOT_SUPPORTED),
    "another forward": (Doubled, NOT_SUPPORTED),
    "another chain": (lambda: Branches(nn.Linear(5, 5)), NOT_SUPPORTED),
    "a forward of its own": (replaced, NOT_SUPPORTED),
    "PReLU": (lambda: nn.PReLU(3), "expected num_parameters=1 .*, found 3"),
    "Softplus": (lambda: nn.Softplus(beta=2), "expected beta=1.0, found beta=2"),
    "Softmax": (lambda: nn.Softmax(dim=0), "expected dim=-1 .the last axis., found dim=0"),
    "LogSoftmax": (lambda: nn.LogSoftmax(), "expected dim=-1 .the last axis., found dim=None"),
    "Embedding, norm": (lambda: nn.Embedding(3, 2, max_norm=1.0), "expected max_norm=None, found"),
    "Embedding, sparse": (lambda: nn.Embedding(3, 2, sparse=True), "expected sparse=False, found"),
    "Embedding, frequency": (
        lambda: nn.Embedding(3, 2, scale_grad_by_freq=True), "expected scale_grad_by_freq=False"
    ),
    "Flatten": (lambda: nn.Flatten(0), "expected start_dim=1, found start_dim=0"),
    "BatchNorm1d, momentum": (lambda: nn.BatchNorm1d(5, momentum=None), "expected momentum to"),
    "BatchNorm1d, statistics": (
        lambda: nn.BatchNorm1d(5, track_running_stats=False), "expected track_running_stats=True"
    ),
    "LayerNorm, axes": (lambda: nn.LayerNorm((2, 5)), "expected one axis in normalized_shape"),
    "LayerNorm, affine": (
        lambda: nn.LayerNorm(5, elementwise_affine=False), "expected elementwise_affine=True"
    ),
    "LayerNorm, bias": (
        lambda: nn.LayerNorm(5, bias=False), "expected tensors weight, bias, found weight$"
    ),
    "LayerNorm, eps": (lambda: nn.LayerNorm(5, eps=0.0), "expected eps to be finite and above 0"),
    "Conv2d": (
        lambda: nn.Conv2d(1, 2, 3, padding_mode="reflect"), "expected padding_mode='zeros'"
    ),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(1, 2, 3, output_padding=2), "expected output_padding to be less"
    ),
    "MaxPool2d": (lambda: nn.MaxPool2d(2, return_indices=True), "expected return_indices=False"),
    "MaxPool1d": (lambda: nn.MaxPool1d(2, padding=2), "padding to be at most half the kernel"),
    "AvgPool2d": (
        lambda: nn.AvgPool2d(2, divisor_override=3), "expected divisor_override=None, found"
    ),
    "AdaptiveAvgPool2d": (
        lambda: nn.AdaptiveAvgPool2d((3, None)), "expected the number of rows and columns, found"
    ),
    "ZeroPad2d": (lambda: nn.ZeroPad2d((1, -1, 0, 0)), "expected padding to be at least 0"),
    "Unflatten": (lambda: nn.Unflatten(-1, (2, 3)), "expected dim to be at least 1, found -1"),
    "Unflatten, batch": (lambda: nn.Unflatten(0, (2, 3)), "expected dim to be at least 1"),
    "Softmax over channels": (
        lambda: nn.Sequential(nn.Linear(8, 4), nn.Unflatten(1, (2, 2)), nn.Softmax(dim=1)),
        "expected dim=-1 .the last axis., found dim=1",
    ),
    "Softmax after a convolution": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 2), nn.Linear(8, 4), nn.Softmax(dim=1)),
        "expected dim=-1 .the last axis., found dim=1",
    ),
    "Softmax after a BatchNorm1d": (
        lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Softmax(dim=1)),
        "expected dim=-1 .the last axis., found dim=1",
    ),
    "PReLU after a convolution": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.PReLU(3)), "expected num_parameters=1"
    ),
    "images after a Linear": (
        lambda: nn.Sequential(nn.Linear(8, 8), nn.Softmax(dim=1), nn.Conv1d(3, 4, 2)),
        "expected images; after a Linear or Flatten, an Unflatten is needed first",
    ),
    "LSTM, time first": (
        lambda: nn.LSTM(3, 4), "expected batch_first=True, found batch_first=False"
    ),
    "LSTM, projection": (
        lambda: nn.LSTM(3, 4, batch_first=True, proj_size=2),
        "expected proj_size=0, found proj_size=2",
    ),
    "a module after a GRU": (
        lambda: nn.Sequential(nn.Sequential(nn.GRU(3, 4, batch_first=True)), nn.Linear(4, 2)),
        r"expected no module after the recurrent module '1\.1\.0\.0', which returns a tuple",
    ),
    "LSTMCell": (lambda: nn.LSTMCell(3, 4), NOT_SUPPORTED),
    "Dropout": (lambda: nn.Dropout(1.0), "expected 0 <= p < 1"),
    "LazyLinear": (lambda: nn.LazyLinear(5), "expected in_features to be at least 1"),
    "weight_norm": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(5, 5)),
        "expected tensors weight, bias, found bias, parametrizations",
    ),
    "prune": (
        lambda: torch.nn.utils.prune.l1_unstructured(nn.Linear(5, 5), "weight", 0.5), "it has hooks"
    ),
    "hook": (hooked, "it has hooks, which may change what it computes"),
    "complex": (
        lambda: nn.Linear(5, 5, dtype=torch.complex64),
        "expected weight to hold floating-point numbers, found torch.complex64",
    ),
    "NaN": (of_nan, "its weight contains NaN or infinity"),
    "buffer": (with_a_buffer, "expected tensors none, found scale"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_modules_without_an_equal_layer(make, words):
    module = make()
    net = nn.Sequential(nn.Identity(), nn.Sequential(nn.ReLU(), module))
    place = "1.1"
    if type(module) is nn.Sequential:  # its last module is refused
        place, module = f"1.1.{len(module) - 1}", module[-1]
    kind = re.escape(type(module).__name__)
    with pytest.raises(TypeError, match=rf"^module '{place}', {kind}\(.*: .*{words}"):
        cr.from_torch(net)


def test_each_use_of_a_module_is_checked():
    twice = nn.Softmax(dim=1)
    net = nn.Sequential(nn.Linear(4, 4), twice, nn.Unflatten(1, (2, 2)), twice)
    with pytest.raises(TypeError, match=r"module '3', Softmax.*: expected dim=-1 .the last axis"):
        cr.from_torch(net)
    split = nn.Unflatten(1, (2, 2))
    net = nn.Sequential(split, nn.Flatten(), nn.Linear(4, 4), nn.Sequential(split), nn.Softmax(1))
    with pytest.raises(TypeError, match=r"module '4', Softmax.*: expected dim=-1 .the last axis"):
        cr.from_torch(net)


def test_weights_without_values():
    with pytest.raises(TypeError, match=r"Linear\(.*: weight has no values, .*'meta'"):
        cr.from_torch(nn.Linear(2, 2, device="meta"))


def test_weights_of_two_modules():
    net = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
    net[2].weight = net[0].weight
    with pytest.raises(TypeError, match=r"module '2', .*its weight also belongs to module '0'"):
        cr.from_torch(net)


@pytest.mark.parametrize(
    "thing",
    [None, 5, nn.Linear, cr.ReLU(), np.ones(3)],
    ids=["None", "number", "class", "layer", "array"],
)
def test_things_that_are_not_modules(thing):
    with pytest.raises(TypeError, match=r"expected a torch.nn.Sequential or another"):
        cr.from_torch(thing)


def test_without_torch(monkeypatch):
    module = nn.ReLU()
    monkeypatch.delitem(torch_modules.sys.modules, "torch")
    with pytest.raises(TypeError, match=r"expected a torch.nn.Sequential or another"):
        cr.from_torch(module)


def test_modules_that_were_not_converted():
    module = nn.Sequential(nn.Linear(3, 2))
    loss, optimizer = cr.MSELoss(), cr.SGD(0.1)
    for use in (
        lambda: cr.Trainer(module, loss=loss, optimizer=optimizer),
        lambda: cr.Sequential(module[0]),
        lambda: optimizer.bind(module),
        lambda: cr.gradcheck(module, shape=(2, 3)),
        lambda: cr.to_onnx(module, "model.onnx"),
    ):
        with pytest.raises(
            TypeError, match=r"this comes from PyTorch; cr\.from_torch\(module\) converts"
        ):
            use()


def test_forgotten_values_with_tensors():
    class Scaled(cr.Layer):
        def __init__(self):
            self.gain = cr.Parameter((3,))

        def forward(self, x, *, training=False):
            return x * self.gain, lambda dy: dy

    model = cr.Sequential(Scaled(), backend="torch")
    with pytest.raises(TypeError, match=r"is not an array: use its \.value"):
        model.predict(torch.ones(2, 3))
