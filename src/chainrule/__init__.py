"""Trainable neural networks written against the Python Array API standard.

A network is a chain of functions. Each function returns its value and a second function. The second
function computes the gradient of the input from the gradient of the output.
"""

import difflib
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from . import callbacks, datasets, initializers, metrics, parallel, schedules
from .backends import Backend, available_backends, get_backend
from .callbacks import Callback
from .data import augmentation, minibatches
from .errors import BackendError, DataError, DivergenceError, FileFormatError, ShapeError
from .gradcheck import gradcheck
from .history import History
from .interop import from_torch, to_onnx
from .layers import (
    ELU,
    GELU,
    GRU,
    LSTM,
    RNN,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Dropout2d,
    Embedding,
    Flatten,
    GroupNorm,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool1d,
    MaxPool2d,
    PoolOverTime,
    PReLU,
    ReLU,
    ReLU6,
    Rescaling,
    Sequential,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Softplus,
    Tanh,
    Unflatten,
    ZeroPad2d,
    load,
    mlp,
)
from .losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
)
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from .parameter import Buffer, Parameter
from .training import Trainer
from .version import __version__ as __version__

if TYPE_CHECKING:
    from . import estimators as estimators
    from . import plotting as plotting

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "Backend",
    "BackendError",
    "BatchNorm",
    "Buffer",
    "Callback",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "DataError",
    "DivergenceError",
    "Dropout",
    "Dropout2d",
    "Embedding",
    "FileFormatError",
    "Flatten",
    "GroupNorm",
    "History",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Optimizer",
    "PReLU",
    "Parameter",
    "PoolOverTime",
    "RMSprop",
    "ReLU",
    "ReLU6",
    "Rescaling",
    "Sequential",
    "ShapeError",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Tanh",
    "Trainer",
    "Unflatten",
    "ZeroPad2d",
    "augmentation",
    "available_backends",
    "callbacks",
    "datasets",
    "from_torch",
    "get_backend",
    "gradcheck",
    "initializers",
    "load",
    "metrics",
    "minibatches",
    "mlp",
    "parallel",
    "schedules",
    "to_onnx",
]


def __getattr__(name: str) -> Any:
    """Import `estimators` and `plotting` on first use, because they need other libraries."""
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")  # noqa: TID251  (a lazy import)
    close = difflib.get_close_matches(name, __all__, n=1)
    hint = f": did you mean {close[0]!r}?" if close else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    there = (name for name, library in _LAZY.items() if importlib.util.find_spec(library))
    return sorted([*__all__, "__version__", *there])


_LAZY = {"estimators": "sklearn", "plotting": "matplotlib"}  # modules and their libraries
