"""Layers: functions with parameters. Each layer also computes its derivative."""

from .base import Layer
from .dropout import Dropout
from .linear import Linear
from .loading import load
from .mlp import mlp
from .normalization import BatchNorm, LayerNorm
from .rectifiers import ELU, GELU, LeakyReLU, PReLU, ReLU, ReLU6, SiLU, Softplus
from .rescaling import Rescaling
from .sequential import Sequential, Slice
from .shape import Flatten, Identity
from .sigmoids import Sigmoid, Tanh
from .softmax import LogSoftmax, Softmax

__all__ = [
    "ELU",
    "GELU",
    "BatchNorm",
    "Dropout",
    "Flatten",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "PReLU",
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
    "load",
    "mlp",
]


def __dir__() -> list[str]:
    return __all__
