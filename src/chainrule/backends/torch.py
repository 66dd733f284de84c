"""PyTorch's tensors as an array library; its autograd is not used."""

from typing import Any

import numpy as np

from ..errors import BackendError
from ..types import Array
from .base import Backend


class TorchBackend(Backend, name="torch"):
    """PyTorch on any of its devices (``device="cuda:0"``)."""

    def __init__(self, *, device: Any = None, precision: str | None = None) -> None:
        try:
            import torch
        except ImportError as error:
            raise BackendError(
                "backend 'torch' needs PyTorch, which is not installed: pip install torch"
            ) from error
        super().__init__(torch, device=device, precision=precision)

    def asarray(self, x: Any, *, dtype: Any = None) -> Array:
        is_tensor = isinstance(x, self.array_type)  # whose autograd would follow every step
        return super().asarray(x.detach() if is_tensor else x, dtype=dtype)

    def to_numpy(self, x: Array) -> np.ndarray:
        array: np.ndarray = x.detach().cpu().numpy()
        return array
