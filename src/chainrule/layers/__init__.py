"""Layers: functions with parameters. Each layer also computes its derivative."""

from .base import Layer
from .convolution import Conv1d, Conv2d
from .dropout import Dropout, Dropout2d
from .embedding import Embedding
from .layer_norm import GroupNorm, LayerNorm
from .linear import Linear
from .loading import load
from .mlp import mlp
from .normalization import BatchNorm
from .pooling import AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from .rectifiers import ELU, GELU, LeakyReLU, PReLU, ReLU, ReLU6, SiLU, Softplus
from .recurrent import GRU, LSTM, RNN
from .rescaling import Rescaling
from .sequential import Sequential, Slice
from .shape import Flatten, Identity, Unflatten, ZeroPad2d
from .sigmoids import Sigmoid, Tanh
from .softmax import LogSoftmax, Softmax
from .time_pooling import PoolOverTime
from .transposed_convolution import ConvTranspose2d

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "PReLU",
    "PoolOverTime",
    "ReLU",
    "ReLU6",
    "Rescaling",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unflatten",
    "ZeroPad2d",
    "load",
    "mlp",
]


def __dir__() -> list[str]:
    return __all__
