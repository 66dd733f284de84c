"""The array libraries that models run on. No other folder names an array library."""

from .base import Backend, available_backends, get_backend
from .numpy import NumpyBackend  # imported first, so that `Backend.known` starts with NumPy

# isort: split
from .cupy import CupyBackend
from .torch import TorchBackend

__all__ = [
    "Backend",
    "CupyBackend",
    "NumpyBackend",
    "TorchBackend",
    "available_backends",
    "get_backend",
]
