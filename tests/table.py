"""The contract tables: to test a new layer, loss, optimizer or augmentation, add one row."""

import numpy as np

import chainrule as cr
from chainrule.data.augmentation import (
    Compose,
    RandomAffine,
    RandomCrop,
    RandomElastic,
    RandomFlip,
    RandomShift,
)


class Scale(cr.Layer):
    """A custom layer with a parameter: y = gain * x."""

    def __init__(self, features):
        self.gain = cr.Parameter((features,), init=cr.initializers.constant(1.5))

    def forward(self, x, *, training=False):
        gain = self.gain

        def backward(dy):
            gain.add_grad(self.xp.sum(dy * x, axis=0))
            return dy * gain.value

        return x * gain.value, backward


class Residual(cr.Layer):
    """A custom layer with a child: y = x + inner(x)."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x, *, training=False):
        y, back = self.inner.forward(x, training=training)
        return x + y, lambda dy: dy + back(dy)


OWN = {"Scale": Scale, "Residual": Residual}


def shared():
    """Return a model that uses the same layer twice."""
    layer = cr.Linear(5, 5)
    return cr.Sequential(layer, cr.Tanh(), layer)


def drawn(layer):
    """Return this normalisation layer with random weights and statistics, as after training."""
    for parameter in layer.parameters():
        parameter.init = cr.initializers.normal(1.0)
    if layer.named_buffers():
        layer.running_mean.init = cr.initializers.normal(1.0)
        layer.running_var.init = cr.initializers.uniform(0.5, 2.0)
    return layer


def normalized(kind):
    return cr.Sequential(cr.Linear(5, 4, bias=False), drawn(kind(4)), cr.Tanh(), cr.Linear(4, 2))


# Each row: a function that creates the layer, and the shape of the layer's input.
LAYERS = {
    "Linear": (lambda: cr.Linear(5, 3), (4, 5)),
    "Linear without bias": (lambda: cr.Linear(5, 3, bias=False), (4, 5)),
    "Linear, more axes": (lambda: cr.Linear(5, 3), (2, 3, 5)),
    "Linear, short rows": (lambda: cr.Linear(5, 3, max_norm=0.5), (4, 5)),
    "ReLU": (cr.ReLU, (4, 5)),
    "LeakyReLU": (lambda: cr.LeakyReLU(0.2), (4, 5)),
    "PReLU": (cr.PReLU, (4, 5)),
    "PReLU, a slope per feature": (
        lambda: cr.PReLU(5, init=cr.initializers.normal(1.0)),
        (2, 3, 5),
    ),
    "ReLU6": (lambda: cr.Sequential(cr.Rescaling(6.0), cr.ReLU6()), (4, 5)),
    "ELU": (lambda: cr.ELU(0.7), (4, 5)),
    "GELU": (cr.GELU, (4, 5)),
    "GELU, approximate": (lambda: cr.GELU(approximate="tanh"), (4, 5)),
    "SiLU": (cr.SiLU, (4, 5)),
    "Sigmoid": (cr.Sigmoid, (4, 5)),
    "Tanh": (cr.Tanh, (4, 5)),
    "Softplus": (cr.Softplus, (4, 5)),
    "Softmax": (cr.Softmax, (4, 5)),
    "LogSoftmax": (cr.LogSoftmax, (4, 5)),
    "Identity": (cr.Identity, (4, 5)),
    "Embedding": (lambda: cr.Embedding(6, 3, padding_idx=5), (4, 5)),
    "Flatten": (cr.Flatten, (4, 2, 3)),
    "Conv1d": (lambda: cr.Conv1d(2, 3, 3), (2, 2, 6)),
    "Conv1d, every option": (
        lambda: cr.Conv1d(4, 6, 2, stride=2, padding=3, dilation=2, groups=2, bias=False),
        (2, 4, 7),
    ),
    "Conv2d": (lambda: cr.Conv2d(2, 3, 3), (2, 2, 3, 4)),
    "Conv2d, every option": (
        lambda: cr.Conv2d(
            4, 6, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, max_norm=0.5
        ),
        (2, 4, 3, 3),
    ),
    "Conv2d, same size": (lambda: cr.Conv2d(2, 2, (2, 3), padding="same"), (2, 2, 3, 2)),
    "Conv2d, a kernel per channel": (lambda: cr.Conv2d(3, 3, 2, groups=3), (2, 3, 2, 3)),
    "ConvTranspose2d": (lambda: cr.ConvTranspose2d(2, 3, 3), (2, 2, 3, 2)),
    "ConvTranspose2d, every option": (
        lambda: cr.ConvTranspose2d(
            4, 6, (2, 3), stride=(2, 3), padding=1, output_padding=(1, 2), groups=2, dilation=2
        ),
        (2, 4, 2, 2),
    ),
    "MaxPool1d": (lambda: cr.MaxPool1d(2), (2, 2, 7)),
    "MaxPool2d": (lambda: cr.MaxPool2d(2), (2, 2, 3, 4)),
    "MaxPool2d, every option": (
        lambda: cr.MaxPool2d((3, 2), stride=(2, 1), padding=1, dilation=(1, 2), ceil_mode=True),
        (2, 2, 4, 3),
    ),
    "AvgPool1d": (lambda: cr.AvgPool1d(2), (2, 2, 7)),
    "AvgPool2d": (lambda: cr.AvgPool2d(2), (2, 2, 3, 4)),
    "AvgPool2d, every option": (
        lambda: cr.AvgPool2d(
            (3, 2), stride=(2, 1), padding=1, ceil_mode=True, count_include_pad=False
        ),
        (2, 2, 4, 3),
    ),
    "AdaptiveAvgPool2d": (lambda: cr.AdaptiveAvgPool2d((2, 3)), (2, 2, 3, 4)),
    "PoolOverTime, mean": (lambda: cr.PoolOverTime("mean"), (3, 4, 2)),
    "PoolOverTime, max": (lambda: cr.PoolOverTime("max"), (3, 4, 2)),
    "PoolOverTime, last": (lambda: cr.PoolOverTime("last"), (3, 4, 2)),
    "ZeroPad2d": (lambda: cr.ZeroPad2d((1, 2, 0, 3)), (2, 2, 3, 2)),
    "Unflatten": (lambda: cr.Unflatten(1, (2, -1)), (2, 6, 3)),
    "Dropout2d": (lambda: cr.Dropout2d(0.3), (3, 4, 1, 2)),
    "Rescaling": (lambda: cr.Rescaling(0.25, offset=-1.0), (4, 5)),
    "Dropout": (lambda: cr.Dropout(0.3), (4, 5)),
    "BatchNorm": (lambda: cr.BatchNorm(5), (4, 5)),
    "BatchNorm, learned": (lambda: drawn(cr.BatchNorm(5, eps=1e-3, momentum=0.3)), (4, 5)),
    "BatchNorm without weights": (lambda: drawn(cr.BatchNorm(5, affine=False)), (4, 5)),
    "BatchNorm in a model": (lambda: normalized(cr.BatchNorm), (6, 5)),
    "BatchNorm on images": (lambda: drawn(cr.BatchNorm(3)), (2, 3, 2, 4)),
    "GroupNorm": (lambda: drawn(cr.GroupNorm(2, 4)), (2, 4, 3)),
    "GroupNorm without weights": (lambda: cr.GroupNorm(1, 3, affine=False), (2, 3, 2, 2)),
    "LayerNorm": (lambda: cr.LayerNorm(5), (4, 5)),
    "LayerNorm, learned": (lambda: drawn(cr.LayerNorm(5, eps=1e-3)), (3, 2, 5)),
    "LayerNorm in a model": (lambda: normalized(cr.LayerNorm), (3, 5)),
    "RNN": (lambda: cr.RNN(3, 2), (2, 3, 3)),
    "RNN, every option": (
        lambda: cr.RNN(2, 2, 2, "relu", bias=False, bidirectional=True, dropout=0.3, output="last"),
        (2, 3, 2),
    ),
    "LSTM": (lambda: cr.LSTM(3, 2), (2, 3, 3)),
    "LSTM, every option": (
        lambda: cr.LSTM(
            1, 1, num_layers=2, bidirectional=True, dropout=0.3, output="last", forget_bias=0.5
        ),
        (2, 2, 1),
    ),
    "GRU": (lambda: cr.GRU(3, 2), (2, 3, 3)),
    "GRU, every option": (
        lambda: cr.GRU(1, 1, num_layers=2, bidirectional=True, dropout=0.3, output="last"),
        (2, 2, 1),
    ),
    "Sequential": (lambda: cr.Sequential(cr.Linear(5, 4), cr.Tanh(), cr.Linear(4, 2)), (3, 5)),
    "nested": (lambda: cr.Sequential(cr.Sequential(cr.Linear(5, 4), cr.ReLU()), cr.SiLU()), (3, 5)),
    "shared": (shared, (3, 5)),
    "Scale": (lambda: Scale(5), (4, 5)),
    "Residual": (lambda: Residual(cr.Sequential(cr.Linear(5, 5), cr.Tanh())), (4, 5)),
}


def input_of(layer, shape, seed=0):
    """Return a random input for a layer of the table: integers below 5, if it takes integers."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, shape) if layer.takes_integers else rng.normal(size=shape)


