"""The array library that a model runs on; the only folder that names one."""

from .base import Backend, available_backends, get_backend
from .cupy import CupyBackend
from .numpy import NumpyBackend
from .torch import TorchBackend

__all__ = [
    "Backend",
    "CupyBackend",
    "NumpyBackend",
    "TorchBackend",
    "available_backends",
    "get_backend",
]
