"""The array libraries that models run on; no other folder names one."""

from .base import Backend, available_backends, get_backend
from .numpy import NumpyBackend  # first, so that `Backend.known` starts with it

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