_rng = np.random.default_rng(7)
_numbers = _rng.normal(size=(4, 3))
_zero_one = np.asarray([[0.0, 1.0, 1.0], [1.0, 0.0, 0.3], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
_labels = np.asarray([0, 2, 1, 2])
_rows = np.eye(3)[_labels]
_shares = np.asarray([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]])

# Each row: a function that takes a reduction and returns a loss, targets for this loss, and a layer
# whose outputs suit this loss.
LOSSES = {
    "MSELoss": (cr.MSELoss, _numbers, cr.Identity),
    "MSELoss, weighted": (
        lambda **o: cr.MSELoss(weight=[1, 2, 0.5], **o),
        _numbers,
        cr.Identity,
    ),
    "L1Loss": (cr.L1Loss, _numbers, cr.Identity),
    "L1Loss, weighted": (lambda **o: cr.L1Loss(weight=[1, 2, 0.5], **o), _numbers, cr.Identity),
    "HuberLoss": (lambda **o: cr.HuberLoss(delta=0.8, **o), _numbers, cr.Identity),
    "HuberLoss, weighted": (
        lambda **o: cr.HuberLoss(delta=0.8, weight=[1, 2, 0.5], **o),
        _numbers,
        cr.Identity,
    ),
    "BCELoss": (lambda **o: cr.BCELoss(weight=[1.0, 2.0, 0.5], **o), _zero_one, cr.Sigmoid),
    "BCEWithLogitsLoss": (
        lambda **o: cr.BCEWithLogitsLoss(weight=[1, 2, 0.5], pos_weight=[3, 1, 0.2], **o),
        _zero_one,
        cr.Identity,
    ),
    "CrossEntropyLoss": (cr.CrossEntropyLoss, _labels, cr.Identity),
    "CrossEntropyLoss, one-hot": (cr.CrossEntropyLoss, _rows, cr.Identity),
    "CrossEntropyLoss, shares": (cr.CrossEntropyLoss, _shares, cr.Identity),
    "CrossEntropyLoss, weighted": (
        lambda **o: cr.CrossEntropyLoss(weight=[1.0, 3.0, 0.5], **o),
        _labels,
        cr.Identity,
    ),
    "CrossEntropyLoss, smoothed": (
        lambda **o: cr.CrossEntropyLoss(weight=[1.0, 3.0, 0.5], label_smoothing=0.1, **o),
        _labels,
        cr.Identity,
    ),
    "CrossEntropyLoss, ignored": (
        lambda **o: cr.CrossEntropyLoss(ignore_index=-100, weight=[1.0, 3.0, 0.5], **o),
        np.asarray([0, -100, 1, 2]),
        cr.Identity,
    ),
    "KLDivLoss": (cr.KLDivLoss, _shares, cr.LogSoftmax),
    "KLDivLoss, weighted": (
        lambda **o: cr.KLDivLoss(weight=[1, 2, 0.5], **o),
        _shares,
        cr.LogSoftmax,
    ),
}

OPTIMIZERS = {
    "SGD": lambda **o: cr.SGD(0.05, **o),
    "SGD, momentum": lambda **o: cr.SGD(0.05, momentum=0.9, **o),
    "SGD, Nesterov": lambda **o: cr.SGD(0.05, momentum=0.9, nesterov=True, **o),
    "RMSprop": lambda **o: cr.RMSprop(1e-3, **o),
    "Adagrad": lambda **o: cr.Adagrad(1e-2, **o),
    "Adam": lambda **o: cr.Adam(1e-3, **o),
    "AdamW": lambda **o: cr.AdamW(1e-3, **o),
}

AFFINE = {"degrees": 30.0, "translate": 3.0, "scale": (0.7, 1.5), "shear": 20.0}
AUGMENTATIONS = {
    "affine": RandomAffine(**AFFINE, fill=9.0),
    "crop": RandomCrop((5, 4), padding=(1, 2), fill=9.0),
    "elastic": RandomElastic(20.0, 2.0, fill=9.0),
    "flip": RandomFlip(),
    "shift": RandomShift(2, fill=9.0),
    "composed": Compose(
        RandomFlip(axis=-2),
        RandomShift(1),
        RandomElastic(9.0, 1.5),
    ),
}
